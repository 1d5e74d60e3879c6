/*
 * clawrden-shim: the program that stands in for a command. It asks the warden through its jail's
 * socket, hands over its own stdio, waits, and ends as the command ended. docs/protocol.md says
 * what goes over the socket, clawrden-shim(1) how it behaves.
 *
 * It is started for every command, so it is static, links no library beside libc, allocates
 * nothing and makes few system calls. A command that is allowed takes these:
 *
 *   execve, arch_prctl, set_tid_address    (the C library's start)
 *   getcwd                                 the caller's directory as a name
 *   socket                                 for the door
 *   openat(AT_FDCWD, ".", O_PATH)                      the caller's directory as a descriptor
 *   rt_sigprocmask, signalfd4              signals are waited for, not handled (signals.c)
 *   connect                                the door wakes up, and by then it is there:
 *   sendmsg                                the whole request and the descriptors
 *   ppoll, read, ppoll, read               the ack, the exit (one pair when they come together)
 *   exit_group
 *
 * Whether stdin, stdout and stderr are open costs nothing to know: the socket gets the lowest free
 * number (POSIX open()), so a number above 2 says that all three are.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "shim/shim.h"

#define OWN_NAME "clawrden-shim"
#define USAGE_EXIT 2

static const char usage[] =
    "usage: clawrden-shim COMMAND [ARGUMENT]...\n"
    "       clawrden-shim --version | --help\n"
    "Asks the warden to run COMMAND. Under any other name (a link or a copy called git, say) it\n"
    "stands in for that command with all of its arguments.\n"
    "  CLAWRDEN_SOCKET  the warden's socket (" SHIM_DEFAULT_SOCKET ")\n"
    "  CLAWRDEN_WAIT    seconds to wait for an approval; 0: do not wait, exit 75\n";

static _Noreturn void print_and_exit(int fd, const char *text, int code)
{
    size_t size = strlen(text);
    _exit(write(fd, text, size) == (ssize_t)size ? code : 1);
}

static bool is_own_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, OWN_NAME) == 0;
}

/* Called by its own name the shim takes the command from its arguments. */
static void take_own_arguments(Command *command)
{
    if (!command->argv[0] || !command->argv[1])
        print_and_exit(STDERR_FILENO, usage, USAGE_EXIT);
    command->argv++;
    command->path = command->argv[0];
    command->header.flags |= SHIM_FLAG_DIRECT;
    if (strcmp(command->path, "--version") == 0)
        print_and_exit(STDOUT_FILENO, OWN_NAME " " CLAWRDEN_VERSION "\n", 0);
    if (strcmp(command->path, "--help") == 0)
        print_and_exit(STDOUT_FILENO, usage, 0);
    if (command->path[0] == '-')
        print_and_exit(STDERR_FILENO, usage, USAGE_EXIT);
}

/* The value of NAME= in the environment, or NULL. */
static const char *value_of(char **env, const char *name)
{
    size_t size = strlen(name);

    for (; *env; env++) {
        if (strncmp(*env, name, size) == 0)
            return *env + size;
    }
    return NULL;
}

/* CLAWRDEN_WAIT in milliseconds; for ever when it is absent or beyond what the field holds. */
static bool parse_wait(const char *text, uint32_t *ret_ms)
{
    uint64_t seconds = 0;

    *ret_ms = SHIM_WAIT_FOREVER;
    if (!text)
        return true;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (seconds < SHIM_WAIT_FOREVER)
            seconds = seconds * 10 + (uint64_t)(*digit - '0');
    }
    if (*digit || digit == text)
        return false;
    if (seconds * 1000 < SHIM_WAIT_FOREVER)
        *ret_ms = (uint32_t)(seconds * 1000);
    return true;
}

/* The caller's open stdio in order, then the directory; how many. */
static size_t collect_descriptors(Shim *shim, Command *command, int *fds)
{
    bool all_open = shim->socket_fd > STDERR_FILENO;
    size_t n = 0;

    shim->socket_fd = fd_above_stdio(shim->socket_fd);
    /* openat: musl's open() with O_CLOEXEC costs a second system call. */
    int directory = fd_above_stdio(openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (directory < 0) /* a directory that the caller may not search: its link needs no search */
        directory =
            fd_above_stdio(openat(AT_FDCWD, "/proc/self/cwd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (shim->socket_fd < 0 || directory < 0)
        fail(NULL, EXIT_WARDEN_FAILED, "cannot open the current directory: ", strerror(errno),
             "; nothing was run");

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (all_open || fcntl(fd, F_GETFD) >= 0) {
            command->header.flags |= (uint16_t)(SHIM_FLAG_STDIN << fd);
            fds[n++] = fd;
        }
    }
    fds[n++] = directory;
    return n;
}

int main(int argc, char **argv, char **env)
{
    Shim shim = {.phase = PHASE_SENDING};
    static char cwd[SHIM_PATH_MAX] LARGE_BUFFER; /* on the stack it would be touched throughout */
    int fds[4];

    (void)argc;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): that is how getauxval(3) gives a pointer */
    Command command = {.path = (const char *)getauxval(AT_EXECFN), .argv = argv, .env = env};
    if (!command.path)
        command.path = argv[0] ? argv[0] : "";
    if (is_own_name(command.path))
        take_own_arguments(&command);
    if (!command.argv[0])
        fail(NULL, EXIT_WARDEN_FAILED, "started without a command name; nothing was run");
    command.cwd = getcwd(cwd, sizeof cwd) ? cwd : "";

    const char *wait = value_of(env, "CLAWRDEN_WAIT=");
    uint32_t wait_ms;
    bool wait_is_good = parse_wait(wait, &wait_ms);
    command.header.wait_ms = wait_ms;
    const char *path = value_of(env, "CLAWRDEN_SOCKET=");
    if (!command_measure(&command))
        fail(NULL, EXIT_DENIED,
             "argument list too long: arguments and environment may take 6 MiB; nothing was run");

    shim.socket_fd = door_socket();
    size_t n_fds = collect_descriptors(&shim, &command, fds);
    signals_open(&shim);
    if (!wait_is_good)
        say("CLAWRDEN_WAIT=", wait, " is not a number of seconds; waiting as long as it takes");
    door_connect(&shim, path && *path ? path : SHIM_DEFAULT_SOCKET);
    request_send(&shim, &command, fds, n_fds);
    reply_follow(&shim);
}
