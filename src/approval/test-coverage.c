/*
 * What grants and kept answers are bound to, attacked: every fact that a caller may try to change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "approval/coverage.h"

#define ARGUMENTS_MAX 8

/* One examined command, with facts that a test changes one by one. */
typedef struct Subject {
    Prepared prepared;
    Examined examined;
    gid_t groups[2];
    Digest command, environment;
    const char *argv[ARGUMENTS_MAX];
    CoverageFacts facts;
} Subject;

static void command_is(Subject *subject, const char *const *argv)
{
    size_t argc = 0;

    for (; argv[argc]; argc++)
        subject->argv[argc] = argv[argc];
    subject->facts.argc = argc;
    subject->command = digest_command(argv, argc, NULL, 0);
    memset(subject->examined.beneath, 0xff, sizeof subject->examined.beneath);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void subject_of(Subject *subject)
{
    *subject = (Subject){
        .prepared = {.uid = 1000,
                     .gid = 1000,
                     .groups = subject->groups,
                     .n_groups = 2,
                     .container = "abcdef",
                     .exe = "/usr/bin/git",
                     .interpreter = "",
                     .operand = "",
                     .cwd = "/app",
                     .cwd_device = 1,
                     .cwd_inode = 2},
        .examined = {.root_pid = 7, .root_start_time = 8},
        .groups = {5, 6},
        .facts = {.jail = "default",
                  .prepared = &subject->prepared,
                  .examined = &subject->examined,
                  .name = "git",
                  .argv = subject->argv,
                  .command = &subject->command,
                  .environment = &subject->environment,
                  .rule = "adding",
                  .policy = "0123",
                  .widening = POLICY_GRANT_SUBCOMMAND | POLICY_GRANT_PATHS_CWD},
    };
    memset(&subject->examined.hashed, 1, sizeof subject->examined.hashed);
    memset(&subject->environment, 2, sizeof subject->environment);
    command_is(subject, WORDS("git", "add", "-v", "a"));
}

static bool equal(const Digest *a, const Digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

static void other_operands_are_covered(void **state)
{
    Subject subject;
    (void)state;

    subject_of(&subject);
    Coverage approved = coverage_of(&subject.facts);
    assert_false(digest_is_zero(&approved.exact));
    assert_false(digest_is_zero(&approved.widened));
    command_is(&subject, WORDS("git", "add", "-v", "b", "c/d"));
    Coverage other = coverage_of(&subject.facts);
    assert_false(equal(&approved.exact, &other.exact));
    assert_true(equal(&approved.widened, &other.widened));
}

static void nothing_else_is(void **state)
{
    const char *const *const others[] = {
        (const char *const[]){"git", "add", "a", NULL},
        (const char *const[]){"git", "add", "-f", "a", NULL},
        (const char *const[]){"git", "add", "-v", "-f", "a", NULL},
        (const char *const[]){"git", "add", "--verbose", "a", NULL},
        (const char *const[]){"git", "stage", "-v", "a", NULL},
        (const char *const[]){"git", "-C", "x", "add", "-v", "a", NULL},
        (const char *const[]){"git", "add", "-v", ":/", NULL},
        (const char *const[]){"git", "add", "-v", "-", NULL},
        (const char *const[]){"git", "add", "-v", NULL},
    };
    Subject subject;
    (void)state;

    subject_of(&subject);
    Coverage approved = coverage_of(&subject.facts);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        command_is(&subject, others[i]);
        Coverage other = coverage_of(&subject.facts);
        assert_false(equal(&approved.exact, &other.exact));
        assert_false(equal(&approved.widened, &other.widened));
    }
    /* A file elsewhere, by whatever name. */
    command_is(&subject, WORDS("git", "add", "-v", "b", "c"));
    subject.examined.beneath[0] = (uint8_t) ~(1u << 4);
    Coverage elsewhere = coverage_of(&subject.facts);
    assert_true(digest_is_zero(&elsewhere.widened));
    assert_false(digest_is_zero(&elsewhere.exact));
}

/* Each of these makes another caller, file, place or rule of it. */
static void change(Subject *subject, int what)
{
    switch (what) {
    case 0:
        subject->facts.jail = "other";
        break;
    case 1:
        subject->prepared.container = "abcdeg";
        break;
    case 2:
        subject->prepared.container = "abcde"; /* a beginning of the other */
        break;
    case 3:
        subject->prepared.uid = 0;
        break;
    case 4:
        subject->prepared.gid = 0;
        break;
    case 5:
        subject->groups[1] = 0;
        break;
    case 6:
        subject->prepared.n_groups = 1;
        break;
    case 7:
        subject->prepared.exe = "/usr/bin/gir";
        break;
    case 8:
        subject->examined.hashed.exe.bytes[0] ^= 1;
        break;
    case 9:
        subject->examined.hashed.interpreter.bytes[0] ^= 1;
        break;
    case 10:
        subject->examined.hashed.operand.bytes[0] ^= 1;
        break;
    case 11:
        subject->prepared.cwd = "/apq"; /* renamed into its place */
        break;
    case 12:
        subject->prepared.cwd_inode = 3;
        break;
    case 13:
        subject->prepared.cwd_device = 2;
        break;
    case 14:
        subject->facts.rule = "another";
        break;
    case 15:
        subject->facts.policy = "0124";
        break;
    case 16:
        subject->prepared.flags = PREPARED_POWERFUL;
        break;
    case 17:
        subject->prepared.container_start_time = 8; /* it was started again */
        break;
    default:
        subject->facts.name = "docker";
        break;
    }
}
#define CHANGES 19

static void every_fact_is_bound(void **state)
{
    (void)state;
    for (int what = 0; what < CHANGES; what++) {
        Subject subject;
        subject_of(&subject);
        Coverage approved = coverage_of(&subject.facts);
        change(&subject, what);
        Coverage other = coverage_of(&subject.facts);
        if (equal(&approved.exact, &other.exact) || equal(&approved.widened, &other.widened))
            fail_msg("not bound: change %d", what);
    }
}

static void another_environment_is_not_covered(void **state)
{
    Subject subject;
    (void)state;

    subject_of(&subject);
    Coverage approved = coverage_of(&subject.facts);
    subject.environment.bytes[3] ^= 1;
    Coverage other = coverage_of(&subject.facts);
    assert_false(equal(&approved.widened, &other.widened));
    subject.command.bytes[3] ^= 1; /* the exact one has it in the command's digest */
    other = coverage_of(&subject.facts);
    assert_false(equal(&approved.exact, &other.exact));
}

static void input_that_may_change_leaves_nothing(void **state)
{
    Subject subject;
    (void)state;

    subject_of(&subject);
    subject.prepared.flags = PREPARED_STDIN_MUTABLE;
    Coverage coverage = coverage_of(&subject.facts);
    assert_true(digest_is_zero(&coverage.exact));
    assert_true(digest_is_zero(&coverage.widened));
}

/* A file that the caller put under the name of a tool need not read its options as the tool does.
 */
static void a_file_of_the_caller_leaves_nothing_wider(void **state)
{
    Subject subject;
    Buffer words = BUFFER_EMPTY(4096);
    (void)state;

    subject_of(&subject);
    subject.prepared.flags = PREPARED_EXE_WRITABLE;
    Coverage coverage = coverage_of(&subject.facts);
    assert_false(digest_is_zero(&coverage.exact));
    assert_true(digest_is_zero(&coverage.widened));
    coverage_put_obstacles(&words, &subject.facts, &coverage);
    buffer_put_u8(&words, 0);
    assert_non_null(strstr(words.bytes, "could change or replace the file"));
    buffer_clear(&words);
    coverage_put_widened(&words, &subject.facts, &coverage, subject.argv, subject.facts.argc);
    assert_int_equal(buffer_size(&words), 0);
    buffer_done(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_operands_are_covered),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(every_fact_is_bound),
        cmocka_unit_test(another_environment_is_not_covered),
        cmocka_unit_test(input_that_may_change_leaves_nothing),
        cmocka_unit_test(a_file_of_the_caller_leaves_nothing_wider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
