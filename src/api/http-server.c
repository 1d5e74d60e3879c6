/*
 * See http-server.h. The server owns its listeners and connections; a connection owns its
 * bufferevent, which owns the socket. Connections are released only from the loop's callbacks,
 * never inside a call of the user's.
 */
#include "api/http-server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

#include "api/http-connection.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define CLOSING_MS 1000u
#define UNSENT_MS 60000u /* what a TCP peer does not acknowledge for so long ends it */

static const HttpFault fault_slow = {408, "too_slow", "the request did not arrive in time"};

static void process(HttpConnection *connection);

static HttpConnection *idle_connection(const HttpServer *server, HttpDoor door)
{
    HttpConnection *connection;
    TAILQ_FOREACH(connection, &server->connections, link)
    {
        if (connection->state == CONNECTION_IDLE && connection->door == door)
            return connection;
    }
    return NULL;
}

static void set_listening(HttpServer *server, HttpDoor door, bool wanted)
{
    server->doors[door].listening = wanted;
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (server->listeners[i].door != door)
            continue;
        if (wanted)
            (void)evconnlistener_enable(server->listeners[i].socket);
        else
            (void)evconnlistener_disable(server->listeners[i].socket);
    }
}

static bool has_room(const HttpServer *server, HttpDoor door)
{
    return server->doors[door].n_connections < server->limits.connections[door];
}

/* Each door listens exactly while a new connection of it can be served. */
static void balance(HttpServer *server)
{
    for (HttpDoor door = 0; door < HTTP_DOOR_MAX_; door++) {
        bool wanted =
            !server->stopped && (has_room(server, door) || idle_connection(server, door) != NULL);
        if (wanted != server->doors[door].listening)
            set_listening(server, door, wanted);
    }
}

static bool answering(const HttpConnection *connection)
{
    return connection->state == CONNECTION_HANDLING || connection->state == CONNECTION_WRITING;
}

static void request_done(HttpConnection *connection)
{
    http_head_done(&connection->request.head);
    free(connection->request.body);
    connection->request.body = NULL;
    connection->head_size = 0;
    connection->continued = false;
}

static void connection_free(HttpConnection *connection)
{
    HttpServer *server = connection->server;

    server->handlers->gone(connection, server->userdata);
    TAILQ_REMOVE(&server->connections, connection, link);
    server->n_connections--;
    server->doors[connection->door].n_connections--;
    request_done(connection);
    if (connection->deadline)
        event_free(connection->deadline);
    if (connection->stream)
        bufferevent_free(connection->stream);
    free(connection);
    balance(server);
}

void http_connection_enter(HttpConnection *connection, ConnectionState state, unsigned deadline_ms)
{
    HttpServer *server = connection->server;
    struct timeval deadline = clock_timeval_of_ms(deadline_ms);

    connection->state = state;
    if (deadline_ms > 0)
        (void)event_add(connection->deadline, &deadline);
    else
        (void)event_del(connection->deadline);
    TAILQ_REMOVE(&server->connections, connection, link);
    TAILQ_INSERT_TAIL(&server->connections, connection, link);
    balance(server);
}

static void refuse(HttpConnection *connection, const HttpFault *fault)
{
    HttpServer *server = connection->server;

    connection->close = true;
    http_connection_enter(connection, CONNECTION_HANDLING, 0);
    server->handlers->fault(connection, fault, server->userdata);
}

/* The head, when it has come whole. False: wait, or the request is refused. */
static bool read_head(HttpConnection *connection, struct evbuffer *input)
{
    static const HttpFault fault_memory = {503, "no_memory", "out of memory"};
    const HttpFault *fault = NULL;
    size_t size = evbuffer_get_length(input);
    if (size > HTTP_HEAD_MAX)
        size = HTTP_HEAD_MAX;
    const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)size);
    ssize_t parsed =
        bytes ? http_head_parse(bytes, size, &connection->request.head, &fault) : -ENOMEM;

    if (parsed > 0) {
        connection->head_size = (size_t)parsed;
        connection->close = connection->request.head.close;
        (void)evbuffer_drain(input, (size_t)parsed);
        return true;
    }
    if (parsed < 0)
        refuse(connection, fault ? fault : &fault_memory);
    return false;
}

/* The body, when it has come whole. */
static bool read_body(HttpConnection *connection, struct evbuffer *input)
{
    HttpRequest *request = &connection->request;
    size_t size = request->head.length;

    if (evbuffer_get_length(input) < size) {
        if (request->head.expects_continue && !connection->continued) {
            static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
            connection->continued = true;
            (void)bufferevent_write(connection->stream, go_on, sizeof go_on - 1);
        }
        return false;
    }
    request->body = calloc(1, size + 1);
    if (!request->body) {
        static const HttpFault fault_memory = {503, "no_memory", "out of memory"};
        refuse(connection, &fault_memory);
        return false;
    }
    (void)evbuffer_remove(input, request->body, size);
    return true;
}

static void process(HttpConnection *connection)
{
    HttpServer *server = connection->server;
    struct evbuffer *input = bufferevent_get_input(connection->stream);

    if (connection->state == CONNECTION_CLOSING)
        (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (connection->state == CONNECTION_IDLE && evbuffer_get_length(input) > 0)
        http_connection_enter(connection, CONNECTION_READING, server->limits.read_ms);
    if (connection->state != CONNECTION_READING)
        return;
    if (connection->head_size == 0 && !read_head(connection, input))
        return;
    if (!read_body(connection, input))
        return;
    http_connection_enter(connection, CONNECTION_HANDLING, 0);
    server->handlers->request(connection, &connection->request, server->userdata);
}

static void on_readable(struct bufferevent *stream UNUSED, void *userdata)
{
    process(userdata);
}

/* Everything has left: the next request, or the end. */
static void on_written(struct bufferevent *stream, void *userdata)
{
    HttpConnection *connection = userdata;

    if (connection->state == CONNECTION_STREAMING) {
        (void)event_del(connection->deadline);
        connection->server->handlers->drained(connection, connection->server->userdata);
        return;
    }
    if (connection->state != CONNECTION_WRITING)
        return;
    request_done(connection);
    if (!connection->close && !connection->server->stopped) {
        http_connection_enter(connection, CONNECTION_IDLE, connection->server->limits.idle_ms);
    } else {
        /* Closing with unread input would reset a TCP connection and lose the answer. */
        SSL *tls = bufferevent_openssl_get_ssl(stream);
        if (tls)
            (void)SSL_shutdown(tls);
        (void)shutdown(bufferevent_getfd(stream), SHUT_WR);
        http_connection_enter(connection, CONNECTION_CLOSING, CLOSING_MS);
    }
    process(connection);
    if (connection->ended && !answering(connection))
        connection_free(connection);
}

/* The deadline's event is the one place that may release a connection at any time. */
void http_stream_abort(HttpConnection *connection)
{
    if (connection->state != CONNECTION_STREAMING)
        return;
    connection->state = CONNECTION_ABORTED;
    event_active(connection->deadline, EV_TIMEOUT, 0);
}

static void on_event(struct bufferevent *stream UNUSED, short what, void *userdata)
{
    HttpConnection *connection = userdata;

    if (what & BEV_EVENT_CONNECTED) /* TLS is agreed upon */
        return;
    /* A client may close its sending side and still read: what it asked before is answered. */
    if ((what & BEV_EVENT_EOF) && answering(connection))
        connection->ended = true;
    else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        connection_free(connection);
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    HttpConnection *connection = userdata;

    if (connection->state == CONNECTION_READING)
        refuse(connection, &fault_slow);
    else
        connection_free(connection);
}

static struct bufferevent *stream_new(HttpServer *server, int fd, HttpDoor door)
{
    if (door != HTTP_DOOR_TLS)
        return bufferevent_socket_new(server->loop, fd, BEV_OPT_CLOSE_ON_FREE);

    SSL *tls = server->tls ? SSL_new(server->tls) : NULL;
    if (!tls)
        return NULL;
    struct bufferevent *stream = bufferevent_openssl_socket_new(
        server->loop, fd, tls, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!stream)
        SSL_free(tls);
    else /* requests say how long they are: an end without a farewell cuts nothing off */
        bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
    return stream;
}

/* Small answers leave at once; peers that are gone are noticed. */
static void tune(int fd)
{
    int on = 1;
    unsigned unsent_ms = UNSENT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_ms, sizeof unsent_ms);
}

static size_t connections_of(const HttpServer *server, const char *peer)
{
    const HttpConnection *connection;
    size_t n = 0;
    TAILQ_FOREACH(connection, &server->connections, link)
    {
        if (strcmp(connection->peer, peer) == 0)
            n++;
    }
    return n;
}

static void connection_new_take(HttpServer *server, int fd, HttpDoor door)
{
    HttpConnection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        fd_close(fd);
        return;
    }
    connection->server = server;
    connection->door = door;
    http_connection_find_peer(connection, fd);
    if (!connection->loopback &&
        connections_of(server, connection->peer) >= server->limits.address_connections) {
        fd_close(fd);
        free(connection);
        return;
    }
    if (door != HTTP_DOOR_UNIX)
        tune(fd);
    TAILQ_INSERT_TAIL(&server->connections, connection, link);
    server->n_connections++;
    server->doors[door].n_connections++;
    connection->deadline = evtimer_new(server->loop, on_deadline, connection);
    connection->stream = stream_new(server, fd, door);
    if (!connection->deadline || !connection->stream) {
        if (!connection->stream)
            fd_close(fd);
        connection_free(connection);
        return;
    }
    bufferevent_setcb(connection->stream, on_readable, on_written, on_event, connection);
    bufferevent_setwatermark(connection->stream, EV_READ, 0, HTTP_HEAD_MAX + HTTP_BODY_MAX);
    http_connection_enter(connection, CONNECTION_IDLE, server->limits.idle_ms);
    (void)bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static void on_accept(struct evconnlistener *socket UNUSED, evutil_socket_t fd,
                      struct sockaddr *address UNUSED, int address_size UNUSED, void *userdata)
{
    const HttpListener *listener = userdata;
    HttpServer *server = listener->server;

    if (!has_room(server, listener->door)) {
        HttpConnection *idle = idle_connection(server, listener->door);
        if (idle)
            connection_free(idle);
    }
    if (server->stopped || !has_room(server, listener->door))
        fd_close(fd);
    else
        connection_new_take(server, fd, listener->door);
}

static void on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    balance(userdata);
}

/* Out of descriptors or memory: accepting again at once would spin. */
static void on_accept_error(struct evconnlistener *socket UNUSED, void *userdata)
{
    const HttpListener *listener = userdata;
    HttpServer *server = listener->server;
    struct timeval pause = {.tv_sec = 1};

    log_warning("cannot accept a connection: %s", strerror(errno));
    for (HttpDoor door = 0; door < HTTP_DOOR_MAX_; door++)
        set_listening(server, door, false);
    (void)event_add(server->retry, &pause);
}

int http_server_new(HttpServer **ret, struct event_base *loop, const HttpLimits *limits,
                    const HttpHandlers *handlers, void *userdata)
{
    HttpServer *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    *server =
        (HttpServer){.loop = loop, .limits = *limits, .handlers = handlers, .userdata = userdata};
    for (HttpDoor door = 0; door < HTTP_DOOR_MAX_; door++)
        server->doors[door].listening = true;
    TAILQ_INIT(&server->connections);
    server->retry = evtimer_new(loop, on_retry, server);
    if (!server->retry) {
        free(server);
        return -ENOMEM;
    }
    *ret = server;
    return 0;
}

/* Those that are being answered only if `all`. */
static void free_connections(HttpServer *server, bool all)
{
    HttpConnection *connection, *next;
    for (connection = TAILQ_FIRST(&server->connections); connection; connection = next) {
        next = TAILQ_NEXT(connection, link);
        if (all || !(answering(connection) || connection->state == CONNECTION_CLOSING))
            connection_free(connection);
    }
}

HttpServer *http_server_free(HttpServer *server)
{
    if (!server)
        return NULL;
    server->stopped = true;
    free_connections(server, true);
    for (size_t i = 0; i < server->n_listeners; i++)
        evconnlistener_free(server->listeners[i].socket);
    event_free(server->retry);
    SSL_CTX_free(server->tls);
    free(server);
    return NULL;
}

int http_server_listen_take(HttpServer *server, int fd, HttpDoor door)
{
    _cleanup_fd_ int owned = fd;
    int result = fd_set_nonblock(owned, true);
    if (result < 0)
        return result;
    if (server->n_listeners == LISTENERS_MAX)
        return -ENOSPC;

    HttpListener *listener = &server->listeners[server->n_listeners];
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    if (!server->doors[door].listening)
        flags |= LEV_OPT_DISABLED;
    *listener = (HttpListener){.door = door, .server = server};
    /* Backlog 0: the socket listens already. */
    listener->socket = evconnlistener_new(server->loop, on_accept, listener, flags, 0, owned);
    if (!listener->socket)
        return -ENOMEM;
    TAKE_FD(owned);
    evconnlistener_set_error_cb(listener->socket, on_accept_error);
    server->n_listeners++;
    return 0;
}

void http_server_set_tls_take(HttpServer *server, SSL_CTX *context)
{
    SSL_CTX_free(server->tls); /* what is spoken already holds a reference of its own */
    server->tls = context;
}

void http_server_stop(HttpServer *server)
{
    server->stopped = true;
    balance(server);
    free_connections(server, false);
}

size_t http_server_busy(const HttpServer *server)
{
    const HttpConnection *connection;
    size_t n_busy = 0;
    TAILQ_FOREACH(connection, &server->connections, link)
    {
        if (answering(connection))
            n_busy++;
    }
    return n_busy;
}

size_t http_server_connections(const HttpServer *server)
{
    return server->n_connections;
}
