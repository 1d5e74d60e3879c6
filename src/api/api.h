/*
 * The api process: HTTP for operators on a unix socket (architecture.md, "Processes").
 */
#pragma once

#include "base/process.h"

/* Runs until told to stop. Returns the process's exit status. */
int api_main(const ProcessContext *context);
