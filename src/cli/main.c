/*
 * clawrden-cli: the operator's command line. Global options, then one verb; verbs are the table
 * below, each a file of its own. What is not in the table does not exist.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"
#ifdef CLI_HAS_AUDIT
#include "cli/audit.h"
#endif

static const char usage[] =
    "usage: clawrden-cli [--api URL|unix:PATH] [--token TOKEN] [--json] VERB\n"
    "\n"
    "  status                      what the warden is doing\n"
    "  queue [ID]                  requests that wait for a decision\n"
    "  approve ID [--reason TEXT]  let one run\n"
    "  deny ID [--reason TEXT]     refuse one; the agent sees the reason\n"
    "  kill JAIL | --all           end everything in a jail and refuse new commands\n"
    "  resume JAIL | --all         let a jail's commands run again\n"
    "  policy init|check|explain|test|reload\n"
    "                              write, check and try policies\n"
    "  audit verify|show|export    read the audit log\n"
    "  doctor                      check this machine and the installation\n"
    "\n"
    "  --api URL|unix:PATH  where the warden listens (CLAWRDEN_API); by default the unix socket\n"
    "                       of the warden that root, or this user, has started\n"
    "  --token TOKEN        a bearer token (CLAWRDEN_TOKEN: keeps it out of the process list)\n"
    "  --json               print one JSON document\n"
    "  --version, --help    `clawrden-cli VERB --help` tells more about one\n"
    "\n"
    "Exit status: 0 done, 1 refused or not found, 2 usage, 3 warden unreachable.\n";

typedef struct Verb {
    const char *name;
    int (*run)(Cli *cli, int argc, char **argv);
} Verb;

#ifdef CLI_HAS_AUDIT
static int run_audit(Cli *cli, int argc, char **argv)
{
    return audit_main(argc, argv, cli->json);
}
#endif

static const Verb verbs[] = {
    {"status", status_main}, {"queue", queue_main}, {"approve", decide_main}, {"deny", decide_main},
    {"kill", kill_main},     {"resume", kill_main}, {"policy", policy_main},
#ifdef CLI_HAS_AUDIT
    {"audit", run_audit},
#endif
    {"doctor", doctor_main},
};

static int mistake(const char *what, const char *which)
{
    cli_error("%s%s%s", what, which ? ": " : "", which ? which : "");
    (void)fputs("verbs:", stderr);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        (void)fprintf(stderr, " %s", verbs[i].name);
    (void)fputs("; try clawrden-cli --help\n", stderr);
    return CLI_USAGE;
}

static int run(Cli *cli, int argc, char **argv)
{
    if (argc == 0)
        return mistake("say what to do", NULL);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].name, argv[0]) == 0)
            return verbs[i].run(cli, argc, argv);
    }
    return mistake("unknown verb", argv[0]);
}

/* A document that did not reach its reader was not printed. */
static int finish(int exit_status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_status;
    cli_error("cannot write to stdout: %m");
    return exit_status == CLI_DONE ? CLI_REFUSED : exit_status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"api", required_argument, NULL, 'a'}, {"token", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},      {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},      {0}};
    Cli cli = {.api = getenv("CLAWRDEN_API"), .token = getenv("CLAWRDEN_TOKEN")};
    int option;

    (void)signal(SIGPIPE, SIG_IGN);
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:hV", options, NULL)) != -1) {
        switch (option) {
        case 'a':
            cli.api = optarg;
            break;
        case 't':
            cli.token = optarg;
            break;
        case 'j':
            cli.json = true;
            break;
        case 'V':
            (void)puts("clawrden-cli " CLAWRDEN_VERSION);
            return finish(CLI_DONE);
        case 'h':
            (void)fputs(usage, stdout);
            return finish(CLI_DONE);
        default:
            return mistake(option == ':' ? "this option wants a value" : "unknown option",
                           argv[optind - 1]);
        }
    }

    _cleanup_free_ char *place = client_default_api();
    if (!cli.api || cli.api[0] == '\0')
        cli.api = place;
    if (cli.token && cli.token[0] == '\0')
        cli.token = NULL;
    return finish(run(&cli, argc - optind, argv + optind));
}
