/*
 * The shim's request as the door passes it on: the first hostile bytes that a runner reads.
 */
#pragma once

#include "exec/refusal.h"
#include "wire/shim-request.h"

typedef struct Received {
    ShimRequest request; /* its strings live as long as the process */
    int stdio[3];        /* -EBADF where the caller's is closed */
    int cwd_fd;
} Received;

#define RECEIVED_EMPTY ((Received){.stdio = {-9, -9, -9}, .cwd_fd = -9})

/* Blocks until the whole request is there. 0 or EXEC_FAILURE_BROKEN. */
int receive_request(int door_fd, Received *ret, Refusal *refusal);
