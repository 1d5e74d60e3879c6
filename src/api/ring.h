/*
 * The newest events, ready to be sent (text/event-stream), within a bound of bytes. Clients have a
 * place in it by seq; what has fallen out of it is in the journal.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

typedef struct Event {
    uint64_t seq;
    char *jail; /* owned; "" of none */
    char *text; /* owned: "id: …\nevent: …\ndata: …\n\n" */
    size_t size;
} Event;

typedef struct Ring {
    Event *events; /* owned; `capacity` places, the oldest at `start` */
    size_t capacity, start, count;
    size_t bytes;
} Ring;

#define RING_EVENTS 8192u
#define RING_BYTES (8u << 20)
#define EVENT_LINE_MAX (256u << 10) /* a longer line is not sent, but that there is one */

/* An event's text. The buffer fails on memory only. */
void event_put(Buffer *text, uint64_t seq, const char *event, size_t event_size, const char *jail,
               size_t jail_size, const char *line, size_t line_size);

int ring_init(Ring *ring); /* 0 or -ENOMEM */
void ring_clear(Ring *ring);
void ring_done(Ring *ring);
/* The oldest leave until the new one fits. 0 or -ENOMEM (then the ring is empty: nothing may be
 * missing in the middle). */
int ring_push(Ring *ring, uint64_t seq, const char *event, const char *jail, const char *line,
              size_t line_size);
/* 0 when empty. */
uint64_t ring_first(const Ring *ring);
uint64_t ring_last(const Ring *ring);
/* The first event with at least this seq, or NULL. */
const Event *ring_at(const Ring *ring, uint64_t seq);
