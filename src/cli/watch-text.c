/*
 * The words of the live view. Everything passes through base/text.h.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/queue.h"
#include "cli/show.h"
#include "cli/watch.h"

#define TEXT_MAX ((size_t)16 << 20)
#define ROW_ARGV_MAX 400u
#define FOLD_AT 1000u

static Buffer text_buffer(void)
{
    return BUFFER_EMPTY(TEXT_MAX);
}

/* Adds what was collected as rows after `label`. */
static void flush(Lines *lines, ScreenStyle style, const char *label, Buffer *text)
{
    _cleanup_free_ char *words = buffer_take_string(text);

    lines->failed |= !words;
    lines_add(lines, style, label, words ? words : "?");
}

/* "1h 2m 3s" ago or left, as short as it is readable: 59s, 9m12s, 3h07m. */
static void put_countdown(Buffer *out, uint64_t left_ms)
{
    unsigned long long seconds = left_ms / 1000;

    if (seconds < 60)
        buffer_printf(out, "%llus", seconds);
    else if (seconds < 3600)
        buffer_printf(out, "%llum%02llus", seconds / 60, seconds % 60);
    else
        buffer_printf(out, "%lluh%02llum", seconds / 3600, seconds / 60 % 60);
}

void watch_text_row(const WatchEntry *entry, uint64_t now_ms, Buffer *out)
{
    const json_t *json = entry->entry;
    Buffer left = BUFFER_EMPTY(64);
    unsigned long long needed = show_number(json, "needed");

    put_countdown(&left, entry->expires_at_ms > now_ms ? entry->expires_at_ms - now_ms : 0);
    _cleanup_free_ char *countdown = buffer_take_string(&left);
    show_member(out, json, "id", WATCH_ID_MAX);
    buffer_printf(out, " %6s ", countdown ? countdown : "");
    show_member(out, json, "jail", 24);
    if (show_number(json, "waiters") > 1)
        buffer_printf(out, " ×%llu", show_number(json, "waiters"));
    if (needed > 1)
        buffer_printf(out, " %zu/%llu", json_array_size(json_object_get(json, "approved_by")),
                      needed);
    buffer_puts(out, entry->deciding ? " (deciding)  " : "  ");
    show_argv(out, json_object_get(json, "argv"), ROW_ARGV_MAX);
}

static void add_member(Lines *out, ScreenStyle style, const char *label, const json_t *entry,
                       const char *name)
{
    Buffer text = text_buffer();
    const json_t *value = json_object_get(entry, name);

    if (!value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0))
        return;
    show_member(&text, entry, name, 0);
    flush(out, style, label, &text);
}

static void add_list(Lines *out, const char *label, const json_t *list)
{
    Buffer text = text_buffer();
    if (json_array_size(list) == 0)
        return;
    show_list(&text, list, 200);
    flush(out, SCREEN_PLAIN, label, &text);
}

static void add_caller(const json_t *entry, Lines *out)
{
    Buffer text = text_buffer();

    show_member(&text, entry, "id", WATCH_ID_MAX);
    buffer_puts(&text, "  jail ");
    show_member(&text, entry, "jail", 80);
    if (json_object_get(entry, "container")) {
        buffer_puts(&text, ", container ");
        show_member(&text, entry, "container", 20);
    }
    buffer_puts(&text, ", uid ");
    show_uid(&text, show_number(entry, "uid"));
    queue_put_standing(&text, entry);
    flush(out, SCREEN_PLAIN, "", &text);
}

/* Arguments that the warden keeps to itself because there are so many. */
static bool add_more(const json_t *entry, Lines *out)
{
    Buffer text = text_buffer();
    unsigned long long more = show_number(entry, "argv_more");

    if (more == 0)
        return false;
    buffer_puts(&text, "and ");
    show_count(&text, more, "argument");
    buffer_puts(&text, " more, which the warden does not give out: the journal has them");
    flush(out, SCREEN_BAD, "      ", &text);
    return true;
}

static void add_notes(const json_t *entry, Lines *out)
{
    const json_t *notes = json_object_get(entry, "notes");

    for (size_t i = 0; i < json_array_size(notes); i++) {
        Buffer text = text_buffer();
        size_t size = 0;
        _cleanup_free_ char *note = show_bytes(json_array_get(notes, i), &size);
        text_display(&text, note ? note : "?", note ? size : 1, 0);
        flush(out, SCREEN_NOTE, "note  ", &text);
    }
    if (json_is_false(json_object_get(entry, "may_decide"))) {
        Buffer text = text_buffer();
        buffer_puts(&text, "you may not decide this: ");
        show_words(&text, entry, "why_not", 500);
        flush(out, SCREEN_BAD, "      ", &text);
    }
}

static void add_rule(const json_t *entry, Lines *out)
{
    Buffer text = text_buffer();

    show_member(&text, entry, "rule", 200);
    if (json_string_length(json_object_get(entry, "reason")) > 0) {
        buffer_puts(&text, ": ");
        show_member(&text, entry, "reason", 0);
    }
    flush(out, SCREEN_PLAIN, "rule  ", &text);
}

void watch_text_preview(const json_t *entry, Lines *out, bool *ret_partial)
{
    Buffer text = text_buffer();

    add_caller(entry, out);
    show_argv(&text, json_object_get(entry, "argv"), 0);
    flush(out, SCREEN_BOLD, "  ", &text);
    *ret_partial = add_more(entry, out);
    add_member(out, SCREEN_PLAIN, "in    ", entry, "cwd");
    add_member(out, SCREEN_PLAIN, "runs  ", entry, "exe");
    add_member(out, SCREEN_PLAIN, "script ", entry, "script");
    add_rule(entry, out);
    add_notes(entry, out);
    *ret_partial |= out->failed;
}

/* One argument per line, numbered: where one ends the next begins, whatever is in it. */
static bool add_arguments(const json_t *argv, bool unfolded, Lines *out)
{
    bool folded = false;

    for (size_t i = 0; i < json_array_size(argv); i++) {
        Buffer text = text_buffer(), label = BUFFER_EMPTY(64);
        size_t size = 0;
        _cleanup_free_ char *bytes = show_bytes(json_array_get(argv, i), &size);
        bool fold = !unfolded && size > FOLD_AT + 16;
        text_display_argument(&text, bytes ? bytes : "?", fold ? FOLD_AT : 0);
        folded |= fold;
        buffer_printf(&label, "%5zu  ", i);
        _cleanup_free_ char *number = buffer_take_string(&label);
        flush(out, SCREEN_BOLD, number ? number : "", &text);
    }
    return folded;
}

static void add_grant_words(const json_t *entry, Lines *out)
{
    static const char *const members[][2] = {
        {"exact", "grant "}, {"widened", "wider "}, {"why_not", "no grant: "}};
    const json_t *grant = json_object_get(entry, "grant");

    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        Buffer text = text_buffer();
        if (!json_is_string(json_object_get(grant, members[i][0])))
            continue;
        show_words(&text, grant, members[i][0], 0);
        flush(out, SCREEN_PLAIN, members[i][1], &text);
    }
}

void watch_text_details(const json_t *entry, bool unfolded, Lines *out, bool *ret_partial)
{
    add_caller(entry, out);
    *ret_partial = add_arguments(json_object_get(entry, "argv"), unfolded, out);
    if (*ret_partial)
        lines_add(out, SCREEN_BAD, "       ", "long arguments are folded: f shows all of them");
    (void)add_more(entry, out);
    add_member(out, SCREEN_PLAIN, "in    ", entry, "cwd");
    add_member(out, SCREEN_PLAIN, "runs  ", entry, "exe");
    add_member(out, SCREEN_DIM, "      blake2b ", entry, "exe_digest");
    add_member(out, SCREEN_PLAIN, "script ", entry, "script");
    add_member(out, SCREEN_DIM, "      blake2b ", entry, "script_digest");
    add_rule(entry, out);
    add_notes(entry, out);
    add_member(out, SCREEN_PLAIN, "container ", entry, "container");
    add_member(out, SCREEN_PLAIN, "asked at ", entry, "asked_at");
    add_list(out, "only by ", json_object_get(entry, "approvers"));
    add_list(out, "only through ", json_object_get(entry, "channels"));
    add_grant_words(entry, out);
    *ret_partial |= out->failed;
}

static void add_choice(const Watch *watch, Lines *out, bool widened)
{
    const json_t *grant = json_object_get(watch->subject_entry, "grant");
    const char *name = widened ? "widened" : "exact";
    bool chosen = watch->chosen && watch->widened == widened;
    Buffer text = text_buffer(), label = BUFFER_EMPTY(32);

    buffer_printf(&label, "%s %c  ", chosen ? ">" : " ", widened ? 'w' : 'e');
    if (json_is_string(json_object_get(grant, name)))
        show_words(&text, grant, name, 0);
    else if (widened && json_is_string(json_object_get(grant, "exact")))
        buffer_puts(&text, "(the rule does not say how an approval of it may be widened)");
    else
        show_words(&text, grant, "why_not", 0);
    _cleanup_free_ char *key = buffer_take_string(&label);
    flush(out, chosen ? SCREEN_BOLD : SCREEN_PLAIN, key ? key : "", &text);
}

void watch_text_grant(const Watch *watch, Lines *out)
{
    const json_t *grant = json_object_get(watch->subject_entry, "grant");
    bool partial = false;

    watch_text_preview(watch->subject_entry, out, &partial);
    lines_add(out, SCREEN_PLAIN, "", "");
    lines_add(out, SCREEN_BOLD, "", "Approve it and remember the approval. It would cover:");
    add_choice(watch, out, false);
    add_choice(watch, out, true);
    lines_add(out, SCREEN_PLAIN, "", "");
    lines_add(out, SCREEN_PLAIN, "",
              json_is_false(json_object_get(grant, "session"))
                  ? "for how long:  1 15m   2 1h   3 8h   t another time   (no session is known)"
                  : "for how long:  1 15m   2 1h   3 8h   s session   t another time");
}

/* History. */

static void put_more(Buffer *out, const json_t *record, const char *before, const char *name)
{
    if (!json_object_get(record, name))
        return;
    buffer_puts(out, before);
    show_words(out, record, name, 200);
}

char *watch_text_record(const json_t *record)
{
    const char *time = json_string_value(json_object_get(record, "ts"));
    Buffer out = BUFFER_EMPTY(65536);

    if (time && strlen(time) > 19) {
        char clock[9] = "";
        memcpy(clock, time + 11, 8);
        show_text(&out, clock, 0);
    }
    put_more(&out, record, " ", "event");
    put_more(&out, record, " ", "jail");
    put_more(&out, record, " ", "verdict");
    if (json_is_integer(json_object_get(record, "exit_code")))
        buffer_printf(&out, " exit %lld",
                      (long long)json_integer_value(json_object_get(record, "exit_code")));
    if (json_is_integer(json_object_get(record, "signal")))
        buffer_printf(&out, " signal %llu", show_number(record, "signal"));
    put_more(&out, record, " by ", "approver");
    put_more(&out, record, " via ", "via");
    put_more(&out, record, " ", "message");
    if (json_is_array(json_object_get(record, "argv"))) {
        buffer_puts(&out, " : ");
        show_argv(&out, json_object_get(record, "argv"), ROW_ARGV_MAX);
    }
    return buffer_take_string(&out);
}
