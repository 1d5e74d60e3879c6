/*
 * Inside ghosts: what their files share.
 *
 *   ghost.c        orders, and the steps from the image to the end
 *   ghost-policy.c policies, and what they say of an order
 *   ghost-image.c  which image it is; fetching it
 *   ghost-sweep.c  what earlier lives have left
 *   ghost-body.c   documents
 */
#pragma once

#include <event2/event_struct.h>

#include "docker/calls.h"
#include "docker/decode.h"
#include "engine/ghost-body.h"
#include "engine/ghost.h"

#define GHOST_LIFE_SIZE 17
#define GHOST_OWNER_SIZE 65
#define GHOST_POLICIES 4u /* the one in force, and those that verdicts may still come from */

typedef enum GhostState {
    GHOST_PREPARING, /* image, mounts */
    GHOST_CREATING,
    GHOST_ATTACHING,
    GHOST_ATTACHED, /* the executor has the stream; waits for START */
    GHOST_STARTING,
    GHOST_RUNNING,
    GHOST_REMOVING, /* the warden has been told, or does not want to know */
} GhostState;

typedef struct PolicyShare {
    Policy *policy;
    unsigned users;
} PolicyShare;

typedef struct Ghost {
    Ghosts *ghosts;
    uint64_t key;
    GhostState state;
    bool only_resolve;
    char *payload; /* owned; what `order` points into */
    GhostOrder order;
    gid_t groups[PREPARED_GROUPS_MAX];
    PolicyShare *share; /* used */
    const PolicyGhost *settings;
    const char *reference; /* of the image; in the policy */
    bool pulled;
    char pull_error[256];
    json_t *mounts, *security; /* owned */
    char image[GHOST_IMAGE_ID_MAX];
    char container[65];
    int code;                       /* its exit code; -1: not known yet */
    EngineCall *call, *wait, *look; /* under way; NULL: none */
    bool ending;                    /* an END has come */
    bool frozen;
    struct event timer; /* then: its grace */
    struct Ghost *next;
} Ghost;

struct Ghosts {
    struct event_base *loop;
    Engine *engine;
    const GhostsHandlers *handlers;
    void *userdata;
    char owner[GHOST_OWNER_SIZE], life[GHOST_LIFE_SIZE];
    PolicyShare *policies[GHOST_POLICIES]; /* the newest first */
    EngineCall *sweep;
    bool swept;
    Ghost *all;
    void (*gone)(void *userdata); /* stopping */
    struct event stop_timer;
};

/* It cannot be: the warden is told why, and what there is of it is removed. */
void ghost_fail(Ghost *ghost, ExecFailure failure, const char *why);
void ghost_fail_answer(Ghost *ghost, const char *what, const EngineAnswer *answer);
/* What beginning a call has come to. False: it could not be begun, and the ghost has failed. */
bool ghost_begun(Ghost *ghost, int result);
/* ghost-image.c: finds out `image`; then ghost_on_image(). */
void ghost_find_image(Ghost *ghost);
void ghost_on_image(Ghost *ghost);
/* ghost-policy.c: what the policy says of the order, as this process has it from the parent. False:
 * nothing (any more). */
bool ghost_apply_policy(Ghost *ghost);
/* Accepts NULL. */
void ghost_unuse_policy(PolicyShare *share);
