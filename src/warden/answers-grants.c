/*
 * Grants as the api lists and revokes them.
 */
#include "base/clock.h"
#include "base/text.h"
#include "warden/answers.h"

static void put_time(Buffer *json, const char *name, uint64_t realtime_us)
{
    char stamp[CLOCK_TEXT_MAX];
    answer_put_text(json, name, realtime_us > 0 ? clock_format_time(realtime_us, stamp) : NULL);
}

void answer_put_grant(Buffer *json, const Grant *grant)
{
    buffer_put_u8(json, '{');
    json_put_member(json, "id", grant->id);
    json_put_member(json, "jail", grant->jail);
    json_put_member(json, "container", grant->container ? grant->container : "");
    json_put_member_u64(json, "uid", grant->uid);
    json_put_member(json, "command", grant->command);
    json_put_member(json, "rule", grant->rule);
    json_put_member(json, "covers", grant->covers);
    json_put_member_bool(json, "widened", grant->widened);
    json_put_member_bool(json, "session", grant->session);
    json_put_member(json, "approver", grant->approver);
    json_put_member(json, "via", grant->via);
    json_put_member(json, "approval", grant->approval);
    put_time(json, "created_at", grant->created_us);
    put_time(json, "expires_at",
             grant->expires_at_ms == UINT64_MAX ? 0 : clock_realtime_of(grant->expires_at_ms));
    json_put_member_u64(json, "used", grant->used);
    put_time(json, "last_used_at", grant->last_used_us);
    buffer_put_u8(json, '}');
}

void answer_grants(Warden *warden, uint64_t key, const Actor *actor)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);
    uint64_t now = clock_monotonic_ms();

    buffer_puts(&json, "{\"grants\":[");
    for (const Grant *grant = warden->grants.first; grant; grant = grant->next) {
        if (!actor_sees(actor, grant->jail) || grant->expires_at_ms <= now)
            continue;
        answer_put_comma(&json);
        answer_put_grant(&json, grant);
    }
    buffer_puts(&json, "]}");
    answer(warden, key, 200, &json);
}

void answer_revoke(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    const char *id = reader_string(reader);
    Grant *grant = reader_done(reader) ? grants_find(&warden->grants, id) : NULL;
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    if (!grant || !actor_sees(actor, grant->jail)) {
        answer_error(warden, key, 404, "not_found", "there is no grant of this id");
        return;
    }
    buffer_put_u8(&json, '{');
    json_put_member(&json, "id", grant->id);
    json_put_member_bool(&json, "revoked", true);
    buffer_put_u8(&json, '}');
    grant_end(warden, grant, "revoked by an operator", actor);
    answer(warden, key, 200, &json);
}
