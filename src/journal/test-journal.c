/*
 * The writer: order, group commit, and a disk that is full, slow, short or lying.
 *
 * The faults come through JournalIo (queue.h): Faults stands between the writer and the real file.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "journal/queue.h"
#include "journal/test-support.h"

typedef struct Faults {
    atomic_int write_error; /* 0, or what write(2) says */
    atomic_int sync_error, truncate_error;
    atomic_long short_by; /* the next write is short by this many bytes, once, … */
    atomic_int then;      /* … and the one after it says this, once */
    atomic_bool hold_write, hold_sync;
    sem_t release; /* what lets a held call go on */
    atomic_int writes, syncs, truncates, held;
} Faults;

static void hold(Faults *faults, atomic_bool *flag)
{
    if (!atomic_exchange(flag, false))
        return;
    atomic_fetch_add(&faults->held, 1);
    while (sem_wait(&faults->release) < 0)
        ;
}

static ssize_t faulty_write(void *context, int fd, const void *bytes, size_t size)
{
    Faults *faults = context;
    atomic_fetch_add(&faults->writes, 1);
    hold(faults, &faults->hold_write);
    int error = atomic_load(&faults->write_error);
    if (error != 0)
        return error;
    size_t less = (size_t)atomic_exchange(&faults->short_by, 0);
    if (less == 0 && (error = atomic_exchange(&faults->then, 0)) != 0)
        return error;
    return journal_io_kernel.write(NULL, fd, bytes, less < size ? size - less : 1);
}

static int faulty_sync(void *context, int fd)
{
    Faults *faults = context;
    atomic_fetch_add(&faults->syncs, 1);
    hold(faults, &faults->hold_sync);
    int error = atomic_load(&faults->sync_error);
    return error != 0 ? error : journal_io_kernel.sync(NULL, fd);
}

static int faulty_truncate(void *context, int fd, off_t size)
{
    Faults *faults = context;
    atomic_fetch_add(&faults->truncates, 1);
    int error = atomic_load(&faults->truncate_error);
    return error != 0 ? error : journal_io_kernel.truncate(NULL, fd, size);
}

/* A journal in a Place, and what its callers were told. */
typedef struct World {
    Place *place;
    Journal *journal;
    Faults faults;
    int answered, failed, last_error;
    int order[64]; /* tickets, as they were answered */
} World;

typedef struct Ticket {
    World *world;
    int number;
} Ticket;

static void on_done(int result, void *userdata)
{
    Ticket *ticket = userdata;
    World *world = ticket->world;
    if (world->answered < (int)ARRAY_SIZE(world->order))
        world->order[world->answered] = ticket->number;
    world->answered++;
    if (result < 0) {
        world->failed++;
        world->last_error = result;
    }
    free(ticket);
}

static void world_open(World *world, void **state, uint64_t deadline_ms, size_t queue_bytes)
{
    JournalHead head;
    JournalRecovery recovery;
    JournalLimits limits = {.write_deadline_ms = deadline_ms, .queue_bytes = queue_bytes};
    JournalIo io = {.write = faulty_write,
                    .sync = faulty_sync,
                    .truncate = faulty_truncate,
                    .context = &world->faults};

    memset(world, 0, sizeof *world);
    world->place = *state;
    assert_int_equal(sem_init(&world->faults.release, 0, 0), 0);
    int fd = journal_file_open(world->place->path, (gid_t)-1, NULL, &head, &recovery);
    assert_true(fd >= 0);
    assert_int_equal(journal_open_with_io_take(&world->journal, fd, &head, &limits, &io), 0);
}

static void world_close(World *world)
{
    world->journal = journal_close(world->journal);
    assert_null(world->journal);
    (void)sem_destroy(&world->faults.release);
}

static int append(World *world, int number, bool durable)
{
    char message[32];
    JournalRecord record = {.event = JOURNAL_JUDGED, .message = message};
    Ticket *ticket = calloc(1, sizeof *ticket);

    assert_non_null(ticket);
    *ticket = (Ticket){world, number};
    (void)snprintf(message, sizeof message, "ticket %d", number);
    int result = journal_append(world->journal, &record, durable, on_done, ticket);
    if (result < 0)
        free(ticket);
    return result;
}

/* Turns the loop until `count` are answered, or for `most_ms`. */
static void turn(World *world, int count, int most_ms)
{
    uint64_t end = clock_monotonic_ms() + (uint64_t)most_ms;

    while (world->answered < count) {
        uint64_t now = clock_monotonic_ms();
        if (now >= end)
            return;
        struct pollfd wait = {.fd = journal_fd(world->journal), .events = POLLIN};
        if (poll(&wait, 1, (int)(end - now)) > 0)
            journal_dispatch(world->journal);
    }
}

static void wait_until(atomic_int *value, int wanted)
{
    for (int i = 0; i < 5000 && atomic_load(value) < wanted; i++)
        (void)usleep(1000);
    assert_true(atomic_load(value) >= wanted);
}

static void wait_for_health(World *world, int wanted)
{
    for (int i = 0; i < 5000 && journal_health(world->journal) != wanted; i++)
        (void)usleep(1000);
    assert_int_equal(journal_health(world->journal), wanted);
}

static bool file_contains(const char *path, const char *text)
{
    size_t size;
    _cleanup_free_ char *bytes = read_file(path, &size);
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

/* --- a good disk ----------------------------------------------------------------------------- */

static void test_order(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(append(&world, i, i % 10 == 9), 0);
    turn(&world, 50, 5000);
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
            assert_int_equal(append(&world, i, i % 3000 == 0), 0);
        else
            assert_int_equal(journal_append(world.journal, &record, false, NULL, NULL), 0);
        waited += i % 3 == 0;
        if (i % 7 == 0)
            journal_dispatch(world.journal);
    }
    turn(&world, waited, 10000);
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
    assert_int_equal(append(&world, 0, false), 0);
    wait_until(&world.faults.held, 1);
    atomic_store(&world.faults.hold_sync, true);
    for (int i = 1; i <= 20; i++)
        assert_int_equal(append(&world, i, i % 2 == 0), 0);
    assert_int_equal(sem_post(&world.faults.release), 0);
    wait_until(&world.faults.held, 2);
    turn(&world, 11, 5000);
    assert_int_equal(world.answered, 11);
    for (int i = 0; i < 11; i++)
        assert_int_equal(world.order[i], i == 0 ? 0 : 2 * i - 1);
    assert_int_equal(sem_post(&world.faults.release), 0);
    turn(&world, 21, 5000);
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
    assert_int_equal(append(&world, 0, false), 0);
    *ticket = (Ticket){&world, 1};
    assert_int_equal(journal_sync(world.journal, on_done, ticket), 0);
    turn(&world, 2, 5000);
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
        assert_int_equal(append(&world, i, i == 5), 0);
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
        assert_int_equal(append(world, world->failed, false), 0);
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
    turn(&world, 4, 5000);
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
    assert_int_equal(append(&world, 0, false), 0);
    argument[0] = '\xff'; /* base64 */
    assert_int_equal(journal_append(world.journal, &record, false, NULL, NULL), 0);
    turn(&world, 1, 10000);
    world_close(&world);
    assert_int_equal(world.failed, 0);
    assert_verifies(world.place, 3);
}

/* --- short writes and full disks -------------------------------------------------------------- */

/* A write that is short by any number of bytes: the half line is cut off and written again. */
static void test_short_writes(void **state)
{
    for (long less = 1; less < 1500; less += less < 20 ? 3 : 61) {
        World world;
        world_open(&world, state, 0, 0);
        atomic_store(&world.faults.hold_write, true);
        assert_int_equal(append(&world, 0, false), 0);
        wait_until(&world.faults.held, 1);
        for (int i = 1; i <= 5; i++)
            assert_int_equal(append(&world, i, i == 2), 0);
        assert_int_equal(sem_post(&world.faults.release), 0);
        turn(&world, 1, 5000);
        atomic_store(&world.faults.then, less % 2 ? -ENOSPC : 0);
        atomic_store(&world.faults.short_by, less);
        for (int i = 6; i <= 9; i++)
            assert_int_equal(append(&world, i, i == 7), 0);
        turn(&world, 10, 5000);
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
    assert_int_equal(append(&world, 0, false), 0);
    assert_int_equal(append(&world, 1, true), 0);
    turn(&world, 2, 5000);
    assert_int_equal(world.failed, 2);
    assert_int_equal(world.last_error, -ENOSPC);
    assert_in_range(clock_monotonic_ms() - begun, 140, 2000);
    assert_int_equal(journal_health(world.journal), -ENOSPC);
    assert_false(journal_wants_segment(world.journal, UINT64_MAX));

    /* It recovers by itself, and says so; nothing is lost. */
    atomic_store(&world.faults.write_error, 0);
    wait_for_health(&world, 0);
    assert_int_equal(append(&world, 2, false), 0);
    turn(&world, 3, 5000);
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
    assert_int_equal(append(&world, 0, true), 0);
    wait_for_health(&world, -EROFS);
    atomic_store(&world.faults.write_error, 0);
    turn(&world, 1, 5000);
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
    while ((result = append(&world, appended, false)) == 0)
        appended++;
    assert_int_equal(result, -ENOBUFS);
    assert_int_equal(append(&world, 99, false), -ENOBUFS);
    turn(&world, appended, 5000);
    assert_int_equal(world.failed, appended);
    atomic_store(&world.faults.write_error, 0);
    wait_for_health(&world, 0);
    (void)usleep(20000);
    assert_int_equal(append(&world, 100, false), 0);
    turn(&world, appended + 1, 5000);
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
        assert_int_equal(append(&world, i, false), 0);
    turn(&world, 6, 5000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(world.failed > 0 && world.failed < 6);
    assert_int_equal(world.last_error, -EFBIG);
    assert_true(journal_wants_segment(world.journal, UINT64_MAX));
    wait_for_health(&world, 0);
    world_close(&world);
    assert_verifies(world.place, 6);
}

/* Half a line that cannot be cut off: nothing goes behind it, a new segment goes on. */
static void test_cut_fails(void **state)
{
    World world;

    world_open(&world, state, 5000, 0);
    assert_int_equal(append(&world, 0, false), 0);
    turn(&world, 1, 5000);
    atomic_store(&world.faults.truncate_error, -EIO);
    atomic_store(&world.faults.then, -ENOSPC);
    atomic_store(&world.faults.short_by, 10);
    assert_int_equal(append(&world, 1, false), 0);
    wait_for_health(&world, -EIO);
    assert_true(journal_wants_segment(world.journal, UINT64_MAX));
    int writes = atomic_load(&world.faults.writes);
    (void)usleep(250000);
    assert_int_equal(atomic_load(&world.faults.writes), writes);
    atomic_store(&world.faults.truncate_error, 0);
    int fd = journal_file_rotate(world.place->path, (gid_t)-1);
    assert_true(fd >= 0);
    assert_int_equal(journal_set_segment_take(world.journal, fd), 0);
    turn(&world, 2, 5000);
    assert_int_equal(world.failed, 0);
    world_close(&world);
    assert_verifies(world.place, 2);
}

/* --- a disk that fails ------------------------------------------------------------------------ */

static void test_failed_sync(void **state)
{
    World world;

    world_open(&world, state, 5000, 0);
    assert_int_equal(append(&world, 0, true), 0);
    turn(&world, 1, 5000);
    atomic_store(&world.faults.sync_error, -EIO);
    assert_int_equal(append(&world, 1, false), 0);
    assert_int_equal(append(&world, 2, true), 0);
    turn(&world, 3, 5000);
    assert_int_equal(world.answered, 3);
    assert_int_equal(world.failed, 1);
    assert_int_equal(world.last_error, -EIO);
    assert_int_equal(journal_health(world.journal), -EIO);
    assert_true(journal_wants_segment(world.journal, UINT64_MAX));

    /* Neither written to nor synced again. */
    atomic_store(&world.faults.sync_error, 0);
    int syncs = atomic_load(&world.faults.syncs), writes = atomic_load(&world.faults.writes);
    assert_int_equal(append(&world, 3, false), 0);
    turn(&world, 4, 200);
    assert_int_equal(world.answered, 3);
    assert_int_equal(atomic_load(&world.faults.syncs), syncs);
    assert_int_equal(atomic_load(&world.faults.writes), writes);

    int fd = journal_file_rotate(world.place->path, (gid_t)-1);
    assert_true(fd >= 0);
    assert_int_equal(journal_set_segment_take(world.journal, fd), 0);
    turn(&world, 4, 5000);
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
    assert_int_equal(append(&world, 0, false), 0);
    assert_int_equal(append(&world, 1, true), 0);
    turn(&world, 2, 5000);
    assert_int_equal(world.failed, 2);
    assert_int_equal(world.last_error, -ETIMEDOUT);
    assert_int_equal(sem_post(&world.faults.release), 0);
    assert_int_equal(append(&world, 2, false), 0);
    turn(&world, 3, 5000);
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
    assert_int_equal(append(&world, 0, false), 0);
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
    assert_int_equal(append(&world, 0, false), 0);
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

/* --- rotation and the thread ------------------------------------------------------------------ */

static void test_rotation(void **state)
{
    World world;

    world_open(&world, state, 0, 0);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(append(&world, i, false), 0);
        turn(&world, i + 1, 5000);
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
    assert_int_equal(append(&world, 0, true), 0);
    turn(&world, 1, 5000);
    (void)usleep(50000);
    _cleanup_free_ char *before = writer_status("voluntary_ctxt_switches:");
    turn(&world, 2, 400); /* the loop has nothing to do either */
    _cleanup_free_ char *after = writer_status("voluntary_ctxt_switches:");
    assert_non_null(before);
    assert_string_equal(before, after);
    world_close(&world);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_many),
        TEST(test_group_commit),
        TEST(test_barrier),
        TEST(test_close_answers),
        TEST(test_append_from_callback),
        TEST(test_large_records),
        TEST(test_short_writes),
        TEST(test_full_disk),
        TEST(test_short_trouble),
        TEST(test_full_queue),
        TEST(test_file_size_limit),
        TEST(test_cut_fails),
        TEST(test_failed_sync),
        TEST(test_hanging_write),
        TEST(test_close_on_a_full_disk),
        TEST(test_close_on_a_hanging_disk),
        TEST(test_rotation),
        TEST(test_thread_blocks_signals),
        TEST(test_idle_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
