/*
 * See history.h.
 */
#include "api/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/csv.h"
#include "api/filter.h"
#include "api/handlers.h"
#include "api/scan.h"
#include "base/cleanup.h"
#include "base/log.h"

#define PAGE_RECORDS 100u
#define PAGE_RECORDS_MAX 1000u
#define PAGE_BYTES ((size_t)4 << 20)
#define PAGE_READ_MAX (256ull << 20)
#define BUFFER_MAX ((size_t)256 << 20) /* at least one record of any size fits */
#define SLICE ((size_t)128 << 10)      /* bytes of the journal in one turn of the loop */
#define BACKLOG_MAX ((size_t)256 << 10)
#define HISTORIES_MAX 16u

typedef enum Format { FORMAT_JSON, FORMAT_CSV, FORMAT_JSONL } Format;

typedef struct History {
    LIST_ENTRY(History) link;
    Caller *caller;
    Filter filter;
    Format format;
    uint64_t most, before; /* records; the first seq that is too new, or UINT64_MAX */
    bool waiting;          /* for the segments */
    Scan *scan;            /* owned */
    struct event *turn;
    Buffer out;           /* the page, or what has not been written to the stream yet */
    uint64_t count, next; /* records taken; where the following page begins, 0: nowhere */
} History;

static void put_record(History *history, const ScanLine *line)
{
    Buffer *out = &history->out;

    if (history->format == FORMAT_CSV) {
        csv_put_record(out, line->bytes, line->size);
    } else {
        if (history->format == FORMAT_JSON && history->count > 0)
            buffer_puts(out, ",");
        buffer_put(out, line->bytes, line->size);
        if (history->format == FORMAT_JSONL)
            buffer_puts(out, "\n");
    }
    history->count++;
}

static void answer_page(History *history)
{
    Buffer *out = &history->out;

    buffer_puts(out, "],\"next\":");
    if (history->next > 0)
        buffer_printf(out, "%llu}", (unsigned long long)history->next);
    else
        buffer_puts(out, "null}");
    if (out->error)
        caller_fail(history->caller, 503, "no_memory", "out of memory");
    else
        caller_answer(history->caller, 200, buffer_head(out), buffer_size(out));
}

static void flush(History *history)
{
    http_stream_write(history->caller->connection, buffer_head(&history->out),
                      buffer_size(&history->out));
    buffer_done(&history->out);
}

static void finish(History *history)
{
    if (history->format == FORMAT_JSON) {
        answer_page(history);
        return;
    }
    flush(history);
    caller_stream_end(history->caller);
}

/* A file that stops in the middle must not look like a whole one. */
static void give_up(History *history, int error)
{
    log_warning("the journal cannot be read: %s", strerror(-error));
    if (history->format == FORMAT_JSON)
        caller_fail(history->caller, 503, "no_journal", "the journal cannot be read: %s",
                    strerror(-error));
    else
        caller_stream_abort(history->caller);
}

/* Whether the page is full. The record at hand is then the following page's first. */
static bool is_full(const History *history)
{
    return history->count >= history->most ||
           (history->format == FORMAT_JSON &&
            (buffer_size(&history->out) > PAGE_BYTES || scan_bytes(history->scan) > PAGE_READ_MAX));
}

/* One line. False: enough. */
static bool take_line(History *history, const ScanLine *line)
{
    RecordView view;

    if (is_full(history)) {
        history->next = line->seq + 1;
        return false;
    }
    if (record_view(line->bytes, line->size, &view) < 0 ||
        !identity_sees(&history->caller->identity, view.jail.bytes, view.jail.size))
        return true;
    if (filter_is_past(&history->filter, &view))
        return false;
    if (filter_takes(&history->filter, line->bytes, &view))
        put_record(history, line);
    return history->out.error == 0;
}

/* A slice of the journal. */
static void go_on(History *history)
{
    size_t budget = SLICE;
    ScanLine line;
    int step = SCAN_PAUSE;

    while (budget > 0 && (step = scan_next(history->scan, &budget, &line)) == SCAN_LINE)
        if (!take_line(history, &line)) {
            step = SCAN_END;
            break;
        }
    if (history->out.error) {
        give_up(history, history->out.error);
        return;
    }
    if (step < 0) {
        give_up(history, step);
        return;
    }
    if (step == SCAN_END) {
        finish(history);
        return;
    }
    if (history->format != FORMAT_JSON && buffer_size(&history->out) > 0)
        flush(history);
    if (history->format == FORMAT_JSON ||
        http_stream_backlog(history->caller->connection) < BACKLOG_MAX)
        event_active(history->turn, EV_TIMEOUT, 0);
    /* else: on_drained() */
}

static void on_turn(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    go_on(userdata);
}

static void on_drained(Caller *caller)
{
    History *history = caller->stream_data;
    if (history->scan && !event_pending(history->turn, EV_TIMEOUT, NULL))
        event_active(history->turn, EV_TIMEOUT, 0);
}

static void on_gone(Caller *caller)
{
    History *history = caller->stream_data;

    if (history->waiting)
        segments_forget(caller->api->segments, history);
    caller->api->n_histories--;
    scan_free(history->scan);
    event_free(history->turn);
    buffer_done(&history->out);
    filter_done(&history->filter);
    free(history);
}

static const CallerStream work = {.drained = on_drained, .gone = on_gone};

static bool begin_file(History *history)
{
    static const HttpAnswer csv = {.status = 200,
                                   .type = "text/csv; charset=utf-8; header=present",
                                   .fields = "Content-Disposition: attachment; "
                                             "filename=\"clawrden-history.csv\"\r\n"};
    static const HttpAnswer jsonl = {.status = 200,
                                     .type = "application/x-ndjson",
                                     .fields = "Content-Disposition: attachment; "
                                               "filename=\"clawrden-history.jsonl\"\r\n"};
    bool body = caller_stream(history->caller, history->format == FORMAT_CSV ? &csv : &jsonl);
    if (body && history->format == FORMAT_CSV)
        csv_put_header(&history->out);
    return body;
}

static void on_segments(SegmentSet *set, void *userdata)
{
    History *history = userdata;
    uint64_t last = history->before == UINT64_MAX ? UINT64_MAX : history->before - 1;

    history->waiting = false;
    int result = set ? scan_new(&history->scan, set, 1, last, true) : -ENOENT;
    if (result < 0) {
        caller_fail(history->caller, 503, "no_journal", "the journal cannot be read: %s",
                    strerror(-result));
        return;
    }
    if (history->format == FORMAT_JSON)
        buffer_puts(&history->out, "{\"records\":[");
    else if (!begin_file(history))
        return;
    go_on(history);
}

/* limit, before, format. False: answered. */
static bool read_parameters(History *history)
{
    Caller *caller = history->caller;
    const char *const *values = caller->query.values;
    const char *format = values[HISTORY_FORMAT];

    history->before = UINT64_MAX;
    if (!format || strcmp(format, "json") == 0)
        history->format = FORMAT_JSON;
    else if (strcmp(format, "csv") == 0)
        history->format = FORMAT_CSV;
    else if (strcmp(format, "jsonl") == 0)
        history->format = FORMAT_JSONL;
    else {
        caller_fail(caller, 400, "bad_query", "\"format\" must be json, csv or jsonl");
        return false;
    }
    bool page = history->format == FORMAT_JSON;
    uint64_t most = page ? PAGE_RECORDS_MAX : INT64_MAX;
    history->most = page ? PAGE_RECORDS : INT64_MAX;
    if (values[HISTORY_LIMIT] && !query_number(values[HISTORY_LIMIT], 1, most, &history->most)) {
        caller_fail(caller, 400, "bad_query", "\"limit\" must be a number from 1 to %u",
                    PAGE_RECORDS_MAX);
        return false;
    }
    if (values[HISTORY_BEFORE] &&
        !query_number(values[HISTORY_BEFORE], 1, INT64_MAX, &history->before)) {
        caller_fail(caller, 400, "bad_query", "\"before\" must be a record's seq");
        return false;
    }
    return filter_read(&history->filter, caller);
}

void handle_history(Caller *caller)
{
    Api *api = caller->api;

    if (api->n_histories >= HISTORIES_MAX) {
        caller_fail_fields(caller, 429, "Retry-After: 1\r\n", "too_many",
                           "too many histories are being read; try again");
        return;
    }
    History *history = calloc(1, sizeof *history);
    if (!history || !(history->turn = evtimer_new(api->loop, on_turn, history))) {
        free(history);
        caller_fail(caller, 503, "no_memory", "out of memory");
        return;
    }
    history->caller = caller;
    history->out = BUFFER_EMPTY(BUFFER_MAX);
    api->n_histories++;
    caller_work(caller, &work, history);
    if (!read_parameters(history))
        return; /* answered, and released with the call */
    history->waiting = true;
    if (segments_want(api->segments, on_segments, history) < 0)
        caller_fail(caller, 503, "no_journal", "the journal cannot be asked for");
}
