/*
 * See test-world.h.
 */
#include "journal/test-world.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

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

void world_on_done(int result, void *userdata)
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

void world_open(World *world, void **state, uint64_t deadline_ms, size_t queue_bytes)
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

void world_close(World *world)
{
    world->journal = journal_close(world->journal);
    assert_null(world->journal);
    (void)sem_destroy(&world->faults.release);
}

int world_append(World *world, int number, bool durable)
{
    char message[32];
    JournalRecord record = {.event = JOURNAL_JUDGED, .message = message};
    Ticket *ticket = calloc(1, sizeof *ticket);

    assert_non_null(ticket);
    *ticket = (Ticket){world, number};
    (void)snprintf(message, sizeof message, "ticket %d", number);
    int result = journal_append(world->journal, &record, durable, world_on_done, ticket);
    if (result < 0)
        free(ticket);
    return result;
}

void world_turn(World *world, int count, int most_ms)
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

void wait_until(atomic_int *value, int wanted)
{
    for (int i = 0; i < 5000 && atomic_load(value) < wanted; i++)
        (void)usleep(1000);
    assert_true(atomic_load(value) >= wanted);
}

void world_wait_for_health(World *world, int wanted)
{
    for (int i = 0; i < 5000 && journal_health(world->journal) != wanted; i++)
        (void)usleep(1000);
    assert_int_equal(journal_health(world->journal), wanted);
}

bool file_contains(const char *path, const char *text)
{
    size_t size;
    _cleanup_free_ char *bytes = read_file(path, &size);
    return memmem(bytes, size, text, strlen(text)) != NULL;
}
