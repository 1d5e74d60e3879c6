/*
 * Private to the HTTP server: what http-server.c (states) and http-answer.c (bytes that leave)
 * share.
 */
#pragma once

#include <event2/bufferevent.h>
#include <sys/queue.h>

#include "api/http-server.h"

#define HTTP_PEER_MAX 64u

typedef enum ConnectionState {
    CONNECTION_IDLE,
    CONNECTION_READING,
    CONNECTION_HANDLING,
    CONNECTION_WRITING,
    CONNECTION_STREAMING,
    CONNECTION_ABORTED, /* a stream's end that the client must notice */
    CONNECTION_CLOSING, /* answered; what the client still sends is dropped until it closes */
} ConnectionState;

struct HttpConnection {
    HttpServer *server;
    TAILQ_ENTRY(HttpConnection) link; /* the head of the list has been quiet longest */
    HttpDoor door;
    char peer[HTTP_PEER_MAX], local[HTTP_PEER_MAX];
    bool loopback;
    struct bufferevent *stream;
    struct event *deadline;
    ConnectionState state;
    bool close;     /* after the answer */
    bool ended;     /* the client sends nothing more */
    bool continued; /* "100 Continue" has been sent */
    HttpRequest request;
    size_t head_size; /* of the request being read, once its head is complete */
    void *data;
};

typedef struct HttpDoorState {
    size_t n_connections;
    bool listening;
} HttpDoorState;

#define LISTENERS_MAX 8u

typedef struct HttpListener {
    struct evconnlistener *socket;
    HttpDoor door;
    HttpServer *server;
} HttpListener;

struct HttpServer {
    struct event_base *loop;
    HttpLimits limits;
    const HttpHandlers *handlers;
    void *userdata;
    HttpListener listeners[LISTENERS_MAX];
    size_t n_listeners;
    HttpDoorState doors[HTTP_DOOR_MAX_];
    bool stopped;
    struct event *retry; /* listen again, after accept(2) failed */
    SSL_CTX *tls;        /* owned; NULL: none is spoken */
    TAILQ_HEAD(HttpConnections, HttpConnection) connections;
    size_t n_connections;
};

/* The connection goes over to a state that lasts so long at most (0: as long as it likes). */
void http_connection_enter(HttpConnection *connection, ConnectionState state, unsigned deadline_ms);

/* peer.c: fills in peer, local and loopback from the connected socket. */
void http_connection_find_peer(HttpConnection *connection, int fd);
