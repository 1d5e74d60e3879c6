/*
 * Grants at work: given, used, expired, revoked; each with its record. They die with the warden,
 * with the policy that they were given under, and with the kill switch.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "warden/question.h"

#define TIMER_MAX_MS (UINT64_C(24) * 3600 * 1000)

static void record_grant(Warden *warden, const Grant *grant, const char *verdict,
                         const char *approver, const char *via, const char *message)
{
    JournalRecord record = {
        .event = JOURNAL_GRANT,
        .jail = grant->jail,
        .container = grant->container,
        .command = grant->command,
        .verdict = verdict,
        .rule = grant->rule,
        .reason = message,
        .approval = grant->approval,
        .grant = grant->id,
        .approver = approver,
        .via = via,
        .message = grant->covers,
    };
    warden_record(warden, &record);
}

static void arm_timer(Warden *warden);

static void on_expiry(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Warden *warden = userdata;
    uint64_t now = clock_monotonic_ms();

    for (Grant *grant = warden->grants.first, *next; grant; grant = next) {
        next = grant->next;
        if (grant->expires_at_ms <= now)
            grant_end(warden, grant, "its time is over", NULL);
    }
    arm_timer(warden);
}

static void arm_timer(Warden *warden)
{
    uint64_t next = grants_next_expiry(&warden->grants), now = clock_monotonic_ms();
    uint64_t left = next > now ? next - now : 0;

    if (next == UINT64_MAX)
        return;
    if (!warden->grant_timer)
        warden->grant_timer = event_new(warden->loop, -1, 0, on_expiry, warden);
    struct timeval time = clock_timeval_of_ms(left < TIMER_MAX_MS ? left : TIMER_MAX_MS);
    if (warden->grant_timer) /* without one it is only listed too long: use looks at the time */
        (void)event_add(warden->grant_timer, &time);
}

int grant_create(Warden *warden, const Question *question, bool widened, bool session,
                 uint64_t for_ms, const char *approver, const char *via, Grant **ret)
{
    Grant *grant = NULL;
    int result = grants_add(&warden->grants, question, widened, session, approver, via,
                            policy_digest(question->policy->policy), &grant);
    if (result < 0)
        return result;
    grant->created_us = clock_realtime_us();
    if (!session)
        grant->expires_at_ms = clock_monotonic_ms() + for_ms;
    char duration[CLOCK_TEXT_MAX];
    Buffer words = BUFFER_EMPTY(256);
    if (session)
        buffer_puts(&words, "until the session ends");
    else
        buffer_printf(&words, "for %s", clock_format_duration(for_ms, duration));
    _cleanup_free_ char *until = buffer_take_string(&words);
    record_grant(warden, grant, "given", approver, via, until);
    arm_timer(warden);
    *ret = grant;
    return 0;
}

void grant_end(Warden *warden, Grant *grant, const char *why, const Actor *actor)
{
    record_grant(warden, grant, actor ? "revoked" : "expired", actor ? actor->name : NULL,
                 actor ? actor->via : NULL, why);
    grants_remove(&warden->grants, grant);
}

void grants_on_policy(Warden *warden)
{
    const char *digest = policy_digest(warden->policy->policy);

    for (Grant *grant = warden->grants.first, *next; grant; grant = next) {
        next = grant->next;
        if (strcmp(grant->policy, digest) != 0)
            grant_end(warden, grant, "the policy that it was given under has changed", NULL);
    }
}

void grants_on_kill(Warden *warden, const Jail *jail, const char *container, const Actor *actor)
{
    for (Grant *grant = warden->grants.first, *next; grant; grant = next) {
        next = grant->next;
        if (strcmp(grant->jail, jail->name) == 0 &&
            (!container || (grant->container && strcmp(grant->container, container) == 0)))
            grant_end(warden, grant,
                      container ? "everything in its container was ended"
                                : "everything in its jail was ended",
                      actor);
    }
}

void grant_admit(Request *request, Grant *grant)
{
    grant->used++;
    grant->last_used_us = clock_realtime_us();
    memcpy(request->approval_id, grant->approval, sizeof request->approval_id);
    memcpy(request->grant_id, grant->id, sizeof request->grant_id);
    request_on_decision(request, true, grant->approver, grant->via, NULL, 0);
}
