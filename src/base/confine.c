/*
 * See confine.h.
 */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The permitted set has survived the change of user, the effective one has not. */
static int keep_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets) < 0)
        return -errno;
    for (unsigned i = 0; i < 2; i++) {
        sets[i].permitted &= (uint32_t)(UINT64_C(1) << capability >> (32 * i));
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) < 0 || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? -errno
                                                                                            : 0;
}

int confine_become(const ProcessUser *user, bool sends_descriptors)
{
    if (user) {
        if (prctl(PR_SET_KEEPCAPS, sends_descriptors, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
            setresgid(user->gid, user->gid, user->gid) < 0 ||
            setresuid(user->uid, user->uid, user->uid) < 0)
            return -errno;
        int result = sends_descriptors ? keep_capability(CAP_SYS_RESOURCE) : 0;
        if (result < 0)
            return result;
        if (setuid(0) == 0) /* cannot happen; a process that is still root must not go on */
            return -EPERM;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

/* All file rights of Landlock's first version; later ones only add finer refusals. */
#define LANDLOCK_RIGHTS                                                                            \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow_beneath(int ruleset, int directory_fd, uint64_t rights)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights,
                                                 .parent_fd = directory_fd};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0
               ? -errno
               : 0;
}

int confine_files(const char *const *readable)
{
    return confine_files_but(readable, -EBADF);
}

int confine_files_but(const char *const *readable, int own)
{
    struct landlock_ruleset_attr attributes = {.handled_access_fs = LANDLOCK_RIGHTS};
    _cleanup_fd_ int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (ruleset < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 1 : -errno;

    for (size_t i = 0; readable && readable[i]; i++) {
        _cleanup_fd_ int directory = open(readable[i], O_PATH | O_CLOEXEC);
        if (directory < 0)
            return -errno;
        int result = allow_beneath(ruleset, directory,
                                   LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
        if (result < 0)
            return result;
    }
    if (own >= 0) {
        int result =
            allow_beneath(ruleset, own,
                          LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                              LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                              LANDLOCK_ACCESS_FS_MAKE_REG);
        if (result < 0)
            return result;
    }
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

#ifdef CLAWRDEN_SANITIZED
int confine_syscalls(bool may_thread)
{
    (void)may_thread; /* the sanitizers' runtime needs calls that no release build makes */
    return 1;
}
#else

/* What an event loop on sockets, its allocator and libc's start-up and exit paths use. */
static const int allowed_calls[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(brk),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(dup),
    SCMP_SYS(dup3),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fcntl),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(futex),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpid),
    SCMP_SYS(getpeername),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(ioctl),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(openat),
    SCMP_SYS(pipe2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(socketpair),
    SCMP_SYS(tgkill),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(prctl),
    SCMP_SYS(statx),
    SCMP_SYS(tkill),
};

/* Nobody tries these by accident. */
static const int deadly_calls[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
};

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n_calls)
{
    for (size_t i = 0; i < n_calls; i++) {
        int result = seccomp_rule_add(filter, action, calls[i], 0);
        if (result < 0 && result != -EDOM) /* -EDOM: not a call of this architecture */
            return result;
    }
    return 0;
}

int confine_syscalls(bool may_thread)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;

    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
    int result = add_calls(filter, SCMP_ACT_ALLOW, allowed_calls, ARRAY_SIZE(allowed_calls));
    if (result == 0)
        result = add_calls(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, ARRAY_SIZE(deadly_calls));
    if (result == 0) /* limits are asked for, never set */
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                                  SCMP_A2(SCMP_CMP_EQ, 0));
    if (result == 0 && may_thread) /* a thread may follow its loop to the same processor */
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), 0);
    if (result == 0 && may_thread) {
        /* glibc falls back from clone3 to clone, whose flags a filter can read. */
        result = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, 0x00010000 /* CLONE_THREAD */, 0x00010000));
        if (result == 0)
            result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result == -ENOSYS || result == -EINVAL ? 1 : result;
}
#endif

int confine_limits(unsigned long n_files)
{
    struct rlimit files, none = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    if (files.rlim_max == RLIM_INFINITY || files.rlim_max > n_files)
        files.rlim_max = n_files;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    return 0;
}
