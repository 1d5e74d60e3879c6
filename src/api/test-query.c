/*
 * Queries, and records of the journal as they lie.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/query.h"
#include "api/record.h"
#include "base/cleanup.h"

static const char *const names[] = {"limit", "after", "q", NULL};

static void test_queries_are_taken_apart(void **state)
{
    Query query;
    (void)state;

    assert_int_equal(query_parse(NULL, names, &query), 0);
    assert_null(query.values[0]);
    query_done(&query);
    assert_int_equal(query_parse("", names, &query), 0);
    query_done(&query);
    assert_int_equal(query_parse("q=a%20b+c%2Bd%26e%3D&limit=", names, &query), 0);
    assert_string_equal(query.values[2], "a b c+d&e=");
    assert_string_equal(query.values[0], "");
    assert_null(query.values[1]);
    query_done(&query);
    assert_int_equal(query_parse("%6cimit=%C3%A4", names, &query), 0);
    assert_string_equal(query.values[0], "\xc3\xa4");
    query_done(&query);
}

static void test_what_is_odd_is_refused(void **state)
{
    static const char *const odd[] = {"x=1",        "limit",           "&",         "limit=1&",
                                      "limit=1&&q", "limit=1&limit=1", "limit=%",   "limit=%4",
                                      "limit=%zz",  "limit=%00",       "limit=%ff", "=1",
                                      "Limit=1",    "limit=1;q=2&x"};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        Query query;
        if (query_parse(odd[i], names, &query) != -EINVAL)
            fail_msg("%s was taken", odd[i]);
        assert_true(query.problem[0] != '\0');
        query_done(&query);
    }
}

static void test_numbers(void **state)
{
    uint64_t number = 7;
    (void)state;

    assert_true(query_number("0", 0, 9, &number));
    assert_int_equal(number, 0);
    assert_true(query_number("9223372036854775807", 0, INT64_MAX, &number));
    assert_false(query_number("9223372036854775808", 0, INT64_MAX, &number));
    assert_false(query_number("99999999999999999999", 0, UINT64_MAX, &number));
    static const char *const none[] = {"", "-1", "+1", " 1", "1 ", "01", "0x1", "1e3", "10"};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        assert_false(query_number(none[i], 0, 9, &number));
}

static int view_of(const char *line, RecordView *ret)
{
    return record_view(line, strlen(line), ret);
}

static void test_records_are_looked_at(void **state)
{
    RecordView view;
    (void)state;

    assert_int_equal(
        view_of("{\"seq\":17,\"ts\":\"2026-01-01T00:00:00.000000Z\",\"event\":\"judged\",\"argv\":"
                "[\"\\\"jail\\\":\",{\"base64\":\"//8=\"}],\"message\":\"\\\\\",\"jail\":\"mine\","
                "\"command\":\"a\\\"b\",\"x\":{\"jail\":\"no\"},\"prev\":\"00\",\"hash\":\"11\"}",
                &view),
        0);
    assert_int_equal(view.seq, 17);
    assert_true(slice_is(view.event, "judged"));
    assert_true(slice_is(view.jail, "mine"));
    assert_true(slice_is(view.command, "\"a\\\"b\""));
    assert_true(slice_compare(view.ts, "2026-01-01T00:00:00.000000Z") == 0);
    assert_true(slice_compare(view.ts, "2026-01-01T00:00:00.000001Z") < 0);
    assert_true(slice_compare(view.ts, "2025-12-31T23:59:59.999999Z") > 0);
    assert_true(view.searched > 0);
}

static void test_what_is_no_record(void **state)
{
    static const char *const none[] = {
        "",
        "{",
        "{}",
        "[]",
        "{\"seq\":1}",
        "{\"seq\":1,\"ts\":\"x\",\"event\":\"y\"",
        "{\"seq\":x,\"ts\":\"x\",\"event\":\"y\"}",
        "{\"seq\":-1,\"ts\":\"x\",\"event\":\"y\"}",
        "{\"seq\":1,\"ts\":\"x\",\"event\":\"y}",
        "{\"seq\":1,\"ts\":\"x\",\"event\":\"y\"}}",
        "{\"seq\":1,\"ts\":\"x\",\"event\":\"y\"} ",
        "{\"seq\":1,\"ts\":\"x\",\"event\":\"y\\",
        "{\"seq\":,\"ts\":\"x\",\"event\":\"y\"}",
        "{seq:1,\"ts\":\"x\",\"event\":\"y\"}",
    };
    RecordView view;
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        if (view_of(none[i], &view) != -EBADMSG)
            fail_msg("%s was taken", none[i]);
}

static void test_words_are_found(void **state)
{
    static const char text[] = "git PUSH --Force";
    Slice slice = {text, sizeof text - 1};
    (void)state;

    assert_true(slice_has_word(slice, "push"));
    assert_true(slice_has_word(slice, "GIT"));
    assert_true(slice_has_word(slice, "force"));
    assert_true(slice_has_word(slice, ""));
    assert_false(slice_has_word(slice, "forces"));
    assert_false(slice_has_word(slice, "pull"));
    assert_false(slice_has_word((Slice){NULL, 0}, "x"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries_are_taken_apart),
        cmocka_unit_test(test_what_is_odd_is_refused),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_records_are_looked_at),
        cmocka_unit_test(test_what_is_no_record),
        cmocka_unit_test(test_words_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
