/*
 * The jails that are wanted, each by up to three sources of which the first that names it has it
 * (JailSource). Sorted by name; owns the settings.
 */
#pragma once

#include "jail/settings.h"

typedef struct JailTable {
    JailSettings *items; /* owned; by name, then by source */
    size_t n_items;
} JailTable;

/* Puts in or replaces the settings of this name and source, which are empty then. -ENOMEM: they
 * stay the caller's. */
int jail_table_put_take(JailTable *table, JailSettings *settings);
/* False: there are none of this name and source. */
bool jail_table_remove(JailTable *table, const char *name, JailSource source);
void jail_table_done(JailTable *table);

/* The settings in force of a name; NULL: nobody wants such a jail. Valid until the table changes.
 */
const JailSettings *jail_table_find(const JailTable *table, const char *name);
const JailSettings *jail_table_find_of(const JailTable *table, const char *name, JailSource source);
size_t jail_table_count(const JailTable *table, JailSource source);
/* Whether the settings at `index` are in force, and not behind another source's. */
bool jail_table_is_in_force(const JailTable *table, size_t index);
