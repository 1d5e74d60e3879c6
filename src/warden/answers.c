/*
 * The api's calls: state as JSON, and decisions. The api has already found out who is asking.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/state.h"

#define ANSWER_MAX (16u << 20)
#define DISPLAY_MAX 4096u
#define QUEUE_ARGV_MAX (8u * 1024)

static void answer(Warden *warden, uint64_t key, uint16_t status, Buffer *json)
{
    Buffer payload = BUFFER_EMPTY(ANSWER_MAX + 64);

    char *text = buffer_take_string(json);
    buffer_put_u16(&payload, text ? status : 500);
    buffer_put_string(&payload, text ? text
                                     : "{\"error\":\"the answer is too large\",\"code\":"
                                       "\"too_large\"}");
    free(text);
    if (warden->api)
        (void)link_send_buffer(warden->api, API_ANSWER, key, &payload);
    buffer_done(&payload);
}

static void answer_error(Warden *warden, uint64_t key, uint16_t status, const char *code,
                         const char *words)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    buffer_put_u8(&json, '{');
    json_put_member(&json, "error", words);
    json_put_member(&json, "code", code);
    buffer_put_u8(&json, '}');
    answer(warden, key, status, &json);
}

/* Status. */

static void put_policy(Warden *warden, Buffer *json)
{
    char stamp[CLOCK_TEXT_MAX];
    const Policy *policy = warden->policy ? warden->policy->policy : NULL;

    json_put_name(json, "policy");
    buffer_put_u8(json, '{');
    json_put_member(json, "path", warden->policy_path ? warden->policy_path : "");
    if (policy) {
        json_put_member(json, "digest", policy_digest(policy));
        json_put_member_u64(json, "rules", policy_n_rules(policy));
        json_put_member(json, "loaded_at", clock_format_time(warden->policy_loaded_us, stamp));
    }
    json_put_name(json, "error");
    if (warden->policy_error)
        json_put_cstring(json, warden->policy_error);
    else
        buffer_puts(json, "null");
    buffer_put_u8(json, '}');
}

static void put_journal(Warden *warden, Buffer *json)
{
    char hex[DIGEST_HEX_SIZE];
    JournalHead head = journal_head(warden->journal);
    int health = journal_health(warden->journal);

    json_put_name(json, "journal");
    buffer_put_u8(json, '{');
    json_put_member(json, "path", warden->context->audit_path);
    json_put_member_u64(json, "seq", head.seq);
    json_put_member(json, "hash", digest_format(&head.hash, hex));
    json_put_member(json, "health", health == 0 ? "ok" : strerror(-health));
    buffer_put_u8(json, '}');
}

static void put_jail(Buffer *json, const Jail *jail)
{
    char last = json->bytes[json->size - 1];
    if (last != '[')
        buffer_put_u8(json, ',');
    buffer_put_u8(json, '{');
    json_put_member(json, "name", jail->name);
    json_put_member_bool(json, "serving", jail->door != NULL);
    json_put_member_bool(json, "paused", jail->paused);
    json_put_member_u64(json, "running", jail->n_running);
    json_put_member_u64(json, "pending", jail->n_pending);
    buffer_put_u8(json, '}');
}

static void answer_status(Warden *warden, uint64_t key)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    uint64_t running = 0;

    for (const Jail *jail = warden->jails; jail; jail = jail->next)
        running += jail->n_running;
    buffer_put_u8(&json, '{');
    json_put_member(&json, "version", CLAWRDEN_VERSION);
    json_put_member_u64(&json, "uptime_ms", clock_monotonic_ms() - warden->started_ms);
    json_put_member(&json, "mode", warden->context->privileged ? "root" : "unprivileged");
    json_put_member_bool(&json, "dry_run", warden->context->dry_run);
    put_policy(warden, &json);
    put_journal(warden, &json);
    json_put_name(&json, "requests");
    buffer_put_u8(&json, '{');
    json_put_member_u64(&json, "running", running);
    json_put_member_u64(&json, "pending", approvals_count(warden->approvals));
    json_put_member_u64(&json, "total", warden->n_total);
    json_put_member_u64(&json, "allowed", warden->n_allowed);
    json_put_member_u64(&json, "denied", warden->n_denied);
    buffer_put_u8(&json, '}');
    json_put_name(&json, "jails");
    buffer_put_u8(&json, '[');
    for (const Jail *jail = warden->jails; jail; jail = jail->next)
        put_jail(&json, jail);
    buffer_puts(&json, "]}");
    answer(warden, key, 200, &json);
}

/* Queue. */

static void put_notes(Buffer *json, const Request *request)
{
    const char *notes[4];
    size_t count = words_notes(request, notes);

    json_put_member_argv(json, "notes", notes, count);
}

static void put_facts(Buffer *json, const Request *request)
{
    const Prepared *prepared = &request->facts->prepared;
    char hex[DIGEST_HEX_SIZE];

    json_put_member_u64(json, "uid", prepared->uid);
    json_put_member_u64(json, "gid", prepared->gid);
    json_put_member_u64(json, "pid", (uint64_t)prepared->pid);
    json_put_member(json, "cwd", prepared->cwd);
    json_put_member(json, "exe", prepared->exe);
    json_put_member(json, "exe_digest", digest_format(&request->hashed.exe, hex));
    if (prepared->operand[0]) {
        json_put_member(json, "script", prepared->operand);
        json_put_member(json, "script_digest", digest_format(&request->hashed.operand, hex));
    }
}

/* How many arguments fit: one entry must not push the others out of the queue. */
static size_t arguments_within(const char *const *argv, size_t argc, size_t most)
{
    size_t used = 0;
    for (size_t i = 0; i < argc; i++) {
        used += strlen(argv[i]) + 16;
        if (used > most)
            return i;
    }
    return argc;
}

static void put_pending(Buffer *json, const Approval *approval)
{
    const Request *request = approval->request;
    uint64_t now = clock_monotonic_ms();
    uint64_t left = approval->expires_at_ms > now ? approval->expires_at_ms - now : 0;
    char stamp[CLOCK_TEXT_MAX];
    RedactedArgv argv;
    Buffer display = BUFFER_EMPTY(8 * (size_t)DISPLAY_MAX);

    buffer_put_u8(json, '{');
    json_put_member(json, "id", approval->id);
    json_put_member(json, "request", request->id);
    json_put_member(json, "jail", request->jail->name);
    json_put_member(json, "command", request->name);
    words_argv(request, &argv);
    size_t shown_args = arguments_within(argv.argv, argv.argc, QUEUE_ARGV_MAX);
    json_put_member_argv(json, "argv", argv.argv, shown_args);
    if (shown_args < argv.argc)
        json_put_member_u64(json, "argv_more", argv.argc - shown_args);
    words_display(request, &display, DISPLAY_MAX);
    _cleanup_free_ char *shown = buffer_take_string(&display);
    json_put_member(json, "display", shown ? shown : "");
    redacted_argv_done(&argv);
    put_facts(json, request);
    json_put_member(json, "rule", request->verdict.rule);
    json_put_member(json, "reason", request->verdict.reason ? request->verdict.reason : "");
    put_notes(json, request);
    json_put_member(json, "asked_at", clock_format_time(approval->asked_us, stamp));
    json_put_member(json, "expires_at",
                    clock_format_time(clock_realtime_us() + left * 1000, stamp));
    json_put_member_u64(json, "expires_in_ms", left);
    buffer_put_u8(json, '}');
}

static void answer_queue(Warden *warden, uint64_t key)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    buffer_puts(&json, "{\"pending\":[");
    for (const Approval *a = approvals_first(warden->approvals); a; a = a->next) {
        put_pending(&json, a);
        if (a->next)
            buffer_put_u8(&json, ',');
    }
    buffer_puts(&json, "]}");
    answer(warden, key, 200, &json);
}

/* Decisions. */

static void record_late(Warden *warden, const char *id, bool approve, const char *approver,
                        const char *via, ApprovalState before)
{
    char message[160];
    JournalRecord record = {
        .event = JOURNAL_LATE, .message = message, .approver = approver, .via = via};
    (void)snprintf(message, sizeof message, "a decision (%s) on %.16s came late: it was %s already",
                   approve ? "approve" : "deny", id, approval_state_name(before));
    warden_record(warden, &record);
}

static void answer_decide(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    const char *id = reader_string(reader);
    bool approve = reader_u8(reader) != 0;
    Remember remember = (Remember)reader_u8(reader);
    uint64_t remember_ms = reader_u64(reader);
    bool widened = reader_u8(reader) != 0;
    const char *reason = reader_string(reader), *approver = actor->name, *via = actor->via;
    ApprovalState before = APPROVAL_PENDING;
    void *found = NULL;
    char words[160];

    if (!reader_done(reader) || remember != REMEMBER_NOT || remember_ms != 0 || widened) {
        answer_error(warden, key, 500, "internal", "malformed call");
        return;
    }
    switch (approvals_decide(warden->approvals, id, approve ? APPROVAL_APPROVED : APPROVAL_DENIED,
                             &found, &before)) {
    case 0:
        break;
    case APPROVAL_OVER:
        record_late(warden, id, approve, approver, via, before);
        (void)snprintf(words, sizeof words, "%.16s is not pending: it was %s already", id,
                       approval_state_name(before));
        answer_error(warden, key, 409, "over", words);
        return;
    case APPROVAL_AMBIGUOUS:
        answer_error(warden, key, 409, "ambiguous",
                     "several pending requests have ids that begin "
                     "like this: use the whole id");
        return;
    default:
        answer_error(warden, key, 404, "not_found", "no pending request has this id");
        return;
    }
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    buffer_put_u8(&json, '{');
    json_put_member(&json, "id", ((Request *)found)->approval_id);
    json_put_member(&json, "decision", approve ? "approved" : "denied");
    buffer_put_u8(&json, '}');
    request_on_decision(found, approve, strdup(approver), strdup(via),
                        *reason ? strdup(reason) : NULL);
    answer(warden, key, 200, &json);
}

/* Kill and resume. */

static void put_name(Buffer *json, const char *name)
{
    char last = json->bytes[json->size - 1];
    if (last != '[')
        buffer_put_u8(json, ',');
    json_put_cstring(json, name);
}

static void kill_jail(Jail *jail, const char *approver, const char *via, unsigned *killed,
                      unsigned *cancelled)
{
    for (Request *request = jail->requests, *next; request; request = next) {
        next = request->next;
        bool alive = request->state == REQUEST_RUNNING || request->state == REQUEST_STARTING ||
                     request->state == REQUEST_ENDING;
        *killed += alive;
        *cancelled += !alive;
        request_kill(request, approver, via);
    }
}

static void answer_kill(Warden *warden, uint64_t key, const Actor *actor, Reader *reader,
                        bool pause)
{
    const char *name = reader_string(reader), *approver = actor->name, *via = actor->via;
    unsigned killed = 0, cancelled = 0, n_jails = 0;
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    if (!reader_done(reader)) {
        answer_error(warden, key, 500, "internal", "malformed call");
        return;
    }
    buffer_puts(&json, "{\"jails\":[");
    for (Jail *jail = warden->jails; jail; jail = jail->next) {
        if (*name && strcmp(name, jail->name) != 0)
            continue;
        n_jails++;
        put_name(&json, jail->name);
        jail->paused = pause;
        if (pause)
            kill_jail(jail, approver, via, &killed, &cancelled);
        JournalRecord record = {.event = pause ? JOURNAL_KILLED : JOURNAL_CONFIG,
                                .jail = jail->name,
                                .approver = approver,
                                .via = via,
                                .message = pause ? "jail ended; new commands are refused until it "
                                                   "is resumed"
                                                 : "jail resumed"};
        warden_record(warden, &record);
    }
    if (n_jails == 0) {
        buffer_done(&json);
        answer_error(warden, key, 404, "not_found", "there is no jail of this name");
        return;
    }
    buffer_printf(&json, "],\"killed\":%u,\"cancelled\":%u}", killed, cancelled);
    answer(warden, key, 200, &json);
}

/* Reload: the parent reads the file, so the answer comes when it has. */

static void answer_reload(Warden *warden, uint64_t key)
{
    if (warden->n_reloads == RELOADS_MAX ||
        link_send(warden->control, MESSAGE_RELOAD, 0, NULL, 0) < 0) {
        answer_error(warden, key, 503, "busy", "too many reloads are on their way");
        return;
    }
    warden->reloads[warden->n_reloads++] = key;
}

void answers_reload_done(Warden *warden, bool ok, const char *problems)
{
    for (size_t i = 0; i < warden->n_reloads; i++) {
        Buffer json = BUFFER_EMPTY(ANSWER_MAX);
        if (ok) {
            buffer_put_u8(&json, '{');
            put_policy(warden, &json);
            buffer_put_u8(&json, '}');
            answer(warden, warden->reloads[i], 200, &json);
        } else {
            answer_error(warden, warden->reloads[i], 422, "policy_refused", problems);
        }
    }
    warden->n_reloads = 0;
}

void answers_on_api(Warden *warden, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    Actor actor;

    if (actor_decode(&reader, &actor) < 0) {
        warden_fail(warden, "a question of nobody from the api", -EPROTO);
        return;
    }
    switch (frame->type) {
    case API_STATUS:
        answer_status(warden, frame->key);
        return;
    case API_QUEUE:
        answer_queue(warden, frame->key);
        return;
    case API_DECIDE:
        answer_decide(warden, frame->key, &actor, &reader);
        return;
    case API_KILL:
    case API_RESUME:
        answer_kill(warden, frame->key, &actor, &reader, frame->type == API_KILL);
        return;
    case API_RELOAD:
        answer_reload(warden, frame->key);
        return;
    default:
        warden_fail(warden, "an unexpected message from the api", -EPROTO);
    }
}
