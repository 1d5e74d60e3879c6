/*
 * Questions to the operator at the terminal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether somebody sits there who can be asked: stdin and stderr are terminals. */
bool ask_is_possible(void);
/* Asks on stderr; true for "y" or "yes". */
bool ask_yes(const char *question);
/* A password: from the terminal without echo, asked for twice when `confirm`; otherwise the first
 * line of stdin. Owned by the caller, who wipes it. NULL after saying why. */
char *ask_password(const char *prompt, bool confirm);
