/*
 * Grants: they cover what their words say, as long as they say, and nothing that a prisoner could
 * make look like it.
 */
#include <stdio.h>

#include "warden/test-questions.h"

static const char rules[] = "version: 1\n"
                            "default_action: deny\n"
                            "approval_timeout: 1m\n"
                            "approval_grace: 1m\n"
                            "rules:\n"
                            "  - name: no-force\n"
                            "    command: git\n"
                            "    argv: {any: [\"--force\", \"-f\"], after: push}\n"
                            "    action: deny\n"
                            "  - name: pushes\n"
                            "    command: git\n"
                            "    argv: {any: [\"push\"]}\n"
                            "    action: ask\n"
                            "    grant: [subcommand]\n"
                            "  - name: adds\n"
                            "    command: git\n"
                            "    argv: {any: [\"add\"]}\n"
                            "    action: ask\n"
                            "    grant: [subcommand, paths: cwd]\n"
                            "  - {name: exact, command: asked, action: ask}\n"
                            "  - {name: both, command: twice, action: ask, approvals: 2}\n";

static const char other_rules[] = "version: 1\n"
                                  "default_action: deny\n"
                                  "rules: [{name: exact, command: asked, action: ask}]\n";

/* Another call is asked about although there is a grant. */
static void expect_asked(World *world, uint32_t counter, const Caller *caller)
{
    char id[ID_SIZE];

    ask_and_wait(world, counter, caller, id);
    decide(world, id, false);
    expect_refusal(world, key_of(counter), 126, "denied by tester");
    assert_int_equal(answer_status(world), 200);
}

static void expect_covered(World *world, uint32_t counter, const Caller *caller)
{
    ask_as(world, key_of(counter), caller);
    expect_run(world, key_of(counter), caller);
}

/* Asks, is approved with this memory, and runs. The grant's id. */
static void give(World *world, uint32_t counter, const Caller *caller, Remember remember,
                 uint64_t ms, bool widened, char grant[static 16])
{
    char id[ID_SIZE];

    ask_and_wait(world, counter, caller, id);
    Answer answer = remember_as(world, &tester, id, remember, ms, widened);
    if (answer.status != 200)
        fail_msg("%s", answer.json);
    const char *given = strstr(answer.json, "\"grant\":{");
    assert_non_null(given);
    text_of(given, "id", grant, 16);
    assert_memory_equal(grant, "G-", 2);
    expect_run(world, key_of(counter), caller);
}

static Caller git(const char *const *arguments)
{
    Caller caller = caller_of("git");
    size_t count = 1;

    for (; arguments[count - 1]; count++)
        caller.words.argv[count] = arguments[count - 1];
    caller.words.argv[count] = NULL;
    caller.prepared.cwd = "/app";
    return caller;
}
#define GIT(...) git((const char *const[]){__VA_ARGS__, NULL})

static void test_for_a_time(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), again = caller;
    char grant[16];

    again.prepared.pid = 4711;
    give(world, 1, &caller, REMEMBER_FOR, 60000, false, grant);
    expect_journal(world, "\"event\":\"grant\"");
    expect_covered(world, 2, &again);
    assert_true(journal_has(world, "\"verdict\":\"granted\""));
    expect_covered(world, 3, &again);
    Answer list = call_plain(world, API_GRANTS, &tester, NULL);
    assert_non_null(strstr(list.json, grant));
    assert_non_null(strstr(list.json, "\"used\":2"));
    assert_non_null(strstr(list.json, "exactly this command: same arguments, environment and "
                                      "files, in /, as uid 1000 in jail default"));
    assert_non_null(strstr(list.json, "\"approver\":\"tester (uid 0)\""));
    /* Nothing of it waits in the queue, and no kept answer is left behind. */
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"total\":0"));
    assert_int_equal(call_plain(world, API_REVOKE, &tester, grant).status, 200);
    assert_int_equal(call_plain(world, API_REVOKE, &tester, grant).status, 404);
    expect_journal(world, "\"verdict\":\"revoked\"");
    expect_asked(world, 4, &again);
}

static void test_its_words_were_shown_before(void **state)
{
    World *world = *state;
    Caller caller = GIT("push", "--tags", "origin");
    char id[ID_SIZE], shown[1024], covers[1024];

    ask_and_wait(world, 1, &caller, id);
    Answer queue = queue_as(world, &tester, 0, "");
    text_of(queue.json, "widened", shown, sizeof shown);
    assert_string_equal(shown, "git push --tags ‹any› where each ‹any› is any one argument that "
                               "is no option, in /app; same program, options and their order, "
                               "environment and rule, as uid 1000 in jail default");
    Answer answer = remember_as(world, &tester, id, REMEMBER_FOR, 60000, true);
    text_of(answer.json, "covers", covers, sizeof covers);
    assert_string_equal(shown, covers);
}

static void test_an_exact_grant_covers_nothing_else(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 60000, false, grant);
    Caller changed[8];
    for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
        changed[i] = caller;
    changed[0].words.argv[2] = "more";
    changed[1].words.env[0] = "PATH=/elsewhere";
    changed[2].examined.hashed.exe.bytes[5] = 9;
    changed[3].prepared.uid = 1001;
    changed[4].prepared.cwd_inode = 9;
    changed[5].prepared.container = "c";
    changed[6].prepared.flags = PREPARED_STDIN_MUTABLE;
    changed[7].prepared.flags = PREPARED_READS_STDIN;
    for (uint32_t i = 0; i < ARRAY_SIZE(changed); i++)
        expect_asked(world, 2 + i, &changed[i]);
    expect_covered(world, 50, &caller);
}

static void test_its_time_ends(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 300, false, grant);
    expect_journal(world, "its time is over");
    expect_asked(world, 2, &caller);
    assert_non_null(strstr(call_plain(world, API_GRANTS, &tester, NULL).json, "\"grants\":[]"));
    assert_int_equal(call_plain(world, API_REVOKE, &tester, grant).status, 404);
}

static void test_for_a_session(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), other = caller, reused = caller, unknown = caller;
    char grant[16], id[ID_SIZE];

    caller.examined.root_pid = other.examined.root_pid = reused.examined.root_pid = 50;
    caller.examined.root_start_time = 500;
    reused.examined.root_start_time = 501; /* the pid was given to another process */
    other.examined.root_pid = 51;
    other.examined.root_start_time = 500;
    give(world, 1, &caller, REMEMBER_SESSION, 0, false, grant);
    expect_covered(world, 2, &caller);
    expect_asked(world, 3, &other);
    expect_asked(world, 4, &reused);
    expect_asked(world, 5, &unknown);
    Answer list = call_plain(world, API_GRANTS, &tester, NULL);
    assert_non_null(strstr(list.json, "\"session\":true"));
    assert_non_null(strstr(list.json, "\"expires_at\":null"));

    /* Without a known root there is no session; that is said before. */
    unknown.words.argv[1] = "-unknown";
    ask_and_wait(world, 6, &unknown, id);
    Answer queue = queue_as(world, &tester, 0, "");
    assert_non_null(strstr(queue.json, "\"session\":false"));
    assert_non_null(strstr(queue.json, "the caller's root process is not known"));
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_SESSION, 0, false).status, 409);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"total\":1"));
}

/* A container is a session: the life that its name stands for, whole. */
static void test_for_a_containers_life(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked"), other = caller;
    char grant[16];

    caller.prepared.container = "abcdef@1";
    other.prepared.container = "abcdef@12";
    give(world, 1, &caller, REMEMBER_SESSION, 0, false, grant);
    expect_covered(world, 2, &caller);
    expect_asked(world, 3, &other);
    other.prepared.container = "";
    expect_asked(world, 4, &other);
}

static void test_what_cannot_be_granted(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    /* Its rule widens nothing. */
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, 60000, true).status, 409);
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_NOT, 0, true).status, 409);
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, 0, false).status, 409);
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, UINT64_MAX, false).status, 409);
    send_decision(world, &tester, id, false, REMEMBER_FOR, 1000, false);
    assert_int_equal(answer_status(world), 409);
    assert_int_equal(approve_as(world, &tester, id).status, 200); /* nothing was decided by them */
    expect_run(world, key_of(1), &caller);
}

/* A widened grant, and ways to stretch it. */

static void test_the_operands_may_differ(void **state)
{
    World *world = *state;
    Caller caller = GIT("push", "--tags", "origin");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 60000, true, grant);
    expect_covered(world, 2, &caller);
    Caller other = GIT("push", "--tags", "upstream");
    expect_covered(world, 3, &other);

    Caller stretched[] = {
        GIT("push", "origin"),                         /* an option less */
        GIT("push", "--tags", "--all", "origin"),      /* one more */
        GIT("push", "--tag", "origin"),                /* abbreviated */
        GIT("push", "origin", "--tags"),               /* another order */
        GIT("--no-pager", "push", "--tags", "origin"), /* a global option */
        GIT("-C", "/etc", "push", "--tags", "origin"),
        GIT("-c", "core.sshCommand=sh", "push", "--tags", "origin"),
        GIT("push", "--tags", "--", "origin"),
        GIT("push", "--tags", "--receive-pack=sh", "origin"),
        GIT("push", "--tags", "--receive-pack", "sh"),
        GIT("push", "--tags", "-oorigin"),
        GIT("push", "--tags", "origin", "main"), /* more operands */
        GIT("push", "--tags"),                   /* none */
    };
    for (uint32_t i = 0; i < ARRAY_SIZE(stretched); i++)
        expect_asked(world, 10 + i, &stretched[i]);
}

static void test_a_widened_grant_keeps_all_else(void **state)
{
    World *world = *state;
    Caller caller = GIT("push", "origin");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 60000, true, grant);
    Caller changed[7];
    for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
        changed[i] = GIT("push", "upstream");
    changed[0].words.env[0] = "PATH=/elsewhere";
    changed[1].examined.hashed.exe.bytes[5] = 9;
    changed[2].prepared.uid = 1001;
    changed[3].prepared.cwd = "/app/sub";
    changed[4].prepared.container = "c";
    changed[5].prepared.flags = PREPARED_STDIN_MUTABLE;
    changed[6].prepared.exe = "/opt/git";
    for (uint32_t i = 0; i < ARRAY_SIZE(changed); i++)
        expect_asked(world, 2 + i, &changed[i]);
    Caller other = GIT("push", "upstream");
    expect_covered(world, 50, &other);
}

/* A rule that stands before still denies: the policy speaks first, always. */
static void test_a_grant_is_no_way_around_a_rule(void **state)
{
    World *world = *state;
    Caller caller = GIT("push", "origin"), forced = GIT("push", "-f");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 60000, true, grant);
    say_call(world, key_of(2), &forced.words);
    say_prepared(world, key_of(2), &forced.prepared);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "no-force");
}

static Caller add(const char *first, const char *second, uint8_t beneath)
{
    Caller caller = second ? GIT("add", first, second) : GIT("add", first);
    caller.examined.beneath[0] = beneath;
    return caller;
}

static void test_paths_beneath_the_directory(void **state)
{
    World *world = *state;
    Caller caller = add("a", NULL, 1u << 2);
    char grant[16], id[ID_SIZE];

    give(world, 1, &caller, REMEMBER_FOR, 60000, true, grant);
    Answer list = call_plain(world, API_GRANTS, &tester, NULL);
    assert_non_null(strstr(list.json, "git add ‹paths› where ‹paths› is one or more paths beneath "
                                      "/app without a symbolic link on the way"));
    Caller two = add("b", "c", 1u << 2 | 1u << 3);
    expect_covered(world, 2, &two);
    Caller outside = add("../x", NULL, 0), half = add("b", "../x", 1u << 2);
    expect_asked(world, 3, &outside);
    expect_asked(world, 4, &half);
    Caller glob = add("*", NULL, 1u << 2), magic = add(":/", NULL, 1u << 2),
           option = add("-A", NULL, 1u << 2), all = add("-A", "b", 1u << 2 | 1u << 3);
    expect_asked(world, 5, &glob);
    expect_asked(world, 6, &magic);
    expect_asked(world, 7, &option);
    expect_asked(world, 8, &all);

    /* What is not beneath cannot be widened in the first place. */
    ask_and_wait(world, 9, &outside, id);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json,
                           "cannot tell which arguments are paths beneath"));
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, 60000, true).status, 409);
}

/* Who waits for the same thing need not be asked about any more. */
static void test_a_grant_releases_who_waits(void **state)
{
    World *world = *state;
    Caller one = GIT("push", "one"), two = GIT("push", "two"), three = GIT("push", "--all", "x"),
           gone = GIT("push", "gone");
    char id[ID_SIZE], other[ID_SIZE];

    ask_and_wait(world, 4, &gone, other);
    say_gone(world, key_of(4));
    ask_and_wait(world, 1, &one, id);
    ask_and_wait(world, 2, &two, other);
    ask_and_wait(world, 3, &three, other);
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, 60000, true).status, 200);
    for (uint32_t i = 1; i <= 2; i++)
        (void)expect(world->door, DOOR_OPEN, key_of(i));
    say_prepared(world, key_of(2), &two.prepared);
    (void)expect(world->executor, EXEC_RUN, key_of(2));
    Answer queue = queue_as(world, &tester, 0, "");
    assert_non_null(strstr(queue.json, "\"total\":1"));
    assert_non_null(strstr(queue.json, other));
}

/* Ends. */

static void test_grants_die_with_their_policy(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 60000, false, grant);
    change_policy(world, rules); /* the same */
    expect_covered(world, 2, &caller);
    change_policy(world, other_rules);
    expect_journal(world, "the policy that it was given under has changed");
    assert_non_null(strstr(call_plain(world, API_GRANTS, &tester, NULL).json, "\"grants\":[]"));
    expect_asked(world, 3, &caller);
    change_policy(world, rules);
    expect_asked(world, 4, &caller);
}

static void test_grants_die_by_the_kill_switch(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char grant[16];

    give(world, 1, &caller, REMEMBER_FOR, 60000, false, grant);
    assert_int_equal(call_plain(world, API_KILL, &tester, "default").status, 200);
    assert_int_equal(call_plain(world, API_RESUME, &tester, "default").status, 200);
    expect_asked(world, 2, &caller);
}

/* An abandoned question can lead to a grant; there is no kept answer beside it. */
static void test_a_grant_while_nobody_waits(void **state)
{
    World *world = *state;
    Caller caller = caller_of("asked");
    char id[ID_SIZE], grant[16];

    caller.words.wait_ms = 0;
    ask_as(world, key_of(1), &caller);
    expect_unanswered(world, key_of(1), id);
    Answer answer = remember_as(world, &tester, id, REMEMBER_FOR, 60000, false);
    assert_int_equal(answer.status, 200);
    text_of(strstr(answer.json, "\"grant\":{"), "id", grant, sizeof grant);
    assert_int_equal(call_plain(world, API_REVOKE, &tester, grant).status, 200);
    ask_as(world, key_of(2), &caller);
    expect_unanswered(world, key_of(2), id);
}

/* What several must approve, several must want to be remembered. */
static void test_a_grant_of_several(void **state)
{
    World *world = *state;
    const Actor other = {.name = "other", .role = ROLE_APPROVER, .via = "slack", .jails = ""};
    Caller caller = caller_of("twice");
    char id[ID_SIZE];

    ask_and_wait(world, 1, &caller, id);
    Answer first = remember_as(world, &tester, id, REMEMBER_NOT, 0, false);
    assert_non_null(strstr(first.json, "\"decision\":\"counted\""));
    Answer second = remember_as(world, &other, id, REMEMBER_FOR, 60000, false);
    assert_non_null(strstr(second.json, "\"grant\":null"));
    expect_run(world, key_of(1), &caller);
    ask_and_wait(world, 2, &caller, id);
    assert_int_equal(remember_as(world, &tester, id, REMEMBER_FOR, 60000, false).status, 200);
    Answer both = remember_as(world, &other, id, REMEMBER_FOR, 70000, false);
    assert_non_null(strstr(both.json, "\"approver\":\"tester (uid 0), other\""));
    expect_run(world, key_of(2), &caller);
    expect_covered(world, 3, &caller);
}

#define GRANT_TEST(function) WORLD_TEST(function, rules)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GRANT_TEST(test_for_a_time),
        GRANT_TEST(test_its_words_were_shown_before),
        GRANT_TEST(test_an_exact_grant_covers_nothing_else),
        GRANT_TEST(test_its_time_ends),
        GRANT_TEST(test_for_a_session),
        GRANT_TEST(test_for_a_containers_life),
        GRANT_TEST(test_what_cannot_be_granted),
        GRANT_TEST(test_the_operands_may_differ),
        GRANT_TEST(test_a_widened_grant_keeps_all_else),
        GRANT_TEST(test_a_grant_is_no_way_around_a_rule),
        GRANT_TEST(test_paths_beneath_the_directory),
        GRANT_TEST(test_a_grant_releases_who_waits),
        GRANT_TEST(test_grants_die_with_their_policy),
        GRANT_TEST(test_grants_die_by_the_kill_switch),
        GRANT_TEST(test_a_grant_while_nobody_waits),
        GRANT_TEST(test_a_grant_of_several),
    };
    return cmocka_run_group_tests_name("grants", tests, NULL, NULL);
}
