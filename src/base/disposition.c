/*
 * By the system call itself: sigaction(2) of the C library refuses the real-time signals that its
 * threads use (nptl(7)). A starter that ignores them hands that on to everybody; by way of the
 * executor it would reach commands whose callers do not.
 */
#include "base/disposition.h"

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

void disposition_set(int signal_number, bool ignored)
{
    /* The kernel's structure (rt_sigaction(2)): handler, flags, restorer, mask. Without a handler
     * only the first is looked at. */
    const uint64_t action[4] = {ignored ? (uint64_t)(uintptr_t)SIG_IGN : 0};

    (void)syscall(SYS_rt_sigaction, signal_number, action, NULL, sizeof(uint64_t));
}

void disposition_reset(void)
{
    const uint64_t none = 0;

    for (int signal_number = 1; signal_number <= DISPOSITION_SIGNAL_MAX; signal_number++)
        disposition_set(signal_number, false);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}
