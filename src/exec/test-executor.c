/*
 * The executor as its neighbours see it: commands run as their callers, end as they end, and
 * nothing of them stays. Everything is done three times: with cgroups, with supervisors in their
 * place, and in the way of kernels before 6.5 (no SO_PEERPIDFD).
 *
 * Kernel facts: a stop signal from a terminal is discarded in an orphaned process group (POSIX
 * 2.4.3); a process that has called setsid(2) and lost its parent is still in its cgroup, and still
 * below the nearest subreaper.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "exec/test-driver.h"

static Driver driver;
static ExecutorOptions options;
static uint32_t counter;

#define ARGV(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define SHELL(text) (&(Spec){.argv = ARGV("sh", "-c", text)})

static int set_up(void **state UNUSED)
{
    driver_start(&driver, &options);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    driver_stop(&driver);
    return 0;
}

static bool needs_root(const char *why)
{
    if (geteuid() == 0)
        return false;
    print_message("SKIPPED: needs root: %s\n", why);
    return true;
}

static void test_exit_codes(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint8_t kind, value;
    } cases[] = {{"exit 0", 0, 0},
                 {"exit 37", 0, 37},
                 {"exit 255", 0, 255},
                 {"kill -USR1 $$", 1, SIGUSR1},
                 {"kill -KILL $$", 1, SIGKILL}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Ended ended = driver_command(&driver, ++counter, SHELL(cases[i].text), NULL, 0);
        assert_int_equal(ended.kind, cases[i].kind);
        assert_int_equal(ended.value, cases[i].value);
        assert_int_equal(ended.left, 0);
    }
}

static void assert_output(const Spec *spec, const char *expected)
{
    char output[4096];

    (void)driver_command(&driver, ++counter, spec, output, sizeof output);
    assert_string_equal(output, expected);
}

/* argv, argv[0] included, environment and working directory arrive as they were. */
static void test_words(void **state UNUSED)
{
    assert_output(&(Spec){.argv = ARGV("printf", "<%s>", "", "a b", "\n", "\xff\xfe")},
                  "<><a b><\n><\xff\xfe>");
    assert_output(&(Spec){.path = "/usr/local/bin/sh", .argv = ARGV("my-shell", "-c", "echo $0")},
                  "my-shell\n");
    assert_output(&(Spec){.argv = ARGV("pwd"), .cwd = "/usr/bin", .env = ARGV("PWD=/lie")},
                  "/usr/bin\n");
    assert_output(&(Spec){.argv = ARGV("env"),
                          .env = ARGV("A=1", "LD_PRELOAD=/x", "B=\xff", "PATH=/usr/bin"),
                          .keep = {0x0d}},
                  "PAGER=cat\nGIT_PAGER=cat\nMANPAGER=cat\nSYSTEMD_PAGER=cat\nDPKG_PAGER=cat\n"
                  "LESSSECURE=1\nA=1\nB=\xff\nPATH=/usr/bin\n");
}

/* The command gets the caller's descriptors and no others. */
static void test_descriptors(void **state UNUSED)
{
    assert_output(&(Spec){.argv = ARGV("sh", "-c", "cd /proc/self/fd; echo *")}, "0 1 2 3\n");
    assert_output(&(Spec){.argv = ARGV("sh", "-c", "[ -e /proc/$$/fd/0 ] || echo closed"),
                          .stdio = {-1, 0, 0}},
                  "closed\n");
    assert_output(&(Spec){.argv = ARGV("sh", "-c", "[ -e /proc/$$/fd/2 ] || echo closed"),
                          .stdio = {0, 0, -1}},
                  "closed\n");
    Ended ended = driver_command(
        &driver, ++counter,
        &(Spec){.argv = ARGV("sh", "-c", "[ ! -e /proc/$$/fd/1 ]"), .stdio = {-1, -1, -1}}, NULL,
        0);
    assert_int_equal(ended.value, 0);
}

/* Arguments of 128 KiB each, 1.5 MiB in all: more than a socket buffer holds. */
static void test_large(void **state UNUSED)
{
    static char word[128 * 1024 - 1];
    const char *argv[16] = {"sh", "-c", "echo ${#1} $#", "x"};

    memset(word, 'w', sizeof word - 1);
    for (size_t i = 4; i < 15; i++)
        argv[i] = word;
    assert_output(&(Spec){.argv = argv}, "131070 11\n");
}

static void assert_failure(const Spec *spec, ExecFailure failure, const char *words)
{
    Caller caller = driver_call(&driver);
    Frame frame;

    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, spec);
    const char *text = driver_failed(&driver, DRIVER_KEY(counter), failure, &frame);
    if (!strstr(text, words))
        print_message("%s\n", text);
    assert_non_null(strstr(text, words));
    caller_end(&caller);
}

static void test_not_found(void **state UNUSED)
{
    const char *text = in_directory(&driver, "text");

    assert_failure(&(Spec){.argv = ARGV("no-such-command")}, EXEC_FAILURE_NOT_FOUND,
                   "command not found: no-such-command");
    /* Only the name counts: the path is where a shim stood. */
    assert_failure(&(Spec){.path = "/usr/bin/nothing", .argv = ARGV("true")},
                   EXEC_FAILURE_NOT_FOUND, "command not found: nothing");
    assert_failure(&(Spec){.argv = ARGV("./none"), .flags = SHIM_FLAG_DIRECT},
                   EXEC_FAILURE_NOT_FOUND, "./none: No such file or directory");
    write_text(text, "no program\n", 0755);
    assert_failure(
        &(Spec){.argv = ARGV("./text"), .flags = SHIM_FLAG_DIRECT, .cwd = driver.directory},
        EXEC_FAILURE_NOT_RUNNABLE, "neither an ELF program nor a #! script");
    assert_int_equal(chmod(text, 0644), 0);
    assert_failure(
        &(Spec){.argv = ARGV("./text"), .flags = SHIM_FLAG_DIRECT, .cwd = driver.directory},
        EXEC_FAILURE_NOT_RUNNABLE, "Permission denied");
}

static void test_direct(void **state UNUSED)
{
    write_text(in_directory(&driver, "tool"), "#!/bin/sh\necho \"$0 $1\"\n", 0755);
    assert_output(
        &(Spec){.argv = ARGV("./tool", "x"), .flags = SHIM_FLAG_DIRECT, .cwd = driver.directory},
        "./tool x\n");
    assert_output(&(Spec){.argv = ARGV("echo", "x"), .flags = SHIM_FLAG_DIRECT}, "x\n");
}

static void test_prepared(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    struct stat directory;
    Frame frame;
    int pair[2];

    assert_int_equal(stat(driver.directory, &directory), 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    write_text(in_directory(&driver, "x.sh"), "#!/bin/sh\n", 0644);
    driver_open(
        &driver, DRIVER_KEY(++counter), caller.connection,
        &(Spec){.argv = ARGV("sh", "x.sh"), .cwd = driver.directory, .stdio = {pair[0], 0, 0}});
    Prepared prepared = driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    assert_int_equal(prepared.pid, caller.pid);
    assert_int_equal(prepared.uid, geteuid());
    assert_int_equal(prepared.gid, getegid());
    assert_true(prepared.start_time > 0);
    assert_string_equal(prepared.container, "");
    assert_string_equal(prepared.exe, "/usr/bin/dash");
    assert_string_equal(prepared.operand, in_directory(&driver, "x.sh"));
    assert_string_equal(prepared.interpreter, "");
    assert_string_equal(prepared.cwd, driver.directory);
    assert_int_equal(prepared.cwd_device, directory.st_dev);
    assert_int_equal(prepared.cwd_inode, directory.st_ino);
    assert_true(prepared.flags & PREPARED_OPERAND);
    assert_true(prepared.flags & PREPARED_STDIN_MUTABLE);
    assert_false(prepared.flags & PREPARED_SCRIPT);
    assert_int_equal(!!(prepared.flags & PREPARED_NO_CGROUP), options.no_cgroup || geteuid() != 0);
    driver_send(driver.warden, EXEC_DROP, DRIVER_KEY(counter), NULL, 0, NULL, 0);
    caller_end(&caller);
    fd_close_many(pair, 2);
}

/* An order that is not about these words, or this environment, runs nothing. */
static void test_other_words(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    Frame frame;
    const Spec asked = {.argv = ARGV("echo", "a")};
    const Spec words = {.argv = ARGV("echo", "b")};
    const Spec environment = {.argv = ARGV("echo", "a"), .keep = {1}};

    for (size_t i = 0; i < 2; i++) {
        driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &asked);
        (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
        if (i == 0) {
            driver_run(&driver, DRIVER_KEY(counter), &words, NULL);
        } else { /* the digest of the whole environment, but bits for a part */
            Buffer payload = BUFFER_EMPTY(1024);
            const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/"};
            RunOrder order = {.command = digest_command(asked.argv, 2, env, 2),
                              .keep = environment.keep,
                              .keep_size = 1};
            run_order_encode(&payload, &order);
            driver_send(driver.warden, EXEC_RUN, DRIVER_KEY(counter), payload.bytes, payload.size,
                        NULL, 0);
            buffer_done(&payload);
        }
        (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_DRIFT, &frame);
    }
    caller_end(&caller);
}

/* The same key may be opened again as soon as EXEC_HASHED has been read. */
static void test_hash_and_again(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    const Spec spec = {.argv = ARGV("true")};
    uint64_t key = DRIVER_KEY(++counter);
    Frame frame;
    Digest expected;

    int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
    assert_int_equal(digest_file(fd, &expected, NULL), 0);
    (void)close(fd);
    for (size_t i = 0; i < 20; i++) {
        driver_open(&driver, key, caller.connection, &spec);
        (void)driver_prepared(&driver, key, &frame);
        Hashed hashed = driver_hash(&driver, key);
        assert_true(digest_equal(&hashed.exe, &expected));
        assert_true(digest_is_zero(&hashed.interpreter));
        assert_true(digest_is_zero(&hashed.operand));
    }
    driver_open(&driver, key, caller.connection, &spec);
    (void)driver_prepared(&driver, key, &frame);
    driver_run(&driver, key, &spec, &(Hashed){.exe = expected});
    driver_started(&driver, key, NULL);
    assert_int_equal(driver_ended(&driver, key).value, 0);
    caller_end(&caller);
}

/* Opens and starts; the pid of the command. */
static pid_t start(Caller *caller, const Spec *spec)
{
    Frame frame;
    pid_t pid = 0;

    driver_open(&driver, DRIVER_KEY(++counter), caller->connection, spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_run(&driver, DRIVER_KEY(counter), spec, NULL);
    driver_started(&driver, DRIVER_KEY(counter), &pid);
    return pid;
}

static void wait_for_state(pid_t pid, char wanted)
{
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
    while (process_state(pid) != wanted && clock_monotonic_ms() < end)
        (void)usleep(1000);
    assert_int_equal(process_state(pid), wanted);
}

/* A killed process takes a moment to die. */
static void wait_for_end(pid_t pid)
{
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
    while (process_exists(pid) && clock_monotonic_ms() < end)
        (void)usleep(1000);
    assert_false(process_exists(pid));
}

/* Waits until a command has written one byte, and closes the pipe. */
static void wait_for_byte(int pair[2])
{
    char byte;
    fd_close(pair[1]);
    assert_true(driver_has_frame(pair[0], DRIVER_TIMEOUT_MS));
    assert_int_equal(read(pair[0], &byte, 1), 1);
    fd_close(pair[0]);
}

static void test_signals(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    int pair[2];

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t pid = start(&caller,
                      &(Spec){.argv = ARGV("sh", "-c", "trap 'exit 5' INT; sleep 100 & echo; wait"),
                              .stdio = {0, pair[1], 0}});
    uint64_t key = DRIVER_KEY(counter);
    wait_for_byte(pair);
    driver_signal(&driver, key, SIGKILL, false); /* not one that may be sent */
    driver_signal(&driver, key, SIGTSTP, true);  /* the group is not orphaned: it stops */
    wait_for_state(pid, 'T');
    driver_signal(&driver, key, SIGCONT, true);
    wait_for_state(pid, 'S');
    driver_signal(&driver, key, SIGINT, true); /* the shell's trap runs */
    Ended ended = driver_ended(&driver, key);
    assert_int_equal(ended.kind, 0);
    assert_int_equal(ended.value, 5);

    (void)start(&caller, &(Spec){.argv = ARGV("sleep", "100")});
    driver_signal(&driver, DRIVER_KEY(counter), SIGTERM, false);
    ended = driver_ended(&driver, DRIVER_KEY(counter));
    assert_int_equal(ended.kind, 1);
    assert_int_equal(ended.value, SIGTERM);
    caller_end(&caller);
}

/* Double fork, a session of its own, deaf to TERM; its pid goes to a file. */
/* The command itself gives the file its name, or it would wait for one that the test has removed.
 */
#define DAEMON                                                                                     \
    "(setsid sh -c 'trap \"\" TERM HUP INT; echo $$ > new; while :; do sleep 1; done' &) ; "       \
    "while [ ! -s new ]; do sleep 0.01; done; mv new daemon; "

static pid_t daemon_pid(void)
{
    char text[32] = "";
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;

    while (!strchr(text, '\n') && clock_monotonic_ms() < end) {
        int fd = open(in_directory(&driver, "daemon"), O_RDONLY | O_CLOEXEC);
        ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        text[size > 0 ? size : 0] = '\0';
        fd_close(fd);
        (void)usleep(1000);
    }
    assert_int_equal(unlink(in_directory(&driver, "daemon")), 0);
    return (pid_t)strtol(text, NULL, 10);
}

/* What a command leaves behind ends with it: TERM, then KILL after five seconds. */
static void test_leftovers(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    Frame frame;

    (void)start(&caller,
                &(Spec){.argv = ARGV("sh", "-c", DAEMON "exit 3"), .cwd = driver.directory});
    driver_expect(&driver, EXEC_EXITED, DRIVER_KEY(counter), &frame);
    uint64_t exited = clock_monotonic_ms();
    assert_int_equal(frame.payload[1], 3);
    pid_t daemon = daemon_pid();
    assert_true(process_exists(daemon));
    Ended ended = driver_ended(&driver, DRIVER_KEY(counter));
    assert_true(clock_monotonic_ms() - exited >= 4500);
    assert_int_equal(ended.value, 3);
    assert_true(ended.left >= 1);
    assert_false(process_exists(daemon));

    /* One that hears TERM goes at once. */
    exited = clock_monotonic_ms();
    (void)start(&caller, SHELL("(setsid sleep 100 &); exit 0"));
    ended = driver_ended(&driver, DRIVER_KEY(counter));
    assert_true(clock_monotonic_ms() - exited < 4000);
    caller_end(&caller);
}

static void test_end(void **state UNUSED)
{
    Caller caller = driver_call(&driver);

    /* With grace: TERM first, KILL for the deaf. */
    (void)start(&caller, &(Spec){.argv = ARGV("sleep", "100")});
    driver_end(&driver, DRIVER_KEY(counter), DRIVER_TIMEOUT_MS);
    assert_int_equal(driver_ended(&driver, DRIVER_KEY(counter)).value, SIGTERM);
    (void)start(&caller,
                &(Spec){.argv = ARGV("sh", "-c", "trap '' TERM; " DAEMON "sleep 100; sleep 100"),
                        .cwd = driver.directory});
    pid_t daemon = daemon_pid();
    driver_end(&driver, DRIVER_KEY(counter), 400);
    Ended ended = driver_ended(&driver, DRIVER_KEY(counter));
    assert_int_equal(ended.kind, 1);
    assert_int_equal(ended.value, SIGKILL);
    assert_false(process_exists(daemon));

    /* At once, a stopped one too. */
    pid_t pid = start(&caller, SHELL("kill -STOP $$"));
    wait_for_state(pid, 'T');
    driver_end(&driver, DRIVER_KEY(counter), 0);
    assert_int_equal(driver_ended(&driver, DRIVER_KEY(counter)).value, SIGKILL);
    assert_false(process_exists(pid));
    caller_end(&caller);
}

/* Ends from every state before the start. */
static void test_end_before_start(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    Frame frame;
    int pair[2];

    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &(Spec){.argv = ARGV("true")});
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_end(&driver, DRIVER_KEY(counter), 1000);
    assert_int_equal(driver_ended(&driver, DRIVER_KEY(counter)).kind, 1);

    /* The request never comes: dropped, nothing is said of it. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    driver_open_raw(&driver, DRIVER_KEY(++counter), caller.connection, pair[1]);
    driver_send(driver.warden, EXEC_DROP, DRIVER_KEY(counter), NULL, 0, NULL, 0);
    fd_close(pair[1]);
    assert_true(driver_has_frame(pair[0], DRIVER_TIMEOUT_MS)); /* end of file */
    fd_close(pair[0]);
    assert_false(driver_has_frame(driver.warden, 50));

    /* Orders that cross with the end of what they are about. */
    driver_end(&driver, DRIVER_KEY(counter), 0);
    driver_signal(&driver, DRIVER_KEY(counter), SIGTERM, false);
    assert_int_equal(driver_command(&driver, ++counter, SHELL("exit 1"), NULL, 0).value, 1);
    caller_end(&caller);
}

static void limit_processes(void *userdata UNUSED)
{
    const struct rlimit limit = {300, 300};
    (void)setrlimit(RLIMIT_NPROC, &limit);
}

/* Under a user of its own with a limit of processes, so that the machine stays usable. */
static void fork_bomb(const char *text)
{
    /* Zombies of an earlier one, which this process has inherited, count against the limit. */
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    Caller caller = driver_call_as(&driver, DRIVER_UID, limit_processes, NULL);
    int pair[2];

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    (void)start(&caller, &(Spec){.argv = ARGV("bash", "-c", text), .stdio = {0, pair[1], 0}});
    wait_for_byte(pair);
    driver_end(&driver, DRIVER_KEY(counter), 0);
    (void)driver_ended(&driver, DRIVER_KEY(counter));
    caller_end(&caller);
    char command[64];
    (void)snprintf(command, sizeof command, "test -z \"$(ps -U %d -o stat= | grep -v Z)\"",
                   DRIVER_UID);
    int alive = 1;
    for (int i = 0; i < 100 && alive != 0; i++) { /* other tests may use this user for a moment */
        alive = system(command);
        if (alive != 0)
            (void)usleep(100000);
    }
    assert_int_equal(alive, 0);
}

static void test_fork_bombs(void **state UNUSED)
{
    if (needs_root("a user to exhaust"))
        skip();
    fork_bomb("[ $(ulimit -u) = 300 ] || exit; bomb() { bomb | bomb & }; (sleep 0.3; echo) & "
              "bomb 2>/dev/null; while :; do bomb 2>/dev/null; done");
    /* Each generation in a session of its own. */
    fork_bomb("[ $(ulimit -u) = 300 ] || exit; cat > /dev/null; (sleep 0.3; echo) & "
              "export BOMB='setsid sh -c \"$BOMB\" & setsid sh -c \"$BOMB\" & wait'; "
              "sh -c \"$BOMB\" 2>/dev/null");
}

/* Leaves are used again, except those that were killed. */
static void test_leaves_are_few(void **state UNUSED)
{
    if (options.no_cgroup || needs_root("cgroups"))
        skip();
    char before[256], after[256];
    const Spec spec = {.argv = ARGV("sh", "-c", "sed -n 's/^0:://p' /proc/self/cgroup")};

    (void)driver_command(&driver, ++counter, &spec, before, sizeof before);
    for (unsigned i = 0; i < 10; i++)
        (void)driver_command(&driver, ++counter, &spec, after, sizeof after);
    char *mine = strrchr(before, '/'), *later = strrchr(after, '/');
    assert_non_null(mine);
    assert_non_null(later);
    assert_true(labs(strtol(later + 1, NULL, 10) - strtol(mine + 1, NULL, 10)) <= 3);
}

static void test_many_prepared(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    const Spec spec = {.argv = ARGV("true")};
    uint32_t first = counter + 1;
    Frame frame;

    for (unsigned i = 0; i < PREPARED_PER_DOOR_MAX; i++) {
        driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec);
        (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    }
    assert_failure(&spec, EXEC_FAILURE_BROKEN, "too many commands");
    for (uint32_t n = first + 1; n < first + PREPARED_PER_DOOR_MAX; n++)
        driver_send(driver.warden, EXEC_DROP, DRIVER_KEY(n), NULL, 0, NULL, 0);
    /* Links are read in no fixed order: once this one has run the executor has read the drops. */
    driver_run(&driver, DRIVER_KEY(first), &spec, NULL);
    driver_started(&driver, DRIVER_KEY(first), NULL);
    assert_int_equal(driver_ended(&driver, DRIVER_KEY(first)).value, 0);
    assert_int_equal(driver_command(&driver, ++counter, SHELL("exit 9"), NULL, 0).value, 9);
    caller_end(&caller);
}

/* Nothing outlives an ordered end. */
static void test_stop_ends_all(void **state UNUSED)
{
    Caller caller = driver_call(&driver);

    pid_t pid = start(
        &caller, &(Spec){.argv = ARGV("sh", "-c", DAEMON "sleep 100"), .cwd = driver.directory});
    pid_t daemon = daemon_pid();
    driver_stop(&driver);
    assert_false(process_exists(pid));
    assert_false(process_exists(daemon));
    caller_end(&caller);
    driver_start(&driver, &options);
}

static void test_loss_of_warden(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    int status = 0;

    pid_t pid = start(&caller, &(Spec){.argv = ARGV("sleep", "100")});
    driver.warden = fd_close(driver.warden);
    assert_int_equal(waitpid(driver.executor, &status, 0), driver.executor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    wait_for_end(pid);
    caller_end(&caller);
    driver_clean(&driver);
    driver_start(&driver, &options);
}

/* SIGKILL of the executor: the command dies by its parent-death signal, and what has escaped that
 * by forking is swept by the next executor (with cgroups) or killed by its supervisor. */
static void test_killed_executor(void **state UNUSED)
{
    Caller caller = driver_call(&driver);

    pid_t pid = start(
        &caller, &(Spec){.argv = ARGV("sh", "-c", DAEMON "sleep 100"), .cwd = driver.directory});
    pid_t daemon = daemon_pid();
    assert_true(driver.executor > 1);
    assert_int_equal(kill(driver.executor, SIGKILL), 0);
    assert_int_equal(waitpid(driver.executor, NULL, 0), driver.executor);
    fd_close_many((int[]){driver.control, driver.door, driver.warden, driver.api}, 4);
    driver_start_again(&driver, &options);
    uint64_t end = clock_monotonic_ms() + DRIVER_TIMEOUT_MS;
    while ((process_exists(pid) || process_exists(daemon)) && clock_monotonic_ms() < end)
        (void)usleep(1000);
    assert_false(process_exists(pid));
    assert_false(process_exists(daemon));
    caller_end(&caller);
}

static int run_group(const char *name, ExecutorOptions with)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes),       cmocka_unit_test(test_words),
        cmocka_unit_test(test_descriptors),      cmocka_unit_test(test_large),
        cmocka_unit_test(test_not_found),        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_prepared),         cmocka_unit_test(test_other_words),
        cmocka_unit_test(test_hash_and_again),   cmocka_unit_test(test_signals),
        cmocka_unit_test(test_leftovers),        cmocka_unit_test(test_end),
        cmocka_unit_test(test_end_before_start), cmocka_unit_test(test_fork_bombs),
        cmocka_unit_test(test_leaves_are_few),   cmocka_unit_test(test_many_prepared),
        cmocka_unit_test(test_stop_ends_all),    cmocka_unit_test(test_loss_of_warden),
        cmocka_unit_test(test_killed_executor),
    };
    options = with;
    if (getenv("CMOCKA_TEST_FILTER"))
        cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return _cmocka_run_group_tests(name, tests, ARRAY_SIZE(tests), set_up, tear_down);
}

int main(void)
{
    /* Orphans of what the tests start must not become anybody else's. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    int failed = run_group("cgroups", (ExecutorOptions){.old_kernel = false});
    failed += run_group("supervisors", (ExecutorOptions){.no_cgroup = true});
    failed += run_group("forked runners on an old kernel",
                        (ExecutorOptions){.old_kernel = true, .no_image = true});
    return failed;
}
