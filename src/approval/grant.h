/*
 * Grants: approvals that are remembered. Each covers what its words say and nothing else: a request
 * whose binding is equal (or, when the rule widens it, whose widened binding is), for a time or for
 * a session. A pure data structure: no clock, no I/O. Grants live in memory only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "approval/coverage.h"
#include "approval/question.h"

#define GRANT_ID_SIZE 9 /* "G-", six characters, and a NUL */
#define GRANTS_MAX 10000u

typedef struct Grant {
    char id[GRANT_ID_SIZE];
    char jail[JAIL_NAME_SIZE];
    Coverage coverage; /* of the request that it was given for */
    bool widened, session;
    uint64_t created_us, last_used_us; /* realtime; 0: never used */
    uint64_t expires_at_ms;            /* monotonic; UINT64_MAX: when the session ends */
    uint64_t used;
    uid_t uid;
    char approval[QUESTION_ID_SIZE]; /* the question it was given at */
    char *covers;                    /* the words that were shown before it was given; owned */
    char *command, *container, *rule, *approver, *via, *policy; /* owned; `container` may be NULL */
    struct Grant *next, *previous;
} Grant;

typedef struct Grants {
    Grant *first, *last; /* oldest first */
    size_t count;
} Grants;

/* A grant for what the question is about, with a fresh id. The words are the question's own.
 * `policy` is policy_digest(). 0, -ENOMEM, -ENOSPC (GRANTS_MAX), or -EINVAL when the question
 * cannot have such a grant. */
int grants_add(Grants *grants, const Question *question, bool widened, bool session,
               const char *approver, const char *via, const char *policy, Grant **ret);
void grants_remove(Grants *grants, Grant *grant); /* frees it */
void grants_done(Grants *grants);

/* Why the question cannot have such a grant: static words, or NULL when it can. */
const char *grant_obstacle(const Question *question, bool widened, bool session);

/* The grant that covers a request of this coverage, or NULL. */
Grant *grants_covering(const Grants *grants, const Coverage *coverage, uint64_t now_ms);
bool grant_covers(const Grant *grant, const Coverage *coverage, uint64_t now_ms);
/* By id, as people type it; NULL: no such grant. */
Grant *grants_find(const Grants *grants, const char *id);
/* When the next one expires; UINT64_MAX: none does. */
uint64_t grants_next_expiry(const Grants *grants);
