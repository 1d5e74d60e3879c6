/*
 * Arbitrary bytes as the journal's files: reading, recovery, verification, and going on.
 *
 * Input: a little-endian u16 that says how many of the following bytes are an older segment
 * (audit.log.…1); the rest is the current one. Checked: recovery never leaves half a line; what
 * verified before recovery still does, with the same head; a record appended where recovery says
 * the chain ends makes a good chain out of a good one; a head is read back as it was written.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "journal/journal-file.h"
#include "journal/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#undef assert /* also in builds without it */
#define assert(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "fuzz-journal: %s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef struct World {
    char directory[64], current[96], older[128];
} World;

static void make_directory(World *world)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(world->directory, sizeof world->directory, "%s/fuzz-journal.XXXXXX", base);
    assert(mkdtemp(world->directory));
    (void)snprintf(world->current, sizeof world->current, "%s/audit.log", world->directory);
    (void)snprintf(world->older, sizeof world->older, "%s.%020d", world->current, 1);
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    _cleanup_(fclosep)
    FILE *file = fopen(path, "we");
    assert(file);
    assert(fwrite(bytes, 1, size, file) == size);
}

static int count_line(const char *line, size_t size, void *userdata)
{
    JournalLine parsed;
    (void)journal_line_check(line, size, &parsed);
    (void)journal_line_is_event(line, size, JOURNAL_STOP);
    (*(size_t *)userdata)++;
    return 0;
}

static void check_head_text(const JournalHead *head)
{
    char text[JOURNAL_HEAD_TEXT_MAX];
    JournalHead read_back;

    (void)journal_head_format(head, text);
    assert(journal_head_parse(text, strlen(text), &read_back) == 0);
    assert(read_back.seq == head->seq && digest_equal(&read_back.hash, &head->hash));
}

/* Recovers and appends one record. Returns the head that recovery found. */
static JournalHead go_on(const World *world, bool torn)
{
    static const char body[] = "\"ts\":\"T\",\"event\":\"start\"";
    Buffer line = BUFFER_EMPTY(4096);
    JournalHead head, next;
    JournalRecovery recovery;
    JournalMarks marks = {.segment = false};
    struct stat status;

    _cleanup_fd_ int fd = journal_file_open(world->current, (gid_t)-1, NULL, &head, &recovery);
    assert(fd >= 0);
    assert((recovery.torn_bytes > 0) == torn);
    assert(fstat(fd, &status) == 0);
    next = head;
    if (status.st_size == 0)
        marks.segment = true;
    journal_line_put(&line, &next, body, sizeof body - 1, &marks);
    assert(line.error == 0);
    assert(fd_write_all(fd, buffer_head(&line), buffer_size(&line)) == 0);
    buffer_done(&line);
    return head;
}

static void run(const World *world, bool torn)
{
    JournalCheck before = {0}, after;
    size_t lines = 0;

    /* A torn tail makes the reader wait for the rest of it: only after it was cut. */
    if (!torn) {
        assert(journal_verify(world->current, NULL, &before) == 0);
        assert(journal_each_line(world->current, count_line, &lines) == 0);
        assert(before.ok == (before.problem == NULL));
        assert(lines >= before.records);
    }
    JournalHead head = go_on(world, torn);
    check_head_text(&head);
    assert(journal_verify(world->current, NULL, &after) == 0);
    assert(!after.torn_tail);
    if (before.ok && before.head.seq < INT64_MAX) {
        assert(head.seq == before.head.seq);
        assert(digest_equal(&head.hash, &before.head.hash));
        assert(after.ok && after.records == before.records + 1);
    }
    journal_check_done(&before);
    journal_check_done(&after);
}

/* Removes what recovery saved. */
static void remove_all(const World *world)
{
    _cleanup_(closedirp)
    DIR *directory = opendir(world->directory);
    assert(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    assert(rmdir(world->directory) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    World world = {0};
    JournalHead head;

    if (size < 2 || sodium_init() < 0)
        return 0;
    size_t older = (size_t)data[0] | (size_t)data[1] << 8;
    data += 2;
    size -= 2;
    if (older > size)
        older = size;
    (void)journal_head_parse((const char *)data, size, &head);
    make_directory(&world);
    bool older_torn = older > 0 && data[older - 1] != '\n';
    if (older > 0 && !older_torn)
        write_bytes(world.older, data, older);
    write_bytes(world.current, data + older, size - older);
    run(&world, size > older && data[size - 1] != '\n');
    remove_all(&world);
    return 0;
}
