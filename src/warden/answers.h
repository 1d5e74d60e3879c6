/*
 * The api's calls, one function each (private to warden/). What the actor may not see does not
 * exist for him; what his role may not do is refused before these are called.
 */
#pragma once

#include "warden/state.h"

#define ANSWER_MAX (16u << 20)

/* Sends the document, which is empty then; one that has failed becomes a 500. */
void answer(Warden *warden, uint64_t key, uint16_t status, Buffer *json);
void answer_error(Warden *warden, uint64_t key, uint16_t status, const char *code,
                  const char *words);
/* `,"name":"text"`, or null when there is none. */
void answer_put_text(Buffer *json, const char *name, const char *text);
/* A comma unless this is the first of its array. */
void answer_put_comma(Buffer *json);
/* The members that tell what a jail is called and how it is. */
void answer_put_jail_state(Buffer *json, const Jail *jail);

/* answers-queue.c */
void answer_queue(Warden *warden, uint64_t key, const Actor *actor, Reader *reader);
void answer_decide(Warden *warden, uint64_t key, const Actor *actor, Reader *reader);
/* answers-grants.c */
void answer_grants(Warden *warden, uint64_t key, const Actor *actor);
void answer_revoke(Warden *warden, uint64_t key, const Actor *actor, Reader *reader);
void answer_put_grant(Buffer *json, const Grant *grant);
/* answers-jails.c */
/* The jail, when there is one and the actor may know it. */
const Jail *answers_find_jail(Warden *warden, const Actor *actor, const char *name);
void answer_jails(Warden *warden, uint64_t key, const Actor *actor, Reader *reader);
void answer_jail_put(Warden *warden, uint64_t key, uint16_t type, const Actor *actor,
                     Reader *reader);
void answer_jail_delete(Warden *warden, uint64_t key, const Actor *actor, Reader *reader);
/* answers-policy.c */
/* `actor` NULL: one who may see all jails. */
void answer_put_policy(Warden *warden, Buffer *json, const Actor *actor, bool with_text);
void answer_policy(Warden *warden, uint64_t key, const Actor *actor);
void answer_policy_test(Warden *warden, uint64_t key, const Actor *actor, Reader *reader);
void answer_reload(Warden *warden, uint64_t key, const Actor *actor);
