/*
 * What is found out when a human will be asked: which arguments are paths beneath the working
 * directory, and where the prisoner's process tree begins.
 *
 * Kernel facts: openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS (ELOOP at a link wherever it
 * stands, EXDEV at a step outside); /proc/PID/root and the like are magic links; an orphan's parent
 * is the nearest subreaper.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec/ancestry.h"
#include "exec/beneath.h"
#include "exec/identity.h"
#include "exec/test-driver.h"

static Driver driver;
static uint32_t counter;
static char place[64], work[96];
static int work_fd;

#define NEEDS_ROOT()                                                                               \
    do {                                                                                           \
        if (geteuid() != 0) {                                                                      \
            print_message("SKIPPED: needs root\n");                                                \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void make_link(const char *target, const char *name)
{
    assert_int_equal(symlinkat(target, work_fd, name), 0);
}

static void make_file(const char *name)
{
    int fd = openat(work_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    (void)close(fd);
}

/* PLACE/outside, PLACE/work-other and PLACE/work with all sorts of things in it. */
static void make_place(void)
{
    char path[160];

    (void)snprintf(place, sizeof place, "/tmp/clawrden-examine-XXXXXX");
    assert_non_null(mkdtemp(place));
    assert_int_equal(chmod(place, 0755), 0);
    (void)snprintf(work, sizeof work, "%s/work", place);
    assert_int_equal(mkdir(work, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/work-other", place);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/outside", place);
    write_text(path, "", 0644);
    work_fd = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(work_fd >= 0);
    assert_int_equal(mkdirat(work_fd, "sub", 0755), 0);
    assert_int_equal(mkdirat(work_fd, "sub/deeper", 0755), 0);
    make_file("file");
    make_file("sub/file");
    assert_int_equal(mkfifoat(work_fd, "fifo", 0644), 0);
    make_link("file", "link");
    make_link("sub", "link-to-sub");
    make_link("nowhere", "dangling");
    make_link("../outside", "link-out");
    make_link("/", "link-to-root");
    make_link("..", "link-up");
    make_link("loop", "loop");
    make_link("../../outside", "sub/link-out");
}

static bool is_beneath(const char *argument)
{
    uint8_t bits[EXAMINED_ARGUMENTS_MAX / 8];

    beneath_find(work_fd, work, &argument, 1, bits);
    for (size_t i = 1; i < sizeof bits; i++)
        assert_int_equal(bits[i], 0);
    assert_true(bits[0] <= 1);
    return bits[0] == 1;
}

static void test_beneath(void **state UNUSED)
{
    static const char *const yes[] = {
        "file", "./file",       "sub",          "sub/",        "sub/deeper/../file",
        "fifo", "sub//file",    "sub/./deeper", "new",         "sub/new",
        "new/", "sub/deeper/x", "sub/../new",   "sub/../file", "...",
        "..x",  "a b",          "./new",        "./-f",        "x=y",
    };

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!is_beneath(yes[i]))
            print_message("is beneath: %s\n", yes[i]);
        assert_true(is_beneath(yes[i]));
    }
}

static void test_not_beneath(void **state UNUSED)
{
    static const char *const no[] = {
        "",
        "-",
        "-f",
        "--file=file",
        /* the directory itself */
        ".",
        "./",
        "././.",
        "sub/..",
        "sub/deeper/../..",
        /* up */
        "..",
        "../",
        "../outside",
        "../work/file",
        "../work",
        "sub/../../outside",
        "sub/../../work/file",
        "../new",
        "sub/../../new",
        /* links */
        "link",
        "./link",
        "dangling",
        "link-out",
        "link-to-sub",
        "link-to-sub/",
        "link-to-sub/file",
        "link-to-sub/new",
        "link-to-sub/../file",
        "link-to-root/etc/passwd",
        "link-to-root/new",
        "link-up/outside",
        "link-up/new",
        "loop",
        "loop/x",
        "sub/link-out",
        /* names that could not be made */
        "missing/new",
        "missing/..",
        "missing/.",
        "missing/../file",
        "sub/missing/..",
        "file/new",
        "file/",
        "file/..",
        /* elsewhere */
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "/new",
        "/proc/self/cwd/file",
        "/proc/self/root/etc/passwd",
    };

    for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
        if (is_beneath(no[i]))
            print_message("is not beneath: %s\n", no[i]);
        assert_false(is_beneath(no[i]));
    }
}

static bool is_beneath_at(const char *format)
{
    char path[PATH_MAX];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(path, sizeof path, format, work);
#pragma GCC diagnostic pop
    return is_beneath(path);
}

static void test_absolute(void **state UNUSED)
{
    assert_true(is_beneath_at("%s/file"));
    assert_true(is_beneath_at("%s/sub/new"));
    assert_true(is_beneath_at("%s//sub///file"));
    assert_true(is_beneath_at("%s/sub/../file"));
    assert_false(is_beneath_at("%s"));
    assert_false(is_beneath_at("%s/"));
    assert_false(is_beneath_at("%s//"));
    assert_false(is_beneath_at("%s/."));
    assert_false(is_beneath_at("%s-other"));
    assert_false(is_beneath_at("%s-other/new"));
    assert_false(is_beneath_at("%s/../outside"));
    assert_false(is_beneath_at("%s/../work/file"));
    assert_false(is_beneath_at("%s/link"));
    assert_false(is_beneath_at("%s/link-to-sub/file"));
    assert_false(is_beneath_at("/%s/file"));
    assert_false(is_beneath_at("/.%s/file"));
}

/* The directory is the root of everything, or has been opened by way of a link: its own name
 * counts. */
static void test_root_directory(void **state UNUSED)
{
    uint8_t bits[EXAMINED_ARGUMENTS_MAX / 8];
    const char *const argv[] = {"/etc/passwd", "etc/passwd", "/", "//etc/passwd",
                                "/proc/self/root"};
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    beneath_find(root, "/", argv, ARRAY_SIZE(argv), bits);
    assert_int_equal(bits[0], 0x0b);
    (void)close(root);
}

/* Magic links lead anywhere without a name on the way. */
static void test_magic_links(void **state UNUSED)
{
    uint8_t bits[EXAMINED_ARGUMENTS_MAX / 8];
    const char *const argv[] = {"root/etc/passwd", "cwd", "cwd/x", "fd/0", "exe", "status", "task"};
    int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[64];

    (void)snprintf(name, sizeof name, "/proc/%d", getpid());
    beneath_find(proc, name, argv, ARRAY_SIZE(argv), bits);
    assert_int_equal(bits[0], 0x60);
    (void)close(proc);
}

static void test_long_names(void **state UNUSED)
{
    char name[2 * PATH_MAX];

    memset(name, 'x', sizeof name);
    name[NAME_MAX] = '\0';
    assert_true(is_beneath(name));
    name[NAME_MAX] = 'x';
    name[NAME_MAX + 1] = '\0';
    assert_false(is_beneath(name));
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 2 ? '/' : '.';
    memcpy(name + PATH_MAX - 6, "/file", 6);
    assert_true(is_beneath(name));
    name[PATH_MAX - 1] = '/';
    name[PATH_MAX] = '\0';
    assert_false(is_beneath(name));
    name[PATH_MAX] = '.';
    name[sizeof name - 1] = '\0';
    assert_false(is_beneath(name));
}

static void test_many_arguments(void **state UNUSED)
{
    uint8_t bits[EXAMINED_ARGUMENTS_MAX / 8];
    const char *argv[EXAMINED_ARGUMENTS_MAX + 1];

    for (size_t i = 0; i <= EXAMINED_ARGUMENTS_MAX; i++)
        argv[i] = i % 3 ? ".." : "file";
    beneath_find(work_fd, work, argv, EXAMINED_ARGUMENTS_MAX, bits);
    for (size_t i = 0; i < EXAMINED_ARGUMENTS_MAX; i++)
        assert_int_equal(bits[i / 8] >> (i % 8) & 1, i % 3 == 0);
    beneath_find(work_fd, work, argv, EXAMINED_ARGUMENTS_MAX + 1, bits);
    for (size_t i = 0; i < sizeof bits; i++)
        assert_int_equal(bits[i], 0);
}

/* A file that its caller may not see is not beneath, whoever else may. */
static void test_as_the_caller(void **state UNUSED)
{
    const Spec spec = {.argv = (const char *const[]){"ls", "file", "secret/file", "secret", "..",
                                                     "link", "new", "-l", NULL},
                       .cwd = work};
    Frame frame;

    NEEDS_ROOT();
    assert_int_equal(mkdirat(work_fd, "secret", 0700), 0);
    make_file("secret/file");
    Caller caller = driver_call_as(&driver, DRIVER_UID, NULL, NULL);
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    Examined examined = driver_examine(&driver, DRIVER_KEY(counter));
    assert_int_equal(examined.beneath[0], 0x4b); /* "ls" could be made here */
    assert_int_equal(examined.beneath[1], 0);
    assert_int_equal(examined.root_pid, caller.pid);
    assert_true(examined.root_start_time > 0);
    caller_end(&caller);
}

/* The tree. */
static uint64_t start_time_of(pid_t pid)
{
    _cleanup_(pidref_done)
    PidRef process = PIDREF_EMPTY;
    Identity identity;
    World world;

    assert_int_equal(pidref_open(pid, &process), 0);
    assert_int_equal(identity_read(&process, &identity, &world), 0);
    return identity.start_time;
}

/* A line of processes, each the child of the one before, who run as `uids`. Each reports itself and
 * then lives until the other end of `keep_fd` is closed; the first of an orphaned line ends. */
static _Noreturn void be_a_line(const uid_t *uids, size_t n, int report_fd, int keep_fd,
                                bool orphan)
{
    char byte;

    for (size_t i = 0;; i++) {
        if (setresuid(uids[i], uids[i], uids[i]) < 0)
            _exit(1);
        if (i + 1 == n)
            break;
        if (fork() == 0)
            continue;
        if (i == 0 && orphan)
            _exit(0);
        break;
    }
    pid_t pid = getpid();
    if (write(report_fd, &pid, sizeof pid) != sizeof pid || read(keep_fd, &byte, 1) != 0)
        _exit(1);
    while (waitpid(-1, NULL, 0) > 0) {
    }
    _exit(0);
}

static int grow_line(const uid_t *uids, size_t n, pid_t *ret_pids, bool orphan)
{
    int report[2], keep[2];

    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    assert_int_equal(pipe2(keep, O_CLOEXEC), 0);
    (void)fflush(NULL);
    ret_pids[0] = fork();
    if (ret_pids[0] == 0) {
        (void)close(keep[1]);
        be_a_line(uids, n, report[1], keep[0], orphan);
    }
    (void)close(keep[0]);
    for (size_t i = orphan ? 1 : 0; i < n; i++)
        assert_int_equal(read(report[0], &ret_pids[i], sizeof ret_pids[i]), sizeof ret_pids[i]);
    fd_close_many(report, 2);
    return keep[1];
}

/* Ends all of them, and reaps those that are ours. */
static void cut_line(int keep_fd, const pid_t *pids, size_t n)
{
    (void)close(keep_fd);
    for (size_t i = 0; i < n; i++)
        (void)waitpid(pids[i], NULL, 0);
}

static int compare_pids(const void *a, const void *b)
{
    return *(const pid_t *)a - *(const pid_t *)b;
}

static void test_root_process(void **state UNUSED)
{
    const uid_t uids[] = {0, DRIVER_UID, DRIVER_UID, DRIVER_UID};
    pid_t pids[4] = {0};

    NEEDS_ROOT();
    int keep = grow_line(uids, 4, pids, false);
    qsort(pids, 4, sizeof *pids, compare_pids); /* they report in any order */
    Ancestor root = ancestry_root(pids[3], start_time_of(pids[3]), DRIVER_UID);
    assert_int_equal(root.pid, pids[1]);
    assert_true(root.start_time == start_time_of(pids[1]));
    root = ancestry_root(pids[1], start_time_of(pids[1]), DRIVER_UID);
    assert_int_equal(root.pid, pids[1]);

    /* Another process of that number, or none. */
    assert_int_equal(ancestry_root(pids[3], start_time_of(pids[3]) + 1, DRIVER_UID).pid, 0);
    cut_line(keep, pids, 4);
    assert_int_equal(ancestry_root(pids[3], 1, DRIVER_UID).pid, 0);
    assert_int_equal(ancestry_root(0, 0, 0).pid, 0);
    assert_int_equal(ancestry_root(-1, 0, 0).pid, 0);
}

/* Another user in between is not passed: above it anybody's processes may be. */
static void test_a_user_in_between(void **state UNUSED)
{
    const uid_t uids[] = {0, 0, DRIVER_UID};
    pid_t pids[3] = {0};

    NEEDS_ROOT();
    int keep = grow_line(uids, 3, pids, false);
    qsort(pids, 3, sizeof *pids, compare_pids);
    assert_int_equal(ancestry_root(pids[2], start_time_of(pids[2]), DRIVER_UID).pid, pids[2]);
    /* One of root's leads on to whoever started the test; never to nobody. */
    assert_true(ancestry_root(pids[1], start_time_of(pids[1]), 0).pid != 0);
    cut_line(keep, pids, 3);
}

/* Whose parent has ended belongs to whoever takes it in. */
static void test_orphans(void **state UNUSED)
{
    const uid_t uids[] = {DRIVER_UID, DRIVER_UID, DRIVER_UID};
    pid_t pids[3] = {0};

    NEEDS_ROOT();
    int keep = grow_line(uids, 3, pids, true); /* we are the subreaper, and root */
    qsort(pids + 1, 2, sizeof *pids, compare_pids);
    Ancestor root = {.pid = 0};
    for (unsigned i = 0; i < 1000 && root.pid != pids[1]; i++) { /* until the first has gone */
        root = ancestry_root(pids[2], start_time_of(pids[2]), DRIVER_UID);
        (void)usleep(1000);
    }
    assert_int_equal(root.pid, pids[1]);
    cut_line(keep, pids, 3);
}

/* In a pid namespace of its own the tree ends with that namespace's init, whoever it is. */
static void test_a_namespace_is_not_left(void **state UNUSED)
{
    static const uid_t uids[][2] = {{0, DRIVER_UID}, {0, 0}, {DRIVER_UID, DRIVER_UID}};

    NEEDS_ROOT();
    for (size_t i = 0; i < ARRAY_SIZE(uids); i++) {
        int pair[2];
        struct ucred writer = {.pid = 0};
        const int yes = 1;
        char byte;
        FdReceived received;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        (void)fflush(NULL);
        pid_t outer = fork();
        if (outer == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            if (unshare(CLONE_NEWPID) < 0)
                _exit(1);
            if (fork() == 0) { /* init */
                if (fork() == 0) {
                    if (setresuid(uids[i][1], uids[i][1], uids[i][1]) < 0 ||
                        send(pair[1], "x", 1, 0) != 1)
                        _exit(1);
                    (void)pause();
                }
                if (setresuid(uids[i][0], uids[i][0], uids[i][0]) < 0)
                    _exit(1);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
                (void)pause();
            }
            (void)pause();
        }
        assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
        assert_int_equal(fd_receive(pair[0], &byte, 1, &received, 0), 1);
        writer.pid = received.pid;
        fd_received_done(&received);
        pid_t init = 0;
        char text[64];
        (void)snprintf(text, sizeof text, "/proc/%d/task/%d/children", outer, outer);
        FILE *children = fopen(text, "re");
        assert_non_null(children);
        assert_int_equal(fscanf(children, "%d", &init), 1);
        (void)fclose(children);
        (void)usleep(50000); /* init becomes who it is to be */
        Ancestor root = ancestry_root(writer.pid, start_time_of(writer.pid), uids[i][1]);
        assert_int_equal(root.pid, init);
        (void)kill(init, SIGKILL);
        (void)kill(outer, SIGKILL);
        (void)waitpid(outer, NULL, 0);
        fd_close_many(pair, 2);
    }
}

static int set_up(void **state UNUSED)
{
    make_place();
    driver_start(&driver, &(ExecutorOptions){.old_kernel = false});
    return 0;
}

static int tear_down(void **state UNUSED)
{
    char command[128];

    driver_stop(&driver);
    (void)close(work_fd);
    (void)snprintf(command, sizeof command, "rm -rf %s", place);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beneath),        cmocka_unit_test(test_not_beneath),
        cmocka_unit_test(test_absolute),       cmocka_unit_test(test_root_directory),
        cmocka_unit_test(test_magic_links),    cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_many_arguments), cmocka_unit_test(test_as_the_caller),
        cmocka_unit_test(test_root_process),   cmocka_unit_test(test_a_user_in_between),
        cmocka_unit_test(test_orphans),        cmocka_unit_test(test_a_namespace_is_not_left),
    };
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
