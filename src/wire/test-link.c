/*
 * Links: frames and descriptors arrive whole and in order however the socket cuts them; whatever
 * breaks a limit closes the link.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "wire/link.h"

typedef struct Peer {
    struct event_base *loop;
    Link *link;
    unsigned n_frames;
    unsigned n_fds;
    size_t n_bytes;
    int closed;
    bool free_in_handler;
} Peer;

static const LinkLimits limits = {.frame_max = 1 << 20, .queue_max = 64 << 20, .fds_max = 4};

static void on_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Peer *peer = userdata;
    assert_int_equal(frame->key, peer->n_frames);
    for (size_t i = 0; i < frame->n_fds; i++) {
        struct stat status;
        assert_int_equal(fstat(frame->fds[i], &status), 0);
        peer->n_fds++;
    }
    for (size_t i = 0; i < frame->size; i++)
        assert_int_equal((unsigned char)frame->payload[i], (unsigned char)(frame->key + i));
    peer->n_bytes += frame->size;
    peer->n_frames++;
    if (peer->free_in_handler)
        peer->link = link_free(link);
}

static void on_closed(Link *link UNUSED, int error, void *userdata)
{
    Peer *peer = userdata;
    assert_int_equal(peer->closed, 0);
    peer->closed = error;
}

static const LinkHandlers handlers = {.frame = on_frame, .closed = on_closed};

static void open_pair(Peer *a, Peer *b, const LinkLimits *limits_of_b)
{
    int pair[2];
    struct event_base *loop = event_base_new();

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *a = (Peer){.loop = loop};
    *b = (Peer){.loop = loop};
    assert_int_equal(link_new_take(&a->link, loop, pair[0], &limits, &handlers, a), 0);
    assert_int_equal(link_new_take(&b->link, loop, pair[1], limits_of_b, &handlers, b), 0);
}

static void close_pair(Peer *a, Peer *b)
{
    a->link = link_free(a->link);
    b->link = link_free(b->link);
    event_base_free(a->loop);
}

static void send_pattern(Peer *from, uint64_t key, size_t size, size_t n_fds)
{
    char *bytes = malloc(size + 1);
    int fds[4] = {0, 1, 2, 0};
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(key + i);
    assert_int_equal(link_send_fds(from->link, 1, key, bytes, size, fds, n_fds), 0);
    free(bytes);
}

static void test_frames_and_descriptors_in_order(void **state UNUSED)
{
    Peer a, b;
    size_t bytes = 0, fds = 0;

    open_pair(&a, &b, &limits);
    for (uint64_t key = 0; key < 300; key++) {
        size_t size = (size_t)(key * 7919 % 5000), n_fds = key % 5 < 4 ? key % 5 : 0;
        send_pattern(&a, key, size, n_fds);
        bytes += size;
        fds += n_fds;
        if (key % 50 == 0)
            event_base_loop(a.loop, EVLOOP_NONBLOCK);
    }
    for (int i = 0; i < 1000 && b.n_frames < 300; i++)
        event_base_loop(a.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 300);
    assert_int_equal(b.n_bytes, bytes);
    assert_int_equal(b.n_fds, fds);
    assert_int_equal(link_queued(a.link), 0);
    close_pair(&a, &b);
}

static void test_a_full_queue_is_an_answer(void **state UNUSED)
{
    Peer a, b;
    LinkLimits small = limits;
    int pair[2], result = 0;

    small.queue_max = 100000;
    open_pair(&a, &b, &limits);
    a.link = link_free(a.link);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(link_new_take(&a.link, a.loop, pair[0], &small, &handlers, &a), 0);
    static const char bytes[50000];
    for (int i = 0; i < 100 && result == 0; i++)
        result = link_send(a.link, 1, 0, bytes, sizeof bytes);
    assert_int_equal(result, -ENOBUFS);
    assert_true(link_queued(a.link) <= 100000);
    close(pair[1]);
    close_pair(&a, &b);
}

/* A frame that may wait leaves with the next one, before it, and by itself when none comes. */
static void test_soon(void **state UNUSED)
{
    Peer a, b;
    const char first = 0, second = 1, third = 2;

    open_pair(&a, &b, &limits);
    assert_int_equal(link_send_soon(a.link, 1, 0, &first, 1), 0);
    assert_true(link_queued(a.link) > 0);
    assert_int_equal(link_send(a.link, 1, 1, &second, 1), 0);
    assert_int_equal(link_queued(a.link), 0);
    for (int i = 0; i < 100 && b.n_frames < 2; i++)
        event_base_loop(a.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 2);
    assert_int_equal(link_send_soon(a.link, 1, 2, &third, 1), 0);
    for (int i = 0; i < 100 && b.n_frames < 3; i++)
        event_base_loop(a.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 3);
    assert_int_equal(link_queued(a.link), 0);
    /* What has not left when the link goes is gone with it. */
    assert_int_equal(link_send_soon(a.link, 1, 3, &third, 1), 0);
    a.link = link_free(a.link);
    event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 3);
    assert_int_equal(b.closed, -EPIPE);
    close_pair(&a, &b);
}

static void expect_protocol_error(const void *bytes, size_t size, int fd)
{
    Peer a, b;
    int pair[2];

    open_pair(&a, &b, &limits);
    b.link = link_free(b.link);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    LinkLimits no_fds = limits;
    no_fds.fds_max = 0;
    assert_int_equal(link_new_take(&b.link, b.loop, pair[0], &no_fds, &handlers, &b), 0);
    if (fd >= 0) { /* as on a kernel that cannot refuse them (before Linux 6.16) */
        const int yes = 1;
        (void)setsockopt(pair[0], SOL_SOCKET, SO_PASSRIGHTS, &yes, sizeof yes);
    }
    assert_true(fd_send(pair[1], bytes, size, &fd, fd >= 0 ? 1 : 0, 0) > 0);
    event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.closed, -EPROTO);
    assert_int_equal(b.n_frames, 0);
    close(pair[1]);
    close_pair(&a, &b);
}

static void test_limits_close_the_link(void **state UNUSED)
{
    const char too_large[16] = {0, 0, 0x10, 0x7f};
    const char promised_fds[16] = {0, 0, 0, 0, 1, 0, 1, 0};
    const char not_zero[16] = {0, 0, 0, 0, 1, 0, 0, 1};
    const char plain[16] = {0, 0, 0, 0, 1, 0, 0, 0};

    expect_protocol_error(too_large, sizeof too_large, -1);
    expect_protocol_error(promised_fds, sizeof promised_fds, -1);
    expect_protocol_error(not_zero, sizeof not_zero, -1);
    expect_protocol_error(plain, sizeof plain, 1); /* a descriptor where none is allowed */
}

/* Where the kernel can, descriptors for a link that takes none do not even leave their sender. */
static void test_descriptors_are_refused_by_the_kernel(void **state UNUSED)
{
    const char plain[16] = {0, 0, 0, 0, 1, 0, 0, 0};
    Peer a, b;
    int pair[2], one = 1;

    open_pair(&a, &b, &limits);
    b.link = link_free(b.link);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    bool can = setsockopt(pair[0], SOL_SOCKET, SO_PASSRIGHTS, &one, sizeof one) == 0;
    LinkLimits no_fds = limits;
    no_fds.fds_max = 0;
    assert_int_equal(link_new_take(&b.link, b.loop, pair[0], &no_fds, &handlers, &b), 0);
    if (can) {
        assert_int_equal(fd_send(pair[1], plain, sizeof plain, &one, 1, 0), -EPERM);
        assert_int_equal(fd_send(pair[1], plain, sizeof plain, NULL, 0, 0), sizeof plain);
        event_base_loop(b.loop, EVLOOP_NONBLOCK);
        assert_int_equal(b.n_frames, 1);
        assert_int_equal(b.closed, 0);
    }
    close(pair[1]);
    close_pair(&a, &b);
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* As many descriptors as the kernel lets through, in one message: none is closed by the link. */
static void send_flood(int socket_fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FD_KERNEL_MAX)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int) * FD_KERNEL_MAX),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {.iov_base = (char[]){'x'}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * FD_KERNEL_MAX)};

    for (size_t i = 0; i < FD_KERNEL_MAX; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &socket_fd, sizeof(int));
    assert_int_equal(sendmsg(socket_fd, &message, 0), 1);
}

static void test_dismantling(void **state UNUSED)
{
    Peer a, b;
    int pair[2], fds[LINK_FDS_MAX], before;

    open_pair(&a, &b, &limits);
    b.link = link_free(b.link);
    before = count_fds();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(link_new_take(&b.link, b.loop, pair[0], &limits, &handlers, &b), 0);
    send_flood(pair[1]);
    event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.closed, -EPROTO);
    assert_int_equal(count_fds(), before + 2 + FD_KERNEL_MAX);
    size_t n_fds = link_dismantle(b.link, fds);
    b.link = NULL;
    assert_int_equal(n_fds, FD_KERNEL_MAX + 1);
    assert_int_equal(fds[n_fds - 1], pair[0]);
    fd_close_many(fds, n_fds);
    close(pair[1]);
    assert_int_equal(count_fds(), before);
    close_pair(&a, &b);
}

static void test_end_of_file_is_reported_once(void **state UNUSED)
{
    Peer a, b;

    open_pair(&a, &b, &limits);
    send_pattern(&a, 0, 10, 0);
    a.link = link_free(a.link);
    for (int i = 0; i < 5; i++)
        event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 1);
    assert_int_equal(b.closed, -EPIPE);
    close_pair(&a, &b);
}

static void test_free_inside_a_handler(void **state UNUSED)
{
    Peer a, b;

    open_pair(&a, &b, &limits);
    b.free_in_handler = true;
    send_pattern(&a, 0, 10, 1);
    send_pattern(&a, 1, 10, 0);
    for (int i = 0; i < 5; i++)
        event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 1);
    assert_null(b.link);
    close_pair(&a, &b);
}

static void test_pause_and_resume(void **state UNUSED)
{
    Peer a, b;

    open_pair(&a, &b, &limits);
    link_pause(b.link);
    for (uint64_t key = 0; key < 10; key++)
        send_pattern(&a, key, 100, 0);
    event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 0);
    link_resume(b.link);
    for (int i = 0; i < 5; i++)
        event_base_loop(b.loop, EVLOOP_NONBLOCK);
    assert_int_equal(b.n_frames, 10);
    close_pair(&a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_and_descriptors_in_order),
        cmocka_unit_test(test_a_full_queue_is_an_answer),
        cmocka_unit_test(test_soon),
        cmocka_unit_test(test_limits_close_the_link),
        cmocka_unit_test(test_descriptors_are_refused_by_the_kernel),
        cmocka_unit_test(test_dismantling),
        cmocka_unit_test(test_end_of_file_is_reported_once),
        cmocka_unit_test(test_free_inside_a_handler),
        cmocka_unit_test(test_pause_and_resume),
    };
    return cmocka_run_group_tests_name("wire/link", tests, NULL, NULL);
}
