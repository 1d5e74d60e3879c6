/*
 * See api.h. This file owns the process: what it gives up at its start, the link to the parent,
 * and the links to warden and executor, which the parent renews when those restart. While one of
 * them is away calls are answered 503; nothing is queued for it.
 */
#include "api/api.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>

#include "api/caller.h"
#include "base/cleanup.h"
#include "base/confine.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/message.h"

#define FILES_MAX 256u         /* connections, links, the loop's own */
#define STOP_TIMEOUT_S 2       /* for answers that are being sent */
#define ANSWER_MAX (16u << 20) /* one JSON document of the warden's */

static const ApiLimits default_limits = {
    .http = {.connections = 64, .idle_ms = 30000, .read_ms = 10000, .write_ms = 30000},
    .vet_ms = 5000,
    .warden_ms = 10000};

static const LinkLimits control_limits = {
    .frame_max = 64 << 10, .queue_max = 64 << 10, .fds_max = 1};
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
    if (caller_on_warden(userdata, frame) < 0)
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
        return link_new_take(&api->warden, api->loop, TAKE_FD(frame->fds[0]), &warden_limits,
                             &warden_handlers, api);
    }
    if (role == LINK_ROLE_EXECUTOR) {
        api->executor = link_free(api->executor);
        caller_on_lost(api, WAITING_FOR_EXECUTOR);
        return link_new_take(&api->executor, api->loop, TAKE_FD(frame->fds[0]), &executor_limits,
                             &executor_handlers, api);
    }
    return -EPROTO;
}

static int on_listener(Api *api, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    (void)reader_string(&reader); /* where it listens */
    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;
    return http_server_listen_take(api->server, TAKE_FD(frame->fds[0]));
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

/* /etc, not its three files that getpwuid(3) reads: Landlock's rules hold for an inode, and
 * useradd(8) replaces /etc/passwd by another one. */
static int confine(const ProcessContext *context)
{
    static const char *const readable[] = {"/etc", NULL};

    (void)getpwuid(0); /* loads what nsswitch.conf names while it can still be loaded */
    int result = confine_limits(FILES_MAX);
    if (result >= 0)
        result = confine_become(context->privileged ? &context->api : NULL);
    if (result >= 0)
        result = confine_files(readable);
    if (result >= 0)
        result = confine_syscalls(false);
    return result;
}

static int set_up(Api *api)
{
    api->loop = event_base_new();
    if (!api->loop)
        return -ENOMEM;
    int result = confine(api->context);
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

int api_run(const ProcessContext *context, const ApiLimits *limits)
{
    Api api = {.context = context, .limits = limits};
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

    api.server = http_server_free(api.server);
    api.warden = link_free(api.warden);
    api.executor = link_free(api.executor);
    api.control = link_free(api.control);
    if (api.loop)
        event_base_free(api.loop);
    return api.exit_status;
}

int api_main(const ProcessContext *context)
{
    return api_run(context, &default_limits);
}
