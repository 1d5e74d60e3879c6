/*
 * Signal dispositions (signal(7)) of all signals. Those that are ignored and the mask survive
 * execve(2), so a program starts with what its starter had; some starters ignore or block a lot.
 */
#pragma once

#include <stdbool.h>

#define DISPOSITION_SIGNAL_MAX 64

/* The signal's default action, or nothing. SIGKILL, SIGSTOP and numbers that are none stay as they
 * are. Works for 32 and 33 too, which the C library keeps for itself. */
void disposition_set(int signal_number, bool ignored);
/* Default actions for all signals, and none blocked. */
void disposition_reset(void);
