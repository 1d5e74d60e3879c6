/*
 * See keepers.h.
 */
#include "exec/keepers.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/cleanup.h"

struct Keeper {
    PidRef process;
    struct event event; /* it has ended */
};

static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Keeper *keeper = userdata;
    siginfo_t status = {.si_pid = 0};

    (void)waitid(P_PIDFD, (id_t)keeper->process.pidfd, &status, WEXITED | WNOHANG);
    (void)event_del(&keeper->event);
    pidref_done(&keeper->process);
    free(keeper);
}

Keeper *keeper_take(struct event_base *loop, int pidfd)
{
    siginfo_t status = {.si_pid = 0};
    PidRef process = PIDREF_EMPTY;
    int result = pidref_of_pidfd_take(pidfd, &process);

    if (result == 0 &&
        waitid(P_PIDFD, (id_t)process.pidfd, &status, WEXITED | WNOHANG | WNOWAIT) < 0)
        result = -errno;
    Keeper *keeper = result == 0 ? calloc(1, sizeof *keeper) : NULL;
    if (!keeper) {
        pidref_done(&process);
        return NULL;
    }
    keeper->process = process;
    (void)event_assign(&keeper->event, loop, process.pidfd, EV_READ, on_end, keeper);
    return keeper;
}

Keeper *keeper_end(Keeper *keeper)
{
    if (!keeper)
        return NULL;
    (void)pidref_kill(&keeper->process, SIGKILL);
    if (event_add(&keeper->event, NULL) < 0)
        on_end(-1, 0, keeper);
    return NULL;
}
