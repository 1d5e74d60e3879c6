/*
 * Questions and those who wait at them.
 *
 *                     ┌─ join ──▶ waiters ── decided ──▶ each runs (or not)
 *     would be asked ─┤ begin         │ lost, impatient
 *                     │               ▼
 *                     │           nobody waits ── grace over ──▶ expired
 *                     │               │ decided
 *                     │               ▼
 *                     └─ pick up ◀─ kept answer ── grace over ──▶ gone
 *
 * What makes a request equal to another is its Coverage. One without (its stdin could feed it
 * anything) has a question of its own, which ends with its only waiter.
 *
 * Whoever leaves is unlinked first and ended second: ending a request frees it. A question without
 * waiters holds no message and no environment, only what the queue shows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/question.h"

#define DISPLAY_MAX 4096u
#define COVERS_MAX (8u * 1024)
#define REASON_MAX 512u

static uint64_t grace_of(const PolicyRef *policy)
{
    return policy_approval_grace_ms(policy->policy);
}

/* Whether an answer could reach it after it has left. */
static bool can_outlive(const Request *request)
{
    return !digest_is_zero(&request->coverage.exact) && grace_of(request->policy) > 0;
}

/* How long this caller waits for a human: its rule's word or else its jail's, and its own wish if
 * that is shorter. */
static uint64_t patience_of(const Request *request)
{
    const PolicyJail *jail = jail_settings_under(request->jail, request->policy->policy);
    uint64_t said = jail ? jail->wait_ms : UINT64_MAX;
    uint64_t wish =
        request->words.wait_ms == SHIM_WAIT_FOREVER ? UINT64_MAX : request->words.wait_ms;

    if (request->verdict.has_wait)
        said = request->verdict.wait_ms;
    return said < wish ? said : wish;
}

/* The question's end. */

void question_over(Warden *warden, Question *question, QuestionState state)
{
    PolicyRef *policy = question->policy;

    if (question->timer)
        event_free(question->timer);
    question->jail->n_pending -= question->state == QUESTION_PENDING;
    questions_end(warden->questions, question, state);
    policy_unref(policy); /* which kept the question's rule */
}

void question_end(Warden *warden, Question *question, JournalEvent event, QuestionState state,
                  const char *reason)
{
    JournalRecord record = question_record(question, event);

    record.reason = reason;
    warden_record(warden, &record);
    question_over(warden, question, state);
}

static void on_grace_over(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Question *question = userdata;
    Warden *warden = question->jail->warden;
    char reason[CLOCK_TEXT_MAX + 120], grace[CLOCK_TEXT_MAX];
    bool pending = question->state == QUESTION_PENDING;

    (void)snprintf(reason, sizeof reason,
                   pending ? "nobody answered within %s after the last caller had left"
                           : "the answer was kept for %s, and nobody came for it",
                   clock_format_duration(grace_of(question->policy), grace));
    question_end(warden, question, JOURNAL_EXPIRED, pending ? QUESTION_EXPIRED : question->state,
                 reason);
}

void question_set_timer(Question *question, uint64_t milliseconds)
{
    struct timeval time = clock_timeval_of_ms(milliseconds);

    if (!question->timer)
        question->timer = event_new(question->jail->warden->loop, -1, 0, on_grace_over, question);
    if (question->timer)
        (void)event_add(question->timer, &time);
}

/* When it will end if nobody does anything: what the queue counts down. */
static void refresh_expiry(Question *question)
{
    uint64_t grace = grace_of(question->policy), end = question->grace_until_ms;

    for (const Request *waiter = question->waiters; waiter; waiter = waiter->next_waiter) {
        uint64_t until = waiter->asked_until_ms;
        if (waiter->impatient && can_outlive(waiter))
            until += grace;
        end = until > end ? until : end;
    }
    question->expires_at_ms = end;
}

/* After somebody has left: does it go on without waiters, or end in `state`? */
void question_settle(Question *question, QuestionState state)
{
    Warden *warden = question->jail->warden;
    uint64_t now = clock_monotonic_ms();

    refresh_expiry(question);
    if (question->n_waiters > 0)
        return;
    if (question->grace_until_ms > now)
        question_set_timer(question, question->grace_until_ms - now);
    else
        question_over(warden, question, state);
}

/* Waiters. */

static void link_waiter(Question *question, Request *waiter)
{
    waiter->question = question;
    waiter->previous_waiter = NULL;
    waiter->next_waiter = question->waiters;
    if (question->waiters)
        question->waiters->previous_waiter = waiter;
    question->waiters = waiter;
    question->n_waiters++;
}

void question_unlink_waiter(Request *waiter)
{
    Question *question = waiter->question;

    if (waiter->previous_waiter)
        waiter->previous_waiter->next_waiter = waiter->next_waiter;
    else
        question->waiters = waiter->next_waiter;
    if (waiter->next_waiter)
        waiter->next_waiter->previous_waiter = waiter->previous_waiter;
    waiter->next_waiter = waiter->previous_waiter = NULL;
    waiter->question = NULL;
    question->n_waiters--;
}

void question_remove_waiter(Request *waiter)
{
    Question *question = waiter->question;

    if (!question)
        return;
    question_unlink_waiter(waiter);
    question_settle(question, QUESTION_CANCELLED);
}

/* The question will live for its grace, counted from now. */
static void extend_grace(Question *question)
{
    uint64_t until = clock_monotonic_ms() + grace_of(question->policy);
    question->grace_until_ms = until > question->grace_until_ms ? until : question->grace_until_ms;
}

static void end_unanswered(Request *request, uint64_t patience)
{
    _cleanup_free_ char *line = words_unanswered(request, patience, grace_of(request->policy));
    request_end_told(request, JOURNAL_CANCELLED, EXIT_PENDING_NO_WAIT, line,
                     "the caller waits no longer; the question stays open");
}

void question_on_waiter_deadline(Request *waiter)
{
    Question *question = waiter->question;
    char text[CLOCK_TEXT_MAX + 160], duration[CLOCK_TEXT_MAX];
    uint64_t patience = patience_of(waiter);

    question_unlink_waiter(waiter);
    if (!waiter->impatient) {
        (void)snprintf(text, sizeof text, "nobody answered within %s",
                       clock_format_duration(waiter->verdict.approval_timeout_ms, duration));
        request_end_refused(waiter, JOURNAL_EXPIRED, EXIT_DENIED, "denied", waiter->verdict.rule,
                            text);
        question_settle(question, QUESTION_EXPIRED);
        return;
    }
    if (can_outlive(waiter)) {
        extend_grace(question);
        end_unanswered(waiter, patience);
    } else {
        (void)snprintf(text, sizeof text,
                       "nobody answered within the caller's wait of %s, nothing was run and the "
                       "question is withdrawn: run it again to ask again, with </dev/null if it "
                       "needs no input so that the answer can be kept",
                       clock_format_duration(patience, duration));
        request_end_refused(waiter, JOURNAL_CANCELLED, EXIT_PENDING_NO_WAIT, "not approved",
                            waiter->verdict.rule, text);
    }
    question_settle(question, QUESTION_CANCELLED);
}

void question_lose_waiter(Request *waiter, const char *reason, bool by_user)
{
    Question *question = waiter->question;
    char text[160];

    question_unlink_waiter(waiter);
    if (!by_user && can_outlive(waiter)) {
        extend_grace(question);
        (void)snprintf(text, sizeof text, "%s; the question stays open", reason);
        reason = text;
    }
    request_cancel(waiter, reason);
    question_settle(question, QUESTION_CANCELLED);
}

/* Joining, with whatever patience it has. */
static void join(Request *request, Question *question)
{
    uint64_t patience = patience_of(request), timeout = request->verdict.approval_timeout_ms;

    memcpy(request->approval_id, question->id, sizeof request->approval_id);
    if (patience == 0) { /* it could outlive: see question_ask() */
        request_record_event(request, JOURNAL_ASKED, request->verdict.reason, -1);
        extend_grace(question);
        end_unanswered(request, 0);
        question_settle(question, QUESTION_CANCELLED);
        return;
    }
    request->impatient = patience < timeout;
    request->asked_until_ms = clock_monotonic_ms() + (request->impatient ? patience : timeout);
    link_waiter(question, request);
    if (question->timer)
        (void)event_del(question->timer);
    refresh_expiry(question);
    request_set_state(request, REQUEST_PENDING);
    request_set_deadline(request, request->impatient ? patience : timeout);
    _cleanup_free_ char *line = words_waiting(request);
    request_ack(request, SHIM_ACK_PENDING);
    if (line)
        request_tell(request, line);
    request_record_event(request, JOURNAL_ASKED, request->verdict.reason, -1);
}

/* Beginning. */

static CoverageFacts facts_of(const Request *request, const Examined *examined)
{
    return (CoverageFacts){
        .jail = request->jail->name,
        .prepared = &request->facts->prepared,
        .examined = examined,
        .name = request->name,
        .argv = request->words.argv,
        .argc = request->words.argc,
        .command = &request->command,
        .environment = &request->environment,
        .rule = request->verdict.rule,
        .policy = policy_digest(request->policy->policy),
        .widening = request->verdict.ask->grant,
    };
}

static char *copy(const char *text, bool *failed)
{
    char *copied = text && *text ? strdup(text) : NULL;
    *failed |= text && *text && !copied;
    return copied;
}

/* What a grant would cover, in words; NULL where there is nothing to say. */
static char *covers(Buffer *words, bool *failed)
{
    size_t size = buffer_size(words);
    *failed |= words->error < 0;
    char *text = buffer_take_string(words);
    if (size > 0)
        return text;
    free(text);
    return NULL;
}

static void fill_covers(Subject *subject, Request *request, const CoverageFacts *facts,
                        bool *failed)
{
    const Coverage *coverage = &request->coverage;
    Buffer words = BUFFER_EMPTY(COVERS_MAX);
    size_t n_shown = 0;
    const char *const *shown = redacted_argv(request, RECORD_ARGV_MAX, &n_shown);

    coverage_put_exact(&words, facts, coverage);
    subject->covers_exact = covers(&words, failed);
    coverage_put_widened(&words, facts, coverage, shown, n_shown);
    subject->covers_widened = covers(&words, failed);
    coverage_put_obstacles(&words, facts, coverage);
    subject->covers_not = covers(&words, failed);
}

static void fill_argv(Subject *subject, Request *request, bool *failed)
{
    size_t count = 0;
    const char *const *argv = redacted_argv(request, RECORD_ARGV_MAX, &count);

    subject->argv = calloc(count + 1, sizeof *subject->argv);
    *failed |= !subject->argv;
    for (; subject->argv && subject->n_argv < count; subject->n_argv++)
        if (!(subject->argv[subject->n_argv] = strdup(argv[subject->n_argv]))) {
            *failed = true;
            break;
        }
    subject->n_argv_more = request->words.argc - subject->n_argv;
    if (subject->n_argv_more > 0)
        subject->command_digest = digest_command(request->words.argv, request->words.argc, NULL, 0);
}

static int fill_subject(Subject *subject, Request *request, const CoverageFacts *facts)
{
    const Prepared *prepared = &request->facts->prepared;
    Buffer display = BUFFER_EMPTY(8 * (size_t)DISPLAY_MAX);
    bool failed = false;

    words_display(request, &display, DISPLAY_MAX);
    *subject = (Subject){
        .request = copy(request->id, &failed),
        .command = copy(request->name, &failed),
        .container = copy(prepared->container, &failed),
        .cwd = copy(prepared->cwd, &failed),
        .exe = copy(prepared->exe, &failed),
        .script = copy(prepared->operand, &failed),
        .display = buffer_take_string(&display),
        .reason = copy(request->verdict.reason, &failed),
        .uid = prepared->uid,
        .gid = prepared->gid,
        .pid = prepared->pid,
        .exe_digest = request->hashed.exe,
        .script_digest = request->hashed.operand,
    };
    subject->n_notes = words_notes(request, subject->notes);
    fill_argv(subject, request, &failed);
    fill_covers(subject, request, facts, &failed);
    return failed || !subject->display ? -ENOMEM : 0;
}

static void begin(Request *request, const CoverageFacts *facts)
{
    Warden *warden = request->warden;
    Jail *jail = request->jail;
    Question *question = NULL;

    if (jail->n_pending >= jail->pending_max) {
        request_end_refused(request, JOURNAL_DENIED, EXIT_DENIED, "denied", request->verdict.rule,
                            "too many questions of this jail wait for a human already, so nobody "
                            "was asked and nothing was run; retry later");
        return;
    }
    int result = questions_add(warden->questions, jail->name, &request->coverage, &question);
    if (result == 0) {
        question->jail = jail;
        question->policy = policy_ref(request->policy);
        question->rule = request->verdict.rule;
        question->ask = request->verdict.ask;
        question->asked_us = clock_realtime_us();
        jail->n_pending++;
        result = fill_subject(&question->subject, request, facts);
        if (result < 0)
            question_over(warden, question, QUESTION_CANCELLED);
    }
    if (result < 0)
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            strerror(-result));
    else
        join(request, question);
}

/* A kept answer is for one request, once. */
static void pick_up(Request *request, Question *question)
{
    bool approved = question->state == QUESTION_APPROVED;
    _cleanup_free_ char *approver = TAKE_PTR(question->approver), *via = TAKE_PTR(question->via),
                        *reason = TAKE_PTR(question->answer);

    memcpy(request->approval_id, question->id, sizeof request->approval_id);
    question_over(request->warden, question, question->state);
    request_on_decision(request, approved, approver, via, reason, 1);
}

void question_ask(Request *request, const Examined *examined)
{
    Warden *warden = request->warden;

    request->hashed = examined->hashed;
    request->environment = digest_command(NULL, 0, request->env, request->envc);
    CoverageFacts facts = facts_of(request, examined);
    request->coverage = coverage_of(&facts);
    Question *equal = questions_equal(warden->questions, &request->coverage);
    Grant *grant = grants_covering(&warden->grants, &request->coverage, clock_monotonic_ms());

    if (equal && equal->state != QUESTION_PENDING)
        pick_up(request, equal);
    else if (grant)
        grant_admit(request, grant);
    else if (patience_of(request) == 0 && !can_outlive(request))
        request_end_refused(request, JOURNAL_CANCELLED, EXIT_DENIED, "denied",
                            request->verdict.rule,
                            "a human must approve this, but the caller does not wait and the "
                            "answer could not be kept for it; nobody was asked: run it again with "
                            "</dev/null as its input, or with a wait (unset CLAWRDEN_WAIT)");
    else if (equal)
        join(request, equal);
    else
        begin(request, &facts);
}
