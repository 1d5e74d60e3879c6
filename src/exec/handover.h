/*
 * What a runner tells clawrden-launcher, which becomes the command in its place (wire/launch.h).
 */
#pragma once

#include "exec/identity.h"
#include "exec/program.h"
#include "exec/receive.h"

typedef struct Handover {
    const Identity *caller;
    const Received *received; /* which of stdio is open */
    const Program *program;
    const Launch *launch; /* of the program, by this order */
    const RunOrder *order;
    const char *cwd;
    const struct stat *directory; /* of it */
    const char *const *env;       /* NULL-terminated */
} Handover;

/* The frame; buffer->error tells of a failure. */
void handover_encode(Buffer *buffer, const Handover *handover);
