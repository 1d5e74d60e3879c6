/*
 * The stop-watch of scripts/bench: starts commands by posix_spawn(3), waits for them, and prints
 * how long each took. It knows nothing of the warden and computes nothing; the script does.
 *
 *   bench-road pairs COUNT PAUSE_US A B [ARGUMENT]...   A, B, A, B, …: "NS_A NS_B" per line
 *   bench-road drain COUNT A B [ARGUMENT]...            the same, with stdout read to its end:
 *                                                       "NS_A NS_B BYTES_A BYTES_B" per line
 *   bench-road crowd COUNT CONCURRENT A [ARGUMENT]...   CONCURRENT at any time: "NS" per line,
 *                                                       then "total NS"
 *   bench-road now                                      the monotonic clock in ns, as a command
 *
 * A and B are paths; they get the same arguments and environment, so a pair differs only in what
 * is started. PAUSE_US before each start lets the work that follows a command's end (the record
 * of the end, the next child forked ahead) finish outside of both measurements. A command that
 * does not exit with 0, or not within a minute, ends the run with an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define PATIENCE_S 60
#define CROWD_MAX 1024

extern char **environ;

static _Noreturn void die(const char *what, int error)
{
    (void)fprintf(stderr, "bench-road: %s: %s\n", what, strerror(error));
    exit(1);
}

static _Noreturn void die_of_status(const char *path, int status)
{
    (void)fprintf(stderr, "bench-road: %s ended with %s %d\n", path,
                  WIFEXITED(status) ? "exit code" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    exit(1);
}

static unsigned long number_of(const char *text)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (!*text || *end)
        die(text, EINVAL);
    return number;
}

/* SIGALRM ends us: a command that hangs must not hang the run. */
static void be_patient(void)
{
    (void)alarm(PATIENCE_S);
}

static pid_t start(const char *path, char **argv, const posix_spawn_file_actions_t *actions)
{
    pid_t pid = 0;
    int error = posix_spawn(&pid, path, actions, NULL, argv, environ);
    if (error != 0)
        die(path, error);
    return pid;
}

static void finish(const char *path, pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            die("waitpid", errno);
    }
    if (status != 0)
        die_of_status(path, status);
}

static uint64_t time_one(const char *path, char **argv, useconds_t pause_us)
{
    if (pause_us > 0)
        (void)usleep(pause_us);
    be_patient();
    uint64_t begun = clock_monotonic_ns();
    finish(path, start(path, argv, NULL));
    return clock_monotonic_ns() - begun;
}

/* paths: A and B; argv: what follows them, with room for a name in front. */
static void run_pairs(unsigned long count, useconds_t pause_us, char **paths, char **argv)
{
    for (unsigned long i = 0; i < count; i++) {
        uint64_t a = time_one(paths[0], argv, pause_us);
        uint64_t b = time_one(paths[1], argv, pause_us);
        (void)printf("%llu %llu\n", (unsigned long long)a, (unsigned long long)b);
    }
}

static uint64_t read_all(int fd)
{
    static char bytes[64 * 1024];
    uint64_t total = 0;

    for (;;) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got == 0)
            return total;
        if (got < 0)
            die("read", errno);
        total += (uint64_t)got;
    }
}

static uint64_t time_drain(const char *path, char **argv, uint64_t *ret_bytes)
{
    posix_spawn_file_actions_t actions;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        die("pipe", errno);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    be_patient();
    uint64_t begun = clock_monotonic_ns();
    pid_t pid = start(path, argv, &actions);
    fd_close(ends[1]);
    *ret_bytes = read_all(ends[0]);
    finish(path, pid);
    uint64_t taken = clock_monotonic_ns() - begun;
    fd_close(ends[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    return taken;
}

static void run_drain(unsigned long count, char **paths, char **argv)
{
    for (unsigned long i = 0; i < count; i++) {
        uint64_t bytes[2];
        uint64_t a = time_drain(paths[0], argv, &bytes[0]);
        uint64_t b = time_drain(paths[1], argv, &bytes[1]);
        (void)printf("%llu %llu %llu %llu\n", (unsigned long long)a, (unsigned long long)b,
                     (unsigned long long)bytes[0], (unsigned long long)bytes[1]);
    }
}

typedef struct Runner {
    pid_t pid;
    uint64_t begun;
} Runner;

static Runner *runner_of(Runner *runners, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (runners[i].pid == pid)
            return &runners[i];
    }
    die("an unknown child", ESRCH);
}

static void run_crowd(unsigned long count, unsigned long concurrent, const char *path, char **argv)
{
    static Runner runners[CROWD_MAX];
    unsigned long started = 0;

    if (concurrent < 1 || concurrent > CROWD_MAX || concurrent > count)
        die("CONCURRENT", EINVAL);
    uint64_t begun = clock_monotonic_ns();
    for (; started < concurrent; started++) {
        runners[started].begun = clock_monotonic_ns();
        runners[started].pid = start(path, argv, NULL);
    }
    for (unsigned long ended = 0; ended < count; ended++) {
        int status = 0;
        be_patient();
        pid_t pid = waitpid(-1, &status, 0);
        uint64_t now = clock_monotonic_ns();
        if (pid < 0)
            die("waitpid", errno);
        if (status != 0)
            die_of_status(path, status);
        Runner *runner = runner_of(runners, concurrent, pid);
        (void)printf("%llu\n", (unsigned long long)(now - runner->begun));
        runner->pid = 0;
        if (started == count)
            continue;
        started++;
        runner->begun = clock_monotonic_ns();
        runner->pid = start(path, argv, NULL);
    }
    (void)printf("total %llu\n", (unsigned long long)(clock_monotonic_ns() - begun));
}

/* argv for what is started: the last word before its arguments gives way to the command's name. */
static char **command_line(char **words, char *path)
{
    char *slash = strrchr(path, '/');
    words[0] = slash ? slash + 1 : path;
    return words;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    char *paths[2];

    if (strcmp(mode, "now") == 0) {
        (void)printf("%llu\n", (unsigned long long)clock_monotonic_ns());
    } else if (strcmp(mode, "pairs") == 0 && argc >= 6) {
        memcpy(paths, &argv[4], sizeof paths);
        run_pairs(number_of(argv[2]), (useconds_t)number_of(argv[3]), paths,
                  command_line(&argv[5], argv[5]));
    } else if (strcmp(mode, "drain") == 0 && argc >= 5) {
        memcpy(paths, &argv[3], sizeof paths);
        run_drain(number_of(argv[2]), paths, command_line(&argv[4], argv[4]));
    } else if (strcmp(mode, "crowd") == 0 && argc >= 5) {
        paths[0] = argv[4];
        run_crowd(number_of(argv[2]), number_of(argv[3]), paths[0],
                  command_line(&argv[4], argv[4]));
    } else {
        (void)fprintf(stderr, "usage: see the head of bench-road.c\n");
        return 2;
    }
    return 0;
}
