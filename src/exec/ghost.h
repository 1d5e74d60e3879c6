/*
 * Requests that run in an ephemeral container (`ghost`): the executor's part. Its runner is a relay
 * (relay.h) on the container's stream; this is about the container's first process, as far as it
 * can be seen from here (the engine on this machine, the warden in its pid namespace).
 *
 * That process is 1 in its pid namespace, and so has no default action for signals that end others
 * (pid_namespaces(7)): a command that would die of Ctrl-C elsewhere would not even notice. So a
 * signal that it neither catches nor ignores, and that would end it, ends the container, and the
 * command has died of that signal.
 */
#pragma once

#include "exec/executor-private.h"

/* The engine process's link (wire/ghost.h). Takes `fd`. 0 or -errno. */
int ghost_take_engine(Executor *executor, int fd);
/* One of the signals that a caller may send; to the first process, or to its process group. */
void ghost_signal(Request *request, int signal_number, bool group);
/* The relay has ended well: the signal that the command has died of, as far as that can be known
 * exactly; 0: of none. */
uint8_t ghost_died_of(const Request *request);
/* Ends the container at once, if it can be seen. */
void ghost_kill(Request *request);
