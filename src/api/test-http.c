/*
 * The wire: malformed, ambiguous, large, slow, many; each of them as bytes on a real socket.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/test-stage.h"
#include "base/clock.h"

static const char host[] = "Host: localhost\r\n";

/* Each of these is answered without a word to anybody else, and the connection ends: a request
 * hidden behind it is never seen. */
static void test_ambiguous_requests_end_the_connection(void **state)
{
    Stage *stage = *state;
    char text[4096];
    static const char hidden[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    static const struct {
        const char *bytes;
        unsigned status;
    } attempts[] = {
        {"GET /healthz HTTP/1.1\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\nHost: a\n\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: a\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", 400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n",
         400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 36\r\n\r\n", 400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         400},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\n", 400},
        {"GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /healthz\r\nHost: a\r\n\r\n", 400},
        {"\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"\x16\x03\x01\x02\x01", 400},
        {"GET /health\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"BREW /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
         413},
        {"POST /api/kill HTTP/1.1\r\nHost: a\r\nExpect: a-pony\r\n\r\n", 417},
    };

    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        int fd = client(stage);
        say(fd, attempts[i].bytes);
        say(fd, hidden);
        unsigned status = hear(fd, text, sizeof text);
        if (status != attempts[i].status || !strstr(text, "{\"error\":\"") ||
            !strstr(text, "\r\nConnection: close\r\n"))
            fail_msg("attempt %zu: %s: %s", i, attempts[i].bytes, text);
        expect_end(fd);
        fd_close(fd);
    }
    assert_true(is_quiet(stage->warden, 0));
    assert_true(is_quiet(stage->executor, 0));
}

static void test_large_heads_and_bodies(void **state)
{
    Stage *stage = *state;
    static char request[HTTP_HEAD_MAX + HTTP_BODY_MAX + 512];
    char text[4096];
    int fd = client(stage);

    /* The largest head that fits, then one byte more. */
    int size = snprintf(request, sizeof request, "GET /healthz HTTP/1.1\r\n%sX: ", host);
    memset(request + size, 'x', HTTP_HEAD_MAX);
    memcpy(request + HTTP_HEAD_MAX - 4, "\r\n\r\n", 5);
    say(fd, request);
    assert_int_equal(hear(fd, text, sizeof text), 200);
    request[HTTP_HEAD_MAX - 4] = 'x';
    memcpy(request + HTTP_HEAD_MAX - 3, "\r\n\r\n", 5);
    say(fd, request);
    assert_int_equal(hear(fd, text, sizeof text), 431);
    fd_close(fd);

    fd = client(stage);
    size = snprintf(request, sizeof request, "GET /healthz HTTP/1.1\r\n%s", host);
    for (unsigned i = 0; i < HTTP_FIELDS_MAX; i++)
        size += snprintf(request + size, sizeof request - (size_t)size, "X: y\r\n");
    memcpy(request + size, "\r\n", 3);
    say(fd, request);
    assert_int_equal(hear(fd, text, sizeof text), 431);
    fd_close(fd);

    /* The largest body, a byte at its end long after the rest. */
    fd = operator_client(stage);
    (void)snprintf(request, sizeof request,
                   "POST /api/kill HTTP/1.1\r\n%sContent-Type: application/json\r\nExpect: "
                   "100-continue\r\nContent-Length: %u\r\n\r\n",
                   host, HTTP_BODY_MAX);
    say(fd, request);
    assert_int_equal(recv(fd, text, 25, MSG_WAITALL), 25);
    assert_memory_equal(text, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    memset(request, ' ', HTTP_BODY_MAX);
    request[HTTP_BODY_MAX] = '\0';
    request[0] = '{';
    say(fd, request + 1);
    say(fd, "}");
    assert_int_equal(hear(fd, text, sizeof text), 400);
    fd_close(fd);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /api/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    vet(stage, true, 0, false);
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{\"pending\":[]}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_non_null(strstr(text, "pending"));
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_non_null(strstr(text, "ok"));
    assert_int_equal(hear(fd, text, sizeof text), 404);
    expect_end(fd);
    fd_close(fd);
}

static void test_bytes_one_at_a_time(void **state)
{
    Stage *stage = *state;
    char text[4096];
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    int fd = client(stage);

    for (size_t i = 0; i + 1 < sizeof request; i++) {
        assert_int_equal(write(fd, request + i, 1), 1);
        if (i % 16 == 0)
            settle(stage);
    }
    assert_int_equal(hear(fd, text, sizeof text), 200);
    expect_end(fd);
    fd_close(fd);
}

static void test_slow_clients_are_cut_off(void **state)
{
    Stage *stage = *state;
    char text[4096];
    int fd = client(stage);
    uint64_t begun = clock_monotonic_ms();

    /* Dripping does not help: the deadline is the request's, not the byte's. */
    say(fd, "GET /healthz HTTP/1.1\r\n");
    while (is_quiet(fd, 50) && clock_monotonic_ms() - begun < 3000)
        (void)send(fd, "X", 1, MSG_NOSIGNAL);
    assert_int_equal(hear(fd, text, sizeof text), 408);
    expect_end(fd);
    assert_true(clock_monotonic_ms() - begun < 2000);
    fd_close(fd);
}

static void test_the_oldest_idle_connection_makes_room(void **state)
{
    Stage *stage = *state;
    char text[4096];
    int fds[5];
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = client(stage);
        settle(stage);
    }
    expect_end(fds[0]);
    for (size_t i = 1; i < ARRAY_SIZE(fds); i++) {
        say(fds[i], request);
        assert_int_equal(hear(fds[i], text, sizeof text), 200);
    }
    fd_close_many(fds, ARRAY_SIZE(fds));

    /* All are busy: the fifth waits until one has been answered. */
    for (size_t i = 0; i < 4; i++) {
        fds[i] = client(stage);
        say(fds[i], "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    Frame frames[4];
    for (size_t i = 0; i < 4; i++) {
        receive_frame(stage->executor, &frames[i]);
        fd_close(frames[i].fd);
    }
    fds[4] = client(stage);
    say(fds[4], request);
    assert_true(is_quiet(fds[4], 100));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(hear(fds[i], text, sizeof text), 503); /* nobody vetted them */
    assert_int_equal(hear(fds[4], text, sizeof text), 200);
    fd_close_many(fds, ARRAY_SIZE(fds));
}

static void test_a_client_that_leaves_is_forgotten(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = operator_client(stage);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    fd_close(fd);
    settle(stage);
    warden_answers(stage, frame.key, 200, "{}");
    fd = client(stage);
    say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    fd_close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STAGED(test_ambiguous_requests_end_the_connection),
        STAGED(test_large_heads_and_bodies),
        STAGED(test_pipelined_requests_are_answered_in_order),
        STAGED(test_bytes_one_at_a_time),
        STAGED(test_slow_clients_are_cut_off),
        STAGED(test_the_oldest_idle_connection_makes_room),
        STAGED(test_a_client_that_leaves_is_forgotten),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
