/*
 * One jail, or the door of one that has been taken over, tries to have the executor for itself:
 * commands that do not end, requests that never come, descriptors whose close blocks.
 *
 * Kernel facts: see test-cells.c; a message carries up to 253 descriptors, and those that its
 * receiver has no room for are closed by the receiver's system call (unix(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "exec/test-driver.h"

#define OTHER_DOOR_ID 8u

static Driver driver;
static ExecutorOptions options;
static uint32_t counter;
static int other_door;

#define ARGV(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static const Spec spec_true = {.argv = (const char *const[]){"true", NULL}};
static const Spec spec_sleep = {.argv = (const char *const[]){"sleep", "1000", NULL}};

/* What its caller ignores a command ignores. */
static void ignore_term(void *userdata UNUSED)
{
    (void)signal(SIGTERM, SIG_IGN);
}

static Caller stubborn_caller(void)
{
    return driver_call_as(&driver, geteuid(), ignore_term, NULL);
}

static int set_up(void **state UNUSED)
{
    driver_start(&driver, &options);
    driver_set_commands(&driver, "other", 5);
    other_door = driver_add_door(&driver, "other", OTHER_DOOR_ID);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    driver_stop(&driver);
    (void)close(other_door);
    return 0;
}

static uint64_t start(const Caller *caller, const Spec *spec)
{
    uint64_t key = DRIVER_KEY(++counter);
    Frame frame;

    driver_open(&driver, key, caller->connection, spec);
    (void)driver_prepared(&driver, key, &frame);
    driver_run(&driver, key, spec, NULL);
    driver_started(&driver, key, NULL);
    return key;
}

static void assert_works(const Caller *caller)
{
    Ended ended = driver_command_of(&driver, caller, ++counter, &spec_true, NULL, 0);
    assert_int_equal(ended.kind, 0);
    assert_int_equal(ended.value, 0);
}

static void assert_at_its_limit(const Caller *caller)
{
    driver_refused(&driver, DRIVER_KEY(++counter), caller, &spec_true, EXEC_FAILURE_BROKEN,
                   "limit \"commands\"");
}

/* A whole command of the other jail. */
static void assert_other_works(const Caller *caller)
{
    int own_door = driver.door;
    uint64_t key = MESSAGE_KEY(OTHER_DOOR_ID, ++counter);
    Frame frame;

    driver.door = other_door;
    driver_open(&driver, key, caller->connection, &spec_true);
    driver.door = own_door;
    (void)driver_prepared(&driver, key, &frame);
    driver_run(&driver, key, &spec_true, NULL);
    driver_started(&driver, key, NULL);
    assert_int_equal(driver_ended(&driver, key).value, 0);
}

static void test_a_share_is_all_there_is(void **state UNUSED)
{
    Caller caller = stubborn_caller();
    uint64_t keys[4];

    driver_set_commands(&driver, "test", ARRAY_SIZE(keys));
    driver_settle(&driver);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        keys[i] = start(&caller, &spec_sleep);
    for (size_t i = 0; i < 50; i++)
        assert_at_its_limit(&caller);
    assert_other_works(&caller);

    driver_end(&driver, keys[0], 0);
    assert_int_equal(driver_ended(&driver, keys[0]).value, SIGKILL);
    assert_works(&caller);
    driver_set_commands(&driver, "test", ARRAY_SIZE(keys) + 1);
    driver_settle(&driver);
    keys[0] = start(&caller, &spec_sleep);
    assert_works(&caller);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        driver_end(&driver, keys[i], 0);
        (void)driver_ended(&driver, keys[i]);
    }
    caller_end(&caller);
}

/* Commands whose caller has left and that ignore TERM make room at once. */
static void test_who_lingers_makes_room(void **state UNUSED)
{
    Caller caller = stubborn_caller();
    uint64_t keys[3];

    driver_set_commands(&driver, "test", ARRAY_SIZE(keys));
    driver_settle(&driver);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        keys[i] = start(&caller, &spec_sleep);
    driver_end(&driver, keys[0], 3600 * 1000);
    driver_end(&driver, keys[1], 3600 * 1000);
    assert_false(driver_has_frame(driver.warden, 500)); /* TERM does nothing to them */

    uint64_t next = DRIVER_KEY(++counter);
    driver_open(&driver, next, caller.connection, &spec_true);
    bool prepared = false, ended[2] = {false, false};
    while (!prepared || !ended[0] || !ended[1]) {
        Frame frame;
        driver_read(driver.warden, &frame);
        if (frame.type == EXEC_PREPARED && frame.key == next)
            prepared = true;
        else if (frame.type == EXEC_ENDED && (frame.key == keys[0] || frame.key == keys[1]))
            ended[frame.key == keys[1]] = true;
        else
            assert_int_equal(frame.type, EXEC_EXITED); /* before EXEC_ENDED, with its child */
    }
    driver_run(&driver, next, &spec_true, NULL);
    driver_started(&driver, next, NULL);
    assert_int_equal(driver_ended(&driver, next).value, 0);
    /* Whose caller is there is not touched. */
    driver_end(&driver, keys[2], 0);
    assert_int_equal(driver_ended(&driver, keys[2]).value, SIGKILL);
    caller_end(&caller);
}

static void test_what_lingers_behind_makes_room(void **state UNUSED)
{
    const Spec spec = {.argv = ARGV("sh", "-c", "sleep 1000 & true")};
    Caller caller = stubborn_caller();
    Frame frame;

    driver_set_commands(&driver, "test", 1);
    driver_settle(&driver);
    uint64_t key = start(&caller, &spec);
    driver_expect(&driver, EXEC_EXITED, key, &frame);
    uint64_t next = DRIVER_KEY(++counter);
    driver_open(&driver, next, caller.connection, &spec_true);
    bool prepared = false, ended = false;
    while (!prepared || !ended) {
        driver_read(driver.warden, &frame);
        prepared = prepared || (frame.type == EXEC_PREPARED && frame.key == next);
        ended = ended || (frame.type == EXEC_ENDED && frame.key == key);
    }
    driver_send(driver.warden, EXEC_DROP, next, NULL, 0, NULL, 0);
    caller_end(&caller);
}

/* Of the executor. Other descriptors come and go with the pool of cgroups. */
static size_t count_sockets(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 4096; fd++) {
        char name[96], target[64];
        (void)snprintf(name, sizeof name, "/proc/%d/fd/%d", driver.executor, fd);
        ssize_t size = readlink(name, target, sizeof target);
        n += size > 8 && memcmp(target, "socket:[", 8) == 0;
    }
    return n;
}

/* Polls, as what it waits for happens in processes that nobody reports on. */
static void expect_sockets(size_t most)
{
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;

    while (count_sockets() > most && clock_monotonic_ms() < end)
        (void)usleep(10000);
    assert_true(count_sockets() <= most);
}

/* A door that opens requests and never sends any. */
static void test_requests_that_never_come(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    int streams[6], pair[2];
    Frame frame;

    driver_set_commands(&driver, "test", ARRAY_SIZE(streams));
    driver_settle(&driver);
    assert_works(&caller);
    size_t before = count_sockets();
    uint32_t first = counter + 1;
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        driver_open_raw(&driver, DRIVER_KEY(++counter), caller.connection, pair[1]);
        (void)close(pair[1]);
        streams[i] = pair[0];
        if (i % 2) /* half a header */
            assert_int_equal(send(pair[0], "CLAW", 4, 0), 4);
    }
    for (size_t i = 0; i < 20; i++)
        assert_at_its_limit(&caller);
    assert_other_works(&caller);
    bool failed[ARRAY_SIZE(streams)] = {false};
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) { /* in any order */
        driver_read(driver.warden, &frame);
        assert_int_equal(frame.type, EXEC_FAILED);
        assert_words(frame.payload + 5, "not ready");
        assert_true(frame.key >= DRIVER_KEY(first));
        assert_true(frame.key < DRIVER_KEY(first + ARRAY_SIZE(streams)));
        assert_false(failed[frame.key - DRIVER_KEY(first)]);
        failed[frame.key - DRIVER_KEY(first)] = true;
    }
    assert_works(&caller);
    expect_sockets(before + 2); /* a spare's */
    fd_close_many(streams, ARRAY_SIZE(streams));
    caller_end(&caller);
}

/* As many descriptors as the kernel takes, all of them one whose close blocks; ours are closed. */
static void send_blocking(int link, const char *bytes, size_t size, size_t n_fds, int *ret_peer)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FD_KERNEL_MAX)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int) * n_fds),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds)};
    int fd = driver_lingering_socket(ret_peer);

    for (size_t i = 0; i < n_fds; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
    assert_int_equal(sendmsg(link, &message, 0), (ssize_t)size);
    (void)close(fd); /* not the last */
}

static void assert_answers_at_once(void)
{
    uint64_t begun = clock_monotonic_ms();

    driver_settle(&driver);
    assert_true(clock_monotonic_ms() - begun < 15000);
}

static const char open_header[16] = {0, 0, 0, 0, EXEC_OPEN, 0, 2, 0, 0, 0, 0, 0, DRIVER_DOOR_ID};

/* Cuts the driver's link to the executor's door, whichever way, and makes another. */
static void test_descriptors_that_block(void **state UNUSED)
{
    static const struct {
        size_t size, n_fds;
        bool hang_up;
    } cases[] = {
        {1, FD_KERNEL_MAX, false},  /* more than a message may carry */
        {1, 2, true},               /* for a frame that does not come */
        {16, 1, false},             /* fewer than its frame announces */
        {16, 8, true},              /* and more */
        {15, FD_MESSAGE_MAX, true}, /* a frame that lacks a byte */
    };
    Caller caller = driver_call(&driver);
    uint32_t id = 100;

    size_t before = count_sockets();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int peer = -EBADF, door = driver_add_door(&driver, "test", ++id);
        send_blocking(door, open_header, cases[i].size, cases[i].n_fds, &peer);
        if (cases[i].hang_up)
            (void)shutdown(door, SHUT_WR);
        assert_true(driver_has_frame(door, DRIVER_TIMEOUT_MS)); /* the link is cut */
        assert_answers_at_once();
        (void)close(door);
        assert_other_works(&caller);
        (void)close(peer);
    }
    expect_sockets(before + 2);
    assert_works(&caller);
    caller_end(&caller);
}

/* In the link's queue, unread, when the executor ends: nothing that runs is spared for it. */
static void test_the_end_does_not_wait_for_a_door(void **state UNUSED)
{
    Caller caller = stubborn_caller();
    Frame frame;
    int peer = -EBADF, status = 0;
    uint64_t key = DRIVER_KEY(++counter);

    driver_open(&driver, key, caller.connection, &spec_sleep);
    (void)driver_prepared(&driver, key, &frame);
    driver_run(&driver, key, &spec_sleep, NULL);
    pid_t pid = 0;
    driver_started(&driver, key, &pid);
    send_blocking(driver.door, open_header, 15, 2, &peer);
    assert_answers_at_once();
    uint64_t begun = clock_monotonic_ms();
    driver_send(driver.control, MESSAGE_STOP, 0, NULL, 0, NULL, 0);
    assert_int_equal(waitpid(driver.executor, &status, 0), driver.executor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(clock_monotonic_ms() - begun < 30000);
    assert_false(process_exists(pid));
    caller_end(&caller);
    (void)close(peer);
    (void)close(other_door);
    driver_clean(&driver);
    (void)set_up(NULL);
}

/* Refusals cost a process each: as many at once as the share has room for, and no more. */
static void test_a_flood_of_refusals(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    int pair[2];
    Frame frame;

    driver_set_commands(&driver, "test", 1);
    driver_settle(&driver);
    size_t before = count_sockets();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    uint32_t first = counter + 1;
    for (size_t i = 0; i < 200; i++) /* not a jail's connection */
        driver_open_raw(&driver, DRIVER_KEY(++counter), pair[0], pair[1]);
    for (uint32_t n = first; n < first + 200; n++) {
        (void)driver_failed(&driver, DRIVER_KEY(n), EXEC_FAILURE_IDENTITY, &frame);
        assert_true(count_sockets() < before + 5 * 4); /* a few cells, and what is being read */
    }
    assert_other_works(&caller);
    assert_works(&caller);
    fd_close_many(pair, 2);
    caller_end(&caller);
}

/* A link for a jail that nothing was said about breaks the parent's own protocol. */
static void test_unknown_jails(void **state UNUSED)
{
    int link[2], status = 0;
    Buffer payload = BUFFER_EMPTY(1024);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link), 0);
    buffer_put_u8(&payload, LINK_ROLE_DOOR);
    buffer_put_u32(&payload, 99);
    buffer_put_string(&payload, "nobody's");
    buffer_put_string(&payload, driver.socket);
    driver_send(driver.control, MESSAGE_LINK, 0, payload.bytes, payload.size, &link[1], 1);
    buffer_done(&payload);
    assert_int_equal(waitpid(driver.executor, &status, 0), driver.executor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    fd_close_many(link, 2);
    (void)close(other_door);
    driver_clean(&driver);
    (void)set_up(NULL);
}

static int run_group(const char *name, ExecutorOptions with)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_share_is_all_there_is),
        cmocka_unit_test(test_who_lingers_makes_room),
        cmocka_unit_test(test_what_lingers_behind_makes_room),
        cmocka_unit_test(test_requests_that_never_come),
        cmocka_unit_test(test_descriptors_that_block),
        cmocka_unit_test(test_the_end_does_not_wait_for_a_door),
        cmocka_unit_test(test_a_flood_of_refusals),
        cmocka_unit_test(test_unknown_jails),
    };
    options = with;
    if (getenv("CMOCKA_TEST_FILTER"))
        cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return _cmocka_run_group_tests(name, tests, ARRAY_SIZE(tests), set_up, tear_down);
}

int main(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    int failed = run_group("cgroups", (ExecutorOptions){.old_kernel = false});
    return failed + run_group("supervisors", (ExecutorOptions){.no_cgroup = true});
}
