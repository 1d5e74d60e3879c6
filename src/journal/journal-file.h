/*
 * Files of the journal: creation, recovery after a crash, rotation, the head, and reading.
 *
 * Segments: `audit.log` is the current one; rotation renames it to `audit.log.SEQ` (SEQ: the
 * 20-digit seq of its first record) and creates a new `audit.log`. The chain runs through them.
 */
#pragma once

#include <stdio.h>

#include "journal/journal.h"

/* What recovery found. */
typedef struct JournalRecovery {
    uint64_t torn_bytes;  /* a torn last line that was cut */
    bool behind_head;     /* the file ends before the saved head: its tail was removed */
    bool head_differs;    /* the record at the head's seq has another hash: edited */
    bool clean_stop;      /* the last record is a `stop` */
} JournalRecovery;

/* Opens (creating it 0640 root:`group`, and its directory 0750) the current segment for appending,
 * cuts a torn last line (saving it next to the file as `audit.log.torn-TIME`), finds the chain's
 * end and compares it with `saved` (seq 0: nothing saved). Does not refuse a damaged chain: the
 * result is reported in `ret_recovery` and the new records follow on the last whole line. A
 * directory or file that others than the owner can write is refused (-EPERM); a symlink is -ELOOP.
 * Returns a descriptor or -errno. */
int journal_file_open(const char *path, gid_t group, const JournalHead *saved,
                      JournalHead *ret_head, JournalRecovery *ret_recovery);

/* Renames the current segment away and opens a new one. Returns its descriptor or -errno. */
int journal_file_rotate(const char *path, gid_t group);

/* The head kept in the state directory: written to a temporary file, synced, renamed. */
int journal_head_save(const char *path, const JournalHead *head);
/* 0; 1 when there is none; -EBADMSG when it is not a head. */
int journal_head_load(const char *path, JournalHead *ret);

typedef struct JournalCheck {
    uint64_t records, segments, bytes;
    JournalHead head;   /* of the last good record */
    bool ok;
    char *problem;      /* owned: "audit.log:812: …", or NULL */
    bool torn_tail;     /* only the last line is incomplete: a crash, not an edit */
} JournalCheck;

/* Verifies the whole chain through all segments at `path` (the current one last). `expected` (may
 * be NULL) is a head that the chain must contain. 0 also when the chain is bad (see `ok`). */
int journal_verify(const char *path, const JournalHead *expected, JournalCheck *ret);
void journal_check_done(JournalCheck *check);

/* Calls `each` for every whole line (without newline) of every segment in order; stops when it
 * returns non-zero, which is then returned. */
int journal_each_line(const char *path, int (*each)(const char *line, size_t size, void *userdata),
                      void *userdata);
