/*
 * See container.h: the table.
 */
#include "exec/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "exec/container-private.h"

int containers_new(Containers **ret, struct event_base *loop, const World *self,
                   const char *confinement, const CgroupTree *tree, bool old_kernel,
                   void (*ended)(Container *container))
{
    Containers *table = calloc(1, sizeof *table);
    if (!table)
        return -ENOMEM;
    *table = (Containers){.loop = loop,
                          .self = self,
                          .confinement = confinement,
                          .tree = tree,
                          .old_kernel = old_kernel,
                          .ended = ended};
    *ret = table;
    return 0;
}

static void free_container(Container *container)
{
    for (size_t i = 0; i < container->n_cgroups; i++) {
        free(container->cgroups[i].hierarchy);
        free(container->cgroups[i].path);
        free(container->cgroups[i].directory);
    }
    if (event_initialized(&container->end_event))
        (void)event_del(&container->end_event);
    pidref_done(&container->init);
    fd_close(container->root_fd);
    fd_close(container->mountinfo_fd);
    filters_done(&container->filters);
    container->tree = cgroup_tree_free(container->tree, 0);
    container_forget_shims(container);
    free(container->mounts);
    free(container);
}

Container *container_use(Container *container)
{
    container->n_users++;
    return container;
}

static void unlink_container(Container *container)
{
    Container **link = &container->table->containers;

    while (*link != container)
        link = &(*link)->next;
    *link = container->next;
}

void container_let_go(Container *container)
{
    if (--container->n_users > 0 || !container->has_ended)
        return;
    unlink_container(container);
    free_container(container);
}

Containers *containers_free(Containers *table)
{
    if (!table)
        return NULL;
    while (table->containers) {
        Container *container = table->containers;
        table->containers = container->next;
        free_container(container);
    }
    free(table);
    return NULL;
}

static void end_container(Container *container)
{
    if (container->has_ended)
        return;
    (void)container_use(container);
    container->has_ended = true;
    (void)event_del(&container->end_event);
    container->table->ended(container);
    container_let_go(container);
}

static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    end_container(userdata);
}

int container_add_mounts(Container *container, PrivateMounts mounts)
{
    PrivateMounts *grown =
        realloc(container->mounts, (container->n_mounts + 1) * sizeof *container->mounts);
    if (!grown)
        return -ENOMEM;
    container->mounts = grown;
    grown[container->n_mounts++] = mounts;
    return 0;
}

void container_remove_mounts(Container *container, PrivateMounts mounts)
{
    for (size_t i = 0; i < container->n_mounts; i++) {
        if (container->mounts[i].device != mounts.device ||
            container->mounts[i].inode != mounts.inode)
            continue;
        container->mounts[i] = container->mounts[--container->n_mounts];
        return;
    }
}

/* Has its init ended, though the loop has not told yet? */
static bool is_alive(Container *container)
{
    struct pollfd init = {.fd = container->init.pidfd, .events = POLLIN};

    if (container->has_ended)
        return false;
    if (poll(&init, 1, 0) == 0)
        return true;
    end_container(container);
    return false;
}

Container *container_next(const Containers *table, const Container *before)
{
    Container *container = before ? before->next : table->containers;
    while (container && container->has_ended)
        container = container->next;
    return container;
}

Container *container_find(const Containers *table, const char *id)
{
    for (Container *container = container_next(table, NULL); container;
         container = container_next(table, container)) {
        if (strcmp(container->id, id) == 0)
            return container;
    }
    return NULL;
}

const ContainerCgroup *container_cgroup(const Container *container, const char *controller)
{
    const Piece wanted = {.at = controller, .size = strlen(controller)};

    for (size_t i = 0; i < container->n_cgroups; i++) {
        const ContainerCgroup *cgroup = &container->cgroups[i];
        const Piece hierarchy = {.at = cgroup->hierarchy, .size = strlen(cgroup->hierarchy)};
        bool is_it = wanted.size == 0 ? hierarchy.size == 0 : list_has(hierarchy, wanted);
        if (is_it && cgroup->own_size > 0 && cgroup->directory)
            return cgroup;
    }
    return NULL;
}

/* The one with this pid namespace that is alive. */
static Container *find_by_world(Containers *table, const World *world)
{
    for (Container *container = table->containers, *next; container; container = next) {
        next = container->next;
        if (!container->has_ended && namespace_is_same(&container->world, world, WORLD_PID) &&
            is_alive(container))
            return container;
    }
    return NULL;
}

static int take_up(Containers *table, const PidRef *process, const World *world, Container **ret,
                   char why[static CONTAINER_WHY_MAX])
{
    Container *container = find_by_world(table, world);
    if (container) {
        *ret = container;
        return 0;
    }
    container = calloc(1, sizeof *container);
    if (!container)
        return container_refuse(why, "out of memory");
    container->table = table;
    container->init = PIDREF_EMPTY;
    container->root_fd = container->mountinfo_fd = -EBADF;
    if (container_read(container, process, world, why) != 0 ||
        container_read_cgroups(container, why) != 0 || container_make_tree(container, why) != 0) {
        free_container(container);
        return 1;
    }
    (void)event_assign(&container->end_event, table->loop, container->init.pidfd, EV_READ, on_end,
                       container);
    (void)event_add(&container->end_event, NULL);
    container->next = table->containers;
    table->containers = container;
    log_info("container %.12s%s%s: its init is process %d", container->id,
             container->engine[0] ? " of " : "", container->engine, container->init.pid);
    *ret = container;
    return 0;
}

int container_of(Containers *table, const PidRef *caller, const Identity *identity,
                 const World *world, Container **ret, char why[static CONTAINER_WHY_MAX])
{
    Container *container = NULL;

    if (take_up(table, caller, world, &container, why) != 0 ||
        container_check_mounts(container, why) != 0 ||
        container_check_caller(container, caller, identity, world, why) != 0)
        return 1;
    *ret = container;
    return 0;
}

int containers_take_up(Containers *table, const PidRef *process, Container **ret,
                       char why[static CONTAINER_WHY_MAX])
{
    Identity identity;
    World world;

    int result = identity_read(process, &identity, &world);
    if (result < 0)
        return container_refuse(why, "the process cannot be read: %s", strerror(-result));
    if (take_up(table, process, &world, ret, why) != 0)
        return 1;
    why[0] = '\0';
    (void)container_check_mounts(*ret, why);
    return 0;
}
