/*
 * The policies that ghosts are judged by: the one in force, and those that verdicts may still come
 * from.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/ghost-private.h"

void ghost_unuse_policy(PolicyShare *share)
{
    if (share && --share->users == 0) {
        (void)policy_free(share->policy);
        free(share);
    }
}

static PolicyShare *policy_of(const Ghosts *ghosts, const char *digest)
{
    for (size_t i = 0; i < GHOST_POLICIES; i++)
        if (ghosts->policies[i] && strcmp(policy_digest(ghosts->policies[i]->policy), digest) == 0)
            return ghosts->policies[i];
    return NULL;
}

bool ghost_apply_policy(Ghost *ghost)
{
    const GhostOrder *order = &ghost->order;

    ghost->share = policy_of(ghost->ghosts, order->policy);
    if (!ghost->share)
        return false;
    ghost->share->users++;
    const Policy *policy = ghost->share->policy;
    ghost->settings =
        policy_ghost(policy, order->rule == UINT64_MAX ? SIZE_MAX : (size_t)order->rule);
    if (!ghost->settings)
        return false;
    ghost->reference = ghost->settings->image ? ghost->settings->image
                                              : policy_ghost_image(policy, order->command);
    return ghost->reference != NULL;
}

void ghosts_set_policy_take(Ghosts *ghosts, Policy *policy)
{
    PolicyShare *share = calloc(1, sizeof *share);

    if (!share) {
        (void)policy_free(policy);
        return;
    }
    *share = (PolicyShare){.policy = policy, .users = 1};
    ghost_unuse_policy(ghosts->policies[GHOST_POLICIES - 1]);
    for (size_t i = GHOST_POLICIES - 1; i > 0; i--)
        ghosts->policies[i] = ghosts->policies[i - 1];
    ghosts->policies[0] = share;
}
