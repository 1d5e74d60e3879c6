/*
 * What a prisoner, or a door that it has taken over, tries against the executor: being somebody
 * else, escaping its confinement.
 *
 * Kernel facts: SO_PEERCRED keeps the ids of connect(2), /proc those of now; a listening socket
 * answers SO_PEERCRED with the credentials of listen(2).
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/disposition.h"
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

static void assert_caller_refused(uid_t uid, void (*arrange)(void *), const char *words)
{
    Caller caller = driver_call_as(&driver, uid, arrange, NULL);
    assert_refused(&caller, &spec_true, EXEC_FAILURE_IDENTITY, words);
    caller_end(&caller);
}

/* What the caller has is what the command has. */
static void arrange_oddly(void *userdata UNUSED)
{
    const struct rlimit files = {123, 456}, core = {0, 1 << 20};
    const gid_t groups[] = {4, 27};

    (void)umask(0027);
    (void)setpriority(PRIO_PROCESS, 0, 7);
    (void)signal(SIGHUP, SIG_IGN);
    disposition_set(32, true); /* one that the C library keeps for itself */
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &core);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (write(fd, "500", 3) != 3)
        _exit(1);
    (void)close(fd);
    if (setgroups(2, groups) < 0 || setresgid(DRIVER_UID + 1, DRIVER_UID + 1, DRIVER_UID + 1) < 0 ||
        setresuid(DRIVER_UID, DRIVER_UID, DRIVER_UID) < 0)
        _exit(1);
}

static void test_becomes_the_caller(void **state UNUSED)
{
    char output[4096];

    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, DRIVER_UID_ASIS, arrange_oddly, NULL);
    const Spec spec = {
        .argv = ARGV("sh", "-c",
                     "grep -E '^(Uid|Gid|Groups|Cap|NoNew|SigIgn|SigBlk|Umask)' /proc/self/status;"
                     "grep -E '^Max (open|core)' /proc/self/limits; nice; "
                     "cat /proc/self/oom_score_adj")};
    Ended ended = driver_command_of(&driver, &caller, ++counter, &spec, output, sizeof output);
    assert_int_equal(ended.value, 0);
    assert_words(output, "Umask:\t0027");
    assert_words(output, "Uid:\t54321\t54321\t54321\t54321");
    assert_words(output, "Gid:\t54322\t54322\t54322\t54322");
    assert_words(output, "Groups:\t4 27 \n");
    assert_words(output, "SigBlk:\t0000000000000000");
    assert_words(output, "SigIgn:\t0000000080001001"); /* HUP and 32; PIPE by the test itself */
    assert_words(output, "CapInh:\t0000000000000000");
    assert_words(output, "CapPrm:\t0000000000000000");
    assert_words(output, "CapEff:\t0000000000000000");
    assert_words(output, "CapAmb:\t0000000000000000");
    assert_words(output, "NoNewPrivs:\t1");
    assert_words(output, "Max open files            123                  456");
    assert_words(output, "Max core file size        0                    1048576");
    assert_words(output, "\n7\n500\n");
    caller_end(&caller);
}

/* Root with a part of its capabilities gets that part. */
static void drop_some(void *userdata UNUSED)
{
    if (prctl(PR_CAPBSET_DROP, 21 /* CAP_SYS_ADMIN */, 0, 0, 0) < 0 ||
        prctl(PR_CAPBSET_DROP, 12 /* CAP_NET_ADMIN */, 0, 0, 0) < 0)
        _exit(1);
}

static void test_root_stays_bounded(void **state UNUSED)
{
    char output[4096];

    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, 0, drop_some, NULL);
    const Spec spec = {.argv = ARGV("grep", "CapBnd", "/proc/self/status")};
    (void)driver_command_of(&driver, &caller, ++counter, &spec, output, sizeof output);
    uint64_t bounding = strtoull(output + strlen("CapBnd:\t"), NULL, 16);
    assert_int_equal(bounding & (UINT64_C(1) << 21 | UINT64_C(1) << 12), 0);
    assert_true(bounding & 1);
    caller_end(&caller);
}

/* Being somebody else. */
static void become_half(void *userdata UNUSED)
{
    if (setresuid(-1, DRIVER_UID, -1) < 0)
        _exit(1);
}

static void test_setuid_callers(void **state UNUSED)
{
    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, DRIVER_UID, become_half, NULL);
    assert_refused(&caller, &spec_true, EXEC_FAILURE_IDENTITY, "setuid program");
    caller_end(&caller);
}

/* Ids that change between connect and the request: the caller is told by a signal. */
static void change_later(int signal_number UNUSED)
{
    (void)setgroups(0, NULL);
    if (setresgid(DRIVER_UID, DRIVER_UID, DRIVER_UID) < 0 ||
        setresuid(DRIVER_UID, DRIVER_UID, DRIVER_UID) < 0)
        _exit(1);
}

static void change_on_signal(void *userdata UNUSED)
{
    (void)signal(SIGUSR1, change_later);
}

static void test_changed_ids(void **state UNUSED)
{
    char path[64];
    struct stat status = {.st_uid = 0};

    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, 0, change_on_signal, NULL);
    assert_int_equal(kill(caller.pid, SIGUSR1), 0);
    (void)snprintf(path, sizeof path, "/proc/%d/task", caller.pid);
    for (unsigned i = 0; i < 10000 && status.st_uid == 0; i++) {
        (void)usleep(1000);
        char text[64];
        (void)snprintf(text, sizeof text, "/proc/%d/status", caller.pid);
        FILE *file = fopen(text, "re");
        char line[256];
        while (file && fgets(line, sizeof line, file)) {
            if (strncmp(line, "Uid:", 4) == 0)
                status.st_uid = (uid_t)strtoul(line + 5, NULL, 10);
        }
        (void)fclose(file);
    }
    assert_refused(&caller, &spec_true, EXEC_FAILURE_IDENTITY, "changed its user");
    caller_end(&caller);
}

static void test_own_users(void **state UNUSED)
{
    NEEDS_ROOT();
    assert_caller_refused(driver.context.door.uid, NULL, "own users");
    assert_caller_refused(driver.context.warden.uid, NULL, "own users");
    assert_caller_refused(driver.context.api.uid, NULL, "own users");
}

/* The connector is gone; somebody else may hold its connection. */
static void test_gone_callers(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    int connection = dup(caller.connection);

    caller_end(&caller);
    caller.connection = connection;
    Frame frame;
    driver_open(&driver, DRIVER_KEY(++counter), connection, &spec_true);
    (void)driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_IDENTITY, &frame);
    (void)close(connection);
}

/* A door that lies about the connection. */
static void assert_raw_refused(int connection, int stream, const char *words)
{
    Frame frame;
    driver_open_raw(&driver, DRIVER_KEY(++counter), connection, stream);
    assert_words(driver_failed(&driver, DRIVER_KEY(counter), EXEC_FAILURE_IDENTITY, &frame), words);
}

static void test_forged_connections(void **state UNUSED)
{
    Caller caller = driver_call(&driver);
    int pair[2], datagrams[2], pipes[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, datagrams), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_raw_refused(pair[0], pair[1], "not a connection to a jail's socket");
    assert_raw_refused(driver.listener, pair[1], "not a connection to a jail's socket");
    assert_raw_refused(pipes[0], pair[1], "not a connection to a jail's socket");
    assert_raw_refused(tcp, pair[1], "not a connection to a jail's socket");
    assert_raw_refused(caller.connection, datagrams[0], "no unix stream socket");
    assert_raw_refused(caller.connection, pipes[0], "no unix stream socket");
    assert_raw_refused(caller.connection, tcp, "no unix stream socket");
    assert_raw_refused(caller.connection, driver.listener, "no unix stream socket");
    fd_close_many(pair, 2);
    fd_close_many(datagrams, 2);
    fd_close_many(pipes, 2);
    (void)close(tcp);
    caller_end(&caller);
}

/* Another jail's key, a key in use, another message: the door loses its link, nobody else does. */
static void assert_door_is_cut(uint16_t type, uint64_t key, size_t n_fds)
{
    Caller caller = driver_call(&driver);
    int pair[2];
    char byte;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    driver_send(driver.door, type, key, NULL, 0, (int[]){caller.connection, pair[1]}, n_fds);
    assert_true(driver_has_frame(driver.door, DRIVER_TIMEOUT_MS));
    assert_int_equal(recv(driver.door, &byte, 1, 0), 0);
    fd_close_many(pair, 2);
    caller_end(&caller);
    assert_false(driver_has_frame(driver.warden, 50));
    driver_stop(&driver);
    driver_start(&driver, &options);
}

static void test_breaches_of_protocol(void **state UNUSED)
{
    assert_door_is_cut(EXEC_OPEN, MESSAGE_KEY(DRIVER_DOOR_ID + 1, 1), 2);
    assert_door_is_cut(EXEC_OPEN, DRIVER_KEY(1), 1);
    assert_door_is_cut(EXEC_RUN, DRIVER_KEY(1), 0);
    assert_door_is_cut(EXEC_END, DRIVER_KEY(1), 0);
    assert_door_is_cut(VET_PEER, 0, 1);

    Caller caller = driver_call(&driver);
    Frame frame;
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec_true);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_open_raw(&driver, DRIVER_KEY(counter), caller.connection, caller.connection);
    assert_true(driver_has_frame(driver.door, DRIVER_TIMEOUT_MS));
    assert_int_equal(recv(driver.door, frame.payload, 1, 0), 0);
    caller_end(&caller);
    driver_stop(&driver);
    driver_start(&driver, &options);
}

/* The warden out of its mind: everything ends. */
static void test_warden_breach(void **state UNUSED)
{
    int status = 0;

    driver_send(driver.warden, EXEC_PREPARED, DRIVER_KEY(1), NULL, 0, NULL, 0);
    assert_int_equal(waitpid(driver.executor, &status, 0), driver.executor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    driver_clean(&driver);
    driver_start(&driver, &options);
}

/* Escaping a confinement by asking. */
static void leave_namespace(void *userdata)
{
    if (unshare(*(int *)userdata) < 0)
        _exit(1);
}

static void test_other_namespaces(void **state UNUSED)
{
    const struct {
        int flag;
        const char *words;
    } cases[] = {{CLONE_NEWNS, "(mnt)"},
                 {CLONE_NEWNET, options.old_kernel ? "network namespace" : "(net)"},
                 {CLONE_NEWUTS, "(uts)"},
                 {CLONE_NEWIPC, "(ipc)"},
                 {CLONE_NEWCGROUP, "(cgroup)"},
                 {CLONE_NEWNS | CLONE_NEWUTS, "(mnt, uts)"}};

    NEEDS_ROOT();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int flag = cases[i].flag;
        Caller caller = driver_call_as(&driver, 0, leave_namespace, &flag);
        assert_refused(&caller, &spec_true, EXEC_FAILURE_IDENTITY, cases[i].words);
        caller_end(&caller);
    }
    int flag = CLONE_NEWUSER;
    Caller caller = driver_call_as(&driver, DRIVER_UID_ASIS, leave_namespace, &flag);
    assert_refused(&caller, &spec_true, EXEC_FAILURE_IDENTITY, "(user)");
    caller_end(&caller);
}

static void change_root(void *userdata UNUSED)
{
    /* The socket must stay reachable: the new root is the old one by another mount point. */
    if (chroot("/proc/self/root/../tmp") < 0 || symlink(".", "/tmp") < 0)
        _exit(errno == EEXIST ? 0 : 1);
}

static void test_chroot(void **state UNUSED)
{
    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, 0, change_root, NULL);
    (void)unlink("/tmp/tmp");
    assert_refused(&caller, &spec_true, EXEC_FAILURE_IDENTITY, "chroot");
    caller_end(&caller);
}

static void filter_calls(void *userdata UNUSED)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(1);
    struct {
        unsigned short code;
        unsigned char jt, jf;
        unsigned int k;
    } allow = {0x06, 0, 0, SECCOMP_RET_ALLOW};
    struct {
        unsigned short length;
        void *filter;
    } program = {1, &allow};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        _exit(1);
}

static void test_seccomp(void **state UNUSED)
{
    assert_caller_refused(geteuid(), filter_calls, "seccomp filter");
}

/* A command of the same user cannot look into a runner that waits for its order. */
static void test_runner_is_closed(void **state UNUSED)
{
    char output[1024], text[256];
    Frame frame;

    NEEDS_ROOT();
    Caller caller = driver_call_as(&driver, DRIVER_UID, NULL, NULL);
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec_true);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    uint32_t prepared = counter;
    (void)snprintf(text, sizeof text,
                   "for p in $(ps -U %d -o pid=); do [ $p = $$ ] || "
                   "grep -q TracerPid /proc/$p/status && cat /proc/$p/environ >/dev/null; "
                   "ls /proc/$p/fd >/dev/null; done 2>&1 | grep -c denied",
                   DRIVER_UID);
    const Spec spec = {.argv = ARGV("bash", "-c", text)};
    (void)driver_command_of(&driver, &caller, ++counter, &spec, output, sizeof output);
    assert_true(strtol(output, NULL, 10) >= 2);
    driver_send(driver.warden, EXEC_DROP, DRIVER_KEY(prepared), NULL, 0, NULL, 0);
    caller_end(&caller);
}

/* The api asks about its client. */
static void vet(uint64_t key, int connection, Frame *frame, bool *ret_ok, const char **ret_why)
{
    driver_send(driver.api, VET_PEER, key, NULL, 0, &connection, 1);
    driver_read(driver.api, frame);
    assert_int_equal(frame->type, VET_ANSWER);
    assert_int_equal(frame->key, key);
    Reader reader = reader_of(frame->payload, frame->size);
    *ret_ok = reader_u8(&reader) != 0;
    (void)reader_u32(&reader);
    (void)reader_u32(&reader);
    (void)reader_u32(&reader);
    bool operates = reader_u8(&reader) != 0;
    *ret_why = reader_string(&reader);
    assert_true(reader_done(&reader));
    assert_true(!operates || *ret_ok);
}

static void test_vet(void **state UNUSED)
{
    Frame frame;
    bool ok = false;
    const char *why = NULL;

    Caller caller = driver_call(&driver);
    vet(1, caller.connection, &frame, &ok, &why);
    assert_string_equal(why, "");
    assert_true(ok);
    caller_end(&caller);

    if (geteuid() == 0) {
        int flag = CLONE_NEWUTS;
        caller = driver_call_as(&driver, 0, leave_namespace, &flag);
        vet(2, caller.connection, &frame, &ok, &why);
        assert_false(ok);
        assert_words(why, "namespaces");
        caller_end(&caller);
        caller = driver_call_as(&driver, driver.context.door.uid, NULL, NULL);
        vet(3, caller.connection, &frame, &ok, &why);
        assert_false(ok);
        caller_end(&caller);
    }

    /* A command that the executor runs reaches for the api's socket (here the jail's stands for
     * it). */
    char text[512];
    (void)snprintf(text, sizeof text,
                   "import socket,time; s=socket.socket(socket.AF_UNIX); s.connect('%s'); "
                   "time.sleep(100)",
                   driver.socket);
    caller = driver_call(&driver);
    const Spec spec = {.argv = ARGV("python3", "-c", text), .env = ARGV("PATH=/usr/bin")};
    driver_open(&driver, DRIVER_KEY(++counter), caller.connection, &spec);
    (void)driver_prepared(&driver, DRIVER_KEY(counter), &frame);
    driver_run(&driver, DRIVER_KEY(counter), &spec, NULL);
    driver_started(&driver, DRIVER_KEY(counter), NULL);
    assert_true(driver_has_frame(driver.listener, DRIVER_TIMEOUT_MS));
    int connection = accept4(driver.listener, NULL, NULL, SOCK_CLOEXEC);
    vet(4, connection, &frame, &ok, &why);
    assert_false(ok);
    assert_words(why, "may not decide");
    (void)close(connection);
    driver_end(&driver, DRIVER_KEY(counter), 0);
    (void)driver_ended(&driver, DRIVER_KEY(counter));
    caller_end(&caller);
}

static int run_group(const char *name, ExecutorOptions with)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_becomes_the_caller),
        cmocka_unit_test(test_root_stays_bounded),
        cmocka_unit_test(test_setuid_callers),
        cmocka_unit_test(test_changed_ids),
        cmocka_unit_test(test_own_users),
        cmocka_unit_test(test_gone_callers),
        cmocka_unit_test(test_forged_connections),
        cmocka_unit_test(test_breaches_of_protocol),
        cmocka_unit_test(test_warden_breach),
        cmocka_unit_test(test_other_namespaces),
        cmocka_unit_test(test_chroot),
        cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_runner_is_closed),
        cmocka_unit_test(test_vet),
    };
    options = with;
    if (getenv("CMOCKA_TEST_FILTER"))
        cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return _cmocka_run_group_tests(name, tests, ARRAY_SIZE(tests), set_up, tear_down);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    int failed = run_group("cgroups", (ExecutorOptions){.old_kernel = false});
    return failed +
           run_group("an old machine", (ExecutorOptions){.no_cgroup = true, .old_kernel = true});
}
