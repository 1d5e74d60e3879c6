/*
 * clawrden-cli: the operator's command line. Global options, then one verb; verbs are the table
 * below, each a file of its own. What is not in the table does not exist.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"

static const char usage[] =
    "usage: clawrden-cli [--api URL|unix:PATH] [--json] VERB\n"
    "\n"
    "  status                      what the warden is doing\n"
    "  watch                       live view: decide with a key, history scrolls by\n"
    "  queue [ID]                  requests that wait for a decision\n"
    "  approve ID [--for 15m|--session] [--widened]\n"
    "                              let one run, and the like of it for a while\n"
    "  deny ID [--reason TEXT]     refuse one; the agent sees the reason\n"
    "  grants                      approvals that are remembered\n"
    "  revoke ID                   end one of them\n"
    "  history [filters]           what happened, the newest last\n"
    "  kill JAIL | --container ID | --all [--for 10m] [--reason TEXT]\n"
    "                              end everything there and refuse new commands\n"
    "  pause …                     the same, but what runs is frozen\n"
    "  resume …                    let commands run again\n"
    "  jails [list|get|create|set|delete|containers]\n"
    "                              the jails, their limits, and containers that ask for one\n"
    "  policy init|check|explain|test|reload\n"
    "                              write, check and try policies\n"
    "  audit verify|show|export    read the audit log\n"
    "  token create|list|revoke    bearer tokens for programs\n"
    "  user add|passwd|list|delete people who may log in to the dashboard\n"
    "  doctor                      check this machine and the installation\n"
    "\n"
    "  --api URL|unix:PATH  where the warden listens (CLAWRDEN_API); by default the unix socket\n"
    "                       of the warden that root, or this user, has started\n"
    "  --token-file FILE    a bearer token, in the file's first line (CLAWRDEN_TOKEN: the token\n"
    "                       itself; --token TOKEN can be seen in the list of processes)\n"
    "  --ca-file FILE       certificates that https trusts (CLAWRDEN_CA_FILE)\n"
    "  --json               print one JSON document\n"
    "  --version, --help    `clawrden-cli VERB --help` tells more about one\n"
    "\n"
    "Exit status: 0 done, 1 refused or not found, 2 usage, 3 warden unreachable.\n";

static const CliVerb verbs[] = {
    {"status", status_main},  {"watch", watch_main},     {"queue", queue_main},
    {"approve", decide_main}, {"deny", decide_main},     {"grants", grants_main},
    {"revoke", grants_main},  {"history", history_main}, {"kill", kill_main},
    {"pause", kill_main},     {"resume", kill_main},     {"jails", jails_main},
    {"policy", policy_main},  {"audit", audit_main},     {"token", token_main},
    {"user", user_main},      {"doctor", doctor_main},   {0},
};

/* Names the mistake and what there is. */
static int mistake(const char *what, const char *which)
{
    const char *suggestion = which && which[0] != '-' ? cli_suggest(verbs, which) : NULL;

    if (suggestion)
        cli_error("%s: %s; did you mean %s?", what, which, suggestion);
    else
        cli_error("%s%s%s", what, which ? ": " : "", which ? which : "");
    (void)fputs("verbs:", stderr);
    for (const CliVerb *verb = verbs; verb->name; verb++)
        (void)fprintf(stderr, " %s", verb->name);
    (void)fputs("; try clawrden-cli --help\n", stderr);
    return CLI_USAGE;
}

/* help [VERB]: whoever does not know the options does not know --help. */
static int help(Cli *cli, const char *name)
{
    static char option[] = "--help";

    if (!name) {
        (void)fputs(usage, stdout);
        return CLI_DONE;
    }
    const CliVerb *verb = cli_find_verb(verbs, name);
    char *line[] = {(char *)(verb ? verb->name : name), option, NULL};
    return verb ? verb->run(cli, 2, line) : mistake("unknown verb", name);
}

static int run(Cli *cli, int argc, char **argv)
{
    if (argc == 0)
        return mistake("say what to do", NULL);
    if (strcmp(argv[0], "help") == 0)
        return help(cli, argv[1]);
    const CliVerb *verb = cli_find_verb(verbs, argv[0]);
    return verb ? verb->run(cli, argc, argv) : mistake("unknown verb", argv[0]);
}

/* Whoever read our output has seen enough: `… | head`. */
static bool is_reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return errno == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR));
}

/* A document that did not reach its reader was not printed. */
static int finish(int exit_status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_status;
    if (is_reader_gone())
        return exit_status;
    cli_error("cannot write to stdout%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    return exit_status == CLI_DONE ? CLI_REFUSED : exit_status;
}

static int set_from_environment(Cli *cli)
{
    static const struct {
        const char *variable, *option;
    } known[] = {{"CLAWRDEN_API", "api"}, {"CLAWRDEN_CA_FILE", "ca-file"}};

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        char *value = getenv(known[i].variable);
        if (value && value[0])
            (void)cli_set_global(cli, known[i].option, value);
    }
    const char *given = getenv("CLAWRDEN_TOKEN");
    _cleanup_free_ char *token = given ? strdup(given) : NULL;
    return token ? cli_set_global(cli, "token", token) : CLI_DONE;
}

/* Global options and the verb. */
static int run_line(Cli *cli, int argc, char **argv)
{
    struct option options[CLI_GLOBALS + 3] = {0};
    int option, index;

    memcpy(options, cli_globals, sizeof cli_globals);
    options[CLI_GLOBALS] = (struct option){"version", no_argument, NULL, 'V'};
    options[CLI_GLOBALS + 1] = (struct option){"help", no_argument, NULL, 'h'};
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:hV", options, &index)) != -1) {
        switch (option) {
        case 0: {
            int result = cli_set_global(cli, options[index].name, optarg);
            if (result != CLI_DONE)
                return result;
            break;
        }
        case 'V':
            (void)puts("clawrden-cli " CLAWRDEN_VERSION);
            return CLI_DONE;
        case 'h':
            (void)fputs(usage, stdout);
            return CLI_DONE;
        default:
            return mistake(option == ':' ? "this option wants a value" : "unknown option",
                           argv[optind - 1]);
        }
    }
    return run(cli, argc - optind, argv + optind);
}

int main(int argc, char **argv)
{
    _cleanup_free_ char *place = client_default_api();
    _cleanup_(cli_done)
    Cli cli = {.api = place};

    (void)signal(SIGPIPE, SIG_IGN);
    int result = set_from_environment(&cli);
    return finish(result == CLI_DONE ? run_line(&cli, argc, argv) : result);
}
