/*
 * A journal whose disk fails when a test says so, and what its callers were told.
 *
 * The faults come through JournalIo (queue.h): Faults stands between the writer and the real file.
 */
#pragma once

#include <semaphore.h>

#include "journal/queue.h"
#include "journal/test-support.h"

typedef struct Faults {
    atomic_int write_error; /* 0, or what write(2) says */
    atomic_int sync_error, truncate_error;
    atomic_long short_by; /* the next write is short by this many bytes, once, … */
    atomic_int then;      /* … and the one after it says this, once */
    atomic_bool hold_write, hold_sync;
    sem_t release; /* what lets a held call go on */
    atomic_int writes, syncs, truncates, held;
} Faults;

/* A journal in a Place, and what its callers were told. */
typedef struct World {
    Place *place;
    Journal *journal;
    Faults faults;
    int answered, failed, last_error;
    int order[64]; /* tickets, as they were answered */
} World;

typedef struct Ticket {
    World *world;
    int number;
} Ticket;

/* Opens a journal in the Place of *state; 0: the default limits. */
void world_open(World *world, void **state, uint64_t deadline_ms, size_t queue_bytes);
void world_close(World *world);
/* A JournalDone for a Ticket, which it frees. */
void world_on_done(int result, void *userdata);
/* A record "ticket NUMBER" that is waited for. */
int world_append(World *world, int number, bool durable);
/* Turns the loop until `count` are answered, or for `most_ms`. */
void world_turn(World *world, int count, int most_ms);
/* Waits until the journal says so; fails after some seconds. */
void world_wait_for_health(World *world, int wanted);
void wait_until(atomic_int *value, int wanted);
bool file_contains(const char *path, const char *text);
