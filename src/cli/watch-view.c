/*
 * How the live view looks: a title, the queue, the selected request in full, the history, a
 * message, the keys. On small terminals history goes first, then the title and the keys; what does
 * not fit is never decided upon (watch-keys.c asks `complete`).
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/watch.h"

#define LEAST_ROWS 6
#define LEAST_COLUMNS 30
#define QUEUE_ROWS_LEAST 3

static void put_buffer(int row, ScreenStyle style, Buffer *text)
{
    _cleanup_free_ char *words = buffer_take_string(text);
    (void)screen_put(row, 0, 1 << 20, style, words ? words : "");
}

/* "  PAUSED: everything, my-agent" */
static void put_switches(Buffer *text, const json_t *switches)
{
    static const char *const states[] = {"killed", "paused"};
    static const char *const words[] = {"  KILLED: ", "  PAUSED: "};
    const json_t *entry;
    size_t i;

    for (size_t which = 0; which < ARRAY_SIZE(states); which++) {
        const char *before = words[which];
        json_array_foreach(switches, i, entry)
        {
            const char *state = json_string_value(json_object_get(entry, "state"));
            const char *scope = json_string_value(json_object_get(entry, "scope"));
            if (!state || !scope || strcmp(state, states[which]) != 0)
                continue;
            buffer_puts(text, before);
            before = ", ";
            if (strcmp(scope, "all") == 0)
                buffer_puts(text, "everything");
            else
                show_member(text, entry, scope, 20);
        }
    }
}

static void draw_title(const Watch *watch, int row)
{
    const WatchModel *model = &watch->model;
    Buffer text = BUFFER_EMPTY(8192);
    size_t n_quiet = 0;

    for (size_t i = 0; i < model->n_entries; i++)
        n_quiet += model->entries[i].quiet;
    buffer_puts(&text, "clawrden  ");
    if (model->loaded)
        buffer_printf(&text, "%llu waiting", model->total);
    else
        buffer_puts(&text, "…");
    if (n_quiet > 0)
        buffer_printf(&text, " (%zu quiet)", n_quiet);
    put_switches(&text, watch->switches);
    if (watch->trouble[0])
        buffer_printf(&text, "  NOT LIVE: %s", watch->trouble);
    else
        buffer_puts(&text, watch->stream_was_live ? "  live" : "  connecting");
    buffer_puts(&text, "  ");
    show_text(&text, watch->cli->api, 200);
    put_buffer(row, SCREEN_BOLD, &text);
    screen_fill(row, SCREEN_REVERSE);
}

static const char *keys_of(const Watch *watch)
{
    if (watch->gone)
        return "Esc back";
    switch (watch->mode) {
    case WATCH_DETAILS:
        return "a approve  d deny  g grant  ↑↓ scroll  f unfold  Esc back";
    case WATCH_GRANT:
        return "e/w what  1 2 3 s t how long  ↑↓ scroll  Esc back";
    case WATCH_TIME:
    case WATCH_REASON:
        return "Enter send  Esc back";
    case WATCH_HELP:
        return "any key: back";
    case WATCH_LIST:
        break;
    }
    return "↑↓ select  a approve  d deny  g grant  Enter details  z quiet  ? help  q quit";
}

/* The prompt that is typed into; returns the cursor's column. */
static int draw_prompt(const Watch *watch, int row)
{
    const char *prompt =
        watch->mode == WATCH_TIME ? "for how long (15m, 2h, 1d): " : "deny; reason for the agent: ";
    int columns, rows, used = screen_put(row, 0, 1 << 20, SCREEN_BOLD, prompt);
    const char *text = watch->input;
    int width;

    screen_size(&rows, &columns);
    /* The end is what is being typed. */
    while (text[0] && screen_fit(text, columns - used - 1, &width) < strlen(text)) {
        int one;
        text += screen_fit(text, 1, &one);
    }
    return used + screen_put(row, used, columns - used - 1, SCREEN_PLAIN, text);
}

/* Message and keys in the last rows. Returns the cursor's column, or -1. */
static int draw_foot(const Watch *watch, int rows)
{
    int cursor = -1;
    bool typing = (watch->mode == WATCH_TIME || watch->mode == WATCH_REASON) && !watch->gone;

    if (typing) {
        cursor = draw_prompt(watch, rows - 2);
    } else if (watch->gone) {
        (void)screen_put(rows - 2, 0, 1 << 20, SCREEN_BAD, watch->subject);
        (void)screen_put(rows - 2, (int)strlen(watch->subject), 1 << 20, SCREEN_BAD,
                         " is no longer pending; nothing was decided here");
    } else {
        (void)screen_put(rows - 2, 0, 1 << 20, watch->message_style, watch->message);
    }
    (void)screen_put(rows - 1, 0, 1 << 20, SCREEN_DIM, keys_of(watch));
    return cursor;
}

static void draw_lines(const Lines *lines, size_t from, int row, int count)
{
    for (int i = 0; i < count && from + (size_t)i < lines->n_rows; i++)
        (void)screen_put(row + i, 0, 1 << 20, lines->rows[from + (size_t)i].style,
                         lines->rows[from + (size_t)i].text);
}

/* The newest at the bottom. */
static void draw_history(const Watch *watch, int row, int count)
{
    size_t held = watch->n_history < WATCH_HISTORY ? watch->n_history : WATCH_HISTORY;
    size_t shown = (size_t)count < held ? (size_t)count : held;

    for (size_t i = 0; i < shown; i++) {
        size_t which = (watch->n_history - shown + i) % WATCH_HISTORY;
        (void)screen_put(row + (int)i, 0, 1 << 20, SCREEN_DIM,
                         watch->history[which] ? watch->history[which] : "");
    }
}

static void draw_rule(int row, int columns, const char *name)
{
    for (int column = 0; column < columns; column++)
        (void)screen_put(row, column, 1, SCREEN_DIM, "-");
    (void)screen_put(row, 2, columns - 2, SCREEN_DIM, name);
}

/* Rows of the queue from the one that keeps the selection in sight. */
static void draw_queue(const Watch *watch, int row, int count, uint64_t now_ms)
{
    const WatchModel *model = &watch->model;
    size_t n_rows = watch_model_n_rows(model), room = (size_t)count, first = 0, i = 0;
    DigestLines digest;

    watch_model_digest(model, &digest);
    if (model->place + 1 > room)
        first = model->place + 1 - room;
    for (; i < room && first + i < n_rows; i++) {
        const WatchEntry *entry = watch_model_row(model, first + i);
        bool selected = strcmp(entry->id, model->selected) == 0;
        Buffer text = BUFFER_EMPTY(1 << 20);
        buffer_puts(&text, selected ? "> " : "  ");
        watch_text_row(entry, now_ms, &text);
        put_buffer(row + (int)i, SCREEN_PLAIN, &text);
        if (selected)
            screen_fill(row + (int)i, SCREEN_REVERSE);
    }
    for (size_t line = 0; i < room && line < digest.n_items; i++, line++) {
        Buffer text = BUFFER_EMPTY(65536);
        digest_line_put(&digest.items[line], &text);
        put_buffer(row + (int)i, SCREEN_DIM, &text);
    }
    if (n_rows == 0 && digest.n_items == 0 && room > 0)
        (void)screen_put(row, 0, 1 << 20, SCREEN_DIM,
                         model->loaded ? "nothing waits for a decision" : "asking the warden…");
    digest_lines_done(&digest);
}

static void draw_list(Watch *watch, int top, int rows, int columns, uint64_t now_ms)
{
    const WatchEntry *selected = watch_model_selected(&watch->model);
    Lines preview = {.columns = columns};
    bool partial = false;
    int wanted = 0, queue_rows, history_rows;

    if (selected) {
        watch_text_preview(selected->entry, &preview, &partial);
        wanted = (int)preview.n_rows + 1;
    }
    if (wanted > rows - QUEUE_ROWS_LEAST)
        wanted = rows > QUEUE_ROWS_LEAST ? rows - QUEUE_ROWS_LEAST : 0;
    int left = rows - wanted, entries = (int)watch->model.n_entries;
    queue_rows = left < QUEUE_ROWS_LEAST + 3 ? left : left / 2 > entries ? left / 2 : left * 2 / 3;
    history_rows = left - queue_rows;
    draw_queue(watch, top, queue_rows, now_ms);
    if (wanted > 0) {
        draw_rule(top + queue_rows, columns, "");
        draw_lines(&preview, 0, top + queue_rows + 1, wanted - 1);
    }
    watch->complete =
        selected && !partial && (size_t)(wanted > 0 ? wanted - 1 : 0) >= preview.n_rows;
    if (selected && !watch->complete)
        draw_rule(top + queue_rows, columns, " NOT ALL OF IT IS SHOWN: Enter ");
    if (history_rows > 1) {
        draw_rule(top + queue_rows + wanted, columns, " history ");
        draw_history(watch, top + queue_rows + wanted + 1, history_rows - 1);
    }
    lines_done(&preview);
}

/* Details and grant: a text that scrolls. `complete` once its last row was on the screen. */
static void draw_text(Watch *watch, int top, int rows, int columns)
{
    Lines lines = {.columns = columns};
    bool partial = false;

    if (watch->mode == WATCH_GRANT || watch->mode == WATCH_TIME)
        watch_text_grant(watch, &lines);
    else
        watch_text_details(watch->subject_entry, watch->unfolded, &lines, &partial);
    watch->n_rows = lines.n_rows;
    watch->page = (size_t)rows;
    if (watch->scroll + watch->page > watch->n_rows)
        watch->scroll = watch->n_rows > watch->page ? watch->n_rows - watch->page : 0;
    draw_lines(&lines, watch->scroll, top, rows);
    watch->complete |= !partial && !lines.failed && watch->scroll + watch->page >= watch->n_rows;
    lines_done(&lines);
}

static void draw_help(int top, int rows, int columns)
{
    static const char *const help[] = {
        "up down PgUp PgDn Home End   select a request, scroll",
        "a        approve the selected request, once",
        "d        deny it; a reason is asked for and told to the agent",
        "g        approve it and remember the approval: what, and for how long",
        "Enter    all about it: one argument per line, digests, notes",
        "z        quiet requests one by one, or one line per rule",
        "r        ask the warden again",
        "q        quit",
    };
    Lines lines = {.columns = columns};

    static const char explanation[] =
        "A key decides only about what was on the screen for a moment, in full: what is typed "
        "ahead "
        "is ignored, and nothing is selected but by you. Characters that a terminal would not show "
        "as they are appear as escapes: \\n, \\x1b, \\u{202e}.";

    for (size_t i = 0; i < ARRAY_SIZE(help); i++)
        lines_add(&lines, SCREEN_PLAIN, "", help[i]);
    lines_add(&lines, SCREEN_PLAIN, "", "");
    lines_add(&lines, SCREEN_PLAIN, "", explanation);
    draw_lines(&lines, 0, top, rows);
    lines_done(&lines);
}

void watch_draw(Watch *watch, uint64_t now_ms)
{
    int rows, columns;

    screen_begin();
    screen_size(&rows, &columns);
    if (rows < LEAST_ROWS || columns < LEAST_COLUMNS) {
        (void)screen_put(0, 0, 1 << 20, SCREEN_BAD, "too small: make it 30x6");
        watch->complete = false;
        watch_model_hide(&watch->model);
        screen_end(-1, 0);
        return;
    }
    int top = rows >= 10 ? 1 : 0, body = rows - top - 2, cursor;
    if (top > 0)
        draw_title(watch, 0);
    if (watch->mode == WATCH_LIST)
        draw_list(watch, top, body, columns, now_ms);
    else if (watch->mode == WATCH_HELP)
        draw_help(top, body, columns);
    else
        draw_text(watch, top, body, columns);
    cursor = draw_foot(watch, rows);
    screen_end(cursor >= 0 ? rows - 2 : -1, cursor);
}
