/*
 * Bearer tokens: "clw_", the token's id (12 characters, no secret), "_", and 256 random bits in
 * base64url. The id finds the entry; the secret's digest is then compared in constant time.
 */
#pragma once

#include "api/store.h"

#define TOKEN_TEXT_MAX 80u

/* Makes a secret for a fresh token: fills in its id and hash, and the text that its owner gets and
 * nobody ever sees again. The caller wipes the text. */
void token_make_secret(Token *token, char text[static TOKEN_TEXT_MAX]);

typedef enum TokenStanding { TOKEN_GOOD, TOKEN_UNKNOWN, TOKEN_EXPIRED } TokenStanding;

/* What a presented token is worth now. TOKEN_GOOD: *ret_token, whose time of use is noted. */
TokenStanding token_check(Store *store, const char *text, Token **ret_token);

/* 0 or -ENOMEM. */
int token_identity(const Token *token, Identity *ret);
