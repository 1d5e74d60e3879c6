/* Tests of disposition.c, against what proc(5) says of us. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/disposition.h"

#define BIT(signal_number) (UINT64_C(1) << ((signal_number)-1))

static uint64_t status_of(const char *name)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *file = fopen("/proc/self/status", "re");

    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name) + 1, NULL, 16);
    }
    (void)fclose(file);
    return value;
}

static void on_signal(int signal_number)
{
    (void)signal_number;
}

static void test_every_signal(void **state)
{
    (void)state;
    disposition_reset();
    for (int number = 1; number <= DISPOSITION_SIGNAL_MAX; number++) {
        uint64_t expected = number == SIGKILL || number == SIGSTOP ? 0 : BIT(number);
        disposition_set(number, true);
        assert_int_equal(status_of("SigIgn:"), expected);
        disposition_set(number, false);
        assert_int_equal(status_of("SigIgn:"), 0);
    }
    disposition_set(0, true);
    disposition_set(DISPOSITION_SIGNAL_MAX + 1, true);
    assert_int_equal(status_of("SigIgn:"), 0);
}

static void test_reset(void **state)
{
    sigset_t all;

    (void)state;
    for (int number = 1; number <= DISPOSITION_SIGNAL_MAX; number += 2)
        disposition_set(number, true);
    (void)signal(SIGUSR2, on_signal);
    sigfillset(&all);
    assert_int_equal(sigprocmask(SIG_SETMASK, &all, NULL), 0);
    assert_true(status_of("SigBlk:") & BIT(SIGTERM));
    assert_true(status_of("SigCgt:") & BIT(SIGUSR2));
    disposition_reset();
    assert_int_equal(status_of("SigIgn:"), 0);
    assert_int_equal(status_of("SigBlk:"), 0);
    assert_int_equal(status_of("SigCgt:"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_signal),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
