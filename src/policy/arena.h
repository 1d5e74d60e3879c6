/*
 * One block list that owns everything a policy is made of, released in one go.
 *
 * A policy is immutable once loaded, so nothing in it is ever freed alone. Allocation failure is
 * sticky: callers may build on and ask `failed` once at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *blocks; /* newest first */
    size_t used, room;  /* of the newest block */
    bool failed;
} Arena;

/* Zeroed memory for `count` items of `size` bytes, aligned for any type; NULL when out of memory
 * (never for zero items). */
void *arena_take(Arena *arena, size_t count, size_t size);
/* A NUL-terminated copy of `size` bytes. */
char *arena_copy(Arena *arena, const char *text, size_t size);
void arena_done(Arena *arena);

#define ARENA_NEW(arena, type, count) ((type *)arena_take((arena), (count), sizeof(type)))
