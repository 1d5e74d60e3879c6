/*
 * See rate.h.
 */
#include "approval/rate.h"

#include <stdlib.h>

#define SLOTS 64u

struct Rate {
    size_t rule;
    uint64_t newest;            /* the slot, counted from the clock's beginning, that is filled */
    uint32_t taken[SLOTS + 1u]; /* one more than the window has: the oldest is only partly in it */
    uint32_t sum;
    Rate *next;
};

void rates_done(Rates *rates)
{
    while (rates->first) {
        Rate *next = rates->first->next;
        free(rates->first);
        rates->first = next;
    }
}

static Rate *rate_of(Rates *rates, size_t rule, uint64_t slot)
{
    for (Rate *rate = rates->first; rate; rate = rate->next)
        if (rate->rule == rule)
            return rate;
    Rate *rate = calloc(1, sizeof *rate);
    if (!rate)
        return NULL;
    rate->rule = rule;
    rate->newest = slot;
    rate->next = rates->first;
    rates->first = rate;
    return rate;
}

/* Slots that the window has left behind are empty again. */
static void advance(Rate *rate, uint64_t slot)
{
    for (unsigned i = 0; i <= SLOTS && rate->newest < slot; i++) {
        uint32_t *taken = &rate->taken[++rate->newest % (SLOTS + 1u)];
        rate->sum -= *taken;
        *taken = 0;
    }
    rate->newest = slot > rate->newest ? slot : rate->newest;
}

bool rates_take(Rates *rates, size_t rule, unsigned most, uint64_t window_ms, uint64_t now_ms)
{
    uint64_t length = (window_ms + SLOTS - 1) / SLOTS;
    uint64_t slot = now_ms / (length > 0 ? length : 1);
    Rate *rate = rate_of(rates, rule, slot);

    if (!rate)
        return false;
    advance(rate, slot);
    if (rate->sum >= most)
        return false;
    rate->taken[rate->newest % (SLOTS + 1u)]++;
    rate->sum++;
    return true;
}
