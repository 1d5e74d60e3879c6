/*
 * Places on disk: directories, sockets, the lock, the policy file. Everything is created so that
 * nobody else could have put it there or can change it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Creates a directory (and its parents, 0755) and checks that it is ours and not writable by
 * others. 0 or -errno; -EPERM when others own it or can write to it. */
int place_directory(const char *path, mode_t mode, uid_t owner, gid_t group);

/* Binds a fresh listening socket, replacing a stale one. Returns the descriptor or -errno. The
 * listener tells who writes (SO_PASSCRED, SO_PASSPIDFD) when `credentials` is set. */
int place_socket(const char *path, mode_t mode, uid_t owner, gid_t group, bool credentials);

/* Takes the lock of a state directory for the life of this process. A descriptor; -EWOULDBLOCK
 * when another warden has it; -errno. */
int place_lock(const char *state_dir);

/* Opens the policy for reading. -EPERM when somebody else than root or `owner` owns it or others
 * can write to it. */
int place_policy(const char *path, uid_t owner);

/* Makes `link` point to `target`, unless both are the same path. */
int place_symlink(const char *target, const char *link);
