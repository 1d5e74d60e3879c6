/*
 * A human decides a question: each of those who wait gets the answer and goes on by itself; when
 * nobody waits, the answer is kept for one who comes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "warden/question.h"

/* Everyone at the question gets the answer. Returns how many that were. */
static size_t answer_waiters(Question *question, bool approve, const char *approver,
                             const char *via, const char *reason)
{
    const size_t count = question->n_waiters;

    while (question->waiters) {
        Request *waiter = question->waiters;
        question_unlink_waiter(waiter);
        request_on_decision(waiter, approve, approver, via, reason, count);
    }
    return count;
}

/* The decision of which no request's record speaks. */
static void record_decision(Warden *warden, const Question *question, const char *verdict,
                            const char *approver, const char *via, const char *reason,
                            const char *message)
{
    JournalRecord record = question_record(question, JOURNAL_DECIDED);

    record.verdict = verdict;
    record.approver = approver;
    record.via = via;
    record.reason = reason;
    record.message = message;
    warden_record(warden, &record);
}

/* False: the grace is over before it has begun, or there is no memory. */
static bool keep_answer(Warden *warden, Question *question, bool approve, const char *approver,
                        const char *via, const char *reason)
{
    char message[CLOCK_TEXT_MAX + 80], grace_text[CLOCK_TEXT_MAX];
    uint64_t grace = policy_approval_grace_ms(question->policy->policy);

    question->approver = strdup(approver);
    question->via = strdup(via);
    question->answer = reason ? strdup(reason) : NULL;
    if (!question->approver || !question->via || (reason && !question->answer))
        return false;
    question->jail->n_pending--;
    questions_keep(warden->questions, question, approve ? QUESTION_APPROVED : QUESTION_DENIED);
    question_set_timer(question, grace);
    (void)snprintf(message, sizeof message, "nobody waits for it: kept for %s, for one equal call",
                   clock_format_duration(grace, grace_text));
    record_decision(warden, question, approve ? "approved" : "deny", approver, via, reason,
                    message);
    return true;
}

static void count_approval(Warden *warden, Question *question, const Actor *actor,
                           const char *reason)
{
    char message[80];

    (void)snprintf(message, sizeof message, "approval %zu of %u", question->n_votes,
                   question_needed(question));
    record_decision(warden, question, "counted", actor->name, actor->via, reason, message);
}

/* Lets those go on who wait at the question and are covered. */
static size_t release_waiters(Question *question, Grant *grant, uint64_t now)
{
    size_t released = 0;

    for (Request *waiter = question->waiters, *after; waiter; waiter = after) {
        after = waiter->next_waiter;
        if (!grant_covers(grant, &waiter->coverage, now))
            continue;
        question_unlink_waiter(waiter);
        grant_admit(waiter, grant);
        released++;
    }
    return released;
}

/* Whoever waits at other questions that the new grant covers need not wait any longer. */
static void release_covered(Warden *warden, Grant *grant)
{
    uint64_t now = clock_monotonic_ms();

    for (Question *question = questions_first(warden->questions), *next; question;
         question = next) {
        next = question->next;
        if (question->state != QUESTION_PENDING || strcmp(question->jail_name, grant->jail) != 0)
            continue;
        size_t released = release_waiters(question, grant, now);
        if (question->n_waiters == 0 && grant_covers(grant, &question->coverage, now))
            question_over(warden, question, QUESTION_APPROVED);
        else if (released > 0)
            question_settle(question, QUESTION_APPROVED);
    }
}

int question_approve(Warden *warden, Question *question, const Actor *actor, Remember remember,
                     uint64_t remember_ms, bool widened, const char *reason, Answered *ret)
{
    Grant *grant = NULL;
    uint64_t for_ms = 0;
    bool wide = false;

    *ret = (Answered){.counted = false};
    int result = question_vote(question, actor, remember, remember_ms, widened);
    if (result < 0)
        return result;
    _cleanup_free_ char *approvers = question_approvers(question);
    if (!approvers) {
        question_unvote(question);
        return -ENOMEM;
    }
    ret->counted = question->n_votes < question_needed(question);
    if (ret->counted) {
        count_approval(warden, question, actor, reason);
        return 0;
    }
    Remember kept = question_remembered(question, &for_ms, &wide);
    if (kept != REMEMBER_NOT)
        result = grant_create(warden, question, wide, kept == REMEMBER_SESSION, for_ms, approvers,
                              actor->via, &grant);
    if (result < 0) {
        question_unvote(question);
        return result;
    }
    ret->grant = grant;
    ret->n_requests = answer_waiters(question, true, approvers, actor->via, reason);
    if (grant && ret->n_requests == 0)
        record_decision(warden, question, "approved", approvers, actor->via, reason,
                        "nobody waits for it: the grant will cover who comes");
    if (ret->n_requests > 0 || grant ||
        !keep_answer(warden, question, true, approvers, actor->via, reason))
        question_over(warden, question, QUESTION_APPROVED);
    if (grant)
        release_covered(warden, grant);
    return 0;
}

void question_deny(Warden *warden, Question *question, const Actor *actor, const char *reason,
                   Answered *ret)
{
    *ret =
        (Answered){.n_requests = answer_waiters(question, false, actor->name, actor->via, reason)};
    if (ret->n_requests > 0 ||
        !keep_answer(warden, question, false, actor->name, actor->via, reason))
        question_over(warden, question, QUESTION_DENIED);
}

/* The end of many. */

unsigned questions_cancel(Warden *warden, const Jail *jail, const char *container,
                          const char *reason)
{
    unsigned cancelled = 0;

    for (Question *question = questions_first(warden->questions), *next; question;
         question = next) {
        next = question->next;
        const char *its = question->subject.container;
        if ((jail && question->jail != jail) || question->n_waiters > 0 ||
            (container && (!its || strcmp(its, container) != 0)))
            continue;
        cancelled += question->state == QUESTION_PENDING;
        question_end(warden, question, JOURNAL_CANCELLED, QUESTION_CANCELLED, reason);
    }
    return cancelled;
}

void questions_on_policy(Warden *warden)
{
    const char *digest = policy_digest(warden->policy->policy);

    for (Question *question = questions_first(warden->questions), *next; question;
         question = next) {
        next = question->next;
        /* Those who wait keep the verdict that they were given; nobody else can join them. */
        if (question->n_waiters > 0 || strcmp(policy_digest(question->policy->policy), digest) == 0)
            continue;
        question_end(warden, question, JOURNAL_CANCELLED, QUESTION_CANCELLED,
                     "the policy has changed, and nobody waits for the answer");
    }
}

void questions_forget(Warden *warden)
{
    while (questions_first(warden->questions)) {
        Question *question = questions_first(warden->questions);
        while (question->waiters)
            question_unlink_waiter(question->waiters);
        question_over(warden, question, QUESTION_CANCELLED);
    }
    warden->questions = questions_free(warden->questions);
}
