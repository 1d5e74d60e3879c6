/*
 * What the tests of this folder share: loading from text, and queries in one line.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/index.h"
#include "policy/words.h"

/* The policy of a text that must load; warnings are allowed. */
static inline Policy *policy_of(const char *text)
{
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    int rc = policy_load_text("test.yaml", text, strlen(text), &policy, &problems);

    if (rc != 0)
        policy_problems_print(&problems, stderr);
    assert_int_equal(rc, 0);
    policy_problems_done(&problems);
    return policy;
}

/* Loads a wrong text and looks for one complaint at a place. */
static inline void assert_problem(const char *text, unsigned line, unsigned column,
                                  const char *message)
{
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    int rc = policy_load_text("test.yaml", text, strlen(text), &policy, &problems);
    bool found = false;

    for (size_t i = 0; i < problems.n_items; i++) {
        const PolicyProblem *problem = &problems.items[i];
        found |= problem->line == line && problem->column == column &&
                 strstr(problem->message, message) != NULL;
        assert_string_equal(problem->file, "test.yaml");
    }
    if (!found) {
        print_error("not found: %u:%u: %s\n", line, column, message);
        policy_problems_print(&problems, stderr);
    }
    assert_true(found);
    assert_int_equal(rc, problems.n_errors > 0);
    assert_true((policy != NULL) == (rc == 0));
    policy_problems_done(&problems);
    (void)policy_free(policy);
}

/* A text without mistakes and without warnings. */
static inline void assert_no_problem(const char *text)
{
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    int rc = policy_load_text("test.yaml", text, strlen(text), &policy, &problems);

    if (problems.n_items > 0)
        policy_problems_print(&problems, stderr);
    assert_int_equal(rc, 0);
    assert_int_equal(problems.n_items, 0);
    policy_problems_done(&problems);
    (void)policy_free(policy);
}

#define TEST_WORDS_MAX 64

/* A command line in shell-like words, as in the examples of a rule. */
typedef struct TestQuery {
    PolicyQuery query;
    char *text;
    char exe[512];
    const char *words[TEST_WORDS_MAX];
} TestQuery;

static inline void test_query_done(TestQuery *test)
{
    free(test->text);
    test->text = NULL;
}

static inline void test_query_of(TestQuery *test, const char *line)
{
    *test = (TestQuery){.text = strdup(line)};
    int n = words_split(test->text, test->words, TEST_WORDS_MAX);
    assert_true(n > 0);
    const char *slash = strrchr(test->words[0], '/');
    (void)snprintf(test->exe, sizeof test->exe, slash ? "%s" : "/usr/bin/%s", test->words[0]);
    test->query = (PolicyQuery){
        .jail = "default",
        .uid = 1000,
        .gid = 1000,
        .name = slash ? slash + 1 : test->words[0],
        .exe = test->exe,
        .argv = test->words,
        .argc = (size_t)n,
        .cwd = "/app",
    };
}

static inline PolicyVerdict verdict_on(const Policy *policy, const char *line)
{
    TestQuery test;
    PolicyVerdict verdict;

    test_query_of(&test, line);
    policy_judge(policy, &test.query, &verdict);
    test_query_done(&test);
    return verdict;
}

#define assert_action(policy, line, wanted)                                                        \
    do {                                                                                           \
        PolicyVerdict verdict_ = verdict_on((policy), (line));                                     \
        if (verdict_.action != (wanted))                                                           \
            print_error("%s: %s by %s\n", (line), policy_action_name(verdict_.action),             \
                        verdict_.rule);                                                            \
        assert_int_equal(verdict_.action, (wanted));                                               \
    } while (0)
