/*
 * See api.h. This file owns the process: what it gives up at its start, the link to the parent,
 * and the links to warden and executor, which the parent renews when those restart. While one of
 * them is away calls are answered 503; nothing is queued for it.
 *
 * Descriptors: 1,200 connections by each door, twice that at most, and the journal's segments while
 * somebody reads them. The hard limit of the machine may be lower; then so is what can be served.
 */
#include "api/api.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/caller.h"
#include "api/events.h"
#include "api/segments.h"
#include "api/tls.h"
#include "base/cleanup.h"
#include "base/confine.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/message.h"

#define FILES_MAX 8192u        /* connections, links, segments, the loop's own */
#define STOP_TIMEOUT_S 2       /* for answers that are being sent */
#define ANSWER_MAX (80u << 20) /* one JSON document of the warden's, or a record and its line */
#define NOTE_MAX 1024u
#define SAVE_USED_S 60 /* how often times of use are kept */

static const ApiLimits default_limits = {.http = {.connections = {1200, 1200, 1200},
                                                  .address_connections = 64,
                                                  .idle_ms = 30000,
                                                  .read_ms = 10000,
                                                  .write_ms = 30000},
                                         .vet_ms = 5000,
                                         .warden_ms = 10000,
                                         .hasher_ms = 20000,
                                         .beat_ms = 15000};

static const LinkLimits control_limits = {
    .frame_max = 256 << 10, .queue_max = 64 << 10, .fds_max = SEGMENTS_FDS_MAX};
static const LinkLimits warden_limits = {
    .frame_max = ANSWER_MAX, .queue_max = 1 << 20, .fds_max = 0};
static const LinkLimits executor_limits = {
    .frame_max = 4 << 10, .queue_max = 64 << 10, .fds_max = 0};

static void finish(Api *api, int exit_status)
{
    api->exit_status = exit_status;
    (void)event_base_loopbreak(api->loop);
}

static void on_warden_closed(Link *link, int error, void *userdata)
{
    Api *api = userdata;

    log_warning("the link to the warden is gone: %s", strerror(-error));
    api->warden = link_free(link);
    caller_on_lost(api, WAITING_FOR_WARDEN);
}

static void on_warden_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Api *api = userdata;
    int result = frame->type == API_RECORD ? events_on_record(api->events, frame)
                                           : caller_on_warden(api, frame);
    if (result < 0)
        on_warden_closed(link, -EPROTO, userdata);
}

static void on_executor_closed(Link *link, int error, void *userdata)
{
    Api *api = userdata;

    log_warning("the link to the executor is gone: %s", strerror(-error));
    api->executor = link_free(link);
    caller_on_lost(api, WAITING_FOR_EXECUTOR);
}

static void on_executor_frame(Link *link, LinkFrame *frame, void *userdata)
{
    if (caller_on_executor(userdata, frame) < 0)
        on_executor_closed(link, -EPROTO, userdata);
}

static const LinkHandlers warden_handlers = {.frame = on_warden_frame, .closed = on_warden_closed};
static const LinkHandlers executor_handlers = {.frame = on_executor_frame,
                                               .closed = on_executor_closed};

/* MESSAGE_LINK: a new link stands in for the old one, whose questions will not be answered. */
static int on_link(Api *api, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    unsigned role = reader_u8(&reader);
    (void)reader_u32(&reader);    /* door */
    (void)reader_string(&reader); /* jail */
    (void)reader_string(&reader); /* socket */
    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;

    if (role == LINK_ROLE_WARDEN) {
        api->warden = link_free(api->warden);
        caller_on_lost(api, WAITING_FOR_WARDEN);
        int result = link_new_take(&api->warden, api->loop, TAKE_FD(frame->fds[0]), &warden_limits,
                                   &warden_handlers, api);
        if (result == 0)
            events_on_warden(api->events);
        return result;
    }
    if (role == LINK_ROLE_EXECUTOR) {
        api->executor = link_free(api->executor);
        caller_on_lost(api, WAITING_FOR_EXECUTOR);
        return link_new_take(&api->executor, api->loop, TAKE_FD(frame->fds[0]), &executor_limits,
                             &executor_handlers, api);
    }
    return -EPROTO;
}

/* MESSAGE_LISTENER: where it listens, whether TLS is spoken there, names that clients may use. */
static int on_listener(Api *api, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    const char *where = reader_string(&reader);
    bool tls = reader_u8(&reader) != 0;
    const char *hosts = reader_string(&reader);
    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;

    HttpDoor door = where[0] == '/' ? HTTP_DOOR_UNIX : tls ? HTTP_DOOR_TLS : HTTP_DOOR_TCP;
    if (door != HTTP_DOOR_UNIX) {
        free(api->hosts);
        api->hosts = strdup(hosts);
        if (!api->hosts)
            return -ENOMEM;
    }
    return http_server_listen_take(api->server, TAKE_FD(frame->fds[0]), door);
}

/* MESSAGE_TLS. What cannot be used leaves what was there before. */
static int on_tls(Api *api, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    size_t chain_size, key_size;
    const char *chain = reader_blob(&reader, &chain_size);
    const char *key = reader_blob(&reader, &key_size);
    char problem[160];
    SSL_CTX *context = NULL;

    if (!reader_done(&reader))
        return -EPROTO;
    int result = tls_context_new(&context, chain, chain_size, key, key_size, problem);
    if (result < 0)
        log_error("TLS: %s", problem);
    else
        http_server_set_tls_take(api->server, context);
    return 0;
}

/* What is being answered may still leave; what waits is told. */
static int on_stop(Api *api)
{
    struct timeval most = {.tv_sec = STOP_TIMEOUT_S};

    api->stopping = true;
    http_server_stop(api->server);
    caller_on_lost(api, WAITING_FOR_EXECUTOR);
    caller_on_lost(api, WAITING_FOR_WARDEN);
    if (http_server_busy(api->server) == 0)
        return event_base_loopbreak(api->loop) < 0 ? -ENOMEM : 0;
    return event_base_loopexit(api->loop, &most) < 0 ? -ENOMEM : 0;
}

static void on_control_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Api *api = userdata;
    int result;

    switch (frame->type) {
    case MESSAGE_PING:
        result = link_send(link, MESSAGE_PONG, frame->key, NULL, 0);
        break;
    case MESSAGE_LINK:
        result = on_link(api, frame);
        break;
    case MESSAGE_LISTENER:
        result = on_listener(api, frame);
        break;
    case MESSAGE_TLS:
        result = on_tls(api, frame);
        break;
    case MESSAGE_SEGMENTS:
        result = segments_on_frame(api->segments, frame);
        break;
    case MESSAGE_STOP:
        result = on_stop(api);
        break;
    default:
        result = -EPROTO;
    }
    if (result < 0) {
        log_error("message %u from the parent: %s", frame->type, strerror(-result));
        finish(api, 1);
    }
}

static void on_control_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    Api *api = userdata;
    log_error("the parent is gone");
    finish(api, 1);
}

static const LinkHandlers control_handlers = {.frame = on_control_frame,
                                              .closed = on_control_closed};

/* Where tokens and users are kept; opened while it can still be reached. Without it there are
 * none, and TCP serves nobody. */
static int open_store_directory(const ProcessContext *context)
{
    char path[PATH_MAX];

    if (!context->state_dir)
        return -ENOENT;
    (void)snprintf(path, sizeof path, "%s/api", context->state_dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        log_error("%s: %s; there can be no tokens and users", path, strerror(errno));
    return fd < 0 ? -errno : fd;
}

/* /etc, not its three files that getpwuid(3) reads: Landlock's rules hold for an inode, and
 * useradd(8) replaces /etc/passwd by another one. */
static int confine(const ProcessContext *context, int store_directory)
{
    static const char *const readable[] = {"/etc", NULL};

    (void)getpwuid(0); /* loads what nsswitch.conf names while it can still be loaded */
    (void)OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL);
    int result = confine_limits(FILES_MAX);
    if (result >= 0)
        result = confine_become(context->privileged ? &context->api : NULL, true);
    if (result >= 0)
        result = confine_files_but(readable, store_directory);
    if (result >= 0)
        result = confine_syscalls(false);
    return result;
}

void api_note(Api *api, const Actor *actor, NoteKind kind, const char *format, ...)
{
    char words[NOTE_MAX];
    Buffer payload = BUFFER_EMPTY(64 << 10);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    actor_encode(&payload, actor);
    buffer_put_u8(&payload, (uint8_t)kind);
    buffer_put_string(&payload, words);
    if (!api->warden || link_send_buffer(api->warden, API_NOTE, 0, &payload) < 0)
        log_warning("not recorded, as the warden is away: %s", words);
    buffer_done(&payload);
}

static void on_hasher_gone(void *userdata)
{
    log_error("the hasher is gone");
    finish(userdata, 1);
}

/* Times of last use are no reason to write at each call. */
static void on_minute(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Api *api = userdata;
    if (api->store.used && !api->store.damage)
        (void)store_save(&api->store);
}

static int set_up_parts(Api *api)
{
    struct timeval minute = {.tv_sec = SAVE_USED_S};

    sessions_init(&api->sessions);
    api->throttle = throttle_new();
    api->events = events_new(api);
    api->segments = segments_new(api);
    api->minute = event_new(api->loop, -1, EV_PERSIST, on_minute, api);
    if (!api->throttle || !api->events || !api->segments || !api->minute)
        return -ENOMEM;
    return event_add(api->minute, &minute) < 0 ? -ENOMEM : 0;
}

static int set_up(Api *api)
{
    api->loop = event_base_new();
    if (!api->loop)
        return -ENOMEM;
    int result = hasher_start(&api->hasher, api->loop, api->context, on_hasher_gone, api);
    if (result < 0)
        return result;
    _cleanup_fd_ int directory = open_store_directory(api->context);
    result = confine(api->context, directory);
    if (result < 0)
        return result;
    store_open_take(&api->store, TAKE_FD(directory));
    result = set_up_parts(api);
    if (result < 0)
        return result;
    result = http_server_new(&api->server, api->loop, &api->limits->http, &caller_handlers, api);
    if (result < 0)
        return result;
    result = link_new_take(&api->control, api->loop, api->context->control_fd, &control_limits,
                           &control_handlers, api);
    if (result < 0)
        return result;
    return link_send(api->control, MESSAGE_READY, 0, NULL, 0);
}

static void tear_down(Api *api)
{
    if (api->store.used && !api->store.damage)
        (void)store_save(&api->store);
    api->server = http_server_free(api->server);
    api->warden = link_free(api->warden);
    api->executor = link_free(api->executor);
    api->control = link_free(api->control);
    api->hasher = hasher_free(api->hasher);
    api->events = events_free(api->events);
    api->segments = segments_free(api->segments);
    api->throttle = throttle_free(api->throttle);
    sessions_done(&api->sessions);
    store_done(&api->store);
    free(api->hosts);
    if (api->minute)
        event_free(api->minute);
    if (api->loop)
        event_base_free(api->loop);
}

int api_run(const ProcessContext *context, const ApiLimits *limits)
{
    Api api = {.context = context, .limits = limits, .store = {.directory_fd = -EBADF}};
    LIST_INIT(&api.callers);

    /* A client that goes away is -EPIPE; Ctrl-C on the terminal is the parent's to handle. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);

    int result = set_up(&api);
    if (result < 0) {
        log_error("cannot start: %s", strerror(-result));
        api.exit_status = 1;
    } else if (event_base_dispatch(api.loop) < 0) {
        log_error("the event loop failed");
        api.exit_status = 1;
    }
    tear_down(&api);
    return api.exit_status;
}

int api_main(const ProcessContext *context)
{
    return api_run(context, &default_limits);
}
