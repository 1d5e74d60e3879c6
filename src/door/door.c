/*
 * The door process (door.h): listener, links, limits, and the table of connections.
 *
 * A connection's key is {door id, generation, slot}: an answer for a connection that has gone finds
 * another generation and is dropped. The one timer runs only while there are connections: it ends
 * requests that never get finished and tells waiting shims that somebody is still there.
 */
#include "door/door.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/fd.h"
#include "base/log.h"
#include "door/connection.h"
#include "jail/settings.h"
#include "wire/link.h"
#include "wire/message.h"
#include "wire/shim-request.h"

#define SLOTS_MAX 65536u
#define REQUEST_TIME_MAX_MS 10000u /* from accept to a whole request */
#define CLOSING_TIME_MAX_MS 5000u
#define REFUSALS_LOGGED_MAX 5u /* told to the warden per second: a flood must not fill a disk */
#define FDS_PER_CONNECTION 8u
#define FDS_OF_THE_DOOR 64u

typedef struct Slot {
    Connection *connection;
    uint16_t generation;
    uint32_t next_free; /* index + 1; 0: the last */
} Slot;

struct Door {
    struct event_base *loop;
    Link *control, *warden, *executor;
    char jail[64];
    uint32_t id;
    int listener;
    struct event *acceptable, *timer;
    bool timer_on;
    unsigned connections_max;
    uint64_t bytes_max, bytes;
    unsigned n_connections;
    Slot *slots;
    uint32_t n_slots;
    int32_t first_free;
    uint64_t refusal_second;
    unsigned refusals_in_second;
    int exit_status;
};

struct event_base *door_loop(const Door *door)
{
    return door->loop;
}

bool door_charge(Door *door, size_t bytes)
{
    if (bytes > door->bytes_max || door->bytes > door->bytes_max - bytes)
        return false;
    door->bytes += bytes;
    return true;
}

void door_discharge(Door *door, size_t bytes)
{
    door->bytes -= bytes;
}

/* The table. */

static Slot *slot_of(Door *door, uint64_t key)
{
    uint32_t low = (uint32_t)key, index = low & 0xffff;
    if (MESSAGE_KEY_DOOR(key) != door->id || index >= door->n_slots)
        return NULL;
    Slot *slot = &door->slots[index];
    return slot->connection && slot->generation == low >> 16 ? slot : NULL;
}

static bool grow_slots(Door *door)
{
    uint32_t count = door->n_slots ? door->n_slots * 2 : 64;
    if (count > SLOTS_MAX)
        return false;
    Slot *slots = realloc(door->slots, count * sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = door->n_slots; i < count; i++)
        slots[i] = (Slot){.next_free = i + 1 < count ? i + 2 : 0};
    door->first_free = (int32_t)door->n_slots;
    door->slots = slots;
    door->n_slots = count;
    return true;
}

/* The index of a free slot, or -1. */
static int32_t take_slot(Door *door)
{
    if (door->first_free < 0 && !grow_slots(door))
        return -1;
    int32_t index = door->first_free;
    door->first_free = (int32_t)door->slots[index].next_free - 1;
    return index;
}

static void give_slot(Door *door, uint64_t key)
{
    uint32_t index = (uint32_t)key & 0xffff;
    Slot *slot = &door->slots[index];
    slot->connection = NULL;
    slot->generation++;
    slot->next_free = (uint32_t)(door->first_free + 1);
    door->first_free = (int32_t)index;
}

static void to_warden(Door *door, uint16_t type, uint64_t key, const void *payload, size_t size)
{
    if (!door->warden)
        return;
    int result = link_send(door->warden, type, key, payload, size);
    if (result < 0) {
        /* The warden has lost track of this door: only a fresh start of both is sound. */
        log_error("cannot reach the warden: %s", strerror(-result));
        door->exit_status = EXIT_FAILURE;
        (void)event_base_loopbreak(door->loop);
    }
}

static void update_timer(Door *door)
{
    bool wanted = door->n_connections > 0;
    struct timeval second = {.tv_sec = 1};
    if (wanted == door->timer_on)
        return;
    if (wanted)
        (void)event_add(door->timer, &second);
    else
        (void)event_del(door->timer);
    door->timer_on = wanted;
}

void door_connection_gone(Connection *connection)
{
    Door *door = connection->door;
    uint64_t key = connection->key;

    if (connection->state == CONNECTION_WAITING || connection->state == CONNECTION_RUNNING)
        to_warden(door, DOOR_GONE, key, NULL, 0);
    give_slot(door, key);
    door->n_connections--;
    connection_free(connection);
    update_timer(door);
}

/* Told to the warden for the journal, but not without end. */
void door_report_refusal(const Connection *connection, const char *why)
{
    Door *door = connection->door;
    uint64_t second = clock_monotonic_ms() / 1000;
    Buffer payload = BUFFER_EMPTY(1024);

    if (second != door->refusal_second) {
        door->refusal_second = second;
        door->refusals_in_second = 0;
    }
    if (door->refusals_in_second++ >= REFUSALS_LOGGED_MAX)
        return;
    buffer_put_u32(&payload, (uint32_t)connection->pid);
    buffer_put_u32(&payload, connection->uid);
    buffer_put_u32(&payload, connection->gid);
    buffer_put_string(&payload, why);
    to_warden(door, DOOR_REFUSED, 0, payload.bytes, payload.size);
    buffer_done(&payload);
}

/* Offers the request to the executor: the connection for the kernel's word on who it is, and a
 * socketpair for the child. */
static int open_request(Door *door, Connection *connection)
{
    int pair[2];

    if (!door->executor)
        return -ENOTCONN;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int fds[2] = {connection->fd, pair[1]};
    int result = connection_feed_child_take(connection, pair[0]);
    if (result == 0)
        result = link_send_fds(door->executor, EXEC_OPEN, connection->key, NULL, 0, fds, 2);
    fd_close(pair[1]);
    return result;
}

static bool decodes(const Connection *connection, const char **ret_problem)
{
    ShimRequest request = SHIM_REQUEST_EMPTY;
    int problem =
        shim_request_decode(&connection->header, connection->message + sizeof connection->header,
                            connection->message_size - sizeof connection->header, &request);
    shim_request_done(&request);
    *ret_problem =
        problem < 0 ? "out of memory; nothing was run" : shim_problem_text((ShimProblem)problem);
    return problem == SHIM_OK;
}

/* False when the connection is gone. */
static bool refuse(Connection *connection, const char *why)
{
    connection_refuse(connection, EXIT_WARDEN_FAILED, why);
    if (buffer_size(&connection->out) > 0)
        return true;
    door_connection_gone(connection);
    return false;
}

bool door_request_complete(Connection *connection)
{
    Door *door = connection->door;
    const char *problem = NULL;

    if (connection->n_fds != connection->n_fds_wanted)
        return refuse(connection,
                      "the descriptors of the request are not those it announced; nothing was run");
    if (!decodes(connection, &problem))
        return refuse(connection, problem);
    if (!door->warden || open_request(door, connection) < 0)
        return refuse(connection,
                      "the warden is starting or has failed; nothing was run, try again");
    connection->state = CONNECTION_WAITING;
    connection->since_ms = connection->ticked_ms = clock_monotonic_ms();

    Buffer payload = BUFFER_EMPTY(SHIM_REQUEST_MAX + 4096);
    buffer_put_u32(&payload, (uint32_t)connection->pid);
    buffer_put_u32(&payload, connection->uid);
    buffer_put_u32(&payload, connection->gid);
    buffer_put_blob(&payload, connection->message, connection->message_size);
    bool here = true;
    if (payload.error < 0)
        here = refuse(connection, "out of memory; nothing was run");
    else
        to_warden(door, DOOR_REQUEST, connection->key, payload.bytes, payload.size);
    buffer_done(&payload);
    return here;
}

void door_signal(Connection *connection, uint8_t signal_number, uint8_t group)
{
    uint8_t payload[2] = {signal_number, group};
    to_warden(connection->door, DOOR_SIGNAL, connection->key, payload, sizeof payload);
}

void door_cancel(Connection *connection, uint8_t signal_number, uint8_t group)
{
    uint8_t payload[2] = {signal_number, group};
    to_warden(connection->door, DOOR_CANCEL, connection->key, payload,
              signal_number == 0 ? 0 : sizeof payload);
}

/* Timer and listener. */

static void look_at(Door *door, Connection *connection, uint64_t now)
{
    uint64_t age = now - connection->since_ms;

    if (connection->state == CONNECTION_READING && age >= REQUEST_TIME_MAX_MS) {
        (void)refuse(connection, "the request was not finished within 10 s; nothing was run");
    } else if (connection->state == CONNECTION_CLOSING && age >= CLOSING_TIME_MAX_MS) {
        door_connection_gone(connection);
    } else if (connection->state != CONNECTION_READING && connection->state != CONNECTION_CLOSING &&
               now - connection->ticked_ms >= SHIM_TICK_S * 1000) {
        connection->ticked_ms = now;
        connection_send_tick(connection);
        if (connection->out.error < 0) /* it does not read what it is told */
            door_connection_gone(connection);
    }
    (void)door;
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Door *door = userdata;
    uint64_t now = clock_monotonic_ms();

    for (uint32_t i = 0; i < door->n_slots; i++)
        if (door->slots[i].connection)
            look_at(door, door->slots[i].connection, now);
}

static void refuse_at_the_limit(Door *door, int fd)
{
    Connection connection = {.door = door, .fd = fd, .child_fd = -EBADF, .out = BUFFER_EMPTY(4096)};
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    char text[128];

    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    connection.pid = peer.pid;
    connection.uid = peer.uid;
    connection.gid = peer.gid;
    (void)snprintf(text, sizeof text,
                   "this jail has %u connections already (its limit); nothing was run",
                   door->connections_max);
    door_report_refusal(&connection, text);

    /* One short write into an empty socket buffer; whether it is read is the caller's affair. */
    Buffer reply = BUFFER_EMPTY(1024);
    buffer_put_u8(&reply, SHIM_ACK_DENIED);
    buffer_put_u8(&reply, SHIM_FRAME_MESSAGE);
    buffer_put_blob(&reply, text, strlen(text));
    buffer_put_u8(&reply, SHIM_FRAME_EXIT);
    buffer_put_blob(&reply, (uint8_t[]){0, EXIT_WARDEN_FAILED}, 2);
    (void)fd_send(fd, reply.bytes, reply.size, NULL, 0, MSG_DONTWAIT);
    buffer_done(&reply);
    fd_close(fd);
}

static void take_connection(Door *door, int fd)
{
    int32_t index = door->n_connections < door->connections_max ? take_slot(door) : -1;
    if (index < 0) {
        refuse_at_the_limit(door, fd);
        return;
    }
    Slot *slot = &door->slots[index];
    uint64_t key = MESSAGE_KEY(door->id, (uint32_t)slot->generation << 16 | (uint32_t)index);
    Connection *connection = connection_new_take(door, key, fd);
    if (!connection) {
        give_slot(door, key);
        return;
    }
    slot->connection = connection;
    door->n_connections++;
    update_timer(door);
    connection_begin(connection);
}

static void on_acceptable(evutil_socket_t listener, short what UNUSED, void *userdata)
{
    Door *door = userdata;

    for (int i = 0; i < 64; i++) { /* then others have their turn */
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take_connection(door, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN)
            log_warning("accept: %s", strerror(errno));
        return;
    }
}

/* Links. */

static void on_warden_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Door *door = userdata;
    Slot *slot = slot_of(door, frame->key);
    Reader reader = reader_of(frame->payload, frame->size);

    if (!slot)
        return; /* the connection went while this was on its way */
    Connection *connection = slot->connection;
    switch (frame->type) {
    case DOOR_ACK: {
        uint8_t ack = reader_u8(&reader);
        connection_send_ack(connection, ack);
        if (ack == SHIM_ACK_ALLOWED) {
            connection->state = CONNECTION_RUNNING;
            connection_release(connection);
        }
        break;
    }
    case DOOR_MESSAGE:
        connection_send_message(connection, reader_string(&reader));
        break;
    case DOOR_EXIT: {
        uint8_t kind = reader_u8(&reader), value = reader_u8(&reader);
        connection_send_exit(connection, kind, value);
        connection->state = CONNECTION_CLOSING;
        connection->since_ms = clock_monotonic_ms();
        if (buffer_size(&connection->out) == 0) {
            door_connection_gone(connection);
            return;
        }
        break;
    }
    case DOOR_OPEN:
        if (connection->state == CONNECTION_WAITING && open_request(door, connection) < 0)
            to_warden(door, DOOR_GONE, frame->key, NULL, 0);
        break;
    default:
        log_error("unexpected message %u from the warden", frame->type);
        door->exit_status = EXIT_FAILURE;
        (void)event_base_loopbreak(door->loop);
        return;
    }
    if (connection->out.error < 0)
        door_connection_gone(connection);
}

static void on_executor_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Door *door = userdata;
    log_error("unexpected message %u from the executor", frame->type);
    door->exit_status = EXIT_FAILURE;
    (void)event_base_loopbreak(door->loop);
}

/* The parent, the warden or the executor is gone: whatever is known here is void. */
static void on_peer_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    Door *door = userdata;
    (void)event_base_loopbreak(door->loop);
}

static const LinkHandlers warden_handlers = {.frame = on_warden_frame, .closed = on_peer_closed};
static const LinkHandlers executor_handlers = {.frame = on_executor_frame,
                                               .closed = on_peer_closed};

static int take_link(Door *door, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t role = reader_u8(&reader);
    uint32_t id = reader_u32(&reader);
    const char *jail = reader_string(&reader);
    (void)reader_string(&reader);
    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;

    door->id = id;
    (void)snprintf(door->jail, sizeof door->jail, "%s", jail);
    bool warden = role == LINK_ROLE_WARDEN;
    if (!warden && role != LINK_ROLE_EXECUTOR)
        return -EPROTO;
    LinkLimits limits = {.frame_max = 64 * 1024, .queue_max = door->bytes_max + (16u << 20)};
    return link_new_take(warden ? &door->warden : &door->executor, door->loop,
                         TAKE_FD(frame->fds[0]), &limits,
                         warden ? &warden_handlers : &executor_handlers, door);
}

static int take_jail(Door *door, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    _cleanup_(jail_settings_done)
    JailSettings settings = JAIL_SETTINGS_EMPTY;

    int result = jail_settings_decode(&reader, &settings);
    if (result < 0 || !reader_done(&reader))
        return result < 0 ? result : -EPROTO;
    const unsigned connections = settings.jail.limits.connections;
    door->connections_max = connections < SLOTS_MAX ? connections : SLOTS_MAX;
    door->bytes_max = settings.jail.limits.bytes;
    return 0;
}

static int take_listener(Door *door, LinkFrame *frame)
{
    if (frame->n_fds != 1 || door->acceptable)
        return -EPROTO;
    door->listener = TAKE_FD(frame->fds[0]);
    door->acceptable =
        event_new(door->loop, door->listener, EV_READ | EV_PERSIST, on_acceptable, door);
    if (!door->acceptable || event_add(door->acceptable, NULL) < 0)
        return -ENOMEM;
    return link_send(door->control, MESSAGE_READY, 0, NULL, 0);
}

static void on_control_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Door *door = userdata;
    int result = -EPROTO;

    switch (frame->type) {
    case MESSAGE_PING:
        result = link_send(link, MESSAGE_PONG, 0, NULL, 0);
        break;
    case MESSAGE_LINK:
        result = take_link(door, frame);
        break;
    case MESSAGE_JAIL:
        result = take_jail(door, frame);
        break;
    case MESSAGE_LISTENER:
        result = take_listener(door, frame);
        break;
    case MESSAGE_STOP:
        (void)event_base_loopbreak(door->loop);
        return;
    default:
        break;
    }
    if (result < 0) {
        log_error("control message %u: %s", frame->type, strerror(-result));
        door->exit_status = EXIT_FAILURE;
        (void)event_base_loopbreak(door->loop);
    }
}

static const LinkHandlers control_handlers = {.frame = on_control_frame, .closed = on_peer_closed};

static int confine_door(const ProcessContext *context)
{
    int result = confine_become(context->privileged ? &context->door : NULL, true);
    if (result == 0) /* for the most that its jail may ever have */
        result = confine_limits(FDS_OF_THE_DOOR + (unsigned long)SLOTS_MAX * FDS_PER_CONNECTION);
    if (result == 0)
        result = confine_files(NULL);
    if (result >= 0)
        result = confine_syscalls(false);
    return result < 0 ? result : 0;
}

static void close_connections(Door *door)
{
    for (uint32_t i = 0; i < door->n_slots; i++)
        door->slots[i].connection = connection_free(door->slots[i].connection);
    free(door->slots);
}

int door_main(const ProcessContext *context)
{
    Door door = {.loop = event_base_new(),
                 .listener = -EBADF,
                 .first_free = -1,
                 .connections_max = 200,
                 .bytes_max = 64u << 20};
    LinkLimits limits = {.frame_max = 4096, .queue_max = 64 * 1024, .fds_max = 1};

    int result = door.loop ? confine_door(context) : -ENOMEM;
    if (result == 0)
        result = link_new_take(&door.control, door.loop, context->control_fd, &limits,
                               &control_handlers, &door);
    if (result == 0 && !(door.timer = event_new(door.loop, -1, EV_PERSIST, on_timer, &door)))
        result = -ENOMEM;
    if (result < 0) {
        log_error("cannot set up: %s", strerror(-result));
        return EXIT_FAILURE;
    }
    (void)event_base_dispatch(door.loop);

    if (door.acceptable)
        event_free(door.acceptable);
    fd_close(door.listener);
    close_connections(&door);
    event_free(door.timer);
    link_free(door.warden);
    link_free(door.executor);
    link_free(door.control);
    event_base_free(door.loop);
    return door.exit_status;
}
