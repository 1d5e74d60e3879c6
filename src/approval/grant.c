/*
 * See grant.h.
 */
#include "approval/grant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void grant_free(Grant *grant)
{
    free(grant->covers);
    free(grant->command);
    free(grant->container);
    free(grant->rule);
    free(grant->approver);
    free(grant->via);
    free(grant->policy);
    free(grant);
}

const char *grant_obstacle(const Question *question, bool widened, bool session)
{
    const Coverage *coverage = &question->coverage;

    if (digest_is_zero(&coverage->exact) || !question->subject.covers_exact)
        return "its stdin is a file or a pipe, which a grant cannot bind";
    if (widened && question->ask->grant == 0)
        return "its rule has no grant: that says what a wider grant keeps";
    if (widened && (digest_is_zero(&coverage->widened) || !question->subject.covers_widened))
        return "its rule's grant: does not fit this command";
    if (session && !coverage_has_session(coverage))
        return "the caller's root process is not known, so its session has no end that could be "
               "seen";
    return NULL;
}

static void append(Grants *grants, Grant *grant)
{
    grant->previous = grants->last;
    if (grants->last)
        grants->last->next = grant;
    else
        grants->first = grant;
    grants->last = grant;
    grants->count++;
}

static void new_id(const Grants *grants, Grant *grant)
{
    do {
        char text[GRANT_ID_SIZE - 2];
        approval_random_text(text, sizeof text);
        (void)snprintf(grant->id, sizeof grant->id, "G-%s", text);
    } while (grants_find(grants, grant->id));
}

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

int grants_add(Grants *grants, const Question *question, bool widened, bool session,
               const char *approver, const char *via, const char *policy, Grant **ret)
{
    const Subject *subject = &question->subject;

    if (grant_obstacle(question, widened, session))
        return -EINVAL;
    if (grants->count >= GRANTS_MAX)
        return -ENOSPC;
    Grant *grant = calloc(1, sizeof *grant);
    if (!grant)
        return -ENOMEM;
    *grant = (Grant){
        .coverage = question->coverage,
        .widened = widened,
        .session = session,
        .expires_at_ms = UINT64_MAX,
        .uid = subject->uid,
        .covers = copy(widened ? subject->covers_widened : subject->covers_exact),
        .command = copy(subject->command),
        .container = subject->container ? strdup(subject->container) : NULL,
        .rule = copy(question->rule),
        .approver = copy(approver),
        .via = copy(via),
        .policy = copy(policy),
    };
    if (!grant->covers || !grant->command || !grant->rule || !grant->approver || !grant->via ||
        !grant->policy || (subject->container && !grant->container)) {
        grant_free(grant);
        return -ENOMEM;
    }
    new_id(grants, grant);
    memcpy(grant->jail, question->jail_name, sizeof grant->jail);
    memcpy(grant->approval, question->id, sizeof grant->approval);
    append(grants, grant);
    *ret = grant;
    return 0;
}

void grants_remove(Grants *grants, Grant *grant)
{
    if (grant->previous)
        grant->previous->next = grant->next;
    else
        grants->first = grant->next;
    if (grant->next)
        grant->next->previous = grant->previous;
    else
        grants->last = grant->previous;
    grants->count--;
    grant_free(grant);
}

void grants_done(Grants *grants)
{
    while (grants->first)
        grants_remove(grants, grants->first);
}

bool grant_covers(const Grant *grant, const Coverage *coverage, uint64_t now_ms)
{
    const Digest *mine = grant->widened ? &grant->coverage.widened : &grant->coverage.exact;
    const Digest *other = grant->widened ? &coverage->widened : &coverage->exact;

    return now_ms < grant->expires_at_ms && !digest_is_zero(mine) && digest_equal(mine, other) &&
           (!grant->session || coverage_same_session(&grant->coverage, coverage));
}

Grant *grants_covering(const Grants *grants, const Coverage *coverage, uint64_t now_ms)
{
    for (Grant *grant = grants->first; grant; grant = grant->next)
        if (grant_covers(grant, coverage, now_ms))
            return grant;
    return NULL;
}

Grant *grants_find(const Grants *grants, const char *id)
{
    for (Grant *grant = grants->first; grant; grant = grant->next)
        if (strcasecmp(grant->id, id) == 0)
            return grant;
    return NULL;
}

uint64_t grants_next_expiry(const Grants *grants)
{
    uint64_t next = UINT64_MAX;

    for (const Grant *grant = grants->first; grant; grant = grant->next)
        if (grant->expires_at_ms < next)
            next = grant->expires_at_ms;
    return next;
}
