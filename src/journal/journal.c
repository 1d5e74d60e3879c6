/*
 * The loop thread's side of the journal: formats and queues records, answers callers, watches
 * deadlines. Nothing here touches the file.
 *
 * journal_fd() is an epoll descriptor over an eventfd (the writer has answers) and a timerfd (the
 * oldest waiting record has come to its deadline). The timer is set when the first record begins
 * to wait and looks again when it fires, so a busy journal pays nothing for it and an idle one
 * has no wake-ups.
 *
 * The writer follows the loop thread's CPU while little is queued: the loop has nothing to do
 * meanwhile, and wake-ups across CPUs, whose median is the same, have a long tail on a busy machine
 * (bench-journal, p99). When the queue grows the two may run side by side again.
 */
#include "journal/journal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "journal/line.h"
#include "journal/queue.h"

#define QUEUE_BYTES_DEFAULT ((size_t)64 << 20)
#define WRITE_DEADLINE_MS_DEFAULT 5000
/* With more than this waiting, throughput matters more than the cost of one wake-up. */
#define ROAM_BYTES ((size_t)256 << 10)
/* A scratch buffer that grew beyond this is given back. */
#define SCRATCH_KEEP_BYTES ((size_t)1 << 20)
/* How long journal_close() waits for a writer that the disk holds up, beyond the deadline. */
#define CLOSE_GRACE_NS (UINT64_C(1000) * 1000 * 1000)

/* An observer that is so far behind has lost lines. */
#define OBSERVED_BYTES ((size_t)16 << 20)

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

Entry *entry_new(Journal *journal, const char *body, size_t size)
{
    Entry *entry = malloc(sizeof *entry + size);
    if (!entry)
        return NULL;
    *entry = (Entry){.size = size};
    if (size > 0)
        memcpy(entry->body, body, size);
    atomic_fetch_add(&journal->queued_bytes, sizeof *entry + size);
    return entry;
}

void entry_free(Journal *journal, Entry *entry)
{
    atomic_fetch_sub(&journal->queued_bytes, sizeof *entry + entry->size);
    free(entry);
}

static struct timespec timespec_of_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* --- opening --------------------------------------------------------------------------------- */

static int add_to_poll(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_poll(Journal *journal)
{
    int result;

    journal->answer_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (journal->answer_fd < 0)
        return -errno;
    journal->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (journal->timer_fd < 0)
        return -errno;
    journal->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (journal->poll_fd < 0)
        return -errno;
    if ((result = add_to_poll(journal->poll_fd, journal->answer_fd)) < 0)
        return result;
    return add_to_poll(journal->poll_fd, journal->timer_fd);
}

static int start_writer(Journal *journal)
{
    sigset_t all, before;

    (void)sigfillset(&all); /* SIGXFSZ too: write(2) then says EFBIG */
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return -EINVAL;
    int error = pthread_create(&journal->thread, NULL, writer_run, journal);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return -error;
    (void)pthread_setname_np(journal->thread, "journal");
    if (pthread_getaffinity_np(journal->thread, sizeof journal->cpus, &journal->cpus) != 0)
        CPU_ZERO(&journal->cpus);
    return 0;
}

static int init_lock(Journal *journal)
{
    pthread_condattr_t attributes;
    int error;

    if ((error = pthread_mutex_init(&journal->lock, NULL)) != 0)
        return -error;
    if ((error = pthread_condattr_init(&attributes)) != 0)
        return -error;
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    error = pthread_cond_init(&journal->wake, &attributes);
    if (error == 0)
        error = pthread_cond_init(&journal->gone, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return -error;
}

/* Releases all but the entries; the thread must be gone (or never have been). */
static Journal *journal_free(Journal *journal)
{
    buffer_done(&journal->scratch);
    buffer_done(&journal->lines);
    buffer_done(&journal->writer.lines);
    fd_close(journal->poll_fd);
    fd_close(journal->answer_fd);
    fd_close(journal->timer_fd);
    fd_close(journal->next_segment);
    fd_close(journal->writer.fd);
    (void)pthread_cond_destroy(&journal->gone);
    (void)pthread_cond_destroy(&journal->wake);
    (void)pthread_mutex_destroy(&journal->lock);
    free(journal);
    return NULL;
}

static JournalLimits limits_of(const JournalLimits *limits)
{
    JournalLimits used = limits ? *limits : (JournalLimits){0};
    if (used.queue_bytes == 0)
        used.queue_bytes = QUEUE_BYTES_DEFAULT;
    if (used.write_deadline_ms == 0)
        used.write_deadline_ms = WRITE_DEADLINE_MS_DEFAULT;
    return used;
}

int journal_open_with_io_take(Journal **ret, int fd, const JournalHead *head,
                              const JournalLimits *limits, const JournalIo *io)
{
    struct stat now;
    Journal *journal = calloc(1, sizeof *journal);

    if (!journal || sodium_init() < 0) {
        free(journal);
        fd_close(fd);
        return -ENOMEM;
    }
    journal->limits = limits_of(limits);
    journal->io = *io;
    journal->head = journal->synced = head ? *head : (JournalHead){0};
    journal->poll_fd = journal->answer_fd = journal->timer_fd = -EBADF;
    journal->next_segment = -EBADF;
    journal->pinned_cpu = -1;
    journal->scratch = BUFFER_EMPTY(JOURNAL_LINE_MAX - JOURNAL_LINE_OVERHEAD);
    journal->lines = BUFFER_EMPTY(OBSERVED_BYTES);
    journal->writer = (Writer){.fd = fd,
                               .head = journal->head,
                               .size = fstat(fd, &now) == 0 ? now.st_size : 0,
                               .lines = BUFFER_EMPTY(2 * JOURNAL_LINE_MAX)};
    journal->segment_bytes = (uint64_t)journal->writer.size;
    int result = init_lock(journal);
    if (result == 0)
        result = open_poll(journal);
    if (result == 0)
        result = start_writer(journal);
    if (result < 0) {
        journal_free(journal);
        return result;
    }
    *ret = journal;
    return 0;
}

int journal_open_take(Journal **ret, int fd, const JournalHead *head, const JournalLimits *limits)
{
    return journal_open_with_io_take(ret, fd, head, limits, &journal_io_kernel);
}

/* --- appending ------------------------------------------------------------------------------- */

/* The time as text; within one second only the microseconds are written anew. */
static const char *time_text_of(Journal *journal, uint64_t realtime_us)
{
    uint64_t second = realtime_us / 1000000, micros = realtime_us % 1000000;

    if (second != journal->second || journal->time_text[0] == '\0') {
        journal->second = second;
        return clock_format_time(realtime_us, journal->time_text);
    }
    for (char *digit = journal->time_text + 25; digit > journal->time_text + 19; digit--) {
        *digit = (char)('0' + micros % 10);
        micros /= 10;
    }
    return journal->time_text;
}

static void arm_timer(Journal *journal, uint64_t deadline_ns)
{
    struct itimerspec at = {.it_value = timespec_of_ns(deadline_ns)};

    if (timerfd_settime(journal->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0)
        journal->timer_armed = true;
}

static void waits_add(Journal *journal, Entry *entry)
{
    entry->deadline_ns = clock_monotonic_ns() + journal->limits.write_deadline_ms * NS_PER_MS;
    entry->waits_before = journal->waits_last;
    if (journal->waits_last)
        journal->waits_last->waits_after = entry;
    else
        journal->waits_first = entry;
    journal->waits_last = entry;
    if (!journal->timer_armed)
        arm_timer(journal, entry->deadline_ns);
}

static void waits_remove(Journal *journal, Entry *entry)
{
    if (entry->waits_before)
        entry->waits_before->waits_after = entry->waits_after;
    else if (journal->waits_first == entry)
        journal->waits_first = entry->waits_after;
    if (entry->waits_after)
        entry->waits_after->waits_before = entry->waits_before;
    else if (journal->waits_last == entry)
        journal->waits_last = entry->waits_before;
    entry->waits_before = entry->waits_after = NULL;
}

/* See the head of this file. Not being allowed to (seccomp, cpusets) only costs time. */
static void place_writer(Journal *journal)
{
    int cpu = atomic_load(&journal->queued_bytes) > ROAM_BYTES ? -1 : sched_getcpu();
    cpu_set_t one;

    if (cpu == journal->pinned_cpu || CPU_COUNT(&journal->cpus) < 2)
        return;
    if (cpu >= 0) {
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
    }
    if (pthread_setaffinity_np(journal->thread, sizeof one, cpu >= 0 ? &one : &journal->cpus) != 0)
        CPU_ZERO(&journal->cpus); /* never again */
    journal->pinned_cpu = cpu;
}

/* Hands an entry to the writer. */
static void submit(Journal *journal, Entry *entry)
{
    if (entry->done)
        waits_add(journal, entry);
    pthread_mutex_lock(&journal->lock);
    entries_push(&journal->queue, entry);
    bool wake = journal->idle;
    journal->idle = false; /* one wake-up is enough */
    pthread_mutex_unlock(&journal->lock);
    if (!wake)
        return;
    place_writer(journal);
    pthread_cond_signal(&journal->wake);
}

static int append_body(Journal *journal, const char *body, size_t size, bool durable,
                       JournalDone done, void *userdata)
{
    size_t queued = atomic_load(&journal->queued_bytes), wanted = sizeof(Entry) + size;

    if (journal->stopping) /* a callback of journal_close() */
        return -ESHUTDOWN;
    if (wanted > journal->limits.queue_bytes || queued > journal->limits.queue_bytes - wanted)
        return -ENOBUFS;
    Entry *entry = entry_new(journal, body, size);
    if (!entry)
        return -ENOMEM;
    entry->done = done;
    entry->userdata = userdata;
    entry->durable = durable;
    submit(journal, entry);
    return 0;
}

static int append_record(Journal *journal, const JournalRecord *record, bool durable,
                         JournalDone done, void *userdata)
{
    Buffer *body = &journal->scratch;

    buffer_clear(body);
    journal_body_put(body, record,
                     time_text_of(journal, record->ts_us ? record->ts_us : clock_realtime_us()));
    int result = body->error;
    if (result == 0)
        result =
            append_body(journal, buffer_head(body), buffer_size(body), durable, done, userdata);
    if (body->capacity > SCRATCH_KEEP_BYTES)
        buffer_done(body);
    return result;
}

/* Records that the queue had no room for are at least counted in the journal. */
static void note_dropped(Journal *journal)
{
    char message[80];
    JournalRecord record = {.event = JOURNAL_RECOVERY, .message = message};
    uint64_t dropped = journal->dropped;

    (void)snprintf(message, sizeof message, "%llu records were lost: the queue was full",
                   (unsigned long long)dropped);
    journal->dropped = 0;
    if (append_record(journal, &record, false, NULL, NULL) < 0)
        journal->dropped = dropped;
}

int journal_append(Journal *journal, const JournalRecord *record, bool durable, JournalDone done,
                   void *userdata)
{
    if (journal->dropped > 0)
        note_dropped(journal);
    int result = append_record(journal, record, durable, done, userdata);
    if (result < 0)
        journal->dropped++;
    return result;
}

int journal_sync(Journal *journal, JournalDone done, void *userdata)
{
    return append_body(journal, NULL, 0, true, done, userdata);
}

/* --- answering ------------------------------------------------------------------------------- */

int journal_fd(const Journal *journal)
{
    return journal->poll_fd;
}

/* Answers what waits since before `now`. `error`: why it could not be written. */
static void refuse_overdue(Journal *journal, uint64_t now, int error)
{
    while (journal->waits_first && journal->waits_first->deadline_ns <= now) {
        Entry *entry = journal->waits_first;
        JournalDone done = entry->done;
        void *userdata = entry->userdata;
        int open = ENTRY_OPEN;

        waits_remove(journal, entry);
        /* From here on the writer may free it, unless it was faster and has pushed it to the
         * answers. */
        if (atomic_compare_exchange_strong(&entry->answer, &open, ENTRY_REFUSED))
            done(error, userdata);
    }
}

static void take_answers(Journal *journal)
{
    Entry *entry;

    pthread_mutex_lock(&journal->lock);
    EntryList answers = journal->answers;
    journal->answers = (EntryList){NULL, NULL};
    pthread_mutex_unlock(&journal->lock);
    while ((entry = entries_pop(&answers))) {
        JournalDone done = entry->done;
        void *userdata = entry->userdata;
        int result = entry->result;

        waits_remove(journal, entry);
        entry_free(journal, entry);
        done(result, userdata);
    }
}

static void check_deadlines(Journal *journal)
{
    uint64_t expirations;

    if (read(journal->timer_fd, &expirations, sizeof expirations) != (ssize_t)sizeof expirations)
        return;
    journal->timer_armed = false;
    int health = journal_health(journal);
    refuse_overdue(journal, clock_monotonic_ns(), health < 0 ? health : -ETIMEDOUT);
    if (journal->waits_first && !journal->timer_armed)
        arm_timer(journal, journal->waits_first->deadline_ns);
}

void journal_set_observer(Journal *journal, JournalObserver observer, void *userdata)
{
    journal->observer = observer;
    journal->observer_userdata = userdata;
    pthread_mutex_lock(&journal->lock);
    journal->observed = observer != NULL;
    journal->lines_lost = false;
    buffer_done(&journal->lines);
    journal->lines.error = 0;
    pthread_mutex_unlock(&journal->lock);
}

/* The lines belong to whoever observed when they were written: one that changes the observer ends
 * the round. */
static void show_lines(Journal *journal)
{
    JournalObserver observer = journal->observer;
    void *userdata = journal->observer_userdata;

    pthread_mutex_lock(&journal->lock);
    Buffer lines = journal->lines;
    bool lost = journal->lines_lost;
    journal->lines = BUFFER_EMPTY(OBSERVED_BYTES);
    pthread_mutex_unlock(&journal->lock);

    const char *line = buffer_head(&lines), *end = line + buffer_size(&lines);
    while (!lost && line < end && journal->observer == observer) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        if (!feed)
            break;
        observer(line, (size_t)(feed - line), userdata);
        line = feed + 1;
    }
    buffer_done(&lines);
    if (lost) {
        journal_set_observer(journal, NULL, NULL);
        observer(NULL, 0, userdata);
    }
}

void journal_dispatch(Journal *journal)
{
    eventfd_t count;

    if (eventfd_read(journal->answer_fd, &count) == 0) {
        take_answers(journal);
        if (journal->observer)
            show_lines(journal);
    }
    if (journal->timer_armed)
        check_deadlines(journal);
}

/* --- state ----------------------------------------------------------------------------------- */

JournalHead journal_head(Journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    JournalHead head = journal->head;
    pthread_mutex_unlock(&journal->lock);
    return head;
}

JournalHead journal_synced_head(Journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    JournalHead head = journal->synced;
    pthread_mutex_unlock(&journal->lock);
    return head;
}

int journal_health(Journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    int health = journal->health;
    pthread_mutex_unlock(&journal->lock);
    return health;
}

bool journal_wants_segment(Journal *journal, uint64_t segment_bytes)
{
    pthread_mutex_lock(&journal->lock);
    bool wants = journal->next_segment < 0 &&
                 (journal->wants_segment || journal->segment_bytes > segment_bytes);
    pthread_mutex_unlock(&journal->lock);
    return wants;
}

int journal_set_segment_take(Journal *journal, int fd)
{
    pthread_mutex_lock(&journal->lock);
    int unused = journal->next_segment;
    journal->next_segment = fd;
    journal->idle = false;
    pthread_mutex_unlock(&journal->lock);
    pthread_cond_signal(&journal->wake);
    fd_close(unused);
    return 0;
}

/* --- closing --------------------------------------------------------------------------------- */

static void free_entries(Journal *journal, EntryList *entries)
{
    Entry *entry;
    while ((entry = entries_pop(entries)))
        entry_free(journal, entry);
}

/* Asks the writer to finish. False: it has not by the deadline and the grace time. */
static bool stop_writer(Journal *journal)
{
    uint64_t stop_ns = clock_monotonic_ns() + journal->limits.write_deadline_ms * NS_PER_MS;
    struct timespec until = timespec_of_ns(stop_ns + CLOSE_GRACE_NS);
    int error = 0;

    pthread_mutex_lock(&journal->lock);
    journal->stopping = true;
    journal->stop_ns = stop_ns;
    pthread_cond_signal(&journal->wake);
    while (!journal->finished && error == 0)
        error = pthread_cond_timedwait(&journal->gone, &journal->lock, &until);
    bool finished = journal->finished;
    pthread_mutex_unlock(&journal->lock);
    return finished;
}

Journal *journal_close(Journal *journal)
{
    if (!journal)
        return NULL;
    bool finished = stop_writer(journal);
    take_answers(journal);
    int health = journal_health(journal);
    refuse_overdue(journal, UINT64_MAX, health < 0 ? health : -ETIMEDOUT);
    if (!finished) { /* the disk holds it: all that it uses must stay */
        (void)pthread_detach(journal->thread);
        return NULL;
    }
    (void)pthread_join(journal->thread, NULL);
    free_entries(journal, &journal->queue);
    free_entries(journal, &journal->writer.backlog);
    return journal_free(journal);
}
