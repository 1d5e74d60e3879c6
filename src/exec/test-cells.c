/*
 * Where a request's processes live, when that is difficult: cgroups that do not behave, supervisors
 * that are killed, descriptors that block whoever closes them.
 *
 * Kernel facts: a child forked into a cgroup dies at once when that cgroup and the forker's have
 * been killed a different number of times (6.18 and stable series of 2025; older kernels pass these
 * tests too); close(2) of a TCP socket with SO_LINGER waits for what is unsent, also for a
 * non-blocking one, but not in an exiting process; a message's descriptors are closed by whoever
 * closes the socket that holds it last.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "exec/cgroup.h"
#include "exec/descendants.h"
#include "exec/test-driver.h"

static Driver driver;
static uint32_t counter;

#define ARGV(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void write_to(const char *directory, const char *name, const char *text)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

/* A cgroup of our own below ours; false where there can be none. */
static bool make_cgroup(char directory[static PATH_MAX])
{
    _cleanup_free_ char *cgroups = NULL, *mountinfo = NULL;
    char parent[PATH_MAX];

    if (geteuid() != 0 || fd_read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &cgroups, NULL) < 0 ||
        fd_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &mountinfo, NULL) < 0)
        return false;
    const char *own = cgroup_path_in(cgroups);
    if (!own || cgroup_find_directory(mountinfo, own, parent, sizeof parent) < 0)
        return false;
    (void)snprintf(directory, PATH_MAX, "%.*s/exec-test-%d", PATH_MAX - 64, parent, getpid());
    return mkdir(directory, 0755) == 0;
}

#define NEEDS_CGROUP(directory)                                                                    \
    do {                                                                                           \
        if (!make_cgroup(directory)) {                                                             \
            print_message("SKIPPED: needs root and cgroup2\n");                                    \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void remove_cgroup(const char *directory)
{
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
    while (rmdir(directory) < 0 && errno == EBUSY && clock_monotonic_ms() < end)
        (void)usleep(1000);
    assert_int_equal(access(directory, F_OK), -1);
}

/* Commands run, are in a cgroup with this in its path, and end as they should. */
static void assert_works(const char *where)
{
    char output[1024];
    const Spec spec = {.argv = ARGV("cat", "/proc/self/cgroup")};

    for (unsigned i = 0; i < 3; i++) {
        Ended ended = driver_command(&driver, ++counter, &spec, output, sizeof output);
        assert_int_equal(ended.kind, 0);
        assert_int_equal(ended.value, 0);
        const char *line = strstr(output, "0::");
        assert_non_null(line);
        assert_non_null(strstr(line, where));
        assert_non_null(strstr(line, "/clawrden-"));
    }
    Caller caller = driver_call(&driver);
    const Spec deaf = {.argv = ARGV("sh", "-c", "trap '' TERM; (setsid sleep 100 &) ; sleep 100")};
    Frame frame;
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &deaf);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_run(&driver, DRIVER_KEY(counter), &deaf, NULL);
    driver_started(&driver, DRIVER_KEY(counter), NULL);
    driver_end(&driver, DRIVER_KEY(counter), 0);
    assert_int_equal(driver_ended(&driver, DRIVER_KEY(counter)).value, SIGKILL);
    caller_end(&caller);
}

static void test_cgroup_that_was_killed(void **state UNUSED)
{
    char directory[PATH_MAX];

    NEEDS_CGROUP(directory);
    write_to(directory, "cgroup.kill", "1");
    driver_start_in(&driver, &(ExecutorOptions){.no_cgroup = false}, directory);
    assert_works(strrchr(directory, '/'));
    driver_stop(&driver);
    remove_cgroup(directory);
}

static void test_cgroup_without_children(void **state UNUSED)
{
    char directory[PATH_MAX];

    NEEDS_CGROUP(directory);
    write_to(directory, "cgroup.max.descendants", "0");
    driver_start_in(&driver, &(ExecutorOptions){.no_cgroup = false}, directory);
    assert_works("0::");
    driver_stop(&driver);
    remove_cgroup(directory);
}

/* Dead executors' trees go with the next start, whatever their run directory. */
static void test_dead_trees(void **state UNUSED)
{
    char directory[PATH_MAX], command[PATH_MAX + 64];

    NEEDS_CGROUP(directory);
    driver_start_in(&driver, &(ExecutorOptions){.no_cgroup = false}, directory);
    assert_true(driver.executor > 1);
    assert_int_equal(kill(driver.executor, SIGKILL), 0);
    assert_int_equal(waitpid(driver.executor, NULL, 0), driver.executor);
    driver_clean(&driver);
    (void)snprintf(command, sizeof command, "[ $(ls -d %s/clawrden-* | wc -l) = 1 ]", directory);
    assert_int_equal(system(command), 0);
    driver_start_in(&driver, &(ExecutorOptions){.no_cgroup = false}, directory);
    assert_int_equal(system(command), 0);
    driver_stop(&driver);
    remove_cgroup(directory);
}

/* A container's requests get leaves beneath its own cgroup, and it is given back as it was. */
static void test_tree_beneath(void **state UNUSED)
{
    char directory[PATH_MAX], path[PATH_MAX], where[64];
    _cleanup_free_ char *cgroups = NULL, *text = NULL;
    CgroupTree *own = NULL, *tree = NULL;
    CgroupLeaf *leaf = NULL;
    PidRef child = PIDREF_EMPTY;

    NEEDS_CGROUP(directory);
    assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &cgroups, NULL), 0);
    const char *parent = cgroup_path_in(cgroups);
    (void)snprintf(path, sizeof path, "%.*s%s", PATH_MAX - 64, parent[1] ? parent : "",
                   strrchr(directory, '/'));
    assert_int_equal(cgroup_tree_new(&own, "/nowhere"), 0);
    assert_int_equal(cgroup_tree_beneath(&tree, own, directory, path), 0);
    assert_int_equal(cgroup_leaf_take(tree, &leaf), 0);
    int result = cgroup_leaf_fork(leaf, &child);
    if (result == 0) {
        for (;;)
            (void)pause();
    }
    assert_int_equal(result, 1);
    (void)snprintf(where, sizeof where, "/proc/%d/cgroup", child.pid);
    assert_int_equal(fd_read_file(AT_FDCWD, where, 65536, &text, NULL), 0);
    assert_int_equal(strncmp(cgroup_path_in(text), path, strlen(path)), 0);
    assert_true(cgroup_tree_has(tree, cgroup_path_in(text)));
    assert_int_equal(cgroup_leaf_signal(leaf, SIGKILL), 1);
    assert_int_equal(waitid(P_PIDFD, (id_t)child.pidfd, &(siginfo_t){.si_pid = 0}, WEXITED), 0);
    pidref_done(&child);
    cgroup_leaf_release(leaf);
    assert_null(cgroup_tree_free(tree, 0));
    assert_null(cgroup_tree_free(own, 1000));
    remove_cgroup(directory);
}

/* Two executors with one cgroup leave each other's trees alone. */
static void test_two_executors(void **state UNUSED)
{
    static Driver other;

    driver_start(&driver, &(ExecutorOptions){.no_cgroup = false});
    driver_start(&other, &(ExecutorOptions){.no_cgroup = false});
    for (unsigned i = 0; i < 5; i++) {
        const Spec spec = {.argv = ARGV("true")};
        assert_int_equal(driver_command(&driver, ++counter, &spec, NULL, 0).value, 0);
        assert_int_equal(driver_command(&other, ++counter, &spec, NULL, 0).value, 0);
    }
    driver_stop(&other);
    assert_int_equal(
        driver_command(&driver, ++counter, &(Spec){.argv = ARGV("true")}, NULL, 0).value, 0);
    driver_stop(&driver);
}

static pid_t pid_in(const char *path)
{
    char text[32] = "";
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;

    while (strlen(text) == 0 && clock_monotonic_ms() < end) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        if (size <= 0 || text[size - 1] != '\n')
            text[0] = '\0';
        fd_close(fd);
        (void)usleep(1000);
    }
    return (pid_t)strtol(text, NULL, 10);
}

/* A supervisor that runs as the caller's own user can be killed by it: its orphans become the
 * executor's, which ends them. */
static void test_killed_supervisor(void **state UNUSED)
{
    char text[512];
    Frame frame;
    pid_t pid = 0;

    driver_start(&driver, &(ExecutorOptions){.no_cgroup = true});
    Caller caller = driver_call(&driver);
    (void)snprintf(
        text, sizeof text,
        "(setsid sh -c 'trap \"\" TERM HUP; echo $$ > %s; while :; do sleep 1; done' &); "
        "sleep 100",
        in_directory(&driver, "daemon"));
    const Spec spec = {.argv = ARGV("sh", "-c", text)};
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_run(&driver, DRIVER_KEY(counter), &spec, NULL);
    driver_started(&driver, DRIVER_KEY(counter), &pid);
    pid_t daemon = pid_in(in_directory(&driver, "daemon"));
    assert_true(daemon > 1);
    pid_t supervisor = descendants_parent_of(pid);
    assert_true(supervisor > 1);
    assert_int_not_equal(supervisor, driver.executor);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    Ended ended = driver_ended(&driver, DRIVER_KEY(counter));
    assert_int_equal(ended.kind, 1);
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
    while ((process_exists(pid) || process_exists(daemon)) && clock_monotonic_ms() < end)
        (void)usleep(1000);
    assert_false(process_exists(pid));
    assert_false(process_exists(daemon));
    caller_end(&caller);
    driver_stop(&driver);
}

static void assert_answers_at_once(void)
{
    uint64_t begun = clock_monotonic_ms();

    driver_settle(&driver);
    assert_true(clock_monotonic_ms() - begun < 15000);
}

/* Hidden in the queue of what the door hands over, as the only copy left. */
static void test_blocking_close(void **state UNUSED)
{
    Frame frame;
    int pair[2], stream[2], peer, fds[2];

    driver_start(&driver, &(ExecutorOptions){.no_cgroup = false});
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
        fds[0] = driver_lingering_socket(&peer);
        assert_int_equal(fd_send(i == 1 ? stream[0] : pair[0], "x", 1, fds, 1, 0), 1);
        (void)close(fds[0]);
        fds[0] = pair[1];
        fds[1] = stream[1];
        if (i == 2) { /* not a breach of the content, but of the table */
            driver_send(driver.door, EXEC_OPEN, MESSAGE_KEY(DRIVER_DOOR_ID + 1, 1), NULL, 0, fds,
                        2);
        } else {
            driver_send(driver.door, EXEC_OPEN, DRIVER_KEY(++counter), NULL, 0, fds, 2);
        }
        fd_close_many(fds, 2);
        (void)close(pair[0]);
        (void)close(stream[0]);
        if (i < 2)
            (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_IDENTITY, &frame);
        assert_answers_at_once();
        (void)close(peer);
    }
    driver_stop(&driver);

    /* In a request that is let in, whose runner then finds it broken. */
    driver_start(&driver, &(ExecutorOptions){.no_cgroup = false});
    Caller caller = driver_call(&driver);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
    fds[0] = driver_lingering_socket(&peer);
    assert_int_equal(fd_send(stream[0], "x", 1, fds, 1, 0), 1);
    (void)close(fds[0]);
    driver_open_raw(&driver, DRIVER_KEY(++counter), caller.connection, stream[1]);
    fd_close_many(stream, 2);
    (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_BROKEN, &frame);
    assert_answers_at_once();
    (void)close(peer);
    caller_end(&caller);
    driver_stop(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cgroup_that_was_killed),
        cmocka_unit_test(test_cgroup_without_children),
        cmocka_unit_test(test_dead_trees),
        cmocka_unit_test(test_tree_beneath),
        cmocka_unit_test(test_two_executors),
        cmocka_unit_test(test_killed_supervisor),
        cmocka_unit_test(test_blocking_close),
    };
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    if (getenv("CMOCKA_TEST_FILTER"))
        cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
