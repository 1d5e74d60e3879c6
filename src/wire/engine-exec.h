/*
 * Messages about commands that are mirrored through the engine's exec (`mirror_engine: docker`), on
 * the same links as wire/ghost.h. The key is the request's.
 *
 *   warden → engine     EXEC    ─▶ STREAM to the executor, or FAILED
 *                       RESULT  ─▶ ENDED, FAILED        how did it end? (the executor cannot tell)
 *                       END     the engine process forgets it
 *
 * The engine process is not told what runs: it starts clawrden-launcher, which the caller's runner
 * tells (wire/launch.h).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

enum {
    ENGINE_EXEC = 224,  /* warden → engine: EngineExecOrder */
    ENGINE_EXEC_RESULT, /* warden → engine: no payload */
    ENGINE_EXEC_END,    /* warden → engine: no payload */
    ENGINE_EXEC_FAILED, /* engine → warden: u8 ExecFailure, string why */
    ENGINE_EXEC_ENDED,  /* engine → warden: u8 exit code, as the engine says it */
    ENGINE_EXEC_STREAM, /* engine → executor, 1 fd, the attached launcher's stream: u32 pid of the
                           launcher as the engine says it, string container id */
};

typedef struct EngineExecOrder {
    const char *container; /* the caller's */
    uid_t uid;
    gid_t gid;
} EngineExecOrder;

void engine_exec_order_encode(Buffer *buffer, const EngineExecOrder *order);
/* Strings point into the payload. 0 or -EPROTO. */
int engine_exec_order_decode(const char *payload, size_t size, EngineExecOrder *ret);
