/*
 * See become.h. Facts and traps:
 *  - setresuid(2) from 0 to another user clears the permitted, effective and ambient sets, makes
 *    the process non-dumpable as fs.suid_dumpable says, and forgets the parent-death signal: both
 *    are set again after it (capabilities(7), prctl(2)).
 *  - An exec as uid 0 would fill the permitted set from the bounding set; no_new_privs, which the
 *    executor itself has and every child inherits, keeps it from growing.
 *  - The parent-death signal survives the exec (no program gains privilege under no_new_privs): the
 *    command dies with the executor, which is the last guard when its cgroup cannot be killed.
 *  - The session keyring is inherited: without a fresh one the command would possess the keys of
 *    whoever started the warden (session-keyring(7)).
 *  - Without CAP_SYS_RESOURCE a hard limit cannot be raised and oom_score_adj not lowered: the
 *    command then gets less than its caller, never more.
 * Not copied: scheduling policy, CPU affinity, I/O priority, personality, Landlock domain (none of
 * them can be read completely, or given without the caller's help).
 */
#include "exec/become.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/disposition.h"

int become_clean(const RunnerOrigin *origin)
{
    sigset_t none;

    sigemptyset(&none);
    if (setpgid(0, 0) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    if (getppid() != origin->parent)
        return -ESRCH;
    /* It cannot be taken back, and not every caller in a container has it. */
    if (!origin->joins && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* Refused inside containers that forbid keyctl: then there is no foreign keyring either. */
    (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    return 0;
}

static void set_dispositions(uint64_t now_ignored, uint64_t wanted)
{
    for (int signal_number = 1; signal_number <= DISPOSITION_SIGNAL_MAX; signal_number++) {
        uint64_t bit = UINT64_C(1) << (signal_number - 1);
        if ((now_ignored ^ wanted) & bit)
            disposition_set(signal_number, wanted & bit);
    }
}

/* Hard limits above ours can only be raised while we are root; lowering waits for the exec, so that
 * the runner itself does not starve. */
static int raise_limits(const Identity *from, const Identity *caller)
{
    for (unsigned i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit limit = from->limits[i];
        if (caller->limits[i].rlim_max <= limit.rlim_max)
            continue;
        limit.rlim_max = caller->limits[i].rlim_max;
        if (prlimit(0, (int)i, &limit, NULL) < 0 && errno != EPERM)
            return -errno;
    }
    return 0;
}

int become_limited(const RunnerOrigin *origin, const Identity *caller)
{
    for (unsigned i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit limit = caller->limits[i], now = origin->executor.limits[i];
        if (limit.rlim_cur == now.rlim_cur && limit.rlim_max == now.rlim_max)
            continue;
        if (prlimit(0, (int)i, NULL, &now) < 0)
            return -errno;
        if (limit.rlim_max > now.rlim_max)
            limit.rlim_max = now.rlim_max;
        if (limit.rlim_cur > limit.rlim_max)
            limit.rlim_cur = limit.rlim_max;
        if (prlimit(0, (int)i, &limit, NULL) < 0)
            return -errno;
    }
    return 0;
}

/* `given_fd` >= 0 is used instead of our own /proc, which may be out of reach. */
static int set_oom_score(int given_fd, int now, int wanted)
{
    char text[16];

    if (wanted == now)
        return 0;
    int fd = given_fd >= 0 ? given_fd : open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int size = snprintf(text, sizeof text, "%d", wanted);
    ssize_t written = write(fd, text, (size_t)size);
    int result = written < 0 ? -errno : 0;
    (void)close(fd);
    return result == -EACCES && wanted < now ? 0 : result;
}

int become_bounding(const RunnerOrigin *origin, uint64_t wanted)
{
    for (uint64_t cap = 0; cap <= origin->last_cap; cap++) {
        uint64_t bit = UINT64_C(1) << cap;
        if ((origin->executor.cap_bounding & bit) && !(wanted & bit) &&
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -errno;
    }
    return 0;
}

int become_prepare(const RunnerOrigin *origin, const Identity *caller, Joined *joined,
                   const char **ret_step)
{
    const Identity *from = &origin->executor;
    int result;

    set_dispositions(from->ignored_signals, caller->ignored_signals);
    (void)umask(caller->umask);
    *ret_step = "resource limits";
    if ((result = raise_limits(from, caller)) < 0)
        return result;
    *ret_step = "niceness";
    if (caller->nice != from->nice && setpriority(PRIO_PROCESS, 0, caller->nice) < 0 &&
        caller->nice > from->nice)
        return -errno;
    *ret_step = "oom_score_adj";
    result =
        set_oom_score(joined ? joined->oom_fd : -EBADF, from->oom_score_adj, caller->oom_score_adj);
    if (result < 0 || !origin->privileged)
        return result;
    *ret_step = "the caller's seccomp filters";
    if (joined && (result = join_read_extra(joined, caller)) < 0)
        return result;
    *ret_step = "the capability bounding set";
    return become_bounding(origin, caller->cap_bounding);
}

int become_effective(uint64_t wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets) < 0)
        return -errno;
    for (unsigned i = 0; i < 2; i++)
        sets[i].effective = sets[i].permitted & (uint32_t)(wanted >> (32 * i));
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

/* The caller's own sets, less whatever the executor lacks. */
static int set_capabilities(const Identity *from, const Identity *caller)
{
    uint64_t permitted = caller->cap_permitted & from->cap_permitted;
    uint64_t effective = caller->cap_effective & permitted;
    uint64_t inheritable = caller->cap_inheritable & permitted;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    for (unsigned i = 0; i < 2; i++) {
        sets[i].permitted = (uint32_t)(permitted >> (32 * i));
        sets[i].effective = (uint32_t)(effective >> (32 * i));
        sets[i].inheritable = (uint32_t)(inheritable >> (32 * i));
    }
    if (syscall(SYS_capset, &header, sets) < 0)
        return -errno;
    uint64_t ambient = caller->cap_ambient & inheritable;
    for (unsigned long cap = 0; cap < 64 && ambient >> cap; cap++) {
        if ((ambient >> cap & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return -errno;
    }
    return 0;
}

/* In a container: whatever capabilities the caller has, whoever it is, and no_new_privs as it has
 * it. Without that only root can put filters on: so while its capabilities are still there. */
static int become_joined(const RunnerOrigin *origin, const Identity *caller, Joined *joined,
                         const char **ret_step)
{
    *ret_step = "the caller's seccomp filters";
    if (caller->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    int result = join_install(joined, caller, true);
    if (result < 0)
        return result;
    *ret_step = "the caller's capabilities";
    return set_capabilities(&origin->executor, caller);
}

int become_caller(const RunnerOrigin *origin, const Identity *caller, Joined *joined,
                  const char **ret_step)
{
    int result = 0;

    if (!origin->privileged) {
        *ret_step = "being the caller";
        return caller->uids[0] == origin->executor.uids[0] ? 0 : -EPERM;
    }
    *ret_step = "the caller's ids";
    if (joined && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    if (setgroups(caller->n_groups, caller->groups) < 0 ||
        setresgid(caller->gids[0], caller->gids[0], caller->gids[0]) < 0 ||
        setresuid(caller->uids[0], caller->uids[0], caller->uids[0]) < 0)
        return -errno;
    *ret_step = "the caller's capabilities";
    if (joined)
        result = become_joined(origin, caller, joined, ret_step);
    else if (caller->uids[0] == 0)
        result = set_capabilities(&origin->executor, caller);
    else if (setuid(0) == 0)
        result = -EPERM;
    if (result < 0)
        return result;
    *ret_step = "protection from the caller";
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    return getppid() == origin->parent ? 0 : -ESRCH;
}
