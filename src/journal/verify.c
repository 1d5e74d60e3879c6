/*
 * Verifying the chain: see journal-file.h. Streams; one hash per line and no JSON parser.
 *
 * Each line is checked by itself first (its shape, its own hash over its own prev), then against
 * the line before it (seq one higher, prev equal). So an edit, a removal, a repetition and a
 * different order are told apart. After a problem the chain is taken up again at the next line
 * that is a record, and only the first problem is described.
 */
#include "journal/journal-file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "journal/line.h"
#include "journal/segments.h"

typedef struct Verifier {
    JournalWalk walk;
    JournalCheck *check;
    const JournalHead *expected;
    bool expected_seen;
    bool linked;        /* check->head is the record of the line before */
    bool segment_begun; /* the next record is the first one of its segment */
} Verifier;

__attribute__((format(printf, 4, 0))) static void
describe(char **where, const Verifier *verifier, bool line, const char *format, va_list arguments)
{
    Buffer text = BUFFER_EMPTY(1024);
    char message[512];

    if (*where)
        return;
    if (vsnprintf(message, sizeof message, format, arguments) < 0)
        message[0] = '\0';
    if (verifier) {
        const char *name = verifier->walk.name;
        text_display(&text, name, strlen(name), 0);
        if (line)
            buffer_printf(&text, ":%llu", (unsigned long long)verifier->walk.line_number);
        buffer_puts(&text, ": ");
    }
    buffer_puts(&text, message);
    *where = buffer_take_string(&text);
}

/* A problem; the first is described: at the line, in the segment (`line` false), or in all. */
__attribute__((format(printf, 4, 5))) static void
problem(JournalCheck *check, const Verifier *verifier, bool line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    describe(&check->problem, verifier, line, format, arguments);
    va_end(arguments);
    check->problems++;
    check->torn_tail = false;
}

__attribute__((format(printf, 2, 3))) static void note(JournalCheck *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    describe(&check->note, NULL, false, format, arguments);
    va_end(arguments);
}

/* The very first record: 1, or the beginning of a segment before which others were removed. */
static void check_start(Verifier *verifier, const JournalLine *line)
{
    JournalCheck *check = verifier->check;
    unsigned long long seq = line->seq;

    check->first_seq = line->seq;
    if (seq == 1) {
        if (!digest_is_zero(&line->prev))
            problem(check, verifier, true, "record 1 follows on another record");
    } else if (line->segment && verifier->segment_begun) {
        check->pruned = true;
        note(check, "the chain starts at seq %llu: the %llu records before it are not here", seq,
             seq - 1);
    } else {
        problem(check, verifier, true,
                "starts with record %llu, which does not begin a segment: records were removed "
                "before it",
                seq);
    }
}

/* A record against the one before it. */
static void check_link(Verifier *verifier, const JournalLine *line)
{
    JournalCheck *check = verifier->check;
    unsigned long long before = check->head.seq, seq = line->seq;

    if (seq > before + 1)
        problem(check, verifier, true, "records %llu to %llu are missing", before + 1, seq - 1);
    else if (seq <= before)
        problem(check, verifier, true, "record %llu comes after record %llu: repeated or moved",
                seq, before);
    else if (!journal_same_digest(&line->prev, &check->head.hash))
        problem(check, verifier, true, "record %llu does not follow on the record before it", seq);
}

static void check_expected(Verifier *verifier, const JournalLine *line)
{
    if (!verifier->expected || line->seq != verifier->expected->seq)
        return;
    verifier->expected_seen = true;
    if (!journal_same_digest(&line->hash, &verifier->expected->hash))
        problem(verifier->check, verifier, true, "record %llu is not the one that the head names",
                (unsigned long long)line->seq);
}

static void check_line(Verifier *verifier)
{
    JournalCheck *check = verifier->check;
    JournalLine line;

    if (journal_line_parse(verifier->walk.line, verifier->walk.size, &line) < 0) {
        problem(check, verifier, true, "is no record");
        return;
    }
    check->records++;
    Digest right = journal_line_digest(verifier->walk.line, &line);
    if (!journal_same_digest(&right, &line.hash))
        problem(check, verifier, true, "record %llu was changed: its hash does not match",
                (unsigned long long)line.seq);
    if (verifier->linked)
        check_link(verifier, &line);
    else
        check_start(verifier, &line);
    uint64_t number = verifier->walk.number;
    if (verifier->segment_begun && number > 0 && number != line.seq)
        problem(check, verifier, true, "the segment's name says that record %llu comes first",
                (unsigned long long)number);
    check_expected(verifier, &line);
    verifier->linked = true;
    verifier->segment_begun = false;
    check->head = (JournalHead){.seq = line.seq, .hash = line.hash};
}

static void check_torn(Verifier *verifier)
{
    JournalCheck *check = verifier->check;
    bool only = check->problems == 0 && verifier->walk.number == 0;

    verifier->walk.line_number++;
    problem(check, verifier, true,
            "the last line is incomplete (%zu bytes): torn by a crash, or cut",
            verifier->walk.size);
    check->torn_tail = only;
}

static void check_end(Verifier *verifier)
{
    JournalCheck *check = verifier->check;
    const JournalHead *expected = verifier->expected;
    unsigned long long last = check->head.seq;

    if (!expected || expected->seq == 0 || verifier->expected_seen)
        return;
    unsigned long long wanted = expected->seq;
    if (last < wanted)
        problem(check, NULL, false,
                "the journal ends with record %llu but the head names record %llu: its tail was "
                "removed",
                last, wanted);
    else
        problem(check, NULL, false, "record %llu, which the head names, is not in the journal",
                wanted);
}

static int verify_steps(Verifier *verifier)
{
    int step;

    while ((step = journal_walk_next(&verifier->walk)) > JOURNAL_STEP_END) {
        switch ((JournalStep)step) {
        case JOURNAL_STEP_SEGMENT:
            verifier->check->segments++;
            verifier->segment_begun = true;
            break;
        case JOURNAL_STEP_LINE:
            check_line(verifier);
            break;
        case JOURNAL_STEP_OVERSIZE:
            problem(verifier->check, verifier, true, "is longer than any record");
            break;
        case JOURNAL_STEP_TORN:
            check_torn(verifier);
            break;
        case JOURNAL_STEP_MISSING:
            problem(verifier->check, verifier, false, "the current segment is missing");
            break;
        case JOURNAL_STEP_END:
            break;
        }
    }
    return step;
}

int journal_verify(const char *path, const JournalHead *expected, JournalCheck *ret)
{
    Verifier verifier = {.check = ret, .expected = expected};

    *ret = (JournalCheck){0};
    if (sodium_init() < 0)
        return -ENOMEM;
    int result = journal_walk_begin(&verifier.walk, path);
    if (result == 0)
        result = verify_steps(&verifier);
    if (result == 0)
        check_end(&verifier);
    ret->bytes = verifier.walk.bytes;
    ret->ok = result == 0 && ret->problems == 0;
    journal_walk_done(&verifier.walk);
    if (result < 0)
        journal_check_done(ret);
    return result;
}

void journal_check_done(JournalCheck *check)
{
    free(check->problem);
    free(check->note);
    check->problem = check->note = NULL;
}
