/*
 * The order to run in ghost: what goes in comes out, and nothing else is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ghost.h"

static const gid_t groups[] = {4, 1000};
static const char *const argv[] = {"npm", "install", "", "\xff"};
static const char *const env[] = {"A=b"};
static const GhostOrder order = {.policy = "d1",
                                 .rule = UINT64_MAX,
                                 .request = "R",
                                 .command = "npm",
                                 .image = "sha256:x",
                                 .container = "c",
                                 .cwd = "/app",
                                 .uid = 1000,
                                 .gid = 1001,
                                 .groups = groups,
                                 .n_groups = 2,
                                 .has_stdin = true,
                                 .argv = argv,
                                 .argc = 4,
                                 .env = env,
                                 .envc = 1};

static void an_order_survives(void **state)
{
    (void)state;
    Buffer buffer = BUFFER_EMPTY(65536);
    gid_t space[PREPARED_GROUPS_MAX];
    GhostOrder got;

    ghost_order_encode(&buffer, &order);
    assert_int_equal(ghost_order_decode(buffer.bytes, buffer.size, space, &got), 0);
    assert_string_equal(got.policy, "d1");
    assert_true(got.rule == UINT64_MAX);
    assert_string_equal(got.request, "R");
    assert_string_equal(got.command, "npm");
    assert_string_equal(got.image, "sha256:x");
    assert_string_equal(got.container, "c");
    assert_string_equal(got.cwd, "/app");
    assert_int_equal(got.uid, 1000);
    assert_int_equal(got.gid, 1001);
    assert_int_equal(got.n_groups, 2);
    assert_int_equal(got.groups[1], 1000);
    assert_true(got.has_stdin);
    assert_int_equal(got.argc, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(got.argv[i], argv[i]);
    assert_int_equal(got.envc, 1);
    assert_string_equal(got.env[0], "A=b");
    ghost_order_done(&got);
    buffer_done(&buffer);
}

static void every_cut_and_every_addition_is_refused(void **state)
{
    (void)state;
    Buffer buffer = BUFFER_EMPTY(65536);
    gid_t space[PREPARED_GROUPS_MAX];
    GhostOrder got;

    ghost_order_encode(&buffer, &order);
    for (size_t size = 0; size < buffer.size; size++)
        assert_int_equal(ghost_order_decode(buffer.bytes, size, space, &got), -EPROTO);
    buffer_put_u8(&buffer, 0);
    assert_int_equal(ghost_order_decode(buffer.bytes, buffer.size, space, &got), -EPROTO);
    buffer_done(&buffer);
}

static void counts_that_cannot_be_cost_no_memory(void **state)
{
    (void)state;
    GhostOrder many = order;
    Buffer buffer = BUFFER_EMPTY(65536);
    gid_t space[PREPARED_GROUPS_MAX];
    GhostOrder got;

    many.argc = many.envc = 0;
    ghost_order_encode(&buffer, &many);
    memset(buffer.bytes + buffer.size - 8, 0xff, 4);
    assert_int_equal(ghost_order_decode(buffer.bytes, buffer.size, space, &got), -EPROTO);
    buffer_done(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_survives),
        cmocka_unit_test(every_cut_and_every_addition_is_refused),
        cmocka_unit_test(counts_that_cannot_be_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
