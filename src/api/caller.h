/*
 * A caller: whoever is at the other end of one connection, and the one call it has in hand.
 *
 * Nothing but the health checks and refusals of malformed bytes is answered before the caller is
 * known. On the unix socket the executor tells from the kernel who it is (VET_PEER): a prisoner's
 * uid 0 looks like root to SO_PEERCRED, so only a process that can see namespaces and cgroups can
 * tell. The standing is kept for the life of the connection. Tokens and sessions will be further
 * ways to a standing.
 *
 * A call that waits for the executor or the warden holds the key of its question; an answer
 * with an unknown key is late and dropped.
 */
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "api/http-server.h"
#include "base/buffer.h"
#include "base/process.h"
#include "wire/link.h"

#define CALL_PARAMETER_MAX 64u
#define CALL_APPROVER_MAX 128u

typedef struct Api Api;
typedef struct Caller Caller;

/* What a route asks of its caller. The unix socket's operators have all of them. */
typedef enum RouteNeeds {
    ROUTE_NEEDS_NOTHING,
    ROUTE_NEEDS_VIEWER,
    ROUTE_NEEDS_APPROVER
} RouteNeeds;

typedef struct Route {
    HttpMethod method;
    const char *pattern; /* a path; one segment may be "{}": the call's parameter */
    void (*handle)(Caller *caller);
    RouteNeeds needs;
} Route;

typedef enum Standing { STANDING_UNKNOWN, STANDING_OPERATOR, STANDING_REFUSED } Standing;

typedef enum Waiting { WAITING_FOR_NOBODY, WAITING_FOR_EXECUTOR, WAITING_FOR_WARDEN } Waiting;

struct Caller {
    Api *api;
    LIST_ENTRY(Caller) link;
    HttpConnection *connection;
    Standing standing;
    uid_t uid;     /* when it is known */
    char *refusal; /* owned; when refused: what it is told */

    /* The call in hand. */
    const HttpRequest *request;
    const Route *route; /* NULL until the caller is known, or when there is none */
    char parameter[CALL_PARAMETER_MAX];
    json_t *body; /* owned; an object, or NULL */
    Waiting waiting;
    uint64_t key;
    struct event *deadline;
};

typedef struct ApiLimits {
    HttpLimits http;
    unsigned vet_ms, warden_ms; /* how long a question may stay unanswered */
} ApiLimits;

/* api_main() with other limits: for tests. */
int api_run(const ProcessContext *context, const ApiLimits *limits);

/* The process: what api.c sets up and everything else uses. */
struct Api {
    const ProcessContext *context;
    const ApiLimits *limits;
    struct event_base *loop;
    HttpServer *server;
    Link *control, *warden, *executor;
    LIST_HEAD(, Caller) callers;
    uint64_t last_key;
    bool stopping;
    int exit_status;
    uint64_t refusals_logged_ms; /* when a refused peer was last logged */
    unsigned refusals_unlogged;
};

extern const HttpHandlers caller_handlers;

/* Answers, which end the call. */
void caller_answer(Caller *caller, unsigned status, const char *json, size_t size);
void caller_fail(Caller *caller, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* 405, with the method that `route` wants. */
void caller_refuse_method(Caller *caller, const Route *route);

/* Puts a question to the warden, whose answer becomes the call's: API_ANSWER is sent on as it is.
 * The buffer is emptied. */
void caller_ask_warden(Caller *caller, uint16_t type, Buffer *payload);
/* Puts the caller's socket to the executor, then goes on with route_run(). */
void caller_vet(Caller *caller);

/* Frames of the two links; -EPROTO when the frame is no answer: the link must be dropped. */
int caller_on_warden(Api *api, const LinkFrame *frame);
int caller_on_executor(Api *api, const LinkFrame *frame);
/* The link is gone: whoever waits for it is told so. */
void caller_on_lost(Api *api, Waiting waiting);

/* "NAME (uid N)" for the journal, and "cli" or "api". */
void caller_name(const Caller *caller, char text[static CALL_APPROVER_MAX]);
const char *caller_via(const Caller *caller);

/* route.c: gates the call (path, method, body) and runs its handler. */
const Route *route_of_health(const HttpHead *head);
void route_run(Caller *caller);
