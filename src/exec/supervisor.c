/*
 * See supervisor.h. Signals are blocked and read from a signalfd, so that poll(2) sees everything.
 */
#include "exec/supervisor.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/pidref.h"
#include "exec/descendants.h"

/* Between two looks at what does not want to die. */
#define KILL_AGAIN_MS 20
/* Between two looks at whether the frozen are: at first, and when nothing has changed for long. */
#define FREEZE_AGAIN_MS 10
#define FREEZE_AGAIN_MAX_MS 500

typedef struct Supervisor {
    int lead_fd;
    int signal_fd;
    PidRef command;
    bool command_ended;
    bool killing;  /* KILL_ALL came: again and again until nothing is left */
    bool freezing; /* FREEZE came: again and again until it is thawed */
    int freeze_again_ms;
} Supervisor;

void supervisor_exit_of(int code, int status, uint8_t *ret_kind, uint8_t *ret_value)
{
    *ret_kind = code == CLD_EXITED ? 0 : 1;
    *ret_value = (uint8_t)status;
}

static void say(Supervisor *supervisor, uint32_t type, uint32_t value, uint32_t extra)
{
    SupervisorMessage message = {.type = type, .value = value, .extra = extra};
    (void)fd_send(supervisor->lead_fd, &message, sizeof message, NULL, 0, 0);
}

static void report_exit(Supervisor *supervisor, const siginfo_t *status)
{
    Descendants left;
    uint8_t kind, value;

    supervisor_exit_of(status->si_code, status->si_status, &kind, &value);
    int result = descendants_find(getpid(), NULL, 0, &left);
    say(supervisor, SUPERVISOR_EXITED, (uint32_t)kind << 8 | value,
        result < 0 ? 1 : (uint32_t)left.n_pids);
    descendants_done(&left);
    supervisor->command_ended = true;
}

/* Reaps all that has ended. False when no child is left. */
static bool reap(Supervisor *supervisor)
{
    for (;;) {
        siginfo_t status = {.si_pid = 0};
        if (waitid(P_ALL, 0, &status, WEXITED | WNOHANG) < 0)
            return errno != ECHILD;
        if (status.si_pid == 0)
            return true;
        if (status.si_pid == supervisor->command.pid && !supervisor->command_ended)
            report_exit(supervisor, &status);
    }
}

/* Ahead of everything that it has to kill: a fork bomb leaves an ordinary process no time. */
static void hurry(void)
{
    const struct sched_param lowest = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO, &lowest);
}

/* First the command's own group, which is nearly always all there is; whoever is then still there
 * is looked for in /proc, again and again. */
static void kill_all(Supervisor *supervisor)
{
    if (!supervisor->killing && !supervisor->command_ended) {
        (void)pidref_kill(&supervisor->command, SIGKILL);
        (void)kill(-supervisor->command.pid, SIGKILL);
    } else {
        hurry();
        (void)descendants_kill(getpid(), NULL, 0);
    }
    supervisor->killing = true;
}

/* A fork can slip between the look and the signal, and whoever may can continue them: so it is done
 * again, soon, then less often. */
static void stop_all(Supervisor *supervisor)
{
    int longer = supervisor->freeze_again_ms * 2;

    (void)descendants_signal(getpid(), NULL, 0, SIGSTOP);
    supervisor->freeze_again_ms = longer < FREEZE_AGAIN_MAX_MS ? longer : FREEZE_AGAIN_MAX_MS;
}

static void freeze(Supervisor *supervisor, bool frozen)
{
    supervisor->freezing = frozen;
    supervisor->freeze_again_ms = FREEZE_AGAIN_MS;
    if (frozen)
        stop_all(supervisor);
    else
        (void)descendants_signal(getpid(), NULL, 0, SIGCONT);
}

static int wait_ms(const Supervisor *supervisor)
{
    if (supervisor->killing)
        return KILL_AGAIN_MS;
    return supervisor->freezing ? supervisor->freeze_again_ms : -1;
}

static void obey(Supervisor *supervisor, const SupervisorMessage *order)
{
    int signal_number = (int)order->value;

    switch (order->type) {
    case SUPERVISOR_SIGNAL:
        if (supervisor->command_ended)
            break;
        if (order->extra)
            (void)kill(-supervisor->command.pid, signal_number);
        else
            (void)pidref_kill(&supervisor->command, signal_number);
        break;
    case SUPERVISOR_SIGNAL_ALL:
        (void)descendants_signal(getpid(), NULL, 0, signal_number);
        break;
    case SUPERVISOR_KILL_ALL:
        kill_all(supervisor);
        break;
    case SUPERVISOR_FREEZE:
        freeze(supervisor, order->value != 0);
        break;
    default:
        break;
    }
}

/* What is left is what killing needs, and nobody may trace us. */
static void give_up_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {
        {.effective = 1u << CAP_KILL, .permitted = 1u << CAP_KILL}};

    (void)syscall(SYS_capset, &header, sets);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int start(Supervisor *supervisor, int lead_fd, int control_fd, const RunnerOrigin *origin)
{
    RunnerOrigin own = *origin;
    sigset_t all;

    if (fd_close_all_except((int[]){lead_fd, control_fd}, 2) < 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return -errno;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    own.parent = getpid();
    int result = pidref_fork(&supervisor->command, -EBADF);
    if (result == 0) {
        fd_close(lead_fd);
        runner_main(control_fd, &own);
    }
    fd_close(control_fd);
    if (result < 0)
        return result;
    if (origin->privileged)
        give_up_capabilities();
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    supervisor->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    return supervisor->signal_fd < 0 ? -errno : 0;
}

/* One wait. False when nothing is left to supervise. */
static bool step(Supervisor *supervisor)
{
    struct pollfd waits[2] = {{.fd = supervisor->lead_fd, .events = POLLIN},
                              {.fd = supervisor->signal_fd, .events = POLLIN}};
    struct signalfd_siginfo signals;
    SupervisorMessage order = {.type = 0};

    (void)poll(waits, 2, wait_ms(supervisor));
    if (waits[0].revents) {
        ssize_t size = recv(supervisor->lead_fd, &order, sizeof order, MSG_DONTWAIT);
        if (size == sizeof order)
            obey(supervisor, &order);
        else if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
            waits[0].fd = supervisor->lead_fd = fd_close(supervisor->lead_fd);
            kill_all(supervisor); /* the executor is gone */
        }
    } else if (supervisor->killing) {
        kill_all(supervisor);
    } else if (supervisor->freezing) {
        stop_all(supervisor);
    }
    while (read(supervisor->signal_fd, &signals, sizeof signals) == sizeof signals) {
    }
    return reap(supervisor);
}

_Noreturn void supervisor_main(int lead_fd, int control_fd, const RunnerOrigin *origin)
{
    Supervisor supervisor = {.lead_fd = lead_fd, .signal_fd = -EBADF, .command = PIDREF_EMPTY};

    if (start(&supervisor, lead_fd, control_fd, origin) < 0)
        _exit(EXIT_FAILURE);
    say(&supervisor, SUPERVISOR_FORKED, (uint32_t)supervisor.command.pid, 0);
    while (step(&supervisor)) {
    }
    say(&supervisor, SUPERVISOR_EMPTY, 0, 0);
    _exit(EXIT_SUCCESS);
}
