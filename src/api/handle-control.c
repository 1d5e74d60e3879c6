/*
 * POST /api/kill, /api/pause, /api/resume: what for, how long, and why; the rest is the warden's.
 */
#include <string.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/message.h"

#define REASON_MAX 300u
#define MESSAGE_MAX (256u * 1024)
#define CONTAINER_ID_MAX 64u

typedef struct Target {
    SwitchScope scope;
    const char *name;
} Target;

/* Engines name containers with 64 hexadecimal digits; LXC lets people choose. */
static bool is_container_id(const char *id)
{
    size_t size = strlen(id);
    return size > 0 && size <= CONTAINER_ID_MAX &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == size;
}

/* Exactly one of the three. False: answered. */
static bool read_target(Caller *caller, Target *ret)
{
    const json_t *jail = json_object_get(caller->body, "jail"),
                 *container = json_object_get(caller->body, "container"),
                 *all = json_object_get(caller->body, "all");
    const json_t *named = jail ? jail : container;

    if (!!jail + !!container + !!all != 1 || (all && !json_is_true(all)) ||
        (named && !json_is_string(named))) {
        caller_fail(caller, 400, "bad_target",
                    "the body must have one of \"jail\": \"NAME\", \"container\": \"ID\" and "
                    "\"all\": true");
        return false;
    }
    *ret = (Target){.scope = all    ? SWITCH_SCOPE_ALL
                             : jail ? SWITCH_SCOPE_JAIL
                                    : SWITCH_SCOPE_CONTAINER,
                    .name = named ? json_string_value(named) : ""};
    if (jail && !is_jail_name(ret->name)) {
        caller_fail(caller, 404, "no_such_jail", "there is no such jail");
        return false;
    }
    if (container && !is_container_id(ret->name)) {
        caller_fail(caller, 404, "not_found", "nobody here knows a container of this id");
        return false;
    }
    return true;
}

static bool read_time(Caller *caller, uint64_t *ret_ms)
{
    const json_t *for_ms = json_object_get(caller->body, "for_ms");

    *ret_ms = 0;
    if (!for_ms)
        return true;
    if (!json_is_integer(for_ms) || json_integer_value(for_ms) < 1000 ||
        (uint64_t)json_integer_value(for_ms) > CLOCK_DURATION_MAX_MS) {
        caller_fail(caller, 400, "bad_time",
                    "\"for_ms\" must be milliseconds, from 1000 to a year");
        return false;
    }
    *ret_ms = (uint64_t)json_integer_value(for_ms);
    return true;
}

static bool read_reason(Caller *caller, const char **ret)
{
    const json_t *given = json_object_get(caller->body, "reason");

    *ret = given && !json_is_null(given) ? json_string_value(given) : "";
    if (*ret && strlen(*ret) <= REASON_MAX)
        return true;
    caller_fail(caller, 400, "bad_reason", "\"reason\" must be a text of at most %u bytes",
                REASON_MAX);
    return false;
}

static void control(Caller *caller, uint16_t type)
{
    static const char *const stopping[] = {"jail", "container", "all", "for_ms", "reason", NULL};
    static const char *const resuming[] = {"jail", "container", "all", "reason", NULL};
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);
    Actor actor = identity_actor(&caller->identity);
    Target target;
    uint64_t for_ms;
    const char *reason;

    if (!handler_only_members(caller, type == API_RESUME ? resuming : stopping) ||
        !read_target(caller, &target) || !read_time(caller, &for_ms) ||
        !read_reason(caller, &reason))
        return;
    actor_encode(&payload, &actor);
    buffer_put_u8(&payload, (uint8_t)target.scope);
    buffer_put_string(&payload, target.name);
    buffer_put_u64(&payload, for_ms);
    buffer_put_string(&payload, reason);
    caller_ask_warden(caller, type, &payload);
}

void handle_kill(Caller *caller)
{
    control(caller, API_KILL);
}

void handle_pause(Caller *caller)
{
    control(caller, API_PAUSE);
}

void handle_resume(Caller *caller)
{
    control(caller, API_RESUME);
}
