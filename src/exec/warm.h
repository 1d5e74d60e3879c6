/*
 * Page faults ahead of time.
 *
 * After a fork every page that either side writes to is copied on its first write, and the child
 * maps each piece of program text on its first use: some sixty faults between fork and exec, twenty
 * in the executor, and a fault can cost as much as twenty system calls (virtual machines). Both
 * sides take theirs right after the fork of a spare runner, when nobody waits (madvise(2),
 * MADV_POPULATE_WRITE, Linux 5.14; without it this does nothing).
 */
#pragma once

#include <stddef.h>

#define WARM_RANGES_MAX 48u

typedef struct WarmMemory {
    struct {
        char *start;
        size_t size;
    } ranges[WARM_RANGES_MAX]; /* writable data of the program and its libraries */
    size_t n_ranges;
    char *heap; /* where its heap begins, more or less */
} WarmMemory;

/* Finds what this process writes to; `heap` is something that malloc(3) gave early. */
void warm_find(WarmMemory *ret, void *heap);

/* Makes private copies of it now: data, heap, and the stack around the caller. */
void warm_up(const WarmMemory *memory);
