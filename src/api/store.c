/*
 * See store.h.
 */
#include "api/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define STORE_BYTES_MAX (8u << 20)
#define STORE_NEW STORE_FILE ".new"

Token *token_new(void)
{
    return calloc(1, sizeof(Token));
}

void token_free(Token *token)
{
    if (!token)
        return;
    free(token->name);
    free(token->jails);
    free(token->created_by);
    free(token);
}

User *user_new(void)
{
    return calloc(1, sizeof(User));
}

void user_free(User *user)
{
    if (!user)
        return;
    free(user->name);
    free(user->jails);
    free(user->password);
    free(user);
}

void store_add_token_take(Store *store, Token *token)
{
    LIST_INSERT_HEAD(&store->tokens, token, link);
    store->n_tokens++;
}

void store_add_user_take(Store *store, User *user)
{
    LIST_INSERT_HEAD(&store->users, user, link);
    store->n_users++;
}

void store_remove_token(Store *store, Token *token)
{
    LIST_REMOVE(token, link);
    store->n_tokens--;
}

void store_remove_user(Store *store, User *user)
{
    LIST_REMOVE(user, link);
    store->n_users--;
}

Token *store_find_token(const Store *store, const char *id)
{
    Token *token;
    LIST_FOREACH(token, &store->tokens, link)
    {
        if (strcmp(token->id, id) == 0)
            return token;
    }
    return NULL;
}

User *store_find_user(const Store *store, const char *name)
{
    User *user;
    LIST_FOREACH(user, &store->users, link)
    {
        if (strcmp(user->name, name) == 0)
            return user;
    }
    return NULL;
}

bool store_has_name(const Store *store, const char *name)
{
    const Token *token;
    LIST_FOREACH(token, &store->tokens, link)
    {
        if (strcmp(token->name, name) == 0)
            return true;
    }
    return store_find_user(store, name) != NULL;
}

/* Reading. */

static char *copy_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? strdup(text) : NULL;
}

/* A time, or null. False: neither. */
static bool read_time(const json_t *object, const char *name, uint64_t *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = 0;
    if (!value || json_is_null(value))
        return true;
    return json_is_string(value) && clock_parse_time(json_string_value(value), ret) == 0;
}

static bool read_token(Store *store, const json_t *object)
{
    Token *token = token_new();
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *hash = json_string_value(json_object_get(object, "hash"));
    const char *via = json_string_value(json_object_get(object, "via"));

    if (!token)
        return false;
    store_add_token_take(store, token); /* released with the store whatever follows */
    token->name = copy_text(object, "name");
    token->created_by = copy_text(object, "created_by");
    token->role = role_of_name(json_string_value(json_object_get(object, "role")));
    if (!id || strlen(id) != TOKEN_ID_SIZE || !hash || digest_parse(hash, &token->hash) < 0 ||
        !via || strlen(via) >= sizeof token->via || !*via || !token->name || !token->created_by ||
        token->role == 0 || store_find_token(store, id))
        return false;
    (void)snprintf(token->id, sizeof token->id, "%s", id);
    (void)snprintf(token->via, sizeof token->via, "%s", via);
    return is_identity_name(token->name) &&
           scope_of_json(json_object_get(object, "jails"), &token->jails) == 0 &&
           read_time(object, "created_at", &token->created_us) &&
           read_time(object, "expires_at", &token->expires_us) &&
           read_time(object, "last_used_at", &token->used_us);
}

static bool read_user(Store *store, const json_t *object)
{
    User *user = user_new();
    const char *name = json_string_value(json_object_get(object, "name"));

    if (!user)
        return false;
    if (!name || store_find_user(store, name)) {
        user_free(user);
        return false;
    }
    user->name = strdup(name);
    user->password = copy_text(object, "password");
    user->role = role_of_name(json_string_value(json_object_get(object, "role")));
    if (!user->name || !user->password || user->role == 0 || !is_identity_name(name)) {
        user_free(user);
        return false;
    }
    store_add_user_take(store, user);
    return scope_of_json(json_object_get(object, "jails"), &user->jails) == 0 &&
           read_time(object, "created_at", &user->created_us) &&
           read_time(object, "changed_at", &user->changed_us) &&
           read_time(object, "last_login_at", &user->login_us);
}

__attribute__((format(printf, 2, 3))) static void damaged(Store *store, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    free(store->damage);
    if (vasprintf(&store->damage, format, arguments) < 0)
        store->damage = NULL;
    va_end(arguments);
    if (!store->damage)
        store->damage = strdup("damaged");
    log_error("%s: %s; nobody can come in by TCP until it is repaired or removed, the unix socket "
              "works",
              STORE_FILE, store->damage ? store->damage : "damaged");
}

static void free_all(Store *store)
{
    Token *token;
    while ((token = LIST_FIRST(&store->tokens))) {
        store_remove_token(store, token);
        token_free(token);
    }
    User *user;
    while ((user = LIST_FIRST(&store->users))) {
        store_remove_user(store, user);
        user_free(user);
    }
}

static void read_document(Store *store, const json_t *document)
{
    const json_t *tokens = json_object_get(document, "tokens"),
                 *users = json_object_get(document, "users"), *entry;
    size_t i;

    if (json_integer_value(json_object_get(document, "version")) != 1 || !json_is_array(tokens) ||
        !json_is_array(users) || json_array_size(tokens) > TOKENS_MAX ||
        json_array_size(users) > USERS_MAX) {
        damaged(store, "it is no list of tokens and users that this version knows");
        return;
    }
    json_array_foreach(tokens, i, entry)
    {
        if (!read_token(store, entry)) {
            damaged(store, "token %zu is not well-formed", i + 1);
            free_all(store);
            return;
        }
    }
    json_array_foreach(users, i, entry)
    {
        if (!read_user(store, entry)) {
            damaged(store, "user %zu is not well-formed", i + 1);
            free_all(store);
            return;
        }
    }
}

void store_open_take(Store *store, int directory_fd)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    json_error_t error;

    *store = (Store){.directory_fd = directory_fd};
    if (directory_fd < 0)
        return;
    int result = fd_read_file(directory_fd, STORE_FILE, STORE_BYTES_MAX, &text, &size);
    if (result == -ENOENT)
        return;
    if (result < 0) {
        damaged(store, "it cannot be read: %s", strerror(-result));
        return;
    }
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        damaged(store, "line %d, column %d: %s", error.line, error.column, error.text);
    else
        read_document(store, document);
    json_decref(document);
}

void store_done(Store *store)
{
    free_all(store);
    free(store->damage);
    store->directory_fd = fd_close(store->directory_fd);
}

/* Writing. */

static json_t *write_tokens(const Store *store)
{
    json_t *array = json_array();
    const Token *token;
    char hex[DIGEST_HEX_SIZE];

    LIST_FOREACH(token, &store->tokens, link)
    {
        (void)json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o}", "id", token->id,
                             "name", token->name, "hash", digest_format(&token->hash, hex), "role",
                             actor_role_name(token->role), "jails", scope_to_json(token->jails),
                             "via", token->via, "created_by", token->created_by, "created_at",
                             time_to_json(token->created_us), "expires_at",
                             time_to_json(token->expires_us), "last_used_at",
                             time_to_json(token->used_us)));
    }
    return array;
}

static json_t *write_users(const Store *store)
{
    json_t *array = json_array();
    const User *user;

    LIST_FOREACH(user, &store->users, link)
    {
        (void)json_array_append_new(
            array,
            json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o}", "name", user->name, "role",
                      actor_role_name(user->role), "jails", scope_to_json(user->jails), "password",
                      user->password, "created_at", time_to_json(user->created_us), "changed_at",
                      time_to_json(user->changed_us), "last_login_at",
                      time_to_json(user->login_us)));
    }
    return array;
}

static int write_file(const Store *store, const char *text)
{
    _cleanup_fd_ int fd = openat(store->directory_fd, STORE_NEW,
                                 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int result = fd_write_all(fd, text, strlen(text));
    if (result < 0)
        return result;
    if (fsync(fd) < 0 ||
        renameat(store->directory_fd, STORE_NEW, store->directory_fd, STORE_FILE) < 0)
        return -errno;
    /* Best effort: the file itself is whole either way. */
    (void)fsync(store->directory_fd);
    return 0;
}

int store_save(Store *store)
{
    if (store->directory_fd < 0)
        return -ENOTDIR;
    if (store->damage)
        return -EBADMSG;
    json_t *document = json_pack("{s:i, s:o, s:o}", "version", 1, "tokens", write_tokens(store),
                                 "users", write_users(store));
    _cleanup_free_ char *text = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
    json_decref(document);
    if (!text)
        return -ENOMEM;
    int result = write_file(store, text);
    if (result < 0)
        log_error("%s cannot be written: %s", STORE_FILE, strerror(-result));
    else
        store->used = false;
    return result;
}
