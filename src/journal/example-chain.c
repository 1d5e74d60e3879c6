/*
 * Writes a small journal to the file that is named, for the test of the example in
 * docs/journal.md.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "journal/journal-file.h"

int main(int argc, char **argv)
{
    static const char *const words[] = {"echo", "a \",\"hash\":\"b\"", "\xff"};
    JournalRecord record = {.event = JOURNAL_JUDGED, .argv = words, .argc = 3};
    JournalHead head;
    JournalRecovery recovery;
    Journal *journal;

    int fd = argc == 2 ? journal_file_open(argv[1], (gid_t)-1, NULL, &head, &recovery) : -EINVAL;
    if (fd < 0 || journal_open_take(&journal, fd, &head, NULL) < 0) {
        (void)fprintf(stderr, "example-chain: %s\n", strerror(fd < 0 ? -fd : ENOMEM));
        return 1;
    }
    for (int i = 0; i < 5; i++)
        (void)journal_append(journal, &record, false, NULL, NULL);
    (void)journal_close(journal);
    return 0;
}
