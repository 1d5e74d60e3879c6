/*
 * kill, resume: everything in a jail ends at once and stays ended; and the way back.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"

static const char usage_kill[] = "usage: clawrden-cli kill JAIL | --all [--json]\n"
                                 "\n"
                                 "Ends every running command of the jail with all its descendants "
                                 "(KILL, at once), cancels what\n"
                                 "waits, and refuses new commands until `clawrden-cli resume`.\n";

static const char usage_resume[] = "usage: clawrden-cli resume JAIL | --all [--json]\n"
                                   "\n"
                                   "Lets the jail's commands run again, as the policy says.\n";

static void print_result(const json_t *answer, bool killed)
{
    const json_t *jails = json_object_get(answer, "jails");
    Buffer out = BUFFER_EMPTY(1 << 20);

    buffer_puts(&out, killed ? "killed:" : "resumed:");
    for (size_t i = 0; i < json_array_size(jails); i++) {
        buffer_puts(&out, i > 0 ? ", " : " ");
        size_t size;
        _cleanup_free_ char *name = show_bytes(json_array_get(jails, i), &size);
        if (name)
            text_display(&out, name, size, 80);
    }
    if (killed)
        buffer_printf(&out, " (%llu running ended, %llu waiting cancelled)",
                      show_number(answer, "killed"), show_number(answer, "cancelled"));
    buffer_puts(&out, "\n");
    show_print(&out);
}

int kill_main(Cli *cli, int argc, char **argv)
{
    bool killing = strcmp(argv[0], "kill") == 0, all = false;
    const CliOption options[] = {{.name = "all", .flag = &all}, {0}};
    const CliSyntax syntax = {
        .usage = killing ? usage_kill : usage_resume, .options = options, .most = 1};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    if (all == (first < argc))
        return cli_usage_error(&syntax, "name one jail, or say --all");

    json_t *body = all ? json_pack("{s:b}", "all", 1) : json_pack("{s:s}", "jail", argv[first]);
    if (!body)
        return cli_usage_error(&syntax, "this is no name of a jail: %s", argv[first]);
    result = client_call(cli, "POST", killing ? "/api/kill" : "/api/resume", body, &answer);
    json_decref(body);
    if (result != CLI_DONE)
        return result;
    if (cli->json)
        show_json(answer.json);
    else
        print_result(answer.json, killing);
    return CLI_DONE;
}
