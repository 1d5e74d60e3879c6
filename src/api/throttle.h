/*
 * How often logins may be tried: by user, by address, and by all together. Asked before a password
 * is looked at, so that guessing costs nothing but the refusal.
 *
 * Each key has a bucket of tries that fills again slowly. A login that succeeds gives its try
 * back. Whoever keeps guessing keeps a user's bucket empty, and that user out: an approver's way
 * in then is a token, or the unix socket.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Throttle Throttle;

/* NULL: out of memory. */
Throttle *throttle_new(void);
Throttle *throttle_free(Throttle *throttle); /* accepts NULL, returns NULL */

/* Takes a try of all three. 0; or the seconds after which to try again, nothing taken. */
unsigned throttle_take(Throttle *throttle, const char *user, const char *address, uint64_t now_ms);
void throttle_give_back(Throttle *throttle, const char *user, const char *address, uint64_t now_ms);
