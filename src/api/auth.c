/*
 * See auth.h.
 */
#include "api/auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/tokens.h"
#include "base/clock.h"
#include "base/log.h"

#define COOKIE "clawrden_session"
#define COOKIE_TLS "__Host-" COOKIE /* a browser takes it only over TLS, for this host alone */
#define NOTE_EVERY_MS 10000u

static const char *field(const Caller *caller, HttpField which)
{
    return caller->request->head.fields[which];
}

/* The name in "name", "name:port", "[v6]:port" or "[v6]": its size. */
static size_t host_size(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    return end ? (size_t)(end - host) + 1 : strcspn(host, ":");
}

static bool host_is(const char *host, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(host, name, size) == 0;
}

static bool is_allowed_host(const Caller *caller, const char *host, size_t size)
{
    const char *line = caller->api->hosts ? caller->api->hosts : "";

    if (host_is(host, size, http_connection_local(caller->connection)))
        return true;
    if (http_connection_is_loopback(caller->connection) &&
        (host_is(host, size, "localhost") || host_is(host, size, "127.0.0.1") ||
         host_is(host, size, "[::1]")))
        return true;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1)
        if ((size_t)(end - line) == size && strncasecmp(line, host, size) == 0)
            return true;
    return false;
}

bool auth_check_host(Caller *caller)
{
    const char *host = field(caller, HTTP_FIELD_HOST);
    size_t size = host_size(host);
    const char *rest = host + size;

    bool port =
        *rest == '\0' || (*rest == ':' && strspn(rest + 1, "0123456789") == strlen(rest + 1));
    if (port && size > 0 && is_allowed_host(caller, host, size))
        return true;
    caller_fail(caller, 421, "wrong_host",
                "this is not a name of this service; names other than its address are given to "
                "clawrden-warden with --api-host");
    return false;
}

/* "https://HOST" as this very service is called, by whichever of the two schemes: in front of a
 * loopback address there may be a proxy that speaks TLS. */
static bool is_own_origin(const Caller *caller, const char *origin)
{
    const char *host = field(caller, HTTP_FIELD_HOST);
    if (strncmp(origin, "https://", 8) == 0)
        return strcasecmp(origin + 8, host) == 0;
    return http_connection_door(caller->connection) != HTTP_DOOR_TLS &&
           strncmp(origin, "http://", 7) == 0 && strcasecmp(origin + 7, host) == 0;
}

bool auth_check_origin(Caller *caller)
{
    const char *origin = field(caller, HTTP_FIELD_ORIGIN);
    const char *site = field(caller, HTTP_FIELD_SEC_FETCH_SITE);

    if ((!origin || is_own_origin(caller, origin)) &&
        (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0))
        return true;
    caller_fail(caller, 403, "cross_origin", "this request comes from a page of another origin");
    return false;
}

/* Cookies. */

static const char *cookie_name(const Caller *caller)
{
    return http_connection_door(caller->connection) == HTTP_DOOR_TLS ? COOKIE_TLS : COOKIE;
}

bool auth_cookie(const Caller *caller, char *text)
{
    const char *at = field(caller, HTTP_FIELD_COOKIE), *name = cookie_name(caller);
    size_t name_size = strlen(name);
    bool found = false;

    while (at && *at) {
        at += strspn(at, "; ");
        size_t size = strcspn(at, ";");
        if (size > name_size && strncmp(at, name, name_size) == 0 && at[name_size] == '=') {
            if (found || size - name_size - 1 != SESSION_TEXT_SIZE)
                return false; /* twice: somebody planted one of them */
            memcpy(text, at + name_size + 1, SESSION_TEXT_SIZE);
            text[SESSION_TEXT_SIZE] = '\0';
            found = true;
        }
        at += size;
    }
    return found;
}

void auth_put_cookie(const Caller *caller, const char *value, char *fields, size_t room)
{
    bool tls = http_connection_door(caller->connection) == HTTP_DOOR_TLS;
    (void)snprintf(fields, room, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Strict%s%s\r\n",
                   cookie_name(caller), value, tls ? "; Secure" : "", *value ? "" : "; Max-Age=0");
}

/* Who it is. */

static void refuse(Caller *caller, const char *code, const char *words)
{
    caller_fail_fields(caller, 401, "WWW-Authenticate: Bearer realm=\"clawrden\"\r\n", code, words);
}

/* Bearer tokens that are worth nothing: recorded now and then, however many come. */
static void note_stray(Caller *caller, const char *what)
{
    Api *api = caller->api;
    uint64_t now = clock_monotonic_ms();
    Actor actor = {.name = "nobody", .role = ROLE_VIEWER, .via = "api", .jails = ""};

    if (api->strays_noted_ms != 0 && now - api->strays_noted_ms < NOTE_EVERY_MS) {
        api->strays_unnoted++;
        return;
    }
    api_note(api, &actor, NOTE_LOGIN, "%s token refused, from %s (%u more since the last note)",
             what, http_connection_peer(caller->connection), api->strays_unnoted);
    api->strays_noted_ms = now;
    api->strays_unnoted = 0;
}

static bool admit_token(Caller *caller, const char *authorization)
{
    Token *token = NULL;

    if (strncasecmp(authorization, "Bearer ", 7) != 0) {
        refuse(caller, "unauthorized", "Authorization must be a bearer token");
        return false;
    }
    switch (token_check(&caller->api->store, authorization + 7, &token)) {
    case TOKEN_GOOD:
        break;
    case TOKEN_EXPIRED: /* whoever has the secret may know */
        note_stray(caller, "an expired");
        refuse(caller, "token_expired", "this token has expired");
        return false;
    case TOKEN_UNKNOWN:
    default:
        note_stray(caller, "an unknown");
        refuse(caller, "unauthorized", "this token is not valid");
        return false;
    }
    identity_done(&caller->identity);
    if (token_identity(token, &caller->identity) == 0)
        return true;
    caller_fail(caller, 503, "no_memory", "out of memory");
    return false;
}

static int session_identity(const Session *session, const User *user, Identity *ret)
{
    Identity identity = {.kind = IDENTITY_SESSION, .role = user->role, .via = "dashboard"};
    (void)snprintf(identity.name, sizeof identity.name, "%s", user->name);
    (void)snprintf(identity.key, sizeof identity.key, "%s", session->key);
    identity.jails = *user->jails ? strdup(user->jails) : NULL;
    if (*user->jails && !identity.jails)
        return -1;
    identity_done(ret);
    *ret = identity;
    return 0;
}

static bool is_mutation(const Caller *caller)
{
    HttpMethod method = caller->request->head.method;
    return method != HTTP_GET && method != HTTP_HEAD && method != HTTP_OPTIONS;
}

static bool admit_session(Caller *caller)
{
    char text[SESSION_TEXT_SIZE + 1];
    bool cookie = auth_cookie(caller, text);
    const Session *session = cookie ? session_find(&caller->api->sessions, text) : NULL;
    const User *user = session ? store_find_user(&caller->api->store, session->user) : NULL;

    if (!user) {
        refuse(caller, cookie ? "session_over" : "unauthorized",
               cookie ? "this session is over: log in again"
                      : "log in, or send a token: Authorization: Bearer …");
        return false;
    }
    if (!auth_check_origin(caller))
        return false;
    const char *csrf = field(caller, HTTP_FIELD_CSRF);
    if (is_mutation(caller) && (!csrf || !session_csrf_equal(session, csrf))) {
        caller_fail(caller, 403, "csrf", "X-Clawrden-CSRF must be what the login answered");
        return false;
    }
    if (session_identity(session, user, &caller->identity) == 0)
        return true;
    caller_fail(caller, 503, "no_memory", "out of memory");
    return false;
}

bool auth_admit(Caller *caller)
{
    const char *authorization = field(caller, HTTP_FIELD_AUTHORIZATION);
    return authorization ? admit_token(caller, authorization) : admit_session(caller);
}

bool auth_admit_operator(Caller *caller)
{
    const char *authorization = field(caller, HTTP_FIELD_AUTHORIZATION);

    if (authorization)
        return admit_token(caller, authorization);
    identity_done(&caller->identity);
    if (identity_copy(&caller->identity, &caller->vetted) < 0) {
        caller_fail(caller, 503, "no_memory", "out of memory");
        return false;
    }
    (void)snprintf(caller->identity.via, sizeof caller->identity.via, "%s",
                   caller_is_cli(caller) ? "cli" : "api");
    return true;
}

bool auth_still_good(Api *api, const Identity *identity)
{
    const Token *token;

    switch (identity->kind) {
    case IDENTITY_OPERATOR:
        return true;
    case IDENTITY_TOKEN:
        token = store_find_token(&api->store, identity->key);
        return token && (token->expires_us == 0 || clock_realtime_us() < token->expires_us);
    case IDENTITY_SESSION:
        return session_lives(&api->sessions, identity->key);
    case IDENTITY_NONE:
    default:
        return false;
    }
}
