/*
 * See keepers.h.
 */
#include "exec/keepers.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/descendants.h"
#include "exec/keeper.h"

#define END_SOON_MS 1

struct Keeper {
    PidRef process;
    struct event event; /* it has ended */
};

static void on_end(evutil_socket_t fd UNUSED, short what, void *userdata)
{
    Keeper *keeper = userdata;
    siginfo_t status = {.si_pid = 0};

    if (what & EV_TIMEOUT) {
        (void)keeper_end(keeper);
        return;
    }
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

static bool is_called_so(pid_t pid)
{
    _cleanup_free_ char *name = NULL;
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    return fd_read_file(AT_FDCWD, path, 64, &name, NULL) == 0 &&
           strcmp(name, KEEPER_NAME "\n") == 0;
}

void keepers_end_unknown(struct event_base *loop, const pid_t *known, size_t n_known)
{
    Descendants found;

    if (descendants_find(getpid(), known, n_known, &found) < 0)
        return;
    for (size_t i = 0; i < found.n_pids; i++) {
        PidRef process = PIDREF_EMPTY;
        if (descendants_parent_of(found.pids[i]) != getpid() || !is_called_so(found.pids[i]) ||
            pidref_open(found.pids[i], &process) < 0)
            continue;
        (void)keeper_end(keeper_take(loop, process.pidfd));
    }
    descendants_done(&found);
}

pid_t keeper_pid(const Keeper *keeper)
{
    return keeper ? keeper->process.pid : 0;
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

Keeper *keeper_end_soon(Keeper *keeper)
{
    const struct timeval soon = {.tv_usec = END_SOON_MS * 1000};

    if (keeper && event_add(&keeper->event, &soon) < 0)
        return keeper_end(keeper);
    return NULL;
}
