/*
 * The warden process: owns every decision. Policy, approvals, deadlines, journal order; one loop
 * that never blocks and never holds a prisoner's descriptor.
 */
#pragma once

#include "base/process.h"

/* Runs until told to stop. Returns the process's exit status. */
int warden_main(const ProcessContext *context);
