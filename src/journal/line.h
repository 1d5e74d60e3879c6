/*
 * One line of the journal: composing it, and taking it apart without a JSON parser.
 *
 *   {"seq":N,"ts":"…","event":"…",… [,"late":true] [,"of":N] [,"segment":true]
 *    ,"prev":"64 hex digits","hash":"64 hex digits"}\n
 *
 * The end has a fixed size, so `prev` and `hash` are found by counting from the newline; a quote
 * inside a JSON string is always escaped, so no record's content can imitate them. `hash` covers
 * the 32 bytes of the previous hash and all of the line's bytes before `,"hash":"`; the bytes
 * after that have exactly one valid form, so a change of any byte is seen.
 */
#pragma once

#include <string.h>

#include "journal/journal.h"

/* Longer lines are no records: an argv of 6 MiB (the protocol's limit) in the worst escaping
 * (six bytes for one) fits. */
#define JOURNAL_LINE_MAX ((size_t)64 << 20)

/* What the writer adds to a line by itself. */
typedef struct JournalMarks {
    bool late;    /* "late":true: the caller was told that this could not be recorded */
    uint64_t of;  /* "of":N: a second copy of record N (0: none) */
    bool segment; /* "segment":true: the first record of a segment */
} JournalMarks;

/* The line's members from ts to message, without braces: all that the loop thread knows. */
void journal_body_put(Buffer *body, const JournalRecord *record, const char *time_text);

/* The whole line that follows on `head`, and moves `head` to it (unless `lines` failed). */
void journal_line_put(Buffer *lines, JournalHead *head, const char *body, size_t body_size,
                      const JournalMarks *marks);

/* The most that journal_line_put() adds to a body. */
#define JOURNAL_LINE_OVERHEAD 320

typedef struct JournalLine {
    uint64_t seq;
    size_t covered; /* bytes of the line that the hash covers */
    Digest prev, hash;
    bool segment;
} JournalLine;

/* Takes a line (without its newline) apart. 0, or -EBADMSG when it does not have a record's
 * shape. Says nothing about the hash. */
int journal_line_parse(const char *line, size_t size, JournalLine *ret);
/* What the hash of a parsed line must be. */
Digest journal_line_digest(const char *line, const JournalLine *parsed);
/* Both: 0 when the line is a record whose own hash is right, else -EBADMSG. */
int journal_line_check(const char *line, size_t size, JournalLine *ret);

/* digest_equal() takes constant time, which digests that everybody may read do not need. */
static inline bool journal_same_digest(const Digest *a, const Digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

/* The seq a line begins with, from its first bytes alone (the line may be cut). 0: none. */
uint64_t journal_line_seq(const char *line, size_t size);
/* True when the line's event is `event`. */
bool journal_line_is_event(const char *line, size_t size, JournalEvent event);

/* A line's seq, and into the two its event and its jail ("": none). 0: not a record's beginning. */
#define JOURNAL_EVENT_SIZE 16
#define JOURNAL_JAIL_SIZE 64
uint64_t journal_line_about(const char *line, size_t size, char event[static JOURNAL_EVENT_SIZE],
                            char jail[static JOURNAL_JAIL_SIZE]);

/* "SEQ:HEX": a head as text. 0 or -EBADMSG. */
int journal_head_parse(const char *text, size_t size, JournalHead *ret);
/* `text` has room for JOURNAL_HEAD_TEXT_MAX. */
#define JOURNAL_HEAD_TEXT_MAX (20 + 1 + 2 * DIGEST_SIZE + 1)
const char *journal_head_format(const JournalHead *head, char *text);
