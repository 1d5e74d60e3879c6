/*
 * The engine process: the only one that speaks with a container engine (docs/containers.md).
 *
 * It is forked only where `--engine` names one, runs as `clawrden` without capabilities, files and
 * privileged system calls, and gets connected sockets from the parent, one for each call: whoever
 * takes it over can speak with the engine, which is much, but through this process alone.
 */
#pragma once

#include "base/process.h"

/* Runs until the parent says stop or goes. The process's exit status. */
int engine_main(const ProcessContext *context);
