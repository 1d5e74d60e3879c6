/*
 * See pattern.h.
 */
#include "policy/pattern.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Bytes of the set that begins at glob[0] == '[', or 0 when it has no end and is an ordinary '['.
 * A ']' right at the start is a member, as in glob(7). */
static size_t set_size(const char *glob, size_t size)
{
    size_t at = 1;

    if (at < size && (glob[at] == '!' || glob[at] == '^'))
        at++;
    if (at < size && glob[at] == ']')
        at++;
    while (at < size && glob[at] != ']')
        at++;
    return at < size ? at + 1 : 0;
}

static bool set_has(const char *set, size_t size, unsigned char c)
{
    size_t at = 1, end = size - 1;
    bool negated = set[1] == '!' || set[1] == '^';
    bool found = false;

    if (negated)
        at++;
    while (at < end) {
        unsigned char low = (unsigned char)set[at], high = low;
        if (at + 2 < end && set[at + 1] == '-') {
            high = (unsigned char)set[at + 2];
            at += 3;
        } else {
            at++;
        }
        if (c >= low && c <= high)
            found = true;
    }
    return found != negated;
}

/* Matches one byte against the element at `glob`; *ret_step is the element's size. */
static bool element_has(const char *glob, size_t size, unsigned char c, bool path, size_t *ret_step)
{
    *ret_step = 1;
    switch (glob[0]) {
    case '?':
        return !(path && c == '/');
    case '[': {
        size_t set = set_size(glob, size);
        if (set == 0)
            return c == '[';
        *ret_step = set;
        return !(path && c == '/') && set_has(glob, set, c);
    }
    case '\\':
        if (size > 1) {
            *ret_step = 2;
            return c == (unsigned char)glob[1];
        }
        return c == '\\';
    default:
        return c == (unsigned char)glob[0];
    }
}

/* Linear but for restarts at the last star. Within a path an earlier star need never be tried
 * again: the '/' between them is fixed. */
static bool glob_run(const char *glob, size_t glob_size, const char *text, size_t size, bool path)
{
    size_t g = 0, t = 0, star = SIZE_MAX, star_text = 0;

    while (t < size) {
        size_t step;
        if (g < glob_size && glob[g] == '*') {
            star = g++;
            star_text = t;
        } else if (g < glob_size &&
                   element_has(glob + g, glob_size - g, (unsigned char)text[t], path, &step)) {
            g += step;
            t++;
        } else if (star != SIZE_MAX && !(path && text[star_text] == '/')) {
            t = ++star_text;
            g = star + 1;
        } else {
            return false;
        }
    }
    while (g < glob_size && glob[g] == '*')
        g++;
    return g == glob_size;
}

bool glob_match(const char *glob, size_t glob_size, const char *text, size_t size)
{
    return glob_run(glob, glob_size, text, size, false);
}

bool glob_match_path(const char *glob, size_t glob_size, const char *text, size_t size)
{
    if (glob_size >= 3 && memcmp(glob + glob_size - 3, "/**", 3) == 0) {
        /* The part before the '**' has a fixed number of '/': cut the text at the same one. */
        size_t slashes = 0, cut = 0;
        for (size_t i = 0; i < glob_size - 2; i++)
            slashes += glob[i] == '/';
        while (cut < size && slashes > 0)
            slashes -= text[cut++] == '/';
        return slashes == 0 && cut < size && glob_run(glob, glob_size - 2, text, cut, true);
    }
    return glob_run(glob, glob_size, text, size, true);
}

size_t glob_literal_prefix(const char *glob, size_t size)
{
    size_t at = 0;
    while (at < size && !strchr("*?[\\", glob[at]))
        at++;
    return at;
}

bool pattern_has_wildcard(const char *text, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        if (text[at] == '\\')
            at++;
        else if (text[at] == '*' || text[at] == '?' ||
                 (text[at] == '[' && set_size(text + at, size - at) > 0))
            return true;
    }
    return false;
}

int pattern_of_text(Arena *arena, const char *text, size_t size, Pattern *ret)
{
    char *copy = arena_copy(arena, text, size);

    if (!copy)
        return -ENOMEM;
    *ret = (Pattern){.kind = PATTERN_GLOB, .text = copy, .size = size};
    if (pattern_has_wildcard(text, size)) {
        size_t literal = size > 2 && text[0] == '*' ? glob_literal_prefix(text + 1, size - 1) : 0;
        if (literal > 0 && literal == size - 1)
            ret->kind = PATTERN_END;
        else if (literal > 0 && literal == size - 2 && text[size - 1] == '*')
            ret->kind = PATTERN_WITHIN;
        return 0;
    }
    ret->kind = PATTERN_EXACT;
    size_t to = 0;
    for (size_t at = 0; at < size; at++) {
        if (copy[at] == '\\' && at + 1 < size)
            at++;
        copy[to++] = copy[at];
    }
    copy[to] = '\0';
    ret->size = to;
    return 0;
}

static int regex_list_add(RegexList *list, pcre2_code *regex)
{
    if ((list->n_items & (list->n_items + 1)) == 0) { /* full at 2^k - 1 */
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is a list of pointers */
        pcre2_code **larger = reallocarray(list->items, 2 * (list->n_items + 1), sizeof *larger);
        if (!larger)
            return -ENOMEM;
        list->items = larger;
    }
    list->items[list->n_items++] = regex;
    return 0;
}

void regex_list_done(RegexList *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        pcre2_code_free(list->items[i]);
    free(list->items);
    *list = (RegexList){0};
}

int pattern_of_regex(Arena *arena, RegexList *list, const char *text, size_t size, bool search,
                     Pattern *ret, char message[static 256])
{
    /* '.' matches newlines and '$' only the very end: an argument may hold any byte. */
    uint32_t options =
        PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
        (search ? PCRE2_USE_OFFSET_LIMIT
                : PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_ANCHORED | PCRE2_ENDANCHORED);
    int error = 0;
    PCRE2_SIZE offset = 0;

    if (size > PATTERN_REGEX_SIZE_MAX) {
        (void)snprintf(message, 256, "it is longer than %d bytes", PATTERN_REGEX_SIZE_MAX);
        return 1;
    }
    pcre2_code *regex = pcre2_compile((PCRE2_SPTR)text, size, options, &error, &offset, NULL);
    if (!regex) {
        char reason[128] = "";
        (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
        (void)snprintf(message, 256, "%s at its character %zu", reason, (size_t)offset + 1);
        return error == PCRE2_ERROR_NOMEMORY ? -ENOMEM : 1;
    }
    if (regex_list_add(list, regex) < 0) {
        pcre2_code_free(regex);
        return -ENOMEM;
    }
    *ret = (Pattern){.kind = PATTERN_REGEX, .size = size, .regex = regex};
    ret->text = arena_copy(arena, text, size);
    return ret->text ? 0 : -ENOMEM;
}

struct RegexSearch {
    pcre2_match_context *context;
    pcre2_match_data *data;
};

RegexSearch *regex_search_new(void)
{
    RegexSearch *search = calloc(1, sizeof *search);

    if (!search)
        return NULL;
    search->context = pcre2_match_context_create(NULL);
    search->data = pcre2_match_data_create(1, NULL);
    if (!search->context || !search->data) {
        regex_search_free(search);
        return NULL;
    }
    (void)pcre2_set_match_limit(search->context, PATTERN_MATCH_LIMIT);
    (void)pcre2_set_depth_limit(search->context, PATTERN_MATCH_LIMIT);
    (void)pcre2_set_heap_limit(search->context, 16 * 1024); /* KiB */
    return search;
}

void regex_search_free(RegexSearch *search)
{
    if (!search)
        return;
    pcre2_match_context_free(search->context);
    pcre2_match_data_free(search->data);
    free(search);
}

int regex_search(RegexSearch *search, const pcre2_code *regex, const char *text, size_t size,
                 size_t from, size_t last, size_t *ret_start, size_t *ret_end)
{
    (void)pcre2_set_offset_limit(search->context, last);
    int rc = pcre2_match(regex, (PCRE2_SPTR)text, size, from, PCRE2_NO_JIT, search->data,
                         search->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return -1;
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(search->data);
    *ret_start = bounds[0];
    *ret_end = bounds[1];
    return 1;
}

static PatternOutcome match_regex(const pcre2_code *regex, const char *text, size_t size)
{
    RegexSearch *search = regex_search_new();

    if (!search)
        return PATTERN_GAVE_UP;
    int rc =
        pcre2_match(regex, (PCRE2_SPTR)text, size, 0, PCRE2_NO_JIT, search->data, search->context);
    regex_search_free(search);
    return rc == PCRE2_ERROR_NOMATCH ? PATTERN_NO : rc < 0 ? PATTERN_GAVE_UP : PATTERN_YES;
}

/* memmem(3) has to prepare itself, which short texts are not worth. */
static bool has_within(const char *text, size_t size, const char *literal, size_t literal_size)
{
    if (size > 256)
        return memmem(text, size, literal, literal_size) != NULL;
    while (size >= literal_size) {
        const char *at = memchr(text, literal[0], size - literal_size + 1);
        if (!at)
            return false;
        if (memcmp(at, literal, literal_size) == 0)
            return true;
        size -= (size_t)(at - text) + 1;
        text = at + 1;
    }
    return false;
}

PatternOutcome pattern_match(const Pattern *pattern, const char *text, size_t size)
{
    switch (pattern->kind) {
    case PATTERN_EXACT:
        return size == pattern->size && memcmp(text, pattern->text, size) == 0;
    case PATTERN_GLOB:
        return glob_match(pattern->text, pattern->size, text, size);
    case PATTERN_WITHIN:
        return has_within(text, size, pattern->text + 1, pattern->size - 2);
    case PATTERN_END:
        return size >= pattern->size - 1 &&
               memcmp(text + size - (pattern->size - 1), pattern->text + 1, pattern->size - 1) == 0;
    case PATTERN_REGEX:
        return match_regex(pattern->regex, text, size);
    }
    return PATTERN_GAVE_UP;
}

bool path_normalise(const char *path, char room[static PATH_ROOM])
{
    size_t size = 0;

    if (path[0] != '/')
        return false;
    while (*path) {
        while (*path == '/')
            path++;
        size_t part = strcspn(path, "/");
        if (part == 0)
            break;
        if (part == 2 && memcmp(path, "..", 2) == 0) {
            while (size > 0 && room[--size] != '/')
                ;
        } else if (!(part == 1 && path[0] == '.')) {
            if (part + 2 > PATH_ROOM - size)
                return false;
            room[size++] = '/';
            memcpy(room + size, path, part);
            size += part;
        }
        path += part;
    }
    if (size == 0)
        room[size++] = '/';
    room[size] = '\0';
    return true;
}

bool path_pattern_covers(const char *pattern, const char *path)
{
    size_t size = strlen(pattern), path_size = strlen(path);

    if (size < 2 || memcmp(pattern + size - 2, "/*", 2) != 0)
        return glob_match_path(pattern, size, path, path_size);
    /* Cut the path to as many components as stand before the final star. */
    size -= 2;
    size_t slashes = 0, cut = 0;
    for (size_t i = 0; i < size; i++)
        slashes += pattern[i] == '/';
    if (slashes == 0)
        return true; /* everything below the root */
    while (cut < path_size && (path[cut] != '/' || slashes > 0)) {
        slashes -= path[cut] == '/';
        cut++;
    }
    return slashes == 0 && path_size > 1 && glob_match_path(pattern, size, path, cut);
}
