/*
 * See ghost.h. A ghost has at most one call under way beside its wait and its look at the process,
 * and each callback takes the one step that follows. One that ends is unlinked and freed when
 * nothing of it is left.
 */
#include "engine/ghost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/ghost-private.h"

#define WAIT_MAX_MS (40u * 24 * 3600 * 1000) /* the warden ends it sooner */
#define STOP_MAX_MS 4000u                    /* what is left then is swept by the next life */
#define KILLED_MAX_MS 10000u                 /* then it is removed by force */

static void remove_container(Ghost *ghost);

/* Life and death. */

static void free_ghost(Ghost *ghost)
{
    Ghost **link = &ghost->ghosts->all;

    while (*link != ghost)
        link = &(*link)->next;
    *link = ghost->next;
    (void)event_del(&ghost->timer);
    engine_cancel(ghost->call);
    engine_cancel(ghost->wait);
    engine_cancel(ghost->look);
    json_decref(ghost->mounts);
    json_decref(ghost->security);
    ghost_order_done(&ghost->order);
    free(ghost->payload);
    ghost_unuse_policy(ghost->share);
    Ghosts *ghosts = ghost->ghosts;
    free(ghost);
    if (!ghosts->all && ghosts->gone)
        event_active(&ghosts->stop_timer, EV_TIMEOUT, 0);
}

static Ghost *find(const Ghosts *ghosts, uint64_t key)
{
    for (Ghost *ghost = ghosts->all; ghost; ghost = ghost->next)
        if (ghost->key == key && ghost->state != GHOST_REMOVING)
            return ghost;
    return NULL;
}

static void tell(Ghost *ghost, uint16_t type, Buffer *payload)
{
    ghost->ghosts->handlers->to_warden(type, ghost->key, payload, ghost->ghosts->userdata);
}

/* The warden has heard of its end; what there is of it goes. */
static void let_go(Ghost *ghost)
{
    ghost->wait = engine_cancel(ghost->wait);
    ghost->look = engine_cancel(ghost->look);
    (void)event_del(&ghost->timer);
    if (ghost->state == GHOST_CREATING) { /* its name comes with the answer */
        ghost->state = GHOST_REMOVING;
        return;
    }
    ghost->call = engine_cancel(ghost->call);
    ghost->state = GHOST_REMOVING;
    if (ghost->container[0])
        remove_container(ghost);
    else
        free_ghost(ghost);
}

void ghost_fail(Ghost *ghost, ExecFailure failure, const char *why)
{
    Buffer payload = BUFFER_EMPTY(8192);

    buffer_put_u8(&payload, (uint8_t)failure);
    buffer_put_string(&payload, why);
    tell(ghost, GHOST_FAILED, &payload);
    buffer_done(&payload);
    let_go(ghost);
}

void ghost_fail_answer(Ghost *ghost, const char *what, const EngineAnswer *answer)
{
    char why[GHOST_WHY_MAX + ENGINE_WORDS_MAX];

    (void)snprintf(why, sizeof why, "%s: %s", what, answer->words);
    ghost_fail(ghost, ghost_failure_of(answer->error ? 0 : answer->status, answer->words), why);
}

bool ghost_begun(Ghost *ghost, int result)
{
    if (result >= 0)
        return true;
    ghost_fail(ghost, EXEC_FAILURE_BROKEN,
               result == -EAGAIN ? "too many commands run in containers; try again"
                                 : strerror(-result));
    return false;
}

/* The end of a container. */

static void on_removed(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    bool gone = engine_succeeded(answer) ||
                (answer->error == 0 && (answer->status == 404 || answer->status == 409));

    ghost->call = NULL;
    if (!gone)
        log_warning("the container %.12s cannot be removed now: %s", ghost->container,
                    answer->words);
    free_ghost(ghost);
}

static void remove_container(Ghost *ghost)
{
    if (engine_container_remove(ghost->ghosts->engine, ghost->container, true, on_removed, ghost,
                                &ghost->call) < 0)
        free_ghost(ghost); /* it stays until the next life */
}

static void on_killed(const EngineAnswer *answer UNUSED, void *userdata)
{
    Ghost *ghost = userdata;
    ghost->call = NULL; /* its wait tells the rest, or the timer */
}

static void kill_container(Ghost *ghost)
{
    if (engine_container_kill(ghost->ghosts->engine, ghost->container, "KILL", on_killed, ghost,
                              &ghost->call) < 0)
        ghost->call = NULL;
}

/* Engines kill nothing that is paused. */
static void on_thawed(const EngineAnswer *answer UNUSED, void *userdata)
{
    Ghost *ghost = userdata;

    ghost->call = NULL;
    kill_container(ghost);
}

/* At once. First it is killed, so that its wait tells how it ended. */
static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Ghost *ghost = userdata;
    const struct timeval later = clock_timeval_of_ms(KILLED_MAX_MS);

    if (ghost->state < GHOST_STARTING) {
        ghost_fail(ghost, EXEC_FAILURE_BROKEN, "it was ended before it had started");
    } else if (ghost->ending && ghost->state == GHOST_RUNNING) {
        ghost->ending = false;
        (void)event_add(&ghost->timer, &later);
        ghost->call = engine_cancel(ghost->call);
        if (!ghost->frozen)
            kill_container(ghost);
        else if (engine_container_unpause(ghost->ghosts->engine, ghost->container, on_thawed, ghost,
                                          &ghost->call) < 0)
            ghost->call = NULL;
    } else {
        ghost_fail(ghost, EXEC_FAILURE_BROKEN, "its container did not end and was removed");
    }
}

static bool obey_end(Ghost *ghost, Reader *reader)
{
    struct timeval grace = clock_timeval_of_ms(reader_u32(reader));

    if (!reader_done(reader))
        return false;
    ghost->ending = true;
    if (grace.tv_sec == 0 && grace.tv_usec == 0)
        on_timer(-1, 0, ghost);
    else
        (void)event_add(&ghost->timer, &grace);
    return true;
}

/* Running. */

static void tell_end(Ghost *ghost)
{
    Buffer payload = BUFFER_EMPTY(16);

    buffer_put_u8(&payload, (uint8_t)ghost->code);
    tell(ghost, GHOST_ENDED, &payload);
    buffer_done(&payload);
    free_ghost(ghost); /* the engine removes it */
}

static void on_waited(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    int64_t code = 0;

    ghost->wait = NULL;
    bool is_known = engine_succeeded(answer) && engine_decode_exit(answer->json, &code) == 0 &&
                    code >= 0 && code <= 255;
    if (is_known)
        ghost->code = (int)code;
    if (ghost->state == GHOST_STARTING)
        return; /* the start's answer comes first */
    if (is_known)
        tell_end(ghost);
    else
        ghost_fail_answer(ghost, "how it ended is not known", answer);
}

static void on_looked(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    Ghosts *ghosts = ghost->ghosts;
    EngineContainer container;
    Buffer payload = BUFFER_EMPTY(256);

    ghost->look = NULL;
    if (!engine_succeeded(answer) || engine_decode_container(answer->json, &container) < 0 ||
        container.pid <= 1)
        return; /* it is gone already, or out of sight */
    buffer_put_u32(&payload, (uint32_t)container.pid);
    buffer_put_string(&payload, ghost->container);
    ghosts->handlers->to_executor(GHOST_PROCESS, ghost->key, &payload, -EBADF, ghosts->userdata);
    buffer_done(&payload);
}

static void on_frozen(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;

    ghost->call = NULL;
    if (!engine_succeeded(answer))
        log_warning("the container %.12s cannot be %s: %s", ghost->container,
                    ghost->frozen ? "paused" : "resumed", answer->words);
}

static void follow_freeze(Ghost *ghost)
{
    Engine *engine = ghost->ghosts->engine;

    ghost->call = engine_cancel(ghost->call);
    int result =
        ghost->frozen
            ? engine_container_pause(engine, ghost->container, on_frozen, ghost, &ghost->call)
            : engine_container_unpause(engine, ghost->container, on_frozen, ghost, &ghost->call);
    if (result < 0)
        ghost->call = NULL;
}

static void on_started(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    Engine *engine = ghost->ghosts->engine;
    Buffer payload = BUFFER_EMPTY(512);

    ghost->call = NULL;
    if (!engine_succeeded(answer)) {
        ghost_fail_answer(ghost, "its container cannot be started", answer);
        return;
    }
    ghost->state = GHOST_RUNNING;
    buffer_put_string(&payload, ghost->image);
    buffer_put_string(&payload, ghost->container);
    tell(ghost, GHOST_STARTED, &payload);
    buffer_done(&payload);
    if (!ghost->wait) { /* it ended before we heard that it had started */
        if (ghost->code >= 0)
            tell_end(ghost);
        else
            ghost_fail(ghost, EXEC_FAILURE_BROKEN, "how it ended is not known");
        return;
    }
    if (engine_container_inspect(engine, ghost->container, on_looked, ghost, &ghost->look) < 0)
        ghost->look = NULL;
    if (ghost->frozen) /* that order came while it was being started */
        follow_freeze(ghost);
}

static bool obey_start(Ghost *ghost, Reader *reader)
{
    Engine *engine = ghost->ghosts->engine;

    if (!reader_done(reader) || ghost->state != GHOST_ATTACHED)
        return false;
    ghost->state = GHOST_STARTING;
    if (ghost_begun(ghost, engine_container_wait(engine, ghost->container, true, WAIT_MAX_MS,
                                                 on_waited, ghost, &ghost->wait)))
        (void)ghost_begun(ghost, engine_container_start(engine, ghost->container, on_started, ghost,
                                                        &ghost->call));
    return true;
}

static bool obey_freeze(Ghost *ghost, Reader *reader)
{
    bool frozen = reader_u8(reader) != 0;

    if (!reader_done(reader))
        return false;
    ghost->frozen = frozen;
    if (ghost->state == GHOST_RUNNING)
        follow_freeze(ghost);
    return true;
}

/* The way there. */

static void on_attached(int fd, const EngineAnswer *answer, void *userdata)
{
    _cleanup_fd_ int stream = fd;
    Ghost *ghost = userdata;
    Ghosts *ghosts = ghost->ghosts;
    Buffer payload = BUFFER_EMPTY(GHOST_BINDS_MAX);

    ghost->call = NULL;
    if (stream < 0) {
        ghost_fail_answer(ghost, "its container's streams cannot be had", answer);
        return;
    }
    (void)fd_set_nonblock(stream, false); /* the relay's from now on */
    ghost->state = GHOST_ATTACHED;
    ghost_binds_put(ghost->mounts, &payload);
    ghosts->handlers->to_executor(GHOST_STREAM, ghost->key, &payload, stream, ghosts->userdata);
    buffer_done(&payload);
}

static void on_created(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    const char *id = engine_succeeded(answer) ? engine_decode_id(answer->json) : NULL;

    ghost->call = NULL;
    if (id)
        (void)snprintf(ghost->container, sizeof ghost->container, "%s", id);
    if (ghost->state == GHOST_REMOVING) {
        if (id)
            remove_container(ghost);
        else
            free_ghost(ghost);
        return;
    }
    ghost->state = GHOST_ATTACHING;
    if (!id) {
        ghost_fail_answer(ghost, "its container cannot be made", answer);
        return;
    }
    (void)ghost_begun(ghost, engine_container_attach(ghost->ghosts->engine, ghost->container,
                                                     ghost->order.has_stdin, on_attached, ghost,
                                                     &ghost->call));
}

void ghost_on_image(Ghost *ghost)
{
    Ghosts *ghosts = ghost->ghosts;
    char why[GHOST_WHY_MAX], name[64];
    json_t *body = NULL;

    if (ghost->only_resolve) {
        Buffer payload = BUFFER_EMPTY(256);
        buffer_put_string(&payload, ghost->image);
        tell(ghost, GHOST_RESOLVED, &payload);
        buffer_done(&payload);
        free_ghost(ghost);
        return;
    }
    int result = ghost_body(&(GhostBody){.order = &ghost->order,
                                         .settings = ghost->settings,
                                         .image = ghost->image,
                                         .mounts = ghost->mounts,
                                         .security = ghost->security,
                                         .owner = ghosts->owner,
                                         .life = ghosts->life},
                            &body, why);
    if (result != 0) {
        ghost_fail(ghost, result < 0 ? EXEC_FAILURE_BROKEN : EXEC_FAILURE_NOT_RUNNABLE,
                   result < 0 ? strerror(-result) : why);
        return;
    }
    (void)snprintf(name, sizeof name, "clawrden-%s", ghost->order.request);
    ghost->state = GHOST_CREATING;
    result = engine_container_create(ghosts->engine, name, body, on_created, ghost, &ghost->call);
    json_decref(body);
    if (result < 0)
        ghost->state = GHOST_PREPARING;
    (void)ghost_begun(ghost, result);
}

static void on_mounts(Ghost *ghost, int result, const char *why)
{
    if (result == 0)
        ghost_find_image(ghost);
    else
        ghost_fail(ghost, result < 0 ? EXEC_FAILURE_BROKEN : EXEC_FAILURE_CWD,
                   result < 0 ? strerror(-result) : why);
}

static void on_caller(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    char why[GHOST_WHY_MAX] = "";

    ghost->call = NULL;
    if (!engine_succeeded(answer)) {
        ghost_fail_answer(ghost, "the caller's container cannot be looked at", answer);
        return;
    }
    int result = ghost_security_of_container(answer->json, &ghost->security, why);
    if (result == 0)
        result = ghost_mounts_of_container(answer->json, ghost->order.cwd, &ghost->mounts, why);
    on_mounts(ghost, result, why);
}

static void find_mounts(Ghost *ghost)
{
    char why[GHOST_WHY_MAX] = "";

    if (ghost->order.container[0])
        (void)ghost_begun(ghost,
                          engine_container_inspect(ghost->ghosts->engine, ghost->order.container,
                                                   on_caller, ghost, &ghost->call));
    else
        on_mounts(
            ghost,
            ghost_mounts_of_policy(ghost->share->policy, ghost->order.cwd, &ghost->mounts, why),
            why);
}

/* Orders. */

/* Engines would look for such programs as if they were files. */
static bool is_no_name(const char *command)
{
    return !*command || strcmp(command, ".") == 0 || strcmp(command, "..") == 0;
}

static bool take_order(Ghosts *ghosts, const LinkFrame *frame)
{
    Ghost *ghost = calloc(1, sizeof *ghost);

    if (!ghost)
        return true; /* the warden's deadline tells */
    *ghost = (Ghost){.ghosts = ghosts,
                     .key = frame->key,
                     .only_resolve = frame->type == GHOST_RESOLVE,
                     .payload = malloc(frame->size + 1),
                     .code = -1,
                     .next = ghosts->all};
    ghosts->all = ghost;
    (void)event_assign(&ghost->timer, ghosts->loop, -1, 0, on_timer, ghost);
    int result = -ENOMEM;
    if (ghost->payload) {
        memcpy(ghost->payload, frame->payload, frame->size);
        result = ghost_order_decode(ghost->payload, frame->size, ghost->groups, &ghost->order);
    }
    if (result == -EPROTO) {
        free_ghost(ghost);
        return false;
    }
    if (result < 0)
        ghost_fail(ghost, EXEC_FAILURE_BROKEN, strerror(-result));
    else if (!ghost_apply_policy(ghost))
        ghost_fail(ghost, EXEC_FAILURE_DRIFT,
                   "the policy has changed since this was judged; try again");
    else if (is_no_name(ghost->order.command))
        ghost_fail(ghost, EXEC_FAILURE_NOT_FOUND, "command not found");
    else
        find_mounts(ghost);
    return true;
}

bool ghosts_obey(Ghosts *ghosts, const LinkFrame *frame)
{
    Ghost *ghost = find(ghosts, frame->key);
    Reader reader = reader_of(frame->payload, frame->size);

    switch (frame->type) {
    case GHOST_RESOLVE:
    case GHOST_CREATE:
        return !ghost && take_order(ghosts, frame);
    case GHOST_START:
        return !ghost || obey_start(ghost, &reader);
    case GHOST_FREEZE:
        return !ghost || obey_freeze(ghost, &reader);
    case GHOST_END:
        return !ghost || obey_end(ghost, &reader);
    default:
        return false;
    }
}

void ghosts_end_all(Ghosts *ghosts)
{
    for (Ghost *ghost = ghosts->all, *next; ghost; ghost = next) {
        next = ghost->next;
        if (ghost->state != GHOST_REMOVING)
            let_go(ghost);
    }
}

static void on_stop_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Ghosts *ghosts = userdata;
    ghosts->gone(ghosts->userdata);
}

void ghosts_stop(Ghosts *ghosts, void (*gone)(void *userdata))
{
    const struct timeval later = clock_timeval_of_ms(STOP_MAX_MS);

    ghosts->gone = gone;
    (void)event_add(&ghosts->stop_timer, &later);
    ghosts_end_all(ghosts);
    if (!ghosts->all)
        event_active(&ghosts->stop_timer, EV_TIMEOUT, 0);
}

/* All of them. */

int ghosts_new(Ghosts **ret, struct event_base *loop, Engine *engine, const char *owner,
               const GhostsHandlers *handlers, void *userdata)
{
    uint64_t life = 0;
    Ghosts *ghosts = calloc(1, sizeof *ghosts);

    if (!ghosts)
        return -ENOMEM;
    *ghosts = (Ghosts){.loop = loop, .engine = engine, .handlers = handlers, .userdata = userdata};
    if (getrandom(&life, sizeof life, 0) != sizeof life) {
        free(ghosts);
        return -EIO;
    }
    (void)event_assign(&ghosts->stop_timer, loop, -1, 0, on_stop_timer, ghosts);
    (void)snprintf(ghosts->owner, sizeof ghosts->owner, "%s", owner);
    (void)snprintf(ghosts->life, sizeof ghosts->life, "%016llx", (unsigned long long)life);
    *ret = ghosts;
    return 0;
}

Ghosts *ghosts_free(Ghosts *ghosts)
{
    if (!ghosts)
        return NULL;
    ghosts->gone = NULL;
    while (ghosts->all)
        free_ghost(ghosts->all);
    (void)event_del(&ghosts->stop_timer);
    engine_cancel(ghosts->sweep);
    for (size_t i = 0; i < GHOST_POLICIES; i++)
        ghost_unuse_policy(ghosts->policies[i]);
    free(ghosts);
    return NULL;
}
