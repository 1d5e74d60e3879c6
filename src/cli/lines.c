/*
 * See lines.h.
 */
#include "cli/lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define ROW_MAX 65536u

/* One row: `label` or as many spaces, and a piece of text. */
static void add_row(Lines *lines, ScreenStyle style, const char *label, int indent,
                    const char *text, size_t size)
{
    Buffer row = BUFFER_EMPTY(ROW_MAX);
    void *grown = reallocarray(lines->rows, lines->n_rows + 1, sizeof *lines->rows);

    lines->failed |= !grown;
    if (!grown)
        return;
    lines->rows = grown;
    if (label)
        buffer_puts(&row, label);
    for (int i = 0; !label && i < indent; i++)
        buffer_put_u8(&row, ' ');
    buffer_put(&row, text, size);
    char *whole = buffer_take_string(&row);
    lines->failed |= !whole;
    if (!whole)
        return;
    lines->rows[lines->n_rows].text = whole;
    lines->rows[lines->n_rows++].style = style;
}

void lines_add(Lines *lines, ScreenStyle style, const char *label, const char *text)
{
    int indent = 0, used;

    if (label[0])
        (void)screen_fit(label, 1 << 20, &indent);
    int room = lines->columns > indent + 8 ? lines->columns - indent : 8;
    do {
        size_t size = text[0] ? screen_fit(text, room, &used) : 0;
        add_row(lines, style, label, indent, text, size);
        label = NULL;
        text += size;
    } while (text[0]);
}

void lines_done(Lines *lines)
{
    for (size_t i = 0; i < lines->n_rows; i++)
        free(lines->rows[i].text);
    free(lines->rows);
    *lines = (Lines){.columns = lines->columns};
}
