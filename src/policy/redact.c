/*
 * Hiding secrets in what is shown and logged.
 *
 * The patterns are the operator's, the text is hostile: long text can make an honest expression
 * slow, because each position is tried anew. The positions are therefore tried in short stretches
 * with the clock read in between, and when it takes too long, or an expression gives up, all of
 * the text is hidden: a secret must not pass because it was hard to find.
 */
#include "policy/redact.h"

#include <string.h>

#define STRETCH 256 /* first bytes of a match that one call tries */
#define REDACT_NS_MAX (UINT64_C(100) * 1000 * 1000)

bool policy_redacts(const Policy *policy)
{
    return policy->n_redact > 0;
}

void redaction_begin(Redaction *redaction, const Policy *policy)
{
    *redaction = (Redaction){.policy = policy, .effort = {.most_ns = REDACT_NS_MAX}};
    if (policy->n_redact == 0)
        return;
    redaction->search = regex_search_new();
    (void)clock_is_spent(&redaction->effort);
}

void redaction_done(Redaction *redaction)
{
    regex_search_free(redaction->search);
    redaction->search = NULL;
}

int redaction_next(Redaction *redaction, const Pattern *pattern, const char *text, size_t size,
                   size_t from, size_t *ret_start, size_t *ret_end)
{
    for (size_t at = from; at <= size; at += STRETCH + 1) {
        int rc = regex_search(redaction->search, pattern->regex, text, size, at, at + STRETCH,
                              ret_start, ret_end);
        if (rc != 0)
            return rc;
        if (clock_is_spent(&redaction->effort))
            return -1;
    }
    return 0;
}

int redaction_at(Redaction *redaction, const Pattern *pattern, const char *text, size_t size,
                 size_t from, size_t *ret_start, size_t *ret_end)
{
    if (clock_is_spent(&redaction->effort))
        return -1;
    return regex_search(redaction->search, pattern->regex, text, size, from, from, ret_start,
                        ret_end);
}

/* Applies one pattern from `text` to `out`; false when it gave up. */
static bool apply(Redaction *redaction, const Pattern *pattern, const char *text, size_t size,
                  Buffer *out)
{
    size_t from = 0, at = 0, start = 0, end = 0;

    for (;;) {
        int rc = redaction_next(redaction, pattern, text, size, at, &start, &end);
        if (rc < 0)
            return false;
        if (rc == 0 || start < at) /* \K and look-behind may point backwards: enough then */
            break;
        if (end > start) {
            buffer_put(out, text + from, start - from);
            buffer_puts(out, REDACTED);
            from = end;
        }
        at = end > start ? end : start + 1;
        if (at > size)
            break;
    }
    buffer_put(out, text + from, size - from);
    return true;
}

bool redaction_put(Redaction *redaction, const char *text, size_t size, Buffer *out)
{
    const Policy *policy = redaction->policy;
    Buffer rooms[2] = {BUFFER_EMPTY(SIZE_MAX / 4), BUFFER_EMPTY(SIZE_MAX / 4)};
    bool done = policy->n_redact == 0 || redaction->search;

    for (size_t i = 0; i < policy->n_redact && done; i++) {
        Buffer *room = &rooms[i % 2];
        buffer_clear(room);
        done = apply(redaction, &policy->redact[i], text, size, room) && room->error == 0;
        text = buffer_size(room) > 0 ? buffer_head(room) : "";
        size = buffer_size(room);
    }
    if (done)
        buffer_put(out, text, size);
    else
        buffer_puts(out, REDACTED);
    buffer_done(&rooms[0]);
    buffer_done(&rooms[1]);
    return done;
}

void policy_redact(const Policy *policy, const char *text, size_t size, Buffer *out)
{
    Redaction redaction;

    redaction_begin(&redaction, policy);
    (void)redaction_put(&redaction, text, size, out);
    redaction_done(&redaction);
}
