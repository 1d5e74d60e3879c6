/*
 * Requests that are not as they should be: the bytes, the descriptors, the working directory.
 *
 * Kernel fact: a descriptor of a directory in another mount namespace has no path here (getcwd(2),
 * "(unreachable)").
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/test-driver.h"

static Driver driver;
static uint32_t counter;

static int set_up(void **state UNUSED)
{
    driver_start(&driver, &(ExecutorOptions){.old_kernel = false});
    return 0;
}

static int tear_down(void **state UNUSED)
{
    driver_stop(&driver);
    return 0;
}

#define NEEDS_ROOT()                                                                               \
    do {                                                                                           \
        if (geteuid() != 0) {                                                                      \
            print_message("SKIPPED: needs root\n");                                                \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static const Spec spec_true = {.argv = (const char *const[]){"true", NULL}};

static void assert_refused(const Caller *caller, const Spec *spec, ExecFailure failure,
                           const char *words)
{
    driver_refused(&driver, DRIVER_KEY(++counter), caller, spec, failure, words);
}

/* What goes down the socketpair. */
static void send_broken(const char *bytes, size_t size, const int *fds, size_t n_fds,
                        const char *words)
{
    Caller caller = driver_call(&driver);
    Frame frame;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    driver_open_raw(&driver, DRIVER_KEY(++counter), caller.connection, pair[1]);
    (void)close(pair[1]);
    if (size > 0)
        assert_int_equal(fd_send(pair[0], bytes, size, fds, n_fds, 0), (ssize_t)size);
    (void)shutdown(pair[0], SHUT_WR);
    assert_words(driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_BROKEN, &frame), words);
    (void)close(pair[0]);
    caller_end(&caller);
}

static void test_broken_requests(void **state UNUSED)
{
    size_t size;
    int fds[8];
    _cleanup_free_ char *bytes = driver_encode(&spec_true, &size);
    size_t n_fds = driver_fds(&spec_true, fds);

    send_broken(NULL, 0, NULL, 0, "ended early");
    send_broken(bytes, 1, fds, n_fds, "ended early");
    send_broken(bytes, sizeof(ShimHeader), fds, n_fds, "ended early");
    send_broken(bytes, size - 1, fds, n_fds, "ended early");
    send_broken(bytes, size, fds, n_fds - 1, "descriptors");
    send_broken(bytes, size, NULL, 0, "descriptors");
    fds[4] = dup(fds[0]);
    send_broken(bytes, size, fds, n_fds + 1, "descriptors");

    char *longer = calloc(1, size + 1);
    memcpy(longer, bytes, size);
    send_broken(longer, size + 1, fds, n_fds, "more bytes");
    longer[0] ^= 1;
    send_broken(longer, size, fds, n_fds, "not a shim's request");
    longer[0] ^= 1;
    ((ShimHeader *)longer)->argc = htole32(2);
    send_broken(longer, size, fds, n_fds, "strings");
    ((ShimHeader *)longer)->argv_size = htole32(UINT32_MAX);
    send_broken(longer, size, fds, n_fds, "too long");
    free(longer);
    fd_close_many(fds, n_fds + 1);
}

/* One byte at a time works; descriptors that come with a later byte do not. */
static void send_slowly(bool stray)
{
    Caller caller = driver_call(&driver);
    Frame frame;
    int pair[2], fds[4];
    size_t size;
    _cleanup_free_ char *bytes = driver_encode(&spec_true, &size);
    size_t n_fds = driver_fds(&spec_true, fds);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    driver_open_raw(&driver, DRIVER_KEY(++counter), caller.connection, pair[1]);
    (void)close(pair[1]);
    for (size_t i = 0; i < size; i++) {
        bool with = i == 0 || (stray && i == 20);
        if (fd_send(pair[0], bytes + i, 1, fds, with ? n_fds : 0, 0) != 1)
            break;
        if (i < 30)
            (void)usleep(1000);
    }
    if (stray)
        assert_words(driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_BROKEN, &frame),
                     "stray");
    else
        (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_send(driver.warden, EXEC_DROP, DRIVER_KEY(counter), NULL, 0, NULL, 0);
    fd_close_many(fds, n_fds);
    (void)close(pair[0]);
    caller_end(&caller);
}

static void test_slow_requests(void **state UNUSED)
{
    send_slowly(false);
    send_slowly(true);
}

/* The working directory. */
static void test_bad_directories(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    const char *gone = in_directory(&driver, "gone");

    int file = open("/etc/passwd", O_PATH | O_CLOEXEC);
    Spec spec = {.argv = spec_true.argv, .cwd_fd = file};
    assert_refused(&caller, &spec, EXEC_FAILURE_CWD, "not a directory");
    (void)close(file);

    assert_int_equal(mkdir(gone, 0755), 0);
    spec.cwd_fd = open(gone, O_PATH | O_CLOEXEC);
    assert_int_equal(rmdir(gone), 0);
    assert_refused(&caller, &spec, EXEC_FAILURE_CWD, "deleted");
    (void)close(spec.cwd_fd);
    caller_end(&caller);
}

static void test_forbidden_directory(void **state UNUSED)
{
    const char *secret = in_directory(&driver, "secret");

    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, DRIVER_UID, NULL, NULL);
    assert_int_equal(mkdir(secret, 0700), 0);
    const Spec spec = {.argv = spec_true.argv, .cwd = secret};
    assert_refused(&caller, &spec, EXEC_FAILURE_CWD, "Permission denied");
    caller_end(&caller);
}

/* A directory of another mount namespace, passed by an accomplice; it even has a name that exists
 * here. */
static void test_foreign_directory(void **state UNUSED)
{
    int pair[2];
    char byte = 0;
    FdReceived received;

    NEEDS_ROOT();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", "/mnt", "tmpfs", 0, NULL) < 0 || mkdir("/mnt/usr", 0755) < 0)
            _exit(1);
        int fds[2] = {open("/mnt/usr", O_PATH | O_CLOEXEC), open("/usr", O_PATH | O_CLOEXEC)};
        (void)fd_send(pair[1], &byte, 1, fds, 2, 0);
        (void)pause();
    }
    assert_int_equal(fd_receive(pair[0], &byte, 1, &received, 0), 1);
    assert_int_equal(received.n_fds, 2);
    Caller caller = driver_call(&driver);
    for (size_t i = 0; i < 2; i++) {
        const Spec spec = {.argv = spec_true.argv, .cwd_fd = received.fds[i]};
        assert_refused(&caller, &spec, EXEC_FAILURE_CWD, "outside");
    }
    fd_received_done(&received);
    caller_end(&caller);
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)waitpid(pid, NULL, 0);
    fd_close_many(pair, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_requests),   cmocka_unit_test(test_slow_requests),
        cmocka_unit_test(test_bad_directories),   cmocka_unit_test(test_forbidden_directory),
        cmocka_unit_test(test_foreign_directory),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
