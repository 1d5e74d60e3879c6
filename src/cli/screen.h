/*
 * The terminal in full: lines with a style, keys, and the way back on any exit.
 *
 * Texts must be in display form (base/text.h). Whatever is none all the same becomes '?' here: no
 * control character ever reaches the terminal but those that ncurses makes. Where the locale is not
 * UTF-8 other characters than ASCII are shown as escapes.
 *
 * One screen per process. While it is open, signals that would end the process are noted instead
 * (screen_signal()), and a crash puts the terminal back before it kills.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum ScreenStyle {
    SCREEN_PLAIN,
    SCREEN_BOLD,
    SCREEN_DIM,
    SCREEN_REVERSE,
    SCREEN_GOOD,
    SCREEN_BAD,
    SCREEN_NOTE,
} ScreenStyle;

/* Keys that are no characters. */
enum {
    SCREEN_KEY_NONE = 0,
    SCREEN_KEY_UP = 0x110000, /* beyond Unicode */
    SCREEN_KEY_DOWN,
    SCREEN_KEY_PAGE_UP,
    SCREEN_KEY_PAGE_DOWN,
    SCREEN_KEY_HOME,
    SCREEN_KEY_END,
    SCREEN_KEY_ENTER,
    SCREEN_KEY_ESCAPE,
    SCREEN_KEY_ERASE,
    SCREEN_KEY_OTHER,
};

/* NULL, or why there can be no screen: static words. `color` false: none is used. */
const char *screen_open(bool color);
void screen_close(void);

void screen_size(int *ret_rows, int *ret_columns);
/* An empty screen to draw on; the terminal's size is asked for again. */
void screen_begin(void);
/* Puts text at a place, cut at the right edge or after `most` columns. Returns columns used. */
int screen_put(int row, int column, int most, ScreenStyle style, const char *text);
/* A whole row of one style. */
void screen_fill(int row, ScreenStyle style);
/* Sends what was drawn; the cursor is shown there, or (row < 0) not at all. */
void screen_end(int cursor_row, int cursor_column);
/* The next draw sends everything anew. */
void screen_redraw(void);
void screen_beep(void);

/* Bytes of `text` that fit into so many columns, at least one character; the columns that they take
 * in `ret_used`. */
size_t screen_fit(const char *text, int columns, int *ret_used);

/* The next key that has come, a Unicode character or SCREEN_KEY_…; SCREEN_KEY_NONE: none. */
int screen_key(void);
/* The signal that asks us to end, or 0. */
int screen_signal(void);
/* Whether the terminal was resized, or we were stopped and continued, since the last call. */
bool screen_was_disturbed(void);
