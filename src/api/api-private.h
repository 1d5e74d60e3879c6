/*
 * The process: what api.c sets up and everything else in this folder uses.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "api/hasher.h"
#include "api/http-server.h"
#include "api/sessions.h"
#include "api/store.h"
#include "api/throttle.h"
#include "base/process.h"
#include "wire/link.h"

typedef struct Api Api;
typedef struct Events Events;
typedef struct Segments Segments;

typedef struct ApiLimits {
    HttpLimits http;
    unsigned vet_ms, warden_ms, hasher_ms; /* how long a question may stay unanswered */
    unsigned beat_ms;                      /* between signs of life of a stream of events */
} ApiLimits;

/* api_main() with other limits: for tests. */
int api_run(const ProcessContext *context, const ApiLimits *limits);

struct Api {
    const ProcessContext *context;
    const ApiLimits *limits;
    struct event_base *loop;
    HttpServer *server;
    Link *control, *warden, *executor;
    LIST_HEAD(Callers, Caller) callers;
    uint64_t last_key;
    char *hosts; /* owned: names that TCP clients may call us by, each with a line feed; or NULL */
    Store store;
    Sessions sessions;
    Throttle *throttle;
    Hasher *hasher;
    Events *events;       /* events.h */
    Segments *segments;   /* segments.h */
    unsigned n_histories; /* being read */
    struct event *minute;
    bool stopping;
    int exit_status;
    uint64_t refusals_logged_ms; /* when a refused peer was last logged */
    unsigned refusals_unlogged;
    uint64_t strays_noted_ms; /* when a refused token was last recorded */
    unsigned strays_unnoted;
    uint64_t throttled_noted_ms;
    unsigned throttled_unnoted;
    uint64_t n_throttled; /* logins, since the start */
};

/* Something the journal must have; on whose behalf. Lost when the warden is away: then nothing can
 * be decided either. */
void api_note(Api *api, const Actor *actor, NoteKind kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
