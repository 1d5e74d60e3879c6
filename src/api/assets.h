/*
 * The dashboard's files (web/), as parts of this program: nothing is read from a disk to serve
 * them.
 */
#pragma once

#include <stddef.h>

typedef struct Asset {
    const char *path; /* "/main.js"; the page itself is "/" */
    const char *type; /* for Content-Type, with charset where there is one */
    const char *etag; /* quoted, from the file's content */
    const char *bytes;
    size_t size; /* bytes */
} Asset;

/* The file that is served at exactly this path (no query, not decoded), or NULL. Never freed. */
const Asset *asset_find(const char *path);
/* The files by number from 0, NULL after the last one. */
const Asset *asset_at(size_t index);
