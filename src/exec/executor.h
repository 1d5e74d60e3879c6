/*
 * The executor process: the only one that keeps root. It finds out who a caller is, starts what the
 * warden admits, and ends it (architecture.md, "Processes").
 */
#pragma once

#include "base/process.h"

/* Runs until told to stop. Returns the process's exit status. */
int executor_main(const ProcessContext *context);
