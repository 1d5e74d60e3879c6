/*
 * See record-filter.h.
 */
#include "cli/record-filter.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/show.h"
#include "cli/times.h"
#include "journal/journal.h"

static const char *const names[FILTER_MAX_] = {
    [FILTER_REQUEST] = "request", [FILTER_JAIL] = "jail",       [FILTER_COMMAND] = "command",
    [FILTER_EVENT] = "event",     [FILTER_VERDICT] = "verdict",
};

static bool is_event(const char *name)
{
    for (int event = 0; event < JOURNAL_EVENT_MAX_; event++)
        if (strcmp(journal_event_name((JournalEvent)event), name) == 0)
            return true;
    return false;
}

static int refuse_event(const CliSyntax *syntax, const char *name)
{
    char known[512] = "";

    for (int event = 0; event < JOURNAL_EVENT_MAX_; event++) {
        strncat(known, event > 0 ? " " : "", sizeof known - strlen(known) - 1);
        strncat(known, journal_event_name((JournalEvent)event), sizeof known - strlen(known) - 1);
    }
    return cli_usage_error(syntax, "no such event: %s (there are %s)", name, known);
}

int record_filter_prepare(RecordFilter *filter, const CliSyntax *syntax)
{
    const char *event = filter->values[FILTER_EVENT];

    filter->until_us = UINT64_MAX;
    if (filter->since_text && cli_parse_time(filter->since_text, &filter->since_us) < 0)
        return cli_usage_error(syntax, CLI_TIME_MISTAKE, filter->since_text);
    if (filter->until_text && cli_parse_time(filter->until_text, &filter->until_us) < 0)
        return cli_usage_error(syntax, CLI_TIME_MISTAKE, filter->until_text);
    return event && !is_event(event) ? refuse_event(syntax, event) : 0;
}

bool record_filter_is_set(const RecordFilter *filter)
{
    bool filtered = filter->since_text || filter->until_text;
    for (size_t i = 0; i < FILTER_MAX_; i++)
        filtered |= filter->values[i] != NULL;
    return filtered;
}

/* A command is named as a whole or by its last part. */
static bool matches(size_t by, const char *wanted, const char *bytes, size_t size)
{
    size_t wanted_size = strlen(wanted);

    if (size < wanted_size || memcmp(bytes + size - wanted_size, wanted, wanted_size) != 0)
        return false;
    return size == wanted_size || (by == FILTER_COMMAND && bytes[size - wanted_size - 1] == '/');
}

/* False only when the line cannot hold a wanted value, which is found out ten times faster than
 * by parsing it. Values that JSON may write in another way, and parts of paths, are left to that.
 */
bool record_filter_may_match(const RecordFilter *filter, const char *line, size_t size)
{
    for (size_t by = 0; by < FILTER_MAX_; by++) {
        const char *wanted = filter->values[by];
        if (!wanted || by == FILTER_COMMAND || strpbrk(wanted, "\"\\"))
            continue;
        bool plain = true;
        for (const char *c = wanted; *c; c++)
            plain &= *c >= ' ' && *c < 0x7f;
        if (plain && !memmem(line, size, wanted, strlen(wanted)))
            return false;
    }
    return true;
}

bool record_filter_matches(const RecordFilter *filter, const json_t *record)
{
    uint64_t time_us = 0;
    const char *time_text = json_string_value(json_object_get(record, "ts"));

    if ((filter->since_text || filter->until_text) &&
        (!time_text || clock_parse_time(time_text, &time_us) < 0 || time_us < filter->since_us ||
         time_us > filter->until_us))
        return false;
    for (size_t by = 0; by < FILTER_MAX_; by++) {
        size_t size = 0;
        if (!filter->values[by])
            continue;
        _cleanup_free_ char *bytes = show_bytes(json_object_get(record, names[by]), &size);
        if (!bytes || !matches(by, filter->values[by], bytes, size))
            return false;
    }
    return true;
}
