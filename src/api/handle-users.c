/*
 * Users: listed, created, changed, deleted. A change ends all sessions of its user.
 */
#include <stdio.h>
#include <string.h>

#include "api/events.h"
#include "api/handlers.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

static size_t sessions_of(const Sessions *sessions, const char *user)
{
    const Session *session;
    size_t count = 0;
    LIST_FOREACH(session, &sessions->list, link)
    {
        if (strcmp(session->user, user) == 0)
            count++;
    }
    return count;
}

static json_t *user_to_json(const Api *api, const User *user)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:i}", "name", user->name, "role",
                     actor_role_name(user->role), "jails", scope_to_json(user->jails), "created_at",
                     time_to_json(user->created_us), "changed_at", time_to_json(user->changed_us),
                     "last_login_at", time_to_json(user->login_us), "sessions",
                     (int)sessions_of(&api->sessions, user->name));
}

void handle_users(Caller *caller)
{
    if (!handler_store_usable(caller))
        return;
    json_t *list = json_array();
    const User *user;

    LIST_FOREACH(user, &caller->api->store.users, link)
    {
        (void)json_array_append_new(list, user_to_json(caller->api, user));
    }
    caller_answer_json_take(caller, 200, NULL, json_pack("{s:o}", "users", list));
}

/* The new password, or NULL with the call answered. */
static const char *read_password(Caller *caller)
{
    const char *password = json_string_value(json_object_get(caller->body, "password"));

    if (password && strlen(password) >= PASSWORD_MIN && strlen(password) <= PASSWORD_MAX)
        return password;
    caller_fail(caller, 400, "bad_password", "\"password\" must be a text of %u to %u bytes",
                PASSWORD_MIN, PASSWORD_MAX);
    return NULL;
}

static void note(Caller *caller, const User *user, const char *what)
{
    Actor actor = identity_actor(&caller->identity);
    api_note(caller->api, &actor, NOTE_CONFIG, "user %s (%s, %s) %s", user->name,
             actor_role_name(user->role), *user->jails ? "some jails" : "all jails", what);
}

/* Keeps what was changed, or takes it back. */
static bool save(Caller *caller, const char *what)
{
    int result = store_save(&caller->api->store);
    if (result < 0)
        caller_fail(caller, 500, "not_kept", "the user could not be %s: %s", what,
                    strerror(-result));
    return result == 0;
}

/* The body was checked before the hasher was asked. */
static void on_new_hashed(bool good, const char *hash, void *userdata)
{
    Caller *caller = userdata;
    Store *store = &caller->api->store;
    const char *name = json_string_value(json_object_get(caller->body, "name"));
    User *user = user_new();

    caller_waited(caller);
    if (!handler_name_is_free(caller, name)) { /* meanwhile */
        user_free(user);
        return;
    }
    if (!user || !handler_read_standing(caller, &user->role, &user->jails)) {
        user_free(user);
        if (caller->request)
            caller_fail(caller, 503, "no_memory", "out of memory");
        return;
    }
    user->name = strdup(name);
    user->password = good ? strdup(hash) : NULL;
    user->created_us = user->changed_us = clock_realtime_us();
    if (!user->name || !user->password) {
        user_free(user);
        caller_fail(caller, 503, "no_memory", "out of memory");
        return;
    }
    store_add_user_take(store, user);
    if (!save(caller, "created")) {
        store_remove_user(store, user);
        user_free(user);
        return;
    }
    note(caller, user, "created");
    caller_answer_json_take(caller, 201, NULL, user_to_json(caller->api, user));
}

static void hash(Caller *caller, const char *password, HasherDone done)
{
    if (hasher_create(caller->api->hasher, password, done, caller) < 0)
        caller_fail(caller, 503, "busy", "too many passwords at once; try again");
    else
        caller_wait_for_hasher(caller);
}

/* In a policy's approvers the word would mean everybody of that role. */
static bool is_no_role(Caller *caller, const char *name)
{
    if (role_of_name(name) == 0)
        return true;
    caller_fail(caller, 400, "bad_name",
                "\"%s\" is a role: a policy's approvers could never name this user; choose another "
                "name",
                name);
    return false;
}

void handle_user_create(Caller *caller)
{
    static const char *const members[] = {"name", "password", "role", "jails", NULL};
    const char *name = json_string_value(json_object_get(caller->body, "name"));
    _cleanup_free_ char *jails = NULL;
    ActorRole role;

    if (!handler_store_usable(caller) || !handler_only_members(caller, members))
        return;
    if (!handler_name_is_well_formed(caller, name) || !is_no_role(caller, name) ||
        !handler_read_standing(caller, &role, &jails))
        return;
    const char *password = read_password(caller);
    if (!password || !handler_name_is_free(caller, name))
        return;
    if (caller->api->store.n_users >= USERS_MAX)
        caller_fail(caller, 409, "too_many", "there are %u users: delete some", USERS_MAX);
    else
        hash(caller, password, on_new_hashed);
}

/* The standing that the body asks for, where it leaves the rest as it is. False: answered. */
static bool read_change(Caller *caller, const User *user, ActorRole *ret_role, char **ret_jails)
{
    const json_t *role = json_object_get(caller->body, "role"),
                 *jails = json_object_get(caller->body, "jails");

    if (!role)
        (void)json_object_set_new(caller->body, "role", json_string(actor_role_name(user->role)));
    if (!jails)
        (void)json_object_set_new(caller->body, "jails", scope_to_json(user->jails));
    return handler_read_standing(caller, ret_role, ret_jails);
}

/* `hash` NULL: the password stays. */
static void change(Caller *caller, const char *hash)
{
    User *user = store_find_user(&caller->api->store, caller->parameter);
    ActorRole role;
    char *jails = NULL, *password = hash ? strdup(hash) : NULL;

    if (!user || (hash && !password) || !read_change(caller, user, &role, &jails)) {
        free(password);
        if (caller->request)
            caller_fail(caller, user ? 503 : 404, user ? "no_memory" : "not_found",
                        user ? "out of memory" : "there is no user of this name");
        return;
    }
    User before = *user;
    user->role = role;
    user->jails = jails;
    if (password)
        user->password = password;
    user->changed_us = clock_realtime_us();
    if (!save(caller, "changed")) {
        *user = before;
        free(jails);
        free(password);
        return;
    }
    free(before.jails);
    if (password)
        free(before.password);
    sessions_end_of(&caller->api->sessions, user->name);
    note(caller, user, password ? "changed, with a new password" : "changed");
    Api *api = caller->api;
    caller_answer_json_take(caller, 200, NULL, user_to_json(api, user));
    events_check(api->events);
}

static void on_change_hashed(bool good, const char *hash, void *userdata)
{
    Caller *caller = userdata;

    caller_waited(caller);
    if (good)
        change(caller, hash);
    else
        caller_fail(caller, 503, "no_memory", "out of memory");
}

void handle_user_change(Caller *caller)
{
    static const char *const members[] = {"password", "role", "jails", NULL};
    _cleanup_free_ char *jails = NULL;
    ActorRole role;

    if (!handler_store_usable(caller) || !handler_only_members(caller, members))
        return;
    const User *user = store_find_user(&caller->api->store, caller->parameter);
    if (!user) {
        caller_fail(caller, 404, "not_found", "there is no user of this name");
        return;
    }
    if (json_object_size(caller->body) == 0) {
        caller_fail(caller, 400, "bad_change",
                    "the body must have \"role\", \"jails\" or \"password\"");
        return;
    }
    bool password = json_object_get(caller->body, "password") != NULL;
    const char *text = password ? read_password(caller) : NULL;
    if ((password && !text) || !read_change(caller, user, &role, &jails))
        return;
    if (text)
        hash(caller, text, on_change_hashed);
    else
        change(caller, NULL);
}

void handle_user_delete(Caller *caller)
{
    Store *store = &caller->api->store;

    if (!handler_store_usable(caller))
        return;
    User *user = store_find_user(store, caller->parameter);
    if (!user) {
        caller_fail(caller, 404, "not_found", "there is no user of this name");
        return;
    }
    store_remove_user(store, user);
    if (!save(caller, "deleted")) {
        store_add_user_take(store, user);
        return;
    }
    Api *api = caller->api;
    sessions_end_of(&api->sessions, user->name);
    note(caller, user, "deleted");
    json_t *json = json_pack("{s:s, s:b}", "name", user->name, "deleted", 1);
    user_free(user);
    caller_answer_json_take(caller, 200, NULL, json);
    events_check(api->events);
}
