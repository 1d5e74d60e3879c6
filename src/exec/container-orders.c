/*
 * The warden's orders about whole containers (EXEC_CONTAINER): frozen, thawed, ended.
 *
 * One step at a time, in the executor's loop: nothing waits. The answer comes when the container
 * stands still or is gone, or with what is wrong when its time is over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "exec/executor-private.h"
#include "exec/freezer.h"
#include "exec/mirror.h"

#define STEP_MS 10u
#define FREEZE_TIME_MAX_MS 1000u
#define KILL_TIME_MAX_MS 2500u

struct ContainerOrder {
    Executor *executor;
    uint64_t key;
    ContainerOp op;
    Container *container; /* used */
    Freezer freezer;
    unsigned round;
    uint64_t give_up_ms;
    struct event timer;
    ContainerOrder *next;
};

static void answer(Executor *executor, uint64_t key, ContainerOp op, const char *id,
                   ContainerOutcome outcome, const char *why)
{
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_u8(&payload, (uint8_t)op);
    buffer_put_string(&payload, id);
    buffer_put_u8(&payload, (uint8_t)outcome);
    buffer_put_string(&payload, why);
    int result = executor->warden
                     ? link_send_buffer(executor->warden, EXEC_CONTAINER_DONE, key, &payload)
                     : -EPIPE;
    buffer_done(&payload);
    if (result < 0)
        executor_lose(executor, "the warden does not read");
}

static void free_order(ContainerOrder *order)
{
    (void)event_del(&order->timer);
    freezer_done(&order->freezer);
    container_let_go(order->container);
    free(order);
}

static void finish(ContainerOrder *order, ContainerOutcome outcome, const char *why)
{
    ContainerOrder **link = &order->executor->container_orders;

    while (*link != order)
        link = &(*link)->next;
    *link = order->next;
    answer(order->executor, order->key, order->op, order->container->id, outcome, why);
    free_order(order);
}

/* The container's state; false: not there yet. */
static bool do_freeze(ContainerOrder *order)
{
    if (freezer_set(&order->freezer, true) == 0 && freezer_is_frozen(&order->freezer)) {
        finish(order, CONTAINER_OUTCOME_DONE, "");
        return true;
    }
    return false;
}

static bool do_kill(ContainerOrder *order)
{
    if (order->round == 0 || pidref_verify(&order->container->init) == 0 ||
        freezer_count(&order->freezer) > 0) {
        freezer_kill(&order->freezer, order->container, order->round++);
        return false;
    }
    (void)freezer_set(&order->freezer, false); /* or its engine could not clear it away */
    finish(order, CONTAINER_OUTCOME_DONE, "");
    return true;
}

static void give_up(ContainerOrder *order)
{
    char why[128];

    if (order->op == CONTAINER_OP_FREEZE) {
        finish(order,
               order->container->has_ended ? CONTAINER_OUTCOME_ABSENT : CONTAINER_OUTCOME_FAILED,
               "not all of it stands still yet: a process in it waits for the kernel");
        return;
    }
    (void)freezer_set(&order->freezer, false); /* so that they die as soon as they can */
    (void)snprintf(why, sizeof why, "%u of its processes are still alive: they wait for the kernel",
                   freezer_count(&order->freezer));
    finish(order, CONTAINER_OUTCOME_FAILED, why);
}

static void on_step(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    ContainerOrder *order = userdata;
    const struct timeval again = clock_timeval_of_ms(STEP_MS);

    if (order->op == CONTAINER_OP_FREEZE ? do_freeze(order) : do_kill(order))
        return;
    if (clock_monotonic_ms() >= order->give_up_ms || event_add(&order->timer, &again) < 0)
        give_up(order);
}

/* Which container is it? */

/* Does any cgroup of the process name this container? */
static bool is_named(const char *pid, const char *id)
{
    _cleanup_free_ char *text = NULL;
    char path[64], found[CONTAINER_ID_SIZE], engine[CONTAINER_ENGINE_SIZE];
    CgroupLine line;

    (void)snprintf(path, sizeof path, "/proc/%.16s/cgroup", pid);
    if (fd_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL) < 0)
        return false;
    for (const char *rest = text; cgroup_line_next(&rest, &line);) {
        if (cgroup_path_container(line.path, found, engine) > 0 && strcmp(found, id) == 0)
            return true;
    }
    return false;
}

/* After a restart nobody of it may have asked yet (it may be frozen): looks at every process. */
static Container *search(Executor *executor, const char *id, char why[static CONTAINER_WHY_MAX])
{
    Container *container = NULL;

    _cleanup_(closedirp)
    DIR *directory = opendir("/proc");
    for (const struct dirent *entry; directory && !container && (entry = readdir(directory));) {
        PidRef process = PIDREF_EMPTY;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || !is_named(entry->d_name, id) || pidref_open(pid, &process) < 0)
            continue;
        (void)containers_take_up(executor->containers, &process, &container, why);
        pidref_done(&process);
        if (container && strcmp(container->id, id) != 0)
            container = NULL;
    }
    return container;
}

static bool is_being_killed(const Executor *executor, const Container *container)
{
    for (const ContainerOrder *order = executor->container_orders; order; order = order->next)
        if (order->container == container && order->op == CONTAINER_OP_KILL)
            return true;
    return false;
}

/* A thaw means that what was ordered before is not wanted any more, and so does a kill. */
static void end_freezing(const Executor *executor, const Container *container)
{
    for (ContainerOrder *order = executor->container_orders, *next; order; order = next) {
        next = order->next;
        if (order->container == container)
            finish(order, CONTAINER_OUTCOME_FAILED, "it was ordered to go on");
    }
}

/* Its place in the list is its time. Takes the freezer. */
static int begin_take(Executor *executor, uint64_t key, ContainerOp op, Container *container,
                      Freezer *freezer)
{
    ContainerOrder *order = calloc(1, sizeof *order);
    if (!order)
        return -ENOMEM;
    *order = (ContainerOrder){.executor = executor,
                              .key = key,
                              .op = op,
                              .container = container_use(container),
                              .freezer = *freezer,
                              .give_up_ms =
                                  clock_monotonic_ms() +
                                  (op == CONTAINER_OP_KILL ? KILL_TIME_MAX_MS : FREEZE_TIME_MAX_MS),
                              .next = executor->container_orders};
    *freezer = FREEZER_EMPTY;
    (void)evtimer_assign(&order->timer, executor->loop, on_step, order);
    executor->container_orders = order;
    on_step(-1, 0, order);
    return 0;
}

static void obey(Executor *executor, uint64_t key, ContainerOp op, Container *container)
{
    char why[CONTAINER_WHY_MAX] = "";
    _cleanup_(freezer_done)
    Freezer freezer = FREEZER_EMPTY;

    if (is_being_killed(executor, container)) {
        answer(executor, key, op, container->id, CONTAINER_OUTCOME_FAILED,
               "it is being ended already");
        return;
    }
    if (freezer_open(container, &freezer, why) != 0 ||
        (op != CONTAINER_OP_KILL && !freezer_has_any(&freezer))) {
        answer(executor, key, op, container->id, CONTAINER_OUTCOME_FAILED,
               *why ? why : "it has no cgroup of its own that could be frozen");
        return;
    }
    if (op != CONTAINER_OP_FREEZE)
        end_freezing(executor, container);
    container->is_frozen = op == CONTAINER_OP_FREEZE;
    int result = op == CONTAINER_OP_THAW ? freezer_set(&freezer, false)
                                         : begin_take(executor, key, op, container, &freezer);
    if (result < 0 || op == CONTAINER_OP_THAW)
        answer(executor, key, op, container->id,
               result < 0 ? CONTAINER_OUTCOME_FAILED : CONTAINER_OUTCOME_DONE,
               result < 0 ? strerror(-result) : "");
}

bool container_order_take(Executor *executor, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    ContainerOp op = (ContainerOp)reader_u8(&reader);
    const char *id = reader_string(&reader);
    char why[CONTAINER_WHY_MAX] = "";

    if (!reader_done(&reader) || op < CONTAINER_OP_KILL || op >= CONTAINER_OP_MAX_ || !*id ||
        strlen(id) >= CONTAINER_ID_SIZE)
        return false;
    Container *container = container_find(executor->containers, id);
    if (!container)
        container = search(executor, id, why);
    if (container)
        obey(executor, frame->key, op, container);
    else
        answer(executor, frame->key, op, id,
               *why ? CONTAINER_OUTCOME_FAILED : CONTAINER_OUTCOME_ABSENT, why);
    return true;
}

void container_orders_free(Executor *executor)
{
    while (executor->container_orders) {
        ContainerOrder *order = executor->container_orders;
        executor->container_orders = order->next;
        free_order(order);
    }
}
