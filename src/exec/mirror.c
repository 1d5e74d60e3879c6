/*
 * See mirror.h.
 */
#include "exec/mirror.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "exec/container-private.h"
#include "exec/join.h"

/* Containers that have a spare at the same time. */
#define SPARES_MAX 16u

bool mirror_is_possible(const CellBlock *block, char why[static CONTAINER_WHY_MAX])
{
    if (block->kind != &cell_kind_cgroup)
        (void)container_refuse(why,
                               "commands run in containers only where the warden has a cgroup2 "
                               "file system that it can write to");
    else if (block->image_fd < 0)
        (void)container_refuse(why, "commands run in containers only where the runner is a program "
                                    "of its own, which this build or machine lacks");
    else
        return true;
    return false;
}

/* CLONE_NEW… of the namespaces that are not ours. */
static uint32_t foreign_namespaces(const Container *container)
{
    static const uint32_t flags[WORLD_NAMESPACES] = {CLONE_NEWNS,     CLONE_NEWPID, CLONE_NEWUSER,
                                                     CLONE_NEWNET,    CLONE_NEWIPC, CLONE_NEWUTS,
                                                     CLONE_NEWCGROUP, CLONE_NEWTIME};
    uint32_t result = 0;

    for (size_t i = 0; i < WORLD_NAMESPACES; i++) {
        if (!namespace_is_same(&container->world, container->table->self, i))
            result |= flags[i];
    }
    return result;
}

/* Version 1 only: in cgroup2 the request's own leaf is where the runner was born. */
static void name_cgroups(const Container *container, JoinOrder *order)
{
    for (size_t i = 0; i < container->n_cgroups && order->n_cgroups < JOIN_CGROUPS_MAX; i++) {
        const ContainerCgroup *cgroup = &container->cgroups[i];
        if (cgroup->hierarchy[0] && cgroup->directory)
            order->cgroups[order->n_cgroups++] = cgroup->directory;
    }
}

int mirror_join(Cell *cell, Container *container, bool late)
{
    const Identity *first = &container->first;
    JoinOrder order = {.init = container->init.pid,
                       .namespaces = foreign_namespaces(container),
                       .bounding = first->cap_bounding,
                       .late = late || container->filters_late,
                       .want_filters = !container->are_filters_known,
                       .n_filters = first->seccomp_filters,
                       .label = ""};
    Buffer message = BUFFER_EMPTY(RUNNER_MESSAGE_MAX);

    cell->container = container_use(container);
    cell->is_joining = true;
    if (container->are_filters_known)
        order.filters = container->filters;
    if (strcmp(first->confinement, container->table->confinement) != 0)
        order.label = first->confinement;
    name_cgroups(container, &order);
    for (size_t i = 0; i < container->n_shims && order.n_shims < JOIN_SHIMS_MAX; i++)
        order.shims[order.n_shims++] = container->shims[i];
    buffer_put_u8(&message, RUNNER_JOIN);
    join_order_encode(&message, &order);
    ssize_t sent = message.error < 0 ? message.error
                                     : fd_send(cell->control_fd, message.bytes, message.size,
                                               &container->root_fd, 1, MSG_DONTWAIT);
    buffer_done(&message);
    return sent < 0 ? (int)sent : 0;
}

static bool take_filters(Container *container, const char *payload, size_t size)
{
    Reader reader = reader_of(payload, size);
    Filters filters = FILTERS_EMPTY;

    if (filters_decode(&reader, &filters) < 0)
        return false;
    if (!reader_done(&reader) || filters.n != container->first.seccomp_filters ||
        container->are_filters_known) {
        filters_done(&filters);
        return true; /* another runner was asked, too */
    }
    container->filters = filters;
    container->are_filters_known = true;
    return true;
}

/* Has it a mount namespace of its own? Its command may call shims from there. False: out of memory.
 */
static bool note_mounts(Cell *cell)
{
    struct stat status;
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/ns/mnt", cell->child.pid);
    if (cell->mounts.inode != 0 || stat(path, &status) < 0 ||
        (status.st_dev == cell->container->world.namespaces[WORLD_MNT].device &&
         status.st_ino == cell->container->world.namespaces[WORLD_MNT].inode))
        return true;
    cell->mounts = (PrivateMounts){.device = status.st_dev, .inode = status.st_ino};
    return container_add_mounts(cell->container, cell->mounts) == 0;
}

/* The second process has taken over. It must be a child of ours. */
static bool take_second(Cell *cell, FdReceived *received)
{
    siginfo_t status = {.si_pid = 0};
    PidRef second = PIDREF_EMPTY;

    if (received->n_fds != 1 || pidref_of_pidfd_take(TAKE_FD(received->fds[0]), &second) < 0)
        return false;
    received->n_fds = 0;
    if (waitid(P_PIDFD, (id_t)second.pidfd, &status, WEXITED | WNOHANG | WNOWAIT) < 0) {
        pidref_done(&second);
        return false;
    }
    cell->first = cell->child;
    cell->child = second;
    cell->pid = second.pid;
    cell->is_joining = false;
    return note_mounts(cell); /* the first may have been gone before it could be looked at */
}

static void on_spare_failed(Cell *cell, const char *payload, size_t size)
{
    Reader reader = reader_of(payload, size);

    (void)reader_u8(&reader);
    if (cell->container->spare == cell) { /* not one that was dropped as unfit */
        log_warning("container %.12s: %.200s", cell->container->id, reader_string(&reader));
        mirror_drop_spare(cell->container);
    }
}

bool mirror_heard(Cell *cell, uint8_t type, const char *payload, size_t size, FdReceived *received)
{
    bool is_good = true;

    if (!cell->is_joining)
        return false;
    switch (type) {
    case RUNNER_FILTERS:
        is_good = take_filters(cell->container, payload, size);
        break;
    case RUNNER_UNFIT:
        cell->container->filters_late = true;
        if (cell->container->spare == cell)
            mirror_drop_spare(cell->container);
        break;
    case RUNNER_JOINED:
        is_good = note_mounts(cell);
        cell->container->has_spares_that_join |= cell->container->spare == cell;
        break;
    case RUNNER_LEFT:
        is_good = take_second(cell, received);
        break;
    case RUNNER_FAILED:
        if (cell->userdata)
            return false;
        on_spare_failed(cell, payload, size);
        break;
    default:
        is_good = false;
        break;
    }
    if (!is_good) {
        log_error("a runner broke its protocol while it joined container %.12s",
                  cell->container->id);
        cell_kill(cell);
    }
    return true;
}

void mirror_drop_spare(Container *container)
{
    Cell *spare = TAKE_PTR(container->spare);
    if (spare)
        cell_kill(spare);
}

Cell *mirror_take_spare(Container *container, const Identity *caller)
{
    if (caller->seccomp_filters > container->first.seccomp_filters && !container->filters_late) {
        container->filters_late = true; /* from now on spares are made for such callers */
        mirror_drop_spare(container);
    }
    container->wants_spare = true;
    container->spare_used_ms = clock_monotonic_ms();
    /* The first one may still turn out unfit. */
    return container->has_spares_that_join ? TAKE_PTR(container->spare) : NULL;
}

/* The one whose spare was used longest ago gives it up when there are too many. */
static void make_room(const Containers *table)
{
    Container *oldest = NULL;
    unsigned n = 0;

    for (Container *container = container_next(table, NULL); container;
         container = container_next(table, container)) {
        if (!container->spare)
            continue;
        n++;
        if (!oldest || container->spare_used_ms < oldest->spare_used_ms)
            oldest = container;
    }
    if (n >= SPARES_MAX)
        mirror_drop_spare(oldest);
}

void mirror_refill(CellBlock *block)
{
    for (Container *container = block->containers ? container_next(block->containers, NULL) : NULL;
         container; container = container_next(block->containers, container)) {
        if (container->spare || !container->wants_spare)
            continue;
        container->wants_spare = false;
        make_room(block->containers);
        (void)cell_start_joined(block, container, true, &container->spare);
    }
}

void mirror_release(Cell *cell)
{
    Container *container = TAKE_PTR(cell->container);

    if (pidref_is_set(&cell->first)) /* it has ended long ago: nothing is left in the leaf */
        (void)waitid(P_PIDFD, (id_t)cell->first.pidfd, &(siginfo_t){.si_pid = 0},
                     WEXITED | WNOHANG);
    pidref_done(&cell->first);
    if (!container)
        return;
    if (container->spare == cell)
        container->spare = NULL;
    if (cell->mounts.inode != 0)
        container_remove_mounts(container, cell->mounts);
    container_let_go(container);
}
