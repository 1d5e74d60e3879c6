/*
 * Which records of the journal a history asks for.
 */
#pragma once

#include "api/caller.h"
#include "api/record.h"
#include "base/clock.h"

#define FILTER_WORDS_MAX 16u

typedef struct Filter {
    const char *jail, *event;      /* NULL: any; point into the call's query */
    char *command;                 /* owned: as JSON writes it */
    char *words[FILTER_WORDS_MAX]; /* owned: as JSON writes them, all must be there */
    char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX]; /* as records have them; "": no bound */
    char long_before[CLOCK_TEXT_MAX]; /* records this old have nothing after them worth a look */
} Filter;

/* From the parameters of /api/history. False: answered. */
bool filter_read(Filter *filter, Caller *caller);
void filter_done(Filter *filter);
bool filter_takes(const Filter *filter, const char *line, const RecordView *view);
/* Walking backwards: whatever comes from here on is older than what is asked for. */
bool filter_is_past(const Filter *filter, const RecordView *view);
