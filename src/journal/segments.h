/*
 * Reading the journal's files in order: which segments there are, and a walk over their lines
 * that bears a journal that is written and rotated meanwhile.
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "journal/journal.h"

/* A path's directory and last part: "." when it has none. `ret_directory` is owned by the caller;
 * the result points into `path`, or is NULL (no memory, no name). */
const char *journal_path_split(const char *path, char **ret_directory);

typedef struct JournalSegments {
    uint64_t *seqs; /* owned; ascending */
    size_t count;
} JournalSegments;

/* The numbered segments of `base` in the directory. 0 or -errno. */
int journal_segments_list(int directory_fd, const char *base, JournalSegments *ret);
void journal_segments_done(JournalSegments *segments);
/* `name` has room for NAME_MAX + 1; seq 0 names the current one. -ENAMETOOLONG. */
int journal_segment_name(const char *base, uint64_t seq, char *name);

typedef enum JournalStep {
    JOURNAL_STEP_END,
    JOURNAL_STEP_LINE,     /* `line`, `size` */
    JOURNAL_STEP_SEGMENT,  /* a segment begins: `name`, `number` */
    JOURNAL_STEP_OVERSIZE, /* a line that is longer than any record */
    JOURNAL_STEP_TORN,     /* the segment ends within a line of `size` bytes */
    JOURNAL_STEP_MISSING,  /* there is no current segment */
} JournalStep;

typedef struct JournalWalk {
    int directory_fd;            /* owned */
    char base[NAME_MAX + 1];     /* of the current segment */
    char name[NAME_MAX + 1];     /* of the segment being read */
    uint64_t number;             /* its number; 0: the current one */
    uint64_t line_number, bytes; /* in this segment, in all */
    const char *line;            /* valid until the next step */
    size_t size;

    int current_fd; /* owned: opened before the list was made, so a rotation hides nothing */
    JournalSegments segments;
    size_t next;
    int fd;         /* owned */
    Buffer pending; /* read and not given out yet */
    size_t scanned; /* of pending, without a newline */
    bool skipping;  /* inside an oversize line */
    bool drained;   /* the current one was rotated away: only its rest is to be read */
    bool finished;
} JournalWalk;

/* 0, -ENOENT when there is no journal, -errno. */
int journal_walk_begin(JournalWalk *walk, const char *path);
void journal_walk_done(JournalWalk *walk);
/* A JournalStep, or -errno. */
int journal_walk_next(JournalWalk *walk);
