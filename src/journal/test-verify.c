/*
 * Attacks on a journal at rest, each found and named; and a journal that is written meanwhile,
 * which is none.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "journal/segments.h"
#include "journal/test-support.h"

/* Lines of a file, to be put together anew. */
typedef struct Lines {
    char *text;
    char *at[16];
    size_t size[16], count;
} Lines;

static Lines lines_of(const char *path)
{
    size_t size;
    Lines lines = {.text = read_file(path, &size)};
    for (char *next = lines.text; next < lines.text + size; lines.count++) {
        char *newline = memchr(next, '\n', size);
        assert_non_null(newline);
        lines.at[lines.count] = next;
        lines.size[lines.count] = (size_t)(newline + 1 - next);
        next = newline + 1;
    }
    return lines;
}

/* Writes the file from the lines named, "0213". */
static void rewrite(const char *path, const Lines *lines, const char *order)
{
    Buffer bytes = BUFFER_EMPTY((size_t)1 << 20);
    assert_non_null(buffer_reserve(&bytes, 1));
    for (const char *c = order; *c; c++)
        buffer_put(&bytes, lines->at[*c - '0'], lines->size[*c - '0']);
    write_file(path, buffer_head(&bytes), buffer_size(&bytes));
    buffer_done(&bytes);
}

static const size_t five[] = {5};
static const size_t three_segments[] = {3, 2, 4};

static void test_good(void **state)
{
    Place *place = *state;
    JournalCheck check;
    JournalHead head = write_chain(place, three_segments, 3);

    assert_int_equal(journal_verify(place->path, &head, &check), 0);
    assert_true(check.ok);
    assert_int_equal(check.records, 9);
    assert_int_equal(check.segments, 3);
    assert_int_equal(check.first_seq, 1);
    assert_memory_equal(&check.head, &head, sizeof head);
    assert_null(check.problem);
    assert_null(check.note);
    journal_check_done(&check);
}

static void test_none(void **state)
{
    Place *place = *state;
    JournalCheck check;

    assert_int_equal(journal_verify(place->path, NULL, &check), -ENOENT);
    assert_int_equal(journal_verify(place_path(place, "no/audit.log"), NULL, &check), -ENOENT);
    assert_int_equal(journal_verify(place->directory, NULL, &check), -EINVAL);
    write_file(place->path, "", 0);
    assert_verifies(place, 0);
}

static void test_any_byte_edited(void **state)
{
    Place *place = *state;
    static const size_t three[] = {3};
    size_t size;

    (void)write_chain(place, three, 1);
    _cleanup_free_ char *text = read_file(place->path, &size);
    for (size_t at = 0; at < size; at++) {
        static const char changes[] = {1, 0x20, (char)0x80};
        for (size_t i = 0; i < sizeof changes; i++) {
            JournalCheck check;
            text[at] = (char)(text[at] ^ changes[i]);
            write_file(place->path, text, size);
            assert_int_equal(journal_verify(place->path, NULL, &check), 0);
            if (check.ok)
                fail_msg("an edit of byte %zu is not seen", at);
            journal_check_done(&check);
            text[at] = (char)(text[at] ^ changes[i]);
            if (text[at] == '\n') /* the last newline makes it torn: that costs time */
                break;
        }
    }
}

static void test_lines_moved(void **state)
{
    Place *place = *state;
    JournalHead head = write_chain(place, five, 1);
    Lines lines = lines_of(place->path);

    rewrite(place->path, &lines, "0234");
    assert_problem(place, NULL, "audit.log:2: records 2 to 2 are missing");
    rewrite(place->path, &lines, "04");
    assert_problem(place, NULL, "audit.log:2: records 2 to 4 are missing");
    rewrite(place->path, &lines, "01324");
    assert_problem(place, NULL, "audit.log:3: records 3 to 3 are missing");
    rewrite(place->path, &lines, "012234");
    assert_problem(place, NULL, "audit.log:4: record 3 comes after record 3: repeated or moved");
    rewrite(place->path, &lines, "234");
    assert_problem(place, NULL, "does not begin a segment");
    rewrite(place->path, &lines, "012");
    assert_verifies(place, 3); /* nothing but the head can tell … */
    assert_problem(place, &head, "its tail was removed");
    rewrite(place->path, &lines, "");
    assert_problem(place, &head, "its tail was removed");
    rewrite(place->path, &lines, "01234");
    assert_verifies(place, 5);
    free(lines.text);
}

/* A line that was made anew, with a right hash of its own, does not fit what follows. */
static void test_record_replaced(void **state)
{
    Place *place = *state;
    JournalHead head = write_chain(place, five, 1), forged = {0};
    Lines lines = lines_of(place->path);
    JournalLine third;
    size_t size;

    assert_int_equal(journal_line_check(lines.at[1], lines.size[1] - 1, &third), 0);
    forged = (JournalHead){.seq = third.seq, .hash = third.hash};
    _cleanup_free_ char *made = make_lines(&forged, 1, true, &size);
    lines.at[2] = made;
    lines.size[2] = size;
    rewrite(place->path, &lines, "01234");
    assert_problem(place, NULL, "audit.log:4: record 4 does not follow on the record before it");
    rewrite(place->path, &lines, "012");
    forged = (JournalHead){.seq = 3, .hash = head.hash};
    assert_problem(place, &forged, "record 3 is not the one that the head names");
    free(lines.text);
}

static void test_tail_of_bytes(void **state)
{
    Place *place = *state;
    JournalCheck check;
    size_t size;
    JournalHead head = write_chain(place, five, 1);
    _cleanup_free_ char *text = read_file(place->path, &size);

    write_file(place->path, text, size - 7);
    assert_int_equal(journal_verify(place->path, NULL, &check), 0);
    assert_false(check.ok);
    assert_true(check.torn_tail);
    assert_int_equal(check.records, 4);
    assert_non_null(strstr(check.problem, "audit.log:5: the last line is incomplete"));
    journal_check_done(&check);
    assert_int_equal(journal_verify(place->path, &head, &check), 0);
    assert_false(check.torn_tail); /* the head says that there was more */
    journal_check_done(&check);
}

static void test_segments_removed(void **state)
{
    Place *place = *state;
    JournalCheck check;
    JournalHead head = write_chain(place, three_segments, 3);

    assert_int_equal(unlink(place_path(place, "audit.log.00000000000000000001")), 0);
    assert_int_equal(journal_verify(place->path, &head, &check), 0);
    assert_true(check.ok);
    assert_true(check.pruned);
    assert_int_equal(check.first_seq, 4);
    assert_string_equal(check.note,
                        "the chain starts at seq 4: the 3 records before it are not here");
    journal_check_done(&check);

    (void)write_chain(place, three_segments, 3);
    assert_int_equal(unlink(place_path(place, "audit.log.00000000000000000004")), 0);
    assert_problem(place, NULL, "audit.log:1: records 4 to 5 are missing");

    (void)write_chain(place, three_segments, 3);
    assert_int_equal(unlink(place->path), 0);
    assert_problem(place, NULL, "the current segment is missing");
    write_file(place->path, "", 0);
    assert_verifies(place, 5);
    assert_problem(place, &head, "its tail was removed");
}

static void test_segment_renamed(void **state)
{
    Place *place = *state;

    (void)write_chain(place, three_segments, 3);
    assert_int_equal(rename(place_path(place, "audit.log.00000000000000000004"),
                            place_path(place, "audit.log.00000000000000000005")),
                     0);
    assert_problem(place, NULL, "the segment's name says that record 5 comes first");
    /* Names that are not quite segments are left alone. */
    (void)write_chain(place, three_segments, 3);
    assert_int_equal(unlink(place_path(place, "audit.log.00000000000000000005")), 0);
    write_file(place_path(place, "audit.log.1"), "x", 1);
    write_file(place_path(place, "audit.log.000000000000000000040"), "x", 1);
    write_file(place_path(place, "audit.log.torn-20261124T041029.123456Z"), "x", 1);
    assert_verifies(place, 9);
}

static void test_strange_bytes(void **state)
{
    Place *place = *state;
    size_t size = JOURNAL_LINE_MAX + 10;

    write_file(place->path, "\n", 1);
    assert_problem(place, NULL, "audit.log:1: is no record");
    write_file(place->path, "\0\0\0\n\0", 5);
    assert_problem(place, NULL, "audit.log:1: is no record");
    _cleanup_free_ char *large = malloc(size);
    assert_non_null(large);
    memset(large, 'x', size);
    large[size - 1] = '\n';
    write_file(place->path, large, size);
    assert_problem(place, NULL, "audit.log:1: is longer than any record");
    large[size - 1] = 'x';
    write_file(place->path, large, size);
    assert_problem(place, NULL, "audit.log:1: the last line is incomplete");
}

/* --- a journal that is being written and rotated ---------------------------------------------- */

#define LIVE_RECORDS 20000

static void *verify_often(void *userdata)
{
    const struct {
        const Place *place;
        atomic_int *stop, *problems;
    } *job = userdata;

    while (!atomic_load(job->stop)) {
        JournalCheck check;
        int result = journal_verify(job->place->path, NULL, &check);
        if (result < 0 || !check.ok)
            atomic_fetch_add(job->problems, 1);
        if (result == 0 && !check.ok)
            (void)fprintf(stderr, "live: %s\n", check.problem);
        journal_check_done(&check);
    }
    return NULL;
}

static void test_live(void **state)
{
    Place *place = *state;
    JournalHead head;
    JournalRecovery recovery;
    Journal *journal;
    pthread_t thread;
    atomic_int stop = 0, problems = 0;
    struct {
        const Place *place;
        atomic_int *stop, *problems;
    } job = {place, &stop, &problems};
    JournalRecord record = {.event = JOURNAL_JUDGED, .message = "written while it is verified"};

    int fd = journal_file_open(place->path, (gid_t)-1, NULL, &head, &recovery);
    assert_true(fd >= 0);
    assert_int_equal(journal_open_take(&journal, fd, &head, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, verify_often, &job), 0);
    for (int i = 0; i < LIVE_RECORDS; i++) {
        assert_int_equal(journal_append(journal, &record, false, NULL, NULL), 0);
        if (i % 50 == 0)
            (void)usleep(1000);
        if (journal_wants_segment(journal, 200000)) {
            fd = journal_file_rotate(place->path, (gid_t)-1);
            assert_true(fd >= 0);
            assert_int_equal(journal_set_segment_take(journal, fd), 0);
        }
    }
    assert_null(journal_close(journal));
    atomic_store(&stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&problems), 0);
    assert_verifies(place, LIVE_RECORDS);
    assert_true(file_exists(place_path(place, "audit.log.00000000000000000001")));
}

static int count_lines(const char *line, size_t size, void *userdata)
{
    size_t *count = userdata;
    JournalLine parsed;
    assert_int_equal(journal_line_check(line, size, &parsed), 0);
    return ++*count == 7 ? 77 : 0;
}

static void test_each_line(void **state)
{
    Place *place = *state;
    size_t count = 0;

    assert_int_equal(journal_each_line(place->path, count_lines, &count), -ENOENT);
    (void)write_chain(place, three_segments, 2);
    assert_int_equal(journal_each_line(place->path, count_lines, &count), 0);
    assert_int_equal(count, 5);
    (void)write_chain(place, three_segments, 3);
    assert_int_equal(journal_each_line(place->path, count_lines, (count = 0, &count)), 77);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_good),
        TEST(test_none),
        TEST(test_any_byte_edited),
        TEST(test_lines_moved),
        TEST(test_record_replaced),
        TEST(test_tail_of_bytes),
        TEST(test_segments_removed),
        TEST(test_segment_renamed),
        TEST(test_strange_bytes),
        TEST(test_live),
        TEST(test_each_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
