/*
 * A cell that is a cgroup2 leaf (cell.h, cgroup.h). The runner is the executor's child.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "exec/cell.h"
#include "exec/freezer.h"
#include "exec/supervisor.h"

/* More processes than this are not counted, only killed. */
#define COUNTED_MAX 10000u

static int start(Cell *cell, int control_fd)
{
    int result = cgroup_leaf_take(cell->tree, &cell->leaf);
    if (result < 0)
        return result;
    cell->is_image = cell->block->image_fd >= 0;
    result = cell->is_image
                 ? cgroup_leaf_start(cell->leaf, cell->block->image_fd, control_fd, &cell->child)
                 : cgroup_leaf_fork(cell->leaf, &cell->child);
    if (result == 0)
        runner_main(control_fd, &cell->block->origin);
    if (result < 0) {
        cgroup_leaf_release(cell->leaf);
        return result;
    }
    cell->pid = cell->child.pid;
    return 0;
}

/* Watches the leaf until it is empty. */
static void watch(Cell *cell)
{
    struct epoll_event event = {.events = EPOLLPRI, .data.ptr = cell};

    cell->is_watched =
        epoll_ctl(cell->block->watch_fd, EPOLL_CTL_ADD, cell->leaf->events_fd, &event) == 0;
    if (!cell->is_watched)
        log_error("cannot watch a cgroup: %s", strerror(errno));
}

static void on_child(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Cell *cell = userdata;
    siginfo_t status = {.si_pid = 0};
    uint8_t kind, value;

    if (waitid(P_PIDFD, (id_t)cell->child.pidfd, &status, WEXITED | WNOHANG) < 0 ||
        status.si_pid == 0)
        return;
    (void)event_del(&cell->child_event);
    supervisor_exit_of(status.si_code, status.si_status, &kind, &value);

    bool populated = cgroup_leaf_is_populated(cell->leaf) != 0;
    int left = populated ? cgroup_leaf_count(cell->leaf, COUNTED_MAX) : 0;
    cell_has_exited(cell, kind, value, left > 0 ? (unsigned)left : 0);
    if (!populated) {
        cell_is_empty(cell);
        return;
    }
    watch(cell);
    /* It may have become empty before the watch began. */
    if (cgroup_leaf_is_populated(cell->leaf) == 0)
        cell_is_empty(cell);
}

static void parted(Cell *cell)
{
    siginfo_t status = {.si_pid = 0};

    (void)event_assign(&cell->child_event, cell->block->loop, cell->child.pidfd,
                       EV_READ | EV_PERSIST, on_child, cell);
    /* Often it has ended by the time that we hear of its start. */
    if (waitid(P_PIDFD, (id_t)cell->child.pidfd, &status, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        status.si_pid != 0)
        event_active(&cell->child_event, EV_READ, 0);
    else
        (void)event_add(&cell->child_event, NULL);
}

static void send_signal(Cell *cell, int signal_number, bool group)
{
    /* The runner is not reaped yet (has_exited), so its number cannot have another owner. */
    if (group)
        (void)kill(-cell->pid, signal_number);
    else
        (void)pidref_kill(&cell->child, signal_number);
}

static void send_signal_to_all(Cell *cell, int signal_number)
{
    (void)cgroup_leaf_signal(cell->leaf, signal_number);
}

void cell_leaf_kill(CgroupLeaf *leaf, const Container *container)
{
    int result = cgroup_leaf_kill(leaf);
    if (result < 0) {
        log_error("cannot kill a cgroup: %s", strerror(-result));
        (void)cgroup_leaf_signal(leaf, SIGKILL);
    }
    if (container && container->is_frozen)
        freezer_release_below(cgroup_leaf_directory(leaf));
}

void cell_leaf_freeze(CgroupLeaf *leaf, bool frozen)
{
    int result = cgroup_leaf_freeze(leaf, frozen);
    if (result < 0)
        log_error("cannot %s a cgroup: %s", frozen ? "freeze" : "thaw", strerror(-result));
}

static void kill_all(Cell *cell)
{
    cell_leaf_kill(cell->leaf, cell->container);
}

static void freeze(Cell *cell, bool frozen)
{
    cell_leaf_freeze(cell->leaf, frozen);
}

static void done(Cell *cell)
{
    if (cell->is_watched)
        (void)epoll_ctl(cell->block->watch_fd, EPOLL_CTL_DEL, cell->leaf->events_fd, NULL);
    cgroup_leaf_release(cell->leaf);
}

const CellKind cell_kind_cgroup = {
    .start = start,
    .parted = parted,
    .signal = send_signal,
    .signal_all = send_signal_to_all,
    .kill = kill_all,
    .freeze = freeze,
    .done = done,
};
