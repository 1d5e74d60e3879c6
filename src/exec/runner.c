/*
 * See runner.h.
 *
 * A plain sequence, no loop library: it blocks wherever it must wait, and whoever waits for it (the
 * warden, by deadlines) ends it from outside. Everything it allocates dies with it or with exec.
 */
#include "exec/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/become.h"
#include "exec/beneath.h"
#include "exec/environment.h"
#include "exec/handover.h"
#include "exec/join.h"
#include "exec/program.h"
#include "exec/receive.h"
#include "exec/relay.h"
#include "exec/resolve.h"
#include "wire/launch.h"

#define STOCK_SIZES 7u

typedef struct Runner {
    int control_fd;
    const RunnerOrigin *origin;
    RunnerAssignment assignment;
    Joined joined;
    int door_fd;
    Received received; /* the request and the caller's descriptors */
    Program program;
    int missing; /* ExecFailure: there is no such program, and `refusal` says why; 0 */
    char cwd[PATH_MAX];
    struct stat directory; /* of it */
    Environment environment;
    Refusal refusal;
    void *stock[STOCK_SIZES]; /* never used: stock_heap() */
    char order[RUNNER_MESSAGE_MAX];
} Runner;

/* What an order to run usually takes of that. */
#define ORDER_USUAL 1024

/* Says why and ends when the executor has heard it: until then the executor may still hold copies
 * of the descriptors (runner.h). */
static _Noreturn void fail(Runner *runner, int failure)
{
    Buffer message = BUFFER_EMPTY(RUNNER_ANSWER_MAX);
    char nothing;

    buffer_put_u8(&message, RUNNER_FAILED);
    buffer_put_u8(&message, (uint8_t)failure);
    buffer_put_string(&message, runner->refusal.text);
    (void)fd_send(runner->control_fd, message.bytes, message.size, NULL, 0, 0);
    while (read(runner->control_fd, &nothing, 1) < 0 && errno == EINTR) {
    }
    _exit(EXIT_FAILURE);
}

static _Noreturn void fail_step(Runner *runner, const char *step, int error)
{
    fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN, "cannot become the caller: %s: %s",
                        step, strerror(-error)));
}

/* The next message of the executor; ends the runner when there is none. */
static size_t next_message(Runner *runner, void *bytes, size_t room, FdReceived *ret)
{
    ssize_t size = fd_receive(runner->control_fd, bytes, room, ret, 0);
    if (size <= 0)
        _exit(EXIT_SUCCESS);
    return (size_t)size;
}

static void expect_go(Runner *runner)
{
    FdReceived received;
    uint8_t type = 0;

    (void)next_message(runner, &type, sizeof type, &received);
    fd_received_done(&received);
    if (type != RUNNER_GO)
        _exit(EXIT_FAILURE);
}

/* Holds descriptors until the executor has closed its own copies. A process that ends does not
 * wait for what its sockets have still to send, as close(2) may (SO_LINGER, socket(7)): so none is
 * closed before. */
static _Noreturn void dispose(Runner *runner)
{
    FdReceived received;
    uint8_t type = RUNNER_MORE;

    while (type == RUNNER_MORE)
        (void)next_message(runner, &type, sizeof type, &received);
    _exit(type == RUNNER_GO ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Into the caller's container, while nobody waits. */
static void join(Runner *runner)
{
    FdReceived received;
    JoinOrder order;
    const char *step = "";
    const uint8_t joined = RUNNER_JOINED;

    size_t size = next_message(runner, runner->order, sizeof runner->order, &received);
    if (runner->order[0] != RUNNER_JOIN || received.n_fds != 1 ||
        join_order_decode(runner->order + 1, size - 1, &order) < 0)
        _exit(EXIT_FAILURE);
    int result = join_container(runner->origin, &order, received.fds[0], runner->control_fd,
                                &runner->joined, &step);
    fd_received_done(&received);
    if (result < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN,
                            "cannot join the caller's container: %s: %s", step, strerror(-result)));
    (void)fd_send(runner->control_fd, &joined, sizeof joined, NULL, 0, 0);
}

/* Takes the assignment; its descriptors stay open to the end (runner.h). */
static void be_assigned(Runner *runner)
{
    FdReceived received;

    size_t size = next_message(runner, &runner->assignment, sizeof runner->assignment, &received);
    if (size != sizeof runner->assignment || runner->assignment.type != RUNNER_ASSIGN ||
        received.n_fds < 1)
        _exit(EXIT_FAILURE);
    runner->door_fd = received.fds[0];
    if (runner->assignment.dispose)
        dispose(runner);
}

/* The rest of our life is in the container's pid namespace. */
static void leave(Runner *runner)
{
    int result = join_leave(runner->control_fd);

    if (result < 0)
        fail_step(runner, "a process in the container", result);
    result = join_settle();
    if (result == -ENOTTY)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN,
                            "what the container has at /proc is no proc file system"));
    if (result < 0)
        fail_step(runner, "the container's /proc", result);
}

static void become(Runner *runner)
{
    const char *step = "";
    Joined *joined = runner->joined.is_joined ? &runner->joined : NULL;
    int result = become_prepare(runner->origin, &runner->assignment.caller, joined, &step);

    if (result < 0)
        fail_step(runner, step, result);
    expect_go(runner);
    result = become_caller(runner->origin, &runner->assignment.caller, joined, &step);
    if (result < 0)
        fail_step(runner, step, result);
    if (joined)
        leave(runner);
}

/* In a mount namespace of our own the caller's directory is another mount of the same one: the path
 * that it has in the container must lead to it here too. */
static void enter_private(Runner *runner, char path[static PATH_MAX], const struct stat *status)
{
    static const char elsewhere[] = "(unreachable)";
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
    struct stat there;

    if (!runner->joined.is_private || strncmp(path, elsewhere, strlen(elsewhere)) != 0)
        return;
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path + strlen(elsewhere), &how, sizeof how);
    if (fd < 0 || fstat(fd, &there) < 0 || there.st_dev != status->st_dev ||
        there.st_ino != status->st_ino || fchdir(fd) < 0 || syscall(SYS_getcwd, path, PATH_MAX) < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_CWD,
                            "the working directory is not one of the container's"));
    runner->received.cwd_fd = fd;
}

/* Goes to the caller's working directory and names it. */
static void enter_directory(Runner *runner, char path[static PATH_MAX], struct stat *status)
{
    if (fstat(runner->received.cwd_fd, status) < 0 || !S_ISDIR(status->st_mode))
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_CWD,
                            "the working directory's descriptor is not a directory"));
    if (fchdir(runner->received.cwd_fd) < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_CWD, "the working directory: %s",
                            strerror(errno)));
    /* The system call, not glibc's getcwd(), which searches when the kernel cannot say. A directory
     * outside our root, as in another mount namespace, is "(unreachable)/…" (getcwd(2)). */
    if (syscall(SYS_getcwd, path, PATH_MAX) < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_CWD, "the working directory: %s",
                            errno == ENOENT ? "it has been deleted or lies outside the root"
                                            : strerror(errno)));
    enter_private(runner, path, status);
    if (path[0] != '/')
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_CWD,
                            "the working directory lies outside the warden's file system"));
}

/* Could what standard input says change after a human has looked? A terminal is the caller's to
 * type on, which matters to a program that takes its instructions from there. */
static bool is_stdin_mutable(int fd, bool takes_instructions)
{
    struct stat status;

    if (fd < 0 || (isatty(fd) && !takes_instructions))
        return false;
    if (fstat(fd, &status) < 0)
        return true;
    return !(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)); /* /dev/null */
}

static void report_prepared(Runner *runner, const char *cwd, const struct stat *directory)
{
    const Program *program = &runner->program;
    Buffer message = BUFFER_EMPTY(RUNNER_ANSWER_MAX);
    const bool missing = runner->missing != 0;
    uint32_t flags = missing ? PREPARED_NO_PROGRAM : program_flags(program);

    if (runner->missing == EXEC_FAILURE_NOT_RUNNABLE)
        flags |= PREPARED_NOT_RUNNABLE;
    if (is_stdin_mutable(runner->received.stdio[STDIN_FILENO], (flags & PREPARED_READS_STDIN) != 0))
        flags |= PREPARED_STDIN_MUTABLE;
    buffer_put_u8(&message, RUNNER_PREPARED);
    buffer_put_u32(&message, flags);
    buffer_put_string(&message, missing ? "" : program->exe.path);
    buffer_put_string(&message, missing ? "" : program->script.interpreter.path);
    buffer_put_string(&message, missing ? runner->refusal.text : program->operand_file.path);
    buffer_put_string(&message, cwd);
    buffer_put_u64(&message, directory->st_dev);
    buffer_put_u64(&message, directory->st_ino);
    ssize_t sent = message.error < 0
                       ? message.error
                       : fd_send(runner->control_fd, message.bytes, message.size, NULL, 0, 0);
    buffer_done(&message);
    if (sent < 0)
        _exit(EXIT_FAILURE);
}

static void prepare(Runner *runner)
{
    int result = receive_request(runner->door_fd, &runner->received, &runner->refusal);
    if (result != 0)
        fail(runner, result);
    enter_directory(runner, runner->cwd, &runner->directory);
    result = program_find(&runner->program, &runner->received.request, &runner->refusal);
    if (result != 0 && (!runner->assignment.may_relay || result == EXEC_FAILURE_BROKEN))
        fail(runner, result);
    runner->missing = result;
    report_prepared(runner, runner->cwd, &runner->directory);
    /* While the warden judges. */
    if (environment_prepare(&runner->environment, &runner->received.request) < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN, "out of memory"));
}

static _Noreturn void hash(Runner *runner)
{
    Examined examined = {.root_pid = 0}; /* that is the executor's to say */
    char cwd[PATH_MAX];
    Buffer message = BUFFER_EMPTY(RUNNER_ANSWER_MAX);
    char nothing;

    int result =
        runner->missing ? 0 : program_hash(&runner->program, &examined.hashed, &runner->refusal);
    if (result != 0)
        fail(runner, result);
    if (syscall(SYS_getcwd, cwd, sizeof cwd) > 0)
        beneath_find(runner->received.cwd_fd, cwd, runner->received.request.argv,
                     runner->received.request.argc, examined.beneath);
    buffer_put_u8(&message, RUNNER_HASHED);
    examined_encode(&message, &examined);
    (void)fd_send(runner->control_fd, message.bytes, message.size, NULL, 0, 0);
    while (read(runner->control_fd, &nothing, 1) < 0 && errno == EINTR) {
    }
    _exit(EXIT_SUCCESS);
}

/* The caller's descriptors become 0, 1 and 2; a sealed script gets its number; nothing else is
 * left open by the exec. */
static int arrange_descriptors(Runner *runner, const Launch *launch)
{
    for (int target = 0; target < 3; target++) {
        int source = runner->received.stdio[target];
        if (source < 0)
            (void)close(target);
        else if (dup2(source, target) < 0)
            return -errno;
    }
    if (launch->script_fd >= 0 && dup2(launch->script_fd, LAUNCH_SCRIPT_FD) < 0)
        return -errno;
    return 0;
}

/* Checks that the command is the admitted one, and composes it. Returns its environment. */
static const char **compose(Runner *runner, const RunOrder *order, Launch *ret)
{
    const ShimRequest *request = &runner->received.request;
    size_t n_kept = 0;
    const char **kept = environment_keep(request, order, &n_kept);
    const char **env = kept ? environment_compose(&runner->environment, kept, n_kept) : NULL;

    if (!env)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN, "out of memory"));
    Digest command = digest_command(request->argv, request->argc, kept, n_kept);
    if (!digest_equal(&command, &order->command))
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_DRIFT,
                            "the arguments or environment are not those that were admitted"));
    int result = program_launch(&runner->program, request, order, ret, &runner->refusal);
    if (result != 0)
        fail(runner, result);
    return env;
}

static _Noreturn void run(Runner *runner, const RunOrder *order)
{
    Launch launch;
    const char **env = compose(runner, order, &launch);

    /* The caller's limit on descriptors may be below the script's number: that comes after. */
    int result = arrange_descriptors(runner, &launch);
    if (result == 0)
        result = become_limited(runner->origin, &runner->assignment.caller);
    if (result < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN,
                            "limits or descriptors of the command: %s", strerror(-result)));
    result = runner->joined.is_joined
                 ? join_install(&runner->joined, &runner->assignment.caller, false)
                 : 0;
    if (result < 0)
        fail_step(runner, "the caller's seccomp filters", result);
    (void)syscall(SYS_execveat, launch.fd, "", launch.argv, env, AT_EMPTY_PATH);
    int error = errno;
    fail(runner,
         refuse(&runner->refusal, EXEC_FAILURE_NOT_RUNNABLE, "%s: %s", runner->program.exe.path,
                error == ENOENT ? "its ELF interpreter (loader) is missing" : strerror(error)));
}

/* What runs elsewhere finds its directory by path: that it leads there is checked here. */
static _Noreturn void relay(Runner *runner, int stream_fd)
{
    struct stat now;

    if (stat(runner->cwd, &now) < 0 || now.st_dev != runner->directory.st_dev ||
        now.st_ino != runner->directory.st_ino)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_DRIFT,
                            "the working directory's path leads to another directory by now"));
    (void)close(runner->control_fd);
    relay_run(&(RelayPlan){.stream_fd = stream_fd, .stdio = runner->received.stdio});
}

/* All is checked before anything is started; what changes from now on is found by the launcher. */
static _Noreturn void launch(Runner *runner, const RunOrder *order)
{
    Buffer frame = BUFFER_EMPTY(LAUNCH_HEAD_SIZE + LAUNCH_BODY_MAX);
    FdReceived received;
    Launch launch;
    const char **env = compose(runner, order, &launch);

    handover_encode(&frame, &(Handover){.caller = &runner->assignment.caller,
                                        .received = &runner->received,
                                        .program = &runner->program,
                                        .launch = &launch,
                                        .order = order,
                                        .cwd = runner->cwd,
                                        .directory = &runner->directory,
                                        .env = env});
    if (frame.error < 0)
        fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN, "the command cannot be told: %s",
                            strerror(-frame.error)));
    size_t size = next_message(runner, runner->order, sizeof runner->order, &received);
    if (runner->order[0] != RUNNER_RELAY || size != 1 || received.n_fds != 1)
        _exit(EXIT_FAILURE);
    (void)close(runner->control_fd);
    relay_run(&(RelayPlan){.stream_fd = received.fds[0],
                           .stdio = runner->received.stdio,
                           .preface = frame.bytes,
                           .preface_size = frame.size,
                           .hello = LAUNCH_HELLO,
                           .hello_size = LAUNCH_HELLO_SIZE});
}

static _Noreturn void obey(Runner *runner)
{
    FdReceived received;
    RunOrder order;

    size_t size = next_message(runner, runner->order, sizeof runner->order, &received);
    if (runner->order[0] == RUNNER_RELAY && size == 1 && received.n_fds == 1)
        relay(runner, received.fds[0]);
    fd_received_done(&received);
    switch (runner->order[0]) {
    case RUNNER_HASH:
        hash(runner);
    case RUNNER_RUN:
        if (!runner->missing && run_order_decode(runner->order + 1, size - 1, &order) == 0)
            run(runner, &order);
        break;
    case RUNNER_LAUNCH:
        if (!runner->missing && run_order_decode(runner->order + 1, size - 1, &order) == 0)
            launch(runner, &order);
        break;
    default:
        break;
    }
    fail(runner, refuse(&runner->refusal, EXEC_FAILURE_BROKEN, "an order that cannot be read"));
}

/* Takes a little of each size that a request will want, so that the allocator has it at hand. */
static void stock_heap(Runner *runner)
{
    for (size_t i = 0; i < STOCK_SIZES; i++)
        runner->stock[i] = calloc(1, (size_t)16 << i);
}

/* Goes through the motions once with a command of its own, so that the pages which the real one
 * will touch are there: a fault can cost as much as twenty system calls.
 * Nothing of it stays. */
static void rehearse(Runner *runner)
{
    const char *const words[] = {"sh", NULL};
    const ShimRequest request = {.path = "sh",
                                 .argv = (const char *[]){"sh", NULL},
                                 .argc = 1,
                                 .env = (const char *[]){"PATH=" RESOLVE_DEFAULT_PATH, NULL},
                                 .envc = 1};
    FdReceived received;
    RunOrder order;

    stock_heap(runner);
    memset(&runner->assignment, 0, sizeof runner->assignment);
    memset(runner->order, 0, ORDER_USUAL);
    receive_rehearse(&runner->received);
    (void)program_find(&runner->program, &request, &runner->refusal);
    (void)program_flags(&runner->program);
    program_done(&runner->program);
    if (environment_prepare(&runner->environment, &request) == 0)
        free(environment_compose(&runner->environment, request.env, request.envc));
    free(runner->environment.path_ordered);
    Digest digest = digest_command(words, 1, words, 1);
    (void)run_order_decode((const char *)digest.bytes, sizeof digest.bytes, &order);
    (void)is_stdin_mutable(STDIN_FILENO, false);
    (void)fd_receive(-EBADF, runner->order, ORDER_USUAL, &received, 0);
    (void)fd_send(-EBADF, runner->order, ORDER_USUAL, NULL, 0, 0);
}

_Noreturn void runner_main(int control_fd, const RunnerOrigin *origin)
{
    Runner *runner = calloc(1, sizeof *runner);

    if (!runner || fd_close_all_except(&control_fd, 1) < 0)
        _exit(EXIT_FAILURE);
    runner->origin = origin;
    receive_init(&runner->received);
    /* Down to 3, out of the way of LAUNCH_SCRIPT_FD. */
    runner->control_fd = control_fd > STDERR_FILENO + 1
                             ? fd_move_above_take(control_fd, STDERR_FILENO + 1)
                             : control_fd;
    if (runner->control_fd < 0 || become_clean(origin) < 0)
        _exit(EXIT_FAILURE);
    if (origin->is_spare)
        rehearse(runner);
    if (origin->joins)
        join(runner);
    be_assigned(runner);
    become(runner);
    prepare(runner);
    obey(runner);
}
