/*
 * Tokens: listed, created, revoked. Admins only, and an admin is confined to no jail, so none can
 * hand out more than it has.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "api/events.h"
#include "api/handlers.h"
#include "api/tokens.h"
#include "base/clock.h"

#define EXPIRY_MIN_MS 1000u

static json_t *token_to_json(const Token *token)
{
    bool expired = token->expires_us != 0 && clock_realtime_us() >= token->expires_us;
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:b}", "id", token->id, "name",
                     token->name, "role", actor_role_name(token->role), "jails",
                     scope_to_json(token->jails), "via", token->via, "created_by",
                     token->created_by, "created_at", time_to_json(token->created_us), "expires_at",
                     time_to_json(token->expires_us), "last_used_at", time_to_json(token->used_us),
                     "expired", expired);
}

bool handler_store_usable(Caller *caller)
{
    const Store *store = &caller->api->store;

    if (store->directory_fd >= 0 && !store->damage)
        return true;
    caller_fail(caller, 503, "no_identities", "the file of tokens and users cannot be used: %s",
                store->damage ? store->damage : "it has no place");
    return false;
}

void handle_tokens(Caller *caller)
{
    json_t *list = json_array();
    const Token *token;

    if (!handler_store_usable(caller)) {
        json_decref(list);
        return;
    }
    LIST_FOREACH(token, &caller->api->store.tokens, link)
    {
        (void)json_array_append_new(list, token_to_json(token));
    }
    caller_answer_json_take(caller, 200, NULL, json_pack("{s:o}", "tokens", list));
}

bool handler_name_is_well_formed(Caller *caller, const char *name)
{
    if (name && is_identity_name(name))
        return true;
    caller_fail(caller, 400, "bad_name",
                "\"name\" must be 1 to 64 letters, digits, \".\", \"_\", \"-\" or \"@\"");
    return false;
}

bool handler_name_is_free(Caller *caller, const char *name)
{
    if (!store_has_name(&caller->api->store, name))
        return true;
    caller_fail(caller, 409, "name_taken", "a token or user is called \"%s\" already", name);
    return false;
}

bool handler_read_standing(Caller *caller, ActorRole *ret_role, char **ret_jails)
{
    const json_t *jails = json_object_get(caller->body, "jails");

    *ret_role = role_of_name(json_string_value(json_object_get(caller->body, "role")));
    if (*ret_role == 0) {
        caller_fail(caller, 400, "bad_role", "\"role\" must be viewer, approver or admin");
        return false;
    }
    if (scope_of_json(jails, ret_jails) < 0) {
        caller_fail(caller, 400, "bad_jails",
                    "\"jails\" must be null (all) or an array of jails' names");
        return false;
    }
    if (*ret_role == ROLE_ADMIN && **ret_jails) {
        free(*ret_jails);
        *ret_jails = NULL;
        caller_fail(caller, 400, "bad_jails", "an admin cannot be confined to jails");
        return false;
    }
    return true;
}

/* The way that decisions by this token come: its own for the bridges to chats. */
static bool read_via(Caller *caller, Token *token)
{
    static const char *const known[] = {"api", "slack", "telegram"};
    const json_t *given = json_object_get(caller->body, "via");
    const char *via = given && !json_is_null(given) ? json_string_value(given) : known[0];

    for (size_t i = 0; via && i < ARRAY_SIZE(known); i++) {
        if (strcmp(via, known[i]) != 0)
            continue;
        (void)snprintf(token->via, sizeof token->via, "%s", via);
        return true;
    }
    caller_fail(caller, 400, "bad_via", "\"via\" must be api, slack or telegram");
    return false;
}

static bool read_expiry(Caller *caller, Token *token)
{
    const json_t *given = json_object_get(caller->body, "expires_in_ms");

    if (!given || json_is_null(given))
        return true;
    json_int_t ms = json_integer_value(given);
    if (!json_is_integer(given) || ms < (json_int_t)EXPIRY_MIN_MS ||
        (uint64_t)ms > CLOCK_DURATION_MAX_MS) {
        caller_fail(caller, 400, "bad_expiry",
                    "\"expires_in_ms\" must be milliseconds, from 1000 to a year");
        return false;
    }
    token->expires_us = token->created_us + (uint64_t)ms * 1000;
    return true;
}

/* False: answered. */
static bool read_token(Caller *caller, Token *token)
{
    static const char *const members[] = {"name", "role", "jails", "via", "expires_in_ms", NULL};
    const char *name = json_string_value(json_object_get(caller->body, "name"));

    if (!handler_only_members(caller, members))
        return false;
    if (!handler_name_is_well_formed(caller, name))
        return false;
    token->created_us = clock_realtime_us();
    if (!handler_read_standing(caller, &token->role, &token->jails) || !read_via(caller, token) ||
        !read_expiry(caller, token))
        return false;
    if (!handler_name_is_free(caller, name))
        return false;
    if (caller->api->store.n_tokens >= TOKENS_MAX) {
        caller_fail(caller, 409, "too_many", "there are %u tokens: revoke some", TOKENS_MAX);
        return false;
    }
    token->name = strdup(name);
    token->created_by = strdup(caller->identity.name);
    if (token->name && token->created_by)
        return true;
    caller_fail(caller, 503, "no_memory", "out of memory");
    return false;
}

static void note(Caller *caller, const Token *token, const char *what)
{
    Actor actor = identity_actor(&caller->identity);
    api_note(caller->api, &actor, NOTE_CONFIG, "token %s (%s, %s, %s) %s", token->name, token->id,
             actor_role_name(token->role), *token->jails ? "some jails" : "all jails", what);
}

void handle_token_create(Caller *caller)
{
    Store *store = &caller->api->store;
    char text[TOKEN_TEXT_MAX];

    if (!handler_store_usable(caller))
        return;
    Token *token = token_new();
    if (!token) {
        caller_fail(caller, 503, "no_memory", "out of memory");
        return;
    }
    if (!read_token(caller, token)) {
        token_free(token);
        return;
    }
    token_make_secret(token, text);
    store_add_token_take(store, token);
    int result = store_save(store);
    if (result < 0) {
        store_remove_token(store, token);
        token_free(token);
        caller_fail(caller, 500, "not_kept", "the token could not be kept: %s", strerror(-result));
    } else {
        json_t *json = token_to_json(token);
        (void)json_object_set_new(json, "token", json_string(text));
        note(caller, token, "created");
        caller_answer_json_take(caller, 201, NULL, json);
    }
    sodium_memzero(text, sizeof text);
}

void handle_token_revoke(Caller *caller)
{
    Store *store = &caller->api->store;
    Token *token = handler_store_usable(caller) ? store_find_token(store, caller->parameter) : NULL;

    if (!caller->request)
        return; /* answered */
    if (!token) {
        caller_fail(caller, 404, "not_found", "there is no token of this id");
        return;
    }
    store_remove_token(store, token);
    int result = store_save(store);
    if (result < 0) {
        store_add_token_take(store, token);
        caller_fail(caller, 500, "not_kept", "the token could not be revoked: %s",
                    strerror(-result));
        return;
    }
    note(caller, token, "revoked");
    json_t *json = json_pack("{s:s, s:b}", "id", token->id, "revoked", 1);
    token_free(token);
    caller_answer_json_take(caller, 200, NULL, json);
    events_check(caller->api->events);
}
