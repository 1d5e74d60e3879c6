/*
 * Requests that run in an ephemeral container: the warden's part (private to warden/).
 *
 * They take the road of every request (state.h). What differs: the verdict is asked for with the
 * caller's own files out of sight, because none of them runs; what a human approves is the image by
 * its id; and two things run and must both end: the relay (the executor's child, which holds the
 * caller's descriptors) and the container (the engine process's).
 *
 *     STARTING   CREATE ─▶ the relay runs (EXEC_STARTED) ─▶ START ─▶ GHOST_STARTED ─▶ RUNNING
 *     RUNNING    GHOST_ENDED and the relay's end, in either order ─▶ gone
 *
 * Without an engine process everything of it is refused, with words.
 */
#pragma once

#include "warden/state.h"
#include "wire/ghost.h"

typedef struct GhostRun {
    char image[GHOST_IMAGE_ID_MAX]; /* what a human approves, or what it has run in; "" */
    Examined examined;              /* while the image is being resolved */
    bool wanted;                    /* a container has been ordered, and not ended */
    bool relays;                    /* the relay runs, or has ended */
    bool relay_done, container_done;
    uint8_t relay_kind, relay_value; /* as in EXEC_ENDED; a signal may be the command's own */
    uint8_t code;                    /* of the container */
    unsigned leftovers;
    const char *broken; /* static words: it has no outcome of its own */
} GhostRun;

void ghost_run_free(GhostRun *run); /* accepts NULL */

/* The policy has judged what was found; may the command run in ghost instead? Then the verdict and
 * `request->ghost` say so. `query` is what was judged. */
void ghost_consider(Request *request, const PolicyQuery *query);
/* What the caller's own file would have meant is void. */
void ghost_settle(Request *request, Prepared *prepared);
/* Why it cannot run there, in words for the caller; or NULL. */
const char *ghost_problem(const Request *request);

/* What EXEC_HASHED said is here; the image follows. */
void ghost_on_hashed(Request *request, const Examined *examined);
/* STARTING or HASHING: an image may be fetched, and that takes its time. */
void ghost_set_start_deadline(Request *request);
/* Admitted and recorded. */
void ghost_give_order(Request *request);
/* EXEC_STARTED: its relay runs. */
void ghost_on_relay(Request *request);
/* EXEC_ENDED. */
void ghost_on_relay_end(Request *request, uint8_t kind, uint8_t value, unsigned leftovers);
/* The container must end (as EXEC_END says), or stand still. */
void ghost_end(Request *request, uint32_t grace_ms);
void ghost_freeze(Request *request, bool frozen);
/* The request leaves the table: nothing of it may stay. */
void ghost_retire(Request *request);

/* The engine process's link. Takes `fd`. */
int ghost_link_take(Warden *warden, int fd);
