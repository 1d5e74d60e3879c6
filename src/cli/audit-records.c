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
#include "cli/audit.h"
#include "cli/numbers.h"
#include "cli/record-filter.h"
#include "cli/record.h"
#include "cli/show.h"
#include "journal/journal-file.h"
#include "journal/line.h"

/* What is collected goes out when it is this large. */
#define FLUSH_BYTES ((size_t)64 << 10)
#define LAST_MAX 1000000u

typedef enum Format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV } Format;

typedef struct Selection {
    RecordFilter filter;
    const char *last_text;
    size_t last; /* 0: all */
    Format format;

    Buffer out;
    size_t found, unreadable;
    bool unwritten; /* stdout takes no more: main() says why */
    char **ring;    /* of `last` lines, NUL-terminated; owned */
    size_t ring_next;
} Selection;

/* Checks the options' values. 0 or CLI_USAGE. */
static int selection_prepare(Selection *selection)
{
    const char *last = selection->last_text;
    unsigned count;
    int result = record_filter_prepare(&selection->filter, &audit_syntax);

    if (result != 0 || !last)
        return result;
    if (cli_parse_count(last, LAST_MAX, &count) < 0)
        return cli_usage_error(&audit_syntax, "--last wants a number from 1 to %u: %s", LAST_MAX,
                               last);
    selection->last = count;
    selection->ring = calloc(selection->last, sizeof *selection->ring);
    return selection->ring ? 0 : cli_usage_error(&audit_syntax, "out of memory");
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
        _cleanup_free_ char *text = show_dump(record, JSON_COMPACT);
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

    if (selection->ring && !record_filter_is_set(&selection->filter))
        return memchr(line, '\0', size) ? 0 : keep(selection, line, size);
    if (!record_filter_may_match(&selection->filter, line, size))
        return 0;
    json_t *record = parse_line(selection, line, size);
    if (!record)
        return 0;
    if (record_filter_matches(&selection->filter, record))
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
                                 {"request", &selection.filter.values[FILTER_REQUEST], NULL, NULL},
                                 {"jail", &selection.filter.values[FILTER_JAIL], NULL, NULL},
                                 {"command", &selection.filter.values[FILTER_COMMAND], NULL, NULL},
                                 {"event", &selection.filter.values[FILTER_EVENT], NULL, NULL},
                                 {"verdict", &selection.filter.values[FILTER_VERDICT], NULL, NULL},
                                 {"since", &selection.filter.since_text, NULL, NULL},
                                 {"until", &selection.filter.until_text, NULL, NULL},
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
        return selection.unwritten ? CLI_DONE : audit_read_failed(path, result);
    if (selection.unreadable > 1)
        cli_error("%zu lines are no records", selection.unreadable);
    bool nothing = selection.found == 0 && record_filter_is_set(&selection.filter);
    if (nothing && !cli->json)
        cli_error("no such records");
    return nothing || selection.unreadable > 0 ? CLI_REFUSED : CLI_DONE;
}
