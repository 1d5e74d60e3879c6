/*
 * See house.h.
 */
#include "jail/house.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define SHIM "clawrden-shim"
#define SHIM_NEW ".clawrden-shim.new"
#define LAUNCHER "clawrden-launcher"
#define LAUNCHER_NEW ".clawrden-launcher.new"
#define SHIM_TARGET "../" SHIM
#define SHIM_BYTES_MAX (16u << 20)
#define BIN "bin"
#define SOCKET "warden.sock"
#define PUT_AWAY_TRIES 1000u
/* What is removed in one go, and how deep; the rest is left to the next start. Our own directories
 * have at most one link per command. */
#define REMOVED_MAX (2 * POLICY_JAIL_COMMANDS_MAX)
#define DEPTH_MAX 16u

const char *jail_house_problem(int error)
{
    switch (error) {
    case -EPERM:
        return "stands there already and others own it or can write to it; remove it or choose "
               "another name";
    case -ENOTDIR:
    case -ELOOP:
        return "stands there already and is no directory; remove it or choose another name";
    case -ENOEXEC:
        return "is no program (ELF)";
    case -EFBIG:
        return "is too large for a shim";
    case -EBUSY:
        return "is a mount point; unmount it";
    default:
        return strerror(-error);
    }
}

static int open_directory(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static DIR *read_directory(int fd)
{
    int own = open_directory(fd, "."); /* with an offset of its own */
    DIR *directory = own < 0 ? NULL : fdopendir(own);

    if (!directory)
        fd_close(own);
    return directory;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Nobody else can have made or changed it (but who is root). */
static bool is_ours(const struct stat *status)
{
    return (status->st_uid == 0 || status->st_uid == geteuid()) &&
           (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Removing. */

static int remove_tree(int at, const char *name, unsigned depth, unsigned *left);

static int empty(int at, const char *name, unsigned depth, unsigned *left)
{
    _cleanup_fd_ int fd = open_directory(at, name);
    _cleanup_(closedirp)
    DIR *directory = fd < 0 ? NULL : read_directory(fd);
    int result = 0;

    if (!directory)
        return fd < 0 ? fd : -errno;
    for (struct dirent *entry; result == 0 && (entry = readdir(directory));)
        if (!is_dot(entry->d_name))
            result = remove_tree(fd, entry->d_name, depth - 1, left);
    return result;
}

/* -EOVERFLOW: there is more of it than may be removed in one go. */
static int remove_tree(int at, const char *name, unsigned depth, unsigned *left)
{
    if ((*left)-- == 0 || depth == 0) {
        *left = 0;
        return -EOVERFLOW;
    }
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM) /* EPERM: POSIX of directories */
        return -errno;
    if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return -errno;
    int result = empty(at, name, depth, left);
    if (result < 0)
        return result;
    return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static void discard(int at, const char *name)
{
    unsigned left = REMOVED_MAX;
    (void)remove_tree(at, name, DEPTH_MAX, &left);
}

static int rename_new(int from, const char *name, int to, const char *new_name)
{
    if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    /* A file system without the flag; nobody but us makes names there. */
    if (faccessat(to, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(from, name, to, new_name) < 0 ? -errno : 0;
}

/* Gets it out of its place in one step, whatever it is, and then rid of it. */
static int put_away(const JailHouse *house, int at, const char *name)
{
    char old[32];
    int result = -EEXIST;

    for (unsigned i = 0; result == -EEXIST && i < PUT_AWAY_TRIES; i++) {
        (void)snprintf(old, sizeof old, ".old-%u", i);
        result = rename_new(at, name, house->jails_fd, old);
    }
    if (result < 0)
        return result == -ENOENT ? 0 : result;
    discard(house->jails_fd, old);
    return 0;
}

/* The programs. */

typedef struct HouseProgram {
    const char *name, *fresh;
    mode_t mode;
} HouseProgram;

static const HouseProgram shim = {SHIM, SHIM_NEW, 0555};
static const HouseProgram launcher = {LAUNCHER, LAUNCHER_NEW, 0111};
static const HouseProgram launcher_master = {LAUNCHER, LAUNCHER_NEW, 0500};

/* Whether the file is this very program as it should be. */
static bool is_same(int at, const HouseProgram *program, const char *text, size_t size)
{
    struct stat status;
    _cleanup_free_ char *found = NULL;
    size_t found_size = 0;
    _cleanup_fd_ int fd = openat(at, program->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && is_ours(&status) &&
           (status.st_mode & 07777) == program->mode && (size_t)status.st_size == size &&
           fd_read_all(fd, size, &found, &found_size) == 0 && found_size == size &&
           memcmp(found, text, size) == 0;
}

static int write_new(int at, const HouseProgram *program, const char *text, size_t size)
{
    _cleanup_fd_ int fd =
        openat(at, program->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int result = fd_write_all(fd, text, size);
    if (result < 0)
        return result;
    return fchmod(fd, program->mode) < 0 ? -errno : 0;
}

static int put_program(const JailHouse *house, int at, const HouseProgram *program,
                       const char *text, size_t size)
{
    if (is_same(at, program, text, size))
        return 0;
    int result = put_away(house, at, program->fresh); /* of a crash */
    if (result == 0)
        result = write_new(at, program, text, size);
    if (result == 0 && renameat(at, program->fresh, at, program->name) < 0) {
        result = errno == EISDIR ? put_away(house, at, program->name) : -errno;
        if (result == 0 && renameat(at, program->fresh, at, program->name) < 0)
            result = -errno;
    }
    return result;
}

static int arm(const JailHouse *house, const HouseProgram *program, int fd)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    int result = fd_read_all(fd, SHIM_BYTES_MAX, &text, &size);

    if (result < 0)
        return result;
    if (size < 4 || memcmp(text, "\177ELF", 4) != 0)
        return -ENOEXEC;
    return put_program(house, house->armory_fd, program, text, size);
}

int jail_house_arm(JailHouse *house, int shim_fd)
{
    int result = arm(house, &shim, shim_fd);

    house->has_shim = result == 0;
    return result;
}

int jail_house_arm_launcher(JailHouse *house, int launcher_fd)
{
    int result = arm(house, &launcher_master, launcher_fd);

    house->has_launcher = result == 0;
    return result;
}

static int copy_program(const JailHouse *house, int jail_fd, const HouseProgram *program)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    int result = fd_read_file(house->armory_fd, program->name, SHIM_BYTES_MAX, &text, &size);

    return result < 0 ? result : put_program(house, jail_fd, program, text, size);
}

static int copy_programs(const JailHouse *house, int jail_fd)
{
    int result = house->has_shim ? copy_program(house, jail_fd, &shim) : 0;

    if (result == 0 && house->has_launcher)
        result = copy_program(house, jail_fd, &launcher);
    return result;
}

/* The commands. */

static int compare(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool is_command(const PolicyJail *jail, const char *name)
{
    return jail->n_commands > 0 &&
           bsearch(name, jail->commands, jail->n_commands, sizeof *jail->commands, compare) != NULL;
}

static bool is_link(int bin, const char *name)
{
    char target[sizeof SHIM_TARGET];
    ssize_t size = readlinkat(bin, name, target, sizeof target);

    return size == sizeof SHIM_TARGET - 1 && memcmp(target, SHIM_TARGET, (size_t)size) == 0;
}

/* What is no link of a command goes. */
static int clear_links(const JailHouse *house, int bin, const PolicyJail *jail)
{
    _cleanup_(closedirp)
    DIR *directory = read_directory(bin);
    unsigned left = REMOVED_MAX;
    int result = 0;

    if (!directory)
        return -errno;
    for (struct dirent *entry; result == 0 && left > 0 && (entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (is_dot(name) || (is_command(jail, name) && is_link(bin, name)))
            continue;
        left--;
        result = unlinkat(bin, name, 0) == 0 ? 0 : put_away(house, bin, name);
    }
    return result;
}

static int make_links(const JailHouse *house, int bin, const PolicyJail *jail)
{
    for (size_t i = 0; i < jail->n_commands; i++) {
        const char *name = jail->commands[i];
        int made = symlinkat(SHIM_TARGET, bin, name);
        if (made < 0 && errno == EEXIST && !is_link(bin, name)) {
            int result = put_away(house, bin, name);
            if (result < 0)
                return result;
            made = symlinkat(SHIM_TARGET, bin, name);
        }
        if (made < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int make_directory(int at, const char *name)
{
    if (mkdirat(at, name, 0755) < 0)
        return -errno;
    int fd = open_directory(at, name);
    if (fd >= 0 && fchmod(fd, 0755) < 0) { /* whatever the umask says */
        int error = -errno;
        fd_close(fd);
        return error;
    }
    return fd;
}

static int open_bin(const JailHouse *house, int jail_fd)
{
    struct stat status;
    _cleanup_fd_ int fd = open_directory(jail_fd, BIN);

    if (fd >= 0 && fstat(fd, &status) == 0 && is_ours(&status) &&
        ((status.st_mode & 07777) == 0755 || fchmod(fd, 0755) == 0))
        return TAKE_FD(fd);
    int result = put_away(house, jail_fd, BIN);
    return result < 0 ? result : make_directory(jail_fd, BIN);
}

/* All that belongs into a jail's directory but its socket. */
static int furnish(const JailHouse *house, int jail_fd, const PolicyJail *jail)
{
    struct stat status;

    int result = copy_programs(house, jail_fd);
    if (result < 0)
        return result;
    _cleanup_fd_ int bin = open_bin(house, jail_fd);
    if (bin < 0)
        return bin;
    result = clear_links(house, bin, jail);
    if (result == 0)
        result = make_links(house, bin, jail);
    if (result == 0 && fstatat(jail_fd, SOCKET, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISSOCK(status.st_mode))
        result = put_away(house, jail_fd, SOCKET);
    return result;
}

/* Beside, and then in one step to its place. */
static int build(const JailHouse *house, const PolicyJail *jail)
{
    char beside[POLICY_JAIL_NAME_SIZE + 8];

    (void)snprintf(beside, sizeof beside, ".new-%s", jail->name);
    int result = put_away(house, house->jails_fd, beside);
    if (result < 0)
        return result;
    _cleanup_fd_ int fd = make_directory(house->jails_fd, beside);
    result = fd < 0 ? fd : furnish(house, fd, jail);
    if (result == 0)
        result = rename_new(house->jails_fd, beside, house->jails_fd, jail->name);
    if (result < 0)
        discard(house->jails_fd, beside);
    return result;
}

int jail_house_make(JailHouse *house, const JailSettings *settings)
{
    struct stat status;
    _cleanup_fd_ int fd = open_directory(house->jails_fd, settings->jail.name);

    if (fd == -ENOENT)
        return build(house, &settings->jail);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!is_ours(&status))
        return -EPERM;
    if ((status.st_mode & 07777) != 0755 && fchmod(fd, 0755) < 0)
        return -errno;
    return furnish(house, fd, &settings->jail);
}

int jail_house_remove(JailHouse *house, const char *name)
{
    return policy_is_jail_name(name) ? put_away(house, house->jails_fd, name) : -EINVAL;
}

/* The whole house. */

void jail_house_sweep(JailHouse *house, bool (*is_wanted)(const char *name, const void *userdata),
                      const void *userdata)
{
    _cleanup_(closedirp)
    DIR *directory = read_directory(house->jails_fd);
    struct stat status;

    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!policy_is_jail_name(entry->d_name) || is_wanted(entry->d_name, userdata) ||
            fstatat(house->jails_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(status.st_mode) && is_ours(&status))
            (void)put_away(house, house->jails_fd, entry->d_name);
    }
}

/* What begins with a dot is ours, and half made or half removed. */
static void sweep_halves(const JailHouse *house)
{
    _cleanup_(closedirp)
    DIR *directory = read_directory(house->jails_fd);

    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strncmp(entry->d_name, ".new-", 5) == 0 || strncmp(entry->d_name, ".old-", 5) == 0)
            discard(house->jails_fd, entry->d_name);
}

int jail_house_open(JailHouse *house, const char *run_dir)
{
    char path[PATH_MAX];

    *house = JAIL_HOUSE_EMPTY;
    (void)snprintf(path, sizeof path, "%s/jails", run_dir);
    house->jails_fd = open_directory(AT_FDCWD, path);
    (void)snprintf(path, sizeof path, "%s/armory", run_dir);
    house->armory_fd = open_directory(AT_FDCWD, path);
    if (house->jails_fd < 0 || house->armory_fd < 0) {
        int error = house->jails_fd < 0 ? house->jails_fd : house->armory_fd;
        jail_house_close(house);
        return error;
    }
    discard(house->armory_fd, SHIM_NEW);
    discard(house->armory_fd, LAUNCHER_NEW);
    sweep_halves(house);
    return 0;
}

void jail_house_close(JailHouse *house)
{
    fd_close(house->jails_fd);
    fd_close(house->armory_fd);
    *house = JAIL_HOUSE_EMPTY;
}
