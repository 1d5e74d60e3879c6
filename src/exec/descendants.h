/*
 * The descendants of a process by /proc, for machines without a usable cgroup2.
 *
 * Complete only under a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): then every orphan of the
 * process's descendants becomes its child, so the tree of parents reaches all of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct Descendants {
    pid_t *pids; /* owned */
    size_t n_pids;
} Descendants;

/* All living (not zombie) descendants of `root`, without those in or below the `n_except` children
 * in `except`. 0 or -errno. */
int descendants_find(pid_t root, const pid_t *except, size_t n_except, Descendants *ret);
void descendants_done(Descendants *descendants);

/* Sends a signal to each. How many there were, or -errno. */
int descendants_signal(pid_t root, const pid_t *except, size_t n_except, int signal_number);
/* Kills them: whole process groups at once where all members are among them, because no fork can
 * slip between (a bomb that stays in its group dies in one call), the others one by one. How many
 * there were, or -errno; call again until there are none. */
int descendants_kill(pid_t root, const pid_t *except, size_t n_except);

/* The parent of a process by /proc/PID/stat; 0 if unknown. */
pid_t descendants_parent_of(pid_t pid);
