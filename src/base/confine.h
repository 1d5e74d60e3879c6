/*
 * Giving up what a process does not need: users, capabilities, files, system calls, memory that
 * others may read.
 *
 * Order: confine_become() while still root, then confine_files() and confine_syscalls(). Facts:
 * capabilities(7), landlock(7), seccomp(2), PR_SET_DUMPABLE in prctl(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/process.h"

/* Becomes the user with no supplementary groups, no capabilities and no_new_privs, non-dumpable.
 * `user` NULL: stays who it is (a process without root), with the rest. Who sends descriptors keeps
 * CAP_SYS_RESOURCE: the kernel counts those in flight by user (ETOOMANYREFS, unix(7)), and root in
 * any container can be that user. After confine_syscalls() the capability raises no limit. */
int confine_become(const ProcessUser *user, bool sends_descriptors);

/* Landlock: no file may be opened but for reading below the given paths (NULL-terminated list, or
 * NULL for none). 0; 1 when this kernel has no Landlock (then nothing changed); -errno. */
int confine_files(const char *const *readable);
/* The same, and files of the open directory `own` (not those of directories in it) may be read,
 * written, created, renamed and removed as well; negative: there is none. */
int confine_files_but(const char *const *readable, int own);

/* seccomp: only what an event loop on sockets needs; the rest is EPERM, and what only an attacker
 * would try (execve, ptrace, mount, …) kills the process. `may_thread` also permits clone for
 * threads. 0; 1 when this kernel or build has none; -errno. */
int confine_syscalls(bool may_thread);

/* Sets RLIMIT_NOFILE (soft and hard, never above the current hard limit) and RLIMIT_CORE 0. */
int confine_limits(unsigned long n_files);
