/*
 * Approvals: what waits for a human, and what became of it.
 *
 * A pure data structure: no clock, no I/O; the warden feeds it monotonic milliseconds. An approval
 * is decided once: a second or late decision finds its entry among the finished ones and is told
 * so. Finished entries are remembered in a ring of APPROVAL_REMEMBERED.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APPROVAL_ID_SIZE 7 /* six characters of Crockford's base32, and a NUL */
#define APPROVAL_REMEMBERED 1024u

typedef enum ApprovalState {
    APPROVAL_PENDING,
    APPROVAL_APPROVED,
    APPROVAL_DENIED,
    APPROVAL_EXPIRED,
    APPROVAL_CANCELLED,
} ApprovalState;

typedef struct Approval {
    char id[APPROVAL_ID_SIZE];
    uint64_t asked_us;      /* realtime, for display */
    uint64_t expires_at_ms; /* monotonic */
    void *request;          /* whose it is; not owned */
    struct Approval *next, *previous;
} Approval;

/* Outcomes of approvals_decide beside 0. */
enum {
    APPROVAL_UNKNOWN = 1, /* no such id */
    APPROVAL_OVER,        /* already decided, expired or cancelled */
    APPROVAL_AMBIGUOUS,   /* an abbreviated id that fits several */
};

typedef struct Approvals Approvals;

int approvals_new(Approvals **ret);
Approvals *approvals_free(Approvals *approvals); /* accepts NULL, returns NULL */

/* Adds a pending entry with a fresh id, unlike any pending or remembered one. 0 or -ENOMEM. */
int approvals_add(Approvals *approvals, void *request, uint64_t asked_us, uint64_t expires_at_ms,
                  Approval **ret);

/* Finds a pending entry by its id (upper or lower case; O reads as 0, I and L as 1) and ends it
 * with `state`. `ret_request` is whose it was. For APPROVAL_OVER `ret_before` (may be NULL) is what
 * became of it. An id may be abbreviated to 4 characters. */
int approvals_decide(Approvals *approvals, const char *id, ApprovalState state, void **ret_request,
                     ApprovalState *ret_before);

/* Ends an entry for another reason than a decision. The pointer is void then. */
void approvals_end(Approvals *approvals, Approval *approval, ApprovalState state);

size_t approvals_count(const Approvals *approvals);
/* The pending ones, oldest first. */
Approval *approvals_first(const Approvals *approvals);

const char *approval_state_name(ApprovalState state);

/* `size` - 1 random characters of Crockford's base32 (5 bits each) and a NUL. */
void approval_random_text(char *text, size_t size);
