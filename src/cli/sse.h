/*
 * Server-sent events as they arrive (HTML Living Standard, "Parsing an event stream"): a pure
 * reader of bytes in whatever pieces they come. Limits: a line and an event of SSE_EVENT_MAX bytes;
 * an event that is larger is dropped whole, and counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

#define SSE_EVENT_MAX ((size_t)16 << 20)
#define SSE_ID_MAX 64u

typedef struct SseEvent {
    const char *name; /* "message" when none was given */
    const char *id;   /* the last one that was given, or "" */
    const char *data; /* `size` bytes and a NUL */
    size_t size;
} SseEvent;

typedef void (*SseHandler)(const SseEvent *event, void *userdata);

typedef struct Sse {
    SseHandler handle;
    void *userdata;
    Buffer line, data, name;
    char id[SSE_ID_MAX]; /* kept over events and connections */
    bool has_data, too_large, after_cr;
    size_t n_dropped;
} Sse;

void sse_init(Sse *sse, SseHandler handle, void *userdata);
/* A new connection: what was begun is forgotten, the id stays. */
void sse_restart(Sse *sse);
void sse_feed(Sse *sse, const char *bytes, size_t size);
void sse_done(Sse *sse);
