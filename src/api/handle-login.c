/*
 * Logging in, out, asking who one is, and another password for oneself. Every attempt costs the
 * same and is answered the same, whether the user exists or not; attempts beyond what the throttle
 * allows cost nothing.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/events.h"
#include "api/handlers.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#define NOTE_EVERY_MS 10000u

static const char *user_of(const Caller *caller)
{
    return json_string_value(json_object_get(caller->body, "user"));
}

/* A user's name as somebody typed it, fit for the journal. */
static char *shown_name(const char *name)
{
    Buffer shown = BUFFER_EMPTY(1024);
    text_display(&shown, name, strlen(name), 64);
    return buffer_take_string(&shown);
}

static void note(Caller *caller, const char *name, const char *via, const char *what)
{
    Actor actor = {.name = name, .role = ROLE_VIEWER, .via = via, .jails = ""};
    _cleanup_free_ char *shown = shown_name(user_of(caller) ? user_of(caller) : name);

    api_note(caller->api, &actor, NOTE_LOGIN, "%s: %s, from %s", what, shown ? shown : "?",
             http_connection_peer(caller->connection));
}

static void answer_session(Caller *caller, const Session *session, const User *user,
                           const char *fields)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "name", user->name, "role",
                             actor_role_name(user->role), "via", "dashboard", "jails",
                             scope_to_json(user->jails), "csrf", session->csrf, "expires_at",
                             time_to_json(session_expires_us(session)));
    caller_answer_json_take(caller, 200, fields, json);
}

/* The password has been looked at. The user may be another by now, or gone. */
static void on_verified(bool good, const char *hash UNUSED, void *userdata)
{
    Caller *caller = userdata;
    Api *api = caller->api;
    const char *name = user_of(caller);
    User *user = store_find_user(&api->store, name);
    char text[SESSION_TEXT_SIZE + 1], fields[256], old[SESSION_TEXT_SIZE + 1];

    caller_waited(caller);
    if (!good || !user) {
        note(caller, "nobody", "dashboard", "a login failed");
        caller_fail(caller, 401, "login_failed", "wrong user or password");
        return;
    }
    throttle_give_back(api->throttle, name, http_connection_peer(caller->connection),
                       clock_monotonic_ms());
    /* The one before ends, whosever it was. */
    Session *before = auth_cookie(caller, old) ? session_find(&api->sessions, old) : NULL;
    if (before)
        session_end(&api->sessions, before);
    const Session *session = session_new(&api->sessions, user, text);
    if (!session) {
        caller_fail(caller, 503, "no_memory", "out of memory");
        return;
    }
    user->login_us = clock_realtime_us();
    api->store.used = true;
    note(caller, user->name, "dashboard", "logged in");
    auth_put_cookie(caller, text, fields, sizeof fields);
    answer_session(caller, session, user, fields);
    sodium_memzero(text, sizeof text);
    sodium_memzero(fields, sizeof fields);
}

static void refuse_throttled(Caller *caller, unsigned seconds)
{
    Api *api = caller->api;
    uint64_t now = clock_monotonic_ms();
    char fields[64];

    if (api->throttled_noted_ms == 0 || now - api->throttled_noted_ms >= NOTE_EVERY_MS) {
        char what[96];
        (void)snprintf(what, sizeof what, "a login was throttled (%u more since the last note)",
                       api->throttled_unnoted);
        note(caller, "nobody", "dashboard", what);
        api->throttled_noted_ms = now;
        api->throttled_unnoted = 0;
    } else {
        api->throttled_unnoted++;
    }
    api->n_throttled++;
    (void)snprintf(fields, sizeof fields, "Retry-After: %u\r\n", seconds);
    caller_fail_fields(caller, 429, fields, "throttled", "too many logins were tried; wait");
}

/* A user that does not exist takes as long as one that does. */
static void try_password(Caller *caller, const char *name, const char *password, HasherDone done)
{
    Api *api = caller->api;
    unsigned wait = throttle_take(api->throttle, name, http_connection_peer(caller->connection),
                                  clock_monotonic_ms());

    if (wait > 0) {
        refuse_throttled(caller, wait);
        return;
    }
    const User *user = store_find_user(&api->store, name);
    if (hasher_verify(api->hasher, password, user ? user->password : NULL, done, caller) < 0)
        caller_fail(caller, 503, "busy", "too many logins at once; try again");
    else
        caller_wait_for_hasher(caller);
}

void handle_login(Caller *caller)
{
    static const char *const members[] = {"user", "password", NULL};
    const char *password = json_string_value(json_object_get(caller->body, "password"));
    const char *name = user_of(caller);

    if (!auth_check_origin(caller) || !handler_only_members(caller, members))
        return;
    if (!name || !*name || strlen(name) >= IDENTITY_NAME_MAX || !password ||
        strlen(password) > PASSWORD_MAX) {
        caller_fail(caller, 400, "bad_login",
                    "the body must be {\"user\": \"NAME\", \"password\": \"…\"}");
        return;
    }
    try_password(caller, name, password, on_verified);
}

void handle_logout(Caller *caller)
{
    static const char *const members[] = {NULL};
    char text[SESSION_TEXT_SIZE + 1], fields[256];
    Session *session = NULL;

    if (!handler_only_members(caller, members))
        return;
    if (caller->identity.kind == IDENTITY_SESSION && auth_cookie(caller, text))
        session = session_find(&caller->api->sessions, text);
    if (!session) {
        caller_fail(caller, 400, "no_session", "there is no session to end");
        return;
    }
    note(caller, caller->identity.name, "dashboard", "logged out");
    session_end(&caller->api->sessions, session);
    events_check(caller->api->events);
    auth_put_cookie(caller, "", fields, sizeof fields);
    caller_answer_fields(caller, 200, fields, "{\"ok\":true}", 11);
}

/* Another password for oneself: whoever knows only the session cannot make it theirs. */

/* The sessions of both passwords end, this one, too. */
static void on_password_hashed(bool good, const char *hash, void *userdata)
{
    Caller *caller = userdata;
    Api *api = caller->api;
    User *user = store_find_user(&api->store, caller->identity.name);
    char *password = good ? strdup(hash) : NULL, fields[256];

    caller_waited(caller);
    if (!user || !password || !auth_still_good(api, &caller->identity)) { /* meanwhile */
        free(password);
        caller_fail(caller, 503, "busy", "the password was not changed; log in again");
        return;
    }
    char *before = user->password;
    uint64_t before_us = user->changed_us;
    user->password = password;
    user->changed_us = clock_realtime_us();
    int result = store_save(&api->store);
    if (result < 0) {
        user->password = before;
        user->changed_us = before_us;
        free(password);
        caller_fail(caller, 500, "not_kept", "the password could not be changed: %s",
                    strerror(-result));
        return;
    }
    free(before);
    Actor actor = identity_actor(&caller->identity);
    api_note(api, &actor, NOTE_CONFIG, "user %s has another password, by their own wish",
             user->name);
    sessions_end_of(&api->sessions, user->name);
    auth_put_cookie(caller, "", fields, sizeof fields);
    caller_answer_fields(caller, 200, fields, "{\"ok\":true}", 11);
    events_check(api->events);
}

static void on_password_verified(bool good, const char *hash UNUSED, void *userdata)
{
    Caller *caller = userdata;
    Api *api = caller->api;
    const char *wanted = json_string_value(json_object_get(caller->body, "new_password"));

    caller_waited(caller);
    if (!good) {
        note(caller, caller->identity.name, "dashboard", "a change of the password failed");
        caller_fail(caller, 403, "wrong_password", "the current password is wrong");
        return;
    }
    throttle_give_back(api->throttle, caller->identity.name,
                       http_connection_peer(caller->connection), clock_monotonic_ms());
    if (hasher_create(api->hasher, wanted, on_password_hashed, caller) < 0)
        caller_fail(caller, 503, "busy", "too many passwords at once; try again");
    else
        caller_wait_for_hasher(caller);
}

void handle_password(Caller *caller)
{
    static const char *const members[] = {"password", "new_password", NULL};
    const char *name = caller->identity.name;
    const char *password = json_string_value(json_object_get(caller->body, "password"));
    const char *wanted = json_string_value(json_object_get(caller->body, "new_password"));

    if (!handler_only_members(caller, members))
        return;
    if (caller->identity.kind != IDENTITY_SESSION) {
        caller_fail(caller, 400, "no_session", "only a user who has logged in has a password");
        return;
    }
    if (!password || strlen(password) > PASSWORD_MAX || !wanted || strlen(wanted) < PASSWORD_MIN ||
        strlen(wanted) > PASSWORD_MAX) {
        caller_fail(
            caller, 400, "bad_password",
            "the body must be {\"password\": \"…\", \"new_password\": \"…\"}, the new one of "
            "%u to %u bytes",
            PASSWORD_MIN, PASSWORD_MAX);
        return;
    }
    try_password(caller, name, password, on_password_verified);
}

void handle_session(Caller *caller)
{
    const Identity *identity = &caller->identity;
    char text[SESSION_TEXT_SIZE + 1];
    const Session *session = NULL;

    if (identity->kind == IDENTITY_SESSION && auth_cookie(caller, text))
        session = session_find(&caller->api->sessions, text);
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name", identity->name, "role",
                             actor_role_name(identity->role), "via", identity->via, "jails",
                             scope_to_json(identity->jails), "csrf",
                             session ? json_string(session->csrf) : json_null(), "expires_at",
                             session ? time_to_json(session_expires_us(session)) : json_null());
    caller_answer_json_take(caller, 200, NULL, json);
}
