/*
 * The one road, with everything around the warden played by the test (test-world.h): halves in
 * either order, callers that go in each state, facts that drift, stops.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "warden/test-world.h"

static const char policy_text[] = "version: 1\n"
                                  "default_action: deny\n"
                                  "approval_timeout: 1s\n"
                                  "rules:\n"
                                  "  - command: allowed\n"
                                  "    action: allow\n"
                                  "    timeout: 300ms\n"
                                  "  - command: lasting\n"
                                  "    action: allow\n"
                                  "  - command: asked\n"
                                  "    action: ask\n"
                                  "    reason: why not\n"
                                  "  - command: forbidden\n"
                                  "    action: deny\n"
                                  "    reason: try something else\n";

/* The tests. */

static void test_halves_in_either_order(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    say_ended(world, key_of(1), 0, 3);
    expect_exit(world, key_of(1), 0, 3);

    say_facts(world, key_of(2), "/usr/bin/allowed");
    say_words(world, key_of(2), "allowed");
    (void)expect(world->executor, EXEC_RUN, key_of(2));
    say_started(world, key_of(2));
    (void)expect(world->door, DOOR_ACK, key_of(2));
    say_ended(world, key_of(2), 1, 15);
    expect_exit(world, key_of(2), 1, 15);
    expect_journal(world, "\"signal\":15");
}

static void test_the_record_comes_before_the_order(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "allowed");
    say_facts(world, key_of(1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    assert_true(journal_has(world, "\"event\":\"judged\""));
}

static void test_the_order_scrubs_the_environment(void **state)
{
    World *world = *state;
    RunOrder order;

    say_words(world, key_of(1), "allowed");
    say_facts(world, key_of(1), "/usr/bin/allowed");
    Frame run = expect(world->executor, EXEC_RUN, key_of(1));
    assert_int_equal(run_order_decode(run.payload, run.size, &order), 0);
    assert_true(run_order_keeps(&order, 0));
    assert_false(run_order_keeps(&order, 1)); /* LD_AUDIT */
    assert_false(order.bound);
    const char *argv[] = {"allowed", "-x"}, *env[] = {"PATH=/"};
    Digest expected = digest_command(argv, 2, env, 1);
    assert_true(digest_equal(&order.command, &expected));
}

static void test_denied_ends_the_child(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "forbidden");
    say_facts(world, key_of(1), "/usr/bin/forbidden");
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "try something else");
    expect_journal(world, "\"event\":\"denied\"");
}

static void test_what_cannot_be_prepared_is_refused(void **state)
{
    World *world = *state;
    static const struct {
        ExecFailure failure;
        uint8_t code;
    } cases[] = {{EXEC_FAILURE_IDENTITY, 125},
                 {EXEC_FAILURE_NOT_FOUND, 127},
                 {EXEC_FAILURE_NOT_RUNNABLE, 126},
                 {EXEC_FAILURE_CWD, 126},
                 {EXEC_FAILURE_BROKEN, 125}};

    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Buffer payload = BUFFER_EMPTY(256);
        buffer_put_u8(&payload, (uint8_t)cases[i].failure);
        buffer_put_string(&payload, "words");
        if (i % 2) /* either order */
            say_words(world, key_of(i + 1), "allowed");
        send_frame(world->executor, EXEC_FAILED, key_of(i + 1), payload.bytes, payload.size, -1);
        if (i % 2 == 0)
            say_words(world, key_of(i + 1), "allowed");
        expect_refusal(world, key_of(i + 1), cases[i].code, "allowed -x");
        buffer_done(&payload);
    }
    expect_silence(world->executor);
}

static void test_approved_runs_bound(void **state)
{
    World *world = *state;
    char id[7];
    RunOrder order;

    run_to_pending(world, key_of(1), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    Frame run = expect(world->executor, EXEC_RUN, key_of(1));
    assert_true(journal_has(world, "\"event\":\"decided\""));
    assert_true(journal_has(world, "\"approver\":\"tester (uid 0)\""));
    assert_int_equal(run_order_decode(run.payload, run.size, &order), 0);
    assert_true(order.bound);
    assert_int_equal(order.hashed.exe.bytes[2], 3);
    decide(world, id, false); /* a second decision */
    assert_int_equal(answer_status(world), 409);
    expect_journal(world, "\"event\":\"late\"");
}

static void test_human_says_no(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    decide(world, id, false);
    expect_refusal(world, key_of(1), 126, "denied by tester (uid 0): because");
    assert_int_equal(answer_status(world), 200);
    expect_silence(world->executor);
}

static void test_expiry_denies_and_a_late_yes_is_late(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    expect_refusal(world, key_of(1), 126, "nobody answered within 1s");
    decide(world, id, true);
    assert_int_equal(answer_status(world), 409);
    expect_journal(world, "\"event\":\"expired\"");
    expect_silence(world->executor);
}

static void expect_drift(World *world, uint32_t counter, const Prepared *changed)
{
    char id[7];

    run_to_pending(world, key_of(counter), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(counter));
    say_prepared(world, key_of(counter), changed);
    (void)expect(world->executor, EXEC_DROP, key_of(counter));
    expect_refusal(world, key_of(counter), 126, "changed");
}

static void test_drift_is_refused(void **state)
{
    World *world = *state;
    static const gid_t more[] = {27};
    Prepared changed[] = {facts_of("/usr/bin/asked"), facts_of("/usr/bin/asked"),
                          facts_of("/usr/bin/asked")};

    changed[0].n_groups = 1;
    changed[0].groups = more;
    changed[1].cwd_inode = 9;
    changed[2].container = "another";
    for (uint32_t i = 0; i < 3; i++)
        expect_drift(world, i + 1, &changed[i]);
    expect_journal(world, "\"event\":\"drift\"");
}

static void test_drift_of_file_and_process(void **state)
{
    World *world = *state;
    char id[7];
    Prepared changed = facts_of("/usr/local/bin/asked");

    run_to_pending(world, key_of(1), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_prepared(world, key_of(1), &changed);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "another file");

    changed = facts_of("/usr/bin/asked");
    changed.start_time = 6;
    run_to_pending(world, key_of(2), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(2));
    say_prepared(world, key_of(2), &changed);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "another process");
}

static void test_a_caller_that_goes(void **state)
{
    World *world = *state;
    char id[7];

    /* before the facts */
    say_words(world, key_of(1), "allowed");
    say_gone(world, key_of(1));
    usleep(50000);
    say_facts(world, key_of(1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(1));

    /* while the program is hashed */
    say_words(world, key_of(2), "asked");
    say_facts(world, key_of(2), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_HASH, key_of(2));
    say_gone(world, key_of(2));
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    say_hashed(world, key_of(2)); /* too late: nobody is asked */

    /* while a human is asked: the answer is kept, nothing runs */
    run_to_pending(world, key_of(3), id);
    say_gone(world, key_of(3));
    expect_journal(world, "the question stays open");
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    expect_silence(world->executor);

    /* while it runs */
    run_to_start(world, key_of(4));
    say_gone(world, key_of(4));
    Frame end = expect(world->executor, EXEC_END, key_of(4));
    uint32_t grace;
    memcpy(&grace, end.payload, sizeof grace);
    assert_int_equal(grace, 5000);
    say_ended(world, key_of(4), 1, 15);
    expect_silence(world->door);
}

static void test_gone_between_order_and_start(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "allowed");
    say_facts(world, key_of(1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    say_gone(world, key_of(1));
    usleep(50000);
    say_started(world, key_of(1));
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 15);
    expect_journal(world, "\"event\":\"ended\"");
}

static void expect_signal(World *world, uint64_t key, int number, bool group)
{
    Frame frame = expect(world->executor, EXEC_SIGNAL, key);
    assert_int_equal(frame.size, 2);
    assert_int_equal((uint8_t)frame.payload[0], number);
    assert_int_equal((uint8_t)frame.payload[1], group);
}

/* The link to the door keeps its order: once the order for this request is there, the warden has
 * read whatever the door said before. */
static void say_all_is_read(World *world, uint64_t key)
{
    say_facts(world, key, "/usr/bin/lasting");
    say_words(world, key, "lasting");
    (void)expect(world->executor, EXEC_RUN, key);
}

/* A signal that comes before the command runs is for it all the same; a stop that was taken back
 * is none. */
static void test_signals_before_the_start(void **state)
{
    World *world = *state;

    say_all_is_read(world, key_of(1));
    say_signal(world, key_of(1), SIGCONT, false);
    say_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGUSR1, false);
    say_signal(world, key_of(1), 0, true);
    say_signal(world, key_of(1), 65, true);
    say_all_is_read(world, key_of(2)); /* and nothing came between */
    say_started(world, key_of(1));
    expect_signal(world, key_of(1), SIGUSR1, false);
    expect_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGUSR2, true); /* while it runs they go straight on */
    expect_signal(world, key_of(1), SIGUSR2, true);
}

static void test_a_stop_before_the_start_is_taken_back(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    say_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGCONT, true);
    say_all_is_read(world, key_of(2));
    decide(world, id, true);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    say_started(world, key_of(1));
    expect_signal(world, key_of(1), SIGCONT, true);
    say_signal(world, key_of(1), SIGUSR2, false);
    expect_signal(world, key_of(1), SIGUSR2, false);
}

/* A deadly signal that the shim got while it waited. */
static void say_deadly(World *world, uint64_t key, int number, bool group)
{
    const uint8_t payload[2] = {(uint8_t)number, group};
    send_frame(world->door, DOOR_CANCEL, key, payload, sizeof payload, -1);
}

static void expect_withdrawn(World *world, uint64_t key)
{
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_DENIED);
    expect_exit(world, key, 0, 126);
}

static const int deadly[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

/* Its order is out: it has begun, for all that anybody knows, so it gets the signal. */
static void test_a_deadly_signal_meets_a_command(void **state)
{
    World *world = *state;

    for (uint32_t i = 0; i < 4; i++) {
        uint64_t key = key_of(2 * i + 1);
        say_all_is_read(world, key);
        say_deadly(world, key, deadly[i], true);
        say_all_is_read(world, key_of(2 * i + 2)); /* and nothing came between */
        say_started(world, key);
        expect_signal(world, key, deadly[i], true);
        Frame ack = expect(world->door, DOOR_ACK, key);
        assert_int_equal(ack.payload[0], SHIM_ACK_ALLOWED);
        say_deadly(world, key, deadly[i], false); /* the ack and this one cross */
        expect_signal(world, key, deadly[i], false);
        say_ended(world, key, 0, 9);
        expect_exit(world, key, 0, 9);
        say_deadly(world, key, deadly[i], false);
    }
    expect_silence(world->executor);
}

static void test_a_deadly_signal_meets_a_wait(void **state)
{
    World *world = *state;
    char id[7], retry_id[7];

    for (uint32_t i = 0; i < 4; i++) {
        uint64_t key = key_of(10 * i);
        say_words(world, key, "allowed"); /* before the facts */
        say_deadly(world, key, deadly[i], false);
        say_all_is_read(world, key + 1);
        say_facts(world, key, "/usr/bin/allowed");
        (void)expect(world->executor, EXEC_DROP, key);
        expect_withdrawn(world, key);

        say_words(world, key + 2, "asked"); /* while the program is hashed */
        say_facts(world, key + 2, "/usr/bin/asked");
        (void)expect(world->executor, EXEC_HASH, key + 2);
        say_deadly(world, key + 2, deadly[i], false);
        (void)expect(world->executor, EXEC_DROP, key + 2);
        expect_withdrawn(world, key + 2);

        run_to_pending(world, key + 3, id); /* while a human is asked */
        say_deadly(world, key + 3, deadly[i], false);
        expect_withdrawn(world, key + 3);
        say_deadly(world, key + 3, deadly[i], false);

        run_to_pending(world, key + 4, retry_id);            /* while it is prepared once more */
        assert_int_equal(strcmp(id, retry_id) == 0, i >= 2); /* withdrawn, or open for a retry */
        if (i < 2) {
            decide(world, id, true);
            assert_int_equal(answer_status(world), 409);
        }
        memcpy(id, retry_id, sizeof id);
        decide(world, id, true);
        assert_int_equal(answer_status(world), 200);
        (void)expect(world->door, DOOR_OPEN, key + 4);
        say_deadly(world, key + 4, deadly[i], false);
        say_all_is_read(world, key + 5);
        say_facts(world, key + 4, "/usr/bin/asked");
        (void)expect(world->executor, EXEC_DROP, key + 4);
        expect_withdrawn(world, key + 4);
    }
    expect_journal(world, "the caller interrupted it");
    expect_journal(world, "the question stays open");
    expect_silence(world->executor);
}

/* What no door sends. */
static void test_a_cancel_that_cannot_be(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "lasting");
    say_deadly(world, key_of(1), SIGUSR1, false);
    say_deadly(world, key_of(1), 0, false);
    say_deadly(world, key_of(1), 255, true);
    send_frame(world->door, DOOR_CANCEL, key_of(1), "\2", 1, -1);
    send_frame(world->door, DOOR_CANCEL, key_of(1), "\2\0\0", 3, -1);
    say_all_is_read(world, key_of(2));
    say_facts(world, key_of(1), "/usr/bin/lasting");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
}

static void test_timeout(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    Frame message = expect(world->door, DOOR_MESSAGE, key_of(1));
    assert_non_null(strstr(message.payload + 4, "timed out after 300ms"));
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 0, 0); /* it ended well, but too late */
    expect_exit(world, key_of(1), 0, 124);
    expect_journal(world, "\"timeout_violation\":true");
}

static void test_a_bad_policy_changes_nothing(void **state)
{
    World *world = *state;

    hand_policy(world, "version: 1\nrules: [{comand: x}]\n");
    Frame answer = expect_control(world->control, MESSAGE_POLICY_ANSWER);
    while (answer.payload[0] != 0)
        answer = expect_control(world->control, MESSAGE_POLICY_ANSWER);
    assert_non_null(strstr(answer.payload + 5, "/policy.yaml:2"));
    run_to_start(world, key_of(1));
}

static void test_a_verdict_outlives_its_policy(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    hand_policy(world, "version: 1\ndefault_action: deny\n");
    usleep(100000);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    say_words(world, key_of(2), "allowed");
    say_facts(world, key_of(2), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "denied");
}

static void test_foreign_keys_are_ignored(void **state)
{
    World *world = *state;

    say_words(world, MESSAGE_KEY(DOOR_ID + 1, 1), "allowed");
    say_facts(world, MESSAGE_KEY(DOOR_ID + 1, 1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, MESSAGE_KEY(DOOR_ID + 1, 1));
    expect_silence(world->door);
    run_to_start(world, key_of(1));
}

static void test_stop_ends_what_runs_and_writes_the_last_record(void **state)
{
    World *world = *state;
    int status = 0;

    run_to_start(world, key_of(1));
    send_frame(world->control, MESSAGE_STOP, 0, "", 0, -1);
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 15);
    assert_int_equal(waitpid(world->pid, &status, 0), world->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(journal_has(world, "\"event\":\"stop\""));
    assert_true(journal_has(world, "\"event\":\"ended\""));
}

#define WARDEN_TEST(function) WORLD_TEST(function, policy_text)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WARDEN_TEST(test_halves_in_either_order),
        WARDEN_TEST(test_the_record_comes_before_the_order),
        WARDEN_TEST(test_the_order_scrubs_the_environment),
        WARDEN_TEST(test_denied_ends_the_child),
        WARDEN_TEST(test_what_cannot_be_prepared_is_refused),
        WARDEN_TEST(test_approved_runs_bound),
        WARDEN_TEST(test_human_says_no),
        WARDEN_TEST(test_expiry_denies_and_a_late_yes_is_late),
        WARDEN_TEST(test_drift_is_refused),
        WARDEN_TEST(test_drift_of_file_and_process),
        WARDEN_TEST(test_a_caller_that_goes),
        WARDEN_TEST(test_gone_between_order_and_start),
        WARDEN_TEST(test_signals_before_the_start),
        WARDEN_TEST(test_a_stop_before_the_start_is_taken_back),
        WARDEN_TEST(test_a_deadly_signal_meets_a_command),
        WARDEN_TEST(test_a_deadly_signal_meets_a_wait),
        WARDEN_TEST(test_a_cancel_that_cannot_be),
        WARDEN_TEST(test_timeout),
        WARDEN_TEST(test_a_bad_policy_changes_nothing),
        WARDEN_TEST(test_a_verdict_outlives_its_policy),
        WARDEN_TEST(test_foreign_keys_are_ignored),
        WARDEN_TEST(test_stop_ends_what_runs_and_writes_the_last_record),
    };
    return cmocka_run_group_tests_name("warden", tests, NULL, NULL);
}
