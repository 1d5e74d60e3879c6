/*
 * clawrden-launcher: what the engine's own exec starts in a caller's container when the policy says
 * `mirror_engine: docker`. It becomes one command and nothing else.
 *
 * The engine process that ordered it knows neither argv nor environment; the caller's runner, which
 * has prepared and judged the command in the same container, tells them to it through its stdin
 * (wire/launch.h). Until then it waits in read(2), where the executor looks at it, and moves it
 * into the request's own cgroup (engine-command.h): nothing hostile has run before.
 *
 * An engine starts it with the container's rights, which may be more than the caller's. What can
 * be given up is given up (groups, capabilities, limits, signals, no_new_privs); what cannot be is
 * compared, and where the command would have more than its caller, or another program would run,
 * nothing does. It is static, installed without read permission, which makes its process
 * non-dumpable from its first instruction (execve(2), prctl(2)): another process of the same user
 * can neither trace it nor look into it. Whoever starts it by hand gets what they could have had
 * without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/disposition.h"
#include "base/fd.h"
#include "exec/seal.h"
#include "wire/launch.h"

static _Noreturn __attribute__((format(printf, 2, 3))) void refuse_to(int code, const char *format,
                                                                      ...)
{
    char words[4096 + 512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    (void)dprintf(STDERR_FILENO, "clawrden: refused: %s; nothing was run\n", words);
    _exit(code);
}

/* The order. */

static bool read_exactly(char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = read(STDIN_FILENO, bytes, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

static void read_order(LaunchOrder *ret)
{
    char head[LAUNCH_HEAD_SIZE];

    if (!read_exactly(head, sizeof head))
        refuse_to(EXIT_WARDEN_FAILED, "the warden has gone away before it said what to run");
    size_t size = launch_head_decode(head);
    if (size == 0)
        refuse_to(EXIT_WARDEN_FAILED,
                  "clawrden-launcher is started by the warden alone, and told what to run");
    char *body = malloc(size); /* lives until the exec */
    if (!body || !read_exactly(body, size))
        refuse_to(EXIT_WARDEN_FAILED, "what to run did not arrive");
    int result = launch_decode(body, size, ret);
    if (result < 0)
        refuse_to(EXIT_WARDEN_FAILED, "what to run cannot be read: %s", strerror(-result));
}

/* Who it is. */

static bool has_group(const gid_t *groups, size_t n_groups, gid_t gid, gid_t wanted)
{
    for (size_t i = 0; i < n_groups; i++) {
        if (groups[i] == wanted)
            return true;
    }
    return wanted == gid;
}

/* As sets: engines list the primary group among the others, too. */
static bool are_same_groups(const LaunchOrder *order, const gid_t *now, size_t n_now)
{
    for (size_t i = 0; i < n_now; i++) {
        if (!has_group(order->groups, order->n_groups, order->gid, now[i]))
            return false;
    }
    for (size_t i = 0; i < order->n_groups; i++) {
        if (!has_group(now, n_now, order->gid, order->groups[i]))
            return false;
    }
    return true;
}

static void take_ids(const LaunchOrder *order)
{
    uid_t uids[3];
    gid_t gids[3], now[PREPARED_GROUPS_MAX + 1];

    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0)
        refuse_to(EXIT_WARDEN_FAILED, "its ids: %s", strerror(errno));
    for (size_t i = 0; i < 3; i++) {
        if (uids[i] != order->uid || gids[i] != order->gid)
            refuse_to(EXIT_WARDEN_FAILED, "the engine has started it as another user or group");
    }
    if (setgroups(order->n_groups, order->groups) == 0)
        return;
    int n = getgroups(ARRAY_SIZE(now), now);
    if (n < 0 || !are_same_groups(order, now, (size_t)n))
        refuse_to(EXIT_WARDEN_FAILED,
                  "the engine's exec has other groups than the caller, and cannot change them "
                  "(mirror_engine: docker needs callers with the container's own groups; start "
                  "it with --group-add, or use mirror_engine: joiner)");
}

static bool is_privileged_not_to_gain(const LaunchOrder *order)
{
    return !order->no_new_privs || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static void check_filters(const LaunchOrder *order)
{
    static const char name[] = "\nSeccomp_filters:";
    _cleanup_free_ char *status = NULL;
    const char *line;

    if (order->seccomp_filters == 0)
        return;
    if (fd_read_file(AT_FDCWD, "/proc/self/status", 64 * 1024, &status, NULL) < 0 ||
        !(line = strstr(status, name)) ||
        strtoul(line + strlen(name), NULL, 10) < order->seccomp_filters)
        refuse_to(EXIT_WARDEN_FAILED,
                  "the caller runs under a seccomp filter of its own, which the engine's exec "
                  "does not have (mirror_engine: joiner has it)");
}

/* The caller's sets, less whatever this process lacks. */
static void take_capabilities(const LaunchOrder *order)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    for (unsigned long cap = 0; cap < 64; cap++) {
        const int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (has < 0)
            break; /* there is no such capability */
        if (has == 1 && !(order->bounding >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            refuse_to(EXIT_WARDEN_FAILED,
                      "the engine's exec could get more capabilities than the caller "
                      "(mirror_engine: joiner takes them away)");
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capget, &header, sets) < 0)
        refuse_to(EXIT_WARDEN_FAILED, "its capabilities: %s", strerror(errno));
    uint64_t permitted = 0, inheritable = 0;
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t had = sets[i].permitted | sets[i].inheritable;
        sets[i].permitted &= (uint32_t)(order->permitted >> (32 * i));
        sets[i].effective = (uint32_t)(order->effective >> (32 * i)) & sets[i].permitted;
        sets[i].inheritable = (uint32_t)(order->inheritable >> (32 * i)) & had;
        permitted |= (uint64_t)sets[i].permitted << (32 * i);
        inheritable |= (uint64_t)sets[i].inheritable << (32 * i);
    }
    if (syscall(SYS_capset, &header, sets) < 0)
        refuse_to(EXIT_WARDEN_FAILED, "the caller's capabilities: %s", strerror(errno));
    const uint64_t ambient = order->ambient & permitted & inheritable;
    for (unsigned long cap = 0; cap < 64; cap++) {
        if (ambient >> cap & 1)
            (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    }
}

static void become_caller(const LaunchOrder *order)
{
    take_ids(order);
    check_filters(order);
    take_capabilities(order);
    if (!is_privileged_not_to_gain(order))
        refuse_to(EXIT_WARDEN_FAILED, "no_new_privs: %s", strerror(errno));
    (void)umask(order->umask);
    (void)setpriority(PRIO_PROCESS, 0, order->nice);
    (void)setpgid(0, 0); /* EPERM: it leads a session already */
    disposition_reset();
    for (int number = 1; number <= DISPOSITION_SIGNAL_MAX; number++) {
        if (order->ignored_signals >> (number - 1) & 1)
            disposition_set(number, true);
    }
}

/* The caller's, or less where this process may have no more. Last before the exec. */
static void take_limits(const LaunchOrder *order)
{
    for (int i = 0; i < (int)RLIMIT_NLIMITS; i++) {
        struct rlimit limit = order->limits[i], now;
        if (prlimit(0, i, NULL, &now) < 0)
            refuse_to(EXIT_WARDEN_FAILED, "resource limits: %s", strerror(errno));
        if (limit.rlim_max > now.rlim_max && prlimit(0, i, &limit, NULL) < 0)
            limit.rlim_max = now.rlim_max;
        if (limit.rlim_cur > limit.rlim_max)
            limit.rlim_cur = limit.rlim_max;
        if (prlimit(0, i, &limit, NULL) < 0)
            refuse_to(EXIT_WARDEN_FAILED, "resource limits: %s", strerror(errno));
    }
}

/* What runs. */

static void enter_directory(const LaunchOrder *order)
{
    struct stat status;

    if (chdir(order->cwd) < 0)
        refuse_to(EXIT_DENIED, "%.4000s: %s", order->cwd, strerror(errno));
    if (stat(".", &status) < 0 || status.st_dev != order->cwd_device ||
        status.st_ino != order->cwd_inode)
        refuse_to(EXIT_DENIED,
                  "the working directory's path leads to another directory by now (%.4000s)",
                  order->cwd);
}

static bool is_same_file(const struct stat *now, const LaunchFile *file)
{
    return S_ISREG(now->st_mode) && now->st_dev == file->device && now->st_ino == file->inode &&
           (uint64_t)now->st_size == file->size &&
           (uint64_t)now->st_mtim.tv_sec == file->modified_s &&
           (uint32_t)now->st_mtim.tv_nsec == file->modified_ns &&
           (uint64_t)now->st_ctim.tv_sec == file->changed_s &&
           (uint32_t)now->st_ctim.tv_nsec == file->changed_ns;
}

/* The very file that was judged, or a sealed copy of what was approved. */
static int open_file(const LaunchFile *file)
{
    const char *name = strrchr(file->path, '/');
    struct stat status;
    Digest digest;

    int fd = open(file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        refuse_to(EXIT_DENIED, "%.4000s: %s", file->path, strerror(errno));
    if (fstat(fd, &status) < 0 || !is_same_file(&status, file))
        refuse_to(EXIT_DENIED,
                  "%.4000s is another file than the one that was judged, or has changed",
                  file->path);
    int result = file->sealed ? seal_copy(fd, name ? name + 1 : file->path, &fd) : 0;
    if (result == 0 && file->hashed)
        result = digest_file(fd, &digest, NULL);
    if (result < 0)
        refuse_to(EXIT_DENIED, "%.4000s: %s", file->path, strerror(-result));
    if (file->hashed && !digest_equal(&digest, &file->digest))
        refuse_to(EXIT_DENIED, "%.4000s has changed since it was approved", file->path);
    return fd;
}

/* A script that is not sealed is opened by its path once more, by its interpreter; a number that
 * it must not have is out of its way. */
static void place_script(const LaunchOrder *order)
{
    if (!order->script.path[0])
        return;
    int fd = open_file(&order->script);
    if (order->script.sealed && dup2(fd, (int)order->script_fd) < 0)
        refuse_to(EXIT_DENIED, "%.4000s: %s", order->script.path, strerror(errno));
    if (fd != (int)order->script_fd)
        (void)close(fd);
}

static void close_what_was_closed(const LaunchOrder *order)
{
    for (int fd = 0; fd < 3; fd++) {
        if (!(order->stdio >> fd & 1))
            (void)close(fd);
    }
}

int main(void)
{
    LaunchOrder order;

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return EXIT_WARDEN_FAILED;
    (void)signal(SIGPIPE, SIG_IGN);
    if (write(STDOUT_FILENO, LAUNCH_HELLO, LAUNCH_HELLO_SIZE) != (ssize_t)LAUNCH_HELLO_SIZE)
        return EXIT_WARDEN_FAILED;
    read_order(&order);
    become_caller(&order);
    enter_directory(&order);
    place_script(&order);
    int fd = open_file(&order.program);
    take_limits(&order);
    close_what_was_closed(&order);
    (void)syscall(SYS_execveat, fd, "", order.argv, order.env, AT_EMPTY_PATH);
    refuse_to(EXIT_DENIED, "%.4000s: %s", order.program.path,
              errno == ENOENT ? "its ELF interpreter (loader) is missing" : strerror(errno));
}
