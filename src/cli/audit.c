/*
 * See audit.h.
 */
#include "cli/audit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/times.h"
#include "journal/journal-file.h"

const CliSyntax audit_syntax = {
    .usage =
        "usage: clawrden-cli audit verify|show|export [FILE] [options]\n"
        "\n"
        "  verify    check the hash chain through all segments\n"
        "  show      a readable line per record\n"
        "  export    the records for other programs, on stdout\n"
        "\n"
        "  FILE, --file FILE      the audit log (" JOURNAL_FILE_DEFAULT ")\n"
        "  --head FILE|SEQ:HEX    verify: a record that the log must hold, so that a cut tail is "
        "seen;\n"
        "                         without --file the warden's own head is used when it is there\n"
        "                         (" JOURNAL_HEAD_DEFAULT ")\n"
        "  --format jsonl|csv     export: the lines as they are, or a table (jsonl)\n"
        "  --request ID --jail NAME --command NAME --event NAME --verdict NAME\n"
        "                         show, export: only these records\n"
        "  --since TIME --until TIME\n"
        "                         " CLI_TIME_FORMS "\n"
        "  --last N               the last N of them\n"
        "\n"
        "With --json: one document. Exit status 1: not intact, or nothing found.\n",
    .stop_at_operand = true,
    .most = -1,
};

void audit_default_places(AuditPlaces *ret)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool given = state && state[0] == '/';

    if (geteuid() != 0 && (given || home)) {
        const char *base = given ? state : home, *below = given ? "" : "/.local/state";
        (void)snprintf(ret->file, PATH_MAX, "%s%s/clawrden/log/audit.log", base, below);
        (void)snprintf(ret->head, PATH_MAX, "%s%s/clawrden/journal.head", base, below);
        if (access(ret->file, F_OK) == 0)
            return;
    }
    (void)snprintf(ret->file, PATH_MAX, "%s", JOURNAL_FILE_DEFAULT);
    (void)snprintf(ret->head, PATH_MAX, "%s", JOURNAL_HEAD_DEFAULT);
}

int audit_read_failed(const char *path, int error)
{
    if (error == -ENOENT)
        cli_error("there is no audit log at %s", path);
    else
        cli_error("cannot read %s: %s", path, strerror(-error));
    return CLI_REFUSED;
}

int audit_choose_file(const char **file, const char *operand)
{
    if (*file && operand)
        return cli_usage_error(&audit_syntax, "two files: %s and %s", *file, operand);
    if (operand)
        *file = operand;
    return 0;
}

int audit_main(Cli *cli, int argc, char **argv)
{
    static const CliVerb verbs[] = {{"verify", audit_verify_main},
                                    {"show", audit_records_main},
                                    {"export", audit_records_main},
                                    {0}};
    return cli_run_verb(cli, &audit_syntax, verbs, argc, argv);
}
