/*
 * queue: the requests that wait for a decision, as a human must see them to decide.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/queue.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli queue [ID] [--full] [--json]\n"
    "\n"
    "Lists the requests that wait for a decision, the oldest first: id, time left, jail and user,\n"
    "the command with its argument boundaries, where and what it would run, the rule that asks.\n"
    "Control characters and bytes that are not text are shown as escapes.\n"
    "\n"
    "  ID      only this request, in full\n"
    "  --full  do not fold long arguments\n";

#define FOLD_AT 600u

static void put_field(Buffer *out, const char *before, const json_t *entry, const char *name)
{
    const json_t *value = json_object_get(entry, name);
    if (!value || (json_is_string(value) && json_string_length(value) == 0))
        return;
    buffer_puts(out, before);
    show_member(out, entry, name, 4096);
}

static void put_age(Buffer *out, const json_t *entry)
{
    uint64_t asked_us, now_us = clock_realtime_us();
    const char *asked = json_string_value(json_object_get(entry, "asked_at"));

    if (asked && clock_parse_time(asked, &asked_us) == 0 && asked_us <= now_us) {
        buffer_puts(out, "asked ");
        show_duration(out, (now_us - asked_us) / 1000);
        buffer_puts(out, " ago, ");
    }
    buffer_puts(out, "expires in ");
    show_duration(out, show_number(entry, "expires_in_ms"));
}

void queue_put_entry(Buffer *out, const json_t *entry, size_t fold_at)
{
    const json_t *notes = json_object_get(entry, "notes");

    show_member(out, entry, "id", 80);
    buffer_puts(out, "  ");
    put_age(out, entry);
    put_field(out, "; jail ", entry, "jail");
    buffer_puts(out, ", uid ");
    show_uid(out, show_number(entry, "uid"));
    buffer_puts(out, "\n  ");
    show_argv(out, json_object_get(entry, "argv"), fold_at);
    if (json_object_get(entry, "argv_more"))
        buffer_printf(out, " …(+%" JSON_INTEGER_FORMAT " arguments)",
                      json_integer_value(json_object_get(entry, "argv_more")));
    put_field(out, "\n  in    ", entry, "cwd");
    put_field(out, "\n  runs  ", entry, "exe");
    put_field(out, "\n        blake2b ", entry, "exe_digest");
    put_field(out, "\n  script ", entry, "script");
    put_field(out, "\n        blake2b ", entry, "script_digest");
    put_field(out, "\n  rule  ", entry, "rule");
    put_field(out, ": ", entry, "reason");
    for (size_t i = 0; i < json_array_size(notes); i++) {
        size_t size;
        _cleanup_free_ char *note = show_bytes(json_array_get(notes, i), &size);
        buffer_puts(out, "\n  note  ");
        if (note)
            text_display(out, note, size, 1000);
    }
    buffer_puts(out, "\n");
}

/* Ids are compared as the warden does: without regard to case. */
static bool is_wanted(const json_t *entry, const char *id)
{
    const char *text = json_string_value(json_object_get(entry, "id"));
    return !id || (text && strncasecmp(text, id, strlen(id)) == 0);
}

static size_t put_queue(Buffer *out, const json_t *pending, const char *id, bool full)
{
    size_t n_shown = 0;
    for (size_t i = 0; i < json_array_size(pending); i++) {
        const json_t *entry = json_array_get(pending, i);
        if (!is_wanted(entry, id))
            continue;
        if (n_shown++ > 0)
            buffer_puts(out, "\n");
        queue_put_entry(out, entry, full || id ? 0 : FOLD_AT);
    }
    return n_shown;
}

static int print_one_as_json(const json_t *pending, const char *id)
{
    for (size_t i = 0; i < json_array_size(pending); i++) {
        const json_t *entry = json_array_get(pending, i);
        if (is_wanted(entry, id)) {
            show_json(entry);
            return CLI_DONE;
        }
    }
    (void)puts("{\"error\": \"no pending request has this id\", \"code\": \"not_found\"}");
    return CLI_REFUSED;
}

int queue_main(Cli *cli, int argc, char **argv)
{
    bool full = false;
    const CliOption options[] = {{.name = "full", .flag = &full}, {0}};
    const CliSyntax syntax = {.usage = usage, .options = options, .most = 1};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(64 << 20);
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    const char *id = first < argc ? argv[first] : NULL;
    result = client_call(cli, "GET", "/api/queue", NULL, &answer);
    if (result != CLI_DONE)
        return result;

    const json_t *pending = json_object_get(answer.json, "pending");
    if (!json_is_array(pending)) { /* never "nothing waits" when that is not known */
        cli_error("the warden's answer has no list of pending requests");
        return CLI_UNREACHABLE;
    }
    if (cli->json && id)
        return print_one_as_json(pending, id);
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    size_t n_shown = put_queue(&out, pending, id, full);
    if (n_shown == 0 && id) {
        cli_error("no pending request has the id %s", id);
        return CLI_REFUSED;
    }
    if (n_shown == 0)
        buffer_puts(&out, "nothing waits for a decision\n");
    show_print(&out);
    return CLI_DONE;
}
