/*
 * The api's calls: who may make which, status, notes. The api has found out who
 * asks; what that actor may do is decided here once more, so that a mistake there is no way in.
 */
#include "warden/answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/containers.h"
#include "warden/control.h"
#include "wire/containers.h"

void answer(Warden *warden, uint64_t key, uint16_t status, Buffer *json)
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

void answer_error(Warden *warden, uint64_t key, uint16_t status, const char *code,
                  const char *words)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    buffer_put_u8(&json, '{');
    json_put_member(&json, "error", words);
    json_put_member(&json, "code", code);
    buffer_put_u8(&json, '}');
    answer(warden, key, status, &json);
}

void answer_put_text(Buffer *json, const char *name, const char *text)
{
    json_put_name(json, name);
    if (text)
        json_put_cstring(json, text);
    else
        buffer_puts(json, "null");
}

void answer_put_comma(Buffer *json)
{
    if (json->size > 0 && json->bytes[json->size - 1] != '[')
        buffer_put_u8(json, ',');
}

/* Status. */

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

void answer_put_jail_state(Buffer *json, const Jail *jail)
{
    json_put_member(json, "name", jail->name);
    json_put_member_bool(json, "serving", jail->door != NULL);
    control_put_jail(json, jail);
    json_put_member_u64(json, "running", jail->n_running);
    json_put_member_u64(json, "pending", jail->n_pending);
}

static void put_jail(Buffer *json, const Jail *jail)
{
    answer_put_comma(json);
    buffer_put_u8(json, '{');
    answer_put_jail_state(json, jail);
    buffer_put_u8(json, '}');
}

/* Of the jails that the actor sees. */
static void put_requests(Warden *warden, Buffer *json, const Actor *actor)
{
    Jail sum = {.n_running = 0};

    for (const Jail *jail = warden->jails; jail; jail = jail->next) {
        if (!actor_sees(actor, jail->name))
            continue;
        sum.n_running += jail->n_running;
        sum.n_pending += jail->n_pending;
        sum.n_total += jail->n_total;
        sum.n_allowed += jail->n_allowed;
        sum.n_denied += jail->n_denied;
        sum.n_cancelled += jail->n_cancelled;
        sum.n_refused += jail->n_refused;
    }
    json_put_name(json, "requests");
    buffer_put_u8(json, '{');
    json_put_member_u64(json, "running", sum.n_running);
    json_put_member_u64(json, "pending", sum.n_pending);
    json_put_member_u64(json, "total", sum.n_total);
    json_put_member_u64(json, "allowed", sum.n_allowed);
    json_put_member_u64(json, "denied", sum.n_denied);
    json_put_member_u64(json, "cancelled", sum.n_cancelled);
    json_put_member_u64(json, "refused", sum.n_refused);
    buffer_put_u8(json, '}');
}

static void put_you(Buffer *json, const Actor *actor)
{
    json_put_name(json, "you");
    buffer_put_u8(json, '{');
    json_put_member(json, "name", actor->name);
    json_put_member(json, "role", actor_role_name(actor->role));
    json_put_member(json, "via", actor->via);
    json_put_name(json, "jails");
    if (!*actor->jails) {
        buffer_puts(json, "null}");
        return;
    }
    buffer_put_u8(json, '[');
    const char *name = actor->jails;
    for (const char *end; (end = strchr(name, '\n')); name = end + 1) {
        answer_put_comma(json);
        json_put_string(json, name, (size_t)(end - name));
    }
    buffer_puts(json, "]}");
}

static void answer_status(Warden *warden, uint64_t key, const Actor *actor)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    uint64_t grants = 0;

    for (const Grant *grant = warden->grants.first; grant; grant = grant->next)
        grants += actor_sees(actor, grant->jail);
    buffer_put_u8(&json, '{');
    json_put_member(&json, "version", CLAWRDEN_VERSION);
    json_put_member_u64(&json, "uptime_ms", clock_monotonic_ms() - warden->started_ms);
    json_put_member(&json, "mode", warden->context->privileged ? "root" : "unprivileged");
    json_put_member_bool(&json, "dry_run", warden->context->dry_run);
    bool listens = warden->context->api_url && *warden->context->api_url;
    answer_put_text(&json, "api", listens ? warden->context->api_url : NULL);
    json_put_name(&json, "policy");
    answer_put_policy(warden, &json, actor, false);
    put_journal(warden, &json);
    put_requests(warden, &json, actor);
    json_put_member_u64(&json, "grants", grants);
    json_put_name(&json, "jails");
    buffer_put_u8(&json, '[');
    for (const Jail *jail = warden->jails; jail; jail = jail->next)
        if (actor_sees(actor, jail->name) && !jail_is_over(jail))
            put_jail(&json, jail);
    buffer_put_u8(&json, ']');
    control_put_table(warden, &json, actor);
    containers_put_status(warden, &json, actor);
    put_you(&json, actor);
    buffer_put_u8(&json, '}');
    answer(warden, key, 200, &json);
}

/* Notes and subscriptions: nothing is answered. */

static void take_note(Warden *warden, const Actor *actor, Reader *reader)
{
    NoteKind kind = (NoteKind)reader_u8(reader);
    const char *message = reader_string(reader);
    JournalRecord record = {.event = kind == NOTE_LOGIN ? JOURNAL_LOGIN : JOURNAL_CONFIG,
                            .approver = actor->name,
                            .via = actor->via,
                            .message = message};

    if (!reader_done(reader) || kind >= NOTE_MAX_)
        warden_fail(warden, "a note that cannot be from the api", -EPROTO);
    else
        warden_record(warden, &record);
}

static void take_subscription(Warden *warden, Reader *reader)
{
    bool wanted = reader_u8(reader) != 0;

    if (!reader_done(reader))
        warden_fail(warden, "a subscription that cannot be from the api", -EPROTO);
    else
        subscription_set(warden, wanted);
}

/* The least role that may make a call. */
static ActorRole role_for(uint16_t type)
{
    switch (type) {
    case API_STATUS:
    case API_QUEUE:
    case API_GRANTS:
    case API_JAILS:
    case API_CONTAINERS:
    case API_POLICY:
    case API_POLICY_TEST:
    case API_SUBSCRIBE:
    case API_NOTE:
        return ROLE_VIEWER;
    case API_DECIDE:
    case API_REVOKE:
    case API_KILL:
    case API_PAUSE:
    case API_RESUME:
        return ROLE_APPROVER;
    default: /* the policy and the jails; and whatever is new and was not thought of here */
        return ROLE_ADMIN;
    }
}

static void dispatch(Warden *warden, const LinkFrame *frame, const Actor *actor, Reader *reader)
{
    switch (frame->type) {
    case API_STATUS:
        answer_status(warden, frame->key, actor);
        return;
    case API_QUEUE:
        answer_queue(warden, frame->key, actor, reader);
        return;
    case API_DECIDE:
        answer_decide(warden, frame->key, actor, reader);
        return;
    case API_KILL:
    case API_PAUSE:
    case API_RESUME:
        control_call(warden, frame->type, frame->key, actor, reader);
        return;
    case API_RELOAD:
        answer_reload(warden, frame->key, actor);
        return;
    case API_GRANTS:
        answer_grants(warden, frame->key, actor);
        return;
    case API_REVOKE:
        answer_revoke(warden, frame->key, actor, reader);
        return;
    case API_JAILS:
        answer_jails(warden, frame->key, actor, reader);
        return;
    case API_JAIL_CREATE:
    case API_JAIL_CHANGE:
        answer_jail_put(warden, frame->key, frame->type, actor, reader);
        return;
    case API_CONTAINERS:
        answer_containers(warden, frame->key, actor);
        return;
    case API_JAIL_DELETE:
        answer_jail_delete(warden, frame->key, actor, reader);
        return;
    case API_POLICY:
        answer_policy(warden, frame->key, actor);
        return;
    case API_POLICY_TEST:
        answer_policy_test(warden, frame->key, actor, reader);
        return;
    case API_SUBSCRIBE:
        take_subscription(warden, reader);
        return;
    case API_NOTE:
        take_note(warden, actor, reader);
        return;
    default:
        warden_fail(warden, "an unexpected message from the api", -EPROTO);
    }
}

void answers_on_api(Warden *warden, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    Actor actor;

    if (actor_decode(&reader, &actor) < 0) {
        warden_fail(warden, "a question of nobody from the api", -EPROTO);
        return;
    }
    if (actor.role < role_for(frame->type)) {
        char words[80];
        (void)snprintf(words, sizeof words, "this needs the role %s",
                       actor_role_name(role_for(frame->type)));
        answer_error(warden, frame->key, 403, "forbidden", words);
        return;
    }
    dispatch(warden, frame, &actor, &reader);
}
