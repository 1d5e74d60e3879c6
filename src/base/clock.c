/*
 * See clock.h. Facts: clock_gettime(2), RFC 3339.
 */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t clock_realtime_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_realtime_of(uint64_t monotonic_ms)
{
    uint64_t now = clock_monotonic_ms();
    return clock_realtime_us() + (monotonic_ms > now ? monotonic_ms - now : 0) * 1000;
}

bool clock_is_spent(Effort *effort)
{
    struct timespec cpu;
    uint64_t now = clock_monotonic_ns();

    if (effort->begun_ns == 0)
        effort->begun_ns = now;
    if (now - effort->begun_ns <= effort->most_ns)
        return false;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    uint64_t used = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
    if (effort->cpu_begun_ns == 0)
        effort->cpu_begun_ns = used;
    return used - effort->cpu_begun_ns > effort->most_ns;
}

/* Milliseconds in the unit at `text`, whose length goes to `ret_size`; 0 if there is none. */
static uint64_t unit_of(const char *text, size_t *ret_size)
{
    static const struct {
        const char *name;
        uint64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t size = strlen(units[i].name);
        if (strncmp(text, units[i].name, size) == 0 && !isalpha((unsigned char)text[size])) {
            *ret_size = size;
            return units[i].milliseconds;
        }
    }
    return 0;
}

int clock_parse_duration(const char *text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    const char *next = text;
    bool bare = true; /* nothing but digits so far */

    if (!*next)
        return -EINVAL;
    while (*next) {
        uint64_t number = 0, unit;
        size_t unit_size = 0;
        if (!isdigit((unsigned char)*next))
            return -EINVAL;
        for (; isdigit((unsigned char)*next); next++) {
            number = number * 10 + (uint64_t)(*next - '0');
            if (number > CLOCK_DURATION_MAX_MS)
                return -ERANGE;
        }
        if (!*next && bare)
            unit = 1000;
        else if (!(unit = unit_of(next, &unit_size)))
            return -EINVAL;
        bare = false;
        next += unit_size;
        total += number * unit;
        if (total > CLOCK_DURATION_MAX_MS)
            return -ERANGE;
    }
    *ret_ms = total;
    return 0;
}

const char *clock_format_duration(uint64_t milliseconds, char *text)
{
    unsigned long long ms = milliseconds, seconds = ms / 1000;

    if (ms < 1000)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%llums", ms);
    else if (ms < 60000 && ms % 1000)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%llu.%llus", seconds, ms % 1000 / 100);
    else if (seconds < 60)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%llus", seconds);
    else if (seconds < 3600 && seconds % 60 == 0)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%llum", seconds / 60);
    else if (seconds < 3600)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%llum%llus", seconds / 60, seconds % 60);
    else if (seconds / 60 % 60 == 0)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%lluh", seconds / 3600);
    else
        (void)snprintf(text, CLOCK_TEXT_MAX, "%lluh%llum", seconds / 3600, seconds / 60 % 60);
    return text;
}

const char *clock_format_time(uint64_t realtime_us, char *text)
{
    time_t seconds = (time_t)(realtime_us / 1000000);
    struct tm utc;

    (void)gmtime_r(&seconds, &utc);
    (void)snprintf(text, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
                   (unsigned)(utc.tm_year + 1900) % 10000, (unsigned)utc.tm_mon + 1,
                   (unsigned)utc.tm_mday, (unsigned)utc.tm_hour, (unsigned)utc.tm_min,
                   (unsigned)utc.tm_sec % 100, (unsigned)(realtime_us % 1000000));
    return text;
}

/* strptime(3) alone takes blanks, signs and short fields for numbers. */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape; text++, shape++) {
        if (*shape == '0' ? !isdigit((unsigned char)*text) : *text != *shape)
            return false;
    }
    return true;
}

int clock_parse_time(const char *text, uint64_t *ret_us)
{
    struct tm utc = {0};
    uint64_t fraction = 0, scale = 1000000;

    if (!has_shape(text, "0000-00-00T00:00:00"))
        return -EINVAL;
    const char *next = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (!next)
        return -EINVAL;
    if (*next == '.') {
        if (!isdigit((unsigned char)*++next))
            return -EINVAL;
        for (; isdigit((unsigned char)*next); next++) {
            scale /= 10;
            fraction += (uint64_t)(*next - '0') * scale;
        }
    }
    if (strcmp(next, "Z") != 0)
        return -EINVAL;
    int day = utc.tm_mday, second = utc.tm_sec;
    utc.tm_sec = 0; /* a leap second must not look like the next day below */
    time_t minute = timegm(&utc);
    if (minute < 0 || utc.tm_mday != day)
        return -EINVAL; /* before 1970, or a day that its month does not have */
    *ret_us = ((uint64_t)minute + (uint64_t)second) * 1000000 + fraction;
    return 0;
}
