/*
 * An HTTP/1.1 server on libevent's bufferevents: connections, deadlines, limits, keep-alive. What
 * is asked and who may ask is its user's business.
 *
 * A connection is in one state at a time: idle → reading → handling → writing → idle, and closing
 * at its end. One request is in hand at a time; what a client sends meanwhile waits in bounded
 * buffers, so pipelined requests are answered in order. Every state but handling has a deadline,
 * counted from its start: a client that drips bytes gains nothing. At the limit of connections the
 * one that has been idle longest makes room; when none is idle, new ones wait in the kernel's
 * backlog.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "api/http-head.h"

typedef struct HttpServer HttpServer;
typedef struct HttpConnection HttpConnection;

/* A whole request; valid until it is answered or its connection is gone. */
typedef struct HttpRequest {
    HttpHead head;
    char *body; /* head.length bytes and a NUL */
} HttpRequest;

typedef struct HttpAnswer {
    unsigned status;
    const char *type;   /* Content-Type */
    const char *fields; /* further header lines, each with CR LF, or NULL */
    const char *body;
    size_t size;
} HttpAnswer;

typedef struct HttpHandlers {
    /* Answer with http_answer(), now or later, exactly once. */
    void (*request)(HttpConnection *connection, const HttpRequest *request, void *userdata);
    /* The bytes were no acceptable request: answer it now; the connection closes afterwards. */
    void (*fault)(HttpConnection *connection, const HttpFault *fault, void *userdata);
    /* The connection ends; a request in hand must not be answered any more. */
    void (*gone)(HttpConnection *connection, void *userdata);
} HttpHandlers;

typedef struct HttpLimits {
    size_t connections;
    unsigned idle_ms, read_ms, write_ms; /* deadlines of the states */
} HttpLimits;

/* 0 or -ENOMEM. `handlers` must outlive the server. */
int http_server_new(HttpServer **ret, struct event_base *loop, const HttpLimits *limits,
                    const HttpHandlers *handlers, void *userdata);
HttpServer *http_server_free(HttpServer *server); /* accepts NULL, returns NULL */

/* Takes a listening stream socket. 0 or -errno. */
int http_server_listen_take(HttpServer *server, int fd);
/* No new connections; those that are idle end. */
void http_server_stop(HttpServer *server);
/* Connections that are still being answered. */
size_t http_server_busy(const HttpServer *server);

void http_answer(HttpConnection *connection, const HttpAnswer *answer);

/* The client's socket, which stays the connection's. */
int http_connection_fd(const HttpConnection *connection);
/* One pointer for the user, NULL at first. */
void *http_connection_data(const HttpConnection *connection);
void http_connection_set_data(HttpConnection *connection, void *data);
