/*
 * Tokens and users, and the file that keeps them: auth.json in a directory of the api's own.
 *
 * A change is made in memory, written to a temporary file, synced, and renamed; when that fails it
 * is taken back. A file that cannot be read as a whole is never overwritten and never believed in
 * part: then there are no identities at all, and `damage` says why.
 *
 * A token's secret is 256 random bits, of which the file keeps a BLAKE2b digest: nobody can try
 * 2^256 secrets, so a slow hash would protect nothing and cost each call 100 ms. Passwords are
 * what people think of, and are kept as Argon2id (hasher.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "api/identity.h"
#include "base/digest.h"

#define STORE_FILE "auth.json"
#define TOKENS_MAX 1000u
#define USERS_MAX 1000u
#define TOKEN_ID_SIZE 12u

typedef struct Token {
    LIST_ENTRY(Token) link;
    char id[TOKEN_ID_SIZE + 1];
    char *name; /* owned, as the rest */
    Digest hash;
    ActorRole role;
    char *jails; /* "": all */
    char via[IDENTITY_VIA_MAX];
    char *created_by;
    uint64_t created_us, expires_us, used_us; /* 0: never */
} Token;

typedef struct User {
    LIST_ENTRY(User) link;
    char *name; /* owned, as the rest */
    ActorRole role;
    char *jails;
    char *password; /* Argon2id, as crypto_pwhash_str() writes it */
    uint64_t created_us, changed_us, login_us;
} User;

typedef struct Store {
    int directory_fd; /* owned; negative: nothing is kept, and there are no identities */
    LIST_HEAD(Tokens, Token) tokens;
    LIST_HEAD(Users, User) users;
    size_t n_tokens, n_users;
    char *damage; /* owned: why the file cannot be used; NULL: it can */
    bool used;    /* times of use have changed since it was written */
} Store;

/* Takes the directory. Whatever is wrong with the file is in `damage`. */
void store_open_take(Store *store, int directory_fd);
void store_done(Store *store);
/* 0 or -errno: the file is as it was. */
int store_save(Store *store);

Token *token_new(void);
void token_free(Token *token);
User *user_new(void);
void user_free(User *user);
void store_add_token_take(Store *store, Token *token);
void store_add_user_take(Store *store, User *user);
/* Out of the lists, not freed. */
void store_remove_token(Store *store, Token *token);
void store_remove_user(Store *store, User *user);
/* By its id, which is no secret. NULL: none. */
Token *store_find_token(const Store *store, const char *id);
User *store_find_user(const Store *store, const char *name);
/* A token or user that is called so. */
bool store_has_name(const Store *store, const char *name);
