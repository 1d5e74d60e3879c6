/*
 * The second look at an approved command happens while its decision is written to disk. The order
 * to run waits for both: the disk here is the test's, which holds it up and lets it fail.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "warden/test-world.h"

static const char policy[] = "version: 1\n"
                             "default_action: deny\n"
                             "rules: [{command: asked, action: ask}]\n";

/* Shared with the warden, which is a child of the test. */
typedef struct Disk {
    _Atomic uint32_t is_held;
    _Atomic uint32_t n_waiting;
    _Atomic bool fails;
} Disk;

static Disk *disk;

/* In place of the C library's, in the journal's writer. */
int fdatasync(int fd UNUSED)
{
    disk->n_waiting++;
    while (disk->is_held)
        (void)syscall(SYS_futex, &disk->is_held, FUTEX_WAIT, 1, NULL, NULL, 0);
    disk->n_waiting--;
    if (!disk->fails)
        return 0;
    errno = EIO;
    return -1;
}

static void hold_disk(void)
{
    disk->is_held = 1;
}

static void release_disk(bool fails)
{
    disk->fails = fails;
    disk->is_held = 0;
    (void)syscall(SYS_futex, &disk->is_held, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int set_up(void **state)
{
    disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return disk == MAP_FAILED ? -1 : world_set_up(state);
}

static int tear_down(void **state)
{
    int result = world_tear_down(state);

    munmap(disk, sizeof *disk);
    return result;
}

/* Approved; the decision's record waits for the disk, and the executor is asked to look again. */
static void run_to_look(World *world, uint64_t key)
{
    char id[ID_SIZE];

    run_to_pending(world, key, id);
    hold_disk();
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key);
    while (disk->n_waiting == 0)
        usleep(1000);
}

static void test_no_order_before_the_disk(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    expect_silence(world->executor);
    release_disk(false);
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    assert_true(journal_has(world, "\"event\":\"decided\""));
}

static void test_no_order_before_the_look(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    release_disk(false);
    while (disk->n_waiting > 0)
        usleep(1000);
    expect_silence(world->executor);
    say_facts(world, key_of(1), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
}

static void test_the_disk_fails_after_the_look(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    expect_silence(world->executor);
    release_disk(true);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 125, "the journal cannot be written");
    expect_silence(world->executor);
}

static void test_the_disk_fails_before_the_look(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    release_disk(true);
    while (disk->n_waiting > 0)
        usleep(1000);
    expect_silence(world->executor);
    say_facts(world, key_of(1), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 125, "the journal cannot be written");
    expect_silence(world->executor);
}

static void test_drift_while_the_disk_works(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    say_facts(world, key_of(1), "/tmp/asked");
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "resolves to another file");
    release_disk(false);
    expect_journal(world, "\"event\":\"drift\"");
    expect_silence(world->executor);
}

static void test_the_caller_goes_while_the_disk_works(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    say_gone(world, key_of(1));
    expect_silence(world->executor);
    release_disk(false);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_journal(world, "\"event\":\"cancelled\"");
    expect_silence(world->executor);
}

static void test_killed_while_the_disk_works(void **state)
{
    World *world = *state;

    run_to_look(world, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    expect_silence(world->executor); /* the facts are there */
    assert_int_equal(call_plain(world, API_KILL, &tester, "default").status, 200);
    release_disk(false);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "an operator ended everything");
    expect_silence(world->executor);
}

#define LOOK_TEST(function)                                                                        \
    cmocka_unit_test_prestate_setup_teardown(function, set_up, tear_down, (void *)policy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOK_TEST(test_no_order_before_the_disk),
        LOOK_TEST(test_no_order_before_the_look),
        LOOK_TEST(test_the_disk_fails_after_the_look),
        LOOK_TEST(test_the_disk_fails_before_the_look),
        LOOK_TEST(test_drift_while_the_disk_works),
        LOOK_TEST(test_the_caller_goes_while_the_disk_works),
        LOOK_TEST(test_killed_while_the_disk_works),
    };
    return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
