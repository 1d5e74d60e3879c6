/*
 * Which records of the journal are wanted: members with a value, and a span of time.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

typedef enum FilterMember {
    FILTER_REQUEST,
    FILTER_JAIL,
    FILTER_COMMAND,
    FILTER_EVENT,
    FILTER_VERDICT,
    FILTER_MAX_,
} FilterMember;

typedef struct RecordFilter {
    const char *values[FILTER_MAX_]; /* NULL: any */
    const char *since_text, *until_text;
    uint64_t since_us, until_us;
} RecordFilter;

/* Checks the options' values and fills in the times. 0 or CLI_USAGE. */
int record_filter_prepare(RecordFilter *filter, const CliSyntax *syntax);
bool record_filter_is_set(const RecordFilter *filter);
/* False only when the line cannot hold what is wanted; ten times faster than parsing it. */
bool record_filter_may_match(const RecordFilter *filter, const char *line, size_t size);
bool record_filter_matches(const RecordFilter *filter, const json_t *record);
