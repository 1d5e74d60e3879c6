/*
 * Time: monotonic for deadlines, realtime for records, and durations as operators write them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_us(void);
/* When a monotonic time comes, in microseconds of realtime; now when it is over. */
uint64_t clock_realtime_of(uint64_t monotonic_ms);

/* What one piece of work may cost before it is given up: `most_ns` of wall time and then as much of
 * the thread's own, so that a busy machine does not end what has hardly run. Begins with the first
 * question. */
typedef struct Effort {
    uint64_t most_ns;
    uint64_t begun_ns, cpu_begun_ns; /* 0: not yet */
} Effort;

bool clock_is_spent(Effort *effort);

static inline uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

static inline struct timeval clock_timeval_of_ms(uint64_t milliseconds)
{
    return (struct timeval){.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_usec = (suseconds_t)(milliseconds % 1000 * 1000)};
}

/* The longest duration accepted anywhere: a year, in milliseconds. */
#define CLOCK_DURATION_MAX_MS (UINT64_C(366) * 24 * 3600 * 1000)

/* "250ms", "30s", "2m", "1h30m", "1d", a bare number of seconds ("90"), or "0".
 * -EINVAL for anything else, -ERANGE above CLOCK_DURATION_MAX_MS. */
int clock_parse_duration(const char *text, uint64_t *ret_ms);

/* "10m", "1h30m", "2.5s", "250ms": short, for humans. `text` has room for CLOCK_TEXT_MAX. */
#define CLOCK_TEXT_MAX 40
const char *clock_format_duration(uint64_t milliseconds, char *text);

/* RFC 3339 in UTC with microseconds: "2026-11-24T04:10:29.123456Z". */
const char *clock_format_time(uint64_t realtime_us, char *text);
/* The reverse (fraction optional, 'Z' required). -EINVAL if it is not such a time. */
int clock_parse_time(const char *text, uint64_t *ret_us);
