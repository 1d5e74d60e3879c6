/*
 * The kill switch in every state of a request: what ends, what freezes, what is held, what the
 * operator is told and when, what is kept, and what a start finds.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "warden/test-world.h"

static const char rules[] = "version: 1\n"
                            "default_action: deny\n"
                            "approval_timeout: 1m\n"
                            "rules:\n"
                            "  - {command: allowed, action: allow}\n"
                            "  - {command: brief, action: allow, timeout: 300ms}\n"
                            "  - {command: asked, action: ask}\n";

static const Actor viewer = {.name = "v", .role = ROLE_VIEWER, .via = "api", .jails = ""};
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

static void refuse_next(World *world, uint64_t key, const char *words)
{
    say_words(world, key, "allowed");
    say_facts(world, key, "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key);
    expect_refusal(world, key, 126, words);
}

static void start_named(World *world, uint64_t key, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/usr/bin/%s", name);
    say_words(world, key, name);
    say_facts(world, key, path);
    (void)expect(world->executor, EXEC_RUN, key);
}

/* Kill. */

static void test_kill_in_each_state(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    run_to_pending(world, key_of(1), id);
    run_to_start(world, key_of(2));
    say_words(world, key_of(3), "allowed"); /* its facts are still missing */
    usleep(50000);
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_ALL, "", 0, "enough");
    bool ended = false, refused = false;
    for (int i = 0; i < 4; i++) { /* the order among requests is nobody's promise */
        Frame frame = receive(world->door);
        ended |= frame.type == DOOR_MESSAGE && frame.key == key_of(2);
        refused |= frame.type == DOOR_EXIT && frame.key == key_of(1);
    }
    assert_true(ended && refused);
    Frame end = expect(world->executor, EXEC_END, key_of(2));
    uint32_t grace;
    memcpy(&grace, end.payload, sizeof grace);
    assert_int_equal(grace, 0);
    (void)keep_switches(world, 0);
    expect_silence(world->api); /* what was killed is not gone */
    say_ended(world, key_of(2), 1, 9);
    expect_exit(world, key_of(2), 1, 9);
    Answer killed = receive_answer(world);
    assert_int_equal(killed.status, 200);
    assert_non_null(strstr(killed.json,
                           "{\"state\":\"killed\",\"jails\":[\"default\"],\"killed\":1,"
                           "\"cancelled\":2,"));
    assert_non_null(strstr(killed.json, "\"until\":null,\"containers\":0,\"failed\":[],"
                                        "\"alive\":0,\"saved\":true}"));
    say_facts(world, key_of(3), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(3));
    expect_refusal(world, key_of(3), 126, "ended everything");

    refuse_next(world, key_of(4), "an operator has stopped everything (enough); nothing runs");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "").status, 200);
    run_to_start(world, key_of(5));
    expect_journal(world, "\"event\":\"killed\",\"reason\":\"enough\"");
    expect_journal(world, "\"event\":\"resumed\"");
}

/* Ordered to run, and the kill comes before the word that it does. */
static void test_kill_between_order_and_start(void **state)
{
    World *world = *state;

    start_named(world, key_of(1), "allowed");
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_JAIL, "default", 0, "");
    (void)expect(world->executor, EXEC_END, key_of(1));
    (void)keep_switches(world, 0);
    expect_silence(world->api);
    say_started(world, key_of(1));
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 9);
    assert_int_equal(answer_status(world), 200);
    expect_journal(world, "\"event\":\"killed\"");
}

/* An approval that crosses with the kill runs nothing. */
static void test_kill_and_approval(void **state)
{
    World *world = *state;
    char id[ID_SIZE];
    Caller caller = caller_of("asked");

    run_to_pending(world, key_of(1), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    assert_int_equal(call_plain(world, API_KILL, &tester, "default").status, 200);
    say_prepared(world, key_of(1), &caller.prepared);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "ended everything");
    expect_silence(world->executor);
}

static void test_kill_does_not_wait_for_ever(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_ALL, "", 0, "");
    (void)keep_switches(world, 0);
    Answer killed = receive_answer(world); /* the executor never says that it is gone */
    assert_int_equal(killed.status, 200);
    assert_non_null(strstr(killed.json, "\"alive\":1,\"saved\":true"));
}

/* Pause. */

static void test_pause_freezes_and_resume_thaws(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    Answer paused = switch_as(world, API_PAUSE, &tester, SWITCH_SCOPE_JAIL, "default", 0, "lunch");
    assert_non_null(strstr(paused.json, "\"state\":\"paused\""));
    assert_non_null(strstr(paused.json, "\"frozen\":1"));
    expect_freeze(world, key_of(1), true);
    expect_message(world, key_of(1), "an operator has paused this jail (lunch); this command is");
    refuse_next(world, key_of(2), "an operator has paused this jail (lunch); nothing runs until");
    Answer resumed = call_plain(world, API_RESUME, &tester, "default");
    assert_non_null(strstr(resumed.json, "\"resumed\":1"));
    expect_freeze(world, key_of(1), false);
    expect_message(world, key_of(1), "resumed by an operator");
    run_to_start(world, key_of(3));
    expect_journal(world, "\"event\":\"paused\",\"jail\":\"default\",\"reason\":\"lunch\"");
}

/* A signal that comes meanwhile waits. */
static void test_signals_of_a_frozen_command(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "").status, 200);
    expect_freeze(world, key_of(1), true);
    say_signal(world, key_of(1), 18 /* SIGCONT */, true);
    expect_silence(world->executor);
    assert_int_equal(call_plain(world, API_RESUME, &tester, "").status, 200);
    expect_freeze(world, key_of(1), false);
    (void)expect(world->executor, EXEC_SIGNAL, key_of(1));
}

static void test_a_frozen_command_is_killed(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "").status, 200);
    expect_freeze(world, key_of(1), true);
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_ALL, "", 0, "");
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 9);
    (void)keep_switches(world, 0);
    assert_int_equal(answer_status(world), 200);
    expect_silence(world->executor);
}

static void test_a_frozen_command_times_out(void **state)
{
    World *world = *state;

    start_named(world, key_of(1), "brief");
    say_started(world, key_of(1));
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "").status, 200);
    expect_freeze(world, key_of(1), true);
    (void)expect(world->executor, EXEC_END, key_of(1)); /* its time runs on */
}

/* Ordered to run, not yet started: it starts when it may. */
static void test_pause_between_order_and_start(void **state)
{
    World *world = *state;

    start_named(world, key_of(1), "allowed");
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "").status, 200);
    expect_freeze(world, key_of(1), true);
    assert_int_equal(call_plain(world, API_RESUME, &tester, "").status, 200);
    expect_freeze(world, key_of(1), false);
    say_started(world, key_of(1));
    expect_journal(world, "\"event\":\"started\"");
}

/* Frozen before it started, and then nobody wants it: it must not start when it is resumed. */
static void test_a_frozen_start_is_given_up(void **state)
{
    World *world = *state;

    start_named(world, key_of(1), "allowed");
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "").status, 200);
    expect_freeze(world, key_of(1), true);
    say_gone(world, key_of(1));
    Frame end = expect(world->executor, EXEC_END, key_of(1));
    assert_int_equal(end.payload[0], 0); /* no grace: it is killed frozen */
}

/* What waits stays decidable; what is approved runs when it is resumed. */
static void test_an_approval_is_held(void **state)
{
    World *world = *state;
    char id[ID_SIZE];
    Caller caller = caller_of("asked");

    run_to_pending(world, key_of(1), id);
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "default").status, 200);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    expect_message(world, key_of(1),
                   "approved, but an operator has paused this jail; it runs when");
    expect_silence(world->door);
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    expect_run(world, key_of(1), &caller);
}

/* The pause comes while the approved one is being prepared once more. */
static void test_an_approval_is_held_at_the_last_moment(void **state)
{
    World *world = *state;
    char id[ID_SIZE];
    Caller caller = caller_of("asked");

    run_to_pending(world, key_of(1), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "default").status, 200);
    say_prepared(world, key_of(1), &caller.prepared);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_message(world, key_of(1), "approved, but");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    expect_run(world, key_of(1), &caller);
}

static void hold_one(World *world, uint64_t key)
{
    char id[ID_SIZE];

    run_to_pending(world, key, id);
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "").status, 200);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    expect_message(world, key, "approved, but");
}

static void test_a_held_one_is_killed(void **state)
{
    World *world = *state;

    hold_one(world, key_of(1));
    assert_int_equal(call_plain(world, API_KILL, &tester, "").status, 200);
    expect_refusal(world, key_of(1), 126, "ended everything");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "").status, 200);
    expect_silence(world->door);
}

static void test_a_held_ones_caller_goes(void **state)
{
    World *world = *state;

    hold_one(world, key_of(1));
    say_gone(world, key_of(1));
    expect_journal(world, "\"event\":\"cancelled\"");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "").status, 200);
    expect_silence(world->door);
}

static void test_a_pause_does_not_weaken_a_kill(void **state)
{
    World *world = *state;

    assert_int_equal(call_plain(world, API_KILL, &tester, "default").status, 200);
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "default").status, 409);
    refuse_next(world, key_of(1), "has stopped this jail");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    assert_int_equal(call_plain(world, API_PAUSE, &tester, "default").status, 200);
    refuse_next(world, key_of(2), "has paused this jail");
}

/* Scopes. */

static void test_who_may(void **state)
{
    World *world = *state;

    assert_int_equal(call_plain(world, API_PAUSE, &viewer, "").status, 403);
    assert_int_equal(call_plain(world, API_PAUSE, &elsewhere, "default").status, 404);
    assert_int_equal(call_plain(world, API_PAUSE, &elsewhere, "").status, 404);
    assert_int_equal(call_plain(world, API_RESUME, &elsewhere, "").status, 404);
    assert_int_equal(
        switch_as(world, API_KILL, &tester, SWITCH_SCOPE_CONTAINER, "0123", 0, "").status, 404);
    run_to_start(world, key_of(1));
    Answer paused = call_plain(world, API_PAUSE, &here, "");
    assert_int_equal(paused.status, 200);
    expect_freeze(world, key_of(1), true);
    /* What he stops is his jails, not everything. */
    Answer status = call_plain(world, API_STATUS, &tester, NULL);
    assert_non_null(strstr(status.json, "\"switches\":[{\"state\":\"paused\",\"scope\":\"jail\","
                                        "\"jail\":\"default\",\"by\":\"h\",\"via\":\"dashboard\""));
    assert_int_equal(count_of(status.json, "\"scope\":\"all\""), 0);
    assert_non_null(
        strstr(call_plain(world, API_STATUS, &elsewhere, NULL).json, "\"switches\":[]"));
}

/* One jail may run although everything is stopped; another stop for all ends that. */
static void test_an_exception(void **state)
{
    World *world = *state;

    assert_int_equal(call_plain(world, API_KILL, &tester, "").status, 200);
    assert_int_equal(call_plain(world, API_RESUME, &here, "default").status, 200);
    run_to_start(world, key_of(1));
    Answer status = call_plain(world, API_STATUS, &tester, NULL);
    assert_non_null(strstr(status.json, "\"paused\":false,\"stopped\":null"));
    assert_non_null(strstr(status.json, "\"switches\":[{\"state\":\"killed\",\"scope\":\"all\""));
    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_ALL, "", 0, "");
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 9);
    (void)keep_switches(world, 0);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_MESSAGE, key_of(1));
    expect_exit(world, key_of(1), 1, 9);
    refuse_next(world, key_of(2), "has stopped everything");
}

/* Time and the disk. */

static void test_it_resumes_by_itself(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    Answer paused =
        switch_as(world, API_PAUSE, &tester, SWITCH_SCOPE_JAIL, "default", 1000, "a moment");
    assert_int_equal(paused.status, 200);
    assert_null(strstr(paused.json, "\"until\":null"));
    expect_freeze(world, key_of(1), true);
    expect_message(world, key_of(1), "paused this jail (a moment) until 20");
    refuse_next(world, key_of(2), "nothing runs before that");
    Frame kept = keep_switches(world, 0); /* when its time is over */
    assert_null(strstr(kept.payload + 4, "paused"));
    expect_freeze(world, key_of(1), false);
    expect_journal(world,
                   "\"event\":\"resumed\",\"jail\":\"default\",\"reason\":\"its time is over: "
                   "paused since ");
    expect_journal(world, "by tester (uid 0)\",\"via\":\"timer\"");
}

static void test_what_cannot_be_kept_is_said(void **state)
{
    World *world = *state;

    send_switch(world, API_KILL, &tester, SWITCH_SCOPE_ALL, "", 0, "");
    (void)keep_switches(world, 28 /* ENOSPC */);
    Answer killed = receive_answer(world);
    assert_int_equal(killed.status, 200);
    assert_non_null(strstr(killed.json, "\"saved\":false,\"problem\":\"No space left on device\""));
    refuse_next(world, key_of(1), "has stopped everything"); /* in force all the same */
}

static void test_a_start_resumes_nothing(void **state)
{
    World *world = *state;

    refuse_next(world, key_of(1), "an operator has stopped this jail (a b%)");
    expect_journal(world, "\"event\":\"killed\",\"jail\":\"default\",\"reason\":\"a b%\"");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    run_to_start(world, key_of(2));
}

static void test_a_broken_table_stops_everything(void **state)
{
    World *world = *state;

    refuse_next(world, key_of(1), "has stopped everything (what operators had stopped cannot be");
    assert_int_equal(call_plain(world, API_RESUME, &tester, "").status, 200);
    run_to_start(world, key_of(2));
}

static void test_what_has_run_out_meanwhile_is_over(void **state)
{
    World *world = *state;

    Frame kept = keep_switches(world, 0);
    assert_non_null(strstr(kept.payload + 4, "end 0\n"));
    run_to_start(world, key_of(1));
    expect_journal(world, "\"event\":\"resumed\"");
}

static int set_up_killed(void **state)
{
    found_switches = SWITCHES_TEXT;
    found_text = "clawrden switches 1\n"
                 "killed\tjail\tdefault\t1700000000000000\t0\talice\tcli\ta b%25\t\nend 1\n";
    return world_set_up(state);
}

static int set_up_run_out(void **state)
{
    found_switches = SWITCHES_TEXT;
    found_text = "clawrden switches 1\n"
                 "killed\tall\t\t1700000000000000\t1700000001000000\talice\tcli\t\t\nend 1\n";
    return world_set_up(state);
}

static int set_up_cut(void **state)
{
    found_switches = SWITCHES_TEXT;
    found_text = "clawrden switches 1\n";
    return world_set_up(state);
}

static int set_up_unreadable(void **state)
{
    found_switches = SWITCHES_BROKEN;
    found_text = "/state/switches";
    return world_set_up(state);
}

static int tear_down(void **state)
{
    found_switches = SWITCHES_NONE;
    found_text = "";
    return world_tear_down(state);
}

#define CONTROL_TEST(function) WORLD_TEST(function, rules)
#define START_TEST(function, set_up)                                                               \
    cmocka_unit_test_prestate_setup_teardown(function, set_up, tear_down, (void *)rules)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTROL_TEST(test_kill_in_each_state),
        CONTROL_TEST(test_kill_between_order_and_start),
        CONTROL_TEST(test_kill_and_approval),
        CONTROL_TEST(test_kill_does_not_wait_for_ever),
        CONTROL_TEST(test_pause_freezes_and_resume_thaws),
        CONTROL_TEST(test_signals_of_a_frozen_command),
        CONTROL_TEST(test_a_frozen_command_is_killed),
        CONTROL_TEST(test_a_frozen_command_times_out),
        CONTROL_TEST(test_pause_between_order_and_start),
        CONTROL_TEST(test_a_frozen_start_is_given_up),
        CONTROL_TEST(test_an_approval_is_held),
        CONTROL_TEST(test_an_approval_is_held_at_the_last_moment),
        CONTROL_TEST(test_a_held_one_is_killed),
        CONTROL_TEST(test_a_held_ones_caller_goes),
        CONTROL_TEST(test_a_pause_does_not_weaken_a_kill),
        CONTROL_TEST(test_who_may),
        CONTROL_TEST(test_an_exception),
        CONTROL_TEST(test_it_resumes_by_itself),
        CONTROL_TEST(test_what_cannot_be_kept_is_said),
        START_TEST(test_a_start_resumes_nothing, set_up_killed),
        START_TEST(test_what_has_run_out_meanwhile_is_over, set_up_run_out),
        START_TEST(test_a_broken_table_stops_everything, set_up_cut),
        START_TEST(test_a_broken_table_stops_everything, set_up_unreadable),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
