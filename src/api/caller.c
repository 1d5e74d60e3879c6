/*
 * See caller.h.
 */
#include "api/caller.h"

#include <errno.h>
#include <pwd.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/handlers.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/message.h"

#define ERROR_MAX 2048u

static void end_call(Caller *caller)
{
    const CallerStream *stream = caller->stream;

    if (caller->waiting == WAITING_FOR_HASHER)
        hasher_forget(caller->api->hasher, caller);
    caller->waiting = WAITING_FOR_NOBODY;
    caller->on_answer = NULL;
    caller->stream = NULL;
    caller->streaming = false;
    if (stream)
        stream->gone(caller);
    caller->stream_data = NULL;
    caller->request = NULL;
    caller->route = NULL;
    caller->parameter[0] = '\0';
    query_done(&caller->query);
    json_decref(caller->body);
    caller->body = NULL;
    identity_done(&caller->identity);
    (void)event_del(caller->deadline);
}

void caller_answer_other(Caller *caller, const HttpAnswer *answer)
{
    http_answer(caller->connection, answer);
    end_call(caller);
}

void caller_answer_fields(Caller *caller, unsigned status, const char *fields, const char *json,
                          size_t size)
{
    HttpAnswer answer = {
        .status = status, .type = "application/json", .fields = fields, .body = json, .size = size};
    caller_answer_other(caller, &answer);
}

void caller_answer(Caller *caller, unsigned status, const char *json, size_t size)
{
    caller_answer_fields(caller, status, status == 503 ? "Retry-After: 1\r\n" : NULL, json, size);
}

void caller_answer_json_take(Caller *caller, unsigned status, const char *fields, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (text)
        caller_answer_fields(caller, status, fields, text, strlen(text));
    else
        caller_fail(caller, 503, "no_memory", "out of memory");
    if (text)
        sodium_memzero(text, strlen(text)); /* it may be a token */
    free(text);
}

void caller_fail_fields(Caller *caller, unsigned status, const char *fields, const char *code,
                        const char *words)
{
    Buffer json = BUFFER_EMPTY(8 * ERROR_MAX);

    buffer_puts(&json, "{");
    json_put_member(&json, "error", words);
    json_put_member(&json, "code", code);
    buffer_puts(&json, "}");
    caller_answer_fields(caller, status, fields, buffer_head(&json),
                         json.error ? 0 : buffer_size(&json));
    buffer_done(&json);
}

void caller_fail(Caller *caller, unsigned status, const char *code, const char *format, ...)
{
    char words[ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    caller_fail_fields(caller, status, status == 503 ? "Retry-After: 1\r\n" : NULL, code, words);
}

/* Streams. */

bool caller_stream(Caller *caller, const HttpAnswer *head)
{
    caller_waited(caller);
    if (!http_stream_begin(caller->connection, head)) {
        end_call(caller);
        return false;
    }
    caller->streaming = true;
    return true;
}

void caller_work(Caller *caller, const CallerStream *work, void *data)
{
    caller->stream = work;
    caller->stream_data = data;
}

void caller_stream_end(Caller *caller)
{
    http_stream_end(caller->connection);
    end_call(caller);
}

void caller_stream_abort(Caller *caller)
{
    http_stream_abort(caller->connection);
    end_call(caller);
}

void callers_end_streams(Api *api, bool (*ends)(Caller *caller, const void *userdata),
                         const void *userdata)
{
    Caller *caller, *next;

    for (caller = LIST_FIRST(&api->callers); caller; caller = next) {
        next = LIST_NEXT(caller, link);
        if (!caller->streaming || !ends(caller, userdata))
            continue;
        caller_stream_abort(caller);
    }
}

/* Waiting. */

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Caller *caller = userdata;

    if (caller->waiting == WAITING_FOR_EXECUTOR)
        caller_fail(caller, 503, "not_vetted", "the executor did not say who is calling");
    else if (caller->waiting == WAITING_FOR_HASHER)
        caller_fail(caller, 503, "busy", "too much to do; try again");
    else
        caller_fail(caller, 504, "warden_silent",
                    "the warden has not answered; look at the queue before trying again");
}

static void wait_for(Caller *caller, Waiting waiting, uint64_t key, unsigned deadline_ms)
{
    struct timeval deadline = clock_timeval_of_ms(deadline_ms);

    caller->waiting = waiting;
    caller->key = key;
    (void)event_add(caller->deadline, &deadline);
}

void caller_wait_for_hasher(Caller *caller)
{
    wait_for(caller, WAITING_FOR_HASHER, 0, caller->api->limits->hasher_ms);
}

void caller_waited(Caller *caller)
{
    caller->waiting = WAITING_FOR_NOBODY;
    (void)event_del(caller->deadline);
}

void caller_ask_warden(Caller *caller, uint16_t type, Buffer *payload)
{
    uint64_t key = ++caller->api->last_key;
    int result =
        caller->api->warden ? link_send_buffer(caller->api->warden, type, key, payload) : -ENOTCONN;
    buffer_done(payload);
    if (result < 0)
        caller_fail(caller, 503, "warden_away", "the warden is not there; try again");
    else
        wait_for(caller, WAITING_FOR_WARDEN, key, caller->api->limits->warden_ms);
}

static void vet(Caller *caller)
{
    uint64_t key = ++caller->api->last_key;
    int fd = http_connection_fd(caller->connection);
    int result = caller->api->executor
                     ? link_send_fds(caller->api->executor, VET_PEER, key, NULL, 0, &fd, 1)
                     : -ENOTCONN;
    if (result < 0)
        caller_fail(caller, 503, "not_vetted", "the executor is not there to say who is calling");
    else
        wait_for(caller, WAITING_FOR_EXECUTOR, key, caller->api->limits->vet_ms);
}

static Caller *waiting_caller(Api *api, Waiting waiting, uint64_t key)
{
    Caller *caller;
    LIST_FOREACH(caller, &api->callers, link)
    {
        if (caller->waiting == waiting && caller->key == key)
            return caller;
    }
    return NULL;
}

int caller_on_warden(Api *api, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    unsigned status = reader_u16(&reader);
    const char *json = reader_string(&reader);

    if (frame->type != API_ANSWER || !reader_done(&reader) || status < 200 || status > 599)
        return -EPROTO;
    Caller *caller = waiting_caller(api, WAITING_FOR_WARDEN, frame->key);
    if (!caller)
        return 0;
    if (caller->on_answer && status == 200) {
        caller_waited(caller);
        caller->on_answer(caller, json);
    } else {
        caller_answer(caller, status, json, strlen(json));
    }
    return 0;
}

/* At most one line a second, whatever a prisoner does. */
static void log_refusal(Api *api, pid_t pid, uid_t uid, const char *why)
{
    Buffer shown = BUFFER_EMPTY(1024);
    uint64_t now = clock_monotonic_ms();

    if (api->refusals_logged_ms != 0 && now - api->refusals_logged_ms < 1000) {
        api->refusals_unlogged++;
        return;
    }
    text_display(&shown, why, strlen(why), 200);
    _cleanup_free_ char *text = buffer_take_string(&shown);
    log_warning("refused a peer (pid %d, uid %u): %s (%u more before)", (int)pid, (unsigned)uid,
                text ? text : "?", api->refusals_unlogged);
    api->refusals_logged_ms = now;
    api->refusals_unlogged = 0;
}

/* "NAME (uid N)": what the journal keeps of an operator on the unix socket. */
static void put_name(uid_t uid, char text[static IDENTITY_NAME_MAX])
{
    char space[4096];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, space, sizeof space, &found) == 0 && found &&
        text_is_utf8(found->pw_name, strlen(found->pw_name)))
        (void)snprintf(text, IDENTITY_NAME_MAX, "%.64s (uid %u)", found->pw_name, (unsigned)uid);
    else
        (void)snprintf(text, IDENTITY_NAME_MAX, "uid %u", (unsigned)uid);
}

static void admit_operator(Caller *caller)
{
    if (auth_admit_operator(caller))
        route_run(caller);
}

static bool is_operator(const Api *api, uid_t uid, bool in_group)
{
    return uid == 0 || in_group || (!api->context->privileged && uid == getuid());
}

int caller_on_executor(Api *api, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    bool ok = reader_u8(&reader) != 0;
    pid_t pid = (pid_t)reader_u32(&reader);
    uid_t uid = reader_u32(&reader);
    (void)reader_u32(&reader); /* gid */
    bool in_group = reader_u8(&reader) != 0;
    const char *why = reader_string(&reader);

    if (frame->type != VET_ANSWER || !reader_done(&reader))
        return -EPROTO;
    Caller *caller = waiting_caller(api, WAITING_FOR_EXECUTOR, frame->key);
    if (!caller)
        return 0;
    caller_waited(caller);
    if (ok && is_operator(api, uid, in_group)) {
        caller->standing = STANDING_OPERATOR;
        caller->vetted = (Identity){.kind = IDENTITY_OPERATOR, .role = ROLE_ADMIN};
        put_name(uid, caller->vetted.name);
        admit_operator(caller);
        return 0;
    }
    /* A prisoner is told no more than that. */
    if (!ok)
        caller->refusal = strdup("this process may not use the api");
    else if (asprintf(&caller->refusal,
                      "uid %u may not use the api: it is neither root nor in the operators' group",
                      (unsigned)uid) < 0)
        caller->refusal = NULL;
    caller->standing = STANDING_REFUSED;
    log_refusal(api, pid, uid, ok ? "not an operator" : why);
    caller_fail(caller, 403, "forbidden", "%s", caller->refusal ? caller->refusal : "forbidden");
    return 0;
}

void caller_on_lost(Api *api, Waiting waiting)
{
    Caller *caller, *next;
    for (caller = LIST_FIRST(&api->callers); caller; caller = next) {
        next = LIST_NEXT(caller, link);
        if (caller->waiting != waiting)
            continue;
        if (waiting == WAITING_FOR_EXECUTOR)
            caller_fail(caller, 503, "not_vetted", "the executor went away; try again");
        else
            caller_fail(caller, 503, "warden_away",
                        "the warden went away; look at the queue before trying again");
    }
}

bool caller_is_cli(const Caller *caller)
{
    const char *agent = caller->request->head.fields[HTTP_FIELD_USER_AGENT];
    return agent && strncmp(agent, "clawrden-cli/", 13) == 0;
}

/* The caller behind a connection; made when it first speaks. NULL: out of memory. */
static Caller *caller_of(Api *api, HttpConnection *connection)
{
    Caller *caller = http_connection_data(connection);
    if (caller)
        return caller;

    caller = calloc(1, sizeof *caller);
    if (!caller)
        return NULL;
    caller->api = api;
    caller->connection = connection;
    caller->deadline = evtimer_new(api->loop, on_deadline, caller);
    if (!caller->deadline) {
        free(caller);
        return NULL;
    }
    LIST_INSERT_HEAD(&api->callers, caller, link);
    http_connection_set_data(connection, caller);
    return caller;
}

static void answer_without_memory(HttpConnection *connection)
{
    static const char json[] = "{\"error\":\"out of memory\",\"code\":\"no_memory\"}";
    HttpAnswer answer = {
        .status = 503, .type = "application/json", .body = json, .size = sizeof json - 1};
    http_answer(connection, &answer);
}

static void on_unix_request(Caller *caller)
{
    if (caller->standing == STANDING_UNKNOWN)
        vet(caller);
    else if (caller->standing == STANDING_REFUSED)
        caller_fail(caller, 403, "forbidden", "%s",
                    caller->refusal ? caller->refusal : "forbidden");
    else
        admit_operator(caller);
}

static void on_tcp_request(Caller *caller)
{
    const Api *api = caller->api;

    if (handle_asset(caller))
        return;
    if (api->store.damage || api->store.directory_fd < 0)
        caller_fail(caller, 503, "no_identities",
                    "the file of tokens and users cannot be used; the unix socket works");
    else if (route_is_login(&caller->request->head) || auth_admit(caller))
        route_run(caller);
}

static void on_request(HttpConnection *connection, const HttpRequest *request, void *userdata)
{
    Api *api = userdata;
    Caller *caller = caller_of(api, connection);
    if (!caller) {
        answer_without_memory(connection);
        return;
    }

    bool tcp = http_connection_door(connection) != HTTP_DOOR_UNIX;
    caller->request = request;
    if (tcp && !auth_check_host(caller))
        return;
    caller->route = route_of_health(&request->head);
    if (caller->route)
        caller->route->handle(caller);
    else if (tcp)
        on_tcp_request(caller);
    else
        on_unix_request(caller);
}

static void on_fault(HttpConnection *connection, const HttpFault *fault, void *userdata)
{
    Caller *caller = caller_of(userdata, connection);
    if (caller)
        caller_fail(caller, fault->status, fault->code, "%s", fault->words);
    else
        answer_without_memory(connection);
}

static void on_drained(HttpConnection *connection, void *userdata UNUSED)
{
    Caller *caller = http_connection_data(connection);
    if (caller && caller->stream)
        caller->stream->drained(caller);
}

static void on_gone(HttpConnection *connection, void *userdata)
{
    Api *api = userdata;
    Caller *caller = http_connection_data(connection);

    if (api->stopping && http_server_busy(api->server) == 0)
        (void)event_base_loopbreak(api->loop);
    if (!caller)
        return;
    end_call(caller);
    LIST_REMOVE(caller, link);
    event_free(caller->deadline);
    identity_done(&caller->vetted);
    free(caller->refusal);
    free(caller);
}

const HttpHandlers caller_handlers = {
    .request = on_request,
    .fault = on_fault,
    .drained = on_drained,
    .gone = on_gone,
};
