/*
 * What is asked of the engine for a command that runs in ghost: pure functions over documents.
 *
 * The order is what was admitted; what the container may have and do is the policy's. The rule of
 * what it gets to see: the part of the caller's own view that its working directory lies in, at the
 * same place, and no more.
 */
#pragma once

#include <jansson.h>
#include <limits.h>

#include "engine/labels.h"
#include "policy/policy.h"
#include "wire/ghost.h"

#define GHOST_WHY_MAX 512u

/* The mounts (an array for HostConfig.Mounts, the caller's to release) that let a ghost see the
 * working directory of a caller in a container: that mount of the container (`inspect`: the
 * engine's document about it) which the directory lies in, and those beneath it; what the container
 * hides beneath it with a tmpfs is hidden. 0; 1 with the reason: there is none, or it cannot be had
 * without more than the caller sees; -ENOMEM. */
int ghost_mounts_of_container(const json_t *inspect, const char *cwd, json_t **ret,
                              char why[static GHOST_WHY_MAX]);
/* The same for a caller in the warden's own world. */
int ghost_mounts_of_policy(const Policy *policy, const char *cwd, json_t **ret,
                           char why[static GHOST_WHY_MAX]);

/* Those of them that an engine finds by a path, as GHOST_STREAM has them (wire/ghost.h); where a
 * volume lies is root's alone. */
void ghost_binds_put(const json_t *mounts, Buffer *payload);
/* What confines the caller's container beside its namespaces: its options of security, as an array
 * for HostConfig.SecurityOpt that is the caller's to release. Those that take something away are
 * left out: a ghost is never less confined than by the engine's defaults. 0; 1 with the reason;
 * -ENOMEM. */
int ghost_security_of_container(const json_t *inspect, json_t **ret,
                                char why[static GHOST_WHY_MAX]);

/* The image's id, and whether its own programs would be found: its PATH must not lead into the
 * mounts. 0, 1 with the reason, -EPROTO. `ret` points into the document. */
int ghost_image_of(const json_t *inspect, const json_t *mounts, const char **ret,
                   char why[static GHOST_WHY_MAX]);

typedef struct GhostBody {
    const GhostOrder *order;
    const PolicyGhost *settings;
    const char *image; /* id */
    const json_t *mounts;
    const json_t *security;   /* of the caller's container; NULL: it is in none */
    const char *owner, *life; /* labels: whose it is, and of which life of the engine process */
} GhostBody;

/* The body of a create. 0 with `*ret` the caller's; 1 with the reason; -ENOMEM. */
int ghost_body(const GhostBody *body, json_t **ret, char why[static GHOST_WHY_MAX]);

/* What a refusal of a create or start means. */
ExecFailure ghost_failure_of(unsigned status, const char *words);
