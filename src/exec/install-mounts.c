/*
 * See install-mounts.h. Facts: proc_pid_mountinfo(5), statx(2) STATX_MNT_ID, umount(2).
 */
#include "exec/install-mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/container-paths.h"

static int read_mounts(const InstallMounts *mounts, const char *path, char **text)
{
    free(TAKE_PTR(*text));
    return fd_read_file(mounts->proc_fd, path, MOUNTINFO_MAX, text, NULL);
}

int install_mounts_open(InstallMounts *ret)
{
    *ret = (InstallMounts){.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (ret->proc_fd < 0)
        return -errno;
    (void)read_mounts(ret, "self/mountinfo", &ret->outside[0]);
    (void)read_mounts(ret, "1/mountinfo", &ret->outside[1]);
    return 0;
}

static int mount_of(int fd, uint64_t *ret)
{
    struct statx status;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0)
        return -errno;
    if (!(status.stx_mask & STATX_MNT_ID))
        return -ENOTSUP;
    *ret = status.stx_mnt_id;
    return 0;
}

int install_mounts_join(InstallMounts *mounts, int root_fd)
{
    int result = mount_of(root_fd, &mounts->root);
    return result < 0 ? result : read_mounts(mounts, "self/mountinfo", &mounts->inside);
}

void install_mounts_done(InstallMounts *mounts)
{
    mounts->proc_fd = fd_close(mounts->proc_fd);
    for (size_t i = 0; i < ARRAY_SIZE(mounts->outside); i++)
        free(TAKE_PTR(mounts->outside[i]));
    free(TAKE_PTR(mounts->inside));
}

/* Of mounts made since the text was read, it is read again. */
static int find_mount(InstallMounts *mounts, uint64_t id, MountLine *ret)
{
    for (unsigned i = 0; i < 2; i++) {
        const char *rest = mounts->inside ? mounts->inside : "";
        while (mount_line_next(&rest, ret))
            if (ret->id == id)
                return 0;
        int result = read_mounts(mounts, "self/mountinfo", &mounts->inside);
        if (result < 0)
            return result;
    }
    return -ENOENT;
}

static bool is_known_outside(const InstallMounts *mounts, Piece device)
{
    MountLine mount;

    for (size_t i = 0; i < ARRAY_SIZE(mounts->outside); i++) {
        const char *rest = mounts->outside[i];
        if (!rest)
            return true;
        while (mount_line_next(&rest, &mount))
            if (pieces_equal(mount.device, device))
                return true;
    }
    return false;
}

int install_mounts_may_make(InstallMounts *mounts, int directory_fd)
{
    struct statfs status;
    MountLine mount = {.id = 0};
    uint64_t id = 0;

    int result = mount_of(directory_fd, &id);
    if (result < 0 || id == mounts->root)
        return result;
    if (fstatfs(directory_fd, &status) < 0)
        return -errno;
    if (status.f_type != TMPFS_MAGIC || find_mount(mounts, id, &mount) < 0 ||
        !piece_is(mount.root, "/") || is_known_outside(mounts, mount.device))
        return -EXDEV;
    return 0;
}

int install_mounts_may_cover(InstallMounts *mounts, int fd)
{
    MountLine mount = {.id = 0};
    uint64_t id = 0;

    int result = mount_of(fd, &id);
    if (result == 0)
        result = find_mount(mounts, id, &mount);
    if (result < 0)
        return result;
    return mount.is_shared ? -ENOTUNIQ : 0;
}

/* By a descriptor: whatever is its path by now. */
int install_mounts_detach(InstallMounts *mounts, int fd)
{
    char path[32];
    MountLine mount = {.id = 0};
    uint64_t id = 0;

    int result = mount_of(fd, &id);
    if (result == 0)
        result = find_mount(mounts, id, &mount);
    if (result == 0)
        result = find_mount(mounts, mount.parent, &mount); /* it is its peers that would see it */
    if (result < 0 || mount.is_shared)
        return result < 0 ? result : -ENOTUNIQ;
    (void)snprintf(path, sizeof path, "self/fd/%d", fd);
    if (fchdir(mounts->proc_fd) < 0)
        return -errno;
    return umount2(path, MNT_DETACH) < 0 ? -errno : 0;
}

static int sweep_one(InstallMounts *mounts, int root_fd, const MountLine *mount)
{
    char path[PATH_MAX];
    const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};
    uint64_t id = 0, wanted = mount->id;

    if (!piece_unescape(mount->mount, path, sizeof path))
        return -ENAMETOOLONG;
    _cleanup_fd_ int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    if (fd < 0 || mount_of(fd, &id) < 0 || id != wanted)
        return 0; /* something else lies over it */
    return install_mounts_detach(mounts, fd);
}

int install_mounts_sweep(InstallMounts *mounts, int root_fd, bool *ret_any)
{
    _cleanup_free_ char *text = NULL;
    MountLine mount;

    int result = read_mounts(mounts, "self/mountinfo", &text);
    for (const char *rest = text; result == 0 && mount_line_next(&rest, &mount);) {
        if (!mount_line_is_dead_shim(&mount))
            continue;
        result = sweep_one(mounts, root_fd, &mount);
        *ret_any = true;
    }
    return result < 0 ? result : read_mounts(mounts, "self/mountinfo", &mounts->inside);
}

size_t install_mounts_count_shims(const InstallMounts *mounts)
{
    char place[PATH_MAX];
    const char *rest = mounts->inside;
    size_t count = 0;

    while (rest && mounts_next_shim(&rest, place, sizeof place))
        count++;
    return count;
}
