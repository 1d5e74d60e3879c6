/*
 * See pidref.h.
 */
#include "base/pidref.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

int pidref_open(pid_t pid, PidRef *ret)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    *ret = (PidRef){.pid = pid, .pidfd = pidfd};
    return 0;
}

int pidref_of_pidfd_take(int pidfd, PidRef *ret)
{
    _cleanup_fd_ int owned = pidfd;
    _cleanup_free_ char *text = NULL;
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", owned);
    int result = fd_read_file(-1, path, 4096, &text, NULL);
    if (result < 0)
        return result;
    const char *line = strstr(text, "\nPid:");
    long pid = line ? strtol(line + 5, NULL, 10) : 0;
    if (pid <= 0)
        return -ESRCH;
    *ret = (PidRef){.pid = (pid_t)pid, .pidfd = TAKE_FD(owned)};
    return 0;
}

void pidref_done(PidRef *process)
{
    process->pid = 0;
    process->pidfd = fd_close(process->pidfd);
}

int pidref_kill(const PidRef *process, int signal_number)
{
    if (syscall(SYS_pidfd_send_signal, process->pidfd, signal_number, NULL, 0) < 0)
        return -errno;
    return 0;
}

int pidref_verify(const PidRef *process)
{
    int result = pidref_kill(process, 0);
    return result == -EPERM ? 0 : result; /* there, but not ours to signal */
}

int pidref_fork(PidRef *ret, int cgroup_fd)
{
    int pidfd = -EBADF;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };

    if (cgroup_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup_fd;
    }
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0)
        return -errno;
    if (pid == 0)
        return 0;
    *ret = (PidRef){.pid = (pid_t)pid, .pidfd = pidfd};
    return 1;
}
