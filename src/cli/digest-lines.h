/*
 * Requests of quiet rules in one line per rule and jail: they wait, but do not ask for attention.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

typedef struct DigestLine {
    char *rule, *jail; /* owned, in display form */
    size_t n_requests;
    unsigned long long n_waiters;
} DigestLine;

typedef struct DigestLines {
    DigestLine *items; /* owned */
    size_t n_items;
} DigestLines;

/* Counts the entry when it is a quiet one; false: it is not, or there is no memory. */
bool digest_lines_take(DigestLines *lines, const json_t *entry);
void digest_line_put(const DigestLine *line, Buffer *out);
void digest_lines_put(const DigestLines *lines, Buffer *out);
void digest_lines_done(DigestLines *lines);
