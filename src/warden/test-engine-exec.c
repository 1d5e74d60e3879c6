/*
 * `mirror_engine: docker` in the warden (engine-exec.h), with executor and engine process played by
 * the test: also what a kernel before Linux 6.15 does, which does not tell how a command ended.
 */
#include <unistd.h>

#include "warden/test-world.h"
#include "wire/engine-exec.h"

#define CONTAINER "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char policy[] = "version: 1\n"
                             "default_action: deny\n"
                             "mirror_engine: docker\n"
                             "rules: [{command: allowed, action: allow}]\n";

static void call_from(World *world, uint64_t key, const char *container, uint32_t flags)
{
    Prepared prepared = facts_of("/usr/bin/allowed");

    prepared.container = container;
    prepared.flags |= flags;
    say_words(world, key, "allowed");
    say_prepared(world, key, &prepared);
}

/* Ordered from both. */
static void run_to_orders(World *world, uint64_t key)
{
    EngineExecOrder order;

    world_hand_engine(world);
    call_from(world, key, CONTAINER, 0);
    (void)expect(world->executor, EXEC_LAUNCH, key);
    Frame frame = expect(world->engine, ENGINE_EXEC, key);
    assert_int_equal(engine_exec_order_decode(frame.payload, frame.size, &order), 0);
    assert_string_equal(order.container, CONTAINER);
    assert_int_equal(order.uid, facts_of("").uid);
    assert_int_equal(order.gid, facts_of("").gid);
}

static void run_to_running(World *world, uint64_t key)
{
    run_to_orders(world, key);
    say_started(world, key);
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_ALLOWED);
}

static void say_failed(World *world, uint64_t key, const char *why)
{
    Buffer payload = BUFFER_EMPTY(1024);

    buffer_put_u8(&payload, EXEC_FAILURE_BROKEN);
    buffer_put_string(&payload, why);
    send_frame(world->engine, ENGINE_EXEC_FAILED, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static void test_it_runs(void **state)
{
    World *world = *state;

    run_to_running(world, key_of(1));
    expect_journal(world, "mirror_engine: docker");
    say_ended(world, key_of(1), 0, 3);
    expect_exit(world, key_of(1), 0, 3);
    (void)expect(world->engine, ENGINE_EXEC_END, key_of(1));
    expect_journal(world, "\"executor\":\"mirror\"");
    expect_silence(world->executor);
}

static void test_the_engine_is_asked_how_it_ended(void **state)
{
    World *world = *state;
    const uint8_t code = 143;

    run_to_running(world, key_of(1));
    say_ended(world, key_of(1), 2, 0);
    (void)expect(world->engine, ENGINE_EXEC_RESULT, key_of(1));
    expect_silence(world->door);
    send_frame(world->engine, ENGINE_EXEC_ENDED, key_of(1), &code, 1, -1);
    expect_exit(world, key_of(1), 0, 143);
    expect_journal(world, "\"exit_code\":143");
}

static void test_nobody_knows_how_it_ended(void **state)
{
    World *world = *state;

    run_to_running(world, key_of(1));
    say_ended(world, key_of(1), 2, 0);
    (void)expect(world->engine, ENGINE_EXEC_RESULT, key_of(1));
    say_failed(world, key_of(1), "gone");
    Frame message = expect(world->door, DOOR_MESSAGE, key_of(1));
    assert_non_null(strstr(message.payload + 4, "how the command ended is not known"));
    expect_exit(world, key_of(1), 0, 125);
}

static void test_the_engine_cannot(void **state)
{
    World *world = *state;

    run_to_orders(world, key_of(1));
    say_failed(world, key_of(1), "it has no room");
    (void)expect(world->executor, EXEC_END, key_of(1));
    expect_refusal(world, key_of(1), 125, "it has no room");
    expect_journal(world, "\"event\":\"refused\"");
}

static void test_the_executor_cannot(void **state)
{
    World *world = *state;
    Buffer payload = BUFFER_EMPTY(1024);

    run_to_orders(world, key_of(1));
    buffer_put_u8(&payload, EXEC_FAILURE_DRIFT);
    buffer_put_string(&payload, "the file has changed");
    send_frame(world->executor, EXEC_FAILED, key_of(1), payload.bytes, payload.size, -1);
    buffer_done(&payload);
    expect_refusal(world, key_of(1), 126, "the file has changed");
    (void)expect(world->engine, ENGINE_EXEC_END, key_of(1));
    expect_journal(world, "\"event\":\"drift\"");
}

/* What runs is the executor's, and needs no engine process. */
static void test_the_engine_process_dies(void **state)
{
    World *world = *state;

    run_to_running(world, key_of(1));
    close(world->engine);
    expect_silence(world->executor);
    say_ended(world, key_of(1), 1, 9);
    expect_exit(world, key_of(1), 1, 9);

    run_to_running(world, key_of(2));
    close(world->engine);
    expect_silence(world->executor);
    say_ended(world, key_of(2), 2, 0);
    (void)expect(world->door, DOOR_MESSAGE, key_of(2));
    expect_exit(world, key_of(2), 0, 125);

    run_to_orders(world, key_of(3));
    close(world->engine);
    (void)expect(world->executor, EXEC_END, key_of(3));
    expect_refusal(world, key_of(3), 125, "nothing was run");
}

static void test_where_it_cannot_run(void **state)
{
    World *world = *state;

    call_from(world, key_of(1), CONTAINER, 0);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 125, "--engine");
    world_hand_engine(world);
    call_from(world, key_of(2), CONTAINER, PREPARED_HARDENED);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 125, "hardened");
    call_from(world, key_of(3), "", 0); /* a caller in no container runs where it lives */
    (void)expect(world->executor, EXEC_RUN, key_of(3));
    expect_silence(world->engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_it_runs, policy),
        WORLD_TEST(test_the_engine_is_asked_how_it_ended, policy),
        WORLD_TEST(test_nobody_knows_how_it_ended, policy),
        WORLD_TEST(test_the_engine_cannot, policy),
        WORLD_TEST(test_the_executor_cannot, policy),
        WORLD_TEST(test_the_engine_process_dies, policy),
        WORLD_TEST(test_where_it_cannot_run, policy),
    };
    return cmocka_run_group_tests_name("engine-exec", tests, NULL, NULL);
}
