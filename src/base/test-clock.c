/*
 * Durations and times: what is accepted, what is refused, and both directions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t milliseconds;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"90", 90000},
        {"250ms", 250},
        {"30s", 30000},
        {"2m", 120000},
        {"1h30m", 5400000},
        {"1d", 86400000},
        {"1m30s500ms", 90500},
        {"007s", 7000},
        {"366d", CLOCK_DURATION_MAX_MS},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t milliseconds = 1;
        assert_int_equal(clock_parse_duration(good[i].text, &milliseconds), 0);
        assert_true(milliseconds == good[i].milliseconds);
    }
}

static void test_what_is_no_duration(void **state)
{
    static const char *const bad[] = {"",    " ",    "s",    "-1s",  "+1s",      "1.5s", "1 s",
                                      " 1s", "1s ",  "1x",   "1min", "1sec",     "1h30", "0s5",
                                      "1m5", "0x1s", "1e3s", "1S",   "for ever", "1ss",  "1\n"};
    static const char *const large[] = {"367d",     "366d1ms",  "99999999999999999999999999",
                                        "9999999d", "200d200d", "31622400000ms1ms"};
    uint64_t milliseconds;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(clock_parse_duration(bad[i], &milliseconds), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(large); i++)
        assert_int_equal(clock_parse_duration(large[i], &milliseconds), -ERANGE);
}

static void test_durations_for_humans(void **state)
{
    static const struct {
        uint64_t milliseconds;
        const char *text;
    } pairs[] = {
        {0, "0ms"},       {999, "999ms"},     {1000, "1s"},      {2500, "2.5s"},
        {59999, "59.9s"}, {60000, "1m"},      {61999, "1m1s"},   {600000, "10m"},
        {3600000, "1h"},  {5400000, "1h30m"}, {86400000, "24h"}, {3661000, "1h1m"},
    };
    char text[CLOCK_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        assert_string_equal(clock_format_duration(pairs[i].milliseconds, text), pairs[i].text);
    (void)clock_format_duration(UINT64_MAX, text); /* fits */
}

static void test_times(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } pairs[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {UINT64_C(1795493429123456), "2026-11-24T04:10:29.123456Z"},
        {UINT64_C(951782400000001), "2000-02-29T00:00:00.000001Z"},
        {UINT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };
    char text[CLOCK_TEXT_MAX];
    uint64_t us;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        assert_string_equal(clock_format_time(pairs[i].us, text), pairs[i].text);
        assert_int_equal(clock_parse_time(pairs[i].text, &us), 0);
        assert_true(us == pairs[i].us);
    }
    assert_int_equal(clock_parse_time("1970-01-01T00:00:01Z", &us), 0);
    assert_true(us == 1000000);
    assert_int_equal(clock_parse_time("1970-01-01T00:00:00.5Z", &us), 0);
    assert_true(us == 500000);
    assert_int_equal(clock_parse_time("1970-01-01T00:00:00.123456789Z", &us), 0);
    assert_true(us == 123456);
    assert_int_equal(clock_parse_time("2016-12-31T23:59:60Z", &us), 0); /* a leap second */
    assert_true(us == UINT64_C(1483228800000000));
    (void)clock_format_time(UINT64_MAX, text); /* fits */
}

static void test_what_is_no_time(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "2026-11-24",
        "2026-11-24T04:10:29",
        "2026-11-24T04:10:29+01:00",
        "2026-11-24T04:10:29z",
        "2026-11-24 04:10:29Z",
        "2026-11-24T04:10:29.Z",
        "2026-11-24T04:10:29.1Zx",
        " 2026-11-24T04:10:29Z",
        "2026-1-24T04:10:29Z",
        "+026-11-24T04:10:29Z",
        "2026-13-24T04:10:29Z",
        "2026-02-29T04:10:29Z",
        "2026-02-31T00:00:00Z",
        "2026-11-24T24:10:29Z",
        "2026-11-24T04:60:29Z",
        "1969-12-31T23:59:59Z",
    };
    uint64_t us;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(clock_parse_time(bad[i], &us), -EINVAL);
}

static void test_clocks_go(void **state)
{
    uint64_t before = clock_monotonic_ns();
    struct timeval value = clock_timeval_of_ms(61234);

    (void)state;
    assert_true(clock_monotonic_ns() >= before);
    assert_true(clock_realtime_us() > UINT64_C(1700000000000000));
    assert_int_equal(value.tv_sec, 61);
    assert_int_equal(value.tv_usec, 234000);
}

static void an_effort_ends_by_its_own_work(void **state)
{
    Effort little = {.most_ns = 1000}, much = {.most_ns = UINT64_MAX / 2};
    (void)state;

    assert_false(clock_is_spent(&little));
    assert_false(clock_is_spent(&much));
    while (!clock_is_spent(&little)) /* asking is work */
        ;
    assert_true(little.cpu_begun_ns > 0); /* wall time alone did not end it */
    assert_false(clock_is_spent(&much));
    assert_int_equal(much.cpu_begun_ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_effort_ends_by_its_own_work),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_what_is_no_duration),
        cmocka_unit_test(test_durations_for_humans),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_what_is_no_time),
        cmocka_unit_test(test_clocks_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
