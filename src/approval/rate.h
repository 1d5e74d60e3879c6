/*
 * Rates: how often a rule's action holds for one jail.
 *
 * A sliding window of 64 slots. What was taken counts until its whole slot is older than the
 * window, so that no window whatsoever holds more than `most`; room comes back at most a 64th of
 * the window late. A pure data structure of fixed size per rule: no clock, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Rate Rate;

typedef struct Rates {
    Rate *first;
} Rates;

void rates_done(Rates *rates); /* all is forgotten; usable again */

/* Takes one of the `most` that a rule (by its index in the policy) has per window. False: there is
 * none left, or no memory to count in. */
bool rates_take(Rates *rates, size_t rule, unsigned most, uint64_t window_ms, uint64_t now_ms);
