/*
 * See cell.h: what both kinds share.
 */
#include "exec/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "exec/descendants.h"
#include "exec/image.h"
#include "exec/mirror.h"

/* More at once than any machine runs commands. */
#define CELLS_MAX 4096u
/* Descriptors of one cell (control, pidfds, leaf or lead) and those of a request on its way in. */
#define CELL_FDS 7u
#define OTHER_FDS 800u
/* A spare is started this long after one was taken, or soon after a command has ended: its caller's
 * end comes first, and would wait for the same locks and processors. */
#define REFILL_MS 20
#define REFILL_SOON_MS 1
#define REFILL_LATE_MS 500
/* A command that ends within this time costs no round of its own for its start. */
#define QUIET_MS 3
#define ORPHANS_MS 20
#define CLOSE_MS 2000
/* A share may have at least this many dying cells beside its living ones. */
#define DYING_MIN 4u

/* Its runner was killed after it had made its keeper and before it could say so. */
static void end_unknown_keeper(const CellBlock *block)
{
    _cleanup_free_ pid_t *known = calloc(2 * (size_t)block->n_cells + 1, sizeof *known);
    size_t n_known = 0;

    if (!known)
        return;
    for (const Cell *cell = block->cells; cell; cell = cell->next) {
        known[n_known++] = cell->child.pid;
        known[n_known++] = keeper_pid(cell->keeper);
    }
    keepers_end_unknown(block->loop, known, n_known);
}

static void release(Cell *cell)
{
    CellBlock *block = cell->block;

    if (block->spare == cell)
        block->spare = NULL;
    *cell->link = cell->next;
    if (cell->next)
        cell->next->link = cell->link;
    block->n_cells--;
    if (cell->share) {
        cell->share->n_cells--;
        cell->share->n_dying -= cell->is_dying;
    }
    if (event_initialized(&cell->control_event))
        (void)event_del(&cell->control_event);
    if (event_initialized(&cell->child_event))
        (void)event_del(&cell->child_event);
    block->kind->done(cell);
    mirror_release(cell);
    pidref_done(&cell->child);
    fd_close(cell->control_fd);
    (void)(block->closing ? keeper_end(cell->keeper) : keeper_end_soon(cell->keeper));
    if (cell->tells_keeper)
        end_unknown_keeper(block);
    free(cell);
}

void cell_has_exited(Cell *cell, uint8_t kind, uint8_t value, unsigned left)
{
    cell->has_exited = true;
    if (cell->userdata)
        cell->block->handlers->exited(cell, kind, value, left, cell->userdata);
    else if (left > 0)
        cell_kill(cell);
}

void cell_is_empty(Cell *cell)
{
    if (cell->userdata)
        cell->block->handlers->empty(cell, cell->userdata);
    release(cell);
}

void cell_part(Cell *cell)
{
    if (cell->has_parted)
        return;
    cell->has_parted = true;
    (void)event_del(&cell->control_event);
    if (event_initialized(&cell->child_event))
        (void)event_del(&cell->child_event);
    cell->control_fd = fd_close(cell->control_fd);
    cell->block->kind->parted(cell);
    if (cell->userdata)
        cell->block->handlers->parted(cell, cell->userdata);
}

/* Only as its first word, which it says before it has read a hostile byte. */
static bool take_keeper(Cell *cell, uint8_t type, FdReceived *received)
{
    if (!cell->tells_keeper)
        return false;
    cell->tells_keeper = false;
    if (type == RUNNER_KEPT && received->n_fds == 1) {
        cell->keeper = keeper_take(cell->block->loop, received->fds[0]);
        received->n_fds = 0;
    }
    return type == RUNNER_KEPT;
}

void cell_drain_control(Cell *cell)
{
    char message[RUNNER_ANSWER_MAX];
    FdReceived received;

    while (!cell->has_parted) {
        ssize_t size =
            fd_receive(cell->control_fd, message, sizeof message, &received, MSG_DONTWAIT);
        bool is_dealt_with = size > 0 && (take_keeper(cell, (uint8_t)message[0], &received) ||
                                          mirror_heard(cell, (uint8_t)message[0], message + 1,
                                                       (size_t)size - 1, &received));
        fd_received_done(&received);
        if (is_dealt_with)
            continue;
        if (size == -EAGAIN || size == -EINTR) {
            if (!event_pending(&cell->control_event, EV_READ, NULL))
                (void)event_add(&cell->control_event, NULL); /* it was quiet (cell_run_quietly) */
            return;
        }
        if (size <= 0 && cell->pid == 0) {
            (void)event_del(&cell->control_event); /* first its supervisor must say who it is */
            return;
        }
        if (size <= 0)
            cell_part(cell);
        else if (cell->userdata)
            cell->block->handlers->said(cell, (uint8_t)message[0], message + 1, (size_t)size - 1,
                                        cell->userdata);
    }
}

static void on_control(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    cell_drain_control(userdata);
}

/* A spare that joins no container has time to make itself a keeper. */
static void tell_origin(Cell *cell)
{
    const RunnerOrigin *origin = &cell->block->origin;
    int home_fd = cgroup_tree_home(cell->block->tree);

    cell->tells_keeper = origin->is_spare && !origin->joins && home_fd >= 0;
    (void)fd_send(cell->control_fd, origin, sizeof *origin, &home_fd, cell->tells_keeper, 0);
}

int cell_start(CellBlock *block, CgroupTree *tree, Cell **ret)
{
    int pair[2];

    if (block->closing || block->n_cells >= block->cells_max)
        return -EAGAIN;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    _cleanup_fd_ int theirs = pair[1];
    _cleanup_fd_ int ours = pair[0];
    Cell *cell = calloc(1, sizeof *cell);
    if (!cell)
        return -ENOMEM;
    cell->block = block;
    cell->tree = tree;
    cell->child = cell->first = PIDREF_EMPTY;
    cell->lead_fd = -EBADF;
    int result = block->kind->start(cell, theirs);
    if (result < 0) {
        free(cell);
        return result;
    }
    cell->control_fd = TAKE_FD(ours);
    if (cell->is_image) /* when it cannot be told it ends, and that is noticed */
        tell_origin(cell);
    (void)event_assign(&cell->control_event, block->loop, cell->control_fd, EV_READ | EV_PERSIST,
                       on_control, cell);
    (void)event_add(&cell->control_event, NULL);
    cell->next = block->cells;
    cell->link = &block->cells;
    if (cell->next)
        cell->next->link = &cell->next;
    block->cells = cell;
    block->n_cells++;
    *ret = cell;
    return 0;
}

int cell_start_joined(CellBlock *block, Container *container, bool is_spare, Cell **ret)
{
    block->origin.joins = true;
    block->origin.is_spare = is_spare;
    int result = cell_start(block, container->tree ? container->tree : block->tree, ret);
    block->origin.joins = block->origin.is_spare = false;
    if (result < 0 || !*ret)
        return result;
    result = mirror_join(*ret, container, !is_spare);
    if (result < 0) {
        cell_kill(*ret);
        *ret = NULL;
    }
    return result;
}

void cell_block_refill(CellBlock *block)
{
    mirror_refill(block);
    if (block->spare || block->closing || block->n_cells >= block->cells_max)
        return;
    block->origin.is_spare = true;
    (void)cell_start(block, block->tree, &block->spare);
    block->origin.is_spare = false;
}

void cell_block_refill_soon(CellBlock *block)
{
    const struct timeval soon = {.tv_usec = REFILL_SOON_MS * 1000};

    (void)event_add(&block->refill_event, &soon);
}

void cell_block_refill_late(CellBlock *block)
{
    const struct timeval late = {.tv_usec = REFILL_LATE_MS * 1000};

    (void)event_add(&block->refill_event, &late);
}

static void on_refill(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    CellBlock *block = userdata;

    for (Cell *cell = block->cells; cell; cell = cell->next) {
        if (cell->has_parted)
            cell->keeper = keeper_end(cell->keeper);
    }
    cell_block_refill(block);
}

/* Shares. */
unsigned cell_share_most(const CellBlock *block, const CellShare *share)
{
    return share->most < block->cells_max / 2 ? share->most : block->cells_max / 2;
}

bool cell_share_is_full(const CellBlock *block, const CellShare *share)
{
    return share->n_cells - share->n_dying >= cell_share_most(block, share);
}

bool cell_share_has_room(const CellBlock *block, const CellShare *share)
{
    unsigned most = cell_share_most(block, share);
    unsigned beside = most / 2 < DYING_MIN ? DYING_MIN : most / 2;

    return (block->spare || block->n_cells < block->cells_max) && share->n_cells < most + beside;
}

void cell_count_as_dying(Cell *cell)
{
    if (cell->share && !cell->is_dying) {
        cell->is_dying = true;
        cell->share->n_dying++;
    }
}

static void take(CellBlock *block, CellShare *share, Cell *cell, void *userdata)
{
    const struct timeval later = {.tv_usec = REFILL_MS * 1000};

    cell->userdata = userdata;
    cell->share = share;
    share->n_cells++;
    (void)event_add(&block->refill_event, &later);
}

int cell_take(CellBlock *block, CellShare *share, void *userdata, Cell **ret)
{
    *ret = TAKE_PTR(block->spare);
    int result = *ret ? 0 : cell_start(block, block->tree, ret);
    if (result < 0 || !*ret)
        return result;
    take(block, share, *ret, userdata);
    return 0;
}

int cell_take_joined(CellBlock *block, CellShare *share, Container *container,
                     const Identity *caller, void *userdata, Cell **ret)
{
    *ret = mirror_take_spare(container, caller);
    int result = *ret ? 0 : cell_start_joined(block, container, false, ret);
    if (result < 0 || !*ret)
        return result;
    take(block, share, *ret, userdata);
    return 0;
}

int cell_send(Cell *cell, uint8_t type, const void *payload, size_t size)
{
    Buffer message = BUFFER_EMPTY(RUNNER_MESSAGE_MAX);

    if (cell->has_parted)
        return -EPIPE;
    buffer_put_u8(&message, type);
    buffer_put(&message, payload, size);
    ssize_t sent = message.error < 0 ? message.error
                                     : fd_send(cell->control_fd, message.bytes, message.size, NULL,
                                               0, MSG_DONTWAIT);
    buffer_done(&message);
    return sent < 0 ? (int)sent : 0;
}

int cell_send_fd(Cell *cell, uint8_t type, int fd)
{
    if (cell->has_parted)
        return -EPIPE;
    ssize_t sent = fd_send(cell->control_fd, &type, sizeof type, &fd, 1, MSG_DONTWAIT);
    return sent < 0 ? (int)sent : 0;
}

/* It has ended, or runs for longer. */
static void on_quiet_end(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    cell_drain_control(userdata);
}

void cell_expect_end(Cell *cell)
{
    if (cell->has_parted || cell->block->kind != &cell_kind_cgroup)
        return;
    (void)event_assign(&cell->child_event, cell->block->loop, cell->child.pidfd, EV_READ,
                       on_quiet_end, cell);
    (void)event_add(&cell->child_event, NULL);
}

void cell_run_quietly(Cell *cell)
{
    const struct timeval quiet = {.tv_usec = QUIET_MS * 1000};

    if (!cell->has_parted && event_initialized(&cell->child_event) &&
        event_add(&cell->child_event, &quiet) == 0)
        (void)event_del(&cell->control_event);
}

pid_t cell_pid(Cell *cell)
{
    return cell->pid;
}

void cell_signal(Cell *cell, int signal_number, bool group)
{
    if (!cell->has_exited)
        cell->block->kind->signal(cell, signal_number, group);
}

void cell_signal_all(Cell *cell, int signal_number)
{
    cell->block->kind->signal_all(cell, signal_number);
}

void cell_kill(Cell *cell)
{
    cell_count_as_dying(cell);
    cell->block->kind->kill(cell);
}

void cell_freeze(Cell *cell, bool frozen)
{
    cell->block->kind->freeze(cell, frozen);
}

void cell_abandon(Cell *cell)
{
    cell->userdata = NULL;
    cell_kill(cell);
}

/* Emptiness of leaves. cgroup.events is always readable; only POLLPRI tells a change, which the
 * loop library cannot wait for, so an epoll of our own stands between. */
static void on_watch(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    CellBlock *block = userdata;
    struct epoll_event events[16];

    int n = epoll_wait(block->watch_fd, events, ARRAY_SIZE(events), 0);
    for (int i = 0; i < n; i++) {
        Cell *cell = events[i].data.ptr;
        if (cgroup_leaf_is_populated(cell->leaf) == 0)
            cell_is_empty(cell);
    }
}

/* Without cgroups: what a killed supervisor was responsible for is our child now. */
static void on_orphans(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    CellBlock *block = userdata;
    const struct timeval again = {.tv_usec = ORPHANS_MS * 1000};
    _cleanup_free_ pid_t *known = calloc(block->n_cells + 1, sizeof *known);
    size_t n_known = 0;
    siginfo_t status = {.si_pid = 0};

    if (!known)
        return;
    for (const Cell *cell = block->cells; cell; cell = cell->next)
        known[n_known++] = cell->child.pid;
    while (waitid(P_ALL, 0, &status, WEXITED | WNOHANG | WNOWAIT) == 0 && status.si_pid > 0) {
        bool is_known = false;
        for (size_t i = 0; i < n_known; i++)
            is_known = is_known || known[i] == status.si_pid;
        if (is_known)
            break; /* its own event reaps it first */
        (void)waitid(P_PID, (id_t)status.si_pid, &status, WEXITED | WNOHANG);
        status.si_pid = 0;
    }
    if (descendants_kill(getpid(), known, n_known) != 0)
        (void)event_add(&block->orphans_event, &again);
}

static unsigned cells_for(rlim_t n_files)
{
    if (n_files == RLIM_INFINITY || n_files > CELLS_MAX * CELL_FDS + OTHER_FDS)
        return CELLS_MAX;
    return n_files > OTHER_FDS + 8 * CELL_FDS ? (unsigned)((n_files - OTHER_FDS) / CELL_FDS) : 8;
}

/* The kind: cgroups where root can have them. */
static int choose_kind(CellBlock *block, const char *run_dir, bool no_cgroup)
{
    int result = no_cgroup ? -ENOENT : cgroup_tree_new(&block->tree, run_dir);

    if (result == 0) {
        block->kind = &cell_kind_cgroup;
        block->watch_fd = epoll_create1(EPOLL_CLOEXEC);
        if (block->watch_fd < 0)
            return -errno;
        (void)event_assign(&block->watch_event, block->loop, block->watch_fd, EV_READ | EV_PERSIST,
                           on_watch, block);
        return event_add(&block->watch_event, NULL) < 0 ? -ENOMEM : 0;
    }
    block->kind = &cell_kind_supervised;
    if (!no_cgroup)
        log_warning("no usable cgroup2 (%s): a supervisor process stands in for each request's "
                    "cgroup",
                    strerror(-result));
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Runners are a program of their own where that works. */
static void try_image(CellBlock *block)
{
    int result = block->image_fd = image_open();
    if (result >= 0) {
        cell_block_refill(block);
        if (block->spare)
            return;
        result = -ENOEXEC;
    }
    if (result != -ENOENT)
        log_warning("the runner cannot be started as a program (%s): runners are forked",
                    strerror(-result));
    block->image_fd = fd_close(block->image_fd);
}

int cell_block_new(CellBlock **ret, struct event_base *loop, const RunnerOrigin *origin,
                   const char *run_dir, bool no_cgroup, bool no_image, const CellHandlers *handlers)
{
    CellBlock *block = calloc(1, sizeof *block);
    if (!block)
        return -ENOMEM;
    *block = (CellBlock){.loop = loop,
                         .handlers = handlers,
                         .origin = *origin,
                         .watch_fd = -EBADF,
                         .image_fd = -EBADF,
                         .cells_max = cells_for(origin->executor.limits[RLIMIT_NOFILE].rlim_cur)};
    (void)event_assign(&block->refill_event, loop, -1, 0, on_refill, block);
    (void)event_assign(&block->orphans_event, loop, -1, 0, on_orphans, block);
    int result = choose_kind(block, run_dir, no_cgroup);
    if (result < 0) {
        (void)cell_block_free(block);
        return result;
    }
    if (!no_image && block->kind == &cell_kind_cgroup)
        try_image(block);
    cell_block_refill(block);
    *ret = block;
    return 0;
}

CellBlock *cell_block_free(CellBlock *block)
{
    uint64_t end = clock_monotonic_ms() + CLOSE_MS;

    if (!block)
        return NULL;
    block->closing = true;
    for (Cell *cell = block->cells, *next; cell; cell = next) {
        next = cell->next;
        cell_abandon(cell);
    }
    while (block->cells && clock_monotonic_ms() < end) {
        const struct timeval wait = {.tv_usec = 50000};
        (void)event_base_loopexit(block->loop, &wait);
        (void)event_base_loop(block->loop, EVLOOP_ONCE);
    }
    while (block->cells)
        release(block->cells);
    (void)event_del(&block->refill_event);
    (void)event_del(&block->orphans_event);
    if (block->watch_fd >= 0)
        (void)event_del(&block->watch_event);
    fd_close(block->watch_fd);
    fd_close(block->image_fd);
    (void)cgroup_tree_free(block->tree, CLOSE_MS);
    free(block);
    return NULL;
}
