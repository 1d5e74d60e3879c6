/*
 * See loader.h.
 */
#include "policy/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define PLACE_DEPTH_MAX 8

static bool scalar_place(struct fy_node *node, unsigned *ret_line, unsigned *ret_column)
{
    struct fy_token *token = node ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;

    if (!mark)
        return false;
    *ret_line = (unsigned)mark->line + 1;
    *ret_column = (unsigned)mark->column + 1;
    return true;
}

/* The first word in a list or mapping. */
static struct fy_node *first_word(struct fy_node *node)
{
    for (int depth = 0; node && depth < PLACE_DEPTH_MAX && !fy_node_is_scalar(node); depth++) {
        void *at = NULL;
        if (fy_node_is_sequence(node)) {
            node = fy_node_sequence_iterate(node, &at);
        } else {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &at);
            node = pair ? fy_node_pair_key(pair) : NULL;
        }
    }
    return node;
}

void loader_place(Loader *loader, struct fy_node *node, unsigned *ret_line, unsigned *ret_column)
{
    *ret_line = *ret_column = 0;
    if (!scalar_place(node, ret_line, ret_column) &&
        !scalar_place(first_word(node), ret_line, ret_column))
        (void)scalar_place(loader->place, ret_line, ret_column);
}

__attribute__((format(printf, 7, 0))) static void report(Loader *loader, unsigned line,
                                                         unsigned column, bool warning,
                                                         const char *text, size_t size,
                                                         const char *format, va_list arguments)
{
    _cleanup_free_ char *message = NULL;

    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    problem_add(loader->problems, loader->name, line, column, warning, text, size,
                message ? message : "out of memory");
}

__attribute__((format(printf, 4, 0))) static void report_node(Loader *loader, struct fy_node *node,
                                                              bool warning, const char *format,
                                                              va_list arguments)
{
    unsigned line, column;
    size_t size = 0;
    const char *text = node && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &size) : NULL;

    loader_place(loader, node, &line, &column);
    report(loader, line, column, warning, text, size, format, arguments);
}

void loader_error(Loader *loader, struct fy_node *node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report_node(loader, node, false, format, arguments);
    va_end(arguments);
}

void loader_warning(Loader *loader, struct fy_node *node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report_node(loader, node, true, format, arguments);
    va_end(arguments);
}

void loader_report_at(Loader *loader, unsigned line, unsigned column, bool warning,
                      const char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(loader, line, column, warning, text, text ? strlen(text) : 0, format, arguments);
    va_end(arguments);
}

static bool may_visit(Loader *loader, struct fy_node *node)
{
    if (++loader->visits <= POLICY_VISITS_MAX)
        return true;
    if (!loader->visits_reported)
        loader_error(loader, node,
                     "the policy is too large once its aliases are followed; write less");
    loader->visits_reported = true;
    return false;
}

struct fy_node *loader_follow(Loader *loader, struct fy_node *node)
{
    if (!may_visit(loader, node))
        return NULL;
    for (int hops = 0; node && fy_node_is_alias(node); hops++) {
        struct fy_node *meant = hops < 8 ? fy_node_resolve_alias(node) : NULL;
        if (!meant) {
            loader_error(loader, node,
                         "there is no anchor of this name before this alias; "
                         "define it with '&name'");
            return NULL;
        }
        node = meant;
    }
    return node;
}

static bool is_missing(struct fy_node *node)
{
    size_t size = 0;

    if (!node || fy_node_is_null(node))
        return true;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &size) : NULL;
    return text && fy_node_get_style(node) == FYNS_PLAIN &&
           (size == 0 || (size == 1 && text[0] == '~') || (size == 4 && !memcmp(text, "null", 4)));
}

/* State of one mapping while its pairs are read. */
typedef struct Mapping {
    Loader *loader;
    const Field *fields;
    size_t n_fields;
    void *object;
    const char *what;
    uint64_t seen;   /* keys that stand in the mapping itself */
    uint64_t merged; /* keys that came by "<<" */
} Mapping;

static void unknown_key(Mapping *mapping, struct fy_node *key, const char *text)
{
    const char *words[64];

    for (size_t i = 0; i < mapping->n_fields; i++)
        words[i] = mapping->fields[i].key;
    const char *nearest = nearest_word(text, words, mapping->n_fields);
    if (nearest)
        loader_error(mapping->loader, key, "unknown key in %s; did you mean \"%s\"?", mapping->what,
                     nearest);
    else
        loader_error(mapping->loader, key, "unknown key in %s; remove it (see docs/policy.md)",
                     mapping->what);
}

static void read_pair(Mapping *mapping, struct fy_node *key, struct fy_node *value, bool merging)
{
    Loader *loader = mapping->loader;
    size_t size = 0, field = 0;
    const char *raw = fy_node_is_scalar(key) ? fy_node_get_scalar(key, &size) : NULL;

    if (!raw || size > POLICY_NAME_MAX || memchr(raw, '\0', size)) {
        loader_error(loader, key, "a key of %s must be a short word", mapping->what);
        return;
    }
    char text[POLICY_NAME_MAX + 1];
    memcpy(text, raw, size);
    text[size] = '\0';
    while (field < mapping->n_fields && strcmp(mapping->fields[field].key, text) != 0)
        field++;
    if (field == mapping->n_fields) {
        unknown_key(mapping, key, text);
        return;
    }
    uint64_t bit = UINT64_C(1) << field;
    if (merging ? (mapping->seen | mapping->merged) & bit : mapping->seen & bit) {
        if (!merging)
            loader_error(loader, key, "this key stands twice in %s; keep one", mapping->what);
        return;
    }
    *(merging ? &mapping->merged : &mapping->seen) |= bit;
    struct fy_node *outer = loader->place;
    loader->place = key;
    struct fy_node *meant = value ? loader_follow(loader, value) : NULL;
    if (is_missing(value) || (meant && is_missing(meant)))
        loader_error(loader, key, "this key has no value; give one or remove the key");
    else if (meant)
        mapping->fields[field].read(loader, meant, mapping->object);
    loader->place = outer;
}

static bool is_merge_key(struct fy_node *key)
{
    size_t size = 0;
    const char *text = key && fy_node_is_scalar(key) ? fy_node_get_scalar(key, &size) : NULL;
    return text && size == 2 && memcmp(text, "<<", 2) == 0 && fy_node_get_style(key) == FYNS_PLAIN;
}

/* "<<": the keys of another mapping, where this one has none of its own. */
static void read_merge(Mapping *mapping, struct fy_node *key, struct fy_node *value)
{
    struct fy_node *other = value ? loader_follow(mapping->loader, value) : NULL;
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!other || !fy_node_is_mapping(other)) {
        loader_error(mapping->loader, key, "\"<<\" takes an alias of a mapping, as in <<: *base");
        return;
    }
    while ((pair = fy_node_mapping_iterate(other, &at)) != NULL) {
        if (is_merge_key(fy_node_pair_key(pair)))
            loader_error(mapping->loader, key, "\"<<\" within what is merged is not supported");
        else if (fy_node_pair_key(pair))
            read_pair(mapping, fy_node_pair_key(pair), fy_node_pair_value(pair), true);
    }
}

bool loader_mapping(Loader *loader, struct fy_node *node, const Field *fields, size_t n_fields,
                    void *object, const char *what, uint64_t *ret_seen)
{
    Mapping mapping = {loader, fields, n_fields, object, what, 0, 0};
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!fy_node_is_mapping(node)) {
        loader_error(loader, node, "%s must be a mapping of keys to values", what);
        return false;
    }
    while ((pair = fy_node_mapping_iterate(node, &at)) != NULL) {
        struct fy_node *key = fy_node_pair_key(pair);
        if (!key)
            loader_error(loader, node, "a key of %s must be a short word", what);
        else if (!is_merge_key(key))
            read_pair(&mapping, key, fy_node_pair_value(pair), false);
    }
    at = NULL;
    while ((pair = fy_node_mapping_iterate(node, &at)) != NULL)
        if (is_merge_key(fy_node_pair_key(pair)))
            read_merge(&mapping, fy_node_pair_key(pair), fy_node_pair_value(pair));
    if (ret_seen)
        *ret_seen = mapping.seen | mapping.merged;
    return true;
}

const char *loader_string(Loader *loader, struct fy_node *node, size_t limit)
{
    size_t size = 0;

    if (!fy_node_is_scalar(node)) {
        loader_error(loader, node, "this must be a single text");
        return NULL;
    }
    const char *text = fy_node_get_scalar(node, &size);
    if (!text || size == 0 || is_missing(node)) {
        loader_error(loader, node, "this must not be empty");
        return NULL;
    }
    if (size > limit) {
        loader_error(loader, node, "this is longer than %zu bytes", limit);
        return NULL;
    }
    if (memchr(text, '\0', size)) {
        loader_error(loader, node, "this holds a NUL byte, which no command line can");
        return NULL;
    }
    return arena_copy(loader_arena(loader), text, size);
}

/* A short scalar for the typed readers, in `room`. */
static bool short_text(Loader *loader, struct fy_node *node, char room[static 65])
{
    size_t size = 0;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &size) : NULL;

    if (!text || size == 0 || size > 64 || memchr(text, '\0', size)) {
        loader_error(loader, node, "this must be a single short word");
        return false;
    }
    memcpy(room, text, size);
    room[size] = '\0';
    return true;
}

bool loader_bool(Loader *loader, struct fy_node *node, bool *ret)
{
    char text[65];

    if (!short_text(loader, node, text))
        return false;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        loader_error(loader, node, "this must be true or false");
        return false;
    }
    *ret = text[0] == 't';
    return true;
}

bool loader_number(Loader *loader, struct fy_node *node, uint64_t most, uint64_t *ret)
{
    char text[65];

    if (!short_text(loader, node, text))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, NULL, 10);
    if (strspn(text, "0123456789") != strlen(text) || errno == ERANGE || number > most) {
        loader_error(loader, node, "this must be a whole number from 0 to %llu",
                     (unsigned long long)most);
        return false;
    }
    *ret = number;
    return true;
}

bool loader_duration(Loader *loader, struct fy_node *node, uint64_t *ret_ms)
{
    char text[65];

    if (!short_text(loader, node, text))
        return false;
    int rc = clock_parse_duration(text, ret_ms);
    if (rc == -ERANGE)
        loader_error(loader, node, "this is longer than a year");
    else if (rc < 0)
        loader_error(loader, node, "this is no duration; write for example 30s, 5m, 1h30m");
    return rc == 0;
}

int loader_word(Loader *loader, struct fy_node *node, const char *const *words, size_t n_words)
{
    char text[65], list[256] = "";

    if (!short_text(loader, node, text))
        return -1;
    for (size_t i = 0; i < n_words; i++) {
        if (strcmp(words[i], text) == 0)
            return (int)i;
        (void)snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
                       i == 0             ? ""
                       : i + 1 == n_words ? " or "
                                          : ", ",
                       words[i]);
    }
    const char *nearest = nearest_word(text, words, n_words);
    if (nearest)
        loader_error(loader, node, "this must be %s; did you mean \"%s\"?", list, nearest);
    else
        loader_error(loader, node, "this must be %s", list);
    return -1;
}

size_t loader_count(Loader *loader, struct fy_node *node, size_t limit)
{
    if (!fy_node_is_sequence(node))
        return 1;
    int count = fy_node_sequence_item_count(node);
    if (count < 0)
        return 0;
    if ((size_t)count <= limit)
        return (size_t)count;
    loader_error(loader, node, "this list has %d items; at most %zu are taken", count, limit);
    return limit;
}

void loader_each(Loader *loader, struct fy_node *node, size_t limit, ItemReader read, void *object)
{
    struct fy_node *item;
    void *at = NULL;

    if (!fy_node_is_sequence(node)) {
        read(loader, node, object);
        return;
    }
    for (size_t n = 0; n < limit && (item = fy_node_sequence_iterate(node, &at)) != NULL; n++) {
        struct fy_node *meant = loader_follow(loader, item);
        if (meant)
            read(loader, meant, object);
        else if (loader->visits_reported)
            return;
    }
}

static void read_string_item(Loader *loader, struct fy_node *item, void *object)
{
    StringList *list = object;
    const char *text = loader_string(loader, item, POLICY_STRING_MAX);
    if (text)
        list->items[list->n_items++] = text;
}

void loader_strings(Loader *loader, struct fy_node *node, size_t limit, StringList *ret)
{
    size_t count = loader_count(loader, node, limit);

    *ret = (StringList){.items = ARENA_NEW(loader_arena(loader), const char *, count)};
    if (ret->items)
        loader_each(loader, node, count, read_string_item, ret);
}

static void read_path_item(Loader *loader, struct fy_node *item, void *object)
{
    StringList *list = object;
    const char *text = loader_string(loader, item, PATH_ROOM - 1);
    char room[PATH_ROOM];

    if (!text)
        return;
    if (!path_normalise(text, room)) {
        loader_error(loader, item, "this must be an absolute path, as in /app/*");
        return;
    }
    char *copy = arena_copy(loader_arena(loader), room, strlen(room));
    if (copy)
        list->items[list->n_items++] = copy;
}

void loader_paths(Loader *loader, struct fy_node *node, StringList *ret)
{
    size_t count = loader_count(loader, node, POLICY_LIST_MAX);

    *ret = (StringList){.items = ARENA_NEW(loader_arena(loader), const char *, count)};
    if (ret->items)
        loader_each(loader, node, count, read_path_item, ret);
}
