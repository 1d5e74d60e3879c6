/*
 * The kill switch on whole containers: which ones are ordered about, what the operator is told,
 * what is kept, and what a start finds.
 */
#include <stdio.h>

#include "warden/test-world.h"

static const char rules[] = "version: 1\n"
                            "default_action: deny\n"
                            "approval_timeout: 1m\n"
                            "rules:\n"
                            "  - {command: allowed, action: allow}\n"
                            "  - {command: brief, action: allow, timeout: 300ms}\n"
                            "  - {command: asked, action: ask}\n";

static const Actor here = {
    .name = "h", .role = ROLE_APPROVER, .via = "dashboard", .jails = "other\ndefault\n"};
static const Actor elsewhere = {.name = "e", .role = ROLE_ADMIN, .via = "api", .jails = "other\n"};

static void expect_freeze(World *world, uint64_t key, bool frozen)
{
    Frame frame = expect(world->executor, EXEC_FREEZE, key);
    assert_int_equal(frame.size, 1);
    assert_int_equal(frame.payload[0], frozen);
}

static void expect_message(World *world, uint64_t key, const char *words)
{
    Frame frame = expect(world->door, DOOR_MESSAGE, key);
    if (!strstr(frame.payload + 4, words))
        fail_msg("no \"%s\" in \"%s\"", words, frame.payload + 4);
}

static const char id_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char id_b[] = "aaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/* A command of the container runs. */
static void run_from(World *world, uint64_t key, const char *id)
{
    Prepared prepared = facts_of("/usr/bin/allowed");

    prepared.container = id;
    say_words(world, key, "allowed");
    say_prepared(world, key, &prepared);
    (void)expect(world->executor, EXEC_RUN, key);
    say_started(world, key);
    (void)expect(world->door, DOOR_ACK, key);
}

static uint64_t expect_order(World *world, ContainerOp op, const char *id)
{
    Frame frame = receive(world->executor);

    assert_int_equal(frame.type, EXEC_CONTAINER);
    Reader reader = reader_of(frame.payload, frame.size);
    assert_int_equal(reader_u8(&reader), op);
    assert_string_equal(reader_string(&reader), id);
    assert_true(reader_done(&reader));
    return frame.key;
}

static void say_done(World *world, uint64_t key, ContainerOp op, const char *id,
                     ContainerOutcome outcome, const char *why)
{
    Buffer payload = BUFFER_EMPTY(512);

    buffer_put_u8(&payload, (uint8_t)op);
    buffer_put_string(&payload, id);
    buffer_put_u8(&payload, (uint8_t)outcome);
    buffer_put_string(&payload, why);
    send_frame(world->executor, EXEC_CONTAINER_DONE, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

/* One of two, by a part of its id; nothing happens to the other's command. */
static void test_a_container_is_killed(void **state)
{
    World *world = *state;

    run_from(world, key_of(1), id_a);
    run_from(world, key_of(2), id_b);
    Answer unclear =
        switch_as(world, API_KILL, &tester, SWITCH_SCOPE_CONTAINER, "aaaaaaaaaaaa", 0, "");
    assert_int_equal(unclear.status, 409);
    assert_int_equal(
        switch_as(world, API_KILL, &elsewhere, SWITCH_SCOPE_CONTAINER, id_a, 0, "").status, 404);
    assert_int_equal(
        switch_as(world, API_KILL, &tester, SWITCH_SCOPE_CONTAINER, "aaaaaaaa", 0, "").status, 404);
    send_switch(world, API_KILL, &here, SWITCH_SCOPE_CONTAINER, "aaaaaaaaaaaaa", 0, "bad");
    (void)expect(world->executor, EXEC_END, key_of(1));
    uint64_t key = expect_order(world, CONTAINER_OP_KILL, id_a);
    (void)keep_switches(world, 0);
    say_ended(world, key_of(1), 1, 9);
    expect_silence(world->api); /* the container is not gone */
    say_done(world, key, CONTAINER_OP_KILL, id_a, CONTAINER_OUTCOME_DONE, "");
    Answer killed = receive_answer(world);
    assert_int_equal(killed.status, 200);
    assert_non_null(strstr(killed.json, "\"killed\":1,"));
    assert_non_null(strstr(killed.json, "\"containers\":1,\"failed\":[],\"alive\":0"));
    expect_message(world, key_of(1), "ended by an operator");
    expect_exit(world, key_of(1), 1, 9);
    expect_silence(world->executor);
    Prepared again = facts_of("/usr/bin/allowed");
    again.container = id_a;
    say_words(world, key_of(3), "allowed");
    say_prepared(world, key_of(3), &again);
    (void)expect(world->executor, EXEC_DROP, key_of(3));
    expect_refusal(world, key_of(3), 126, "an operator has stopped this container (bad)");
    assert_int_equal(
        switch_as(world, API_PAUSE, &tester, SWITCH_SCOPE_CONTAINER, id_a, 0, "").status, 409);
    assert_int_equal(
        switch_as(world, API_RESUME, &tester, SWITCH_SCOPE_CONTAINER, id_a, 0, "").status, 200);
    run_from(world, key_of(4), id_a);
    expect_journal(world, "\"event\":\"killed\",\"container\":\"aaaa");
}

/* What it cannot do is said. */
static void test_a_container_that_stays(void **state)
{
    World *world = *state;

    run_from(world, key_of(1), id_a);
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_ALL, "", 0, "");
    (void)expect(world->executor, EXEC_END, key_of(1));
    uint64_t key = expect_order(world, CONTAINER_OP_KILL, id_a);
    (void)keep_switches(world, 0);
    say_ended(world, key_of(1), 1, 9);
    say_done(world, key, CONTAINER_OP_KILL, id_a, CONTAINER_OUTCOME_FAILED, "it will not");
    Answer killed = receive_answer(world);
    assert_non_null(strstr(killed.json, "\"containers\":0,\"failed\":[{\"container\":\"aaaa"));
    assert_non_null(strstr(killed.json, "\"why\":\"it will not\"}]"));
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_JAIL, "default", 0, "");
    (void)expect_order(world, CONTAINER_OP_KILL, id_a); /* once more */
    (void)keep_switches(world, 0);
    Answer silent = receive_answer(world); /* the executor never answers */
    assert_non_null(strstr(silent.json, "\"alive\":1"));
}

/* With its jail; a newcomer too; what is frozen is kept, and thawed when nothing pauses it. */
static void test_a_container_is_frozen(void **state)
{
    World *world = *state;
    Prepared prepared = facts_of("/usr/bin/allowed");

    run_from(world, key_of(1), id_a);
    send_switch(world, API_PAUSE, &tester, SWITCH_SCOPE_JAIL, "default", 0, "");
    uint64_t key = expect_order(world, CONTAINER_OP_FREEZE, id_a);
    expect_freeze(world, key_of(1), true);
    Frame kept = keep_switches(world, 0);
    assert_non_null(strstr(kept.payload + 4, "\nfrozen\taaaaaaaa"));
    say_done(world, key, CONTAINER_OP_FREEZE, id_a, CONTAINER_OUTCOME_DONE, "");
    assert_int_equal(answer_status(world), 200);
    expect_message(world, key_of(1), "frozen until");

    prepared.container = id_b;
    say_words(world, key_of(2), "allowed");
    say_prepared(world, key_of(2), &prepared);
    assert_true(expect_order(world, CONTAINER_OP_FREEZE, id_b) == 0);
    (void)keep_switches(world, 0);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "paused this jail");
    say_done(world, 0, CONTAINER_OP_FREEZE, id_b, CONTAINER_OUTCOME_ABSENT, ""); /* it has ended */
    kept = keep_switches(world, 0);
    assert_int_equal(count_of(kept.payload + 4, "frozen\t"), 1);

    /* Paused twice: the jail's resume does not let it go on. */
    send_switch(world, API_PAUSE, &tester, SWITCH_SCOPE_CONTAINER, id_a, 0, "");
    (void)keep_switches(world, 0);
    assert_int_equal(answer_status(world), 200);
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    expect_silence(world->executor);
    send_switch(world, API_RESUME, &tester, SWITCH_SCOPE_CONTAINER, id_a, 0, "");
    key = expect_order(world, CONTAINER_OP_THAW, id_a);
    expect_freeze(world, key_of(1), false);
    (void)keep_switches(world, 0);
    say_done(world, key, CONTAINER_OP_THAW, id_a, CONTAINER_OUTCOME_DONE, "");
    assert_int_equal(answer_status(world), 200);
    expect_journal(world, "\"message\":\"the container goes on\"");
}

/* What is frozen does not speak: if it does it was started again, and is frozen again; once. */
static void test_a_frozen_container_that_speaks(void **state)
{
    World *world = *state;
    Prepared prepared = facts_of("/usr/bin/allowed");

    assert_true(expect_order(world, CONTAINER_OP_FREEZE, id_a) == 0);
    say_done(world, 0, CONTAINER_OP_FREEZE, id_a, CONTAINER_OUTCOME_DONE, "");
    prepared.container = id_a;
    for (uint32_t i = 1; i <= 4; i++) {
        say_words(world, key_of(i), "allowed");
        say_prepared(world, key_of(i), &prepared);
        if (i % 2 == 1) /* the first, and the first after the answer */
            assert_true(expect_order(world, CONTAINER_OP_FREEZE, id_a) == 0);
        (void)expect(world->executor, EXEC_DROP, key_of(i));
        expect_refusal(world, key_of(i), 126, "paused this jail");
        if (i == 2)
            say_done(world, 0, CONTAINER_OP_FREEZE, id_a, CONTAINER_OUTCOME_DONE, "");
    }
    expect_silence(world->executor);
}

/* A start finds a frozen one: its executor is told, and it can be thawed. */
static void test_a_start_thaws_nothing(void **state)
{
    World *world = *state;

    assert_true(expect_order(world, CONTAINER_OP_FREEZE, id_a) == 0);
    say_done(world, 0, CONTAINER_OP_FREEZE, id_a, CONTAINER_OUTCOME_DONE, "");
    send_switch(world, API_RESUME, &tester, SWITCH_SCOPE_ALL, "", 0, "");
    uint64_t key = expect_order(world, CONTAINER_OP_THAW, id_a);
    (void)keep_switches(world, 0);
    say_done(world, key, CONTAINER_OP_THAW, id_a, CONTAINER_OUTCOME_DONE, "");
    assert_int_equal(answer_status(world), 200);
}

static int set_up_frozen(void **state)
{
    static char text[256];

    (void)snprintf(text, sizeof text,
                   "clawrden switches 1\n"
                   "paused\tjail\tdefault\t1700000000000000\t0\talice\tcli\t\t\n"
                   "frozen\t%s\tdefault\t\nend 2\n",
                   id_a);
    found_switches = SWITCHES_TEXT;
    found_text = text;
    return world_set_up(state);
}

static int tear_down(void **state)
{
    found_switches = SWITCHES_NONE;
    found_text = "";
    return world_tear_down(state);
}

#define CONTAINER_TEST(function) WORLD_TEST(function, rules)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTAINER_TEST(test_a_container_is_killed),
        CONTAINER_TEST(test_a_container_that_stays),
        CONTAINER_TEST(test_a_container_is_frozen),
        cmocka_unit_test_prestate_setup_teardown(test_a_frozen_container_that_speaks, set_up_frozen,
                                                 tear_down, (void *)rules),
        cmocka_unit_test_prestate_setup_teardown(test_a_start_thaws_nothing, set_up_frozen,
                                                 tear_down, (void *)rules),
    };
    return cmocka_run_group_tests_name("control-containers", tests, NULL, NULL);
}
