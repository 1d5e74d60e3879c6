/*
 * Where a ghost's directories are, and who could lead an engine elsewhere (ghost-mounts.h), by
 * texts as the kernel writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "exec/ghost-mounts.h"

#define HOST                                                                                       \
    "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"                                    \
    "22 21 0:5 / /proc rw - proc proc rw\n"                                                        \
    "30 21 8:1 / /data rw - ext4 /dev/sda1 rw\n"                                                   \
    "31 21 8:2 /@home /home rw - btrfs /dev/sda2 rw\n"                                             \
    "32 21 254:0 /srv/deep /mnt/a\\040b rw - ext4 /dev/root rw\n"

static void expect_place(bool found, const GhostPlace *place, const char *device, const char *path)
{
    assert_true(found);
    assert_string_equal(place->device, device);
    assert_string_equal(place->path, path);
}

static void test_on_the_host(void **state UNUSED)
{
    static const struct {
        const char *path, *device, *place;
    } cases[] = {{"/srv/ws/proj", "254:0", "/srv/ws/proj"},
                 {"/", "254:0", "/"},
                 {"/data", "8:1", "/"},
                 {"/data/ws", "8:1", "/ws"},
                 {"/database", "254:0", "/database"},
                 {"/home/u/proj", "8:2", "/@home/u/proj"},
                 {"/mnt/a b/c", "254:0", "/srv/deep/c"}};
    GhostPlace place;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_place(ghost_place_on_host(HOST, cases[i].path, &place), &place, cases[i].device,
                     cases[i].place);
    assert_false(ghost_place_on_host("", "/srv", &place));
}

static void test_of_a_mount(void **state UNUSED)
{
    static const char caller[] = "50 49 254:0 /srv/ws/old /app rw - ext4 /dev/root rw\n"
                                 "51 50 254:0 /srv/gone//deleted /lost rw - ext4 /dev/root rw\n"
                                 "52 50 254:0 /srv/ws/proj /app rw - ext4 /dev/root rw\n";
    GhostPlace place;

    expect_place(ghost_place_of_mount(caller, "/app", &place), &place, "254:0", "/srv/ws/proj");
    expect_place(ghost_place_of_mount(caller, "/lost", &place), &place, "254:0",
                 "/srv/gone//deleted");
    assert_false(ghost_place_of_mount(caller, "/ap", &place));
    assert_false(ghost_place_of_mount(caller, "/app/x", &place));
}

static void test_exposed(void **state UNUSED)
{
    static const char jail[] = "60 59 0:30 / /run/clawrden ro - tmpfs tmpfs rw\n";
    static const struct {
        const char *mounts;
        bool exposed;
    } cases[] = {
        {"50 49 254:0 /srv/ws /ws rw - ext4 /dev/root rw\n", true},
        {"50 49 254:0 / /host rw - ext4 /dev/root rw\n", true},
        {"50 49 254:0 /srv/ws /ws ro - ext4 /dev/root rw\n", false},
        {"50 49 8:1 /srv/ws /ws rw - ext4 /dev/sda1 rw\n", false},
        {"50 49 254:0 /srv/ws/proj /app rw - ext4 /dev/root rw\n", false},
        {"50 49 254:0 /srv/ws/proj/sub /sub rw - ext4 /dev/root rw\n", false},
        {"50 49 254:0 /srv/ws/pro /pro rw - ext4 /dev/root rw\n", false},
        {"50 49 254:0 /srv/ws/proj /app rw - ext4 /dev/root rw\n"
         "51 49 254:0 /srv /all rw,nosuid - ext4 /dev/root rw\n",
         true},
    };
    const GhostPlace place = {.device = "254:0", .path = "/srv/ws/proj"};
    char text[1024];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)snprintf(text, sizeof text, "%s%s", cases[i].mounts, jail);
        assert_int_equal(ghost_place_is_exposed(text, &place), cases[i].exposed);
        assert_false(ghost_place_is_exposed(cases[i].mounts, &place)); /* nobody's prisoner */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_on_the_host),
                                       cmocka_unit_test(test_of_a_mount),
                                       cmocka_unit_test(test_exposed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
