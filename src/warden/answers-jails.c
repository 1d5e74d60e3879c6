/*
 * Jails: shown, and made, changed and removed by operators. Whether that may be is decided here;
 * the parent, which has the one table of them, does it and answers; then it is recorded and the
 * operator told. One wish for a jail at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "jail/change.h"
#include "warden/answers.h"

#define DESCRIPTION_MAX (16u * 1024)

/* Shown. */

static void put_settings(Buffer *json, const PolicyJail *settings)
{
    json_put_name(json, "limits");
    buffer_put_u8(json, '{');
    json_put_member_u64(json, "pending", settings->limits.pending);
    json_put_member_u64(json, "connections", settings->limits.connections);
    json_put_member_u64(json, "bytes", settings->limits.bytes);
    json_put_member_u64(json, "commands", settings->limits.commands);
    buffer_put_u8(json, '}');
    json_put_member_argv(json, "commands", settings->commands, settings->n_commands);
    json_put_member_bool(json, "hardened", settings->hardened);
    if (settings->wait_ms == UINT64_MAX)
        answer_put_text(json, "wait_ms", NULL);
    else
        json_put_member_u64(json, "wait_ms", settings->wait_ms);
}

static JailSource source_of(const Warden *warden, const Jail *jail)
{
    return policy_jail(warden->policy->policy, jail->name) ? JAIL_OF_POLICY : jail->settings.source;
}

static void put_jail(Warden *warden, Buffer *json, const Jail *jail)
{
    const PolicyJail *settings = jail_settings_under(jail, warden->policy->policy);

    buffer_put_u8(json, '{');
    answer_put_jail_state(json, jail);
    if (settings) {
        json_put_member(json, "source", jail_source_name(source_of(warden, jail)));
        put_settings(json, settings);
    }
    buffer_put_u8(json, '}');
}

const Jail *answers_find_jail(Warden *warden, const Actor *actor, const char *name)
{
    const Jail *jail = actor_sees(actor, name) ? jail_by_name(warden, name) : NULL;

    if (!jail || jail->gone || !jail_settings_under(jail, warden->policy->policy))
        return NULL; /* one that was, and is no longer, too */
    return jail;
}

void answer_jails(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    const char *name = reader_string(reader);
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    if (!reader_done(reader) || !warden->policy) {
        answer_error(warden, key, 500, "internal", "malformed call");
        return;
    }
    if (*name) {
        const Jail *jail = answers_find_jail(warden, actor, name);
        if (!jail) {
            answer_error(warden, key, 404, "not_found", "there is no jail of this name");
            return;
        }
        put_jail(warden, &json, jail);
    } else {
        buffer_puts(&json, "{\"jails\":[");
        for (const Jail *jail = warden->jails; jail; jail = jail->next) {
            if (!answers_find_jail(warden, actor, jail->name))
                continue;
            answer_put_comma(&json);
            put_jail(warden, &json, jail);
        }
        buffer_puts(&json, "]}");
    }
    answer(warden, key, 200, &json);
}

/* Wishes. */

static void call_done(JailCall *call)
{
    free(call->name);
    free(call->via);
    free(call->what);
    *call = (JailCall){.key = 0};
}

void answers_jails_forget(Warden *warden)
{
    for (size_t i = 0; i < warden->n_jail_calls; i++)
        warden->jail_calls[i].is_awaited = false; /* what is done is recorded all the same */
}

void answers_jails_done(Warden *warden)
{
    while (warden->n_jail_calls > 0)
        call_done(&warden->jail_calls[--warden->n_jail_calls]);
}

/* What this jail's name allows; NULL: answered. */
static bool may_touch(Warden *warden, uint64_t key, const char *name, const Jail *jail)
{
    char words[512];

    if (policy_jail(warden->policy->policy, name)) {
        (void)snprintf(words, sizeof words,
                       "this jail is the policy's: change it in %s instead, under jails",
                       warden->policy_path ? warden->policy_path : "the policy");
        answer_error(warden, key, 409, "policy_jail", words);
        return false;
    }
    if (jail && jail->settings.source == JAIL_OF_LABEL) {
        answer_error(warden, key, 409, "label_jail",
                     "this jail is made by the labels of a container: change those instead");
        return false;
    }
    for (size_t i = 0; i < warden->n_jail_calls; i++) {
        if (strcmp(warden->jail_calls[i].jail, name) != 0)
            continue;
        answer_error(warden, key, 409, "busy",
                     "another change of this jail is on its way: try again");
        return false;
    }
    return true;
}

/* Asks the parent; its answer comes to answers_on_jail(). `what` is taken. */
static void wish(Warden *warden, uint64_t key, uint16_t type, const Actor *actor,
                 const JailSettings *settings, char *what)
{
    Buffer payload = BUFFER_EMPTY(JAIL_ENCODED_MAX);
    JailCall call = {.key = key,
                     .parent_key = ++warden->last_jail_call,
                     .is_awaited = true,
                     .type = type,
                     .name = strdup(actor->name),
                     .via = strdup(actor->via),
                     .what = what};

    (void)snprintf(call.jail, sizeof call.jail, "%s", settings->jail.name);
    buffer_put_u8(&payload, type == API_JAIL_DELETE ? JAIL_WISH_REMOVE : JAIL_WISH_PUT);
    jail_settings_encode(&payload, settings, true);
    if (!call.name || !call.via || !call.what || warden->n_jail_calls == JAIL_CALLS_MAX ||
        link_send_buffer(warden->control, MESSAGE_JAIL_WANTED, call.parent_key, &payload) < 0) {
        buffer_done(&payload);
        call_done(&call);
        answer_error(warden, key, 503, "busy", "too many changes of jails are on their way");
        return;
    }
    buffer_done(&payload);
    warden->jail_calls[warden->n_jail_calls++] = call;
}

static char *describe(const char *what, const JailChange *change)
{
    Buffer said = BUFFER_EMPTY(DESCRIPTION_MAX), text = BUFFER_EMPTY(DESCRIPTION_MAX);

    jail_change_describe(change, &said);
    buffer_puts(&text, what);
    if (buffer_size(&said) > 0) {
        buffer_puts(&text, ": ");
        buffer_put(&text, buffer_head(&said), buffer_size(&said));
    }
    buffer_done(&said);
    return buffer_take_string(&text);
}

static void put(Warden *warden, uint64_t key, uint16_t type, const Actor *actor,
                const JailChange *change)
{
    char problem[JAIL_PROBLEM_MAX];
    const bool is_new = type == API_JAIL_CREATE;
    const Jail *jail = answers_find_jail(warden, actor, change->name);
    _cleanup_(jail_settings_done)
    JailSettings settings = JAIL_SETTINGS_EMPTY;

    if (!may_touch(warden, key, change->name, jail))
        return;
    if (is_new && jail) {
        answer_error(warden, key, 409, "name_taken", "there is a jail of this name already");
        return;
    }
    if (!is_new && !jail) {
        answer_error(warden, key, 404, "not_found", "there is no jail of this name");
        return;
    }
    int result =
        jail_change_apply(change, is_new ? NULL : &jail->settings.jail, &settings, problem);
    if (result != 0)
        answer_error(warden, key, result < 0 ? 503 : 400, result < 0 ? "no_memory" : "bad_jail",
                     result < 0 ? "out of memory" : problem);
    else
        wish(warden, key, type, actor, &settings, describe(is_new ? "made" : "changed", change));
}

void answer_jail_put(Warden *warden, uint64_t key, uint16_t type, const Actor *actor,
                     Reader *reader)
{
    JailChange change;

    int result = jail_change_decode(reader, &change);
    if (result < 0 || !reader_done(reader) || !warden->policy)
        answer_error(warden, key, 500, "internal", "malformed call");
    else
        put(warden, key, type, actor, &change);
    jail_change_done(&change);
}

void answer_jail_delete(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    const char *name = reader_string(reader);

    if (!reader_done(reader) || !warden->policy) {
        answer_error(warden, key, 500, "internal", "malformed call");
        return;
    }
    const Jail *jail = answers_find_jail(warden, actor, name);
    if (!may_touch(warden, key, name, jail))
        return;
    if (!jail)
        answer_error(warden, key, 404, "not_found", "there is no jail of this name");
    else
        wish(warden, key, API_JAIL_DELETE, actor, &jail->settings, strdup("removed"));
}

/* The parent's answer. */

static void record(Warden *warden, const JailCall *call, bool ok, const char *why)
{
    Buffer text = BUFFER_EMPTY(DESCRIPTION_MAX);

    buffer_printf(&text, "jail %s%s", ok ? "" : "could not be ", call->what);
    if (!ok)
        buffer_printf(&text, ": %s", why);
    _cleanup_free_ char *message = buffer_take_string(&text);
    JournalRecord entry = {.event = JOURNAL_CONFIG,
                           .jail = call->jail,
                           .approver = call->name,
                           .via = call->via,
                           .message = message};
    warden_record(warden, &entry);
}

static void tell(Warden *warden, const JailCall *call, bool ok, const char *why)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    const Jail *jail = jail_by_name(warden, call->jail);

    if (!ok) {
        answer_error(warden, call->key, 500, "not_done", why);
    } else if (call->type == API_JAIL_DELETE) {
        buffer_put_u8(&json, '{');
        json_put_member(&json, "name", call->jail);
        json_put_member_bool(&json, "deleted", true);
        buffer_put_u8(&json, '}');
        answer(warden, call->key, 200, &json);
    } else if (jail) {
        put_jail(warden, &json, jail);
        answer(warden, call->key, call->type == API_JAIL_CREATE ? 201 : 200, &json);
    } else {
        answer_error(warden, call->key, 500, "internal", "the jail is gone again");
    }
}

int answers_on_jail(Warden *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    bool ok = reader_u8(&reader) != 0;
    const char *why = reader_string(&reader);

    if (!reader_done(&reader))
        return -EPROTO;
    for (size_t i = 0; i < warden->n_jail_calls; i++) {
        JailCall *call = &warden->jail_calls[i];
        if (call->parent_key != frame->key)
            continue;
        record(warden, call, ok, why);
        if (call->is_awaited)
            tell(warden, call, ok, why);
        call_done(call);
        *call = warden->jail_calls[--warden->n_jail_calls];
        return 0;
    }
    return -EPROTO;
}
