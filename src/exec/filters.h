/*
 * The seccomp filters of another process, read and put on oneself: a command that is mirrored into
 * a container lives under the filters that its caller lives under.
 *
 * Facts: ptrace(2) PTRACE_SECCOMP_GET_FILTER (needs CAP_SYS_ADMIN in the first user namespace, and
 * the other stopped), seccomp(2). Filters are counted from the oldest, each is inherited, and none
 * can be taken off again: of two processes of one container with equally many, both have the
 * container's.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"

#define FILTERS_MAX 8u
/* All instructions together; one filter has at most 4096 (BPF_MAXINSNS). */
#define FILTERS_INSTRUCTIONS_MAX (8u * 4096)

typedef struct Filters {
    unsigned n;
    unsigned sizes[FILTERS_MAX];      /* instructions of each */
    struct sock_filter *instructions; /* owned: one filter after the other, oldest first */
} Filters;

#define FILTERS_EMPTY ((Filters){.n = 0})

void filters_done(Filters *filters);

/* Reads the filters of a process, all but the oldest `skip`, of which it has `count` in all. It is
 * stopped for some microseconds; that can take for ever where it is frozen. 0, -E2BIG, -ESRCH,
 * -EPERM when somebody else traces it, -errno. */
int filters_read(pid_t pid, unsigned skip, unsigned count, Filters *ret);

/* Puts them on this process. Needs no_new_privs or CAP_SYS_ADMIN. 0 or -errno. */
int filters_install(const Filters *filters);

void filters_encode(Buffer *buffer, const Filters *filters);
/* 0, -ENOMEM or -EPROTO. */
int filters_decode(Reader *reader, Filters *ret);
