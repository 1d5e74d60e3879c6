/*
 * See keeper.h.
 */
#include "exec/keeper.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define OUR_ARCHITECTURE 0 /* none: it ends, and nothing is kept */
#endif

/* How often its settling is looked for. */
#define SETTLE_MS 1

static char keeper_stack[8 * 1024] __attribute__((aligned(16)));
static pid_t keeper_parent;
static uint32_t is_settled; /* it holds no descriptor and can do nothing */

/* A system call that leaves errno alone: that is the runner's, whose memory this is. */
static inline __attribute__((always_inline)) long call(long number, long a, long b, long c, long d,
                                                       long e)
{
#if defined(__x86_64__)
    long result = number;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory", "cc");
    return x0;
#else
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
    return -ENOSYS;
#endif
}

/* Nothing from now on but to wait and to end. */
static inline __attribute__((always_inline)) long confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCHITECTURE, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ppoll, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    const struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    long result = call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    if (result == 0)
        result = call(SYS_capset, (long)&header, (long)none, 0, 0, 0);
    if (result == 0)
        result = call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program, 0, 0);
    return result;
}

static _Noreturn __attribute__((used)) void keeper_main(void)
{
    static const char name[] = KEEPER_NAME;
    const uint64_t all = ~UINT64_C(0);

    long result = call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)call(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0);
    (void)call(SYS_setsid, 0, 0, 0, 0, 0); /* no signal to the command's group is for it */
    (void)call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, 0, sizeof all, 0);
    if (result == 0 && call(SYS_getppid, 0, 0, 0, 0, 0) != keeper_parent)
        result = -ESRCH;
    if (result == 0)
        result = call(SYS_close_range, 0, UINT32_MAX, 0, 0, 0);
    if (result == 0)
        result = confine();
    if (result == 0)
        __atomic_store_n(&is_settled, 1, __ATOMIC_SEQ_CST);
    for (;;)
        (void)call(result == 0 ? SYS_ppoll : SYS_exit_group, 0, 0, 0, 0, 0);
}

/* In the keeper it does not return. */
static inline __attribute__((always_inline)) long clone_keeper(struct clone_args *arguments)
{
#if defined(__x86_64__)
    long result = SYS_clone3;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call keeper_main\n"
                     "1:"
                     : "+a"(result)
                     : "D"(arguments), "S"(sizeof *arguments)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)arguments;
    register long size __asm__("x1") = sizeof *arguments;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "bl keeper_main\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(size)
                     : "memory", "cc", "x30");
    return result;
#else
    (void)arguments;
    return -ENOSYS;
#endif
}

int keeper_start(int cgroup_fd, pid_t parent)
{
    int pidfd = -EBADF;
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_PARENT | CLONE_PIDFD | CLONE_INTO_CGROUP,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .stack = (uint64_t)(uintptr_t)keeper_stack,
        .stack_size = sizeof keeper_stack,
        .cgroup = (uint64_t)cgroup_fd,
    };

    keeper_parent = parent;
    __atomic_store_n(&is_settled, 0, __ATOMIC_SEQ_CST);
    long pid = clone_keeper(&arguments);
    if (pid < 0)
        return (int)pid;
    struct pollfd end = {.fd = *(volatile int *)&pidfd, .events = POLLIN};
    while (__atomic_load_n(&is_settled, __ATOMIC_SEQ_CST) == 0 && poll(&end, 1, SETTLE_MS) == 0) {
    }
    return end.fd;
}
