/*
 * See segments.h.
 *
 * The current segment is opened first and the list of the others is made then: if it is rotated in
 * between it is in the list under its number too, and is read once, last. When all is read and
 * `audit.log` is another file by then, the rest of the old one and all that followed is read too.
 * An incomplete last line, or a current segment that is not there, is looked for again a few
 * times: the writer or a rotation may be in the middle of its work.
 */
#include "journal/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "journal/journal-file.h"
#include "journal/line.h"

#define SEQ_DIGITS 20
#define READ_BYTES ((size_t)256 << 10)
#define LOOKS 5
#define LOOK_WAIT_US 20000

const char *journal_path_split(const char *path, char **ret_directory)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;

    *ret_directory = NULL;
    if (!*base || strlen(base) > NAME_MAX)
        return NULL;
    if (!slash)
        *ret_directory = strdup(".");
    else
        *ret_directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    return *ret_directory ? base : NULL;
}

void journal_segments_done(JournalSegments *segments)
{
    free(segments->seqs);
    *segments = (JournalSegments){NULL, 0};
}

int journal_segment_name(const char *base, uint64_t seq, char *name)
{
    int size = seq == 0 ? snprintf(name, NAME_MAX + 1, "%s", base)
                        : snprintf(name, NAME_MAX + 1, "%s.%020llu", base, (unsigned long long)seq);
    return size < 0 || size > NAME_MAX ? -ENAMETOOLONG : 0;
}

/* The number in the name of a segment of `base`, or 0. */
static uint64_t segment_number(const char *name, const char *base)
{
    size_t size = strlen(base);

    if (strncmp(name, base, size) != 0 || name[size] != '.' ||
        strlen(name + size + 1) != SEQ_DIGITS ||
        strspn(name + size + 1, "0123456789") != SEQ_DIGITS)
        return 0;
    errno = 0;
    unsigned long long number = strtoull(name + size + 1, NULL, 10);
    return errno == 0 ? number : 0;
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int segments_add(JournalSegments *segments, uint64_t seq)
{
    if ((segments->count & (segments->count - 1)) == 0) { /* a power of two: full */
        size_t room = segments->count ? segments->count * 2 : 1;
        uint64_t *larger = reallocarray(segments->seqs, room, sizeof *larger);
        if (!larger)
            return -ENOMEM;
        segments->seqs = larger;
    }
    segments->seqs[segments->count++] = seq;
    return 0;
}

int journal_segments_list(int directory_fd, const char *base, JournalSegments *ret)
{
    _cleanup_fd_ int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    _cleanup_(closedirp)
    DIR *directory = fdopendir(fd);
    if (!directory)
        return -errno;
    (void)TAKE_FD(fd);

    *ret = (JournalSegments){NULL, 0};
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry)
            break;
        uint64_t seq = segment_number(entry->d_name, base);
        if (seq > 0 && segments_add(ret, seq) < 0) {
            journal_segments_done(ret);
            return -ENOMEM;
        }
    }
    if (errno != 0) {
        int result = -errno;
        journal_segments_done(ret);
        return result;
    }
    if (ret->count > 0)
        qsort(ret->seqs, ret->count, sizeof *ret->seqs, compare_seqs);
    return 0;
}

/* --- lines of one segment --------------------------------------------------------------------- */

static int open_for_reading(int directory_fd, const char *name)
{
    struct stat status;
    _cleanup_fd_ int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    return S_ISREG(status.st_mode) ? TAKE_FD(fd) : -EINVAL;
}

/* 1: more is pending, 0: end of the file, -errno. */
static int read_more(JournalWalk *walk)
{
    char *room = buffer_reserve(&walk->pending, READ_BYTES);
    if (!room)
        return walk->pending.error;
    for (;;) {
        ssize_t got = read(walk->fd, room, READ_BYTES);
        if (got >= 0) {
            buffer_grow(&walk->pending, (size_t)got);
            walk->bytes += (uint64_t)got;
            return got > 0;
        }
        if (errno != EINTR)
            return -errno;
    }
}

/* The next whole line: JOURNAL_STEP_LINE, JOURNAL_STEP_OVERSIZE, JOURNAL_STEP_END (what is left
 * is pending) or -errno. */
static int next_line(JournalWalk *walk)
{
    for (;;) {
        size_t size = buffer_size(&walk->pending);
        const char *head = size > 0 ? buffer_head(&walk->pending) : NULL;
        const char *newline =
            size > walk->scanned ? memchr(head + walk->scanned, '\n', size - walk->scanned) : NULL;
        if (newline) {
            walk->line = head;
            walk->size = (size_t)(newline - head);
            walk->scanned = 0;
            walk->pending.start += walk->size + 1; /* the line stays readable until the next step */
            walk->line_number++;
            bool whole = !walk->skipping && walk->size <= JOURNAL_LINE_MAX;
            walk->skipping = false;
            return whole ? JOURNAL_STEP_LINE : JOURNAL_STEP_OVERSIZE;
        }
        walk->scanned = size;
        if (size > JOURNAL_LINE_MAX) {
            walk->skipping = true;
            walk->scanned = 0;
            buffer_clear(&walk->pending);
        }
        int more = read_more(walk);
        if (more <= 0)
            return more;
    }
}

/* Goes back to the beginning of the incomplete line at the end. */
static int unread_partial(JournalWalk *walk)
{
    off_t size = (off_t)buffer_size(&walk->pending);

    if (lseek(walk->fd, -size, SEEK_CUR) < 0)
        return -errno;
    walk->bytes -= (uint64_t)size;
    walk->scanned = 0;
    buffer_clear(&walk->pending);
    return 0;
}

/* An incomplete line at the end of the current segment: perhaps it is being written. */
static int look_again(JournalWalk *walk)
{
    int step = JOURNAL_STEP_END;

    for (int look = 0; look < LOOKS && step == JOURNAL_STEP_END; look++) {
        if (buffer_size(&walk->pending) == 0)
            return JOURNAL_STEP_END; /* it has been cut off meanwhile */
        int result = unread_partial(walk);
        if (result < 0)
            return result;
        (void)usleep(LOOK_WAIT_US);
        step = next_line(walk);
    }
    return step;
}

/* --- from segment to segment ------------------------------------------------------------------ */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* True when the numbered segment is the file that is open as the current one. */
static bool is_current(JournalWalk *walk, uint64_t seq)
{
    char name[NAME_MAX + 1];
    struct stat numbered, current;

    return walk->current_fd >= 0 && fstat(walk->current_fd, &current) == 0 &&
           journal_segment_name(walk->base, seq, name) == 0 &&
           fstatat(walk->directory_fd, name, &numbered, 0) == 0 && same_file(&numbered, &current);
}

/* Opens the current segment, then lists the numbered ones. Between the two steps of a rotation
 * there is no current one for a moment. */
static int open_current(JournalWalk *walk)
{
    fd_close(walk->current_fd);
    walk->current_fd = -ENOENT;
    for (int look = 0; look < LOOKS && walk->current_fd == -ENOENT; look++) {
        if (look > 0)
            (void)usleep(LOOK_WAIT_US);
        walk->current_fd = open_for_reading(walk->directory_fd, walk->base);
    }
    if (walk->current_fd < 0 && walk->current_fd != -ENOENT)
        return walk->current_fd;
    journal_segments_done(&walk->segments);
    walk->next = 0;
    return journal_segments_list(walk->directory_fd, walk->base, &walk->segments);
}

int journal_walk_begin(JournalWalk *walk, const char *path)
{
    _cleanup_free_ char *directory = NULL;
    const char *base = journal_path_split(path, &directory);

    *walk = (JournalWalk){.directory_fd = -EBADF,
                          .current_fd = -EBADF,
                          .fd = -EBADF,
                          .pending = BUFFER_EMPTY(JOURNAL_LINE_MAX + 2 * READ_BYTES)};
    if (!base)
        return directory ? -EINVAL : -ENOENT;
    (void)snprintf(walk->base, sizeof walk->base, "%s", base);
    walk->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (walk->directory_fd < 0)
        return -errno;
    int result = open_current(walk);
    if (result < 0)
        return result;
    return walk->current_fd < 0 && walk->segments.count == 0 ? -ENOENT : 0;
}

void journal_walk_done(JournalWalk *walk)
{
    if (walk->fd != walk->current_fd)
        fd_close(walk->fd);
    fd_close(walk->current_fd);
    fd_close(walk->directory_fd);
    journal_segments_done(&walk->segments);
    buffer_done(&walk->pending);
    walk->fd = walk->current_fd = walk->directory_fd = -EBADF;
}

/* Begins the next segment: JOURNAL_STEP_SEGMENT, _MISSING or -errno. */
static int begin_segment(JournalWalk *walk)
{
    walk->number = 0;
    while (walk->next < walk->segments.count && walk->number == 0) {
        walk->number = walk->segments.seqs[walk->next++];
        if (is_current(walk, walk->number))
            walk->number = 0;
    }
    if (walk->number == 0 && walk->current_fd < 0) {
        walk->finished = true;
        (void)journal_segment_name(walk->base, 0, walk->name);
        return JOURNAL_STEP_MISSING;
    }
    int result = journal_segment_name(walk->base, walk->number, walk->name);
    if (result < 0)
        return result;
    walk->fd =
        walk->number == 0 ? walk->current_fd : open_for_reading(walk->directory_fd, walk->name);
    if (walk->fd < 0)
        return walk->fd;
    (void)posix_fadvise(walk->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    walk->line_number = 0;
    walk->scanned = 0;
    walk->skipping = walk->drained = false;
    buffer_clear(&walk->pending);
    return JOURNAL_STEP_SEGMENT;
}

/* True when `audit.log` is another file now and the writer has begun to use it. */
static bool was_rotated(JournalWalk *walk)
{
    struct stat mine, now;
    return fstat(walk->current_fd, &mine) == 0 &&
           fstatat(walk->directory_fd, walk->base, &now, 0) == 0 && !same_file(&mine, &now) &&
           now.st_size > 0;
}

/* The current segment has been read and was rotated away: what comes after it is next. */
static int follow_rotation(JournalWalk *walk)
{
    struct stat read_file, numbered;
    char name[NAME_MAX + 1];

    if (fstat(walk->current_fd, &read_file) < 0)
        return -errno;
    walk->fd = -EBADF;
    int result = open_current(walk);
    if (result < 0)
        return result;
    /* What has been read is in the list under its number now: go on behind it. */
    for (size_t i = 0; i < walk->segments.count; i++)
        if (journal_segment_name(walk->base, walk->segments.seqs[i], name) == 0 &&
            fstatat(walk->directory_fd, name, &numbered, 0) == 0 &&
            same_file(&numbered, &read_file))
            walk->next = i + 1;
    return begin_segment(walk);
}

/* A segment has come to its end (perhaps within a line). */
static int end_segment(JournalWalk *walk)
{
    if (walk->number != 0) {
        walk->fd = fd_close(walk->fd);
    } else if (!was_rotated(walk)) {
        walk->finished = true;
    } else if (!walk->drained) {
        walk->drained = true; /* its last records may have come after our last look */
        return journal_walk_next(walk);
    } else {
        return follow_rotation(walk);
    }
    return walk->finished ? JOURNAL_STEP_END : begin_segment(walk);
}

int journal_walk_next(JournalWalk *walk)
{
    if (walk->finished)
        return JOURNAL_STEP_END;
    if (walk->fd < 0)
        return begin_segment(walk);
    int step = next_line(walk);
    if (step == JOURNAL_STEP_END && buffer_size(&walk->pending) > 0 && walk->number == 0)
        step = look_again(walk);
    if (step != JOURNAL_STEP_END)
        return step;
    if (buffer_size(&walk->pending) == 0 && !walk->skipping)
        return end_segment(walk);
    walk->size = buffer_size(&walk->pending);
    walk->scanned = 0;
    walk->skipping = false;
    walk->finished = walk->number == 0;
    buffer_clear(&walk->pending); /* the next step ends a numbered segment */
    return JOURNAL_STEP_TORN;
}

int journal_each_line(const char *path, int (*each)(const char *line, size_t size, void *userdata),
                      void *userdata)
{
    _cleanup_(journal_walk_done)
    JournalWalk walk;
    int step = journal_walk_begin(&walk, path);

    if (step < 0)
        return step;
    while ((step = journal_walk_next(&walk)) > JOURNAL_STEP_END) {
        int result = step == JOURNAL_STEP_LINE ? each(walk.line, walk.size, userdata) : 0;
        if (result != 0)
            return result;
    }
    return step;
}
