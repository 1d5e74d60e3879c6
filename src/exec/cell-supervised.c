/*
 * A cell that is a supervisor process and its descendants (cell.h, supervisor.h).
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/cell.h"
#include "exec/supervisor.h"

/* The supervisor has ended; after EMPTY in good order. */
static void on_supervisor_end(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Cell *cell = userdata;
    siginfo_t status = {.si_pid = 0};

    if (waitid(P_PIDFD, (id_t)cell->child.pidfd, &status, WEXITED | WNOHANG) < 0 ||
        status.si_pid == 0)
        return;
    (void)event_del(&cell->child_event);
    cell_drain_control(cell);
    cell_part(cell);
    if (!cell->is_empty) /* killed: its orphans are ours */
        event_active(&cell->block->orphans_event, EV_TIMEOUT, 0);
    if (!cell->has_exited)
        cell_has_exited(cell, 1, SIGKILL, 0);
    cell_is_empty(cell);
}

static void lose_supervisor(Cell *cell)
{
    (void)event_del(&cell->lead_event);
    (void)event_assign(&cell->child_event, cell->block->loop, cell->child.pidfd,
                       EV_READ | EV_PERSIST, on_supervisor_end, cell);
    (void)event_add(&cell->child_event, NULL);
}

static void on_lead(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Cell *cell = userdata;
    SupervisorMessage message;

    ssize_t size = recv(cell->lead_fd, &message, sizeof message, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size != sizeof message) {
        lose_supervisor(cell);
        return;
    }
    if (message.type == SUPERVISOR_FORKED) {
        cell->pid = (pid_t)message.value;
        cell_drain_control(cell);
    } else if (message.type == SUPERVISOR_EXITED) {
        cell_drain_control(cell);
        cell_has_exited(cell, (uint8_t)(message.value >> 8), (uint8_t)message.value, message.extra);
    } else if (message.type == SUPERVISOR_EMPTY) {
        cell->is_empty = true;
    }
}

static int start(Cell *cell, int control_fd)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    _cleanup_fd_ int theirs = pair[1];
    int result = pidref_fork(&cell->child, -EBADF);
    if (result == 0)
        supervisor_main(theirs, control_fd, &cell->block->origin);
    if (result < 0) {
        fd_close(pair[0]);
        return result;
    }
    cell->lead_fd = pair[0];
    (void)event_assign(&cell->lead_event, cell->block->loop, cell->lead_fd, EV_READ | EV_PERSIST,
                       on_lead, cell);
    (void)event_add(&cell->lead_event, NULL);
    return 0;
}

static void parted(Cell *cell UNUSED)
{
    /* The supervisor tells when the command has ended. */
}

static void tell(Cell *cell, uint32_t type, int value, bool extra)
{
    SupervisorMessage message = {.type = type, .value = (uint32_t)value, .extra = extra};
    (void)fd_send(cell->lead_fd, &message, sizeof message, NULL, 0, MSG_DONTWAIT);
}

static void send_signal(Cell *cell, int signal_number, bool group)
{
    tell(cell, SUPERVISOR_SIGNAL, signal_number, group);
}

static void send_signal_to_all(Cell *cell, int signal_number)
{
    tell(cell, SUPERVISOR_SIGNAL_ALL, signal_number, false);
}

static void kill_all(Cell *cell)
{
    tell(cell, SUPERVISOR_KILL_ALL, 0, false);
}

static void freeze(Cell *cell, bool frozen)
{
    tell(cell, SUPERVISOR_FREEZE, frozen, false);
}

static void done(Cell *cell)
{
    (void)event_del(&cell->lead_event);
    cell->lead_fd = fd_close(cell->lead_fd);
}

const CellKind cell_kind_supervised = {
    .flags = PREPARED_NO_CGROUP,
    .start = start,
    .parted = parted,
    .signal = send_signal,
    .signal_all = send_signal_to_all,
    .kill = kill_all,
    .freeze = freeze,
    .done = done,
};
