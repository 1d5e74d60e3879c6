/*
 * The shim's request as the door passes it on: the first hostile bytes that a runner reads.
 */
#pragma once

#include "exec/refusal.h"
#include "wire/shim-request.h"

/* A small request needs one recvmsg(2) and no memory of its own. */
#define RECEIVE_FIRST (64u * 1024)

typedef struct Received {
    ShimRequest request; /* its strings live as long as the process */
    int stdio[3];        /* -EBADF where the caller's is closed */
    int cwd_fd;
    char first[RECEIVE_FIRST];
} Received;

/* Sets what must not be 0. */
void receive_init(Received *received);

/* Blocks until the whole request is there. 0 or EXEC_FAILURE_BROKEN. */
int receive_request(int door_fd, Received *ret, Refusal *refusal);

/* Touches what receiving will touch (runner.c). */
void receive_rehearse(Received *received);
