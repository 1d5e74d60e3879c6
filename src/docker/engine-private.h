/*
 * Inside the client: what its files share.
 *
 *   engine.c      calls from beginning to end: waiting for a connection, deadlines, answers
 *   transport.c   a call's connection
 */
#pragma once

#include <event2/event_struct.h>

#include "base/buffer.h"
#include "docker/engine.h"
#include "docker/http.h"

typedef enum CallKind { CALL_PLAIN, CALL_STREAM, CALL_HIJACK } CallKind;

typedef enum CallState {
    CALL_WAITING, /* for a connection */
    CALL_RUNNING,
    CALL_OVER, /* `error` says how; `done` is still to be called */
} CallState;

struct EngineCall {
    Engine *engine;
    CallKind kind;
    CallState state;
    char *method, *path; /* owned */
    char *body;          /* owned; NULL: none */
    uint32_t timeout_ms, silence_ms;
    int fd; /* owned until the callback has it */
    int error;
    unsigned status;
    Buffer input;
    bool negotiates;
    bool opened, has_input; /* of a stream: begun; something to deliver */
    struct event deadline;
    bool delivering, cancelled; /* in one of its callbacks; which has cancelled it */
    void *userdata;
    EngineDone *done;
    EngineStream stream;
    EngineHijacked *hijacked;
    struct event io;
    Buffer output;
    HttpReader reader;
    EngineCall *next;
};

struct Engine {
    struct event_base *loop;
    EngineWant *want;
    void *userdata;
    struct event deliver; /* results wait */
    EngineCall *calls;    /* the oldest first */
    size_t n_calls;
    char version[8];
};

/* engine.c */
/* The call is over: its callback follows from the loop. */
void call_finish(EngineCall *call, int error);
/* There is something to deliver. */
void call_stir(EngineCall *call);

/* transport.c: on the call's connection. 0 or -errno. */
int transport_begin(EngineCall *call);
void transport_end(EngineCall *call);
