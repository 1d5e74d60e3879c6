/*
 * Who a process is and in which world it lives, as /proc says it.
 *
 * Read with the process's pidfd in hand and verified afterwards, so that every fact belongs to that
 * process. The caller's own words are never asked. Facts: proc(5), namespaces(7), capabilities(7).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/pidref.h"
#include "wire/message.h"

/* mnt pid user net ipc uts cgroup time */
#define WORLD_NAMESPACES 8

/* The namespaces and the root directory of a process. */
typedef struct World {
    struct {
        uint64_t device, inode; /* both 0: this kernel has no such namespace */
    } namespaces[WORLD_NAMESPACES];
    uint64_t root_device, root_inode, root_mount;
} World;

typedef struct Identity {
    pid_t pid;
    uint64_t start_time; /* clock ticks since boot (proc(5), field 22 of stat) */
    uid_t uids[4];       /* real, effective, saved, filesystem */
    gid_t gids[4];
    gid_t groups[PREPARED_GROUPS_MAX];
    size_t n_groups;
    mode_t umask;
    int nice;
    int oom_score_adj;
    uint64_t ignored_signals; /* bit N - 1 for signal N */
    uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
    bool no_new_privs;
    unsigned seccomp_mode;
    unsigned seccomp_filters;
    struct rlimit limits[RLIMIT_NLIMITS];
    char confinement[64]; /* AppArmor's label; "" when there is none */
} Identity;

/* 0, -ESRCH when the process is gone, -E2BIG with more than PREPARED_GROUPS_MAX groups, -EPROTO
 * when /proc does not look as proc(5) says, -errno. */
int identity_read(const PidRef *process, Identity *ret, World *ret_world);

/* May a process like `caller` have commands run for it by an executor like `self`? On false `why`
 * says what is in the way, in words for the caller. */
#define IDENTITY_WHY_MAX 256
bool identity_is_plain(const Identity *caller, char why[static IDENTITY_WHY_MAX]);
bool identity_is_confined_alike(const Identity *caller, const Identity *self,
                                char why[static IDENTITY_WHY_MAX]);
/* "mnt" … by index. */
const char *world_namespace_name(size_t which);
bool world_is_same(const World *caller, const World *self, char why[static IDENTITY_WHY_MAX]);

bool world_shares_pids(const World *a, const World *b);

/* Could it change the warden, its policy or its processes? uid 0, CAP_SYS_ADMIN, CAP_SYS_PTRACE. */
bool identity_is_powerful(const Identity *identity);

bool identity_has_group(const Identity *identity, gid_t group);

/* The parsers, on the text of /proc/PID/{status,stat,limits}. 0, -E2BIG or -EPROTO. */
int identity_parse_status(char *text, Identity *ret);
int identity_parse_stat(const char *text, Identity *ret, pid_t *ret_parent);
int identity_parse_limits(const char *text, Identity *ret);
