/*
 * The writer on a disk that is full, slow, short, read-only, failing or lying: whoever waits is
 * told in time, nothing is lost, the chain stays whole, and it recovers by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal/test-world.h"

/* --- short writes and full disks -------------------------------------------------------------- */

/* A write that is short by any number of bytes: the half line is cut off and written again. */
static void test_short_writes(void **state)
{
    for (long less = 1; less < 1500; less += less < 20 ? 3 : 61) {
        World world;
        world_open(&world, state, 0, 0);
        atomic_store(&world.faults.hold_write, true);
        assert_int_equal(world_append(&world, 0, false), 0);
        wait_until(&world.faults.held, 1);
        for (int i = 1; i <= 5; i++)
            assert_int_equal(world_append(&world, i, i == 2), 0);
        assert_int_equal(sem_post(&world.faults.release), 0);
        world_turn(&world, 1, 5000);
        atomic_store(&world.faults.then, less % 2 ? -ENOSPC : 0);
        atomic_store(&world.faults.short_by, less);
        for (int i = 6; i <= 9; i++)
            assert_int_equal(world_append(&world, i, i == 7), 0);
        world_turn(&world, 10, 5000);
        assert_int_equal(world.answered, 10);
        assert_int_equal(world.failed, 0);
        world_close(&world);
        assert_verifies(world.place, 10);
        place_clear(world.place);
    }
}

static void test_full_disk(void **state)
{
    World world;

    world_open(&world, state, 150, 0);
    atomic_store(&world.faults.write_error, -ENOSPC);
    uint64_t begun = clock_monotonic_ms();
    assert_int_equal(world_append(&world, 0, false), 0);
    assert_int_equal(world_append(&world, 1, true), 0);
    world_turn(&world, 2, 5000);
    assert_int_equal(world.failed, 2);
    assert_int_equal(world.last_error, -ENOSPC);
    assert_in_range(clock_monotonic_ms() - begun, 140, 2000);
    assert_int_equal(journal_health(world.journal), -ENOSPC);
    assert_false(journal_wants_segment(world.journal, UINT64_MAX));

    /* It recovers by itself, and says so; nothing is lost. */
    atomic_store(&world.faults.write_error, 0);
    world_wait_for_health(&world, 0);
    assert_int_equal(world_append(&world, 2, false), 0);
    world_turn(&world, 3, 5000);
    assert_int_equal(world.failed, 2);
    world_close(&world);
    assert_verifies(world.place, 3);
    assert_true(file_contains(world.place->path, "\"message\":\"ticket 0\",\"late\":true"));
    assert_true(file_contains(world.place->path, "\"message\":\"ticket 1\",\"late\":true"));
    assert_false(file_contains(world.place->path, "\"message\":\"ticket 2\",\"late\":true"));
}

/* Space comes back before the deadline: nobody notices more than a pause. */
static void test_short_trouble(void **state)
{
    World world;

    world_open(&world, state, 5000, 0);
    atomic_store(&world.faults.write_error, -EROFS);
    assert_int_equal(world_append(&world, 0, true), 0);
    world_wait_for_health(&world, -EROFS);
    atomic_store(&world.faults.write_error, 0);
    world_turn(&world, 1, 5000);
    assert_int_equal(world.failed, 0);
    assert_int_equal(journal_health(world.journal), 0);
    world_close(&world);
    assert_verifies(world.place, 1);
    assert_false(file_contains(world.place->path, "\"late\":true"));
}

static void test_full_queue(void **state)
{
    World world;
    int appended = 0, result;

    world_open(&world, state, 100, 4000);
    atomic_store(&world.faults.write_error, -ENOSPC);
    while ((result = world_append(&world, appended, false)) == 0)
        appended++;
    assert_int_equal(result, -ENOBUFS);
    assert_int_equal(world_append(&world, 99, false), -ENOBUFS);
    world_turn(&world, appended, 5000);
    assert_int_equal(world.failed, appended);
    atomic_store(&world.faults.write_error, 0);
    world_wait_for_health(&world, 0);
    (void)usleep(20000);
    assert_int_equal(world_append(&world, 100, false), 0);
    world_turn(&world, appended + 1, 5000);
    world_close(&world);
    assert_true(file_contains(world.place->path, "2 records were lost: the queue was full"));
    assert_verifies(world.place, (uint64_t)appended + 2);
}

/* A real limit: write(2) is short, then says EFBIG, and SIGXFSZ does not kill. */
static void test_file_size_limit(void **state)
{
    World world;
    struct rlimit before, small;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    world_open(&world, state, 100, 0);
    small = (struct rlimit){.rlim_cur = 700, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(world_append(&world, i, false), 0);
    world_turn(&world, 6, 5000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(world.failed > 0 && world.failed < 6);
    assert_int_equal(world.last_error, -EFBIG);
    assert_true(journal_wants_segment(world.journal, UINT64_MAX));
    world_wait_for_health(&world, 0);
    world_close(&world);
    assert_verifies(world.place, 6);
}

/* Half a line that cannot be cut off: nothing goes behind it, a new segment goes on. */
static void test_cut_fails(void **state)
{
    World world;

    world_open(&world, state, 5000, 0);
    assert_int_equal(world_append(&world, 0, false), 0);
    world_turn(&world, 1, 5000);
    atomic_store(&world.faults.truncate_error, -EIO);
    atomic_store(&world.faults.then, -ENOSPC);
    atomic_store(&world.faults.short_by, 10);
    assert_int_equal(world_append(&world, 1, false), 0);
    world_wait_for_health(&world, -EIO);
    assert_true(journal_wants_segment(world.journal, UINT64_MAX));
    int writes = atomic_load(&world.faults.writes);
    (void)usleep(250000);
    assert_int_equal(atomic_load(&world.faults.writes), writes);
    atomic_store(&world.faults.truncate_error, 0);
    int fd = journal_file_rotate(world.place->path, (gid_t)-1);
    assert_true(fd >= 0);
    assert_int_equal(journal_set_segment_take(world.journal, fd), 0);
    world_turn(&world, 2, 5000);
    assert_int_equal(world.failed, 0);
    world_close(&world);
    assert_verifies(world.place, 2);
}

/* --- a disk that fails ------------------------------------------------------------------------ */

static void test_failed_sync(void **state)
{
    World world;

    world_open(&world, state, 5000, 0);
    assert_int_equal(world_append(&world, 0, true), 0);
    world_turn(&world, 1, 5000);
    atomic_store(&world.faults.sync_error, -EIO);
    assert_int_equal(world_append(&world, 1, false), 0);
    assert_int_equal(world_append(&world, 2, true), 0);
    world_turn(&world, 3, 5000);
    assert_int_equal(world.answered, 3);
    assert_int_equal(world.failed, 1);
    assert_int_equal(world.last_error, -EIO);
    assert_int_equal(journal_health(world.journal), -EIO);
    assert_true(journal_wants_segment(world.journal, UINT64_MAX));

    /* Neither written to nor synced again. */
    atomic_store(&world.faults.sync_error, 0);
    int syncs = atomic_load(&world.faults.syncs), writes = atomic_load(&world.faults.writes);
    assert_int_equal(world_append(&world, 3, false), 0);
    world_turn(&world, 4, 200);
    assert_int_equal(world.answered, 3);
    assert_int_equal(atomic_load(&world.faults.syncs), syncs);
    assert_int_equal(atomic_load(&world.faults.writes), writes);

    int fd = journal_file_rotate(world.place->path, (gid_t)-1);
    assert_true(fd >= 0);
    assert_int_equal(journal_set_segment_take(world.journal, fd), 0);
    world_turn(&world, 4, 5000);
    assert_int_equal(world.answered, 4);
    assert_int_equal(world.failed, 1);
    assert_int_equal(journal_health(world.journal), 0);
    assert_false(journal_wants_segment(world.journal, UINT64_MAX));
    world_close(&world);
    /* 0, 1, 2 | recovery, the copy of 2, 3 */
    assert_verifies(world.place, 6);
    assert_true(file_contains(world.place->path, "records 2 to 3 may be missing on disk"));
    assert_true(
        file_contains(world.place->path, "\"message\":\"ticket 2\",\"late\":true,\"of\":3"));
}

/* The disk gives no answer at all. */
static void test_hanging_write(void **state)
{
    World world;

    world_open(&world, state, 100, 0);
    atomic_store(&world.faults.hold_write, true);
    assert_int_equal(world_append(&world, 0, false), 0);
    assert_int_equal(world_append(&world, 1, true), 0);
    world_turn(&world, 2, 5000);
    assert_int_equal(world.failed, 2);
    assert_int_equal(world.last_error, -ETIMEDOUT);
    assert_int_equal(sem_post(&world.faults.release), 0);
    assert_int_equal(world_append(&world, 2, false), 0);
    world_turn(&world, 3, 5000);
    assert_int_equal(world.answered, 3);
    assert_int_equal(world.failed, 2);
    world_close(&world);
    /* What turned out to be written is followed by a copy that says it was too late. */
    assert_true(
        file_contains(world.place->path, "\"message\":\"ticket 0\",\"late\":true,\"of\":1"));
    assert_true(file_contains(world.place->path, "\"message\":\"ticket 1\",\"late\":true"));
    JournalCheck check;
    assert_int_equal(journal_verify(world.place->path, NULL, &check), 0);
    assert_true(check.ok);
    journal_check_done(&check);
}

static void test_close_on_a_full_disk(void **state)
{
    World world;

    world_open(&world, state, 200, 0);
    atomic_store(&world.faults.write_error, -ENOSPC);
    assert_int_equal(world_append(&world, 0, false), 0);
    uint64_t begun = clock_monotonic_ms();
    world_close(&world);
    assert_in_range(clock_monotonic_ms() - begun, 150, 1500);
    assert_int_equal(world.failed, 1);
    assert_int_equal(world.last_error, -ENOSPC);
    assert_verifies(world.place, 0);
}

/* A writer that never comes back does not hold up the end of the program. In a child, because what
 * the writer uses is left behind. */
static int close_on_a_hanging_disk(void **state)
{
    static World world;

    world_open(&world, state, 100, 0);
    atomic_store(&world.faults.hold_write, true);
    assert_int_equal(world_append(&world, 0, false), 0);
    wait_until(&world.faults.held, 1);
    uint64_t begun = clock_monotonic_ms();
    world.journal = journal_close(world.journal);
    return world.last_error == -ETIMEDOUT && clock_monotonic_ms() - begun < 4000 ? 0 : 1;
}

static void test_close_on_a_hanging_disk(void **state)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(close_on_a_hanging_disk(state));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_short_writes),         TEST(test_full_disk),
        TEST(test_short_trouble),        TEST(test_full_queue),
        TEST(test_file_size_limit),      TEST(test_cut_fails),
        TEST(test_failed_sync),          TEST(test_hanging_write),
        TEST(test_close_on_a_full_disk), TEST(test_close_on_a_hanging_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
