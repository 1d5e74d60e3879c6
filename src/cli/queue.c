/*
 * queue: the requests that wait for a decision, as a human must see them to decide.
 */
#include "cli/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/digest-lines.h"
#include "cli/numbers.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli queue [ID] [--full] [--quiet] [--limit N] [--after ID] [--json]\n"
    "\n"
    "Lists the requests that wait for a decision, the oldest first: id, time left, jail and user,\n"
    "how many callers wait for the same answer, the command with its argument boundaries, where "
    "and\n"
    "what it would run, the rule that asks. Control characters and bytes that are not text are\n"
    "shown as escapes.\n"
    "\n"
    "  ID         only this request, in full, with what an approval can be remembered for\n"
    "  --full     do not fold long arguments\n"
    "  --quiet    list those of quiet rules too, instead of one line per rule\n"
    "  --limit N  at most so many (100; with --json all of them)\n"
    "  --after ID go on after that one\n";

#define FOLD_AT 600u
#define PAGE 1000u
#define LIMIT_DEFAULT 100u
#define LIMIT_MAX 100000u

static void put_field(Buffer *out, const char *before, const json_t *entry, const char *name)
{
    const json_t *value = json_object_get(entry, name);
    if (!value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0))
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

void queue_put_standing(Buffer *out, const json_t *entry)
{
    const json_t *waiters = json_object_get(entry, "waiters");
    const json_t *approved_by = json_object_get(entry, "approved_by");
    unsigned long long needed = show_number(entry, "needed");

    if (json_is_integer(waiters) && json_integer_value(waiters) == 0)
        buffer_puts(out, ", nobody waits any more");
    else if (show_number(entry, "waiters") > 1)
        buffer_printf(out, ", ×%llu", show_number(entry, "waiters"));
    if (needed <= 1)
        return;
    buffer_printf(out, ", approvals %zu/%llu", json_array_size(approved_by), needed);
    if (json_array_size(approved_by) > 0) {
        buffer_puts(out, " (");
        show_list(out, approved_by, 200);
        buffer_puts(out, ")");
    }
}

/* Who may decide, when not everybody may. */
static void put_deciders(Buffer *out, const json_t *entry)
{
    const json_t *approvers = json_object_get(entry, "approvers");
    const json_t *channels = json_object_get(entry, "channels");

    if (json_array_size(approvers) > 0) {
        buffer_puts(out, "\n  only  by ");
        show_list(out, approvers, 500);
    }
    if (json_array_size(channels) > 0) {
        buffer_puts(out, "\n  only  through ");
        show_list(out, channels, 500);
    }
    if (json_is_false(json_object_get(entry, "may_decide"))) {
        buffer_puts(out, "\n  YOU   may not decide this");
        put_field(out, ": ", entry, "why_not");
    }
}

static void put_grant(Buffer *out, const json_t *grant)
{
    static const char *const kinds[][2] = {{"exact", "--for, --session"}, {"widened", "--widened"}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!json_is_string(json_object_get(grant, kinds[i][0])))
            continue;
        buffer_printf(out, "\n  grant (%s): ", kinds[i][1]);
        show_words(out, grant, kinds[i][0], 8192);
    }
    if (json_is_string(json_object_get(grant, "why_not"))) {
        buffer_puts(out, "\n  grant not possible: ");
        show_words(out, grant, "why_not", 2000);
    }
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
    queue_put_standing(out, entry);
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
    put_deciders(out, entry);
    for (size_t i = 0; i < json_array_size(notes); i++) {
        size_t size;
        _cleanup_free_ char *note = show_bytes(json_array_get(notes, i), &size);
        buffer_puts(out, "\n  note  ");
        if (note)
            text_display(out, note, size, 1000);
    }
    if (fold_at == 0)
        put_grant(out, json_object_get(entry, "grant"));
    buffer_puts(out, "\n");
}

/* What was asked for. */
typedef struct Listing {
    const char *after;
    unsigned limit;
    bool full, quiet;

    Buffer out;
    DigestLines digest;
    json_t *all; /* --json: the pages together */
    size_t n_seen;
    unsigned long long total;
    char *next; /* owned: the id to go on after, or NULL */
} Listing;

static void listing_done(Listing *listing)
{
    buffer_done(&listing->out);
    digest_lines_done(&listing->digest);
    json_decref(listing->all);
    free(listing->next);
}

static void take_page(Listing *listing, const Cli *cli, const json_t *page)
{
    const json_t *pending = json_object_get(page, "pending");

    for (size_t i = 0; i < json_array_size(pending); i++) {
        json_t *entry = json_array_get(pending, i);
        listing->n_seen++;
        if (cli->json) {
            (void)json_array_append(listing->all, entry);
        } else if (!listing->quiet && digest_lines_take(&listing->digest, entry)) {
            continue;
        } else {
            buffer_puts(&listing->out, buffer_size(&listing->out) > 0 ? "\n" : "");
            queue_put_entry(&listing->out, entry, listing->full ? 0 : FOLD_AT);
        }
    }
    listing->total = show_number(page, "total");
    free(listing->next);
    const char *next = json_string_value(json_object_get(page, "next"));
    listing->next = next ? strdup(next) : NULL;
}

static int fetch_all(Listing *listing, const Cli *cli)
{
    do {
        _cleanup_(client_answer_done)
        ClientAnswer answer = {0};
        size_t left = listing->limit - listing->n_seen;
        int result = queue_fetch(cli, left < PAGE ? (unsigned)left : PAGE,
                                 listing->next ? listing->next : listing->after, &answer);
        if (result != CLI_DONE)
            return result;
        take_page(listing, cli, answer.json);
    } while (listing->next && listing->n_seen < listing->limit);
    return CLI_DONE;
}

static void print_json(Listing *listing)
{
    json_t *document = json_pack("{s:O, s:I, s:s?}", "pending", listing->all, "total",
                                 (json_int_t)(listing->total ? listing->total : listing->n_seen),
                                 "next", listing->next);
    show_json(document);
    json_decref(document);
}

static void print_text(Listing *listing)
{
    digest_lines_put(&listing->digest, &listing->out);
    if (listing->n_seen == 0)
        buffer_puts(&listing->out, "nothing waits for a decision\n");
    if (listing->next) {
        buffer_printf(&listing->out,
                      "\n%llu wait in all; the next ones: clawrden-cli queue --after ",
                      listing->total);
        text_display_argument(&listing->out, listing->next, 80);
        buffer_puts(&listing->out, "\n");
    }
    show_print(&listing->out);
}

static int print_one(const Cli *cli, const char *id)
{
    Buffer out = BUFFER_EMPTY(64 << 20);
    json_t *entry;
    int result = queue_find(cli, id, &entry);

    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(entry);
    } else {
        queue_put_entry(&out, entry, 0);
        show_print(&out);
    }
    json_decref(entry);
    return CLI_DONE;
}

int queue_main(Cli *cli, int argc, char **argv)
{
    const char *limit = NULL;
    _cleanup_(listing_done)
    Listing listing = {.out = BUFFER_EMPTY(256 << 20)};
    const CliOption options[] = {{.name = "full", .flag = &listing.full},
                                 {.name = "quiet", .flag = &listing.quiet},
                                 {.name = "limit", .value = &limit},
                                 {.name = "after", .value = &listing.after},
                                 {0}};
    const CliSyntax syntax = {.usage = usage, .options = options, .most = 1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    listing.limit = cli->json ? LIMIT_MAX : LIMIT_DEFAULT;
    if (limit && cli_parse_count(limit, LIMIT_MAX, &listing.limit) < 0)
        return cli_usage_error(&syntax, "--limit wants a number from 1 to %u: %s", LIMIT_MAX,
                               limit);
    if (first < argc)
        return print_one(cli, argv[first]);
    listing.all = json_array();
    result = fetch_all(&listing, cli);
    if (result != CLI_DONE)
        return result;
    if (cli->json)
        print_json(&listing);
    else
        print_text(&listing);
    return CLI_DONE;
}
