/*
 * Points in time as operators write them.
 */
#pragma once

#include <stdint.h>

#define CLI_TIME_FORMS "2026-11-24T04:10:29Z, 2026-11-24, or 90s, 2h, 7d ago"
/* A format for what is none of them. */
#define CLI_TIME_MISTAKE "not a time: %s (write " CLI_TIME_FORMS ")"

/* A point in time, a day (UTC, its beginning), or how long ago. 0 or -EINVAL. */
int cli_parse_time(const char *text, uint64_t *ret_us);
