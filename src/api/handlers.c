/*
 * See handlers.h. The warden writes the JSON documents; here requests become its messages
 * (wire/message.h), after everything that a client may get wrong has been refused by name.
 */
#include "api/handlers.h"

#include <string.h>

#include "wire/message.h"

#define REASON_MAX 2000u
#define MESSAGE_MAX 8192u

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
    char name[CALL_APPROVER_MAX];
    Actor actor = {.name = name, .role = ROLE_ADMIN, .via = caller_via(caller), .jails = ""};

    caller_name(caller, name);
    actor_encode(payload, &actor);
}

static void ask_plain(Caller *caller, uint16_t type)
{
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);
    put_actor(&payload, caller);
    caller_ask_warden(caller, type, &payload);
}

void handle_status(Caller *caller)
{
    ask_plain(caller, API_STATUS);
}

void handle_queue(Caller *caller)
{
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);
    put_actor(&payload, caller);
    buffer_put_u32(&payload, 0);
    buffer_put_string(&payload, "");
    caller_ask_warden(caller, API_QUEUE, &payload);
}

/* False when the body holds a member that is not among `names` (NULL-terminated); answered. */
static bool only_members(Caller *caller, const char *const *names)
{
    const char *key;
    json_t *value;

    json_object_foreach(caller->body, key, value)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i]) {
            caller_fail(caller, 400, "unknown_member", "the body has an unknown member \"%s\"",
                        key);
            return false;
        }
    }
    return true;
}

static void decide(Caller *caller, bool approve)
{
    static const char *const members[] = {"reason", NULL};
    const char *reason = "";
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);

    if (!only_members(caller, members))
        return;
    json_t *given = json_object_get(caller->body, "reason");
    if (given && !json_is_null(given)) {
        reason = json_string_value(given);
        /* jansson refuses U+0000 in strings unless told otherwise. */
        if (!reason || json_string_length(given) > REASON_MAX) {
            caller_fail(caller, 400, "bad_reason", "\"reason\" must be a text of at most %u bytes",
                        REASON_MAX);
            return;
        }
    }
    put_actor(&payload, caller);
    buffer_put_string(&payload, caller->parameter);
    buffer_put_u8(&payload, approve);
    buffer_put_u8(&payload, REMEMBER_NOT);
    buffer_put_u64(&payload, 0);
    buffer_put_u8(&payload, false);
    buffer_put_string(&payload, reason);
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

static bool is_jail_name(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t size = strlen(name);
    return size >= 1 && size <= 63 && strspn(name, first) >= 1 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == size;
}

/* {"jail": "NAME"} or {"all": true}. The warden's word for all is "". */
static void control(Caller *caller, uint16_t type)
{
    static const char *const members[] = {"jail", "all", NULL};
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);

    if (!only_members(caller, members))
        return;
    const char *jail = json_string_value(json_object_get(caller->body, "jail"));
    bool all = json_is_true(json_object_get(caller->body, "all"));
    if (json_object_size(caller->body) != 1 || (!jail && !all)) {
        caller_fail(caller, 400, "bad_target",
                    "the body must be {\"jail\": \"NAME\"} or {\"all\": true}");
        return;
    }
    if (jail && !is_jail_name(jail)) {
        caller_fail(caller, 404, "no_such_jail", "there is no such jail");
        return;
    }
    put_actor(&payload, caller);
    buffer_put_string(&payload, jail ? jail : "");
    caller_ask_warden(caller, type, &payload);
}

void handle_kill(Caller *caller)
{
    control(caller, API_KILL);
}

void handle_resume(Caller *caller)
{
    control(caller, API_RESUME);
}

void handle_reload(Caller *caller)
{
    static const char *const members[] = {NULL};

    if (only_members(caller, members))
        ask_plain(caller, API_RELOAD);
}
