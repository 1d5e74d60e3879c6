/*
 * See record.h.
 */
#include "cli/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/show.h"
#include "journal/line.h"

/* The most of one member that a line holds, and of one argv. */
#define VALUE_MAX 2000u
#define ARGV_MAX 4000u

/* The members of a record in the order of docs/journal.md. */
static const char *const columns[] = {
    "seq",       "ts",      "event",    "request",   "jail",     "container",   "uid",
    "gid",       "pid",     "command",  "argv",      "cwd",      "exe",         "exe_digest",
    "binding",   "verdict", "rule",     "reason",    "approver", "via",         "approval",
    "grant",     "waiters", "executor", "exit_code", "signal",   "duration_ms", "timeout_violation",
    "leftovers", "message", "late",     "of",        "hash",
};

/* A member's value with visible boundaries. */
static void put_value(Buffer *out, const json_t *value)
{
    size_t size = 0;
    _cleanup_free_ char *bytes = show_bytes(value, &size);

    if (json_is_integer(value))
        buffer_printf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        buffer_puts(out, json_is_true(value) ? "true" : "false");
    else if (bytes && strlen(bytes) == size)
        text_display_argument(out, bytes, VALUE_MAX);
    else
        buffer_puts(out, "?"); /* nothing that the journal writes */
}

/* What stands in front, without a name. */
static bool is_in_front(const char *name)
{
    static const char *const front[] = {"seq", "ts", "event", "jail", "request", "argv"};
    for (size_t i = 0; i < ARRAY_SIZE(front); i++)
        if (strcmp(name, front[i]) == 0)
            return true;
    return false;
}

/* Members that are in no column: a newer warden's. */
static void put_others(Buffer *out, const json_t *record)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)record, name, value)
    {
        bool known = strcmp(name, "prev") == 0 || strcmp(name, "segment") == 0;
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
            known |= strcmp(name, columns[i]) == 0;
        if (known)
            continue;
        buffer_puts(out, " ");
        text_display_argument(out, name, 40);
        buffer_puts(out, "=");
        put_value(out, value);
    }
}

/* SEQ TIME EVENT JAIL REQUEST name=value … : ARGV */
void record_put_line(Buffer *out, const json_t *record)
{
    static const char *const front[] = {"ts", "event", "jail", "request"};
    const json_t *argv = json_object_get(record, "argv");

    buffer_printf(out, "%6llu", show_number(record, "seq"));
    for (size_t i = 0; i < ARRAY_SIZE(front); i++) {
        const json_t *value = json_object_get(record, front[i]);
        buffer_puts(out, " ");
        if (value)
            put_value(out, value);
        else
            buffer_puts(out, "-");
    }
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        const char *name = columns[i];
        const json_t *value = json_object_get(record, name);
        bool digest = strcmp(name, "exe_digest") == 0 || strcmp(name, "binding") == 0 ||
                      strcmp(name, "hash") == 0;
        if (!value || digest || is_in_front(name))
            continue;
        buffer_printf(out, " %s=", name);
        put_value(out, value);
    }
    put_others(out, record);
    if (argv) {
        buffer_puts(out, " : ");
        show_argv(out, argv, ARGV_MAX);
    }
    buffer_puts(out, "\n");
}

/* RFC 4180: every text cell in double quotes. */
static void put_cell(Buffer *out, const json_t *value)
{
    Buffer text = BUFFER_EMPTY(4 * JOURNAL_LINE_MAX);
    size_t size = 0;
    _cleanup_free_ char *bytes = show_bytes(value, &size);

    if (json_is_array(value))
        show_argv(&text, value, 0);
    else if (bytes)
        text_display(&text, bytes, size, 0);
    _cleanup_free_ char *cell = buffer_take_string(&text);
    if (!cell) {
        out->error = -ENOMEM;
        return;
    }
    buffer_puts(out, text_is_formula(cell, strlen(cell)) ? "\"'" : "\"");
    for (char *rest = cell, *part; (part = strsep(&rest, "\""));) {
        buffer_puts(out, part);
        buffer_puts(out, rest ? "\"\"" : "\"");
    }
}

void record_put_csv(Buffer *out, const json_t *record)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        const json_t *value = json_object_get(record, columns[i]);
        if (i > 0)
            buffer_puts(out, ",");
        if (json_is_integer(value) || json_is_boolean(value))
            put_value(out, value);
        else if (value)
            put_cell(out, value);
    }
    buffer_puts(out, "\r\n");
}

void record_put_csv_header(Buffer *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        buffer_printf(out, "%s%s", i > 0 ? "," : "", columns[i]);
    buffer_puts(out, "\r\n");
}
