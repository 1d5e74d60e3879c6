/*
 * See environment.h. Everything lives until exec.
 */
#include "exec/environment.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "exec/file.h"
#include "policy/policy.h"

static bool is_path(const char *entry)
{
    return strncmp(entry, "PATH=", 5) == 0;
}

static bool is_trusted(const char *begin, size_t size)
{
    char directory[PATH_MAX];

    if (size == 0 || size >= sizeof directory)
        return false;
    memcpy(directory, begin, size);
    directory[size] = '\0';
    return file_directory_is_trusted(directory);
}

char *environment_order_path(const char *entry)
{
    size_t size = strlen(entry);
    char *ordered = malloc(size + 2);
    _cleanup_free_ char *others = malloc(size + 2);
    char *end = ordered + 5, *others_end = others;

    if (!ordered || !others) {
        free(ordered);
        return NULL;
    }
    memcpy(ordered, entry, 5);
    for (const char *next = entry + 5; next;) {
        size_t length = strcspn(next, ":");
        char **to = is_trusted(next, length) ? &end : &others_end;
        memcpy(*to, next, length);
        (*to)[length] = ':';
        *to += length + 1;
        next = next[length] ? next + length + 1 : NULL;
    }
    memcpy(end, others, (size_t)(others_end - others));
    end += others_end - others;
    end[-1] = '\0'; /* there is at least one, perhaps empty, directory */
    return ordered;
}

int environment_prepare(Environment *environment, const ShimRequest *request)
{
    *environment = (Environment){.path_entry = NULL};
    for (size_t i = 0; i < request->envc && !environment->path_entry; i++) {
        if (is_path(request->env[i]))
            environment->path_entry = request->env[i];
    }
    if (!environment->path_entry)
        return 0;
    environment->path_ordered = environment_order_path(environment->path_entry);
    return environment->path_ordered ? 0 : -ENOMEM;
}

const char **environment_keep(const ShimRequest *request, const RunOrder *order, size_t *ret_count)
{
    const char **kept = calloc(request->envc + 1, sizeof *kept);

    *ret_count = 0;
    for (size_t i = 0; kept && i < request->envc; i++) {
        if (run_order_keeps(order, i))
            kept[(*ret_count)++] = request->env[i];
    }
    return kept;
}

const char **environment_compose(const Environment *environment, const char *const *kept,
                                 size_t n_kept)
{
    size_t n_added = 0;
    const char *const *added = policy_env_added(&n_added);
    const char **env = calloc(n_added + n_kept + 1, sizeof *env);

    if (!env)
        return NULL;
    /* The pagers come first: getenv(3) takes the first entry of a name. */
    memcpy(env, added, n_added * sizeof *env);
    for (size_t i = 0; i < n_kept; i++) {
        const char *entry = kept[i];
        if (entry == environment->path_entry)
            entry = environment->path_ordered;
        else if (is_path(entry))
            entry = environment_order_path(entry);
        if (!entry)
            return NULL;
        env[n_added + i] = entry;
    }
    return env;
}
