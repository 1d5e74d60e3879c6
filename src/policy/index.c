/*
 * Looking rules up. See index.h.
 */
#include "policy/index.h"

#include <string.h>

#include "policy/index-keys.h"

#define WORDS_KEPT 64

typedef struct Search {
    const Policy *policy;
    const Index *index;
    Judging *judging;
    size_t best;
    bool gave_up;
    size_t n_words; /* keys of the arguments, computed once; 0 until then */
    uint64_t words[WORDS_KEPT];
} Search;

/* Judges the rules of one list, in order, as long as they would come before the best so far. */
static void try_list(Search *search, const Slot *slot)
{
    const uint32_t *rules = slot_rules(slot);

    for (uint32_t i = 0; i < slot->n_rules && rules[i] < search->best; i++) {
        RuleOutcome outcome = rule_judge(search->judging, &search->policy->rules[rules[i]], NULL);
        if (outcome == RULE_NO)
            continue;
        search->best = rules[i];
        search->gave_up = outcome == RULE_GAVE_UP;
        return;
    }
}

static void try_key(Search *search, uint64_t key)
{
    const Slot *slot = index_slot(search->index, key);
    if (slot)
        try_list(search, slot);
}

static uint64_t word_key(Search *search, size_t at)
{
    const char *word = search->judging->args[at];
    size_t size;

    if (at < search->n_words)
        return search->words[at];
    size = strnlen(word, KEY_WORD_MAX + 1);
    return size <= KEY_WORD_MAX ? key_word(word, size) : 0;
}

static void try_words(Search *search, uint64_t bucket)
{
    Judging *judging = search->judging;
    size_t n_kept = judging->n_args < WORDS_KEPT ? judging->n_args : WORDS_KEPT;

    if (search->n_words < n_kept) {
        for (size_t i = 0; i < n_kept; i++)
            search->words[i] = word_key(search, i);
        search->n_words = n_kept;
    }
    for (size_t i = 0; i < judging->n_args && judging_charge(judging, 1); i++) {
        uint64_t word = word_key(search, i);
        if (word)
            try_key(search, key_within(bucket, word));
    }
}

static void try_windows(Search *search, uint64_t bucket, unsigned sizes)
{
    size_t size;
    const char *joined = judging_joined(search->judging, &size);

    for (size_t window = 1; window <= 8; window *= 2) {
        if (!(sizes & window) || !judging_charge(search->judging, size / 4))
            continue;
        for (size_t at = 0; at + window <= size && !search->judging->spent; at++)
            try_key(search, key_within(bucket, key_window(joined + at, window)));
    }
}

static void try_bucket(Search *search, uint64_t unmixed)
{
    uint64_t bucket = key_done(unmixed);
    const Slot *slot = index_slot(search->index, bucket);

    if (!slot || search->judging->spent)
        return;
    try_list(search, slot);
    if (slot->words)
        try_words(search, bucket);
    if (slot->windows)
        try_windows(search, bucket, slot->windows);
}

static void try_pieces(Search *search, KeySpace space, const char *text, size_t size)
{
    uint64_t sizes = search->index->piece_sizes[space];

    if (sizes == 0 || !judging_charge(search->judging, size * 4))
        return;
    for (size_t begin = 0; begin < size; begin++) {
        uint64_t key = key_start(space, KEY_PIECE);
        for (size_t i = 1; i <= KEY_PIECE_MAX && begin + i <= size; i++) {
            key = key_add(key, text[begin + i - 1]);
            if (sizes >> i & 1)
                try_bucket(search, key);
        }
    }
}

static void try_text(Search *search, KeySpace space, const char *text)
{
    const Index *index = search->index;
    size_t size = strlen(text);

    if (!judging_charge(search->judging, 1 + size / 8))
        return;
    try_bucket(search, key_add_all(key_start(space, KEY_EXACT), text, size));
    uint64_t key = key_start(space, KEY_BEGIN), sizes = index->begin_sizes[space];
    for (size_t i = 1; i <= size && sizes >> i != 0; i++) {
        key = key_add(key, text[i - 1]);
        if (sizes >> i & 1)
            try_bucket(search, key);
    }
    key = key_start(space, KEY_END);
    sizes = index->end_sizes[space];
    for (size_t i = 1; i <= size && sizes >> i != 0; i++) {
        key = key_add(key, text[size - i]);
        if (sizes >> i & 1)
            try_bucket(search, key);
    }
    try_pieces(search, space, text, size);
    try_bucket(search, key_start(space, KEY_ALL));
}

size_t index_find(const Policy *policy, Judging *judging, bool *ret_gave_up)
{
    Search search;

    search.policy = policy;
    search.index = policy->index;
    search.judging = judging;
    search.best = SIZE_MAX;
    search.gave_up = false;
    search.n_words = 0;
    try_text(&search, KEY_NAMES, judging->query->name);
    if (judging->exe_name && strcmp(judging->exe_name, judging->query->name) != 0)
        try_text(&search, KEY_NAMES, judging->exe_name);
    if (judging->query->exe)
        try_text(&search, KEY_PATHS, judging->query->exe);
    *ret_gave_up = search.gave_up;
    return search.best;
}

size_t index_find_slowly(const Policy *policy, Judging *judging, bool *ret_gave_up)
{
    *ret_gave_up = false;
    for (size_t i = 0; i < policy->n_rules; i++) {
        RuleOutcome outcome = rule_judge(judging, &policy->rules[i], NULL);
        if (outcome == RULE_NO)
            continue;
        *ret_gave_up = outcome == RULE_GAVE_UP;
        return i;
    }
    return SIZE_MAX;
}
