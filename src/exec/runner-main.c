/*
 * clawrden-runner: the runner as a program of its own (image.h). It is static, so that it starts
 * quickly and maps little, and never installed: the executor has it inside.
 */
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "exec/image.h"
#include "exec/runner.h"

#ifndef __GLIBC__
/* libsodium's archive is made for glibc with _FORTIFY_SOURCE; this is all that it wants of it. */
void __explicit_bzero_chk(void *bytes, size_t size, size_t room);
void __explicit_bzero_chk(void *bytes, size_t size, size_t room)
{
    if (size > room)
        abort();
    explicit_bzero(bytes, size);
}
#endif

/* The exec has given a root its whole permitted set back; the executor's own work needs less. */
static bool cut_effective_set(uint64_t wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets) < 0)
        return false;
    for (unsigned i = 0; i < 2; i++)
        sets[i].effective = sets[i].permitted & (uint32_t)(wanted >> (32 * i));
    return syscall(SYS_capset, &header, sets) == 0;
}

int main(void)
{
    static RunnerOrigin origin;
    FdReceived received;

    (void)prctl(PR_SET_NAME, "clwd-runner", 0, 0, 0);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || fd_set_cloexec(IMAGE_CONTROL_FD, true) < 0)
        return EXIT_FAILURE;
    ssize_t size = fd_receive(IMAGE_CONTROL_FD, &origin, sizeof origin, &received, 0);
    if (size != (ssize_t)sizeof origin || received.n_fds > 0 ||
        !cut_effective_set(origin.executor.cap_effective))
        return EXIT_FAILURE;
    runner_main(IMAGE_CONTROL_FD, &origin);
}
