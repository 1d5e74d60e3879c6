/*
 * The query of a request's target, read strictly: `name=value&…`, percent-decoded, '+' is a space.
 * A name that the route does not know, one that stands there twice, a malformed escape, a NUL or
 * bytes that are no UTF-8 are errors: a filter that is misspelled must not be a filter that is not
 * there. A pure function over bytes, fuzzed (tests/fuzz/fuzz-query.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUERY_PARAMETERS_MAX 16u

typedef struct Query {
    char *text;                               /* owned; the values point into it */
    const char *values[QUERY_PARAMETERS_MAX]; /* by the number of the name; NULL: not given */
    char problem[160];                        /* words, when it is refused */
} Query;

/* `names` ends with NULL and has at most QUERY_PARAMETERS_MAX; `text` may be NULL: nothing given.
 * 0; -EINVAL with `problem` set; -ENOMEM. In all cases the caller calls query_done(). */
int query_parse(const char *text, const char *const *names, Query *ret);
void query_done(Query *query);

/* A number without sign or leading zero, from `least` to `most`. False: none. */
bool query_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret);
