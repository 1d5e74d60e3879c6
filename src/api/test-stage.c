/*
 * See test-stage.h.
 */
#include "api/test-stage.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/log.h"

#define FRAME_HEADER 16u

static const ApiLimits limits = {
    .http = {.connections = {4, 4, 4},
             .address_connections = 4,
             .idle_ms = 2000,
             .read_ms = 400,
             .write_ms = 2000},
    .vet_ms = 300,
    .warden_ms = 300,
    .hasher_ms = 5000,
    .beat_ms = 500,
};

void send_frame(int fd, uint16_t type, uint64_t key, Buffer *payload, int passed)
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

void receive_frame(int fd, Frame *ret)
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

bool is_quiet(int fd, int timeout_ms)
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

void give_link(Stage *stage, LinkRole role, int *ret_ours)
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

    (void)snprintf(stage->directory, sizeof stage->directory, "/tmp/test-api-XXXXXX");
    assert_non_null(mkdtemp(stage->directory));
    (void)snprintf(stage->path, sizeof stage->path, "%s/api.sock", stage->directory);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", stage->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    buffer_put_string(&payload, stage->path);
    buffer_put_u8(&payload, false);
    buffer_put_string(&payload, "");
    send_frame(stage->control, MESSAGE_LISTENER, 0, &payload, fd);
    fd_close(fd);
}

/* The parent answers a ping only after everything before it has been handled. */
void settle(Stage *stage)
{
    Frame frame;
    send_frame(stage->control, MESSAGE_PING, 7, NULL, -1);
    receive_frame(stage->control, &frame);
    assert_int_equal(frame.type, MESSAGE_PONG);
    assert_int_equal(frame.key, 7);
}

int stage_set_up(void **state)
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

int stage_tear_down(void **state)
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

int client(Stage *stage)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", stage->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

void say(int fd, const char *text)
{
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

unsigned hear(int fd, char *ret, size_t room)
{
    size_t size = 0;
    char *body = NULL;

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
    assert_int_equal(strncmp(ret, "HTTP/1.1 ", 9), 0);
    unsigned status = (unsigned)strtoul(ret + 9, NULL, 10);
    const char *field = strstr(ret, "Content-Length: ");
    assert_non_null(field);
    size_t length = strtoul(field + 16, NULL, 10);
    assert_true(size + length < room);
    if (length > 0)
        assert_int_equal(recv(fd, ret + size, length, MSG_WAITALL), length);
    ret[size + length] = '\0';
    return status;
}

void expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

void vet(Stage *stage, bool ok, uid_t uid, bool in_group)
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

void warden_answers(Stage *stage, uint64_t key, unsigned status, const char *json)
{
    Buffer payload = BUFFER_EMPTY(1 << 16);
    buffer_put_u16(&payload, (uint16_t)status);
    buffer_put_string(&payload, json);
    send_frame(stage->warden, API_ANSWER, key, &payload, -1);
}

int operator_client(Stage *stage)
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
