/*
 * Waiting, and what a signal does while we wait.
 *
 * The signals that a command must see are blocked and waited for by a signalfd(2): no handler,
 * nothing asynchronous, two system calls in all. It is polled and never read; signals are taken one
 * by one with sigtimedwait(2). Their dispositions stay untouched, so
 *  - one that was ignored when we started (nohup, a background job of a plain sh) stays ignored. A
 *    blocked signal is queued even when it is ignored (sigaction(2), POSIX 2.4.1), so the
 *    disposition is asked for when one arrives, which hardly ever happens;
 *  - one that was blocked when we started stays blocked: it is not in the signalfd's set.
 *
 * A stop is never taken from the kernel: it stays pending while the command is told of it, and then
 * it is unblocked for a moment, so that it does its own work. A SIGCONT that comes meanwhile
 * discards it (POSIX 2.4.1), and we do not stop: a continuation is never lost, whenever it comes.
 * The shell sees an ordinary stopped job, and the kernel's rule for orphaned process groups, which
 * nobody could continue (POSIX 2.4.3), holds for us too. However it ended, the command is continued
 * when we go on; it is never left stopped by a shim that is not.
 *
 * Since a pending signal does not say who sent it, a stop and what takes it back count as job
 * control, that is as the terminal's or the shell's word to the whole group.
 *
 * Before the command runs a signal is an answer to the wait itself: die of it, or stop. But the
 * command may run before we hear of it, and its first output may be what made somebody signal us.
 * So the warden, which knows, is told of a deadly signal, and its answer decides: an ack says that
 * the command has got it, a refusal that there is none. Who has no answer in time, or gets a second
 * such signal, dies of it. No door can make us immune.
 *
 * Once it runs every signal goes to the command; what the socket has no room for stays in `unsent`
 * and goes when there is room. Like the kernel's own pending set it remembers each signal once.
 */
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim/shim.h"

static const int watched[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1, SIGUSR2,
                              SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};

static const int stopping[] = {SIGTSTP, SIGTTIN, SIGTTOU};

#define BIT(signal_number) (UINT64_C(1) << ((signal_number)-1))
#define DEADLY (BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGHUP) | BIT(SIGQUIT))
/* A human at the keyboard does not want it any more. TERM and HUP come from agents that ran out of
 * patience: the warden sees a lost caller then, whose question stays open for a retry. */
#define CANCELS (BIT(SIGINT) | BIT(SIGQUIT))
#define JOB_CONTROL (BIT(SIGTSTP) | BIT(SIGCONT))

void signals_block(Shim *shim)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        sigaddset(&set, watched[i]);
    sigaddset(&set, SIGPIPE); /* from a message to a stderr that nobody reads */
    sigprocmask(SIG_BLOCK, &set, &shim->mask);
}

void signals_open(Shim *shim)
{
    sigset_t *set = &shim->awaited;

    signals_block(shim);
    sigemptyset(set);
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
        if (!sigismember(&shim->mask, watched[i]))
            sigaddset(set, watched[i]);
    }
    shim->signal_fd = fd_above_stdio(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (shim->signal_fd < 0)
        fail(shim, EXIT_WARDEN_FAILED, "cannot watch for signals; nothing was run");
}

void signals_restore(const Shim *shim)
{
    sigprocmask(SIG_SETMASK, &shim->mask, NULL);
}

void die_by_signal(int signal_number)
{
    sigset_t set;

    /* The command may have left a core; ours would be of the wrong program. The limit does not
     * hold where cores go into a pipe (core(5)), the flag does. */
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(signal_number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)kill(getpid(), signal_number);
    _exit(128 + signal_number); /* the init of a pid namespace survives its own signals */
}

static bool is_ignored(int signal_number)
{
    struct sigaction action;
    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Takes one of these signals from the pending ones; 0: none is. */
static int take_pending(const sigset_t *set, siginfo_t *ret_info)
{
    int number = sigtimedwait(set, ret_info, &(struct timespec){0});
    return number > 0 ? number : 0;
}

/* The stops that are pending and are ours to obey; those that are ignored are taken away. */
static bool pending_stops(const Shim *shim, sigset_t *ret_stops)
{
    sigset_t pending, one;
    bool any = false;

    sigemptyset(ret_stops);
    if (sigpending(&pending) < 0)
        return false;
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
        int number = stopping[i];
        if (!sigismember(&pending, number) || !sigismember(&shim->awaited, number))
            continue;
        sigemptyset(&one);
        sigaddset(&one, number);
        if (is_ignored(number)) {
            (void)take_pending(&one, NULL);
            continue;
        }
        sigaddset(ret_stops, number);
        any = true;
    }
    return any;
}

/* Lets the kernel act on what is still pending of these stops; returns once continued, or at once
 * where SIGCONT has discarded them, and in an orphaned process group. */
static void stop_by(const sigset_t *stops)
{
    sigset_t continued;

    sigprocmask(SIG_UNBLOCK, stops, NULL);
    sigprocmask(SIG_BLOCK, stops, NULL);
    sigemptyset(&continued);
    sigaddset(&continued, SIGCONT); /* the caller passes it on in any case */
    (void)take_pending(&continued, NULL);
}

/* True when sent; false when the socket has no room now. A dead socket is the reader's to find. */
static bool send_frame(const Shim *shim, const void *frame, size_t size)
{
    return send(shim->socket_fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

static bool send_window(const Shim *shim)
{
    struct winsize size;

    for (int fd = 0; fd <= 2; fd++) {
        if (ioctl(fd, TIOCGWINSZ, &size) != 0)
            continue;
        const uint8_t frame[] = {SHIM_FRAME_WINDOW,
                                 4,
                                 0,
                                 0,
                                 0,
                                 (uint8_t)size.ws_row,
                                 (uint8_t)(size.ws_row >> 8),
                                 (uint8_t)size.ws_col,
                                 (uint8_t)(size.ws_col >> 8)};
        return send_frame(shim, frame, sizeof frame);
    }
    return true;
}

/* The door has our request, and not yet answered it for good. */
static bool is_waiting(const Shim *shim)
{
    return shim->phase == PHASE_WAITING || shim->phase == PHASE_PENDING;
}

/* What the door may hear now. Of what comes before the command it needs to know whether that should
 * run, or rather be stopped as we are. */
static uint64_t sendable(const Shim *shim)
{
    switch (shim->phase) {
    case PHASE_RUNNING:
        return shim->unsent;
    case PHASE_WAITING:
    case PHASE_PENDING:
        return shim->unsent & (JOB_CONTROL | DEADLY);
    case PHASE_SENDING: /* a frame would stand in the middle of the request */
    case PHASE_REFUSED:
    default:
        return 0;
    }
}

/* Sends what is unsent, as far as there is room. */
static void forward(Shim *shim)
{
    uint64_t wanted = sendable(shim);

    for (int n = 1; wanted && n <= 64; n++) {
        if (!(wanted & BIT(n)))
            continue;
        bool asks = is_waiting(shim) && BIT(n) & DEADLY;
        const uint8_t frame[] = {asks ? SHIM_FRAME_CANCEL : SHIM_FRAME_SIGNAL,
                                 2,
                                 0,
                                 0,
                                 0,
                                 (uint8_t)n,
                                 shim->group & BIT(n) ? 1 : 0};
        if (n == SIGWINCH && !send_window(shim))
            return;
        if (!send_frame(shim, frame, sizeof frame))
            return;
        shim->unsent &= ~BIT(n);
        shim->group &= ~BIT(n);
        wanted &= ~BIT(n);
    }
}

static void pass_on(Shim *shim, int signal_number, bool group)
{
    shim->unsent |= BIT(signal_number);
    if (group)
        shim->group |= BIT(signal_number);
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock is always there */
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the door still has of its time to answer a deadly signal; 0: it is over. */
static int64_t answer_left_ms(const Shim *shim)
{
    int64_t left = shim->answer_by_ms - now_ms();
    return left > 0 ? left : 0;
}

static void begin_answer_time(Shim *shim)
{
    shim->answer_by_ms = now_ms() + SHIM_ANSWER_MS;
}

bool answer_is_overdue(const Shim *shim)
{
    return shim->deadly && answer_left_ms(shim) == 0;
}

/* Without knowing, if we wait, what became of the request: it is not wanted whatever it was. */
static _Noreturn void die_of(const Shim *shim, int signal_number)
{
    const uint8_t frame[SHIM_FRAME_HEADER_SIZE] = {SHIM_FRAME_CANCEL};

    if (BIT(signal_number) & CANCELS && is_waiting(shim))
        (void)send_frame(shim, frame, sizeof frame);
    die_by_signal(signal_number);
}

/* A stop of the command and of ourselves. Of a stop and a continuation that wait for room only the
 * later one counts, as in the kernel. */
static void take_stop(Shim *shim, const sigset_t *stops)
{
    bool heard = shim->phase != PHASE_SENDING && shim->phase != PHASE_REFUSED;

    if (heard) {
        /* The command has no terminal rules of its own to break: TTIN and TTOU are just stops. */
        shim->unsent &= ~BIT(SIGCONT);
        pass_on(shim, SIGTSTP, true);
        forward(shim);
    }
    /* Nobody confirms a stop: this is time for the command to be stopped before our shell takes the
     * terminal back. */
    if (shim->phase == PHASE_RUNNING)
        (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    stop_by(stops);
    if (heard) {
        shim->unsent &= ~BIT(SIGTSTP);
        pass_on(shim, SIGCONT, true);
        forward(shim);
    }
    if (shim->deadly) /* the time in which we were stopped does not count */
        begin_answer_time(shim);
}

/* A signal while nothing runs, as far as we know. Those that are for the command stay for it. */
static void take_while_waiting(Shim *shim, int signal_number, bool group)
{
    if (BIT(signal_number) & DEADLY) {
        if (shim->deadly || !is_waiting(shim))
            die_of(shim, signal_number);
        shim->deadly = signal_number;
        begin_answer_time(shim);
    }
    if (signal_number != SIGCONT)
        pass_on(shim, signal_number, group);
}

/* Deals with everything that has arrived. True when we may have been stopped meanwhile. */
static bool take_signals(Shim *shim)
{
    siginfo_t info;
    sigset_t stops, others = shim->awaited;
    bool stopped = false;

    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++)
        sigdelset(&others, stopping[i]);
    for (;;) {
        if (pending_stops(shim, &stops)) {
            take_stop(shim, &stops);
            stopped = true;
            continue;
        }
        int number = take_pending(&others, &info);
        if (number == 0)
            return stopped;
        if (number == SIGCONT)
            stopped = true;
        if (is_ignored(number))
            continue;
        bool group = info.si_code == SI_KERNEL; /* the terminal driver (sigaction(2)) */
        if (shim->phase == PHASE_RUNNING)
            pass_on(shim, number, group);
        else
            take_while_waiting(shim, number, group);
    }
}

int shim_wait(Shim *shim, int fd, short events, struct timespec *left)
{
    const struct timespec whole = left ? *left : (struct timespec){0};

    for (;;) {
        bool blocked = sendable(shim) != 0;
        struct timespec answer, *limit = left;
        if (shim->deadly) {
            int64_t ms = answer_left_ms(shim);
            answer = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
            limit = &answer;
        }
        struct pollfd polled[3] = {
            {.fd = fd, .events = events},
            {.fd = shim->signal_fd, .events = POLLIN},
            {.fd = blocked ? shim->socket_fd : -1, .events = POLLOUT},
        };
        /* The bare system call counts `left` down (ppoll(2), "C library/kernel differences"): no
         * clock needed. It looks at the descriptors once more after the time is up, so a door that
         * ticked while we were stopped is not taken for a silent one. */
        long ready = syscall(SYS_ppoll, polled, 3, limit, NULL, 0);
        if (ready < 0 && errno != EINTR && errno != EAGAIN)
            fail(shim, EXIT_WARDEN_FAILED, "cannot wait for the warden");
        if (ready == 0 && limit == &answer)
            die_of(shim, shim->deadly);
        if (ready == 0)
            return 0;
        if (ready > 0 && polled[1].revents && take_signals(shim) && left)
            *left = whole;
        forward(shim);
        if (ready > 0 && polled[0].revents)
            return polled[0].revents;
    }
}
