/*
 * See line.h.
 */
#include "journal/line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define HEX_SIZE ((size_t)2 * DIGEST_SIZE)
#define SEQ_OPEN "{\"seq\":"
#define PREV_OPEN ",\"prev\":\""
#define HASH_OPEN ",\"hash\":\""
#define LINE_CLOSE "\"}"
#define SEGMENT_MARK ",\"segment\":true"
#define SEQ_MAX ((uint64_t)INT64_MAX)
#define SIZE_OF(literal) (sizeof(literal) - 1)

/* The fixed end of a line: ,"prev":"HEX","hash":"HEX"} */
#define TAIL_SIZE (TAIL_COVERED + SIZE_OF(HASH_OPEN) + HEX_SIZE + SIZE_OF(LINE_CLOSE))
/* The part of it that the hash covers: ,"prev":"HEX" */
#define TAIL_COVERED (SIZE_OF(PREV_OPEN) + HEX_SIZE + SIZE_OF("\""))

static const char *const event_names[JOURNAL_EVENT_MAX_] = {
    [JOURNAL_RECEIVED] = "received",   [JOURNAL_JUDGED] = "judged",
    [JOURNAL_ASKED] = "asked",         [JOURNAL_DECIDED] = "decided",
    [JOURNAL_STARTED] = "started",     [JOURNAL_ENDED] = "ended",
    [JOURNAL_DENIED] = "denied",       [JOURNAL_EXPIRED] = "expired",
    [JOURNAL_CANCELLED] = "cancelled", [JOURNAL_KILLED] = "killed",
    [JOURNAL_DRIFT] = "drift",         [JOURNAL_REFUSED] = "refused",
    [JOURNAL_LATE] = "late",           [JOURNAL_GRANT] = "grant",
    [JOURNAL_LOGIN] = "login",         [JOURNAL_CONFIG] = "config",
    [JOURNAL_START] = "start",         [JOURNAL_STOP] = "stop",
    [JOURNAL_RECOVERY] = "recovery",   [JOURNAL_PAUSED] = "paused",
    [JOURNAL_RESUMED] = "resumed",     [JOURNAL_CONTAINER] = "container",
};

const char *journal_event_name(JournalEvent event)
{
    return (unsigned)event < JOURNAL_EVENT_MAX_ ? event_names[event] : "unknown";
}

static void put_digest(Buffer *body, const char *name, const Digest *digest)
{
    char hex[DIGEST_HEX_SIZE];
    if (digest)
        json_put_member(body, name, digest_format(digest, hex));
}

static void put_text(Buffer *body, const char *name, const char *text)
{
    if (text)
        json_put_member(body, name, text);
}

static void put_caller(Buffer *body, const JournalRecord *record)
{
    if (!record->has_caller)
        return;
    json_put_member_u64(body, "uid", record->uid);
    json_put_member_u64(body, "gid", record->gid);
    json_put_member_i64(body, "pid", record->pid);
}

static void put_end(Buffer *body, const JournalRecord *record)
{
    if (record->has_exit_code)
        json_put_member_i64(body, "exit_code", record->exit_code);
    if (record->has_signal)
        json_put_member_i64(body, "signal", record->signal);
    if (record->has_duration)
        json_put_member_u64(body, "duration_ms", record->duration_ms);
    if (record->timeout_violation)
        json_put_member_bool(body, "timeout_violation", true);
    if (record->has_leftovers)
        json_put_member_u64(body, "leftovers", record->leftovers);
}

void journal_body_put(Buffer *body, const JournalRecord *record, const char *time_text)
{
    put_text(body, "ts", time_text);
    put_text(body, "event", journal_event_name(record->event));
    put_text(body, "request", record->request);
    put_text(body, "jail", record->jail);
    put_text(body, "container", record->container);
    put_caller(body, record);
    put_text(body, "command", record->command);
    if (record->argv)
        json_put_member_argv(body, "argv", record->argv, record->argc);
    if (record->argv_more > 0)
        json_put_member_u64(body, "argv_more", record->argv_more);
    put_digest(body, "command_digest", record->command_digest);
    put_text(body, "cwd", record->cwd);
    put_text(body, "exe", record->exe);
    put_digest(body, "exe_digest", record->exe_digest);
    put_digest(body, "binding", record->binding);
    put_text(body, "verdict", record->verdict);
    put_text(body, "rule", record->rule);
    put_text(body, "reason", record->reason);
    put_text(body, "approval", record->approval);
    put_text(body, "grant", record->grant);
    if (record->waiters > 0)
        json_put_member_u64(body, "waiters", record->waiters);
    put_text(body, "approver", record->approver);
    put_text(body, "via", record->via);
    put_text(body, "executor", record->executor);
    put_end(body, record);
    put_text(body, "message", record->message);
}

/* Lower-case hex by table: digest_format() takes constant time, which nothing here needs. */
static void put_hex(char *text, const Digest *digest)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
}

/* The value of a lower-case hex digit plus one; 0: not one. */
static const unsigned char hex_values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* Only lower case: every digest has one valid text. The hot path of verifying: no branches. */
static int parse_hex(const char *text, Digest *ret)
{
    const unsigned char *digits = (const unsigned char *)text;
    unsigned bad = 0;

    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        unsigned high = hex_values[digits[2 * i]] - 1U, low = hex_values[digits[2 * i + 1]] - 1U;
        ret->bytes[i] = (unsigned char)(high << 4 | low);
        bad |= high | low;
    }
    return bad > 15 ? -EBADMSG : 0;
}

static Digest line_digest(const Digest *prev, const char *line, size_t covered)
{
    DigestState state;
    digest_begin(&state);
    digest_add(&state, prev->bytes, DIGEST_SIZE);
    digest_add(&state, line, covered);
    return digest_end(&state);
}

void journal_line_put(Buffer *lines, JournalHead *head, const char *body, size_t body_size,
                      const JournalMarks *marks)
{
    char number[32], hex[HEX_SIZE];
    uint64_t seq = head->seq + 1;
    char *room = buffer_reserve(lines, body_size + JOURNAL_LINE_OVERHEAD);

    if (!room)
        return;
    size_t begun = buffer_size(lines);
    buffer_puts(lines, "{"); /* then json_put_name() puts no comma */
    json_put_member_u64(lines, "seq", seq);
    buffer_put_u8(lines, ',');
    buffer_put(lines, body, body_size);
    if (marks->late)
        buffer_puts(lines, ",\"late\":true");
    if (marks->of > 0) {
        (void)snprintf(number, sizeof number, ",\"of\":%llu", (unsigned long long)marks->of);
        buffer_puts(lines, number);
    }
    if (marks->segment)
        buffer_puts(lines, SEGMENT_MARK);
    buffer_puts(lines, PREV_OPEN);
    put_hex(hex, &head->hash);
    buffer_put(lines, hex, HEX_SIZE);
    buffer_put_u8(lines, '"');
    Digest hash = line_digest(&head->hash, buffer_head(lines) + begun, buffer_size(lines) - begun);
    buffer_puts(lines, HASH_OPEN);
    put_hex(hex, &hash);
    buffer_put(lines, hex, HEX_SIZE);
    buffer_puts(lines, LINE_CLOSE "\n");
    *head = (JournalHead){.seq = seq, .hash = hash};
}

/* Decimal digits without leading zeros; 0 when there is no such number, or none that every JSON
 * reader can hold. */
static uint64_t parse_seq(const char *text, size_t size, size_t *ret_used)
{
    uint64_t value = 0;
    size_t used = 0;

    if (size == 0 || text[0] == '0')
        return 0;
    for (; used < size && text[used] >= '0' && text[used] <= '9'; used++) {
        uint64_t digit = (uint64_t)(text[used] - '0');
        if (value > (SEQ_MAX - digit) / 10)
            return 0;
        value = value * 10 + digit;
    }
    *ret_used = used;
    return value;
}

uint64_t journal_line_seq(const char *line, size_t size)
{
    size_t used = 0;

    if (size < SIZE_OF(SEQ_OPEN) || memcmp(line, SEQ_OPEN, SIZE_OF(SEQ_OPEN)) != 0)
        return 0;
    line += SIZE_OF(SEQ_OPEN);
    size -= SIZE_OF(SEQ_OPEN);
    uint64_t seq = parse_seq(line, size, &used);
    return seq > 0 && used < size && line[used] == ',' ? seq : 0;
}

bool journal_line_is_event(const char *line, size_t size, JournalEvent event)
{
    char wanted[64];
    int wanted_size =
        snprintf(wanted, sizeof wanted, ",\"event\":\"%s\"", journal_event_name(event));

    /* seq and ts, of at most 80 bytes, come before it and cannot hold it. */
    size_t window = size < 80 + (size_t)wanted_size ? size : 80 + (size_t)wanted_size;
    return memmem(line, window, wanted, (size_t)wanted_size) != NULL;
}

/* The value of a member that may stand at `*at`, if it is text without escapes and fits. */
static void take_member(const char **at, const char *end, const char *name, char *ret, size_t most)
{
    char open[32];
    size_t size = (size_t)snprintf(open, sizeof open, ",\"%s\":\"", name);

    ret[0] = '\0';
    if ((size_t)(end - *at) < size || memcmp(*at, open, size) != 0)
        return;
    const char *value = *at + size, *quote = memchr(value, '"', (size_t)(end - value));
    if (!quote)
        return;
    size_t length = (size_t)(quote - value);
    *at = quote + 1;
    if (length >= most || memchr(value, '\\', length))
        return;
    memcpy(ret, value, length);
    ret[length] = '\0';
}

uint64_t journal_line_about(const char *line, size_t size, char event[static JOURNAL_EVENT_SIZE],
                            char jail[static JOURNAL_JAIL_SIZE])
{
    char skipped[CLOCK_TEXT_MAX];
    const char *end = line + size, *at;
    uint64_t seq = journal_line_seq(line, size);

    event[0] = jail[0] = '\0';
    if (seq == 0 || !(at = memchr(line, ',', size)))
        return 0;
    take_member(&at, end, "ts", skipped, sizeof skipped);
    take_member(&at, end, "event", event, JOURNAL_EVENT_SIZE);
    take_member(&at, end, "request", skipped, sizeof skipped);
    take_member(&at, end, "jail", jail, JOURNAL_JAIL_SIZE);
    return event[0] ? seq : 0;
}

int journal_line_parse(const char *line, size_t size, JournalLine *ret)
{
    *ret = (JournalLine){.seq = journal_line_seq(line, size)};
    if (ret->seq == 0 || size < TAIL_SIZE + SIZE_OF(SEQ_OPEN))
        return -EBADMSG;

    const char *tail = line + size - TAIL_SIZE;
    const char *prev = tail + SIZE_OF(PREV_OPEN);
    const char *hash = tail + TAIL_COVERED + SIZE_OF(HASH_OPEN);
    if (memcmp(tail, PREV_OPEN, SIZE_OF(PREV_OPEN)) != 0 || prev[HEX_SIZE] != '"' ||
        memcmp(tail + TAIL_COVERED, HASH_OPEN, SIZE_OF(HASH_OPEN)) != 0 ||
        memcmp(hash + HEX_SIZE, LINE_CLOSE, SIZE_OF(LINE_CLOSE)) != 0)
        return -EBADMSG;
    if (parse_hex(prev, &ret->prev) < 0 || parse_hex(hash, &ret->hash) < 0)
        return -EBADMSG;
    ret->covered = size - TAIL_SIZE + TAIL_COVERED;
    ret->segment = size - TAIL_SIZE >= SIZE_OF(SEGMENT_MARK) &&
                   memcmp(tail - SIZE_OF(SEGMENT_MARK), SEGMENT_MARK, SIZE_OF(SEGMENT_MARK)) == 0;
    return 0;
}

Digest journal_line_digest(const char *line, const JournalLine *parsed)
{
    return line_digest(&parsed->prev, line, parsed->covered);
}

int journal_line_check(const char *line, size_t size, JournalLine *ret)
{
    int result = journal_line_parse(line, size, ret);
    if (result < 0)
        return result;
    Digest right = journal_line_digest(line, ret);
    return journal_same_digest(&right, &ret->hash) ? 0 : -EBADMSG;
}

const char *journal_head_format(const JournalHead *head, char *text)
{
    char hex[DIGEST_HEX_SIZE];
    (void)snprintf(text, JOURNAL_HEAD_TEXT_MAX, "%llu:%s", (unsigned long long)head->seq,
                   digest_format(&head->hash, hex));
    return text;
}

int journal_head_parse(const char *text, size_t size, JournalHead *ret)
{
    size_t used = 0;

    *ret = (JournalHead){0};
    if (size > 2 && text[0] == '0' && text[1] == ':')
        used = 1;
    else if ((ret->seq = parse_seq(text, size, &used)) == 0)
        return -EBADMSG;
    if (size != used + 1 + HEX_SIZE || text[used] != ':')
        return -EBADMSG;
    return parse_hex(text + used + 1, &ret->hash);
}
