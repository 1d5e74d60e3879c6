/*
 * One shim's connection (private to door/).
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "wire/shim-protocol.h"

#define CONNECTION_FDS_MAX 4

typedef struct Door Door;

typedef enum ConnectionState {
    CONNECTION_READING, /* header and body are coming in */
    CONNECTION_WAITING, /* with the warden; not yet allowed */
    CONNECTION_RUNNING, /* allowed */
    CONNECTION_CLOSING, /* the last bytes are on their way out */
} ConnectionState;

typedef struct Connection {
    Door *door;
    uint64_t key;
    int fd;
    struct event *readable, *writable;
    ConnectionState state;
    uint64_t since_ms;  /* start of the state, monotonic */
    uint64_t ticked_ms; /* last sign of life sent */

    /* Who connected, by SO_PEERCRED; every byte must come from the same process. */
    pid_t pid;
    uid_t uid;
    gid_t gid;
    bool has_inode;
    uint64_t pidfd_inode;

    ShimHeader header;
    size_t header_got;
    char *message; /* header and body as they came, owned */
    size_t message_size, message_got;
    size_t charged; /* what it counts against the jail's `bytes` */
    int fds[CONNECTION_FDS_MAX];
    size_t n_fds, n_fds_wanted;

    /* The transfer of the message to the executor's child. */
    int child_fd;
    struct event *child_writable;
    size_t child_sent;

    Buffer frames; /* from the shim */
    Buffer out;    /* to the shim */
} Connection;

/* Takes an accepted, non-blocking socket. NULL when it could not be set up (the socket is closed).
 */
Connection *connection_new_take(Door *door, uint64_t key, int fd);
Connection *connection_free(Connection *connection);
/* Reads what is there already: a shim sends its request in the breath that connects it. The
 * connection may be gone afterwards. */
void connection_begin(Connection *connection);

/* Frames to the shim; a shim that does not read them loses its connection. */
void connection_send_ack(Connection *connection, uint8_t ack);
void connection_send_message(Connection *connection, const char *text);
void connection_send_exit(Connection *connection, uint8_t kind, uint8_t value);
void connection_send_tick(Connection *connection);

/* Refuses on the door's own account: message, exit code, and the connection closes. */
void connection_refuse(Connection *connection, uint8_t exit_code, const char *text);

/* Allowed: the descriptors and bytes are the command's now. */
void connection_release(Connection *connection);

/* Starts to send the message and descriptors down `fd` (taken), the child's socketpair. */
int connection_feed_child_take(Connection *connection, int fd);

/* Implemented by door.c. */
void door_report_refusal(const Connection *connection, const char *why); /* for the journal */
/* The request is whole: passes it on, or refuses it. False when the connection is gone. */
bool door_request_complete(Connection *connection);
void door_signal(Connection *connection, uint8_t signal_number, uint8_t group);
/* Signal 0: whatever became of the request. */
void door_cancel(Connection *connection, uint8_t signal_number, uint8_t group);
/* Forgets and frees the connection, telling the warden if it knows of it. */
void door_connection_gone(Connection *connection);
/* Charges `bytes` to the jail; false when its limit is reached. */
bool door_charge(Door *door, size_t bytes);
void door_discharge(Door *door, size_t bytes);
struct event_base *door_loop(const Door *door);
