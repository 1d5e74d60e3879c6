/*
 * Places on disk: directories, sockets, the lock, the policy file. Everything is created so that
 * nobody else could have put it there or can change it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Words for a negative result of these functions: what is wrong and what to do. */
const char *place_problem(int error);

/* Creates a directory (and its parents, 0755). One that is there already stays as it is, but must
 * be ours, nobody else may be able to write to it or to swap it for another, and it must have all
 * bits of `mode`. 0 or -errno (-EPERM, -EACCES when bits are missing). */
int place_directory(const char *path, mode_t mode, uid_t owner, gid_t group);

/* Binds a fresh listening socket, replacing a stale one (and nothing else: -EEXIST). Returns the
 * descriptor or -errno. The listener tells who writes (SO_PASSCRED, SO_PASSPIDFD) when
 * `credentials` is set. */
int place_socket(const char *path, mode_t mode, uid_t owner, gid_t group, bool credentials);

/* Takes a lock file for the life of this process. A descriptor; -EWOULDBLOCK when another warden
 * has it; -errno. */
int place_lock(const char *path);

/* Opens the policy (or another file that we obey) for reading. -EPERM when somebody else than root
 * or `owner` owns it, can write to it, or can put another in its place. */
int place_trusted_file(const char *path, uid_t owner);

/* Makes `link` point to `target`, unless both are the same path. */
int place_symlink(const char *target, const char *link);
