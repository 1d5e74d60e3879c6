/*
 * Finding the end of the chain from the end of the files, without reading what comes before.
 */
#pragma once

#include "journal/journal.h"

typedef struct JournalTail {
    const JournalHead *saved; /* to compare with; seq 0: nothing */

    bool found; /* a good record */
    JournalHead head;
    bool clean_stop;
    uint64_t damaged_lines; /* whole lines after it that are no records */
    bool head_differs;
    uint64_t searched; /* bytes */
} JournalTail;

/* Where the last whole line of the file ends: behind its newline. `size`: of the file. */
int journal_tail_whole(int fd, off_t size, off_t *ret_end);

/* Looks backwards from `end` (behind a newline). 1: the search is over, 0: the beginning of the
 * file was reached and an older segment may tell more, -errno. */
int journal_tail_search(JournalTail *tail, int fd, off_t end);
