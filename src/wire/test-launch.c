/*
 * What the launcher is told (launch.h): it arrives as it was sent, and nothing else is taken for
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/launch.h"

static const char *const argv[] = {"tool", "", "\xff\xfe not text", NULL};
static const char *const env[] = {"A=1", "B=\x80", NULL};

static LaunchOrder plain(void)
{
    LaunchOrder order = {.stdio = LAUNCH_STDIN | LAUNCH_STDERR,
                         .program = {.path = "/usr/bin/tool",
                                     .device = 1,
                                     .inode = 2,
                                     .size = 3,
                                     .modified_s = UINT64_MAX,
                                     .modified_ns = 4,
                                     .changed_s = 5,
                                     .changed_ns = 6},
                         .script = {.path = "/srv/script", .hashed = true, .sealed = true},
                         .script_fd = 99,
                         .cwd = "/srv",
                         .cwd_device = 7,
                         .cwd_inode = 8,
                         .uid = 1000,
                         .gid = 100,
                         .groups = {27, 4},
                         .n_groups = 2,
                         .bounding = 0xa80425fb,
                         .no_new_privs = true,
                         .seccomp_filters = 2,
                         .umask = 027,
                         .nice = -3,
                         .ignored_signals = 1,
                         .argv = argv,
                         .argc = 3,
                         .env = env,
                         .envc = 2};

    memset(order.script.digest.bytes, 0x5a, sizeof order.script.digest.bytes);
    order.limits[0] = (struct rlimit){.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
    return order;
}

static void encode(Buffer *frame, const LaunchOrder *order)
{
    *frame = BUFFER_EMPTY(LAUNCH_HEAD_SIZE + LAUNCH_BODY_MAX);
    launch_encode(frame, order);
    assert_int_equal(frame->error, 0);
}

static int decode(const Buffer *frame, LaunchOrder *ret)
{
    return launch_decode(frame->bytes + LAUNCH_HEAD_SIZE, frame->size - LAUNCH_HEAD_SIZE, ret);
}

static void test_it_arrives(void **state)
{
    const LaunchOrder sent = plain();
    LaunchOrder got;
    Buffer frame;

    (void)state;
    encode(&frame, &sent);
    assert_int_equal(launch_head_decode(frame.bytes), frame.size - LAUNCH_HEAD_SIZE);
    assert_int_equal(decode(&frame, &got), 0);
    assert_int_equal(got.stdio, sent.stdio);
    assert_string_equal(got.program.path, "/usr/bin/tool");
    assert_true(got.program.modified_s == UINT64_MAX && got.program.changed_ns == 6);
    assert_false(got.program.hashed);
    assert_true(got.script.sealed && got.script_fd == 99);
    assert_true(digest_equal(&got.script.digest, &sent.script.digest));
    assert_true(got.cwd_inode == 8 && got.uid == 1000 && got.gid == 100);
    assert_true(got.n_groups == 2 && got.groups[0] == 27 && got.groups[1] == 4);
    assert_true(got.bounding == 0xa80425fb && got.no_new_privs && got.seccomp_filters == 2);
    assert_true(got.umask == 027 && got.nice == -3 && got.ignored_signals == 1);
    assert_true(got.limits[0].rlim_cur == 1 && got.limits[0].rlim_max == RLIM_INFINITY);
    assert_true(got.argc == 3 && got.envc == 2 && !got.argv[3] && !got.env[2]);
    assert_string_equal(got.argv[1], "");
    assert_string_equal(got.argv[2], argv[2]);
    assert_string_equal(got.env[1], env[1]);
    launch_done(&got);
    buffer_done(&frame);
}

/* Cut at any byte, or with one more, it is none. */
static void test_sizes_are_exact(void **state)
{
    const LaunchOrder sent = plain();
    LaunchOrder got;
    Buffer frame;

    (void)state;
    encode(&frame, &sent);
    const size_t size = frame.size - LAUNCH_HEAD_SIZE;
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(launch_decode(frame.bytes + LAUNCH_HEAD_SIZE, cut, &got), -EPROTO);
    buffer_put_u8(&frame, 0);
    assert_int_equal(decode(&frame, &got), -EPROTO);
    buffer_done(&frame);
}

static void refuses(const LaunchOrder *order)
{
    LaunchOrder got;
    Buffer frame;

    encode(&frame, order);
    assert_int_equal(decode(&frame, &got), -EPROTO);
    assert_null(got.argv);
    buffer_done(&frame);
}

static void test_what_makes_no_sense(void **state)
{
    LaunchOrder order = plain();

    (void)state;
    order.argc = 0;
    refuses(&order);
    order = plain();
    order.program.path = "";
    refuses(&order);
    order = plain();
    order.cwd = "srv";
    refuses(&order);
    order = plain();
    order.stdio = 8;
    refuses(&order);
    order = plain();
    order.script_fd = 1;
    refuses(&order);
    order = plain();
    order.script.hashed = false; /* a sealed copy of nothing that was approved */
    refuses(&order);
    order = plain();
    order.umask = 01000;
    refuses(&order);
}

static void test_heads(void **state)
{
    const LaunchOrder sent = plain();
    Buffer frame;
    static const struct {
        size_t at;
        char byte;
    } wrong[] = {{0, 'X'}, {4, 2}, {11, 0x7f}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        encode(&frame, &sent);
        frame.bytes[wrong[i].at] = wrong[i].byte;
        assert_int_equal(launch_head_decode(frame.bytes), 0);
        buffer_done(&frame);
    }
}

static void test_too_much_is_not_sent(void **state)
{
    const char **many = calloc(2000000, sizeof *many);
    LaunchOrder order = plain();
    Buffer frame = BUFFER_EMPTY(LAUNCH_HEAD_SIZE + LAUNCH_BODY_MAX);

    (void)state;
    assert_non_null(many);
    for (size_t i = 0; i < 2000000; i++)
        many[i] = "";
    order.argv = many;
    order.argc = 2000000;
    launch_encode(&frame, &order);
    assert_true(frame.error < 0);
    buffer_done(&frame);
    free((void *)many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_arrives),           cmocka_unit_test(test_sizes_are_exact),
        cmocka_unit_test(test_what_makes_no_sense),  cmocka_unit_test(test_heads),
        cmocka_unit_test(test_too_much_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
