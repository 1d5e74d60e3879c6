/*
 * The door process: owns one jail's socket, where everything a prisoner sends lands.
 *
 * It decodes requests, checks who wrote them, holds the prisoner's descriptors, enforces the jail's
 * limits, and passes on: fields to the warden, the connection to the executor, descriptors to the
 * child that becomes the caller. A prisoner can block or crash only its own door.
 */
#pragma once

#include "base/process.h"

/* Runs until told to stop. Returns the process's exit status. */
int door_main(const ProcessContext *context);
