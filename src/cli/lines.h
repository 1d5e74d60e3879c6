/*
 * Texts wrapped into rows of a screen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/screen.h"

typedef struct Lines {
    struct {
        char *text; /* owned */
        ScreenStyle style;
    } * rows; /* owned */
    size_t n_rows;
    int columns; /* that a row has */
    bool failed; /* rows are missing: out of memory */
} Lines;

/* `text` in rows of at most lines->columns columns, the first one after `label`, the others
 * indented as far. A row that continues one begins with no mark: nothing but the text and spaces.
 */
void lines_add(Lines *lines, ScreenStyle style, const char *label, const char *text);
void lines_done(Lines *lines);
