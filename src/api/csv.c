/*
 * See csv.h.
 */
#include "api/csv.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

static const char *const columns[] = {
    "seq", "ts",       "event", "request",  "jail",      "container", "uid",         "gid",
    "pid", "command",  "argv",  "cwd",      "verdict",   "rule",      "reason",      "approver",
    "via", "approval", "grant", "executor", "exit_code", "signal",    "duration_ms", "message",
};

static void put_cell(Buffer *csv, const char *text, size_t size)
{
    buffer_puts(csv, text_is_formula(text, size) ? "\"'" : "\"");
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            buffer_puts(csv, "\"");
        buffer_put(csv, text + i, 1);
    }
    buffer_puts(csv, "\"");
}

/* The words of a command with visible boundaries, as a human is shown them. */
static void put_argv(Buffer *csv, const json_t *argv)
{
    Buffer shown = BUFFER_EMPTY((size_t)128 << 20);
    size_t i;
    const json_t *word;

    json_array_foreach(argv, i, word)
    {
        if (i > 0)
            buffer_puts(&shown, " ");
        if (json_is_string(word)) {
            text_display_argument(&shown, json_string_value(word), 0);
        } else {
            const char *base64 = json_string_value(json_object_get(word, "base64"));
            buffer_printf(&shown, "base64:%s", base64 ? base64 : "?");
        }
    }
    put_cell(csv, buffer_head(&shown), buffer_size(&shown));
    buffer_done(&shown);
}

static void put_value(Buffer *csv, const json_t *value)
{
    Buffer shown = BUFFER_EMPTY((size_t)128 << 20);

    if (json_is_array(value)) {
        put_argv(csv, value);
    } else if (json_is_string(value)) {
        text_display(&shown, json_string_value(value), json_string_length(value), 0);
        put_cell(csv, buffer_head(&shown), buffer_size(&shown));
    } else if (json_is_integer(value)) {
        buffer_printf(csv, "%lld", (long long)json_integer_value(value));
    } else if (json_is_object(value)) {
        const char *base64 = json_string_value(json_object_get(value, "base64"));
        buffer_printf(&shown, "base64:%s", base64 ? base64 : "?");
        put_cell(csv, buffer_head(&shown), buffer_size(&shown));
    } else if (json_is_boolean(value)) {
        buffer_puts(csv, json_is_true(value) ? "true" : "false");
    }
    buffer_done(&shown);
}

void csv_put_header(Buffer *csv)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        buffer_printf(csv, "%s%s", i > 0 ? "," : "", columns[i]);
    buffer_puts(csv, "\r\n");
}

void csv_put_record(Buffer *csv, const char *line, size_t size)
{
    json_t *record = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        if (i > 0)
            buffer_puts(csv, ",");
        put_value(csv, json_object_get(record, columns[i]));
    }
    buffer_puts(csv, "\r\n");
    json_decref(record);
}
