/*
 * The shipped policy against what is known to run code, write or send, and against what agents do
 * all day: see test-default-policy.h.
 */
#include "policy/test-default-policy.h"
#include "policy/test-policy.h"

static Policy *default_policy(void)
{
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    int rc = policy_load_text("default-policy.yaml", policy_default_text,
                              strlen(policy_default_text), &policy, &problems);

    policy_problems_print(&problems, stderr);
    assert_int_equal(rc, 0);
    assert_int_equal(problems.n_items, 0); /* not even a warning */
    policy_problems_done(&problems);
    return policy;
}

static size_t count_wrong(const Policy *policy, const char *const *lines, size_t n_lines,
                          bool (*is_wrong)(PolicyAction action))
{
    size_t wrong = 0;

    for (size_t i = 0; i < n_lines; i++) {
        PolicyVerdict verdict = verdict_on(policy, lines[i]);
        if (!is_wrong(verdict.action))
            continue;
        print_error("%s: %s by %s\n", lines[i], policy_action_name(verdict.action), verdict.rule);
        wrong++;
    }
    return wrong;
}

static bool is_allow(PolicyAction action)
{
    return action == POLICY_ALLOW;
}

static bool is_no_allow(PolicyAction action)
{
    return action != POLICY_ALLOW;
}

static bool is_no_deny(PolicyAction action)
{
    return action != POLICY_DENY;
}

static void nothing_slips_through(void **state)
{
    Policy *policy = default_policy();
    (void)state;
    assert_true(ARRAY_SIZE(must_not_be_allowed) >= 250);
    assert_int_equal(
        count_wrong(policy, must_not_be_allowed, ARRAY_SIZE(must_not_be_allowed), is_allow), 0);
    (void)policy_free(policy);
}

static void daily_work_is_not_asked_about(void **state)
{
    Policy *policy = default_policy();
    (void)state;
    assert_true(ARRAY_SIZE(must_be_allowed) >= 150);
    assert_int_equal(count_wrong(policy, must_be_allowed, ARRAY_SIZE(must_be_allowed), is_no_allow),
                     0);
    (void)policy_free(policy);
}

static void the_worst_is_denied(void **state)
{
    Policy *policy = default_policy();
    (void)state;
    assert_int_equal(count_wrong(policy, must_be_denied, ARRAY_SIZE(must_be_denied), is_no_deny),
                     0);
    (void)policy_free(policy);
}

static void files_of_the_caller_are_not_vouched_for(void **state)
{
    Policy *policy = default_policy();
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(must_be_allowed); i++) {
        TestQuery test;
        PolicyVerdict verdict;
        test_query_of(&test, must_be_allowed[i]);
        test.query.exe_writable = true;
        policy_judge(policy, &test.query, &verdict);
        assert_int_not_equal(verdict.action, POLICY_ALLOW);
        test_query_done(&test);
    }
    (void)policy_free(policy);
}

static void secrets_are_hidden(void **state)
{
    Policy *policy = default_policy();
    static const char text[] = "curl -H 'Authorization: Bearer abc.def' --data token=xyz "
                               "https://user:pass@host/ ghp_0123456789abcdef";
    Buffer out = BUFFER_EMPTY(4096);
    (void)state;

    policy_redact(policy, text, sizeof text - 1, &out);
    buffer_put_u8(&out, 0);
    assert_null(strstr(out.bytes, "abc.def"));
    assert_null(strstr(out.bytes, "xyz"));
    assert_null(strstr(out.bytes, "pass@"));
    assert_null(strstr(out.bytes, "0123456789"));
    assert_non_null(strstr(out.bytes, "curl"));
    buffer_done(&out);
    (void)policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_slips_through),
        cmocka_unit_test(daily_work_is_not_asked_about),
        cmocka_unit_test(the_worst_is_denied),
        cmocka_unit_test(files_of_the_caller_are_not_vouched_for),
        cmocka_unit_test(secrets_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
