/*
 * One call's connection: the request written, the answer read, all without waiting.
 *
 * Of a call that becomes a stream of bytes the head is looked at with MSG_PEEK and then taken to
 * the byte, so that whoever gets the descriptor finds the stream from its beginning. Facts: Docker
 * Engine API v1.41, "Hijacking".
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "docker/engine-private.h"

#define READ_MAX 65536u
#define REFUSAL_MAX 65536u /* of a hijack: its message is small */

static void write_some(EngineCall *call)
{
    while (buffer_size(&call->output) > 0) {
        ssize_t sent = send(call->fd, buffer_head(&call->output), buffer_size(&call->output),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent > 0)
            buffer_consume(&call->output, (size_t)sent);
        else if (errno != EINTR) /* it may have answered before it has read all */
            buffer_clear(&call->output);
    }
}

static bool is_upgraded(const EngineCall *call)
{
    return call->kind == CALL_HIJACK && (call->status == 101 || call->status == 200);
}

/* After each piece: what the call has come to. */
static void look(EngineCall *call, int result)
{
    bool head_known = call->reader.state != HTTP_STATE_HEAD;

    if (head_known)
        call->status = call->reader.status;
    if (call->kind == CALL_STREAM && head_known) {
        call->has_input = true;
        call_stir(call);
    }
    if (result < 0)
        call_finish(call, result);
    else if (head_known && call->status == 101 && call->kind != CALL_HIJACK)
        call_finish(call, -EPROTO);
    else if ((head_known && is_upgraded(call)) || call->reader.state == HTTP_STATE_DONE)
        call_finish(call, 0);
}

static void read_some(EngineCall *call)
{
    char bytes[READ_MAX];
    bool peeks = call->kind == CALL_HIJACK && call->reader.state == HTTP_STATE_HEAD;
    size_t used = 0;
    ssize_t got = recv(call->fd, bytes, sizeof bytes, MSG_DONTWAIT | (peeks ? MSG_PEEK : 0));

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        int end = http_reader_end(&call->reader);
        bool refused = call->kind == CALL_HIJACK && call->status != 0;
        if (end < 0 && refused) /* the status says enough, half a message says nothing */
            buffer_clear(&call->input);
        call_finish(call, refused ? 0 : end);
        return;
    }
    int result = http_reader_feed(&call->reader, bytes, (size_t)got, peeks, &call->input, &used);
    if (peeks && recv(call->fd, bytes, used, MSG_DONTWAIT) != (ssize_t)used && result == 0)
        result = -EPROTO;
    look(call, result);
}

static void watch(EngineCall *call);

static void on_io(evutil_socket_t fd UNUSED, short what, void *userdata)
{
    EngineCall *call = userdata;

    if (call->state == CALL_RUNNING && what & EV_WRITE)
        write_some(call);
    if (call->state == CALL_RUNNING && what & EV_READ)
        read_some(call);
    if (call->state == CALL_RUNNING)
        watch(call);
}

static void watch(EngineCall *call)
{
    short wanted = buffer_size(&call->output) > 0 ? EV_READ | EV_WRITE : EV_READ;

    (void)event_assign(&call->io, call->engine->loop, call->fd, wanted, on_io, call);
    if (event_add(&call->io, NULL) < 0)
        call_finish(call, -ENOMEM);
}

int transport_begin(EngineCall *call)
{
    const char *body = call->body ? call->body : "";
    bool hijack = call->kind == CALL_HIJACK;

    if (hijack)
        call->input.limit = REFUSAL_MAX;
    buffer_printf(&call->output, "%s %s HTTP/1.1\r\nHost: engine\r\nUser-Agent: clawrden\r\n%s",
                  call->method, call->path,
                  hijack ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "Connection: close\r\n");
    if (call->body)
        buffer_puts(&call->output, "Content-Type: application/json\r\n");
    if (call->body || strcmp(call->method, "GET") != 0)
        buffer_printf(&call->output, "Content-Length: %zu\r\n", strlen(body));
    buffer_printf(&call->output, "\r\n%s", body);
    if (call->output.error)
        return call->output.error;
    watch(call);
    return 0;
}

void transport_end(EngineCall *call)
{
    if (event_initialized(&call->io))
        (void)event_del(&call->io);
    http_reader_done(&call->reader);
    buffer_done(&call->output);
}
