/*
 * The journal's figures: how long one record takes on an idle system (it stands in the path of
 * every command), how many records go through in batches, and how fast a chain is verified.
 *
 * Prints one "name value unit" line per figure; with --check it fails below the bars. The files
 * go into a fresh directory below $TMPDIR or /var/tmp (a real disk, for fdatasync).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "journal/journal-file.h"

#define SINGLES 2000
#define DURABLE_SINGLES 200
#define BATCH_RECORDS 1000000
#define BAR_RECORDS 200000.0
#define BAR_VERIFY 300.0

typedef struct Bench {
    Journal *journal;
    int loop; /* epoll, as the warden's libevent uses it */
    size_t answered;
} Bench;

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "bench-journal: %s: %s\n", what, strerror(-error));
    exit(1);
}

static JournalRecord example(void)
{
    static const char *const argv[] = {"git", "-C", "/app/service", "push", "origin", "main"};
    return (JournalRecord){.event = JOURNAL_JUDGED,
                           .request = "7K3M2Q",
                           .jail = "my-agent",
                           .container = "3f4e8a1c9b7d",
                           .has_caller = true,
                           .uid = 1000,
                           .gid = 1000,
                           .pid = 4711,
                           .command = "git",
                           .argv = argv,
                           .argc = ARRAY_SIZE(argv),
                           .cwd = "/app/service",
                           .verdict = "allow",
                           .rule = "git-everyday",
                           .executor = "mirror"};
}

static void on_done(int result, void *userdata)
{
    Bench *bench = userdata;
    if (result < 0)
        die("a record was not written", result);
    bench->answered++;
}

static void dispatch_once(Bench *bench, int timeout_ms)
{
    struct epoll_event event;
    if (epoll_wait(bench->loop, &event, 1, timeout_ms) > 0)
        journal_dispatch(bench->journal);
}

static void open_bench(Bench *bench, const char *path)
{
    JournalHead head;
    JournalRecovery recovery;
    struct epoll_event event = {.events = EPOLLIN};

    *bench = (Bench){.loop = epoll_create1(EPOLL_CLOEXEC)};
    int fd = journal_file_open(path, (gid_t)-1, NULL, &head, &recovery);
    if (fd < 0)
        die(path, fd);
    int result = journal_open_take(&bench->journal, fd, &head, NULL);
    if (result < 0)
        die("journal_open", result);
    if (bench->loop < 0 ||
        epoll_ctl(bench->loop, EPOLL_CTL_ADD, journal_fd(bench->journal), &event) < 0)
        die("epoll", -errno);
}

static void close_bench(Bench *bench)
{
    bench->journal = journal_close(bench->journal);
    (void)close(bench->loop);
}

static double microseconds(uint64_t ns)
{
    return (double)ns / 1e3;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* One record at a time, with a pause before each: append, written, answered on the loop. */
static void bench_single(const char *path, bool durable, useconds_t pause_us, size_t count)
{
    Bench bench;
    JournalRecord record = example();
    uint64_t *times = calloc(count, sizeof *times);

    if (!times)
        die("calloc", -ENOMEM);
    open_bench(&bench, path);
    for (size_t i = 0; i < count; i++) {
        (void)usleep(pause_us);
        uint64_t begun = clock_monotonic_ns();
        int result = journal_append(bench.journal, &record, durable, on_done, &bench);
        if (result < 0)
            die("journal_append", result);
        while (bench.answered <= i)
            dispatch_once(&bench, -1);
        times[i] = clock_monotonic_ns() - begun;
    }
    close_bench(&bench);
    qsort(times, count, sizeof *times, compare);
    uint64_t median = times[count / 2], p90 = times[count * 9 / 10], p99 = times[count * 99 / 100];
    (void)printf("journal_single%s_pause_%uus median %.1f us, p90 %.1f us, p99 %.1f us\n",
                 durable ? "_durable" : "", (unsigned)pause_us, microseconds(median),
                 microseconds(p90), microseconds(p99));
    free(times);
}

/* As fast as the queue takes them. Returns records per second. */
static double bench_batches(const char *path, size_t count)
{
    Bench bench;
    JournalRecord record = example();

    open_bench(&bench, path);
    uint64_t begun = clock_monotonic_ns();
    for (size_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        int result;
        while ((result = journal_append(bench.journal, &record, last, last ? on_done : NULL,
                                        &bench)) == -ENOBUFS)
            (void)usleep(1000);
        if (result < 0)
            die("journal_append", result);
    }
    while (bench.answered == 0)
        dispatch_once(&bench, -1);
    double seconds = (double)(clock_monotonic_ns() - begun) / 1e9;
    close_bench(&bench);
    (void)printf("journal_batches %.0f records/s (the last one on disk)\n",
                 (double)count / seconds);
    return (double)count / seconds;
}

/* A hundred commands at once: each record waited for, a hundred waiting at any time. */
static void bench_crowd(const char *path, size_t count, size_t crowd)
{
    Bench bench;
    JournalRecord record = example();

    open_bench(&bench, path);
    uint64_t begun = clock_monotonic_ns();
    for (size_t sent = 0; bench.answered < count;) {
        for (; sent < count && sent - bench.answered < crowd; sent++) {
            int result = journal_append(bench.journal, &record, false, on_done, &bench);
            if (result < 0)
                die("journal_append", result);
        }
        dispatch_once(&bench, -1);
    }
    double seconds = (double)(clock_monotonic_ns() - begun) / 1e9;
    close_bench(&bench);
    (void)printf("journal_crowd_of_%zu %.0f records/s\n", crowd, (double)count / seconds);
}

static double bench_verify(const char *path)
{
    JournalCheck check;
    uint64_t begun = clock_monotonic_ns();

    int result = journal_verify(path, NULL, &check);
    if (result < 0)
        die("journal_verify", result);
    if (!check.ok) {
        (void)fprintf(stderr, "bench-journal: %s\n", check.problem);
        exit(1);
    }
    double seconds = (double)(clock_monotonic_ns() - begun) / 1e9;
    double rate = (double)check.bytes / 1e6 / seconds;
    (void)printf("journal_verify %.0f MB/s (%llu records, %.0f MB)\n", rate,
                 (unsigned long long)check.records, (double)check.bytes / 1e6);
    journal_check_done(&check);
    return rate;
}

int main(int argc, char **argv)
{
    const char *base = getenv("TMPDIR");
    char directory[512], path[600];
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0;

    (void)snprintf(directory, sizeof directory, "%s/bench-journal.XXXXXX",
                   base ? base : "/var/tmp");
    if (!mkdtemp(directory))
        die(directory, -errno);
    (void)snprintf(path, sizeof path, "%s/audit.log", directory);
    bench_single(path, false, 0, SINGLES);
    bench_single(path, false, 200, SINGLES);
    bench_single(path, false, 2000, SINGLES);
    bench_single(path, true, 2000, DURABLE_SINGLES);
    bench_crowd(path, BATCH_RECORDS / 4, 100);
    double records = bench_batches(path, BATCH_RECORDS);
    (void)bench_verify(path);
    double verified = bench_verify(path);
    (void)unlink(path);
    (void)rmdir(directory);
    if (check && (records < BAR_RECORDS || verified < BAR_VERIFY)) {
        (void)fprintf(stderr, "bench-journal: below the bar (%.0f records/s, %.0f MB/s)\n",
                      BAR_RECORDS, BAR_VERIFY);
        return 1;
    }
    return 0;
}
