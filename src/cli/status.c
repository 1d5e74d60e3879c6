/*
 * status: what the warden is doing.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli status [--json]\n"
    "\n"
    "Shows the warden's version and mode, its policy, the journal's head\n"
    "(keep it elsewhere: `audit verify --head SEQ:HEX` finds a cut tail with it),\n"
    "its requests, and each jail.\n";

static const CliSyntax syntax = {.usage = usage};

static void put_policy(Buffer *out, const json_t *policy)
{
    buffer_puts(out, "policy    ");
    show_member(out, policy, "path", 0);
    if (json_object_get(policy, "digest")) {
        buffer_puts(out, ": ");
        show_count(out, show_number(policy, "rules"), "rule");
        buffer_puts(out, ", loaded ");
        show_member(out, policy, "loaded_at", 0);
        buffer_puts(out, "\n          digest ");
        show_member(out, policy, "digest", 0);
    } else {
        buffer_puts(out, ": not loaded");
    }
    if (json_is_string(json_object_get(policy, "error"))) {
        buffer_puts(out, "\n          NOT IN FORCE, the file has mistakes: ");
        show_words(out, policy, "error", 2000);
    }
    buffer_puts(out, "\n");
}

static void put_journal(Buffer *out, const json_t *journal)
{
    buffer_puts(out, "journal   ");
    show_member(out, journal, "path", 0);
    buffer_puts(out, ": ");
    show_member(out, journal, "health", 0);
    buffer_printf(out, "\n          head %llu:", show_number(journal, "seq"));
    show_member(out, journal, "hash", 0);
    buffer_puts(out, "\n");
}

/* How requests ended without having run, apart from each other: a human's or the policy's no is not
 * a broken caller, nor one who left. */
static void put_requests(Buffer *out, const json_t *requests)
{
    static const char *const ends[] = {"denied", "expired", "cancelled", "refused"};

    buffer_printf(out,
                  "requests  %llu running, %llu waiting for a decision\n"
                  "          since the start: %llu, of which %llu allowed",
                  show_number(requests, "running"), show_number(requests, "pending"),
                  show_number(requests, "total"), show_number(requests, "allowed"));
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (json_is_integer(json_object_get(requests, ends[i])))
            buffer_printf(out, ", %llu %s", show_number(requests, ends[i]), ends[i]);
    }
    buffer_puts(out, "\n");
}

/* How many approvals are remembered, and who asks. */
static void put_access(Buffer *out, const json_t *status)
{
    const json_t *you = json_object_get(status, "you");

    if (json_is_integer(json_object_get(status, "grants"))) {
        buffer_puts(out, "grants    ");
        show_count(out, show_number(status, "grants"), "approval");
        buffer_puts(out, " remembered\n");
    }
    if (!json_is_object(you))
        return;
    buffer_puts(out, "you       ");
    show_member(out, you, "name", 200);
    buffer_puts(out, ", ");
    show_member(out, you, "role", 40);
    buffer_puts(out, " through ");
    show_member(out, you, "via", 40);
    if (json_array_size(json_object_get(you, "jails")) > 0) {
        buffer_puts(out, ", jails ");
        show_list(out, json_object_get(you, "jails"), 80);
    }
    buffer_puts(out, "\n");
}

static void put_jails(Buffer *out, const json_t *jails)
{
    for (size_t i = 0; i < json_array_size(jails); i++) {
        const json_t *jail = json_array_get(jails, i);
        buffer_puts(out, i == 0 ? "jails     " : "          ");
        show_member(out, jail, "name", 80);
        buffer_printf(out, ": %llu running, %llu pending", show_number(jail, "running"),
                      show_number(jail, "pending"));
        if (json_is_integer(json_object_get(jail, "connections")))
            buffer_printf(out, ", %llu connections", show_number(jail, "connections"));
        if (json_is_false(json_object_get(jail, "serving")))
            buffer_puts(out, ", NOT SERVED");
        show_stop(out, json_object_get(jail, "stopped"));
        buffer_puts(out, "\n");
    }
}

/* What of the kill switch is not about one jail: those are told with their jails. */
static void put_switches(Buffer *out, const json_t *switches)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(switches, i, entry)
    {
        const char *scope = json_string_value(json_object_get(entry, "scope"));
        if (!scope || strcmp(scope, "jail") == 0)
            continue;
        buffer_puts(out, "switch    ");
        if (strcmp(scope, "all") == 0)
            buffer_puts(out, "everything");
        else
            show_member(out, entry, "container", 80);
        show_stop(out, entry);
        buffer_puts(out, "\n");
    }
}

/* Of a container engine, where the warden follows one. */
static void put_engine(Buffer *out, const json_t *engine)
{
    if (!json_is_object(engine))
        return;
    buffer_puts(out, "engine    ");
    if (json_is_true(json_object_get(engine, "answers"))) {
        show_count(out, show_number(engine, "containers"), "labelled container");
    } else {
        buffer_puts(out, "DOES NOT ANSWER: ");
        show_member(out, engine, "words", 300);
    }
    if (show_number(engine, "ungoverned") > 0)
        buffer_printf(out, ", %llu NOT GOVERNED: see `jails containers`",
                      show_number(engine, "ungoverned"));
    buffer_puts(out, "\n");
}

static void put_status(Buffer *out, const json_t *status)
{
    const char *mode = json_string_value(json_object_get(status, "mode"));

    buffer_puts(out, "clawrden ");
    show_member(out, status, "version", 0);
    buffer_puts(out, ", up ");
    show_duration(out, show_number(status, "uptime_ms"));
    if (mode && strcmp(mode, "root") == 0)
        buffer_puts(out, ", started as root\n");
    else
        buffer_puts(out, ", started without root: NO SECURITY BOUNDARY\n");
    if (json_is_true(json_object_get(status, "dry_run")))
        buffer_puts(out, "dry run   every command is judged and recorded, none is run\n");
    put_policy(out, json_object_get(status, "policy"));
    put_journal(out, json_object_get(status, "journal"));
    put_requests(out, json_object_get(status, "requests"));
    put_access(out, status);
    put_switches(out, json_object_get(status, "switches"));
    put_jails(out, json_object_get(status, "jails"));
    put_engine(out, json_object_get(status, "engine"));
}

int status_main(Cli *cli, int argc, char **argv)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(1 << 20);
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    result = client_call(cli, "GET", "/api/status", NULL, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    put_status(&out, answer.json);
    show_print(&out);
    return CLI_DONE;
}
