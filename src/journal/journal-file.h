/*
 * Files of the journal: creation, recovery after a crash, rotation, the head, and reading.
 *
 * Segments: `audit.log` is the current one; rotation renames it to `audit.log.SEQ` (SEQ: the
 * 20-digit seq of its first record) and creates a new `audit.log`. The chain runs through them.
 * These functions wait for the disk: they belong to the parent and to tools, never to the loop.
 */
#pragma once

#include <stdio.h>

#include "journal/journal.h"

#define JOURNAL_FILE_DEFAULT "/var/log/clawrden/audit.log"
#define JOURNAL_HEAD_DEFAULT "/var/lib/clawrden/journal.head"

/* What recovery found. */
typedef struct JournalRecovery {
    uint64_t torn_bytes;    /* a torn last line that was cut */
    bool torn_saved;        /* … and saved in a file of its own (a full disk may prevent it) */
    uint64_t damaged_lines; /* whole lines after the last good record that are no records */
    bool behind_head;       /* the file ends before the saved head: its tail was removed */
    bool head_differs;      /* the record at the head's seq has another hash: edited */
    bool clean_stop;        /* the last record is a `stop` */
    uint64_t last_seq;      /* of the last good record found; 0: none */
} JournalRecovery;

/* Opens (creating it 0640 root:`group`, and its directory 0750; (gid_t)-1: group as it comes) the
 * current segment for appending, cuts a torn last line (saving it next to the file as
 * `audit.log.torn-TIME`), finds the chain's end and compares it with `saved` (NULL or seq 0:
 * nothing saved). Reads backwards from the end, so the time does not depend on the file's size.
 * Does not refuse a damaged chain: the result is reported in `ret_recovery`, and new records
 * follow on the last good record. Only when the saved head is ahead of the file do they follow on
 * the head: no seq is given twice, and verifying shows the gap for ever. A directory or file that
 * others than the owner can write, or that belongs to somebody else, is refused (-EPERM); a
 * symlink is -ELOOP; what is not a file is -EINVAL. Returns a descriptor or -errno. */
int journal_file_open(const char *path, gid_t group, const JournalHead *saved,
                      JournalHead *ret_head, JournalRecovery *ret_recovery);

/* Renames the current segment away and opens a new one. The writer may go on appending to the old
 * one until it has the new one (journal_set_segment_take()). An empty segment stays and is opened
 * again. Returns a descriptor or -errno (-EEXIST: a segment of that number exists). */
int journal_file_rotate(const char *path, gid_t group);

/* The head kept in the state directory: written to a temporary file, synced, renamed. */
int journal_head_save(const char *path, const JournalHead *head);
/* 0; 1 when there is none; -EBADMSG when it is not a head. */
int journal_head_load(const char *path, JournalHead *ret);

typedef struct JournalCheck {
    uint64_t records, segments, bytes;
    uint64_t first_seq; /* of the chain; 1 unless older segments were removed */
    JournalHead head;   /* of the last good record */
    bool ok;
    uint64_t problems;
    char *problem;  /* owned: the first one, "audit.log:812: …", or NULL */
    bool torn_tail; /* the only problem is an incomplete last line: a crash, not an edit */
    bool pruned;    /* the chain starts with a whole segment after seq 1: not a problem, but … */
    char *note;     /* owned: … said here; or NULL */
} JournalCheck;

/* Verifies the whole chain through all segments at `path` (the current one last). `expected` (may
 * be NULL) is a head that the chain must contain. A journal that is being written or rotated
 * meanwhile is no problem. 0 also when the chain is bad (see `ok`); -ENOENT: there is none. */
int journal_verify(const char *path, const JournalHead *expected, JournalCheck *ret);
void journal_check_done(JournalCheck *check);

/* Calls `each` for every whole line (without newline; not NUL-terminated; at most 64 MiB, longer
 * ones are left out) of every segment in order; stops when it returns non-zero, which is then
 * returned. -ENOENT: there is no journal. */
int journal_each_line(const char *path, int (*each)(const char *line, size_t size, void *userdata),
                      void *userdata);
