/*
 * Who may decide about what a rule asks.
 */
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"

/* "uid:0" means "root (uid 0)", whatever the account is called. */
static bool is_operator(const char *name, const char *number)
{
    char end[32];
    size_t size = strlen(name);
    int n = snprintf(end, sizeof end, " (uid %s)", number);

    return n > 0 && (size_t)n < sizeof end && size > (size_t)n &&
           memcmp(name + size - (size_t)n, end, (size_t)n) == 0;
}

static bool is_meant(const char *approver, const char *name, const char *role)
{
    if (strcmp(approver, "approver") == 0)
        return true; /* a viewer was refused before */
    if (strcmp(approver, "admin") == 0)
        return strcmp(role, "admin") == 0;
    if (strncmp(approver, "uid:", 4) == 0)
        return is_operator(name, approver + 4);
    return strcmp(approver, name) == 0;
}

const char *policy_ask_refuses(const PolicyAsk *ask, const char *name, const char *role,
                               const char *via)
{
    bool meant = ask->n_approvers == 0, open = ask->n_channels == 0;

    if (strcmp(role, "approver") != 0 && strcmp(role, "admin") != 0)
        return "a viewer may not decide";
    for (size_t i = 0; i < ask->n_approvers && !meant; i++)
        meant = is_meant(ask->approvers[i], name, role);
    if (!meant)
        return "the rule names others who may decide";
    for (size_t i = 0; i < ask->n_channels && !open; i++)
        open = strcmp(ask->channels[i], via) == 0;
    return open ? NULL : "the rule takes no decisions by this channel";
}
