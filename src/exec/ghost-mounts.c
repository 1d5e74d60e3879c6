/*
 * See ghost-mounts.h.
 */
#include "exec/ghost-mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/container-paths.h"
#include "exec/container-private.h"

#define BINDS_MAX 1024u
/* Where every governed container has its jail's directory. */
#define JAIL_PLACE "/run/clawrden"

/* What of `path` follows `directory`, which it is or lies in ("/" holds everything); else NULL. */
static const char *rest_beneath(const char *path, const char *directory)
{
    size_t size = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

    if (strncmp(path, directory, size) != 0 || (path[size] != '\0' && path[size] != '/'))
        return NULL;
    return path + size;
}

static bool set_place(GhostPlace *ret, Piece device, const char *root, const char *rest)
{
    if (strcmp(rest, "/") == 0)
        rest = "";
    if (strcmp(root, "/") == 0 && rest[0])
        root = "";
    int size = snprintf(ret->path, sizeof ret->path, "%s%s", root, rest);
    return size > 0 && (size_t)size < sizeof ret->path &&
           piece_unescape(device, ret->device, sizeof ret->device);
}

bool ghost_place_on_host(const char *mountinfo, const char *path, GhostPlace *ret)
{
    char directory[PATH_MAX], root[PATH_MAX];
    size_t longest = 0;
    bool found = false;
    MountLine mount;

    while (mount_line_next(&mountinfo, &mount)) {
        if (!piece_unescape(mount.mount, directory, sizeof directory) ||
            !piece_unescape(mount.root, root, sizeof root))
            continue;
        const char *rest = rest_beneath(path, directory);
        if (!rest || strlen(directory) < longest)
            continue;
        longest = strlen(directory);
        found = set_place(ret, mount.device, root, rest);
    }
    return found;
}

bool ghost_place_of_mount(const char *mountinfo, const char *target, GhostPlace *ret)
{
    char directory[PATH_MAX], root[PATH_MAX];
    bool found = false;
    MountLine mount;

    while (mount_line_next(&mountinfo, &mount)) {
        if (piece_unescape(mount.mount, directory, sizeof directory) &&
            strcmp(directory, target) == 0) /* the last one is what is seen */
            found = piece_unescape(mount.root, root, sizeof root) &&
                    set_place(ret, mount.device, root, "");
    }
    return found;
}

bool ghost_place_is_exposed(const char *mountinfo, const GhostPlace *place)
{
    bool is_governed = false, is_above = false;
    char root[PATH_MAX];
    MountLine mount;

    while (mount_line_next(&mountinfo, &mount)) {
        is_governed |= piece_is(mount.mount, JAIL_PLACE);
        if (!piece_is(mount.device, place->device) ||
            !list_has(mount.options, (Piece){.at = "rw", .size = 2}) ||
            !piece_unescape(mount.root, root, sizeof root))
            continue;
        const char *rest = rest_beneath(place->path, root);
        is_above |= rest && rest[0] && strcmp(rest, "/") != 0;
    }
    return is_governed && is_above;
}

/* Mount namespaces that have been looked at. */
typedef struct Seen {
    struct {
        dev_t device;
        ino_t inode;
    } * items; /* owned */
    size_t n, room;
} Seen;

/* False: not new, or out of memory, and then `ret_failed`. */
static bool is_new(Seen *seen, const struct stat *status, bool *ret_failed)
{
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->items[i].device == status->st_dev && seen->items[i].inode == status->st_ino)
            return false;
    }
    if (seen->n == seen->room) {
        size_t room = seen->room ? 2 * seen->room : 64;
        void *items = reallocarray(seen->items, room, sizeof *seen->items);
        if (!items) {
            *ret_failed = true;
            return false;
        }
        seen->items = items;
        seen->room = room;
    }
    seen->items[seen->n].device = status->st_dev;
    seen->items[seen->n++].inode = status->st_ino;
    return true;
}

static bool process_exposes(pid_t pid, Seen *seen, const GhostPlace *places, size_t n_places,
                            bool *ret_failed)
{
    _cleanup_free_ char *text = NULL;
    struct stat status;
    char path[48];

    (void)snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    if (stat(path, &status) < 0 || !is_new(seen, &status, ret_failed))
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
    if (fd_read_file(AT_FDCWD, path, MOUNTINFO_MAX, &text, NULL) < 0)
        return false; /* it has ended */
    for (size_t i = 0; i < n_places; i++) {
        if (ghost_place_is_exposed(text, &places[i]))
            return true;
    }
    return false;
}

/* By all processes there are: also those of containers that nothing is known of yet. */
static int find_exposure(const World *self, const GhostPlace *places, size_t n_places,
                         char why[static CONTAINER_WHY_MAX])
{
    Seen seen = {.items = NULL};
    const struct stat own = {.st_dev = self->namespaces[WORLD_MNT].device,
                             .st_ino = self->namespaces[WORLD_MNT].inode};
    bool failed = false, exposed = false;
    struct dirent *entry;

    (void)is_new(&seen, &own, &failed);
    DIR *directory = opendir("/proc");
    while (directory && !failed && !exposed && (entry = readdir(directory)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        exposed = pid > 0 && process_exposes(pid, &seen, places, n_places, &failed);
    }
    failed |= !directory;
    if (directory)
        (void)closedir(directory);
    free(seen.items);
    if (failed)
        return container_refuse(why, "who else may change its workspace cannot be found out");
    return exposed ? container_refuse(
                         why, "a directory of its workspace lies in one that a governed container "
                              "may write to, which could so lead the engine elsewhere; mount them "
                              "from places of their own")
                   : 0;
}

static int take_place(Reader *reader, const char *host, const char *caller, GhostPlace *ret,
                      char why[static CONTAINER_WHY_MAX])
{
    const char *source = reader_string(reader), *target = reader_string(reader);
    GhostPlace now;

    if (reader->failed)
        return -EPROTO;
    if (!ghost_place_on_host(host, source, ret) || !ghost_place_of_mount(caller, target, &now) ||
        strcmp(ret->device, now.device) != 0 || strcmp(ret->path, now.path) != 0)
        return container_refuse(why,
                                "the directory that the container has at %.200s is not at "
                                "%.200s on the machine (any more, or by way of symbolic links)",
                                target, source);
    return 0;
}

int ghost_mounts_check(const Container *caller, const World *self, Reader *reader,
                       char why[static CONTAINER_WHY_MAX])
{
    _cleanup_free_ char *host = NULL, *theirs = NULL;
    char path[48];
    uint32_t n = reader_u32(reader);

    if (n > BINDS_MAX)
        return -EPROTO;
    _cleanup_free_ GhostPlace *places = calloc(n ? n : 1, sizeof *places);
    (void)snprintf(path, sizeof path, "/proc/%d/mountinfo", caller->init.pid);
    if (!places || fd_read_file(AT_FDCWD, "/proc/1/mountinfo", MOUNTINFO_MAX, &host, NULL) < 0 ||
        fd_read_file(AT_FDCWD, path, MOUNTINFO_MAX, &theirs, NULL) < 0 ||
        pidref_verify(&caller->init) < 0)
        return container_refuse(why, "the mounts of the caller's container cannot be read");
    for (uint32_t i = 0; i < n; i++) {
        int result = take_place(reader, host, theirs, &places[i], why);
        if (result != 0)
            return result;
    }
    if (!reader_done(reader))
        return -EPROTO;
    return n > 0 ? find_exposure(self, places, n, why) : 0;
}
