/*
 * See tokens.h.
 */
#include "api/tokens.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PREFIX "clw_"
#define SECRET_BYTES 32u
#define SECRET_TEXT 43u /* base64url without padding */
#define TEXT_SIZE (sizeof PREFIX - 1 + TOKEN_ID_SIZE + 1 + SECRET_TEXT)
#define USED_GRAIN_US 1000000u /* how exact the time of last use is */

static Digest digest_of(const char *secret)
{
    DigestState state;
    digest_begin(&state);
    digest_add(&state, secret, SECRET_TEXT);
    return digest_end(&state);
}

void token_make_secret(Token *token, char text[static TOKEN_TEXT_MAX])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32, none alike */
    unsigned char bytes[SECRET_BYTES];
    char secret[SECRET_TEXT + 1];

    for (size_t i = 0; i < TOKEN_ID_SIZE; i++)
        token->id[i] = letters[randombytes_uniform(sizeof letters - 1)];
    token->id[TOKEN_ID_SIZE] = '\0';
    randombytes_buf(bytes, sizeof bytes);
    (void)sodium_bin2base64(secret, sizeof secret, bytes, sizeof bytes,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    token->hash = digest_of(secret);
    (void)snprintf(text, TOKEN_TEXT_MAX, "%s%s_%s", PREFIX, token->id, secret);
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(secret, sizeof secret);
}

TokenStanding token_check(Store *store, const char *text, Token **ret_token)
{
    char id[TOKEN_ID_SIZE + 1];
    uint64_t now = clock_realtime_us();

    if (strlen(text) != TEXT_SIZE || strncmp(text, PREFIX, sizeof PREFIX - 1) != 0 ||
        text[sizeof PREFIX - 1 + TOKEN_ID_SIZE] != '_')
        return TOKEN_UNKNOWN;
    memcpy(id, text + sizeof PREFIX - 1, TOKEN_ID_SIZE);
    id[TOKEN_ID_SIZE] = '\0';
    Token *token = store_find_token(store, id);
    Digest hash = digest_of(text + sizeof PREFIX + TOKEN_ID_SIZE);
    if (!token || !digest_equal(&hash, &token->hash)) /* sodium_memcmp() */
        return TOKEN_UNKNOWN;
    if (token->expires_us != 0 && now >= token->expires_us)
        return TOKEN_EXPIRED;
    if (now - token->used_us > USED_GRAIN_US) {
        token->used_us = now;
        store->used = true;
    }
    *ret_token = token;
    return TOKEN_GOOD;
}

int token_identity(const Token *token, Identity *ret)
{
    *ret = (Identity){.kind = IDENTITY_TOKEN, .role = token->role};
    (void)snprintf(ret->name, sizeof ret->name, "%s", token->name);
    (void)snprintf(ret->via, sizeof ret->via, "%s", token->via);
    (void)snprintf(ret->key, sizeof ret->key, "%s", token->id);
    ret->jails = *token->jails ? strdup(token->jails) : NULL;
    return *token->jails && !ret->jails ? -ENOMEM : 0;
}
