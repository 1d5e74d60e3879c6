/*
 * The keys of the index: what a rule is filed under and what a query looks for. Private to
 * index.c and index-build.c.
 */
#pragma once

#include <string.h>

#include "policy/index.h"

#define KEY_PART_MAX 32  /* bytes of a glob's beginning or end that count */
#define KEY_PIECE_MAX 16 /* bytes of a glob's middle that count */
#define KEY_WORD_MAX 64  /* longer arguments are not used as keys */

typedef enum KeyKind {
    KEY_EXACT = 1, /* the whole name */
    KEY_BEGIN,     /* a beginning */
    KEY_END,       /* an end, hashed backwards */
    KEY_PIECE,     /* a piece from anywhere */
    KEY_ALL,       /* whatever the name */
} KeyKind;

typedef enum KeySpace { KEY_NAMES = 1, KEY_PATHS } KeySpace;

/* FNV-1a, one byte at a time so that all beginnings of a text cost one pass. */
static inline uint64_t key_start(KeySpace space, KeyKind kind)
{
    return UINT64_C(0xcbf29ce484222325) ^
           ((uint64_t)space << 8 | (uint64_t)kind) * 0x9e3779b97f4a7c15;
}
static inline uint64_t key_add(uint64_t key, char c)
{
    return (key ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}
static inline uint64_t key_add_all(uint64_t key, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        key = key_add(key, text[i]);
    return key;
}
/* The final mix (of splitmix64), so that the table may use the low bits. */
static inline uint64_t key_done(uint64_t key)
{
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    key ^= key >> 31;
    return key ? key : 1; /* 0 marks a free slot */
}

/* A whole argument, and a window of the joined arguments. */
static inline uint64_t key_word(const char *word, size_t size)
{
    return key_done(key_add_all(UINT64_C(0x77), word, size));
}
/* Windows have 8, 4, 2 or 1 bytes. */
static inline uint64_t key_window(const char *at, size_t size)
{
    uint64_t bytes = 0;
    memcpy(&bytes, at, size);
    return key_done(bytes * UINT64_C(0x9e3779b97f4a7c15) + size);
}
static inline uint64_t key_within(uint64_t bucket, uint64_t inner)
{
    return key_done(bucket ^ (inner * UINT64_C(0xd6e8feb86659fd93)));
}

typedef struct Slot {
    uint64_t key; /* 0: free */
    union {
        uint32_t only;         /* of one rule: it itself, which saves a look elsewhere */
        const uint32_t *rules; /* of more */
    };
    uint32_t n_rules;
    uint8_t windows; /* sizes of windows (a bit each) filed under this bucket */
    bool words;      /* whole arguments are filed under this bucket */
} Slot;

static inline const uint32_t *slot_rules(const Slot *slot)
{
    return slot->n_rules == 1 ? &slot->only : slot->rules;
}

/* Most keys that are looked for are not there, and the slots of a large policy do not fit into the
 * fast caches: a filter of 16 bits for each key answers nearly all of those. */
struct Index {
    Slot *slots;
    uint64_t *filter;
    size_t mask;
    size_t filter_mask;                                    /* of bits */
    uint64_t begin_sizes[3], end_sizes[3], piece_sizes[3]; /* by KeySpace, a bit per size */
};

static inline const Slot *index_slot(const Index *index, uint64_t key)
{
    size_t bit = (key >> 24) & index->filter_mask;

    if (!(index->filter[bit / 64] >> (bit % 64) & 1))
        return NULL;
    for (size_t at = key & index->mask;; at = (at + 1) & index->mask) {
        const Slot *slot = &index->slots[at];
        if (slot->key == key)
            return slot;
        if (slot->key == 0)
            return NULL;
    }
}
