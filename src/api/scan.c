/*
 * See scan.h. A window onto the file is read where the next line is looked for; when that line is
 * longer than the window, a window of twice its size is read. So no byte is read more than about
 * twice, and there is nothing to shift.
 */
#include "api/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/record.h"
#include "base/cleanup.h"
#include "journal/line.h"

#define WINDOW ((size_t)64 << 10)
#define LINE_MAX_BYTES ((size_t)65 << 20) /* longer ones are no records (journal/line.h) */
#define NEAR ((off_t)64 << 10)            /* not worth halving */
#define SEQ_BYTES 32u                     /* enough for journal_line_seq() */

struct Scan {
    SegmentSet *set; /* owned reference */
    uint64_t first, last;
    bool backwards;
    size_t segment; /* the one that is read; set->count: none left */
    bool begun;     /* `cursor` is valid in it */
    off_t cursor;   /* where the next line begins, or (backwards) has ended */
    char *window;   /* owned */
    size_t capacity, size;
    off_t offset; /* of the window */
    uint64_t bytes;
};

int scan_new(Scan **ret, SegmentSet *set, uint64_t first, uint64_t last, bool backwards)
{
    Scan *scan = calloc(1, sizeof *scan);

    if (!scan)
        return -ENOMEM;
    *scan = (Scan){.set = segment_set_ref(set),
                   .first = first,
                   .last = last,
                   .backwards = backwards,
                   .segment = backwards ? set->count - 1 : 0};
    *ret = scan;
    return 0;
}

Scan *scan_free(Scan *scan)
{
    if (!scan)
        return NULL;
    segment_set_unref(scan->set);
    free(scan->window);
    free(scan);
    return NULL;
}

uint64_t scan_bytes(const Scan *scan)
{
    return scan->bytes;
}

static ssize_t read_at(Scan *scan, void *bytes, size_t size, off_t offset)
{
    ssize_t got;
    do
        got = pread(scan->set->fds[scan->segment], bytes, size, offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    scan->bytes += (uint64_t)got;
    return got;
}

/* The seq of the line that begins there; 0: it is no record; -errno. */
static int read_seq(Scan *scan, off_t offset, uint64_t *ret)
{
    char bytes[SEQ_BYTES];
    ssize_t got = read_at(scan, bytes, sizeof bytes, offset);

    *ret = got > 0 ? journal_line_seq(bytes, (size_t)got) : 0;
    return got < 0 ? (int)got : 0;
}

/* Where the first line after `offset` begins, or -ENOENT before `end`. */
static off_t next_line(Scan *scan, off_t offset, off_t end)
{
    char bytes[4096];

    while (offset < end) {
        ssize_t got = read_at(scan, bytes, sizeof bytes, offset);
        if (got <= 0)
            return got < 0 ? got : -ENOENT;
        const char *newline = memchr(bytes, '\n', (size_t)got);
        if (newline)
            return offset + (newline - bytes) + 1;
        offset += got;
    }
    return -ENOENT;
}

/* Narrows [*low, *high) down around the first line whose seq is at least `seq`: a line begins at
 * *low, which is not beyond it, and the first line that begins after *high is not before it. */
static int narrow(Scan *scan, uint64_t seq, off_t *low, off_t *high)
{
    while (*high - *low > NEAR) {
        off_t middle = *low + (*high - *low) / 2, line = next_line(scan, middle, *high);
        uint64_t there = 0;
        if (line < 0 && line != -ENOENT)
            return (int)line;
        int result = line >= 0 && line < *high ? read_seq(scan, line, &there) : 0;
        if (result < 0)
            return result;
        if (line < 0 || line >= *high)
            *high = middle; /* one long line */
        else if (there == 0)
            return 0; /* damaged: walk from what is known */
        else if (there < seq)
            *low = line;
        else
            *high = middle;
    }
    return 0;
}

static bool in_window(const Scan *scan, off_t offset)
{
    return scan->size > 0 && offset >= scan->offset && offset <= scan->offset + (off_t)scan->size;
}

/* Reads [offset, offset + size). Fewer bytes at the file's end. */
static int load(Scan *scan, off_t offset, size_t size)
{
    if (size > scan->capacity) {
        char *larger = realloc(scan->window, size);
        if (!larger)
            return -ENOMEM;
        scan->window = larger;
        scan->capacity = size;
    }
    ssize_t got = read_at(scan, scan->window, size, offset);
    if (got < 0)
        return (int)got;
    scan->offset = offset;
    scan->size = (size_t)got;
    return 0;
}

/* Begins with the segment at hand. */
static int begin_segment(Scan *scan)
{
    struct stat status;

    if (fstat(scan->set->fds[scan->segment], &status) < 0)
        return -errno;
    scan->size = 0;
    scan->begun = true;
    off_t low = 0, high = status.st_size;
    int result = 0;
    if (!scan->backwards) {
        if (scan->first > 1)
            result = narrow(scan, scan->first, &low, &high);
        scan->cursor = low;
        return result;
    }
    scan->cursor = status.st_size;
    if (scan->last == UINT64_MAX)
        return 0;
    result = narrow(scan, scan->last + 1, &low, &high);
    off_t line = result == 0 ? next_line(scan, high, status.st_size) : result;
    if (line >= 0)
        scan->cursor = line;
    return line == -ENOENT || line >= 0 ? 0 : (int)line;
}

/* To the next segment. False: that was the last one. */
static bool leave_segment(Scan *scan)
{
    scan->begun = false;
    if (scan->backwards ? scan->segment == 0 : scan->segment + 1 >= scan->set->count)
        return false;
    scan->segment = scan->backwards ? scan->segment - 1 : scan->segment + 1;
    return true;
}

/* The raw line at the cursor, which moves behind it. 1; 0: the segment has no more; -errno. */
static int step_forwards(Scan *scan, Slice *ret)
{
    size_t wanted = WINDOW;

    for (;;) {
        if (in_window(scan, scan->cursor)) {
            const char *from = scan->window + (scan->cursor - scan->offset);
            size_t left = scan->size - (size_t)(scan->cursor - scan->offset);
            const char *newline = left > 0 ? memchr(from, '\n', left) : NULL;
            if (newline) {
                *ret = (Slice){from, (size_t)(newline - from)};
                scan->cursor += newline - from + 1;
                return 1;
            }
            if (scan->offset == scan->cursor && scan->size < wanted)
                return 0; /* the file's end */
            if (left >= LINE_MAX_BYTES)
                return -EFBIG;
            if (2 * left > wanted)
                wanted = 2 * left;
        }
        int result = load(scan, scan->cursor, wanted);
        if (result < 0)
            return result;
        if (scan->size == 0)
            return 0;
    }
}

/* The raw line that ends at the cursor, which moves to its beginning. */
static int step_backwards(Scan *scan, Slice *ret)
{
    size_t wanted = WINDOW;

    while (scan->cursor > 0) {
        if (in_window(scan, scan->cursor)) {
            size_t left = (size_t)(scan->cursor - scan->offset);
            const char *end = scan->window + left; /* behind the line feed */
            const char *before = left > 1 ? memrchr(scan->window, '\n', left - 1) : NULL;
            if (before || (scan->offset == 0 && left > 0)) {
                const char *from = before ? before + 1 : scan->window;
                bool whole = end[-1] == '\n';
                *ret = (Slice){from, (size_t)(end - from) - (whole ? 1 : 0)};
                scan->cursor = scan->offset + (from - scan->window);
                return 1;
            }
            if (left >= LINE_MAX_BYTES)
                return -EFBIG;
            if (2 * left > wanted)
                wanted = 2 * left;
        }
        off_t from = scan->cursor > (off_t)wanted ? scan->cursor - (off_t)wanted : 0;
        int result = load(scan, from, (size_t)(scan->cursor - from));
        if (result < 0)
            return result;
        if (scan->offset + (off_t)scan->size < scan->cursor)
            return -EIO; /* the file has become shorter */
    }
    return 0;
}

static uint64_t seq_of(const Slice *line)
{
    /* A line that was cut off, or is being written, does not end like this. */
    if (line->size == 0 || line->bytes[line->size - 1] != '}')
        return 0;
    return journal_line_seq(line->bytes, line->size);
}

int scan_next(Scan *scan, size_t *budget, ScanLine *ret)
{
    for (;;) {
        uint64_t before = scan->bytes;
        Slice line = {NULL, 0};
        int result = scan->begun ? 0 : begin_segment(scan);
        if (result == 0)
            result = scan->backwards ? step_backwards(scan, &line) : step_forwards(scan, &line);
        if (result < 0)
            return result;
        if (result == 0 && !leave_segment(scan))
            return SCAN_END;
        uint64_t used = scan->bytes - before, seq = result > 0 ? seq_of(&line) : 0;
        *budget = used < *budget ? *budget - (size_t)used : 0;
        if (seq > 0 && (scan->backwards ? seq < scan->first : seq > scan->last))
            return SCAN_END;
        if (seq >= scan->first && seq <= scan->last && seq > 0) {
            *ret = (ScanLine){.bytes = line.bytes, .size = line.size, .seq = seq};
            return SCAN_LINE;
        }
        if (*budget == 0)
            return SCAN_PAUSE;
    }
}
