/*
 * See receive.h. The descriptors come with the first byte (unix(7)), in the order stdin, stdout,
 * stderr, cwd; any that come later are a breach of the protocol. A small request takes one
 * recvmsg(2).
 */
#include "exec/receive.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* What a request with an ordinary environment takes of that. */
#define USUAL_READ (8u * 1024)

typedef struct Incoming {
    char *bytes; /* header and body */
    size_t size, wanted;
    FdReceived received;
} Incoming;

static int broken(Refusal *refusal, const char *why)
{
    return refuse(refusal, EXEC_FAILURE_BROKEN, "the request did not arrive: %s", why);
}

/* Reads until `wanted` bytes are there. */
static int read_up_to(int door_fd, Incoming *incoming, Refusal *refusal)
{
    while (incoming->size < incoming->wanted) {
        FdReceived more;
        ssize_t got = fd_receive(door_fd, incoming->bytes + incoming->size,
                                 incoming->wanted - incoming->size, &more, 0);
        bool stray = more.n_fds > 0;
        fd_received_done(&more);
        if (got < 0)
            return broken(refusal, strerror((int)-got));
        if (got == 0 || stray)
            return broken(refusal, got == 0 ? "it ended early" : "stray descriptors");
        incoming->size += (size_t)got;
    }
    return 0;
}

/* Reads all of it; the memory is never freed (the strings are used until exec). */
static int read_all(int door_fd, Incoming *incoming, char first[static RECEIVE_FIRST],
                    Refusal *refusal)
{
    size_t body_size = 0, n_fds = 0;

    incoming->bytes = first;
    ssize_t got = fd_receive(door_fd, incoming->bytes, RECEIVE_FIRST, &incoming->received, 0);
    if (got <= 0)
        return broken(refusal, got == 0 ? "it ended early" : strerror((int)-got));
    incoming->size = (size_t)got;
    incoming->wanted = sizeof(ShimHeader);
    int result = read_up_to(door_fd, incoming, refusal);
    if (result != 0)
        return result;
    ShimProblem problem =
        shim_header_check((const ShimHeader *)incoming->bytes, &body_size, &n_fds);
    if (problem != SHIM_OK)
        return broken(refusal, shim_problem_text(problem));
    if (incoming->received.n_fds != n_fds)
        return broken(refusal, "its descriptors are not those that it announces");
    incoming->wanted = sizeof(ShimHeader) + body_size;
    if (incoming->size > incoming->wanted)
        return broken(refusal, "more bytes than it announces");
    if (incoming->wanted > RECEIVE_FIRST) {
        incoming->bytes = malloc(incoming->wanted);
        if (!incoming->bytes)
            return broken(refusal, "out of memory");
        memcpy(incoming->bytes, first, incoming->size);
    }
    return read_up_to(door_fd, incoming, refusal);
}

/* Moves a descriptor off 0, 1 and 2, which are not the caller's before the exec. */
static int above_stdio(int fd)
{
    return fd > 2 ? fd : fd_move_above_take(fd, 3);
}

void receive_init(Received *received)
{
    received->request = SHIM_REQUEST_EMPTY;
    received->cwd_fd = received->stdio[0] = received->stdio[1] = received->stdio[2] = -EBADF;
}

int receive_request(int door_fd, Received *ret, Refusal *refusal)
{
    static const uint16_t flags[3] = {SHIM_FLAG_STDIN, SHIM_FLAG_STDOUT, SHIM_FLAG_STDERR};
    Incoming incoming = {.received = FD_RECEIVED_EMPTY};

    int result = read_all(door_fd, &incoming, ret->first, refusal);
    if (result != 0)
        return result;
    result =
        shim_request_decode((const ShimHeader *)incoming.bytes, incoming.bytes + sizeof(ShimHeader),
                            incoming.size - sizeof(ShimHeader), &ret->request);
    if (result != 0)
        return broken(refusal,
                      result < 0 ? strerror(-result) : shim_problem_text((ShimProblem)result));
    size_t next = 0;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (ret->request.flags & flags[i])
            ret->stdio[i] = above_stdio(TAKE_FD(incoming.received.fds[next++]));
    }
    ret->cwd_fd = above_stdio(TAKE_FD(incoming.received.fds[next]));
    fd_received_done(&incoming.received);
    return 0;
}

void receive_rehearse(Received *received)
{
    static const char body[] = "sh\0/\0sh\0A=B";
    const ShimHeader header = {.magic = htole32(SHIM_MAGIC),
                               .version = htole16(SHIM_VERSION),
                               .path_size = htole32(3),
                               .cwd_size = htole32(2),
                               .argc = htole32(1),
                               .argv_size = htole32(3),
                               .envc = htole32(1),
                               .env_size = htole32(4)};
    ShimRequest request;
    size_t body_size = 0, n_fds = 0;

    memset(received->first, 0, USUAL_READ);
    (void)shim_header_check(&header, &body_size, &n_fds);
    if (shim_request_decode(&header, body, body_size, &request) == 0)
        shim_request_done(&request);
}
