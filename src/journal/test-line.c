/*
 * One line: what a record looks like, and that a change of any byte of it is seen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "journal/test-support.h"

static void test_every_member(void **state)
{
    static const char *const argv[] = {"rm", "", "a b", "\xff"};
    Digest digest = {{0xab}};
    JournalRecord record = {.event = JOURNAL_ENDED,
                            .request = "R",
                            .jail = "j",
                            .container = "c",
                            .has_caller = true,
                            .uid = 1,
                            .gid = 2,
                            .pid = 3,
                            .command = "rm",
                            .argv = argv,
                            .argc = ARRAY_SIZE(argv),
                            .cwd = "/w",
                            .exe = "/bin/rm",
                            .exe_digest = &digest,
                            .binding = &digest,
                            .verdict = "ask",
                            .rule = "r",
                            .reason = "why",
                            .approver = "a",
                            .via = "cli",
                            .executor = "local",
                            .has_exit_code = true,
                            .exit_code = -1,
                            .has_signal = true,
                            .signal = 9,
                            .has_duration = true,
                            .duration_ms = 12,
                            .timeout_violation = true,
                            .has_leftovers = true,
                            .leftovers = 2,
                            .message = "m"};
    _cleanup_(buffer_done)
    Buffer body = BUFFER_EMPTY(4096);
    char hex[DIGEST_HEX_SIZE];
    char wanted[1024];

    (void)state;
    journal_body_put(&body, &record, "T");
    _cleanup_free_ char *text = buffer_take_string(&body);
    (void)digest_format(&digest, hex);
    (void)snprintf(
        wanted, sizeof wanted,
        "\"ts\":\"T\",\"event\":\"ended\",\"request\":\"R\",\"jail\":\"j\",\"container\":\"c\","
        "\"uid\":1,\"gid\":2,\"pid\":3,\"command\":\"rm\","
        "\"argv\":[\"rm\",\"\",\"a b\",{\"base64\":\"/w==\"}],\"cwd\":\"/w\",\"exe\":\"/bin/rm\","
        "\"exe_digest\":\"%s\",\"binding\":\"%s\",\"verdict\":\"ask\",\"rule\":\"r\","
        "\"reason\":\"why\",\"approver\":\"a\",\"via\":\"cli\",\"executor\":\"local\","
        "\"exit_code\":-1,\"signal\":9,\"duration_ms\":12,\"timeout_violation\":true,"
        "\"leftovers\":2,\"message\":\"m\"",
        hex, hex);
    assert_string_equal(text, wanted);
}

static void test_empty_record(void **state)
{
    JournalRecord record = {.event = JOURNAL_RECEIVED};
    _cleanup_(buffer_done)
    Buffer body = BUFFER_EMPTY(4096);

    (void)state;
    journal_body_put(&body, &record, "T");
    _cleanup_free_ char *text = buffer_take_string(&body);
    assert_string_equal(text, "\"ts\":\"T\",\"event\":\"received\"");
}

static void test_every_event_has_a_name(void **state)
{
    (void)state;
    for (int event = 0; event < JOURNAL_EVENT_MAX_; event++)
        assert_non_null(journal_event_name((JournalEvent)event));
    assert_string_equal(journal_event_name(JOURNAL_EVENT_MAX_), "unknown");
}

static void test_marks_and_chain(void **state)
{
    JournalHead head = {.seq = 41, .hash = {{1, 2, 3}}}, before = head;
    JournalMarks marks = {.late = true, .of = 7, .segment = true};
    JournalLine line;
    _cleanup_(buffer_done)
    Buffer lines = BUFFER_EMPTY(4096);

    (void)state;
    journal_line_put(&lines, &head, "\"ts\":\"T\",\"event\":\"stop\"", 23, &marks);
    assert_int_equal(head.seq, 42);
    const char *text = buffer_head(&lines);
    size_t size = buffer_size(&lines) - 1;
    assert_int_equal(text[size], '\n');
    assert_int_equal(journal_line_check(text, size, &line), 0);
    assert_int_equal(line.seq, 42);
    assert_true(line.segment);
    assert_memory_equal(&line.prev, &before.hash, DIGEST_SIZE);
    assert_memory_equal(&line.hash, &head.hash, DIGEST_SIZE);
    assert_true(journal_line_is_event(text, size, JOURNAL_STOP));
    assert_false(journal_line_is_event(text, size, JOURNAL_START));
    assert_non_null(memmem(text, size, ",\"late\":true,\"of\":7,\"segment\":true,\"prev\"", 41));

    /* A full buffer does not move the head. */
    Buffer small = BUFFER_EMPTY(100);
    JournalHead unmoved = head;
    journal_line_put(&small, &unmoved, "\"ts\":\"T\"", 8, &marks);
    assert_int_equal(small.error, -ENOBUFS);
    assert_int_equal(unmoved.seq, head.seq);
    buffer_done(&small);
}

/* Content cannot imitate the marks or the end of a line. */
static void test_imitations(void **state)
{
    static const char *const argv[] = {",\"segment\":true,\"prev\":\"", "\"segment\":true", "prev"};
    JournalRecord record = {.event = JOURNAL_REFUSED,
                            .argv = argv,
                            .argc = ARRAY_SIZE(argv),
                            .message = "x\",\"segment\":true"};
    JournalHead head = {0};
    JournalMarks marks = {0};
    JournalLine line;
    _cleanup_(buffer_done)
    Buffer body = BUFFER_EMPTY(4096), lines = BUFFER_EMPTY(4096);

    (void)state;
    journal_body_put(&body, &record, "T");
    journal_line_put(&lines, &head, buffer_head(&body), buffer_size(&body), &marks);
    assert_int_equal(journal_line_check(buffer_head(&lines), buffer_size(&lines) - 1, &line), 0);
    assert_false(line.segment);
}

static void test_every_byte_counts(void **state)
{
    JournalHead head = {0};
    JournalLine line;
    size_t size;
    _cleanup_free_ char *text = make_lines(&head, 1, true, &size);

    (void)state;
    size--; /* the newline */
    assert_int_equal(journal_line_check(text, size, &line), 0);
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text[at] = (char)(text[at] ^ (1 << bit));
            if (journal_line_check(text, size, &line) == 0)
                fail_msg("bit %u of byte %zu does not count", bit, at);
            text[at] = (char)(text[at] ^ (1 << bit));
        }
    }
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(journal_line_check(text, cut, &line), -EBADMSG);
        if (cut > 0)
            assert_int_equal(journal_line_check(text + cut, size - cut, &line), -EBADMSG);
    }
}

static void test_seq_at_the_start(void **state)
{
    (void)state;
    assert_int_equal(journal_line_seq("{\"seq\":12,", 10), 12);
    assert_int_equal(journal_line_seq("{\"seq\":12", 9), 0);
    assert_int_equal(journal_line_seq("{\"seq\":012,", 11), 0);
    assert_int_equal(journal_line_seq("{\"seq\":-1,", 10), 0);
    assert_int_equal(journal_line_seq("{\"seq\":9223372036854775807,", 27), INT64_MAX);
    assert_int_equal(journal_line_seq("{\"seq\":9223372036854775808,", 27), 0);
    assert_int_equal(journal_line_seq("{\"seq\":99999999999999999999,", 28), 0);
    assert_int_equal(journal_line_seq("", 0), 0);
}

static void test_head_text(void **state)
{
    char text[JOURNAL_HEAD_TEXT_MAX];
    JournalHead head = {.seq = INT64_MAX, .hash = {{0xde, 0xad}}}, read = {0};

    (void)state;
    assert_ptr_equal(journal_head_format(&head, text), text);
    assert_int_equal(journal_head_parse(text, strlen(text), &read), 0);
    assert_memory_equal(&read, &head, sizeof head);
    head = (JournalHead){0};
    (void)journal_head_format(&head, text);
    assert_int_equal(journal_head_parse(text, strlen(text), &read), 0);
    assert_int_equal(read.seq, 0);
    assert_int_equal(journal_head_parse("", 0, &read), -EBADMSG);
    assert_int_equal(journal_head_parse("12", 2, &read), -EBADMSG);
    assert_int_equal(journal_head_parse(text, strlen(text) - 1, &read), -EBADMSG);
    text[2] = 'A'; /* upper case is another text */
    assert_int_equal(journal_head_parse(text, strlen(text), &read), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member),
        cmocka_unit_test(test_empty_record),
        cmocka_unit_test(test_every_event_has_a_name),
        cmocka_unit_test(test_marks_and_chain),
        cmocka_unit_test(test_imitations),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_seq_at_the_start),
        cmocka_unit_test(test_head_text),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
