/*
 * Reading YAML nodes into the model: places, complaints, aliases, and mappings with known keys.
 *
 * The document is built without resolving aliases: an alias is followed when it is met, and every
 * node visited is charged, so that a few lines of aliases of aliases cannot grow into millions of
 * rules. The schema has a fixed depth, so aliases cannot recurse either. Duplicate keys are let
 * through the parser and reported here, each with its place.
 *
 * A reader reports what is wrong and returns; the load goes on, so that all mistakes are found in
 * one go. Whether the policy is usable is known from the count of errors at the end.
 */
#pragma once

#include <libfyaml.h>

#include "policy/model.h"
#include "policy/problems.h"

typedef struct Loader {
    const char *name; /* what messages call the file */
    const char *text;
    size_t size;
    struct fy_document *document;
    Policy *policy;
    PolicyProblems *problems;
    size_t errors_before; /* that the caller's list held already */
    size_t visits;
    bool visits_reported;
    int error;             /* first -errno */
    struct fy_node *place; /* fallback for nodes that carry no place of their own */
} Loader;

/* Complains about `node` (its text and place). */
void loader_error(Loader *loader, struct fy_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void loader_warning(Loader *loader, struct fy_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Complains about a place that was noted before. */
void loader_report_at(Loader *loader, unsigned line, unsigned column, bool warning,
                      const char *text, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Where a node stands, from 1. A list or mapping has the place of its first word, an empty one that
 * of the key it belongs to. */
void loader_place(Loader *loader, struct fy_node *node, unsigned *ret_line, unsigned *ret_column);

/* The node itself, or what the alias stands for; NULL (reported) when there is nothing. */
struct fy_node *loader_follow(Loader *loader, struct fy_node *node);

typedef struct Field {
    const char *key;
    void (*read)(Loader *loader, struct fy_node *value, void *object);
} Field;

/* Calls the field's reader for every key. Unknown and duplicate keys are reported. False when the
 * node is no mapping (reported). `what` names it in messages: "a rule". `ret_seen` (may be NULL)
 * is the set of fields met, by index; at most 64 fields. */
bool loader_mapping(Loader *loader, struct fy_node *node, const Field *fields, size_t n_fields,
                    void *object, const char *what, uint64_t *ret_seen);

/* A scalar as a NUL-terminated string in the arena; NULL (reported) when it is none, is empty or
 * null, is longer than `limit` or holds a NUL. */
const char *loader_string(Loader *loader, struct fy_node *node, size_t limit);
bool loader_bool(Loader *loader, struct fy_node *node, bool *ret);
/* A whole number from 0 to `most`. */
bool loader_number(Loader *loader, struct fy_node *node, uint64_t most, uint64_t *ret);
/* A duration; `unit_hint` explains the form. */
bool loader_duration(Loader *loader, struct fy_node *node, uint64_t *ret_ms);
/* One of `words`: its index, or -1 (reported, with a suggestion). */
int loader_word(Loader *loader, struct fy_node *node, const char *const *words, size_t n_words);

/* A list, or a single item in its place. Calls `read` for each; returns how many there may be, at
 * most `limit` (reported). */
typedef void (*ItemReader)(Loader *loader, struct fy_node *item, void *object);
size_t loader_count(Loader *loader, struct fy_node *node, size_t limit);
void loader_each(Loader *loader, struct fy_node *node, size_t limit, ItemReader read, void *object);

/* The strings of a list (or a single one). */
void loader_strings(Loader *loader, struct fy_node *node, size_t limit, StringList *ret);

/* The directory patterns of a list (or a single one), normalised. */
void loader_paths(Loader *loader, struct fy_node *node, StringList *ret);

static inline Arena *loader_arena(Loader *loader)
{
    return &loader->policy->arena;
}

/* schema.c: the whole document. */
void schema_read(Loader *loader, struct fy_node *root);
/* schema.c: the key `wait` of a rule. */
void schema_read_rule_wait(Loader *loader, struct fy_node *value, void *rule);
/* schema-rule.c: one item of `rules`. */
void schema_read_rule(Loader *loader, struct fy_node *node, Rule *rule, size_t number);
/* schema-argv.c: the keys `argv` and `options` of a rule. */
void schema_read_argv(Loader *loader, struct fy_node *value, void *rule);
void schema_read_options(Loader *loader, struct fy_node *value, void *rule);
/* schema-ask.c: the keys about asking, of a rule or (those that one may have) of the policy. The
 * object is a Rule or the Policy. */
void schema_read_grant(Loader *loader, struct fy_node *value, void *rule);
void schema_read_approvals(Loader *loader, struct fy_node *value, void *rule);
void schema_read_approvers(Loader *loader, struct fy_node *value, void *rule);
void schema_read_channels(Loader *loader, struct fy_node *value, void *rule);
void schema_read_quiet(Loader *loader, struct fy_node *value, void *rule);
void schema_read_rate(Loader *loader, struct fy_node *value, void *rule);
void schema_read_policy_approvals(Loader *loader, struct fy_node *value, void *policy);
void schema_read_policy_approvers(Loader *loader, struct fy_node *value, void *policy);
void schema_read_policy_channels(Loader *loader, struct fy_node *value, void *policy);
/* schema-ghost.c: the key `ghost`, of a rule or of the policy. */
void schema_read_rule_ghost(Loader *loader, struct fy_node *value, void *rule);
void schema_read_policy_ghost(Loader *loader, struct fy_node *value, void *policy);
void schema_finish_ghosts(Loader *loader);
bool ghost_image_is_name(const char *text);
/* What can only be told once the rule, or the whole policy, has been read; fills in defaults. */
void schema_check_ask(Loader *loader, Rule *rule);
void schema_finish_asks(Loader *loader);

/* examples.c: complains about every `match` and `not_match` that does not hold. */
void examples_check(Loader *loader, const Rule *rule);
/* lint.c: warnings about a policy that loads. */
void lint_check(Loader *loader);
