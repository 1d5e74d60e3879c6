/*
 * The keeper: a process that shares a runner's memory and does nothing else.
 *
 * The exec of a command ends the runner's address space, unless somebody else has it too; that end
 * takes a fifth of the time of a small command. The keeper has it too, and the executor ends it
 * when nobody waits any more (keepers.h).
 *
 * A runner that reads a caller's bytes counts as compromised, and what shares its memory with it.
 * So the keeper has no descriptor, no capability and, by seccomp(2), no system call but the one it
 * waits in and the one it ends by; and the executor is told of it before the runner's first hostile
 * byte. It lives in the executor's cgroup: what is counted and killed in the command's own is the
 * command's.
 *
 * Facts: clone3(2): CLONE_VM without CLONE_FILES or CLONE_FS; CLONE_PARENT makes it the executor's
 * child; CLONE_INTO_CGROUP.
 */
#pragma once

#include <sys/types.h>

#define KEEPER_NAME "clwd-keeper"

/* Starts the keeper of this process, a child of `parent` as we are, in the cgroup of that
 * directory. Returns when it holds no descriptor of ours any more, or has
 * ended. Its pidfd or -errno. */
int keeper_start(int cgroup_fd, pid_t parent);
