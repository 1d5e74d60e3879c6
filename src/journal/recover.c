/*
 * See recover.h.
 *
 * The search goes back to the last line that is a record with a right hash of its own, and from
 * there on to the record that the saved head names, which is close: the head is saved every few
 * seconds. Both are bounded by SEARCH_MAX.
 */
#include "journal/recover.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "journal/line.h"

#define CHUNK_BYTES 65536
/* The most bytes of lines that a search reads beyond one line. */
#define SEARCH_MAX (UINT64_C(64) << 20)

/* Exactly `size` bytes; a file that shrinks meanwhile is -EIO. */
static int read_exactly(int fd, char *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t got = pread(fd, bytes, size, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        bytes += got;
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

int journal_tail_whole(int fd, off_t size, off_t *ret_end)
{
    char chunk[CHUNK_BYTES];

    for (off_t end = size; end > 0;) {
        size_t step = end < CHUNK_BYTES ? (size_t)end : CHUNK_BYTES;
        int result = read_exactly(fd, chunk, step, end - (off_t)step);
        if (result < 0)
            return result;
        const char *newline = memrchr(chunk, '\n', step);
        if (newline) {
            *ret_end = end - (off_t)step + (newline - chunk) + 1;
            return 0;
        }
        end -= (off_t)step;
    }
    *ret_end = 0;
    return 0;
}

/* What one whole line says about the tail. 1: the search is over. */
static int judge_line(JournalTail *tail, const char *line, size_t size)
{
    JournalLine parsed;

    if (journal_line_check(line, size, &parsed) < 0) {
        if (!tail->found)
            tail->damaged_lines++;
        return tail->searched > SEARCH_MAX;
    }
    if (!tail->found) {
        tail->found = true;
        tail->head = (JournalHead){.seq = parsed.seq, .hash = parsed.hash};
        tail->clean_stop = journal_line_is_event(line, size, JOURNAL_STOP);
    }
    if (parsed.seq > tail->saved->seq)
        return tail->saved->seq == 0 || tail->searched > SEARCH_MAX;
    if (parsed.seq == tail->saved->seq)
        tail->head_differs = !digest_equal(&parsed.hash, &tail->saved->hash);
    else /* the file is behind the head, or the head's own record is gone from the middle */
        tail->head_differs = tail->head.seq > tail->saved->seq;
    return 1;
}

int journal_tail_search(JournalTail *tail, int fd, off_t end)
{
    _cleanup_(buffer_done)
    Buffer line = BUFFER_EMPTY(JOURNAL_LINE_MAX);

    while (end > 0) {
        off_t begin;
        int result = journal_tail_whole(fd, end - 1, &begin);
        if (result < 0)
            return result;
        size_t size = (size_t)(end - 1 - begin);
        tail->searched += size + 1;
        if (size > JOURNAL_LINE_MAX) {
            tail->damaged_lines += !tail->found;
            result = tail->searched > SEARCH_MAX;
        } else {
            buffer_clear(&line);
            char *room = buffer_reserve(&line, size);
            if (!room)
                return line.error;
            if ((result = read_exactly(fd, room, size, begin)) < 0)
                return result;
            result = judge_line(tail, room, size);
        }
        if (result > 0)
            return 1;
        end = begin;
    }
    return 0;
}
