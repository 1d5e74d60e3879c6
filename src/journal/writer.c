/*
 * The writer thread: takes all that is queued, gives it seq and hash, appends it in one write(2)
 * and, when somebody waits for the disk, one fdatasync(2).
 *
 * What can go wrong, and what happens then:
 * - A short write (a full disk) whose rest cannot be written either: the half line is cut off
 *   again, the whole ones count, the rest is written later. If the cut fails nothing is written
 *   behind the half line.
 * - ENOSPC, EROFS, EIO, EFBIG …: the records stay, the next try comes 100 ms later. Whoever waits
 *   too long is answered by the loop (journal.c), and the record is then written marked late.
 * - fdatasync(2) fails: what is on disk is unknown, and asking again would say "fine" (the kernel
 *   reports the error once: fsync(2), "Notes"; the pages are marked clean). So this segment takes
 *   no more records; those that waited for the disk are answered with the error at once, and are
 *   written again as marked copies into the new segment that the parent gives. The chain goes on
 *   from the last record written: it is read from the page cache as long as the machine runs, and
 *   if it is gone afterwards, verifying shows the gap, which is the truth.
 * - write(2) hangs: the loop answers by itself; a record that turns out to have been written
 *   although its caller was refused is followed by a copy that is marked late.
 *
 * Locking: everything in Writer is this thread's alone; what is shared is touched under the lock,
 * which is never held across a system call on the file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "journal/line.h"
#include "journal/queue.h"

/* A batch ends with the record that makes it this large. */
#define BATCH_BYTES ((size_t)1 << 20)
/* A batch buffer that grew beyond this is given back. */
#define BATCH_KEEP_BYTES ((size_t)2 << 20)
#define RETRY_NS (UINT64_C(100) * 1000 * 1000)

static ssize_t kernel_write(void *context, int fd, const void *bytes, size_t size)
{
    (void)context;
    ssize_t written = write(fd, bytes, size);
    return written < 0 ? -errno : written;
}

static int kernel_sync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int kernel_truncate(void *context, int fd, off_t size)
{
    struct stat now;
    (void)context;
    if (fstat(fd, &now) < 0)
        return -errno;
    if (now.st_size < size) /* somebody else cut it: never make it longer, with NULs */
        return -ESTALE;
    return ftruncate(fd, size) < 0 ? -errno : 0;
}

const JournalIo journal_io_kernel = {
    .write = kernel_write, .sync = kernel_sync, .truncate = kernel_truncate};

/* Errors that another file on the same disk would meet as well: no new segment is wanted. */
static bool is_of_the_disk(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -ENOMEM ||
           error == -EAGAIN || error == -EINTR;
}

static void wake_loop(Journal *journal)
{
    (void)eventfd_write(journal->answer_fd, 1);
}

/* A failure: said in the health, tried again after a while. The loop is told when a new segment is
 * wanted, because it may wait for no record. */
static void fail(Journal *journal, int error, bool wants_segment)
{
    pthread_mutex_lock(&journal->lock);
    bool wake = wants_segment && !journal->wants_segment;
    journal->health = error;
    journal->wants_segment |= wants_segment;
    pthread_mutex_unlock(&journal->lock);
    if (wake)
        wake_loop(journal);
    journal->writer.retry_ns = clock_monotonic_ns() + RETRY_NS;
}

/* Lines of as many records as fit a batch; returns how many. */
static size_t compose(Writer *writer)
{
    JournalHead head = writer->head;
    size_t count = 0;

    buffer_clear(&writer->lines);
    for (Entry *entry = writer->backlog.first; entry; entry = entry->next) {
        size_t begun = buffer_size(&writer->lines);
        if (begun >= BATCH_BYTES)
            break;
        entry->late = atomic_load(&entry->answer) == ENTRY_REFUSED;
        if (entry->size > 0) {
            JournalMarks marks = {
                .late = entry->late, .of = entry->of, .segment = writer->size == 0 && begun == 0};
            journal_line_put(&writer->lines, &head, entry->body, entry->size, &marks);
            if (writer->lines.error < 0) {
                writer->lines.size = writer->lines.start + begun;
                break;
            }
        }
        entry->after = head;
        entry->end = buffer_size(&writer->lines);
        count++;
    }
    return count;
}

/* Gives an entry's fate to its caller. Under the lock. True when the loop must be woken. */
static bool answer(Journal *journal, Entry *entry, int result)
{
    bool wake = journal->answers.first == NULL;
    entry->result = result;
    entries_push(&journal->answers, entry);
    return wake;
}

/* Its caller had been refused by the time it was written: if it does not say so itself, a copy
 * that does follows. */
static void keep_or_free(Journal *journal, Entry *entry)
{
    if (entry->late || entry->size == 0) {
        entry_free(journal, entry);
        return;
    }
    entry->of = entry->after.seq;
    entries_push_front(&journal->writer.backlog, entry);
}

/* Settles written entries. Under the lock. True when the loop must be woken. */
static bool settle_written(Journal *journal, EntryList *written)
{
    bool wake = false;
    Entry *entry;

    while ((entry = entries_pop(written))) {
        int open = ENTRY_OPEN;
        if (!entry->done)
            entry_free(journal, entry);
        else if (atomic_compare_exchange_strong(&entry->answer, &open, ENTRY_ANSWERED))
            wake |= answer(journal, entry, 0);
        else
            keep_or_free(journal, entry);
    }
    return wake;
}

/* The copy of a written record that goes into the next segment, or NULL when there is none. */
static Entry *copy_of(Journal *journal, const Entry *entry)
{
    Entry *copy = entry->size > 0 ? entry_new(journal, entry->body, entry->size) : NULL;
    if (copy) {
        copy->of = entry->after.seq;
        atomic_store(&copy->answer, entry->done ? ENTRY_REFUSED : ENTRY_OPEN);
    }
    return copy;
}

/* Settles entries whose fdatasync(2) failed: refused, and copied into the next segment. Under the
 * lock. True when the loop must be woken. */
static bool settle_unsynced(Journal *journal, EntryList *unsynced, int error)
{
    bool wake = false;
    EntryList copies = {NULL, NULL};
    Entry *entry;

    while ((entry = entries_pop(unsynced))) {
        int open = ENTRY_OPEN;
        Entry *copy = copy_of(journal, entry);
        if (copy)
            entries_push(&copies, copy);
        if (entry->done && atomic_compare_exchange_strong(&entry->answer, &open, ENTRY_ANSWERED))
            wake |= answer(journal, entry, error);
        else
            entry_free(journal, entry);
    }
    entries_move(&copies, &journal->writer.backlog);
    journal->writer.backlog = copies;
    return wake;
}

/* Takes the entries that end within `size` bytes of the batch off the backlog, and the head with
 * them. Those that wait for the disk go to `durable`. Returns the bytes of their whole lines. */
static size_t take_written(Writer *writer, size_t count, size_t size, EntryList *written,
                           EntryList *durable)
{
    size_t end = 0;

    for (; count > 0 && writer->backlog.first->end <= size; count--) {
        Entry *entry = entries_pop(&writer->backlog);
        writer->head = entry->after;
        end = entry->end;
        entries_push(entry->durable ? durable : written, entry);
    }
    writer->size += (off_t)end;
    if (end > 0)
        writer->unsynced = true;
    writer->torn = end < size;
    return end;
}

/* Cuts half a line off. 0 or -errno. */
static int cut_back(Journal *journal)
{
    Writer *writer = &journal->writer;

    int result = journal->io.truncate(journal->io.context, writer->fd, writer->size);
    if (result < 0)
        fail(journal, result, true);
    else
        writer->torn = false;
    return result;
}

/* fdatasync(2); a failure loses the segment. */
static int sync_segment(Journal *journal)
{
    Writer *writer = &journal->writer;

    if (!writer->unsynced)
        return 0;
    int result = journal->io.sync(journal->io.context, writer->fd);
    if (result < 0) {
        writer->lost = true;
        fail(journal, result, true);
        return result;
    }
    writer->unsynced = false;
    pthread_mutex_lock(&journal->lock);
    journal->synced = writer->head;
    pthread_mutex_unlock(&journal->lock);
    return 0;
}

static void finish_durable(Journal *journal, EntryList *durable)
{
    int result = sync_segment(journal);

    pthread_mutex_lock(&journal->lock);
    bool wake =
        result < 0 ? settle_unsynced(journal, durable, result) : settle_written(journal, durable);
    pthread_mutex_unlock(&journal->lock);
    if (wake)
        wake_loop(journal);
}

/* Writes the batch: one write(2), and more only after a short one, which then tell why it was
 * short. Returns how many bytes were written; `ret_error` is 0 when that is all. */
static size_t write_lines(Journal *journal, int *ret_error)
{
    Writer *writer = &journal->writer;
    size_t size = buffer_size(&writer->lines), done = 0;
    const char *lines = size > 0 ? buffer_head(&writer->lines) : NULL;

    *ret_error = 0;
    while (done < size) {
        ssize_t written =
            journal->io.write(journal->io.context, writer->fd, lines + done, size - done);
        if (written == -EINTR)
            continue;
        if (written <= 0) {
            *ret_error = written < 0 ? (int)written : -EIO;
            break;
        }
        done += (size_t)written;
    }
    return done;
}

/* Copies the batch's first `size` bytes, which are whole lines, for the observer. Under the lock.
 * True when the loop must be woken. */
static bool hand_over_lines(Journal *journal, size_t size)
{
    bool wake = buffer_size(&journal->lines) == 0 && !journal->lines_lost;

    if (!journal->observed || journal->lines_lost || size == 0)
        return false;
    buffer_put(&journal->lines, buffer_head(&journal->writer.lines), size);
    journal->lines_lost = journal->lines.error < 0;
    return wake;
}

/* Says what was written (the first `size` bytes of the batch) and answers those who did not wait
 * for the disk. */
static void finish_written(Journal *journal, EntryList *written, size_t size, bool healthy)
{
    Writer *writer = &journal->writer;

    pthread_mutex_lock(&journal->lock);
    journal->head = writer->head;
    journal->segment_bytes = (uint64_t)writer->size;
    if (healthy)
        journal->health = 0;
    bool wake = hand_over_lines(journal, size);
    wake |= settle_written(journal, written);
    pthread_mutex_unlock(&journal->lock);
    if (wake)
        wake_loop(journal);
}

static void write_batch(Journal *journal)
{
    Writer *writer = &journal->writer;
    EntryList written = {NULL, NULL}, durable = {NULL, NULL};
    int error;

    if (writer->torn && cut_back(journal) < 0)
        return;
    size_t count = compose(writer);
    if (count == 0) {
        fail(journal, -ENOMEM, false);
        return;
    }
    size_t size = write_lines(journal, &error);
    writer->retry_ns = 0;
    size = take_written(writer, count, size, &written, &durable);
    finish_written(journal, &written, size, error == 0);
    if (error < 0)
        fail(journal, error, !is_of_the_disk(error));
    if (writer->torn)
        (void)cut_back(journal);
    if (durable.first)
        finish_durable(journal, &durable);
    if (writer->lines.capacity > BATCH_KEEP_BYTES)
        buffer_done(&writer->lines);
}

/* A record of what happened to the segment before, at the front of the new one. */
static void note_lost_segment(Journal *journal, uint64_t first, uint64_t last)
{
    char message[160], time_text[CLOCK_TEXT_MAX];
    Buffer body = BUFFER_EMPTY(4096);
    JournalRecord record = {.event = JOURNAL_RECOVERY, .message = message};

    (void)snprintf(message, sizeof message,
                   "fsync failed on the segment before this one: records %llu to %llu may be "
                   "missing on disk",
                   (unsigned long long)first, (unsigned long long)last);
    journal_body_put(&body, &record, clock_format_time(clock_realtime_us(), time_text));
    Entry *entry =
        body.error < 0 ? NULL : entry_new(journal, buffer_head(&body), buffer_size(&body));
    buffer_done(&body);
    if (entry)
        entries_push_front(&journal->writer.backlog, entry);
}

static void switch_segment(Journal *journal, int fd)
{
    Writer *writer = &journal->writer;
    struct stat now;

    if (writer->torn)
        (void)journal->io.truncate(journal->io.context, writer->fd, writer->size);
    if (!writer->lost)
        (void)sync_segment(journal);
    if (writer->lost)
        note_lost_segment(journal, journal->synced.seq + 1, writer->head.seq);
    fd_close(writer->fd);
    writer->fd = fd;
    writer->size = fstat(fd, &now) == 0 ? now.st_size : 0;
    writer->unsynced = writer->torn = writer->lost = false;
    writer->retry_ns = 0;

    pthread_mutex_lock(&journal->lock);
    journal->segment_bytes = (uint64_t)writer->size;
    journal->wants_segment = false;
    pthread_mutex_unlock(&journal->lock);
}

/* Waits until there is something to do and takes it. Under the lock. False: the end. */
static bool take_work(Journal *journal, int *ret_segment)
{
    Writer *writer = &journal->writer;

    for (;;) {
        uint64_t now = clock_monotonic_ns();
        bool blocked = writer->lost || writer->retry_ns > now;

        entries_move(&writer->backlog, &journal->queue);
        *ret_segment = TAKE_FD(journal->next_segment);
        if (*ret_segment >= 0 || (writer->backlog.first && !blocked))
            return true;
        if (journal->stopping &&
            (!writer->backlog.first || writer->lost || now >= journal->stop_ns))
            return false;
        if (!writer->backlog.first || writer->lost) {
            journal->idle = true;
            pthread_cond_wait(&journal->wake, &journal->lock);
            journal->idle = false;
            continue;
        }
        struct timespec until = {.tv_sec = (time_t)(writer->retry_ns / 1000000000),
                                 .tv_nsec = (long)(writer->retry_ns % 1000000000)};
        (void)pthread_cond_timedwait(&journal->wake, &journal->lock, &until);
    }
}

void *writer_run(void *userdata)
{
    Journal *journal = userdata;
    Writer *writer = &journal->writer;

    for (;;) {
        int segment;
        pthread_mutex_lock(&journal->lock);
        bool more = take_work(journal, &segment);
        pthread_mutex_unlock(&journal->lock);
        if (!more)
            break;
        if (segment >= 0)
            switch_segment(journal, segment);
        else
            write_batch(journal);
    }
    if (writer->torn)
        (void)cut_back(journal);
    if (!writer->lost)
        (void)sync_segment(journal);
    pthread_mutex_lock(&journal->lock);
    journal->finished = true;
    pthread_cond_signal(&journal->gone);
    pthread_mutex_unlock(&journal->lock);
    return NULL;
}
