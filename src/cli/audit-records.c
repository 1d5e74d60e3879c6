/*
 * audit show, audit export: the records that are asked for, as readable lines or for other
 * programs: as they are (jsonl, which can be verified again) or as a table (csv).
 *
 * A line that is no JSON object is told on stderr and counts as a failure; whether the chain is
 * whole is what `verify` says.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/audit.h"
#include "cli/record.h"
#include "cli/show.h"
#include "cli/times.h"
#include "journal/journal-file.h"
#include "journal/line.h"

/* What is collected goes out when it is this large. */
#define FLUSH_BYTES ((size_t)64 << 10)
#define LAST_MAX 1000000u

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
    bool unwritten; /* stdout takes no more: main() says why */
    char **ring;    /* of `last` lines, NUL-terminated; owned */
    size_t ring_next;
} Selection;

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
    if (selection->since_text && cli_parse_time(selection->since_text, &selection->since_us) < 0)
        return cli_usage_error(&audit_syntax, CLI_TIME_MISTAKE, selection->since_text);
    if (selection->until_text && cli_parse_time(selection->until_text, &selection->until_us) < 0)
        return cli_usage_error(&audit_syntax, CLI_TIME_MISTAKE, selection->until_text);
    if (event && !is_event(event))
        return cli_usage_error(&audit_syntax, "no such event: %s (docs/journal.md lists them)",
                               event);
    if (!last)
        return 0;
    selection->last = strtoul(last, &end, 10);
    if (last[0] < '0' || last[0] > '9' || *end || selection->last == 0 ||
        selection->last > LAST_MAX)
        return cli_usage_error(&audit_syntax, "--last wants a number from 1 to %u: %s", LAST_MAX,
                               last);
    selection->ring = calloc(selection->last, sizeof *selection->ring);
    return selection->ring ? 0 : cli_usage_error(&audit_syntax, "out of memory");
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

static int flush(Selection *selection)
{
    Buffer *out = &selection->out;
    size_t size = buffer_size(out);

    if (out->error < 0)
        return out->error;
    if (size > 0 && fwrite(buffer_head(out), 1, size, stdout) != size) {
        selection->unwritten = true;
        return -EIO;
    }
    buffer_clear(out);
    return 0;
}

static int put_record(Selection *selection, const json_t *record, const char *line, size_t size)
{
    Buffer *out = &selection->out;

    switch (selection->format) {
    case FORMAT_TEXT:
        record_put_line(out, record);
        break;
    case FORMAT_JSONL:
        buffer_put(out, line, size);
        buffer_put_u8(out, '\n');
        break;
    case FORMAT_CSV:
        record_put_csv(out, record);
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
    return buffer_size(out) > FLUSH_BYTES || out->error < 0 ? flush(selection) : 0;
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
        record_put_csv_header(&selection->out);
    else if (selection->format == FORMAT_JSON)
        buffer_puts(&selection->out, "{\"records\":[");
    int result = journal_each_line(path, on_line, selection);
    if (result == 0 && selection->ring)
        result = put_last(selection);
    if (selection->format == FORMAT_JSON && result == 0)
        buffer_puts(&selection->out, "]}\n");
    if (result == 0)
        result = flush(selection);
    return result;
}

static void selection_done(Selection *selection)
{
    for (size_t i = 0; selection->ring && i < selection->last; i++)
        free(selection->ring[i]);
    free(selection->ring);
    buffer_done(&selection->out);
}

int audit_records_main(Cli *cli, int argc, char **argv)
{
    AuditPlaces places;
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
    const CliSyntax syntax = {.usage = audit_syntax.usage, .options = options, .most = 1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if ((result = audit_choose_file(&file, argv[first])) != 0 ||
        (result = selection_prepare(&selection)) != 0)
        return result;
    audit_default_places(&places);
    const char *path = file ? file : places.file;
    if (format && strcmp(format, "csv") != 0 && strcmp(format, "jsonl") != 0)
        return cli_usage_error(&audit_syntax, "no such format: %s (there are jsonl and csv)",
                               format);
    if (cli->json)
        selection.format = FORMAT_JSON;
    else if (exporting)
        selection.format = format && strcmp(format, "csv") == 0 ? FORMAT_CSV : FORMAT_JSONL;
    if ((result = put_all(&selection, path)) < 0)
        return selection.unwritten ? CLI_REFUSED : audit_read_failed(path, result);
    if (selection.unreadable > 1)
        cli_error("%zu lines are no records", selection.unreadable);
    bool nothing = selection.found == 0 && is_filtered(&selection);
    if (nothing && !cli->json)
        cli_error("no such records");
    return nothing || selection.unreadable > 0 ? CLI_REFUSED : CLI_DONE;
}
