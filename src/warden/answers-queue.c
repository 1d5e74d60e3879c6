/*
 * What waits for a human, page by page, and decisions about it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/answers.h"

#define PAGE_DEFAULT 100u
#define PAGE_MAX 1000u
#define PAGE_BYTES_MAX (4u << 20) /* a page that is larger ends early */

/* Queue. */

static void put_files(Buffer *json, const Subject *subject)
{
    char hex[DIGEST_HEX_SIZE];

    json_put_member_u64(json, "uid", subject->uid);
    json_put_member_u64(json, "gid", subject->gid);
    json_put_member_u64(json, "pid", (uint64_t)subject->pid);
    json_put_member(json, "cwd", subject->cwd ? subject->cwd : "");
    json_put_member(json, "exe", subject->exe ? subject->exe : "");
    json_put_member(json, "exe_digest", digest_format(&subject->exe_digest, hex));
    if (subject->script) {
        json_put_member(json, "script", subject->script);
        json_put_member(json, "script_digest", digest_format(&subject->script_digest, hex));
    }
}

static void put_times(Buffer *json, const Question *question)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t left = question->expires_at_ms > now ? question->expires_at_ms - now : 0;
    char stamp[CLOCK_TEXT_MAX];

    json_put_member(json, "asked_at", clock_format_time(question->asked_us, stamp));
    json_put_member(json, "expires_at",
                    clock_format_time(clock_realtime_of(question->expires_at_ms), stamp));
    json_put_member_u64(json, "expires_in_ms", left);
}

/* Who has approved it; `more` (may be NULL) does so now. */
static void put_approved_by(Buffer *json, const Question *question, const char *more)
{
    json_put_name(json, "approved_by");
    buffer_put_u8(json, '[');
    for (size_t i = 0; i < question->n_votes; i++) {
        answer_put_comma(json);
        json_put_cstring(json, question->votes[i].name);
    }
    if (more) {
        answer_put_comma(json);
        json_put_cstring(json, more);
    }
    buffer_put_u8(json, ']');
}

static void put_deciders(Buffer *json, const Question *question, const Actor *actor)
{
    const PolicyAsk *ask = question->ask;
    const char *objection = question_objection(question, actor, NULL);

    json_put_member_u64(json, "waiters", question->n_waiters);
    json_put_member_u64(json, "needed", question_needed(question));
    put_approved_by(json, question, NULL);
    json_put_member_argv(json, "approvers", ask->approvers, ask->n_approvers);
    json_put_member_argv(json, "channels", ask->channels, ask->n_channels);
    json_put_member_bool(json, "quiet", ask->quiet);
    json_put_member_bool(json, "may_decide", objection == NULL);
    answer_put_text(json, "why_not", objection);
}

static void put_possible_grants(Buffer *json, const Question *question)
{
    const Subject *subject = &question->subject;

    json_put_name(json, "grant");
    buffer_put_u8(json, '{');
    answer_put_text(json, "exact", subject->covers_exact);
    answer_put_text(json, "widened", subject->covers_widened);
    json_put_member_bool(json, "session", grant_obstacle(question, false, true) == NULL);
    answer_put_text(json, "why_not", subject->covers_not);
    buffer_put_u8(json, '}');
}

static void put_question(Buffer *json, const Question *question, const Actor *actor)
{
    const Subject *subject = &question->subject;

    buffer_put_u8(json, '{');
    json_put_member(json, "id", question->id);
    json_put_member(json, "request", subject->request);
    json_put_member(json, "jail", question->jail_name);
    json_put_member(json, "container", subject->container ? subject->container : "");
    json_put_member(json, "command", subject->command);
    json_put_member_argv(json, "argv", (const char *const *)subject->argv, subject->n_argv);
    if (subject->n_argv_more > 0)
        json_put_member_u64(json, "argv_more", subject->n_argv_more);
    json_put_member(json, "display", subject->display ? subject->display : "");
    put_files(json, subject);
    json_put_member(json, "rule", question->rule);
    json_put_member(json, "reason", subject->reason ? subject->reason : "");
    json_put_member_argv(json, "notes", subject->notes, subject->n_notes);
    put_times(json, question);
    put_deciders(json, question, actor);
    put_possible_grants(json, question);
    buffer_put_u8(json, '}');
}

static bool is_shown(const Question *question, const Actor *actor)
{
    return question->state == QUESTION_PENDING && actor_sees(actor, question->jail_name);
}

static uint64_t count_shown(const Warden *warden, const Actor *actor)
{
    uint64_t total = 0;

    for (const Question *question = questions_first(warden->questions); question;
         question = question->next)
        total += is_shown(question, actor);
    return total;
}

void answer_queue(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    uint32_t limit = reader_u32(reader);
    const char *after = reader_string(reader), *last = NULL;
    uint64_t number = *after ? questions_number(warden->questions, after) : 0;
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    size_t count = 0;
    bool more = false;

    if (!reader_done(reader) || limit > PAGE_MAX) {
        answer_error(warden, key, 500, "internal", "malformed call");
        return;
    }
    if (*after && number == 0) {
        answer_error(warden, key, 404, "not_found",
                     "the question to go on after is not known any more: begin again");
        return;
    }
    limit = limit > 0 ? limit : PAGE_DEFAULT;
    buffer_puts(&json, "{\"pending\":[");
    for (const Question *question = questions_first(warden->questions); question;
         question = question->next) {
        if (question->number <= number || !is_shown(question, actor))
            continue;
        if (count == limit || buffer_size(&json) > PAGE_BYTES_MAX) {
            more = true;
            break;
        }
        answer_put_comma(&json);
        put_question(&json, question, actor);
        last = question->id;
        count++;
    }
    buffer_put_u8(&json, ']');
    json_put_member_u64(&json, "total", count_shown(warden, actor));
    answer_put_text(&json, "next", more ? last : NULL);
    buffer_put_u8(&json, '}');
    answer(warden, key, 200, &json);
}

/* Decisions. */

typedef struct Decision {
    const char *id;
    bool approve;
    Remember remember;
    uint64_t remember_ms;
    bool widened;
    const char *reason; /* or NULL */
} Decision;

static bool read_decision(Reader *reader, Decision *ret)
{
    *ret = (Decision){.id = reader_string(reader)};
    ret->approve = reader_u8(reader) != 0;
    ret->remember = (Remember)reader_u8(reader);
    ret->remember_ms = reader_u64(reader);
    ret->widened = reader_u8(reader) != 0;
    ret->reason = reader_string(reader);
    if (!*ret->reason)
        ret->reason = NULL;
    return reader_done(reader) && ret->remember < REMEMBER_MAX_;
}

/* One that changes nothing is recorded all the same. */
static void record_useless(Warden *warden, JournalEvent event, const char *jail,
                           const Decision *decision, const Actor *actor, const char *why)
{
    char message[320];
    JournalRecord record = {.event = event,
                            .jail = jail,
                            .approval = decision->id,
                            .approver = actor->name,
                            .via = actor->via,
                            .message = message};

    (void)snprintf(message, sizeof message, "a decision (%s) on %.16s %s",
                   decision->approve ? "approve" : "deny", decision->id, why);
    warden_record(warden, &record);
}

static void refuse_over(Warden *warden, uint64_t key, const Decision *decision, const Actor *actor,
                        QuestionState before)
{
    char words[160], why[80];

    (void)snprintf(why, sizeof why, "came late: it was %s already", question_state_name(before));
    record_useless(warden, JOURNAL_LATE, NULL, decision, actor, why);
    (void)snprintf(words, sizeof words, "%.16s is not pending: it was %s already", decision->id,
                   question_state_name(before));
    answer_error(warden, key, 409, "over", words);
}

/* Finds what is to be decided; NULL: the api has been told why not. */
static Question *find(Warden *warden, uint64_t key, const Decision *decision, const Actor *actor)
{
    QuestionState before = QUESTION_PENDING;
    Question *question = NULL;

    switch (questions_find(warden->questions, decision->id, actor, &question, &before)) {
    case 0:
        return question;
    case QUESTION_OVER:
        refuse_over(warden, key, decision, actor, before);
        return NULL;
    case QUESTION_AMBIGUOUS:
        answer_error(warden, key, 409, "ambiguous",
                     "several pending questions have ids that begin like this: use the whole id");
        return NULL;
    default:
        answer_error(warden, key, 404, "not_found", "no pending question has this id");
        return NULL;
    }
}

/* Whether this actor may decide it, here and now. */
static bool may_decide(Warden *warden, uint64_t key, const Question *question,
                       const Decision *decision, const Actor *actor)
{
    bool voted = false;
    char why[200];
    const char *objection = question_objection(question, actor, &voted);

    if (!objection || (voted && !decision->approve)) /* whoever approved may still think better */
        return true;
    (void)snprintf(why, sizeof why, "was refused: %s", objection);
    record_useless(warden, voted ? JOURNAL_LATE : JOURNAL_REFUSED, question->jail_name, decision,
                   actor, why);
    answer_error(warden, key, voted ? 409 : 403, voted ? "already_approved" : "not_yours",
                 objection);
    return false;
}

/* Why what is to be remembered cannot be, or NULL. */
static const char *obstacle_of(const Warden *warden, const Question *question,
                               const Decision *decision)
{
    if (decision->remember == REMEMBER_NOT)
        return decision->widened ? "a wider grant needs a time or the session" : NULL;
    if (!decision->approve)
        return "a denial is not remembered";
    if (decision->remember == REMEMBER_FOR && decision->remember_ms == 0)
        return "a grant for no time covers nothing";
    if (decision->remember_ms > CLOCK_DURATION_MAX_MS)
        return "a grant lasts a year at most";
    if (strcmp(policy_digest(question->policy->policy), policy_digest(warden->policy->policy)) != 0)
        return "the policy has changed since this was asked";
    return grant_obstacle(question, decision->widened, decision->remember == REMEMBER_SESSION);
}

static void approve(Warden *warden, uint64_t key, Question *question, const Decision *decision,
                    const Actor *actor)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    Answered answered;

    buffer_put_u8(&json, '{'); /* the question may be void after the decision */
    json_put_member(&json, "id", question->id);
    json_put_member_u64(&json, "needed", question_needed(question));
    put_approved_by(&json, question, actor->name);
    int result =
        question_approve(warden, question, actor, decision->remember, decision->remember_ms,
                         decision->widened, decision->reason, &answered);
    if (result < 0) {
        buffer_done(&json);
        bool full = result == -ENOSPC;
        answer_error(warden, key, full ? 409 : 500, full ? "too_many_grants" : "internal",
                     full ? "there are too many grants already: revoke some"
                          : "out of memory; nothing was decided");
        return;
    }
    json_put_member(&json, "decision", answered.counted ? "counted" : "approved");
    json_put_member_u64(&json, "ran", answered.n_requests);
    json_put_name(&json, "grant");
    if (answered.grant)
        answer_put_grant(&json, answered.grant);
    else
        buffer_puts(&json, "null");
    buffer_put_u8(&json, '}');
    answer(warden, key, 200, &json);
}

static void deny(Warden *warden, uint64_t key, Question *question, const Decision *decision,
                 const Actor *actor)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    Answered answered;

    buffer_put_u8(&json, '{');
    json_put_member(&json, "id", question->id);
    json_put_member(&json, "decision", "denied");
    question_deny(warden, question, actor, decision->reason, &answered);
    json_put_member_u64(&json, "refused", answered.n_requests);
    buffer_put_u8(&json, '}');
    answer(warden, key, 200, &json);
}

void answer_decide(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    Decision decision;

    if (!read_decision(reader, &decision)) {
        answer_error(warden, key, 500, "internal", "malformed call");
        return;
    }
    Question *question = find(warden, key, &decision, actor);
    if (!question || !may_decide(warden, key, question, &decision, actor))
        return;
    const char *obstacle = obstacle_of(warden, question, &decision);
    if (obstacle)
        answer_error(warden, key, 409, "no_such_grant", obstacle);
    else if (decision.approve)
        approve(warden, key, question, &decision, actor);
    else
        deny(warden, key, question, &decision, actor);
}
