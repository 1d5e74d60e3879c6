/*
 * What a loaded policy answers without judging.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "policy/model.h"

#define DEFAULT_PENDING 50
#define DEFAULT_CONNECTIONS 200
#define DEFAULT_COMMANDS 100
#define DEFAULT_BYTES (UINT64_C(64) * 1024 * 1024)

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

PolicyMirrorEngine policy_mirror_engine(const Policy *policy)
{
    return policy->mirror_engine;
}

bool policy_uses_ghost(const Policy *policy)
{
    return policy->uses_ghost;
}

const PolicyGhost *policy_ghost(const Policy *policy, size_t rule_index)
{
    if (rule_index == SIZE_MAX)
        return &policy->ghost.ghost;
    if (rule_index >= policy->n_rules)
        return NULL;
    const GhostRule *own = policy->rules[rule_index].ghost;
    return own ? &own->ghost : &policy->ghost.ghost;
}

/* Directories that a program needs as its image has them. */
static bool is_system_directory(const char *path)
{
    static const char *const system[] = {"/bin",   "/boot",  "/dev",    "/etc",    "/lib",
                                         "/lib32", "/lib64", "/libx32", "/proc",   "/run",
                                         "/sbin",  "/sys",   "/usr",    "/var/run"};

    for (size_t i = 0; i < ARRAY_SIZE(system); i++) {
        size_t size = strlen(system[i]);
        if (strncmp(path, system[i], size) == 0 && (path[size] == '/' || path[size] == '\0'))
            return true;
    }
    return path[0] != '/' || path[1] == '\0' || strcmp(path, "/var") == 0;
}

int policy_workspace(const Policy *policy, const char *cwd, char *ret)
{
    const char *best = NULL;
    size_t best_size = 0;

    for (size_t i = 0; policy->has_allowed_paths && i < policy->allowed_paths.n_items; i++) {
        const char *item = policy->allowed_paths.items[i];
        size_t size = strlen(item);
        if (!path_pattern_covers(item, cwd))
            continue;
        if (size >= 2 && strcmp(item + size - 2, "/*") == 0)
            size -= 2;
        if (!memchr(item, '*', size) && !memchr(item, '?', size) && !memchr(item, '[', size) &&
            size < PATH_MAX && (!best || size > best_size)) {
            best = item;
            best_size = size;
        }
    }
    if (!best)
        return 1;
    memcpy(ret, best, best_size);
    ret[best_size] = '\0';
    return best_size == 0 || is_system_directory(ret) ? 2 : 0;
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

PolicyJail policy_jail_defaults(const char *name)
{
    return (PolicyJail){
        .name = name,
        .wait_ms = UINT64_MAX,
        .limits = {.pending = DEFAULT_PENDING,
                   .connections = DEFAULT_CONNECTIONS,
                   .bytes = DEFAULT_BYTES,
                   .commands = DEFAULT_COMMANDS},
    };
}

bool policy_is_jail_name(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = strlen(name);

    return size >= 1 && size < POLICY_JAIL_NAME_SIZE && strspn(name, first) >= 1 &&
           strspn(name, rest) == size;
}

const char *policy_command_problem(const char *name)
{
    size_t size = strlen(name);

    if (size == 0 || size > NAME_MAX)
        return "a command's name has 1 to 255 bytes";
    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "a jail's commands are names without '/', as in git";
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return "a command's name has no control characters";
    return text_is_utf8(name, size) ? NULL : "a command's name is UTF-8 text";
}
