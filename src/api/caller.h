/*
 * A caller: whoever is at the other end of one connection, and the one call it has in hand.
 *
 * Nothing but the health checks, the dashboard's files on TCP and refusals of malformed bytes is
 * answered before the caller is known. On the unix socket the executor tells from the kernel who it
 * is (VET_PEER): a prisoner's uid 0 looks like root to SO_PEERCRED, so only a process that can see
 * namespaces and cgroups can tell; that standing is kept for the life of the connection. On TCP
 * each call brings a token or a session (auth.h).
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

#include "api/api-private.h"
#include "api/http-server.h"
#include "api/identity.h"
#include "api/query.h"
#include "base/buffer.h"

#define CALL_PARAMETER_MAX 72u

typedef struct Caller Caller;

/* What a route asks of its caller. The unix socket's operators are admins. */
typedef enum RouteNeeds {
    ROUTE_NEEDS_NOTHING,
    ROUTE_NEEDS_NOBODY, /* the way to become somebody */
    ROUTE_NEEDS_VIEWER,
    ROUTE_NEEDS_APPROVER,
    ROUTE_NEEDS_ADMIN,
} RouteNeeds;

typedef struct Route {
    HttpMethod method;
    const char *pattern; /* a path; one segment may be "{}": the call's parameter */
    void (*handle)(Caller *caller);
    RouteNeeds needs;
    const char *const *parameters; /* of the query, NULL-terminated; NULL: none */
} Route;

typedef enum Standing { STANDING_UNKNOWN, STANDING_OPERATOR, STANDING_REFUSED } Standing;

typedef enum Waiting {
    WAITING_FOR_NOBODY,
    WAITING_FOR_EXECUTOR,
    WAITING_FOR_WARDEN,
    WAITING_FOR_HASHER,
} Waiting;

/* A call that goes on, before its answer begins or while it leaves: what drives it. */
typedef struct CallerStream {
    void (*drained)(Caller *caller); /* all that was written to the stream has left */
    void (*gone)(Caller *caller);    /* the call is over: release `stream_data` */
} CallerStream;

struct Caller {
    Api *api;
    LIST_ENTRY(Caller) link;
    HttpConnection *connection;
    Standing standing; /* on the unix socket */
    Identity vetted;   /* there, when it is an operator */
    char *refusal;     /* owned; when refused: what it is told */

    /* The call in hand. */
    Identity identity; /* who makes it */
    const HttpRequest *request;
    const Route *route; /* NULL until the caller is known, or when there is none */
    char parameter[CALL_PARAMETER_MAX];
    Query query;
    json_t *body; /* owned; an object, or NULL */
    Waiting waiting;
    uint64_t key;
    struct event *deadline;
    void (*on_answer)(Caller *caller, const char *json); /* for the warden's 200; NULL: sent on */
    const CallerStream *stream;
    void *stream_data;
    bool streaming; /* the answer has begun and has no end yet */
};

extern const HttpHandlers caller_handlers;

/* Answers, which end the call. `fields`: further header lines, or NULL. */
void caller_answer(Caller *caller, unsigned status, const char *json, size_t size);
void caller_answer_fields(Caller *caller, unsigned status, const char *fields, const char *json,
                          size_t size);
void caller_answer_json_take(Caller *caller, unsigned status, const char *fields, json_t *json);
void caller_answer_other(Caller *caller, const HttpAnswer *answer);
void caller_fail(Caller *caller, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void caller_fail_fields(Caller *caller, unsigned status, const char *fields, const char *code,
                        const char *words);

/* From now on `work` drives the call and is told of its end, whichever that is. */
void caller_work(Caller *caller, const CallerStream *work, void *data);
/* Begins an answer whose end is not known yet. False: only the head was wanted, the call is over.
 */
bool caller_stream(Caller *caller, const HttpAnswer *head);
/* The stream is whole: ends the call. */
void caller_stream_end(Caller *caller);
/* Cuts the stream off: ends the call, and soon the connection. */
void caller_stream_abort(Caller *caller);
/* Ends the streams of everybody for whom `ends` is true. */
void callers_end_streams(Api *api, bool (*ends)(Caller *caller, const void *userdata),
                         const void *userdata);

/* Puts a question to the warden, whose answer becomes the call's: API_ANSWER is sent on as it is.
 * The buffer is emptied. */
void caller_ask_warden(Caller *caller, uint16_t type, Buffer *payload);
/* The call waits for the hasher, within a deadline. */
void caller_wait_for_hasher(Caller *caller);
void caller_waited(Caller *caller);

/* Frames of the two links; -EPROTO when the frame is no answer: the link must be dropped. */
int caller_on_warden(Api *api, const LinkFrame *frame);
int caller_on_executor(Api *api, const LinkFrame *frame);
/* The link is gone: whoever waits for it is told so. */
void caller_on_lost(Api *api, Waiting waiting);

/* "clawrden-cli/…" says so. */
bool caller_is_cli(const Caller *caller);

/* route.c: gates the call (path, role, query, body) and runs its handler. */
const Route *route_of_health(const HttpHead *head);
/* The way to become somebody, when that is what is asked for. */
bool route_is_login(const HttpHead *head);
void route_run(Caller *caller);
