/*
 * See table.h.
 */
#include "jail/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const JailSettings *item, const char *name, JailSource source)
{
    int order = strcmp(item->jail.name, name);
    return order != 0 ? order : (int)item->source - (int)source;
}

/* The first that does not come before. */
static size_t place_of(const JailTable *table, const char *name, JailSource source)
{
    size_t low = 0, high = table->n_items;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&table->items[middle], name, source) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const JailTable *table, size_t index, const char *name, JailSource source)
{
    return index < table->n_items && compare(&table->items[index], name, source) == 0;
}

int jail_table_put_take(JailTable *table, JailSettings *settings)
{
    size_t at = place_of(table, settings->jail.name, settings->source);

    if (is_at(table, at, settings->jail.name, settings->source)) {
        jail_settings_done(&table->items[at]);
    } else {
        JailSettings *items = reallocarray(table->items, table->n_items + 1, sizeof *items);
        if (!items)
            return -ENOMEM;
        table->items = items;
        memmove(&items[at + 1], &items[at], (table->n_items - at) * sizeof *items);
        table->n_items++;
    }
    table->items[at] = *settings;
    *settings = JAIL_SETTINGS_EMPTY;
    return 0;
}

bool jail_table_remove(JailTable *table, const char *name, JailSource source)
{
    size_t at = place_of(table, name, source);

    if (!is_at(table, at, name, source))
        return false;
    jail_settings_done(&table->items[at]);
    table->n_items--;
    memmove(&table->items[at], &table->items[at + 1], (table->n_items - at) * sizeof *table->items);
    return true;
}

void jail_table_done(JailTable *table)
{
    for (size_t i = 0; i < table->n_items; i++)
        jail_settings_done(&table->items[i]);
    free(table->items);
    *table = (JailTable){.items = NULL};
}

const JailSettings *jail_table_find(const JailTable *table, const char *name)
{
    size_t at = place_of(table, name, JAIL_OF_POLICY);

    return at < table->n_items && strcmp(table->items[at].jail.name, name) == 0 ? &table->items[at]
                                                                                : NULL;
}

const JailSettings *jail_table_find_of(const JailTable *table, const char *name, JailSource source)
{
    size_t at = place_of(table, name, source);

    return is_at(table, at, name, source) ? &table->items[at] : NULL;
}

size_t jail_table_count(const JailTable *table, JailSource source)
{
    size_t count = 0;

    for (size_t i = 0; i < table->n_items; i++)
        count += table->items[i].source == source;
    return count;
}

bool jail_table_is_in_force(const JailTable *table, size_t index)
{
    return index == 0 ||
           strcmp(table->items[index - 1].jail.name, table->items[index].jail.name) != 0;
}
