/*
 * The executor's keepers (keeper.h): one per spare runner, ended when its command runs and nobody
 * waits, or with its cell.
 */
#pragma once

#include <event2/event.h>

#include "base/pidref.h"

typedef struct Keeper Keeper;

/* Takes the pidfd of what must be a child of ours. NULL when it is not. */
Keeper *keeper_take(struct event_base *loop, int pidfd);
/* Ends those that nobody has told us of: children of ours that are called so, but for `known` ones.
 * Their runners have ended before they could say a word. */
void keepers_end_unknown(struct event_base *loop, const pid_t *known, size_t n_known);
/* 0 for NULL. */
pid_t keeper_pid(const Keeper *keeper);
/* Ends it, without waiting; it is freed when it has ended. Nothing for NULL. Returns NULL. */
Keeper *keeper_end(Keeper *keeper);
/* The same a moment later: the end of an address space holds up other processes that end just then,
 * such as the caller whose command has ended. */
Keeper *keeper_end_soon(Keeper *keeper);
