/*
 * Who is asking: an operator on the unix socket, a token, or a user's session; and the words that
 * identities are made of (roles, jails, names).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

#define IDENTITY_NAME_MAX 128u
#define IDENTITY_VIA_MAX 16u
#define IDENTITY_KEY_MAX 80u

typedef enum IdentityKind {
    IDENTITY_NONE,
    IDENTITY_OPERATOR, /* vetted on the unix socket */
    IDENTITY_TOKEN,
    IDENTITY_SESSION,
} IdentityKind;

typedef struct Identity {
    IdentityKind kind;
    ActorRole role;
    char name[IDENTITY_NAME_MAX];
    char via[IDENTITY_VIA_MAX];
    char *jails;                /* owned: as Actor.jails; NULL: all */
    char key[IDENTITY_KEY_MAX]; /* what it came by: a token's id, a session's; "" of an operator */
} Identity;

void identity_done(Identity *identity);
Actor identity_actor(const Identity *identity);
/* The same source: the same token, the same session, or both operators of the same name. */
bool identity_same(const Identity *a, const Identity *b);
/* Whether it may see what is of this jail; what is of no jail (size 0) is for those who see all. */
bool identity_sees(const Identity *identity, const char *jail, size_t size);
/* 0 or -ENOMEM. */
int identity_copy(Identity *to, const Identity *from);

/* "viewer", "approver", "admin"; 0 for anything else. */
ActorRole role_of_name(const char *name);

bool is_jail_name(const char *name);
/* What tokens and users may be called: letters, digits, ".", "_", "-", "@"; 1 to 64 of them. */
bool is_identity_name(const char *name);

/* A scope as JSON has it (null: all; else an array of at least one jail's name) as Actor.jails,
 * which the caller frees ("" for all). -EINVAL, -ENOMEM. */
int scope_of_json(const json_t *json, char **ret_jails);
json_t *scope_to_json(const char *jails);

json_t *time_to_json(uint64_t us); /* 0: null */
