/*
 * Commands that run in their callers' containers by the engine's own exec (`mirror_engine:
 * docker`), on the warden's orders (wire/engine-exec.h).
 *
 *     created ─▶ started, its stream attached ─▶ the launcher speaks: which process is it? ─▶
 *     stream and process go to the executor
 *                  │ RESULT
 *               asked until it is known to have ended
 *
 * What is started is the launcher and never anything else, as the user that the order names, and
 * with nothing of the request in its arguments or environment. An engine cannot end what it has
 * started in a container: a launcher whose stream is closed before it was told what to run ends by
 * itself, and what runs is the executor's to end.
 */
#pragma once

#include "docker/engine.h"
#include "wire/link.h"

typedef struct Execs Execs;

typedef struct ExecsHandlers {
    void (*to_warden)(uint16_t type, uint64_t key, Buffer *payload, void *userdata);
    /* `fd` stays the caller's. */
    void (*to_executor)(uint16_t type, uint64_t key, Buffer *payload, int fd, void *userdata);
} ExecsHandlers;

/* Everything else outlives it. 0 or -errno. */
int execs_new(Execs **ret, struct event_base *loop, Engine *engine, const ExecsHandlers *handlers,
              void *userdata);
/* Accepts NULL, returns NULL. */
Execs *execs_free(Execs *execs);
/* One of the warden's orders; false: it is none. */
bool execs_obey(Execs *execs, const LinkFrame *frame);
/* The warden is gone: all of them are forgotten. */
void execs_end_all(Execs *execs);
