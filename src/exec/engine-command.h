/*
 * Commands that the container engine starts in their callers' containers (`mirror_engine: docker`):
 * the executor's part.
 *
 * A request takes the mirror's road (mirror.h) until it is admitted. Then its runner stays what it
 * is, the caller in its container, and becomes the relay of a command that the engine's exec
 * starts: of clawrden-launcher first, which waits to be told what to become (wire/launch.h).
 *
 *   EXEC_LAUNCH          the runner composes the command (RUNNER_LAUNCH); a leaf is taken
 *   ENGINE_EXEC_STREAM   the launcher waits. It is looked at: is it the launcher of this jail, as
 *                        the caller, in the caller's container, and alone? It is moved into the
 *                        leaf, and only then the runner gets the stream (RUNNER_RELAY)
 *   EXEC_STARTED, and from here on the command is this leaf: what ends, kills or freezes the
 *                        request does it there, and the relay is only what carries
 *   EXEC_ENDED           when the relay has ended, nothing lives in the leaf any more, and how the
 *                        command ended is known; kind 2: only the engine knows
 *
 * Signals have their default actions: the launcher is not 1 of its pid namespace. It leads a
 * session, so its group is an orphaned one, in which the kernel drops a terminal's stop signal:
 * a command that has nothing to say to that one is stopped instead, as a shell's job would be.
 */
#pragma once

#include "exec/executor-private.h"

/* EXEC_LAUNCH. False: fatal to the sender. */
bool engine_command_launch(Request *request, const LinkFrame *frame);
/* ENGINE_EXEC_STREAM; the frame's descriptor is taken. */
void engine_command_take_stream(Executor *executor, LinkFrame *frame);

/* The request's relay has ended (kind and value as in CellHandlers), or is gone for good. */
void engine_command_relay_exited(Request *request, uint8_t kind, uint8_t value);
void engine_command_relay_gone(Request *request);

pid_t engine_command_pid(const EngineCommand *command);
void engine_command_signal(EngineCommand *command, int signal_number, bool group);
/* To everything of it that lives. */
void engine_command_terminate(EngineCommand *command, bool is_frozen);
void engine_command_kill(EngineCommand *command);
void engine_command_freeze(EngineCommand *command, bool frozen);

/* Nobody wants to hear of it any more: kills it, and frees it when nothing of it is left. */
void engine_command_abandon(EngineCommand *command);
/* The executor ends: kills all of them and waits for their end, at most two seconds. */
void engine_commands_free(Executor *executor);

/* engine-placing.c: is the process `pid` the launcher that this request waits for? 0, or 1 with
 * the reason in `why`. */
int engine_placing_check(const Request *request, pid_t pid, const char *container, PidRef *ret,
                         char why[static CONTAINER_WHY_MAX]);
