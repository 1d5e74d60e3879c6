/*
 * One cgroup2 leaf per request, so that nothing of a request can hide from its end.
 *
 * The tree is a directory of our own below the cgroup that the executor lives in, named after the
 * run directory and locked (flock(2)) while its executor lives: the next executor ends what a dead
 * one left, and removes it. Leaves are root's, so a
 * prisoner that is not root cannot move its processes out of them; one that is root on the host can
 * (security-model.md). Leaves are pooled: making and removing one costs more than a fork.
 *
 * Facts: cgroups(7), Documentation/admin-guide/cgroup-v2.rst: cgroup.kill (Linux 5.14) kills all
 * members, also those being forked; cgroup.events says whether any process, dead leaders apart, is
 * in it, and wakes pollers with POLLPRI when that changes.
 *
 * A trap, seen on 6.18 and due to the fix of the race between fork and cgroup.kill (2025, also in
 * the stable series): clone3(CLONE_INTO_CGROUP) compares the number of kills of the forker's cgroup
 * with that of the target and kills the child when they differ. So a leaf that was killed is never
 * used again, and where the executor's own cgroup has been killed before, runners move in by
 * themselves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/pidref.h"

typedef struct CgroupTree CgroupTree;

typedef struct CgroupLeaf {
    CgroupTree *tree;
    int directory_fd;
    int events_fd; /* cgroup.events: pread(2) and POLLPRI */
    unsigned number;
    bool killed; /* not to be forked into again */
    bool frozen;
    struct CgroupLeaf *next;
} CgroupLeaf;

/* Finds or makes the tree, ends what is in it, and tries it out. 0; -errno when this machine has no
 * usable cgroup2 (then nothing is left behind). */
int cgroup_tree_new(CgroupTree **ret, const char *run_dir);
/* Another tree of the same name, in the cgroup `path` at `directory`: for a container whose limits
 * lie in cgroup2. What a dead executor left there is ended. 0 or -errno. */
int cgroup_tree_beneath(CgroupTree **ret, const CgroupTree *like, const char *directory,
                        const char *path);
/* Kills everything in all leaves, waits for its end (at most `timeout_ms`), removes the
 * directories. */
CgroupTree *cgroup_tree_free(CgroupTree *tree, int timeout_ms);

/* The tree's path as /proc/PID/cgroup shows it. */
const char *cgroup_tree_path(const CgroupTree *tree);
/* Is this cgroup path (of the "0::" line) the tree or inside it? */
bool cgroup_tree_has(const CgroupTree *tree, const char *path);

/* The directory of the cgroup that the executor itself lives in, the tree's own; -EBADF where no
 * process can be started there from a leaf. */
int cgroup_tree_home(const CgroupTree *tree);

/* An empty leaf, from the pool or new. 0 or -errno. */
int cgroup_leaf_take(CgroupTree *tree, CgroupLeaf **ret);
/* Back into the pool; it must be empty. */
void cgroup_leaf_release(CgroupLeaf *leaf);

/* fork(2) into the leaf, as pidref_fork() does it. In the child a negative result means that it
 * could not enter: it must end. */
int cgroup_leaf_fork(CgroupLeaf *leaf, PidRef *ret);
/* The same by image_start(): 1 or -errno. */
int cgroup_leaf_start(CgroupLeaf *leaf, int image_fd, int control_fd, PidRef *ret);

/* 1, 0 or -errno. */
int cgroup_leaf_is_populated(const CgroupLeaf *leaf);
/* Live processes, counted to at most `most`; -errno. */
int cgroup_leaf_count(const CgroupLeaf *leaf, unsigned most);
/* Sends a signal to each process that is in it now. A number or -errno. */
int cgroup_leaf_signal(const CgroupLeaf *leaf, int signal_number);
/* Its directory; the leaf's own descriptor. */
int cgroup_leaf_directory(const CgroupLeaf *leaf);
/* SIGKILL to all of it, frozen or not. 0 or -errno. */
int cgroup_leaf_kill(CgroupLeaf *leaf);
/* Nothing in it runs until it is thawed, whatever signal comes, except that it can be killed. 0 or
 * -errno. */
int cgroup_leaf_freeze(CgroupLeaf *leaf, bool frozen);

/* The path after "0::" in the text of /proc/PID/cgroup, NUL-terminated in place; NULL if none. */
char *cgroup_path_in(char *text);
/* The directory of cgroup `path` by the text of /proc/self/mountinfo. 0, -ENOENT, -ENAMETOOLONG. */
int cgroup_find_directory(const char *mountinfo, const char *path, char *ret, size_t room);
