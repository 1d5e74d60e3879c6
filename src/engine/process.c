/*
 * See engine-main.h. This file owns the process: what it gives up at its start, its link to the
 * parent, and the connections that come over it.
 *
 * What it reports about containers is the engine's word, and labels are anybody's; the parent
 * decides what comes of it, and the executor asks the kernel which container a process is in.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/log.h"
#include "docker/engine.h"
#include "engine/engine-main.h"
#include "engine/reconciler.h"
#include "wire/containers.h"
#include "wire/link.h"
#include "wire/message.h"

#define FILES_MAX 4096u

typedef struct EngineProcess {
    struct event_base *loop;
    Link *control;
    Engine *engine;
    Reconciler *reconciler;
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
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_u8(&payload, connected);
    buffer_put_string(&payload, words);
    send_buffer(userdata, MESSAGE_ENGINE_STATE, &payload);
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
    case MESSAGE_STOP:
        finish(process, EXIT_SUCCESS);
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
        result = confine_become(context->privileged ? &context->warden : NULL);
    if (result >= 0)
        result = confine_files(NULL);
    if (result >= 0)
        result = confine_syscalls(false);
    return result < 0 ? result : 0;
}

static int set_up(EngineProcess *process, const ProcessContext *context)
{
    process->loop = event_base_new();
    int result = process->loop ? confine(context) : -ENOMEM;
    if (result == 0)
        result = link_new_take(&process->control, process->loop, context->control_fd,
                               &control_limits, &control_handlers, process);
    if (result == 0)
        result = engine_new(&process->engine, process->loop, on_want, process);
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
    process.engine = engine_free(process.engine);
    link_free(process.control);
    if (process.loop)
        event_base_free(process.loop);
    return process.exit_status;
}
