/*
 * What tokens and users have in common: a name, a role, the jails they are confined to.
 */
#pragma once

#include <jansson.h>

#include "cli/cli.h"

bool people_is_role(const char *role);
/* The body that creates one: {"name", "role", "jails"?}. NULL: the role is none, or a text is not
 * UTF-8. */
json_t *people_body(const char *name, const char *role, const CliList *jails);
/* Lists what `path` answers in its member `member`; `none` when that is empty. Exit code. */
int people_list(const Cli *cli, const char *path, const char *member, const char *none);
/* DELETE of `path` followed by `id`, which is safe in a path; prints "DONE ID". Exit code. */
int people_delete(const Cli *cli, const char *path, const char *id, const char *done);
