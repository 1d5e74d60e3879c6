/*
 * See engine.h. A call's life: it waits for a connection, runs, is over; each step has its place
 * in the list, so that answers, connections and the end of the owner can come in any order.
 *
 * The transport only fills buffers and marks calls: what has come is delivered afterwards, from an
 * event of its own, where calls may be begun and cancelled freely.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "docker/decode.h"
#include "docker/engine-private.h"

#define STREAM_BUFFER_MAX (4u << 20) /* what one turn of the loop may bring */

static void free_call(EngineCall *call)
{
    (void)event_del(&call->deadline);
    transport_end(call);
    fd_close(call->fd);
    free(call->method);
    free(call->path);
    free(call->body);
    buffer_done(&call->input);
    free(call);
}

static void unlink_call(EngineCall *call)
{
    EngineCall **link = &call->engine->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    call->engine->n_calls--;
}

EngineCall *engine_cancel(EngineCall *call)
{
    if (!call)
        return NULL;
    unlink_call(call);
    if (call->delivering) { /* from its own callback, which comes back to it */
        call->cancelled = true;
        (void)event_del(&call->deadline);
        transport_end(call);
    } else {
        free_call(call);
    }
    return NULL;
}

void call_stir(EngineCall *call)
{
    event_active(&call->engine->deliver, EV_TIMEOUT, 0);
}

void call_finish(EngineCall *call, int error)
{
    if (call->state == CALL_OVER)
        return;
    call->state = CALL_OVER;
    call->error = error;
    call_stir(call);
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    call_finish(userdata, -ETIMEDOUT);
}

static void set_deadline(EngineCall *call, uint32_t milliseconds)
{
    struct timeval most = clock_timeval_of_ms(milliseconds);

    (void)event_del(&call->deadline);
    if (milliseconds > 0)
        (void)event_add(&call->deadline, &most);
}

/* Answers. */

static const char *error_words(int error)
{
    switch (-error) {
    case ETIMEDOUT:
        return "the engine does not answer in time";
    case ECONNRESET:
        return "the engine has closed the connection";
    case EPROTO:
        return "the engine's answer is not what its API promises";
    case EFBIG:
        return "the engine's answer is too large";
    case ENOTSUP:
        return "the engine is too old: its API must be 1.40 or later";
    default:
        return strerror(-error);
    }
}

static void explain(const EngineAnswer *answer, char words[static ENGINE_WORDS_MAX])
{
    Buffer text = BUFFER_EMPTY(ENGINE_WORDS_MAX);

    words[0] = '\0';
    if (engine_succeeded(answer))
        return;
    if (answer->error < 0)
        buffer_puts(&text, error_words(answer->error));
    else
        buffer_printf(&text, "the engine answers %u", answer->status);
    if (answer->error == 0 && json_object_get(answer->json, "message")) {
        buffer_puts(&text, ": ");
        engine_decode_message(answer->json, &text);
    }
    (void)snprintf(words, ENGINE_WORDS_MAX, "%.*s", (int)buffer_size(&text), buffer_head(&text));
    buffer_done(&text);
}

/* Calls `done` (and frees the call before, so that it can begin others of its kind). */
static void conclude(EngineCall *call)
{
    EngineAnswer answer = {.error = call->error, .status = call->status};
    char words[ENGINE_WORDS_MAX];
    json_t *json = NULL;
    EngineHijacked *hijacked = call->hijacked;
    EngineDone *done = call->kind == CALL_STREAM ? call->stream.done : call->done;
    void *userdata = call->userdata;
    bool begun = call->kind == CALL_STREAM && call->opened;

    if (answer.error == 0 && !begun && buffer_size(&call->input) > 0) {
        json = engine_decode_json(buffer_head(&call->input), buffer_size(&call->input));
        if (!json && engine_succeeded(&answer))
            answer.error = -EPROTO;
    }
    if (answer.error == 0 && begun && buffer_size(&call->input) > 0)
        answer.error = -EPROTO; /* half a document */
    answer.json = json;
    if (call->negotiates && engine_succeeded(&answer))
        answer.error = engine_decode_version(json, call->engine->version);
    bool passes = hijacked && answer.error == 0 && (answer.status == 101 || answer.status == 200);
    if (passes)
        answer.status = 200;
    explain(&answer, words);
    answer.words = words;
    int fd = passes ? TAKE_FD(call->fd) : -EBADF;
    unlink_call(call);
    free_call(call);
    if (hijacked)
        hijacked(fd, &answer, userdata);
    else
        done(&answer, userdata);
    json_decref(json);
}

/* After one of its callbacks. False: it has cancelled the call, which is gone. */
static bool survives(EngineCall *call)
{
    call->delivering = false;
    if (!call->cancelled)
        return true;
    free_call(call);
    return false;
}

/* One document of a stream. False when the call is over or gone. */
static bool deliver_item(EngineCall *call)
{
    const char *head = buffer_head(&call->input);
    const char *end = memchr(head, '\n', buffer_size(&call->input));
    bool there = true;

    if (!end) {
        call->has_input = false;
        if (buffer_size(&call->input) > ENGINE_ITEM_MAX)
            call_finish(call, -EFBIG);
        return false;
    }
    size_t size = (size_t)(end - head);
    bool blank = strspn(head, " \t\r\n") >= size;
    json_t *item = blank || size > ENGINE_ITEM_MAX ? NULL : engine_decode_json(head, size);
    buffer_consume(&call->input, size + 1);
    if (!blank && !json_is_object(item)) {
        json_decref(item);
        call->state = CALL_OVER; /* also when its end was in order */
        call->error = size > ENGINE_ITEM_MAX ? -EFBIG : -EPROTO;
        call->has_input = false;
        buffer_clear(&call->input);
        call_stir(call);
        return false;
    }
    if (item) {
        call->delivering = true;
        call->stream.item(item, call->userdata);
        there = survives(call);
    }
    json_decref(item);
    return there;
}

static void deliver_stream(EngineCall *call)
{
    if (!call->opened && call->status >= 200 && call->status <= 299) {
        call->opened = true;
        set_deadline(call, call->silence_ms);
        call->delivering = true;
        if (call->stream.opened)
            call->stream.opened(call->userdata);
        if (!survives(call))
            return;
    }
    if (!call->opened) { /* a refusal: its body is read to the end */
        call->has_input = false;
        return;
    }
    if (call->silence_ms > 0 && call->state == CALL_RUNNING)
        set_deadline(call, call->silence_ms);
    while (deliver_item(call))
        ;
}

/* What the calls have come to. The list may change in every callback, so each round looks anew. */
static void on_deliver(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Engine *engine = userdata;
    EngineCall *call;

    do {
        for (call = engine->calls; call; call = call->next)
            if (call->has_input || call->state == CALL_OVER)
                break;
        if (call && call->has_input)
            deliver_stream(call);
        else if (call)
            conclude(call);
    } while (call);
}

/* Beginning. */

static int fill_call(EngineCall *call, const EngineRequest *request)
{
    Engine *engine = call->engine;

    call->method = strdup(request->method);
    if (asprintf(&call->path, "%s%s%s", request->bare ? "" : "/v",
                 request->bare ? "" : engine->version, request->path) < 0)
        call->path = NULL;
    if (request->body)
        call->body = json_dumps(request->body, JSON_COMPACT | JSON_ENSURE_ASCII);
    call->timeout_ms = request->timeout_ms ? request->timeout_ms : ENGINE_TIMEOUT_MS;
    size_t body_max = request->body_max ? request->body_max : ENGINE_BODY_MAX;
    call->input = BUFFER_EMPTY(call->kind == CALL_STREAM ? (size_t)STREAM_BUFFER_MAX : body_max);
    call->output = BUFFER_EMPTY((size_t)ENGINE_BODY_MAX + 16384);
    return !call->method || !call->path || (request->body && !call->body) ? -ENOMEM : 0;
}

static int begin(Engine *engine, CallKind kind, const EngineRequest *request, EngineCall **ret)
{
    if (request->path[0] != '/' || strpbrk(request->path, " \t\r\n"))
        return -EINVAL;
    if (engine->n_calls >= ENGINE_CALLS_MAX)
        return -EAGAIN;
    EngineCall *call = calloc(1, sizeof *call);
    if (!call)
        return -ENOMEM;
    *call = (EngineCall){.engine = engine, .kind = kind, .fd = -EBADF, .reader = HTTP_READER_EMPTY};
    (void)evtimer_assign(&call->deadline, engine->loop, on_deadline, call);
    if (fill_call(call, request) < 0) {
        free_call(call);
        return -ENOMEM;
    }
    EngineCall **link = &engine->calls;
    while (*link)
        link = &(*link)->next;
    *link = call;
    engine->n_calls++;
    set_deadline(call, call->timeout_ms);
    *ret = call;
    return 0;
}

/* After the callbacks are set: the owner may answer at once. */
static int go(EngineCall *call, EngineCall **ret)
{
    if (ret)
        *ret = call;
    call->engine->want(call->engine->userdata);
    return 0;
}

int engine_call(Engine *engine, const EngineRequest *request, EngineDone *done, void *userdata,
                EngineCall **ret)
{
    EngineCall *call;
    int result = begin(engine, CALL_PLAIN, request, &call);

    if (result < 0)
        return result;
    call->done = done;
    call->userdata = userdata;
    return go(call, ret);
}

int engine_stream(Engine *engine, const EngineRequest *request, const EngineStream *stream,
                  void *userdata, EngineCall **ret)
{
    EngineCall *call;
    int result = begin(engine, CALL_STREAM, request, &call);

    if (result < 0)
        return result;
    call->stream = *stream;
    call->silence_ms = stream->silence_ms;
    call->userdata = userdata;
    return go(call, ret);
}

int engine_hijack(Engine *engine, const EngineRequest *request, EngineHijacked *done,
                  void *userdata, EngineCall **ret)
{
    EngineCall *call;
    int result = begin(engine, CALL_HIJACK, request, &call);

    if (result < 0)
        return result;
    call->hijacked = done;
    call->userdata = userdata;
    return go(call, ret);
}

static EngineCall *longest_waiting(const Engine *engine)
{
    EngineCall *call = engine->calls;
    while (call && call->state != CALL_WAITING)
        call = call->next;
    return call;
}

void engine_connected_take(Engine *engine, int fd)
{
    EngineCall *call = longest_waiting(engine);

    if (!call || fd_set_nonblock(fd, true) < 0) {
        fd_close(fd);
        if (call)
            call_finish(call, -EBADF);
        return;
    }
    call->fd = fd;
    call->state = CALL_RUNNING;
    int result = transport_begin(call);
    if (result < 0)
        call_finish(call, result);
}

void engine_not_connected(Engine *engine, int error)
{
    EngineCall *call = longest_waiting(engine);
    if (call)
        call_finish(call, error);
}

/* The version. */

int engine_negotiate(Engine *engine, EngineDone *done, void *userdata, EngineCall **ret)
{
    const EngineRequest request = {
        .method = "GET", .path = "/version", .bare = true, .body_max = 256 << 10};
    EngineCall *call;
    int result = begin(engine, CALL_PLAIN, &request, &call);

    if (result < 0)
        return result;
    call->done = done;
    call->userdata = userdata;
    call->negotiates = true;
    return go(call, ret);
}

const char *engine_version(const Engine *engine)
{
    return engine->version;
}

/* The whole. */

int engine_new(Engine **ret, struct event_base *loop, EngineWant *want, void *userdata)
{
    Engine *engine = calloc(1, sizeof *engine);

    if (!engine)
        return -ENOMEM;
    *engine = (Engine){.loop = loop, .want = want, .userdata = userdata, .version = "1.41"};
    (void)evtimer_assign(&engine->deliver, loop, on_deliver, engine);
    *ret = engine;
    return 0;
}

Engine *engine_free(Engine *engine)
{
    if (!engine)
        return NULL;
    while (engine->calls)
        (void)engine_cancel(engine->calls);
    (void)event_del(&engine->deliver);
    free(engine);
    return NULL;
}
