/*
 * clawrden-runner: the runner as a program of its own (image.h). It is static, so that it starts
 * quickly and maps little, and never installed: the executor has it inside.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "exec/become.h"
#include "exec/image.h"
#include "exec/keeper.h"
#include "exec/runner.h"

/* The first word, and before anything hostile is read (keeper.h). */
static void keep_memory(int cgroup_fd, const RunnerOrigin *origin)
{
    const uint8_t kept = RUNNER_KEPT;
    int keeper = keeper_start(cgroup_fd, origin->parent);

    if (fd_send(IMAGE_CONTROL_FD, &kept, sizeof kept, &keeper, keeper >= 0, 0) < 0) {
        if (keeper >= 0)
            (void)syscall(SYS_pidfd_send_signal, keeper, SIGKILL, NULL, 0);
        _exit(EXIT_FAILURE); /* that word is still awaited: nobody else may say it */
    }
    (void)fd_close(keeper);
}

int main(void)
{
    static RunnerOrigin origin;
    FdReceived received;

    (void)prctl(PR_SET_NAME, "clwd-runner", 0, 0, 0);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || fd_set_cloexec(IMAGE_CONTROL_FD, true) < 0)
        return EXIT_FAILURE;
    ssize_t size = fd_receive(IMAGE_CONTROL_FD, &origin, sizeof origin, &received, 0);
    /* The exec has given a root its whole permitted set back; the executor's own work needs less.
     */
    if (size != (ssize_t)sizeof origin || received.n_fds > 1 ||
        become_effective(origin.executor.cap_effective) < 0)
        return EXIT_FAILURE;
    if (received.n_fds == 1)
        keep_memory(received.fds[0], &origin);
    fd_received_done(&received);
    runner_main(IMAGE_CONTROL_FD, &origin);
}
