/*
 * A cell: one runner, whatever it becomes and starts, and the means to end all of it.
 *
 * A CellBlock makes cells, keeps a spare one ready (a fork ahead of time keeps the fork off the
 * road of a command) and holds what they share. Two kinds (CellKind): a cgroup2 leaf, or a
 * supervisor process where there is no usable cgroup2.
 *
 * What a cell tells its owner comes in this order: any number of `said`; `parted` once (the runner
 * has become the command, or has died); `exited` once; `empty` once, when nothing is alive any
 * more. With `empty` the cell is the block's again.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "exec/cgroup.h"
#include "exec/container.h"
#include "exec/keepers.h"
#include "exec/runner.h"

typedef struct Cell Cell;
typedef struct CellBlock CellBlock;
typedef struct CellKind CellKind;

typedef struct CellHandlers {
    void (*said)(Cell *cell, uint8_t type, const char *payload, size_t size, void *userdata);
    void (*parted)(Cell *cell, void *userdata);
    /* kind 0: exit code `value`; 1: signal. `left`: processes that the command left behind. */
    void (*exited)(Cell *cell, uint8_t kind, uint8_t value, unsigned left, void *userdata);
    void (*empty)(Cell *cell, void *userdata);
} CellHandlers;

/* What one jail may take of a block. It lives, wherever its maker keeps it, until `n_cells` is 0.
 * No more than half of the block's cells are granted to one share, whatever `most` says; beside
 * them it may have half as many that are dying. */
typedef struct CellShare {
    unsigned most;    /* cells that are not dying */
    unsigned n_cells; /* all that it has */
    unsigned n_dying; /* of them: killed, or there only to dispose of descriptors */
} CellShare;

struct Cell {
    CellBlock *block;
    CellShare *share; /* NULL: a spare's */
    bool is_dying;
    void *userdata; /* NULL: a spare, or one that nobody waits for */
    int control_fd; /* to the runner */
    bool has_parted, has_exited;
    bool tells_keeper; /* its first word is RUNNER_KEPT */
    Keeper *keeper;    /* or NULL */
    PidRef child;      /* the runner; under a supervisor: the supervisor */
    pid_t pid;         /* of the runner and later the command; 0 while unknown */
    struct event control_event, child_event;
    /* cgroup */
    bool is_image;    /* the runner is a program of its own, and is told its origin */
    CgroupTree *tree; /* whose leaf it is */
    CgroupLeaf *leaf;
    bool is_watched; /* until the leaf is empty */
    /* in a container (mirror.h) */
    Container *container; /* used; NULL: where we live */
    bool is_joining;      /* the runner is still outside */
    PidRef first;         /* what the runner was before it went in; not reaped yet */
    PrivateMounts mounts; /* a mount namespace of its own; 0: none */
    /* supervisor */
    int lead_fd;
    struct event lead_event;
    bool is_empty;      /* the supervisor said so */
    Cell *next, **link; /* in the block's list */
};

/* What differs between the kinds. */
struct CellKind {
    uint32_t flags; /* PREPARED_ flags */
    /* Forks the runner (to live with its end of `control_fd`). 0 or -errno. */
    int (*start)(Cell *cell, int control_fd);
    /* The runner's socket has closed: from now on watch for its end. */
    void (*parted)(Cell *cell);
    void (*signal)(Cell *cell, int signal_number, bool group);
    void (*signal_all)(Cell *cell, int signal_number);
    void (*kill)(Cell *cell);
    void (*freeze)(Cell *cell, bool frozen);
    /* Releases what the kind holds. */
    void (*done)(Cell *cell);
};

struct CellBlock {
    struct event_base *loop;
    const CellKind *kind;
    const CellHandlers *handlers;
    RunnerOrigin origin;
    int image_fd;     /* the runner's program (image.h); -EBADF: runners are forked */
    CgroupTree *tree; /* NULL: supervisors */
    int watch_fd;     /* epoll on the cgroup.events of leaves that must become empty */
    struct event watch_event;
    struct event refill_event, orphans_event;
    Cell *cells; /* all */
    unsigned n_cells, cells_max;
    Cell *spare;
    Containers *containers; /* or NULL */
    bool closing;
    bool may_relay; /* a command may run where its caller's program is not needed (relay.h) */
};

extern const CellKind cell_kind_cgroup, cell_kind_supervised;

/* `no_cgroup` forces supervisors, `no_image` forked runners. `origin` is copied. 0 or -errno. */
int cell_block_new(CellBlock **ret, struct event_base *loop, const RunnerOrigin *origin,
                   const char *run_dir, bool no_cgroup, bool no_image,
                   const CellHandlers *handlers);
/* Kills everything and waits for its end, at most two seconds. */
CellBlock *cell_block_free(CellBlock *block);
/* Starts the spare cell, if there is none: now, or soon, when a command has ended; or late, for one
 * that an engine starts, which takes all the processors that there are. */
void cell_block_refill(CellBlock *block);
void cell_block_refill_soon(CellBlock *block);
void cell_block_refill_late(CellBlock *block);

/* The share has as many living cells as it may. */
bool cell_share_is_full(const CellBlock *block, const CellShare *share);
/* A cell can be had on the share's account, a living one or one that disposes. */
bool cell_share_has_room(const CellBlock *block, const CellShare *share);
unsigned cell_share_most(const CellBlock *block, const CellShare *share);

/* A cell with a runner that waits for its assignment. 0, -EAGAIN at the block's limit, -errno. */
int cell_take(CellBlock *block, CellShare *share, void *userdata, Cell **ret);
/* The same with one that has joined the caller's container, or is about to. */
int cell_take_joined(CellBlock *block, CellShare *share, Container *container,
                     const Identity *caller, void *userdata, Cell **ret);
/* Hands over the caller's identity and descriptors. 0: they are closed here, and that was not the
 * last close. -errno: they are still the caller's to dispose of. */
int cell_assign_take(Cell *cell, const Identity *caller, int *fds, size_t n_fds);
/* Closes descriptors, whose close may block, in a process of their own. As cell_assign_take(). */
int cell_dispose_take(CellBlock *block, CellShare *share, int *fds, size_t n_fds);
/* 0 or -errno. */
int cell_send(Cell *cell, uint8_t type, const void *payload, size_t size);
/* With a descriptor, which stays the caller's. */
int cell_send_fd(Cell *cell, uint8_t type, int fd);
/* An order to run will follow: what can be done for that is done now. */
void cell_expect_end(Cell *cell);
/* After the order to run: the start is heard of with the end, or some milliseconds later. Whoever
 * hears of it at once takes the processor from a command that has just begun. */
void cell_run_quietly(Cell *cell);
pid_t cell_pid(Cell *cell);
/* To the command alone or its process group. */
void cell_signal(Cell *cell, int signal_number, bool group);
/* To every process in the cell. */
void cell_signal_all(Cell *cell, int signal_number);
void cell_kill(Cell *cell);
/* Nothing in the cell runs until it is thawed; killing works all the same. A supervisor can only
 * stop (SIGSTOP) what it finds, again and again: whoever may signal those processes can have them
 * run for a moment, and thawing continues what had stopped by itself. */
void cell_freeze(Cell *cell, bool frozen);
/* Nobody wants to hear of it any more: kills it. */
void cell_abandon(Cell *cell);

/* For mirror.c: a cell that joins, as a spare or for somebody who waits. 0 or -errno. */
int cell_start_joined(CellBlock *block, Container *container, bool is_spare, Cell **ret);

/* For cell-assign.c: a cell that is nobody's; `tree` is where its leaf will be. 0 or -errno. */
int cell_start(CellBlock *block, CgroupTree *tree, Cell **ret);
void cell_count_as_dying(Cell *cell);

/* cell-cgroup.c: all that is in a leaf, also where its container (or NULL) is frozen; what fails is
 * logged. */
void cell_leaf_kill(CgroupLeaf *leaf, const Container *container);
void cell_leaf_freeze(CgroupLeaf *leaf, bool frozen);

/* For the kinds. */
void cell_drain_control(Cell *cell);
void cell_part(Cell *cell);
void cell_has_exited(Cell *cell, uint8_t kind, uint8_t value, unsigned left);
void cell_is_empty(Cell *cell);
