/*
 * See approval.h. The alphabet is Douglas Crockford's base32: no I, L, O, U, so that an id can be
 * read aloud and typed. Six characters are 30 bits: ids are names, not secrets.
 */
#include "approval/approval.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ID_LENGTH (APPROVAL_ID_SIZE - 1)
#define ABBREVIATION_MIN 4u

typedef struct Finished {
    char id[APPROVAL_ID_SIZE];
    ApprovalState state;
} Finished;

struct Approvals {
    Approval *first, *last;
    size_t count;
    Finished finished[APPROVAL_REMEMBERED];
    size_t n_finished; /* ever; the ring's next place is this modulo its size */
};

int approvals_new(Approvals **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : -ENOMEM;
}

Approvals *approvals_free(Approvals *approvals)
{
    while (approvals && approvals->first) {
        Approval *next = approvals->first->next;
        free(approvals->first);
        approvals->first = next;
    }
    free(approvals);
    return NULL;
}

void approval_random_text(char *text, size_t size)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char bytes[64];

    randombytes_buf(bytes, sizeof bytes);
    for (size_t i = 0; i + 1 < size; i++)
        text[i] = alphabet[bytes[i % sizeof bytes] & 31];
    text[size - 1] = '\0';
}

static const Finished *find_finished(const Approvals *approvals, const char *id, size_t length)
{
    size_t remembered =
        approvals->n_finished < APPROVAL_REMEMBERED ? approvals->n_finished : APPROVAL_REMEMBERED;
    for (size_t i = 1; i <= remembered; i++) { /* newest first */
        const Finished *finished =
            &approvals->finished[(approvals->n_finished - i) % APPROVAL_REMEMBERED];
        if (strncmp(finished->id, id, length) == 0)
            return finished;
    }
    return NULL;
}

static bool is_taken(const Approvals *approvals, const char *id)
{
    for (const Approval *a = approvals->first; a; a = a->next)
        if (strcmp(a->id, id) == 0)
            return true;
    return find_finished(approvals, id, ID_LENGTH) != NULL;
}

int approvals_add(Approvals *approvals, void *request, uint64_t asked_us, uint64_t expires_at_ms,
                  Approval **ret)
{
    Approval *approval = calloc(1, sizeof *approval);
    if (!approval)
        return -ENOMEM;
    do
        approval_random_text(approval->id, sizeof approval->id);
    while (is_taken(approvals, approval->id));
    approval->request = request;
    approval->asked_us = asked_us;
    approval->expires_at_ms = expires_at_ms;
    approval->previous = approvals->last;
    if (approvals->last)
        approvals->last->next = approval;
    else
        approvals->first = approval;
    approvals->last = approval;
    approvals->count++;
    *ret = approval;
    return 0;
}

void approvals_end(Approvals *approvals, Approval *approval, ApprovalState state)
{
    Finished *finished = &approvals->finished[approvals->n_finished++ % APPROVAL_REMEMBERED];
    memcpy(finished->id, approval->id, sizeof finished->id);
    finished->state = state;
    if (approval->previous)
        approval->previous->next = approval->next;
    else
        approvals->first = approval->next;
    if (approval->next)
        approval->next->previous = approval->previous;
    else
        approvals->last = approval->previous;
    approvals->count--;
    free(approval);
}

/* The id as ids are spelled; its length, or 0 when it is no id. */
static size_t canonical(const char *id, char text[static APPROVAL_ID_SIZE])
{
    size_t length = strlen(id);
    if (length < ABBREVIATION_MIN || length > ID_LENGTH)
        return 0;
    for (size_t i = 0; i < length; i++) {
        char c = (char)toupper((unsigned char)id[i]);
        text[i] = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
    }
    text[length] = '\0';
    return length;
}

int approvals_decide(Approvals *approvals, const char *id, ApprovalState state, void **ret_request,
                     ApprovalState *ret_before)
{
    char text[APPROVAL_ID_SIZE];
    size_t length = canonical(id, text);
    Approval *found = NULL;

    if (length == 0)
        return APPROVAL_UNKNOWN;
    for (Approval *a = approvals->first; a; a = a->next) {
        if (strncmp(a->id, text, length) != 0)
            continue;
        if (found)
            return APPROVAL_AMBIGUOUS;
        found = a;
    }
    if (found) {
        *ret_request = found->request;
        approvals_end(approvals, found, state);
        return 0;
    }
    const Finished *finished = find_finished(approvals, text, length);
    if (!finished)
        return APPROVAL_UNKNOWN;
    if (ret_before)
        *ret_before = finished->state;
    return APPROVAL_OVER;
}

size_t approvals_count(const Approvals *approvals)
{
    return approvals->count;
}

Approval *approvals_first(const Approvals *approvals)
{
    return approvals->first;
}

const char *approval_state_name(ApprovalState state)
{
    static const char *const names[] = {"pending", "approved", "denied", "expired", "cancelled"};
    return names[state];
}
