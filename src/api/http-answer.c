/*
 * What leaves a connection: answers, streams, and the header lines that all of them have.
 *
 * No header permits another origin anything (CORS): there is no answer that a page of somebody
 * else's may read. Security headers stand in every answer, so that none can be forgotten.
 */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

#include "api/http-connection.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* The dashboard loads its own files and speaks to its own api, and nothing else. No text becomes
 * markup or a script: there is no trusted type, so innerHTML and its like throw. */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "          \
    "require-trusted-types-for 'script'; trusted-types 'none'"
#define DATA_POLICY                                                                                \
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const char security_fields[] = "X-Content-Type-Options: nosniff\r\n"
                                      "X-Frame-Options: DENY\r\n"
                                      "Referrer-Policy: no-referrer\r\n"
                                      "Cross-Origin-Opener-Policy: same-origin\r\n"
                                      "Cross-Origin-Resource-Policy: same-origin\r\n";

static const char *status_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {304, "Not Modified"},
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
        {421, "Misdirected Request"},
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

/* The head of an answer; `framing` says how its body ends. */
static void put_head(HttpConnection *connection, const HttpAnswer *answer, const char *framing)
{
    (void)evbuffer_add_printf(bufferevent_get_output(connection->stream),
                              "HTTP/1.1 %u %s\r\n"
                              "Content-Type: %s\r\n"
                              "%s"
                              "Cache-Control: %s\r\n"
                              "Content-Security-Policy: %s\r\n"
                              "%sConnection: %s\r\n%s\r\n",
                              answer->status, status_phrase(answer->status), answer->type, framing,
                              answer->page ? "no-cache" : "no-store",
                              answer->page ? PAGE_POLICY : DATA_POLICY, security_fields,
                              connection->close ? "close" : "keep-alive",
                              answer->fields ? answer->fields : "");
}

static bool wants_body(const HttpConnection *connection)
{
    const HttpHead *head = &connection->request.head;
    return head->text == NULL || head->method != HTTP_HEAD;
}

void http_answer(HttpConnection *connection, const HttpAnswer *answer)
{
    char framing[64];

    if (connection->server->stopped)
        connection->close = true;
    (void)snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", answer->size);
    /* RFC 9110 8.6: with 304 it would speak of the file that is not sent. */
    put_head(connection, answer, answer->status == 304 ? "" : framing);
    if (wants_body(connection) && answer->status != 304)
        (void)evbuffer_add(bufferevent_get_output(connection->stream), answer->body, answer->size);
    http_connection_enter(connection, CONNECTION_WRITING, connection->server->limits.write_ms);
}

bool http_stream_begin(HttpConnection *connection, const HttpAnswer *answer)
{
    bool body = wants_body(connection), chunks = !connection->request.head.old;

    if (connection->server->stopped || (body && !chunks))
        connection->close = true;
    put_head(connection, answer, body && chunks ? "Transfer-Encoding: chunked\r\n" : "");
    http_connection_enter(connection, body ? CONNECTION_STREAMING : CONNECTION_WRITING,
                          connection->server->limits.write_ms);
    return body;
}

/* The client has to take something of what waits within the time for writing. */
static void expect_progress(HttpConnection *connection)
{
    struct timeval most = clock_timeval_of_ms(connection->server->limits.write_ms);
    if (!event_pending(connection->deadline, EV_TIMEOUT, NULL))
        (void)event_add(connection->deadline, &most);
}

void http_stream_write(HttpConnection *connection, const void *bytes, size_t size)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);

    if (connection->state != CONNECTION_STREAMING || size == 0)
        return;
    if (connection->request.head.old) {
        (void)evbuffer_add(output, bytes, size);
    } else {
        (void)evbuffer_add_printf(output, "%zx\r\n", size);
        (void)evbuffer_add(output, bytes, size);
        (void)evbuffer_add(output, "\r\n", 2);
    }
    expect_progress(connection);
}

size_t http_stream_backlog(const HttpConnection *connection)
{
    return evbuffer_get_length(bufferevent_get_output(connection->stream));
}

void http_stream_end(HttpConnection *connection)
{
    if (connection->state != CONNECTION_STREAMING)
        return;
    if (!connection->request.head.old)
        (void)evbuffer_add(bufferevent_get_output(connection->stream), "0\r\n\r\n", 5);
    http_connection_enter(connection, CONNECTION_WRITING, connection->server->limits.write_ms);
    if (connection->request.head.old && http_stream_backlog(connection) == 0)
        bufferevent_trigger(connection->stream, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

int http_connection_fd(const HttpConnection *connection)
{
    return bufferevent_getfd(connection->stream);
}

HttpDoor http_connection_door(const HttpConnection *connection)
{
    return connection->door;
}

const char *http_connection_peer(const HttpConnection *connection)
{
    return connection->peer;
}

const char *http_connection_local(const HttpConnection *connection)
{
    return connection->local;
}

bool http_connection_is_loopback(const HttpConnection *connection)
{
    return connection->loopback;
}

void *http_connection_data(const HttpConnection *connection)
{
    return connection->data;
}

void http_connection_set_data(HttpConnection *connection, void *data)
{
    connection->data = data;
}
