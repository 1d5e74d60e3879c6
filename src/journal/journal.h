/*
 * The journal: append-only, hash-chained JSON lines (docs/architecture.md, "Journal").
 *
 * Who owns what. The parent process owns the file: it creates, recovers and rotates it
 * (journal-file.h) and keeps the head. The warden process owns a Journal: a queue and a writer
 * thread, the only thread in Clawrden, which owns the descriptor and nothing else. The loop
 * thread formats records; the writer gives them seq and hash, appends them in batches and
 * answers through an eventfd.
 *
 * Line: {"seq":N,"ts":"…","event":"…",…,"prev":"HEX","hash":"HEX"}\n where hash is
 * BLAKE2b-256 over the 32 bytes of the previous hash followed by the line's raw bytes up to (not
 * including) the text `,"hash":"`. The first record's previous hash is 32 zero bytes.
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
    JOURNAL_KILLED,
    JOURNAL_DRIFT,
    JOURNAL_REFUSED, /* broken or unidentified callers, limits, errors: exit 125 */
    JOURNAL_LATE,    /* a second or late decision (409) */
    JOURNAL_GRANT,
    JOURNAL_LOGIN,
    JOURNAL_CONFIG,   /* policy loaded, or a reload that failed */
    JOURNAL_START,    /* the warden started (or was restarted) */
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
    const char *cwd, *exe;
    const Digest *exe_digest, *binding;
    const char *verdict, *rule, *reason;
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
    unsigned leftovers; /* processes that outlived the command's own and were ended */
    const char *message; /* free text: config, recovery, refusal */
} JournalRecord;

typedef struct JournalHead {
    uint64_t seq; /* of the last record; 0: none yet */
    Digest hash;
} JournalHead;

typedef struct Journal Journal;

/* Told on the loop thread when the record is written (or, for a durable one, on disk): 0, or
 * -errno when it was not; then it never will be under this ticket. */
typedef void (*JournalDone)(int result, void *userdata);

typedef struct JournalLimits {
    size_t queue_bytes;      /* most bytes waiting (64 MiB); more: -ENOBUFS */
    uint64_t write_deadline_ms; /* what could not be written by then is answered -ETIMEDOUT (5000) */
} JournalLimits;

/* Starts the writer on `fd` (O_APPEND, positioned by the kernel), which continues from `head`.
 * Takes `fd`. Requires that SIGNALS are blocked in the new thread. */
int journal_open_take(Journal **ret, int fd, const JournalHead *head, const JournalLimits *limits);
/* Writes what is queued (within the deadline), stops the thread. Accepts NULL, returns NULL. */
Journal *journal_close(Journal *journal);

/* Queues a record. `done` may be NULL (nobody waits; a record that could not be written in time is
 * then kept and written when it can be). 0, -ENOBUFS, -ENOMEM. */
int journal_append(Journal *journal, const JournalRecord *record, bool durable, JournalDone done,
                   void *userdata);

/* Readable when answers wait; call journal_dispatch() then. */
int journal_fd(const Journal *journal);
void journal_dispatch(Journal *journal);

/* The last record written. Any thread. */
JournalHead journal_head(Journal *journal);

/* State of the medium: 0 healthy, or the -errno of the last failed write (-ENOSPC, -EROFS, -EIO)
 * until a write succeeds again. */
int journal_health(Journal *journal);

/* True when the writer wants a new segment from the parent: the file is larger than
 * `segment_bytes`, or fsync(2) failed on it (then records that wait for disk are refused and
 * everything fails until the new segment is there). */
bool journal_wants_segment(Journal *journal, uint64_t segment_bytes);
/* Gives the writer a new segment, which the chain continues in. Takes `fd`. */
int journal_set_segment_take(Journal *journal, int fd);
