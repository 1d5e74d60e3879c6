/*
 * What one string is compared with: exact text, a glob, or a regular expression.
 *
 * All of them cover the whole string and see bytes, not characters: no locale, no UTF-8 mode, so
 * no byte sequence can make a pattern fail in a way its author did not foresee.
 *
 * Globs: '*' any bytes, '?' one byte, '[a-z]' '[!a-z]' one byte of a set, '\' takes the next byte
 * literally. In paths '*', '?' and sets stop at '/', and a final '**' means everything below.
 *
 * Regular expressions are PCRE2 (pcre2pattern(3)) with a match limit; running out of it is its own
 * outcome, never "no match".
 */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdbool.h>
#include <stddef.h>

#include "policy/arena.h"

#define PATTERN_MATCH_LIMIT 100000
#define PATTERN_REGEX_SIZE_MAX 4096

typedef enum PatternKind {
    PATTERN_EXACT,
    PATTERN_GLOB,
    PATTERN_WITHIN, /* a glob that is a text between two stars */
    PATTERN_END,    /* a glob that is a text behind a star */
    PATTERN_REGEX,
} PatternKind;

typedef struct Pattern {
    PatternKind kind;
    const char *text; /* as written */
    size_t size;
    pcre2_code *regex; /* owned by the policy's RegexList */
} Pattern;

typedef enum PatternOutcome { PATTERN_NO, PATTERN_YES, PATTERN_GAVE_UP } PatternOutcome;

/* Every compiled expression of a policy, so that they can be released. */
typedef struct RegexList {
    pcre2_code **items;
    size_t n_items;
} RegexList;

void regex_list_done(RegexList *list);

/* Whether plain text is read as a glob (it has an unescaped wildcard). */
bool pattern_has_wildcard(const char *text, size_t size);

/* Exact or a glob, by what the text holds. An exact text loses its backslash escapes. */
int pattern_of_text(Arena *arena, const char *text, size_t size, Pattern *ret);

/* Compiles for the whole string (`search` false) or to be found anywhere in it. Returns 0, 1 with
 * *ret_message (static or within `message`) when the expression is wrong, or -errno. */
int pattern_of_regex(Arena *arena, RegexList *list, const char *text, size_t size, bool search,
                     Pattern *ret, char message[static 256]);

static inline bool pattern_is_glob(const Pattern *pattern)
{
    return pattern->kind == PATTERN_GLOB || pattern->kind == PATTERN_WITHIN ||
           pattern->kind == PATTERN_END;
}

PatternOutcome pattern_match(const Pattern *pattern, const char *text, size_t size);

bool glob_match(const char *glob, size_t glob_size, const char *text, size_t size);
bool glob_match_path(const char *glob, size_t glob_size, const char *text, size_t size);
/* How many bytes of `glob` stand before its first wildcard or escape. */
size_t glob_literal_prefix(const char *glob, size_t size);

/* What one match needs to run; reused over many searches. */
typedef struct RegexSearch RegexSearch;
RegexSearch *regex_search_new(void); /* NULL: no memory */
void regex_search_free(RegexSearch *search);

/* Runs an expression that was compiled for searching: a match that begins in [from, last]. 1 with
 * its bounds, 0 no match, -1 gave up. */
int regex_search(RegexSearch *search, const pcre2_code *regex, const char *text, size_t size,
                 size_t from, size_t last, size_t *ret_start, size_t *ret_end);

/* Lexically normal form of an absolute path: no "//", ".", "..", no '/' at the end (but "/").
 * False when it is not absolute or does not fit. */
#define PATH_ROOM 4096
bool path_normalise(const char *path, char room[static PATH_ROOM]);

/* A directory pattern as in allowed_paths: globs per path component; a final '/' '*' covers the
 * directory itself and all below it. Both sides are normal. */
bool path_pattern_covers(const char *pattern, const char *path);
