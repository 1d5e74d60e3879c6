/*
 * A process, never a bare pid: {pid, pidfd}. Facts: pidfd_open(2), pidfd_send_signal(2),
 * waitid(2) P_PIDFD.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

typedef struct PidRef {
    pid_t pid;
    int pidfd; /* owned */
} PidRef;

#define PIDREF_EMPTY ((PidRef){.pid = 0, .pidfd = -9})

/* 0, or -ESRCH when it is gone. */
int pidref_open(pid_t pid, PidRef *ret);
/* Takes a pidfd and reads the pid it names in our pid namespace from fdinfo ("Pid:").
 * -ESRCH when the process is gone or not visible here; the pidfd is closed on failure. */
int pidref_of_pidfd_take(int pidfd, PidRef *ret);
void pidref_done(PidRef *process);
static inline bool pidref_is_set(const PidRef *process)
{
    return process->pid > 0;
}
/* 0, or -ESRCH when it has been reaped. */
int pidref_kill(const PidRef *process, int signal_number);
/* 0 when still there, -ESRCH when reaped: what was read from /proc/PID before this was its own.
 * -EBADF for an empty reference. */
int pidref_verify(const PidRef *process);

/* fork(2) with a pidfd (clone3, CLONE_PIDFD). Returns 1 in the parent, 0 in the child, -errno.
 * `cgroup_fd` >= 0 starts the child in that cgroup2 directory (CLONE_INTO_CGROUP). */
int pidref_fork(PidRef *ret, int cgroup_fd);
