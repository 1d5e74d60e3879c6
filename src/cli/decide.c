/*
 * approve, deny: a human's answer to one waiting request.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"

static const char usage_approve[] =
    "usage: clawrden-cli approve ID [--reason TEXT] [--json]\n"
    "\n"
    "Lets the waiting request run, once: exactly the command, file, directory and environment "
    "that\n"
    "`queue` shows; anything that changes until it starts is a refusal.\n"
    "\n"
    "  --reason TEXT  recorded in the audit log\n";

static const char usage_deny[] =
    "usage: clawrden-cli deny ID [--reason TEXT] [--json]\n"
    "\n"
    "Refuses the waiting request.\n"
    "\n"
    "  --reason TEXT  told to the agent, and recorded in the audit log\n";

#define ID_MAX 63u

static bool is_id(const char *text)
{
    size_t size = strlen(text);
    return size >= 1 && size <= ID_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == size;
}

int decide_main(Cli *cli, int argc, char **argv)
{
    bool approve = strcmp(argv[0], "approve") == 0;
    const char *reason = NULL;
    const CliOption options[] = {{.name = "reason", .value = &reason}, {0}};
    const CliSyntax syntax = {
        .usage = approve ? usage_approve : usage_deny, .options = options, .least = 1, .most = 1};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    char path[128];
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    if (!is_id(argv[first]))
        return cli_usage_error(&syntax, "this is no id: %s", argv[first]);

    json_t *body = reason ? json_pack("{s:s}", "reason", reason) : json_object();
    if (!body)
        return cli_usage_error(&syntax, "the reason must be UTF-8 text");
    (void)snprintf(path, sizeof path, "/api/queue/%s/%s", argv[first],
                   approve ? "approve" : "deny");
    result = client_call(cli, "POST", path, body, &answer);
    json_decref(body);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    Buffer out = BUFFER_EMPTY(4096);
    show_member(&out, answer.json, "decision", 80);
    buffer_puts(&out, " ");
    show_member(&out, answer.json, "id", 80);
    buffer_puts(&out, "\n");
    show_print(&out);
    return CLI_DONE;
}
