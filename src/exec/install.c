/*
 * See install.h. Facts: open_tree(2), move_mount(2), mount_setattr(2), openat2(2), setns(2). A
 * mount can stand on any directory entry that is no directory: a symbolic link or a pipe as well.
 */
#include "exec/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/install-mounts.h"
#include "exec/join.h"

#define PLACE "run/clawrden"
#define LINKS "/" PLACE "/bin/"
#define SHIM "clawrden-shim"
#define DEAD_JAILS_MAX 16
#define HOPS_MAX 16            /* symbolic links on the way to a program */
#define DIRECTORIES_MAX 24     /* of PATH */
#define ENTRIES_MAX 20000      /* of a directory, looked through for hard links */
#define MOUNT_ALONE (1u << 18) /* MS_PRIVATE; sys/mount.h and linux/mount.h do not go together */

typedef struct Directory {
    char path[PATH_MAX]; /* relative to the root */
    int fd;              /* O_PATH, owned */
    dev_t device;
    ino_t inode;
} Directory;

typedef struct Install {
    const InstallOrder *order;
    int root_fd, jail_fd; /* the container's root; the jail's directory there, once mounted */
    int shim_fd;
    struct stat shim;
    InstallMounts mounts;
    size_t n_shims; /* mounted */
    bool changed;   /* something had to be done */
    Directory directories[DIRECTORIES_MAX];
    size_t n_directories;
    char *why;
} Install;

/* Keeps the first words. */
__attribute__((format(printf, 2, 3))) static void note(Install *install, const char *format, ...)
{
    va_list arguments;

    if (install->why[0])
        return;
    va_start(arguments, format);
    (void)vsnprintf(install->why, INSTALL_WHY_MAX, format, arguments);
    va_end(arguments);
}

static int open_in(int directory_fd, const char *path, uint64_t flags, uint64_t resolve)
{
    const struct open_how how = {.flags = flags | O_CLOEXEC,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    long fd = syscall(SYS_openat2, directory_fd, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

/* Without following any symbolic link. */
static int open_plainly(int directory_fd, const char *path, uint64_t flags)
{
    return open_in(directory_fd, path, flags, RESOLVE_NO_SYMLINKS);
}

static int clone_tree(int fd)
{
    long tree = syscall(SYS_open_tree, fd, "",
                        AT_EMPTY_PATH | OPEN_TREE_CLONE | (unsigned)OPEN_TREE_CLOEXEC);
    return tree < 0 ? -errno : (int)tree;
}

static int set_mount(int fd, uint64_t set, uint64_t clear, uint64_t propagation)
{
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0
               ? -errno
               : 0;
}

static int put_mount(Install *install, int tree_fd, int target_fd)
{
    int result = install_mounts_may_cover(&install->mounts, target_fd);
    if (result < 0)
        return result;
    return syscall(SYS_move_mount, tree_fd, "", target_fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
               ? -errno
               : 0;
}

static bool is_mount_root(int fd)
{
    struct statx status;
    return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status) == 0 &&
           (status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
           (status.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static const char *problem(int error)
{
    switch (-error) {
    case EXDEV:
        return "it would have to be made in a bind mount or volume, which is not the container's "
               "own";
    case ENOTUNIQ:
        return "the mount there is shared (its propagation), so that others would see what is "
               "mounted";
    case E2BIG:
        return "there would be too many mounted shims: govern fewer commands";
    default:
        return strerror(-error);
    }
}

/* Making entries, on read-only mounts too. */

typedef int Maker(int directory_fd, const char *name);

static int make_directory(int directory_fd, const char *name)
{
    return mkdirat(directory_fd, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_link(int directory_fd, const char *name)
{
    char target[PATH_MAX];
    (void)snprintf(target, sizeof target, LINKS "%s", name);
    return symlinkat(target, directory_fd, name) < 0 ? -errno : 0;
}

static int make_entry(Install *install, int directory_fd, const char *name, Maker *make)
{
    int result = install_mounts_may_make(&install->mounts, directory_fd);
    if (result == 0)
        result = make(directory_fd, name);
    if (result != -EROFS)
        return result;
    _cleanup_fd_ int tree_fd = clone_tree(directory_fd);
    if (tree_fd < 0)
        return tree_fd;
    result = set_mount(tree_fd, 0, MOUNT_ATTR_RDONLY, MOUNT_ALONE);
    return result < 0 ? result : make(tree_fd, name);
}

/* A directory below the root, made where it is missing: "usr/local/bin", each part of it. */
static int open_making(Install *install, const char *path)
{
    char part[PATH_MAX];
    _cleanup_fd_ int at = open_plainly(install->root_fd, ".", O_PATH | O_DIRECTORY);

    for (const char *rest = path; at >= 0 && *rest;) {
        size_t size = strcspn(rest, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)size, rest);
        rest += size + (rest[size] == '/');
        int next = open_plainly(at, part, O_PATH | O_DIRECTORY);
        if (next == -ENOENT) {
            next = make_entry(install, at, part, make_directory);
            if (next == 0)
                next = open_plainly(at, part, O_PATH | O_DIRECTORY);
        }
        fd_close(at);
        at = next;
    }
    return at < 0 ? at : TAKE_FD(at);
}

/* The jail's directory. */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *place_problem(int error)
{
    switch (-error) {
    case ELOOP:
        return "there is a symbolic link in /" PLACE " of the container";
    case ENOTDIR:
        return "/" PLACE " of the container is not a directory";
    case EROFS:
        return "the container's root is read-only and has no /" PLACE
               ": make that directory in its image";
    case EXDEV:
        return "/run of the container is a bind mount or volume without the directory clawrden, "
               "which is not made there";
    default:
        return problem(error);
    }
}

/* /run/clawrden as it is. A jail that is no more, whose directory has been removed, is taken away:
 * nothing can be mounted over it. A descriptor or -errno. */
static int open_place(Install *install, struct stat *ret)
{
    for (unsigned i = 0; i < DEAD_JAILS_MAX; i++) {
        _cleanup_fd_ int fd = open_making(install, PLACE);
        if (fd < 0)
            return fd;
        if (fstat(fd, ret) < 0)
            return -errno;
        if (!is_mount_root(fd) || ret->st_nlink > 0)
            return TAKE_FD(fd);
        int result = install_mounts_detach(&install->mounts, fd);
        if (result < 0)
            return result;
        install->changed = true;
    }
    return -ELOOP;
}

/* 0, or a negative error whose reason has been noted. */
static int place_jail(Install *install, int tree_fd, const struct stat *jail)
{
    struct stat there;

    _cleanup_fd_ int target_fd = open_place(install, &there);
    if (target_fd < 0) {
        note(install, "%s", place_problem(target_fd));
        return -1;
    }
    if (is_mount_root(target_fd) && !is_same(&there, jail)) {
        note(install, "something else is mounted at /" PLACE " of the container");
        return -1;
    }
    if (!is_same(&there, jail)) {
        int result = put_mount(install, tree_fd, target_fd);
        if (result < 0) {
            note(install, "the jail cannot be mounted at /" PLACE ": %s", problem(result));
            return -1;
        }
        install->changed = true;
    }
    install->jail_fd = open_plainly(install->root_fd, PLACE, O_PATH | O_DIRECTORY);
    if (install->jail_fd < 0 || fstat(install->jail_fd, &there) < 0 || !is_same(&there, jail)) {
        note(install, "/" PLACE " of the container is not what was mounted there");
        return -1;
    }
    install->shim_fd = open_plainly(install->jail_fd, SHIM, O_PATH | O_NOFOLLOW);
    if (install->shim_fd < 0 || fstat(install->shim_fd, &install->shim) < 0 ||
        !S_ISREG(install->shim.st_mode)) {
        note(install, "the jail has no shim: start the warden with --shim FILE");
        return -1;
    }
    return 0;
}

/* Shims. */

/* Mounts the shim over an entry. 0, also when it stands there already. */
static int cover(Install *install, int entry_fd)
{
    struct stat status;

    if (fstat(entry_fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (is_same(&status, &install->shim))
        return 0;
    if (install->n_shims >= JOIN_SHIMS_MAX)
        return -E2BIG;
    _cleanup_fd_ int tree_fd = clone_tree(install->shim_fd);
    if (tree_fd < 0)
        return tree_fd;
    install->changed = true;
    install->n_shims++;
    return put_mount(install, tree_fd, entry_fd);
}

static bool is_our_link(int entry_fd, const char *command)
{
    char target[PATH_MAX], wanted[PATH_MAX];
    ssize_t size = readlinkat(entry_fd, "", target, sizeof target);
    int length = snprintf(wanted, sizeof wanted, LINKS "%s", command);
    return size > 0 && size == length && memcmp(target, wanted, (size_t)size) == 0;
}

/* One name in one directory. */
static int place_name(Install *install, int directory_fd, const char *command)
{
    _cleanup_fd_ int entry_fd = open_plainly(directory_fd, command, O_PATH | O_NOFOLLOW);

    if (entry_fd == -ENOENT) {
        install->changed = true;
        return make_entry(install, directory_fd, command, make_link);
    }
    if (entry_fd < 0)
        return entry_fd;
    return is_our_link(entry_fd, command) ? 0 : cover(install, entry_fd);
}

/* The entries of a list of names; `copy` is changed. */
static char *next_name(char **rest, const char *separator)
{
    char *name;
    do
        name = strsep(rest, separator);
    while (name && !*name);
    return name;
}

/* How many of the names have a place in the directory; the rest is noted. */
static size_t place_names(Install *install, int directory_fd, const char *path)
{
    _cleanup_free_ char *copy = strdup(install->order->commands);
    char *rest = copy, *command;
    size_t count = 0;

    while (rest && (command = next_name(&rest, "\n"))) {
        int result = place_name(install, directory_fd, command);
        if (result < 0)
            note(install, "/%s/%s: %s", path, command, problem(result));
        else
            count++;
    }
    return count;
}

static size_t count_names(const char *commands)
{
    size_t count = 0;
    for (const char *c = commands; *c; c++)
        count += *c == '\n';
    return count;
}

/* Both directories, or /usr/local/bin alone, made if need be. */
static int place_in_path(Install *install)
{
    static const char *const places[] = {"usr/local/sbin", "usr/local/bin"};
    size_t wanted = count_names(install->order->commands), best = 0;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        bool make = i == ARRAY_SIZE(places) - 1 && best == 0;
        _cleanup_fd_ int fd = make
                                  ? open_making(install, places[i])
                                  : open_plainly(install->root_fd, places[i], O_PATH | O_DIRECTORY);
        if (fd == -ENOENT)
            continue;
        if (fd == -ELOOP || fd == -ENOTDIR) {
            /* An own link to the other one is common; anywhere else nothing is made. */
            if (make)
                note(install, "/%s of the container is not a plain directory", places[i]);
            continue;
        }
        if (fd < 0) {
            note(install, "/%s: %s", places[i], problem(fd));
            continue;
        }
        size_t placed = place_names(install, fd, places[i]);
        best = placed > best ? placed : best;
    }
    if (best < wanted)
        note(install, "not every command has found a place in PATH");
    return best < wanted ? -1 : 0;
}

/* Hardened: wherever the commands are. */

static void add_directory(Install *install, const char *path)
{
    struct stat status;

    while (*path == '/')
        path++;
    if (!*path || strlen(path) >= PATH_MAX || install->n_directories == DIRECTORIES_MAX)
        return;
    _cleanup_fd_ int fd = open_in(install->root_fd, path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0 || fstat(fd, &status) < 0)
        return;
    for (size_t i = 0; i < install->n_directories; i++)
        if (install->directories[i].device == status.st_dev &&
            install->directories[i].inode == status.st_ino)
            return;
    Directory *directory = &install->directories[install->n_directories++];
    (void)snprintf(directory->path, sizeof directory->path, "%s", path);
    directory->fd = TAKE_FD(fd);
    directory->device = status.st_dev;
    directory->inode = status.st_ino;
}

static void add_directories(Install *install)
{
    static const char *const usual[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                        "/usr/bin",        "/sbin",          "/bin"};
    _cleanup_free_ char *copy = strdup(install->order->path);
    char *rest = copy, *path;

    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        add_directory(install, usual[i]);
    while (rest && (path = next_name(&rest, ":")))
        if (path[0] == '/')
            add_directory(install, path);
}

static bool has_many_names(const char *path)
{
    static const char *const programs[] = {"busybox",   "busybox.static", "toybox",
                                           "coreutils", "sbase-box",      "ubase-box"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
        if (strcmp(name, programs[i]) == 0)
            return true;
    return false;
}

/* Covers what else in PATH is the same file. */
static int cover_hard_links(Install *install, const struct stat *program)
{
    int result = 0;

    for (size_t i = 0; i < install->n_directories; i++) {
        size_t left = ENTRIES_MAX;
        struct stat status;
        int fd = open_plainly(install->directories[i].fd, ".", O_RDONLY | O_DIRECTORY);
        _cleanup_(closedirp)
        DIR *directory = fd < 0 ? NULL : fdopendir(fd);
        if (!directory)
            continue;
        for (struct dirent *entry; left-- > 0 && (entry = readdir(directory));) {
            if (entry->d_ino != program->st_ino)
                continue; /* overlays give the same number to both calls */
            _cleanup_fd_ int entry_fd =
                open_plainly(install->directories[i].fd, entry->d_name, O_PATH | O_NOFOLLOW);
            if (entry_fd >= 0 && fstat(entry_fd, &status) == 0 && is_same(&status, program))
                result = cover(install, entry_fd);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

/* The path that a symbolic link at `path` leads to. False: none that can be. */
static bool follow(int entry_fd, const char *path, char next[static PATH_MAX])
{
    char target[PATH_MAX];
    ssize_t size = readlinkat(entry_fd, "", target, sizeof target - 1);
    const char *slash = strrchr(path, '/');

    if (size <= 0 || size >= (ssize_t)sizeof target - 1)
        return false;
    target[size] = '\0';
    int length = target[0] == '/' || !slash
                     ? snprintf(next, PATH_MAX, "%s", target)
                     : snprintf(next, PATH_MAX, "%.*s/%s", (int)(slash - path), path, target);
    return length > 0 && length < PATH_MAX;
}

/* The entry, what it points to, and so on to the program; the chain is known before any of it is
 * covered. */
static int cover_chain(Install *install, const char *start)
{
    int fds[HOPS_MAX];
    size_t count = 0;
    char path[PATH_MAX], next[PATH_MAX];
    struct stat status = {.st_mode = 0};
    bool spared = false;
    int result = 0;

    if (strlen(start) >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, start, strlen(start) + 1);
    while (count < HOPS_MAX) {
        int fd = open_in(install->root_fd, path, O_PATH | O_NOFOLLOW, 0);
        if (fd < 0)
            break;
        fds[count++] = fd;
        if (fstat(fd, &status) < 0 || !S_ISLNK(status.st_mode) || !follow(fd, path, next))
            break;
        memcpy(path, next, sizeof path);
    }
    bool is_program = count > 0 && S_ISREG(status.st_mode) && !is_same(&status, &install->shim);
    if (is_program && count > 1 && has_many_names(path))
        spared = true;
    for (size_t i = 0; i < count; i++)
        if (!(spared && i == count - 1) && result == 0)
            result = cover(install, fds[i]);
    fd_close_many(fds, count);
    if (result == 0 && is_program && status.st_nlink > 1 && !has_many_names(path) &&
        !(spared || has_many_names(start)))
        result = cover_hard_links(install, &status);
    return result;
}

static int harden_name(Install *install, const char *command)
{
    char path[PATH_MAX + NAME_MAX + 2];
    int result = 0;

    for (size_t i = 0; i < install->n_directories; i++) {
        const Directory *directory = &install->directories[i];
        _cleanup_fd_ int entry_fd = open_plainly(directory->fd, command, O_PATH | O_NOFOLLOW);
        if (entry_fd < 0 || is_our_link(entry_fd, command))
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", directory->path, command);
        int covered = cover_chain(install, path);
        if (covered < 0 && covered != -EISDIR) {
            note(install, "/%s cannot be covered: %s", path, problem(covered));
            result = covered;
        }
    }
    return result;
}

static int harden(Install *install)
{
    _cleanup_free_ char *copy = strdup(install->order->commands);
    char *rest = copy, *command;
    int result = 0;

    add_directories(install);
    while (rest && (command = next_name(&rest, "\n"))) {
        int hardened = harden_name(install, command);
        if (hardened < 0)
            result = hardened;
    }
    for (size_t i = 0; i < install->n_directories; i++)
        fd_close(install->directories[i].fd);
    return result;
}

/* The whole. */

static int open_jail(Install *install, struct stat *jail)
{
    _cleanup_fd_ int fd =
        open(install->order->directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, jail) < 0) {
        note(install, "%s: %s", install->order->directory, strerror(errno));
        return -1;
    }
    int tree_fd = clone_tree(fd);
    int result = tree_fd < 0
                     ? tree_fd
                     : set_mount(tree_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                 0, MOUNT_ALONE);
    if (result < 0) {
        fd_close(tree_fd);
        note(install, "the jail's directory cannot be mounted: %s", strerror(-result));
        return -1;
    }
    return tree_fd;
}

InstallResult install_into(const InstallOrder *order, int init_pidfd, int root_fd,
                           char why[static INSTALL_WHY_MAX])
{
    struct stat jail;

    why[0] = '\0';
    _cleanup_free_ Install *install = calloc(1, sizeof *install);
    if (!install) {
        (void)snprintf(why, INSTALL_WHY_MAX, "out of memory");
        return INSTALL_FAILED;
    }
    *install = (Install){
        .order = order, .root_fd = root_fd, .jail_fd = -EBADF, .shim_fd = -EBADF, .why = why};
    _cleanup_fd_ int tree_fd = open_jail(install, &jail);
    if (tree_fd < 0)
        return INSTALL_FAILED;
    if (install_mounts_open(&install->mounts) < 0 || setns(init_pidfd, CLONE_NEWNS) < 0) {
        note(install, "the container's mount namespace cannot be joined: %s", strerror(errno));
        return INSTALL_FAILED;
    }
    (void)umask(0022);
    int result = install_mounts_join(&install->mounts, root_fd);
    if (result < 0)
        note(install, "the container's mounts cannot be read: %s", strerror(-result));
    if (result == 0 &&
        (result = install_mounts_sweep(&install->mounts, root_fd, &install->changed)) < 0)
        note(install, "shims of a jail that is no more cannot be taken away: %s", problem(result));
    install->n_shims = install_mounts_count_shims(&install->mounts);
    if (result == 0)
        result = place_jail(install, tree_fd, &jail);
    if (result == 0 && order->hardened) /* first: a name that is covered leads nowhere any more */
        result = harden(install);
    if (result == 0)
        result = place_in_path(install);
    fd_close(install->jail_fd);
    fd_close(install->shim_fd);
    install_mounts_done(&install->mounts);
    if (result < 0)
        return INSTALL_FAILED;
    return install->changed ? INSTALL_DONE : INSTALL_THERE;
}
