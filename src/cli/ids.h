/*
 * Ids as operators type them into paths of the api.
 */
#pragma once

#include <stdbool.h>

/* Letters, digits and '-', at most 63: nothing that a path would have to escape. */
bool cli_is_id(const char *text);
/* A name of a user: also '.', '_' and '@'. */
bool cli_is_name(const char *text);
