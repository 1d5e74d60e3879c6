/*
 * The environment of a command: what the order lets through, with a PATH that leads to trusted
 * directories first, and the pagers that every command gets.
 */
#pragma once

#include <stddef.h>

#include "wire/message.h"
#include "wire/shim-request.h"

typedef struct Environment {
    const char *path_entry; /* the request's first "PATH=…"; NULL if there is none */
    char *path_ordered;     /* the same with its directories in order, owned */
} Environment;

/* Works out the order of PATH: dozens of system calls, for a time when nobody waits. 0 or -ENOMEM.
 */
int environment_prepare(Environment *environment, const ShimRequest *request);

/* The entries that the order keeps, NULL-terminated, as they are digested; owned. NULL when there
 * is no memory. */
const char **environment_keep(const ShimRequest *request, const RunOrder *order, size_t *ret_count);

/* What the command gets instead of `kept`; owned. NULL when there is no memory. */
const char **environment_compose(const Environment *environment, const char *const *kept,
                                 size_t n_kept);

/* "PATH=…" with the directories that the caller cannot change first: what a command starts by name
 * comes from there, if it is there; else the caller's own `grep` would run inside an allowed
 * script. The order within each kind stays. Owned; NULL when there is no memory. */
char *environment_order_path(const char *entry);
