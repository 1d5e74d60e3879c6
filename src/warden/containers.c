/*
 * See containers.h.
 */
#include "warden/containers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "warden/answers.h"
#include "warden/control.h"
#include "warden/request.h"
#include "wire/containers.h"

struct KnownContainer {
    char *id, *name, *jail, *why; /* owned */
    ContainerState state;
    uint64_t started_us, ungoverned_ms;
    bool has_ungoverned;
    KnownContainer *next;
};

static void free_container(KnownContainer *container)
{
    free(container->id);
    free(container->name);
    free(container->jail);
    free(container->why);
    free(container);
}

static KnownContainer **find(Warden *warden, const char *id)
{
    KnownContainer **link = &warden->containers;
    while (*link && strcmp((*link)->id, id) != 0)
        link = &(*link)->next;
    return link;
}

static KnownContainer *new_container(const ContainerTold *told)
{
    KnownContainer *container = calloc(1, sizeof *container);

    if (!container)
        return NULL;
    *container = (KnownContainer){.id = strdup(told->id),
                                  .name = strdup(told->name),
                                  .jail = strdup(told->jail),
                                  .why = strdup(told->why),
                                  .state = told->state,
                                  .started_us = told->started_us,
                                  .ungoverned_ms = told->ungoverned_ms,
                                  .has_ungoverned = told->has_ungoverned};
    if (container->id && container->name && container->jail && container->why)
        return container;
    free_container(container);
    return NULL;
}

static void record(Warden *warden, const ContainerTold *told)
{
    char message[400];
    JournalRecord entry = {.event = JOURNAL_CONTAINER,
                           .container = told->id,
                           .jail = told->state == CONTAINER_GOVERNED ? told->jail : NULL,
                           .has_duration =
                               told->state == CONTAINER_GOVERNED && told->has_ungoverned,
                           .duration_ms = told->ungoverned_ms,
                           .reason = *told->why ? told->why : NULL,
                           .message = message};

    (void)snprintf(message, sizeof message, "%s: %s", container_state_name(told->state),
                   told->name);
    warden_record(warden, &entry);
}

int containers_take(Warden *warden, const LinkFrame *frame)
{
    ContainerTold told;

    if (container_told_decode(frame->payload, frame->size, &told) < 0)
        return -EPROTO;
    KnownContainer **link = find(warden, told.id), *old = *link;
    if (old) {
        *link = old->next;
        free_container(old);
    }
    if (told.state != CONTAINER_GONE) {
        KnownContainer *container = new_container(&told);
        if (!container)
            return -ENOMEM;
        container->next = warden->containers;
        warden->containers = container;
    }
    if (told.state != CONTAINER_GONE)
        control_meet_container(warden, told.id,
                               told.state == CONTAINER_UNGOVERNED ? "" : told.jail);
    if (!told.again && told.state != CONTAINER_WAITING)
        record(warden, &told);
    return 0;
}

int containers_take_engine(Warden *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t state = reader_u8(&reader);
    const char *words = reader_string(&reader);

    if (!reader_done(&reader) || state >= ENGINE_STATE_MAX_)
        return -EPROTO;
    warden->engine_state = state;
    free(warden->engine_words);
    warden->engine_words = strdup(words);
    return warden->engine_words ? 0 : -ENOMEM;
}

/* The jail that it is in; who is refused one is in none, whatever its labels say. */
static const char *jail_of(const KnownContainer *container)
{
    return container->state == CONTAINER_UNGOVERNED ? "" : container->jail;
}

static void put_container(Buffer *json, const KnownContainer *container)
{
    char time[CLOCK_TEXT_MAX];
    const char *jail = jail_of(container);

    answer_put_comma(json);
    buffer_put_u8(json, '{');
    json_put_member(json, "id", container->id);
    json_put_member(json, "name", container->name);
    answer_put_text(json, "jail", *jail ? jail : NULL);
    json_put_member(json, "state", container_state_name(container->state));
    answer_put_text(json, "started",
                    container->started_us ? clock_format_time(container->started_us, time) : NULL);
    json_put_name(json, "ungoverned_ms");
    if (container->has_ungoverned && container->state == CONTAINER_GOVERNED)
        buffer_printf(json, "%llu", (unsigned long long)container->ungoverned_ms);
    else
        buffer_puts(json, "null");
    answer_put_text(json, "why", *container->why ? container->why : NULL);
    buffer_put_u8(json, '}');
}

void containers_put_status(const Warden *warden, Buffer *json, const Actor *actor)
{
    uint64_t count = 0, ungoverned = 0;

    json_put_name(json, "engine");
    if (warden->engine_state == ENGINE_NONE) {
        buffer_puts(json, "null");
        return;
    }
    for (const KnownContainer *container = warden->containers; container;
         container = container->next) {
        bool visible = actor_sees(actor, jail_of(container));
        count += visible;
        ungoverned += visible && container->state != CONTAINER_GOVERNED;
    }
    buffer_put_u8(json, '{');
    json_put_member_bool(json, "answers", warden->engine_state == ENGINE_ANSWERS);
    json_put_member(json, "words", warden->engine_words ? warden->engine_words : "");
    json_put_member_u64(json, "containers", count);
    json_put_member_u64(json, "ungoverned", ungoverned);
    buffer_put_u8(json, '}');
}

void answer_containers(Warden *warden, uint64_t key, const Actor *actor)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    buffer_put_u8(&json, '{');
    containers_put_status(warden, &json, actor);
    json_put_name(&json, "containers");
    buffer_put_u8(&json, '[');
    for (const KnownContainer *container = warden->containers; container;
         container = container->next)
        if (actor_sees(actor, jail_of(container)))
            put_container(&json, container);
    buffer_puts(&json, "]}");
    answer(warden, key, 200, &json);
}

void containers_done(Warden *warden)
{
    while (warden->containers) {
        KnownContainer *container = warden->containers;
        warden->containers = container->next;
        free_container(container);
    }
    free(warden->engine_words);
    warden->engine_words = NULL;
}
