/*
 * The api process as its peers see it: the test plays parent, warden, executor and clients, over
 * the sockets that a real one has. Kernel facts relied on: descriptors pass over unix sockets; an
 * answer written before close(2) can still be read.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "api/caller.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/message.h"

#define FRAME_HEADER 16u

static const ApiLimits limits = {
    .http = {.connections = 4, .idle_ms = 2000, .read_ms = 400, .write_ms = 2000},
    .vet_ms = 300,
    .warden_ms = 300,
};

static const char host[] = "Host: localhost\r\n";

typedef struct Stage {
    pid_t pid;
    int control, warden, executor;
    char directory[32], path[64];
} Stage;

typedef struct Frame {
    uint16_t type;
    uint64_t key;
    char payload[65536];
    size_t size;
    int fd;
} Frame;

static void send_frame(int fd, uint16_t type, uint64_t key, Buffer *payload, int passed)
{
    Buffer frame = BUFFER_EMPTY(1 << 20);
    size_t size = payload ? buffer_size(payload) : 0;

    buffer_put_u32(&frame, (uint32_t)size);
    buffer_put_u16(&frame, type);
    buffer_put_u8(&frame, passed >= 0);
    buffer_put_u8(&frame, 0);
    buffer_put_u64(&frame, key);
    if (payload)
        buffer_put(&frame, buffer_head(payload), size);
    assert_int_equal(fd_send(fd, buffer_head(&frame), buffer_size(&frame), &passed, passed >= 0, 0),
                     FRAME_HEADER + size);
    buffer_done(&frame);
    if (payload)
        buffer_done(payload);
}

static void receive_frame(int fd, Frame *ret)
{
    char header[FRAME_HEADER];
    FdReceived received;

    ssize_t got = fd_receive(fd, header, sizeof header, &received, 0);
    assert_int_equal(got, sizeof header);
    Reader reader = reader_of(header, sizeof header);
    *ret = (Frame){.fd = -EBADF};
    ret->size = reader_u32(&reader);
    ret->type = reader_u16(&reader);
    assert_int_equal(reader_u8(&reader), received.n_fds);
    (void)reader_u8(&reader);
    ret->key = reader_u64(&reader);
    if (received.n_fds > 0)
        ret->fd = TAKE_FD(received.fds[0]);
    fd_received_done(&received);
    if (ret->size > 0)
        assert_int_equal(recv(fd, ret->payload, ret->size, MSG_WAITALL), ret->size);
}

static bool is_quiet(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 0;
}

static void socket_pair(int *ours, int *theirs)
{
    int pair[2];
    struct timeval patience = {.tv_sec = 5};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    *ours = pair[0];
    *theirs = pair[1];
}

static void give_link(Stage *stage, LinkRole role, int *ret_ours)
{
    int theirs;
    Buffer payload = BUFFER_EMPTY(1024);
    socket_pair(ret_ours, &theirs);
    buffer_put_u8(&payload, (uint8_t)role);
    buffer_put_u32(&payload, 0);
    buffer_put_string(&payload, "");
    buffer_put_string(&payload, "");
    send_frame(stage->control, MESSAGE_LINK, 0, &payload, theirs);
    fd_close(theirs);
}

static void give_listener(Stage *stage)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    Buffer payload = BUFFER_EMPTY(1024);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(stage->directory, "/tmp/test-api-XXXXXX");
    assert_non_null(mkdtemp(stage->directory));
    (void)snprintf(stage->path, sizeof stage->path, "%s/api.sock", stage->directory);
    strcpy(address.sun_path, stage->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    buffer_put_string(&payload, stage->path);
    send_frame(stage->control, MESSAGE_LISTENER, 0, &payload, fd);
    fd_close(fd);
}

/* The parent answers a ping only after everything before it has been handled. */
static void settle(Stage *stage)
{
    Frame frame;
    send_frame(stage->control, MESSAGE_PING, 7, NULL, -1);
    receive_frame(stage->control, &frame);
    assert_int_equal(frame.type, MESSAGE_PONG);
    assert_int_equal(frame.key, 7);
}

static int set_up(void **state)
{
    Stage *stage = calloc(1, sizeof *stage);
    int theirs;
    Frame frame;

    socket_pair(&stage->control, &theirs);
    stage->pid = fork();
    assert_true(stage->pid >= 0);
    if (stage->pid == 0) {
        ProcessContext context = {.control_fd = theirs};
        log_open("test-api", "api", false);
        fd_close(stage->control);
        _exit(api_run(&context, &limits));
    }
    fd_close(theirs);
    receive_frame(stage->control, &frame);
    assert_int_equal(frame.type, MESSAGE_READY);
    give_listener(stage);
    give_link(stage, LINK_ROLE_WARDEN, &stage->warden);
    give_link(stage, LINK_ROLE_EXECUTOR, &stage->executor);
    settle(stage);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    Stage *stage = *state;
    int status;

    send_frame(stage->control, MESSAGE_STOP, 0, NULL, -1);
    assert_int_equal(waitpid(stage->pid, &status, 0), stage->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fd_close(stage->control);
    fd_close(stage->warden);
    fd_close(stage->executor);
    (void)unlink(stage->path);
    (void)rmdir(stage->directory);
    free(stage);
    return 0;
}

static int client(Stage *stage)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, stage->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

/* One answer, head and body, as text in `ret`; returns its status, 0 at the connection's end. */
static unsigned hear(int fd, char *ret, size_t room)
{
    size_t size = 0;
    char *body = NULL;
    unsigned status = 0, length = 0;

    while (!body) {
        ssize_t got = recv(fd, ret + size, 1, 0);
        if (got == 0 && size == 0)
            return 0;
        assert_int_equal(got, 1);
        size++;
        ret[size] = '\0';
        assert_true(size + 1 < room);
        body = strstr(ret, "\r\n\r\n");
    }
    assert_int_equal(sscanf(ret, "HTTP/1.1 %u ", &status), 1);
    const char *field = strstr(ret, "Content-Length: ");
    assert_non_null(field);
    assert_int_equal(sscanf(field, "Content-Length: %u", &length), 1);
    assert_true(size + length < room);
    if (length > 0)
        assert_int_equal(recv(fd, ret + size, length, MSG_WAITALL), length);
    ret[size + length] = '\0';
    return status;
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Plays the executor: the next vetting question gets this answer. */
static void vet(Stage *stage, bool ok, uid_t uid, bool in_group)
{
    Frame frame;
    Buffer payload = BUFFER_EMPTY(1024);

    receive_frame(stage->executor, &frame);
    assert_int_equal(frame.type, VET_PEER);
    assert_true(frame.fd >= 0);
    struct ucred peer;
    socklen_t size = sizeof peer;
    assert_int_equal(getsockopt(frame.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    assert_int_equal(peer.pid, getpid());
    fd_close(frame.fd);
    buffer_put_u8(&payload, ok);
    buffer_put_u32(&payload, 1);
    buffer_put_u32(&payload, uid);
    buffer_put_u32(&payload, uid);
    buffer_put_u8(&payload, in_group);
    buffer_put_string(&payload, ok ? "" : "the peer is in jail \033[31mdefault");
    send_frame(stage->executor, VET_ANSWER, frame.key, &payload, -1);
}

static void warden_answers(Stage *stage, uint64_t key, unsigned status, const char *json)
{
    Buffer payload = BUFFER_EMPTY(1 << 16);
    buffer_put_u16(&payload, (uint16_t)status);
    buffer_put_string(&payload, json);
    send_frame(stage->warden, API_ANSWER, key, &payload, -1);
}

/* A client that has been vetted as root. */
static int operator_client(Stage *stage)
{
    char text[4096];
    Frame frame;
    int fd = client(stage);
    say(fd, "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    vet(stage, true, 0, false);
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_STATUS);
    warden_answers(stage, frame.key, 200, "{}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    return fd;
}

static void test_status_is_asked_and_sent_on(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    vet(stage, true, 0, false);
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_STATUS);
    assert_int_equal(frame.size, 0);
    warden_answers(stage, frame.key, 200, "{\"version\":\"x\"}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n") + 4, "{\"version\":\"x\"}");

    /* The standing lasts as long as the connection; HEAD is GET without the body. */
    uint64_t first_key = frame.key;
    say(fd, "GET /api/queue?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_QUEUE);
    assert_int_not_equal(frame.key, first_key);
    warden_answers(stage, frame.key, 200, "{\"pending\":[]}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_true(is_quiet(stage->executor, 0));
    fd_close(fd);
}

static void test_health_needs_nobody(void **state)
{
    Stage *stage = *state;
    char text[4096];
    int fd = client(stage);

    say(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    say(fd, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_true(is_quiet(stage->executor, 0));

    stage->warden = fd_close(stage->warden);
    settle(stage);
    say(fd, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 503);
    assert_non_null(strstr(text, "\"code\":\"not_ready\""));
    say(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    fd_close(fd);
}

static void test_strangers_learn_nothing(void **state)
{
    Stage *stage = *state;
    char text[4096];
    static const char *const questions[] = {
        "GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /nothing/here HTTP/1.1\r\nHost: x\r\n\r\n",
        "DELETE /api/status HTTP/1.1\r\nHost: x\r\n\r\n",
    };

    int fd = client(stage);
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
        say(fd, questions[i]);
        if (i == 0)
            vet(stage, false, 0, true); /* uid 0 of a prisoner */
        assert_int_equal(hear(fd, text, sizeof text), 403);
        assert_non_null(strstr(text, "{\"error\":\"this process may not use the api\""));
    }
    assert_true(is_quiet(stage->executor, 0));
    fd_close(fd);

    fd = client(stage);
    say(fd, questions[0]);
    vet(stage, true, getuid() + 1000, false);
    assert_int_equal(hear(fd, text, sizeof text), 403);
    assert_non_null(strstr(text, "neither root nor in the operators' group"));
    fd_close(fd);
    assert_true(is_quiet(stage->warden, 50));
}

static void test_the_operators_group_decides(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "POST /api/queue/7K3M2Q/deny HTTP/1.1\r\nHost: localhost\r\nUser-Agent: "
            "clawrden-cli/0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
            "Content-Length: 22\r\n\r\n{\"reason\":\"not today\"}");
    vet(stage, true, 4242, true);
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_DECIDE);
    Reader reader = reader_of(frame.payload, frame.size);
    assert_string_equal(reader_string(&reader), "7K3M2Q");
    assert_int_equal(reader_u8(&reader), 0);
    assert_string_equal(reader_string(&reader), "not today");
    assert_string_equal(reader_string(&reader), "uid 4242");
    assert_string_equal(reader_string(&reader), "cli");
    assert_true(reader_done(&reader));
    warden_answers(stage, frame.key, 409, "{\"error\":\"already decided\"}");
    assert_int_equal(hear(fd, text, sizeof text), 409);

    say(fd, "POST /api/queue/7K3M2Q/approve HTTP/1.1\r\nHost: localhost\r\n\r\n");
    receive_frame(stage->warden, &frame);
    reader = reader_of(frame.payload, frame.size);
    assert_string_equal(reader_string(&reader), "7K3M2Q");
    assert_int_equal(reader_u8(&reader), 1);
    assert_string_equal(reader_string(&reader), "");
    (void)reader_string(&reader);
    assert_string_equal(reader_string(&reader), "api");
    warden_answers(stage, frame.key, 200, "{}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    fd_close(fd);
}

static void test_kill_resume_reload(void **state)
{
    Stage *stage = *state;
    char text[4096], request[512];
    Frame frame;
    int fd = operator_client(stage);
    static const struct {
        const char *path, *body;
        uint16_t type;
        const char *jail;
    } calls[] = {
        {"/api/kill", "{\"jail\":\"my-agent\"}", API_KILL, "my-agent"},
        {"/api/kill", "{\"all\":true}", API_KILL, ""},
        {"/api/resume", "{\"jail\":\"default\"}", API_RESUME, "default"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        (void)snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       calls[i].path, strlen(calls[i].body), calls[i].body);
        say(fd, request);
        receive_frame(stage->warden, &frame);
        assert_int_equal(frame.type, calls[i].type);
        Reader reader = reader_of(frame.payload, frame.size);
        assert_string_equal(reader_string(&reader), calls[i].jail);
        assert_string_equal(reader_string(&reader), "root (uid 0)");
        assert_string_equal(reader_string(&reader), "api");
        assert_true(reader_done(&reader));
        warden_answers(stage, frame.key, 200, "{}");
        assert_int_equal(hear(fd, text, sizeof text), 200);
    }
    say(fd, "POST /api/policy/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_RELOAD);
    Reader reader = reader_of(frame.payload, frame.size);
    assert_string_equal(reader_string(&reader), "root (uid 0)");
    assert_true(reader_done(&reader));
    warden_answers(stage, frame.key, 422, "{\"error\":\"bad policy\"}");
    assert_int_equal(hear(fd, text, sizeof text), 422);
    fd_close(fd);
}

static void test_mistakes_have_names(void **state)
{
    Stage *stage = *state;
    char text[4096], request[1024];
    int fd = operator_client(stage);
    static const struct {
        const char *line, *type, *body;
        unsigned status;
        const char *code;
    } mistakes[] = {
        {"GET /api/nothing", NULL, "", 404, "not_found"},
        {"GET /api/queue/", NULL, "", 404, "not_found"},
        {"POST /api/queue/a/b/approve", NULL, "", 404, "not_found"},
        {"POST /api/queue/a%2fb/approve", NULL, "", 404, "not_found"},
        {"POST /api/queue//approve", NULL, "", 404, "not_found"},
        {"GET /api/kill", NULL, "", 405, "method_not_allowed"},
        {"POST /api/status", NULL, "", 405, "method_not_allowed"},
        {"OPTIONS /api/queue", NULL, "", 405, "method_not_allowed"},
        {"POST /healthz", NULL, "", 405, "method_not_allowed"},
        {"POST /api/kill", "text/plain", "{\"all\":true}", 415, "not_json"},
        {"POST /api/kill", NULL, "{\"all\":true}", 415, "not_json"},
        {"POST /api/kill", "application/jsonp", "{\"all\":true}", 415, "not_json"},
        {"POST /api/kill", "application/json", "{\"all\":true,}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"all\":true} x", 400, "bad_json"},
        {"POST /api/kill", "application/json", "[\"all\"]", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"jail\":\"a\",\"jail\":\"b\"}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"jail\":\"a\\u0000b\"}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"jail\":\"a\xff\"}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{}", 400, "bad_target"},
        {"POST /api/kill", NULL, "", 400, "bad_target"},
        {"POST /api/kill", "application/json", "{\"all\":false}", 400, "bad_target"},
        {"POST /api/kill", "application/json", "{\"jail\":\"\"}", 404, "no_such_jail"},
        {"POST /api/kill", "application/json", "{\"jail\":\"../x\"}", 404, "no_such_jail"},
        {"POST /api/kill", "application/json", "{\"all\":true,\"jail\":\"a\"}", 400, "bad_target"},
        {"POST /api/kill", "application/json", "{\"al\":true}", 400, "unknown_member"},
        {"POST /api/queue/X/deny", "application/json", "{\"reason\":1}", 400, "bad_reason"},
        {"POST /api/queue/X/deny", "application/json", "{\"why\":\"x\"}", 400, "unknown_member"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        (void)snprintf(request, sizeof request,
                       "%s HTTP/1.1\r\nHost: x\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                       mistakes[i].line, mistakes[i].type ? "Content-Type: " : "",
                       mistakes[i].type ? mistakes[i].type : "", mistakes[i].type ? "\r\n" : "",
                       strlen(mistakes[i].body), mistakes[i].body);
        say(fd, request);
        unsigned status = hear(fd, text, sizeof text);
        const char *code = strstr(text, "\"code\":\"");
        if (status != mistakes[i].status || !code ||
            strncmp(code + 8, mistakes[i].code, strlen(mistakes[i].code)) != 0)
            fail_msg("%s %s: %s", mistakes[i].line, mistakes[i].body, text);
    }
    say(fd, "GET /api/kill HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 405);
    assert_non_null(strstr(text, "\r\nAllow: POST\r\n"));
    assert_true(is_quiet(stage->warden, 0));
    fd_close(fd);
}

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
    strcpy(request + HTTP_HEAD_MAX - 4, "\r\n\r\n");
    say(fd, request);
    assert_int_equal(hear(fd, text, sizeof text), 200);
    request[HTTP_HEAD_MAX - 4] = 'x';
    strcpy(request + HTTP_HEAD_MAX - 3, "\r\n\r\n");
    say(fd, request);
    assert_int_equal(hear(fd, text, sizeof text), 431);
    fd_close(fd);

    fd = client(stage);
    size = snprintf(request, sizeof request, "GET /healthz HTTP/1.1\r\n%s", host);
    for (unsigned i = 0; i < HTTP_FIELDS_MAX; i++)
        size += snprintf(request + size, sizeof request - (size_t)size, "X: y\r\n");
    strcpy(request + size, "\r\n");
    say(fd, request);
    assert_int_equal(hear(fd, text, sizeof text), 431);
    fd_close(fd);

    /* The largest body, a byte at its end long after the rest. */
    fd = operator_client(stage);
    size = snprintf(request, sizeof request,
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

static void test_silent_peers_are_not_waited_for(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 503); /* the executor said nothing */
    assert_non_null(strstr(text, "\"code\":\"not_vetted\""));
    receive_frame(stage->executor, &frame);
    fd_close(frame.fd);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    vet(stage, true, 0, false);
    assert_int_equal(hear(fd, text, sizeof text), 504);
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{\"late\":true}"); /* dropped */

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{\"late\":false}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_non_null(strstr(text, "{\"late\":false}"));
    fd_close(fd);
}

static void test_lost_links_answer_503_and_are_renewed(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = operator_client(stage);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    fd_close(stage->warden);
    assert_int_equal(hear(fd, text, sizeof text), 503);
    assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 503);

    give_link(stage, LINK_ROLE_WARDEN, &stage->warden);
    settle(stage);
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{}");
    assert_int_equal(hear(fd, text, sizeof text), 200);

    /* A message that is no answer ends the link. */
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    send_frame(stage->warden, API_DECIDE, frame.key, NULL, -1);
    assert_int_equal(hear(fd, text, sizeof text), 503);
    expect_end(stage->warden);

    fd_close(stage->executor);
    give_link(stage, LINK_ROLE_EXECUTOR, &stage->executor);
    settle(stage);
    int other = client(stage);
    say(other, "GET /api/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    vet(stage, true, 0, false);
    assert_int_equal(hear(other, text, sizeof text), 404);
    fd_close(other);
    fd_close(fd);
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
#define STAGED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        STAGED(test_status_is_asked_and_sent_on),
        STAGED(test_health_needs_nobody),
        STAGED(test_strangers_learn_nothing),
        STAGED(test_the_operators_group_decides),
        STAGED(test_kill_resume_reload),
        STAGED(test_mistakes_have_names),
        STAGED(test_ambiguous_requests_end_the_connection),
        STAGED(test_large_heads_and_bodies),
        STAGED(test_pipelined_requests_are_answered_in_order),
        STAGED(test_bytes_one_at_a_time),
        STAGED(test_slow_clients_are_cut_off),
        STAGED(test_the_oldest_idle_connection_makes_room),
        STAGED(test_silent_peers_are_not_waited_for),
        STAGED(test_lost_links_answer_503_and_are_renewed),
        STAGED(test_a_client_that_leaves_is_forgotten),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
