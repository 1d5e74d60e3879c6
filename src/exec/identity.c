/*
 * See identity.h. What can go wrong: the process ends while we read (its files answer ESRCH, or
 * pidref_verify() says so afterwards); a command name that looks like other fields (stat is read
 * from its last ')', and status escapes newlines).
 */
#include "exec/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static const char *const namespace_names[WORLD_NAMESPACES] = {"mnt", "pid", "user",   "net",
                                                              "ipc", "uts", "cgroup", "time"};

/* "\t0\t0\t0\t0" */
static int parse_ids(const char *text, uint32_t ids[4])
{
    char *end = NULL;
    for (size_t i = 0; i < 4; i++) {
        unsigned long id = strtoul(text, &end, 10);
        if (end == text || id > UINT32_MAX)
            return -EPROTO;
        ids[i] = (uint32_t)id;
        text = end;
    }
    return 0;
}

static int parse_groups(const char *text, Identity *ret)
{
    for (;;) {
        char *end = NULL;
        unsigned long group = strtoul(text, &end, 10);
        if (end == text)
            return 0;
        if (ret->n_groups == PREPARED_GROUPS_MAX)
            return -E2BIG;
        ret->groups[ret->n_groups++] = (gid_t)group;
        text = end;
    }
}

static int parse_status_line(const char *name, const char *value, Identity *ret, unsigned *found)
{
    const struct {
        const char *name;
        uint64_t *target;
    } masks[] = {
        {"SigIgn", &ret->ignored_signals}, {"CapInh", &ret->cap_inheritable},
        {"CapPrm", &ret->cap_permitted},   {"CapEff", &ret->cap_effective},
        {"CapBnd", &ret->cap_bounding},    {"CapAmb", &ret->cap_ambient},
    };

    for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
        if (strcmp(name, masks[i].name) == 0) {
            *masks[i].target = strtoull(value, NULL, 16);
            *found |= 1u << i;
            return 0;
        }
    }
    if (strcmp(name, "Umask") == 0) {
        ret->umask = (mode_t)strtoul(value, NULL, 8);
        *found |= 1u << 6;
    } else if (strcmp(name, "Uid") == 0) {
        *found |= 1u << 7;
        return parse_ids(value, ret->uids);
    } else if (strcmp(name, "Gid") == 0) {
        *found |= 1u << 8;
        return parse_ids(value, ret->gids);
    } else if (strcmp(name, "Groups") == 0) {
        *found |= 1u << 9;
        return parse_groups(value, ret);
    } else if (strcmp(name, "NoNewPrivs") == 0) {
        ret->no_new_privs = *value && strtoul(value, NULL, 10) != 0;
    } else if (strcmp(name, "Seccomp") == 0) {
        ret->seccomp_mode = (unsigned)strtoul(value, NULL, 10);
    } else if (strcmp(name, "Seccomp_filters") == 0) {
        ret->seccomp_filters = (unsigned)strtoul(value, NULL, 10);
    }
    return 0;
}

#define STATUS_WANTED 0x3ffu

int identity_parse_status(char *text, Identity *ret)
{
    unsigned found = 0;
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        *value++ = '\0';
        int result = parse_status_line(line, value, ret, &found);
        if (result < 0)
            return result;
    }
    return found == STATUS_WANTED ? 0 : -EPROTO;
}

int identity_parse_stat(const char *text, Identity *ret, pid_t *ret_parent)
{
    /* "PID (COMM) S PPID …": COMM may hold spaces and parentheses; fields count from 3 after it. */
    const char *next = strrchr(text, ')');
    if (!next || next[1] != ' ')
        return -EPROTO;
    next += 2;
    for (unsigned field = 3; field <= 22; field++) {
        if (field == 4 && ret_parent)
            *ret_parent = (pid_t)strtol(next, NULL, 10);
        if (field == 19)
            ret->nice = (int)strtol(next, NULL, 10);
        if (field == 22) {
            char *end = NULL;
            ret->start_time = strtoull(next, &end, 10);
            return end == next ? -EPROTO : 0;
        }
        next = strchr(next, ' ');
        if (!next)
            return -EPROTO;
        next++;
    }
    return -EPROTO;
}

static int parse_limit(const char **text, rlim_t *ret)
{
    const char *next = *text + strspn(*text, " ");
    char *end = NULL;

    if (strncmp(next, "unlimited", 9) == 0) {
        *ret = RLIM_INFINITY;
        *text = next + 9;
        return 0;
    }
    *ret = strtoull(next, &end, 10);
    if (end == next)
        return -EPROTO;
    *text = end;
    return 0;
}

int identity_parse_limits(const char *text, Identity *ret)
{
    /* fs/proc/base.c prints a heading and then "%-25s %-20s %-20s %-10s" by resource number. */
    for (size_t i = 0; i < RLIMIT_NLIMITS; i++) {
        text = strchr(text, '\n');
        if (!text)
            return -EPROTO;
        text++;
        if (strnlen(text, 26) < 26)
            return -EPROTO;
        const char *values = text + 26;
        if (parse_limit(&values, &ret->limits[i].rlim_cur) < 0 ||
            parse_limit(&values, &ret->limits[i].rlim_max) < 0)
            return -EPROTO;
    }
    return 0;
}

/* A small file of /proc, NUL-terminated; these files hand out all they have in one read(2) when the
 * buffer is large enough (seq_file, single_open). Its size, -E2BIG or -errno. */
static ssize_t read_proc(int proc_fd, const char *name, char *text, size_t room)
{
    _cleanup_fd_ int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t size = read(fd, text, room - 1);
    if (size < 0)
        return -errno;
    text[size] = '\0';
    return (size_t)size == room - 1 ? -E2BIG : size;
}

static int read_world(int proc_fd, World *ret)
{
    char name[32];
    struct stat status;
    struct statx root;

    for (size_t i = 0; i < WORLD_NAMESPACES; i++) {
        (void)snprintf(name, sizeof name, "ns/%s", namespace_names[i]);
        if (fstatat(proc_fd, name, &status, 0) < 0) {
            if (errno != ENOENT)
                return -errno;
            ret->namespaces[i].device = ret->namespaces[i].inode = 0;
            continue;
        }
        ret->namespaces[i].device = status.st_dev;
        ret->namespaces[i].inode = status.st_ino;
    }
    if (statx(proc_fd, "root", 0, STATX_INO | STATX_MNT_ID, &root) < 0)
        return -errno;
    ret->root_device = (uint64_t)root.stx_dev_major << 32 | root.stx_dev_minor;
    ret->root_inode = root.stx_ino;
    ret->root_mount = root.stx_mask & STATX_MNT_ID ? root.stx_mnt_id : 0;
    return 0;
}

/* AppArmor's label of a process ("" without AppArmor). Whether the kernel has it is asked once. */
static int read_confinement(int proc_fd, Identity *ret)
{
    static int has_apparmor = -1;

    if (has_apparmor < 0)
        has_apparmor = access("/proc/self/attr/apparmor/current", R_OK) == 0;
    if (!has_apparmor)
        return 0;
    ssize_t size =
        read_proc(proc_fd, "attr/apparmor/current", ret->confinement, sizeof ret->confinement);
    if (size < 0)
        return (int)size;
    ret->confinement[strcspn(ret->confinement, "\n")] = '\0';
    return 0;
}

static int read_facts(int proc_fd, Identity *ret)
{
    char text[16 * 1024];
    ssize_t size;
    int result;

    size = read_proc(proc_fd, "status", text, sizeof text);
    result = size < 0 ? (int)size : identity_parse_status(text, ret);
    if (result < 0)
        return result;
    size = read_proc(proc_fd, "stat", text, sizeof text);
    result = size < 0 ? (int)size : identity_parse_stat(text, ret, NULL);
    if (result < 0)
        return result;
    size = read_proc(proc_fd, "limits", text, sizeof text);
    result = size < 0 ? (int)size : identity_parse_limits(text, ret);
    if (result < 0)
        return result;
    size = read_proc(proc_fd, "oom_score_adj", text, sizeof text);
    if (size < 0)
        return (int)size;
    ret->oom_score_adj = (int)strtol(text, NULL, 10);
    return read_confinement(proc_fd, ret);
}

int identity_read(const PidRef *process, Identity *ret, World *ret_world)
{
    char path[32];

    memset(ret, 0, sizeof *ret);
    ret->pid = process->pid;
    (void)snprintf(path, sizeof path, "/proc/%d", process->pid);
    _cleanup_fd_ int proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    int result = read_facts(proc_fd, ret);
    if (result == 0)
        result = read_world(proc_fd, ret_world);
    if (result == -ENOENT)
        result = -ESRCH;
    /* Only now is it certain that the number did not change hands before the directory was opened.
     */
    if (pidref_verify(process) < 0)
        return -ESRCH;
    return result;
}

bool identity_is_powerful(const Identity *identity)
{
    const uint64_t powers = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_PTRACE;
    return identity->uids[0] == 0 || (identity->cap_permitted & powers) != 0;
}

bool identity_has_group(const Identity *identity, gid_t group)
{
    if (identity->gids[1] == group)
        return true;
    for (size_t i = 0; i < identity->n_groups; i++) {
        if (identity->groups[i] == group)
            return true;
    }
    return false;
}

bool identity_is_plain(const Identity *caller, char why[static IDENTITY_WHY_MAX])
{
    for (size_t i = 1; i < 4; i++) {
        if (caller->uids[i] != caller->uids[0] || caller->gids[i] != caller->gids[0]) {
            (void)snprintf(why, IDENTITY_WHY_MAX,
                           "the caller's real, effective and saved ids differ: a setuid program "
                           "may not ask");
            return false;
        }
    }
    return true;
}

bool identity_is_confined_alike(const Identity *caller, const Identity *self,
                                char why[static IDENTITY_WHY_MAX])
{
    if (caller->seccomp_filters > self->seccomp_filters ||
        caller->seccomp_mode > self->seccomp_mode) {
        (void)snprintf(why, IDENTITY_WHY_MAX,
                       "the caller runs under a seccomp filter, which a command started by the "
                       "warden would escape");
        return false;
    }
    if (strcmp(caller->confinement, self->confinement) != 0 &&
        strcmp(caller->confinement, "unconfined") != 0) {
        (void)snprintf(why, IDENTITY_WHY_MAX,
                       "the caller is confined by AppArmor (%s), which a command started by the "
                       "warden would escape",
                       caller->confinement);
        return false;
    }
    return true;
}

const char *world_namespace_name(size_t which)
{
    return namespace_names[which];
}

bool world_is_same(const World *caller, const World *self, char why[static IDENTITY_WHY_MAX])
{
    char names[64] = "";
    size_t size = 0;

    for (size_t i = 0; i < WORLD_NAMESPACES; i++) {
        if (caller->namespaces[i].device == self->namespaces[i].device &&
            caller->namespaces[i].inode == self->namespaces[i].inode)
            continue;
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", size > 0 ? ", " : "",
                                 namespace_names[i]);
    }
    if (size > 0) {
        (void)snprintf(why, IDENTITY_WHY_MAX,
                       "the caller lives in other namespaces (%s) than the warden", names);
        return false;
    }
    if (caller->root_device != self->root_device || caller->root_inode != self->root_inode ||
        caller->root_mount != self->root_mount) {
        (void)snprintf(why, IDENTITY_WHY_MAX,
                       "the caller has another root directory than the warden (chroot)");
        return false;
    }
    return true;
}

bool world_shares_pids(const World *a, const World *b)
{
    const size_t pid = 1; /* namespace_names */
    return a->namespaces[pid].device == b->namespaces[pid].device &&
           a->namespaces[pid].inode == b->namespaces[pid].inode;
}
