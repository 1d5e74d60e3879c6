/*
 * Commands in ghost: each in a container of its own, made, started, watched and removed on the
 * warden's orders (wire/ghost.h).
 *
 *     image ─▶ mounts ─▶ created ─▶ attached ─▶ the stream goes to the executor
 *                                                  │ START
 *                                               waited for, started, gone
 *
 * None may be left behind. Each container carries labels that say whose it is and from which life
 * of this process: whatever is of another life is removed when the engine answers for the first
 * time, and the engine itself removes those that end (AutoRemove). One whose order has ended at any
 * point above is removed by force.
 */
#pragma once

#include "docker/engine.h"
#include "policy/policy.h"
#include "wire/link.h"

typedef struct Ghosts Ghosts;

typedef struct GhostsHandlers {
    void (*to_warden)(uint16_t type, uint64_t key, Buffer *payload, void *userdata);
    /* `fd`, -EBADF for none, stays the caller's. */
    void (*to_executor)(uint16_t type, uint64_t key, Buffer *payload, int fd, void *userdata);
} GhostsHandlers;

/* `owner`: a label value that no other warden has. Everything else outlives it. 0 or -errno. */
int ghosts_new(Ghosts **ret, struct event_base *loop, Engine *engine, const char *owner,
               const GhostsHandlers *handlers, void *userdata);
/* What still runs is left to the next life. Accepts NULL, returns NULL. */
Ghosts *ghosts_free(Ghosts *ghosts);
/* The policy that is in force from now on. */
void ghosts_set_policy_take(Ghosts *ghosts, Policy *policy);
/* The engine answers (again). */
void ghosts_connected(Ghosts *ghosts);
/* One of the warden's orders; false: it is none. */
bool ghosts_obey(Ghosts *ghosts, const LinkFrame *frame);
/* The warden is gone: all of them end. */
void ghosts_end_all(Ghosts *ghosts);
/* The same, and `gone` is called when nothing of them is left, or it takes too long. */
void ghosts_stop(Ghosts *ghosts, void (*gone)(void *userdata));
