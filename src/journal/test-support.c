/*
 * See test-support.h.
 */
#include "journal/test-support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "journal/segments.h"

int place_setup(void **state)
{
    Place *place = calloc(1, sizeof *place);
    if (!place || sodium_init() < 0)
        return -1;
    /* In memory where that is possible: thousands of fsync(2) calls cost a busy disk minutes. */
    (void)snprintf(place->directory, sizeof place->directory, "%s/test-journal.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(place->directory))
        return -1;
    (void)snprintf(place->path, sizeof place->path, "%s/audit.log", place->directory);
    (void)snprintf(place->head_path, sizeof place->head_path, "%s/journal.head", place->directory);
    *state = place;
    return 0;
}

void place_clear(const Place *place)
{
    _cleanup_(closedirp)
    DIR *directory = opendir(place->directory);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
}

int place_teardown(void **state)
{
    Place *place = *state;
    place_clear(place);
    (void)rmdir(place->directory);
    free(place);
    return 0;
}

const char *place_path(const Place *place, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", place->directory, name);
    return path;
}

char *make_lines(JournalHead *head, size_t count, bool segment, size_t *ret_size)
{
    Buffer lines = BUFFER_EMPTY((size_t)16 << 20), body = BUFFER_EMPTY((size_t)1 << 20);

    for (size_t i = 0; i < count; i++) {
        static const char *const argv[] = {"echo", "a \"quoted\"\n,\"hash\":\"x\"", "\xff\xfe"};
        JournalRecord record = {.event = JOURNAL_JUDGED,
                                .request = "7K3M2Q",
                                .argv = argv,
                                .argc = ARRAY_SIZE(argv),
                                .has_exit_code = true,
                                .exit_code = (int)i};
        JournalMarks marks = {.segment = segment && i == 0};
        buffer_clear(&body);
        journal_body_put(&body, &record, "2026-11-24T04:10:29.123456Z");
        journal_line_put(&lines, head, buffer_head(&body), buffer_size(&body), &marks);
    }
    *ret_size = buffer_size(&lines);
    buffer_done(&body);
    char *text = buffer_take_string(&lines);
    assert_non_null(text);
    return text;
}

void write_file(const char *path, const void *bytes, size_t size)
{
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, bytes, size), 0);
}

char *read_file(const char *path, size_t *ret_size)
{
    char *text = NULL;
    assert_int_equal(fd_read_file(AT_FDCWD, path, (size_t)256 << 20, &text, ret_size), 0);
    return text;
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

JournalHead write_chain(const Place *place, const size_t *counts, size_t n_segments)
{
    JournalHead head = {0};

    for (size_t i = 0; i < n_segments; i++) {
        char name[NAME_MAX + 1];
        size_t size;
        bool last = i + 1 == n_segments;
        assert_int_equal(journal_segment_name("audit.log", last ? 0 : head.seq + 1, name), 0);
        _cleanup_free_ char *lines = make_lines(&head, counts[i], true, &size);
        write_file(place_path(place, name), lines, size);
    }
    return head;
}

void assert_verifies(const Place *place, uint64_t records)
{
    JournalCheck check;

    assert_int_equal(journal_verify(place->path, NULL, &check), 0);
    if (!check.ok)
        fail_msg("does not verify: %s", check.problem);
    assert_int_equal(check.records, records);
    journal_check_done(&check);
}

void assert_problem(const Place *place, const JournalHead *expected, const char *text)
{
    JournalCheck check;

    assert_int_equal(journal_verify(place->path, expected, &check), 0);
    if (check.ok || !check.problem || !strstr(check.problem, text))
        fail_msg("wanted a problem with \"%s\", got %s", text,
                 check.problem ? check.problem : "none");
    journal_check_done(&check);
}
