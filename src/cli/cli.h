/*
 * What every verb of clawrden-cli shares: exit codes, options, errors.
 *
 * A verb is one file with one entry, named in main.c's table. It prints its result on stdout (with
 * --json: exactly one JSON document) and what went wrong on stderr, and returns the exit code.
 */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum CliExit {
    CLI_DONE = 0,
    CLI_REFUSED = 1, /* or not found */
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3, /* the warden */
} CliExit;

/* Global options, from the command line or the environment. */
typedef struct Cli {
    const char *api;     /* "unix:PATH" or an http(s) URL */
    char *token;         /* owned: bearer, or NULL */
    const char *ca_file; /* certificates that https trusts instead of the system's, or NULL */
    bool json;
} Cli;

/* Takes over a global option; getopt_long(3) has its name. 0, or an exit code after saying why. */
int cli_set_global(Cli *cli, const char *name, char *value);
/* What main() and every verb understand. */
#define CLI_GLOBALS 5u
extern const struct option cli_globals[CLI_GLOBALS];
void cli_done(Cli *cli);

/* argv[0] is the verb. */
int status_main(Cli *cli, int argc, char **argv);
int queue_main(Cli *cli, int argc, char **argv);
int watch_main(Cli *cli, int argc, char **argv);
int decide_main(Cli *cli, int argc, char **argv); /* approve, deny */
int grants_main(Cli *cli, int argc, char **argv); /* grants, revoke */
int history_main(Cli *cli, int argc, char **argv);
int kill_main(Cli *cli, int argc, char **argv); /* kill, pause, resume */
int jails_main(Cli *cli, int argc, char **argv);
int policy_main(Cli *cli, int argc, char **argv);
int audit_main(Cli *cli, int argc, char **argv);
int token_main(Cli *cli, int argc, char **argv);
int user_main(Cli *cli, int argc, char **argv);
int doctor_main(Cli *cli, int argc, char **argv);

/* "clawrden-cli: message" on stderr; control characters in it are escaped. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A list of repeated options' values; owned array, values point into argv. */
typedef struct CliList {
    const char **items;
    size_t n_items;
} CliList;

void cli_list_done(CliList *list);

/* One long option of a verb: exactly one of the targets is set. */
typedef struct CliOption {
    const char *name;
    const char **value;
    bool *flag;
    CliList *list;
} CliOption;

/* What a verb accepts. --help and --json are added. */
typedef struct CliSyntax {
    const char *usage;        /* whole text for --help */
    const CliOption *options; /* NULL-terminated by name, or NULL */
    bool stop_at_operand;     /* options after the first operand belong to it */
    int least, most;          /* operands; most < 0: any number */
    const char *wants;        /* what is asked for where there are fewer: "which token?" */
} CliSyntax;

/* Parses argv[1..]. 0: *ret_operands are argc - *ret_first operands from argv[*ret_first];
 * 1: --help was printed; -EINVAL: the mistake was printed (exit CLI_USAGE). */
int cli_parse(Cli *cli, const CliSyntax *syntax, int argc, char **argv, int *ret_first);
/* The exit code for a result of cli_parse() that is not 0. */
static inline int cli_parse_exit(int result)
{
    return result == 1 ? CLI_DONE : CLI_USAGE;
}

/* Names a mistake in the operands and where help is. Returns CLI_USAGE. */
int cli_usage_error(const CliSyntax *syntax, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A word that a verb (or clawrden-cli itself) is followed by, and what does it. */
typedef struct CliVerb {
    const char *name;
    int (*run)(Cli *cli, int argc, char **argv);
} CliVerb;

/* The verb of that name; NULL: there is none. Tables end with an empty entry. */
const CliVerb *cli_find_verb(const CliVerb *verbs, const char *name);
/* The name in the table that `name` was probably meant to be, or NULL. */
const char *cli_suggest(const CliVerb *verbs, const char *name);
/* For a verb with verbs of its own: runs the one that argv[1] names, after --help and --json.
 * `syntax` stops at its first operand. */
int cli_run_verb(Cli *cli, const CliSyntax *syntax, const CliVerb *verbs, int argc, char **argv);
