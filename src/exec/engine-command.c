/*
 * See engine-command.h. A command outlives its request when it is abandoned: its leaf must be
 * empty before it can be given back.
 */
#include "exec/engine-command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "exec/foreign.h"
#include "wire/shim-protocol.h"

#define COUNTED_MAX 10000u
/* A dead process is looked at this often until its parent has reaped it, which its engine's own
 * part does at once; and so many times at most. */
#define REAPED_MS 2u
#define REAPED_ROUNDS 500u
#define CLOSE_MS 2000

struct EngineCommand {
    Executor *executor;
    Request *request; /* NULL: abandoned */
    Container *container;
    CgroupLeaf *leaf;
    PidRef process; /* empty until it is placed */
    int watch_fd;   /* epoll on the leaf's cgroup.events (cell.c) */
    struct event watch_event, end_event, timer, grace;
    bool is_watched, has_exited, is_empty, is_relay_gone;
    uint8_t relay_kind, relay_value;
    unsigned left, rounds;
    EngineCommand *next, **link;
};

static void free_command(EngineCommand *command)
{
    *command->link = command->next;
    if (command->next)
        command->next->link = command->link;
    if (event_initialized(&command->watch_event))
        (void)event_del(&command->watch_event);
    if (event_initialized(&command->end_event))
        (void)event_del(&command->end_event);
    (void)event_del(&command->timer);
    (void)event_del(&command->grace);
    fd_close(command->watch_fd);
    pidref_done(&command->process);
    cgroup_leaf_release(command->leaf);
    container_let_go(command->container);
    free(command);
}

/* The end. */

/* What a relay says of itself comes first: output was lost, or nobody reads. */
static void finish(EngineCommand *command)
{
    Request *request = command->request;
    uint8_t kind = command->relay_kind, value = command->relay_value;

    if (kind == 0 && value != 0) {
        value = EXIT_WARDEN_FAILED;
    } else if (kind == 0 && !foreign_exit(&command->process, &kind, &value)) {
        kind = 2;
        value = 0;
    }
    request->command = NULL;
    request_end(request, kind, value, command->left);
    command->request = NULL;
    free_command(command);
}

/* Are all its parts gone? */
static void look_at_end(EngineCommand *command)
{
    const struct timeval again = clock_timeval_of_ms(REAPED_MS);

    if (!command->has_exited || !command->is_empty)
        return;
    if (!command->request) {
        free_command(command);
        return;
    }
    if (!command->is_relay_gone)
        return;
    if (pidref_is_set(&command->process) && pidref_verify(&command->process) == 0 &&
        command->rounds++ < REAPED_ROUNDS)
        (void)event_add(&command->timer, &again);
    else
        finish(command);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    look_at_end(userdata);
}

static void on_watch(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    EngineCommand *command = userdata;
    struct epoll_event event;

    (void)epoll_wait(command->watch_fd, &event, 1, 0);
    if (cgroup_leaf_is_populated(command->leaf) != 0)
        return;
    command->is_empty = true;
    (void)event_del(&command->watch_event);
    (void)event_del(&command->grace);
    look_at_end(command);
}

/* From now on its end is waited for. It may have come before the watch began. */
static void watch(EngineCommand *command)
{
    struct epoll_event event = {.events = EPOLLPRI};

    if (command->is_watched)
        return;
    command->is_watched = true;
    command->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (command->watch_fd < 0 ||
        epoll_ctl(command->watch_fd, EPOLL_CTL_ADD, command->leaf->events_fd, &event) < 0)
        log_error("cannot watch a cgroup: %s", strerror(errno));
    (void)event_assign(&command->watch_event, command->executor->loop, command->watch_fd,
                       EV_READ | EV_PERSIST, on_watch, command);
    (void)event_add(&command->watch_event, NULL);
    if (cgroup_leaf_is_populated(command->leaf) == 0)
        event_active(&command->watch_event, EV_READ, 0);
}

static void on_grace(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    engine_command_kill(userdata);
}

static void end_leftovers(EngineCommand *command)
{
    const struct timeval grace = clock_timeval_of_ms(LEFTOVERS_GRACE_MS);
    const int left = cgroup_leaf_count(command->leaf, COUNTED_MAX);

    command->left = left > 0 ? (unsigned)left : 0;
    if (left == 0)
        return;
    engine_command_terminate(command, command->request->is_frozen);
    (void)event_add(&command->grace, &grace);
}

/* The command itself has ended; what it has left behind may be alive. */
static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    EngineCommand *command = userdata;

    (void)event_del(&command->end_event);
    command->has_exited = true;
    if (command->request && cgroup_leaf_is_populated(command->leaf) > 0)
        end_leftovers(command);
    watch(command);
    look_at_end(command);
}

void engine_command_relay_exited(Request *request, uint8_t kind, uint8_t value)
{
    request->command->relay_kind = kind;
    request->command->relay_value = value;
    if (kind != 0 || value != 0)
        engine_command_kill(request->command);
}

void engine_command_relay_gone(Request *request)
{
    EngineCommand *command = request->command;

    command->is_relay_gone = true;
    if (!pidref_is_set(&command->process))
        command->has_exited = command->is_empty = true; /* nothing was placed */
    look_at_end(command);
}

/* What is done to it. */

pid_t engine_command_pid(const EngineCommand *command)
{
    return command->process.pid;
}

void engine_command_signal(EngineCommand *command, int signal_number, bool group)
{
    if (command->has_exited || !pidref_is_set(&command->process) || signal_number == SIGWINCH)
        return;
    if (signal_number == SIGTSTP && !foreign_handles(&command->process, SIGTSTP))
        signal_number = SIGSTOP;
    foreign_signal(&command->process, signal_number, group);
}

void engine_command_terminate(EngineCommand *command, bool is_frozen)
{
    (void)cgroup_leaf_signal(command->leaf, SIGTERM);
    if (!is_frozen) /* it dies frozen */
        (void)cgroup_leaf_signal(command->leaf, SIGCONT);
}

void engine_command_kill(EngineCommand *command)
{
    cell_leaf_kill(command->leaf, command->container);
}

void engine_command_freeze(EngineCommand *command, bool frozen)
{
    cell_leaf_freeze(command->leaf, frozen);
}

void engine_command_abandon(EngineCommand *command)
{
    command->request = NULL;
    if (!pidref_is_set(&command->process)) {
        free_command(command);
        return;
    }
    engine_command_kill(command);
    watch(command);
}

void engine_commands_free(Executor *executor)
{
    const uint64_t end = clock_monotonic_ms() + CLOSE_MS;

    for (EngineCommand *command = executor->commands; command; command = command->next)
        engine_command_kill(command);
    while (executor->commands && clock_monotonic_ms() < end) {
        const struct timeval wait = {.tv_usec = 10000};
        (void)event_base_loopexit(executor->loop, &wait);
        (void)event_base_loop(executor->loop, EVLOOP_ONCE);
    }
    while (executor->commands)
        free_command(executor->commands);
}

/* The beginning. */

static int new_command(Request *request)
{
    Executor *executor = request->executor;
    EngineCommand *command = calloc(1, sizeof *command);

    if (!command)
        return -ENOMEM;
    *command = (EngineCommand){
        .executor = executor, .request = request, .process = PIDREF_EMPTY, .watch_fd = -EBADF};
    int result = cgroup_leaf_take(request->cell->tree, &command->leaf);
    if (result < 0) {
        free(command);
        return result;
    }
    command->container = container_use(request->container);
    (void)event_assign(&command->timer, executor->loop, -1, 0, on_timer, command);
    (void)event_assign(&command->grace, executor->loop, -1, 0, on_grace, command);
    command->next = executor->commands;
    command->link = &executor->commands;
    if (command->next)
        command->next->link = &command->next;
    executor->commands = command;
    request->command = command;
    return 0;
}

bool engine_command_launch(Request *request, const LinkFrame *frame)
{
    RunOrder order;

    if (request->state != REQUEST_PREPARED || !request->container || request->command ||
        run_order_decode(frame->payload, frame->size, &order) < 0)
        return false;
    if (request->executor->context->dry_run) {
        request_fail(request, EXEC_FAILURE_BROKEN, "the warden only rehearses (--dry-run)");
        return true;
    }
    int result = new_command(request);
    if (result < 0) {
        request_fail(request, EXEC_FAILURE_BROKEN, strerror(-result));
        return true;
    }
    request_begin(request);
    cell_block_refill_late(request->executor->block);
    if (cell_send(request->cell, RUNNER_LAUNCH, frame->payload, frame->size) < 0)
        request_fail(request, EXEC_FAILURE_BROKEN, "the runner cannot be reached");
    return true;
}

/* Into the leaf, with the caller's badness. 0 or -errno. */
static int place(EngineCommand *command, const PidRef *process, int oom_score_adj)
{
    _cleanup_fd_ int procs_fd =
        openat(command->leaf->directory_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    char text[32];

    (void)snprintf(text, sizeof text, "%d", process->pid);
    int result = procs_fd < 0 ? -errno : fd_write_all(procs_fd, text, strlen(text));
    if (result < 0)
        return result;
    (void)snprintf(text, sizeof text, "/proc/%d/oom_score_adj", process->pid);
    _cleanup_fd_ int oom_fd = open(text, O_WRONLY | O_CLOEXEC);
    (void)snprintf(text, sizeof text, "%d", oom_score_adj);
    if (oom_fd >=
        0) /* it cannot be lowered everywhere: then the command has more than its caller */
        (void)fd_write_all(oom_fd, text, strlen(text));
    return pidref_verify(process);
}

void engine_command_take_stream(Executor *executor, LinkFrame *frame)
{
    _cleanup_fd_ int stream = TAKE_FD(frame->fds[0]);
    Reader reader = reader_of(frame->payload, frame->size);
    pid_t pid = (pid_t)reader_u32(&reader);
    const char *container = reader_string(&reader);
    Request *request = request_find(executor, frame->key);
    EngineCommand *command = request ? request->command : NULL;
    PidRef process = PIDREF_EMPTY;
    char why[CONTAINER_WHY_MAX];

    if (!reader_done(&reader) || !command || request->state != REQUEST_STARTING ||
        pidref_is_set(&command->process))
        return; /* it has ended meanwhile: the launcher sees the end of its input */
    if (engine_placing_check(request, pid, container, &process, why) != 0) {
        request_fail(request, EXEC_FAILURE_BROKEN, why);
        return;
    }
    int result = place(command, &process, request->caller_oom_score_adj);
    if (result < 0) {
        pidref_done(&process);
        request_fail(request, EXEC_FAILURE_BROKEN,
                     "the launcher cannot be moved into the request's cgroup");
        return;
    }
    command->process = process;
    (void)event_assign(&command->end_event, executor->loop, process.pidfd, EV_READ | EV_PERSIST,
                       on_end, command);
    (void)event_add(&command->end_event, NULL);
    if (request->is_frozen)
        engine_command_freeze(command, true);
    if (cell_send_fd(request->cell, RUNNER_RELAY, stream) < 0)
        request_fail(request, EXEC_FAILURE_BROKEN, "the runner cannot be reached");
}
