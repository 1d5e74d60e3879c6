/*
 * See handlers.h. The warden writes the JSON documents; here requests become its messages
 * (wire/message.h), after everything that a client may get wrong has been refused by name.
 */
#include "api/handlers.h"

#include <string.h>

#include "base/clock.h"
#include "wire/containers.h"
#include "wire/message.h"

#define REASON_MAX 2000u
#define MESSAGE_MAX (256u * 1024)
#define QUEUE_LIMIT_MAX 1000u
#define TEST_ARGUMENTS_MAX 4096u

void handle_health(Caller *caller)
{
    static const char json[] = "{\"ok\":true}";
    caller_answer(caller, 200, json, sizeof json - 1);
}

void handle_ready(Caller *caller)
{
    if (caller->api->warden && caller->api->executor && !caller->api->stopping)
        handle_health(caller);
    else
        caller_fail(caller, 503, "not_ready", "the %s is away",
                    caller->api->warden ? "executor" : "warden");
}

/* Every question begins with who asks it. */
static void put_actor(Buffer *payload, const Caller *caller)
{
    Actor actor = identity_actor(&caller->identity);
    actor_encode(payload, &actor);
}

void handler_ask_plain(Caller *caller, uint16_t type)
{
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);
    put_actor(&payload, caller);
    caller_ask_warden(caller, type, &payload);
}

static void ask_with(Caller *caller, uint16_t type, const char *text)
{
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);
    put_actor(&payload, caller);
    buffer_put_string(&payload, text);
    caller_ask_warden(caller, type, &payload);
}

void handle_status(Caller *caller)
{
    handler_ask_plain(caller, API_STATUS);
}

void handle_queue(Caller *caller)
{
    const char *limit = caller->query.values[0], *after = caller->query.values[1];
    uint64_t most = 0;
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);

    if (limit && !query_number(limit, 1, QUEUE_LIMIT_MAX, &most)) {
        caller_fail(caller, 400, "bad_query", "\"limit\" must be a number from 1 to %u",
                    QUEUE_LIMIT_MAX);
        return;
    }
    if (after && (strlen(after) == 0 || strlen(after) >= CALL_PARAMETER_MAX)) {
        caller_fail(caller, 400, "bad_query", "\"after\" must be the id of a question");
        return;
    }
    put_actor(&payload, caller);
    buffer_put_u32(&payload, (uint32_t)most);
    buffer_put_string(&payload, after ? after : "");
    caller_ask_warden(caller, API_QUEUE, &payload);
}

bool handler_only_members(Caller *caller, const char *const *names)
{
    const char *key;
    json_t *value;

    json_object_foreach(caller->body, key, value)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i]) {
            caller_fail(caller, 400, "unknown_member", "the body has an unknown member \"%.100s\"",
                        key);
            return false;
        }
    }
    return true;
}

/* Decisions. */

typedef struct Decision {
    const char *reason;
    Remember remember;
    uint64_t remember_ms;
    bool widened;
} Decision;

static bool read_reason(Caller *caller, Decision *decision)
{
    const json_t *given = json_object_get(caller->body, "reason");

    decision->reason = "";
    if (!given || json_is_null(given))
        return true;
    decision->reason = json_string_value(given);
    /* jansson refuses U+0000 in strings unless told otherwise. */
    if (decision->reason && json_string_length(given) <= REASON_MAX)
        return true;
    caller_fail(caller, 400, "bad_reason", "\"reason\" must be a text of at most %u bytes",
                REASON_MAX);
    return false;
}

/* A flag that can only be true, as it stands in a body on purpose. False: answered. */
static bool read_flag(Caller *caller, const char *name, bool *ret)
{
    const json_t *given = json_object_get(caller->body, name);

    *ret = json_is_true(given);
    if (!given || *ret)
        return true;
    caller_fail(caller, 400, "bad_grant", "\"%s\" must be true, or left out", name);
    return false;
}

static bool read_remember(Caller *caller, Decision *decision)
{
    const json_t *for_ms = json_object_get(caller->body, "for_ms");
    bool session;

    if (!read_flag(caller, "session", &session) ||
        !read_flag(caller, "widened", &decision->widened))
        return false;
    if (for_ms && (!json_is_integer(for_ms) || json_integer_value(for_ms) < 1000 ||
                   (uint64_t)json_integer_value(for_ms) > CLOCK_DURATION_MAX_MS)) {
        caller_fail(caller, 400, "bad_grant",
                    "\"for_ms\" must be milliseconds, from 1000 to a year");
        return false;
    }
    if ((for_ms && session) || (decision->widened && !for_ms && !session)) {
        caller_fail(caller, 400, "bad_grant", "%s",
                    session ? "an approval is remembered for a time or for the session, not both"
                            : "\"widened\" belongs to \"for_ms\" or \"session\"");
        return false;
    }
    if (for_ms) {
        decision->remember = REMEMBER_FOR;
        decision->remember_ms = (uint64_t)json_integer_value(for_ms);
    } else if (session) {
        decision->remember = REMEMBER_SESSION;
    }
    return true;
}

static void decide(Caller *caller, bool approve)
{
    static const char *const approving[] = {"reason", "for_ms", "session", "widened", NULL};
    static const char *const denying[] = {"reason", NULL};
    Decision decision = {.reason = ""};
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);

    if (!handler_only_members(caller, approve ? approving : denying) ||
        !read_reason(caller, &decision) || (approve && !read_remember(caller, &decision)))
        return;
    put_actor(&payload, caller);
    buffer_put_string(&payload, caller->parameter);
    buffer_put_u8(&payload, approve);
    buffer_put_u8(&payload, (uint8_t)decision.remember);
    buffer_put_u64(&payload, decision.remember_ms);
    buffer_put_u8(&payload, decision.widened);
    buffer_put_string(&payload, decision.reason);
    caller_ask_warden(caller, API_DECIDE, &payload);
}

void handle_approve(Caller *caller)
{
    decide(caller, true);
}

void handle_deny(Caller *caller)
{
    decide(caller, false);
}

/* Grants, jails, policy. */

void handle_containers(Caller *caller)
{
    handler_ask_plain(caller, API_CONTAINERS);
}

void handle_grants(Caller *caller)
{
    handler_ask_plain(caller, API_GRANTS);
}

void handle_revoke(Caller *caller)
{
    ask_with(caller, API_REVOKE, caller->parameter);
}

void handle_jails(Caller *caller)
{
    ask_with(caller, API_JAILS, "");
}

void handle_jail(Caller *caller)
{
    if (is_jail_name(caller->parameter))
        ask_with(caller, API_JAILS, caller->parameter);
    else
        caller_fail(caller, 404, "no_such_jail", "there is no such jail");
}

void handle_policy(Caller *caller)
{
    handler_ask_plain(caller, API_POLICY);
}

void handle_reload(Caller *caller)
{
    static const char *const members[] = {NULL};

    if (handler_only_members(caller, members))
        handler_ask_plain(caller, API_RELOAD);
}

/* The arguments, each a text. False: they are not. */
static bool put_arguments(Buffer *payload, const json_t *argv)
{
    size_t i;
    const json_t *entry;

    if (!json_is_array(argv) || json_array_size(argv) == 0 ||
        json_array_size(argv) > TEST_ARGUMENTS_MAX)
        return false;
    buffer_put_u32(payload, (uint32_t)json_array_size(argv));
    json_array_foreach(argv, i, entry)
    {
        if (!json_is_string(entry))
            return false;
        buffer_put_string(payload, json_string_value(entry));
    }
    return true;
}

static bool is_id(const json_t *json)
{
    return json_is_integer(json) && json_integer_value(json) >= 0 &&
           json_integer_value(json) < UINT32_MAX;
}

void handle_policy_test(Caller *caller)
{
    static const char *const members[] = {"jail", "uid", "gid", "cwd", "argv", NULL};
    const json_t *uid = json_object_get(caller->body, "uid"),
                 *gid = json_object_get(caller->body, "gid");
    const char *jail = json_string_value(json_object_get(caller->body, "jail"));
    const char *cwd = json_string_value(json_object_get(caller->body, "cwd"));
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);

    if (!handler_only_members(caller, members))
        return;
    if (!jail || !is_jail_name(jail) || !is_id(uid) || !is_id(gid) || !cwd || cwd[0] != '/') {
        caller_fail(caller, 400, "bad_test",
                    "the body must have \"jail\" (a name), \"uid\" and \"gid\" (numbers), \"cwd\" "
                    "(an absolute path) and \"argv\" (texts)");
        return;
    }
    put_actor(&payload, caller);
    buffer_put_string(&payload, jail);
    buffer_put_u32(&payload, (uint32_t)json_integer_value(uid));
    buffer_put_u32(&payload, (uint32_t)json_integer_value(gid));
    buffer_put_string(&payload, cwd);
    if (!put_arguments(&payload, json_object_get(caller->body, "argv"))) {
        buffer_done(&payload);
        caller_fail(caller, 400, "bad_test", "\"argv\" must be an array of 1 to %u texts",
                    TEST_ARGUMENTS_MAX);
        return;
    }
    caller_ask_warden(caller, API_POLICY_TEST, &payload);
}
