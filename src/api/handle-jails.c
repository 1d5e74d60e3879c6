/*
 * Jails that operators make, change and remove. What a body may hold is looked at here; whether the
 * jail may be is the warden's word.
 */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "jail/change.h"
#include "wire/message.h"

#define MESSAGE_MAX (256u * 1024)

/* A list of names that the call's body owns, or nothing. False: answered. `items` is the caller's
 * to free. */
static bool read_names(Caller *caller, const char *member, const char ***items, JailNames *ret)
{
    const json_t *list = json_object_get(caller->body, member), *entry;
    size_t i;

    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) > POLICY_JAIL_COMMANDS_MAX) {
        caller_fail(caller, 400, "bad_jail", "\"%s\" must be an array of at most %u names", member,
                    POLICY_JAIL_COMMANDS_MAX);
        return false;
    }
    *items = calloc(json_array_size(list) + 1, sizeof **items);
    if (!*items) {
        caller_fail(caller, 503, "no_memory", "out of memory");
        return false;
    }
    json_array_foreach(list, i, entry)
    {
        (*items)[i] = json_string_value(entry);
        if (!(*items)[i]) {
            caller_fail(caller, 400, "bad_jail", "\"%s\" must be an array of names", member);
            return false;
        }
    }
    *ret = (JailNames){.items = *items, .n_items = json_array_size(list)};
    return true;
}

static bool read_hardened(Caller *caller, JailChange *change)
{
    const json_t *given = json_object_get(caller->body, "hardened");

    if (!given)
        return true;
    change->said |= JAIL_CHANGE_HARDENED;
    change->hardened = json_is_true(given);
    if (json_is_boolean(given))
        return true;
    caller_fail(caller, 400, "bad_jail", "\"hardened\" must be true or false");
    return false;
}

static bool read_wait(Caller *caller, JailChange *change)
{
    const json_t *given = json_object_get(caller->body, "wait_ms");

    if (!given)
        return true;
    change->said |= JAIL_CHANGE_WAIT;
    change->wait_ms = json_is_null(given) ? UINT64_MAX : (uint64_t)json_integer_value(given);
    if (json_is_null(given) || (json_is_integer(given) && json_integer_value(given) >= 0 &&
                                change->wait_ms <= CLOCK_DURATION_MAX_MS))
        return true;
    caller_fail(caller, 400, "bad_jail",
                "\"wait_ms\" must be milliseconds, 0 (not at all), or null (as long as it takes)");
    return false;
}

/* One limit: from 1 to `most`. False: it is none. */
static bool read_limit(const json_t *given, uint64_t most, uint64_t *ret)
{
    *ret = (uint64_t)json_integer_value(given);
    return json_is_integer(given) && json_integer_value(given) >= 1 && *ret <= most;
}

static bool read_limits(Caller *caller, JailChange *change)
{
    const json_t *given = json_object_get(caller->body, "limits");
    PolicyLimits *limits = &change->limits;
    const char *name;
    json_t *value;
    bool good = !given || json_is_object(given);

    json_object_foreach((json_t *)given, name, value)
    {
        uint64_t number = 0;
        good = good &&
               read_limit(value, strcmp(name, "bytes") == 0 ? UINT64_C(1) << 40 : 1000000, &number);
        if (strcmp(name, "pending") == 0)
            limits->pending = (unsigned)number;
        else if (strcmp(name, "connections") == 0)
            limits->connections = (unsigned)number;
        else if (strcmp(name, "commands") == 0)
            limits->commands = (unsigned)number;
        else if (strcmp(name, "bytes") == 0)
            limits->bytes = number;
        else
            good = false;
    }
    if (good)
        return true;
    caller_fail(caller, 400, "bad_jail",
                "\"limits\" must be an object of \"pending\", \"connections\", \"bytes\" and "
                "\"commands\", each a number from 1");
    return false;
}

/* Reads all but the name, and sends it on. */
static void put(Caller *caller, uint16_t type, const char *name)
{
    const char **lists[3] = {NULL, NULL, NULL};
    JailChange change = {.name = name};
    Buffer payload = BUFFER_EMPTY(MESSAGE_MAX);
    Actor actor = identity_actor(&caller->identity);

    if (read_names(caller, "commands", &lists[0], &change.commands) &&
        read_names(caller, "add", &lists[1], &change.add) &&
        read_names(caller, "remove", &lists[2], &change.remove) && read_hardened(caller, &change) &&
        read_wait(caller, &change) && read_limits(caller, &change)) {
        if (json_object_get(caller->body, "commands"))
            change.said |= JAIL_CHANGE_COMMANDS;
        actor_encode(&payload, &actor);
        jail_change_encode(&payload, &change);
        caller_ask_warden(caller, type, &payload);
    }
    buffer_done(&payload);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        free(lists[i]);
}

void handle_jail_create(Caller *caller)
{
    static const char *const members[] = {"name",    "commands", "hardened",
                                          "wait_ms", "limits",   NULL};
    const char *name = json_string_value(json_object_get(caller->body, "name"));

    if (!handler_only_members(caller, members))
        return;
    if (name && is_jail_name(name))
        put(caller, API_JAIL_CREATE, name);
    else
        caller_fail(caller, 400, "bad_jail",
                    "\"name\" must be 1 to 63 small letters, digits, \".\", \"_\" or \"-\", the "
                    "first a letter or digit");
}

/* The name of a jail that could be, or the call is answered. */
static bool names_a_jail(Caller *caller)
{
    if (is_jail_name(caller->parameter))
        return true;
    caller_fail(caller, 404, "no_such_jail", "there is no such jail");
    return false;
}

void handle_jail_change(Caller *caller)
{
    static const char *const members[] = {"commands", "add",    "remove", "hardened",
                                          "wait_ms",  "limits", NULL};

    if (!handler_only_members(caller, members) || !names_a_jail(caller))
        return;
    if (json_object_size(caller->body) == 0)
        caller_fail(caller, 400, "bad_jail", "the body says nothing that is to be changed");
    else
        put(caller, API_JAIL_CHANGE, caller->parameter);
}

void handle_jail_delete(Caller *caller)
{
    Buffer payload = BUFFER_EMPTY(4096);
    Actor actor = identity_actor(&caller->identity);
    static const char *const members[] = {NULL};

    if (!handler_only_members(caller, members) || !names_a_jail(caller))
        return;
    actor_encode(&payload, &actor);
    buffer_put_string(&payload, caller->parameter);
    caller_ask_warden(caller, API_JAIL_DELETE, &payload);
}
