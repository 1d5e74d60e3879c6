/*
 * Warnings about rules that can never apply, or not for what they seem to be for: nobody would
 * notice from what happens.
 */
#include <string.h>

#include "base/cleanup.h"
#include "policy/lint.h"

#define COMPARISONS_MAX 2000000

static bool same_name(const CommandPattern *earlier, const CommandPattern *later)
{
    if (later->kind == COMMAND_NAME && earlier->kind == COMMAND_NAME_GLOB)
        return glob_match(earlier->text, earlier->size, later->text, later->size);
    if (later->kind == COMMAND_PATH && earlier->kind == COMMAND_PATH_GLOB)
        return glob_match_path(earlier->text, earlier->size, later->text, later->size);
    return earlier->kind == later->kind && earlier->size == later->size &&
           memcmp(earlier->text, later->text, later->size) == 0;
}

static bool covers(const Rule *earlier, const Rule *later)
{
    for (size_t l = 0; l < later->n_commands; l++) {
        bool covered = false;
        for (size_t e = 0; e < earlier->n_commands && !covered; e++)
            covered = same_name(&earlier->commands[e], &later->commands[l]);
        if (!covered)
            return false;
    }
    return later->n_commands > 0;
}

static bool has_conditions(const Rule *rule)
{
    return rule->args.n_items || rule->n_argv || rule->cwd.n_items || rule->n_uids ||
           rule->n_gids || rule->n_jails || rule->n_env;
}

static bool allows_by_name(const Rule *rule)
{
    if (rule->action != POLICY_ALLOW)
        return false;
    for (size_t i = 0; i < rule->n_commands; i++)
        if (rule->commands[i].kind == COMMAND_NAME || rule->commands[i].kind == COMMAND_NAME_GLOB)
            return true;
    return false;
}

static void check_pair(Loader *loader, const Rule *earlier, const Rule *later)
{
    if (!covers(earlier, later))
        return;
    /* An allow by name leaves the files that the caller could change to later rules. */
    if (allows_by_name(earlier) && later->action != POLICY_ALLOW)
        loader_report_at(loader, later->line, later->column, true, later->label,
                         "%s (line %u) comes first and allows every call but those of files that "
                         "the caller could change: this rule can only %s those; put it first",
                         earlier->label, earlier->line,
                         later->action == POLICY_DENY ? "deny" : "ask about");
    else
        loader_report_at(loader, later->line, later->column, true, later->label,
                         "this rule is never reached: %s (line %u) comes first and takes every "
                         "call",
                         earlier->label, earlier->line);
}

/* Rules behind one without conditions on the same command. */
static void check_order(Loader *loader)
{
    const Policy *policy = loader->policy;
    size_t comparisons = 0;

    for (size_t e = 0; e < policy->n_rules; e++) {
        const Rule *earlier = &policy->rules[e];
        if (has_conditions(earlier))
            continue;
        for (size_t l = e + 1; l < policy->n_rules; l++) {
            const Rule *later = &policy->rules[l];
            comparisons += earlier->n_commands * later->n_commands;
            if (comparisons > COMPARISONS_MAX)
                return;
            check_pair(loader, earlier, later);
        }
    }
}

static bool is_of_a_jail(const Policy *policy, const Pattern *pattern)
{
    for (size_t i = 0; i < policy->n_jails; i++)
        if (pattern_match(pattern, policy->jails[i].name, strlen(policy->jails[i].name)) ==
            PATTERN_YES)
            return true;
    return false;
}

static void check_jails(Loader *loader, const Rule *rule, size_t *comparisons)
{
    for (size_t i = 0; i < rule->n_jails; i++) {
        *comparisons += loader->policy->n_jails;
        if (*comparisons > COMPARISONS_MAX)
            return;
        if (!is_of_a_jail(loader->policy, &rule->jails[i]))
            loader_report_at(
                loader, rule->line, rule->column, true, rule->jails[i].text,
                "no jail of the policy has this name: unless an operator or a container's label "
                "makes one, the rule never applies; correct it or add it to jails");
    }
}

/* "/app" of "/app" and of everything below it. */
static size_t directory_size(const char *pattern)
{
    size_t size = strlen(pattern);
    bool below = size >= 2 && memcmp(pattern + size - 2, "/*", 2) == 0;
    return below ? (size > 2 ? size - 2 : 1) : size;
}

/* Whether a directory could be meant by both patterns; when in doubt. */
static bool could_meet(const char *a, const char *b)
{
    char room[PATH_ROOM];
    size_t size_a = directory_size(a), size_b = directory_size(b);

    if (pattern_has_wildcard(a, size_a) || pattern_has_wildcard(b, size_b) || size_a >= PATH_ROOM ||
        size_b >= PATH_ROOM)
        return true;
    memcpy(room, a, size_a);
    room[size_a] = '\0';
    if (path_pattern_covers(b, room))
        return true;
    memcpy(room, b, size_b);
    room[size_b] = '\0';
    return path_pattern_covers(a, room);
}

static void check_cwd(Loader *loader, const Rule *rule, size_t *comparisons)
{
    const Policy *policy = loader->policy;

    for (size_t i = 0; policy->has_allowed_paths && i < rule->cwd.n_items; i++) {
        bool meets = false;
        *comparisons += policy->allowed_paths.n_items;
        if (*comparisons > COMPARISONS_MAX)
            return;
        for (size_t a = 0; a < policy->allowed_paths.n_items && !meets; a++)
            meets = could_meet(rule->cwd.items[i], policy->allowed_paths.items[a]);
        if (!meets)
            loader_report_at(loader, rule->line, rule->column, true, rule->cwd.items[i],
                             "allowed_paths denies whatever is called in this directory before "
                             "any rule is asked");
    }
}

static void check_env(Loader *loader, const Rule *rule)
{
    for (size_t i = 0; i < rule->n_env; i++)
        for (size_t j = 0; j < i; j++) {
            const EnvCondition *a = &rule->env[i], *b = &rule->env[j];
            if (a->absent != b->absent && a->name_size == b->name_size &&
                memcmp(a->name, b->name, a->name_size) == 0)
                loader_report_at(loader, rule->line, rule->column, true, a->name,
                                 "this rule never applies: the variable cannot be set and not set");
        }
}

static bool patterns_have(const ArgPatterns *patterns, const ArgPattern *wanted)
{
    for (size_t i = 0; i < patterns->n_items; i++)
        if (patterns->items[i].whole.kind == wanted->whole.kind &&
            strcmp(patterns->items[i].whole.text, wanted->whole.text) == 0)
            return true;
    return false;
}

static void check_argv(Loader *loader, const Rule *rule)
{
    for (size_t m = 0; m < rule->n_argv; m++) {
        const ArgvMatch *match = &rule->argv[m];
        for (size_t i = 0; match->none.n_items > 0 && i < match->all.n_items; i++)
            if (patterns_have(&match->none, &match->all.items[i]))
                loader_report_at(loader, rule->line, rule->column, true,
                                 match->all.items[i].whole.text,
                                 "this rule never applies: its argv wants this (all) and excludes "
                                 "it (none)");
        if (match->has_only && match->only.n_items == 0 &&
            (match->all.n_items > 0 || match->any.n_items > 0))
            loader_report_at(loader, rule->line, rule->column, true, rule->label,
                             "this rule never applies: its argv wants an argument, and only: [] "
                             "excludes all");
    }
}

void lint_dead(Loader *loader)
{
    const Policy *policy = loader->policy;
    size_t comparisons = 0;

    check_order(loader);
    for (size_t i = 0; i < policy->n_rules; i++) {
        const Rule *rule = &policy->rules[i];
        check_jails(loader, rule, &comparisons);
        check_cwd(loader, rule, &comparisons);
        check_env(loader, rule);
        check_argv(loader, rule);
    }
}
