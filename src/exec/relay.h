/*
 * The relay: what a runner becomes when its command runs where the caller's descriptors cannot go
 * (an ephemeral container, an engine's exec). It holds the caller's stdio and one stream of the
 * engine, and carries bytes between them.
 *
 * It is the caller already, so nothing that the caller passed can block or mislead more than
 * itself, and no byte of output passes through the door, the warden, the executor or the engine
 * process. It keeps nothing: what is not read on one side is not read on the other. Each direction
 * has a process of its own, so that neither waits for the other, and both may simply block.
 */
#pragma once

#include <stddef.h>

typedef struct RelayPlan {
    int stream_fd;
    const int *stdio;    /* three: a negative one was closed: such output is dropped, such input is
                            at its end */
    const char *preface; /* goes in front of the input */
    size_t preface_size;
    const char *hello; /* what the output must begin with; it is not the command's */
    size_t hello_size;
} RelayPlan;

/* Carries until the stream ends, and never returns:
 *   exit status 0   all that the command wrote has been delivered
 *   SIGPIPE         nobody reads what it writes (any more), as it would have died of it itself
 *   EXIT_FAILURE    the stream broke, or output could not be written; said on stderr */
_Noreturn void relay_run(const RelayPlan *plan);
