/*
 * One cgroup2 leaf per request, so that nothing of a request can hide from its end.
 *
 * The tree is a directory of our own below the cgroup that the executor lives in, named after the
 * run directory: a later run finds and ends what an earlier one left. Leaves are root's, so a
 * prisoner that is not root cannot move its processes out of them; one that is root on the host can
 * (security-model.md). Leaves are pooled: making and removing one costs more than a fork.
 *
 * Facts: cgroups(7), Documentation/admin-guide/cgroup-v2.rst: cgroup.kill (Linux 5.14) kills all
 * members, also those being forked; cgroup.events says whether any process, dead leaders apart, is
 * in it, and wakes pollers with POLLPRI when that changes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct CgroupTree CgroupTree;

typedef struct CgroupLeaf {
    CgroupTree *tree;
    int directory_fd; /* to fork into (CLONE_INTO_CGROUP) */
    int events_fd;    /* cgroup.events: pread(2) and POLLPRI */
    unsigned number;
    struct CgroupLeaf *next;
} CgroupLeaf;

/* Finds or makes the tree, ends what is in it, and tries it out. 0; -errno when this machine has no
 * usable cgroup2 (then nothing is left behind). */
int cgroup_tree_new(CgroupTree **ret, const char *run_dir);
/* Kills everything in all leaves, waits for its end (at most `timeout_ms`), removes the
 * directories. */
CgroupTree *cgroup_tree_free(CgroupTree *tree, int timeout_ms);

/* The tree's path as /proc/PID/cgroup shows it. */
const char *cgroup_tree_path(const CgroupTree *tree);
/* Is this cgroup path (of the "0::" line) the tree or inside it? */
bool cgroup_tree_has(const CgroupTree *tree, const char *path);

/* An empty leaf, from the pool or new. 0 or -errno. */
int cgroup_leaf_take(CgroupTree *tree, CgroupLeaf **ret);
/* Back into the pool; it must be empty. */
void cgroup_leaf_release(CgroupLeaf *leaf);

/* 1, 0 or -errno. */
int cgroup_leaf_is_populated(const CgroupLeaf *leaf);
/* Live processes, counted to at most `most`; -errno. */
int cgroup_leaf_count(const CgroupLeaf *leaf, unsigned most);
/* Sends a signal to each process that is in it now. A number or -errno. */
int cgroup_leaf_signal(const CgroupLeaf *leaf, int signal_number);
/* SIGKILL to all of it. 0 or -errno. */
int cgroup_leaf_kill(const CgroupLeaf *leaf);

/* The path after "0::" in the text of /proc/PID/cgroup, NUL-terminated in place; NULL if none. */
char *cgroup_path_in(char *text);
/* The directory of cgroup `path` by the text of /proc/self/mountinfo. 0, -ENOENT, -ENAMETOOLONG. */
int cgroup_find_directory(const char *mountinfo, const char *path, char *ret, size_t room);
