/*
 * Private to screen.c.
 */
#pragma once

#include <stdbool.h>

/* Whether the terminal that TERM names is in the terminal database. */
bool screen_is_known(void);
