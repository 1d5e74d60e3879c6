/*
 * The runner as a program of its own (runner-main.c): small, static, embedded in this one.
 *
 * A runner that was merely forked would carry a copy of the executor's memory into a process that
 * reads hostile bytes as its caller, and both sides would pay for it: a page fault for each page
 * that either writes to, and an exec that takes a large address space apart. The program has next
 * to nothing, and an address space that nobody else shares or knows the layout of. It is started
 * from a sealed copy in memory, as vfork(2) does it, so that the executor's pages stay its own.
 *
 * Builds without it (sanitizers; no static libsodium), and machines that do not run programs from
 * memory, fork.
 */
#pragma once

#include "base/pidref.h"

/* Where the program finds its control socket. */
#define IMAGE_CONTROL_FD 3

/* A sealed copy of the program, ready to be started. A descriptor, -ENOENT when this build has
 * none, -errno. */
int image_open(void);

/* Starts the program with `control_fd` and stdio, in a cgroup2 directory when `cgroup_fd` >= 0.
 * The caller must have no signal handlers. 1 (as pidref_fork()), or -errno: nothing was started. */
int image_start(int image_fd, int control_fd, int cgroup_fd, PidRef *ret);
