/*
 * The shipped policy against what is known to run code, write or send, and against what agents do
 * all day: see test-default-policy-deny.h and test-default-policy-allow.h.
 */
#include "policy/test-default-policy-allow.h"
#include "policy/test-default-policy-deny.h"
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

/* Root's files elsewhere are not the programs of the system, whatever their names. */
static void files_elsewhere_are_not_vouched_for(void **state)
{
    Policy *policy = default_policy();
    static const char *const files[] = {"/tmp/ls",     "/app/node_modules/.bin/cat", "/home/u/git",
                                        "/var/lib/ls", "/workspace/usr/bin/ls",      "/usr2/ls",
                                        "/root/ls"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        assert_action(policy, files[i], POLICY_ASK);
    assert_action(policy, "/bin/ls", POLICY_ALLOW);
    assert_action(policy, "/usr/local/bin/ls", POLICY_ALLOW);
    (void)policy_free(policy);
}

static void wider_answers_are_for_files_here(void **state)
{
    Policy *policy = default_policy();
    static const char *const widened[] = {"rm -r a",    "cp a b",  "mv a b",
                                          "mkdir -p a", "touch a", "git add a"};
    static const char *const exact[] = {"git push origin main",
                                        "git commit -m x",
                                        "npm install x",
                                        "pip install x",
                                        "docker run x",
                                        "sudo ls",
                                        "chmod 644 x",
                                        "sh -c x",
                                        "cat .env",
                                        "unknown"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(widened); i++) {
        PolicyVerdict verdict = verdict_on(policy, widened[i]);
        assert_int_equal(verdict.action, POLICY_ASK);
        assert_true(verdict.ask->grant & POLICY_GRANT_PATHS_CWD);
    }
    for (size_t i = 0; i < ARRAY_SIZE(exact); i++) {
        PolicyVerdict verdict = verdict_on(policy, exact[i]);
        assert_int_equal(verdict.action, POLICY_ASK);
        assert_int_equal(verdict.ask->grant, 0);
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

/* The secrets in these lines are called S3CR3T, what must stay to be read KEEP. */
static void secrets_in_command_lines_are_hidden(void **state)
{
    Policy *policy = default_policy();
    static const char *const lines[] = {
        "tool --token S3CR3T KEEP",
        "tool --password S3CR3T KEEP",
        "tool --password 'S3CR3T two words' KEEP",
        "tool --api-key S3CR3T KEEP",
        "tool --client-secret=S3CR3T KEEP",
        "tool --private-key S3CR3T KEEP",
        "tool --pass S3CR3T KEEP",
        "curl -H 'Authorization: Bearer S3CR3T' https://KEEP/",
        "curl -H 'Authorization: token S3CR3T' https://KEEP/",
        "curl -H 'authorization: S3CR3T' https://KEEP/",
        "curl '-HAuthorization: Basic S3CR3T' https://KEEP/",
        "curl --header 'X-Api-Key: S3CR3T' https://KEEP/",
        "curl -u user:S3CR3T https://KEEP/",
        "curl --user user:S3CR3T https://KEEP/",
        "curl -u=user:S3CR3T https://KEEP/",
        "curl https://user:S3CR3T@KEEP/",
        "curl -d '{\"password\": \"S3CR3T\"}' https://KEEP/",
        "curl -d 'user=KEEP&password=S3CR3T'",
        "env PGPASSWORD=S3CR3T KEEP",
        "env AWS_SECRET_ACCESS_KEY=S3CR3T KEEP",
        "env GITHUB_TOKEN=S3CR3T KEEP",
        "env SECRET='S3CR3T' KEEP",
        "sh -c \"PASSWORD='S3CR3T x' KEEP\"",
        "tool Bearer S3CR3T KEEP",
    };
    static const char *const harmless[] = {
        "git commit -m 'fix token refresh' KEEP",
        "git push -u origin KEEP",
        "git push -u https://host/KEEP main",
        "docker run -u 1000:1000 KEEP",
        "pip install --user git+https://KEEP",
        "tool --compass KEEP",
        "tool --password-stdin KEEP",
        "docker secret ls KEEP",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines) + ARRAY_SIZE(harmless); i++) {
        const char *line = i < ARRAY_SIZE(lines) ? lines[i] : harmless[i - ARRAY_SIZE(lines)];
        TestQuery test;
        const char **redacted = NULL;
        bool kept = false;
        test_query_of(&test, line);
        assert_int_equal(policy_redact_argv(policy, test.words, test.query.argc, &redacted), 0);
        for (size_t w = 0; w < test.query.argc; w++) {
            if (strstr(redacted[w], "S3CR3T"))
                fail_msg("shown: %s in %s", redacted[w], line);
            if (i >= ARRAY_SIZE(lines) && strcmp(redacted[w], test.words[w]) != 0)
                fail_msg("hidden: %s in %s", test.words[w], line);
            kept |= strstr(redacted[w], "KEEP") != NULL;
        }
        if (!kept)
            fail_msg("hidden too much: %s", line);
        free((void *)redacted);
        test_query_done(&test);
    }
    (void)policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_slips_through),
        cmocka_unit_test(daily_work_is_not_asked_about),
        cmocka_unit_test(the_worst_is_denied),
        cmocka_unit_test(files_of_the_caller_are_not_vouched_for),
        cmocka_unit_test(files_elsewhere_are_not_vouched_for),
        cmocka_unit_test(wider_answers_are_for_files_here),
        cmocka_unit_test(secrets_are_hidden),
        cmocka_unit_test(secrets_in_command_lines_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
