/*
 * The runner: the executor's child that becomes the caller, finds out what would run, and becomes
 * the command.
 *
 * It is forked ahead of time, as root and knowing nothing, and then lives through this:
 *
 *   executor → runner   ASSIGN  the caller's Identity; the door's socketpair and the shim's
 *                               connection as descriptors
 *                       GO      the executor has closed its own copies of both
 *   (the runner drops everything that the caller does not have; only now it reads a hostile byte)
 *   door     → runner   the shim's request and the caller's descriptors
 *   runner   → executor PREPARED, or FAILED
 *   executor → runner   HASH → HASHED, or RUN → the socket closes on exec, or FAILED; or
 *                       RELAY → the socket closes when it carries (relay.h), or FAILED; or
 *                       LAUNCH, and then RELAY: the same, and it is the launcher's that it carries
 *
 * A descriptor that came from a prisoner can block whoever closes it last (SO_LINGER), or carry
 * others in its queue that do. So the runner keeps both until it ends or execs, and loses its
 * protection from the prisoner's kill(2) only after GO: the executor is never the last to close.
 *
 * Once it reads what the door sends it counts as compromised: what it says is decoded as hostile,
 * and it holds nothing but what the caller has anyway.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "exec/identity.h"

enum {
    RUNNER_ASSIGN = 1, /* RunnerAssignment, 1 to FD_MESSAGE_MAX descriptors */
    RUNNER_MORE,       /* more of them, to dispose of */
    RUNNER_GO,
    RUNNER_JOIN, /* JoinOrder, 1 descriptor: into a container, before ASSIGN (join.h) */
    RUNNER_HASH,
    RUNNER_RUN,           /* RunOrder */
    RUNNER_RELAY,         /* 1 descriptor, a stream: be the command's relay (relay.h) */
    RUNNER_LAUNCH,        /* RunOrder: tell the launcher at the other end of the stream that RELAY
                             brings, and be its relay (handover.h) */
    RUNNER_PREPARED = 64, /* u32 flags, strings exe, interpreter, operand, cwd, u64 device, inode */
    RUNNER_HASHED,        /* Examined, without the root process */
    RUNNER_FAILED,        /* u8 ExecFailure, string */
    RUNNER_FILTERS,       /* join.h: Filters */
    RUNNER_UNFIT,         /* join.h */
    RUNNER_JOINED,        /* join.h */
    RUNNER_LEFT,          /* join.h: 1 descriptor */
    RUNNER_KEPT,          /* keeper.h: 1 descriptor, or none when there is no keeper */
};

/* Every message is one datagram of SOCK_SEQPACKET that begins with its type (u8). */
#define RUNNER_MESSAGE_MAX (1024u * 1024)
/* What a runner may say: four paths and a few numbers. */
#define RUNNER_ANSWER_MAX (4u * 4096 + 256)

typedef struct RunnerAssignment {
    uint8_t type; /* RUNNER_ASSIGN */
    bool dispose; /* only hold the descriptors until GO, then end: an end never lingers */
    bool privileged;
    bool may_relay; /* a program that is not there is for the warden to judge */
    Identity caller;
} RunnerAssignment;

/* What all runners are told when they are forked. */
typedef struct RunnerOrigin {
    pid_t parent;      /* who forks it; its death is the runner's */
    bool privileged;   /* root: the runner becomes another user */
    Identity executor; /* what it is before */
    uint64_t last_cap; /* highest capability of this kernel */
    bool is_spare;     /* forked ahead of time: it may warm up */
    bool joins;        /* a RUNNER_JOIN follows */
} RunnerOrigin;

/* The runner's life; the process never returns from it. Closes every descriptor but stdio and
 * `control_fd`. */
_Noreturn void runner_main(int control_fd, const RunnerOrigin *origin);
