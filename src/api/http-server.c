/*
 * See http-server.h. The server owns its listeners and connections; a connection owns its
 * bufferevent, which owns the socket. Connections are released only from the loop's callbacks,
 * never inside a call of the user's.
 */
#include "api/http-server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define LISTENERS_MAX 8u
#define CLOSING_MS 1000u

typedef enum ConnectionState {
    CONNECTION_IDLE,
    CONNECTION_READING,
    CONNECTION_HANDLING,
    CONNECTION_WRITING,
    CONNECTION_CLOSING, /* answered; what the client still sends is dropped until it closes */
} ConnectionState;

struct HttpConnection {
    HttpServer *server;
    TAILQ_ENTRY(HttpConnection) link; /* the head of the list has been quiet longest */
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

struct HttpServer {
    struct event_base *loop;
    HttpLimits limits;
    const HttpHandlers *handlers;
    void *userdata;
    struct evconnlistener *listeners[LISTENERS_MAX];
    size_t n_listeners;
    bool listening, stopped;
    struct event *retry; /* listen again, after accept(2) failed */
    TAILQ_HEAD(, HttpConnection) connections;
    size_t n_connections;
};

static const HttpFault fault_slow = {408, "too_slow", "the request did not arrive in time"};

static void process(HttpConnection *connection);

static HttpConnection *idle_connection(const HttpServer *server)
{
    HttpConnection *connection;
    TAILQ_FOREACH(connection, &server->connections, link)
    {
        if (connection->state == CONNECTION_IDLE)
            return connection;
    }
    return NULL;
}

/* Listens exactly while a new connection can be served. */
static void balance(HttpServer *server)
{
    bool wanted = !server->stopped && (server->n_connections < server->limits.connections ||
                                       idle_connection(server) != NULL);
    if (wanted == server->listening)
        return;
    server->listening = wanted;
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (wanted)
            (void)evconnlistener_enable(server->listeners[i]);
        else
            (void)evconnlistener_disable(server->listeners[i]);
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
    request_done(connection);
    if (connection->deadline)
        event_free(connection->deadline);
    if (connection->stream)
        bufferevent_free(connection->stream);
    free(connection);
    balance(server);
}

static void enter(HttpConnection *connection, ConnectionState state, unsigned deadline_ms)
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
    enter(connection, CONNECTION_HANDLING, 0);
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
        enter(connection, CONNECTION_READING, server->limits.read_ms);
    if (connection->state != CONNECTION_READING)
        return;
    if (connection->head_size == 0 && !read_head(connection, input))
        return;
    if (!read_body(connection, input))
        return;
    enter(connection, CONNECTION_HANDLING, 0);
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

    if (connection->state != CONNECTION_WRITING)
        return;
    request_done(connection);
    if (!connection->close && !connection->server->stopped) {
        enter(connection, CONNECTION_IDLE, connection->server->limits.idle_ms);
    } else {
        /* Closing with unread input would reset a TCP connection and lose the answer. */
        (void)shutdown(bufferevent_getfd(stream), SHUT_WR);
        enter(connection, CONNECTION_CLOSING, CLOSING_MS);
    }
    process(connection);
    if (connection->ended && !answering(connection))
        connection_free(connection);
}

static void on_event(struct bufferevent *stream UNUSED, short what, void *userdata)
{
    HttpConnection *connection = userdata;

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

static void connection_new_take(HttpServer *server, int fd)
{
    HttpConnection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        fd_close(fd);
        return;
    }
    connection->server = server;
    TAILQ_INSERT_TAIL(&server->connections, connection, link);
    server->n_connections++;
    connection->deadline = evtimer_new(server->loop, on_deadline, connection);
    connection->stream = bufferevent_socket_new(server->loop, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!connection->deadline || !connection->stream) {
        if (!connection->stream)
            fd_close(fd);
        connection_free(connection);
        return;
    }
    bufferevent_setcb(connection->stream, on_readable, on_written, on_event, connection);
    bufferevent_setwatermark(connection->stream, EV_READ, 0, HTTP_HEAD_MAX + HTTP_BODY_MAX);
    enter(connection, CONNECTION_IDLE, server->limits.idle_ms);
    (void)bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static void on_accept(struct evconnlistener *listener UNUSED, evutil_socket_t fd,
                      struct sockaddr *address UNUSED, int address_size UNUSED, void *userdata)
{
    HttpServer *server = userdata;

    if (server->n_connections >= server->limits.connections) {
        HttpConnection *idle = idle_connection(server);
        if (idle)
            connection_free(idle);
    }
    if (server->stopped || server->n_connections >= server->limits.connections)
        fd_close(fd);
    else
        connection_new_take(server, fd);
}

static void on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    balance(userdata);
}

/* Out of descriptors or memory: accepting again at once would spin. */
static void on_accept_error(struct evconnlistener *listener UNUSED, void *userdata)
{
    HttpServer *server = userdata;
    struct timeval pause = {.tv_sec = 1};

    log_warning("cannot accept a connection: %s", strerror(errno));
    server->listening = false;
    for (size_t i = 0; i < server->n_listeners; i++)
        (void)evconnlistener_disable(server->listeners[i]);
    (void)event_add(server->retry, &pause);
}

int http_server_new(HttpServer **ret, struct event_base *loop, const HttpLimits *limits,
                    const HttpHandlers *handlers, void *userdata)
{
    HttpServer *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    *server = (HttpServer){.loop = loop,
                           .limits = *limits,
                           .handlers = handlers,
                           .userdata = userdata,
                           .listening = true};
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
        if (all || connection->state == CONNECTION_IDLE || connection->state == CONNECTION_READING)
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
        evconnlistener_free(server->listeners[i]);
    event_free(server->retry);
    free(server);
    return NULL;
}

int http_server_listen_take(HttpServer *server, int fd)
{
    _cleanup_fd_ int owned = fd;
    int result = fd_set_nonblock(owned, true);
    if (result < 0)
        return result;
    if (server->n_listeners == LISTENERS_MAX)
        return -ENOSPC;

    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    if (!server->listening)
        flags |= LEV_OPT_DISABLED;
    /* Backlog 0: the socket listens already. */
    struct evconnlistener *listener =
        evconnlistener_new(server->loop, on_accept, server, flags, 0, owned);
    if (!listener)
        return -ENOMEM;
    TAKE_FD(owned);
    evconnlistener_set_error_cb(listener, on_accept_error);
    server->listeners[server->n_listeners++] = listener;
    return 0;
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

static const char *status_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Answer";
}

void http_answer(HttpConnection *connection, const HttpAnswer *answer)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    bool body =
        connection->request.head.text == NULL || connection->request.head.method != HTTP_HEAD;

    if (connection->server->stopped)
        connection->close = true;
    (void)evbuffer_add_printf(output,
                              "HTTP/1.1 %u %s\r\n"
                              "Content-Type: %s\r\n"
                              "Content-Length: %zu\r\n"
                              "Cache-Control: no-store\r\n"
                              "X-Content-Type-Options: nosniff\r\n"
                              "Connection: %s\r\n%s\r\n",
                              answer->status, status_phrase(answer->status), answer->type,
                              answer->size, connection->close ? "close" : "keep-alive",
                              answer->fields ? answer->fields : "");
    if (body)
        (void)evbuffer_add(output, answer->body, answer->size);
    enter(connection, CONNECTION_WRITING, connection->server->limits.write_ms);
}

int http_connection_fd(const HttpConnection *connection)
{
    return bufferevent_getfd(connection->stream);
}

void *http_connection_data(const HttpConnection *connection)
{
    return connection->data;
}

void http_connection_set_data(HttpConnection *connection, void *data)
{
    connection->data = data;
}
