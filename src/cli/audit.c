/*
 * See audit.h. `show` prints a line per record in which nothing a prisoner chose can pose as
 * something else; `export` gives the records to other programs: as they are (jsonl, which can be
 * verified again) or as a table (csv, which a spreadsheet cannot take for formulas).
 *
 * A line that is no JSON object is told on stderr and counts as a failure; whether the chain is
 * whole is what `verify` says.
 */
#include "cli/audit.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "journal/journal-file.h"
#include "journal/line.h"

/* What is collected goes out when it is this large. */
#define FLUSH_BYTES ((size_t)64 << 10)
/* The most of one member that a line of `show` holds, and of one argv. */
#define VALUE_MAX 2000u
#define ARGV_MAX 4000u
#define LAST_MAX 1000000u

static const char usage[] =
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
    "                         2026-11-24T04:10:29Z, 2026-11-24, or 90s, 2h, 7d ago\n"
    "  --last N               the last N of them\n"
    "\n"
    "With --json: one document. Exit status 1: not intact, or nothing found.\n";

static const CliSyntax any_syntax = {.usage = usage};

/* The members of a record in the order of docs/journal.md. */
static const char *const columns[] = {
    "seq",       "ts",        "event",  "request",     "jail",
    "container", "uid",       "gid",    "pid",         "command",
    "argv",      "cwd",       "exe",    "exe_digest",  "binding",
    "verdict",   "rule",      "reason", "approver",    "via",
    "executor",  "exit_code", "signal", "duration_ms", "timeout_violation",
    "leftovers", "message",   "late",   "of",          "hash",
};

/* Where the warden keeps its log and head: the system's one, or, for an ordinary user who has one,
 * their own (the XDG base directory specification). */
typedef struct Places {
    char file[PATH_MAX], head[PATH_MAX];
} Places;

static Places default_places(void)
{
    Places places;
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool given = state && state[0] == '/';

    if (geteuid() != 0 && (given || home)) {
        const char *base = given ? state : home, *below = given ? "" : "/.local/state";
        (void)snprintf(places.file, PATH_MAX, "%s%s/clawrden/log/audit.log", base, below);
        (void)snprintf(places.head, PATH_MAX, "%s%s/clawrden/journal.head", base, below);
        if (access(places.file, F_OK) == 0)
            return places;
    }
    (void)snprintf(places.file, PATH_MAX, "%s", JOURNAL_FILE_DEFAULT);
    (void)snprintf(places.head, PATH_MAX, "%s", JOURNAL_HEAD_DEFAULT);
    return places;
}

static int read_failed(const char *path, int error)
{
    if (error == -ENOENT)
        cli_error("there is no audit log at %s", path);
    else
        cli_error("cannot read %s: %s", path, strerror(-error));
    return CLI_REFUSED;
}

/* FILE, --file FILE, or neither. 0, or CLI_USAGE. */
static int choose_file(const char **file, const char *operand)
{
    if (*file && operand)
        return cli_usage_error(&any_syntax, "two files: %s and %s", *file, operand);
    if (operand)
        *file = operand;
    return 0;
}

/* --- verify ----------------------------------------------------------------------------------- */

/* What the log is compared with: where it came from, NULL when there is nothing. */
typedef struct Expected {
    JournalHead head;
    const char *source;
} Expected;

/* `given` by the operator, or the warden's `own`; either may be NULL. 0, or an exit code. */
static int find_expected(const char *given, const char *own, Expected *ret)
{
    *ret = (Expected){.source = given ? given : own};
    if (!ret->source)
        return 0;
    if (given && journal_head_parse(given, strlen(given), &ret->head) == 0) {
        ret->source = "--head";
        return 0;
    }
    int result = journal_head_load(ret->source, &ret->head);
    if (result == 0)
        return 0;
    if (result == 1 && !given) {
        ret->source = NULL;
        return 0;
    }
    if (result == 1)
        cli_error("--head %s: neither SEQ:HEX nor a file", given);
    else
        cli_error("the head %s: %s", ret->source,
                  result == -EBADMSG ? "is not a head" : strerror(-result));
    return CLI_REFUSED;
}

static json_t *head_json(const JournalHead *head)
{
    char hex[DIGEST_HEX_SIZE];
    return json_pack("{s:I, s:s}", "seq", (json_int_t)head->seq, "hash",
                     digest_format(&head->hash, hex));
}

static void print_check_json(const char *path, const JournalCheck *check, const Expected *expected)
{
    json_t *document =
        json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:b, s:I, s:s?, s:b, s:s?}", "ok",
                  check->ok, "file", path, "records", (json_int_t)check->records, "segments",
                  (json_int_t)check->segments, "bytes", (json_int_t)check->bytes, "first_seq",
                  (json_int_t)check->first_seq, "head", head_json(&check->head), "expected_head",
                  expected->source ? head_json(&expected->head) : json_null(), "torn_tail",
                  check->torn_tail, "problems", (json_int_t)check->problems, "problem",
                  check->problem, "pruned", check->pruned, "note", check->note);
    show_json(document);
    json_decref(document);
}

static void print_check(const char *path, const JournalCheck *check, const Expected *expected)
{
    char text[JOURNAL_HEAD_TEXT_MAX];
    Buffer out = BUFFER_EMPTY((size_t)1 << 20);

    buffer_puts(&out, "file     ");
    text_display(&out, path, strlen(path), 0);
    buffer_printf(&out,
                  "\nrecords  %llu (seq %llu to %llu), %llu segments, %llu bytes\nhead     %s",
                  (unsigned long long)check->records, (unsigned long long)check->first_seq,
                  (unsigned long long)check->head.seq, (unsigned long long)check->segments,
                  (unsigned long long)check->bytes, journal_head_format(&check->head, text));
    if (expected->source) {
        buffer_printf(&out, "\nagainst  %s from ", journal_head_format(&expected->head, text));
        text_display(&out, expected->source, strlen(expected->source), 0);
    } else {
        buffer_puts(&out, "\nagainst  no head: a tail that was removed would not be seen (--head)");
    }
    if (check->note)
        buffer_printf(&out, "\nnote     %s", check->note);
    buffer_printf(&out, "\nresult   %s%s",
                  check->ok ? "verified" : "NOT INTACT: ", check->ok ? "" : check->problem);
    if (check->problems > 1)
        buffer_printf(&out, " (and %llu more)", (unsigned long long)check->problems - 1);
    buffer_puts(&out, "\n");
    show_print(&out);
}

static int run_verify(Cli *cli, int argc, char **argv)
{
    const char *file = NULL, *head = NULL;
    const CliOption options[] = {{"file", &file, NULL, NULL}, {"head", &head, NULL, NULL}, {0}};
    const CliSyntax syntax = {.usage = usage, .options = options, .most = 1};
    Places places = default_places();
    Expected expected;
    JournalCheck check;
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if ((result = choose_file(&file, argv[first])) != 0)
        return result;
    /* The head first: what is appended meanwhile comes after it. */
    if ((result = find_expected(head, file ? NULL : places.head, &expected)) != 0)
        return result;
    const char *path = file ? file : places.file;
    result = journal_verify(path, expected.source ? &expected.head : NULL, &check);
    if (result < 0)
        return read_failed(path, result);
    if (cli->json)
        print_check_json(path, &check, &expected);
    else
        print_check(path, &check, &expected);
    result = check.ok ? CLI_DONE : CLI_REFUSED;
    journal_check_done(&check);
    return result;
}

/* --- choosing records ------------------------------------------------------------------------- */

/* Members that must have a value; NULL: any. */
enum { BY_REQUEST, BY_JAIL, BY_COMMAND, BY_EVENT, BY_VERDICT, BY_COUNT };
static const char *const filter_names[BY_COUNT] = {"request", "jail", "command", "event",
                                                   "verdict"};

typedef enum Format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV } Format;

typedef struct Selection {
    const char *values[BY_COUNT];
    const char *since_text, *until_text, *last_text;
    uint64_t since_us, until_us;
    size_t last; /* 0: all */
    Format format;

    Buffer out;
    size_t found, unreadable;
    char **ring; /* of `last` lines, NUL-terminated; owned */
    size_t ring_next;
} Selection;

/* A point in time, a day, or how long ago. 0 or -EINVAL. */
static int parse_time(const char *text, uint64_t *ret_us)
{
    char day[32];
    uint64_t ago_ms;

    if (clock_parse_time(text, ret_us) == 0)
        return 0;
    if (strlen(text) == 10 && snprintf(day, sizeof day, "%sT00:00:00Z", text) < (int)sizeof day &&
        clock_parse_time(day, ret_us) == 0)
        return 0;
    if (clock_parse_duration(text, &ago_ms) < 0)
        return -EINVAL;
    *ret_us = clock_realtime_us() - ago_ms * 1000;
    return 0;
}

static bool is_event(const char *name)
{
    for (int event = 0; event < JOURNAL_EVENT_MAX_; event++)
        if (strcmp(journal_event_name((JournalEvent)event), name) == 0)
            return true;
    return false;
}

/* Checks the options' values. 0 or CLI_USAGE. */
static int selection_prepare(Selection *selection)
{
    const char *event = selection->values[BY_EVENT], *last = selection->last_text;
    char *end = NULL;

    selection->until_us = UINT64_MAX;
    if (selection->since_text && parse_time(selection->since_text, &selection->since_us) < 0)
        return cli_usage_error(&any_syntax, "not a time: %s", selection->since_text);
    if (selection->until_text && parse_time(selection->until_text, &selection->until_us) < 0)
        return cli_usage_error(&any_syntax, "not a time: %s", selection->until_text);
    if (event && !is_event(event))
        return cli_usage_error(&any_syntax, "no such event: %s", event);
    if (!last)
        return 0;
    selection->last = strtoul(last, &end, 10);
    if (last[0] < '0' || last[0] > '9' || *end || selection->last == 0 ||
        selection->last > LAST_MAX)
        return cli_usage_error(&any_syntax, "--last wants a number from 1 to %u: %s", LAST_MAX,
                               last);
    selection->ring = calloc(selection->last, sizeof *selection->ring);
    return selection->ring ? 0 : cli_usage_error(&any_syntax, "out of memory");
}

static bool is_filtered(const Selection *selection)
{
    bool filtered = selection->since_text || selection->until_text;
    for (size_t i = 0; i < BY_COUNT; i++)
        filtered |= selection->values[i] != NULL;
    return filtered;
}

/* A command is named as a whole or by its last part. */
static bool matches(size_t by, const char *wanted, const char *bytes, size_t size)
{
    size_t wanted_size = strlen(wanted);

    if (size < wanted_size || memcmp(bytes + size - wanted_size, wanted, wanted_size) != 0)
        return false;
    return size == wanted_size || (by == BY_COMMAND && bytes[size - wanted_size - 1] == '/');
}

/* False only when the line cannot hold a wanted value, which is found out ten times faster than
 * by parsing it. Values that JSON may write in another way, and parts of paths, are left to that.
 */
static bool may_be_selected(const Selection *selection, const char *line, size_t size)
{
    for (size_t by = 0; by < BY_COUNT; by++) {
        const char *wanted = selection->values[by];
        if (!wanted || by == BY_COMMAND || strpbrk(wanted, "\"\\"))
            continue;
        bool plain = true;
        for (const char *c = wanted; *c; c++)
            plain &= *c >= ' ' && *c < 0x7f;
        if (plain && !memmem(line, size, wanted, strlen(wanted)))
            return false;
    }
    return true;
}

static bool is_selected(const Selection *selection, const json_t *record)
{
    uint64_t time_us = 0;
    const char *time_text = json_string_value(json_object_get(record, "ts"));

    if ((selection->since_text || selection->until_text) &&
        (!time_text || clock_parse_time(time_text, &time_us) < 0 || time_us < selection->since_us ||
         time_us > selection->until_us))
        return false;
    for (size_t by = 0; by < BY_COUNT; by++) {
        size_t size = 0;
        if (!selection->values[by])
            continue;
        _cleanup_free_ char *bytes = show_bytes(json_object_get(record, filter_names[by]), &size);
        if (!bytes || !matches(by, selection->values[by], bytes, size))
            return false;
    }
    return true;
}

/* --- showing one record ----------------------------------------------------------------------- */

/* A member's value with visible boundaries. */
static void put_value(Buffer *out, const json_t *value)
{
    size_t size = 0;
    _cleanup_free_ char *bytes = show_bytes(value, &size);

    if (json_is_integer(value))
        buffer_printf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        buffer_puts(out, json_is_true(value) ? "true" : "false");
    else if (bytes && strlen(bytes) == size)
        text_display_argument(out, bytes, VALUE_MAX);
    else
        buffer_puts(out, "?"); /* nothing that the journal writes */
}

/* What stands in front, without a name. */
static bool is_in_front(const char *name)
{
    static const char *const front[] = {"seq", "ts", "event", "jail", "request", "argv"};
    for (size_t i = 0; i < ARRAY_SIZE(front); i++)
        if (strcmp(name, front[i]) == 0)
            return true;
    return false;
}

/* SEQ TIME EVENT JAIL REQUEST name=value … : ARGV */
static void put_text_line(Buffer *out, const json_t *record)
{
    static const char *const front[] = {"ts", "event", "jail", "request"};
    const json_t *argv = json_object_get(record, "argv");

    buffer_printf(out, "%6llu", show_number(record, "seq"));
    for (size_t i = 0; i < ARRAY_SIZE(front); i++) {
        const json_t *value = json_object_get(record, front[i]);
        buffer_puts(out, " ");
        if (value)
            put_value(out, value);
        else
            buffer_puts(out, "-");
    }
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        const char *name = columns[i];
        const json_t *value = json_object_get(record, name);
        bool digest = strcmp(name, "exe_digest") == 0 || strcmp(name, "binding") == 0 ||
                      strcmp(name, "hash") == 0;
        if (!value || digest || is_in_front(name))
            continue;
        buffer_printf(out, " %s=", name);
        put_value(out, value);
    }
    if (argv) {
        buffer_puts(out, " : ");
        show_argv(out, argv, ARGV_MAX);
    }
    buffer_puts(out, "\n");
}

/* Spreadsheets take a cell that begins with one of these for a formula: then a quote goes in
 * front (OWASP, "CSV Injection"). */
static bool is_formula(const char *cell)
{
    static const char *const starts[] = {"=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"};
    for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
        if (strncmp(cell, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* RFC 4180: every text cell in double quotes. */
static void put_cell(Buffer *out, const json_t *value)
{
    Buffer text = BUFFER_EMPTY(4 * JOURNAL_LINE_MAX);
    size_t size = 0;
    _cleanup_free_ char *bytes = show_bytes(value, &size);

    if (json_is_array(value))
        show_argv(&text, value, 0);
    else if (bytes)
        text_display(&text, bytes, size, 0);
    _cleanup_free_ char *cell = buffer_take_string(&text);
    if (!cell) {
        out->error = -ENOMEM;
        return;
    }
    buffer_puts(out, is_formula(cell) ? "\"'" : "\"");
    for (char *rest = cell, *part; (part = strsep(&rest, "\""));) {
        buffer_puts(out, part);
        buffer_puts(out, rest ? "\"\"" : "\"");
    }
}

static void put_csv_line(Buffer *out, const json_t *record)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        const json_t *value = json_object_get(record, columns[i]);
        if (i > 0)
            buffer_puts(out, ",");
        if (json_is_integer(value) || json_is_boolean(value))
            put_value(out, value);
        else if (value)
            put_cell(out, value);
    }
    buffer_puts(out, "\r\n");
}

static void put_csv_header(Buffer *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        buffer_printf(out, "%s%s", i > 0 ? "," : "", columns[i]);
    buffer_puts(out, "\r\n");
}

/* --- show and export -------------------------------------------------------------------------- */

static int flush(Buffer *out)
{
    if (out->error < 0)
        return out->error;
    size_t size = buffer_size(out);
    if (size > 0 && fwrite(buffer_head(out), 1, size, stdout) != size)
        return -EIO;
    buffer_clear(out);
    return 0;
}

static int put_record(Selection *selection, const json_t *record, const char *line, size_t size)
{
    Buffer *out = &selection->out;

    switch (selection->format) {
    case FORMAT_TEXT:
        put_text_line(out, record);
        break;
    case FORMAT_JSONL:
        buffer_put(out, line, size);
        buffer_put_u8(out, '\n');
        break;
    case FORMAT_CSV:
        put_csv_line(out, record);
        break;
    case FORMAT_JSON: {
        _cleanup_free_ char *text =
            json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
        if (!text)
            return -ENOMEM;
        buffer_puts(out, selection->found > 0 ? ",\n" : "\n");
        buffer_puts(out, text);
        break;
    }
    }
    selection->found++;
    return buffer_size(out) > FLUSH_BYTES || out->error < 0 ? flush(out) : 0;
}

/* Keeps a line as one of the last ones. */
static int keep(Selection *selection, const char *line, size_t size)
{
    char **slot = &selection->ring[selection->ring_next++ % selection->last];
    free(*slot);
    *slot = strndup(line, size);
    return *slot ? 0 : -ENOMEM;
}

static json_t *parse_line(Selection *selection, const char *line, size_t size)
{
    json_error_t error;
    json_t *record = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);

    if (json_is_object(record))
        return record;
    json_decref(record);
    if (selection->unreadable++ == 0)
        cli_error("a line is no record (`audit verify` says where): %.*s",
                  size < 100 ? (int)size : 100, line);
    return NULL;
}

static int on_line(const char *line, size_t size, void *userdata)
{
    Selection *selection = userdata;
    int result = 0;

    if (selection->ring && !is_filtered(selection))
        return memchr(line, '\0', size) ? 0 : keep(selection, line, size);
    if (!may_be_selected(selection, line, size))
        return 0;
    json_t *record = parse_line(selection, line, size);
    if (!record)
        return 0;
    if (is_selected(selection, record))
        result = selection->ring ? keep(selection, line, size)
                                 : put_record(selection, record, line, size);
    json_decref(record);
    return result;
}

/* Prints the lines that were kept, the oldest first. */
static int put_last(Selection *selection)
{
    size_t count = selection->ring_next < selection->last ? selection->ring_next : selection->last;
    int result = 0;

    for (size_t i = selection->ring_next - count; i < selection->ring_next && result == 0; i++) {
        const char *line = selection->ring[i % selection->last];
        json_t *record = parse_line(selection, line, strlen(line));
        if (record)
            result = put_record(selection, record, line, strlen(line));
        json_decref(record);
    }
    return result;
}

static int put_all(Selection *selection, const char *path)
{
    if (selection->format == FORMAT_CSV)
        put_csv_header(&selection->out);
    else if (selection->format == FORMAT_JSON)
        buffer_puts(&selection->out, "{\"records\":[");
    int result = journal_each_line(path, on_line, selection);
    if (result == 0 && selection->ring)
        result = put_last(selection);
    if (selection->format == FORMAT_JSON && result == 0)
        buffer_puts(&selection->out, "]}\n");
    if (result == 0)
        result = flush(&selection->out);
    if (result == 0 && fflush(stdout) != 0)
        result = -EIO;
    return result;
}

static void selection_done(Selection *selection)
{
    for (size_t i = 0; selection->ring && i < selection->last; i++)
        free(selection->ring[i]);
    free(selection->ring);
    buffer_done(&selection->out);
}

/* show, export */
static int run_records(Cli *cli, int argc, char **argv)
{
    Places places = default_places();
    const char *file = NULL, *format = NULL;
    bool exporting = strcmp(argv[0], "export") == 0;
    _cleanup_(selection_done)
    Selection selection = {.out = BUFFER_EMPTY(8 * JOURNAL_LINE_MAX)};
    const CliOption options[] = {{"file", &file, NULL, NULL},
                                 {"request", &selection.values[BY_REQUEST], NULL, NULL},
                                 {"jail", &selection.values[BY_JAIL], NULL, NULL},
                                 {"command", &selection.values[BY_COMMAND], NULL, NULL},
                                 {"event", &selection.values[BY_EVENT], NULL, NULL},
                                 {"verdict", &selection.values[BY_VERDICT], NULL, NULL},
                                 {"since", &selection.since_text, NULL, NULL},
                                 {"until", &selection.until_text, NULL, NULL},
                                 {"last", &selection.last_text, NULL, NULL},
                                 {exporting ? "format" : NULL, &format, NULL, NULL},
                                 {0}};
    const CliSyntax syntax = {.usage = usage, .options = options, .most = 1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if ((result = choose_file(&file, argv[first])) != 0 ||
        (result = selection_prepare(&selection)) != 0)
        return result;
    const char *path = file ? file : places.file;
    if (format && strcmp(format, "csv") != 0 && strcmp(format, "jsonl") != 0)
        return cli_usage_error(&any_syntax, "no such format: %s", format);
    if (cli->json)
        selection.format = FORMAT_JSON;
    else if (exporting)
        selection.format = format && strcmp(format, "csv") == 0 ? FORMAT_CSV : FORMAT_JSONL;
    if ((result = put_all(&selection, path)) < 0)
        return read_failed(path, result);
    if (selection.unreadable > 1)
        cli_error("%zu lines are no records", selection.unreadable);
    bool nothing = selection.found == 0 && is_filtered(&selection);
    if (nothing && !cli->json)
        cli_error("no such records");
    return nothing || selection.unreadable > 0 ? CLI_REFUSED : CLI_DONE;
}

int audit_main(int argc, char **argv, bool json)
{
    Cli cli = {.json = json};
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "verify") == 0)
        return run_verify(&cli, argc - 1, argv + 1);
    if (strcmp(verb, "show") == 0 || strcmp(verb, "export") == 0)
        return run_records(&cli, argc - 1, argv + 1);
    int first, result = cli_parse(&cli, &any_syntax, argc, argv, &first);
    if (result == 1)
        return CLI_DONE;
    return result != 0 ? CLI_USAGE
                       : cli_usage_error(&any_syntax, "audit: what? verify, show or export");
}
