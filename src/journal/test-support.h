/*
 * What the journal's unit tests share: a directory of their own, records, and files as bytes.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal/journal-file.h"
#include "journal/line.h"

typedef struct Place {
    char directory[64];
    char path[128];      /* of the current segment */
    char head_path[128]; /* in the same directory */
} Place;

/* cmocka fixtures: *state is a Place. */
int place_setup(void **state);
int place_teardown(void **state);

/* Removes all files in the directory. */
void place_clear(const Place *place);
/* A path in the directory; the result is valid until the fourth call after this one. */
const char *place_path(const Place *place, const char *name);

/* The lines of `count` records that follow on `head`, which moves on; the caller frees them.
 * `segment`: the first one begins a segment. */
char *make_lines(JournalHead *head, size_t count, bool segment, size_t *ret_size);

void write_file(const char *path, const void *bytes, size_t size);
/* A NUL is put behind it; the caller frees it. */
char *read_file(const char *path, size_t *ret_size);
bool file_exists(const char *path);

/* Writes segments that together hold one chain: `counts` records each, the last is the current. */
JournalHead write_chain(const Place *place, const size_t *counts, size_t n_segments);

/* journal_verify() must find it good / bad with a problem that contains `text`. */
void assert_verifies(const Place *place, uint64_t records);
void assert_problem(const Place *place, const JournalHead *expected, const char *text);
