/*
 * grants, revoke: approvals that are remembered, and their end.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/show.h"

static const char usage_grants[] =
    "usage: clawrden-cli grants [--json]\n"
    "\n"
    "Lists the approvals that are remembered: what each covers, until when, how often it was "
    "used,\n"
    "who gave it. A restart of the warden and a change of the policy end them all.\n";

static const char usage_revoke[] = "usage: clawrden-cli revoke ID [--json]\n"
                                   "\n"
                                   "Ends a grant: the next such command asks again.\n";

static void put_ago(Buffer *out, const json_t *object, const char *name)
{
    uint64_t then_us, now_us = clock_realtime_us();
    const char *text = json_string_value(json_object_get(object, name));

    if (!text || clock_parse_time(text, &then_us) < 0)
        return;
    buffer_puts(out, ", last ");
    show_duration(out, now_us > then_us ? (now_us - then_us) / 1000 : 0);
    buffer_puts(out, " ago");
}

static void put_end(Buffer *out, const json_t *grant)
{
    uint64_t end_us, now_us = clock_realtime_us();
    const char *text = json_string_value(json_object_get(grant, "expires_at"));

    if (text && clock_parse_time(text, &end_us) == 0) {
        buffer_puts(out, "for another ");
        show_duration(out, end_us > now_us ? (end_us - now_us) / 1000 : 0);
    } else {
        buffer_puts(out, "until the session ends");
    }
}

static void put_grant(Buffer *out, const json_t *grant)
{
    unsigned long long used = show_number(grant, "used");

    show_member(out, grant, "id", 80);
    buffer_puts(out, "  ");
    put_end(out, grant);
    buffer_puts(out, "; jail ");
    show_member(out, grant, "jail", 80);
    buffer_puts(out, ", uid ");
    show_uid(out, show_number(grant, "uid"));
    if (used == 0) {
        buffer_puts(out, "; not used yet");
    } else {
        buffer_puts(out, "; used ");
        show_count(out, used, "time");
        put_ago(out, grant, "last_used_at");
    }
    buffer_puts(out, "\n  covers ");
    show_words(out, grant, "covers", 0);
    buffer_puts(out, "\n  rule   ");
    show_member(out, grant, "rule", 200);
    buffer_puts(out, "\n  given  by ");
    show_member(out, grant, "approver", 200);
    buffer_puts(out, " through ");
    show_member(out, grant, "via", 80);
    buffer_puts(out, ", approval ");
    show_member(out, grant, "approval", 80);
    buffer_puts(out, "\n");
}

static int list_grants(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage_grants};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(64 << 20);
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    result = client_call(cli, "GET", "/api/grants", NULL, &answer);
    if (result != CLI_DONE)
        return result;
    const json_t *grants = json_object_get(answer.json, "grants");
    if (!json_is_array(grants)) {
        cli_error("the warden's answer has no list of grants");
        return CLI_UNREACHABLE;
    }
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    for (size_t i = 0; i < json_array_size(grants); i++) {
        buffer_puts(&out, i > 0 ? "\n" : "");
        put_grant(&out, json_array_get(grants, i));
    }
    if (json_array_size(grants) == 0)
        buffer_puts(&out, "no approval is remembered\n");
    show_print(&out);
    return CLI_DONE;
}

static int end_grant(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage_revoke,
                                     .least = 1,
                                     .most = 1,
                                     .wants = "revoke which grant? `grants` lists them"};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(4096);
    char path[128];
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (!cli_is_id(argv[first]))
        return cli_usage_error(&syntax, "this is no id of a grant: %s", argv[first]);
    (void)snprintf(path, sizeof path, "/api/grants/%s", argv[first]);
    result = client_call(cli, "DELETE", path, NULL, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    buffer_puts(&out, "revoked ");
    show_member(&out, answer.json, "id", 80);
    buffer_puts(&out, "\n");
    show_print(&out);
    return CLI_DONE;
}

int grants_main(Cli *cli, int argc, char **argv)
{
    return strcmp(argv[0], "revoke") == 0 ? end_grant(cli, argc, argv)
                                          : list_grants(cli, argc, argv);
}
