/*
 * Commands by the engine's exec (exec.h), against an engine that the test plays, call by call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "engine/exec.h"
#include "wire/engine-exec.h"
#include "wire/message.h"

#define LOOP_MAX_MS 10000u
#define CONTAINER "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define UPGRADED                                                                                   \
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"                 \
    "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

typedef struct Stage {
    struct event_base *loop;
    Engine *engine;
    Execs *execs;
    int ends[32]; /* of the engine, by call */
    size_t n_ends, n_answered;
    char request[8192]; /* the last one */
    /* What has been told. */
    unsigned n_warden, n_executor;
    uint16_t type;
    char words[512];
    uint8_t code;
    uint32_t pid;
    int stream;
} Stage;

static void on_want(void *userdata)
{
    Stage *stage = userdata;
    int pair[2];

    assert_true(stage->n_ends < ARRAY_SIZE(stage->ends));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    stage->ends[stage->n_ends++] = pair[1];
    engine_connected_take(stage->engine, pair[0]);
}

static void to_warden(uint16_t type, uint64_t key, Buffer *payload, void *userdata)
{
    Stage *stage = userdata;
    Reader reader = reader_of(payload->bytes, payload->size);

    assert_int_equal(key, 7);
    stage->n_warden++;
    stage->type = type;
    stage->code = reader_u8(&reader);
    if (type == ENGINE_EXEC_FAILED)
        (void)snprintf(stage->words, sizeof stage->words, "%s", reader_string(&reader));
    assert_true(reader_done(&reader));
}

static void to_executor(uint16_t type, uint64_t key, Buffer *payload, int fd, void *userdata)
{
    Stage *stage = userdata;
    Reader reader = reader_of(payload->bytes, payload->size);

    assert_true(type == ENGINE_EXEC_STREAM && key == 7 && fd >= 0);
    stage->n_executor++;
    stage->pid = reader_u32(&reader);
    assert_string_equal(reader_string(&reader), CONTAINER);
    assert_true(reader_done(&reader));
    stage->stream = dup(fd);
}

static const ExecsHandlers handlers = {.to_warden = to_warden, .to_executor = to_executor};

static int set_up(void **state)
{
    Stage *stage = calloc(1, sizeof *stage);

    assert_non_null(stage);
    stage->stream = -EBADF;
    stage->loop = event_base_new();
    assert_int_equal(engine_new(&stage->engine, stage->loop, on_want, stage), 0);
    assert_int_equal(execs_new(&stage->execs, stage->loop, stage->engine, &handlers, stage), 0);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    Stage *stage = *state;

    execs_free(stage->execs);
    engine_free(stage->engine);
    for (size_t i = 0; i < stage->n_ends; i++)
        fd_close(stage->ends[i]);
    fd_close(stage->stream);
    event_base_free(stage->loop);
    free(stage);
    return 0;
}

static void turn(Stage *stage)
{
    const struct timeval soon = {.tv_usec = 1000};
    (void)event_base_loopexit(stage->loop, &soon);
    (void)event_base_dispatch(stage->loop);
}

static bool order(Stage *stage, uint16_t type, Buffer *payload)
{
    LinkFrame frame = {.type = type,
                       .key = 7,
                       .payload = payload ? payload->bytes : NULL,
                       .size = payload ? payload->size : 0};
    bool is_one = execs_obey(stage->execs, &frame);
    if (payload)
        buffer_done(payload);
    return is_one;
}

static void begin(Stage *stage)
{
    Buffer payload = BUFFER_EMPTY(256);

    engine_exec_order_encode(&payload,
                             &(EngineExecOrder){.container = CONTAINER, .uid = 1000, .gid = 100});
    assert_true(order(stage, ENGINE_EXEC, &payload));
}

/* The next call, which begins so, gets this answer. */
static void answer(Stage *stage, const char *wanted, const char *bytes)
{
    const uint64_t end = clock_monotonic_ms() + LOOP_MAX_MS;
    size_t size = 0;

    stage->request[0] = '\0';
    while (!strstr(stage->request, "\r\n\r\n")) {
        struct pollfd input = {
            .fd = stage->n_ends > stage->n_answered ? stage->ends[stage->n_answered] : -1,
            .events = POLLIN};
        assert_true(clock_monotonic_ms() < end);
        if (poll(&input, 1, 0) != 1) {
            turn(stage);
            continue;
        }
        ssize_t got = read(input.fd, stage->request + size, sizeof stage->request - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
        stage->request[size] = '\0';
    }
    assert_memory_equal(stage->request, wanted, strlen(wanted));
    assert_int_equal(write(stage->ends[stage->n_answered++], bytes, strlen(bytes)), strlen(bytes));
}

static void answer_json(Stage *stage, const char *wanted, unsigned status, const char *json)
{
    char text[1024];

    (void)snprintf(
        text, sizeof text,
        "HTTP/1.1 %u X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
        strlen(json), json);
    answer(stage, wanted, text);
}

static void wait_until_told(Stage *stage)
{
    const uint64_t end = clock_monotonic_ms() + LOOP_MAX_MS;
    const unsigned before = stage->n_warden + stage->n_executor;

    while (stage->n_warden + stage->n_executor == before) {
        assert_true(clock_monotonic_ms() < end);
        turn(stage);
    }
}

#define CREATED "{\"Id\":\"" ID "\"}"
#define CREATE "POST /v1.41/containers/" CONTAINER "/exec HTTP/1.1\r\n"
#define START "POST /v1.41/exec/" ID "/start HTTP/1.1\r\n"
#define LOOK "GET /v1.41/exec/" ID "/json HTTP/1.1\r\n"

/* Until the launcher has spoken; the engine's end of the stream. */
static int attach(Stage *stage)
{
    begin(stage);
    answer_json(stage, CREATE, 201, CREATED);
    assert_non_null(strstr(stage->request, "\"Cmd\":[\"/run/clawrden/clawrden-launcher\"]"));
    assert_non_null(strstr(stage->request, "\"User\":\"1000:100\""));
    assert_non_null(strstr(stage->request, "\"Env\":[]"));
    assert_non_null(strstr(stage->request, "\"Privileged\":false"));
    const size_t number = stage->n_answered;
    answer(stage, START, UPGRADED);
    for (unsigned i = 0; i < 20; i++)
        turn(stage);
    assert_int_equal(stage->n_ends, number + 1); /* nothing is asked before there is a word */
    assert_int_equal(write(stage->ends[number], "hello", 5), 5);
    return stage->ends[number];
}

static void the_stream_goes_to_the_executor(void **state)
{
    Stage *stage = *state;
    char bytes[16] = "";

    (void)attach(stage);
    answer_json(stage, LOOK, 200, "{\"Running\":true,\"Pid\":0,\"ExitCode\":null}");
    answer_json(stage, LOOK, 200, "{\"Running\":true,\"Pid\":4711,\"ExitCode\":null}");
    wait_until_told(stage);
    assert_true(stage->n_executor == 1 && stage->n_warden == 0 && stage->pid == 4711);
    assert_int_equal(read(stage->stream, bytes, sizeof bytes), 5); /* nothing of it was read */
    assert_true(order(stage, ENGINE_EXEC_END, NULL));
    assert_true(order(stage, ENGINE_EXEC_END, NULL));
}

static void how_it_ended_is_asked_for_until_it_is_known(void **state)
{
    Stage *stage = *state;

    (void)attach(stage);
    answer_json(stage, LOOK, 200, "{\"Running\":true,\"Pid\":4711,\"ExitCode\":null}");
    wait_until_told(stage);
    assert_true(order(stage, ENGINE_EXEC_RESULT, NULL));
    answer_json(stage, LOOK, 200, "{\"Running\":true,\"Pid\":4711,\"ExitCode\":null}");
    answer_json(stage, LOOK, 200, "{\"Running\":false,\"Pid\":4711,\"ExitCode\":143}");
    wait_until_told(stage);
    assert_true(stage->type == ENGINE_EXEC_ENDED && stage->code == 143);
    assert_true(order(stage, ENGINE_EXEC_RESULT, NULL)); /* it is forgotten */
    assert_int_equal(stage->n_warden, 1);
}

static void assert_failed(Stage *stage, const char *words)
{
    wait_until_told(stage);
    assert_true(stage->n_warden == 1 && stage->n_executor == 0);
    assert_int_equal(stage->type, ENGINE_EXEC_FAILED);
    assert_non_null(strstr(stage->words, words));
}

static void what_cannot_be_started_is_said(void **state)
{
    Stage *stage = *state;

    (void)attach(stage);
    answer_json(stage, LOOK, 200, "{\"Running\":false,\"Pid\":0,\"ExitCode\":126}");
    assert_failed(stage, "could not start clawrden-launcher");
}

static void a_container_that_is_not_there_is_said(void **state)
{
    begin(*state);
    answer_json(*state, CREATE, 404, "{\"message\":\"No such container\"}");
    assert_failed(*state, "No such container");
}

static void answers_that_are_none_are_said(void **state)
{
    Stage *stage = *state;

    (void)attach(stage);
    answer_json(stage, LOOK, 200, "{\"Running\":\"yes\"}");
    assert_failed(stage, "no JSON that it promises");
}

/* A launcher whose stream is closed ends by itself. */
static void one_that_nobody_wants_loses_its_stream(void **state)
{
    Stage *stage = *state;
    char byte;
    int end = attach(stage);

    assert_true(order(stage, ENGINE_EXEC_END, NULL));
    assert_true(recv(end, &byte, 1, MSG_DONTWAIT) <= 0);
    for (unsigned i = 0; i < 20; i++)
        turn(stage);
    assert_int_equal(stage->n_warden + stage->n_executor, 0);
}

static void orders_that_are_none(void **state)
{
    Stage *stage = *state;
    Buffer payload = BUFFER_EMPTY(256);

    engine_exec_order_encode(&payload, &(EngineExecOrder){.container = "../x", .uid = 0, .gid = 0});
    assert_false(order(stage, ENGINE_EXEC, &payload));
    payload = BUFFER_EMPTY(256);
    buffer_put_u8(&payload, 1);
    assert_false(order(stage, ENGINE_EXEC_END, &payload));
    assert_false(order(stage, 1, NULL));
    begin(stage);
    assert_false(order(stage, ENGINE_EXEC_RESULT, NULL)); /* it has not begun */
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(the_stream_goes_to_the_executor),
        STAGED(how_it_ended_is_asked_for_until_it_is_known),
        STAGED(what_cannot_be_started_is_said),
        STAGED(a_container_that_is_not_there_is_said),
        STAGED(answers_that_are_none_are_said),
        STAGED(one_that_nobody_wants_loses_its_stream),
        STAGED(orders_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
