/*
 * The one state machine: every command, from arrival to its end (the picture is in state.h).
 *
 * Two halves arrive in either order: the words (argv, environment, from the door) and the facts
 * (who, which file, where, from the executor). Then the policy speaks, the admission is recorded,
 * and only then the order to run is given. Every wait has a deadline; every end has a record.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "warden/control.h"
#include "warden/engine-exec.h"
#include "warden/ghost.h"
#include "warden/request.h"

/* Life and death. */

Facts *facts_free(Facts *facts)
{
    if (facts)
        free(facts->payload);
    free(facts);
    return NULL;
}

void request_free(Request *request)
{
    if (request->timer)
        event_free(request->timer);
    redacted_argv_done(&request->redacted);
    shim_request_done(&request->words);
    free(request->message);
    free(request->name);
    facts_free(request->facts);
    free(request->failure_text);
    policy_unref(request->policy);
    ghost_run_free(request->ghost);
    free(request->exec);
    free(request->rate_reason);
    free(request->env);
    free(request->keep);
    free(request->approver);
    free(request->via);
    free(request->approval_reason);
    free(request);
}

void request_set_state(Request *request, RequestState state)
{
    Jail *jail = request->jail;

    jail->n_running -= request->state == REQUEST_RUNNING || request->state == REQUEST_ENDING;
    request->state = state;
    jail->n_running += state == REQUEST_RUNNING || state == REQUEST_ENDING;
}

/* Out of the table; freed now, or when its journal ticket comes back. */
void request_retire(Request *request)
{
    Warden *warden = request->warden;
    bool was_dying = request->dying;

    ghost_retire(request);
    engine_exec_retire(request);
    request_set_state(request, REQUEST_RECEIVED);
    requests_remove(warden, request);
    request->jail->n_dying -= was_dying;
    if (request->recording)
        request->dead = true;
    else
        request_free(request);
    if (was_dying)
        control_on_ended(warden);
}

void request_set_deadline(Request *request, uint64_t milliseconds)
{
    struct timeval time = clock_timeval_of_ms(milliseconds);
    (void)event_add(request->timer, &time);
}

void request_clear_deadline(Request *request)
{
    (void)event_del(request->timer);
}

Request *request_new(Jail *jail, uint64_t key)
{
    Request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->key = key;
    request->jail = jail;
    request->warden = jail->warden;
    approval_random_text(request->id, sizeof request->id);
    request->timer = event_new(jail->warden->loop, -1, 0, request_on_deadline, request);
    if (!request->timer) {
        free(request);
        return NULL;
    }
    requests_add(jail->warden, request);
    request_set_deadline(request, STEP_TIME_MAX_MS);
    return request;
}

/* To the door and to the executor. */

/* `soon`: another message may follow at once (link_send_soon()). */
static void to_door(Request *request, uint16_t type, const void *payload, size_t size, bool soon)
{
    if (request->shim_gone || request->door_done || !request->jail->door)
        return;
    int result = soon ? link_send_soon(request->jail->door, type, request->key, payload, size)
                      : link_send(request->jail->door, type, request->key, payload, size);
    if (result < 0)
        log_warning("the door of jail %s does not take its answers: %s", request->jail->name,
                    strerror(-result));
}

void request_ack(Request *request, uint8_t ack)
{
    to_door(request, DOOR_ACK, &ack, sizeof ack, true);
}

void request_tell(Request *request, const char *text)
{
    Buffer payload = BUFFER_EMPTY(SHIM_FRAME_MAX);
    buffer_put_string(&payload, text);
    if (payload.error == 0)
        to_door(request, DOOR_MESSAGE, payload.bytes, payload.size, false);
    buffer_done(&payload);
}

void request_exit(Request *request, uint8_t kind, uint8_t value)
{
    uint8_t payload[2] = {kind, value};
    to_door(request, DOOR_EXIT, payload, sizeof payload, false);
    request->door_done = true;
}

void request_to_executor(Request *request, uint16_t type, const void *payload, size_t size)
{
    Warden *warden = request->warden;
    int result = link_send(warden->executor, type, request->key, payload, size);
    if (result < 0)
        warden_fail(warden, "cannot reach the executor", result);
}

void request_to_engine(Request *request, uint16_t type, const Buffer *payload)
{
    Warden *warden = request->warden;
    int result = payload ? payload->error : 0;

    if (result == 0 && warden->engine)
        result = link_send(warden->engine, type, request->key, payload ? payload->bytes : NULL,
                           payload ? payload->size : 0);
    if (result < 0)
        log_error("the engine process does not take its orders: %s", strerror(-result));
}

void request_end_in_executor(Request *request, uint32_t grace_ms)
{
    Buffer payload = BUFFER_EMPTY(8);
    buffer_put_u32(&payload, grace_ms);
    request_to_executor(request, EXEC_END, payload.bytes, payload.size);
    buffer_done(&payload);
    ghost_end(request, grace_ms);
}

/* Ends the executor's child, if one waits for an order. */
void request_drop_child(Request *request)
{
    if (request->child_waits)
        request_to_executor(request, EXEC_DROP, NULL, 0);
    request->child_waits = false;
}

/* Admission. */

void request_give_order(Request *request)
{
    Buffer payload = BUFFER_EMPTY(1u << 20);
    RunOrder order = {.command = request->command,
                      .bound = request->asked,
                      .hashed = request->hashed,
                      .keep = request->keep,
                      .keep_size = request->keep_size};

    if (request_held_by_switch(request))
        return;
    if (request->ghost) {
        ghost_give_order(request);
        return;
    }
    run_order_encode(&payload, &order);
    if (payload.error < 0) {
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            "the environment has too many entries; nothing was run");
    } else if (engine_exec_is_meant(request)) {
        engine_exec_give_order(request, &payload);
    } else {
        request_set_state(request, REQUEST_STARTING);
        request_set_deadline(request, STEP_TIME_MAX_MS);
        request->child_waits = false;
        request_to_executor(request, EXEC_RUN, payload.bytes, payload.size);
    }
    buffer_done(&payload);
}

void request_reopen(Request *request)
{
    if (request_held_by_switch(request))
        return;
    request->looked = false;
    request_set_state(request, REQUEST_REOPENING);
    request_set_deadline(request, STEP_TIME_MAX_MS);
    to_door(request, DOOR_OPEN, NULL, 0, false);
}

/* The admission record is written (or cannot be). An asked one is looked at again meanwhile: what
 * comes second goes on. */
static void on_recorded(int result, void *userdata)
{
    Request *request = userdata;

    request->recording = false;
    if (request->dead) {
        request_free(request);
        return;
    }
    if (request->state == REQUEST_REOPENING && !request->looked && !request->held) {
        request->record_error = result;
        return;
    }
    if (result < 0) {
        request_refuse_unrecorded(request, result);
    } else if (request->killed) {
        request_refuse_killed(request);
    } else if (request->cancelled) {
        request_cancel(request, "the caller went away");
    } else if (request->failure != 0) { /* the child ended meanwhile */
        request_refuse_failure(request);
    } else if (!request->held) {
        request_give_order(request);
    }
}

/* Writes the admission record; on disk if a human decided. */
void request_admit(Request *request)
{
    JournalRecord record =
        request_record(request, request->asked ? JOURNAL_DECIDED : JOURNAL_JUDGED);

    record.executor = request_executor_name(request);
    record.argv = redacted_first(request, SIZE_MAX, &record.argc);
    record.argv_more = 0;
    record.command_digest = NULL;
    if (request->asked) {
        record.verdict = request->grant_id[0] ? "granted" : "approved";
        record.reason = request->approval_reason;
    }
    request_set_state(request, REQUEST_RECORDING);
    request_clear_deadline(request);
    request->recording = true;
    warden_expect_head(request->warden);
    int result =
        journal_append(request->warden->journal, &record, request->asked, on_recorded, request);
    if (result < 0)
        on_recorded(result, request);
    else if (request->asked)
        request_reopen(request); /* while the disk works */
}

/* Judgement. */

static int scrub(Request *request)
{
    const ShimRequest *words = &request->words;

    request->keep_size = (words->envc + 7) / 8;
    request->keep = calloc(1, request->keep_size + 1);
    request->env = calloc(words->envc + 1, sizeof *request->env);
    if (!request->keep || !request->env)
        return -ENOMEM;
    for (size_t i = 0; i < words->envc; i++) {
        if (!policy_env_keeps(request->policy->policy, words->env[i]))
            continue;
        request->keep[i / 8] |= (uint8_t)(1u << (i % 8));
        request->env[request->envc++] = words->env[i];
    }
    request->command = digest_command(words->argv, words->argc, request->env, request->envc);
    return 0;
}

static void ask(Request *request)
{
    int health = journal_health(request->warden->journal);

    if (health < 0) { /* an approval could not be recorded: nobody is troubled with it */
        request_refuse_unrecorded(request, health);
        return;
    }
    request->asked = true;
    request_set_state(request, REQUEST_HASHING);
    request_set_deadline(request, STEP_TIME_MAX_MS);
    request_to_executor(request, EXEC_HASH, NULL, 0);
}

/* A caller that could change the warden itself is no prisoner: whatever the policy says to it, it
 * could do otherwise. The operator may say that this is meant. */
static bool is_too_powerful(const Request *request)
{
    const PolicyJail *jail = jail_settings_under(request->jail, request->warden->policy->policy);

    return request->warden->context->privileged &&
           (request->facts->prepared.flags & PREPARED_POWERFUL) && !(jail && jail->allow_root);
}

/* argv[0] must name the command: many programs act by it (`git-push` is `git push`, busybox is
 * everything), and rules look at the command's name. A login shell's leading '-' is no name. */
static bool is_named_truly(const Request *request)
{
    const char *claimed = request->words.argv[0];
    const char *slash = strrchr(claimed, '/');

    if (slash)
        claimed = slash + 1;
    return strcmp(claimed + (claimed[0] == '-'), request->name) == 0;
}

/* An allow rule vouches for the command, not for an interpreter that its #! line happens to find.
 */
static bool is_allowed_by_proxy(const Request *request)
{
    return request->verdict.action == POLICY_ALLOW &&
           (request->facts->prepared.flags & PREPARED_INTERPRETER_WRITABLE);
}

/* Above the rule's rate its action no longer holds. */
static void apply_rate(Request *request)
{
    PolicyVerdict *verdict = &request->verdict;
    const PolicyAsk *ask = verdict->ask;
    char window[CLOCK_TEXT_MAX];

    if (verdict->action == POLICY_DENY || ask->rate_most == 0 ||
        rates_take(&request->jail->rates, verdict->rule_index, ask->rate_most, ask->rate_ms,
                   clock_monotonic_ms()))
        return;
    verdict->action = ask->rate_then == POLICY_ASK ? POLICY_ASK : POLICY_DENY;
    Buffer words = BUFFER_EMPTY(4096);
    buffer_printf(&words, "more than %u calls of this rule within %s%s; wait before the next one",
                  ask->rate_most, clock_format_duration(ask->rate_ms, window),
                  verdict->action == POLICY_ASK ? " need a human" : " are denied");
    if (verdict->reason)
        buffer_printf(&words, " (%.1000s)", verdict->reason);
    request->rate_reason = buffer_take_string(&words);
    verdict->reason = request->rate_reason;
}

/* Nothing else could run it. */
static void refuse_missing(Request *request)
{
    const Prepared *prepared = &request->facts->prepared;

    request->failure = prepared->flags & PREPARED_NOT_RUNNABLE ? EXEC_FAILURE_NOT_RUNNABLE
                                                               : EXEC_FAILURE_NOT_FOUND;
    request->failure_text = strdup(prepared->operand);
    request_refuse_failure(request);
}

static void judge(Request *request)
{
    const Prepared *prepared = &request->facts->prepared;
    PolicyQuery query = {
        .jail = request->jail->name,
        .uid = prepared->uid,
        .gid = prepared->gid,
        .name = request->name,
        .exe = prepared->exe[0] ? prepared->exe : NULL,
        .exe_writable = (prepared->flags & PREPARED_EXE_WRITABLE) != 0,
        .argv = request->words.argv,
        .argc = request->words.argc,
        .cwd = prepared->cwd,
    };

    request->policy = policy_ref(request->warden->policy);
    if (scrub(request) < 0) {
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            "out of memory");
        return;
    }
    query.env = request->env;
    query.envc = request->envc;
    policy_judge(request->policy->policy, &query, &request->verdict);
    ghost_consider(request, &query);
    if (request->ghost) {
        ghost_settle(request, &request->facts->prepared);
    } else if (prepared->flags & PREPARED_NO_PROGRAM) {
        refuse_missing(request);
        return;
    }
    apply_rate(request);

    const PolicyVerdict *verdict = &request->verdict;
    if (verdict->action == POLICY_DENY)
        request_end_refused(request, JOURNAL_DENIED, EXIT_DENIED, "denied", verdict->rule,
                            verdict->reason);
    else if (verdict->needs_exe) /* an executor that names no file gets no command to run */
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", verdict->rule,
                            "the program's file is not known; nothing was run");
    else if (is_allowed_by_proxy(request))
        request_end_refused(request, JOURNAL_DENIED, EXIT_DENIED, "denied", verdict->rule,
                            "it is a script, and the caller could change the interpreter that its "
                            "#! line names");
    else if (verdict->executor == POLICY_EXECUTOR_GHOST && ghost_problem(request))
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused", verdict->rule,
                            ghost_problem(request));
    else if (request_place_problem(request))
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused", verdict->rule,
                            request_place_problem(request));
    else if (request->warden->context->dry_run)
        request_end_refused(request, JOURNAL_DENIED, EXIT_DENIED,
                            verdict->action == POLICY_ASK ? "dry run, would ask"
                                                          : "dry run, would allow",
                            verdict->rule, "the warden runs with --dry-run: nothing is executed");
    else if (verdict->action == POLICY_ASK)
        ask(request);
    else
        request_admit(request);
}

/* Both halves are here, or the executor has given up on its own. */
void request_proceed(Request *request)
{
    if (!request->has_words || (!request->facts && request->failure == 0))
        return;
    request_clear_deadline(request);
    request->jail->n_total++;
    if (request->cancelled)
        request_cancel(request, "the caller went away before anything was run");
    else if (request->killed)
        request_refuse_killed(request);
    else if (request->failure != 0)
        request_refuse_failure(request);
    else if (request_refused_by_switch(request))
        return;
    else if (!request->warden->policy)
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL,
                            "no policy is loaded");
    else if (!is_named_truly(request))
        request_end_refused(request, JOURNAL_DENIED, EXIT_DENIED, "denied", NULL,
                            "argv[0] names another program than the command; run it by its own "
                            "name");
    else if (is_too_powerful(request))
        request_end_refused(
            request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused", NULL,
            "the caller is root or has CAP_SYS_ADMIN or CAP_SYS_PTRACE and could change the warden "
            "itself; run the agent as a user of its own, or say allow_root: true for this jail in "
            "the policy");
    else
        judge(request);
}

/* The first half: words. */

static const char *command_name(const ShimRequest *words)
{
    const char *slash = strrchr(words->path, '/');
    return slash ? slash + 1 : words->path;
}

static bool take_words(Request *request, const char *blob, size_t size)
{
    ShimHeader header;

    if (size < sizeof header || !(request->message = malloc(size)))
        return false;
    memcpy(request->message, blob, size);
    request->message_size = size;
    memcpy(&header, blob, sizeof header);
    if (shim_request_decode(&header, request->message + sizeof header, size - sizeof header,
                            &request->words) != SHIM_OK)
        return false;
    request->name = strdup(command_name(&request->words));
    request->has_words = request->name != NULL;
    return request->has_words;
}

void request_on_words(Jail *jail, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    size_t size = 0;
    pid_t pid = (pid_t)reader_u32(&reader);
    uid_t uid = reader_u32(&reader);
    gid_t gid = reader_u32(&reader);
    const char *blob = reader_blob(&reader, &size);
    Request *request = requests_find(jail->warden, frame->key);

    if (!request)
        request = request_new(jail, frame->key);
    if (!request || request->has_words || !reader_done(&reader)) {
        log_error("the door of jail %s sent a request that cannot be", jail->name);
        return;
    }
    request->pid = pid;
    request->uid = uid;
    request->gid = gid;
    if (!take_words(request, blob, size)) {
        free(request->message);
        request->message = NULL;
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED,
                            "refused: malformed request", NULL, NULL);
        return;
    }
    request_proceed(request);
}
