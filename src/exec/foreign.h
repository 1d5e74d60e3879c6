/*
 * Processes that a container engine has started: not our children, known by their pidfd.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/pidref.h"

/* Whether it has anything of its own to say to the signal; what cannot be read has not. */
bool foreign_handles(const PidRef *process, int signal_number);
/* To it alone, or to its process group if it leads one. */
void foreign_signal(const PidRef *process, int signal_number, bool group);
/* How it has ended, if the kernel tells (Linux 6.15, and only when its parent has reaped it): kind
 * 0 and a code, or 1 and a signal. */
bool foreign_exit(const PidRef *process, uint8_t *ret_kind, uint8_t *ret_value);
