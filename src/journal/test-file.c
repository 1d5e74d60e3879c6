/*
 * The files: creation and its refusals, recovery after a crash at every byte, rotation, the head.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "journal/test-support.h"

#define NO_GROUP ((gid_t)-1)

static const size_t five[] = {5};
static const size_t three_segments[] = {3, 2, 4};

/* Opens, closes, and tells what was found. */
static JournalHead recover(const Place *place, const JournalHead *saved, JournalRecovery *recovery)
{
    JournalHead head;
    _cleanup_fd_ int fd = journal_file_open(place->path, NO_GROUP, saved, &head, recovery);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return head;
}

/* Opens and appends `count` records, as a warden would. */
static void go_on(const Place *place, size_t count)
{
    JournalHead head;
    JournalRecovery recovery;
    Journal *journal;
    JournalRecord record = {.event = JOURNAL_START};

    int fd = journal_file_open(place->path, NO_GROUP, NULL, &head, &recovery);
    assert_true(fd >= 0);
    assert_int_equal(journal_open_take(&journal, fd, &head, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(journal_append(journal, &record, false, NULL, NULL), 0);
    assert_null(journal_close(journal));
}

/* The only file whose name begins with audit.log.torn-, as bytes; NULL: there is none. */
static char *read_torn(const Place *place, size_t *ret_size)
{
    _cleanup_(closedirp)
    DIR *directory = opendir(place->directory);
    char *found = NULL;

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strncmp(entry->d_name, "audit.log.torn-", 15) != 0)
            continue;
        assert_null(found);
        found = read_file(place_path(place, entry->d_name), ret_size);
        assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
    }
    return found;
}

static void test_creation(void **state)
{
    Place *place = *state;
    JournalHead head;
    JournalRecovery recovery;
    struct stat status;
    const char *path = place_path(place, "log/audit.log");

    mode_t before = umask(077);
    _cleanup_fd_ int fd = journal_file_open(path, getgid(), NULL, &head, &recovery);
    (void)umask(before);
    assert_true(fd >= 0);
    assert_int_equal(head.seq, 0);
    assert_true(digest_is_zero(&head.hash));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(stat(place_path(place, "log"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0750);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(place_path(place, "log")), 0);
    /* Only the last directory is made. */
    assert_int_equal(
        journal_file_open(place_path(place, "a/b/audit.log"), NO_GROUP, NULL, &head, &recovery),
        -ENOENT);
    assert_int_equal(journal_file_open("", NO_GROUP, NULL, &head, &recovery), -EINVAL);
}

static int open_result(const char *path)
{
    JournalHead head;
    JournalRecovery recovery;
    _cleanup_fd_ int fd = journal_file_open(path, NO_GROUP, NULL, &head, &recovery);
    return fd < 0 ? fd : 0;
}

static void test_refusals(void **state)
{
    Place *place = *state;

    write_file(place_path(place, "target"), "", 0);
    assert_int_equal(symlink("target", place->path), 0);
    assert_int_equal(open_result(place->path), -ELOOP);
    assert_int_equal(journal_file_rotate(place->path, NO_GROUP), -ELOOP);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(symlink("nowhere", place->path), 0);
    assert_int_equal(open_result(place->path), -ELOOP);
    assert_int_equal(unlink(place->path), 0);

    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_int_equal(open_result(place->path), -EINVAL);
    assert_int_equal(unlink(place->path), 0);

    write_file(place->path, "", 0);
    assert_int_equal(chmod(place->path, 0660), 0);
    assert_int_equal(open_result(place->path), -EPERM);
    assert_int_equal(chmod(place->path, 0642), 0);
    assert_int_equal(open_result(place->path), -EPERM);
    assert_int_equal(chmod(place->path, 0640), 0);
    assert_int_equal(open_result(place->path), 0);

    assert_int_equal(chmod(place->directory, 01777), 0);
    assert_int_equal(open_result(place->path), -EPERM);
    assert_int_equal(chmod(place->directory, 0770), 0);
    assert_int_equal(open_result(place->path), -EPERM);
    assert_int_equal(chmod(place->directory, 0750), 0);

    assert_int_equal(symlink(place->directory, place_path(place, "link")), 0);
    assert_int_equal(open_result(place_path(place, "link/audit.log")), -ELOOP);
    if (geteuid() == 0) { /* somebody else's file or directory */
        assert_int_equal(chown(place->path, 1000, 1000), 0);
        assert_int_equal(open_result(place->path), -EPERM);
        assert_int_equal(chown(place->path, 0, 0), 0);
        assert_int_equal(chown(place->directory, 1000, 1000), 0);
        assert_int_equal(open_result(place->path), -EPERM);
        assert_int_equal(chown(place->directory, 0, 0), 0);
    }
    assert_int_equal(open_result(place->path), 0);
}

/* A crash leaves any beginning of the file. */
static void test_crash_at_every_byte(void **state)
{
    Place *place = *state;
    JournalHead whole[4] = {{0}};
    size_t ends[4] = {0}, size = 0;
    Buffer bytes = BUFFER_EMPTY((size_t)1 << 20);

    for (size_t i = 1; i < 4; i++) {
        whole[i] = whole[i - 1];
        _cleanup_free_ char *line = make_lines(&whole[i], 1, i == 1, &size);
        buffer_put(&bytes, line, size);
        ends[i] = buffer_size(&bytes);
    }
    for (size_t cut = 0; cut <= ends[3]; cut++) {
        JournalRecovery recovery;
        size_t last = 0, torn_size = 0;
        while (last < 3 && ends[last + 1] <= cut)
            last++;
        write_file(place->path, buffer_head(&bytes), cut);
        JournalHead head = recover(place, NULL, &recovery);
        assert_memory_equal(&head, &whole[last], sizeof head);
        assert_int_equal(recovery.torn_bytes, cut - ends[last]);
        assert_int_equal(recovery.last_seq, last);
        _cleanup_free_ char *torn = read_torn(place, &torn_size);
        assert_int_equal(torn_size, cut - ends[last]);
        assert_int_equal(recovery.torn_saved, torn != NULL);
        if (torn)
            assert_memory_equal(torn, buffer_head(&bytes) + ends[last], torn_size);
        if (cut % 16 == 0) {
            go_on(place, 2);
            assert_verifies(place, last + 2);
        }
    }
    buffer_done(&bytes);
}

static void test_strange_tails(void **state)
{
    Place *place = *state;
    JournalRecovery recovery;
    JournalHead right = write_chain(place, five, 1);
    size_t size;
    _cleanup_free_ char *good = read_file(place->path, &size);
    static const char nuls[4096];

    /* NULs, as some file systems leave after a power failure. */
    _cleanup_fd_ int fd = open(place->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, nuls, sizeof nuls), 0);
    JournalHead head = recover(place, NULL, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_int_equal(recovery.torn_bytes, sizeof nuls);
    free(read_torn(place, &size));

    /* Whole lines that are no records stay where they are, as evidence. */
    assert_int_equal(fd_write_all(fd, "\0\0\n{\"seq\":6,\"x\":1}\nhalf", 23), 0);
    head = recover(place, NULL, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_int_equal(recovery.damaged_lines, 2);
    assert_int_equal(recovery.torn_bytes, 4);
    free(read_torn(place, &size));
    go_on(place, 1);
    assert_problem(place, NULL, "audit.log:6: is no record");

    /* A last record that was edited: the chain goes on from the one before it. */
    size = strlen(good);
    good[size - 300] ^= 1;
    write_file(place->path, good, size);
    head = recover(place, NULL, &recovery);
    assert_int_equal(head.seq, 4);
    assert_int_equal(recovery.damaged_lines, 1);

    /* Nothing but garbage. */
    write_file(place->path, "garbage\n\n\n", 10);
    head = recover(place, NULL, &recovery);
    assert_int_equal(head.seq, 0);
    assert_int_equal(recovery.damaged_lines, 3);
}

static void test_long_lines(void **state)
{
    Place *place = *state;
    JournalRecovery recovery;
    size_t size = JOURNAL_LINE_MAX + 100;
    JournalHead right = write_chain(place, five, 1);
    _cleanup_free_ char *large = malloc(size);

    assert_non_null(large);
    memset(large, 'x', size);
    large[size - 1] = '\n';
    _cleanup_fd_ int fd = open(place->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, large, size), 0);
    JournalHead head = recover(place, NULL, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_int_equal(recovery.damaged_lines, 1);
    assert_int_equal(fd_write_all(fd, large, 100000), 0); /* a long torn one */
    head = recover(place, NULL, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_int_equal(recovery.torn_bytes, 100000);
}

/* The end of a file of many gigabytes (a hole) is found at once. */
static void test_large_file(void **state)
{
    Place *place = *state;
    JournalRecovery recovery;
    JournalHead right = {.seq = 1000000};
    size_t size;
    _cleanup_free_ char *lines = make_lines(&right, 3, false, &size);

    _cleanup_fd_ int fd = open(place->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (pwrite(fd, "\n", 1, (off_t)20 << 30) < 0)
        skip(); /* this file system has no room for holes */
    assert_int_equal(pwrite(fd, lines, size, ((off_t)20 << 30) + 1), size);
    uint64_t begun = clock_monotonic_ms();
    JournalHead head = recover(place, NULL, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_true(clock_monotonic_ms() - begun < 1000);
    assert_int_equal(truncate(place->path, 0), 0);
}

static void test_segments(void **state)
{
    Place *place = *state;
    JournalRecovery recovery;
    JournalHead right = write_chain(place, three_segments, 3);

    JournalHead head = recover(place, &right, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_false(recovery.behind_head || recovery.head_differs);

    /* Rotated, and nothing written yet; and a crash before the new one was made. */
    _cleanup_fd_ int fd = journal_file_rotate(place->path, NO_GROUP);
    assert_true(fd >= 0);
    assert_true(file_exists(place_path(place, "audit.log.00000000000000000006")));
    head = recover(place, &right, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    assert_false(recovery.behind_head || recovery.head_differs);
    assert_int_equal(unlink(place->path), 0);
    head = recover(place, &right, &recovery);
    assert_memory_equal(&head, &right, sizeof head);
    go_on(place, 2);
    assert_verifies(place, 11);

    /* The saved head may lie in an older segment. */
    JournalHead old = {.seq = 3, .hash = {{1}}};
    (void)recover(place, &old, &recovery);
    assert_true(recovery.head_differs);
}

static void test_rotation(void **state)
{
    Place *place = *state;
    size_t size;

    /* An empty segment is not rotated. */
    _cleanup_fd_ int empty = journal_file_rotate(place->path, NO_GROUP);
    assert_true(empty >= 0);
    _cleanup_fd_ int again = journal_file_rotate(place->path, NO_GROUP);
    assert_true(again >= 0);
    go_on(place, 3);
    _cleanup_fd_ int second = journal_file_rotate(place->path, NO_GROUP);
    assert_true(second >= 0);
    assert_true(file_exists(place_path(place, "audit.log.00000000000000000001")));
    go_on(place, 3);
    assert_verifies(place, 6);

    /* A name that is taken is never overwritten. */
    write_file(place_path(place, "audit.log.00000000000000000004"), "x", 1);
    assert_int_equal(journal_file_rotate(place->path, NO_GROUP), -EEXIST);
    assert_int_equal(unlink(place_path(place, "audit.log.00000000000000000004")), 0);

    /* A file without a record is no segment. */
    write_file(place->path, "half a line", 11);
    _cleanup_fd_ int third = journal_file_rotate(place->path, NO_GROUP);
    assert_true(third >= 0);
    _cleanup_free_ char *torn = read_torn(place, &size);
    assert_non_null(torn);
    /* One whose first line is damaged still is. */
    JournalHead head = {.seq = 8};
    _cleanup_free_ char *lines = make_lines(&head, 2, true, &size);
    lines[0] = '[';
    write_file(place->path, lines, size);
    _cleanup_fd_ int fourth = journal_file_rotate(place->path, NO_GROUP);
    assert_true(fourth >= 0);
    assert_true(file_exists(place_path(place, "audit.log.00000000000000000010")));
}

static void test_saved_head(void **state)
{
    Place *place = *state;
    JournalRecovery recovery;
    JournalHead right = write_chain(place, five, 1), saved, head;
    size_t size;
    _cleanup_free_ char *bytes = read_file(place->path, &size);

    head = recover(place, &right, &recovery);
    assert_false(recovery.behind_head || recovery.head_differs || recovery.clean_stop);
    saved = right;
    saved.hash.bytes[0] ^= 1;
    (void)recover(place, &saved, &recovery);
    assert_true(recovery.head_differs);
    saved = (JournalHead){.seq = 2, .hash = right.hash};
    (void)recover(place, &saved, &recovery);
    assert_true(recovery.head_differs && !recovery.behind_head);

    /* The tail was removed: no seq is given twice, and the gap stays visible. */
    write_file(place->path, bytes, (size_t)((char *)memchr(bytes, '\n', size) + 1 - bytes));
    head = recover(place, &right, &recovery);
    assert_true(recovery.behind_head);
    assert_int_equal(recovery.last_seq, 1);
    assert_memory_equal(&head, &right, sizeof head);
    assert_int_equal(unlink(place->path), 0); /* all of it was */
    head = recover(place, &right, &recovery);
    assert_true(recovery.behind_head);
    assert_memory_equal(&head, &right, sizeof head);
}

static void test_clean_stop(void **state)
{
    Place *place = *state;
    JournalHead head;
    JournalRecovery recovery;
    Journal *journal;
    JournalRecord record = {.event = JOURNAL_STOP};

    int fd = journal_file_open(place->path, NO_GROUP, NULL, &head, &recovery);
    assert_int_equal(journal_open_take(&journal, fd, &head, NULL), 0);
    assert_int_equal(journal_append(journal, &record, true, NULL, NULL), 0);
    assert_null(journal_close(journal));
    (void)recover(place, NULL, &recovery);
    assert_true(recovery.clean_stop);
    go_on(place, 1);
    (void)recover(place, NULL, &recovery);
    assert_false(recovery.clean_stop);
}

static void test_head_file(void **state)
{
    Place *place = *state;
    JournalHead head = {.seq = 12, .hash = {{0xaa}}}, loaded;
    static const char *const bad[] = {"", "12", "x:y", "\n"};

    assert_int_equal(journal_head_load(place->head_path, &loaded), 1);
    assert_int_equal(journal_head_save(place->head_path, &head), 0);
    assert_int_equal(journal_head_load(place->head_path, &loaded), 0);
    assert_memory_equal(&loaded, &head, sizeof head);
    write_file(place_path(place, "journal.head.new"), "left by a crash", 15);
    head.seq = 13;
    assert_int_equal(journal_head_save(place->head_path, &head), 0);
    assert_int_equal(journal_head_load(place->head_path, &loaded), 0);
    assert_int_equal(loaded.seq, 13);
    assert_false(file_exists(place_path(place, "journal.head.new")));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        write_file(place->head_path, bad[i], strlen(bad[i]));
        assert_int_equal(journal_head_load(place->head_path, &loaded), -EBADMSG);
    }
    _cleanup_free_ char *large = calloc(1, 100000);
    write_file(place->head_path, large, 100000);
    assert_int_equal(journal_head_load(place->head_path, &loaded), -EBADMSG);
    assert_int_equal(journal_head_save(place_path(place, "no/head"), &head), -ENOENT);
}

/* In a mount namespace of its own: a small tmpfs, full and read-only. 77: not possible here. */
static int on_a_small_disk(const Place *place)
{
    JournalHead head;
    JournalRecovery recovery;
    static const char zeros[4096];

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", place->directory, "tmpfs", 0, "size=64k,mode=0750") < 0)
        return 77;
    JournalHead right = write_chain(place, five, 1);
    int fd = open(place->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    while (write(fd, zeros, sizeof zeros) > 0)
        ; /* a torn line on a full disk: nothing can be saved, but the chain goes on */
    (void)close(fd);
    fd = journal_file_open(place->path, NO_GROUP, NULL, &head, &recovery);
    if (fd < 0 || head.seq != right.seq || recovery.torn_bytes == 0 || recovery.torn_saved)
        return 1;
    (void)close(fd);
    if (mount(NULL, place->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
        return 2;
    return journal_file_open(place->path, NO_GROUP, NULL, &head, &recovery) == -EROFS ? 0 : 3;
}

static void test_full_and_read_only(void **state)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(on_a_small_disk(*state));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_creation),      TEST(test_refusals),   TEST(test_crash_at_every_byte),
        TEST(test_strange_tails), TEST(test_long_lines), TEST(test_large_file),
        TEST(test_segments),      TEST(test_rotation),   TEST(test_saved_head),
        TEST(test_clean_stop),    TEST(test_head_file),  TEST(test_full_and_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
