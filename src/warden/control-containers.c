/*
 * The kill switch for whole containers (control.h): which ones there are, what the table says about
 * them, and the orders to the executor.
 *
 * A container is frozen as long as anything pauses one of the jails it is in, or itself. Orders of
 * one call have the call's key; 0 is for those that nobody waits for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "warden/control-private.h"

#define PREFIX_MIN 12u
#define WHOLE_ID 64u

static void order(Warden *warden, uint64_t key, ContainerOp op, const char *id)
{
    Buffer payload = BUFFER_EMPTY(256);

    buffer_put_u8(&payload, (uint8_t)op);
    buffer_put_string(&payload, id);
    int result = warden->executor
                     ? link_send_buffer(warden->executor, EXEC_CONTAINER, key, &payload)
                     : -EPIPE;
    buffer_done(&payload);
    if (result < 0)
        warden_fail(warden, "the executor does not read", result);
}

static SwitchContainer *next_of(SwitchContainer *container, const char *id)
{
    while (container && strcmp(container->id, id) != 0)
        container = container->next;
    return container;
}

static SwitchContainer *first_of(Warden *warden, const char *id)
{
    return next_of(warden->switches.containers, id);
}

static void set_frozen(Warden *warden, const char *id, bool frozen)
{
    for (SwitchContainer *same = first_of(warden, id); same; same = next_of(same->next, id))
        same->frozen = frozen;
}

static void set_freezing(Warden *warden, const char *id, bool freezing)
{
    for (SwitchContainer *same = first_of(warden, id); same; same = next_of(same->next, id))
        same->freezing = freezing;
}

static void freeze(Warden *warden, uint64_t key, const char *id)
{
    set_freezing(warden, id, true);
    order(warden, key, CONTAINER_OP_FREEZE, id);
}

static void set_dying(Warden *warden, const char *id, bool dying)
{
    for (SwitchContainer *same = first_of(warden, id); same; same = next_of(same->next, id))
        same->dying = dying;
}

static bool is_wanted_frozen(Warden *warden, const char *id)
{
    for (const SwitchContainer *container = first_of(warden, id); container;
         container = next_of(container->next, id)) {
        const Switch *stop = switches_of(&warden->switches, container->jail, id);
        if (stop && stop->state == SWITCH_PAUSED)
            return true;
    }
    return false;
}

unsigned control_follow_containers(Warden *warden, uint64_t key)
{
    unsigned n_orders = 0;

    for (SwitchContainer *container = warden->switches.containers; container;
         container = container->next) {
        bool wanted = is_wanted_frozen(warden, container->id);
        if (wanted == container->frozen || container->dying)
            continue;
        set_frozen(warden, container->id, wanted);
        if (wanted)
            freeze(warden, key, container->id);
        else
            order(warden, key, CONTAINER_OP_THAW, container->id);
        n_orders++;
    }
    return n_orders;
}

bool control_kill_container(Warden *warden, uint64_t key, const SwitchContainer *container)
{
    if (container->dying)
        return false;
    set_dying(warden, container->id, true);
    set_frozen(warden, container->id, false); /* it is thawed to die */
    order(warden, key, CONTAINER_OP_KILL, container->id);
    return true;
}

void control_freeze_again(Warden *warden)
{
    for (const SwitchContainer *container = warden->switches.containers; container;
         container = container->next)
        if (container->frozen)
            freeze(warden, 0, container->id);
}

void control_meet_container(Warden *warden, const char *id, const char *jail)
{
    bool is_new = false;

    if (!*id || !warden->ready)
        return;
    SwitchContainer *container = switches_meet_container(&warden->switches, id, jail, &is_new);
    if (!container) {
        log_error("container %.12s: there are too many for the kill switch to know them all", id);
        return;
    }
    if (is_new && is_wanted_frozen(warden, id)) {
        (void)control_follow_containers(warden, 0);
        control_save(warden);
    } else if (container->frozen && !container->dying && !container->freezing) {
        freeze(warden, 0, id); /* what is frozen does not speak: it was started again */
    }
}

/* True if one of those that went was frozen. */
static bool forget(Warden *warden, const char *id)
{
    bool was_frozen = false;

    for (SwitchContainer *container = warden->switches.containers, *next; container;
         container = next) {
        next = container->next;
        if (strcmp(container->id, id) != 0)
            continue;
        was_frozen |= container->frozen;
        switches_remove_container(&warden->switches, container);
    }
    return was_frozen;
}

/* The executor's answers. */

static void record_outcome(Warden *warden, ContainerOp op, const char *id, const char *failure)
{
    static const struct {
        JournalEvent event;
        const char *done, *failed;
    } words[CONTAINER_OP_MAX_] = {
        [CONTAINER_OP_KILL] = {JOURNAL_KILLED, "all of the container is ended",
                               "the container is not ended"},
        [CONTAINER_OP_FREEZE] = {JOURNAL_PAUSED, "all of the container is frozen",
                                 "the container is not frozen"},
        [CONTAINER_OP_THAW] = {JOURNAL_RESUMED, "the container goes on",
                               "the container does not go on"},
    };
    const SwitchContainer *container = first_of(warden, id);
    JournalRecord record = {.event = words[op].event,
                            .container = id,
                            .jail = container && *container->jail ? container->jail : NULL,
                            .reason = failure,
                            .message = failure ? words[op].failed : words[op].done};
    warden_record(warden, &record);
}

int control_take_done(Warden *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    ContainerOp op = (ContainerOp)reader_u8(&reader);
    const char *id = reader_string(&reader);
    ContainerOutcome outcome = (ContainerOutcome)reader_u8(&reader);
    const char *why = reader_string(&reader);

    if (!reader_done(&reader) || op < CONTAINER_OP_KILL || op >= CONTAINER_OP_MAX_ ||
        outcome < CONTAINER_OUTCOME_DONE || outcome >= CONTAINER_OUTCOME_MAX_)
        return -EPROTO;
    const char *failure = outcome == CONTAINER_OUTCOME_FAILED ? why : NULL;
    if (outcome != CONTAINER_OUTCOME_ABSENT)
        record_outcome(warden, op, id, failure);
    if (op == CONTAINER_OP_KILL)
        set_dying(warden, id, false);
    if (op == CONTAINER_OP_FREEZE)
        set_freezing(warden, id, false);
    bool is_gone = outcome == CONTAINER_OUTCOME_ABSENT ||
                   (op == CONTAINER_OP_KILL && outcome == CONTAINER_OUTCOME_DONE);
    control_on_container_done(warden, frame->key, id, outcome == CONTAINER_OUTCOME_DONE, failure);
    if (is_gone && forget(warden, id))
        control_save(warden);
    return 0;
}

/* Ids. */

typedef struct Search {
    const char *name;
    bool is_prefix;
    char *found; /* SWITCH_NAME_SIZE */
    unsigned count;
} Search;

static void look_at(Search *search, const char *id)
{
    size_t size = strlen(search->name);
    bool matches =
        search->is_prefix ? strncmp(id, search->name, size) == 0 : strcmp(id, search->name) == 0;

    if (!matches || (search->count > 0 && strcmp(search->found, id) == 0))
        return;
    (void)snprintf(search->found, SWITCH_NAME_SIZE, "%s", id);
    search->count++;
}

int control_find_container(Warden *warden, const Actor *actor, const char *name,
                           char ret[static SWITCH_NAME_SIZE])
{
    size_t size = strlen(name);
    Search search = {.name = name,
                     .is_prefix = size >= PREFIX_MIN && size < WHOLE_ID &&
                                  strspn(name, "0123456789abcdef") == size,
                     .found = ret};

    ret[0] = '\0';
    for (const SwitchContainer *container = warden->switches.containers; container;
         container = container->next)
        if (actor_sees(actor, container->jail))
            look_at(&search, container->id);
    for (const Switch *entry = warden->switches.first; entry; entry = entry->next)
        if (entry->scope == SWITCH_SCOPE_CONTAINER && !*actor->jails)
            look_at(&search, entry->name);
    return search.count == 0 ? -ENOENT : search.count == 1 ? 0 : -ENOTUNIQ;
}

bool control_sees_container(Warden *warden, const Actor *actor, const char *id)
{
    if (!*actor->jails)
        return true;
    for (const SwitchContainer *container = first_of(warden, id); container;
         container = next_of(container->next, id)) {
        if (actor_sees(actor, container->jail))
            return true;
    }
    return false;
}
