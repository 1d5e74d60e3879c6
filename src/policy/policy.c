/*
 * What a loaded policy answers without judging.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/model.h"

Policy *policy_free(Policy *policy)
{
    if (!policy)
        return NULL;
    regex_list_done(&policy->regexes);
    arena_done(&policy->arena);
    free(policy);
    return NULL;
}

const PolicyJail *policy_jails(const Policy *policy, size_t *ret_n_jails)
{
    *ret_n_jails = policy->n_jails;
    return policy->jails;
}

const PolicyJail *policy_jail(const Policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->n_jails; i++)
        if (strcmp(policy->jails[i].name, name) == 0)
            return &policy->jails[i];
    return NULL;
}

uint64_t policy_approval_grace_ms(const Policy *policy)
{
    return policy->approval_grace_ms;
}

const char *policy_ghost_image(const Policy *policy, const char *command)
{
    for (size_t i = 0; i < policy->n_ghost_images; i++)
        if (strcmp(policy->ghost_images[i].command, command) == 0)
            return policy->ghost_images[i].image;
    return NULL;
}

size_t policy_n_rules(const Policy *policy)
{
    return policy->n_rules;
}

const char *policy_digest(const Policy *policy)
{
    return policy->digest;
}

const char *policy_action_name(PolicyAction action)
{
    switch (action) {
    case POLICY_ALLOW:
        return "allow";
    case POLICY_DENY:
        return "deny";
    case POLICY_ASK:
        return "ask";
    }
    return "deny";
}

const char *policy_executor_name(PolicyExecutor executor)
{
    switch (executor) {
    case POLICY_EXECUTOR_AUTO:
        return "auto";
    case POLICY_EXECUTOR_LOCAL:
        return "local";
    case POLICY_EXECUTOR_MIRROR:
        return "mirror";
    case POLICY_EXECUTOR_GHOST:
        return "ghost";
    }
    return "auto";
}
