/*
 * See freezer.h.
 */
#include "exec/freezer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/container-private.h"

#define CGROUP_TEXT_MAX (64u * 1024)
#define DEPTH_MAX 32u
#define COUNTED_MAX 5000u
/* Rounds that a freezer is given to stand still, before its processes are killed all the same. */
#define STILL_ROUNDS 20u
/* Rounds that the end of its init is given, with which all in its pid namespace ends. */
#define WAIT_ROUNDS 5u

static int write_file(int directory_fd, const char *name, const char *text)
{
    _cleanup_fd_ int fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static bool file_says(int directory_fd, const char *name, const char *words)
{
    _cleanup_free_ char *text = NULL;
    return fd_read_file(directory_fd, name, CGROUP_TEXT_MAX, &text, NULL) == 0 &&
           strstr(text, words) != NULL;
}

/* Does the process live in the container's own part of this hierarchy? */
static bool is_within(pid_t pid, const ContainerCgroup *cgroup)
{
    _cleanup_free_ char *text = NULL;
    char path[32];
    CgroupLine line;

    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    if (fd_read_file(AT_FDCWD, path, CGROUP_TEXT_MAX, &text, NULL) < 0)
        return false;
    for (const char *rest = text; cgroup_line_next(&rest, &line);) {
        if (piece_is(line.hierarchy, cgroup->hierarchy))
            return cgroup_path_is_within(line.path,
                                         (Piece){.at = cgroup->path, .size = cgroup->own_size});
    }
    return false;
}

/* The container's own directory: its init's may be further down. */
static int open_own(const Container *container, const ContainerCgroup *cgroup)
{
    char directory[PATH_MAX];
    size_t below = strlen(cgroup->path) - cgroup->own_size, size = strlen(cgroup->directory);

    if (size <= below || size >= sizeof directory ||
        strcmp(cgroup->directory + size - below, cgroup->path + cgroup->own_size) != 0)
        return -ENOENT;
    (void)snprintf(directory, sizeof directory, "%.*s", (int)(size - below), cgroup->directory);
    const char *name = strrchr(directory, '/');
    if (!name || !strstr(name, container->id))
        return -ENOENT;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_place(const Container *container, const char *controller, FreezerPlace *ret,
                      char why[static CONTAINER_WHY_MAX])
{
    const ContainerCgroup *cgroup = container_cgroup(container, controller);

    *ret = (FreezerPlace){.fd = -EBADF, .cgroup = cgroup};
    if (!cgroup)
        return 0;
    bool is_there = is_within(container->init.pid, cgroup);
    if (is_within(getpid(), cgroup))
        return container_refuse(why, "the warden itself lives in the container's cgroup");
    if (pidref_verify(&container->init) < 0)
        return container_refuse(why, "the container has ended");
    ret->fd = is_there ? open_own(container, cgroup) : -ENOENT;
    return ret->fd >= 0
               ? 0
               : container_refuse(why, "the container's cgroup (%s) cannot be reached: %s",
                                  *controller ? controller : "cgroup2", strerror(-ret->fd));
}

int freezer_open(const Container *container, Freezer *ret, char why[static CONTAINER_WHY_MAX])
{
    *ret = FREEZER_EMPTY;
    if (open_place(container, "freezer", &ret->old, why) == 0 &&
        open_place(container, "", &ret->unified, why) == 0)
        return 0;
    freezer_done(ret);
    return 1;
}

void freezer_done(Freezer *freezer)
{
    freezer->old.fd = fd_close(freezer->old.fd);
    freezer->unified.fd = fd_close(freezer->unified.fd);
}

bool freezer_has_any(const Freezer *freezer)
{
    return freezer->old.fd >= 0 || freezer->unified.fd >= 0;
}

int freezer_set(const Freezer *freezer, bool frozen)
{
    int result = -ENOENT;

    if (freezer->old.fd >= 0)
        result = write_file(freezer->old.fd, "freezer.state", frozen ? "FROZEN" : "THAWED");
    if (freezer->unified.fd >= 0 && (freezer->old.fd < 0 || !frozen))
        result = write_file(freezer->unified.fd, "cgroup.freeze", frozen ? "1" : "0");
    return result;
}

bool freezer_is_frozen(const Freezer *freezer)
{
    if (freezer->old.fd >= 0)
        return file_says(freezer->old.fd, "freezer.state", "FROZEN");
    return freezer->unified.fd >= 0 && file_says(freezer->unified.fd, "cgroup.events", "frozen 1");
}

/* All processes in and below a place. */
typedef struct Visit {
    const FreezerPlace *place;
    bool kills;
    int root_fd; /* of version 1's freezers, for them to go to; -EBADF: they stay */
    unsigned count;
} Visit;

/* A number of the list may have a new owner by now. */
static void kill_member(const FreezerPlace *place, pid_t pid)
{
    _cleanup_(pidref_done)
    PidRef process = PIDREF_EMPTY;

    if (pid != getpid() && pidref_open(pid, &process) == 0 && is_within(pid, place->cgroup))
        (void)pidref_kill(&process, SIGKILL);
}

static void visit_processes(int directory_fd, Visit *visit)
{
    char line[32];

    int fd = openat(directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    _cleanup_(fclosep)
    FILE *procs = fd >= 0 ? fdopen(fd, "re") : NULL;
    if (!procs) {
        fd_close(fd);
        return;
    }
    while (visit->count < COUNTED_MAX && fgets(line, sizeof line, procs)) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);
        visit->count++;
        if (visit->kills)
            kill_member(visit->place, pid);
        if (visit->root_fd >= 0 && pid > 0) {
            (void)snprintf(line, sizeof line, "%d", pid);
            (void)write_file(visit->root_fd, "cgroup.procs", line);
        }
    }
}

/* Takes `fd`. */
static void visit_directory_take(int fd, unsigned depth, Visit *visit)
{
    visit_processes(fd, visit);
    _cleanup_(closedirp)
    DIR *directory = fdopendir(fd);
    if (!directory) {
        fd_close(fd);
        return;
    }
    for (const struct dirent *entry; depth < DEPTH_MAX && (entry = readdir(directory));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            visit_directory_take(below, depth + 1, visit);
    }
}

static unsigned visit_place(const FreezerPlace *place, bool kills)
{
    Visit visit = {.place = place, .kills = kills, .root_fd = -EBADF};

    int fd = place->fd >= 0 ? openat(place->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0)
        visit_directory_take(fd, 0, &visit);
    return visit.count;
}

/* Frozen first, so that none is born while the list is read. */
static void kill_in_old(const FreezerPlace *place, unsigned round)
{
    bool is_still = file_says(place->fd, "freezer.state", "FROZEN");

    if (!is_still && round % STILL_ROUNDS != STILL_ROUNDS - 1) {
        (void)write_file(place->fd, "freezer.state", "FROZEN");
        return;
    }
    (void)visit_place(place, true);
    (void)write_file(place->fd, "freezer.state", "THAWED");
}

void freezer_kill(const Freezer *freezer, const Container *container, unsigned round)
{
    if (round == 0) {
        (void)pidref_kill(&container->init, SIGKILL);
        if (freezer->unified.fd >= 0 && write_file(freezer->unified.fd, "cgroup.kill", "1") < 0)
            (void)visit_place(&freezer->unified, true); /* before Linux 5.14 */
        (void)freezer_set(freezer, false);
        return;
    }
    if (freezer->unified.fd >= 0 && round % STILL_ROUNDS == 0 &&
        write_file(freezer->unified.fd, "cgroup.kill", "1") < 0)
        (void)visit_place(&freezer->unified, true);
    if (freezer->old.fd >= 0 && round >= WAIT_ROUNDS)
        kill_in_old(&freezer->old, round);
}

unsigned freezer_count(const Freezer *freezer)
{
    unsigned old = visit_place(&freezer->old, false);
    unsigned unified = visit_place(&freezer->unified, false);

    return old > unified ? old : unified;
}

/* Where nothing is ever frozen. A descriptor or -errno. */
static int open_root(void)
{
    static const CgroupLine root = {.hierarchy = {.at = "freezer", .size = 7},
                                    .path = {.at = "/", .size = 1}};
    _cleanup_free_ char *mountinfo = NULL;
    char directory[PATH_MAX];

    if (fd_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo, NULL) < 0 ||
        cgroup_line_directory(mountinfo, &root, directory, sizeof directory) < 0)
        return -ENOENT;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void freezer_release_below(int directory_fd)
{
    _cleanup_fd_ int root_fd = open_root();
    Visit visit = {.root_fd = root_fd};

    if (root_fd < 0)
        return;
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        visit_directory_take(fd, 0, &visit);
}
