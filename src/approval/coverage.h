/*
 * Coverage: what an answer is bound to, as digests that can be compared.
 *
 * `exact` is promise 3 in 32 bytes: jail, container and its life, user, groups, the files by path
 * and content, the directory by path, device and inode, the command's own words and environment,
 * the deciding rule and the policy it stands in. Two requests are the same question exactly when
 * these are equal. `widened` is what the rule's own `grant:` leaves of it: all of the above, but
 * the shape of the command (policy_grant_shape()) in place of its words.
 *
 * A request whose stdin could feed it anything has no coverage at all: nothing of it may be shared
 * with, or remembered for, another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/digest.h"
#include "policy/policy.h"
#include "wire/message.h"

typedef struct Coverage {
    Digest exact;   /* zero: bound to nothing but the one request */
    Digest widened; /* zero: the rule widens nothing, or this command has no shape under it */
    /* What a session is. */
    bool in_container; /* then `exact` and `widened` say which */
    pid_t root_pid;    /* 0: not known */
    uint64_t root_start_time;
} Coverage;

/* What it is made of; nothing is kept. */
typedef struct CoverageFacts {
    const char *jail;
    const Prepared *prepared;
    const Examined *examined;
    const char *name; /* of the command */
    const char *const *argv;
    size_t argc;
    const Digest *command;     /* argv and environment: digest_command() */
    const Digest *environment; /* alone */
    const char *rule;          /* the deciding rule's label */
    const char *policy;        /* policy_digest() */
    unsigned widening;         /* POLICY_GRANT_… */
} CoverageFacts;

Coverage coverage_of(const CoverageFacts *facts);

/* Whether a grant for the session is possible, and whether two belong to the same session. */
bool coverage_has_session(const Coverage *coverage);
bool coverage_same_session(const Coverage *a, const Coverage *b);

/* What a grant would cover, in words for humans; empty when there can be none. `shown` is argv as
 * humans may see it: redacted, and possibly cut to `n_shown` arguments. */
void coverage_put_exact(Buffer *out, const CoverageFacts *facts, const Coverage *coverage);
void coverage_put_widened(Buffer *out, const CoverageFacts *facts, const Coverage *coverage,
                          const char *const *shown, size_t n_shown);
/* Why something of it is not possible; empty when all is. */
void coverage_put_obstacles(Buffer *out, const CoverageFacts *facts, const Coverage *coverage);
