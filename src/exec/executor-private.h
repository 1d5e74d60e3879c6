/*
 * Inside the executor process: what its files share.
 *
 *   executor.c   set-up, links, permit tables, the end
 *   open.c       EXEC_OPEN and VET_PEER: who is there, and may it
 *   requests.c   the table of requests and their life after that
 *   cell*.c      where a request's processes live
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/process.h"
#include "exec/cell.h"
#include "exec/identity.h"
#include "wire/link.h"
#include "wire/message.h"

/* Ways of older machines, forced by tests. */
typedef struct ExecutorOptions {
    bool old_kernel; /* no SO_PEERPIDFD */
    bool no_cgroup;
} ExecutorOptions;

/* executor_main() with options. */
int executor_run(const ProcessContext *context, const ExecutorOptions *options);

/* A jail that has this many commands waiting for the warden's word gets no more. */
#define PREPARED_PER_DOOR_MAX 256u
#define REQUEST_BUCKETS 1024u

typedef enum RequestState {
    REQUEST_PREPARING, /* the runner has its assignment */
    REQUEST_PREPARED,  /* it waits for the warden's order */
    REQUEST_HASHING,
    REQUEST_STARTING, /* ordered to run; no word yet whether the exec succeeded */
    REQUEST_RUNNING,
    REQUEST_ENDING, /* the command has ended, or must; waiting until nothing is left */
} RequestState;

typedef struct Executor Executor;
typedef struct Door Door;

typedef struct Request {
    Executor *executor;
    uint64_t key;
    RequestState state;
    Door *door; /* NULL once it has left the prepared states, or the door is gone */
    Cell *cell;
    Identity *caller; /* owned; until EXEC_PREPARED */
    struct event timer;
    uint8_t exit_kind, exit_value; /* of the command; SIGKILL until known */
    unsigned left;
    struct Request *next;
} Request;

struct Door {
    Executor *executor;
    Link *link;
    uint32_t id;
    char *jail;   /* owned */
    char *socket; /* owned: path of the jail's listener */
    unsigned n_prepared;
    Door *next;
};

struct Executor {
    const ProcessContext *context;
    const ExecutorOptions *options;
    struct event_base *loop;
    Link *control, *warden, *api;
    Door *doors;
    CellBlock *block;
    Identity self;
    World world;
    Request *requests[REQUEST_BUCKETS];
    bool stopping; /* ordered: exit status 0 */
    bool lost;     /* a link without which nothing may run is gone */
};

extern const CellHandlers request_handlers;

/* open.c. The frame's descriptors are taken. */
void open_request(Door *door, LinkFrame *frame);
void vet_peer(Executor *executor, LinkFrame *frame);

/* requests.c */
Request *request_find(const Executor *executor, uint64_t key);
/* Starts a request on its way; `fds` are taken and disposed of whatever happens. */
void request_open_take(Door *door, uint64_t key, const Identity *caller, int *fds, size_t n_fds);
void request_refuse(Executor *executor, uint64_t key, ExecFailure failure, const char *why);
/* Closes descriptors that may block whoever closes them, in a process that may be blocked. */
void request_dispose_take(Executor *executor, int *fds, size_t n_fds);
/* One of the warden's orders. False when it is not one, or not now: fatal to the sender. */
bool request_obey(Executor *executor, const LinkFrame *frame);
/* The door is gone: its prepared requests go too. */
void requests_drop_of(Door *door);
/* Forgets all of them (the block has been freed or will be). */
void requests_free(Executor *executor);

/* The executor cannot go on. */
void executor_lose(Executor *executor, const char *why);
