/*
 * An HTTP/1.1 server on libevent's bufferevents: connections, deadlines, limits, keep-alive. What
 * is asked and who may ask is its user's business.
 *
 * A connection is in one state at a time: idle → reading → handling → writing → idle, and closing
 * at its end; or handling → streaming, for answers without an end known beforehand. One request is
 * in hand at a time; what a client sends meanwhile waits in bounded buffers, so pipelined requests
 * are answered in order. Every state but handling has a deadline, counted from its start: a client
 * that drips bytes gains nothing, and a stream whose client does not read ends.
 *
 * A connection comes in by a door: the unix socket, TCP, or TCP with TLS. Each has a limit of its
 * own, so that strangers on the network cannot keep operators from the unix socket. At the limit
 * the connection that has been idle longest makes room; when none is idle, new ones wait in the
 * kernel's backlog. Addresses other than loopback have a limit each.
 */
#pragma once

#include <event2/event.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "api/http-head.h"

typedef struct HttpServer HttpServer;
typedef struct HttpConnection HttpConnection;

typedef enum HttpDoor { HTTP_DOOR_UNIX, HTTP_DOOR_TCP, HTTP_DOOR_TLS, HTTP_DOOR_MAX_ } HttpDoor;

/* A whole request; valid until it is answered or its connection is gone. */
typedef struct HttpRequest {
    HttpHead head;
    char *body; /* head.length bytes and a NUL */
} HttpRequest;

typedef struct HttpAnswer {
    unsigned status;
    const char *type;   /* Content-Type */
    const char *fields; /* further header lines, each with CR LF, or NULL */
    bool page;          /* a file of the dashboard: may load its like, may be kept if unchanged */
    const char *body;
    size_t size;
} HttpAnswer;

typedef struct HttpHandlers {
    /* Answer with http_answer() or http_stream_begin(), now or later, exactly once. */
    void (*request)(HttpConnection *connection, const HttpRequest *request, void *userdata);
    /* The bytes were no acceptable request: answer it now; the connection closes afterwards. */
    void (*fault)(HttpConnection *connection, const HttpFault *fault, void *userdata);
    /* All that was written to a stream has left. */
    void (*drained)(HttpConnection *connection, void *userdata);
    /* The connection ends; a request in hand must not be answered any more. */
    void (*gone)(HttpConnection *connection, void *userdata);
} HttpHandlers;

typedef struct HttpLimits {
    size_t connections[HTTP_DOOR_MAX_];  /* at a time, of each door */
    size_t address_connections;          /* of one address that is not loopback */
    unsigned idle_ms, read_ms, write_ms; /* deadlines of the states */
} HttpLimits;

/* 0 or -ENOMEM. `handlers` must outlive the server. */
int http_server_new(HttpServer **ret, struct event_base *loop, const HttpLimits *limits,
                    const HttpHandlers *handlers, void *userdata);
HttpServer *http_server_free(HttpServer *server); /* accepts NULL, returns NULL */

/* Takes a listening stream socket. 0 or -errno. */
int http_server_listen_take(HttpServer *server, int fd, HttpDoor door);
/* What TLS is spoken with from now on. Takes it. */
void http_server_set_tls_take(HttpServer *server, SSL_CTX *context);
/* No new connections; those that are idle and streams end. */
void http_server_stop(HttpServer *server);
/* Connections that are still being answered. */
size_t http_server_busy(const HttpServer *server);
size_t http_server_connections(const HttpServer *server);

void http_answer(HttpConnection *connection, const HttpAnswer *answer);

/* Streams: the head of `answer` leaves at once (chunked; without chunks for HTTP/1.0, whose
 * streams end with the connection). False: the client asked for the head only, all is done. */
bool http_stream_begin(HttpConnection *connection, const HttpAnswer *answer);
void http_stream_write(HttpConnection *connection, const void *bytes, size_t size);
/* Bytes that have not left yet. */
size_t http_stream_backlog(const HttpConnection *connection);
/* The stream is whole, and the connection goes on. */
void http_stream_end(HttpConnection *connection);
/* The connection ends soon, and the client can tell that the stream was not whole. */
void http_stream_abort(HttpConnection *connection);

/* The client's socket, which stays the connection's. */
int http_connection_fd(const HttpConnection *connection);
HttpDoor http_connection_door(const HttpConnection *connection);
/* Who is at the other end, for limits: a unix socket, an IPv4 address, the upper half of an IPv6
 * address. Text of less than 64 bytes. */
const char *http_connection_peer(const HttpConnection *connection);
/* Our own address that the client has connected to, as a URL has it ("127.0.0.1", "[::1]"), or
 * "". */
const char *http_connection_local(const HttpConnection *connection);
bool http_connection_is_loopback(const HttpConnection *connection);
/* One pointer for the user, NULL at first. */
void *http_connection_data(const HttpConnection *connection);
void http_connection_set_data(HttpConnection *connection, void *data);
