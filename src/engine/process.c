/*
 * See engine-main.h. This file owns the process: what it gives up at its start, its link to the
 * parent, and the connections that come over it.
 *
 * What it reports about containers is the engine's word, and labels are anybody's; the parent
 * decides what comes of it, and the executor asks the kernel which container a process is in.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/fd.h"
#include "base/log.h"
#include "docker/engine.h"
#include "engine/engine-main.h"
#include "engine/exec.h"
#include "engine/ghost.h"
#include "engine/reconciler.h"
#include "wire/containers.h"
#include "wire/link.h"
#include "wire/message.h"

#define FILES_MAX 4096u
#define POLICY_MAX (8u << 20)

typedef struct EngineProcess {
    struct event_base *loop;
    Link *control;
    Engine *engine;
    Reconciler *reconciler;
    Link *warden, *executor; /* NULL while they are away */
    Ghosts *ghosts;
    Execs *execs;
    int exit_status;
} EngineProcess;

static void finish(EngineProcess *process, int exit_status)
{
    process->exit_status = exit_status;
    (void)event_base_loopbreak(process->loop);
}

static void send_buffer(EngineProcess *process, uint16_t type, Buffer *payload)
{
    if (link_send_buffer(process->control, type, 0, payload) < 0) {
        log_error("the parent does not read");
        finish(process, EXIT_FAILURE);
    }
    buffer_done(payload);
}

/* The reconciler's findings. */

static void on_state(bool connected, const char *words, void *userdata)
{
    EngineProcess *process = userdata;
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_u8(&payload, connected);
    buffer_put_string(&payload, words);
    send_buffer(process, MESSAGE_ENGINE_STATE, &payload);
    if (connected)
        ghosts_connected(process->ghosts);
}

static void on_seen(const ContainerSeen *seen, void *userdata)
{
    Buffer payload = BUFFER_EMPTY(CONTAINER_MESSAGE_MAX);

    container_seen_encode(&payload, seen);
    send_buffer(userdata, MESSAGE_CONTAINER, &payload);
}

static void on_gone(const char *id, void *userdata)
{
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_string(&payload, id);
    send_buffer(userdata, MESSAGE_CONTAINER_GONE, &payload);
}

static void on_known(void *userdata)
{
    Buffer payload = BUFFER_EMPTY(16);
    send_buffer(userdata, MESSAGE_CONTAINERS_KNOWN, &payload);
}

static const ReconcilerHandlers reconciler_handlers = {
    .state = on_state, .seen = on_seen, .gone = on_gone, .known = on_known};

/* Commands in ghost, and those by the engine's exec. */

static void to_warden(uint16_t type, uint64_t key, Buffer *payload, void *userdata)
{
    EngineProcess *process = userdata;

    if (process->warden && link_send_buffer(process->warden, type, key, payload) < 0)
        log_error("the warden does not read");
}

static void to_executor(uint16_t type, uint64_t key, Buffer *payload, int fd, void *userdata)
{
    EngineProcess *process = userdata;

    if (process->executor &&
        link_send_fds(process->executor, type, key, payload ? payload->bytes : NULL,
                      payload ? payload->size : 0, &fd, fd >= 0 ? 1 : 0) < 0)
        log_error("the executor does not read");
}

static void on_ghosts_gone(void *userdata)
{
    finish(userdata, EXIT_SUCCESS);
}

static const GhostsHandlers ghosts_handlers = {.to_warden = to_warden, .to_executor = to_executor};
static const ExecsHandlers execs_handlers = {.to_warden = to_warden, .to_executor = to_executor};

static void on_warden_frame(Link *link, LinkFrame *frame, void *userdata)
{
    EngineProcess *process = userdata;

    if (ghosts_obey(process->ghosts, frame) || execs_obey(process->execs, frame))
        return;
    log_error("the warden broke its protocol (type %u): its link is closed", frame->type);
    process->warden = link_free(link);
    ghosts_end_all(process->ghosts);
    execs_end_all(process->execs);
}

static void on_warden_closed(Link *link, int error UNUSED, void *userdata)
{
    EngineProcess *process = userdata;

    process->warden = link_free(link);
    ghosts_end_all(process->ghosts);
    execs_end_all(process->execs);
}

static void on_executor_frame(Link *link, LinkFrame *frame UNUSED, void *userdata)
{
    ((EngineProcess *)userdata)->executor = link_free(link); /* it has nothing to say */
}

static void on_executor_closed(Link *link, int error UNUSED, void *userdata)
{
    ((EngineProcess *)userdata)->executor = link_free(link);
}

static const LinkHandlers warden_handlers = {.frame = on_warden_frame, .closed = on_warden_closed};
static const LinkHandlers executor_handlers = {.frame = on_executor_frame,
                                               .closed = on_executor_closed};
/* An order holds what the shim sent, and a little more. */
static const LinkLimits warden_limits = {.frame_max = 16u << 20, .queue_max = 4u << 20};
static const LinkLimits executor_limits = {.frame_max = 16, .queue_max = 4u << 20};

/* A new one is here before the old one's end was seen. */
static int on_link(EngineProcess *process, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t role = reader_u8(&reader);

    (void)reader_u32(&reader);
    (void)reader_string(&reader);
    (void)reader_string(&reader);
    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;
    if (role == LINK_ROLE_WARDEN) {
        if (process->warden)
            on_warden_closed(process->warden, 0, process);
        return link_new_take(&process->warden, process->loop, TAKE_FD(frame->fds[0]),
                             &warden_limits, &warden_handlers, process);
    }
    if (role == LINK_ROLE_EXECUTOR) {
        process->executor = link_free(process->executor);
        return link_new_take(&process->executor, process->loop, TAKE_FD(frame->fds[0]),
                             &executor_limits, &executor_handlers, process);
    }
    return -EPROTO;
}

/* Whether it is good is the warden's to say; here it counts only when it is. */
static int on_policy(EngineProcess *process, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    const char *path = reader_string(&reader);
    PolicyProblems problems = {.items = NULL};
    _cleanup_free_ char *text = NULL;
    Policy *policy = NULL;
    size_t size = 0;

    (void)reader_string(&reader);
    if (!reader_done(&reader))
        return -EPROTO;
    if (frame->n_fds != 1)
        return 0;
    int result = fd_read_all(frame->fds[0], POLICY_MAX, &text, &size);
    if (result == 0)
        result = policy_load_text(path, text, size, &policy, &problems);
    if (result == 0)
        ghosts_set_policy_take(process->ghosts, policy);
    policy_problems_done(&problems);
    return 0;
}

/* Connections. */

static void on_want(void *userdata)
{
    EngineProcess *process = userdata;

    if (link_send(process->control, MESSAGE_ENGINE_WANTED, 0, NULL, 0) < 0)
        engine_not_connected(process->engine, -EPIPE);
}

static int on_connection(EngineProcess *process, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint32_t error = reader_u32(&reader);

    if (!reader_done(&reader) || (error == 0) != (frame->n_fds == 1) || error > 4096)
        return -EPROTO;
    if (error)
        engine_not_connected(process->engine, -(int)error);
    else
        engine_connected_take(process->engine, TAKE_FD(frame->fds[0]));
    return 0;
}

static void on_control_frame(Link *link, LinkFrame *frame, void *userdata)
{
    EngineProcess *process = userdata;
    int result;

    switch (frame->type) {
    case MESSAGE_PING:
        result = link_send(link, MESSAGE_PONG, frame->key, NULL, 0);
        break;
    case MESSAGE_ENGINE_CONNECTION:
        result = on_connection(process, frame);
        break;
    case MESSAGE_LINK:
        result = on_link(process, frame);
        break;
    case MESSAGE_POLICY:
        result = on_policy(process, frame);
        break;
    case MESSAGE_STOP:
        execs_end_all(process->execs);
        ghosts_stop(process->ghosts, on_ghosts_gone);
        return;
    default:
        result = -EPROTO;
    }
    if (result < 0) {
        log_error("message %u from the parent: %s", frame->type, strerror(-result));
        finish(process, EXIT_FAILURE);
    }
}

static void on_control_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    log_error("the parent is gone");
    finish(userdata, EXIT_FAILURE);
}

static const LinkHandlers control_handlers = {.frame = on_control_frame,
                                              .closed = on_control_closed};
static const LinkLimits control_limits = {
    .frame_max = 64 << 10, .queue_max = 16 << 20, .fds_max = 1};

static int confine(const ProcessContext *context)
{
    int result = confine_limits(FILES_MAX);
    if (result >= 0)
        result = confine_become(context->privileged ? &context->warden : NULL, false);
    if (result >= 0)
        result = confine_files(NULL);
    if (result >= 0)
        result = confine_syscalls(false);
    return result < 0 ? result : 0;
}

/* What tells this warden's containers from another's: its state directory, which it keeps. */
static void name_owner(const ProcessContext *context, char ret[static 64])
{
    struct stat status = {.st_ino = 0};

    (void)stat(context->state_dir, &status);
    (void)snprintf(ret, 64, "%llx-%llx", (unsigned long long)status.st_dev,
                   (unsigned long long)status.st_ino);
}

static int set_up(EngineProcess *process, const ProcessContext *context)
{
    char owner[64];

    name_owner(context, owner);
    process->loop = event_base_new();
    int result = process->loop ? confine(context) : -ENOMEM;
    if (result == 0)
        result = link_new_take(&process->control, process->loop, context->control_fd,
                               &control_limits, &control_handlers, process);
    if (result == 0)
        result = engine_new(&process->engine, process->loop, on_want, process);
    if (result == 0)
        result = ghosts_new(&process->ghosts, process->loop, process->engine, owner,
                            &ghosts_handlers, process);
    if (result == 0)
        result =
            execs_new(&process->execs, process->loop, process->engine, &execs_handlers, process);
    if (result == 0)
        result = link_send(process->control, MESSAGE_READY, 0, NULL, 0);
    if (result == 0)
        result = reconciler_new(&process->reconciler, process->loop, process->engine, NULL,
                                &reconciler_handlers, process);
    return result;
}

int engine_main(const ProcessContext *context)
{
    EngineProcess process = {.exit_status = EXIT_SUCCESS};

    int result = set_up(&process, context);
    if (result < 0) {
        log_error("cannot set up: %s", strerror(-result));
        process.exit_status = EXIT_FAILURE;
    } else {
        (void)event_base_dispatch(process.loop);
    }
    process.reconciler = reconciler_free(process.reconciler);
    process.ghosts = ghosts_free(process.ghosts);
    process.execs = execs_free(process.execs);
    process.engine = engine_free(process.engine);
    link_free(process.warden);
    link_free(process.executor);
    link_free(process.control);
    if (process.loop)
        event_base_free(process.loop);
    return process.exit_status;
}
