/*
 * The relay, against an engine that is the other end of a socketpair. It relies on: a unix stream
 * socket is closed for reading by the peer's shutdown(2) (unix(7)); a pipe holds 64 KiB (pipe(7)).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/relay.h"

#define MIB (1024u * 1024)

typedef struct Stage {
    pid_t relay;
    int engine;                /* the engine's end of the stream */
    int input, output, errors; /* the caller's ends */
} Stage;

enum { NO_INPUT = 1, NO_OUTPUT = 2, NONBLOCKING = 4, WITH_FRAME = 8 };

#define PREFACE "what to run"
#define HELLO "here I am\n"

static void start(Stage *stage, unsigned how)
{
    int stream[2], in[2], out[2], err[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    if (how & NONBLOCKING) {
        assert_int_equal(fd_set_nonblock(in[0], true), 0);
        assert_int_equal(fd_set_nonblock(out[1], true), 0);
    }
    stage->relay = fork();
    assert_true(stage->relay >= 0);
    if (stage->relay == 0) {
        const int stdio[3] = {how & NO_INPUT ? -EBADF : in[0], how & NO_OUTPUT ? -EBADF : out[1],
                              err[1]};
        (void)close(stream[0]);
        (void)close(in[1]);
        (void)close(out[0]);
        (void)close(err[0]);
        relay_run(&(RelayPlan){.stream_fd = stream[1],
                               .stdio = stdio,
                               .preface = PREFACE,
                               .preface_size = how & WITH_FRAME ? strlen(PREFACE) : 0,
                               .hello = HELLO,
                               .hello_size = how & WITH_FRAME ? strlen(HELLO) : 0});
    }
    (void)close(stream[1]);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    *stage = (Stage){.relay = stage->relay,
                     .engine = stream[0],
                     .input = in[1],
                     .output = out[0],
                     .errors = err[0]};
}

/* How it ended, as waitpid(2) says. */
static int finish(Stage *stage)
{
    int status = -1;

    assert_int_equal(waitpid(stage->relay, &status, 0), stage->relay);
    fd_close(stage->engine);
    fd_close(stage->input);
    fd_close(stage->output);
    fd_close(stage->errors);
    return status;
}

static void put_head(int fd, unsigned stream, uint32_t size)
{
    const unsigned char head[8] = {(unsigned char)stream,
                                   0,
                                   0,
                                   0,
                                   (unsigned char)(size >> 24),
                                   (unsigned char)(size >> 16),
                                   (unsigned char)(size >> 8),
                                   (unsigned char)size};
    assert_int_equal(fd_write_all(fd, head, sizeof head), 0);
}

static void put_frame(int fd, unsigned stream, const char *text)
{
    put_head(fd, stream, (uint32_t)strlen(text));
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void expect(int fd, const char *text)
{
    char bytes[256];
    size_t wanted = strlen(text), size = 0;

    while (size < wanted) {
        ssize_t got = read(fd, bytes + size, wanted - size);
        assert_true(got > 0);
        size += (size_t)got;
    }
    assert_memory_equal(bytes, text, wanted);
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 0);
}

static void output_goes_where_its_frame_says(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, 0);
    put_frame(stage.engine, 1, "to stdout");
    put_frame(stage.engine, 2, "to stderr");
    put_frame(stage.engine, 1, "");
    put_frame(stage.engine, 0, "and more");
    expect(stage.output, "to stdoutand more");
    expect(stage.errors, "to stderr");
    stage.engine = fd_close(stage.engine);
    expect_end(stage.output);
    expect_end(stage.errors);
    assert_int_equal(finish(&stage), 0);
}

static void a_byte_at_a_time_is_delivered_at_once(void **state)
{
    static const char frames[] = "\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\1x";
    Stage stage;

    (void)state;
    start(&stage, 0);
    for (size_t i = 0; i < sizeof frames - 1; i++) {
        assert_int_equal(write(stage.engine, frames + i, 1), 1);
        if (i == 8)
            expect(stage.output, "a");
        else if (i == 9)
            expect(stage.output, "b");
        else if (i == 19)
            expect(stage.errors, "x");
    }
    stage.engine = fd_close(stage.engine);
    expect(stage.output, "c");
    assert_int_equal(finish(&stage), 0);
}

/* The engine's part of a transfer that is too large for any buffer. */
static pid_t send_much(int fd, uint32_t size)
{
    pid_t sender = fork();

    assert_true(sender >= 0);
    if (sender > 0)
        return sender;
    char *bytes = malloc(MIB);
    if (!bytes)
        _exit(2);
    put_head(fd, 1, size);
    for (uint32_t done = 0; done < size; done += MIB) {
        for (uint32_t i = 0; i < MIB; i++)
            bytes[i] = (char)((done + i) * 31 >> 7);
        if (fd_write_all(fd, bytes, MIB) < 0)
            _exit(1);
    }
    _exit(0);
}

static void expect_much(int fd, uint32_t size)
{
    char bytes[8192];
    uint32_t at = 0;

    while (at < size) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        assert_true(got > 0);
        for (ssize_t i = 0; i < got; i++, at++)
            if (bytes[i] != (char)(at * 31 >> 7))
                fail_msg("byte %u differs", at);
    }
}

static void check_huge(unsigned how)
{
    const uint32_t size = 48 * MIB;
    Stage stage;
    int status = -1;

    start(&stage, how);
    pid_t sender = send_much(stage.engine, size);
    stage.engine = fd_close(stage.engine);
    expect_much(stage.output, size);
    expect_end(stage.output);
    assert_int_equal(waitpid(sender, &status, 0), sender);
    assert_int_equal(status, 0);
    assert_int_equal(finish(&stage), 0);
}

static void a_huge_frame_arrives_whole(void **state)
{
    (void)state;
    check_huge(0);
}

static void a_nonblocking_caller_loses_nothing(void **state)
{
    (void)state;
    check_huge(NONBLOCKING);
}

/* How much a socket takes that is not read on the far side. */
static size_t fill(int fd)
{
    static char bytes[4096];
    size_t total = 0;
    unsigned idle = 0;

    assert_int_equal(fd_set_nonblock(fd, true), 0);
    while (idle < 20) {
        ssize_t put = write(fd, bytes, sizeof bytes);
        if (put > 0) {
            total += (size_t)put;
            idle = 0;
        } else {
            assert_int_equal(errno, EAGAIN);
            idle++;
            (void)poll(NULL, 0, 10);
        }
        assert_true(total < 16 * MIB);
    }
    return total;
}

static void output_that_is_not_read_holds_the_engine_up(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, 0);
    put_head(stage.engine, 1, UINT32_MAX);
    assert_true(fill(stage.engine) < 2 * MIB);
    assert_int_equal(kill(stage.relay, SIGKILL), 0);
    assert_true(WIFSIGNALED(finish(&stage)));
}

static void input_that_is_not_read_holds_the_caller_up_but_not_the_output(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, 0);
    assert_true(fill(stage.input) < 2 * MIB);
    put_frame(stage.engine, 1, "still there");
    expect(stage.output, "still there");
    stage.engine = fd_close(stage.engine);
    assert_int_equal(finish(&stage), 0); /* although it saw a reset */
}

static void input_is_passed_on_and_its_end_too(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, 0);
    assert_int_equal(write(stage.input, "a\0b", 3), 3);
    char bytes[3];
    assert_int_equal(recv(stage.engine, bytes, 3, MSG_WAITALL), 3);
    assert_memory_equal(bytes, "a\0b", 3);
    stage.input = fd_close(stage.input);
    expect_end(stage.engine);
    put_frame(stage.engine, 1, "after");
    expect(stage.output, "after");
    stage.engine = fd_close(stage.engine);
    assert_int_equal(finish(&stage), 0);
}

static void closed_descriptors_are_the_callers_choice(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, NO_INPUT | NO_OUTPUT);
    expect_end(stage.engine);
    put_frame(stage.engine, 1, "nobody");
    put_frame(stage.engine, 2, "somebody");
    expect(stage.errors, "somebody");
    stage.engine = fd_close(stage.engine);
    assert_int_equal(finish(&stage), 0);
}

static void it_dies_of_sigpipe_when_nobody_reads(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, 0);
    stage.output = fd_close(stage.output);
    put_frame(stage.engine, 1, "nobody");
    expect_end(stage.engine);
    int status = finish(&stage);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGPIPE);
}

static void it_ends_although_input_is_awaited(void **state)
{
    (void)state;
    Stage stage;
    start(&stage, 0);
    put_frame(stage.engine, 1, "done");
    stage.engine = fd_close(stage.engine);
    expect(stage.output, "done");
    expect_end(stage.output); /* the process that reads the input has gone, too */
    assert_int_equal(finish(&stage), 0);
}

static void check_broken(const char *bytes, size_t size, const char *words)
{
    Stage stage;
    start(&stage, 0);
    assert_int_equal(fd_write_all(stage.engine, bytes, size), 0);
    stage.engine = fd_close(stage.engine);
    expect(stage.errors, words);
    expect_end(stage.output);
    int status = finish(&stage);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

static void a_broken_stream_is_said(void **state)
{
    (void)state;
    check_broken("HTTP/1.1 500", 12, "clawrden: the engine's stream: not as the API promises\n");
    check_broken("\1\0\0\0\0\0\0\5", 8, "clawrden: the engine's stream: it ended early\n");
    check_broken("\1\0\0", 3, "clawrden: the engine's stream: it ended early\n");
}

static void output_that_cannot_be_written_is_said(void **state)
{
    (void)state;
    int stream[2], err[2], status = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    pid_t relay = fork();
    assert_true(relay >= 0);
    if (relay == 0) {
        const int stdio[3] = {-EBADF, full, err[1]};
        (void)close(stream[0]);
        relay_run(&(RelayPlan){.stream_fd = stream[1], .stdio = stdio});
    }
    put_frame(stream[0], 1, "x");
    expect(err[0], "clawrden: stdout: No space left on device\n");
    assert_int_equal(waitpid(relay, &status, 0), relay);
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
    const int all[] = {stream[0], stream[1], err[0], err[1], full};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        fd_close(all[i]);
}

static void what_comes_first_is_not_the_commands(void **state)
{
    Stage stage;
    char got[64] = "";

    (void)state;
    start(&stage, WITH_FRAME);
    put_frame(stage.engine, 2, "early");
    put_frame(stage.engine, 1, "here ");
    put_frame(stage.engine, 1, "I am\nand more");
    assert_int_equal(write(stage.input, "input", 5), 5);
    stage.input = fd_close(stage.input);
    size_t size = 0;
    for (ssize_t n; (n = read(stage.engine, got + size, sizeof got - 1 - size)) > 0;)
        size += (size_t)n;
    assert_string_equal(got, PREFACE "input");
    stage.engine = fd_close(stage.engine);
    expect(stage.errors, "early");
    expect(stage.output, "and more");
    int status = finish(&stage);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

static void what_does_not_begin_so_is_not_passed_on(void **state)
{
    static const char *const others[] = {"here I was\n", "here"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        Stage stage;
        start(&stage, WITH_FRAME);
        put_frame(stage.engine, 1, others[i]);
        stage.engine = fd_close(stage.engine);
        expect_end(stage.output);
        int status = finish(&stage);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_goes_where_its_frame_says),
        cmocka_unit_test(a_byte_at_a_time_is_delivered_at_once),
        cmocka_unit_test(a_huge_frame_arrives_whole),
        cmocka_unit_test(a_nonblocking_caller_loses_nothing),
        cmocka_unit_test(output_that_is_not_read_holds_the_engine_up),
        cmocka_unit_test(input_that_is_not_read_holds_the_caller_up_but_not_the_output),
        cmocka_unit_test(input_is_passed_on_and_its_end_too),
        cmocka_unit_test(closed_descriptors_are_the_callers_choice),
        cmocka_unit_test(it_dies_of_sigpipe_when_nobody_reads),
        cmocka_unit_test(it_ends_although_input_is_awaited),
        cmocka_unit_test(a_broken_stream_is_said),
        cmocka_unit_test(output_that_cannot_be_written_is_said),
        cmocka_unit_test(what_comes_first_is_not_the_commands),
        cmocka_unit_test(what_does_not_begin_so_is_not_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
