/*
 * An operator's kill, pause or resume (control.h): what it is for, the change of the table, what
 * happens to whatever runs and waits, and the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/answers.h"
#include "warden/control-private.h"

#define CALL_TIME_MAX_MS 3000u
#define CALL_LOOK_MS 100u

typedef struct Order {
    const Actor *actor;
    SwitchState wanted;
    SwitchScope scope;
    const char *name;
    uint64_t for_ms;
    const char *reason;
} Order;

typedef struct Effect {
    unsigned killed, cancelled;
    uint64_t orders;   /* the key of those about containers */
    unsigned n_orders; /* of them: kills */
    Followed followed;
} Effect;

static bool is_confined(const Order *order)
{
    return *order->actor->jails != '\0';
}

/* Is the jail one of those that the order is for? */
static bool is_meant(const Order *order, const Jail *jail)
{
    return !jail_is_over(jail) && actor_sees(order->actor, jail->name) &&
           (order->scope == SWITCH_SCOPE_ALL || strcmp(jail->name, order->name) == 0);
}

/* Is the container? It need not have a jail. */
static bool is_container_meant(const Order *order, const SwitchContainer *container)
{
    if (order->scope == SWITCH_SCOPE_CONTAINER)
        return strcmp(container->id, order->name) == 0;
    return actor_sees(order->actor, container->jail) &&
           (order->scope == SWITCH_SCOPE_ALL || strcmp(container->jail, order->name) == 0);
}

/* Is the request one of those that the order is for? */
static bool is_request_meant(const Request *request, SwitchScope scope, const char *name)
{
    return scope != SWITCH_SCOPE_CONTAINER ||
           (request->facts && strcmp(request->facts->prepared.container, name) == 0);
}

/* The table. */

static Switch entry_of(const Order *order, SwitchScope scope, const char *name)
{
    uint64_t now = clock_realtime_us();
    Switch entry = {.scope = scope,
                    .state = order->wanted,
                    .since_us = now,
                    .until_us = order->for_ms > 0 ? now + order->for_ms * 1000 : 0};

    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    /* switches_set() copies them */
    entry.by = (char *)(uintptr_t)order->actor->name;
    entry.via = (char *)(uintptr_t)order->actor->via;
    entry.reason = (char *)(uintptr_t)order->reason;
    return entry;
}

static void record_order(Warden *warden, const Order *order, const Switch *entry)
{
    if (order->wanted == SWITCH_RUNNING)
        control_record_resume(warden, entry, order->actor->name, order->actor->via, order->reason);
    else
        control_record_stop(warden, entry, "");
}

/* A pause does not take anything back that a kill has said. */
static bool is_weaker(Warden *warden, const Order *order, const char *jail)
{
    const Switch *now = switches_of(&warden->switches, jail, "");
    return order->wanted == SWITCH_PAUSED && now && now->state == SWITCH_KILLED;
}

/* 0 or -errno, and then the table is as before. */
static int change_jail(Warden *warden, const Order *order, const Jail *jail)
{
    Switch *before = switches_find(&warden->switches, SWITCH_SCOPE_JAIL, jail->name);
    Switch entry = entry_of(order, SWITCH_SCOPE_JAIL, jail->name);
    bool is_exception = switches_find(&warden->switches, SWITCH_SCOPE_ALL, "") != NULL;

    if (is_weaker(warden, order, jail->name))
        return 0;
    entry.until_us = order->wanted == SWITCH_RUNNING ? 0 : entry.until_us;
    if (order->wanted == SWITCH_RUNNING && !is_exception) {
        if (before)
            switches_remove(&warden->switches, before);
    } else {
        int result = switches_set(&warden->switches, &entry);
        if (result < 0)
            return result;
    }
    record_order(warden, order, &entry);
    return 0;
}

/* The entry for everything takes the place of all jails' own, but a pause leaves the killed ones.
 */
static int change_all(Warden *warden, const Order *order)
{
    Switch entry = entry_of(order, SWITCH_SCOPE_ALL, "");

    if (order->wanted != SWITCH_RUNNING) {
        int result = switches_set(&warden->switches, &entry);
        if (result < 0)
            return result;
    }
    for (Switch *other = warden->switches.first, *next; other; other = next) {
        next = other->next;
        bool is_kept = order->wanted == SWITCH_PAUSED && other->state == SWITCH_KILLED;
        if (order->wanted == SWITCH_RUNNING || (other->scope == SWITCH_SCOPE_JAIL && !is_kept))
            switches_remove(&warden->switches, other);
    }
    record_order(warden, order, &entry);
    for (const Jail *jail = warden->jails; jail;
         jail = jail->next) { /* for those who see it alone */
        if (switches_find(&warden->switches, SWITCH_SCOPE_JAIL, jail->name))
            continue; /* it stays killed */
        entry.scope = SWITCH_SCOPE_JAIL;
        (void)snprintf(entry.name, sizeof entry.name, "%s", jail->name);
        record_order(warden, order, &entry);
    }
    return 0;
}

static int change_container(Warden *warden, const Order *order)
{
    Switch *before = switches_find(&warden->switches, SWITCH_SCOPE_CONTAINER, order->name);
    Switch entry = entry_of(order, SWITCH_SCOPE_CONTAINER, order->name);
    int result = 0;

    if (order->wanted != SWITCH_RUNNING)
        result = switches_set(&warden->switches, &entry);
    else if (before)
        switches_remove(&warden->switches, before);
    if (result == 0)
        record_order(warden, order, &entry);
    return result;
}

/* For an entry of each jail that is meant: what is ordered happens to all of them or to none. */
static bool has_room(Warden *warden, const Order *order)
{
    size_t wanted = 0;

    if (order->wanted == SWITCH_RUNNING && !switches_find(&warden->switches, SWITCH_SCOPE_ALL, ""))
        return true;
    for (const Jail *jail = warden->jails; jail; jail = jail->next)
        wanted += is_meant(order, jail) &&
                  !switches_find(&warden->switches, SWITCH_SCOPE_JAIL, jail->name);
    return wanted <= switches_room(&warden->switches);
}

static int change(Warden *warden, const Order *order)
{
    int result = 0;

    if (order->scope == SWITCH_SCOPE_CONTAINER)
        return change_container(warden, order);

    if (order->scope == SWITCH_SCOPE_ALL && !is_confined(order))
        return change_all(warden, order);
    if (!has_room(warden, order))
        return -ENOSPC;
    for (const Jail *jail = warden->jails; jail && result == 0; jail = jail->next)
        if (is_meant(order, jail))
            result = change_jail(warden, order, jail);
    return result;
}

/* Kill. */

static void kill_jail(Jail *jail, const Order *order, Effect *effect)
{
    const char *container = order->scope == SWITCH_SCOPE_CONTAINER ? order->name : NULL;

    for (Request *request = jail->requests, *next; request; request = next) {
        next = request->next;
        if (!is_request_meant(request, order->scope, order->name))
            continue;
        bool ran = request_kill(request, order->actor, *order->reason ? order->reason : NULL);
        effect->killed += ran;
        effect->cancelled += !ran;
    }
    effect->cancelled +=
        questions_cancel(jail->warden, jail, container,
                         container ? "an operator ended everything in this container"
                                   : "an operator ended everything in this jail");
    grants_on_kill(jail->warden, jail, container, order->actor);
}

static void kill_containers(Warden *warden, const Order *order, Effect *effect)
{
    for (const SwitchContainer *container = warden->switches.containers; container;
         container = container->next)
        if (is_container_meant(order, container))
            effect->n_orders += control_kill_container(warden, effect->orders, container);
}

/* The answer. */

static unsigned dying_in(const Jail *jail, const SwitchCall *call)
{
    unsigned dying = 0;

    if (call->scope != SWITCH_SCOPE_CONTAINER)
        return jail->n_dying;
    for (const Request *request = jail->requests; request; request = request->next)
        dying += request->dying && is_request_meant(request, call->scope, call->name);
    return dying;
}

static unsigned alive_of(Warden *warden, const SwitchCall *call)
{
    const Actor actor = {.jails = call->jails};
    unsigned alive = 0;

    for (const Jail *jail = warden->jails; jail; jail = jail->next)
        if (actor_sees(&actor, jail->name) &&
            (call->scope != SWITCH_SCOPE_JAIL || strcmp(jail->name, call->name) == 0))
            alive += dying_in(jail, call);
    return alive;
}

static void call_done(SwitchCall *call)
{
    buffer_done(&call->json);
    buffer_done(&call->failures);
    free(call->jails);
}

static void finish(Warden *warden, size_t index)
{
    SwitchCall call = warden->switch_calls[index];

    warden->switch_calls[index] = warden->switch_calls[--warden->n_switch_calls];
    json_put_member_u64(&call.json, "containers", call.n_containers);
    json_put_name(&call.json, "failed");
    buffer_put_u8(&call.json, '[');
    buffer_put(&call.json, call.failures.bytes, call.failures.size);
    buffer_put_u8(&call.json, ']');
    json_put_member_u64(&call.json, "alive",
                        alive_of(warden, &call) +
                            (call.wanted == SWITCH_KILLED ? call.n_waiting : 0));
    json_put_member_bool(&call.json, "saved", call.is_saved && call.save_error == 0);
    if (!call.is_saved || call.save_error != 0)
        json_put_member(&call.json, "problem",
                        call.is_saved ? strerror(call.save_error) : "the disk does not answer");
    buffer_put_u8(&call.json, '}');
    answer(warden, call.key, 200, &call.json);
    call_done(&call);
}

static void look_at_calls(Warden *warden)
{
    uint64_t now = clock_monotonic_ms();

    for (size_t i = warden->n_switch_calls; i-- > 0;) {
        const SwitchCall *call = &warden->switch_calls[i];
        if (now >= call->give_up_ms ||
            (call->is_saved && call->n_waiting == 0 && alive_of(warden, call) == 0))
            finish(warden, i);
    }
}

static void on_call_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Warden *warden = userdata;
    struct timeval again = clock_timeval_of_ms(CALL_LOOK_MS);

    look_at_calls(warden);
    if (warden->n_switch_calls > 0)
        (void)event_add(warden->call_timer, &again);
}

void control_on_ended(Warden *warden)
{
    look_at_calls(warden);
}

void control_on_container_done(Warden *warden, uint64_t key, const char *id, bool done,
                               const char *failure)
{
    for (size_t i = 0; i < warden->n_switch_calls && key != 0; i++) {
        SwitchCall *call = &warden->switch_calls[i];
        if (call->orders != key || call->n_waiting == 0)
            continue;
        call->n_waiting--;
        call->n_containers += done;
        if (failure) {
            buffer_puts(&call->failures, call->failures.size > 0 ? ",{" : "{");
            json_put_member(&call->failures, "container", id);
            json_put_member(&call->failures, "why", failure);
            buffer_put_u8(&call->failures, '}');
        }
    }
    look_at_calls(warden);
}

int control_take_saved(Warden *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    int error = (int)reader_u32(&reader);

    if (!reader_done(&reader) || warden->n_saved == warden->n_saves)
        return -EPROTO;
    warden->n_saved++;
    for (size_t i = 0; i < warden->n_switch_calls; i++) {
        SwitchCall *call = &warden->switch_calls[i];
        if (call->save == warden->n_saved) {
            call->is_saved = true;
            call->save_error = error;
        }
    }
    look_at_calls(warden);
    return 0;
}

void control_forget_calls(Warden *warden)
{
    while (warden->n_switch_calls > 0)
        call_done(&warden->switch_calls[--warden->n_switch_calls]);
}

/* `"jails":[…]` of those that the order was for. */
static void put_jails(Warden *warden, Buffer *json, const Order *order)
{
    json_put_name(json, "jails");
    buffer_put_u8(json, '[');
    for (const Jail *jail = warden->jails; jail; jail = jail->next) {
        if (!is_meant(order, jail))
            continue;
        answer_put_comma(json);
        json_put_cstring(json, jail->name);
    }
    buffer_put_u8(json, ']');
}

static void begin_answer(Warden *warden, Buffer *json, const Order *order, const Effect *effect)
{
    char time[CLOCK_TEXT_MAX];

    buffer_put_u8(json, '{');
    json_put_member(json, "state", switch_state_name(order->wanted));
    put_jails(warden, json, order);
    json_put_member_u64(json, "killed", effect->killed);
    json_put_member_u64(json, "cancelled", effect->cancelled);
    json_put_member_u64(json, "frozen", effect->followed.frozen);
    json_put_member_u64(json, "resumed", effect->followed.resumed);
    uint64_t until_us = clock_realtime_us() + order->for_ms * 1000;
    answer_put_text(json, "until", order->for_ms > 0 ? clock_format_time(until_us, time) : NULL);
}

/* What the order does is done; the call waits for the disk and for the dead. */
static void await(Warden *warden, uint64_t key, const Order *order, const Effect *effect)
{
    SwitchCall *call = &warden->switch_calls[warden->n_switch_calls];
    struct timeval soon = clock_timeval_of_ms(CALL_LOOK_MS);

    *call = (SwitchCall){.key = key,
                         .save = warden->n_saves,
                         .give_up_ms = clock_monotonic_ms() + CALL_TIME_MAX_MS,
                         .scope = order->scope,
                         .jails = strdup(order->actor->jails),
                         .wanted = order->wanted,
                         .orders = effect->orders,
                         .n_waiting = effect->n_orders + effect->followed.n_orders,
                         .json = BUFFER_EMPTY(ANSWER_MAX),
                         .failures = BUFFER_EMPTY(ANSWER_MAX / 4)};
    (void)snprintf(call->name, sizeof call->name, "%s", order->name);
    begin_answer(warden, &call->json, order, effect);
    if (!warden->call_timer)
        warden->call_timer = event_new(warden->loop, -1, 0, on_call_timer, warden);
    if (!call->jails || !warden->call_timer) {
        call_done(call);
        answer_error(warden, key, 500, "no_memory", "it is in force; the answer had no room");
        return;
    }
    warden->n_switch_calls++;
    (void)event_add(warden->call_timer, &soon);
}

/* Calls. */

static void refuse_change(Warden *warden, uint64_t key, int error)
{
    if (error == -ENOSPC)
        answer_error(warden, key, 409, "too_many",
                     "too many jails and containers are stopped one by one; resume some, or stop "
                     "everything");
    else
        answer_error(warden, key, 500, "no_memory", "out of memory");
}

static void obey(Warden *warden, uint64_t key, const Order *order)
{
    Effect effect = {.orders = ++warden->last_orders};

    int result = change(warden, order);
    if (result < 0) {
        refuse_change(warden, key, result);
        return;
    }
    for (Jail *jail = warden->jails; jail && order->wanted == SWITCH_KILLED; jail = jail->next)
        if (order->scope == SWITCH_SCOPE_CONTAINER || is_meant(order, jail))
            kill_jail(jail, order, &effect);
    if (order->wanted == SWITCH_KILLED)
        kill_containers(warden, order, &effect);
    effect.followed = control_follow(warden, effect.orders);
    control_save(warden);
    control_arm(warden);
    await(warden, key, order, &effect);
}

/* The same of a container; its whole id is the order's name then. */
static bool is_container_possible(Warden *warden, uint64_t key, Order *order,
                                  char id[static SWITCH_NAME_SIZE])
{
    int result = control_find_container(warden, order->actor, order->name, id);
    const Switch *now =
        result == 0 ? switches_find(&warden->switches, SWITCH_SCOPE_CONTAINER, id) : NULL;

    order->name = id;
    if (result == -ENOENT)
        answer_error(warden, key, 404, "not_found", "nobody here knows a container of this id");
    else if (result < 0)
        answer_error(warden, key, 409, "not_unique",
                     "several containers have an id that begins so; say more of it");
    else if (order->wanted == SWITCH_PAUSED && now && now->state == SWITCH_KILLED)
        answer_error(warden, key, 409, "killed",
                     "it is killed, and that is more than paused; resume it first");
    else
        return true;
    return false;
}

/* True: the order is for something that is there, and that the actor may see; else answered. */
static bool is_possible(Warden *warden, uint64_t key, const Order *order)
{
    unsigned n_meant = 0, n_weaker = 0;

    for (const Jail *jail = warden->jails; jail; jail = jail->next) {
        if (is_meant(order, jail)) {
            n_meant++;
            n_weaker += is_weaker(warden, order, jail->name);
        }
    }
    if (n_meant == 0 && (order->scope != SWITCH_SCOPE_ALL || is_confined(order))) {
        answer_error(warden, key, 404, "not_found", "there is no jail of this name");
        return false;
    }
    if (n_meant > 0 && n_weaker == n_meant) {
        answer_error(warden, key, 409, "killed",
                     "it is killed, and that is more than paused; resume it first");
        return false;
    }
    return true;
}

void control_call(Warden *warden, uint16_t type, uint64_t key, const Actor *actor, Reader *reader)
{
    Order order = {.actor = actor,
                   .wanted = type == API_KILL    ? SWITCH_KILLED
                             : type == API_PAUSE ? SWITCH_PAUSED
                                                 : SWITCH_RUNNING,
                   .scope = (SwitchScope)reader_u8(reader),
                   .name = reader_string(reader),
                   .for_ms = reader_u64(reader),
                   .reason = reader_string(reader)};
    char id[SWITCH_NAME_SIZE];

    if (!reader_done(reader) || order.scope < SWITCH_SCOPE_JAIL ||
        order.scope >= SWITCH_SCOPE_MAX_ || strlen(order.name) >= SWITCH_NAME_SIZE ||
        strlen(order.reason) > SWITCH_REASON_MAX || order.for_ms > CLOCK_DURATION_MAX_MS ||
        (order.scope == SWITCH_SCOPE_ALL) != !*order.name ||
        (order.wanted == SWITCH_RUNNING && order.for_ms > 0))
        answer_error(warden, key, 500, "internal", "malformed call");
    else if (warden->n_switch_calls == SWITCH_CALLS_MAX)
        answer_error(warden, key, 503, "busy", "too many such calls are on their way");
    else if (order.scope == SWITCH_SCOPE_CONTAINER ? is_container_possible(warden, key, &order, id)
                                                   : is_possible(warden, key, &order))
        obey(warden, key, &order);
}
