/*
 * The Engine API client against an engine that the test plays, on socketpairs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "docker/calls.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LOOP_MAX_MS 10000u

typedef struct Stage {
    struct event_base *loop;
    Engine *engine;
    int ends[64]; /* the engine's */
    size_t n_ends, n_wants;
    bool refuses; /* connections */
    /* What came back. */
    unsigned n_done, n_items, n_opened, status;
    int error, fd;
    char words[ENGINE_WORDS_MAX], text[4096], items[4096];
    EngineCall *cancel; /* in the next item */
} Stage;

static void on_want(void *userdata)
{
    Stage *stage = userdata;
    int pair[2];

    stage->n_wants++;
    if (stage->refuses) {
        engine_not_connected(stage->engine, -ECONNREFUSED);
        return;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(stage->n_ends < ARRAY_SIZE(stage->ends));
    stage->ends[stage->n_ends++] = pair[1];
    engine_connected_take(stage->engine, pair[0]);
}

static int set_up(void **state)
{
    Stage *stage = calloc(1, sizeof *stage);

    stage->fd = -EBADF;
    stage->loop = event_base_new();
    assert_int_equal(engine_new(&stage->engine, stage->loop, on_want, stage), 0);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    Stage *stage = *state;

    engine_free(stage->engine);
    fd_close_many(stage->ends, stage->n_ends);
    fd_close(stage->fd);
    event_base_free(stage->loop);
    free(stage);
    return 0;
}

static void on_done(const EngineAnswer *answer, void *userdata)
{
    Stage *stage = userdata;
    char *text = answer->json ? json_dumps(answer->json, JSON_COMPACT) : NULL;

    stage->n_done++;
    stage->error = answer->error;
    stage->status = answer->status;
    (void)snprintf(stage->words, sizeof stage->words, "%s", answer->words);
    (void)snprintf(stage->text, sizeof stage->text, "%s", text ? text : "");
    free(text);
    assert_int_equal(engine_succeeded(answer), answer->words[0] == '\0');
}

static void on_hijacked(int fd, const EngineAnswer *answer, void *userdata)
{
    Stage *stage = userdata;

    assert_int_equal(fd >= 0, engine_succeeded(answer));
    stage->fd = fd;
    on_done(answer, userdata);
}

static void on_opened(void *userdata)
{
    ((Stage *)userdata)->n_opened++;
}

static void on_item(const json_t *item, void *userdata)
{
    Stage *stage = userdata;
    char *text = json_dumps(item, JSON_COMPACT);

    stage->n_items++;
    if (strlen(stage->items) + strlen(text) < sizeof stage->items)
        strcat(stage->items, text);
    free(text);
    if (stage->cancel)
        stage->cancel = engine_cancel(stage->cancel);
}

static const EngineStream stream_handlers = {.opened = on_opened, .item = on_item, .done = on_done};

/* Turns the loop once, waiting a little. */
static void turn(Stage *stage)
{
    (void)event_base_loop(stage->loop, EVLOOP_NONBLOCK);
    (void)usleep(500);
}

#define TURN_UNTIL(stage, condition)                                                               \
    do {                                                                                           \
        uint64_t until_ = clock_monotonic_ms() + LOOP_MAX_MS;                                      \
        while (!(condition)) {                                                                     \
            assert_true(clock_monotonic_ms() < until_);                                            \
            turn(stage);                                                                           \
        }                                                                                          \
    } while (0)

/* The request that came to the end `number`, as text. */
static void hear(Stage *stage, size_t number, char *ret, size_t room)
{
    size_t size = 0;
    uint64_t until = clock_monotonic_ms() + LOOP_MAX_MS;

    ret[0] = '\0';
    for (;;) {
        turn(stage);
        ssize_t got = recv(stage->ends[number], ret + size, room - size - 1, MSG_DONTWAIT);
        if (got > 0)
            size += (size_t)got;
        ret[size] = '\0';
        const char *end = strstr(ret, "\r\n\r\n");
        const char *length = strcasestr(ret, "content-length: ");
        if (end && strlen(end + 4) >= (length ? strtoul(length + 16, NULL, 10) : 0))
            return;
        assert_true(clock_monotonic_ms() < until);
    }
}

static void say(Stage *stage, size_t number, const char *text)
{
    assert_int_equal(fd_write_all(stage->ends[number], text, strlen(text)), 0);
}

static void hang_up(Stage *stage, size_t number)
{
    stage->ends[number] = fd_close(stage->ends[number]);
}

static void say_json(Stage *stage, size_t number, unsigned status, const char *json)
{
    char *text;
    assert_true(asprintf(&text,
                         "HTTP/1.1 %u X\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n%s",
                         status, strlen(json), json) > 0);
    say(stage, number, text);
    free(text);
}

/* Calls. */

static void test_a_call_and_its_answer(void **state)
{
    Stage *stage = *state;
    char heard[4096];
    json_t *body = json_pack("{s:s}", "Image", "debian");

    assert_int_equal(
        engine_container_create(stage->engine, "some-name", body, on_done, stage, NULL), 0);
    json_decref(body);
    hear(stage, 0, heard, sizeof heard);
    assert_ptr_equal(strstr(heard, "POST /v1.41/containers/create?name=some-name HTTP/1.1\r\n"),
                     heard);
    assert_non_null(strstr(heard, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(heard, "\r\n\r\n{\"Image\":\"debian\"}"));
    assert_null(strstr(heard, "Expect"));
    say_json(stage, 0, 201, "{\"Id\":\"" ID "\",\"Warnings\":[]}\n");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, 0);
    assert_int_equal(stage->status, 201);
    assert_string_equal(stage->text, "{\"Id\":\"" ID "\",\"Warnings\":[]}");
}

static void test_chunks_and_no_body(void **state)
{
    Stage *stage = *state;
    char heard[4096];

    assert_int_equal(engine_container_start(stage->engine, ID, on_done, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    assert_non_null(strstr(heard, "\r\nContent-Length: 0\r\n"));
    say(stage, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    TURN_UNTIL(stage, stage->n_done == 1);
    assert_int_equal(stage->error, 0);
    assert_string_equal(stage->text, "");

    assert_int_equal(engine_container_start(stage->engine, ID, on_done, stage, NULL), 0);
    hear(stage, 1, heard, sizeof heard);
    say(stage, 1, "HTTP/1.1 304 Not Modified\r\n\r\n");
    TURN_UNTIL(stage, stage->n_done == 2);
    assert_int_equal(stage->error, 0);

    assert_int_equal(engine_container_inspect(stage->engine, ID, on_done, stage, NULL), 0);
    hear(stage, 2, heard, sizeof heard);
    say(stage, 2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n");
    turn(stage);
    say(stage, 2, "4\r\n\":1}\r\n0\r\n\r\n");
    TURN_UNTIL(stage, stage->n_done == 3);
    assert_string_equal(stage->text, "{\"a\":1}");
}

static void test_a_refusal_is_explained_safely(void **state)
{
    Stage *stage = *state;
    char heard[4096];

    assert_int_equal(engine_container_start(stage->engine, "gone", on_done, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    say_json(stage, 0, 404, "{\"message\":\"No such container: \\u001b[2Jgone\"}");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, 0);
    assert_int_equal(stage->status, 404);
    assert_string_equal(stage->words, "the engine answers 404: No such container: \\x1b[2Jgone");
}

static void test_answers_that_are_none(void **state)
{
    static const struct {
        const char *bytes;
        int error;
    } cases[] = {
        {"", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", -ECONNRESET},
        {"SSH-2.0-OpenSSH\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}{}", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"a\":1,\"a\":2}", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"a\":\"\\u0000\"} ", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":\"\xff\"}", -EPROTO},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -EPROTO},
    };
    Stage *stage = *state;
    char heard[4096];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(engine_container_inspect(stage->engine, ID, on_done, stage, NULL), 0);
        hear(stage, i, heard, sizeof heard);
        say(stage, i, cases[i].bytes);
        hang_up(stage, i);
        TURN_UNTIL(stage, stage->n_done == i + 1);
        if (stage->error != cases[i].error)
            fail_msg("case %zu: %d, not %d", i, stage->error, cases[i].error);
    }
}

static void test_redirects_are_not_followed(void **state)
{
    Stage *stage = *state;
    char heard[4096];

    assert_int_equal(engine_container_inspect(stage->engine, ID, on_done, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    say(stage, 0,
        "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->status, 301);
    assert_int_equal(stage->n_wants, 1);
}

static void test_too_much_is_refused(void **state)
{
    Stage *stage = *state;
    char heard[4096], filler[4096];
    const EngineRequest request = {.method = "GET", .path = "/info", .body_max = 10000};

    assert_int_equal(engine_call(stage->engine, &request, on_done, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    say(stage, 0, "HTTP/1.1 200 OK\r\n\r\n[");
    memset(filler, ' ', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    for (size_t i = 0; i < 3; i++)
        say(stage, 0, filler);
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, -EFBIG);

    /* A head without end. */
    assert_int_equal(engine_call(stage->engine, &request, on_done, stage, NULL), 0);
    hear(stage, 1, heard, sizeof heard);
    say(stage, 1, "HTTP/1.1 200 OK\r\nX: ");
    memset(filler, 'x', sizeof filler - 1);
    for (size_t i = 0; i < 200 && stage->n_done == 1; i++) {
        if (send(stage->ends[1], filler, sizeof filler - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
        turn(stage);
    }
    TURN_UNTIL(stage, stage->n_done == 2);
    assert_true(stage->error < 0);
}

static void test_deadlines(void **state)
{
    Stage *stage = *state;
    const EngineRequest request = {.method = "GET", .path = "/info", .timeout_ms = 30};
    char heard[4096];

    /* It never answers. */
    assert_int_equal(engine_call(stage->engine, &request, on_done, stage, NULL), 0);
    TURN_UNTIL(stage, stage->n_done == 1);
    assert_int_equal(stage->error, -ETIMEDOUT);
    /* It drips. */
    assert_int_equal(engine_call(stage->engine, &request, on_done, stage, NULL), 0);
    hear(stage, 1, heard, sizeof heard);
    say(stage, 1, "HTTP/1.1 200 OK\r\n\r\n");
    while (stage->n_done == 1) {
        (void)send(stage->ends[1], " ", 1, MSG_NOSIGNAL);
        turn(stage);
    }
    assert_int_equal(stage->error, -ETIMEDOUT);
    /* A stream that does not begin, and a hijack. */
    assert_int_equal(engine_stream(stage->engine, &request, &stream_handlers, stage, NULL), 0);
    TURN_UNTIL(stage, stage->n_done == 3);
    assert_int_equal(stage->error, -ETIMEDOUT);
    assert_int_equal(engine_hijack(stage->engine, &request, on_hijacked, stage, NULL), 0);
    TURN_UNTIL(stage, stage->n_done == 4);
    assert_int_equal(stage->error, -ETIMEDOUT);
    assert_int_equal(stage->fd, -EBADF);
}

static void test_no_connection(void **state)
{
    Stage *stage = *state;

    stage->refuses = true;
    assert_int_equal(engine_container_inspect(stage->engine, ID, on_done, stage, NULL), 0);
    assert_int_equal(stage->n_done, 0); /* never from within the beginning */
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, -ECONNREFUSED);
    assert_string_equal(stage->words, strerror(ECONNREFUSED));
    /* One that nobody waits for any more is closed. */
    int pair[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    engine_connected_take(stage->engine, pair[0]);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    fd_close(pair[1]);
}

static void test_names_cannot_become_other_calls(void **state)
{
    static const char *const names[] = {"",  "../x", "a/b",    "a?b=c", "a b",     "a\nb",
                                        ".", "-f",   "%2e%2e", "a#b",   "\xc3\xa4"};
    static const char *const references[] = {"",    "/etc",      "a/../b", "a b",
                                             "a?b", "a\r\nX: y", "a//b"};
    Stage *stage = *state;
    char *longest = malloc(70000);

    memset(longest, 'a', 69999);
    longest[69999] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(engine_container_start(stage->engine, names[i], on_done, stage, NULL),
                         -EINVAL);
        assert_int_equal(
            engine_exec_start(stage->engine, names[i], false, on_hijacked, stage, NULL), -EINVAL);
        assert_int_equal(
            engine_container_attach(stage->engine, names[i], true, on_hijacked, stage, NULL),
            -EINVAL);
        assert_int_equal(engine_container_kill(stage->engine, ID, names[i], on_done, stage, NULL),
                         -EINVAL);
        if (names[i][0])
            assert_int_equal(
                engine_container_create(stage->engine, names[i], NULL, on_done, stage, NULL),
                -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
        assert_int_equal(engine_image_inspect(stage->engine, references[i], on_done, stage, NULL),
                         -EINVAL);
        assert_int_equal(
            engine_image_pull(stage->engine, references[i], &stream_handlers, stage, NULL),
            -EINVAL);
    }
    assert_int_equal(engine_container_start(stage->engine, longest, on_done, stage, NULL), -EINVAL);
    assert_int_equal(engine_image_inspect(stage->engine, longest, on_done, stage, NULL), -EINVAL);
    assert_int_equal(stage->n_wants, 0);
    free(longest);
}

static void test_paths_of_calls(void **state)
{
    Stage *stage = *state;
    char heard[4096];

    assert_int_equal(
        engine_container_list(stage->engine, "clawrden.enabled=true", false, on_done, stage, NULL),
        0);
    hear(stage, 0, heard, sizeof heard);
    assert_ptr_equal(strstr(heard, "GET /v1.41/containers/json?all=0&filters=%7B%22label%22%3A%5B"
                                   "%22clawrden.enabled%3Dtrue%22%5D%7D HTTP/1.1\r\n"),
                     heard);
    assert_int_equal(
        engine_image_pull(stage->engine, "reg:5000/a/b", &stream_handlers, stage, NULL), 0);
    hear(stage, 1, heard, sizeof heard);
    assert_ptr_equal(
        strstr(heard, "POST /v1.41/images/create?fromImage=reg:5000/a/b&tag=latest HTTP/1.1\r\n"),
        heard);
    assert_int_equal(engine_container_wait(stage->engine, ID, true, 1000, on_done, stage, NULL), 0);
    hear(stage, 2, heard, sizeof heard);
    assert_ptr_equal(
        strstr(heard, "POST /v1.41/containers/" ID "/wait?condition=next-exit HTTP/1.1\r\n"),
        heard);
    assert_int_equal(engine_container_remove(stage->engine, ID, true, on_done, stage, NULL), 0);
    hear(stage, 3, heard, sizeof heard);
    assert_ptr_equal(strstr(heard, "DELETE /v1.41/containers/" ID "?v=1&force=1 HTTP/1.1\r\n"),
                     heard);
}

static void test_negotiation(void **state)
{
    static const struct {
        const char *json, *version;
        int error;
    } cases[] = {
        {"{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", "1.41", 0},
        {"{\"ApiVersion\":\"1.40\"}", "1.40", 0},
        {"{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}", "1.44", 0},
        {"{\"ApiVersion\":\"1.39\",\"MinAPIVersion\":\"1.12\"}", "1.44", -ENOTSUP},
        {"{\"ApiVersion\":\"2.0\"}", "1.44", -EPROTO},
        {"{\"ApiVersion\":\"1.41/../../x\"}", "1.44", -EPROTO},
        {"{\"ApiVersion\":41}", "1.44", -EPROTO},
        {"[]", "1.44", -EPROTO},
    };
    Stage *stage = *state;
    char heard[4096];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(engine_negotiate(stage->engine, on_done, stage, NULL), 0);
        hear(stage, i, heard, sizeof heard);
        assert_ptr_equal(strstr(heard, "GET /version HTTP/1.1\r\n"), heard);
        say_json(stage, i, 200, cases[i].json);
        TURN_UNTIL(stage, stage->n_done == i + 1);
        assert_int_equal(stage->error, cases[i].error);
        assert_string_equal(engine_version(stage->engine), cases[i].version);
    }
}

/* Streams. */

static void test_a_stream(void **state)
{
    Stage *stage = *state;
    char heard[4096];

    assert_int_equal(
        engine_events(stage->engine, "clawrden.enabled=true", &stream_handlers, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    say(stage, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    TURN_UNTIL(stage, stage->n_opened == 1);
    say(stage, 0, "9\r\n{\"a\":1}\n{\r\n");
    TURN_UNTIL(stage, stage->n_items == 1);
    say(stage, 0, "b\r\n\"b\":2}\n\r\n{}\r\n1\r\n\n\r\n");
    TURN_UNTIL(stage, stage->n_items == 3);
    assert_string_equal(stage->items, "{\"a\":1}{\"b\":2}{}");
    assert_int_equal(stage->n_done, 0);
    say(stage, 0, "0\r\n\r\n");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, 0);
}

static void test_streams_that_end_badly(void **state)
{
    static const struct {
        const char *bytes;
        int error;
    } cases[] = {
        {"{\"a\":1}\nnonsense\n{\"b\":1}\n", -EPROTO},
        {"{\"a\":1}\n[1]\n", -EPROTO},
        {"{\"a\":1}\n{\"half", -EPROTO},
        {"{\"a\":1}\n{\"a\":1,\"a\":1}\n", -EPROTO},
    };
    Stage *stage = *state;
    char heard[4096];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(engine_events(stage->engine, NULL, &stream_handlers, stage, NULL), 0);
        hear(stage, i, heard, sizeof heard);
        say(stage, i, "HTTP/1.1 200 OK\r\n\r\n");
        say(stage, i, cases[i].bytes);
        hang_up(stage, i);
        TURN_UNTIL(stage, stage->n_done == i + 1);
        assert_int_equal(stage->error, cases[i].error);
        assert_int_equal(stage->n_items, i + 1);
    }
    size_t number = ARRAY_SIZE(cases);
    assert_int_equal(engine_events(stage->engine, NULL, &stream_handlers, stage, NULL), 0);
    hear(stage, number, heard, sizeof heard);
    say_json(stage, number, 500, "{\"message\":\"no\"}");
    TURN_UNTIL(stage, stage->n_done == number + 1);
    assert_int_equal(stage->status, 500);
    assert_string_equal(stage->words, "the engine answers 500: no");
}

static void test_an_endless_item(void **state)
{
    Stage *stage = *state;
    char heard[4096], filler[4096];

    assert_int_equal(engine_events(stage->engine, NULL, &stream_handlers, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    say(stage, 0, "HTTP/1.1 200 OK\r\n\r\n{\"a\":\"");
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < (ENGINE_ITEM_MAX / sizeof filler) + 64 && !stage->n_done; i++) {
        assert_true(fd_write_all(stage->ends[0], filler, sizeof filler) == 0 || stage->n_done);
        turn(stage);
    }
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, -EFBIG);
    assert_int_equal(stage->n_items, 0);
}

static void test_a_silent_stream(void **state)
{
    Stage *stage = *state;
    EngineStream stream = stream_handlers;
    char heard[4096];

    stream.silence_ms = 30;
    assert_int_equal(engine_events(stage->engine, NULL, &stream, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    say(stage, 0, "HTTP/1.1 200 OK\r\n\r\n{}\n");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->n_items, 1);
    assert_int_equal(stage->error, -ETIMEDOUT);
}

static void test_cancelled_from_within(void **state)
{
    Stage *stage = *state;
    EngineCall *waiting;
    char heard[4096];

    assert_int_equal(engine_events(stage->engine, NULL, &stream_handlers, stage, &stage->cancel),
                     0);
    hear(stage, 0, heard, sizeof heard);
    say(stage, 0, "HTTP/1.1 200 OK\r\n\r\n{}\n{}\n{}\n");
    TURN_UNTIL(stage, stage->n_items);
    assert_int_equal(engine_container_inspect(stage->engine, ID, on_done, stage, &waiting), 0);
    assert_null(engine_cancel(waiting));
    assert_int_equal(engine_container_inspect(stage->engine, ID, on_done, stage, NULL), 0);
    hear(stage, 2, heard, sizeof heard);
    say_json(stage, 2, 200, "{}");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->n_items, 1);
    assert_int_equal(stage->n_done, 1);
}

/* Hijacked streams. */

static void expect_stream(Stage *stage, size_t number, const char *expected)
{
    char got[256];
    size_t size = 0;

    hang_up(stage, number);
    assert_true(stage->fd >= 0);
    for (ssize_t part; (part = read(stage->fd, got + size, sizeof got - size)) > 0;)
        size += (size_t)part;
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(got, expected, size);
    stage->fd = fd_close(stage->fd);
}

static void test_a_hijack(void **state)
{
    Stage *stage = *state;
    char heard[4096];

    assert_int_equal(engine_exec_start(stage->engine, ID, false, on_hijacked, stage, NULL), 0);
    hear(stage, 0, heard, sizeof heard);
    assert_ptr_equal(strstr(heard, "POST /v1.41/exec/" ID "/start HTTP/1.1\r\n"), heard);
    assert_non_null(strstr(heard, "\r\nUpgrade: tcp\r\n"));
    assert_non_null(strstr(heard, "\r\n\r\n{\"Detach\":false,\"Tty\":false}"));
    /* Whatever came together with the head is still in the socket. */
    say(stage, 0, "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n\r\n\r\nfirst bytes");
    TURN_UNTIL(stage, stage->n_done);
    assert_int_equal(stage->error, 0);
    expect_stream(stage, 0, "\r\n\r\nfirst bytes");

    /* In pieces, the end of the head in two of them. */
    assert_int_equal(engine_container_attach(stage->engine, ID, true, on_hijacked, stage, NULL), 0);
    hear(stage, 1, heard, sizeof heard);
    say(stage, 1, "HTTP/1.1 200 OK\r\nContent-Type: x\r");
    for (int i = 0; i < 5; i++)
        turn(stage);
    say(stage, 1, "\n\r");
    for (int i = 0; i < 5; i++)
        turn(stage);
    say(stage, 1, "\nbytes");
    TURN_UNTIL(stage, stage->n_done == 2);
    expect_stream(stage, 1, "bytes");
}

static void test_hijacks_that_fail(void **state)
{
    static const struct {
        const char *bytes, *words;
        int error;
    } cases[] = {
        {"HTTP/1.1 409 Conflict\r\nContent-Length: 20\r\n\r\n{\"message\":\"paused\"}",
         "the engine answers 409: paused", 0},
        {"HTTP/1.1 404 X\r\nContent-Length: 999999\r\n\r\n", "the engine answers 404", 0},
        {"HTTP/1.1 500 X\r\nContent-Length: 20\r\n\r\n{\"mess", "the engine answers 500", 0},
        {"HTTP/1.1 500 X\r\nContent-Length: -1\r\n\r\n", NULL, -EPROTO},
        {"HTTP/1.1 99 X\r\n\r\n", NULL, -EPROTO},
        {"nonsense\r\n\r\n", NULL, -EPROTO},
        {"HTTP/1.1 101 UPGR", NULL, -ECONNRESET},
    };
    Stage *stage = *state;
    char heard[4096];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(engine_exec_start(stage->engine, ID, true, on_hijacked, stage, NULL), 0);
        hear(stage, i, heard, sizeof heard);
        say(stage, i, cases[i].bytes);
        hang_up(stage, i);
        TURN_UNTIL(stage, stage->n_done == i + 1);
        assert_int_equal(stage->error, cases[i].error);
        assert_int_equal(stage->fd, -EBADF);
        if (cases[i].words)
            assert_string_equal(stage->words, cases[i].words);
    }
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_a_call_and_its_answer),
        STAGED(test_chunks_and_no_body),
        STAGED(test_a_refusal_is_explained_safely),
        STAGED(test_answers_that_are_none),
        STAGED(test_redirects_are_not_followed),
        STAGED(test_too_much_is_refused),
        STAGED(test_deadlines),
        STAGED(test_no_connection),
        STAGED(test_names_cannot_become_other_calls),
        STAGED(test_paths_of_calls),
        STAGED(test_negotiation),
        STAGED(test_a_stream),
        STAGED(test_streams_that_end_badly),
        STAGED(test_an_endless_item),
        STAGED(test_a_silent_stream),
        STAGED(test_cancelled_from_within),
        STAGED(test_a_hijack),
        STAGED(test_hijacks_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
