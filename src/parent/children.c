/*
 * Forking the processes and connecting them.
 *
 * No exec: the children share the parent's pages, and a restart starts from the same image. Each
 * closes everything but its control link and the standard descriptors.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/disposition.h"
#include "base/fd.h"
#include "base/log.h"
#include "door/door.h"
#include "engine/engine-main.h"
#include "exec/executor.h"
#include "parent/parent.h"
#include "warden/warden.h"

static const struct {
    const char *role, *process_name;
    int (*main)(const ProcessContext *context);
} kinds[] = {
    [CHILD_EXECUTOR] = {"executor", "clwd-executor", executor_main},
    [CHILD_WARDEN] = {"warden", "clwd-warden", warden_main},
    [CHILD_API] = {"api", "clwd-api", api_main},
    [CHILD_DOOR] = {"door", "clwd-door", door_main},
    [CHILD_ENGINE] = {"engine", "clwd-engine", engine_main},
};

static void reset_signals(void)
{
    disposition_reset();
    disposition_set(SIGPIPE, true);
}

/* In the child: never returns. */
static void become(Parent *parent, ChildKind kind, const char *role, int control_fd)
{
    ProcessContext context = parent->context;
    char name[16];
    int keep[] = {control_fd};

    reset_signals();
    (void)setsid(); /* a terminal's signals are for the parent, which ends the others in order */
    (void)fd_close_all_except(keep, 1);
    (void)snprintf(name, sizeof name, "%s", kinds[kind].process_name);
    if (kind == CHILD_DOOR)
        (void)snprintf(name, sizeof name, "clwd-%.10s", role);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
    log_set_role(role);
    context.control_fd = control_fd;
    exit(kinds[kind].main(&context));
}

static void on_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Child *child = userdata;
    child->answered_ms = clock_monotonic_ms();
    parent_on_child_frame(child, frame);
}

/* The control link is gone: the process ends, or must. */
static void on_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    child_kill(userdata);
}

static const LinkHandlers control_handlers = {.frame = on_frame, .closed = on_closed};

static bool is_known(const Parent *parent, pid_t pid)
{
    for (const Child *child = parent->children; child; child = child->next)
        if (child->process.pid == pid)
            return true;
    return false;
}

void children_reap_strangers(Parent *parent)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        if (is_known(parent, info.si_pid))
            return; /* it hides who comes after it: on_ended() reaps it and looks again */
        (void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}

static void on_ended(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Child *child = userdata;
    Parent *parent = child->parent;
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)child->process.pidfd, &info, WEXITED | WNOHANG) < 0 ||
        info.si_pid == 0)
        return;
    if (parent->stopping)
        ; /* as asked */
    else if (info.si_code != CLD_EXITED)
        log_warning("%s (pid %d) died of signal %d", child->role, child->process.pid,
                    info.si_status);
    else if (info.si_status != 0)
        log_warning("%s (pid %d) exited with %d", child->role, child->process.pid, info.si_status);
    parent_on_child_ended(child);
    children_reap_strangers(parent);
}

static int watch(Child *child, int control_fd)
{
    LinkLimits limits = {.frame_max = 512u * 1024, .queue_max = 1u << 20};
    int result = link_new_take(&child->control, child->parent->loop, control_fd, &limits,
                               &control_handlers, child);
    if (result < 0)
        return result;
    child->ended =
        event_new(child->parent->loop, child->process.pidfd, EV_READ | EV_PERSIST, on_ended, child);
    return child->ended && event_add(child->ended, NULL) == 0 ? 0 : -ENOMEM;
}

Child *child_start(Parent *parent, ChildKind kind, ServedJail *jail)
{
    int pair[2];
    Child *child = calloc(1, sizeof *child);

    if (!child || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        free(child);
        return NULL;
    }
    *child = (Child){.parent = parent,
                     .kind = kind,
                     .process = PIDREF_EMPTY,
                     .answered_ms = clock_monotonic_ms(),
                     .jail = jail};
    (void)snprintf(child->role, sizeof child->role, "%s%s%s", kinds[kind].role, jail ? "/" : "",
                   jail ? jail->name : "");
    int forked = pidref_fork(&child->process, -1);
    if (forked == 0)
        become(parent, kind, child->role, pair[1]);
    fd_close(pair[1]);
    if (forked < 0 || watch(child, pair[0]) < 0) {
        log_error("cannot start %s: %s", child->role, strerror(forked < 0 ? -forked : ENOMEM));
        if (forked < 0)
            fd_close(pair[0]);
        else
            child_kill(child);
        child_free(child);
        return NULL;
    }
    child->next = parent->children;
    parent->children = child;
    return child;
}

void child_kill(Child *child)
{
    if (pidref_is_set(&child->process))
        (void)pidref_kill(&child->process, SIGKILL);
}

void child_free(Child *child)
{
    Child **link = &child->parent->children;

    while (*link && *link != child)
        link = &(*link)->next;
    if (*link)
        *link = child->next;
    if (child->ended)
        event_free(child->ended);
    link_free(child->control);
    pidref_done(&child->process);
    free(child);
}

Child *child_find(Parent *parent, ChildKind kind)
{
    for (Child *child = parent->children; child; child = child->next)
        if (child->kind == kind)
            return child;
    return NULL;
}

int child_send(Child *child, uint16_t type, Buffer *payload, int fd)
{
    int result = payload && payload->error < 0
                     ? payload->error
                     : link_send_fds(child->control, type, 0, payload ? payload->bytes : NULL,
                                     payload ? payload->size : 0, &fd, fd >= 0 ? 1 : 0);
    if (payload)
        buffer_done(payload);
    /* At the end a child may have gone by itself. */
    if (result < 0 && !(child->parent->stopping && result == -EPIPE))
        log_error("cannot reach %s: %s", child->role, strerror(-result));
    return result;
}

static LinkRole role_of(ChildKind kind)
{
    static const LinkRole roles[] = {[CHILD_EXECUTOR] = LINK_ROLE_EXECUTOR,
                                     [CHILD_WARDEN] = LINK_ROLE_WARDEN,
                                     [CHILD_API] = LINK_ROLE_API,
                                     [CHILD_DOOR] = LINK_ROLE_DOOR,
                                     [CHILD_ENGINE] = LINK_ROLE_ENGINE};
    return roles[kind];
}

static int send_link(Child *to, ChildKind other, uint32_t door_id, const char *jail,
                     const char *socket_path, int fd)
{
    Buffer payload = BUFFER_EMPTY(8192);
    buffer_put_u8(&payload, (uint8_t)role_of(other));
    buffer_put_u32(&payload, door_id);
    buffer_put_string(&payload, jail);
    buffer_put_string(&payload, socket_path);
    return child_send(to, MESSAGE_LINK, &payload, fd);
}

int children_link(Child *a, Child *b, uint32_t door_id, const char *jail, const char *socket_path)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int result = send_link(a, b->kind, door_id, jail, socket_path, pair[0]);
    if (result == 0)
        result = send_link(b, a->kind, door_id, jail, socket_path, pair[1]);
    fd_close(pair[0]);
    fd_close(pair[1]);
    return result;
}
