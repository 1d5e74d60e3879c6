/*
 * Inside the journal: what the loop thread (journal.c) and the writer thread (writer.c) share.
 *
 * An Entry is one record on its way. The loop creates it and pushes it to the queue; from then on
 * the writer owns it, until it pushes it to the answers, which gives it back to the loop. Whoever
 * moves `answer` away from ENTRY_OPEN first answers the caller: the writer with the record's
 * fate, or the loop when the deadline passed while the writer was held up by the disk. In the
 * second case the writer keeps the entry and writes it marked late, because a record that says
 * "started" must not look valid when its caller was told no.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "journal/journal.h"

enum { ENTRY_OPEN, ENTRY_ANSWERED, ENTRY_REFUSED };

typedef struct Entry Entry;
struct Entry {
    Entry *next; /* in the queue, the writer's backlog or the answers */

    /* The loop's: its place among those that wait, in order of deadlines. */
    Entry *waits_before, *waits_after;
    uint64_t deadline_ns;

    atomic_int answer;
    JournalDone done; /* NULL: nobody waits; then the writer frees it */
    void *userdata;
    int result;
    bool durable;

    /* The writer's. */
    bool late;         /* composed with the late mark */
    uint64_t of;       /* it is a copy of this record */
    JournalHead after; /* the chain's head with it */
    size_t end;        /* where its line ends in the batch */

    size_t size; /* of the body; 0: a barrier that waits for the disk and writes nothing */
    char body[];
};

typedef struct EntryList {
    Entry *first, *last;
} EntryList;

static inline void entries_push(EntryList *list, Entry *entry)
{
    entry->next = NULL;
    if (list->last)
        list->last->next = entry;
    else
        list->first = entry;
    list->last = entry;
}

static inline void entries_push_front(EntryList *list, Entry *entry)
{
    entry->next = list->first;
    list->first = entry;
    if (!list->last)
        list->last = entry;
}

static inline Entry *entries_pop(EntryList *list)
{
    Entry *entry = list->first;
    if (entry) {
        list->first = entry->next;
        if (!list->first)
            list->last = NULL;
    }
    return entry;
}

/* Moves all of `from` to the end of `to`. */
static inline void entries_move(EntryList *to, EntryList *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    *from = (EntryList){NULL, NULL};
}

/* The system calls that touch the file, replaced by tests that make them fail. Each returns what
 * the system call returns, or -errno. */
typedef struct JournalIo {
    ssize_t (*write)(void *context, int fd, const void *bytes, size_t size);
    int (*sync)(void *context, int fd);
    int (*truncate)(void *context, int fd, off_t size);
    void *context;
} JournalIo;

/* The writer thread's own. */
typedef struct Writer {
    int fd;            /* owned */
    JournalHead head;  /* of the last record written */
    off_t size;        /* of the segment's whole lines */
    bool unsynced;     /* written to since the last fdatasync(2) */
    bool torn;         /* half a line stands behind `size`: cut it before anything else */
    bool lost;         /* fsync(2) failed: nothing more goes into this segment */
    uint64_t retry_ns; /* after a failure: not before this time (0: no failure) */
    EntryList backlog;
    Buffer lines; /* the batch */
} Writer;

struct Journal {
    /* The loop's. */
    Buffer scratch;
    uint64_t second; /* that `time_text` holds */
    char time_text[40];
    Entry *waits_first, *waits_last;
    bool timer_armed;
    uint64_t dropped; /* records for which the queue had no room */
    int poll_fd, answer_fd, timer_fd;
    JournalObserver observer;
    void *observer_userdata;
    int pinned_cpu; /* where the writer must run (-1: anywhere) */
    cpu_set_t cpus; /* where it may run */

    JournalLimits limits; /* constant */
    JournalIo io;         /* constant */
    pthread_t thread;

    atomic_size_t queued_bytes;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* there is work */
    pthread_cond_t gone;  /* `finished` */
    bool idle;            /* the writer sleeps until there is work */
    EntryList queue, answers;
    int next_segment; /* owned; -EBADF: none */
    bool stopping, finished;
    uint64_t stop_ns;
    JournalHead head, synced;
    int health;
    uint64_t segment_bytes;
    bool wants_segment;
    bool observed;   /* the writer copies what it has written to `lines` … */
    bool lines_lost; /* … which had no room for all */
    Buffer lines;

    Writer writer;
};

/* The default JournalIo. */
extern const JournalIo journal_io_kernel;

/* journal_open_take() with other system calls. */
int journal_open_with_io_take(Journal **ret, int fd, const JournalHead *head,
                              const JournalLimits *limits, const JournalIo *io);

/* An entry with room for a body of `size` bytes, counted in `queued_bytes`. NULL: no memory. */
Entry *entry_new(Journal *journal, const char *body, size_t size);
void entry_free(Journal *journal, Entry *entry);

/* The writer thread: returns when `stopping` is set and all is written or the time is over. */
void *writer_run(void *journal);
