/*
 * See reconciler.h.
 */
#include "engine/reconciler.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "docker/calls.h"
#include "docker/decode.h"
#include "engine/labels.h"

#define RETRY_MIN_MS 100u
#define RETRY_MAX_MS 5000u
#define LIST_MS 15000u
#define INSPECTED_AT_ONCE 8u
#define CONTAINERS_MAX 4096u
#define PATH_SIZE 4096u

typedef struct Entry {
    Reconciler *reconciler;
    char id[ENGINE_ID_MAX];
    bool wanted; /* to be inspected */
    bool listed; /* in the list that is being taken */
    bool told;   /* to the owner, with this digest */
    Digest digest;
    EngineCall *call;
    struct Entry *next;
} Entry;

struct Reconciler {
    Engine *engine;
    const ReconcilerHandlers *handlers;
    void *userdata;
    ReconcilerTimes times;
    Entry *entries;
    size_t n_entries, n_inspected; /* of these, being inspected */
    EngineCall *version, *events, *list;
    struct event retry, relist;
    uint32_t retry_ms;
    bool connected, was_told; /* the state, as the owner knows it */
    bool knows;               /* a list has been taken and all of it told */
};

static void inspect_some(Reconciler *reconciler);

static void tell_state(Reconciler *reconciler, bool connected, const char *words)
{
    if (reconciler->was_told && reconciler->connected == connected)
        return;
    reconciler->was_told = true;
    reconciler->connected = connected;
    reconciler->handlers->state(connected, words, reconciler->userdata);
}

static void start_timer(struct event *timer, uint32_t milliseconds)
{
    struct timeval after = clock_timeval_of_ms(milliseconds);
    (void)event_add(timer, &after);
}

/* The engine is gone, or says what makes no sense: begin anew, later. */
static void lose(Reconciler *reconciler, const char *why)
{
    reconciler->version = engine_cancel(reconciler->version);
    reconciler->events = engine_cancel(reconciler->events);
    reconciler->list = engine_cancel(reconciler->list);
    for (Entry *entry = reconciler->entries; entry; entry = entry->next)
        entry->call = engine_cancel(entry->call);
    reconciler->n_inspected = 0;
    reconciler->knows = false;
    (void)event_del(&reconciler->relist);
    start_timer(&reconciler->retry, reconciler->retry_ms);
    reconciler->retry_ms *= 2;
    if (reconciler->retry_ms > reconciler->times.retry_max)
        reconciler->retry_ms = reconciler->times.retry_max;
    tell_state(reconciler, false, why);
}

/* Entries. */

static Entry *find(const Reconciler *reconciler, const char *id)
{
    Entry *entry = reconciler->entries;
    while (entry && strcmp(entry->id, id) != 0)
        entry = entry->next;
    return entry;
}

static void forget(Entry *entry)
{
    Reconciler *reconciler = entry->reconciler;
    Entry **link = &reconciler->entries;

    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    if (entry->call) {
        (void)engine_cancel(entry->call);
        reconciler->n_inspected--;
    }
    reconciler->n_entries--;
    if (entry->told)
        reconciler->handlers->gone(entry->id, reconciler->userdata);
    free(entry);
}

/* The entry of this id, which is to be looked at (again). NULL: too many. */
static Entry *want(Reconciler *reconciler, const char *id)
{
    Entry *entry = find(reconciler, id);

    if (!entry && (reconciler->n_entries >= CONTAINERS_MAX || !(entry = calloc(1, sizeof *entry))))
        return NULL;
    if (!entry->reconciler) {
        *entry = (Entry){.reconciler = reconciler, .next = reconciler->entries};
        (void)snprintf(entry->id, sizeof entry->id, "%s", id);
        reconciler->entries = entry;
        reconciler->n_entries++;
    }
    entry->wanted = true;
    return entry;
}

/* Inspecting. */

/* PATH of the container's configuration; what is too long for a PATH is left out. */
static void path_of(const json_t *env, char path[static PATH_SIZE])
{
    size_t i;
    const json_t *value;

    path[0] = '\0';
    json_array_foreach(env, i, value)
    {
        const char *text = json_string_value(value);
        if (text && strncmp(text, "PATH=", 5) == 0 && strlen(text + 5) < PATH_SIZE)
            (void)snprintf(path, PATH_SIZE, "%s", text + 5);
    }
}

static void tell(Entry *entry, const EngineContainer *container, const Labels *labels)
{
    Reconciler *reconciler = entry->reconciler;
    char path[PATH_SIZE];
    ContainerSeen seen = {.id = container->id,
                          .name = container->name,
                          .pid = container->pid,
                          .started_us = container->started_us,
                          .jail = labels->jail,
                          .hardened = labels->hardened,
                          .commands = labels->commands,
                          .path = path,
                          .problem = labels->problem};
    Buffer payload = BUFFER_EMPTY(CONTAINER_MESSAGE_MAX);
    DigestState state;
    Digest digest;

    path_of(container->env, path);
    container_seen_encode(&payload, &seen);
    digest_begin(&state);
    digest_add(&state, buffer_head(&payload), buffer_size(&payload));
    digest = digest_end(&state);
    buffer_done(&payload);
    if (entry->told && digest_equal(&digest, &entry->digest))
        return;
    entry->told = true;
    entry->digest = digest;
    reconciler->handlers->seen(&seen, reconciler->userdata);
}

/* Whether it was a container that is there and runs. -EPROTO: the engine makes no sense. */
static int take_inspected(Entry *entry, const json_t *json)
{
    EngineContainer container;
    _cleanup_free_ Labels *labels = malloc(sizeof *labels);

    if (!labels)
        return -ENOMEM;
    if (engine_decode_container(json, &container) < 0 || strcmp(container.id, entry->id) != 0)
        return -EPROTO;
    labels_read(container.labels, container.name, container.id, labels);
    if (!container.running || container.pid <= 0 || !labels->enabled)
        return 0;
    tell(entry, &container, labels);
    return 1;
}

static void on_inspected(const EngineAnswer *answer, void *userdata)
{
    Entry *entry = userdata;
    Reconciler *reconciler = entry->reconciler;

    entry->call = NULL;
    reconciler->n_inspected--;
    if (engine_succeeded(answer)) {
        int there = take_inspected(entry, answer->json);
        if (there < 0) {
            lose(reconciler, "the engine describes a container in a way that makes no sense");
            return;
        }
        if (there == 0 && !entry->wanted)
            forget(entry);
    } else if (answer->error == 0 && answer->status == 404) {
        forget(entry);
    } else {
        lose(reconciler, answer->words);
        return;
    }
    inspect_some(reconciler);
}

/* Some at a time; when none is left all that run are known. */
static void inspect_some(Reconciler *reconciler)
{
    bool waiting = false;

    for (Entry *entry = reconciler->entries; entry; entry = entry->next) {
        if (!entry->wanted || entry->call)
            continue;
        if (reconciler->n_inspected >= INSPECTED_AT_ONCE) {
            waiting = true;
            break;
        }
        entry->wanted = false;
        if (engine_container_inspect(reconciler->engine, entry->id, on_inspected, entry,
                                     &entry->call) < 0) {
            lose(reconciler, "out of memory");
            return;
        }
        reconciler->n_inspected++;
    }
    if (!waiting && reconciler->n_inspected == 0 && !reconciler->list && !reconciler->knows) {
        reconciler->knows = true;
        reconciler->handlers->known(reconciler->userdata);
    }
}

/* Listing. */

static void on_listed_one(const char *id, void *userdata)
{
    Entry *entry = want(userdata, id);
    if (entry)
        entry->listed = true;
}

static void on_listed(const EngineAnswer *answer, void *userdata)
{
    Reconciler *reconciler = userdata;

    reconciler->list = NULL;
    for (Entry *entry = reconciler->entries; entry; entry = entry->next)
        entry->listed = false;
    if (!engine_succeeded(answer)) {
        lose(reconciler, answer->words);
        return;
    }
    if (engine_decode_list(answer->json, on_listed_one, reconciler) < 0) {
        lose(reconciler, "the engine's list of containers makes no sense");
        return;
    }
    reconciler->retry_ms = reconciler->times.retry_min;
    /* What is not in the list is looked at once more: it may have been started since. */
    for (Entry *entry = reconciler->entries; entry; entry = entry->next)
        if (!entry->listed)
            entry->wanted = true;
    start_timer(&reconciler->relist, reconciler->times.list);
    inspect_some(reconciler);
}

static void take_list(Reconciler *reconciler)
{
    if (reconciler->list)
        return;
    /* With any value: one that is none is told. Of events, podman filters by name and value only.
     */
    if (engine_container_list(reconciler->engine, LABEL_ENABLED, false, on_listed, reconciler,
                              &reconciler->list) < 0)
        lose(reconciler, "out of memory");
}

static void on_relist(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    take_list(userdata);
}

/* Events. */

static void on_event(const json_t *item, void *userdata)
{
    Reconciler *reconciler = userdata;
    EngineEvent event;

    int result = engine_decode_event(item, &event);
    if (result < 0) {
        /* Other kinds of things have ids of other kinds: no reason to give up. */
        take_list(reconciler);
        return;
    }
    if (result > 0 || strncmp(event.action, "exec_", 5) == 0 || strcmp(event.action, "top") == 0)
        return;
    if (want(reconciler, event.id))
        inspect_some(reconciler);
}

static void on_events_opened(void *userdata)
{
    Reconciler *reconciler = userdata;
    char words[64];

    (void)snprintf(words, sizeof words, "API %s", engine_version(reconciler->engine));
    tell_state(reconciler, true, words);
    take_list(reconciler);
}

static void on_events_ended(const EngineAnswer *answer, void *userdata)
{
    Reconciler *reconciler = userdata;

    reconciler->events = NULL;
    lose(reconciler,
         answer->words[0] ? answer->words : "the engine has ended its stream of events");
}

static const EngineStream event_stream = {
    .opened = on_events_opened, .item = on_event, .done = on_events_ended};

/* Connecting. */

static void on_version(const EngineAnswer *answer, void *userdata)
{
    Reconciler *reconciler = userdata;

    reconciler->version = NULL;
    if (!engine_succeeded(answer))
        lose(reconciler, answer->words);
    else if (engine_events(reconciler->engine, LABEL_ENABLED "=true", &event_stream, reconciler,
                           &reconciler->events) < 0)
        lose(reconciler, "out of memory");
}

static void connect_engine(Reconciler *reconciler)
{
    if (engine_negotiate(reconciler->engine, on_version, reconciler, &reconciler->version) < 0)
        lose(reconciler, "out of memory");
}

static void on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    connect_engine(userdata);
}

int reconciler_new(Reconciler **ret, struct event_base *loop, Engine *engine,
                   const ReconcilerTimes *times, const ReconcilerHandlers *handlers, void *userdata)
{
    Reconciler *reconciler = calloc(1, sizeof *reconciler);

    if (!reconciler)
        return -ENOMEM;
    *reconciler = (Reconciler){.engine = engine,
                               .handlers = handlers,
                               .userdata = userdata,
                               .times = {RETRY_MIN_MS, RETRY_MAX_MS, LIST_MS}};
    if (times && times->retry_min)
        reconciler->times.retry_min = times->retry_min;
    if (times && times->retry_max)
        reconciler->times.retry_max = times->retry_max;
    if (times && times->list)
        reconciler->times.list = times->list;
    reconciler->retry_ms = reconciler->times.retry_min;
    (void)evtimer_assign(&reconciler->retry, loop, on_retry, reconciler);
    (void)evtimer_assign(&reconciler->relist, loop, on_relist, reconciler);
    *ret = reconciler;
    connect_engine(reconciler);
    return 0;
}

Reconciler *reconciler_free(Reconciler *reconciler)
{
    if (!reconciler)
        return NULL;
    (void)event_del(&reconciler->retry);
    (void)event_del(&reconciler->relist);
    (void)engine_cancel(reconciler->version);
    (void)engine_cancel(reconciler->events);
    (void)engine_cancel(reconciler->list);
    while (reconciler->entries) {
        Entry *entry = reconciler->entries;
        reconciler->entries = entry->next;
        (void)engine_cancel(entry->call);
        free(entry);
    }
    free(reconciler);
    return NULL;
}
