/*
 * Who is behind a unix connection: the kernel's word, never the peer's.
 *
 * SO_PEERPIDFD (Linux 6.5) names the process that connected by a pidfd, SO_PEERCRED its ids at that
 * moment. On older kernels only SO_PEERCRED's number is there, and a number can have a new owner by
 * now; so the process that bears it must prove that it is the connector's: it must hold the other
 * end of this very connection among its descriptors (sock_diag(7) tells the other end's inode,
 * /proc/PID/fd who holds it). Facts: unix(7), socket(7), sock_diag(7).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/pidref.h"

typedef struct Peer {
    PidRef process; /* owned */
    uid_t uid;      /* when it connected */
    gid_t gid;
} Peer;

#define PEER_EMPTY ((Peer){.process = PIDREF_EMPTY})

/* Positive outcomes: no peer that could be named. */
typedef enum PeerProblem {
    PEER_OK = 0,
    PEER_NOT_A_CONNECTION = 1, /* not a connected unix stream socket */
    PEER_ELSEWHERE,            /* its process cannot be seen from this pid namespace */
    PEER_GONE,
    PEER_UNSEEN, /* without SO_PEERPIDFD: nothing here can tell who holds the connection */
    PEER_NOT_THE_CONNECTOR, /* the process of that number does not hold the connection */
} PeerProblem;

/* Names the peer of `socket_fd`. `old_kernel` forces the way without SO_PEERPIDFD (tests).
 * Returns a PeerProblem or -errno; on PEER_OK the caller owns `ret`. */
int peer_of(int socket_fd, bool old_kernel, Peer *ret);
void peer_done(Peer *peer);
const char *peer_problem_text(PeerProblem problem);

/* Is this a unix stream socket (and not a listener)? */
bool peer_is_stream(int fd);
/* Is it bound to exactly `path` (getsockname(2)): a connection accepted by that path's listener? */
bool peer_was_accepted_at(int socket_fd, const char *path);
