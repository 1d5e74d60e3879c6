/*
 * File descriptors: closing, flags, type checks, and passing them over unix sockets.
 *
 * Every function returns 0 or a count on success and -errno when broken. Received descriptors are
 * CLOEXEC from birth (recvmsg(2), MSG_CMSG_CLOEXEC); a message whose ancillary data was cut
 * (MSG_CTRUNC) is -EMSGSIZE and all its descriptors are closed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/cleanup.h"

/* The most descriptors one message may carry anywhere in Clawrden. */
#define FD_MESSAGE_MAX 8

/* Closes `fd` if it is >= 0; keeps errno; always returns -EBADF for assignment. */
int fd_close(int fd);

/* Closes every descriptor in `fds` and empties the slots. */
void fd_close_many(int *fds, size_t n_fds);

int fd_set_nonblock(int fd, bool nonblock);
int fd_set_cloexec(int fd, bool cloexec);

/* Closes all descriptors from 3 up except those in `keep` (unsorted, at most 32). */
int fd_close_all_except(const int *keep, size_t n_keep);

/* Moves `fd` to a number >= `minimum`, CLOEXEC; consumes `fd`. Returns the new one or -errno. */
int fd_move_above_take(int fd, int minimum);

/* Writes all of `size` bytes to a blocking descriptor. 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t size);

/* Reads a whole (small) file of at most `limit` bytes into a fresh NUL-terminated string that the
 * caller frees. -EFBIG above the limit. */
int fd_read_file(int directory_fd, const char *path, size_t limit, char **ret_text,
                 size_t *ret_size);
/* The same of an open file, from where it stands. */
int fd_read_all(int fd, size_t limit, char **ret_text, size_t *ret_size);

/* Puts a whole file in the place of `name`, by way of `temporary` beside it, and on disk: a crash
 * leaves the old one or the new one. `group` may be -1. 0 or -errno. */
int fd_replace_file(int directory_fd, const char *name, const char *temporary, const char *text,
                    mode_t mode, gid_t group);

/* One sendmsg(2) with descriptors; returns bytes sent or -errno. `flags` gains MSG_NOSIGNAL. */
ssize_t fd_send(int socket_fd, const void *bytes, size_t size, const int *fds, size_t n_fds,
                int flags);
/* The same of several pieces. */
ssize_t fd_send_vectors(int socket_fd, struct iovec *vectors, size_t n_vectors, const int *fds,
                        size_t n_fds, int flags);

/* What one recvmsg(2) brought beside its bytes. */
typedef struct FdReceived {
    int fds[FD_MESSAGE_MAX]; /* owned by the caller */
    size_t n_fds;
    int pidfd;            /* SCM_PIDFD, owned by the caller; -EBADF when absent */
    bool has_credentials; /* SCM_CREDENTIALS of the actual writer */
    pid_t pid;
    uid_t uid;
    gid_t gid;
} FdReceived;

#define FD_RECEIVED_EMPTY ((FdReceived){.pidfd = -9})

/* Closes what is still in it. */
void fd_received_done(FdReceived *received);

/* One recvmsg(2); returns bytes (0 at end of file) or -errno. `ret` is always initialised. */
ssize_t fd_receive(int socket_fd, void *bytes, size_t size, FdReceived *ret, int flags);

/* The most descriptors that the kernel lets one message carry (unix(7), SCM_MAX_FD). */
#define FD_KERNEL_MAX 253

/* The same from a sender that may mean harm: takes whatever came (`fds` has room for
 * FD_KERNEL_MAX), so that none is closed on the way, which can block (SO_LINGER). */
ssize_t fd_receive_any(int socket_fd, void *bytes, size_t size, int *fds, size_t *ret_n_fds,
                       int flags);

/* Nobody can send descriptors to this socket any more: their sendmsg(2) fails with EPERM. False
 * where the kernel cannot do that (before Linux 6.16). */
bool fd_refuse_fds(int socket_fd);

/* Debian 12's headers lack these (Linux 6.5 and 6.16). */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif
