/*
 * The writer on a good disk: order, group commit, rotation, and that it sleeps when it may.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "journal/test-world.h"

/* --- a good disk ----------------------------------------------------------------------------- */

static void test_order(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(world_append(&world, i, i % 10 == 9), 0);
    world_turn(&world, 50, 5000);
    assert_int_equal(world.answered, 50);
    assert_int_equal(world.failed, 0);
    assert_int_equal(journal_head(world.journal).seq, 50);
    assert_int_equal(journal_synced_head(world.journal).seq, 50);
    assert_int_equal(journal_health(world.journal), 0);
    world_close(&world);
    assert_verifies(world.place, 50);
    assert_true(file_contains(world.place->path, ",\"segment\":true"));
}

/* Many small batches, some on disk, waited for or not. */
static void test_many(void **state)
{
    World world;
    JournalRecord record = {.event = JOURNAL_RECEIVED};
    int waited = 0;

    world_open(&world, state, 0, 0);
    for (int i = 0; i < 20000; i++) {
        if (i % 3 == 0)
            assert_int_equal(world_append(&world, i, i % 3000 == 0), 0);
        else
            assert_int_equal(journal_append(world.journal, &record, false, NULL, NULL), 0);
        waited += i % 3 == 0;
        if (i % 7 == 0)
            journal_dispatch(world.journal);
    }
    world_turn(&world, waited, 10000);
    assert_int_equal(world.answered, waited);
    assert_int_equal(world.failed, 0);
    world_close(&world);
    assert_verifies(world.place, 20000);
}

/* What piles up while the writer is busy goes out as one batch: one write, one sync; and who does
 * not wait for the disk is answered before the sync. */
static void test_group_commit(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    atomic_store(&world.faults.hold_write, true);
    assert_int_equal(world_append(&world, 0, false), 0);
    wait_until(&world.faults.held, 1);
    atomic_store(&world.faults.hold_sync, true);
    for (int i = 1; i <= 20; i++)
        assert_int_equal(world_append(&world, i, i % 2 == 0), 0);
    assert_int_equal(sem_post(&world.faults.release), 0);
    wait_until(&world.faults.held, 2);
    world_turn(&world, 11, 5000);
    assert_int_equal(world.answered, 11);
    for (int i = 0; i < 11; i++)
        assert_int_equal(world.order[i], i == 0 ? 0 : 2 * i - 1);
    assert_int_equal(sem_post(&world.faults.release), 0);
    world_turn(&world, 21, 5000);
    assert_int_equal(world.answered, 21);
    assert_int_equal(atomic_load(&world.faults.writes), 2);
    assert_int_equal(atomic_load(&world.faults.syncs), 1);
    world_close(&world);
    assert_verifies(world.place, 21);
}

static void test_barrier(void **state)
{
    World world;
    Ticket *ticket = calloc(1, sizeof *ticket);

    world_open(&world, state, 0, 0);
    assert_int_equal(world_append(&world, 0, false), 0);
    *ticket = (Ticket){&world, 1};
    assert_int_equal(journal_sync(world.journal, world_on_done, ticket), 0);
    world_turn(&world, 2, 5000);
    assert_int_equal(world.answered, 2);
    assert_int_equal(journal_synced_head(world.journal).seq, 1);
    assert_int_equal(atomic_load(&world.faults.syncs), 1);
    world_close(&world);
    assert_verifies(world.place, 1);
}

static void test_close_answers(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(world_append(&world, i, i == 5), 0);
    world_close(&world);
    assert_int_equal(world.answered, 10);
    assert_int_equal(world.failed, 0);
    assert_true(atomic_load(&world.faults.syncs) >= 1);
    assert_verifies(world.place, 10);
    assert_null(journal_close(NULL));
}

static void append_again(int result, void *userdata)
{
    World *world = userdata;
    assert_int_equal(result, 0);
    if (++world->failed < 5)
        assert_int_equal(world_append(world, world->failed, false), 0);
    JournalRecord record = {.event = JOURNAL_ENDED};
    if (world->failed < 5)
        assert_int_equal(journal_append(world->journal, &record, false, append_again, world), 0);
}

static void test_append_from_callback(void **state)
{
    World world;
    JournalRecord record = {.event = JOURNAL_STARTED};

    world_open(&world, state, 0, 0);
    assert_int_equal(journal_append(world.journal, &record, false, append_again, &world), 0);
    world_turn(&world, 4, 5000);
    assert_int_equal(world.answered, 4);
    world_close(&world);
    assert_int_equal(world.failed, 5); /* used as a counter here */
    assert_verifies(world.place, 9);
}

static void test_large_records(void **state)
{
    World world;
    size_t size = (size_t)5 << 20;
    _cleanup_free_ char *argument = malloc(size + 1);
    const char *argv[] = {argument};
    JournalRecord record = {.event = JOURNAL_JUDGED, .argv = argv, .argc = 1};

    assert_non_null(argument);
    memset(argument, '\x01', size); /* six bytes for one */
    argument[size] = '\0';
    world_open(&world, state, 0, 0);
    assert_int_equal(journal_append(world.journal, &record, false, NULL, NULL), 0);
    assert_int_equal(world_append(&world, 0, false), 0);
    argument[0] = '\xff'; /* base64 */
    assert_int_equal(journal_append(world.journal, &record, false, NULL, NULL), 0);
    world_turn(&world, 1, 10000);
    world_close(&world);
    assert_int_equal(world.failed, 0);
    assert_verifies(world.place, 3);
}

/* --- rotation and the thread ------------------------------------------------------------------ */

static void test_rotation(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(world_append(&world, i, false), 0);
        world_turn(&world, i + 1, 5000);
        if (!journal_wants_segment(world.journal, 2000))
            continue;
        int fd = journal_file_rotate(world.place->path, (gid_t)-1);
        assert_true(fd >= 0);
        assert_int_equal(journal_set_segment_take(world.journal, fd), 0);
        assert_false(journal_wants_segment(world.journal, 2000) &&
                     journal_wants_segment(world.journal, UINT64_MAX));
    }
    assert_int_equal(world.failed, 0);
    world_close(&world);
    assert_verifies(world.place, 30);
    JournalCheck check;
    assert_int_equal(journal_verify(world.place->path, NULL, &check), 0);
    assert_true(check.segments > 3);
    journal_check_done(&check);
}

/* A line of /proc/self/task/TID/status of the writer thread; the caller frees it. */
static char *writer_status(const char *field)
{
    _cleanup_(closedirp)
    DIR *directory = opendir("/proc/self/task");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[300], line[256];
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        _cleanup_(fclosep)
        FILE *file = fopen(path, "re");
        if (!file || !fgets(line, sizeof line, file) || strcmp(line, "Name:\tjournal\n") != 0)
            continue;
        while (fgets(line, sizeof line, file))
            if (strncmp(line, field, strlen(field)) == 0)
                return strdup(line);
    }
    return NULL;
}

static void test_thread_blocks_signals(void **state)
{
    World world;
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGXFSZ};

    world_open(&world, state, 0, 0);
    _cleanup_free_ char *line = writer_status("SigBlk:");
    assert_non_null(line);
    unsigned long long blocked = strtoull(line + 7, NULL, 16);
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        assert_true(blocked >> (wanted[i] - 1) & 1);
    world_close(&world);
}

static void test_idle_sleeps(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    assert_int_equal(world_append(&world, 0, true), 0);
    world_turn(&world, 1, 5000);
    (void)usleep(50000);
    _cleanup_free_ char *before = writer_status("voluntary_ctxt_switches:");
    world_turn(&world, 2, 400); /* the loop has nothing to do either */
    _cleanup_free_ char *after = writer_status("voluntary_ctxt_switches:");
    assert_non_null(before);
    assert_string_equal(before, after);
    world_close(&world);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_order),         TEST(test_many),          TEST(test_group_commit),
        TEST(test_barrier),       TEST(test_close_answers), TEST(test_append_from_callback),
        TEST(test_large_records), TEST(test_rotation),      TEST(test_thread_blocks_signals),
        TEST(test_idle_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
