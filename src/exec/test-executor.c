/*
 * The executor as its neighbours see it: commands run as their callers, end as they end, and
 * nothing of them stays. Kernel facts relied on are named where they are used.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "exec/test-driver.h"

static Driver driver;
static ExecutorOptions options;
static uint32_t counter;

static int set_up(void **state UNUSED)
{
    driver_start(&driver, &options);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    driver_stop(&driver);
    return 0;
}

static void test_true_and_exit_codes(void **state UNUSED)
{
    const char *const true_argv[] = {"true", NULL};
    const char *const exit_argv[] = {"sh", "-c", "exit 37", NULL};
    const char *const kill_argv[] = {"sh", "-c", "kill -USR1 $$", NULL};

    Ended ended = driver_command(&driver, ++counter, &(Spec){.argv = true_argv}, NULL, 0);
    assert_int_equal(ended.kind, 0);
    assert_int_equal(ended.value, 0);
    assert_int_equal(ended.left, 0);
    ended = driver_command(&driver, ++counter, &(Spec){.argv = exit_argv}, NULL, 0);
    assert_int_equal(ended.kind, 0);
    assert_int_equal(ended.value, 37);
    ended = driver_command(&driver, ++counter, &(Spec){.argv = kill_argv}, NULL, 0);
    assert_int_equal(ended.kind, 1);
    assert_int_equal(ended.value, SIGUSR1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_and_exit_codes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
