/*
 * See container.h: what the kernel says about a container and a caller in it.
 *
 * A number of /proc can change its owner: whatever is read of a process is believed only if its
 * pidfd is still alive afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/container-private.h"
#include "exec/join.h"

#define PROC_TEXT_MAX (64u * 1024)

/* linux/nsfs.h, Linux 6.11: the pid, as we see it, of process N of that pid namespace. */
#ifndef NS_GET_TGID_FROM_PIDNS
#define NS_GET_TGID_FROM_PIDNS _IOR(0xb7, 0x7, int)
#endif

int container_refuse(char why[static CONTAINER_WHY_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, CONTAINER_WHY_MAX, format, arguments);
    va_end(arguments);
    return 1;
}

bool namespace_is_same(const World *a, const World *b, size_t which)
{
    return a->namespaces[which].device == b->namespaces[which].device &&
           a->namespaces[which].inode == b->namespaces[which].inode;
}

/* A file of /proc/PID. 0 or -errno. */
static int read_text(pid_t pid, const char *name, size_t limit, char **ret)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return fd_read_file(AT_FDCWD, path, limit, ret, NULL);
}

/* Is it process 1 of its pid namespace, and that a child of ours? `ret_levels`: how many
 * namespaces, from ours down, it has numbers in. */
static bool is_first(pid_t pid, unsigned *ret_levels)
{
    _cleanup_free_ char *text = NULL;
    long number = 0;

    *ret_levels = 0;
    if (read_text(pid, "status", PROC_TEXT_MAX, &text) < 0)
        return false;
    const char *next = strstr(text, "\nNSpid:");
    if (!next)
        return false;
    next += strlen("\nNSpid:");
    for (char *end = NULL; *next != '\n'; next = end) {
        number = strtol(next, &end, 10);
        if (end == next)
            break;
        (*ret_levels)++;
    }
    return number == 1 && *ret_levels > 1;
}

static bool is_in_pid_namespace(pid_t pid, const World *world)
{
    struct stat status;
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    return stat(path, &status) == 0 && status.st_dev == world->namespaces[WORLD_PID].device &&
           status.st_ino == world->namespaces[WORLD_PID].inode;
}

/* Asks the kernel (Linux 6.11). A pid or 0. */
static pid_t ask_for_init(const PidRef *process)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/ns/pid", process->pid);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int pid = ioctl(fd, NS_GET_TGID_FROM_PIDNS, 1);
    return pid > 0 ? pid : 0;
}

/* Looks at every process. A pid or 0. */
static pid_t search_for_init(const World *world)
{
    _cleanup_(closedirp)
    DIR *directory = opendir("/proc");
    unsigned levels = 0;

    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && is_in_pid_namespace(pid, world) && is_first(pid, &levels))
            return pid;
    }
    return 0;
}

static int find_init(Container *container, const PidRef *process, const World *world,
                     char why[static CONTAINER_WHY_MAX])
{
    unsigned levels = 0;
    pid_t pid = container->table->old_kernel ? 0 : ask_for_init(process);

    if (pid == 0)
        pid = search_for_init(world);
    if (pid == 0 || pidref_open(pid, &container->init) < 0)
        return container_refuse(why, "the first process of the caller's container is gone");
    bool is_it = is_first(pid, &levels) && is_in_pid_namespace(pid, world);
    if (!is_it || pidref_verify(&container->init) < 0)
        return container_refuse(why, "the first process of the caller's container is gone");
    if (levels > 2)
        return container_refuse(why,
                                "the caller lives in a pid namespace within a container's: only "
                                "the container's own processes may ask (a sandbox inside it?)");
    return 0;
}

/* CAP_SYS_ADMIN or CAP_SYS_PTRACE among these. Its name or NULL. */
static const char *power_in(uint64_t capabilities)
{
    if (capabilities & UINT64_C(1) << CAP_SYS_ADMIN)
        return "CAP_SYS_ADMIN";
    return capabilities & UINT64_C(1) << CAP_SYS_PTRACE ? "CAP_SYS_PTRACE" : NULL;
}

static int check_powers(const Identity *identity, char why[static CONTAINER_WHY_MAX])
{
    const char *power = power_in(identity->cap_permitted | identity->cap_bounding |
                                 identity->cap_inheritable | identity->cap_ambient);

    if (!power)
        return 0;
    return container_refuse(why,
                            "the container has or could get %s, with which a prisoner can be "
                            "whoever it likes; start it without (no --privileged, no --cap-add %s)",
                            power, power + strlen("CAP_"));
}

static int open_at(pid_t pid, const char *name, int flags)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int container_read(Container *container, const PidRef *process, const World *world,
                   char why[static CONTAINER_WHY_MAX])
{
    const World *self = container->table->self;

    if (namespace_is_same(world, self, WORLD_PID))
        return container_refuse(why,
                                "the caller shares the warden's pid namespace but not all others, "
                                "so it cannot be told which container it belongs to; start it "
                                "without pid: host");
    if (find_init(container, process, world, why) != 0)
        return 1;
    int result = identity_read(&container->init, &container->first, &container->world);
    container->root_fd = open_at(container->init.pid, "root", O_PATH | O_DIRECTORY);
    container->mountinfo_fd = open_at(container->init.pid, "mountinfo", O_RDONLY);
    if (result < 0 || container->root_fd < 0 || container->mountinfo_fd < 0 ||
        pidref_verify(&container->init) < 0)
        return container_refuse(why, "the first process of the caller's container cannot be read");
    if (!namespace_is_same(&container->world, self, WORLD_USER))
        return container_refuse(why,
                                "the container has a user namespace of its own (rootless, or "
                                "userns-remap), in which this version runs no commands; start it "
                                "without (--userns=host)");
    return check_powers(&container->first, why);
}

static int add_cgroup(Container *container, const CgroupLine *line, size_t own_size,
                      const char *mountinfo, char why[static CONTAINER_WHY_MAX])
{
    char directory[4096];
    ContainerCgroup *cgroup = &container->cgroups[container->n_cgroups];

    if (container->n_cgroups == CONTAINER_HIERARCHIES_MAX)
        return container_refuse(why, "there are too many cgroup hierarchies");
    *cgroup = (ContainerCgroup){.hierarchy = piece_copy(line->hierarchy),
                                .path = piece_copy(line->path),
                                .own_size = own_size};
    container->n_cgroups++;
    if (!cgroup->hierarchy || !cgroup->path)
        return container_refuse(why, "out of memory");
    if (cgroup_line_directory(mountinfo, line, directory, sizeof directory) == 0 &&
        access(directory, F_OK) == 0)
        cgroup->directory = strdup(directory);
    if (!cgroup->directory && own_size > 0)
        return container_refuse(why,
                                "the container's cgroup (%s) cannot be reached from the warden: "
                                "it needs the host's /sys/fs/cgroup",
                                cgroup->hierarchy);
    return 0;
}

/* All that name one must name the same. */
static int take_name(Container *container, const CgroupLine *line, size_t *ret_own_size,
                     char why[static CONTAINER_WHY_MAX])
{
    char id[CONTAINER_ID_SIZE], engine[CONTAINER_ENGINE_SIZE];

    if (line->path.size >= 3 && memcmp(line->path.at, "/..", 3) == 0)
        return container_refuse(why, "the container's cgroups lie outside the warden's cgroup "
                                     "namespace; start the warden with cgroup: host");
    *ret_own_size = cgroup_path_container(line->path, id, engine);
    if (*ret_own_size == 0)
        return 0;
    if (container->id[0] && strcmp(container->id, id) != 0)
        return container_refuse(why,
                                "the cgroup hierarchies name different containers (%.12s and "
                                "%.12s)",
                                container->id, id);
    memcpy(container->id, id, sizeof container->id);
    if (!container->engine[0])
        memcpy(container->engine, engine, sizeof container->engine);
    return 0;
}

int container_read_cgroups(Container *container, char why[static CONTAINER_WHY_MAX])
{
    _cleanup_free_ char *text = NULL, *mountinfo = NULL;
    CgroupLine line;
    size_t own_size = 0;

    if (read_text(container->init.pid, "cgroup", PROC_TEXT_MAX, &text) < 0 ||
        read_text(getpid(), "mountinfo", MOUNTINFO_MAX, &mountinfo) < 0 ||
        pidref_verify(&container->init) < 0)
        return container_refuse(why, "the container's cgroups cannot be read");
    for (const char *rest = text; cgroup_line_next(&rest, &line);) {
        if (take_name(container, &line, &own_size, why) != 0 ||
            add_cgroup(container, &line, own_size, mountinfo, why) != 0)
            return 1;
    }
    if (!container->id[0])
        return container_refuse(why, "no cgroup of the caller's container names a container of "
                                     "Docker, podman, containerd, CRI-O or LXC");
    return 0;
}

int container_make_tree(Container *container, char why[static CONTAINER_WHY_MAX])
{
    const ContainerCgroup *unified = container_cgroup(container, "");

    /* Version 1 has its limits where the engine made a cgroup for it there; a runner enters that.
     */
    for (size_t i = 0; i < container->n_cgroups; i++) {
        if (container->cgroups[i].hierarchy[0] && container->cgroups[i].own_size > 0)
            return 0;
    }
    if (!unified || !container->table->tree)
        return 0;
    int result = cgroup_tree_beneath(&container->tree, container->table->tree, unified->directory,
                                     unified->path);
    return result == 0 ? 0
                       : container_refuse(why, "no cgroup can be made beneath the container's: %s",
                                          strerror(-result));
}

void container_forget_shims(Container *container)
{
    for (size_t i = 0; i < container->n_shims; i++)
        free(container->shims[i]);
    free(container->shims);
    container->shims = NULL;
    container->n_shims = 0;
}

/* Where shims are mounted now. 0, -E2BIG or -ENOMEM. */
static int take_shims(Container *container, const char *mountinfo)
{
    char place[PATH_MAX];
    size_t size = 0;

    container_forget_shims(container);
    while (mounts_next_shim(&mountinfo, place, sizeof place)) {
        size += strlen(place) + sizeof(uint32_t) + 1;
        if (container->n_shims == JOIN_SHIMS_MAX || size > JOIN_SHIMS_SIZE_MAX)
            return -E2BIG;
        char **grown = realloc(container->shims, (container->n_shims + 1) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        container->shims = grown;
        container->shims[container->n_shims] = strdup(place);
        if (!container->shims[container->n_shims])
            return -ENOMEM;
        container->n_shims++;
    }
    return 0;
}

int container_check_mounts(Container *container, char why[static CONTAINER_WHY_MAX])
{
    struct pollfd changes = {.fd = container->mountinfo_fd, .events = POLLPRI};
    _cleanup_free_ char *text = NULL;
    Piece place = {.size = 0};

    /* The first reading counts as a change too. */
    if (container->are_mounts_known && poll(&changes, 1, 0) == 0) {
        memcpy(why, container->why, sizeof container->why);
        return container->why[0] != '\0';
    }
    if (lseek(container->mountinfo_fd, 0, SEEK_SET) < 0 ||
        fd_read_all(container->mountinfo_fd, MOUNTINFO_MAX, &text, NULL) < 0)
        return container_refuse(why, "the container's mounts cannot be read");
    container->why[0] = '\0';
    if (mounts_have_writable_cgroup(text, &place))
        (void)container_refuse(
            container->why,
            "the container has a cgroup file system that it can write to (%.*s), "
            "with which a prisoner can be whoever it likes; mount it read-only",
            (int)(place.size < 80 ? place.size : 80), place.at);
    int result = take_shims(container, text);
    if (result == -E2BIG)
        (void)container_refuse(container->why, "there are too many mounted shims in the container");
    else if (result < 0)
        return container_refuse(why, "out of memory");
    container->are_mounts_known = true;
    memcpy(why, container->why, sizeof container->why);
    return container->why[0] != '\0';
}

/* Does it live in a mount namespace that a runner has made for a command of ours? Its root is then
 * another mount of the same directory. */
static bool has_private_mounts(const Container *container, const World *world)
{
    for (size_t i = 0; i < container->n_mounts; i++) {
        if (container->mounts[i].device == world->namespaces[WORLD_MNT].device &&
            container->mounts[i].inode == world->namespaces[WORLD_MNT].inode)
            return true;
    }
    return false;
}

static int check_world(const Container *container, const World *world,
                       char why[static CONTAINER_WHY_MAX])
{
    const World *init = &container->world;
    bool is_private = has_private_mounts(container, world);

    for (size_t i = 0; i < WORLD_NAMESPACES; i++) {
        if (namespace_is_same(init, world, i) || (i == WORLD_MNT && is_private))
            continue;
        return container_refuse(why,
                                "the caller lives in another %s namespace than its container's "
                                "first process (a sandbox inside the container, or a pid namespace "
                                "that containers share)",
                                world_namespace_name(i));
    }
    if (init->root_device != world->root_device || init->root_inode != world->root_inode ||
        (init->root_mount != world->root_mount && !is_private))
        return container_refuse(why, "the caller has another root directory than its container "
                                     "(chroot)");
    return 0;
}

static const ContainerCgroup *cgroup_of(const Container *container, Piece hierarchy)
{
    for (size_t i = 0; i < container->n_cgroups; i++) {
        if (piece_is(hierarchy, container->cgroups[i].hierarchy))
            return &container->cgroups[i];
    }
    return NULL;
}

/* Is a path of the caller's in the container's own cgroup, or a leaf of ours? */
static bool is_in_cgroup(const Container *container, const CgroupLine *line)
{
    const ContainerCgroup *cgroup = cgroup_of(container, line->hierarchy);
    const CgroupTree *tree = container->table->tree;
    const char *own = tree ? cgroup_tree_path(tree) : NULL;

    if (!cgroup)
        return false;
    if (line->hierarchy.size == 0 && own &&
        cgroup_path_is_within(line->path, (Piece){.at = own, .size = strlen(own)}))
        return true;
    if (cgroup->own_size == 0)
        return piece_is(line->path, cgroup->path);
    return cgroup_path_is_within(line->path, (Piece){.at = cgroup->path, .size = cgroup->own_size});
}

static int check_cgroups(const Container *container, const PidRef *caller,
                         char why[static CONTAINER_WHY_MAX])
{
    _cleanup_free_ char *text = NULL;
    CgroupLine line;
    size_t n = 0;

    if (read_text(caller->pid, "cgroup", PROC_TEXT_MAX, &text) < 0 || pidref_verify(caller) < 0)
        return container_refuse(why, "the caller is gone");
    for (const char *rest = text; cgroup_line_next(&rest, &line); n++) {
        if (!is_in_cgroup(container, &line))
            return container_refuse(why,
                                    "the caller's cgroup %.*s (%.*s) is not one of its container "
                                    "%.12s",
                                    (int)(line.path.size < 100 ? line.path.size : 100),
                                    line.path.at,
                                    (int)(line.hierarchy.size < 40 ? line.hierarchy.size : 40),
                                    line.hierarchy.at, container->id);
    }
    return n == container->n_cgroups
               ? 0
               : container_refuse(why,
                                  "the caller has other cgroup hierarchies than its container");
}

int container_check_caller(const Container *container, const PidRef *caller,
                           const Identity *identity, const World *world,
                           char why[static CONTAINER_WHY_MAX])
{
    if (check_world(container, world, why) != 0 || check_powers(identity, why) != 0)
        return 1;
    return check_cgroups(container, caller, why);
}
