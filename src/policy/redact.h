/*
 * One effort of redaction: its patterns, its clock, what it may cost. Private to redact.c and
 * redact-argv.c.
 */
#pragma once

#include "base/clock.h"
#include "policy/model.h"

#define REDACTED "[redacted]"

typedef struct Redaction {
    const Policy *policy;
    RegexSearch *search; /* owned; NULL without memory or patterns */
    Effort effort;
} Redaction;

void redaction_begin(Redaction *redaction, const Policy *policy);
void redaction_done(Redaction *redaction);

/* The next match of a pattern at or behind `from`: 1, 0 none, -1 it was too hard to tell, or the
 * time is over. */
int redaction_next(Redaction *redaction, const Pattern *pattern, const char *text, size_t size,
                   size_t from, size_t *ret_start, size_t *ret_end);
/* The same for a match that begins at `from`. */
int redaction_at(Redaction *redaction, const Pattern *pattern, const char *text, size_t size,
                 size_t from, size_t *ret_start, size_t *ret_end);
/* Appends the text without what the patterns match; "[redacted]" where that could not be told
 * (false). */
bool redaction_put(Redaction *redaction, const char *text, size_t size, Buffer *out);
