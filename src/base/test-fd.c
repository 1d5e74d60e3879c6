/*
 * Descriptors: closing, moving, reading small files, and passing them with their senders' names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool is_cloexec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static int null_fd(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void test_close(void **state)
{
    int fds[3] = {null_fd(), -EBADF, null_fd()}, first = fds[0];

    (void)state;
    errno = ENOENT;
    assert_int_equal(fd_close(-EBADF), -EBADF);
    fd_close_many(fds, 3);
    assert_int_equal(errno, ENOENT);
    assert_false(is_open(first));
    for (int i = 0; i < 3; i++)
        assert_int_equal(fds[i], -EBADF);
}

static void test_take(void **state)
{
    int fd = null_fd(), kept;

    (void)state;
    {
        _cleanup_fd_ int scoped = fd;
        kept = TAKE_FD(scoped);
        assert_int_equal(scoped, -EBADF);
    }
    assert_true(is_open(kept));
    {
        _cleanup_fd_ int scoped = kept;
        (void)scoped;
    }
    assert_false(is_open(kept));
}

static void test_flags(void **state)
{
    _cleanup_fd_ int fd = null_fd();

    (void)state;
    assert_int_equal(fd_set_nonblock(fd, true), 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_set_nonblock(fd, false), 0);
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_set_cloexec(fd, false), 0);
    assert_false(is_cloexec(fd));
    assert_int_equal(fd_set_cloexec(fd, true), 0);
    assert_true(is_cloexec(fd));
    assert_int_equal(fd_set_nonblock(-EBADF, true), -EBADF);
    assert_int_equal(fd_set_cloexec(-EBADF, true), -EBADF);
}

static void test_move(void **state)
{
    int fd = null_fd();
    int moved = fd_move_above_take(fd, 100);

    (void)state;
    assert_true(moved >= 100 && is_open(moved) && is_cloexec(moved));
    assert_false(is_open(fd));
    (void)fd_close(moved);
    assert_int_equal(fd_move_above_take(-EBADF, 3), -EBADF);
}

/* In a child: everything is closed but stdio and what is kept. */
static void test_close_all(void **state)
{
    int status = 0;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        int fds[40];
        for (size_t i = 0; i < 40; i++)
            fds[i] = fcntl(0, F_DUPFD_CLOEXEC, 50);
        /* unsorted, doubled, below 3, not open */
        const int keep[] = {fds[30], fds[2], 1, fds[2], fds[39], -EBADF, 4000, fds[31]};
        bool good = fd_close_all_except(keep, 8) == 0;
        for (int fd = 3; fd < 5000; fd++) {
            bool kept = fd == fds[2] || fd == fds[30] || fd == fds[31] || fd == fds[39];
            good = good && is_open(fd) == kept;
        }
        good = good && is_open(1) && fd_close_all_except(NULL, 0) == 0 && !is_open(fds[2]);
        good = good && fd_close_all_except(keep, 33) == -EINVAL;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_write_all(void **state)
{
    _cleanup_fd_ int fd = memfd_create("write", MFD_CLOEXEC);
    _cleanup_fd_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char back[6] = "";

    (void)state;
    assert_int_equal(fd_write_all(fd, "bytes", 5), 0);
    assert_int_equal(fd_write_all(fd, NULL, 0), 0);
    assert_int_equal(pread(fd, back, 5, 0), 5);
    assert_string_equal(back, "bytes");
    assert_int_equal(fd_write_all(full, "x", 1), -ENOSPC);
    assert_int_equal(fd_write_all(-EBADF, "x", 1), -EBADF);
}

static void test_read_file(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000};
    char path[] = "/tmp/clawrden-test-fd-XXXXXX";
    _cleanup_fd_ int fd = mkostemp(path, O_CLOEXEC);
    char *text = NULL;
    size_t size = 0;

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_free_ char *contents = malloc(sizes[i] + 1);
        assert_non_null(contents);
        memset(contents, 'c', sizes[i]);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, contents, sizes[i], 0), (ssize_t)sizes[i]);

        /* room to spare, and a limit that is met exactly */
        for (size_t spare = 0; spare < 20000; spare += 10000) {
            assert_int_equal(fd_read_file(AT_FDCWD, path, sizes[i] + spare, &text, &size), 0);
            assert_int_equal(size, sizes[i]);
            assert_memory_equal(text, contents, size);
            assert_int_equal(text[size], '\0');
            free(text);
        }
        if (sizes[i] > 0)
            assert_int_equal(fd_read_file(AT_FDCWD, path, sizes[i] - 1, &text, &size), -EFBIG);
    }
    (void)unlink(path);
    assert_int_equal(fd_read_file(AT_FDCWD, path, 10, &text, NULL), -ENOENT);
    assert_int_equal(fd_read_file(AT_FDCWD, "/", 10, &text, NULL), -EISDIR);
    assert_int_equal(fd_read_file(-EBADF, "relative", 10, &text, NULL), -EBADF);
}

typedef struct Pair {
    int ends[2];
} Pair;

static Pair make_pair(int type)
{
    Pair pair;
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.ends), 0);
    return pair;
}

static void pair_done(Pair *pair)
{
    fd_close_many(pair->ends, 2);
}

static void test_pass(void **state)
{
    _cleanup_(pair_done)
    Pair pair = make_pair(SOCK_STREAM);
    _cleanup_(fd_received_done)
    FdReceived received = FD_RECEIVED_EMPTY;
    int fds[FD_MESSAGE_MAX];
    char bytes[8];
    struct stat sent, got;

    (void)state;
    for (size_t i = 0; i < FD_MESSAGE_MAX; i++)
        fds[i] = memfd_create("passed", 0); /* not CLOEXEC here */
    assert_int_equal(fd_send(pair.ends[0], "hi", 2, fds, FD_MESSAGE_MAX, 0), 2);
    assert_int_equal(fd_receive(pair.ends[1], bytes, sizeof bytes, &received, 0), 2);
    assert_int_equal(received.n_fds, FD_MESSAGE_MAX);
    for (size_t i = 0; i < FD_MESSAGE_MAX; i++) {
        assert_int_equal(fstat(fds[i], &sent), 0);
        assert_int_equal(fstat(received.fds[i], &got), 0);
        assert_true(sent.st_ino == got.st_ino);
        assert_true(is_cloexec(received.fds[i]));
    }
    int first = received.fds[0];
    fd_received_done(&received);
    assert_false(is_open(first));
    assert_int_equal(received.n_fds, 0);
    assert_int_equal(fd_send(pair.ends[0], "hi", 2, fds, FD_MESSAGE_MAX + 1, 0), -EINVAL);
    fd_close_many(fds, FD_MESSAGE_MAX);

    assert_int_equal(fd_send(pair.ends[0], "no fds", 6, NULL, 0, 0), 6);
    assert_int_equal(fd_receive(pair.ends[1], bytes, sizeof bytes, &received, 0), 6);
    assert_int_equal(received.n_fds, 0);
    assert_false(received.has_credentials);
    assert_int_equal(fd_receive(pair.ends[1], bytes, 1, &received, MSG_DONTWAIT), -EAGAIN);
    pair.ends[0] = fd_close(pair.ends[0]);
    assert_int_equal(fd_receive(pair.ends[1], bytes, 1, &received, 0), 0);
    assert_int_equal(fd_send(pair.ends[1], "x", 1, NULL, 0, 0), -EPIPE); /* and no SIGPIPE */
}

/* More descriptors than anybody may send: all are closed, the message is refused. */
static void test_too_many(void **state)
{
    _cleanup_(pair_done)
    Pair pair = make_pair(SOCK_STREAM);
    _cleanup_(fd_received_done)
    FdReceived received = FD_RECEIVED_EMPTY;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 20)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int) * 20),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {.iov_base = (char[]){'x'}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int next = null_fd();
    char byte;

    (void)state;
    for (size_t i = 0; i < 20; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &pair.ends[0], sizeof(int));
    assert_int_equal(sendmsg(pair.ends[0], &message, 0), 1);
    (void)fd_close(next);
    assert_int_equal(fd_receive(pair.ends[1], &byte, 1, &received, 0), -EMSGSIZE);
    assert_int_equal(received.n_fds, 0);
    int after = null_fd(); /* the lowest number is free again: none leaked */
    assert_int_equal(after, next);
    (void)fd_close(after);
}

static void test_credentials(void **state)
{
    _cleanup_(pair_done)
    Pair pair = make_pair(SOCK_STREAM);
    _cleanup_(fd_received_done)
    FdReceived received = FD_RECEIVED_EMPTY;
    char byte;
    int one = 1, fd = null_fd();
    bool has_pidfd = setsockopt(pair.ends[1], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof one) == 0;

    (void)state;
    assert_int_equal(setsockopt(pair.ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) /* the writer, not who made the socket */
        _exit(fd_send(pair.ends[0], "x", 1, &fd, 1, 0) == 1 ? 0 : 1);
    assert_int_equal(fd_receive(pair.ends[1], &byte, 1, &received, 0), 1);
    assert_true(received.has_credentials);
    assert_int_equal(received.pid, pid);
    assert_int_equal(received.uid, getuid());
    assert_int_equal(received.gid, getgid());
    assert_int_equal(received.n_fds, 1);
    if (has_pidfd) { /* Linux 6.5 */
        assert_true(received.pidfd >= 0 && is_cloexec(received.pidfd));
        siginfo_t info = {0};
        assert_int_equal(waitid(P_PIDFD, (id_t)received.pidfd, &info, WEXITED), 0);
        assert_int_equal(info.si_pid, pid);
        assert_int_equal(info.si_status, 0);
    } else {
        assert_int_equal(received.pidfd, -EBADF);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    (void)fd_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close),     cmocka_unit_test(test_take),
        cmocka_unit_test(test_flags),     cmocka_unit_test(test_move),
        cmocka_unit_test(test_close_all), cmocka_unit_test(test_write_all),
        cmocka_unit_test(test_read_file), cmocka_unit_test(test_pass),
        cmocka_unit_test(test_too_many),  cmocka_unit_test(test_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
