/*
 * See image.h. Facts: clone(2) for CLONE_VM | CLONE_VFORK, memfd_create(2), execve(2): a root that
 * execs gets its permitted set back unless SECBIT_NOROOT forbids it (capabilities(7)).
 */
#include "exec/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/seal.h"

#ifdef HAVE_RUNNER_IMAGE

#include "runner-image.h" /* generated: RUNNER_IMAGE_PATH */

__asm__(".pushsection .rodata\n"
        "runner_image:\n"
        ".incbin \"" RUNNER_IMAGE_PATH "\"\n"
        "runner_image_end:\n"
        ".popsection\n");
extern const char runner_image[], runner_image_end[];

int image_open(void)
{
    int securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    int fd = -EBADF;

    if (securebits < 0 || securebits & SECBIT_NOROOT)
        return -EPERM;
    int result =
        seal_bytes(runner_image, (size_t)(runner_image_end - runner_image), "clawrden-runner", &fd);
    /* Out of the way of what the program expects at its number. */
    return result < 0 ? result : fd_move_above_take(fd, IMAGE_CONTROL_FD + 1);
}

#else

int image_open(void)
{
    return -ENOENT;
}

#endif

/* The bare system call, in the caller's own frame: the child goes on with our stack, and what it
 * calls must not overwrite an address that we are to return to. */
static inline __attribute__((always_inline)) long clone3_here(struct clone_args *arguments)
{
#if defined(__x86_64__)
    long result = SYS_clone3;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(arguments), "S"(sizeof *arguments)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)arguments;
    register long size __asm__("x1") = sizeof *arguments;
    __asm__ volatile("svc #0" : "+r"(result) : "r"(number), "r"(size) : "memory", "cc");
    return result;
#else
    (void)arguments;
    return -ENOSYS;
#endif
}

/* The child, in our memory and with us waiting: it must not return. */
static _Noreturn __attribute__((noinline)) void run_image(int image_fd, int control_fd, int *error)
{
    const char *const argv[] = {"clawrden-runner", NULL}, *const env[] = {NULL};

    int result = control_fd == IMAGE_CONTROL_FD ? fcntl(control_fd, F_SETFD, 0)
                                                : dup2(control_fd, IMAGE_CONTROL_FD);
    if (result >= 0)
        (void)syscall(SYS_execveat, image_fd, "", argv, env, AT_EMPTY_PATH);
    *error = errno;
    _exit(EXIT_FAILURE);
}

int image_start(int image_fd, int control_fd, int cgroup_fd, PidRef *ret)
{
    int pidfd = -EBADF, error = 0;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD | CLONE_VM | CLONE_VFORK,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };

    if (cgroup_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup_fd;
    }
    long pid = clone3_here(&arguments);
    if (pid == 0)
        run_image(image_fd, control_fd, &error);
    if (pid < 0)
        return (int)pid;
    *ret = (PidRef){.pid = (pid_t)pid, .pidfd = pidfd};
    if (*(volatile int *)&error == 0)
        return 1;
    (void)waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){.si_pid = 0}, WEXITED);
    pidref_done(ret);
    return -error;
}
