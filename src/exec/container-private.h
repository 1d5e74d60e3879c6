/*
 * Inside the executor's container table: container.c keeps it, container-read.c finds out.
 */
#pragma once

#include "exec/container.h"

enum {
    WORLD_MNT,
    WORLD_PID,
    WORLD_USER,
    WORLD_NET,
    WORLD_IPC,
    WORLD_UTS,
    WORLD_CGROUP,
    WORLD_TIME
};

struct Containers {
    struct event_base *loop;
    const World *self;
    const char *confinement;
    const CgroupTree *tree;
    bool old_kernel;
    void (*ended)(Container *container);
    Container *containers;
};

bool namespace_is_same(const World *a, const World *b, size_t which);

/* Writes the words; always 1. */
int container_refuse(char why[static CONTAINER_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Finds the init of the pid namespace that `process` lives in, and who it is. 0 or 1. */
int container_read(Container *container, const PidRef *process, const World *world,
                   char why[static CONTAINER_WHY_MAX]);
/* Its cgroups, and the name that they give it. 0 or 1. */
int container_read_cgroups(Container *container, char why[static CONTAINER_WHY_MAX]);
/* Where cgroup2 has its limits: a tree of leaves of its own. 0 or 1. */
int container_make_tree(Container *container, char why[static CONTAINER_WHY_MAX]);
/* Its mounts, when they have changed. 0 or 1. */
int container_check_mounts(Container *container, char why[static CONTAINER_WHY_MAX]);
void container_forget_shims(Container *container);
/* May this process of it have commands run? 0 or 1. */
int container_check_caller(const Container *container, const PidRef *caller,
                           const Identity *identity, const World *world,
                           char why[static CONTAINER_WHY_MAX]);
