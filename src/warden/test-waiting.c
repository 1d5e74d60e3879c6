/*
 * Questions: callers that do not wait, limits and rates, and what ends many questions at once.
 */
#include "warden/test-questions.h"

static const char graceless[] = "version: 1\n"
                                "default_action: deny\n"
                                "approval_grace: 0\n"
                                "rules: [{command: asked, action: ask}]\n";

/* Callers that do not wait. */

static void test_no_wait(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], again[ID_SIZE];

    caller.words.wait_ms = 0;
    ask_as(world, key_of(1), &caller);
    expect_unanswered(world, key_of(1), id);
    ask_as(world, key_of(2), &caller);
    expect_unanswered(world, key_of(2), again);
    assert_string_equal(id, again);
    Answer queue = queue_as(world, &tester, 0, "");
    assert_non_null(strstr(queue.json, "\"total\":1"));
    assert_non_null(strstr(queue.json, "\"waiters\":0"));
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    ask_as(world, key_of(3), &caller);
    expect_run(world, key_of(3), &caller);
    ask_as(world, key_of(4), &caller);
    expect_unanswered(world, key_of(4), again);
    assert_string_not_equal(id, again);
    expect_journal(world, "\"exit_code\":75");
}

static void test_a_short_wait(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], again[ID_SIZE];

    caller.words.wait_ms = 200;
    ask_and_wait(world, 1, &caller, id);
    expect_unanswered(world, key_of(1), again);
    assert_string_equal(id, again);
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    ask_as(world, key_of(2), &caller);
    expect_run(world, key_of(2), &caller);
}

static const char waiting[] = "version: 1\n"
                              "default_action: deny\n"
                              "jails: {default: {commands: [asked], wait: 0}}\n"
                              "rules:\n"
                              "  - {command: asked, action: ask}\n"
                              "  - {command: longer, action: ask, wait: 1m}\n";

/* The rule's word wins over the jail's; a caller can only wait less. */
static void test_whose_wait_counts(void **state)
{
    World *world = *state;
    Caller jailed = caller_of("asked"), ruled = caller_of("longer");
    char id[ID_SIZE];

    ask_as(world, key_of(1), &jailed);
    expect_unanswered(world, key_of(1), id);
    ask_and_wait(world, 2, &ruled, id);
    ruled.words.wait_ms = 0;
    ask_as(world, key_of(3), &ruled);
    expect_unanswered(world, key_of(3), id);
    change_policy(world, patient);
    Caller impatient = caller_of("impatient");
    impatient.words.wait_ms = 60000;
    ask_as(world, key_of(4), &impatient);
    expect_unanswered(world, key_of(4), id);
}

/* Nobody is asked what could never be answered. */
static void test_no_wait_with_mutable_input(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    caller.prepared.flags = PREPARED_STDIN_MUTABLE;
    caller.words.wait_ms = 0;
    ask_as(world, key_of(1), &caller);
    expect_refusal(world, key_of(1), 126, "nobody was asked");
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"total\":0"));
    caller.words.wait_ms = 200;
    ask_and_wait(world, 2, &caller, id);
    expect_refusal(world, key_of(2), 75, "withdrawn");
    assert_int_equal(approve_as(world, &tester, id).status, 409);
}

static void test_without_grace_nothing_is_kept(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    say_gone(world, key_of(1));
    expect_journal(world, "the caller went away");
    assert_int_equal(approve_as(world, &tester, id).status, 409);
    caller.words.wait_ms = 0;
    ask_as(world, key_of(2), &caller);
    expect_refusal(world, key_of(2), 126, "nobody was asked");
}

/* Ends of many. */

static void test_kill_voids_what_is_kept(void **state)
{
    World *world = *state;
    Caller kept = caller_of("asked"), open = caller_of("asked");
    char first[ID_SIZE], second[ID_SIZE], next[ID_SIZE];

    open.words.argv[1] = "-open";
    ask_and_go(world, 1, &kept, first);
    assert_int_equal(approve_as(world, &tester, first).status, 200);
    ask_and_go(world, 2, &open, second);
    Answer killed = call_plain(world, API_KILL, &tester, "default");
    assert_non_null(strstr(killed.json, "\"cancelled\":1"));
    assert_int_equal(approve_as(world, &tester, second).status, 409);
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    ask_and_wait(world, 3, &kept, next);
    assert_string_not_equal(first, next);
    ask_and_wait(world, 4, &open, next);
    assert_string_not_equal(second, next);
}

static void test_another_policy_voids_what_is_kept(void **state)
{
    World *world = *state;
    Caller kept = caller_of("asked"), open = caller_of("asked"), live = caller_of("asked");
    char first[ID_SIZE], second[ID_SIZE], third[ID_SIZE], next[ID_SIZE];

    open.words.argv[1] = "-open";
    live.words.argv[1] = "-live";
    ask_and_go(world, 1, &kept, first);
    assert_int_equal(approve_as(world, &tester, first).status, 200);
    ask_and_go(world, 2, &open, second);
    ask_and_wait(world, 3, &live, third);
    change_policy(world, patient); /* the same: nothing changes */
    ask_and_wait(world, 4, &open, next);
    assert_string_equal(second, next);
    say_gone(world, key_of(4));
    change_policy(world, hasty);
    expect_journal(world, "the policy has changed, and nobody waits for the answer");
    assert_int_equal(approve_as(world, &tester, second).status, 409);
    ask_and_wait(world, 5, &kept, next);
    assert_string_not_equal(first, next);
    /* Who waits keeps its verdict, but nobody joins it, and it leads to no grant. */
    ask_and_wait(world, 6, &live, next);
    assert_string_not_equal(third, next);
    assert_int_equal(remember_as(world, &tester, third, REMEMBER_FOR, 60000, false).status, 409);
    assert_int_equal(approve_as(world, &tester, third).status, 200);
    (void)expect(world->door, DOOR_OPEN, key_of(3));
}

/* The limit is one of questions: equal ones need no room, and those without waiters take some. */
static void test_the_limit_counts_questions(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), other = caller_of("asked");
    char id[ID_SIZE];

    other.words.argv[1] = "-other";
    hand_limits(world, 1);
    ask_and_wait(world, 1, &caller, id);
    ask_and_wait(world, 2, &caller, id);
    ask_as(world, key_of(3), &other);
    expect_refusal(world, key_of(3), 126, "too many questions");
    say_gone(world, key_of(1));
    say_gone(world, key_of(2));
    ask_as(world, key_of(4), &other);
    expect_refusal(world, key_of(4), 126, "too many questions");
    assert_int_equal(approve_as(world, &tester, id).status, 200);
    ask_and_wait(world, 5, &other, id);
}

static void test_rates(void **state)
{
    World *world = *state;
    Caller scarce = caller_of("scarce");
    char id[ID_SIZE];

    for (uint32_t i = 1; i <= 2; i++) {
        say_words(world, key_of(i), "rare");
        say_facts(world, key_of(i), "/usr/bin/rare");
        (void)expect(world->executor, EXEC_RUN, key_of(i));
    }
    Caller rare = caller_of("rare");
    ask_and_wait(world, 3, &rare, id);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json,
                           "more than 2 calls of this rule within 1h need a human"));
    ask_and_wait(world, 4, &scarce, id);
    say_call(world, key_of(5), &scarce.words);
    say_prepared(world, key_of(5), &scarce.prepared);
    (void)expect(world->executor, EXEC_DROP, key_of(5));
    expect_refusal(world, key_of(5), 126, "more than 1 calls of this rule within 1h are denied");
}

/* What did not run does not fill the journal. */
static void test_records_of_refusals_are_cut(void **state)
{
    World *world = *state;
    static char large[100000];
    Words words = words_of("forbidden");

    memset(large, 'x', sizeof large - 1);
    words.argv[2] = large;
    words.argv[3] = "last";
    say_call(world, key_of(1), &words);
    say_facts(world, key_of(1), "/usr/bin/forbidden");
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "denied");
    expect_journal(world, "\"argv\":[\"forbidden\",\"-x\"],\"argv_more\":2,\"command_digest\":\"");
    assert_false(journal_has(world, "xxxxxxxxxx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_no_wait, patient),
        WORLD_TEST(test_a_short_wait, patient),
        WORLD_TEST(test_whose_wait_counts, waiting),
        WORLD_TEST(test_no_wait_with_mutable_input, patient),
        WORLD_TEST(test_without_grace_nothing_is_kept, graceless),
        WORLD_TEST(test_kill_voids_what_is_kept, patient),
        WORLD_TEST(test_another_policy_voids_what_is_kept, patient),
        WORLD_TEST(test_the_limit_counts_questions, patient),
        WORLD_TEST(test_rates, patient),
        WORLD_TEST(test_records_of_refusals_are_cut, patient),
    };
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
