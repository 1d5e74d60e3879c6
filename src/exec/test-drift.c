/*
 * What a human approved is what runs: files that change between EXEC_HASHED and EXEC_RUN, by every
 * way a prisoner has to change them, run nothing; what it could still change afterwards runs from a
 * sealed copy.
 *
 * Kernel facts: a write through an existing shared mapping changes a file without moving its time
 * stamps; a memfd sealed with F_SEAL_WRITE cannot be written by anybody; interpreters open
 * /proc/self/fd/N like any path (node only with --preserve-symlinks-main).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/test-driver.h"

static Driver driver;
static ExecutorOptions options;
static uint32_t counter;
static Caller caller;

#define ARGV(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* The caller owns the directory that it works in, as a prisoner does. */
static int set_up(void **state UNUSED)
{
    driver_start(&driver, &options);
    if (geteuid() == 0)
        assert_int_equal(chown(driver.directory, DRIVER_UID, DRIVER_UID), 0);
    caller = driver_call_as(&driver, geteuid() == 0 ? DRIVER_UID : geteuid(), NULL, NULL);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    caller_end(&caller);
    driver_stop(&driver);
    return 0;
}

static const char *at(const char *name)
{
    return in_directory(&driver, name);
}

static void put(const char *name, const char *text)
{
    write_text(at(name), text, 0755);
    if (geteuid() == 0)
        assert_int_equal(chown(at(name), DRIVER_UID, DRIVER_UID), 0);
}

static void copy_program(const char *from, const char *name)
{
    char command[512];
    (void)snprintf(command, sizeof command, "cp %s %s && chmod 755 %s", from, at(name), at(name));
    assert_int_equal(system(command), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(at(name), DRIVER_UID, DRIVER_UID), 0);
}

/* What the human sees: the digests of the request as it is now. */
static Hashed approve(const Spec *spec)
{
    Frame frame;
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    return driver_hash(&driver, DRIVER_KEY(counter));
}

/* Opens the approved request again; `meddle` happens when it is prepared. */
static void run_after(const Spec *spec, const Hashed *approved, void (*meddle)(void))
{
    Frame frame;
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    if (meddle)
        meddle();
    driver_run(&driver, DRIVER_KEY(counter), spec, approved);
}

static void assert_drift(const Spec *spec, const Hashed *approved, void (*meddle)(void),
                         const char *name)
{
    Frame frame;
    run_after(spec, approved, meddle);
    const char *text = driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_DRIFT, &frame);
    if (!strstr(text, name))
        print_message("%s\n", text);
    assert_non_null(strstr(text, name));
    assert_non_null(strstr(text, "has changed since it was approved"));
}

static void assert_runs(const Spec *spec, const Hashed *approved, void (*meddle)(void),
                        const char *expected)
{
    char output[4096];
    Spec own = *spec;
    int out[2];
    size_t size = 0;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    own.stdio[1] = own.stdio[2] = out[1];
    run_after(&own, approved, meddle);
    fd_close(out[1]);
    driver_started(&driver, DRIVER_KEY(counter), NULL);
    for (ssize_t got; (got = read(out[0], output + size, sizeof output - 1 - size)) > 0;)
        size += (size_t)got;
    output[size] = '\0';
    fd_close(out[0]);
    Ended ended = driver_ended(&driver, DRIVER_KEY(counter));
    assert_string_equal(output, expected);
    assert_int_equal(ended.value, 0);
}

static Spec direct(const char *const *argv)
{
    return (Spec){.argv = argv, .flags = SHIM_FLAG_DIRECT, .cwd = driver.directory};
}

static void replace_tool(void)
{
    copy_program("/bin/false", "other");
    assert_int_equal(rename(at("other"), at("tool")), 0);
}

static void write_into_tool(void)
{
    int fd = open(at("tool"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\x90", 1, 4000), 1);
    (void)close(fd);
}

static void grow_tool(void)
{
    int fd = open(at("tool"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "\n", 1), 1);
    (void)close(fd);
}

static char *mapping;

static void write_by_mapping(void)
{
    mapping[20] ^= 1;
    assert_int_equal(msync(mapping, 4096, MS_SYNC), 0);
}

static void map_tool(void)
{
    int fd = open(at("tool"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(mapping != MAP_FAILED);
    (void)close(fd);
}

static void test_program(void **state UNUSED)
{
    Spec spec = direct(ARGV("./tool"));

    copy_program("/bin/true", "tool");
    Hashed approved = approve(&spec);
    assert_runs(&spec, &approved, NULL, "");
    /* Replaced between preparation and order: the open file still holds what was approved. */
    assert_runs(&spec, &approved, replace_tool, "");
    assert_drift(&spec, &approved, NULL, "/tool");

    copy_program("/bin/true", "tool");
    assert_drift(&spec, &approved, write_into_tool, "/tool");
    copy_program("/bin/true", "tool");
    assert_drift(&spec, &approved, grow_tool, "/tool");

    copy_program("/bin/true", "tool");
    map_tool();
    assert_runs(&spec, &approved, NULL, "");
    assert_drift(&spec, &approved, write_by_mapping, "/tool");
    write_by_mapping();
    assert_runs(&spec, &approved, NULL, "");
    (void)munmap(mapping, 4096);
}

static void change_script(void)
{
    put("tool", "#!/bin/sh\necho evil\n");
}

static void test_script(void **state UNUSED)
{
    Spec spec = direct(ARGV("./tool", "a b", "c"));

    put("tool", "#!/bin/sh -e\necho \"$0 $# $1\"\n");
    Hashed approved = approve(&spec);
    assert_false(digest_is_zero(&approved.interpreter));
    assert_runs(&spec, &approved, NULL, "/proc/self/fd/99 2 a b\n");
    assert_runs(&spec, NULL, NULL, "./tool 2 a b\n");
    assert_drift(&spec, &approved, change_script, "/tool");
    assert_drift(&spec, &approved, NULL, "/tool");

    put("tool", "#!/bin/sh -e\necho \"$0 $# $1\"\n");
    map_tool();
    assert_runs(&spec, &approved, NULL, "/proc/self/fd/99 2 a b\n");
    assert_drift(&spec, &approved, write_by_mapping, "/tool");
    (void)munmap(mapping, 4096);
}

/* Once it has started nothing can be slipped in: the interpreter reads the sealed copy. */
static void test_changed_while_running(void **state UNUSED)
{
    Spec spec = direct(ARGV("./tool"));
    Frame frame;

    put("tool", "#!/bin/sh\nread line\necho done >&2\nexit 4\n");
    Hashed approved = approve(&spec);
    int in[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    spec.stdio[0] = in[0];
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_run(&driver, DRIVER_KEY(counter), &spec, &approved);
    driver_started(&driver, DRIVER_KEY(counter), NULL);
    /* In place, as through an old descriptor. */
    int fd = open(at("tool"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "#!/bin/sh\nexit 66  \nexit 66  \nexit 66  \n", 38, 0), 38);
    (void)close(fd);
    assert_int_equal(write(in[1], "\n", 1), 1);
    assert_int_equal(driver_ended(&driver, DRIVER_KEY(counter)).value, 4);
    fd_close_many(in, 2);
}

static void change_operand(void)
{
    put("x", "exit 66\n");
}

static void link_operand(void)
{
    assert_int_equal(unlink(at("x")), 0);
    assert_int_equal(symlink("/etc/hostname", at("x")), 0);
}

static void test_operand(void **state UNUSED)
{
    Spec spec = {.argv = ARGV("sh", "-e", "./x", "arg"), .cwd = driver.directory};

    put("x", "echo \"$0 $1\"\n");
    Hashed approved = approve(&spec);
    assert_false(digest_is_zero(&approved.operand));
    assert_runs(&spec, &approved, NULL, "/proc/self/fd/99 arg\n");
    assert_runs(&spec, NULL, NULL, "./x arg\n");
    /* Replaced by a link when it was open already: what was approved runs. */
    assert_runs(&spec, &approved, link_operand, "/proc/self/fd/99 arg\n");
    assert_drift(&spec, &approved, NULL, "/etc/hostname");
    assert_int_equal(unlink(at("x")), 0);
    put("x", "echo \"$0 $1\"\n");
    assert_drift(&spec, &approved, change_operand, "/x");
    assert_drift(&spec, &approved, NULL, "/x");
}

/* A script that appears after the approval of its absence. */
static void test_missing_operand(void **state UNUSED)
{
    Spec spec = {.argv = ARGV("sh", "./later"), .cwd = driver.directory};
    Frame frame;

    (void)unlink(at("later"));
    Hashed approved = approve(&spec);
    assert_true(digest_is_zero(&approved.operand));
    run_after(&spec, &approved, NULL);
    (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_NOT_RUNNABLE, &frame);
    put("later", "echo evil\n");
    assert_drift(&spec, &approved, NULL, "/later");
}

/* An operand that the caller cannot change runs by its own path, even if it was named by a link. */
static void test_fixed_operand(void **state UNUSED)
{
    Spec spec = {.argv = ARGV("sh", "./link"), .cwd = driver.directory};
    char fixed[] = "/usr/local/clawrden-test-XXXXXX";

    if (geteuid() != 0) {
        print_message("SKIPPED: needs root to own a file\n");
        skip();
    }
    int fd = mkstemp(fixed);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "echo $0\n", 8), 8);
    assert_int_equal(fchmod(fd, 0644), 0);
    (void)close(fd);
    assert_int_equal(symlink(fixed, at("link")), 0);
    Hashed approved = approve(&spec);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%s\n", fixed);
    assert_runs(&spec, &approved, NULL, expected);
    assert_int_equal(unlink(fixed), 0);
}

/* Each interpreter that is installed runs its script from the sealed copy, as `#!` and as operand.
 */
static void test_interpreters(void **state UNUSED)
{
    static const struct {
        const char *program, *text;
    } cases[] = {
        {"bash", "echo ok \"$1\"\n"},
        {"dash", "echo ok \"$1\"\n"},
        {"python3", "import sys\nprint('ok', sys.argv[1])\n"},
        {"perl", "print \"ok $ARGV[0]\\n\";\n"},
        {"node", "console.log('ok', process.argv[2]);\n"},
        {"ruby", "puts \"ok #{ARGV[0]}\"\n"},
        {"php", "ok <?php echo $argv[1], \"\\n\";"},
        {"lua", "print('ok ' .. arg[1])\n"},
        {"tclsh", "puts \"ok [lindex $argv 0]\"\n"},
    };
    const char *const env[] = {"PATH=/usr/bin:/bin", "HOME=/nonexistent", NULL};
    char script[256], path[64];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)snprintf(path, sizeof path, "/usr/bin/%s", cases[i].program);
        if (access(path, X_OK) < 0) {
            print_message("SKIPPED: %s is not installed\n", path);
            continue;
        }
        put("operand", cases[i].text);
        Spec spec = {
            .argv = ARGV(cases[i].program, "operand", "x"), .env = env, .cwd = driver.directory};
        Hashed approved = approve(&spec);
        assert_runs(&spec, &approved, NULL, "ok x\n");

        (void)snprintf(script, sizeof script, "#!/usr/bin/env %s\n%s", cases[i].program,
                       cases[i].text);
        put("tool", script);
        spec = direct(ARGV("./tool", "x"));
        spec.env = env;
        approved = approve(&spec);
        assert_runs(&spec, &approved, NULL, "ok x\n");
    }
}

/* awk's program file stands joined to its option. */
static void test_joined_operand(void **state UNUSED)
{
    Spec spec = {.argv = ARGV("awk", "-fx.awk", "/dev/null"), .cwd = driver.directory};

    put("x.awk", "BEGIN { print \"ok\" }\n");
    Hashed approved = approve(&spec);
    assert_runs(&spec, &approved, NULL, "ok\n");
    put("x.awk", "BEGIN { print \"no\" }\n");
    assert_drift(&spec, &approved, NULL, "/x.awk");
}

/* env finds nothing that the caller puts into its PATH after the approval. */
static void test_env_interpreter(void **state UNUSED)
{
    char path[128];

    (void)snprintf(path, sizeof path, "PATH=%s:/usr/bin:/bin", driver.directory);
    const char *const env[] = {path, NULL};
    Spec spec = direct(ARGV("./tool"));
    spec.env = env;
    put("tool", "#!/usr/bin/env dash\necho ok\n");
    Hashed approved = approve(&spec);
    assert_runs(&spec, &approved, NULL, "ok\n");
    copy_program("/bin/echo", "dash");
    assert_drift(&spec, &approved, NULL, "/dash");
    assert_int_equal(unlink(at("dash")), 0);
}

/* An interpreter that is itself a script of the caller's cannot be bound. */
static void test_inner_script(void **state UNUSED)
{
    char line[256];
    Frame frame;
    Spec spec = direct(ARGV("./tool"));

    put("inner", "#!/bin/cat\nINNER\n");
    (void)snprintf(line, sizeof line, "#!%s\nTOOL\n", at("inner"));
    put("tool", line);
    Hashed approved = approve(&spec);
    (void)snprintf(line, sizeof line, "#!/bin/cat\nINNER\n#!%s\nTOOL\n", at("inner"));
    assert_runs(&spec, NULL, NULL, line);
    run_after(&spec, &approved, NULL);
    (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_NOT_RUNNABLE, &frame);
}

/* A sparse file of a terabyte is not read. */
static void test_huge(void **state UNUSED)
{
    Frame frame;
    Spec spec = direct(ARGV("./huge"));

    copy_program("/bin/true", "huge");
    assert_int_equal(truncate(at("huge"), (off_t)1 << 40), 0);
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_send(driver.warden, EXEC_HASH, DRIVER_KEY(counter), NULL, 0, NULL, 0);
    (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_NOT_RUNNABLE, &frame);
    assert_int_equal(unlink(at("huge")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_changed_while_running),
        cmocka_unit_test(test_operand),
        cmocka_unit_test(test_missing_operand),
        cmocka_unit_test(test_fixed_operand),
        cmocka_unit_test(test_interpreters),
        cmocka_unit_test(test_joined_operand),
        cmocka_unit_test(test_env_interpreter),
        cmocka_unit_test(test_inner_script),
        cmocka_unit_test(test_huge),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    if (getenv("CMOCKA_TEST_FILTER"))
        cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
