/*
 * See caller.h.
 */
#include "api/caller.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/message.h"

#define ERROR_MAX 512u

static void end_call(Caller *caller)
{
    caller->waiting = WAITING_FOR_NOBODY;
    caller->request = NULL;
    caller->route = NULL;
    caller->parameter[0] = '\0';
    json_decref(caller->body);
    caller->body = NULL;
    (void)event_del(caller->deadline);
}

static void answer(Caller *caller, unsigned status, const char *fields, const char *json,
                   size_t size)
{
    HttpAnswer answer = {
        .status = status, .type = "application/json", .fields = fields, .body = json, .size = size};
    http_answer(caller->connection, &answer);
    end_call(caller);
}

void caller_answer(Caller *caller, unsigned status, const char *json, size_t size)
{
    answer(caller, status, status == 503 ? "Retry-After: 1\r\n" : NULL, json, size);
}

static void fail(Caller *caller, unsigned status, const char *fields, const char *code,
                 const char *words)
{
    Buffer json = BUFFER_EMPTY(8 * ERROR_MAX);

    buffer_puts(&json, "{");
    json_put_member(&json, "error", words);
    json_put_member(&json, "code", code);
    buffer_puts(&json, "}");
    answer(caller, status, fields, buffer_head(&json), json.error ? 0 : buffer_size(&json));
    buffer_done(&json);
}

void caller_fail(Caller *caller, unsigned status, const char *code, const char *format, ...)
{
    char words[ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    fail(caller, status, status == 503 ? "Retry-After: 1\r\n" : NULL, code, words);
}

void caller_refuse_method(Caller *caller, const Route *route)
{
    char fields[32];
    (void)snprintf(fields, sizeof fields, "Allow: %s\r\n",
                   route->method == HTTP_GET ? "GET, HEAD" : http_method_name(route->method));
    fail(caller, 405, fields, "method_not_allowed", "this path does not know that method");
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Caller *caller = userdata;

    if (caller->waiting == WAITING_FOR_EXECUTOR)
        caller_fail(caller, 503, "not_vetted", "the executor did not say who is calling");
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

void caller_vet(Caller *caller)
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
    if (caller)
        caller_answer(caller, status, json, strlen(json));
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
    caller->waiting = WAITING_FOR_NOBODY;
    (void)event_del(caller->deadline);
    caller->uid = uid;
    if (ok && is_operator(api, uid, in_group)) {
        caller->standing = STANDING_OPERATOR;
        route_run(caller);
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

void caller_name(const Caller *caller, char text[static CALL_APPROVER_MAX])
{
    char space[4096];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(caller->uid, &entry, space, sizeof space, &found) == 0 && found &&
        text_is_utf8(found->pw_name, strlen(found->pw_name)))
        (void)snprintf(text, CALL_APPROVER_MAX, "%.64s (uid %u)", found->pw_name,
                       (unsigned)caller->uid);
    else
        (void)snprintf(text, CALL_APPROVER_MAX, "uid %u", (unsigned)caller->uid);
}

const char *caller_via(const Caller *caller)
{
    const char *agent = caller->request->head.fields[HTTP_FIELD_USER_AGENT];
    return agent && strncmp(agent, "clawrden-cli/", 13) == 0 ? "cli" : "api";
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

static void on_request(HttpConnection *connection, const HttpRequest *request, void *userdata)
{
    Api *api = userdata;
    Caller *caller = caller_of(api, connection);
    if (!caller) {
        answer_without_memory(connection);
        return;
    }

    caller->request = request;
    caller->route = route_of_health(&request->head);
    if (caller->route)
        caller->route->handle(caller);
    else if (caller->standing == STANDING_UNKNOWN)
        caller_vet(caller);
    else if (caller->standing == STANDING_REFUSED)
        caller_fail(caller, 403, "forbidden", "%s",
                    caller->refusal ? caller->refusal : "forbidden");
    else
        route_run(caller);
}

static void on_fault(HttpConnection *connection, const HttpFault *fault, void *userdata)
{
    Caller *caller = caller_of(userdata, connection);
    if (caller)
        caller_fail(caller, fault->status, fault->code, "%s", fault->words);
    else
        answer_without_memory(connection);
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
    free(caller->refusal);
    free(caller);
}

const HttpHandlers caller_handlers = {
    .request = on_request,
    .fault = on_fault,
    .gone = on_gone,
};
