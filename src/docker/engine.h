/*
 * A client of the Docker Engine API (dockerd 20.10 and later, podman's compatible service), on the
 * caller's event loop and never waiting.
 *
 * Connections come from outside: the client has no path and opens no socket. When a call needs one
 * it says so (`want`), and the owner gives a connected stream socket, now or later. So a process
 * that may open nothing can speak with the engine. Each call takes one connection and closes it.
 *
 * Hijacked streams are handed out as descriptors. What the engine says is not trusted: answers are
 * bounded, JSON is strict (no duplicate members, no trailing data, no NUL in strings), every call
 * has a deadline, and what does not look as the API promises is -EPROTO, never a guess.
 *
 * Callbacks. Each call ends in exactly one call of its `done`, from the loop and never from within
 * the function that began it; after engine_cancel() it is not called. Callbacks may begin and
 * cancel calls (their own as well), but must not free the engine.
 */
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Engine Engine;
typedef struct EngineCall EngineCall;

#define ENGINE_ID_MAX 128u         /* bytes of a container's, exec's or image's name with its NUL */
#define ENGINE_WORDS_MAX 512u      /* bytes of an explanation with its NUL */
#define ENGINE_BODY_MAX (8u << 20) /* an answer, unless the request says less */
#define ENGINE_ITEM_MAX (1u << 20) /* one document of a stream */
#define ENGINE_CALLS_MAX 1024u     /* at the same time */
#define ENGINE_TIMEOUT_MS 20000u   /* where a request names none */

/* What became of a call. Everything in it is borrowed for the time of the callback. */
typedef struct EngineAnswer {
    int error;          /* 0: the engine has answered. -ETIMEDOUT; -ECONNRESET: it went away;
                           -EPROTO: not what the API promises; -EFBIG; whatever the owner said about
                           the connection */
    unsigned status;    /* HTTP, where error is 0 */
    const json_t *json; /* the body; NULL when there is none */
    const char *words;  /* why this is no success, in one line that is safe to show; else "" */
} EngineAnswer;

/* 2xx; also 304, which says that things are as they were asked to be. */
static inline bool engine_succeeded(const EngineAnswer *answer)
{
    return answer->error == 0 &&
           ((answer->status >= 200 && answer->status <= 299) || answer->status == 304);
}

typedef void EngineDone(const EngineAnswer *answer, void *userdata);

/* An owner answers each `want`, in order, with one of the two below, also from within it. */
typedef void EngineWant(void *userdata);

int engine_new(Engine **ret, struct event_base *loop, EngineWant *want, void *userdata);
/* Cancels everything. Accepts NULL, returns NULL. */
Engine *engine_free(Engine *engine);

/* A connected socket; it is closed when no call waits for one any more. */
void engine_connected_take(Engine *engine, int fd);
/* There is none: the call that has waited longest ends with this -errno. */
void engine_not_connected(Engine *engine, int error);

/* The version of the API that is spoken, "1.41" unless negotiated. */
const char *engine_version(const Engine *engine);
/* Asks the engine which versions it speaks and settles on one; every connection to an engine that
 * may be another one begins with it. */
int engine_negotiate(Engine *engine, EngineDone *done, void *userdata, EngineCall **ret);

typedef struct EngineRequest {
    const char *method;  /* "GET", "POST", "DELETE" */
    const char *path;    /* after the version: "/containers/json?all=1", already escaped */
    const json_t *body;  /* NULL: none */
    uint32_t timeout_ms; /* of the whole call; of a stream until it begins. 0: ENGINE_TIMEOUT_MS */
    uint32_t body_max;   /* 0: ENGINE_BODY_MAX */
    bool bare;           /* the path begins without a version */
} EngineRequest;

/* 0, -EINVAL, -ENOMEM, -EAGAIN (too many calls): then `done` is not called. `ret` may be NULL. */
int engine_call(Engine *engine, const EngineRequest *request, EngineDone *done, void *userdata,
                EngineCall **ret);

/* A stream of JSON documents, each on a line of its own (events, the progress of a pull). */
typedef struct EngineStream {
    void (*opened)(void *userdata);                   /* the engine has begun; may be NULL */
    void (*item)(const json_t *item, void *userdata); /* an object */
    EngineDone *done;    /* the stream's end; error 0 is an orderly one */
    uint32_t silence_ms; /* most time between two items; 0: any */
} EngineStream;
int engine_stream(Engine *engine, const EngineRequest *request, const EngineStream *stream,
                  void *userdata, EngineCall **ret);

/* A call whose connection becomes a stream of bytes. On success `fd` is the socket, which the
 * callback owns: nothing of the stream has been read from it yet. -EBADF otherwise. */
typedef void EngineHijacked(int fd, const EngineAnswer *answer, void *userdata);
int engine_hijack(Engine *engine, const EngineRequest *request, EngineHijacked *done,
                  void *userdata, EngineCall **ret);

/* Ends a call without a word; the pointer is dead then. Accepts NULL, returns NULL. */
EngineCall *engine_cancel(EngineCall *call);
