/*
 * See relay.h. The stream is framed (docker/demux.h): a terminal is not relayed.
 */
#include "exec/relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "docker/demux.h"

#define RELAY_BYTES (64u * 1024)

typedef struct Relay {
    const RelayPlan *plan;
    size_t n_preface; /* bytes of it that have gone */
    size_t n_hello;   /* bytes of it that have come */
    pid_t feeder;     /* 0: none */
} Relay;

static void end_feeder(const Relay *relay)
{
    if (relay->feeder <= 0)
        return;
    (void)kill(relay->feeder, SIGKILL);
    while (waitpid(relay->feeder, NULL, 0) < 0 && errno == EINTR) {
    }
}

static _Noreturn void end(const Relay *relay, int status)
{
    end_feeder(relay);
    _exit(status);
}

static _Noreturn void fail(const Relay *relay, const char *what, const char *why)
{
    char line[256];
    int size = snprintf(line, sizeof line, "clawrden: %s: %s\n", what, why);

    if (relay->plan->stdio[STDERR_FILENO] >= 0 && size > 0 && (size_t)size < sizeof line)
        (void)!write(relay->plan->stdio[STDERR_FILENO], line, (size_t)size);
    end(relay, EXIT_FAILURE);
}

static _Noreturn void die_of_broken_pipe(const Relay *relay)
{
    sigset_t none;

    end_feeder(relay);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* Not raise(3): a C library may know its thread by the number that it had before the runner
     * left for a container's pid namespace (join.h). */
    (void)kill(getpid(), SIGPIPE);
    _exit(EXIT_FAILURE);
}

/* The descriptors are the caller's, who may have made them non-blocking; that is a property of the
 * open file, which is not ours to change. */
static void wait_for(int fd, short what)
{
    struct pollfd wanted = {.fd = fd, .events = what};
    (void)poll(&wanted, 1, -1);
}

static ssize_t read_some(int fd, char *bytes, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, bytes, size);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got < 0 ? -errno : got;
        if (errno == EAGAIN)
            wait_for(fd, POLLIN);
    }
}

static int write_whole(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);
        if (put >= 0) {
            bytes += put;
            size -= (size_t)put;
        } else if (errno == EAGAIN) {
            wait_for(fd, POLLOUT);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* The caller's input, until it or the command's interest in it ends. */
static _Noreturn void feed(const Relay *relay, char *bytes)
{
    const int fd = relay->plan->stdio[STDIN_FILENO];
    ssize_t got = fd >= 0 ? 1 : 0;

    if (relay->plan->preface_size > relay->n_preface &&
        write_whole(relay->plan->stream_fd, relay->plan->preface + relay->n_preface,
                    relay->plan->preface_size - relay->n_preface) < 0)
        _exit(EXIT_SUCCESS);
    while (got > 0) {
        got = read_some(fd, bytes, RELAY_BYTES);
        if (got > 0 && write_whole(relay->plan->stream_fd, bytes, (size_t)got) < 0)
            _exit(EXIT_SUCCESS);
    }
    (void)shutdown(relay->plan->stream_fd, SHUT_WR);
    _exit(EXIT_SUCCESS);
}

/* As much of it as the stream takes at once: somebody waits for it at the other end. */
static void send_preface(Relay *relay)
{
    const RelayPlan *plan = relay->plan;
    ssize_t sent = plan->preface_size > 0 ? send(plan->stream_fd, plan->preface, plan->preface_size,
                                                 MSG_DONTWAIT | MSG_NOSIGNAL)
                                          : 0;
    if (sent > 0)
        relay->n_preface = (size_t)sent;
}

static void start_feeder(Relay *relay, char *bytes)
{
    const pid_t parent = getpid();
    pid_t child = fork();

    if (child < 0)
        fail(relay, "cannot pass on the input", strerror(errno));
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
            _exit(EXIT_FAILURE);
        feed(relay, bytes);
    }
    relay->feeder = child;
}

/* What is left of some output behind the hello. */
static size_t take_hello(Relay *relay, const char *bytes, size_t size)
{
    const RelayPlan *plan = relay->plan;
    size_t part = plan->hello_size - relay->n_hello;

    if (part > size)
        part = size;
    if (memcmp(bytes, plan->hello + relay->n_hello, part) != 0)
        fail(relay, "the engine's stream", "it does not begin as it must");
    relay->n_hello += part;
    return size - part;
}

static void deliver(unsigned stream, const char *bytes, size_t size, void *userdata)
{
    Relay *relay = userdata;
    const int fd = relay->plan->stdio[stream];

    if (stream == STDOUT_FILENO && relay->n_hello < relay->plan->hello_size) {
        const size_t left = take_hello(relay, bytes, size);
        bytes += size - left;
        size = left;
    }
    int result = fd >= 0 ? write_whole(fd, bytes, size) : 0;
    if (result == -EPIPE)
        die_of_broken_pipe(relay);
    if (result < 0)
        fail(relay, stream == STDERR_FILENO ? "stderr" : "stdout", strerror(-result));
}

_Noreturn void relay_run(const RelayPlan *plan)
{
    static char bytes[RELAY_BYTES];
    Relay relay = {.plan = plan};
    EngineDemux demux = {.n_head = 0};
    ssize_t got = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    send_preface(&relay);
    start_feeder(&relay, bytes);
    while ((got = read_some(plan->stream_fd, bytes, sizeof bytes)) > 0) {
        if (engine_demux_feed(&demux, bytes, (size_t)got, deliver, &relay) < 0)
            fail(&relay, "the engine's stream", "not as the API promises");
    }
    /* An end that comes before all input was read is a reset (unix(7)); what was written before it
     * has arrived. */
    if (got < 0 && got != -ECONNRESET)
        fail(&relay, "the engine's stream", strerror((int)-got));
    if (demux.n_head > 0 || relay.n_hello < plan->hello_size)
        fail(&relay, "the engine's stream", "it ended early");
    end(&relay, EXIT_SUCCESS);
}
