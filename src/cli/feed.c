/*
 * See feed.h. libcurl's multi interface does the waiting. The stream has no deadline, but silence:
 * a comment comes every 15 s, so 45 s without a byte mean that nobody is there any more.
 */
#include "cli/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/line.h"
#include "cli/sse.h"

#define SILENCE_S 45L
#define RETRY_LEAST_MS 250u
#define RETRY_MOST_MS 5000u
#define REFUSAL_MAX 65536u

typedef struct Call {
    struct Call *next;
    Line *line;    /* NULL: it could not be started */
    char *failure; /* owned: why */
    unsigned tag;
} Call;

struct Feed {
    const Cli *cli;
    const FeedHandlers *handlers;
    void *userdata;
    CURLM *multi;
    Call *calls;

    /* The stream. */
    Sse sse;
    Line *stream; /* NULL: not connected */
    bool following, live;
    uint64_t retry_at_ms;
    unsigned retry_ms;
};

static void on_event(const SseEvent *event, void *userdata)
{
    Feed *feed = userdata;
    json_t *record = json_loadb(event->data, event->size, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(record))
        feed->handlers->record(record, event->data, event->size, feed->userdata);
    json_decref(record);
}

Feed *feed_new(const Cli *cli, const FeedHandlers *handlers, void *userdata)
{
    Feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return NULL;
    feed->cli = cli;
    feed->handlers = handlers;
    feed->userdata = userdata;
    feed->multi = curl_multi_init();
    sse_init(&feed->sse, on_event, feed);
    return feed->multi ? feed : feed_free(feed);
}

static void call_free(Feed *feed, Call *call)
{
    if (call->line)
        (void)curl_multi_remove_handle(feed->multi, call->line->curl);
    (void)line_free(call->line);
    free(call->failure);
    free(call);
}

static void drop_stream(Feed *feed)
{
    if (feed->stream)
        (void)curl_multi_remove_handle(feed->multi, feed->stream->curl);
    feed->stream = line_free(feed->stream);
    feed->live = false;
}

Feed *feed_free(Feed *feed)
{
    if (!feed)
        return NULL;
    while (feed->calls) {
        Call *call = feed->calls;
        feed->calls = call->next;
        call_free(feed, call);
    }
    drop_stream(feed);
    sse_done(&feed->sse);
    if (feed->multi)
        (void)curl_multi_cleanup(feed->multi);
    free(feed);
    return NULL;
}

void feed_call(Feed *feed, unsigned tag, const char *method, const char *path, const json_t *body)
{
    int exit_code;
    Call *call = calloc(1, sizeof *call);
    if (!call)
        return;
    call->tag = tag;
    call->line = line_new(feed->cli, method, path, body, &call->failure, &exit_code);
    if (call->line) {
        (void)curl_easy_setopt(call->line->curl, CURLOPT_PRIVATE, (char *)call);
        if (curl_multi_add_handle(feed->multi, call->line->curl) != CURLM_OK)
            call->line = line_free(call->line);
    }
    call->next = feed->calls;
    feed->calls = call;
}

static void end_call(Feed *feed, Call *call, CURLcode code)
{
    for (Call **at = &feed->calls; *at; at = &(*at)->next) {
        if (*at != call)
            continue;
        *at = call->next;
        break;
    }
    if (call->line && code == CURLE_OK) {
        _cleanup_(client_answer_done)
        ClientAnswer answer = {0};
        line_take_answer(call->line, &answer);
        feed->handlers->answer(call->tag, &answer, NULL, feed->userdata);
    } else {
        if (call->line)
            call->failure = line_failure(call->line, feed->cli, code);
        feed->handlers->answer(call->tag, NULL, call->failure ? call->failure : "out of memory",
                               feed->userdata);
    }
    call_free(feed, call);
}

/* Calls that could not even be started. */
static void end_stillborn(Feed *feed)
{
    for (Call *call = feed->calls, *next; call; call = next) {
        next = call->next;
        if (!call->line)
            end_call(feed, call, CURLE_FAILED_INIT);
    }
}

/* The stream. */

static bool is_accepted(const Feed *feed)
{
    long status = 0;
    (void)curl_easy_getinfo(feed->stream->curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 200;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *userdata)
{
    Feed *feed = userdata;
    bool last = size * count == 2 && bytes[0] == '\r' && bytes[1] == '\n';

    if (last && is_accepted(feed)) {
        feed->live = true;
        feed->retry_ms = RETRY_LEAST_MS;
        feed->handlers->stream(NULL, feed->userdata);
    }
    return size * count;
}

static size_t on_stream_bytes(char *bytes, size_t size, size_t count, void *userdata)
{
    Feed *feed = userdata;

    if (is_accepted(feed))
        sse_feed(&feed->sse, bytes, size * count);
    else if (buffer_size(&feed->stream->answer) + size * count <= REFUSAL_MAX)
        buffer_put(&feed->stream->answer, bytes, size * count);
    return size * count;
}

static void say_trouble(Feed *feed, const char *words)
{
    Buffer shown = BUFFER_EMPTY(8192);
    text_display_again(&shown, words, strlen(words), 1000);
    _cleanup_free_ char *text = buffer_take_string(&shown);
    feed->handlers->stream(text ? text : "out of memory", feed->userdata);
}

static void lose_stream(Feed *feed, const char *words)
{
    drop_stream(feed);
    feed->retry_at_ms = clock_monotonic_ms() + feed->retry_ms;
    feed->retry_ms = 2 * feed->retry_ms < RETRY_MOST_MS ? 2 * feed->retry_ms : RETRY_MOST_MS;
    say_trouble(feed, words);
}

static int prepare_stream(Feed *feed)
{
    CURL *curl = feed->stream->curl;
    char header[SSE_ID_MAX + 32];

    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, feed);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_stream_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, feed);
    if (feed->sse.id[0] == '\0' || strpbrk(feed->sse.id, "\r\n"))
        return 0;
    (void)snprintf(header, sizeof header, "Last-Event-ID: %s", feed->sse.id);
    int result = line_add_header(feed->stream, header);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, feed->stream->headers);
    return result;
}

static void connect_stream(Feed *feed)
{
    _cleanup_free_ char *failure = NULL;
    int exit_code;

    sse_restart(&feed->sse);
    feed->stream = line_new(feed->cli, "GET", "/api/events", NULL, &failure, &exit_code);
    if (!feed->stream || prepare_stream(feed) < 0 ||
        curl_multi_add_handle(feed->multi, feed->stream->curl) != CURLM_OK)
        lose_stream(feed, failure ? failure : "out of memory");
}

void feed_follow(Feed *feed, unsigned long long after)
{
    feed->following = true;
    feed->retry_ms = RETRY_LEAST_MS;
    if (after > 0)
        (void)snprintf(feed->sse.id, sizeof feed->sse.id, "%llu", after);
    connect_stream(feed);
}

static void end_stream(Feed *feed, CURLcode code)
{
    _cleanup_free_ char *words = NULL;

    if (code != CURLE_OK) {
        words = line_failure(feed->stream, feed->cli, code);
    } else if (is_accepted(feed)) {
        words = strdup("the warden has ended the stream of events");
    } else {
        _cleanup_(client_answer_done)
        ClientAnswer answer = {0};
        line_take_answer(feed->stream, &answer);
        words = client_words(&answer);
    }
    lose_stream(feed, words ? words : "out of memory");
}

static void take_results(Feed *feed)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(feed->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        if (feed->stream && message->easy_handle == feed->stream->curl) {
            end_stream(feed, code);
            continue;
        }
        char *call = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        end_call(feed, (Call *)(void *)call, code);
    }
}

int feed_wait(Feed *feed, struct curl_waitfd *extra, unsigned n_extra, int timeout_ms)
{
    int running = 0;
    uint64_t now = clock_monotonic_ms();

    if (feed->following && !feed->stream) {
        if (now >= feed->retry_at_ms)
            connect_stream(feed);
        else if (feed->retry_at_ms - now < (uint64_t)timeout_ms)
            timeout_ms = (int)(feed->retry_at_ms - now);
    }
    (void)curl_multi_perform(feed->multi, &running);
    CURLMcode code = curl_multi_poll(feed->multi, extra, n_extra, timeout_ms, NULL);
    if (code != CURLM_OK && code != CURLM_UNRECOVERABLE_POLL)
        return -EIO;
    (void)curl_multi_perform(feed->multi, &running);
    take_results(feed);
    end_stillborn(feed);
    return 0;
}
