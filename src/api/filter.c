/*
 * See filter.h. Texts are compared as the journal writes them, so nothing is decoded.
 */
#include "api/filter.h"

#include <stdlib.h>
#include <string.h>

#include "api/history.h"
#include "base/text.h"

/* A clock that was set back may have written records in another order than their times. */
#define CLOCK_SLACK_US (3600ull * 1000000)

const char *const history_parameters[] = {
    [HISTORY_LIMIT] = "limit",   [HISTORY_BEFORE] = "before",   [HISTORY_JAIL] = "jail",
    [HISTORY_EVENT] = "event",   [HISTORY_COMMAND] = "command", [HISTORY_Q] = "q",
    [HISTORY_SINCE] = "since",   [HISTORY_UNTIL] = "until",     [HISTORY_FORMAT] = "format",
    [HISTORY_PARAMETERS] = NULL,
};

/* As a JSON string; without its quotes if `bare`. NULL: out of memory. */
static char *as_json(const char *text, bool bare)
{
    Buffer json = BUFFER_EMPTY(64 << 10);

    json_put_string(&json, text, strlen(text));
    char *whole = buffer_take_string(&json);
    size_t size = whole ? strlen(whole) : 0;
    if (!bare || size < 2)
        return whole;
    memmove(whole, whole + 1, size - 2);
    whole[size - 2] = '\0';
    return whole;
}

static bool read_words(Filter *filter, Caller *caller, const char *text)
{
    char *copy = strdup(text), *rest = NULL;
    size_t count = 0;

    for (char *word = copy ? strtok_r(copy, " ", &rest) : NULL; word;
         word = strtok_r(NULL, " ", &rest)) {
        if (count == FILTER_WORDS_MAX) {
            free(copy);
            caller_fail(caller, 400, "bad_query", "\"q\" may have %u words", FILTER_WORDS_MAX);
            return false;
        }
        filter->words[count] = as_json(word, true);
        if (!filter->words[count++])
            break;
    }
    bool good = copy && (count == 0 || filter->words[count - 1]);
    free(copy);
    if (!good)
        caller_fail(caller, 503, "no_memory", "out of memory");
    return good;
}

/* A time as records have it. False: answered. */
static bool read_time(Caller *caller, HistoryParameter which, char *ret, uint64_t *ret_us)
{
    const char *text = caller->query.values[which];

    ret[0] = '\0';
    *ret_us = 0;
    if (!text)
        return true;
    if (clock_parse_time(text, ret_us) == 0) {
        (void)clock_format_time(*ret_us, ret);
        return true;
    }
    caller_fail(caller, 400, "bad_query", "\"%s\" must be a time: 2026-01-31T12:00:00Z",
                history_parameters[which]);
    return false;
}

bool filter_read(Filter *filter, Caller *caller)
{
    const char *const *values = caller->query.values;
    uint64_t since = 0, until = 0;

    *filter = (Filter){.jail = values[HISTORY_JAIL], .event = values[HISTORY_EVENT]};
    if (!read_time(caller, HISTORY_SINCE, filter->since, &since) ||
        !read_time(caller, HISTORY_UNTIL, filter->until, &until))
        return false;
    if (since > CLOCK_SLACK_US)
        (void)clock_format_time(since - CLOCK_SLACK_US, filter->long_before);
    if (values[HISTORY_COMMAND]) {
        filter->command = as_json(values[HISTORY_COMMAND], false);
        if (!filter->command) {
            caller_fail(caller, 503, "no_memory", "out of memory");
            return false;
        }
    }
    return !values[HISTORY_Q] || read_words(filter, caller, values[HISTORY_Q]);
}

void filter_done(Filter *filter)
{
    free(filter->command);
    for (size_t i = 0; i < FILTER_WORDS_MAX; i++)
        free(filter->words[i]);
    *filter = (Filter){.jail = NULL};
}

bool filter_takes(const Filter *filter, const char *line, const RecordView *view)
{
    Slice searched = {line, view->searched};

    if ((filter->jail && !slice_is(view->jail, filter->jail)) ||
        (filter->event && !slice_is(view->event, filter->event)) ||
        (filter->command && !slice_is(view->command, filter->command)) ||
        (filter->since[0] && slice_compare(view->ts, filter->since) < 0) ||
        (filter->until[0] && slice_compare(view->ts, filter->until) >= 0))
        return false;
    for (size_t i = 0; i < FILTER_WORDS_MAX && filter->words[i]; i++)
        if (!slice_has_word(searched, filter->words[i]))
            return false;
    return true;
}

bool filter_is_past(const Filter *filter, const RecordView *view)
{
    return filter->long_before[0] && slice_compare(view->ts, filter->long_before) < 0;
}
