/*
 * The parent's side of the journal's files. See journal-file.h.
 *
 * Everything is done relative to the directory's descriptor, which is checked first: nobody but
 * its owner can then replace what is in it. Facts: open(2) O_NOFOLLOW, rename(2), fsync(2) ("a
 * file's entry in the directory needs an fsync of the directory too").
 */
#include "journal/journal-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "journal/line.h"
#include "journal/recover.h"
#include "journal/segments.h"

#define FILE_MODE 0640
#define DIRECTORY_MODE 0750
#define COPY_BYTES 65536

typedef struct Place {
    int directory_fd; /* owned */
    char *directory;  /* owned */
    const char *base; /* in the caller's path */
} Place;

static void place_done(Place *place)
{
    fd_close(place->directory_fd);
    free(place->directory);
}

/* Only we or root may own it, and nobody else may write to it. */
static int check_owner(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return -EINVAL;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return -EPERM;
    return status.st_uid == 0 || status.st_uid == geteuid() ? 0 : -EPERM;
}

/* Mode and group whatever the umask was. Without root the group may be one we are not in. */
static int set_mode(int fd, mode_t mode, gid_t group)
{
    if (group != (gid_t)-1 && fchown(fd, (uid_t)-1, group) < 0 && geteuid() == 0)
        return -errno;
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int open_directory(Place *place, bool create, gid_t group)
{
    struct stat status;
    bool created = create && mkdir(place->directory, DIRECTORY_MODE) == 0;

    if (create && !created && errno != EEXIST)
        return -errno;
    place->directory_fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place->directory_fd < 0) {
        int result = -errno; /* ENOTDIR for a symlink too */
        bool symlink = lstat(place->directory, &status) == 0 && S_ISLNK(status.st_mode);
        return symlink ? -ELOOP : result;
    }
    int result = created ? set_mode(place->directory_fd, DIRECTORY_MODE, group) : 0;
    return result < 0 ? result : check_owner(place->directory_fd);
}

static int place_open(Place *place, const char *path, bool create, gid_t group)
{
    *place = (Place){.directory_fd = -EBADF};
    place->base = journal_path_split(path, &place->directory);
    if (!place->base)
        return place->directory ? -ENOMEM : -EINVAL;
    return open_directory(place, create, group);
}

static int sync_directory(const Place *place)
{
    return fsync(place->directory_fd) < 0 ? -errno : 0;
}

/* Opens the current segment, creating it if need be. Returns a descriptor or -errno. */
static int open_segment(const Place *place, int access, gid_t group)
{
    int flags = access | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    _cleanup_fd_ int fd = openat(place->directory_fd, place->base, flags);

    if (fd < 0 && errno == ENOENT) {
        fd = openat(place->directory_fd, place->base, flags | O_CREAT | O_EXCL, FILE_MODE);
        if (fd < 0)
            return -errno;
        int result = set_mode(fd, FILE_MODE, group);
        if (result == 0)
            result = sync_directory(place);
        if (result < 0)
            return result;
    }
    if (fd < 0)
        return -errno;
    struct stat status;
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        return -EINVAL;
    int result = check_owner(fd);
    return result < 0 ? result : TAKE_FD(fd);
}

/* The descriptor for the writer: it can append and do no more. It must be the file that was
 * recovered through `fd`. */
static int open_for_writer(const Place *place, int fd)
{
    struct stat mine, its;
    _cleanup_fd_ int writer = openat(place->directory_fd, place->base,
                                     O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);

    if (writer < 0 || fstat(fd, &mine) < 0 || fstat(writer, &its) < 0)
        return -errno;
    return mine.st_dev == its.st_dev && mine.st_ino == its.st_ino ? TAKE_FD(writer) : -ESTALE;
}

/* --- recovery -------------------------------------------------------------------------------- */

static int copy_range(int from, off_t begin, off_t end, int to)
{
    char chunk[COPY_BYTES];

    while (begin < end) {
        size_t wanted = end - begin < COPY_BYTES ? (size_t)(end - begin) : COPY_BYTES;
        ssize_t got = pread(from, chunk, wanted, begin);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        int result = fd_write_all(to, chunk, (size_t)got);
        if (result < 0)
            return result;
        begin += got;
    }
    return fsync(to) < 0 ? -errno : 0;
}

/* "BASE.torn-20261124T041029.123456Z" */
static int torn_name(const Place *place, char *name)
{
    char time_text[CLOCK_TEXT_MAX];
    size_t used = 0;

    (void)clock_format_time(clock_realtime_us(), time_text);
    for (const char *c = time_text; *c; c++)
        if (*c != '-' && *c != ':')
            time_text[used++] = *c;
    time_text[used] = '\0';
    int size = snprintf(name, NAME_MAX + 1, "%s.torn-%s", place->base, time_text);
    return size < 0 || size > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int save_torn(const Place *place, int fd, off_t begin, off_t end)
{
    char name[NAME_MAX + 1];
    int result = torn_name(place, name);
    if (result < 0)
        return result;
    _cleanup_fd_ int torn = openat(place->directory_fd, name,
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (torn < 0)
        return -errno;
    result = copy_range(fd, begin, end, torn);
    if (result < 0)
        (void)unlinkat(place->directory_fd, name, 0);
    return result;
}

/* Cuts what stands behind the last newline. A full disk must not prevent it: then what is cut is
 * lost, which is half a record that nobody was told about. */
static int cut_torn(const Place *place, int fd, off_t *size, JournalRecovery *recovery)
{
    off_t whole;
    int result = journal_tail_whole(fd, *size, &whole);

    if (result < 0 || whole == *size)
        return result;
    recovery->torn_bytes = (uint64_t)(*size - whole);
    recovery->torn_saved = save_torn(place, fd, whole, *size) == 0;
    if (ftruncate(fd, whole) < 0)
        return -errno;
    *size = whole;
    return 0;
}

/* Looks for the chain's end in the older segments, the youngest first. */
static int search_older(const Place *place, JournalTail *tail)
{
    char name[NAME_MAX + 1];
    _cleanup_(journal_segments_done)
    JournalSegments segments = {NULL, 0};
    int result = journal_segments_list(place->directory_fd, place->base, &segments);

    for (size_t i = segments.count; i > 0 && result == 0; i--) {
        struct stat status;
        off_t whole;
        if ((result = journal_segment_name(place->base, segments.seqs[i - 1], name)) < 0)
            break;
        _cleanup_fd_ int fd =
            openat(place->directory_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &status) < 0)
            return -errno;
        if (!S_ISREG(status.st_mode))
            return -EINVAL;
        if ((result = journal_tail_whole(fd, status.st_size, &whole)) == 0)
            result = journal_tail_search(tail, fd, whole);
    }
    return result < 0 ? result : 0;
}

/* The chain's end, from the current segment's `size` bytes and the older ones. */
static int find_head(const Place *place, int fd, off_t size, const JournalHead *saved,
                     JournalHead *ret_head, JournalRecovery *recovery)
{
    JournalTail tail = {.saved = saved};

    int result = journal_tail_search(&tail, fd, size);
    if (result == 0)
        result = search_older(place, &tail);
    if (result < 0)
        return result;
    recovery->damaged_lines = tail.damaged_lines;
    recovery->head_differs = tail.head_differs;
    recovery->clean_stop = tail.clean_stop;
    recovery->last_seq = tail.head.seq;
    recovery->behind_head = saved->seq > tail.head.seq;
    *ret_head = recovery->behind_head ? *saved : tail.head;
    return 0;
}

int journal_file_open(const char *path, gid_t group, const JournalHead *saved,
                      JournalHead *ret_head, JournalRecovery *ret_recovery)
{
    static const JournalHead nothing = {0};
    struct stat status;
    _cleanup_(place_done)
    Place place = {.directory_fd = -EBADF};

    *ret_head = nothing;
    *ret_recovery = (JournalRecovery){0};
    if (sodium_init() < 0)
        return -ENOMEM;
    int result = place_open(&place, path, true, group);
    if (result < 0)
        return result;
    _cleanup_fd_ int fd = open_segment(&place, O_RDWR, group);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return -errno;
    off_t size = status.st_size;
    if ((result = cut_torn(&place, fd, &size, ret_recovery)) < 0)
        return result;
    result = find_head(&place, fd, size, saved ? saved : &nothing, ret_head, ret_recovery);
    if (result < 0)
        return result;
    if (fsync(fd) < 0) /* what counts as known from here on is on disk */
        return -errno;
    return open_for_writer(&place, fd);
}

/* --- rotation -------------------------------------------------------------------------------- */

/* The seq of the segment's first record, or 0. A damaged first line is skipped: the records behind
 * it still belong to the chain. */
static uint64_t first_seq(int fd)
{
    char start[COPY_BYTES];
    ssize_t got = pread(fd, start, sizeof start, 0);

    for (const char *line = start; got > 0 && line;) {
        size_t left = (size_t)(start + got - line);
        uint64_t seq = journal_line_seq(line, left);
        if (seq > 0)
            return seq;
        line = memchr(line, '\n', left);
        line = line && line + 1 < start + got ? line + 1 : NULL;
    }
    return 0;
}

/* The name a finished segment gets. One that does not begin with a record cannot be part of the
 * chain and is put aside like a torn tail. */
static int finished_name(const Place *place, int fd, off_t size, char *name)
{
    off_t whole;
    int result = journal_tail_whole(fd, size, &whole);

    if (result < 0)
        return result;
    uint64_t seq = whole > 0 ? first_seq(fd) : 0;
    return seq > 0 ? journal_segment_name(place->base, seq, name) : torn_name(place, name);
}

int journal_file_rotate(const char *path, gid_t group)
{
    char name[NAME_MAX + 1];
    struct stat status;
    _cleanup_(place_done)
    Place place = {.directory_fd = -EBADF};

    int result = place_open(&place, path, false, group);
    if (result < 0)
        return result;
    _cleanup_fd_ int old = open_segment(&place, O_RDONLY, group);
    if (old < 0)
        return old;
    if (fstat(old, &status) < 0)
        return -errno;
    if (status.st_size > 0) {
        if ((result = finished_name(&place, old, status.st_size, name)) < 0)
            return result;
        if (renameat2(place.directory_fd, place.base, place.directory_fd, name, RENAME_NOREPLACE) <
            0)
            return -errno;
    }
    _cleanup_fd_ int fd = open_segment(&place, O_RDONLY, group);
    if (fd < 0)
        return fd;
    if ((result = sync_directory(&place)) < 0)
        return result;
    return open_for_writer(&place, fd);
}

/* --- the head -------------------------------------------------------------------------------- */

/* Writes `name` in the directory: new, complete and on disk. 0 or -errno. */
static int write_new_file(int directory_fd, const char *name, const char *text)
{
    (void)unlinkat(directory_fd, name, 0); /* what a crash left */
    _cleanup_fd_ int fd =
        openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return -errno;
    int result = fd_write_all(fd, text, strlen(text));
    if (result == 0 && fdatasync(fd) < 0)
        result = -errno;
    return result;
}

int journal_head_save(const char *path, const JournalHead *head)
{
    char text[JOURNAL_HEAD_TEXT_MAX], line[JOURNAL_HEAD_TEXT_MAX + 1], temporary[NAME_MAX + 1];
    _cleanup_(place_done)
    Place place = {.directory_fd = -EBADF};

    place.base = journal_path_split(path, &place.directory);
    if (!place.base)
        return place.directory ? -EINVAL : -ENOENT;
    place.directory_fd = open(place.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place.directory_fd < 0)
        return -errno;
    int size = snprintf(temporary, sizeof temporary, "%s.new", place.base);
    if (size < 0 || (size_t)size >= sizeof temporary)
        return -ENAMETOOLONG;
    (void)snprintf(line, sizeof line, "%s\n", journal_head_format(head, text));
    int result = write_new_file(place.directory_fd, temporary, line);
    if (result == 0 && renameat(place.directory_fd, temporary, place.directory_fd, place.base) < 0)
        result = -errno;
    if (result < 0) {
        (void)unlinkat(place.directory_fd, temporary, 0);
        return result;
    }
    return sync_directory(&place);
}

int journal_head_load(const char *path, JournalHead *ret)
{
    _cleanup_free_ char *text = NULL;
    size_t size;

    *ret = (JournalHead){0};
    int result = fd_read_file(AT_FDCWD, path, JOURNAL_HEAD_TEXT_MAX, &text, &size);
    if (result == -ENOENT)
        return 1;
    if (result < 0)
        return result == -EFBIG ? -EBADMSG : result;
    if (size > 0 && text[size - 1] == '\n')
        size--;
    return journal_head_parse(text, size, ret);
}
