/*
 * Internal messages survive the trip and refuse to be cut anywhere.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "wire/message.h"

static const gid_t groups[] = {4, 27, 1000};

static Prepared sample(void)
{
    return (Prepared){.pid = 77,
                      .uid = 1000,
                      .gid = 1001,
                      .start_time = 123456789012,
                      .groups = groups,
                      .n_groups = 3,
                      .container = "",
                      .flags = PREPARED_SCRIPT | PREPARED_EXE_WRITABLE,
                      .exe = "/usr/bin/git",
                      .interpreter = "/bin/sh",
                      .operand = "x \xff y",
                      .cwd = "/work",
                      .cwd_device = 5,
                      .cwd_inode = UINT64_MAX};
}

static void test_prepared_round_trip(void **state UNUSED)
{
    Buffer buffer = BUFFER_EMPTY(4096);
    Prepared in = sample(), out;
    gid_t space[PREPARED_GROUPS_MAX];

    prepared_encode(&buffer, &in);
    assert_int_equal(buffer.error, 0);
    assert_int_equal(prepared_decode(buffer.bytes, buffer.size, space, &out), 0);
    assert_int_equal(out.pid, 77);
    assert_int_equal(out.n_groups, 3);
    assert_int_equal(out.groups[2], 1000);
    assert_string_equal(out.operand, "x \xff y");
    assert_true(out.cwd_inode == UINT64_MAX);
    buffer_done(&buffer);
}

static void test_prepared_refuses_every_cut(void **state UNUSED)
{
    Buffer buffer = BUFFER_EMPTY(4096);
    Prepared in = sample(), out;
    gid_t space[PREPARED_GROUPS_MAX];

    prepared_encode(&buffer, &in);
    for (size_t size = 0; size < buffer.size; size++)
        assert_int_equal(prepared_decode(buffer.bytes, size, space, &out), -EPROTO);
    buffer_put_u8(&buffer, 0);
    assert_int_equal(prepared_decode(buffer.bytes, buffer.size, space, &out), -EPROTO);
    buffer_done(&buffer);
}

static void test_prepared_refuses_too_many_groups(void **state UNUSED)
{
    Buffer buffer = BUFFER_EMPTY(1 << 16);
    gid_t many[PREPARED_GROUPS_MAX + 1] = {0}, space[PREPARED_GROUPS_MAX];
    Prepared in = sample(), out;

    in.groups = many;
    in.n_groups = PREPARED_GROUPS_MAX + 1;
    prepared_encode(&buffer, &in);
    assert_int_equal(prepared_decode(buffer.bytes, buffer.size, space, &out), -EPROTO);
    buffer_done(&buffer);
}

static void test_run_order_round_trip(void **state UNUSED)
{
    Buffer buffer = BUFFER_EMPTY(4096);
    const uint8_t keep[] = {0x05, 0x80};
    RunOrder in = {.bound = true, .keep = keep, .keep_size = sizeof keep}, out;

    in.command.bytes[0] = 1;
    in.hashed.operand.bytes[31] = 9;
    run_order_encode(&buffer, &in);
    assert_int_equal(run_order_decode(buffer.bytes, buffer.size, &out), 0);
    assert_true(out.bound);
    assert_true(digest_equal(&in.command, &out.command));
    assert_true(digest_equal(&in.hashed.operand, &out.hashed.operand));
    assert_true(run_order_keeps(&out, 0));
    assert_false(run_order_keeps(&out, 1));
    assert_true(run_order_keeps(&out, 15));
    assert_false(run_order_keeps(&out, 16));
    for (size_t size = 0; size < buffer.size; size++)
        assert_int_equal(run_order_decode(buffer.bytes, size, &out), -EPROTO);
    buffer_done(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepared_round_trip),
        cmocka_unit_test(test_prepared_refuses_every_cut),
        cmocka_unit_test(test_prepared_refuses_too_many_groups),
        cmocka_unit_test(test_run_order_round_trip),
    };
    return cmocka_run_group_tests_name("wire/message", tests, NULL, NULL);
}
