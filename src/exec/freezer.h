/*
 * All of a container at once: frozen, thawed, ended, by the cgroups that its engine made for it.
 *
 * Version 1 has a freezer hierarchy (freezer.state), cgroup2 has cgroup.freeze and cgroup.kill.
 * Only the container's own directory is ever written to, never one above it: it is opened once,
 * after a look at whether it is named after the container, whether the container's first process
 * lives in it, and whether we do not.
 *
 * A frozen process of version 1 does not die of a KILL before it is thawed. Facts: cgroups(7),
 * Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst.
 */
#pragma once

#include "exec/container.h"

typedef struct FreezerPlace {
    int fd;                        /* the directory; -EBADF: the container has none of its own */
    const ContainerCgroup *cgroup; /* of the container, which must be kept (container_use()) */
} FreezerPlace;

typedef struct Freezer {
    FreezerPlace old, unified;
} Freezer;

#define FREEZER_EMPTY ((Freezer){.old.fd = -EBADF, .unified.fd = -EBADF})

/* What there is of the two, perhaps nothing. 0, or 1 with the reason in `why`. */
int freezer_open(const Container *container, Freezer *ret, char why[static CONTAINER_WHY_MAX]);
void freezer_done(Freezer *freezer);
bool freezer_has_any(const Freezer *freezer);

/* Nothing in it runs, as soon as freezer_is_frozen(); or it goes on. 0 or -errno. */
int freezer_set(const Freezer *freezer, bool frozen);
bool freezer_is_frozen(const Freezer *freezer);

/* KILL to all that is in it, first of all to the container's init (of which all in its pid
 * namespace dies). To be repeated until freezer_count() is 0: a frozen one is thawed by it, and
 * `round` counts from 0. */
void freezer_kill(const Freezer *freezer, const Container *container, unsigned round);
/* Processes in it, counted to a few thousand. */
unsigned freezer_count(const Freezer *freezer);

/* All that are in and below this directory of cgroup2, out of whatever freezer of version 1 they
 * are in, so that they can die. */
void freezer_release_below(int directory_fd);
