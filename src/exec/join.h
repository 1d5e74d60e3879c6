/*
 * The joiner: a runner that goes into a caller's container.
 *
 * A fresh runner joins (join_container) as root, on the executor's word alone and before any caller
 * is known: it moves into the container's cgroups, takes its namespaces and its root directory, and
 * puts its seccomp filters on. It stays in our own pid namespace, where nobody in the container can
 * see or signal it. When it has become the caller (become.h), it leaves for the container's pid
 * namespace (join_leave): a second process takes over with the same memory and descriptors, as a
 * child of the executor too, and the first only ends. So no process with any privilege is ever
 * visible in the container, and no hostile byte is read by one that is not in it.
 *
 *   executor → runner   JOIN     right after its start; one descriptor: the container's root
 *   runner   → executor FILTERS  only when asked for: those of the container's init
 *                       UNFIT    the container's filters forbid what a runner must do: it ends, and
 *                                the next one puts them on later (`late`)
 *                       JOINED   it waits for an assignment
 *            (ASSIGN, GO as ever)
 *                       LEFT     with the pidfd of the second process; then the first ends
 *            (PREPARED … from the second)
 *
 * Facts: setns(2) with a pidfd (Linux 5.8), pid_namespaces(7): it holds for children only, which
 * CLONE_PARENT makes siblings; set_tid_address(2): the word is cleared when the process has left
 * its memory for good.
 */
#pragma once

#include "exec/filters.h"
#include "exec/runner.h"

#define JOIN_CGROUPS_MAX 24u
/* The shims of a container: it is told of them in one message, and each is taken away for a
 * command. More are refused when a jail is put into it (install.h), or when its mounts are read. */
#define JOIN_SHIMS_MAX 2048u
#define JOIN_SHIMS_SIZE_MAX (128u << 10) /* of their paths: less than a socket's buffer */
#define JOIN_LABEL_MAX 256u

/* The container, as RUNNER_JOIN carries it. Strings point into the message. */
typedef struct JoinOrder {
    pid_t init;
    uint32_t namespaces; /* CLONE_NEW… of those that are not ours */
    uint64_t bounding;   /* capabilities that the container's init could have */
    bool late;           /* the filters are put on when the ids have been taken */
    bool want_filters;   /* they are not known yet */
    unsigned n_filters;  /* of the init */
    Filters filters;
    const char *label; /* of the Linux security module; "": none to take */
    const char *cgroups[JOIN_CGROUPS_MAX];
    unsigned n_cgroups;
    const char *shims[JOIN_SHIMS_MAX]; /* where they are mounted over programs */
    unsigned n_shims;
} JoinOrder;

void join_order_encode(Buffer *buffer, const JoinOrder *order);
/* 0, -ENOMEM or -EPROTO. */
int join_order_decode(const char *payload, size_t size, JoinOrder *ret);

/* What a runner keeps of it. */
typedef struct Joined {
    bool is_joined;
    bool is_private; /* in a mount namespace of its own (originals.h) */
    unsigned n_filters;
    Filters late, extra; /* still to be put on */
    int oom_fd;          /* /proc/self/oom_score_adj, which the container does not have */
} Joined;

/* The whole joining. `control_fd` is for FILTERS and UNFIT. 0 or -errno, with the step's name. */
int join_container(const RunnerOrigin *origin, const JoinOrder *order, int root_fd, int control_fd,
                   Joined *ret, const char **ret_step);

/* Before the ids go: the filters that the caller has beside its container's. 0 or -errno. */
int join_read_extra(Joined *joined, const Identity *caller);

/* Puts on what is left of the filters: `privileged`, while the ids are the caller's and the
 * capabilities still ours, or at the very end under no_new_privs. 0 or -errno. */
int join_install(Joined *joined, const Identity *caller, bool privileged);

/* Returns 0 in the second process, on the same stack; -errno when there is none. */
int join_leave(int control_fd);
/* What the second process does first: it dies with the executor, has a process group of its own,
 * and names files by the container's /proc. 0, -ENOTTY when that is no real one, -errno. */
int join_settle(void);
