/*
 * Scans against journals of all shapes: what comes out is compared with what was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "api/scan.h"
#include "base/fd.h"

#define LINES_MAX 4000u

typedef struct World {
    SegmentSet *set;
    uint64_t seqs[LINES_MAX];
    size_t sizes[LINES_MAX];
    size_t n_lines;
} World;

static World *world_new(size_t n_segments)
{
    World *world = calloc(1, sizeof *world);
    world->set = calloc(1, sizeof *world->set);
    world->set->references = 1;
    world->set->fds = calloc(n_segments, sizeof *world->set->fds);
    return world;
}

static int add_segment(World *world)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    assert_true(fd >= 0);
    world->set->fds[world->set->count++] = fd;
    return fd;
}

static void add_text(int fd, const char *text)
{
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void add_line(World *world, int fd, uint64_t seq, size_t filler)
{
    char *line = malloc(filler + 64);
    int head = snprintf(line, 64, "{\"seq\":%llu,\"x\":\"", (unsigned long long)seq);
    memset(line + head, 'x', filler);
    memcpy(line + head + filler, "\"}\n", 4);
    add_text(fd, line);
    world->seqs[world->n_lines] = seq;
    world->sizes[world->n_lines++] = (size_t)head + filler + 2;
    free(line);
}

static void world_free(World *world)
{
    segment_set_unref(world->set);
    free(world);
}

/* All lines within the bounds, in the order asked for, in pauses of `slice` bytes. */
static void check(World *world, uint64_t first, uint64_t last, bool backwards, size_t slice)
{
    Scan *scan = NULL;
    ScanLine line;
    size_t budget = slice, at = backwards ? world->n_lines : 0, found = 0;

    assert_int_equal(scan_new(&scan, world->set, first, last, backwards), 0);
    for (;;) {
        int step = scan_next(scan, &budget, &line);
        assert_true(step >= 0);
        if (step == SCAN_PAUSE) {
            budget = slice;
            continue;
        }
        if (step == SCAN_END)
            break;
        do
            at = backwards ? at - 1 : at + (found > 0 || at > 0 || world->seqs[0] < first);
        while (backwards ? at > 0 && world->seqs[at] > last
                         : at < world->n_lines && world->seqs[at] < first);
        assert_true(at < world->n_lines);
        if (line.seq != world->seqs[at])
            fail_msg("%llu instead of %llu (from %llu to %llu%s)", (unsigned long long)line.seq,
                     (unsigned long long)world->seqs[at], (unsigned long long)first,
                     (unsigned long long)last, backwards ? ", backwards" : "");
        assert_int_equal(line.size, world->sizes[at]);
        assert_int_equal(line.bytes[0], '{');
        assert_int_equal(line.bytes[line.size - 1], '}');
        found++;
    }
    size_t wanted = 0;
    for (size_t i = 0; i < world->n_lines; i++)
        wanted += world->seqs[i] >= first && world->seqs[i] <= last;
    assert_int_equal(found, wanted);
    scan_free(scan);
}

static void check_all(World *world)
{
    uint64_t head = world->n_lines ? world->seqs[world->n_lines - 1] : 0;

    for (int backwards = 0; backwards <= 1; backwards++) {
        check(world, 1, UINT64_MAX, backwards, SIZE_MAX);
        check(world, 1, UINT64_MAX, backwards, 1);
        check(world, 1, 1, backwards, 100000);
        check(world, head, head, backwards, 100000);
        check(world, head + 1, UINT64_MAX, backwards, 100000);
        for (uint64_t seq = 1; seq <= head; seq += 1 + head / 37) {
            check(world, seq, UINT64_MAX, backwards, 100000);
            check(world, 1, seq, backwards, 100000);
            check(world, seq, seq, backwards, 100000);
            check(world, seq, seq + 5, backwards, 100000);
        }
    }
}

static void test_short_lines(void **state)
{
    World *world = world_new(3);
    (void)state;

    for (size_t segment = 0; segment < 3; segment++) {
        int fd = add_segment(world);
        for (unsigned i = 0; i < 1000; i++)
            add_line(world, fd, world->n_lines + 1, world->n_lines * 7 % 300);
    }
    check_all(world);
    world_free(world);
}

static void test_long_lines_among_short_ones(void **state)
{
    static const size_t fillers[] = {10,     200000, 10,     65500, 65520, 65536, 1,
                                     300000, 300000, 900000, 20,    20,    131072};
    World *world = world_new(2);
    (void)state;

    for (size_t segment = 0; segment < 2; segment++) {
        int fd = add_segment(world);
        for (size_t i = 0; i < 13; i++)
            add_line(world, fd, world->n_lines + 1, fillers[(i + segment * 5) % 13]);
    }
    check_all(world);
    world_free(world);
}

static void test_gaps_and_empty_segments(void **state)
{
    World *world = world_new(5);
    (void)state;

    (void)add_segment(world);
    int fd = add_segment(world);
    for (uint64_t seq = 5; seq < 2000; seq += 1 + seq % 5)
        add_line(world, fd, seq, 100);
    (void)add_segment(world);
    fd = add_segment(world);
    for (uint64_t seq = 3000; seq < 3010; seq++)
        add_line(world, fd, seq, 100);
    (void)add_segment(world);
    check_all(world);
    world_free(world);
}

static void test_nothing_at_all(void **state)
{
    World *world = world_new(1);
    (void)state;

    (void)add_segment(world);
    check(world, 1, UINT64_MAX, false, 1000);
    check(world, 1, UINT64_MAX, true, 1000);
    check(world, 5, 7, true, 1000);
    world_free(world);
}

static void test_damage_is_stepped_over(void **state)
{
    World *world = world_new(2);
    (void)state;

    int fd = add_segment(world);
    for (unsigned i = 0; i < 500; i++) {
        add_line(world, fd, world->n_lines + 1, 400);
        if (i % 50 == 7)
            add_text(fd, "\n\n{}\n{\"seq\":9999999\nno record\n{\"seq\":\"12\"}\n");
    }
    add_text(fd, "{\"seq\":501,\"cut");
    fd = add_segment(world);
    for (unsigned i = 0; i < 500; i++)
        add_line(world, fd, world->n_lines + 1, 400);
    check_all(world);
    world_free(world);
}

static void test_a_line_that_is_being_written(void **state)
{
    World *world = world_new(1);
    Scan *scan = NULL;
    ScanLine line;
    size_t budget = SIZE_MAX;
    (void)state;

    int fd = add_segment(world);
    add_line(world, fd, 1, 10);
    add_text(fd, "{\"seq\":2,\"x\":\"abc");
    check(world, 1, UINT64_MAX, false, 1000);
    check(world, 1, UINT64_MAX, true, 1000);

    /* A scan that has not begun with the segment sees what came since. */
    assert_int_equal(scan_new(&scan, world->set, 1, UINT64_MAX, false), 0);
    add_text(fd, "\"}\n");
    assert_int_equal(scan_next(scan, &budget, &line), SCAN_LINE);
    assert_int_equal(scan_next(scan, &budget, &line), SCAN_LINE);
    assert_int_equal(line.seq, 2);
    assert_int_equal(scan_next(scan, &budget, &line), SCAN_END);
    scan_free(scan);
    world_free(world);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_lines),
        cmocka_unit_test(test_long_lines_among_short_ones),
        cmocka_unit_test(test_gaps_and_empty_segments),
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_damage_is_stepped_over),
        cmocka_unit_test(test_a_line_that_is_being_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
