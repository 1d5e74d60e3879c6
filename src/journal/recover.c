/*
 * See recover.h.
 *
 * The search goes back to the last line that is a record with a right hash of its own, however
 * much damage lies behind it (no seq may be given twice), and from there on to the record that the
 * saved head names. That one is close, because the head is saved every few seconds; when it is
 * further away than SEARCH_MAX it is not compared.
 */
#include "journal/recover.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "journal/line.h"

#define WINDOW_BYTES 65536
/* How far back the saved head's record is looked for. */
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

/* A stretch of the file that has been read, so that many short lines do not cost a read each. */
typedef struct Window {
    int fd;
    off_t begin;
    size_t size;
    char bytes[WINDOW_BYTES];
} Window;

/* Where the line that ends at `end` begins: behind the newline before it, or 0. */
static int line_begin(Window *window, off_t end, off_t *ret_begin)
{
    while (end > 0) {
        if (end <= window->begin || end > window->begin + (off_t)window->size) {
            window->size = end < WINDOW_BYTES ? (size_t)end : WINDOW_BYTES;
            window->begin = end - (off_t)window->size;
            int result = read_exactly(window->fd, window->bytes, window->size, window->begin);
            if (result < 0) {
                window->size = 0;
                return result;
            }
        }
        const char *newline = memrchr(window->bytes, '\n', (size_t)(end - window->begin));
        if (newline) {
            *ret_begin = window->begin + (newline - window->bytes) + 1;
            return 0;
        }
        end = window->begin;
    }
    *ret_begin = 0;
    return 0;
}

int journal_tail_whole(int fd, off_t size, off_t *ret_end)
{
    Window window = {.fd = fd};
    return line_begin(&window, size, ret_end);
}

/* What one whole line says about the tail. 1: the search is over. */
static int judge_line(JournalTail *tail, const char *line, size_t size)
{
    JournalLine parsed;

    if (journal_line_check(line, size, &parsed) < 0) {
        tail->damaged_lines += !tail->found;
        return 0;
    }
    if (!tail->found) {
        tail->found = true;
        tail->head = (JournalHead){.seq = parsed.seq, .hash = parsed.hash};
        tail->clean_stop = journal_line_is_event(line, size, JOURNAL_STOP);
    }
    if (parsed.seq > tail->saved->seq)
        return tail->saved->seq == 0;
    if (parsed.seq == tail->saved->seq)
        tail->head_differs = !journal_same_digest(&parsed.hash, &tail->saved->hash);
    else /* the file is behind the head, or the head's own record is gone from the middle */
        tail->head_differs = tail->head.seq > tail->saved->seq;
    return 1;
}

int journal_tail_search(JournalTail *tail, int fd, off_t end)
{
    _cleanup_(buffer_done)
    Buffer line = BUFFER_EMPTY(JOURNAL_LINE_MAX);
    Window window = {.fd = fd};

    while (end > 0) {
        off_t begin;
        int result = line_begin(&window, end - 1, &begin);
        if (result < 0)
            return result;
        size_t size = (size_t)(end - 1 - begin);
        if (size > JOURNAL_LINE_MAX) {
            tail->damaged_lines += !tail->found;
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
        tail->searched += tail->found ? size + 1 : 0;
        if (tail->searched > SEARCH_MAX)
            return 1;
        end = begin;
    }
    return 0;
}
