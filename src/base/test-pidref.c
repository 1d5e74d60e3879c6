/*
 * Process references: a reaped process is -ESRCH, whoever has its pid now; a zombie is still there
 * (pidfd_send_signal(2)).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/pidref.h"

/* A child that waits for its end. */
static PidRef child(void)
{
    PidRef process = PIDREF_EMPTY;
    int result = pidref_fork(&process, -1);

    if (result == 0) {
        for (;;)
            (void)pause();
    }
    assert_int_equal(result, 1);
    assert_true(process.pid > 0 && process.pidfd >= 0);
    return process;
}

static void reap(const PidRef *process, int expected_signal)
{
    int status = 0;
    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == expected_signal);
}

static void test_life_and_death(void **state)
{
    PidRef process = child();
    siginfo_t info = {0};

    (void)state;
    assert_true(fcntl(process.pidfd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(pidref_verify(&process), 0);
    assert_int_equal(pidref_kill(&process, SIGTERM), 0);
    assert_int_equal(waitid(P_PIDFD, (id_t)process.pidfd, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(pidref_verify(&process), 0); /* a zombie keeps its pid */
    reap(&process, SIGTERM);
    assert_int_equal(pidref_verify(&process), -ESRCH);
    assert_int_equal(pidref_kill(&process, SIGKILL), -ESRCH);

    PidRef other = PIDREF_EMPTY;
    assert_int_equal(pidref_open(process.pid, &other), -ESRCH);
    assert_int_equal(pidref_of_pidfd_take(TAKE_FD(process.pidfd), &other), -ESRCH);
    assert_false(pidref_is_set(&other));
    pidref_done(&process);
}

static void test_two_references(void **state)
{
    PidRef process = child(), by_pid = PIDREF_EMPTY, by_pidfd = PIDREF_EMPTY;

    (void)state;
    assert_int_equal(pidref_open(process.pid, &by_pid), 0);
    int copy = fcntl(process.pidfd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(pidref_of_pidfd_take(copy, &by_pidfd), 0);
    assert_int_equal(by_pidfd.pid, process.pid);
    assert_int_equal(by_pidfd.pidfd, copy);
    assert_int_equal(pidref_kill(&by_pid, SIGKILL), 0);
    reap(&process, SIGKILL);
    assert_int_equal(pidref_verify(&by_pidfd), -ESRCH);
    pidref_done(&by_pid);
    pidref_done(&by_pidfd);
    pidref_done(&process);
    assert_false(pidref_is_set(&process));
    assert_int_equal(process.pidfd, -EBADF);
    pidref_done(&process);
}

static void test_what_is_no_process(void **state)
{
    PidRef empty = PIDREF_EMPTY, ret = PIDREF_EMPTY;

    (void)state;
    assert_false(pidref_is_set(&empty));
    assert_int_equal(pidref_verify(&empty), -EBADF); /* never "still there" */
    assert_int_equal(pidref_kill(&empty, 0), -EBADF);
    assert_int_equal(pidref_open(0, &ret), -EINVAL);
    assert_int_equal(pidref_open(-1, &ret), -EINVAL);
    assert_true(pidref_of_pidfd_take(-EBADF, &ret) < 0);

    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pidref_of_pidfd_take(other, &ret), -ESRCH);
    assert_int_equal(fcntl(other, F_GETFD), -1); /* taken, and closed on failure */
}

static void test_cgroup_that_is_none(void **state)
{
    PidRef process = PIDREF_EMPTY;
    _cleanup_fd_ int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = pidref_fork(&process, directory);

    (void)state;
    if (result == 0)
        _exit(1);
    assert_true(result < 0);
    assert_false(pidref_is_set(&process));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_and_death),
        cmocka_unit_test(test_two_references),
        cmocka_unit_test(test_what_is_no_process),
        cmocka_unit_test(test_cgroup_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
