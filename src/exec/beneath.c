/*
 * See beneath.h. The kernel resolves each path once, under rules that it enforces itself
 * (openat2(2)): no step out of the directory, no link of any kind. Where it does not know the call,
 * nothing is beneath.
 */
#include "exec/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A descriptor (O_PATH) or -errno. */
static int open_beneath(int cwd_fd, const char *path, uint64_t flags)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
                                 .resolve =
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, cwd_fd, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

static bool is_directory_itself(int cwd_fd, int fd)
{
    struct stat directory, found;

    return fstat(cwd_fd, &directory) < 0 || fstat(fd, &found) < 0 ||
           (directory.st_dev == found.st_dev && directory.st_ino == found.st_ino);
}

/* A name that could be made: everything before its last component is there. */
static bool is_new_beneath(int cwd_fd, const char *path)
{
    char directory[PATH_MAX];
    size_t size = strlen(path);

    while (size > 0 && path[size - 1] == '/')
        size--;
    size_t start = size;
    while (start > 0 && path[start - 1] != '/')
        start--;
    const char *name = path + start;
    size_t name_size = size - start;
    if (name_size == 0 || (name_size == 1 && name[0] == '.') ||
        (name_size == 2 && name[0] == '.' && name[1] == '.'))
        return false;
    if (start == 0)
        return true;
    memcpy(directory, path, start);
    directory[start] = '\0';
    int fd = open_beneath(cwd_fd, directory, O_DIRECTORY);
    if (fd < 0)
        return false;
    (void)close(fd);
    return true;
}

/* The path as it is seen from the directory, or NULL when it cannot be beneath it. */
static const char *relative_to(const char *cwd, const char *argument)
{
    if (argument[0] != '/')
        return argument;
    size_t size = strcmp(cwd, "/") == 0 ? 0 : strlen(cwd);
    if (strncmp(argument, cwd, size) != 0 || argument[size] != '/')
        return NULL;
    return argument + size + strspn(argument + size, "/");
}

static bool is_beneath(int cwd_fd, const char *cwd, const char *argument)
{
    if (!*argument || *argument == '-' || strlen(argument) >= PATH_MAX)
        return false;
    const char *path = relative_to(cwd, argument);
    if (!path || !*path)
        return false;
    int fd = open_beneath(cwd_fd, path, 0);
    if (fd == -ENOENT)
        return is_new_beneath(cwd_fd, path);
    if (fd < 0)
        return false;
    bool beneath = !is_directory_itself(cwd_fd, fd);
    (void)close(fd);
    return beneath;
}

void beneath_find(int cwd_fd, const char *cwd, const char *const *argv, size_t argc,
                  uint8_t bits[static EXAMINED_ARGUMENTS_MAX / 8])
{
    memset(bits, 0, EXAMINED_ARGUMENTS_MAX / 8);
    if (argc > EXAMINED_ARGUMENTS_MAX)
        return;
    for (size_t i = 0; i < argc; i++) {
        if (is_beneath(cwd_fd, cwd, argv[i]))
            bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
    }
}
