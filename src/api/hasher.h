/*
 * Argon2id in a process of its own: a login takes 100 ms of a processor and 64 MiB, and must not
 * delay an approval. The hasher is forked before the api gives up what it does not need, has no
 * files, no descriptors but its link, and the lowest priority. It does one thing at a time; what
 * waits for it is bounded. It cannot be started again (the api may not fork): when it ends, so does
 * the api, and the parent starts both.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "base/process.h"

#define HASHER_QUEUE_MAX 16u
#define PASSWORD_MIN 10u /* bytes */
#define PASSWORD_MAX 1024u

typedef struct Hasher Hasher;

/* `good`: the password fits the hash. `hash`: of a new password ("" when that failed). */
typedef void (*HasherDone)(bool good, const char *hash, void *userdata);

/* Forks it. `gone` is called when it has ended. 0 or -errno. */
int hasher_start(Hasher **ret, struct event_base *loop, const ProcessContext *context,
                 void (*gone)(void *userdata), void *userdata);
Hasher *hasher_free(Hasher *hasher); /* accepts NULL, returns NULL; it ends */

/* `hash` NULL: of no user; as much work as for one, and never good. 0; -EBUSY: enough is waiting.
 * `done` is called later, once, unless the hasher is freed before. */
int hasher_verify(Hasher *hasher, const char *password, const char *hash, HasherDone done,
                  void *userdata);
int hasher_create(Hasher *hasher, const char *password, HasherDone done, void *userdata);
/* Nobody is interested any more in what was to be told to this userdata. */
void hasher_forget(Hasher *hasher, const void *userdata);
