/*
 * A link: framed messages, and descriptors with them, between two of Clawrden's own processes.
 *
 * Unix stream socket on a libevent loop, never blocking. Frame: u32 payload size, u16 type, u8
 * number of descriptors, u8 zero, u64 key, payload; little-endian. Sending tries the socket at
 * once and queues the rest, within a limit: a peer that does not read costs bounded memory and the
 * sender then decides what to do (-ENOBUFS). A frame that breaks a limit closes the link: own
 * processes do not make mistakes, so a malformed frame means that the peer is compromised.
 */
#pragma once

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fd.h"

typedef struct Link Link;

typedef struct LinkFrame {
    uint16_t type;
    uint64_t key;
    const char *payload; /* valid during the call */
    size_t size;
    int *fds; /* take with TAKE_FD; what is left is closed after the call */
    size_t n_fds;
} LinkFrame;

typedef struct LinkLimits {
    size_t frame_max; /* largest payload accepted */
    size_t queue_max; /* most bytes waiting to be sent */
    size_t fds_max;   /* most descriptors in one frame; 0: any descriptor closes the link */
} LinkLimits;

typedef struct LinkHandlers {
    /* One whole frame. May free the link. */
    void (*frame)(Link *link, LinkFrame *frame, void *userdata);
    /* The peer is gone or broke the protocol (-EPROTO): called once, nothing follows. */
    void (*closed)(Link *link, int error, void *userdata);
} LinkHandlers;

/* Takes `fd`. `handlers` must outlive the link. */
int link_new_take(Link **ret, struct event_base *loop, int fd, const LinkLimits *limits,
                  const LinkHandlers *handlers, void *userdata);
Link *link_free(Link *link); /* accepts NULL, returns NULL */
/* Frees the link, but closes none of its descriptors: its socket, and what was received with frames
 * that have not been delivered, are the caller's from then on. Returns how many there are. For a
 * peer that may have sent some whose close blocks. */
#define LINK_FDS_MAX (256u + FD_KERNEL_MAX + 1)
size_t link_dismantle(Link *link, int fds[static LINK_FDS_MAX]);
void link_set_userdata(Link *link, void *userdata);

/* 0, -ENOBUFS when the queue is full, -EPIPE when the peer is gone. */
int link_send(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size);
/* The same, but at the end of the loop's round, or together with what is sent sooner: for a frame
 * that the next one may follow at once, so that both cost one wake-up. */
int link_send_soon(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size);
/* link_send() with descriptors, which stay the caller's. */
int link_send_fds(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size,
                  const int *fds, size_t n_fds);
/* Sends a buffer's contents; a buffer that has failed is its error. The buffer is emptied. */
int link_send_buffer(Link *link, uint16_t type, uint64_t key, Buffer *payload);

/* Bytes that wait to be sent. */
size_t link_queued(const Link *link);
/* Stops and resumes reading: backpressure. */
void link_pause(Link *link);
void link_resume(Link *link);
/* Writes what is queued, blocking at most `timeout_ms`: for the last words of a process. */
void link_drain(Link *link, int timeout_ms);
