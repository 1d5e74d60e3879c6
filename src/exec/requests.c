/*
 * The requests of all jails, from the runner's assignment to the end of the last process.
 *
 * A key is known from EXEC_OPEN until the last message about it is sent, and forgotten just before
 * that: the warden may have the same request opened again as soon as it has read it. An order for a
 * key that is not known is no mistake: it has crossed with that last message.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "exec/ancestry.h"
#include "exec/engine-command.h"
#include "exec/executor-private.h"
#include "exec/ghost.h"
#include "exec/refusal.h"

/* A kill that did not empty the cell is repeated. */
#define KILL_AGAIN_MS 1000u
/* The longest grace an order may ask for. */
#define GRACE_MAX_MS (3600u * 1000)

static Request **bucket_of(const Executor *executor, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (Request **)&executor->requests[mixed >> 32 & (REQUEST_BUCKETS - 1)];
}

Request *request_find(const Executor *executor, uint64_t key)
{
    Request *request = *bucket_of(executor, key);
    while (request && request->key != key)
        request = request->next;
    return request;
}

/* No longer one of the jail's prepared requests. */
static void leave_door(Request *request)
{
    if (request->door)
        request->door->n_prepared--;
    request->door = NULL;
}

/* Forgets the key; whatever still lives in its cell is killed. */
static void forget(Request *request)
{
    Request **link = bucket_of(request->executor, request->key);

    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    leave_door(request);
    (void)event_del(&request->timer);
    if (request->cell)
        cell_abandon(request->cell);
    if (request->command)
        engine_command_abandon(request->command);
    ghost_kill(request);
    pidref_done(&request->ghost);
    if (request->container)
        container_let_go(request->container);
    free(request->caller);
    free(request);
}

static void tell_warden(Executor *executor, uint16_t type, uint64_t key, Buffer *payload)
{
    int result = executor->warden ? link_send_buffer(executor->warden, type, key, payload) : -EPIPE;
    buffer_done(payload);
    if (result < 0)
        executor_lose(executor, "the warden does not read");
}

void request_refuse(Executor *executor, uint64_t key, ExecFailure failure, const char *why)
{
    Buffer payload = BUFFER_EMPTY(8192);

    buffer_put_u8(&payload, (uint8_t)failure);
    buffer_put_string(&payload, why);
    tell_warden(executor, EXEC_FAILED, key, &payload);
}

void request_fail(Request *request, ExecFailure failure, const char *why)
{
    Executor *executor = request->executor;
    uint64_t key = request->key;

    forget(request);
    request_refuse(executor, key, failure, why);
}

static void set_timer(Request *request, uint64_t milliseconds)
{
    const struct timeval after = clock_timeval_of_ms(milliseconds);
    (void)event_add(&request->timer, &after);
}

static void kill_now(Request *request)
{
    request->in_grace = false;
    ghost_kill(request);
    if (request->command)
        engine_command_kill(request->command);
    if (request->cell)
        cell_kill(request->cell);
    set_timer(request, KILL_AGAIN_MS);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Request *request = userdata;

    if (request->state == REQUEST_PREPARING)
        request_fail(request, EXEC_FAILURE_BROKEN,
                     "the command was not ready to be judged within 10 s; nothing was run");
    else
        kill_now(request);
}

static void terminate(Request *request, uint64_t grace_ms)
{
    if (request->command) {
        engine_command_terminate(request->command, request->is_frozen);
    } else if (request->relays) { /* the relay ends with what it carries */
        ghost_signal(request, SIGTERM, true);
        ghost_signal(request, SIGCONT, true);
    } else {
        cell_signal_all(request->cell, SIGTERM);
        if (!request->is_frozen) /* it dies frozen */
            cell_signal_all(request->cell, SIGCONT);
    }
    request->in_grace = true;
    set_timer(request, grace_ms);
}

/* The jail has no share left: whoever lingers in it has lingered long enough. */
static void hurry(const Jail *jail, const Executor *executor)
{
    for (size_t i = 0; i < REQUEST_BUCKETS; i++) {
        for (Request *request = executor->requests[i]; request; request = request->next) {
            if (request->jail == jail && request->in_grace)
                kill_now(request);
        }
    }
}

/* False, and the words why: the jail has as much as it may have. */
static bool may_have_another(const Door *door, char why[static REFUSAL_TEXT_MAX])
{
    const CellBlock *block = door->executor->block;
    const CellShare *share = &door->jail->share;

    if (door->n_prepared >= PREPARED_PER_DOOR_MAX) {
        (void)snprintf(why, REFUSAL_TEXT_MAX,
                       "too many commands of this jail are waiting to be judged; nothing was run, "
                       "try again");
        return false;
    }
    if (cell_share_is_full(block, share))
        hurry(door->jail, door->executor);
    if (!cell_share_is_full(block, share))
        return true;
    (void)snprintf(
        why, REFUSAL_TEXT_MAX,
        "this jail has %u commands running already (its limit \"commands\"); nothing was "
        "run, try again when one of them has ended",
        cell_share_most(block, share));
    return false;
}

static Request *new_request(Door *door, uint64_t key, const Identity *caller, Container *container)
{
    Executor *executor = door->executor;
    Request *request = calloc(1, sizeof *request);
    Identity *copy = malloc(sizeof *copy);

    if (!request || !copy) {
        free(copy);
        free(request);
        return NULL;
    }
    *copy = *caller;
    *request = (Request){.executor = executor,
                         .key = key,
                         .caller = copy,
                         .container = container ? container_use(container) : NULL,
                         .jail = door->jail,
                         .door = door,
                         .ghost = PIDREF_EMPTY,
                         .exit_kind = 1,
                         .exit_value = SIGKILL};
    door->n_prepared++;
    (void)event_assign(&request->timer, executor->loop, -1, 0, on_timer, request);
    Request **link = bucket_of(executor, key);
    request->next = *link;
    *link = request;
    return request;
}

static int take_cell(Request *request, const Identity *caller)
{
    CellBlock *block = request->executor->block;
    CellShare *share = &request->jail->share;

    return request->container
               ? cell_take_joined(block, share, request->container, caller, request, &request->cell)
               : cell_take(block, share, request, &request->cell);
}

void request_open_take(Door *door, uint64_t key, const Identity *caller, Container *container,
                       int *fds, size_t n_fds)
{
    Executor *executor = door->executor;
    char why[REFUSAL_TEXT_MAX];

    if (!may_have_another(door, why)) {
        dispose_take(executor, &door->jail->share, fds, n_fds);
        request_refuse(executor, key, EXEC_FAILURE_BROKEN, why);
        return;
    }
    Request *request = new_request(door, key, caller, container);
    int result = request ? take_cell(request, caller) : -ENOMEM;
    if (result == 0)
        result = cell_assign_take(request->cell, caller, fds, n_fds);
    if (result == 0) {
        set_timer(request, PREPARE_TIME_MAX_MS);
        return;
    }
    dispose_take(executor, &door->jail->share, fds, n_fds);
    if (request)
        forget(request);
    request_refuse(executor, key, EXEC_FAILURE_BROKEN,
                   result == -EAGAIN ? "too many commands are running; nothing was run, try again"
                                     : strerror(-result));
}

/* What runners say. They count as hostile: one word out of place ends them. */
static bool on_prepared(Request *request, Reader *reader)
{
    Buffer payload = BUFFER_EMPTY(64 * 1024);
    const Identity *caller = request->caller;

    if (request->state != REQUEST_PREPARING)
        return false;
    Prepared prepared = {.pid = caller->pid,
                         .uid = caller->uids[0],
                         .gid = caller->gids[0],
                         .start_time = caller->start_time,
                         .groups = caller->groups,
                         .n_groups = caller->n_groups,
                         .container = request->container ? request->container->id : "",
                         .container_start_time =
                             request->container ? request->container->first.start_time : 0};
    prepared.flags = reader_u32(reader) | request->executor->block->kind->flags;
    if (request->cell->mounts.inode != 0 || (request->container && request->container->n_shims > 0))
        prepared.flags |= PREPARED_HARDENED;
    if (!request->container && identity_is_powerful(caller))
        prepared.flags |= PREPARED_POWERFUL;
    prepared.exe = reader_string(reader);
    prepared.interpreter = reader_string(reader);
    prepared.operand = reader_string(reader);
    prepared.cwd = reader_string(reader);
    prepared.cwd_device = reader_u64(reader);
    prepared.cwd_inode = reader_u64(reader);
    if (!reader_done(reader))
        return false;
    prepared_encode(&payload, &prepared);
    request->state = REQUEST_PREPARED;
    (void)event_del(&request->timer);
    request->caller_pid = caller->pid;
    request->caller_start_time = caller->start_time;
    request->caller_uid = caller->uids[0];
    request->caller_gid = caller->gids[0];
    request->caller_oom_score_adj = caller->oom_score_adj;
    free(request->caller);
    request->caller = NULL;
    tell_warden(request->executor, EXEC_PREPARED, request->key, &payload);
    cell_expect_end(request->cell);
    return true;
}

static bool on_hashed(Request *request, const char *bytes, size_t size)
{
    Executor *executor = request->executor;
    Buffer payload = BUFFER_EMPTY(1024);
    uint64_t key = request->key;
    Examined examined;

    if (request->state != REQUEST_HASHING || examined_decode(bytes, size, &examined) < 0)
        return false;
    Ancestor root =
        ancestry_root(request->caller_pid, request->caller_start_time, request->caller_uid);
    examined.root_pid = root.pid;
    examined.root_start_time = root.start_time;
    examined_encode(&payload, &examined);
    forget(request);
    tell_warden(executor, EXEC_HASHED, key, &payload);
    cell_block_refill_soon(executor->block); /* the answer may come at once */
    return true;
}

static bool on_failed(Request *request, Reader *reader)
{
    uint8_t failure = reader_u8(reader);
    const char *why = reader_string(reader);

    if (request->state > REQUEST_STARTING || !reader_done(reader) || failure == 0 ||
        failure >= EXEC_FAILURE_MAX_)
        return false;
    request_fail(request, (ExecFailure)failure, why);
    return true;
}

static void on_said(Cell *cell UNUSED, uint8_t type, const char *payload, size_t size,
                    void *userdata)
{
    Request *request = userdata;
    Reader reader = reader_of(payload, size);
    bool permitted = false;

    if (request->state == REQUEST_ENDING)
        return; /* it is being killed */
    if (type == RUNNER_PREPARED)
        permitted = on_prepared(request, &reader);
    else if (type == RUNNER_HASHED)
        permitted = on_hashed(request, payload, size);
    else if (type == RUNNER_FAILED)
        permitted = on_failed(request, &reader);
    if (!permitted)
        request_fail(request, EXEC_FAILURE_BROKEN, "the command's process broke its protocol");
}

static void on_parted(Cell *cell, void *userdata)
{
    Request *request = userdata;
    Buffer payload = BUFFER_EMPTY(64);

    if (request->state == REQUEST_ENDING)
        return;
    if (request->state != REQUEST_STARTING) {
        request_fail(request, EXEC_FAILURE_BROKEN, "the command's process died before the command");
        return;
    }
    request->state = REQUEST_RUNNING;
    buffer_put_u32(&payload, (uint32_t)(request->command ? engine_command_pid(request->command)
                                                         : cell_pid(cell)));
    /* A quick command has ended by now: that goes with it. */
    Executor *executor = request->executor;
    int result = executor->warden ? link_send_soon(executor->warden, EXEC_STARTED, request->key,
                                                   payload.bytes, payload.size)
                                  : -EPIPE;
    buffer_done(&payload);
    if (result < 0)
        executor_lose(executor, "the warden does not read");
}

static void on_exited(Cell *cell, uint8_t kind, uint8_t value, unsigned left, void *userdata)
{
    Request *request = userdata;
    Buffer payload = BUFFER_EMPTY(64);
    bool was_ending = request->state == REQUEST_ENDING;

    if (request->command) {
        engine_command_relay_exited(request, kind, value);
        if (left > 0)
            cell_kill(cell);
        return;
    }
    if (request->relays && kind == 0 && value == 0 && ghost_died_of(request)) {
        kind = 1;
        value = ghost_died_of(request);
    }
    request->exit_kind = kind;
    request->exit_value = value;
    request->left = left;
    request->state = REQUEST_ENDING;
    if (left == 0)
        return;
    buffer_put_u8(&payload, kind);
    buffer_put_u8(&payload, value);
    tell_warden(request->executor, EXEC_EXITED, request->key, &payload);
    if (!was_ending && !event_pending(&request->timer, EV_TIMEOUT, NULL))
        terminate(request, LEFTOVERS_GRACE_MS);
}

void request_end(Request *request, uint8_t kind, uint8_t value, unsigned left)
{
    Executor *executor = request->executor;
    Buffer payload = BUFFER_EMPTY(64);
    uint64_t key = request->key;

    buffer_put_u8(&payload, kind);
    buffer_put_u8(&payload, value);
    buffer_put_u32(&payload, left);
    forget(request);
    tell_warden(executor, EXEC_ENDED, key, &payload);
    cell_block_refill_soon(executor->block);
}

void request_begin(Request *request)
{
    request->state = REQUEST_STARTING;
    leave_door(request);
}

static void on_empty(Cell *cell UNUSED, void *userdata)
{
    Request *request = userdata;

    request->cell = NULL;
    if (request->command)
        engine_command_relay_gone(request);
    else
        request_end(request, request->exit_kind, request->exit_value, request->left);
}

const CellHandlers request_handlers = {
    .said = on_said, .parted = on_parted, .exited = on_exited, .empty = on_empty};

/* The warden's orders. */
static bool obey_hash(Request *request, const LinkFrame *frame)
{
    if (frame->size != 0 || request->state != REQUEST_PREPARED)
        return false;
    request->state = REQUEST_HASHING;
    if (cell_send(request->cell, RUNNER_HASH, NULL, 0) < 0)
        request_fail(request, EXEC_FAILURE_BROKEN, "the runner cannot be reached");
    return true;
}

static bool obey_run(Request *request, const LinkFrame *frame)
{
    RunOrder order;

    if (request->state != REQUEST_PREPARED ||
        run_order_decode(frame->payload, frame->size, &order) < 0)
        return false;
    if (request->executor->context->dry_run) {
        request_fail(request, EXEC_FAILURE_BROKEN, "the warden only rehearses (--dry-run)");
        return true;
    }
    request_begin(request);
    if (cell_send(request->cell, RUNNER_RUN, frame->payload, frame->size) < 0)
        request_fail(request, EXEC_FAILURE_BROKEN, "the runner cannot be reached");
    else
        cell_run_quietly(request->cell);
    return true;
}

static bool obey_drop(Request *request, const LinkFrame *frame)
{
    if (frame->size != 0 || request->state > REQUEST_HASHING)
        return false;
    forget(request);
    return true;
}

static bool may_be_sent(int signal_number)
{
    static const int permitted[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                    SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};

    for (size_t i = 0; i < ARRAY_SIZE(permitted); i++) {
        if (permitted[i] == signal_number)
            return true;
    }
    return false;
}

static bool obey_signal(Request *request, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    int signal_number = reader_u8(&reader);
    bool group = reader_u8(&reader) != 0;

    if (!reader_done(&reader))
        return false;
    if (request->state != REQUEST_RUNNING || !may_be_sent(signal_number))
        return true;
    if (request->command)
        engine_command_signal(request->command, signal_number, group);
    else if (request->relays)
        ghost_signal(request, signal_number, group);
    else
        cell_signal(request->cell, signal_number, group);
    return true;
}

static bool obey_freeze(Request *request, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    bool frozen = reader_u8(&reader) != 0;

    /* What runs in ghost is still prepared here while its container is being made. */
    if (!reader_done(&reader) || request->state < REQUEST_PREPARED)
        return false;
    request->is_frozen = frozen;
    if (request->command)
        engine_command_freeze(request->command, frozen);
    if (request->cell)
        cell_freeze(request->cell, frozen);
    return true;
}

static bool obey_end(Request *request, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint32_t grace_ms = reader_u32(&reader);

    if (!reader_done(&reader) || grace_ms > GRACE_MAX_MS)
        return false;
    bool has_run = request->state >= REQUEST_STARTING;
    leave_door(request);
    if (!has_run || grace_ms == 0) {
        kill_now(request);
    } else {
        terminate(request, grace_ms);
    }
    if (!has_run)
        request->state = REQUEST_ENDING;
    return true;
}

bool request_obey(Executor *executor, const LinkFrame *frame)
{
    static const struct {
        uint16_t type;
        bool (*obey)(Request *request, const LinkFrame *frame);
    } orders[] = {{EXEC_RUN, obey_run},       {EXEC_LAUNCH, engine_command_launch},
                  {EXEC_HASH, obey_hash},     {EXEC_DROP, obey_drop},
                  {EXEC_SIGNAL, obey_signal}, {EXEC_FREEZE, obey_freeze},
                  {EXEC_END, obey_end}};

    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        if (orders[i].type != frame->type)
            continue;
        Request *request = request_find(executor, frame->key);
        return !request || orders[i].obey(request, frame);
    }
    return false;
}

void request_relay_take(Executor *executor, uint64_t key, int fd)
{
    _cleanup_fd_ int stream = fd;
    Request *request = request_find(executor, key);

    if (!request || request->state != REQUEST_PREPARED)
        return; /* it has ended meanwhile, and the warden tells the engine process */
    request->relays = true;
    request_begin(request);
    if (cell_send_fd(request->cell, RUNNER_RELAY, stream) < 0)
        request_fail(request, EXEC_FAILURE_BROKEN, "the runner cannot be reached");
}

void requests_drop_of(Door *door)
{
    for (size_t i = 0; i < REQUEST_BUCKETS; i++) {
        for (Request *request = door->executor->requests[i], *next; request; request = next) {
            next = request->next;
            if (request->door == door)
                forget(request);
        }
    }
}

void requests_free(Executor *executor)
{
    for (size_t i = 0; i < REQUEST_BUCKETS; i++) {
        while (executor->requests[i])
            forget(executor->requests[i]);
    }
}
