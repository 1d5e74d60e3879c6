/*
 * jails.json: the jails that operators have made, in the state directory. Written as a whole: into
 * a new file, which is on disk before it takes the old one's place.
 */
#pragma once

#include "jail/table.h"

#define JAILS_KEPT_FILE "jails.json"
#define JAILS_KEPT_MAX 1000u

/* Adds what the file says to the table (source JAIL_OF_API). 0, also when there is no file; 1: it
 * cannot be used, *ret_problem (the caller's) says why and the table is as before; -ENOMEM. */
int jails_kept_read(int directory_fd, JailTable *table, char **ret_problem);
/* Writes those of the table whose source is JAIL_OF_API. 0 or -errno: the old file stands. */
int jails_kept_write(int directory_fd, const JailTable *table);
