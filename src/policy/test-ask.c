/*
 * How rules ask: what is read, what is refused, who may decide.
 */
#include "policy/test-policy.h"

static void a_plain_rule_asks_one_approver(void **state)
{
    Policy *policy = policy_of("default_action: ask\nrules:\n  - {command: git, action: ask}\n"
                               "  - {command: ls, action: allow}\n");
    (void)state;
    const char *lines[] = {"git push", "ls", "x"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        PolicyVerdict verdict = verdict_on(policy, lines[i]);
        assert_non_null(verdict.ask);
        assert_int_equal(verdict.ask->approvals, 1);
        assert_int_equal(verdict.ask->n_approvers, 0);
        assert_int_equal(verdict.ask->n_channels, 0);
        assert_false(verdict.ask->quiet);
        assert_int_equal(verdict.ask->grant, 0);
        assert_int_equal(verdict.ask->rate_most, 0);
        assert_int_equal(verdict.rule_index, i < 2 ? i : SIZE_MAX);
    }
    (void)policy_free(policy);
}

static void a_rule_says_how_it_asks(void **state)
{
    Policy *policy = policy_of("rules:\n"
                               "  - command: git\n    argv: {after: add}\n    action: ask\n"
                               "    grant: [subcommand, paths: cwd]\n    approvals: 2\n"
                               "    approvers: [alice, admin, uid:0]\n    channels: [cli, slack]\n"
                               "    quiet: true\n    rate: {most: 30, per: 1m, then: deny}\n"
                               "  - {command: git, action: ask, grant: subcommand}\n"
                               "  - {command: rm, action: ask, grant: {paths: cwd}, rate: 5/10s}\n"
                               "  - {command: ls, action: allow, rate: 7/h, approvers: bob}\n"
                               "  - {command: cat, action: allow, rate: {most: 7, per: 2h, "
                               "then: deny}}\n");
    (void)state;
    PolicyVerdict verdict = verdict_on(policy, "git add x");
    assert_int_equal(verdict.ask->grant, POLICY_GRANT_SUBCOMMAND | POLICY_GRANT_PATHS_CWD);
    assert_int_equal(verdict.ask->approvals, 2);
    assert_int_equal(verdict.ask->n_approvers, 3);
    assert_string_equal(verdict.ask->approvers[2], "uid:0");
    assert_int_equal(verdict.ask->n_channels, 2);
    assert_string_equal(verdict.ask->channels[1], "slack");
    assert_true(verdict.ask->quiet);
    assert_int_equal(verdict.ask->rate_most, 30);
    assert_int_equal(verdict.ask->rate_ms, 60000);
    assert_int_equal(verdict.ask->rate_then, POLICY_DENY);
    assert_int_equal(verdict_on(policy, "git push").ask->grant, POLICY_GRANT_SUBCOMMAND);
    verdict = verdict_on(policy, "rm x");
    assert_int_equal(verdict.ask->grant, POLICY_GRANT_PATHS_CWD);
    assert_int_equal(verdict.ask->rate_most, 5);
    assert_int_equal(verdict.ask->rate_ms, 10000);
    assert_int_equal(verdict.ask->rate_then, POLICY_DENY);
    verdict = verdict_on(policy, "ls");
    assert_int_equal(verdict.ask->rate_most, 7);
    assert_int_equal(verdict.ask->rate_ms, 3600000);
    assert_int_equal(verdict.ask->rate_then, POLICY_ASK);
    assert_string_equal(verdict.ask->approvers[0], "bob");
    verdict = verdict_on(policy, "cat");
    assert_int_equal(verdict.ask->rate_ms, 7200000);
    assert_int_equal(verdict.ask->rate_then, POLICY_DENY);
    (void)policy_free(policy);
}

static void what_a_rule_leaves_out_comes_from_the_policy(void **state)
{
    /* The policy's own keys may stand behind the rules. */
    Policy *policy = policy_of("default_action: ask\nrules:\n"
                               "  - {command: a, action: ask}\n"
                               "  - {command: b, action: ask, quiet: true, approvals: 1}\n"
                               "  - {command: c, action: ask, approvers: bob, channels: api, "
                               "approvals: 1}\n"
                               "approvals: 2\napprovers: [alice, admin]\nchannels: [cli]\n");
    (void)state;
    const char *lines[] = {"a", "nothing"};
    for (size_t i = 0; i < 2; i++) {
        PolicyVerdict verdict = verdict_on(policy, lines[i]);
        assert_int_equal(verdict.ask->approvals, 2);
        assert_int_equal(verdict.ask->n_approvers, 2);
        assert_string_equal(verdict.ask->channels[0], "cli");
    }
    PolicyVerdict verdict = verdict_on(policy, "b");
    assert_int_equal(verdict.ask->approvals, 1);
    assert_int_equal(verdict.ask->n_approvers, 2);
    assert_true(verdict.ask->quiet);
    verdict = verdict_on(policy, "c");
    assert_int_equal(verdict.ask->n_approvers, 1);
    assert_string_equal(verdict.ask->approvers[0], "bob");
    assert_string_equal(verdict.ask->channels[0], "api");
    (void)policy_free(policy);
}

#define RULE(rest_) "rules:\n  - {command: git, action: ask, " rest_ "}\n"
#define AT 33 /* the column of what RULE is given */

static void mistakes_have_their_places(void **state)
{
    (void)state;
    assert_problem(RULE("grant: [x]"), 2, AT + 8, "must be subcommand");
    assert_problem(RULE("grant: [paths]"), 2, AT + 8, "paths: cwd");
    assert_problem(RULE("grant: [subcommand, subcommand]"), 2, AT + 20, "twice");
    assert_problem(RULE("grant: [subcommand, paths: cwd, paths: cwd]"), 2, AT + 32, "twice");
    assert_problem(RULE("grant: [subcommand, paths: home]"), 2, AT + 27, "must be cwd");
    assert_problem(RULE("grant: [subcommand, path: cwd]"), 2, AT + 20, "did you mean \"paths\"");
    assert_problem(RULE("grant: [paths: cwd]"), 2, AT + 8, "leave them open");
    assert_problem(RULE("approvals: 0"), 2, AT + 11, "nobody would be asked");
    assert_problem(RULE("approvals: 10"), 2, AT + 11, "from 0 to 9");
    assert_problem(RULE("approvals: two"), 2, AT + 11, "whole number");
    assert_problem(RULE("approvals: 3, approvers: [a, b]"), 2, AT + 11, "names 2 who");
    assert_problem(RULE("approvers: []"), 2, AT, "nobody could decide");
    assert_problem(RULE("approvers: viewer"), 2, AT + 11, "may never decide");
    assert_problem(RULE("approvers: [admin, -bob]"), 2, AT + 19, "name of a user");
    assert_problem(RULE("approvers: ['root (uid 0)']"), 2, AT + 13, "name of a user");
    assert_problem(RULE("approvers: '...'"), 2, AT + 12, "name of a user");
    assert_problem(RULE("approvers: uid:root"), 2, AT + 11, "uid:0");
    assert_problem(RULE("approvers: uid:00"), 2, AT + 11, "uid:0");
    assert_problem(RULE("approvers: uid:4294967295"), 2, AT + 11, "uid:0");
    assert_problem(RULE("approvers: [a, a], approvals: 2"), 2, AT + 15, "twice");
    assert_problem(RULE("channels: []"), 2, AT, "nobody could decide");
    assert_problem(RULE("channels: [cli, sms]"), 2, AT + 16, "must be cli");
    assert_problem(RULE("channels: [cli, cli]"), 2, AT + 16, "twice");
    assert_problem(RULE("quiet: yes"), 2, AT + 7, "true or false");
    assert_problem(RULE("rate: 30"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: 0/m"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: -1/m"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: 30/"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: 30/2d"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: 30/100ms"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: 99999999999999999999/m"), 2, AT + 6, "30/m");
    assert_problem(RULE("rate: {most: 3}"), 2, AT + 7, "needs both");
    assert_problem(RULE("rate: {most: 0, per: 1m}"), 2, AT + 13, "action: deny");
    assert_problem(RULE("rate: {most: 1, per: 2d}"), 2, AT + 21, "from 1s to 1d");
    assert_problem(RULE("rate: {most: 1, per: 1m, then: allow}"), 2, AT + 31, "ask or deny");
    assert_problem(RULE("rate: {most: 1, per: 1m, then: ask}"), 2, AT + 7, "asks already");
    assert_problem("approvers: [a]\napprovals: 2\n", 2, 12, "names 1 who");
    assert_problem("approvers: [alice]\n" RULE("approvals: 2"), 3, AT + 11, "names 1 who");
    assert_problem("approvals: 2\n" RULE("approvers: alice"), 3, AT + 11, "names 1 who");
    assert_problem("quiet: true\n", 1, 1, "unknown key");
}

static void only_rules_that_ask_say_how(void **state)
{
    (void)state;
    assert_problem("rules:\n  - {command: rm, action: deny, grant: [paths: cwd]}\n", 2, 41,
                   "this one denies");
    assert_problem("rules:\n  - {grant: [paths: cwd], command: rm, action: allow}\n", 2, 14,
                   "this one allows");
    assert_problem("rules:\n  - {command: rm, action: allow, quiet: true}\n", 2, 41,
                   "quiet is for rules that ask");
    assert_problem("rules:\n  - {command: rm, action: deny, approvals: 2, quiet: true}\n", 2, 44,
                   "approvals is for rules that ask");
    assert_problem("rules:\n  - {command: rm, action: deny, rate: 3/m}\n", 2, 39,
                   "denies every call");
    assert_problem("rules:\n  - {command: rm, action: allow, rate: {most: 1, per: 1m, then: deny}, "
                   "approvers: admin}\n",
                   2, 83, "approvers is for rules that ask");
}

static void widenings_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_problem("rules:\n  - {command: rm, action: ask, grant: subcommand}\n", 2, 39,
                   "no subcommands that are known");
    assert_problem("rules:\n  - {command: [rm, deploy], action: ask, grant: [paths: cwd]}\n", 2, 50,
                   "whose options are known");
    assert_problem("rules:\n  - {command: '*', action: ask, grant: [subcommand]}\n", 2, 41,
                   "commands by their names");
    assert_problem("rules:\n  - {command: '/usr/bin/*', action: ask, grant: [subcommand]}\n", 2, 50,
                   "commands by their names");
    assert_problem("rules:\n  - {command: /usr/bin/tool, action: ask, grant: [subcommand]}\n", 2,
                   51, "whose options are known");
    /* chmod's first operand is a mode, env's is a program, curl's are addresses. */
    const char *const others[] = {"chmod", "env",  "curl", "sed",  "tar", "ln", "xargs",
                                  "sudo",  "find", "ssh",  "make", "awk", "dd", "grep"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        char text[128];
        (void)snprintf(text, sizeof text,
                       "rules:\n  - {command: %s, action: ask, grant: [paths: cwd]}\n", others[i]);
        assert_problem(text, 2, (unsigned)(38 + strlen(others[i])), "grant");
    }
    /* A rule whose subcommand has no shape loads, and says so. */
    assert_problem(RULE("argv: {after: [add, push]}, grant: [subcommand, paths: cwd]"), 2, AT + 36,
                   "no files");
    assert_problem(RULE("argv: {after: [push, stash]}, grant: [subcommand]"), 2, AT + 38,
                   "no operands that may differ");
    assert_problem("rules:\n  - {command: docker, argv: {after: [container rm, container run]}, "
                   "action: ask, grant: [subcommand]}\n",
                   2, 90, "no operands that may differ");
}

static void only_who_is_named_may_decide(void **state)
{
    const char *const named[] = {"alice", "uid:0"}, *const admins[] = {"admin"},
                      *const any[] = {"approver"}, *const cli[] = {"cli", "slack"};
    const PolicyAsk plain = {.approvals = 1},
                    by_name = {.approvals = 1, .approvers = named, .n_approvers = 2},
                    by_admins = {.approvals = 1, .approvers = admins, .n_approvers = 1},
                    by_any = {.approvals = 1, .approvers = any, .n_approvers = 1},
                    by_channel = {.approvals = 1, .channels = cli, .n_channels = 2};
    (void)state;
    assert_null(policy_ask_refuses(&plain, "bob", "approver", "api"));
    assert_null(policy_ask_refuses(&plain, "bob", "admin", "telegram"));
    assert_non_null(policy_ask_refuses(&plain, "bob", "viewer", "api"));
    assert_non_null(policy_ask_refuses(&plain, "bob", "", "api"));
    assert_null(policy_ask_refuses(&by_name, "alice", "approver", "api"));
    assert_non_null(policy_ask_refuses(&by_name, "alice", "viewer", "api"));
    assert_null(policy_ask_refuses(&by_name, "root (uid 0)", "admin", "cli"));
    assert_null(policy_ask_refuses(&by_name, "toor (uid 0)", "admin", "cli"));
    const char *const others[] = {"bob",
                                  "Alice",
                                  "alice ",
                                  "alicex",
                                  "uid:0",
                                  "root",
                                  "root (uid 00)",
                                  "root (uid 0) ",
                                  "root (uid 10)",
                                  " (uid 0)",
                                  "(uid 0)",
                                  "root (uid 0",
                                  "alice (uid 1000)",
                                  ""};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_non_null(policy_ask_refuses(&by_name, others[i], "admin", "cli"));
    assert_null(policy_ask_refuses(&by_admins, "bob", "admin", "api"));
    assert_non_null(policy_ask_refuses(&by_admins, "bob", "approver", "api"));
    assert_non_null(policy_ask_refuses(&by_admins, "admin", "approver", "api"));
    assert_null(policy_ask_refuses(&by_any, "bob", "admin", "api"));
    assert_null(policy_ask_refuses(&by_any, "bob", "approver", "api"));
    assert_non_null(policy_ask_refuses(&by_any, "approver", "viewer", "api"));
    assert_null(policy_ask_refuses(&by_channel, "bob", "admin", "slack"));
    assert_non_null(policy_ask_refuses(&by_channel, "bob", "admin", "api"));
    assert_non_null(policy_ask_refuses(&by_channel, "bob", "admin", "cl"));
    assert_non_null(policy_ask_refuses(&by_channel, "bob", "admin", ""));
}

static void an_explanation_says_how_it_asks(void **state)
{
    Policy *policy = policy_of("rules:\n  - {command: git, action: ask, approvals: 2, approvers: "
                               "[alice, admin], channels: [cli, slack], quiet: true, rate: 30/m, "
                               "grant: [subcommand, paths: cwd]}\n"
                               "  - {command: ls, action: allow, rate: 5/10s}\n");
    TestQuery test;
    Buffer out = BUFFER_EMPTY(1 << 16);
    (void)state;

    test_query_of(&test, "git add x");
    policy_explain(policy, &test.query, &out);
    test_query_done(&test);
    test_query_of(&test, "ls");
    policy_explain(policy, &test.query, &out);
    test_query_done(&test);
    char *text = buffer_take_string(&out);
    const char *const wanted[] = {"2 approvals",
                                  "by alice or admin",
                                  "sent by cli or slack",
                                  "quiet",
                                  "above 30 in 1m: denied",
                                  "above 5 in 10s: asked",
                                  "files beneath the working directory"};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (!strstr(text, wanted[i]))
            fail_msg("not in the explanation: %s\n%s", wanted[i], text);
    free(text);
    (void)policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_rule_asks_one_approver),
        cmocka_unit_test(a_rule_says_how_it_asks),
        cmocka_unit_test(what_a_rule_leaves_out_comes_from_the_policy),
        cmocka_unit_test(mistakes_have_their_places),
        cmocka_unit_test(only_rules_that_ask_say_how),
        cmocka_unit_test(widenings_that_cannot_be_are_refused),
        cmocka_unit_test(only_who_is_named_may_decide),
        cmocka_unit_test(an_explanation_says_how_it_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
