/*
 * Walking over the journal's lines, forwards or backwards, in small steps: the loop that everything
 * else of the api runs on must not wait for a long journal. Reads with pread(2) only.
 *
 * Lines are in the order of their seq within a segment and from segment to segment, so where to
 * begin is found by halving. Damaged lines are stepped over. A line that is not whole yet, at the
 * end of the newest segment, is not there yet.
 */
#pragma once

#include "api/segments.h"

typedef struct Scan Scan;

typedef enum ScanStep { SCAN_END, SCAN_LINE, SCAN_PAUSE } ScanStep;

typedef struct ScanLine {
    const char *bytes; /* valid until the next step; no line feed */
    size_t size;
    uint64_t seq;
} ScanLine;

/* Lines with `first` <= seq <= `last`. Takes a reference of the set. 0 or -errno. */
int scan_new(Scan **ret, SegmentSet *set, uint64_t first, uint64_t last, bool backwards);
Scan *scan_free(Scan *scan); /* accepts NULL, returns NULL */

/* The next line, or SCAN_PAUSE when about `*budget` bytes have been read (the rest is in it), or
 * SCAN_END; -errno. */
int scan_next(Scan *scan, size_t *budget, ScanLine *ret);
/* Bytes read so far. */
uint64_t scan_bytes(const Scan *scan);
