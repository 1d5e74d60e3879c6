/*
 * Grants and rates: what covers what, until when, and how often.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "approval/grant.h"
#include "approval/rate.h"
#include "base/cleanup.h"

static const PolicyAsk plain = {.approvals = 1}, wide = {.grant = POLICY_GRANT_SUBCOMMAND};

static const Coverage covered = {
    .exact = {{1}}, .widened = {{2}}, .root_pid = 50, .root_start_time = 500};

static char command[] = "git", exactly[] = "exactly", widely[] = "widely";

static Question question_of(const Coverage *coverage, const PolicyAsk *ask)
{
    return (Question){
        .id = "ABCDEF",
        .jail_name = "default",
        .coverage = *coverage,
        .rule = "rule 1",
        .ask = ask,
        .subject = {.command = command, .covers_exact = exactly, .covers_widened = widely}};
}

static Grant *give(Grants *grants, const Question *question, bool widened, bool session)
{
    Grant *grant = NULL;
    assert_int_equal(grants_add(grants, question, widened, session, "alice", "cli", "d", &grant),
                     0);
    return grant;
}

static void test_exact_and_widened(void **state UNUSED)
{
    Grants grants = {.count = 0};
    Question question = question_of(&covered, &wide);
    Coverage same_shape = covered, other = covered, nothing = {.root_pid = 50};

    memset(same_shape.exact.bytes, 9, DIGEST_SIZE);
    other.widened.bytes[31] = 1;
    Grant *exact = give(&grants, &question, false, false);
    assert_string_equal(exact->covers, "exactly");
    assert_ptr_equal(grants_covering(&grants, &covered, 0), exact);
    assert_null(grants_covering(&grants, &same_shape, 0));
    assert_ptr_equal(grants_covering(&grants, &other, 0), exact);
    assert_null(grants_covering(&grants, &nothing, 0));
    grants_remove(&grants, exact);
    Grant *widened = give(&grants, &question, true, false);
    assert_string_equal(widened->covers, "widely");
    assert_ptr_equal(grants_covering(&grants, &same_shape, 0), widened);
    assert_null(grants_covering(&grants, &other, 0));
    assert_null(grants_covering(&grants, &nothing, 0)); /* zero is no digest */
    grants_done(&grants);
    assert_int_equal(grants.count, 0);
}

static void test_a_time(void **state UNUSED)
{
    Grants grants = {.count = 0};
    Question question = question_of(&covered, &plain);
    Grant *grant = give(&grants, &question, false, false);

    assert_true(grants_next_expiry(&grants) == UINT64_MAX);
    grant->expires_at_ms = 1000;
    assert_true(grants_next_expiry(&grants) == 1000);
    assert_true(grant_covers(grant, &covered, 999));
    assert_false(grant_covers(grant, &covered, 1000));
    grants_done(&grants);
}

static void test_a_session(void **state UNUSED)
{
    Grants grants = {.count = 0};
    Question question = question_of(&covered, &plain);
    Grant *grant = give(&grants, &question, false, true);
    Coverage other = covered;

    assert_true(grant_covers(grant, &covered, 0));
    other.root_pid = 51;
    assert_false(grant_covers(grant, &other, 0));
    other = covered;
    other.root_start_time = 501;
    assert_false(grant_covers(grant, &other, 0));
    other = (Coverage){.exact = covered.exact};
    assert_false(grant_covers(grant, &other, 0));
    other = covered;
    other.in_container = true;
    assert_false(grant_covers(grant, &other, 0));
    grants_done(&grants);
}

static void test_what_cannot_be_granted(void **state UNUSED)
{
    Grants grants = {.count = 0};
    Grant *grant = NULL;
    Coverage nothing = {.root_pid = 50}, rootless = {.exact = {{1}}}, narrow = {.exact = {{1}}};
    Question unbound = question_of(&nothing, &plain), lost = question_of(&rootless, &plain),
             fixed = question_of(&covered, &plain), shapeless = question_of(&narrow, &wide);

    assert_non_null(grant_obstacle(&unbound, false, false));
    assert_non_null(grant_obstacle(&lost, false, true));
    assert_null(grant_obstacle(&lost, false, false));
    assert_non_null(grant_obstacle(&fixed, true, false));
    assert_non_null(grant_obstacle(&shapeless, true, false));
    assert_int_equal(grants_add(&grants, &fixed, true, false, "a", "cli", "d", &grant), -EINVAL);
    assert_null(grant);
    assert_int_equal(grants.count, 0);
}

static void test_they_are_bounded_and_found_by_id(void **state UNUSED)
{
    Grants grants = {.count = GRANTS_MAX - 1};
    Question question = question_of(&covered, &plain);
    Grant *grant = give(&grants, &question, false, false), *more = NULL;
    char id[GRANT_ID_SIZE];

    assert_int_equal(grants_add(&grants, &question, false, false, "a", "cli", "d", &more), -ENOSPC);
    memcpy(id, grant->id, sizeof id);
    id[0] = 'g';
    assert_ptr_equal(grants_find(&grants, id), grant);
    assert_null(grants_find(&grants, id + 2));
    assert_null(grants_find(&grants, ""));
    grants_done(&grants);
}

static void test_a_rate_holds_in_every_window(void **state UNUSED)
{
    Rates rates = {.first = NULL};
    unsigned taken = 0;

    for (int i = 0; i < 10; i++)
        taken += rates_take(&rates, 1, 3, 6400, 50);
    assert_int_equal(taken, 3);
    assert_true(rates_take(&rates, 2, 3, 6400, 50)); /* another rule's */
    assert_false(rates_take(&rates, 1, 3, 6400, 50 + 6399));
    assert_true(rates_take(&rates, 1, 3, 6400, 50 + 6500));
    rates_done(&rates);

    /* At whatever times: no more than `most` in any window. */
    uint64_t times[2000], now = 123456;
    size_t count = 0;
    unsigned seed = 7;
    for (int i = 0; i < 20000 && count < ARRAY_SIZE(times); i++) {
        seed = seed * 1103515245u + 12345u;
        now += seed >> 16 & 63;
        if (rates_take(&rates, 1, 5, 1000, now))
            times[count++] = now;
    }
    assert_true(count > 100);
    for (size_t i = 5; i < count; i++)
        assert_true(times[i] - times[i - 5] > 999);
    rates_done(&rates);
}

static void test_a_rate_after_a_long_time(void **state UNUSED)
{
    Rates rates = {.first = NULL};

    assert_true(rates_take(&rates, 1, 1, 1000, 0));
    assert_false(rates_take(&rates, 1, 1, 1000, 10));
    assert_true(rates_take(&rates, 1, 1, 1000, UINT64_C(1) << 50));
    assert_false(rates_take(&rates, 1, 1, 1000, UINT64_C(1) << 50));
    assert_false(rates_take(&rates, 1, 1, 1000, 5)); /* a clock that went back grants nothing */
    rates_done(&rates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_and_widened),
        cmocka_unit_test(test_a_time),
        cmocka_unit_test(test_a_session),
        cmocka_unit_test(test_what_cannot_be_granted),
        cmocka_unit_test(test_they_are_bounded_and_found_by_id),
        cmocka_unit_test(test_a_rate_holds_in_every_window),
        cmocka_unit_test(test_a_rate_after_a_long_time),
    };
    return cmocka_run_group_tests_name("grants", tests, NULL, NULL);
}
