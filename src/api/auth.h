/*
 * The gate in front of calls by TCP: which name we were called by, whose page a request comes from,
 * and who makes it.
 */
#pragma once

#include "api/caller.h"

/* A page of somebody else's can point its own name at us (DNS rebinding); it cannot make a browser
 * send another Host. False: answered. */
bool auth_check_host(Caller *caller);
/* Nothing that a browser sends for a page of another origin. False: answered. */
bool auth_check_origin(Caller *caller);
/* Finds out who makes the call: by the token in Authorization, or else by the session in the
 * cookie, which must then be the dashboard's own request. False: answered with 401 or 403. */
bool auth_admit(Caller *caller);
/* An operator on the unix socket who brings a token speaks as that token. */
bool auth_admit_operator(Caller *caller);

/* Whether what the identity came by is still worth something. */
bool auth_still_good(Api *api, const Identity *identity);

/* The session's cookie: its value in `text` (room for SESSION_TEXT_SIZE + 1). False: none. */
bool auth_cookie(const Caller *caller, char *text);
/* "Set-Cookie: …\r\n"; `value` "" takes it away. */
void auth_put_cookie(const Caller *caller, const char *value, char *fields, size_t room);
