/*
 * See places.h.
 */
#include "parent/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* mkdir -p for everything above the last component. */
static int make_parents(const char *path)
{
    _cleanup_free_ char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

int place_directory(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    struct stat status;
    int result = make_parents(path);

    if (result < 0)
        return result;
    bool fresh = mkdir(path, mode) == 0;
    if (!fresh && errno != EEXIST)
        return -errno;
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (status.st_uid != geteuid() && status.st_uid != owner)
        return -EPERM;
    if (!fresh && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return -EPERM;
    if (geteuid() == 0 && fchown(fd, owner, group) < 0)
        return -errno;
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

static void want_credentials(int fd)
{
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    /* Linux 6.5; without it the door compares pid, uid and gid alone. */
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
}

int place_socket(const char *path, mode_t mode, uid_t owner, gid_t group, bool credentials)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    mode_t mask = umask(0177); /* nobody connects before mode and owner are right */
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    (void)umask(mask);
    if (bound < 0)
        return -error;
    if (credentials)
        want_credentials(fd);
    if ((geteuid() == 0 && lchown(path, owner, group) < 0) || chmod(path, mode) < 0 ||
        listen(fd, 1024) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int place_lock(const char *state_dir)
{
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/lock", state_dir) < 0)
        return -ENOMEM;
    _cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int place_policy(const char *path, uid_t owner)
{
    struct stat status;
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if ((status.st_uid != 0 && status.st_uid != owner) ||
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return -EPERM;
    return TAKE_FD(fd);
}

int place_symlink(const char *target, const char *link)
{
    struct stat status;

    if (strcmp(target, link) == 0)
        return 0;
    int result = make_parents(link);
    if (result < 0)
        return result;
    if (lstat(link, &status) == 0 && !S_ISLNK(status.st_mode) && !S_ISSOCK(status.st_mode))
        return -EEXIST;
    if (unlink(link) < 0 && errno != ENOENT)
        return -errno;
    return symlink(target, link) < 0 ? -errno : 0;
}
