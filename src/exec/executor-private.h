/*
 * Inside the executor process: what its files share.
 *
 *   executor.c   set-up, links, permit tables, the end
 *   doors.c      the doors' links and their jails; getting rid of what they passed
 *   open.c       EXEC_OPEN and VET_PEER: who is there, and may it
 *   requests.c   the table of requests and their life after that
 *   installs.c   jails into running containers
 *   ghost.c      those whose command runs in an ephemeral container
 *   engine-command.c  those whose command the engine starts in their caller's container
 *   container-orders.c  whole containers frozen, thawed, ended
 *   cell*.c      where a request's processes live
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/fd.h"
#include "base/process.h"
#include "exec/cell.h"
#include "exec/identity.h"
#include "jail/settings.h"
#include "wire/link.h"
#include "wire/message.h"

/* Ways of older machines, forced by tests. */
typedef struct ExecutorOptions {
    bool old_kernel; /* no SO_PEERPIDFD */
    bool no_cgroup;
    bool no_image; /* runners are forked */
} ExecutorOptions;

/* executor_main() with options. */
int executor_run(const ProcessContext *context, const ExecutorOptions *options);

/* A door that has this many commands waiting for the warden's word gets no more. */
#define PREPARED_PER_DOOR_MAX 256u
/* From EXEC_OPEN until the runner has the request and knows what would run. */
#define PREPARE_TIME_MAX_MS 10000u
/* What a command leaves behind gets this long between TERM and KILL. A relay of its output has all
 * the time that whoever reads takes. */
#define LEFTOVERS_GRACE_MS 5000u
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
typedef struct Jail Jail;
typedef struct Door Door;
typedef struct Disposal Disposal;
typedef struct Installation Installation;
typedef struct ContainerOrder ContainerOrder;
typedef struct EngineCommand EngineCommand;

typedef struct Request {
    Executor *executor;
    uint64_t key;
    RequestState state;
    Jail *jail;
    Door *door; /* NULL once it has left the prepared states, or the door is gone */
    Cell *cell;
    Identity *caller;     /* owned; until EXEC_PREPARED */
    Container *container; /* used; NULL: the caller lives where we do */
    pid_t caller_pid;     /* from then on */
    uint64_t caller_start_time;
    uid_t caller_uid;
    gid_t caller_gid;
    int caller_oom_score_adj;
    struct event timer;
    bool in_grace;                 /* TERM has been sent, KILL follows */
    bool is_frozen;                /* by the kill switch */
    uint8_t exit_kind, exit_value; /* of the command; SIGKILL until known */
    unsigned left;
    bool relays;            /* it runs elsewhere; its runner is a relay (ghost.h) */
    PidRef ghost;           /* the first process there, if it can be seen */
    uint8_t ghost_waiting;  /* a signal that came before it was seen */
    uint8_t ghost_signal;   /* what it was ended for, and has died of; 0: nothing yet */
    EngineCommand *command; /* it runs by the engine's exec (engine-command.h); else NULL */
    struct Request *next;
} Request;

/* Outlives its doors as long as anything of it is alive. */
struct Jail {
    char *name; /* owned */
    CellShare share;
    unsigned n_doors;
    Jail *next;
};

struct Door {
    Executor *executor;
    Link *link;
    uint32_t id;
    Jail *jail;
    char *socket; /* owned: path of the jail's listener */
    unsigned n_prepared;
    bool is_held; /* not read for now (doors.c) */
    Door *next;
};

/* Connections of the api's clients that have been looked at and will be disposed of together. */
typedef struct Gathered {
    int fds[FD_MESSAGE_MAX];
    size_t n_fds;
    struct event event;
} Gathered;

struct Executor {
    const ProcessContext *context;
    const ExecutorOptions *options;
    struct event_base *loop;
    Link *control, *warden, *api;
    Link *engine;        /* NULL: nothing can run in ghost */
    CellShare api_share; /* of what vetting the api's clients takes */
    bool is_api_held;
    Jail *jails;
    Door *doors;
    Disposal *disposals; /* what could not be disposed of yet */
    Gathered gathered;
    struct event retry_event;
    Installation *installations; /* under way */
    ContainerOrder *container_orders;
    EngineCommand *commands; /* all */
    CellBlock *block;
    Containers *containers;
    Identity self;
    World world;
    Request *requests[REQUEST_BUCKETS];
    bool stopping; /* ordered: exit status 0 */
    bool lost;     /* a link without which nothing may run is gone */
};

extern const CellHandlers request_handlers;

/* doors.c */
/* MESSAGE_JAIL: a new jail, or other settings. 0 or -errno. */
int jail_take_settings(Executor *executor, const LinkFrame *frame);
/* Takes `fd`. -EPROTO: nothing has been said about the jail. */
int door_add_take(Executor *executor, uint32_t id, const char *jail, const char *socket, int fd);
/* Closes descriptors that may block whoever closes them, in a process that may be blocked; now, or
 * as soon as there is one. */
void dispose_take(Executor *executor, CellShare *share, int *fds, size_t n_fds);
/* The same for a connection of one of the api's clients, a moment later. */
void dispose_vetted_take(Executor *executor, int fd);
void on_gathered(evutil_socket_t fd, short what, void *executor);
/* All that a link holds, like dispose_take(); frees the link, returns NULL. */
Link *dismantle(Executor *executor, CellShare *share, Link *link);
/* Stops reading a link while the share has no room for another cell. */
void hold_back(Executor *executor, const CellShare *share, Link *link, bool *is_held);
void on_retry(evutil_socket_t fd, short what, void *executor);
/* No more frames of doors and api. */
void doors_silence(Executor *executor);
/* Before the process ends: closes nothing that could block. */
void doors_free(Executor *executor);

/* open.c. The frame's descriptors are taken. */
void open_request(Door *door, LinkFrame *frame);
void vet_peer(Executor *executor, LinkFrame *frame);

/* requests.c */
Request *request_find(const Executor *executor, uint64_t key);
/* Starts a request on its way; `fds` are taken and disposed of whatever happens. */
void request_open_take(Door *door, uint64_t key, const Identity *caller, Container *container,
                       int *fds, size_t n_fds);
void request_refuse(Executor *executor, uint64_t key, ExecFailure failure, const char *why);
/* The request's command runs elsewhere, and its runner gets the stream to carry. Takes `fd`. */
void request_relay_take(Executor *executor, uint64_t key, int fd);
/* It cannot be, and the warden is told why; the request is void. */
void request_fail(Request *request, ExecFailure failure, const char *why);
/* It starts: it is no longer one of its door's prepared ones. */
void request_begin(Request *request);
/* Nothing of it is left: the warden is told how it ended; the request is void. */
void request_end(Request *request, uint8_t kind, uint8_t value, unsigned left);
/* One of the warden's orders. False when it is not one, or not now: fatal to the sender. */
bool request_obey(Executor *executor, const LinkFrame *frame);
/* The door is gone: its prepared requests go too. */
void requests_drop_of(Door *door);
/* Forgets all of them (the block has been freed or will be). */
void requests_free(Executor *executor);

/* installs.c */
/* MESSAGE_INSTALL: the answer follows. 0 or -EPROTO. */
int install_order_take(Executor *executor, const LinkFrame *frame);
void installations_free(Executor *executor);

/* container-orders.c */
/* EXEC_CONTAINER. False: fatal to the sender. */
bool container_order_take(Executor *executor, const LinkFrame *frame);
void container_orders_free(Executor *executor);

/* The executor cannot go on. */
void executor_lose(Executor *executor, const char *why);
