/*
 * Requests whose command is mirrored through the engine's exec (`mirror_engine: docker`): the
 * warden's part (private to warden/).
 *
 * They take the road of every mirrored request. What differs is the order: the executor is told
 * what to compose, the engine process where to start, and the two meet without the warden. From
 * EXEC_STARTED on the executor has all of it, and the engine is asked only where the kernel does
 * not say how a command ended (before Linux 6.15).
 */
#pragma once

#include "warden/state.h"

typedef struct EngineExec {
    bool asked; /* how did it end? */
    unsigned leftovers;
} EngineExec;

/* Does the policy want its command run so? */
bool engine_exec_is_meant(const Request *request);
/* Why it cannot run so, in words for the caller; or NULL. */
const char *engine_exec_problem(const Request *request);
/* Admitted and recorded; `run_order` as for EXEC_RUN. */
void engine_exec_give_order(Request *request, const Buffer *run_order);
/* EXEC_ENDED of kind 2. */
void engine_exec_ask_result(Request *request, unsigned leftovers);
/* The engine has not answered in time, or is gone. */
void engine_exec_give_up(Request *request);
/* The request leaves the table. */
void engine_exec_retire(Request *request);

/* What the engine process says. False: it is no message about these. */
bool engine_exec_on_frame(Request *request, const LinkFrame *frame);
/* The engine process is gone. */
void engine_exec_on_lost(Request *request);
