/*
 * The journal: append-only, hash-chained JSON lines (docs/journal.md).
 *
 * Who owns what. The parent process owns the file: it creates, recovers and rotates it
 * (journal-file.h) and keeps the head. The warden process owns a Journal: a queue and a writer
 * thread, the only thread in Clawrden, which owns the descriptor and nothing else. The loop
 * thread formats records; the writer gives them seq and hash, appends them in batches and
 * answers through an eventfd. Every function here is called from the loop thread unless it says
 * otherwise, and none of them waits for the disk but journal_close().
 *
 * Line: {"seq":N,"ts":"…","event":"…",…,"prev":"HEX","hash":"HEX"}\n where hash is
 * BLAKE2b-256 over the 32 bytes of the previous hash followed by the line's raw bytes up to (not
 * including) the text `,"hash":"`. The first record's previous hash is 32 zero bytes. Three
 * members are the writer's own and stand before prev: "late":true (the caller was told that this
 * could not be recorded, so what it announces did not take place by it), "of":N (a second copy of
 * record N, whose segment may not have reached the disk) and "segment":true (the first record of
 * a segment).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/digest.h"

typedef enum JournalEvent {
    JOURNAL_RECEIVED,
    JOURNAL_JUDGED,
    JOURNAL_ASKED,
    JOURNAL_DECIDED,
    JOURNAL_STARTED,
    JOURNAL_ENDED,
    JOURNAL_DENIED,
    JOURNAL_EXPIRED,
    JOURNAL_CANCELLED,
    JOURNAL_KILLED, /* a request, by the kill switch; or the switch itself */
    JOURNAL_PAUSED,
    JOURNAL_RESUMED,
    JOURNAL_DRIFT,
    JOURNAL_REFUSED, /* broken or unidentified callers, limits, errors: exit 125 */
    JOURNAL_LATE,    /* a second or late decision (409) */
    JOURNAL_GRANT,
    JOURNAL_LOGIN,
    JOURNAL_CONFIG,    /* policy loaded, or a reload that failed */
    JOURNAL_CONTAINER, /* one with labels is governed, is not, is gone */
    JOURNAL_START,     /* the warden started (or was restarted) */
    JOURNAL_STOP,
    JOURNAL_RECOVERY, /* a torn tail was cut, records could not be written in time, … */
    JOURNAL_EVENT_MAX_,
} JournalEvent;

const char *journal_event_name(JournalEvent event);

/* One record. Pointers may be NULL and `has_` false: the member is then left out. All strings are
 * bytes and are kept losslessly (text.h); redaction is the caller's. */
typedef struct JournalRecord {
    JournalEvent event;
    uint64_t ts_us; /* realtime; 0: now */
    const char *request, *jail, *container;
    bool has_caller; /* uid, gid, pid */
    uid_t uid;
    gid_t gid;
    pid_t pid;
    const char *command;
    const char *const *argv;
    size_t argc;
    size_t argv_more;             /* arguments behind those, which the record leaves out */
    const Digest *command_digest; /* then: of all arguments, digest_command() without environment */
    const char *cwd, *exe;
    const Digest *exe_digest, *binding;
    const char *verdict, *rule, *reason;
    const char *approval, *grant; /* ids: of the question, of the grant */
    size_t waiters;               /* requests that waited for the question's answer */
    const char *approver, *via;
    const char *executor;
    bool has_exit_code;
    int exit_code;
    bool has_signal;
    int signal;
    bool has_duration;
    uint64_t duration_ms;
    bool timeout_violation;
    bool has_leftovers;
    unsigned leftovers;  /* processes that outlived the command's own and were ended */
    const char *message; /* free text: config, recovery, refusal */
} JournalRecord;

typedef struct JournalHead {
    uint64_t seq; /* of the last record; 0: none yet */
    Digest hash;
} JournalHead;

typedef struct Journal Journal;

/* Told on the loop thread, from journal_dispatch() or journal_close(), exactly once: 0 when the
 * record is written (or, for a durable one, on disk), or -errno (-ENOSPC, -EROFS, -EIO, …;
 * -ETIMEDOUT when the disk gives no answer) when it was not by the deadline. The record is then
 * still written when it can be, with "late":true. It may append, but not close. */
typedef void (*JournalDone)(int result, void *userdata);

typedef struct JournalLimits {
    size_t queue_bytes;         /* most bytes waiting (0: 64 MiB); more: -ENOBUFS */
    uint64_t write_deadline_ms; /* what could not be written by then is answered (0: 5000) */
} JournalLimits;

/* Starts the writer on `fd` (O_APPEND, positioned by the kernel), which continues from `head`.
 * Takes `fd` (also on failure). All signals are blocked in the writer thread. `limits` may be
 * NULL. 0, -ENOMEM, -EAGAIN, -EMFILE, … */
int journal_open_take(Journal **ret, int fd, const JournalHead *head, const JournalLimits *limits);
/* Writes what is queued and syncs it, stops the thread and answers everybody. Waits for the disk,
 * but at most the write deadline and a second. Accepts NULL, returns NULL. */
Journal *journal_close(Journal *journal);

/* Queues a record. `done` may be NULL (nobody waits; a record that could not be written in time is
 * then kept and written when it can be). 0; -ENOBUFS (the queue is full, or the record is larger
 * than any line may be), -ENOMEM: then the record is lost but counted, and a `recovery` record
 * says so as soon as one fits. */
int journal_append(Journal *journal, const JournalRecord *record, bool durable, JournalDone done,
                   void *userdata);

/* Writes nothing, and tells `done` when all that was appended before is on disk. */
int journal_sync(Journal *journal, JournalDone done, void *userdata);

/* Readable when answers wait, a deadline has passed or a new segment is wanted; call
 * journal_dispatch() then, and ask journal_wants_segment() after it. It is an
 * epoll descriptor: poll it, never read it. */
int journal_fd(const Journal *journal);
void journal_dispatch(Journal *journal);

/* Told on the loop thread, from journal_dispatch(), each line that was written since, without its
 * line feed, in the order of seq and none left out; or NULL and 0 when lines came faster than they
 * were taken: some are lost then, and the observer is off. It may append and change the observer,
 * but not close. */
typedef void (*JournalObserver)(const char *line, size_t size, void *userdata);

/* From now on (NULL: no longer). While there is none, nothing is kept or copied. */
void journal_set_observer(Journal *journal, JournalObserver observer, void *userdata);

/* The last record written. Any thread. */
JournalHead journal_head(Journal *journal);
/* The last record known to be on disk: the one to keep as the head beside the journal, because a
 * power failure cannot put the file behind it. Any thread. */
JournalHead journal_synced_head(Journal *journal);

/* State of the medium: 0 healthy, or the -errno of the last failure (-ENOSPC, -EROFS, -EIO) until
 * a write succeeds again. It recovers by itself: while it is bad something waits to be written,
 * and that is tried every 100 ms. Any thread. */
int journal_health(Journal *journal);

/* True when the writer wants a new segment from the parent: the file is larger than
 * `segment_bytes`, it cannot be written for a reason that lies in the file (-EFBIG, -EIO, half a
 * line that cannot be cut off), or fsync(2) failed on it (what waits for the disk has then been
 * refused, and nothing more is written until the new segment is there). */
bool journal_wants_segment(Journal *journal, uint64_t segment_bytes);
/* Gives the writer a new segment, which the chain continues in; it syncs and closes the old one.
 * Takes `fd`. */
int journal_set_segment_take(Journal *journal, int fd);
