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
    int stream_fd;
    const int *stdio;
    pid_t feeder; /* 0: none */
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

    if (relay->stdio[STDERR_FILENO] >= 0 && size > 0 && (size_t)size < sizeof line)
        (void)!write(relay->stdio[STDERR_FILENO], line, (size_t)size);
    end(relay, EXIT_FAILURE);
}

static _Noreturn void die_of_broken_pipe(const Relay *relay)
{
    sigset_t none;

    end_feeder(relay);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)raise(SIGPIPE);
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
    const int fd = relay->stdio[STDIN_FILENO];
    ssize_t got = fd >= 0 ? 1 : 0;

    while (got > 0) {
        got = read_some(fd, bytes, RELAY_BYTES);
        if (got > 0 && write_whole(relay->stream_fd, bytes, (size_t)got) < 0)
            _exit(EXIT_SUCCESS);
    }
    (void)shutdown(relay->stream_fd, SHUT_WR);
    _exit(EXIT_SUCCESS);
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

static void deliver(unsigned stream, const char *bytes, size_t size, void *userdata)
{
    const Relay *relay = userdata;
    const int fd = relay->stdio[stream];

    int result = fd >= 0 ? write_whole(fd, bytes, size) : 0;
    if (result == -EPIPE)
        die_of_broken_pipe(relay);
    if (result < 0)
        fail(relay, stream == STDERR_FILENO ? "stderr" : "stdout", strerror(-result));
}

_Noreturn void relay_run(int stream_fd, const int stdio[static 3])
{
    static char bytes[RELAY_BYTES];
    Relay relay = {.stream_fd = stream_fd, .stdio = stdio};
    EngineDemux demux = {.n_head = 0};
    ssize_t got = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    start_feeder(&relay, bytes);
    while ((got = read_some(stream_fd, bytes, sizeof bytes)) > 0) {
        if (engine_demux_feed(&demux, bytes, (size_t)got, deliver, &relay) < 0)
            fail(&relay, "the engine's stream", "not as the API promises");
    }
    /* An end that comes before all input was read is a reset (unix(7)); what was written before it
     * has arrived. */
    if (got < 0 && got != -ECONNRESET)
        fail(&relay, "the engine's stream", strerror((int)-got));
    if (demux.n_head > 0)
        fail(&relay, "the engine's stream", "it ended early");
    end(&relay, EXIT_SUCCESS);
}
