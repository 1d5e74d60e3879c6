/*
 * The keys `argv` and `options` of a rule.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/loader.h"

#define PATTERNS_MAX 2000

/* "-f", "--force", "--format=VALUE", "-c VALUE" and what of it is literal. */
static void split_option(Loader *loader, ArgPattern *pattern)
{
    const char *text = pattern->whole.text;
    size_t size = pattern->whole.size;
    size_t dashes = text[1] == '-' ? 2 : 1;
    size_t name = strcspn(text, "= ");

    pattern->option = size > 1 && text[0] == '-' && strcmp(text, "--") != 0;
    if (!pattern->option || pattern->whole.kind == PATTERN_REGEX || name <= dashes ||
        pattern_has_wildcard(text, name))
        return;
    pattern->name = text + dashes;
    pattern->name_size = name - dashes;
    pattern->single_dash = dashes == 1;
    pattern->letter = dashes == 1 && pattern->name_size == 1;
    pattern->has_value = text[name] != '\0';
    if (pattern->has_value && pattern_of_text(loader_arena(loader), text + name + 1,
                                              strlen(text + name + 1), &pattern->value) < 0)
        loader->error = -ENOMEM;
}

static void read_regex_text(Loader *loader, struct fy_node *value, void *object)
{
    ArgPattern *pattern = object;
    const char *text = loader_string(loader, value, POLICY_STRING_MAX);
    char message[256];

    if (!text)
        return;
    int rc = pattern_of_regex(loader_arena(loader), &loader->policy->regexes, text, strlen(text),
                              false, &pattern->whole, message);
    if (rc > 0)
        loader_error(loader, value, "this is no regular expression: %s", message);
    else if (rc < 0)
        loader->error = rc;
}

static void read_exact_text(Loader *loader, struct fy_node *value, void *object)
{
    ArgPattern *pattern = object;
    size_t size = 0;
    const char *text = fy_node_is_scalar(value) ? fy_node_get_scalar(value, &size) : NULL;

    if (!text || size > POLICY_STRING_MAX || memchr(text, '\0', size))
        loader_error(loader, value, "this must be a single text");
    else
        pattern->whole = (Pattern){.kind = PATTERN_EXACT,
                                   .text = arena_copy(loader_arena(loader), text, size),
                                   .size = size};
}

static void read_pattern(Loader *loader, struct fy_node *item, void *object)
{
    static const Field fields[] = {{"regex", read_regex_text}, {"exact", read_exact_text}};
    ArgPatterns *patterns = object;
    ArgPattern *pattern = &patterns->items[patterns->n_items];
    uint64_t seen = 0;

    if (fy_node_is_mapping(item)) {
        if (!loader_mapping(loader, item, fields, ARRAY_SIZE(fields), pattern, "a pattern", &seen))
            return;
        if (seen != 1 && seen != 2)
            loader_error(loader, item, "a pattern is a text, {regex: …} or {exact: …}");
    } else {
        const char *text = loader_string(loader, item, POLICY_STRING_MAX);
        if (!text)
            return;
        if (pattern_of_text(loader_arena(loader), text, strlen(text), &pattern->whole) < 0)
            loader->error = -ENOMEM;
    }
    if (!pattern->whole.text)
        return;
    if (pattern->whole.size > 0)
        split_option(loader, pattern);
    patterns->n_items++;
}

/* An item may be a list itself (an alias of one): then all of its patterns are meant. */
typedef struct PatternReading {
    ArgPatterns *patterns;
    size_t count;
} PatternReading;

static void count_pattern(Loader *loader, struct fy_node *item, void *object)
{
    PatternReading *reading = object;
    reading->count += loader_count(loader, item, PATTERNS_MAX);
}

static void read_pattern_or_list(Loader *loader, struct fy_node *item, void *object)
{
    PatternReading *reading = object;
    if (reading->patterns->n_items < reading->count)
        loader_each(loader, item, reading->count - reading->patterns->n_items, read_pattern,
                    reading->patterns);
}

static void read_patterns(Loader *loader, struct fy_node *value, ArgPatterns *patterns)
{
    size_t count = loader_count(loader, value, PATTERNS_MAX);
    PatternReading reading = {.patterns = patterns};

    loader_each(loader, value, count, count_pattern, &reading);
    if (reading.count > PATTERNS_MAX) {
        loader_error(loader, value, "these are %zu patterns; at most %d are taken", reading.count,
                     PATTERNS_MAX);
        return;
    }
    patterns->items = ARENA_NEW(loader_arena(loader), ArgPattern, reading.count);
    if (patterns->items)
        loader_each(loader, value, count, read_pattern_or_list, &reading);
}

/* A list that must say something. */
static void read_some_patterns(Loader *loader, struct fy_node *value, ArgPatterns *patterns)
{
    if (loader_count(loader, value, PATTERNS_MAX) == 0)
        loader_error(loader, value, "this list needs at least one pattern");
    read_patterns(loader, value, patterns);
}

static void read_any(Loader *loader, struct fy_node *value, void *object)
{
    read_some_patterns(loader, value, &((ArgvMatch *)object)->any);
}

static void read_all(Loader *loader, struct fy_node *value, void *object)
{
    read_some_patterns(loader, value, &((ArgvMatch *)object)->all);
}

static void read_none(Loader *loader, struct fy_node *value, void *object)
{
    read_some_patterns(loader, value, &((ArgvMatch *)object)->none);
}

static void read_only(Loader *loader, struct fy_node *value, void *object)
{
    ArgvMatch *match = object;
    match->has_only = true; /* an empty list: no arguments at all */
    read_patterns(loader, value, &match->only);
}

static void check_global(Loader *loader, struct fy_node *item, void *object)
{
    size_t size = 0;
    const char *text = fy_node_is_scalar(item) ? fy_node_get_scalar(item, &size) : NULL;

    (void)object;
    if (!text || size < 2 || text[0] != '-')
        loader_error(loader, item,
                     "globals lists options, as in \"-C\" or "
                     "\"-c core.fsmonitor=false\"");
}

static void read_globals(Loader *loader, struct fy_node *value, void *object)
{
    ArgvMatch *match = object;
    match->has_globals = true;
    read_some_patterns(loader, value, &match->globals);
    loader_each(loader, value, PATTERNS_MAX, check_global, NULL);
}

static void read_after_item(Loader *loader, struct fy_node *item, void *object)
{
    ArgvMatch *match = object;
    AfterWords *after = &match->after[match->n_after];
    char *text = (char *)loader_string(loader, item, POLICY_NAME_MAX);

    if (!text)
        return;
    after->words = ARENA_NEW(loader_arena(loader), const char *, strlen(text) / 2 + 1);
    if (!after->words)
        return;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (word[0] == '-')
            loader_error(loader, item, "after names a subcommand; it cannot be an option");
        after->words[after->n_words++] = word;
    }
    if (after->n_words == 0)
        loader_error(loader, item, "this must not be empty");
    else
        match->n_after++;
}

static void read_after(Loader *loader, struct fy_node *value, void *object)
{
    ArgvMatch *match = object;
    size_t count = loader_count(loader, value, PATTERNS_MAX);

    match->after = ARENA_NEW(loader_arena(loader), AfterWords, count);
    if (match->after)
        loader_each(loader, value, count, read_after_item, match);
    if (count == 0)
        loader_error(loader, value, "after needs at least one subcommand");
}

static void read_position(Loader *loader, struct fy_node *value, void *object)
{
    uint64_t number;
    if (!loader_number(loader, value, 1000, &number))
        return;
    if (number == 0)
        loader_error(loader, value, "positions count from 1, the first argument that is no option");
    ((ArgvMatch *)object)->position = (size_t)number;
}

static void read_operands(Loader *loader, struct fy_node *value, void *object)
{
    uint64_t number;
    ArgvMatch *match = object;
    match->has_operands = loader_number(loader, value, 1000000, &number);
    if (match->has_operands)
        match->operands = (size_t)number;
}

static void read_argv_mapping(Loader *loader, struct fy_node *node, ArgvMatch *match)
{
    static const Field fields[] = {
        {"any", read_any},     {"all", read_all},         {"none", read_none},
        {"only", read_only},   {"after", read_after},     {"position", read_position},
        {"at", read_position}, {"globals", read_globals}, {"operands", read_operands},
    };
    uint64_t seen = 0;

    if (!loader_mapping(loader, node, fields, ARRAY_SIZE(fields), match, "argv", &seen))
        return;
    if (seen == 0)
        loader_error(loader, node, "argv says nothing; give any, all, none, only or after");
    if (match->has_globals && match->n_after == 0)
        loader_error(loader, node, "globals stand before a subcommand; give after, too");
    if (match->has_operands && !match->has_only)
        loader_error(loader, node, "operands limits how many arguments only may take; give only");
    if (match->position > 0 && !match->has_only &&
        match->any.n_items + match->all.n_items + match->none.n_items == 0)
        loader_error(loader, node, "position needs any, all, none or only");
}

static void read_argv_item(Loader *loader, struct fy_node *item, void *object)
{
    Rule *rule = object;
    read_argv_mapping(loader, item, &rule->argv[rule->n_argv++]);
}

/* A mapping, a list of mappings (all must hold), or a list of patterns (all must occur). */
void schema_read_argv(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    size_t count = loader_count(loader, value, 100);
    struct fy_node *first =
        fy_node_is_sequence(value) ? fy_node_sequence_get_by_index(value, 0) : value;

    if (!first) {
        loader_error(loader, value,
                     "argv must not be empty; for \"no arguments\" write {only: []}");
        return;
    }
    rule->argv = ARENA_NEW(loader_arena(loader), ArgvMatch, count);
    if (!rule->argv)
        return;
    if (fy_node_is_mapping(first) && !fy_node_mapping_lookup_by_string(first, "regex", 5) &&
        !fy_node_mapping_lookup_by_string(first, "exact", 5)) {
        loader_each(loader, value, count, read_argv_item, rule);
    } else {
        rule->n_argv = 1;
        read_patterns(loader, value, &rule->argv[0].all);
    }
}

/* One spelling of an option: "-f", "--force", "-m=" (takes a value), "--color[=]" (may take one),
 * "-name" (a word behind one dash). */
static bool read_spelling(Loader *loader, struct fy_node *item, const char *text, Option *option,
                          char *letters, char *names, bool *ret_word)
{
    size_t dashes = strspn(text, "-"), size = strcspn(text + dashes, "=[");
    const char *name = text + dashes, *tail = name + size;
    OptionArgument argument = strcmp(tail, "=") == 0     ? OPTION_VALUE
                              : strcmp(tail, "[=]") == 0 ? OPTION_OPTIONAL
                                                         : OPTION_FLAG;

    if (dashes < 1 || dashes > 2 || size == 0 || (argument == OPTION_FLAG && *tail) ||
        strcspn(name, " \t\n") < size) {
        loader_error(loader, item,
                     "an option is spelled \"-f\" or \"--force\"; with a value "
                     "\"-m=\", with an optional value \"--color[=]\"");
        return false;
    }
    if (argument > option->argument)
        option->argument = argument;
    if (dashes == 1 && size == 1) {
        letters[strlen(letters)] = name[0];
        return true;
    }
    *ret_word |= dashes == 1;
    size_t used = strlen(names); /* there is room for every spelling and a space between them */
    if (used > 0)
        names[used++] = ' ';
    memcpy(names + used, name, size);
    return true;
}

typedef struct Spellings {
    Rule *rule;
    Option *option;
    char *letters, *names;
} Spellings;

static void read_spelling_item(Loader *loader, struct fy_node *item, void *object)
{
    Spellings *spellings = object;
    const char *text = loader_string(loader, item, POLICY_NAME_MAX);

    if (text)
        (void)read_spelling(loader, item, text, spellings->option, spellings->letters,
                            spellings->names, &spellings->rule->option_words);
}

void schema_read_options(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    struct fy_node_pair *pair;
    void *at = NULL;
    int count = fy_node_is_mapping(value) ? fy_node_mapping_item_count(value) : -1;

    if (count < 0 || count > 1000) {
        loader_error(loader, value,
                     "options maps names to spellings, as in "
                     "{force: [\"-f\", \"--force\"]}");
        return;
    }
    Option *options = ARENA_NEW(loader_arena(loader), Option, (size_t)count);
    for (size_t i = 0; options && (pair = fy_node_mapping_iterate(value, &at)) != NULL; i++) {
        struct fy_node *list =
            fy_node_pair_value(pair) ? loader_follow(loader, fy_node_pair_value(pair)) : NULL;
        if (!list || fy_node_is_null(list)) {
            loader_error(loader, fy_node_pair_key(pair), "this option has no spellings");
            return;
        }
        loader->place = fy_node_pair_key(pair);
        size_t spelled = loader_count(loader, list, 20);
        Spellings spellings = {rule, &options[i],
                               ARENA_NEW(loader_arena(loader), char, spelled + 1),
                               ARENA_NEW(loader_arena(loader), char, spelled *POLICY_NAME_MAX + 1)};
        if (!spellings.letters || !spellings.names)
            return;
        loader_each(loader, list, spelled, read_spelling_item, &spellings);
        options[i].letters = spellings.letters;
        options[i].names = spellings.names;
        rule->options.n_items = i + 1;
    }
    rule->options.items = options;
}
