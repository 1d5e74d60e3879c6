/*
 * See originals.h. Facts: open_tree(2), move_mount(2), openat2(2), umount(2).
 */
#include "exec/originals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "wire/shim-mark.h"

#define PLACE "/usr/lib/clawrden"
#define MANIFEST PLACE "/manifest"
#define ORIGINALS PLACE "/originals"
#define MANIFEST_MAX (64u * 1024)

/* sys/mount.h and linux/mount.h cannot be had together. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
int umount2(const char *target, int flags);
#define UMOUNT_DETACH 2
#define UMOUNT_NO_FOLLOW 8
#define MOUNT_SLAVE_ALL (1ul << 19 | 1ul << 14) /* MS_SLAVE | MS_REC */

static int open_in_root(int directory_fd, const char *path, uint64_t flags)
{
    const struct open_how how = {.flags = flags | O_CLOEXEC,
                                 .resolve =
                                     RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
    long fd = syscall(SYS_openat2, directory_fd, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

/* Root's own regular file that nobody else can write to. */
static bool is_roots(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == 0 &&
           !(status->st_mode & (S_IWGRP | S_IWOTH));
}

/* The manifest's text, for the caller to free. 0, -ENOENT when there is none that counts. */
static int read_manifest(int root_fd, char **ret)
{
    struct stat status;

    _cleanup_fd_ int fd = open_in_root(root_fd, MANIFEST, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return -ENOENT;
    if (fstat(fd, &status) < 0 || !is_roots(&status) || status.st_size > (off_t)MANIFEST_MAX)
        return -ENOENT;
    return fd_read_all(fd, MANIFEST_MAX, ret, NULL);
}

static bool is_shim(int root_fd, const char *path)
{
    struct stat status;
    _cleanup_free_ char *bytes = malloc(SHIM_FILE_MAX);

    /* What is no regular file is not opened: a device or a pipe may act on it. */
    _cleanup_fd_ int place_fd = open_in_root(root_fd, path, O_PATH);
    if (!bytes || place_fd < 0 || fstat(place_fd, &status) < 0 || !S_ISREG(status.st_mode))
        return false;
    _cleanup_fd_ int fd = open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    ssize_t size = fd < 0 ? -1 : pread(fd, bytes, SHIM_FILE_MAX, 0);
    return size > 0 && shim_mark_is_in(bytes, (size_t)size);
}

/* Puts one original over the shim at its place. What does not fit is left as it is: then the shim
 * stays, and asks. */
static void restore_one(int root_fd, int originals_fd, const char *name, const char *path)
{
    struct stat status;

    if (!*name || strchr(name, '/') || path[0] != '/' || strlen(path) >= PATH_MAX ||
        strstr(path, "/../") || !is_shim(root_fd, path))
        return;
    _cleanup_fd_ int original_fd = open_in_root(originals_fd, name, O_PATH | O_NOFOLLOW);
    if (original_fd < 0 || fstat(original_fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != 0)
        return;
    _cleanup_fd_ int target_fd = open_in_root(root_fd, path, O_PATH | O_NOFOLLOW);
    if (target_fd < 0)
        return;
    _cleanup_fd_ int mount_fd =
        (int)syscall(SYS_open_tree, original_fd, "",
                     AT_EMPTY_PATH | OPEN_TREE_CLONE | (unsigned)OPEN_TREE_CLOEXEC);
    if (mount_fd >= 0)
        (void)syscall(SYS_move_mount, mount_fd, "", target_fd, "",
                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* "NAME\tPATH\n" … */
static void restore_all(int root_fd, char *manifest)
{
    _cleanup_fd_ int originals_fd = open_in_root(root_fd, ORIGINALS, O_PATH | O_DIRECTORY);
    char *rest = manifest, *line;

    if (originals_fd < 0)
        return;
    while ((line = strsep(&rest, "\n"))) {
        char *path = strchr(line, '\t');
        if (!path)
            continue;
        *path++ = '\0';
        restore_one(root_fd, originals_fd, line, path);
    }
}

/* Takes a shim away from over a program. Where there is nothing but the place that somebody made
 * for the mount (an empty file), it stays. 0 or -errno. */
static int uncover(int root_fd, const char *path)
{
    struct stat status;

    if (!is_shim(root_fd, path))
        return 0;
    _cleanup_fd_ int shim_fd =
        (int)syscall(SYS_open_tree, AT_FDCWD, path,
                     OPEN_TREE_CLONE | (unsigned)OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    if (shim_fd < 0 || umount2(path, UMOUNT_DETACH | UMOUNT_NO_FOLLOW) < 0)
        return -errno;
    _cleanup_fd_ int place_fd = open_in_root(root_fd, path, O_PATH | O_NOFOLLOW);
    if (place_fd < 0 || fstat(place_fd, &status) < 0 || status.st_size > 0)
        return 0;
    return syscall(SYS_move_mount, shim_fd, "", place_fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
               ? -errno
               : 0;
}

int originals_restore(const char *const *shims, size_t n_shims, bool *ret_private)
{
    _cleanup_free_ char *manifest = NULL;

    *ret_private = false;
    _cleanup_fd_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return -errno;
    int result = read_manifest(root_fd, &manifest);
    if (result < 0 && result != -ENOENT)
        return result;
    if (!manifest && n_shims == 0)
        return 0;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MOUNT_SLAVE_ALL, NULL) < 0)
        return -errno;
    *ret_private = true;
    /* The root of before is the other namespace's, where this process can mount nothing. */
    _cleanup_fd_ int own_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (own_root_fd < 0)
        return -errno;
    for (size_t i = 0; i < n_shims; i++) {
        result = uncover(own_root_fd, shims[i]);
        if (result < 0)
            return result;
    }
    if (manifest)
        restore_all(own_root_fd, manifest);
    return 0;
}
