/*
 * Follows the engine: which containers with the label run, now and from now on.
 *
 * On each connection: the version, then the stream of events, and once that has begun a list, so
 * that nothing falls between. A container is inspected when it is new, when an event speaks of it,
 * and at every further list (some engines send no events), and told to the owner when something
 * about it has changed. When the engine goes away everything that is known stays as it is, and a
 * new connection is tried, later and later.
 */
#pragma once

#include "docker/engine.h"
#include "wire/containers.h"

typedef struct Reconciler Reconciler;

typedef struct ReconcilerHandlers {
    /* The engine answers (`words`: what it is), or no longer (why). Told when it changes. */
    void (*state)(bool connected, const char *words, void *userdata);
    void (*seen)(const ContainerSeen *seen, void *userdata);
    void (*gone)(const char *id, void *userdata);
    /* All that run have been told, after a connection. */
    void (*known)(void *userdata);
} ReconcilerHandlers;

/* Times in milliseconds; zeros mean the defaults. */
typedef struct ReconcilerTimes {
    uint32_t retry_min, retry_max, list;
} ReconcilerTimes;

/* `engine`, `handlers` and `userdata` outlive it. Begins at once. 0 or -ENOMEM. */
int reconciler_new(Reconciler **ret, struct event_base *loop, Engine *engine,
                   const ReconcilerTimes *times, const ReconcilerHandlers *handlers,
                   void *userdata);
Reconciler *reconciler_free(Reconciler *reconciler);
