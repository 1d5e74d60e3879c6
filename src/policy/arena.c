/*
 * See arena.h.
 */
#include "policy/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)16 * 1024)

struct ArenaBlock {
    ArenaBlock *older;
    alignas(max_align_t) char bytes[];
};

static bool add_block(Arena *arena, size_t size)
{
    size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    ArenaBlock *block = room < SIZE_MAX - sizeof *block ? calloc(1, sizeof *block + room) : NULL;

    if (!block) {
        arena->failed = true;
        return false;
    }
    block->older = arena->blocks;
    arena->blocks = block;
    arena->used = 0;
    arena->room = room;
    return true;
}

void *arena_take(Arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    bytes = (bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if ((!arena->blocks || arena->room - arena->used < bytes) && !add_block(arena, bytes))
        return NULL;
    void *taken = arena->blocks->bytes + arena->used;
    arena->used += bytes;
    return taken;
}

char *arena_copy(Arena *arena, const char *text, size_t size)
{
    char *copy = arena_take(arena, size + 1, 1);

    if (copy && size > 0)
        memcpy(copy, text, size);
    return copy;
}

void arena_done(Arena *arena)
{
    while (arena->blocks) {
        ArenaBlock *older = arena->blocks->older;
        free(arena->blocks);
        arena->blocks = older;
    }
    *arena = (Arena){0};
}
