/*
 * See join.h.
 *
 * Order matters. Everything that needs the host's file system (cgroups, security label, our own
 * /proc) comes before the namespaces; the filters come last, for they are made for processes that
 * have nothing left to set up. They allow what every engine's own runtime does after it has put
 * them on (ids, capabilities), which is tried out at once.
 */
#include "exec/join.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/become.h"
#include "exec/file.h"
#include "exec/originals.h"

/* fs/proc: the root of every instance. */
#define PROC_ROOT_INODE 1

void join_order_encode(Buffer *buffer, const JoinOrder *order)
{
    buffer_put_u32(buffer, (uint32_t)order->init);
    buffer_put_u32(buffer, order->namespaces);
    buffer_put_u64(buffer, order->bounding);
    buffer_put_u8(buffer, order->late);
    buffer_put_u8(buffer, order->want_filters);
    buffer_put_u32(buffer, order->n_filters);
    filters_encode(buffer, &order->filters);
    buffer_put_string(buffer, order->label);
    buffer_put_u32(buffer, order->n_cgroups);
    for (unsigned i = 0; i < order->n_cgroups; i++)
        buffer_put_string(buffer, order->cgroups[i]);
    buffer_put_u32(buffer, order->n_shims);
    for (unsigned i = 0; i < order->n_shims; i++)
        buffer_put_string(buffer, order->shims[i]);
}

static unsigned read_strings(Reader *reader, const char **ret, unsigned most)
{
    unsigned n = reader_u32(reader);

    reader->failed |= n > most;
    for (unsigned i = 0; i < n && !reader->failed; i++)
        ret[i] = reader_string(reader);
    return reader->failed ? 0 : n;
}

int join_order_decode(const char *payload, size_t size, JoinOrder *ret)
{
    Reader reader = reader_of(payload, size);

    *ret = (JoinOrder){.init = (pid_t)reader_u32(&reader), .namespaces = reader_u32(&reader)};
    ret->bounding = reader_u64(&reader);
    ret->late = reader_u8(&reader) != 0;
    ret->want_filters = reader_u8(&reader) != 0;
    ret->n_filters = reader_u32(&reader);
    int result = filters_decode(&reader, &ret->filters);
    if (result < 0)
        return result;
    ret->label = reader_string(&reader);
    ret->n_cgroups = read_strings(&reader, ret->cgroups, JOIN_CGROUPS_MAX);
    ret->n_shims = read_strings(&reader, ret->shims, JOIN_SHIMS_MAX);
    if (reader_done(&reader))
        return 0;
    filters_done(&ret->filters);
    return -EPROTO;
}

static int write_to(int directory_fd, const char *path, const char *text)
{
    _cleanup_fd_ int fd = openat(directory_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* "0" is whoever writes (cgroups(7)). */
static int enter_cgroups(const JoinOrder *order)
{
    char path[4096 + 16];

    for (unsigned i = 0; i < order->n_cgroups; i++) {
        (void)snprintf(path, sizeof path, "%s/cgroup.procs", order->cgroups[i]);
        int result = write_to(AT_FDCWD, path, "0");
        if (result < 0)
            return result;
    }
    return 0;
}

/* The label takes effect with the next exec: the command's. AppArmor wants a word in front of it,
 * SELinux none. */
static int take_label(const char *label)
{
    char text[JOIN_LABEL_MAX + 8];

    if (!*label)
        return 0;
    (void)snprintf(text, sizeof text, "exec %s", label);
    if (write_to(AT_FDCWD, "/proc/self/attr/apparmor/exec", text) == 0)
        return 0;
    if (access("/proc/self/attr/apparmor", F_OK) == 0)
        return -EPERM;
    return write_to(AT_FDCWD, "/proc/self/attr/exec", label);
}

static int enter_namespaces(const JoinOrder *order, int root_fd)
{
    _cleanup_fd_ int init_fd = (int)syscall(SYS_pidfd_open, order->init, 0);
    if (init_fd < 0 || setns(init_fd, (int)order->namespaces) < 0 || fchdir(root_fd) < 0 ||
        chroot(".") < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

static int read_filters(JoinOrder *order, int control_fd)
{
    Buffer message = BUFFER_EMPTY(RUNNER_MESSAGE_MAX);

    if (!order->want_filters)
        return 0;
    int result = filters_read(order->init, 0, order->n_filters, &order->filters);
    if (result < 0)
        return result;
    buffer_put_u8(&message, RUNNER_FILTERS);
    filters_encode(&message, &order->filters);
    ssize_t sent = message.error < 0 ? message.error
                                     : fd_send(control_fd, message.bytes, message.size, NULL, 0, 0);
    buffer_done(&message);
    return sent < 0 ? (int)sent : 0;
}

/* Do the filters let a runner become the caller? */
static bool can_still_change(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    return syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, -1, -1, -1) == 0 &&
           syscall(SYS_setresuid, -1, -1, -1) == 0 && syscall(SYS_capget, &header, sets) == 0 &&
           syscall(SYS_capset, &header, sets) == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

static int put_on_filters(const JoinOrder *order, int control_fd, Joined *ret)
{
    const uint8_t unfit = RUNNER_UNFIT;

    ret->n_filters = order->n_filters;
    if (order->late) {
        ret->late = order->filters;
        return 0;
    }
    int result = filters_install(&order->filters);
    if (result < 0 || can_still_change())
        return result;
    (void)fd_send(control_fd, &unfit, sizeof unfit, NULL, 0, 0);
    return -EPERM;
}

int join_container(const RunnerOrigin *origin, const JoinOrder *order, int root_fd, int control_fd,
                   Joined *ret, const char **ret_step)
{
    JoinOrder now = *order;
    int result;

    *ret = (Joined){.is_joined = true, .late = FILTERS_EMPTY, .extra = FILTERS_EMPTY};
    *ret_step = "oom_score_adj";
    ret->oom_fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (ret->oom_fd < 0)
        return -errno;
    if ((result = become_effective(UINT64_MAX)) < 0)
        return result;
    *ret_step = "its cgroups";
    if ((result = enter_cgroups(order)) < 0)
        return result;
    *ret_step = "its seccomp filters";
    if ((result = read_filters(&now, control_fd)) < 0)
        return result;
    *ret_step = "its security label";
    if ((result = take_label(order->label)) < 0)
        return result;
    *ret_step = "its namespaces";
    if ((result = enter_namespaces(order, root_fd)) < 0)
        return result;
    *ret_step = "the originals of its commands";
    if ((result = originals_restore(order->shims, order->n_shims, &ret->is_private)) < 0)
        return result;
    *ret_step = "its capability bounding set";
    if ((result = become_bounding(origin, order->bounding)) < 0)
        return result;
    *ret_step = "its seccomp filters";
    return put_on_filters(&now, control_fd, ret);
}

int join_read_extra(Joined *joined, const Identity *caller)
{
    if (caller->seccomp_filters <= joined->n_filters)
        return 0;
    return filters_read(caller->pid, joined->n_filters, caller->seccomp_filters, &joined->extra);
}

int join_install(Joined *joined, const Identity *caller, bool privileged)
{
    if (privileged == caller->no_new_privs || joined->late.n + joined->extra.n == 0)
        return 0;
    int result = privileged ? become_effective(UINT64_MAX) : 0;
    if (result == 0)
        result = filters_install(&joined->late);
    return result < 0 ? result : filters_install(&joined->extra);
}

/* Leaving. Both processes have one memory and one stack between them: the first touches neither
 * from the moment that there is a second one, and goes on with a stack of its own. */
static char last_stack[16 * 1024] __attribute__((aligned(16)));
static int first_is_there;
static int second_pidfd = -EBADF;
static int leaving_fd = -EBADF;

static _Noreturn __attribute__((used)) void first_ends(void)
{
    const uint8_t left = RUNNER_LEFT;

    (void)fd_send(leaving_fd, &left, sizeof left, &second_pidfd, 1, 0);
    _exit(EXIT_SUCCESS);
}

/* Returns 0 in the second process, or -errno; in the first it does not return. */
static inline __attribute__((always_inline)) long clone_second(void)
{
    const unsigned long flags = CLONE_VM | CLONE_PARENT | CLONE_PIDFD;
    char *end = last_stack + sizeof last_stack;
#if defined(__x86_64__)
    long result = SYS_clone;
    register long child_tid __asm__("r10") = 0;
    register long tls __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jle 1f\n\t"
                     "mov %[end], %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call first_ends\n"
                     "1:"
                     : "+a"(result)
                     : "D"(flags), "S"(0), "d"(&second_pidfd), "r"(child_tid),
                       "r"(tls), [end] "b"(end)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone;
    register long result __asm__("x0") = (long)flags;
    register long stack __asm__("x1") = 0;
    register long parent_tid __asm__("x2") = (long)&second_pidfd;
    register long tls __asm__("x3") = 0;
    register long child_tid __asm__("x4") = 0;
    register char *last __asm__("x19") = end;
    __asm__ volatile("svc #0\n\t"
                     "cmp x0, #0\n\t"
                     "b.le 1f\n\t"
                     "mov sp, x19\n\t"
                     "bl first_ends\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(stack), "r"(parent_tid), "r"(tls), "r"(child_tid), "r"(last)
                     : "memory", "cc", "x30");
    return result;
#else
    (void)flags;
    (void)end;
    return -ENOSYS;
#endif
}

int join_leave(int control_fd)
{
    leaving_fd = control_fd;
    *(volatile int *)&first_is_there = 1;
    (void)syscall(SYS_set_tid_address, &first_is_there);
    long result = clone_second();
    if (result < 0)
        return (int)result;
    /* Not before the first has left this memory: it is still outside the container. */
    while (__atomic_load_n(&first_is_there, __ATOMIC_SEQ_CST) != 0)
        (void)syscall(SYS_futex, &first_is_there, FUTEX_WAIT, 1, NULL, NULL, 0);
    return 0;
}

/* A /proc of the container's own, not something that only looks like one. */
static int open_own_descriptors(void)
{
    struct statfs status;
    struct stat root;
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};

    _cleanup_fd_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0 || fstatfs(proc_fd, &status) < 0 || fstat(proc_fd, &root) < 0)
        return -errno;
    if (status.f_type != PROC_SUPER_MAGIC || root.st_ino != PROC_ROOT_INODE)
        return -ENOTTY;
    long fd = syscall(SYS_openat2, proc_fd, "self/fd", &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

int join_settle(void)
{
    if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    if (getppid() != 0) /* the executor is outside; anybody else has inherited us */
        return -ESRCH;
    int fd = open_own_descriptors();
    if (fd < 0)
        return fd;
    file_name_by(fd);
    return 0;
}
