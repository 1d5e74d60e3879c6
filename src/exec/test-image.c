/*
 * The runner as a program of its own: it shares no memory with the executor, holds nothing that it
 * need not, and cannot be replaced; what cannot be started is said and leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "exec/descendants.h"
#include "exec/image.h"
#include "exec/test-driver.h"

#define NAME "/memfd:clawrden-runner"

static void skip_without_image(void)
{
    int fd = image_open();

    fd_close(fd);
    if (fd == -ENOENT || geteuid() != 0)
        skip();
    assert_true(fd >= 0);
}

static bool is_image(pid_t pid)
{
    char path[64], target[PATH_MAX] = "";

    (void)snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return readlink(path, target, sizeof target - 1) > 0 &&
           strncmp(target, NAME, strlen(NAME)) == 0;
}

static char *read_of(pid_t pid, const char *name)
{
    char path[64], *text = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    assert_int_equal(fd_read_file(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
    return text;
}

/* The only one of the executor's two processes, the spare runner and its keeper, that is called so,
 * once both wait. */
static pid_t find(const Driver *driver, const char *name)
{
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;

    while (clock_monotonic_ms() < end) {
        Descendants found;
        pid_t pid = 0;
        assert_int_equal(descendants_find(driver->executor, NULL, 0, &found), 0);
        for (size_t i = 0; found.n_pids == 2 && i < 2 && is_image(found.pids[i]) &&
                           process_state(found.pids[i]) == 'S';
             i++) {
            _cleanup_free_ char *comm = read_of(found.pids[i], "comm");
            if (strncmp(comm, name, strlen(name)) == 0)
                pid = found.pids[i];
        }
        descendants_done(&found);
        if (pid > 0)
            return pid;
        (void)usleep(1000);
    }
    fail_msg("no spare %s", name);
    return 0;
}

static void assert_same_line(pid_t a, pid_t b, const char *name)
{
    _cleanup_free_ char *of_a = read_of(a, "status"), *of_b = read_of(b, "status");
    char *line_a = strstr(of_a, name), *line_b = strstr(of_b, name);

    assert_non_null(line_a);
    assert_non_null(line_b);
    line_a[strcspn(line_a, "\n")] = line_b[strcspn(line_b, "\n")] = '\0';
    assert_string_equal(line_a, line_b);
}

/* It waits for its keeper before it has given everything up. */
static void wait_for_line(pid_t pid, const char *line)
{
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
    bool is_there = false;

    while (!is_there && clock_monotonic_ms() < end) {
        _cleanup_free_ char *status = read_of(pid, "status");
        is_there = strstr(status, line) != NULL;
    }
    assert_true(is_there);
}

static void test_nothing_of_the_executor(void **state UNUSED)
{
    Driver driver;
    char path[64], exe[PATH_MAX] = "";

    skip_without_image();
    driver_start(&driver, &(ExecutorOptions){.no_image = false});
    pid_t pid = find(&driver, "clwd-runner");
    _cleanup_free_ char *maps = read_of(pid, "maps");
    assert_true(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
    assert_null(strstr(maps, exe));
    assert_null(strstr(maps, "libc.so"));

    assert_same_line(pid, driver.executor, "CapPrm:");
    assert_same_line(pid, driver.executor, "CapEff:");
    assert_same_line(pid, driver.executor, "CapInh:");
    /* The executor has not: a command in a container may have to be without. */
    wait_for_line(pid, "\nNoNewPrivs:\t1\n");
    for (int fd = 0; fd < 64; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        assert_int_equal(readlink(path, exe, sizeof exe) > 0, fd <= IMAGE_CONTROL_FD);
    }
    driver_stop(&driver);
}

/* It has the memory of a process that reads hostile bytes, so it can do nothing. */
static void test_keeper(void **state UNUSED)
{
    static const char *const lines[] = {"\nCapPrm:\t0000000000000000\n",
                                        "\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n",
                                        "\nSeccomp:\t2\n", "\nSeccomp_filters:\t1\n"};
    Driver driver;
    char path[64], byte = 0;

    skip_without_image();
    driver_start(&driver, &(ExecutorOptions){.no_image = false});
    for (uint32_t i = 1; i <= 3; i++) {
        pid_t pid = find(&driver, "clwd-keeper");
        _cleanup_free_ char *status = read_of(pid, "status");
        for (size_t line = 0; line < ARRAY_SIZE(lines); line++)
            assert_non_null(strstr(status, lines[line]));
        _cleanup_free_ char *home = read_of(driver.executor, "cgroup");
        _cleanup_free_ char *cgroup = read_of(pid, "cgroup");
        assert_string_equal(cgroup, home); /* not in the command's */
        for (int fd = 0; fd < 64; fd++) {
            (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
            assert_true(readlink(path, &byte, 1) < 0);
        }
        assert_int_not_equal(getsid(pid), getsid(driver.executor));

        /* It ends with its command, and the next runner has another. */
        Ended ended = driver_command(&driver, i,
                                     &(Spec){.argv = (const char *const[]){"true", NULL}}, NULL, 0);
        assert_int_equal(ended.value, 0);
        uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
        while (kill(pid, 0) == 0 && clock_monotonic_ms() < end)
            (void)usleep(1000);
        assert_int_equal(kill(pid, 0), -1);
    }
    driver_stop(&driver);
}

static void test_forked_when_told(void **state UNUSED)
{
    Driver driver;
    char output[64];

    driver_start(&driver, &(ExecutorOptions){.no_image = true});
    Descendants found;
    assert_int_equal(descendants_find(driver.executor, NULL, 0, &found), 0);
    for (size_t i = 0; i < found.n_pids; i++)
        assert_false(is_image(found.pids[i]));
    descendants_done(&found);
    (void)driver_command(&driver, 1, &(Spec){.argv = (const char *const[]){"echo", "forked", NULL}},
                         output, sizeof output);
    assert_string_equal(output, "forked\n");
    driver_stop(&driver);
}

static void test_sealed(void **state UNUSED)
{
    char path[64];

    skip_without_image();
    _cleanup_fd_ int fd = image_open();
    assert_true(fd > IMAGE_CONTROL_FD);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(write(fd, "x", 1) < 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    _cleanup_fd_ int again = open(path, O_RDWR | O_CLOEXEC);
    assert_true(again < 0 || write(again, "x", 1) < 0);
    assert_true(again < 0 || ftruncate(again, 0) < 0);
}

/* The control socket may have any number, the program's own among them. A runner that is told
 * nothing ends when the socket does. */
static void test_control_numbers(void **state UNUSED)
{
    const int numbers[] = {IMAGE_CONTROL_FD, 40};

    skip_without_image();
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int pair[2];
        siginfo_t status = {.si_pid = 0};
        PidRef child = PIDREF_EMPTY;

        _cleanup_fd_ int image = fd_move_above_take(image_open(), 50);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        int ours = fd_move_above_take(pair[0], 60), theirs = fd_move_above_take(pair[1], 60);
        int kept = fcntl(numbers[i], F_DUPFD_CLOEXEC, 70); /* it may be in use */
        assert_int_equal(dup3(theirs, numbers[i], O_CLOEXEC), numbers[i]);
        (void)close(theirs);
        assert_int_equal(image_start(image, numbers[i], -1, &child), 1);
        assert_true(is_image(child.pid));
        (void)close(numbers[i]);
        if (kept >= 0) {
            assert_int_equal(dup3(kept, numbers[i], O_CLOEXEC), numbers[i]);
            (void)close(kept);
        }
        (void)close(ours);
        assert_int_equal(waitid(P_PIDFD, (id_t)child.pidfd, &status, WEXITED), 0);
        assert_int_equal(status.si_code, CLD_EXITED);
        assert_int_equal(status.si_status, EXIT_FAILURE);
        pidref_done(&child);
    }
}

static void test_what_cannot_start(void **state UNUSED)
{
    PidRef child = PIDREF_EMPTY;
    int pair[2];

    _cleanup_fd_ int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(image_start(nothing, pair[1], -1, &child), -EACCES);
    assert_int_equal(image_start(-1, pair[1], -1, &child), -EBADF);
    assert_true(image_start(nothing, pair[1], nothing, &child) < 0); /* no cgroup */
    assert_false(pidref_is_set(&child));
    assert_true(waitpid(-1, NULL, WNOHANG) < 0);
    assert_int_equal(errno, ECHILD);
    fd_close_many(pair, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_the_executor), cmocka_unit_test(test_keeper),
        cmocka_unit_test(test_forked_when_told),        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_control_numbers),         cmocka_unit_test(test_what_cannot_start),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
