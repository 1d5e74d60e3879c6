/*
 * The containers that callers live in: who they are, where their cgroups are, and which processes
 * belong to them. The executor's table of them; nobody's word is taken but the kernel's.
 *
 * A container is a pid namespace one level below ours, with the process that is 1 in it (its
 * init). It is taken up when its first caller asks, or when somebody in the executor wants it by a
 * process of it (containers_take_up), and forgotten when its init has ended. It is identified by
 * its init (pidfd, start time) and named by the cgroup that its engine made for it.
 *
 * Who belongs to it: a process in its pid namespace, with its init's other namespaces and root
 * directory, and with its init's cgroups or some beneath them, in every hierarchy; a command that
 * was mirrored into it has a leaf of ours instead of the cgroup2 one. This holds only as long as
 * nobody inside can rewrite it, so a container is refused that has a cgroup file system it may
 * write to, or that has or could get CAP_SYS_ADMIN or CAP_SYS_PTRACE; and one with a user namespace
 * of its own, whose ids are not those that we see. Facts: pid_namespaces(7), cgroups(7),
 * ioctl_ns(2).
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "exec/cgroup.h"
#include "exec/container-paths.h"
#include "exec/filters.h"
#include "exec/identity.h"

#define CONTAINER_HIERARCHIES_MAX 24
#define CONTAINER_WHY_MAX IDENTITY_WHY_MAX

typedef struct Container Container;
typedef struct Containers Containers;
typedef struct Cell Cell;

typedef struct ContainerCgroup {
    char *hierarchy; /* owned: "cpu,cpuacct", "name=systemd"; "" is cgroup2 */
    char *path;      /* owned: the init's, as /proc/PID/cgroup shows it */
    size_t own_size; /* of `path`, as far as the engine made it for this container; 0: in this
                        hierarchy it has none of its own, and is where other processes are */
    char *directory; /* owned: of `path`; NULL where this hierarchy is not mounted here */
} ContainerCgroup;

/* A mount namespace that a runner of ours has made in a container for its command (originals.h). */
typedef struct PrivateMounts {
    uint64_t device, inode;
} PrivateMounts;

struct Container {
    Containers *table;
    char id[CONTAINER_ID_SIZE];
    char engine[CONTAINER_ENGINE_SIZE]; /* "docker", "podman", … or "" */
    PidRef init;
    Identity first; /* the init's */
    World world;    /* the init's */
    char **shims;   /* owned: where shims are mounted over its programs */
    size_t n_shims;
    bool are_mounts_known; /* `mountinfo_fd` has been read */
    ContainerCgroup cgroups[CONTAINER_HIERARCHIES_MAX];
    size_t n_cgroups;
    int root_fd;                 /* its root directory, O_PATH */
    int mountinfo_fd;            /* tells when its mounts change */
    char why[CONTAINER_WHY_MAX]; /* nothing may run in it; "": it may */
    struct event end_event;
    PrivateMounts *mounts; /* owned */
    size_t n_mounts;
    bool has_ended;
    bool is_frozen;   /* by the kill switch (container-orders.c) */
    unsigned n_users; /* cells and others that point here */
    CgroupTree *tree; /* owned: its requests' leaves, where cgroup2 has its limits; else NULL */
    Cell *spare;      /* join.h: a runner that has joined it */
    bool wants_spare;
    bool has_spares_that_join; /* one has */
    uint64_t spare_used_ms;
    Filters filters; /* its init's, when they are known */
    bool are_filters_known;
    bool filters_late; /* they forbid what a runner must do after them */
    Container *next;
};

/* `self` and `confinement` (the label of a security module, or "") are the executor's and must
 * outlive the table; `tree`: our own leaves in
 * cgroup2, or NULL. `old_kernel`: no ioctl to find an init.
 * `ended` is called once when a container's init has ended: it must let go of it. */
int containers_new(Containers **ret, struct event_base *loop, const World *self,
                   const char *confinement, const CgroupTree *tree, bool old_kernel,
                   void (*ended)(Container *container));
Containers *containers_free(Containers *table);

/* The container of a caller whose facts have just been read, and may it have commands run there? 0,
 * or 1 with the reason in `why`. */
int container_of(Containers *table, const PidRef *caller, const Identity *identity,
                 const World *world, Container **ret, char why[static CONTAINER_WHY_MAX]);

/* The same by any process of the container, for those who prepare or end it. The container is
 * returned too when commands may not run in it (`why` says why then). 0 or 1. */
int containers_take_up(Containers *table, const PidRef *process, Container **ret,
                       char why[static CONTAINER_WHY_MAX]);

/* A container that has been taken up and has not ended, by its whole id. NULL if there is none. */
Container *container_find(const Containers *table, const char *id);
/* The next one that has not ended, after `before` (NULL: the first). */
Container *container_next(const Containers *table, const Container *before);

/* Keeps the memory of a container, also when it has ended, until it is let go. */
Container *container_use(Container *container);
void container_let_go(Container *container);

/* Whose processes count as its own although they have other mounts. 0 or -ENOMEM. */
int container_add_mounts(Container *container, PrivateMounts mounts);
void container_remove_mounts(Container *container, PrivateMounts mounts);

/* Its cgroup in the hierarchy that has this controller ("freezer"; "" for cgroup2), if the engine
 * made one for it and it can be reached from here; else NULL. */
const ContainerCgroup *container_cgroup(const Container *container, const char *controller);
