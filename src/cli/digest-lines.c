/*
 * See digest-lines.h.
 */
#include "cli/digest-lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/show.h"

static char *shown(const json_t *entry, const char *name)
{
    Buffer text = BUFFER_EMPTY(4096);
    show_member(&text, entry, name, 120);
    return buffer_take_string(&text);
}

static DigestLine *find_or_add(DigestLines *lines, const char *rule, const char *jail)
{
    for (size_t i = 0; i < lines->n_items; i++) {
        DigestLine *line = &lines->items[i];
        if (strcmp(line->rule, rule) == 0 && strcmp(line->jail, jail) == 0)
            return line;
    }
    DigestLine *grown = reallocarray(lines->items, lines->n_items + 1, sizeof *grown);
    if (!grown)
        return NULL;
    lines->items = grown;
    DigestLine *line = &grown[lines->n_items];
    *line = (DigestLine){.rule = strdup(rule), .jail = strdup(jail)};
    if (!line->rule || !line->jail) {
        free(line->rule);
        free(line->jail);
        return NULL;
    }
    lines->n_items++;
    return line;
}

bool digest_lines_take(DigestLines *lines, const json_t *entry)
{
    if (!json_is_true(json_object_get(entry, "quiet")))
        return false;
    _cleanup_free_ char *rule = shown(entry, "rule"), *jail = shown(entry, "jail");
    DigestLine *line = rule && jail ? find_or_add(lines, rule, jail) : NULL;
    if (!line)
        return false;
    line->n_requests++;
    line->n_waiters += show_number(entry, "waiters");
    return true;
}

void digest_line_put(const DigestLine *line, Buffer *out)
{
    buffer_puts(out, "quiet: ");
    show_count(out, line->n_requests, "request");
    buffer_printf(out, " by \"%s\" in jail %s", line->rule, line->jail);
    if (line->n_waiters > 0)
        buffer_printf(out, ", %llu waiting", line->n_waiters);
}

void digest_lines_put(const DigestLines *lines, Buffer *out)
{
    for (size_t i = 0; i < lines->n_items; i++) {
        buffer_puts(out, i == 0 && buffer_size(out) > 0 ? "\n" : "");
        digest_line_put(&lines->items[i], out);
        buffer_puts(out, i == 0 ? " (`queue --quiet` lists them)\n" : "\n");
    }
}

void digest_lines_done(DigestLines *lines)
{
    for (size_t i = 0; i < lines->n_items; i++) {
        free(lines->items[i].rule);
        free(lines->items[i].jail);
    }
    free(lines->items);
    *lines = (DigestLines){0};
}
