/*
 * See times.h.
 */
#include "cli/times.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

int cli_parse_time(const char *text, uint64_t *ret_us)
{
    char day[32];
    uint64_t ago_ms;

    if (clock_parse_time(text, ret_us) == 0)
        return 0;
    if (strlen(text) == 10 && snprintf(day, sizeof day, "%sT00:00:00Z", text) < (int)sizeof day &&
        clock_parse_time(day, ret_us) == 0)
        return 0;
    if (clock_parse_duration(text, &ago_ms) < 0)
        return -EINVAL;
    *ret_us = clock_realtime_us() - ago_ms * 1000;
    return 0;
}
