/*
 * Sessions of users who logged in. They live in memory: when the api ends, all log in again.
 *
 * A session's id is 256 random bits, made anew at each login (an id that somebody brings along is
 * worth nothing), kept by its digest alone. A session ends when it is idle for 30 minutes, 12
 * hours after its beginning, at the logout, and when its user is changed or deleted.
 */
#pragma once

#include "api/store.h"

#define SESSION_IDLE_MS (30u * 60 * 1000)
#define SESSION_MAX_MS (12u * 60 * 60 * 1000)
#define SESSIONS_MAX 1000u       /* in all */
#define SESSIONS_OF_USER_MAX 20u /* beyond, the one that was idle longest ends */
#define SESSION_TEXT_SIZE 43u    /* base64url of 32 bytes */

typedef struct Session {
    LIST_ENTRY(Session) link;
    Digest id;                 /* of the text in the cookie */
    char key[DIGEST_HEX_SIZE]; /* the same as Identity.key */
    char csrf[SESSION_TEXT_SIZE + 1];
    char *user;                 /* owned: the name */
    uint64_t begun_ms, used_ms; /* monotonic */
} Session;

typedef struct Sessions {
    LIST_HEAD(SessionList, Session) list;
    size_t count;
} Sessions;

void sessions_init(Sessions *sessions);
void sessions_done(Sessions *sessions);

/* A new session of the user; `text` gets the cookie's value. NULL: out of memory. */
Session *session_new(Sessions *sessions, const User *user, char text[static SESSION_TEXT_SIZE + 1]);
void session_end(Sessions *sessions, Session *session);
/* All of a user's. */
void sessions_end_of(Sessions *sessions, const char *user);

/* The session that a cookie's value names, when it has not ended; it counts as used. NULL: none. */
Session *session_find(Sessions *sessions, const char *text);
/* Whether an identity's session is still there. Does not count as use. */
bool session_lives(Sessions *sessions, const char *key);
/* When it ends whatever happens, realtime. */
uint64_t session_expires_us(const Session *session);
bool session_csrf_equal(const Session *session, const char *text);
