/*
 * See cgroup.h.
 */
#include "exec/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/pidref.h"
#include "exec/container-paths.h"
#include "exec/freezer.h"
#include "exec/image.h"

/* How long what an earlier run left may take to die. */
#define SWEEP_MS 2000
/* What has not died by then may be frozen in a hierarchy of version 1. */
#define THAW_AFTER_MS UINT64_C(100)
/* A tree's name: the prefix and this many digits of the run directory's digest. */
#define TREE_PREFIX "clawrden-"
#define TREE_DIGITS 16
#define LOCK_TRIES 200u
#define LOCK_AGAIN_MS 10
/* Empty leaves kept for reuse. */
#define POOL_MAX 64u

struct CgroupTree {
    char parent[PATH_MAX];
    char name[64];
    char path[PATH_MAX]; /* as /proc/PID/cgroup shows it */
    int fd;
    int home_fd;    /* where we live; -EBADF: not known */
    bool by_moving; /* forking into a leaf does not work here: children are moved in */
    unsigned next_number;
    CgroupLeaf *pool;
    unsigned n_pool;
};

char *cgroup_path_in(char *text)
{
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return NULL;
    line = strstr(line, "0::") + 3;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* Undoes mountinfo's \040 and the like, in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* "36 35 98:0 /root /mount options … - cgroup2 source options" */
static bool parse_cgroup2_mount(const char *line, size_t size, char root[static PATH_MAX],
                                char mount[static PATH_MAX])
{
    _cleanup_free_ char *copy = strndup(line, size);
    const char *type = copy ? strstr(copy, " - ") : NULL;

    _Static_assert(PATH_MAX >= 4096, "the scan below writes at most 4096 bytes");
    if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0 ||
        sscanf(copy, "%*s %*s %*s %4095s %4095s", root, mount) != 2)
        return false;
    unescape(root);
    unescape(mount);
    return true;
}

int cgroup_find_directory(const char *mountinfo, const char *path, char *ret, size_t room)
{
    char root[PATH_MAX], mount[PATH_MAX];

    for (const char *line = mountinfo; *line;) {
        size_t size = strcspn(line, "\n");
        bool is_cgroup2 = parse_cgroup2_mount(line, size, root, mount);
        line += size + (line[size] == '\n');
        if (!is_cgroup2)
            continue;
        size_t root_size = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(path, root, root_size) != 0 ||
            (path[root_size] != '/' && path[root_size] != '\0'))
            continue;
        const char *rest = path + root_size;
        int written = snprintf(ret, room, "%s%s", mount, strcmp(rest, "/") == 0 ? "" : rest);
        return written < 0 || (size_t)written >= room ? -ENAMETOOLONG : 0;
    }
    return -ENOENT;
}

/* Where we live: the directory and the path of our own cgroup. */
static int find_own(char directory[static PATH_MAX], char path[static PATH_MAX])
{
    _cleanup_free_ char *cgroups = NULL, *mountinfo = NULL;

    int result = fd_read_file(AT_FDCWD, "/proc/self/cgroup", 64 * 1024, &cgroups, NULL);
    if (result < 0)
        return result;
    const char *own = cgroup_path_in(cgroups);
    /* "/../x": it lies outside what this cgroup namespace can name. */
    if (!own || own[0] != '/' || strncmp(own, "/..", 3) == 0 || strlen(own) >= PATH_MAX)
        return -ENOENT;
    memcpy(path, own, strlen(own) + 1);
    result = fd_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo, NULL);
    if (result < 0)
        return result;
    return cgroup_find_directory(mountinfo, path, directory, PATH_MAX);
}

static int write_file(int directory_fd, const char *name, const char *text)
{
    _cleanup_fd_ int fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fd_write_all(fd, text, strlen(text));
}

/* "populated 1\nfrozen 0\n" */
static int read_populated(int events_fd)
{
    char text[128];

    ssize_t size = pread(events_fd, text, sizeof text - 1, 0);
    if (size < 0)
        return errno == ENODEV ? 0 : -errno;
    text[size] = '\0';
    const char *value = strstr(text, "populated ");
    return value ? value[10] == '1' : -EPROTO;
}

/* Kills all members of a directory's cgroup and below, and waits until they are gone. */
static int kill_and_wait(int directory_fd, int timeout_ms)
{
    uint64_t end = clock_monotonic_ms() + (uint64_t)timeout_ms;

    _cleanup_fd_ int events_fd = openat(directory_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (events_fd < 0)
        return -errno;
    int result = read_populated(events_fd);
    if (result <= 0)
        return result;
    result = write_file(directory_fd, "cgroup.kill", "1");
    if (result < 0)
        return result;
    for (bool released = false; (result = read_populated(events_fd)) == 1; released = true) {
        uint64_t now = clock_monotonic_ms(), left = end > now ? end - now : 0;
        struct pollfd wait = {.fd = events_fd, .events = POLLPRI};
        if (left == 0)
            return -ETIMEDOUT;
        if (poll(&wait, 1, (int)(released || left < THAW_AFTER_MS ? left : THAW_AFTER_MS)) == 0 &&
            !released)
            freezer_release_below(directory_fd); /* a container of theirs may be frozen */
    }
    return result;
}

/* Removes the (empty) leaves. */
static void remove_leaves(int tree_fd)
{
    int fd = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedirp)
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        fd_close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            (void)unlinkat(tree_fd, entry->d_name, AT_REMOVEDIR);
    }
}

static int open_directory(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Is `fd` still what `name` leads to? Somebody may have removed it before we had the lock. */
static bool is_still_there(int parent_fd, const char *name, int fd)
{
    struct stat there, ours;
    return fstatat(parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &ours) == 0 &&
           there.st_ino == ours.st_ino && there.st_dev == ours.st_dev;
}

/* Trees whose executor is gone, whatever its run directory was: a living one holds a lock. */
static void sweep_dead_trees(int parent_fd)
{
    int copy = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedirp)
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    if (!directory) {
        fd_close(copy);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (strncmp(entry->d_name, TREE_PREFIX, strlen(TREE_PREFIX)) != 0 ||
            strlen(entry->d_name) != strlen(TREE_PREFIX) + TREE_DIGITS)
            continue;
        _cleanup_fd_ int fd = open_directory(parent_fd, entry->d_name);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || kill_and_wait(fd, SWEEP_MS) < 0)
            continue;
        remove_leaves(fd);
        (void)unlinkat(parent_fd, entry->d_name, AT_REMOVEDIR);
    }
}

/* Makes the tree below `parent`, and takes its lock. `is_seen`: a prisoner can open the directory
 * and hold its lock, so nobody waits for that. The name is ours alone, as the run directory is. */
static int open_tree_at(CgroupTree *tree, const char *parent, bool is_seen)
{
    int result = -EBUSY;

    _cleanup_fd_ int parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0)
        return -errno;
    sweep_dead_trees(parent_fd);
    /* Another executor's sweep may hold the lock for a moment, or remove what we have just made. */
    for (unsigned i = 0; i < LOCK_TRIES && result == -EBUSY; i++) {
        if (i > 0)
            (void)poll(NULL, 0, LOCK_AGAIN_MS);
        if (mkdirat(parent_fd, tree->name, 0700) < 0 && errno != EEXIST)
            return -errno;
        _cleanup_fd_ int fd = open_directory(parent_fd, tree->name);
        if (fd < 0 || (flock(fd, LOCK_EX | LOCK_NB) < 0 && !is_seen) ||
            !is_still_there(parent_fd, tree->name, fd))
            continue;
        (void)snprintf(tree->parent, sizeof tree->parent, "%s", parent);
        tree->fd = TAKE_FD(fd);
        result = kill_and_wait(tree->fd, SWEEP_MS);
        if (result == -ETIMEDOUT)
            result = 0; /* what cannot die keeps its leaf; ours get other numbers */
        remove_leaves(tree->fd);
    }
    return result;
}

/* Starts a process in a leaf and ends it, by the leaf or by a signal of its own. 0 when it ended as
 * it should, -ECHILD when otherwise, -errno. */
static int try_leaf(CgroupTree *tree, bool by_leaf)
{
    CgroupLeaf *leaf = NULL;
    _cleanup_(pidref_done)
    PidRef child = PIDREF_EMPTY;
    siginfo_t status = {.si_pid = 0};

    int result = cgroup_leaf_take(tree, &leaf);
    if (result < 0)
        return result;
    result = cgroup_leaf_fork(leaf, &child);
    if (result == 0) {
        for (;;)
            (void)pause();
    }
    if (result > 0) {
        result = by_leaf ? cgroup_leaf_kill(leaf) : pidref_kill(&child, SIGUSR1);
        if (result < 0)
            (void)pidref_kill(&child, SIGKILL);
        (void)waitid(P_PIDFD, (id_t)child.pidfd, &status, WEXITED);
        if (result == 0 && status.si_status != (by_leaf ? SIGKILL : SIGUSR1))
            result = -ECHILD;
    }
    cgroup_leaf_release(leaf);
    return result;
}

static int try_out(CgroupTree *tree)
{
    int result = try_leaf(tree, false);
    if (result == -ECHILD || result == -ESRCH) {
        tree->by_moving = true;
        result = try_leaf(tree, false);
    }
    return result < 0 ? result : try_leaf(tree, true);
}

static void close_pool(CgroupTree *tree)
{
    while (tree->pool) {
        CgroupLeaf *leaf = tree->pool;
        tree->pool = leaf->next;
        fd_close(leaf->directory_fd);
        fd_close(leaf->events_fd);
        free(leaf);
    }
    tree->n_pool = 0;
}

static void remove_tree(CgroupTree *tree, int timeout_ms)
{
    char path[PATH_MAX + 64];

    close_pool(tree);
    if (tree->fd < 0)
        return;
    (void)kill_and_wait(tree->fd, timeout_ms);
    remove_leaves(tree->fd);
    tree->fd = fd_close(tree->fd);
    (void)snprintf(path, sizeof path, "%s/%s", tree->parent, tree->name);
    (void)rmdir(path);
}

int cgroup_tree_new(CgroupTree **ret, const char *run_dir)
{
    char directory[PATH_MAX], path[PATH_MAX], hex[DIGEST_HEX_SIZE];
    DigestState state;

    int result = find_own(directory, path);
    if (result < 0)
        return result;
    CgroupTree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return -ENOMEM;
    tree->fd = -EBADF;
    tree->home_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    digest_begin(&state);
    digest_add(&state, run_dir, strlen(run_dir));
    Digest digest = digest_end(&state);
    (void)snprintf(tree->name, sizeof tree->name, TREE_PREFIX "%.*s", TREE_DIGITS,
                   digest_format(&digest, hex));

    /* Below our own cgroup, or, where that may have no children, beside it. */
    for (unsigned i = 0; i < 2; i++) {
        result = open_tree_at(tree, directory, false);
        if (result == 0)
            result = try_out(tree);
        if (result == 0)
            break;
        remove_tree(tree, SWEEP_MS);
        char *slash = strrchr(path, '/');
        if (!slash || slash[1] == '\0')
            break;
        *slash = '\0';
        *strrchr(directory, '/') = '\0';
    }
    if (result < 0) {
        fd_close(tree->home_fd);
        free(tree);
        return result;
    }
    (void)snprintf(tree->path, sizeof tree->path, "%.*s/%s", PATH_MAX - 66,
                   strcmp(path, "/") == 0 ? "" : path, tree->name);
    *ret = tree;
    return 0;
}

int cgroup_tree_beneath(CgroupTree **ret, const CgroupTree *like, const char *directory,
                        const char *path)
{
    CgroupTree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return -ENOMEM;
    tree->fd = tree->home_fd = -EBADF;
    tree->by_moving = like->by_moving;
    memcpy(tree->name, like->name, sizeof tree->name);
    int size = snprintf(tree->path, sizeof tree->path, "%s/%s", path, tree->name);
    int result = size < 0 || (size_t)size >= sizeof tree->path - 16
                     ? -ENAMETOOLONG
                     : open_tree_at(tree, directory, true);
    if (result < 0) {
        remove_tree(tree, 0);
        free(tree);
        return result;
    }
    *ret = tree;
    return 0;
}

CgroupTree *cgroup_tree_free(CgroupTree *tree, int timeout_ms)
{
    if (!tree)
        return NULL;
    remove_tree(tree, timeout_ms);
    fd_close(tree->home_fd);
    free(tree);
    return NULL;
}

const char *cgroup_tree_path(const CgroupTree *tree)
{
    return tree->path;
}

int cgroup_tree_home(const CgroupTree *tree)
{
    return tree->by_moving ? -EBADF : tree->home_fd;
}

bool cgroup_tree_has(const CgroupTree *tree, const char *path)
{
    size_t size = strlen(tree->path);
    return strncmp(path, tree->path, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static int open_leaf(CgroupTree *tree, const char *name, CgroupLeaf *leaf)
{
    _cleanup_fd_ int fd = openat(tree->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    leaf->events_fd = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (leaf->events_fd < 0)
        return -errno;
    leaf->directory_fd = TAKE_FD(fd);
    return 0;
}

int cgroup_leaf_take(CgroupTree *tree, CgroupLeaf **ret)
{
    char name[16];

    if (tree->pool) {
        *ret = tree->pool;
        tree->pool = (*ret)->next;
        tree->n_pool--;
        return 0;
    }
    CgroupLeaf *leaf = calloc(1, sizeof *leaf);
    if (!leaf)
        return -ENOMEM;
    leaf->tree = tree;
    int result;
    do {
        leaf->number = ++tree->next_number;
        (void)snprintf(name, sizeof name, "%u", leaf->number);
        result = mkdirat(tree->fd, name, 0700) < 0 ? -errno : 0;
    } while (result == -EEXIST);
    if (result == 0)
        result = open_leaf(tree, name, leaf);
    if (result < 0) {
        (void)unlinkat(tree->fd, name, AT_REMOVEDIR);
        free(leaf);
        return result;
    }
    *ret = leaf;
    return 0;
}

void cgroup_leaf_release(CgroupLeaf *leaf)
{
    CgroupTree *tree = leaf->tree;
    char name[16];

    if (!leaf->killed && !leaf->frozen && tree->n_pool < POOL_MAX) {
        leaf->next = tree->pool;
        tree->pool = leaf;
        tree->n_pool++;
        return;
    }
    fd_close(leaf->directory_fd);
    fd_close(leaf->events_fd);
    (void)snprintf(name, sizeof name, "%u", leaf->number);
    (void)unlinkat(tree->fd, name, AT_REMOVEDIR);
    free(leaf);
}

/* Moves a new process into the leaf where it could not be made there. */
static int move_in(const CgroupLeaf *leaf, PidRef *ret)
{
    char pid[16];

    if (!leaf->tree->by_moving)
        return 1;
    (void)snprintf(pid, sizeof pid, "%d", ret->pid);
    int result = write_file(leaf->directory_fd, "cgroup.procs", pid);
    if (result == 0)
        return 1;
    (void)pidref_kill(ret, SIGKILL);
    (void)waitid(P_PIDFD, (id_t)ret->pidfd, &(siginfo_t){.si_pid = 0}, WEXITED);
    pidref_done(ret);
    return result;
}

static int birthplace(const CgroupLeaf *leaf)
{
    return leaf->tree->by_moving ? -EBADF : leaf->directory_fd;
}

int cgroup_leaf_fork(CgroupLeaf *leaf, PidRef *ret)
{
    int result = pidref_fork(ret, birthplace(leaf));
    return result <= 0 ? result : move_in(leaf, ret);
}

int cgroup_leaf_start(CgroupLeaf *leaf, int image_fd, int control_fd, PidRef *ret)
{
    int result = image_start(image_fd, control_fd, birthplace(leaf), ret);
    return result <= 0 ? result : move_in(leaf, ret);
}

int cgroup_leaf_is_populated(const CgroupLeaf *leaf)
{
    return read_populated(leaf->events_fd);
}

/* One more pid of cgroup.procs, or 0 at its end. */
static pid_t next_pid(FILE *procs)
{
    char line[32];
    return fgets(line, sizeof line, procs) ? (pid_t)strtol(line, NULL, 10) : 0;
}

static FILE *open_procs(const CgroupLeaf *leaf)
{
    int fd = openat(leaf->directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *procs = fd >= 0 ? fdopen(fd, "re") : NULL;
    if (!procs)
        fd_close(fd);
    return procs;
}

int cgroup_leaf_count(const CgroupLeaf *leaf, unsigned most)
{
    unsigned count = 0;

    _cleanup_(fclosep)
    FILE *procs = open_procs(leaf);
    if (!procs)
        return -errno;
    while (count < most && next_pid(procs) > 0)
        count++;
    return (int)count;
}

/* A pid of the list may have a new owner by now: only who is still in the leaf gets the signal. */
static bool is_in_leaf(const CgroupLeaf *leaf, pid_t pid)
{
    char path[32], wanted[PATH_MAX + 32];
    _cleanup_free_ char *text = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    (void)snprintf(wanted, sizeof wanted, "%s/%u", leaf->tree->path, leaf->number);
    if (fd_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL) < 0)
        return false;
    const char *where = cgroup_path_in(text);
    return where && strcmp(where, wanted) == 0;
}

int cgroup_leaf_signal(const CgroupLeaf *leaf, int signal_number)
{
    int count = 0;

    _cleanup_(fclosep)
    FILE *procs = open_procs(leaf);
    if (!procs)
        return -errno;
    for (pid_t pid; (pid = next_pid(procs)) > 0;) {
        PidRef process = PIDREF_EMPTY;
        if (pidref_open(pid, &process) < 0)
            continue;
        if (is_in_leaf(leaf, pid) && pidref_kill(&process, signal_number) == 0)
            count++;
        pidref_done(&process);
    }
    return count;
}

int cgroup_leaf_directory(const CgroupLeaf *leaf)
{
    return leaf->directory_fd;
}

int cgroup_leaf_kill(CgroupLeaf *leaf)
{
    leaf->killed = true;
    return write_file(leaf->directory_fd, "cgroup.kill", "1");
}

int cgroup_leaf_freeze(CgroupLeaf *leaf, bool frozen)
{
    int result = write_file(leaf->directory_fd, "cgroup.freeze", frozen ? "1" : "0");
    if (result == 0)
        leaf->frozen = frozen;
    return result;
}
