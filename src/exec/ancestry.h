/*
 * The root process of a prisoner: where it begins, as far as the process tree tells.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

typedef struct Ancestor {
    pid_t pid;           /* 0: not known */
    uint64_t start_time; /* clock ticks since boot (proc(5), field 22 of stat) */
} Ancestor;

/* The topmost ancestor of the process `pid` that was started at `start_time`, itself included, that
 * is reached through processes whose real user is `uid`, within its own pid namespace; the init of
 * that namespace, where it is not ours, counts whoever it runs as. {0, 0} when the process is gone,
 * the tree does not hold still, or is deeper than anybody needs. */
Ancestor ancestry_root(pid_t pid, uint64_t start_time, uid_t uid);
