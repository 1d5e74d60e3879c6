/*
 * See ids.h.
 */
#include "cli/ids.h"

#include <string.h>

#define ID_MAX 63u
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

static bool consists_of(const char *text, const char *characters)
{
    size_t size = strlen(text);
    return size >= 1 && size <= ID_MAX && strspn(text, characters) == size;
}

bool cli_is_id(const char *text)
{
    return consists_of(text, LETTERS);
}

bool cli_is_name(const char *text)
{
    return consists_of(text, LETTERS "._@") && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}
