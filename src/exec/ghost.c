/*
 * See ghost.h.
 */
#include "exec/ghost.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "exec/engine-command.h"
#include "exec/foreign.h"
#include "exec/ghost-mounts.h"
#include "wire/engine-exec.h"
#include "wire/ghost.h"

static const LinkLimits limits = {
    .frame_max = GHOST_BINDS_MAX, .queue_max = 64 * 1024, .fds_max = 1};

/* Is the process (which cannot be another meanwhile: its pidfd is open) in the container? The
 * engine names its cgroups after it. */
static bool is_of(const PidRef *process, const char *container)
{
    _cleanup_free_ char *text = NULL;
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", process->pid);
    return strlen(container) >= 12 && fd_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL) == 0 &&
           strstr(text, container) && pidref_verify(process) == 0;
}

static void take_process(Executor *executor, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    pid_t pid = (pid_t)reader_u32(&reader);
    const char *container = reader_string(&reader);
    Request *request = request_find(executor, frame->key);
    PidRef process = PIDREF_EMPTY;

    if (!reader_done(&reader) || !request || !request->relays || pidref_is_set(&request->ghost) ||
        pid <= 1 || pidref_open(pid, &process) < 0)
        return;
    if (!is_of(&process, container)) {
        pidref_done(&process);
        return;
    }
    request->ghost = process;
    if (request->ghost_waiting) /* it was asked to end before it could be seen */
        ghost_signal(request, request->ghost_waiting, true);
}

/* Its container is ready and would be started next. */
static void take_stream(Executor *executor, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    Request *request = request_find(executor, frame->key);
    char why[CONTAINER_WHY_MAX] = "what the engine process says of its mounts makes no sense";

    if (request && request->state == REQUEST_PREPARED && request->container &&
        ghost_mounts_check(request->container, &executor->world, &reader, why) != 0) {
        request_fail(request, EXEC_FAILURE_CWD, why);
        return;
    }
    request_relay_take(executor, frame->key, TAKE_FD(frame->fds[0]));
}

static void on_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Executor *executor = userdata;

    if (frame->type == GHOST_STREAM && frame->n_fds == 1) {
        take_stream(executor, frame);
    } else if (frame->type == GHOST_PROCESS && frame->n_fds == 0) {
        take_process(executor, frame);
    } else if (frame->type == ENGINE_EXEC_STREAM && frame->n_fds == 1) {
        engine_command_take_stream(executor, frame);
    } else {
        log_error("the engine process broke its protocol (type %u): its link is closed",
                  frame->type);
        executor->engine = link_free(link);
        executor->block->may_relay = false;
    }
}

static void on_closed(Link *link, int error UNUSED, void *userdata)
{
    Executor *executor = userdata;

    executor->engine = link_free(link);
    executor->block->may_relay = false;
}

static const LinkHandlers handlers = {.frame = on_frame, .closed = on_closed};

int ghost_take_engine(Executor *executor, int fd)
{
    if (executor->engine)
        executor->engine = link_free(executor->engine); /* a restarted one */
    executor->block->may_relay = true;
    return link_new_take(&executor->engine, executor->loop, fd, &limits, &handlers, executor);
}

/* Signals. */

void ghost_signal(Request *request, int signal_number, bool group)
{
    const PidRef *process = &request->ghost;

    if (signal_number == SIGWINCH)
        return; /* it has no terminal */
    if (!pidref_is_set(process)) {
        if (signal_number != SIGCONT && signal_number != SIGTSTP)
            request->ghost_waiting = (uint8_t)signal_number;
        return;
    }
    if (signal_number == SIGCONT || foreign_handles(process, signal_number)) {
        foreign_signal(process, signal_number, group);
    } else if (signal_number == SIGTSTP) {
        foreign_signal(process, SIGSTOP, group);
    } else {
        request->ghost_signal = (uint8_t)signal_number;
        ghost_kill(request);
    }
}

uint8_t ghost_died_of(const Request *request)
{
    uint8_t kind, value;

    if (request->ghost_signal)
        return request->ghost_signal;
    return foreign_exit(&request->ghost, &kind, &value) && kind == 1 ? value : 0;
}

void ghost_kill(Request *request)
{
    if (pidref_is_set(&request->ghost))
        (void)pidref_kill(&request->ghost, SIGKILL);
}
