/*
 * See exec.h. An exec has at most one call under way, and each callback takes the step that
 * follows. Nothing is read from its stream here: only that there is something to read counts.
 */
#include "engine/exec.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "docker/calls.h"
#include "docker/decode.h"
#include "wire/engine-exec.h"
#include "wire/launch.h"
#include "wire/message.h"

/* Until the engine knows what it has started or that it has ended, it is asked again, each time a
 * little later: a launcher speaks some milliseconds before its engine has heard of its start. */
#define LOOK_FIRST_MS 0u
#define LOOK_MOST_MS 50u

typedef enum ExecState {
    EXEC_BEGINNING, /* created, started */
    EXEC_ATTACHED,  /* the launcher has not spoken yet */
    EXEC_LOOKING,   /* which process is it? */
    EXEC_GIVEN,     /* to the executor */
    EXEC_ASKED,     /* how did it end? */
} ExecState;

typedef struct Exec {
    Execs *execs;
    uint64_t key;
    ExecState state;
    char container[65], id[65];
    int stream; /* owned */
    uint32_t wait_ms;
    EngineCall *call; /* under way; NULL: none */
    struct event readable, timer;
    struct Exec *next;
} Exec;

struct Execs {
    struct event_base *loop;
    Engine *engine;
    const ExecsHandlers *handlers;
    void *userdata;
    Exec *all;
};

static void free_exec(Exec *exec)
{
    Exec **link = &exec->execs->all;

    while (*link != exec)
        link = &(*link)->next;
    *link = exec->next;
    if (event_initialized(&exec->readable))
        (void)event_del(&exec->readable);
    (void)event_del(&exec->timer);
    engine_cancel(exec->call);
    fd_close(exec->stream);
    free(exec);
}

static Exec *find(const Execs *execs, uint64_t key)
{
    Exec *exec = execs->all;
    while (exec && exec->key != key)
        exec = exec->next;
    return exec;
}

static void tell(const Exec *exec, uint16_t type, Buffer *payload)
{
    exec->execs->handlers->to_warden(type, exec->key, payload, exec->execs->userdata);
    buffer_done(payload);
}

/* It cannot be; the warden is told why. */
static void fail(Exec *exec, ExecFailure failure, const char *why)
{
    Buffer payload = BUFFER_EMPTY(8192);

    buffer_put_u8(&payload, (uint8_t)failure);
    buffer_put_string(&payload, why);
    tell(exec, ENGINE_EXEC_FAILED, &payload);
    free_exec(exec);
}

static void fail_answer(Exec *exec, const char *what, const EngineAnswer *answer)
{
    char why[256 + ENGINE_WORDS_MAX];

    (void)snprintf(why, sizeof why, "%s: %s", what, answer->words);
    fail(exec, EXEC_FAILURE_BROKEN, why);
}

static bool begun(Exec *exec, int result)
{
    if (result >= 0)
        return true;
    exec->call = NULL;
    fail(exec, EXEC_FAILURE_BROKEN,
         result == -EAGAIN ? "the container engine has too much to do; try again"
                           : strerror(-result));
    return false;
}

/* Looking at it. */

static void on_looked(const EngineAnswer *answer, void *userdata);

static void look(Exec *exec)
{
    (void)begun(exec,
                engine_exec_inspect(exec->execs->engine, exec->id, on_looked, exec, &exec->call));
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    look(userdata);
}

static void look_later(Exec *exec)
{
    const struct timeval later = clock_timeval_of_ms(exec->wait_ms);

    exec->wait_ms += exec->wait_ms < LOOK_MOST_MS;
    (void)event_add(&exec->timer, &later);
}

static void give(Exec *exec, pid_t pid)
{
    Execs *execs = exec->execs;
    Buffer payload = BUFFER_EMPTY(256);

    (void)fd_set_nonblock(exec->stream, false); /* the relay's from now on */
    buffer_put_u32(&payload, (uint32_t)pid);
    buffer_put_string(&payload, exec->container);
    exec->state = EXEC_GIVEN;
    execs->handlers->to_executor(ENGINE_EXEC_STREAM, exec->key, &payload, exec->stream,
                                 execs->userdata);
    buffer_done(&payload);
    exec->stream = fd_close(exec->stream);
}

static void tell_end(Exec *exec, int64_t code)
{
    Buffer payload = BUFFER_EMPTY(16);

    buffer_put_u8(&payload, (uint8_t)code);
    tell(exec, ENGINE_EXEC_ENDED, &payload);
    free_exec(exec);
}

static void on_looked(const EngineAnswer *answer, void *userdata)
{
    Exec *exec = userdata;
    EngineExecState found;

    exec->call = NULL;
    if (!engine_succeeded(answer)) {
        fail_answer(exec, "the command in the container cannot be looked at", answer);
    } else if (engine_decode_exec(answer->json, &found) < 0) {
        fail(exec, EXEC_FAILURE_BROKEN,
             "what the container engine says of the command is no JSON "
             "that it promises");
    } else if (exec->state == EXEC_ASKED && !found.running && found.has_code) {
        tell_end(exec, found.exit_code);
    } else if (exec->state == EXEC_LOOKING && found.running && found.pid > 0) {
        give(exec, found.pid);
    } else if (exec->state == EXEC_LOOKING && !found.running && found.has_code) {
        fail(exec, EXEC_FAILURE_BROKEN,
             "the container engine could not start clawrden-launcher in the container; the jail's "
             "directory must be mounted there at /run/clawrden");
    } else {
        look_later(exec);
    }
}

/* The way there. */

static void on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Exec *exec = userdata;

    exec->state = EXEC_LOOKING;
    look(exec);
}

static void on_attached(int fd, const EngineAnswer *answer, void *userdata)
{
    Exec *exec = userdata;

    exec->call = NULL;
    exec->stream = fd;
    if (fd < 0) {
        fail_answer(exec, "the container engine cannot start the command", answer);
        return;
    }
    exec->state = EXEC_ATTACHED;
    (void)event_assign(&exec->readable, exec->execs->loop, fd, EV_READ, on_readable, exec);
    (void)event_add(&exec->readable, NULL);
}

static void on_created(const EngineAnswer *answer, void *userdata)
{
    Exec *exec = userdata;
    const char *id = engine_succeeded(answer) ? engine_decode_id(answer->json) : NULL;

    exec->call = NULL;
    if (!id) {
        fail_answer(exec, "the container engine takes no command for the caller's container",
                    answer);
        return;
    }
    (void)snprintf(exec->id, sizeof exec->id, "%s", id);
    (void)begun(exec, engine_exec_start(exec->execs->engine, exec->id, false, on_attached, exec,
                                        &exec->call));
}

static int create(Exec *exec, const EngineExecOrder *order)
{
    char user[32];

    (void)snprintf(user, sizeof user, "%u:%u", order->uid, order->gid);
    return engine_exec_create(exec->execs->engine, exec->container, user, LAUNCHER_PATH, on_created,
                              exec, &exec->call);
}

static bool take_order(Execs *execs, const LinkFrame *frame)
{
    EngineExecOrder order;

    if (engine_exec_order_decode(frame->payload, frame->size, &order) < 0 ||
        !engine_is_id(order.container))
        return false;
    Exec *exec = calloc(1, sizeof *exec);
    if (!exec)
        return true; /* the warden's deadline tells */
    *exec = (Exec){.execs = execs,
                   .key = frame->key,
                   .stream = -EBADF,
                   .wait_ms = LOOK_FIRST_MS,
                   .next = execs->all};
    execs->all = exec;
    (void)event_assign(&exec->timer, execs->loop, -1, 0, on_timer, exec);
    (void)snprintf(exec->container, sizeof exec->container, "%s", order.container);
    (void)begun(exec, create(exec, &order));
    return true;
}

static bool obey_result(Exec *exec)
{
    if (exec->state != EXEC_GIVEN)
        return false;
    exec->state = EXEC_ASKED;
    exec->wait_ms = LOOK_FIRST_MS;
    look(exec);
    return true;
}

bool execs_obey(Execs *execs, const LinkFrame *frame)
{
    Exec *exec = find(execs, frame->key);

    if (frame->type == ENGINE_EXEC)
        return !exec && take_order(execs, frame);
    if (frame->size != 0)
        return false;
    if (frame->type == ENGINE_EXEC_RESULT)
        return !exec || obey_result(exec);
    if (frame->type != ENGINE_EXEC_END)
        return false;
    if (exec)
        free_exec(exec);
    return true;
}

void execs_end_all(Execs *execs)
{
    while (execs->all)
        free_exec(execs->all);
}

int execs_new(Execs **ret, struct event_base *loop, Engine *engine, const ExecsHandlers *handlers,
              void *userdata)
{
    Execs *execs = calloc(1, sizeof *execs);

    if (!execs)
        return -ENOMEM;
    *execs = (Execs){.loop = loop, .engine = engine, .handlers = handlers, .userdata = userdata};
    *ret = execs;
    return 0;
}

Execs *execs_free(Execs *execs)
{
    if (execs)
        execs_end_all(execs);
    free(execs);
    return NULL;
}
