/*
 * See places.h.
 */
#include "parent/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

const char *place_problem(int error)
{
    switch (error) {
    case -EPERM:
        return "others own it or can write to it, or to a directory above it; it must belong to "
               "root or the warden's own user, and nobody else may write there";
    case -EACCES:
        return "may not be entered by those who need it; give it a mode that lets them, or choose "
               "a "
               "directory of its own";
    case -EEXIST:
        return "is there already and is not what it should be replaced by; remove it or choose "
               "another path";
    case -ENAMETOOLONG:
        return "is too long: a socket's path has at most 107 bytes; choose a shorter --run-dir";
    case -EWOULDBLOCK:
        return "another warden uses it";
    case -EINVAL:
        return "is no regular file";
    case -ELOOP:
    case -ENOTDIR:
        return "is a symbolic link, or something on the way is no directory; name the place itself";
    default:
        return strerror(-error);
    }
}

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

static bool is_trusted_owner(uid_t uid, uid_t owner)
{
    return uid == 0 || uid == owner || uid == geteuid();
}

/* Nobody but root and `owner` can swap what the resolved path names for something else: every
 * directory above is theirs and nobody else's to write, or sticky with an entry of theirs. */
static int check_above(const char *resolved, uid_t owner)
{
    _cleanup_free_ char *copy = strdup(resolved);
    struct stat entry, directory;

    if (!copy)
        return -ENOMEM;
    if (stat(copy, &entry) < 0)
        return -errno;
    for (char *slash; (slash = strrchr(copy, '/'));) {
        slash[slash == copy ? 1 : 0] = '\0';
        if (stat(copy, &directory) < 0)
            return -errno;
        bool open_to_others = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
        bool held = (directory.st_mode & S_ISVTX) && is_trusted_owner(entry.st_uid, owner);
        if (!is_trusted_owner(directory.st_uid, owner) || (open_to_others && !held))
            return -EPERM;
        entry = directory;
        if (slash == copy)
            break;
    }
    return 0;
}

/* The same for the way to it: where links lead is up to the directories they lie in. */
static int check_way(const char *path, uid_t owner)
{
    char resolved[PATH_MAX], directory[PATH_MAX];

    if (!realpath(path, resolved))
        return -errno;
    int result = check_above(resolved, owner);
    (void)snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (result < 0 || !slash || strcmp(path, resolved) == 0)
        return result;
    struct stat status;
    slash[slash == directory ? 1 : 0] = '\0';
    if (stat(directory, &status) < 0 || !realpath(directory, resolved))
        return -errno;
    if (!is_trusted_owner(status.st_uid, owner) || (status.st_mode & (S_IWGRP | S_IWOTH)))
        return -EPERM;
    return check_above(resolved, owner);
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
    if (!is_trusted_owner(status.st_uid, owner))
        return -EPERM;
    result = check_way(path, owner);
    if (result < 0)
        return result;
    if (!fresh) {
        if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
            return -EPERM;
        return (status.st_mode & mode) == mode ? 0 : -EACCES;
    }
    if (geteuid() == 0 && fchown(fd, owner, group) < 0)
        return -errno;
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* Removes a stale socket. */
static int make_way(const char *path)
{
    struct stat status;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EEXIST;
    return unlink(path) < 0 ? -errno : 0;
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
    int result = make_way(path);
    if (result < 0)
        return result;
    /* The socket's own mode becomes the file's (unix_bind() in the kernel): no path is changed that
     * somebody might have put something else at. Nobody can connect before listen(2). */
    if (fchmod(fd, mode) < 0)
        return -errno;
    mode_t mask = umask(0);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    (void)umask(mask);
    if (bound < 0)
        return -error;
    if (credentials)
        want_credentials(fd);
    if ((geteuid() == 0 && lchown(path, owner, group) < 0) || listen(fd, 1024) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int place_lock(const char *path)
{
    _cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int place_trusted_file(const char *path, uid_t owner)
{
    struct stat status;
    /* O_NONBLOCK: a fifo must not hold us up. */
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (!is_trusted_owner(status.st_uid, owner) || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return -EPERM;
    int result = check_way(path, owner);
    return result < 0 ? result : TAKE_FD(fd);
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
