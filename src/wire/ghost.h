/*
 * Messages about requests that run in an ephemeral container (`ghost`), on the links that the
 * engine process has: to the warden, which orders, and to the executor, which gets the stream. The
 * key is the request's, as everywhere.
 *
 *   warden → engine     RESOLVE ─▶ RESOLVED, FAILED          which image would it be?
 *                       CREATE  ─▶ (STREAM to the executor), FAILED
 *                       START   ─▶ STARTED, FAILED           its relay runs
 *                       END     the container must go; ENDED or FAILED follows if there is one
 *   engine → warden     ENDED   the command has ended; the container is gone or going
 *   engine → executor   STREAM, then PROCESS
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "wire/message.h"

enum {
    GHOST_RESOLVE = 208, /* warden → engine: GhostOrder */
    GHOST_RESOLVED,      /* engine → warden: string image id */
    GHOST_CREATE,        /* warden → engine: GhostOrder */
    GHOST_START,         /* warden → engine: no payload */
    GHOST_STARTED,       /* engine → warden: string image id, string container id */
    GHOST_END,           /* warden → engine: u32 ms until it is killed (0: at once) */
    GHOST_FREEZE,        /* warden → engine: u8 1: nothing of it runs until 0 */
    GHOST_ENDED,         /* engine → warden: u8 exit code, as the engine says it: 128 and the
                            signal where that was the end */
    GHOST_FAILED,        /* engine → warden: u8 ExecFailure, string why. Nothing of it is left, or
                            will be */
    GHOST_STREAM,  /* engine → executor, 1 fd: the attached container's stream; u32 number of its
                      bind mounts, then source and target of each, strings */
    GHOST_PROCESS, /* engine → executor: u32 pid of its first process, string container id */
};

#define GHOST_BINDS_MAX (1u << 20) /* bytes of a GHOST_STREAM */
#define GHOST_IMAGE_ID_MAX 80u     /* "sha256:" and 64 digits, with its NUL */

/* What is to run, as it was admitted. What the container may have and do is not in it: the engine
 * process takes that from the policy, by the rule. */
typedef struct GhostOrder {
    const char *policy;    /* digest of the policy that judged it */
    uint64_t rule;         /* PolicyVerdict.rule_index; UINT64_MAX: a default */
    const char *request;   /* its id: the container is named after it */
    const char *command;   /* the command's name: what the image must have */
    const char *image;     /* id of the image that a human approved; "": none did */
    const char *container; /* the caller's; "": it lives in the warden's own world */
    const char *cwd;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t n_groups; /* at most PREPARED_GROUPS_MAX */
    bool has_stdin;
    /* Admitted argv (argv[0] included) and environment. Decoded: owned arrays of strings in the
     * payload; empty in a RESOLVE. */
    const char *const *argv;
    size_t argc;
    const char *const *env;
    size_t envc;
} GhostOrder;

void ghost_order_encode(Buffer *buffer, const GhostOrder *order);
/* `group_space` as in prepared_decode(). 0, -EPROTO, -ENOMEM; then nothing is owned. */
int ghost_order_decode(const char *payload, size_t size, gid_t *group_space, GhostOrder *ret);
void ghost_order_done(GhostOrder *order);
