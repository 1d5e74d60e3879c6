/*
 * Questions: equal requests wait at one, it outlives its callers, an answer is kept for one who
 * comes, and nothing that differs in what an approval binds has any part in it.
 */
#include <stdio.h>

#include "warden/test-questions.h"

static Caller another_process(const char *name, pid_t pid)
{
    Caller caller = caller_of(name);
    caller.prepared.pid = pid;
    caller.prepared.start_time = (uint64_t)pid * 7;
    return caller;
}

static void test_equal_requests_are_one_question(void **state)
{
    World *world = *state;
    Caller callers[3];
    char first[ID_SIZE], id[ID_SIZE];

    for (uint32_t i = 0; i < 3; i++) {
        callers[i] = another_process("asked", 100 + (pid_t)i);
        ask_and_wait(world, i + 1, &callers[i], id);
        if (i == 0)
            memcpy(first, id, sizeof first);
        assert_string_equal(id, first);
    }
    Answer queue = queue_as(world, &tester, 0, "");
    assert_int_equal(count_of(queue.json, "\"waiters\":"), 1);
    assert_non_null(strstr(queue.json, "\"waiters\":3"));
    assert_non_null(strstr(queue.json, "\"total\":1"));
    Answer answer = approve_as(world, &tester, id);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.json, "\"ran\":3"));
    for (uint32_t i = 0; i < 3; i++) { /* any order */
        Frame open = receive(world->door);
        assert_int_equal(open.type, DOOR_OPEN);
        uint32_t counter = (uint32_t)open.key;
        assert_in_range(counter, 1, 3);
        say_prepared(world, open.key, &callers[counter - 1].prepared);
        (void)expect(world->executor, EXEC_RUN, open.key);
    }
    assert_true(journal_has(world, "\"waiters\":3"));
    assert_int_equal(approve_as(world, &tester, id).status, 409);
}

static void test_each_of_them_is_compared_by_itself(void **state)
{
    World *world = *state;
    Caller first = another_process("asked", 100), second = another_process("asked", 200);
    char id[ID_SIZE];

    ask_and_wait(world, 1, &first, id);
    ask_and_wait(world, 2, &second, id);
    decide(world, id, true);
    for (int i = 0; i < 2; i++) {
        Frame open = receive(world->door);
        assert_int_equal(open.type, DOOR_OPEN);
    }
    Prepared changed = second.prepared;
    changed.start_time++; /* its pid was used again */
    say_prepared(world, key_of(2), &changed);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "another process");
    say_prepared(world, key_of(1), &first.prepared);
    (void)expect(world->executor, EXEC_RUN, key_of(1));
}

static void test_a_denial_is_for_all(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    ask_and_wait(world, 2, &caller, id);
    decide(world, id, false);
    for (int i = 0; i < 2; i++) {
        Frame ack = receive(world->door);
        assert_int_equal(ack.type, DOOR_ACK);
        assert_int_equal(ack.payload[0], SHIM_ACK_DENIED);
        assert_non_null(strstr(expect(world->door, DOOR_MESSAGE, ack.key).payload + 4,
                               "denied by tester (uid 0): because"));
        expect_exit(world, ack.key, 0, 126);
    }
    Answer answer = receive_answer(world);
    assert_non_null(strstr(answer.json, "\"refused\":2"));
    expect_silence(world->executor);
}

/* Everything that an approval binds, changed one at a time. */

static const gid_t more_groups[] = {27}, other_groups[] = {28};

static void other_argument(Caller *caller)
{
    caller->words.argv[1] = "-y";
}
static void one_argument_more(Caller *caller)
{
    caller->words.argv[2] = "";
}
static void arguments_joined(Caller *caller)
{
    caller->words.argv[1] = "-x ";
}
static void other_environment(Caller *caller)
{
    caller->words.env[0] = "PATH=/x";
}
static void more_environment(Caller *caller)
{
    caller->words.env[2] = "LANG=C";
}
static void other_content(Caller *caller)
{
    caller->examined.hashed.exe.bytes[31] = 1;
}
static void other_interpreter_content(Caller *caller)
{
    caller->examined.hashed.interpreter.bytes[0] = 1;
}
static void other_script_content(Caller *caller)
{
    caller->examined.hashed.operand.bytes[0] = 1;
}
static void other_file(Caller *caller)
{
    caller->prepared.exe = "/opt/asked";
}
static void other_script(Caller *caller)
{
    caller->prepared.operand = "/x";
}
static void other_user(Caller *caller)
{
    caller->prepared.uid = 1001;
}
static void other_group(Caller *caller)
{
    caller->prepared.gid = 1001;
}
static void one_group(Caller *caller)
{
    caller->prepared.groups = more_groups;
    caller->prepared.n_groups = 1;
}
static void another_group(Caller *caller)
{
    caller->prepared.groups = other_groups;
    caller->prepared.n_groups = 1;
}
static void other_directory(Caller *caller)
{
    caller->prepared.cwd = "/tmp";
}
static void other_directory_of_that_name(Caller *caller)
{
    caller->prepared.cwd_inode = 77;
}
static void other_disk(Caller *caller)
{
    caller->prepared.cwd_device = 77;
}
static void a_container(Caller *caller)
{
    caller->prepared.container = "abcdef123456";
}
static void a_container_with_the_same_beginning(Caller *caller)
{
    caller->prepared.container = "abcdef1234567";
}
static void a_writable_program(Caller *caller)
{
    caller->prepared.flags = PREPARED_EXE_WRITABLE;
}

typedef void (*Change)(Caller *);
static const Change changes[] = {
    other_argument,
    one_argument_more,
    arguments_joined,
    other_environment,
    more_environment,
    other_content,
    other_interpreter_content,
    other_script_content,
    other_file,
    other_script,
    other_user,
    other_group,
    one_group,
    another_group,
    other_directory,
    other_directory_of_that_name,
    other_disk,
    a_container,
    a_container_with_the_same_beginning,
    a_writable_program,
};

static void test_what_differs_is_another_question(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char ids[ARRAY_SIZE(changes) + 1][ID_SIZE];

    ask_and_wait(world, 1, &caller, ids[0]);
    for (uint32_t i = 0; i < ARRAY_SIZE(changes); i++) {
        Caller changed = caller;
        changes[i](&changed);
        ask_and_wait(world, i + 2, &changed, ids[i + 1]);
        for (uint32_t j = 0; j <= i; j++)
            assert_string_not_equal(ids[i + 1], ids[j]);
    }
}

static void test_a_kept_approval_is_for_nothing_else(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], other[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    for (uint32_t i = 0; i < ARRAY_SIZE(changes); i++) {
        Caller changed = caller;
        changes[i](&changed);
        ask_and_wait(world, i + 2, &changed, other);
        assert_string_not_equal(other, id);
    }
    ask_as(world, key_of(1000), &caller); /* it is still there for who is equal */
    expect_run(world, key_of(1000), &caller);
}

/* What does not reach the command does not make it another one. */
static void test_what_is_scrubbed_does_not_count(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), again = another_process("asked", 300);
    char id[ID_SIZE], second[ID_SIZE];

    again.words.env[1] = "SHLVL=7";
    again.words.env[2] = "_=/usr/bin/env";
    again.prepared.flags = PREPARED_NO_CGROUP;
    ask_and_wait(world, 1, &caller, id);
    ask_and_wait(world, 2, &again, second);
    assert_string_equal(id, second);
}

static void test_mutable_input_shares_nothing(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], second[ID_SIZE];

    caller.prepared.flags = PREPARED_STDIN_MUTABLE;
    ask_and_wait(world, 1, &caller, id);
    ask_and_wait(world, 2, &caller, second);
    assert_string_not_equal(id, second);
    Answer queue = queue_as(world, &tester, 0, "");
    assert_int_equal(count_of(queue.json, "\"exact\":null"), 2);
    assert_int_equal(count_of(queue.json, "no grant is possible: stdin is a file or a pipe"), 2);
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, 60000, false).status, 409);
    /* Its question ends with it. */
    say_gone(world, key_of(1));
    expect_journal(world, "the caller went away");
    assert_int_equal(approve_as(world, &tester, id).status, 409);
    assert_int_equal(approve_as(world, &tester, second).status, 200);
    expect_run(world, key_of(2), &caller);
    ask_and_wait(world, 3, &caller, id);
    assert_string_not_equal(id, second);
}

static void test_stdin_that_became_mutable_is_drift(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    caller.prepared.flags = PREPARED_STDIN_MUTABLE;
    say_prepared(world, key_of(1), &caller.prepared);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "stdin changed");
}

static void test_a_retry_attaches(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), again = another_process("asked", 300);
    char id[ID_SIZE], second[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    expect_journal(world, "the question stays open");
    ask_and_wait(world, 2, &again, second);
    assert_string_equal(id, second);
    Answer answer = approve_as(world, &tester, id);
    assert_non_null(strstr(answer.json, "\"ran\":1"));
    expect_run(world, key_of(2), &again);
}

static void test_a_late_approval_is_for_one(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), again = another_process("asked", 300);
    char id[ID_SIZE], next[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    Answer answer = approve_as(world, &tester, id);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.json, "\"ran\":0"));
    expect_journal(world, "nobody waits for it: kept for 1m");
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"pending\":[]"));
    assert_int_equal(approve_as(world, &tester, id).status, 409); /* one decision */

    ask_as(world, key_of(2), &again);
    (void)expect(world->door, DOOR_OPEN, key_of(2));
    say_prepared(world, key_of(2), &again.prepared);
    (void)expect(world->executor, EXEC_RUN, key_of(2));
    assert_true(journal_has(world, "\"verdict\":\"approved\",\"rule\":\"rule 1\",\"reason\":"
                                   "\"because\""));
    assert_true(journal_has(world, "\"waiters\":1,\"approver\":\"tester (uid 0)\",\"via\":\"cli\","
                                   "\"executor\":\"local\""));

    ask_and_wait(world, 3, &again, next);
    assert_string_not_equal(id, next);
}

static void test_a_late_denial_is_for_one(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], next[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    decide(world, id, false);
    assert_int_equal(answer_status(world), 200);
    ask_as(world, key_of(2), &caller);
    expect_refusal(world, key_of(2), 126, "denied by tester (uid 0): because");
    ask_and_wait(world, 3, &caller, next);
    assert_string_not_equal(id, next);
}

/* Who is gone when the answer is picked up has used it up: it was for one. */
static void test_a_kept_approval_does_not_come_back(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], next[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    ask_as(world, key_of(2), &caller);
    (void)expect(world->door, DOOR_OPEN, key_of(2));
    say_gone(world, key_of(2));
    say_interrupted(world, key_of(2));
    ask_and_wait(world, 3, &caller, next);
    assert_string_not_equal(id, next);
    say_prepared(world, key_of(2), &caller.prepared);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
}

static void test_a_kept_answer_has_an_end(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], next[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    expect_journal(world, "the answer was kept for 1s, and nobody came for it");
    ask_and_wait(world, 2, &caller, next);
    assert_string_not_equal(id, next);
}

static void test_an_abandoned_question_has_an_end(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], next[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    expect_journal(world, "nobody answered within 1s after the last caller had left");
    assert_int_equal(approve_as(world, &tester, id).status, 409);
    ask_and_wait(world, 2, &caller, next);
    assert_string_not_equal(id, next);
}

static void test_each_waiter_has_its_own_end(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    usleep(300000);
    ask_and_wait(world, 2, &caller, id);
    expect_refusal(world, key_of(1), 126, "nobody answered within 1s");
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"waiters\":1"));
    expect_refusal(world, key_of(2), 126, "nobody answered within 1s");
    assert_int_equal(approve_as(world, &tester, id).status, 409);
    assert_true(journal_has(world, "expired"));
}

static void test_an_interrupt_withdraws_one(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    ask_and_wait(world, 2, &caller, id);
    say_interrupted(world, key_of(1));
    assert_int_equal(expect(world->door, DOOR_ACK, key_of(1)).payload[0], SHIM_ACK_DENIED);
    expect_exit(world, key_of(1), 0, 126);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"waiters\":1"));
    say_interrupted(world, key_of(2));
    (void)expect(world->door, DOOR_ACK, key_of(2));
    expect_exit(world, key_of(2), 0, 126);
    Answer answer = approve_as(world, &tester, id);
    assert_int_equal(answer.status, 409);
    assert_non_null(strstr(answer.json, "cancelled already"));
}

static void test_an_interrupt_does_not_withdraw_what_was_lost(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_go(world, 1, &caller, id);
    ask_and_wait(world, 2, &caller, id);
    say_interrupted(world, key_of(2));
    (void)expect(world->door, DOOR_ACK, key_of(2));
    expect_exit(world, key_of(2), 0, 126);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"waiters\":0"));
    assert_int_equal(approve_as(world, &tester, id).status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_equal_requests_are_one_question, patient),
        WORLD_TEST(test_each_of_them_is_compared_by_itself, patient),
        WORLD_TEST(test_a_denial_is_for_all, patient),
        WORLD_TEST(test_what_differs_is_another_question, patient),
        WORLD_TEST(test_a_kept_approval_is_for_nothing_else, patient),
        WORLD_TEST(test_what_is_scrubbed_does_not_count, patient),
        WORLD_TEST(test_mutable_input_shares_nothing, patient),
        WORLD_TEST(test_stdin_that_became_mutable_is_drift, patient),
        WORLD_TEST(test_a_retry_attaches, patient),
        WORLD_TEST(test_a_late_approval_is_for_one, patient),
        WORLD_TEST(test_a_late_denial_is_for_one, patient),
        WORLD_TEST(test_a_kept_approval_does_not_come_back, patient),
        WORLD_TEST(test_a_kept_answer_has_an_end, hasty),
        WORLD_TEST(test_an_abandoned_question_has_an_end, hasty),
        WORLD_TEST(test_each_waiter_has_its_own_end, hasty),
        WORLD_TEST(test_an_interrupt_withdraws_one, patient),
        WORLD_TEST(test_an_interrupt_does_not_withdraw_what_was_lost, patient),
    };
    return cmocka_run_group_tests_name("asking", tests, NULL, NULL);
}
