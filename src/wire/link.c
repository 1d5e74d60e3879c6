/*
 * See link.h. Descriptors arrive no later than the first byte of the sendmsg(2) that carried them
 * (unix(7)), and each frame with descriptors is begun by a sendmsg of its own, so a queue of
 * received descriptors in order of arrival matches the frames that announce them.
 */
#include "wire/link.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define HEADER_SIZE 16u
#define READ_CHUNK (256u * 1024)
/* What may wait for its frames. */
#define RECEIVED_FDS_MAX 256u

/* Descriptors that wait in the queue, to be sent with the byte at `offset`. */
typedef struct QueuedFds {
    uint64_t offset; /* counted from the link's first byte */
    int fds[FD_MESSAGE_MAX];
    size_t n_fds;
    struct QueuedFds *next;
} QueuedFds;

struct Link {
    int fd;
    struct event *readable, *writable;
    LinkLimits limits;
    const LinkHandlers *handlers;
    void *userdata;
    Buffer in, out;
    uint64_t sent; /* bytes that have left */
    QueuedFds *out_fds, **out_fds_tail;
    int in_fds[RECEIVED_FDS_MAX + FD_KERNEL_MAX];
    size_t n_in_fds;
    bool paused;
    bool failed;    /* no more I/O: reported or about to be */
    unsigned depth; /* handlers running */
    bool free_wanted;
};

static void release(Link *link)
{
    if (link->readable)
        event_free(link->readable);
    if (link->writable)
        event_free(link->writable);
    while (link->out_fds) {
        QueuedFds *next = link->out_fds->next;
        fd_close_many(link->out_fds->fds, link->out_fds->n_fds);
        free(link->out_fds);
        link->out_fds = next;
    }
    fd_close_many(link->in_fds, link->n_in_fds);
    buffer_done(&link->in);
    buffer_done(&link->out);
    fd_close(link->fd);
    free(link);
}

Link *link_free(Link *link)
{
    if (!link)
        return NULL;
    if (link->depth > 0) {
        link->free_wanted = true;
        link->failed = true;
        return NULL;
    }
    release(link);
    return NULL;
}

size_t link_dismantle(Link *link, int fds[static LINK_FDS_MAX])
{
    size_t n_fds = link->n_in_fds;

    _Static_assert(ARRAY_SIZE(link->in_fds) + 1 == LINK_FDS_MAX, "link.h says how many there are");
    memcpy(fds, link->in_fds, n_fds * sizeof *fds);
    link->n_in_fds = 0;
    (void)event_del(link->readable);
    (void)event_del(link->writable);
    fds[n_fds++] = TAKE_FD(link->fd);
    (void)link_free(link);
    return n_fds;
}

static void enter(Link *link)
{
    link->depth++;
}

/* Returns false when the link is gone. */
static bool leave(Link *link)
{
    if (--link->depth > 0 || !link->free_wanted)
        return !link->free_wanted;
    release(link);
    return false;
}

static void fail(Link *link, int error)
{
    if (link->failed)
        return;
    link->failed = true;
    (void)event_del(link->readable);
    (void)event_del(link->writable);
    enter(link);
    link->handlers->closed(link, error, link->userdata);
    (void)leave(link);
}

/* Delivers every whole frame in the buffer; the caller holds the link with enter(). */
static int deliver(Link *link)
{
    while (!link->failed && !link->paused && buffer_size(&link->in) >= HEADER_SIZE) {
        Reader reader = reader_of(buffer_head(&link->in), HEADER_SIZE);
        size_t size = reader_u32(&reader);
        uint16_t type = reader_u16(&reader);
        size_t n_fds = reader_u8(&reader);
        uint8_t zero = reader_u8(&reader);
        uint64_t key = reader_u64(&reader);

        if (size > link->limits.frame_max || n_fds > link->limits.fds_max || zero != 0)
            return -EPROTO;
        if (buffer_size(&link->in) < HEADER_SIZE + size)
            return 0;
        if (n_fds > link->n_in_fds)
            return -EPROTO;

        int fds[FD_MESSAGE_MAX];
        memcpy(fds, link->in_fds, n_fds * sizeof *fds);
        link->n_in_fds -= n_fds;
        memmove(link->in_fds, link->in_fds + n_fds, link->n_in_fds * sizeof *fds);

        LinkFrame frame = {.type = type,
                           .key = key,
                           .payload = buffer_head(&link->in) + HEADER_SIZE,
                           .size = size,
                           .fds = fds,
                           .n_fds = n_fds};
        link->handlers->frame(link, &frame, link->userdata);
        fd_close_many(fds, n_fds);
        buffer_consume(&link->in, HEADER_SIZE + size);
    }
    return 0;
}

/* Reads once. 1: more may wait; 0: nothing now; -errno. */
static int fill(Link *link)
{
    size_t n_fds = 0, room = link->in.limit - buffer_size(&link->in);
    if (room > READ_CHUNK)
        room = READ_CHUNK;
    char *bytes = room > 0 ? buffer_reserve(&link->in, room) : NULL;
    if (!bytes)
        return room > 0 ? -ENOMEM : -EPROTO;

    ssize_t got =
        fd_receive_any(link->fd, bytes, room, link->in_fds + link->n_in_fds, &n_fds, MSG_DONTWAIT);
    link->n_in_fds += n_fds;
    if (got < 0)
        return got == -EAGAIN ? 0 : (int)got;
    if (n_fds > 0 &&
        (link->limits.fds_max == 0 || n_fds > FD_MESSAGE_MAX || link->n_in_fds > RECEIVED_FDS_MAX))
        return -EPROTO;
    if (got == 0)
        return -EPIPE;
    buffer_grow(&link->in, (size_t)got);
    return (size_t)got == room ? 1 : 0;
}

static void on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Link *link = userdata;

    enter(link);
    int result = fill(link);
    int delivered = result == -EPIPE || result >= 0 ? deliver(link) : 0;
    if (link->in.capacity > 4 * READ_CHUNK && buffer_size(&link->in) == 0)
        buffer_done(&link->in);
    if (delivered < 0)
        result = delivered;
    if (result < 0)
        fail(link, result);
    (void)leave(link);
}

/* Sends what the socket takes. 0 or -errno. */
static int flush(Link *link)
{
    while (buffer_size(&link->out) > 0) {
        QueuedFds *with = link->out_fds;
        size_t size = buffer_size(&link->out), n_fds = 0;
        if (with && with->offset == link->sent)
            n_fds = with->n_fds;
        /* A sendmsg must end before the next frame that carries descriptors. */
        const QueuedFds *next = n_fds > 0 ? with->next : with;
        if (next && next->offset - link->sent < size)
            size = (size_t)(next->offset - link->sent);

        ssize_t sent = fd_send(link->fd, buffer_head(&link->out), size, n_fds ? with->fds : NULL,
                               n_fds, MSG_DONTWAIT);
        if (sent < 0)
            return sent == -EAGAIN ? 0 : (int)sent;
        if (n_fds > 0) {
            fd_close_many(with->fds, with->n_fds);
            link->out_fds = with->next;
            if (!link->out_fds)
                link->out_fds_tail = &link->out_fds;
            free(with);
        }
        link->sent += (uint64_t)sent;
        buffer_consume(&link->out, (size_t)sent);
    }
    return 0;
}

static void on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Link *link = userdata;

    enter(link);
    int result = flush(link);
    if (result < 0)
        fail(link, result);
    else if (!link->failed && buffer_size(&link->out) > 0)
        (void)event_add(link->writable, NULL);
    else if (link->out.capacity > 4 * READ_CHUNK)
        buffer_done(&link->out);
    (void)leave(link);
}

int link_new_take(Link **ret, struct event_base *loop, int fd, const LinkLimits *limits,
                  const LinkHandlers *handlers, void *userdata)
{
    _cleanup_fd_ int owned = fd;
    int result = fd_set_nonblock(owned, true);
    if (result < 0)
        return result;

    Link *link = calloc(1, sizeof *link);
    if (!link)
        return -ENOMEM;
    *link = (Link){
        .fd = owned,
        .limits = *limits,
        .handlers = handlers,
        .userdata = userdata,
        .in = BUFFER_EMPTY(HEADER_SIZE + limits->frame_max + READ_CHUNK),
        .out = BUFFER_EMPTY(limits->queue_max + HEADER_SIZE),
    };
    link->out_fds_tail = &link->out_fds;
    if (limits->fds_max == 0)
        (void)fd_refuse_fds(owned); /* where it cannot be, whoever sends some loses the link */
    link->readable = event_new(loop, owned, EV_READ | EV_PERSIST, on_readable, link);
    link->writable = event_new(loop, owned, EV_WRITE, on_writable, link);
    if (!link->readable || !link->writable || event_add(link->readable, NULL) < 0) {
        link->fd = -EBADF;
        release(link);
        return -ENOMEM;
    }
    TAKE_FD(owned);
    *ret = link;
    return 0;
}

void link_set_userdata(Link *link, void *userdata)
{
    link->userdata = userdata;
}

static int queue_fds(Link *link, const int *fds, size_t n_fds)
{
    QueuedFds *queued = calloc(1, sizeof *queued);
    if (!queued)
        return -ENOMEM;
    queued->offset = link->sent + buffer_size(&link->out);
    for (; queued->n_fds < n_fds; queued->n_fds++) {
        int copy = fcntl(fds[queued->n_fds], F_DUPFD_CLOEXEC, 3);
        if (copy < 0) {
            int result = -errno;
            fd_close_many(queued->fds, queued->n_fds);
            free(queued);
            return result;
        }
        queued->fds[queued->n_fds] = copy;
    }
    *link->out_fds_tail = queued;
    link->out_fds_tail = &queued->next;
    return 0;
}

/* Nothing is queued: header and payload leave by one sendmsg(2), uncopied, and with them the
 * descriptors. Returns bytes sent (0 when the socket is full) or -errno. */
static ssize_t send_now(Link *link, const void *header, const void *payload, size_t size,
                        const int *fds, size_t n_fds)
{
    struct iovec vectors[2] = {{.iov_base = (void *)header, .iov_len = HEADER_SIZE},
                               {.iov_base = (void *)payload, .iov_len = size}};
    ssize_t sent = fd_send_vectors(link->fd, vectors, size > 0 ? 2 : 1, fds, n_fds, MSG_DONTWAIT);
    return sent == -EAGAIN ? 0 : sent;
}

/* `soon`: leave the sending to the end of the loop's round. */
static int send_frame(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size,
                      const int *fds, size_t n_fds, bool soon)
{
    if (link->failed)
        return -EPIPE;
    if (n_fds > FD_MESSAGE_MAX || size > UINT32_MAX)
        return -EINVAL;
    if (buffer_size(&link->out) + size + HEADER_SIZE > link->limits.queue_max)
        return -ENOBUFS;

    struct {
        uint32_t size;
        uint16_t type;
        uint8_t n_fds, zero;
        uint64_t key;
    } header = {htole32((uint32_t)size), htole16(type), (uint8_t)n_fds, 0, htole64(key)};
    _Static_assert(sizeof header == HEADER_SIZE, "the frame header has no padding");

    size_t already = 0;
    if (buffer_size(&link->out) == 0 && !soon) {
        ssize_t sent = send_now(link, &header, payload, size, fds, n_fds);
        if (sent < 0)
            return (int)sent; /* the loop will report the link's end */
        link->sent += (uint64_t)sent;
        already = (size_t)sent;
        if (already == HEADER_SIZE + size)
            return 0;
    }
    if (n_fds > 0 && already == 0) { /* else they have gone with the first byte */
        int result = queue_fds(link, fds, n_fds);
        if (result < 0)
            return result;
    }
    if (already < HEADER_SIZE) {
        buffer_put(&link->out, (const char *)&header + already, HEADER_SIZE - already);
        already = HEADER_SIZE;
    }
    if (size > 0)
        buffer_put(&link->out, (const char *)payload + (already - HEADER_SIZE),
                   size - (already - HEADER_SIZE));
    if (soon) {
        event_active(link->writable, EV_WRITE, 0);
        return link->out.error;
    }
    int result = flush(link);
    if (result < 0)
        return result;
    if (buffer_size(&link->out) > 0)
        (void)event_add(link->writable, NULL);
    return link->out.error;
}

int link_send_fds(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size,
                  const int *fds, size_t n_fds)
{
    return send_frame(link, type, key, payload, size, fds, n_fds, false);
}

int link_send(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size)
{
    return send_frame(link, type, key, payload, size, NULL, 0, false);
}

int link_send_soon(Link *link, uint16_t type, uint64_t key, const void *payload, size_t size)
{
    return send_frame(link, type, key, payload, size, NULL, 0, true);
}

int link_send_buffer(Link *link, uint16_t type, uint64_t key, Buffer *payload)
{
    int result = payload->error;
    if (result == 0)
        result = link_send(link, type, key, buffer_head(payload), buffer_size(payload));
    buffer_clear(payload);
    return result;
}

size_t link_queued(const Link *link)
{
    return buffer_size(&link->out);
}

void link_pause(Link *link)
{
    link->paused = true;
    (void)event_del(link->readable);
}

void link_resume(Link *link)
{
    if (!link->paused || link->failed)
        return;
    link->paused = false;
    (void)event_add(link->readable, NULL);
    if (buffer_size(&link->in) > 0)
        event_active(link->readable, EV_READ, 0);
}

void link_drain(Link *link, int timeout_ms)
{
    uint64_t end = clock_monotonic_ms() + (uint64_t)timeout_ms;

    while (!link->failed && buffer_size(&link->out) > 0) {
        uint64_t now = clock_monotonic_ms();
        struct pollfd wait = {.fd = link->fd, .events = POLLOUT};
        if (now >= end || poll(&wait, 1, (int)(end - now)) <= 0 || flush(link) < 0)
            return;
    }
}
