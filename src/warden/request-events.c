/*
 * What happens to a request: the executor's answers, deadlines, signals, a lost caller, a human's
 * decision. Each event looks at the state and takes the one step that fits.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "warden/engine-exec.h"
#include "warden/ghost.h"
#include "warden/request.h"

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

/* The second half: facts. */

static Facts *facts_of(const LinkFrame *frame)
{
    Facts *facts = calloc(1, sizeof *facts);
    if (!facts || !(facts->payload = malloc(frame->size + 1)))
        return facts_free(facts);
    memcpy(facts->payload, frame->payload, frame->size);
    if (prepared_decode(facts->payload, frame->size, facts->groups, &facts->prepared) < 0)
        return facts_free(facts);
    return facts;
}

/* What has changed since a human was asked, or NULL. */
static const char *drift(const Prepared *then, const Prepared *now)
{
    if (then->pid != now->pid || then->start_time != now->start_time)
        return "the caller is another process than the one that asked";
    if (then->uid != now->uid || then->gid != now->gid || then->n_groups != now->n_groups ||
        memcmp(then->groups, now->groups, then->n_groups * sizeof *then->groups) != 0)
        return "the caller's user or groups changed after it asked";
    if (strcmp(then->container, now->container) != 0 ||
        then->container_start_time != now->container_start_time)
        return "the caller's container changed after it asked";
    if (strcmp(then->exe, now->exe) != 0 || strcmp(then->interpreter, now->interpreter) != 0)
        return "the command resolves to another file than the one that was approved";
    if (strcmp(then->operand, now->operand) != 0)
        return "the script is another file than the one that was approved";
    if (strcmp(then->cwd, now->cwd) != 0 || then->cwd_device != now->cwd_device ||
        then->cwd_inode != now->cwd_inode)
        return "the working directory changed after approval";
    if (~then->flags & now->flags & PREPARED_STDIN_MUTABLE)
        return "stdin changed after it asked";
    return NULL;
}

/* No order to run before the decision is on disk. */
static void await_record(Request *request)
{
    request->looked = true;
    request_clear_deadline(request);
}

static void on_prepared_again(Request *request, Facts *now)
{
    if (request->ghost)
        ghost_settle(request, &now->prepared);
    const char *changed = drift(&request->facts->prepared, &now->prepared);

    facts_free(request->facts);
    request->facts = now;
    if (request->killed)
        request_refuse_killed(request);
    else if (request->cancelled)
        request_cancel(request, "the caller went away");
    else if (changed)
        request_end_refused(request, JOURNAL_DRIFT, EXIT_DENIED, "denied", NULL, changed);
    else if (request->record_error < 0)
        request_refuse_unrecorded(request, request->record_error);
    else if (request->recording)
        await_record(request);
    else
        request_give_order(request);
}

static void on_hashed(Request *request, const LinkFrame *frame)
{
    Examined examined;

    if (request->state != REQUEST_HASHING)
        return;
    request->child_waits = false; /* it ends when it has reported */
    request_clear_deadline(request);
    if (examined_decode(frame->payload, frame->size, &examined) < 0)
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            "what would run could not be examined; nothing was run");
    else if (request->ghost)
        ghost_on_hashed(request, &examined);
    else
        question_ask(request, &examined);
}

/* Nothing more is needed of a large request while it runs: its jail's `bytes` count only what
 * waits, and a prisoner must not fill our memory with commands that sleep. */
static void forget_large_words(Request *request)
{
    if (request->message_size <= WORDS_KEPT_MAX)
        return;
    redacted_argv_done(&request->redacted);
    shim_request_done(&request->words);
    request->words = SHIM_REQUEST_EMPTY;
    free(request->env);
    request->env = NULL;
    request->envc = 0;
    free(request->keep);
    request->keep = NULL;
    free(request->message);
    request->message = NULL;
}

/* What came before the command. Each signal once, and a stop and a continuation cancel each other,
 * as the kernel does it for a process that blocks them (signal(7), "Job control"). */
static void hold_signal(Request *request, uint8_t number, bool group)
{
    if (number < 1 || number > 64)
        return;
    if (number == SIGTSTP || number == SIGCONT)
        request->held_signals &= ~(SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGCONT));
    request->held_signals |= SIGNAL_BIT(number);
    request->held_groups &= ~SIGNAL_BIT(number);
    if (group)
        request->held_groups |= SIGNAL_BIT(number);
}

void request_release_signals(Request *request)
{
    for (uint8_t number = 1; request->held_signals && number <= 64; number++) {
        if (!(request->held_signals & SIGNAL_BIT(number)))
            continue;
        const uint8_t payload[2] = {number, request->held_groups & SIGNAL_BIT(number) ? 1 : 0};
        request->held_signals &= ~SIGNAL_BIT(number);
        request_to_executor(request, EXEC_SIGNAL, payload, sizeof payload);
    }
}

void request_begin_running(Request *request)
{
    uint64_t timeout = request->verdict.timeout_ms;

    request->running_since_ms = clock_monotonic_ms();
    request->jail->n_allowed++;
    request_set_state(request, REQUEST_RUNNING);
    request_ack(request, SHIM_ACK_ALLOWED);
    if (timeout > 0)
        request_set_deadline(request, timeout);
    else
        request_clear_deadline(request);
}

void request_go_on_running(Request *request)
{
    forget_large_words(request);
    if (!request->frozen)
        request_release_signals(request);
    if (request->killed)
        request_end_in_executor(request, 0);
    else if (request->cancelled)
        request_end_in_executor(request, TERM_GRACE_MS);
}

static void on_started(Request *request, Reader *reader)
{
    if (request->state != REQUEST_STARTING)
        return;
    request->command_pid = (pid_t)reader_u32(reader);
    if (request->ghost) {
        ghost_on_relay(request);
        return;
    }
    request_begin_running(request);
    JournalRecord record = request_record(request, JOURNAL_STARTED);
    record.executor = request_executor_name(request);
    record.argv = NULL; /* the admission record has it */
    record.argc = record.argv_more = 0;
    record.command_digest = NULL;
    record.pid = request->command_pid;
    if (request->exec)
        record.message = "by the container engine (mirror_engine: docker)";
    warden_record(request->warden, &record);
    request_go_on_running(request);
}

/* The command itself has ended; what it left behind may still be alive. */
static void on_exited(Request *request, Reader *reader)
{
    if (request->ghost) /* its relay: that all of it has ended is what counts */
        return;
    request->exit_kind = reader_u8(reader);
    request->exit_value = reader_u8(reader);
    request->exit_known = true;
    request_clear_deadline(request);
    request_set_state(request, REQUEST_ENDING);
    if (request->timed_out)
        request_exit(request, 0, EXIT_TIMED_OUT);
    else
        request_exit(request, request->exit_kind, request->exit_value);
}

static void on_ended(Request *request, Reader *reader)
{
    uint8_t kind = reader_u8(reader), value = reader_u8(reader);
    unsigned leftovers = reader_u32(reader);

    if (request->state != REQUEST_RUNNING && request->state != REQUEST_ENDING &&
        request->state != REQUEST_STARTING)
        return;
    if (request->ghost) {
        ghost_on_relay_end(request, kind, value, leftovers);
        return;
    }
    if (request->exec && kind == 2) {
        engine_exec_ask_result(request, leftovers);
        return;
    }
    if (!request->exit_known) {
        request->exit_kind = kind;
        request->exit_value = value;
    }
    if (request->running_since_ms == 0) { /* ended before it was seen to start */
        request->running_since_ms = clock_monotonic_ms();
        request_ack(request, SHIM_ACK_ALLOWED);
    }
    request_finish(request, leftovers);
}

static void on_failed(Request *request, Reader *reader)
{
    ExecFailure failure = (ExecFailure)reader_u8(reader);

    free(request->failure_text);
    request->failure_text = strdup(reader_string(reader));
    request->failure = failure > 0 && failure < EXEC_FAILURE_MAX_ ? failure : EXEC_FAILURE_BROKEN;
    request->child_waits = false;
    switch (request->state) {
    case REQUEST_RECEIVED:
        request_proceed(request);
        return;
    case REQUEST_REOPENING:
    case REQUEST_HASHING:
    case REQUEST_STARTING:
        if (request->held) /* the child that it held no longer */
            return;
        if (request->killed)
            request_refuse_killed(request);
        else if (request->cancelled)
            request_cancel(request, "the caller went away");
        else
            request_refuse_failure(request);
        return;
    case REQUEST_RECORDING: /* its child died meanwhile; on_recorded goes on and finds that out */
    case REQUEST_PENDING:
    case REQUEST_RUNNING:
    case REQUEST_ENDING:
    default:
        return;
    }
}

static void on_prepared(Request *request, const LinkFrame *frame)
{
    Facts *facts = facts_of(frame);

    request->child_waits = true;
    if (!facts) {
        request_drop_child(request);
        request->failure = EXEC_FAILURE_BROKEN;
        if (request->state == REQUEST_RECEIVED)
            request_proceed(request);
        else
            request_refuse_failure(request);
    } else if (request->state == REQUEST_RECEIVED && !request->facts) {
        request->facts = facts;
        request_proceed(request);
    } else if (request->state == REQUEST_REOPENING) {
        on_prepared_again(request, facts);
    } else {
        facts_free(facts); /* nobody asked for it */
        request_drop_child(request);
    }
}

void request_on_executor(Warden *warden, LinkFrame *frame)
{
    Request *request = requests_find(warden, frame->key);
    Reader reader = reader_of(frame->payload, frame->size);

    if (!request && (frame->type == EXEC_PREPARED || frame->type == EXEC_FAILED)) {
        Jail *jail = jail_of_door(warden, MESSAGE_KEY_DOOR(frame->key));
        request = jail ? request_new(jail, frame->key) : NULL;
    }
    if (!request) {
        if (frame->type == EXEC_PREPARED) /* its door has died */
            (void)link_send(warden->executor, EXEC_DROP, frame->key, NULL, 0);
        return;
    }
    switch (frame->type) {
    case EXEC_PREPARED:
        on_prepared(request, frame);
        return;
    case EXEC_HASHED:
        on_hashed(request, frame);
        return;
    case EXEC_FAILED:
        on_failed(request, &reader);
        return;
    case EXEC_STARTED:
        on_started(request, &reader);
        return;
    case EXEC_EXITED:
        on_exited(request, &reader);
        return;
    case EXEC_ENDED:
        on_ended(request, &reader);
        return;
    default:
        warden_fail(warden, "an unexpected message from the executor", -EPROTO);
    }
}

/* Events from outside the road. */

void request_on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Request *request = userdata;
    char text[CLOCK_TEXT_MAX + 64], duration[CLOCK_TEXT_MAX];

    switch (request->state) {
    case REQUEST_RECEIVED:
        if (!request->has_words) { /* its door never said what it is about */
            request_drop_child(request);
            request_retire(request);
            return;
        }
        /* fall through */
    case REQUEST_HASHING:
    case REQUEST_REOPENING:
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            "the command could not be prepared in time; nothing was run");
        return;
    case REQUEST_STARTING:
        request_end_in_executor(request, 0);
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            request->ghost ? "its container did not start in time and was removed"
                            : request->exec
                                ? "the container engine did not start the command in "
                                  "time; nothing was run"
                                : "the command did not start within 15 s and was ended");
        return;
    case REQUEST_PENDING:
        question_on_waiter_deadline(request);
        return;
    case REQUEST_RUNNING:
        request->timed_out = true;
        (void)snprintf(text, sizeof text, "timed out after %s; ending it",
                       clock_format_duration(request->verdict.timeout_ms, duration));
        request_tell(request, text);
        request_end_in_executor(request, TERM_GRACE_MS);
        return;
    case REQUEST_ENDING:
        if (request->exec && request->exec->asked)
            engine_exec_give_up(request);
        return;
    case REQUEST_RECORDING:
    default:
        return;
    }
}

void request_on_signal(Jail *jail, const LinkFrame *frame)
{
    Request *request = requests_find(jail->warden, frame->key);

    if (!request || request->jail != jail || frame->size != 2)
        return;
    if (request->state == REQUEST_RUNNING && !request->frozen)
        request_to_executor(request, EXEC_SIGNAL, frame->payload, frame->size);
    else if (request->state != REQUEST_ENDING)
        hold_signal(request, (uint8_t)frame->payload[0], frame->payload[1] != 0);
}

/* Nobody wants it any more; `by_user`: nor will anybody come back for it. */
static void abandon(Request *request, const char *reason, bool by_user)
{
    if (request->held) {
        request_cancel(request, reason);
        return;
    }
    switch (request->state) {
    case REQUEST_PENDING:
        question_lose_waiter(request, reason, by_user);
        return;
    case REQUEST_HASHING:
        request_cancel(request, reason);
        return;
    case REQUEST_RUNNING:
        if (!request->cancelled)
            request_end_in_executor(request, TERM_GRACE_MS);
        request->cancelled = true;
        return;
    case REQUEST_RECEIVED:
    case REQUEST_RECORDING:
    case REQUEST_REOPENING:
    case REQUEST_STARTING:    /* an answer is on its way and finds this */
        if (request->ghost) { /* it can be long in coming */
            request_cancel(request, reason);
            return;
        }
        if (request->state == REQUEST_STARTING && request->frozen && !request->cancelled)
            request_end_in_executor(request, 0); /* now, not when it is resumed */
        request->cancelled = true;
        return;
    case REQUEST_ENDING:
    default:
        return;
    }
}

static void abandon_for_caller(Request *request, bool by_user)
{
    abandon(request, by_user ? "the caller interrupted it" : "the caller went away", by_user);
}

void request_on_gone(Jail *jail, uint64_t key)
{
    Request *request = requests_find(jail->warden, key);

    if (!request || request->jail != jail)
        return;
    request->shim_gone = true;
    abandon_for_caller(request, false);
}

/* Its order to run is out: whoever signals may have seen it run. A container's command begins only
 * when its relay runs. */
static bool may_have_started(const Request *request)
{
    return request->state == REQUEST_RUNNING || request->state == REQUEST_ENDING ||
           (request->state == REQUEST_STARTING && (!request->ghost || request->ghost->relays));
}

/* A shim that got a deadly signal while it waited cannot know whether the command runs already, so
 * it says which and goes on listening: the ack or the refusal that follows is the answer. */
void request_on_cancel(Jail *jail, const LinkFrame *frame)
{
    Request *request = requests_find(jail->warden, frame->key);
    const bool asks = frame->size == 2;
    const uint8_t number = asks ? (uint8_t)frame->payload[0] : SIGINT;

    if (!request || request->jail != jail || (!asks && frame->size != 0) ||
        !shim_signal_is_deadly(number))
        return;
    if (asks && may_have_started(request))
        request_on_signal(jail, frame);
    else /* who interrupts withdraws what it asked; the others may come back for the answer */
        abandon_for_caller(request, number == SIGINT || number == SIGQUIT);
}

/* A request that never got its words has no one to abandon it. `withdrawn`: so is its question. */
static void give_up(Request *request, const char *reason, bool withdrawn)
{
    if (request->has_words) {
        request->shim_gone = true;
        abandon(request, reason, withdrawn);
        return;
    }
    request_drop_child(request);
    request_retire(request);
}

void request_on_jail_gone(Request *request, const char *why)
{
    give_up(request, why, true);
}

void request_on_door_lost(Request *request)
{
    give_up(request, "the jail's door process died", false);
}

void request_on_stop(Request *request)
{
    give_up(request, "the warden was told to stop", true);
}

void request_on_decision(Request *request, bool approve, const char *approver, const char *via,
                         const char *reason, size_t waiters)
{
    free(request->approver);
    free(request->via);
    request->approver = strdup(approver ? approver : "an operator");
    request->via = via ? strdup(via) : NULL;
    request->approval_reason = reason ? strdup(reason) : NULL;
    request->n_answered = waiters;
    request_clear_deadline(request);
    if (approve) {
        request_admit(request);
        return;
    }
    Buffer text = BUFFER_EMPTY(4096);
    buffer_printf(&text, "denied by %s%s%s", approver ? approver : "an operator",
                  reason ? ": " : "", reason ? reason : "");
    _cleanup_free_ char *line = buffer_take_string(&text);
    request->verdict.action = POLICY_DENY;
    request_end_refused(request, JOURNAL_DECIDED, EXIT_DENIED, "denied", request->verdict.rule,
                        line ? line : "denied by an operator");
}
