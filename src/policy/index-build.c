/*
 * Filing the rules. See index.h.
 *
 * Two passes: the first counts how often each possible key occurs, the second files each rule under
 * the choice of keys that it shares with the fewest others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/index-keys.h"

#define KEYS_PER_RULE_MAX 10000
#define CHOICES_MAX 16
#define WINDOWED_MIN 8 /* fewer old-form rules on one command are just tried */

typedef struct Entry {
    uint64_t key;
    uint32_t rule;
} Entry;

typedef struct Entries {
    Entry *items;
    size_t n_items, room;
    bool failed;
} Entries;

static void add_entry(Entries *entries, uint64_t key, size_t rule)
{
    if (entries->n_items == entries->room) {
        size_t room = entries->room ? 2 * entries->room : 1024;
        Entry *larger = reallocarray(entries->items, room, sizeof *larger);
        if (!larger) {
            entries->failed = true;
            return;
        }
        entries->items = larger;
        entries->room = room;
    }
    entries->items[entries->n_items++] = (Entry){.key = key, .rule = (uint32_t)rule};
}

static int by_key(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

/* The first entry whose key is at least `key`; they are sorted. */
static size_t lower_bound(const Entries *entries, uint64_t key)
{
    size_t low = 0, high = entries->n_items;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries->items[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t count_key(const Entries *entries, uint64_t key)
{
    size_t end = key == UINT64_MAX ? entries->n_items : lower_bound(entries, key + 1);
    return end - lower_bound(entries, key);
}

/* One text of which each is enough, one of which must be among the arguments (or within them). */
typedef struct Choice {
    uint64_t keys[32];
    size_t n_keys;
    uint8_t windows; /* sizes used; 0: whole arguments */
} Choice;

static void choose_word(Choice *choice, bool *usable, const char *text, size_t size)
{
    if (size > KEY_WORD_MAX || choice->n_keys == ARRAY_SIZE(choice->keys))
        *usable = false;
    else
        choice->keys[choice->n_keys++] = key_word(text, size);
}

static bool patterns_choice(const ArgPatterns *patterns, Choice *choice)
{
    bool usable = patterns->n_items > 0;

    *choice = (Choice){0};
    for (size_t i = 0; i < patterns->n_items && usable; i++) {
        const ArgPattern *pattern = &patterns->items[i];
        if (pattern->option || pattern->whole.kind != PATTERN_EXACT)
            return false;
        choose_word(choice, &usable, pattern->whole.text, pattern->whole.size);
    }
    return usable;
}

/* Every other name that some tool has for the subcommand. Which tool is called is known only when a
 * query comes (a link may hide it), so the names of all of them are keys. */
static void choose_other_names(Choice *choice, bool *usable, const char *word)
{
    const Tool *tool;

    for (size_t t = 0; (tool = tool_at(t)) != NULL && *usable; t++) {
        const Subcommand *subcommand = tool_subcommand(tool, word, strlen(word));
        for (const char *name = subcommand ? subcommand->names : ""; *name && *usable;) {
            size_t size = strcspn(name, " ");
            choose_word(choice, usable, name, strcspn(name, " +"));
            name += size + (name[size] == ' ');
        }
    }
}

static bool after_choice(const Rule *rule, const ArgvMatch *match, Choice *choice)
{
    bool usable = match->n_after > 0;

    *choice = (Choice){0};
    for (size_t i = 0; i < match->n_after && usable; i++) {
        const char *word = match->after[i].words[0];
        choose_word(choice, &usable, word, strlen(word));
        if (rule->action != POLICY_ALLOW) /* generously any of its names counts */
            choose_other_names(choice, &usable, word);
    }
    return usable;
}

static size_t window_size(size_t size)
{
    return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

/* The first or the last bytes of each text. */
static bool args_choice(const Rule *rule, bool last, Choice *choice)
{
    *choice = (Choice){0};
    if (rule->args.n_items == 0 || rule->args.n_items > ARRAY_SIZE(choice->keys))
        return false;
    for (size_t i = 0; i < rule->args.n_items; i++) {
        const char *text = rule->args.items[i];
        size_t size = strlen(text), window = window_size(size);
        choice->keys[choice->n_keys++] = key_window(last ? text + size - window : text, window);
        choice->windows |= (uint8_t)window;
    }
    return true;
}

static size_t list_choices(const Rule *rule, Choice choices[static CHOICES_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < rule->n_argv && n + 6 < CHOICES_MAX; i++) {
        const ArgvMatch *match = &rule->argv[i];
        n += after_choice(rule, match, &choices[n]);
        n += patterns_choice(&match->any, &choices[n]);
        for (size_t a = 0; a < match->all.n_items && a < 3; a++) {
            ArgPatterns one = {.items = &match->all.items[a], .n_items = 1};
            n += patterns_choice(&one, &choices[n]);
        }
    }
    if (n + 2 <= CHOICES_MAX) {
        n += args_choice(rule, false, &choices[n]);
        n += args_choice(rule, true, &choices[n]);
    }
    return n;
}

/* The longest literal piece between wildcards; *ret_size 0 if there is none. */
static const char *longest_piece(const char *glob, size_t size, size_t *ret_size)
{
    const char *longest = glob;
    *ret_size = 0;
    for (size_t at = 0; at < size;) {
        size_t piece = glob_literal_prefix(glob + at, size - at);
        if (piece > *ret_size) {
            *ret_size = piece;
            longest = glob + at;
        }
        at += piece;
        if (at < size && glob[at] == '[') { /* what stands in a set is no literal */
            const char *end = at + 2 < size ? memchr(glob + at + 2, ']', size - at - 2) : NULL;
            at = end ? (size_t)(end - glob) : size;
        } else if (at < size && glob[at] == '\\') {
            at++;
        }
        at++;
    }
    return longest;
}

/* The bytes behind the last thing that is not literal. */
static size_t literal_end(const char *glob, size_t size)
{
    size_t literal = 0;
    if (memchr(glob, '[', size) || memchr(glob, ']', size) || memchr(glob, '\\', size))
        return 0;
    while (literal < size && !strchr("*?", glob[size - 1 - literal]))
        literal++;
    return literal;
}

static uint64_t glob_key(Index *index, KeySpace space, const char *glob, size_t size)
{
    size_t begin = glob_literal_prefix(glob, size), end = literal_end(glob, size), piece;

    if (begin > 0 && begin >= end) {
        begin = begin < KEY_PART_MAX ? begin : KEY_PART_MAX;
        index->begin_sizes[space] |= UINT64_C(1) << begin;
        return key_add_all(key_start(space, KEY_BEGIN), glob, begin);
    }
    if (end > 0) {
        uint64_t key = key_start(space, KEY_END);
        end = end < KEY_PART_MAX ? end : KEY_PART_MAX;
        index->end_sizes[space] |= UINT64_C(1) << end;
        for (size_t i = 1; i <= end; i++)
            key = key_add(key, glob[size - i]);
        return key;
    }
    const char *text = longest_piece(glob, size, &piece);
    if (piece == 0)
        return key_start(space, KEY_ALL);
    piece = piece < KEY_PIECE_MAX ? piece : KEY_PIECE_MAX;
    index->piece_sizes[space] |= UINT64_C(1) << piece;
    return key_add_all(key_start(space, KEY_PIECE), text, piece);
}

static uint64_t command_key(Index *index, const CommandPattern *command)
{
    KeySpace space =
        command->kind == COMMAND_NAME || command->kind == COMMAND_NAME_GLOB ? KEY_NAMES : KEY_PATHS;

    if (command->kind == COMMAND_NAME || command->kind == COMMAND_PATH)
        return key_done(key_add_all(key_start(space, KEY_EXACT), command->text, command->size));
    return key_done(glob_key(index, space, command->text, command->size));
}

typedef struct Builder {
    const Policy *policy;
    Index *index;
    Entries counted; /* all keys that could be used */
    Entries filed;
    Entries inner; /* bucket → 0x100 | window sizes, as `rule` */
} Builder;

static void count_rule(Builder *builder, size_t rule_number)
{
    const Rule *rule = &builder->policy->rules[rule_number];
    Choice choices[CHOICES_MAX];
    size_t n_choices = list_choices(rule, choices);

    for (size_t c = 0; c < rule->n_commands; c++) {
        uint64_t bucket = command_key(builder->index, &rule->commands[c]);
        add_entry(&builder->counted, bucket, rule_number);
        for (size_t i = 0; i < n_choices && rule->n_commands * 32 < KEYS_PER_RULE_MAX; i++)
            for (size_t k = 0; k < choices[i].n_keys; k++)
                add_entry(&builder->counted, key_within(bucket, choices[i].keys[k]), rule_number);
    }
}

static void file_rule(Builder *builder, size_t rule_number)
{
    const Rule *rule = &builder->policy->rules[rule_number];
    Choice choices[CHOICES_MAX];
    size_t n_choices = list_choices(rule, choices);

    for (size_t c = 0; c < rule->n_commands; c++) {
        uint64_t bucket = command_key(builder->index, &rule->commands[c]);
        size_t shared = count_key(&builder->counted, bucket);
        size_t fewest = shared;
        const Choice *best = NULL;
        for (size_t i = 0; i < n_choices && rule->n_commands * 32 < KEYS_PER_RULE_MAX; i++) {
            size_t most = 0;
            if (choices[i].windows && shared < WINDOWED_MIN)
                continue;
            for (size_t k = 0; k < choices[i].n_keys; k++) {
                size_t count = count_key(&builder->counted, key_within(bucket, choices[i].keys[k]));
                most = count > most ? count : most;
            }
            if (most < fewest) {
                fewest = most;
                best = &choices[i];
            }
        }
        if (!best) {
            add_entry(&builder->filed, bucket, rule_number);
            continue;
        }
        add_entry(&builder->inner, bucket, best->windows ? best->windows : 0x100);
        for (size_t k = 0; k < best->n_keys; k++)
            add_entry(&builder->filed, key_within(bucket, best->keys[k]), rule_number);
    }
}

static Slot *slot_for(Index *index, uint64_t key)
{
    size_t at = key & index->mask;
    while (index->slots[at].key != 0 && index->slots[at].key != key)
        at = (at + 1) & index->mask;
    index->slots[at].key = key;
    size_t bit = (key >> 24) & index->filter_mask;
    index->filter[bit / 64] |= UINT64_C(1) << (bit % 64);
    return &index->slots[at];
}

static int fill_slots(Builder *builder, Arena *arena)
{
    Index *index = builder->index;
    Entries *filed = &builder->filed;
    size_t room = 16;

    while (room < 2 * (filed->n_items + builder->inner.n_items))
        room *= 2;
    index->slots = ARENA_NEW(arena, Slot, room);
    index->filter = ARENA_NEW(arena, uint64_t, room * 8 / 64);
    uint32_t *numbers = ARENA_NEW(arena, uint32_t, filed->n_items);
    if (!index->slots || !index->filter || !numbers)
        return -ENOMEM;
    index->mask = room - 1;
    index->filter_mask = room * 8 - 1;
    for (size_t i = 0; i < filed->n_items; i++)
        numbers[i] = filed->items[i].rule;
    for (size_t begin = 0, end; begin < filed->n_items; begin = end) {
        Slot *slot = slot_for(index, filed->items[begin].key);
        for (end = begin; end < filed->n_items && filed->items[end].key == slot->key; end++)
            slot->n_rules++;
        if (slot->n_rules == 1)
            slot->only = numbers[begin];
        else
            slot->rules = &numbers[begin];
    }
    for (size_t i = 0; i < builder->inner.n_items; i++) {
        Slot *slot = slot_for(index, builder->inner.items[i].key);
        if (builder->inner.items[i].rule == 0x100)
            slot->words = true;
        else
            slot->windows |= (uint8_t)builder->inner.items[i].rule;
    }
    return 0;
}

static int build(Builder *builder, Arena *arena)
{
    for (size_t i = 0; i < builder->policy->n_rules; i++)
        count_rule(builder, i);
    if (builder->counted.failed)
        return -ENOMEM;
    if (builder->counted.n_items > 0)
        qsort(builder->counted.items, builder->counted.n_items, sizeof(Entry), by_key);
    for (size_t i = 0; i < builder->policy->n_rules; i++)
        file_rule(builder, i);
    if (builder->filed.failed || builder->inner.failed)
        return -ENOMEM;
    if (builder->filed.n_items > 0)
        qsort(builder->filed.items, builder->filed.n_items, sizeof(Entry), by_key);
    return fill_slots(builder, arena);
}

int index_build(Policy *policy)
{
    Builder builder = {.policy = policy, .index = ARENA_NEW(&policy->arena, Index, 1)};
    int rc = builder.index ? build(&builder, &policy->arena) : -ENOMEM;

    free(builder.counted.items);
    free(builder.filed.items);
    free(builder.inner.items);
    policy->index = builder.index;
    return rc;
}
