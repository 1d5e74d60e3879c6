/*
 * One shim's connection: reading the request, checking its writer, frames both ways.
 *
 * Facts (unix(7)): with SO_PASSCRED and SO_PASSPIDFD on the listener (inherited by accept), every
 * recvmsg(2) names the process that wrote these bytes, and the kernel never joins bytes of two
 * writers in one read. A socket passed on, or a uid changed after connect(2), therefore shows.
 */
#include "door/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/shim-request.h"

#define FIRST_CHUNK (16u * 1024)
#define FRAMES_MAX (2u * SHIM_FRAME_MAX)
#define OUT_MAX (256u * 1024)

/* The inode of a pidfd names one process for good where pidfds have inodes of their own (Linux
 * 6.9); before that all share one, and the comparison says nothing. */
static bool pidfd_inode(int pidfd, uint64_t *ret)
{
    struct stat status;
    if (pidfd < 0 || fstat(pidfd, &status) < 0)
        return false;
    *ret = status.st_ino;
    return true;
}

static int identify(Connection *connection)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    connection->pid = peer.pid;
    connection->uid = peer.uid;
    connection->gid = peer.gid;

    int pidfd = -EBADF;
    size = sizeof pidfd;
    if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
        connection->has_inode = pidfd_inode(pidfd, &connection->pidfd_inode);
    fd_close(pidfd);
    return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *userdata);
static void on_writable(evutil_socket_t fd, short what, void *userdata);

Connection *connection_new_take(Door *door, uint64_t key, int fd)
{
    Connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        fd_close(fd);
        return NULL;
    }
    *connection = (Connection){
        .door = door,
        .key = key,
        .fd = fd,
        .child_fd = -EBADF,
        .since_ms = clock_monotonic_ms(),
        .frames = BUFFER_EMPTY(FRAMES_MAX),
        .out = BUFFER_EMPTY(OUT_MAX),
    };
    connection->ticked_ms = connection->since_ms;
    connection->readable =
        event_new(door_loop(door), fd, EV_READ | EV_PERSIST, on_readable, connection);
    connection->writable = event_new(door_loop(door), fd, EV_WRITE, on_writable, connection);
    if (!connection->readable || !connection->writable || identify(connection) < 0 ||
        event_add(connection->readable, NULL) < 0)
        return connection_free(connection);
    return connection;
}

static void stop_feeding(Connection *connection)
{
    if (connection->child_writable)
        event_free(connection->child_writable);
    connection->child_writable = NULL;
    connection->child_fd = fd_close(connection->child_fd);
}

void connection_release(Connection *connection)
{
    stop_feeding(connection);
    fd_close_many(connection->fds, connection->n_fds);
    connection->n_fds = 0;
    free(connection->message);
    connection->message = NULL;
    door_discharge(connection->door, connection->charged);
    connection->charged = 0;
}

Connection *connection_free(Connection *connection)
{
    if (!connection)
        return NULL;
    if (connection->readable)
        event_free(connection->readable);
    if (connection->writable)
        event_free(connection->writable);
    connection->readable = connection->writable = NULL;
    connection->fd = fd_close(connection->fd); /* first: the shim must not wait for the rest */
    connection_release(connection);
    buffer_done(&connection->frames);
    buffer_done(&connection->out);
    free(connection);
    return NULL;
}

/* To the shim. */

static void flush_out(Connection *connection)
{
    while (buffer_size(&connection->out) > 0) {
        ssize_t sent = send(connection->fd, buffer_head(&connection->out),
                            buffer_size(&connection->out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            (void)event_add(connection->writable, NULL);
            return;
        }
        if (sent < 0) { /* the peer is gone; reading will say so */
            buffer_clear(&connection->out);
            return;
        }
        buffer_consume(&connection->out, (size_t)sent);
    }
}

static void put_frame(Connection *connection, uint8_t type, const void *payload, size_t size)
{
    buffer_put_u8(&connection->out, type);
    buffer_put_u32(&connection->out, (uint32_t)size);
    buffer_put(&connection->out, payload, size);
    flush_out(connection);
}

void connection_send_ack(Connection *connection, uint8_t ack)
{
    buffer_put_u8(&connection->out, ack);
    if (ack == SHIM_ACK_ALLOWED) /* the exit of a quick command goes with it */
        event_active(connection->writable, EV_WRITE, 0);
    else
        flush_out(connection);
}

void connection_send_message(Connection *connection, const char *text)
{
    size_t size = strlen(text);
    put_frame(connection, SHIM_FRAME_MESSAGE, text, size < SHIM_FRAME_MAX ? size : SHIM_FRAME_MAX);
}

void connection_send_exit(Connection *connection, uint8_t kind, uint8_t value)
{
    uint8_t payload[2] = {kind, value};
    put_frame(connection, SHIM_FRAME_EXIT, payload, sizeof payload);
}

void connection_send_tick(Connection *connection)
{
    put_frame(connection, SHIM_FRAME_TICK, NULL, 0);
}

void connection_refuse(Connection *connection, uint8_t exit_code, const char *text)
{
    door_report_refusal(connection, text);
    connection->state = CONNECTION_CLOSING;
    connection->since_ms = clock_monotonic_ms();
    connection_send_ack(connection, SHIM_ACK_DENIED);
    connection_send_message(connection, text);
    connection_send_exit(connection, 0, exit_code);
}

static void on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Connection *connection = userdata;
    flush_out(connection);
    if (connection->state == CONNECTION_CLOSING && buffer_size(&connection->out) == 0)
        door_connection_gone(connection);
}

/* To the executor's child. */

/* Sends what the socket takes; the descriptors travel with the first byte. 0 or -errno. */
static int feed(Connection *connection)
{
    while (connection->child_sent < connection->message_size) {
        bool first = connection->child_sent == 0;
        ssize_t sent =
            fd_send(connection->child_fd, connection->message + connection->child_sent,
                    connection->message_size - connection->child_sent,
                    first ? connection->fds : NULL, first ? connection->n_fds : 0, MSG_DONTWAIT);
        if (sent == -EAGAIN)
            return event_add(connection->child_writable, NULL) < 0 ? -ENOMEM : 0;
        if (sent < 0)
            return (int)sent;
        connection->child_sent += (size_t)sent;
    }
    stop_feeding(connection);
    return 0;
}

static void on_child_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Connection *connection = userdata;
    if (feed(connection) < 0)
        stop_feeding(connection); /* the child has ended; the executor tells the warden why */
}

int connection_feed_child_take(Connection *connection, int fd)
{
    stop_feeding(connection);
    connection->child_fd = fd;
    connection->child_sent = 0;
    connection->child_writable =
        event_new(door_loop(connection->door), fd, EV_WRITE, on_child_writable, connection);
    int result = connection->child_writable ? feed(connection) : -ENOMEM;
    if (result < 0)
        stop_feeding(connection);
    return result;
}

/* From the shim. */

/* The writer of these bytes is the process that connected. */
static bool is_same_writer(const Connection *connection, const FdReceived *received)
{
    uint64_t inode = 0;

    if (!received->has_credentials || received->pid != connection->pid ||
        received->uid != connection->uid || received->gid != connection->gid)
        return false;
    if (!connection->has_inode || !pidfd_inode(received->pidfd, &inode))
        return true;
    return inode == connection->pidfd_inode;
}

/* The header is here: is it acceptable, and is there room for what it announces? */
static bool begin_body(Connection *connection)
{
    size_t body_size = 0;
    ShimProblem problem =
        shim_header_check(&connection->header, &body_size, &connection->n_fds_wanted);

    if (problem != SHIM_OK) {
        connection_refuse(connection, EXIT_WARDEN_FAILED, shim_problem_text(problem));
        return false;
    }
    connection->message_size = sizeof connection->header + body_size;
    size_t cost = shim_header_cost(&connection->header);
    if (!door_charge(connection->door, cost)) {
        connection_refuse(connection, EXIT_WARDEN_FAILED,
                          "too much is waiting in this jail (limit \"bytes\"); nothing was run");
        return false;
    }
    connection->charged = cost;
    connection->message = malloc(connection->message_size);
    if (!connection->message) {
        connection_refuse(connection, EXIT_WARDEN_FAILED, "out of memory; nothing was run");
        return false;
    }
    memcpy(connection->message, &connection->header, sizeof connection->header);
    connection->message_got = sizeof connection->header;
    return true;
}

static bool keep_fds(Connection *connection, FdReceived *received, bool first_bytes)
{
    if (received->n_fds == 0)
        return true;
    if (!first_bytes || received->n_fds > CONNECTION_FDS_MAX)
        return false;
    for (size_t i = 0; i < received->n_fds; i++)
        connection->fds[connection->n_fds++] = TAKE_FD(received->fds[i]);
    return true;
}

static void refuse_writer(Connection *connection)
{
    connection_refuse(connection, EXIT_WARDEN_FAILED,
                      "the request was written by another process (or user) than the one that "
                      "connected; nothing was run");
}

/* Distributes bytes that begin in the header: the rest of it, the body, and what the shim sent
 * after its request (frames). False: refused. */
static bool take_bytes(Connection *connection, const char *bytes, size_t size)
{
    size_t part = sizeof connection->header - connection->header_got;
    if (part > size)
        part = size;
    memcpy((char *)&connection->header + connection->header_got, bytes, part);
    connection->header_got += part;
    if (connection->header_got < sizeof connection->header)
        return true;
    if (!begin_body(connection))
        return false;
    bytes += part;
    size -= part;
    part = connection->message_size - connection->message_got;
    if (part > size)
        part = size;
    memcpy(connection->message + connection->message_got, bytes, part);
    connection->message_got += part;
    buffer_put(&connection->frames, bytes + part, size - part);
    return true;
}

/* Receives into the message, or into `chunk` while the header is not whole. */
static ssize_t receive_part(Connection *connection, char *chunk, FdReceived *received)
{
    if (!connection->message)
        return fd_receive(connection->fd, chunk, FIRST_CHUNK, received, MSG_DONTWAIT);
    return fd_receive(connection->fd, connection->message + connection->message_got,
                      connection->message_size - connection->message_got, received, MSG_DONTWAIT);
}

/* Reads a part of the request. 1: go on reading; 0: nothing more for now, or refused; -errno. */
static int read_request(Connection *connection)
{
    char chunk[FIRST_CHUNK];
    FdReceived received;
    bool in_body = connection->message != NULL;
    ssize_t got = receive_part(connection, chunk, &received);

    if (got == -EAGAIN)
        return 0;
    if (got == -EMSGSIZE) {
        connection_refuse(connection, EXIT_WARDEN_FAILED,
                          "too many descriptors were sent; nothing was run");
        return 0;
    }
    if (got <= 0) {
        fd_received_done(&received);
        return got < 0 ? (int)got : -EPIPE;
    }
    bool same = is_same_writer(connection, &received);
    bool kept = keep_fds(connection, &received, !in_body && connection->header_got == 0);
    fd_received_done(&received);
    if (!same) {
        refuse_writer(connection);
        return 0;
    }
    if (!kept) {
        connection_refuse(connection, EXIT_WARDEN_FAILED,
                          "descriptors came with the wrong bytes; nothing was run");
        return 0;
    }
    if (in_body)
        connection->message_got += (size_t)got;
    else if (!take_bytes(connection, chunk, (size_t)got))
        return 0;
    return 1;
}

/* Handles the whole frames that have come. False: malformed. */
static bool take_frames(Connection *connection)
{
    while (buffer_size(&connection->frames) >= SHIM_FRAME_HEADER_SIZE) {
        Reader reader = reader_of(buffer_head(&connection->frames), SHIM_FRAME_HEADER_SIZE);
        uint8_t type = reader_u8(&reader);
        size_t size = reader_u32(&reader);

        if (size > SHIM_FRAME_MAX)
            return false;
        if (buffer_size(&connection->frames) < SHIM_FRAME_HEADER_SIZE + size)
            return true;
        Reader payload = reader_of(buffer_head(&connection->frames) + SHIM_FRAME_HEADER_SIZE, size);
        if (type == SHIM_FRAME_SIGNAL) {
            uint8_t signal_number = reader_u8(&payload), group = reader_u8(&payload);
            if (!reader_done(&payload))
                return false;
            door_signal(connection, signal_number, group);
        } else if (type == SHIM_FRAME_CANCEL) {
            uint8_t signal_number = 0, group = 0;
            if (size > 0) {
                signal_number = reader_u8(&payload);
                group = reader_u8(&payload);
                if (!reader_done(&payload) || !shim_signal_is_deadly(signal_number))
                    return false;
            }
            door_cancel(connection, signal_number, group);
        } else if (type != SHIM_FRAME_WINDOW) { /* the terminal itself knows its size: local runs
                                                   on the caller's own */
            return false;
        }
        buffer_consume(&connection->frames, SHIM_FRAME_HEADER_SIZE + size);
    }
    return true;
}

static int read_frames(Connection *connection)
{
    FdReceived received;
    size_t room = FRAMES_MAX - buffer_size(&connection->frames);
    char *into = buffer_reserve(&connection->frames, room < 4096 ? room : 4096);
    if (!into)
        return -ENOMEM;

    ssize_t got =
        fd_receive(connection->fd, into, room < 4096 ? room : 4096, &received, MSG_DONTWAIT);
    if (got == -EAGAIN)
        return 0;
    bool same = got > 0 && is_same_writer(connection, &received);
    bool stray = received.n_fds > 0;
    fd_received_done(&received);
    if (got <= 0)
        return got < 0 ? (int)got : -EPIPE;
    if (!same || stray)
        return -EPROTO;
    buffer_grow(&connection->frames, (size_t)got);
    return take_frames(connection) ? 0 : -EPROTO;
}

/* After the last word nothing is expected; what still comes is thrown away. */
static int read_rest(Connection *connection)
{
    char rest[4096];
    FdReceived received;
    ssize_t got = fd_receive(connection->fd, rest, sizeof rest, &received, MSG_DONTWAIT);
    if (got == -EAGAIN)
        return 0;
    fd_received_done(&received);
    return got < 0 ? (int)got : got == 0 ? -EPIPE : 0;
}

/* Reads the request, and passes it on when it is whole. As read_request(); 1: the connection is
 * gone. */
static int go_on_reading(Connection *connection)
{
    int result = 1;

    while (result == 1 && connection->state == CONNECTION_READING) {
        if (!connection->message || connection->message_got < connection->message_size) {
            result = read_request(connection);
            continue;
        }
        if (!door_request_complete(connection))
            return 1;
        /* What came in the same breath: nothing else would make us look at it. */
        return connection->state == CONNECTION_WAITING && !take_frames(connection) ? -EPROTO : 0;
    }
    return result == 1 ? 0 : result;
}

static void on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Connection *connection = userdata;
    int result = 0;

    if (connection->state == CONNECTION_READING) {
        result = go_on_reading(connection);
        if (result == 1)
            return;
    } else if (connection->state == CONNECTION_CLOSING) {
        result = read_rest(connection);
    } else {
        result = read_frames(connection);
    }
    if (result < 0 ||
        (connection->state == CONNECTION_CLOSING && buffer_size(&connection->out) == 0))
        door_connection_gone(connection);
}

void connection_begin(Connection *connection)
{
    on_readable(connection->fd, EV_READ, connection);
}
