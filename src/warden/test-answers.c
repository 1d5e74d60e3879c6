/*
 * What the api may ask for whom: roles, scopes, approvers and channels hold in the warden whatever
 * the api thinks; pages; live records; notes.
 */
#include <stdio.h>

#include "warden/test-world.h"

static const char rules[] =
    "version: 1\n"
    "default_action: deny\n"
    "approval_timeout: 1m\n"
    "jails: {default: {commands: [asked, git], wait: 30s, limits: {pending: 7}}}\n"
    "rules:\n"
    "  - {command: asked, action: ask}\n"
    "  - {name: both, command: twice, action: ask, approvals: 2}\n"
    "  - {name: picky, command: picky, action: ask, approvers: [alice], channels: [slack]}\n"
    "  - {name: calm, command: calm, action: ask, quiet: true}\n"
    "  - {command: git, action: allow, reason: everyday}\n";

static const Actor viewer = {.name = "v", .role = ROLE_VIEWER, .via = "api", .jails = ""};
static const Actor alice = {.name = "alice", .role = ROLE_APPROVER, .via = "slack", .jails = ""};
static const Actor bob = {.name = "bob", .role = ROLE_APPROVER, .via = "dashboard", .jails = ""};
static const Actor elsewhere = {
    .name = "e", .role = ROLE_ADMIN, .via = "api", .jails = "other\ndefaul\ndefault2\n"};
static const Actor here = {
    .name = "h", .role = ROLE_APPROVER, .via = "api", .jails = "other\ndefault\n"};

static void ask_for(World *world, uint32_t counter, const char *name, char id[static ID_SIZE])
{
    Caller caller = caller_of(name);
    ask_as(world, key_of(counter), &caller);
    expect_pending(world, key_of(counter), id);
}

static void test_viewers_only_look(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    ask_for(world, 1, "asked", id);
    Answer queue = queue_as(world, &viewer, 0, "");
    assert_int_equal(queue.status, 200);
    assert_non_null(strstr(queue.json, "\"may_decide\":false,\"why_not\":\"a viewer"));
    assert_int_equal(approve_as(world, &viewer, id).status, 403);
    assert_int_equal(call_plain(world, API_REVOKE, &viewer, "G-000000").status, 403);
    assert_int_equal(call_plain(world, API_KILL, &viewer, "").status, 403);
    assert_int_equal(call_plain(world, API_RESUME, &viewer, "").status, 403);
    assert_int_equal(call_plain(world, API_RELOAD, &viewer, NULL).status, 403);
    assert_int_equal(call_plain(world, API_RELOAD, &bob, NULL).status, 403);
    assert_int_equal(call_plain(world, API_GRANTS, &viewer, NULL).status, 200);
    assert_int_equal(call_plain(world, API_JAILS, &viewer, "").status, 200);
    assert_int_equal(call_plain(world, API_POLICY, &viewer, NULL).status, 200);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, id)); /* it waits on */
}

static void test_what_is_out_of_scope_does_not_exist(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    ask_for(world, 1, "asked", id);
    assert_non_null(strstr(queue_as(world, &elsewhere, 0, "").json,
                           "{\"pending\":[],\"total\":0,\"next\":null}"));
    assert_int_equal(approve_as(world, &elsewhere, id).status, 404);
    assert_int_equal(call_plain(world, API_KILL, &elsewhere, "").status, 404);
    assert_int_equal(call_plain(world, API_KILL, &elsewhere, "default").status, 404);
    assert_int_equal(call_plain(world, API_JAILS, &elsewhere, "default").status, 404);
    assert_non_null(strstr(call_plain(world, API_JAILS, &elsewhere, "").json, "\"jails\":[]"));
    assert_int_equal(call_plain(world, API_POLICY, &elsewhere, NULL).status, 403);
    assert_int_equal(call_plain(world, API_RELOAD, &elsewhere, NULL).status, 403);
    Answer status = call_plain(world, API_STATUS, &elsewhere, NULL);
    assert_non_null(strstr(status.json, "\"pending\":0"));
    assert_non_null(strstr(
        status.json,
        "\"jails\":[],\"switches\":[],\"engine\":null,\"you\":{\"name\":\"e\",\"role\":\"admin\","
        "\"via\":\"api\",\"jails\":[\"other\",\"defaul\","
        "\"default2\"]}"));

    Answer given = remember_as(world, &here, id, REMEMBER_FOR, 60000, false);
    assert_int_equal(given.status, 200);
    char grant[16];
    text_of(strstr(given.json, "\"grant\":{"), "id", grant, sizeof grant);
    assert_non_null(strstr(call_plain(world, API_GRANTS, &elsewhere, NULL).json, "\"grants\":[]"));
    assert_int_equal(call_plain(world, API_REVOKE, &elsewhere, grant).status, 404);
    assert_int_equal(approve_as(world, &elsewhere, id).status, 404); /* not even that it was */
    assert_int_equal(approve_as(world, &here, id).status, 409);
    assert_int_equal(call_plain(world, API_REVOKE, &here, grant).status, 200);
}

static void test_approvers_and_channels(void **state)
{
    World *world = *state;
    Actor dashboard = alice;
    char id[ID_SIZE];

    dashboard.via = "dashboard";
    ask_for(world, 1, "picky", id);
    assert_non_null(strstr(queue_as(world, &bob, 0, "").json,
                           "\"approvers\":[\"alice\"],\"channels\":[\"slack\"],\"quiet\":false,"
                           "\"may_decide\":false"));
    assert_int_equal(approve_as(world, &bob, id).status, 403);
    assert_int_equal(approve_as(world, &tester, id).status, 403);
    assert_int_equal(approve_as(world, &dashboard, id).status, 403);
    send_decision(world, &bob, id, false, REMEMBER_NOT, 0, false);
    assert_int_equal(answer_status(world), 403);
    expect_journal(world, "was refused: the rule takes no decisions by this channel");
    expect_journal(world, "was refused: the rule names others who may decide");
    expect_silence(world->door);
    assert_non_null(strstr(queue_as(world, &alice, 0, "").json, "\"may_decide\":true"));
    assert_int_equal(approve_as(world, &alice, id).status, 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
}

static void test_two_must_approve(void **state)
{
    World *world = *state;
    Actor again = alice, local = alice;
    char id[ID_SIZE];

    again.via = "dashboard";
    local.name = "alice (uid 1000)";
    local.role = ROLE_ADMIN;
    ask_for(world, 1, "twice", id);
    Answer first = approve_as(world, &alice, id);
    assert_non_null(strstr(first.json, "\"needed\":2,\"approved_by\":[\"alice\"],"
                                       "\"decision\":\"counted\",\"ran\":0,\"grant\":null"));
    expect_silence(world->door);
    Answer twice = approve_as(world, &again, id);
    assert_int_equal(twice.status, 409);
    assert_non_null(strstr(twice.json, "already_approved"));
    assert_int_equal(approve_as(world, &local, id).status, 409);
    assert_non_null(strstr(queue_as(world, &bob, 0, "").json, "\"approved_by\":[\"alice\"]"));
    Answer second = approve_as(world, &bob, id);
    assert_non_null(strstr(second.json, "\"approved_by\":[\"alice\",\"bob\"],"
                                        "\"decision\":\"approved\",\"ran\":1"));
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    expect_journal(world, "\"verdict\":\"counted\"");
    expect_journal(world, "\"approver\":\"alice, bob\"");
}

/* One denial denies; also of who has approved before. */
static void test_one_denial_is_enough(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    ask_for(world, 1, "twice", id);
    assert_int_equal(approve_as(world, &alice, id).status, 200);
    send_decision(world, &alice, id, false, REMEMBER_NOT, 0, false);
    expect_refusal(world, key_of(1), 126, "denied by alice: because");
    assert_int_equal(answer_status(world), 200);
}

static void test_pages(void **state)
{
    World *world = *state;
    char ids[5][ID_SIZE], next[ID_SIZE];

    for (uint32_t i = 0; i < 5; i++) {
        Caller caller = caller_of("asked");
        caller.prepared.cwd_inode = i;
        ask_as(world, key_of(i + 1), &caller);
        expect_pending(world, key_of(i + 1), ids[i]);
    }
    Answer page = queue_as(world, &tester, 2, "");
    assert_non_null(strstr(page.json, ids[0]));
    assert_non_null(strstr(page.json, ids[1]));
    assert_null(strstr(page.json, ids[2]));
    assert_non_null(strstr(page.json, "\"total\":5"));
    text_of(page.json, "next", next, sizeof next);
    assert_string_equal(next, ids[1]);
    assert_int_equal(approve_as(world, &tester, ids[1]).status, 200); /* the last of the page */
    page = queue_as(world, &tester, 2, next);
    assert_null(strstr(page.json, ids[0]));
    assert_non_null(strstr(page.json, ids[2]));
    assert_non_null(strstr(page.json, ids[3]));
    text_of(page.json, "next", next, sizeof next);
    page = queue_as(world, &tester, 2, next);
    assert_non_null(strstr(page.json, ids[4]));
    assert_non_null(strstr(page.json, "\"total\":4,\"next\":null"));
    assert_int_equal(queue_as(world, &tester, 2, "ZZZZZZ").status, 404);
    assert_int_equal(queue_as(world, &tester, 1001, "").status, 500);
}

static void test_quiet_ones_say_so(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    ask_for(world, 1, "calm", id);
    assert_non_null(strstr(queue_as(world, &tester, 0, "").json, "\"quiet\":true"));
}

static void test_jails_and_policy(void **state)
{
    World *world = *state;
    Buffer arguments = BUFFER_EMPTY(4096);

    Answer jail = call_plain(world, API_JAILS, &tester, "default");
    assert_non_null(strstr(jail.json, "{\"name\":\"default\",\"serving\":true,\"paused\":false"));
    assert_non_null(strstr(jail.json, "\"limits\":{\"pending\":7,\"connections\":200"));
    assert_non_null(
        strstr(jail.json, "\"commands\":[\"asked\",\"git\"],\"hardened\":false,\"wait_ms\":30000"));
    assert_int_equal(call_plain(world, API_JAILS, &tester, "nowhere").status, 404);
    Answer policy = call_plain(world, API_POLICY, &tester, NULL);
    assert_non_null(strstr(policy.json, "\"rules\":5"));
    assert_non_null(strstr(policy.json, "\"text\":\"version: 1\\u000adefault_action: deny\\u000a"));

    buffer_put_string(&arguments, "default");
    buffer_put_u32(&arguments, 1000);
    buffer_put_u32(&arguments, 1000);
    buffer_put_string(&arguments, "/app");
    buffer_put_u32(&arguments, 2);
    buffer_put_string(&arguments, "git");
    buffer_put_string(&arguments, "status");
    Answer test = call(world, API_POLICY_TEST, &viewer, &arguments);
    assert_non_null(strstr(test.json, "{\"action\":\"allow\",\"rule\":\"rule 5\",\"line\":10,"
                                      "\"reason\":\"everyday\",\"explanation\":\""));
    assert_int_equal(call(world, API_POLICY_TEST, &elsewhere, &arguments).status, 404);
    buffer_done(&arguments);
}

static void test_who_asked_for_a_reload(void **state)
{
    World *world = *state;
    Buffer payload = BUFFER_EMPTY(256);

    actor_encode(&payload, &tester);
    send_frame(world->api, API_RELOAD, 99, payload.bytes, payload.size, -1);
    buffer_done(&payload);
    (void)expect_control(world->control, MESSAGE_RELOAD);
    hand_policy(world, rules);
    assert_int_equal(receive_answer(world).status, 200);
    expect_journal(world, "\"event\":\"config\",\"approver\":\"tester (uid 0)\",\"via\":\"cli\"");
}

/* Ends are counted by their kind. */
static void test_counts(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    say_words(world, key_of(1), "unknown");
    say_facts(world, key_of(1), "/usr/bin/unknown");
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "denied");
    ask_for(world, 2, "asked", id);
    say_interrupted(world, key_of(2));
    (void)expect(world->door, DOOR_ACK, key_of(2));
    (void)expect(world->door, DOOR_EXIT, key_of(2));
    const uint8_t failure[] = {EXEC_FAILURE_NOT_FOUND, 0, 0, 0, 0, 0};
    say_words(world, key_of(3), "git");
    send_frame(world->executor, EXEC_FAILED, key_of(3), failure, sizeof failure, -1);
    expect_refusal(world, key_of(3), 127, "not found");
    assert_non_null(strstr(call_plain(world, API_STATUS, &tester, NULL).json,
                           "\"total\":3,\"allowed\":0,\"denied\":1,\"cancelled\":1,\"refused\":1"));
}

/* Live records. */

static void subscribe(World *world, bool wanted)
{
    Buffer payload = BUFFER_EMPTY(256);

    actor_encode(&payload, &tester);
    buffer_put_u8(&payload, wanted);
    send_frame(world->api, API_SUBSCRIBE, 0, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static void note(World *world, const char *message)
{
    Buffer payload = BUFFER_EMPTY(1 << 14);

    actor_encode(&payload, &alice);
    buffer_put_u8(&payload, NOTE_LOGIN);
    buffer_put_string(&payload, message);
    send_frame(world->api, API_NOTE, 0, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static uint64_t expect_record(World *world, const char *jail, const char *event, const char *part)
{
    Frame frame = expect(world->api, API_RECORD, 0);
    Reader reader = reader_of(frame.payload, frame.size);
    char opening[64];
    size_t size = 0;

    uint64_t seq = reader_u64(&reader);
    assert_string_equal(reader_string(&reader), jail);
    assert_string_equal(reader_string(&reader), event);
    const char *line = reader_blob(&reader, &size);
    assert_true(reader_done(&reader));
    (void)snprintf(opening, sizeof opening, "{\"seq\":%llu,", (unsigned long long)seq);
    assert_memory_equal(line, opening, strlen(opening));
    assert_int_equal(line[size - 1], '}');
    if (!memmem(line, size, part, strlen(part)))
        fail_msg("%s: not in %.*s", part, (int)size, line);
    return seq;
}

static void test_records_are_shown_as_they_are_written(void **state)
{
    World *world = *state;
    char id[ID_SIZE];

    note(world, "before");
    expect_journal(world, "before");
    expect_silence(world->api); /* nobody has subscribed */
    subscribe(world, true);
    note(world, "alice logged in");
    uint64_t seq = expect_record(world, "", "login",
                                 "\"approver\":\"alice\",\"via\":\"slack\","
                                 "\"message\":\"alice logged in\"");
    ask_for(world, 1, "asked", id);
    assert_true(expect_record(world, "default", "asked", id) == seq + 1);
    for (uint32_t i = 0; i < 50; i++)
        note(world, "again");
    for (uint32_t i = 0; i < 50; i++)
        assert_true(expect_record(world, "", "login", "again") == seq + 2 + i);
    subscribe(world, false);
    note(world, "after");
    expect_journal(world, "after");
    expect_silence(world->api);
}

/* An api that does not read costs bounded memory, and is told that it has missed something. */
static void test_a_reader_that_is_behind_is_told(void **state)
{
    World *world = *state;
    char message[8000];
    uint64_t last = 0;
    bool told = false;

    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    subscribe(world, true);
    for (uint32_t i = 0; i < 4000; i++) /* 32 MB */
        note(world, message);
    while (!told) {
        Frame frame = expect(world->api, API_RECORD, 0);
        Reader reader = reader_of(frame.payload, frame.size);
        uint64_t seq = reader_u64(&reader);
        assert_true(seq == 0 || last == 0 || seq == last + 1); /* none is left out before */
        told = seq == 0;
        last = seq;
    }
    expect_silence(world->api);
    subscribe(world, true);
    note(world, "back");
    (void)expect_record(world, "", "login", "back");
}

#define ANSWER_TEST(function) WORLD_TEST(function, rules)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ANSWER_TEST(test_viewers_only_look),
        ANSWER_TEST(test_what_is_out_of_scope_does_not_exist),
        ANSWER_TEST(test_approvers_and_channels),
        ANSWER_TEST(test_two_must_approve),
        ANSWER_TEST(test_one_denial_is_enough),
        ANSWER_TEST(test_pages),
        ANSWER_TEST(test_quiet_ones_say_so),
        ANSWER_TEST(test_jails_and_policy),
        ANSWER_TEST(test_who_asked_for_a_reload),
        ANSWER_TEST(test_counts),
        ANSWER_TEST(test_records_are_shown_as_they_are_written),
        ANSWER_TEST(test_a_reader_that_is_behind_is_told),
    };
    return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
