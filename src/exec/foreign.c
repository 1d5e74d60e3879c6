/*
 * See foreign.h.
 */
#include "exec/foreign.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static uint64_t mask_in(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, 16) : 0;
}

bool foreign_handles(const PidRef *process, int signal_number)
{
    _cleanup_free_ char *status = NULL;
    char path[32];
    const uint64_t bit = UINT64_C(1) << (signal_number - 1);

    (void)snprintf(path, sizeof path, "/proc/%d/status", process->pid);
    if (fd_read_file(AT_FDCWD, path, 64 * 1024, &status, NULL) < 0)
        return false;
    return ((mask_in(status, "\nSigIgn:\t") | mask_in(status, "\nSigCgt:\t")) & bit) != 0;
}

void foreign_signal(const PidRef *process, int signal_number, bool group)
{
    /* While the pidfd is good, the number is its own. */
    if (group && getpgid(process->pid) == process->pid && pidref_verify(process) == 0)
        (void)kill(-process->pid, signal_number);
    else
        (void)pidref_kill(process, signal_number);
}

/* linux/pidfd.h of Linux 6.15; Debian 12's is older. */
typedef struct PidfdInfo {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
} PidfdInfo;
#define PIDFD_INFO_HAS_EXIT (UINT64_C(1) << 3)
#define PIDFD_INFO_GET _IOWR(0xFF, 11, PidfdInfo)

bool foreign_exit(const PidRef *process, uint8_t *ret_kind, uint8_t *ret_value)
{
    PidfdInfo info = {.mask = PIDFD_INFO_HAS_EXIT};

    if (!pidref_is_set(process) || ioctl(process->pidfd, PIDFD_INFO_GET, &info) < 0 ||
        !(info.mask & PIDFD_INFO_HAS_EXIT))
        return false;
    *ret_kind = WIFSIGNALED(info.exit_code);
    *ret_value = (uint8_t)(WIFSIGNALED(info.exit_code) ? WTERMSIG(info.exit_code)
                                                       : WEXITSTATUS(info.exit_code));
    return true;
}
