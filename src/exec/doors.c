/*
 * The doors' links, the jails that they are doors of, and getting rid of what they passed.
 *
 * A door that has been taken over passes what its prisoner likes, and the close of a descriptor can
 * block whoever does it last for as long as the prisoner likes (SO_LINGER, a queue that holds such
 * a socket). So nothing that came from a door is closed here: it goes to a cell whose process only
 * ends, which never lingers (socket(7)), also when the door's link is cut, with all that is still
 * in it. Such cells count to the jail's share. As long as it has no room for one more, or something
 * could not be disposed of yet, its doors are not read: their frames wait in the socket, and
 * nobody else's wait with them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "exec/executor-private.h"

/* Until what could not be done is tried again. */
#define RETRY_MS 20
/* Nobody waits for the end of our copy of a vetted connection (its server shuts it down); a command
 * may be waiting for the processor. */
#define GATHER_MS 5

struct Disposal {
    CellShare *share;
    int fds[LINK_FDS_MAX];
    size_t n_fds;
    Disposal *next;
};

/* Jails. */
static Jail *find_jail(const Executor *executor, const char *name)
{
    Jail *jail = executor->jails;
    while (jail && strcmp(jail->name, name) != 0)
        jail = jail->next;
    return jail;
}

static void free_jail(Jail *jail)
{
    free(jail->name);
    free(jail);
}

/* Those that have no door and nothing alive. */
static void forget_jails(Executor *executor)
{
    if (executor->disposals)
        return; /* one of them may count to it */
    for (Jail **link = &executor->jails; *link;) {
        Jail *jail = *link;
        if (jail->n_doors > 0 || jail->share.n_cells > 0) {
            link = &jail->next;
            continue;
        }
        *link = jail->next;
        free_jail(jail);
    }
}

int jail_take_settings(Executor *executor, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    _cleanup_(jail_settings_done)
    JailSettings settings = JAIL_SETTINGS_EMPTY;

    int result = jail_settings_decode(&reader, &settings);
    if (result < 0 || !reader_done(&reader))
        return result < 0 ? result : -EPROTO;
    const char *name = settings.jail.name;
    Jail *jail = find_jail(executor, name);
    if (!jail) {
        forget_jails(executor);
        jail = calloc(1, sizeof *jail);
        if (!jail || !(jail->name = strdup(name))) {
            free(jail);
            return -ENOMEM;
        }
        jail->next = executor->jails;
        executor->jails = jail;
    }
    jail->share.most = settings.jail.limits.commands;
    return 0;
}

/* Disposal. */
static void try_later(Executor *executor)
{
    const struct timeval later = {.tv_usec = RETRY_MS * 1000};
    (void)event_add(&executor->retry_event, &later);
}

void dispose_take(Executor *executor, CellShare *share, int *fds, size_t n_fds)
{
    if (n_fds == 0 || cell_dispose_take(executor->block, share, fds, n_fds) == 0)
        return;
    Disposal *disposal = calloc(1, sizeof *disposal);
    if (!disposal || n_fds > ARRAY_SIZE(disposal->fds)) {
        log_error("out of memory: descriptors that cannot be closed safely are left open");
        free(disposal);
        return;
    }
    disposal->share = share;
    disposal->n_fds = n_fds;
    memcpy(disposal->fds, fds, n_fds * sizeof *fds);
    disposal->next = executor->disposals;
    executor->disposals = disposal;
    try_later(executor);
}

/* Those that gather go together. */
static void dispose_gathered(Executor *executor)
{
    Gathered *gathered = &executor->gathered;
    size_t n_fds = gathered->n_fds;

    gathered->n_fds = 0;
    (void)event_del(&gathered->event);
    dispose_take(executor, &executor->api_share, gathered->fds, n_fds);
}

void on_gathered(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    dispose_gathered(userdata);
}

void dispose_vetted_take(Executor *executor, int fd)
{
    const struct timeval soon = {.tv_usec = GATHER_MS * 1000};
    Gathered *gathered = &executor->gathered;

    gathered->fds[gathered->n_fds++] = fd;
    if (gathered->n_fds == ARRAY_SIZE(gathered->fds))
        dispose_gathered(executor);
    else if (gathered->n_fds == 1)
        (void)event_add(&gathered->event, &soon);
}

static void dispose_again(Executor *executor)
{
    while (executor->disposals) {
        Disposal *disposal = executor->disposals;
        if (cell_dispose_take(executor->block, disposal->share, disposal->fds, disposal->n_fds) < 0)
            return;
        executor->disposals = disposal->next;
        free(disposal);
    }
}

Link *dismantle(Executor *executor, CellShare *share, Link *link)
{
    int fds[LINK_FDS_MAX];
    size_t n_fds = link_dismantle(link, fds);

    dispose_take(executor, share, fds, n_fds);
    return NULL;
}

static bool may_be_read(const Executor *executor, const CellShare *share)
{
    return !executor->disposals && cell_share_has_room(executor->block, share);
}

void hold_back(Executor *executor, const CellShare *share, Link *link, bool *is_held)
{
    if (may_be_read(executor, share))
        return;
    link_pause(link);
    *is_held = true;
    try_later(executor);
}

static void let_go(Executor *executor, const CellShare *share, Link *link, bool *is_held)
{
    if (!link || !*is_held)
        return;
    if (!may_be_read(executor, share)) {
        try_later(executor);
        return;
    }
    *is_held = false;
    link_resume(link);
}

void on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Executor *executor = userdata;

    dispose_again(executor);
    if (executor->disposals)
        try_later(executor);
    for (Door *door = executor->doors; door; door = door->next)
        let_go(executor, &door->jail->share, door->link, &door->is_held);
    let_go(executor, &executor->api_share, executor->api, &executor->is_api_held);
}

/* Doors. */
static void free_door(Door *door)
{
    door->jail->n_doors--;
    free(door->socket);
    free(door);
}

static void remove_door(Door *door)
{
    Executor *executor = door->executor;
    Door **link = &executor->doors;

    while (*link != door)
        link = &(*link)->next;
    *link = door->next;
    requests_drop_of(door);
    (void)dismantle(executor, &door->jail->share, door->link);
    free_door(door);
}

static void on_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Door *door = userdata;
    Executor *executor = door->executor;

    if (frame->type == EXEC_OPEN && frame->size == 0 && frame->n_fds == 2 &&
        MESSAGE_KEY_DOOR(frame->key) == door->id && !request_find(executor, frame->key)) {
        open_request(door, frame);
        hold_back(executor, &door->jail->share, link, &door->is_held);
        return;
    }
    log_error("the door of jail %s broke its protocol (type %u): its link is closed",
              door->jail->name, frame->type);
    dispose_take(executor, &door->jail->share, frame->fds, frame->n_fds);
    frame->n_fds = 0;
    remove_door(door);
}

static void on_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    remove_door(userdata);
}

static const LinkHandlers handlers = {.frame = on_frame, .closed = on_closed};
static const LinkLimits limits = {.frame_max = 64, .queue_max = 4096, .fds_max = 2};

int door_add_take(Executor *executor, uint32_t id, const char *name, const char *socket, int fd)
{
    Jail *jail = find_jail(executor, name);
    Door *door = jail ? calloc(1, sizeof *door) : NULL;
    if (!door) {
        fd_close(fd);
        return jail ? -ENOMEM : -EPROTO;
    }
    *door = (Door){.executor = executor, .id = id, .jail = jail, .socket = strdup(socket)};
    jail->n_doors++;
    int result = -ENOMEM;
    if (door->socket)
        result = link_new_take(&door->link, executor->loop, fd, &limits, &handlers, door);
    else
        fd_close(fd);
    if (result < 0) {
        free_door(door);
        return result;
    }
    door->next = executor->doors;
    executor->doors = door;
    return 0;
}

/* The end. */
void doors_silence(Executor *executor)
{
    for (Door *door = executor->doors; door; door = door->next)
        link_pause(door->link);
    if (executor->api)
        link_pause(executor->api);
    (void)event_del(&executor->retry_event);
    (void)event_del(&executor->gathered.event);
}

void doors_free(Executor *executor)
{
    int fds[LINK_FDS_MAX];

    /* What their links hold is left to the end of this process. */
    if (executor->api)
        (void)link_dismantle(executor->api, fds);
    executor->api = NULL;
    while (executor->doors) {
        Door *door = executor->doors;
        executor->doors = door->next;
        (void)link_dismantle(door->link, fds);
        free_door(door);
    }
    while (executor->disposals) {
        Disposal *disposal = executor->disposals;
        executor->disposals = disposal->next;
        free(disposal);
    }
    while (executor->jails) {
        Jail *jail = executor->jails;
        executor->jails = jail->next;
        free_jail(jail);
    }
}
