/*
 * A line of the journal, looked at without a JSON parser: where its members are. The writer's form
 * is fixed (journal/line.h), and a quote inside a string is always escaped, so a line need only be
 * walked once; nothing is copied or decoded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Slice {
    const char *bytes; /* not terminated; NULL: there is none */
    size_t size;
} Slice;

typedef struct RecordView {
    uint64_t seq;
    Slice ts, event, jail; /* without quotes; these never hold an escape */
    Slice command;         /* raw JSON */
    size_t searched;       /* bytes of the line that say something: all before "prev" and "hash" */
} RecordView;

/* 0, or -EBADMSG when the line is no record. */
int record_view(const char *line, size_t size, RecordView *ret);

bool slice_is(Slice slice, const char *text);
/* Compares with the order of memcmp(3); a shorter one is less. */
int slice_compare(Slice slice, const char *text);
/* The word stands somewhere in the bytes, ASCII letters of either case. */
bool slice_has_word(Slice slice, const char *word);
