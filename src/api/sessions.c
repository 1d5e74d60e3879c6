/*
 * See sessions.h.
 */
#include "api/sessions.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void sessions_init(Sessions *sessions)
{
    *sessions = (Sessions){.count = 0};
    LIST_INIT(&sessions->list);
}

void session_end(Sessions *sessions, Session *session)
{
    LIST_REMOVE(session, link);
    sessions->count--;
    free(session->user);
    sodium_memzero(session, sizeof *session);
    free(session);
}

void sessions_done(Sessions *sessions)
{
    Session *session;
    while ((session = LIST_FIRST(&sessions->list)))
        session_end(sessions, session);
}

static bool is_over(const Session *session, uint64_t now)
{
    return now - session->used_ms >= SESSION_IDLE_MS || now - session->begun_ms >= SESSION_MAX_MS;
}

static void drop_ended(Sessions *sessions)
{
    uint64_t now = clock_monotonic_ms();
    Session *session, *next;

    for (session = LIST_FIRST(&sessions->list); session; session = next) {
        next = LIST_NEXT(session, link);
        if (is_over(session, now))
            session_end(sessions, session);
    }
}

/* Makes room: of one user's sessions, or of all (NULL). */
static void drop_idlest(Sessions *sessions, const char *user, size_t most)
{
    Session *session, *idlest = NULL;
    size_t count = 0;

    LIST_FOREACH(session, &sessions->list, link)
    {
        if (user && strcmp(session->user, user) != 0)
            continue;
        count++;
        if (!idlest || session->used_ms < idlest->used_ms)
            idlest = session;
    }
    if (count >= most && idlest)
        session_end(sessions, idlest);
}

static void make_secret(char text[static SESSION_TEXT_SIZE + 1])
{
    unsigned char bytes[32];
    randombytes_buf(bytes, sizeof bytes);
    (void)sodium_bin2base64(text, SESSION_TEXT_SIZE + 1, bytes, sizeof bytes,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof bytes);
}

static Digest digest_of(const char *text)
{
    DigestState state;
    digest_begin(&state);
    digest_add(&state, text, SESSION_TEXT_SIZE);
    return digest_end(&state);
}

Session *session_new(Sessions *sessions, const User *user, char text[static SESSION_TEXT_SIZE + 1])
{
    drop_ended(sessions);
    drop_idlest(sessions, user->name, SESSIONS_OF_USER_MAX);
    drop_idlest(sessions, NULL, SESSIONS_MAX);

    Session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->user = strdup(user->name);
    if (!session->user) {
        free(session);
        return NULL;
    }
    make_secret(text);
    make_secret(session->csrf);
    session->id = digest_of(text);
    (void)digest_format(&session->id, session->key);
    session->begun_ms = session->used_ms = clock_monotonic_ms();
    LIST_INSERT_HEAD(&sessions->list, session, link);
    sessions->count++;
    return session;
}

void sessions_end_of(Sessions *sessions, const char *user)
{
    Session *session, *next;

    for (session = LIST_FIRST(&sessions->list); session; session = next) {
        next = LIST_NEXT(session, link);
        if (strcmp(session->user, user) == 0)
            session_end(sessions, session);
    }
}

Session *session_find(Sessions *sessions, const char *text)
{
    Session *session, *found = NULL;

    if (strlen(text) != SESSION_TEXT_SIZE)
        return NULL;
    drop_ended(sessions);
    Digest id = digest_of(text);
    /* Digests of secrets: which of them is looked at first tells nothing about the text. */
    LIST_FOREACH(session, &sessions->list, link)
    {
        if (digest_equal(&session->id, &id))
            found = session;
    }
    if (found)
        found->used_ms = clock_monotonic_ms();
    return found;
}

bool session_lives(Sessions *sessions, const char *key)
{
    const Session *session;

    drop_ended(sessions);
    LIST_FOREACH(session, &sessions->list, link)
    {
        if (strcmp(session->key, key) == 0)
            return true;
    }
    return false;
}

uint64_t session_expires_us(const Session *session)
{
    uint64_t left = SESSION_MAX_MS - (clock_monotonic_ms() - session->begun_ms);
    return clock_realtime_us() + left * 1000;
}

bool session_csrf_equal(const Session *session, const char *text)
{
    return strlen(text) == SESSION_TEXT_SIZE &&
           sodium_memcmp(session->csrf, text, SESSION_TEXT_SIZE) == 0;
}
