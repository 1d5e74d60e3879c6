/*
 * See file.h. Facts: access(2), acl(5): an ACL's mask shows as the group bits of the mode, so a
 * file whose mode has no write bit for group or other can be written by its owner alone; sticky(7);
 * a FUSE file system is whatever its server says, including owners and modes.
 */
#include "exec/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "wire/shim-mark.h"

void file_init(File *file)
{
    file->fd = -EBADF;
    file->found[0] = file->path[0] = '\0';
    file->writable = file->bendable = false;
}

void file_done(File *file)
{
    file->fd = fd_close(file->fd);
}

static int names_fd = -EBADF;

void file_name_by(int fd)
{
    names_fd = fd;
}

/* The resolved path of an open file. -ESTALE when it has none that we could reach. */
static int path_of(int fd, const struct stat *status, char path[static PATH_MAX])
{
    char link[32];

    (void)snprintf(link, sizeof link, names_fd >= 0 ? "%d" : "/proc/self/fd/%d", fd);
    ssize_t size = readlinkat(names_fd, link, path, PATH_MAX);
    if (size < 0)
        return -errno;
    if (size >= PATH_MAX)
        return -ENAMETOOLONG;
    path[size] = '\0';
    return path[0] == '/' && status->st_nlink > 0 ? 0 : -ESTALE;
}

static int check_permission(int fd, FileUse use)
{
    if (use == FILE_TO_INTERPRET)
        return 0;
    return faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno : 0;
}

/* No magic links: /proc/PID/root and /proc/PID/fd/N lead to places whose names say nothing here. */
static int open_plain(int directory_fd, const char *path)
{
    /* O_NONBLOCK: a fifo must not hold us up. It means nothing to a regular file. */
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                           .resolve = RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, directory_fd, path, &how, sizeof how);
}

int file_open(int directory_fd, const char *path, FileUse use, File *ret)
{
    file_init(ret);
    size_t size = strlen(path);
    if (size >= sizeof ret->found)
        return -ENAMETOOLONG;
    _cleanup_fd_ int fd = open_plain(directory_fd, path);
    if (fd < 0) {
        int error = errno;
        if (error == EACCES && use == FILE_TO_EXECUTE &&
            faccessat(directory_fd, path, X_OK, AT_EACCESS) == 0)
            return -ENOEXEC;
        return -error;
    }
    if (fstat(fd, &ret->status) < 0)
        return -errno;
    if (!S_ISREG(ret->status.st_mode))
        return S_ISDIR(ret->status.st_mode) && use == FILE_TO_INTERPRET ? -EISDIR : -EACCES;
    int result = check_permission(fd, use);
    if (result == 0)
        result = path_of(fd, &ret->status, ret->path);
    if (result < 0)
        return result;
    memset(ret->head, 0, sizeof ret->head);
    if (pread(fd, ret->head, sizeof ret->head, 0) < 0)
        return -errno;
    memcpy(ret->found, path, size + 1);
    ret->fd = TAKE_FD(fd);
    return 0;
}

bool file_is_elf(const File *file)
{
    return memcmp(file->head, "\177ELF", 4) == 0;
}

bool file_is_script(const File *file)
{
    return file->head[0] == '#' && file->head[1] == '!';
}

#define SHIM_FIRST_LOOK 4096u

/* Do all notes of this ELF file lie within its first `size` bytes, with their headers? Then those
 * are enough for shim_mark_is_in(). */
static bool notes_lie_within(const char *bytes, size_t size)
{
    Elf64_Ehdr header;

    memcpy(&header, bytes, sizeof header);
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > size ||
        (size - header.e_phoff) / sizeof(Elf64_Phdr) < header.e_phnum)
        return false;
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, bytes + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_NOTE &&
            (segment.p_offset > size || segment.p_filesz > size - segment.p_offset))
            return false;
    }
    return true;
}

/* The long look: as far as a shim may reach. */
static int is_shim_at_length(const File *file)
{
    _cleanup_free_ char *bytes = malloc(SHIM_FILE_MAX);

    if (!bytes)
        return -ENOMEM;
    ssize_t size = pread(file->fd, bytes, SHIM_FILE_MAX, 0);
    return size < 0 ? -errno : shim_mark_is_in(bytes, (size_t)size);
}

int file_is_shim(const File *file)
{
    char bytes[SHIM_FIRST_LOOK];

    if (!file_is_elf(file))
        return false;
    ssize_t size = pread(file->fd, bytes, sizeof bytes, 0);
    if (size < 0)
        return -errno;
    if ((size_t)size == sizeof bytes && !notes_lie_within(bytes, sizeof bytes))
        return is_shim_at_length(file);
    return shim_mark_is_in(bytes, (size_t)size);
}

static bool is_fuse(const char *path)
{
    struct statfs status;
    return statfs(path, &status) < 0 || status.f_type == FUSE_SUPER_MAGIC;
}

/* May we write to the object at `path`, or give ourselves the right to? */
static bool may_change(const char *path, const struct stat *status, uid_t caller)
{
    if (caller == 0)
        return status->st_uid != 0 || (status->st_mode & (S_IWGRP | S_IWOTH));
    if (status->st_uid == caller)
        return true;
    if (!(status->st_mode & (S_IWGRP | S_IWOTH)))
        return false;
    /* A read-only mount says nothing about other mounts of the same file system. */
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 || errno == EROFS;
}

/* Could the entry of `child` in the directory `status` be replaced by somebody with our rights? */
static bool may_replace(const char *path, const struct stat *directory, const struct stat *child,
                        uid_t caller)
{
    if (!may_change(path, directory, caller))
        return false;
    if (!(directory->st_mode & S_ISVTX))
        return true;
    if (caller == 0)
        return directory->st_uid != 0 || child->st_uid != 0;
    return directory->st_uid == caller || child->st_uid == caller;
}

static bool judge_writable(const File *file)
{
    char path[PATH_MAX];
    uid_t caller = geteuid();
    struct stat child = file->status, directory;

    /* The path must still lead to the file that we hold; else somebody is moving things. */
    if (stat(file->path, &directory) < 0 || directory.st_dev != child.st_dev ||
        directory.st_ino != child.st_ino)
        return true;
    if (may_change(file->path, &child, caller) || is_fuse(file->path))
        return true;
    memcpy(path, file->path, strlen(file->path) + 1);
    for (char *slash; (slash = strrchr(path, '/'));) {
        slash[slash == path ? 1 : 0] = '\0';
        if (stat(path, &directory) < 0 || may_replace(path, &directory, &child, caller) ||
            (directory.st_dev != child.st_dev && is_fuse(path)))
            return true;
        child = directory;
        if (slash == path)
            break;
    }
    return false;
}

/* Appends a component to a resolved directory path; ".." and "." have been dealt with. */
static bool append(char path[static PATH_MAX], const char *component, size_t size)
{
    size_t used = strlen(path);
    if (used > 1)
        path[used++] = '/';
    if (used + size >= PATH_MAX)
        return false;
    memcpy(path + used, component, size);
    path[used + size] = '\0';
    return true;
}

/* The text of a symbolic link followed by what comes after it. */
static bool follow(const char *link, char rest[static PATH_MAX])
{
    char target[PATH_MAX];
    ssize_t size = readlink(link, target, sizeof target);
    size_t left = strlen(rest);

    if (size <= 0 || (size_t)size + 1 + left >= sizeof target)
        return false;
    memmove(rest + size + 1, rest, left + 1);
    memcpy(rest, target, (size_t)size);
    rest[size] = '/';
    return true;
}

/* Could somebody with our rights make the path by which the file was found lead elsewhere? Every
 * directory entry on the way counts, those of symbolic links too: else a link of the caller's own
 * would lend a trusted name to any program. */
static bool may_redirect(const char *found)
{
    char at[PATH_MAX] = "/", rest[PATH_MAX], next[PATH_MAX];
    struct stat directory, entry;
    uid_t caller = geteuid();

    /* A relative path begins at the caller's directory itself, whatever leads there. */
    if (found[0] != '/' && (!getcwd(at, sizeof at) || at[0] != '/'))
        return true;
    if (stat(at, &directory) < 0)
        return true;
    memcpy(rest, found, strlen(found) + 1);
    for (int links = 0; links < 40;) {
        size_t skip = strspn(rest, "/"), size = strcspn(rest + skip, "/");
        const char *component = rest + skip;
        if (size == 0)
            return false;
        memcpy(next, at, strlen(at) + 1);
        bool up = size == 2 && memcmp(component, "..", 2) == 0;
        if (up)
            next[next[1] ? strrchr(next, '/') - next : 0] = '\0';
        else if (!(size == 1 && *component == '.') && !append(next, component, size))
            return true;
        if (!next[0])
            memcpy(next, "/", 2);
        memmove(rest, component + size, strlen(component + size) + 1);
        if (lstat(next, &entry) < 0 || (!up && may_replace(at, &directory, &entry, caller)))
            return true;
        if (!S_ISLNK(entry.st_mode)) {
            memcpy(at, next, strlen(next) + 1);
            directory = entry;
            continue;
        }
        links++;
        if (!follow(next, rest))
            return true;
        if (rest[0] == '/') {
            memcpy(at, "/", 2);
            if (stat(at, &directory) < 0)
                return true;
        }
    }
    return true;
}

bool file_directory_is_trusted(const char *path)
{
    struct stat status;

    return path[0] == '/' && stat(path, &status) == 0 && S_ISDIR(status.st_mode) &&
           !may_change(path, &status, geteuid()) && !may_redirect(path);
}

void file_judge_writable(File *file)
{
    file->writable = judge_writable(file);
    file->bendable =
        file->writable || (strcmp(file->found, file->path) != 0 && may_redirect(file->found));
}
