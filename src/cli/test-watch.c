/*
 * What the live view knows: the order of the queue, the selection that never moves by itself, and
 * when a key may decide. And its words: nothing of them can lie.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/watch-model.h"
#include "cli/watch.h"

/* A queue of these ids; one that begins with 'q' is of a quiet rule. */
static int take(WatchModel *model, const char *ids, uint64_t now_ms)
{
    json_t *pending = json_array();
    char copy[256];

    (void)snprintf(copy, sizeof copy, "%s", ids);
    for (char *rest = copy, *id; (id = strsep(&rest, " "));) {
        if (*id)
            (void)json_array_append_new(
                pending, json_pack("{s:s, s:[s], s:s, s:s, s:b, s:i}", "id", id, "argv", id, "rule",
                                   "r", "jail", "j", "quiet", *id == 'q', "expires_in_ms", 1000));
    }
    json_t *queue =
        json_pack("{s:o, s:i}", "pending", pending, "total", (int)json_array_size(pending));
    int result = watch_model_take(model, queue, now_ms);
    json_decref(queue);
    return result;
}

static void expect_rows(const WatchModel *model, const char *ids)
{
    Buffer out = BUFFER_EMPTY(4096);
    for (size_t i = 0; i < watch_model_n_rows(model); i++)
        buffer_printf(&out, "%s%s", i > 0 ? " " : "", watch_model_row(model, i)->id);
    _cleanup_free_ char *text = buffer_take_string(&out);
    assert_string_equal(text, ids);
}

static void test_order(void **state UNUSED)
{
    WatchModel model = {0};

    assert_int_equal(take(&model, "A B C", 0), 3);
    assert_int_equal(take(&model, "X A B C Y", 0), 2);
    expect_rows(&model, "A B C X Y");
    assert_int_equal(take(&model, "Y C X", 0), 0);
    expect_rows(&model, "C X Y");
    assert_int_equal(take(&model, "", 0), 0);
    expect_rows(&model, "");
    assert_true(model.loaded);
    watch_model_done(&model);
}

static void test_what_is_no_queue(void **state UNUSED)
{
    WatchModel model = {0};
    json_t *none = json_pack("{s:s}", "pending", "x");

    assert_int_equal(take(&model, "A", 0), 1);
    assert_int_equal(watch_model_take(&model, none, 0), -EPROTO);
    assert_int_equal(watch_model_take(&model, NULL, 0), -EPROTO);
    expect_rows(&model, "A");
    json_decref(none);
    none = json_pack("{s:[{s:s},{s:i},n,{s:s}]}", "pending", "id", "", "id", 7, "id", "B");
    assert_int_equal(watch_model_take(&model, none, 0), 1);
    expect_rows(&model, "B");
    json_decref(none);
    watch_model_done(&model);
}

static void test_the_selection_is_an_id(void **state UNUSED)
{
    WatchModel model = {0};

    watch_model_move(&model, 1); /* nothing there */
    assert_null(watch_model_selected(&model));
    (void)take(&model, "A B C D", 0);
    assert_null(watch_model_selected(&model));
    watch_model_move(&model, 1);
    watch_model_move(&model, 1);
    assert_string_equal(model.selected, "B");
    (void)take(&model, "X B C D", 0);
    assert_string_equal(model.selected, "B");
    assert_int_equal(model.place, 0);
    watch_model_move(&model, 1);
    assert_string_equal(model.selected, "C");
    (void)take(&model, "X B D", 0); /* C is gone */
    assert_null(watch_model_selected(&model));
    assert_string_equal(model.selected, "");
    watch_model_move(&model, 1);
    assert_string_equal(model.selected, "D");
    watch_model_move(&model, 100);
    assert_string_equal(model.selected, "X");
    (void)take(&model, "B D", 0); /* the last one is gone */
    watch_model_move(&model, -1);
    assert_string_equal(model.selected, "D");
    (void)take(&model, "", 0);
    watch_model_move(&model, 1);
    assert_null(watch_model_selected(&model));
    watch_model_done(&model);
}

static void test_a_key_counts_when_it_was_read(void **state UNUSED)
{
    WatchModel model = {0};

    (void)take(&model, "A B", 0);
    watch_model_move(&model, 1);
    assert_false(watch_model_arm(&model, 100000)); /* not drawn yet */
    watch_model_show(&model, 1000);
    assert_false(watch_model_arm(&model, 1000 + WATCH_READ_MS - 1));
    watch_model_show(&model, 1200); /* again: the first time counts */
    assert_true(watch_model_arm(&model, 1000 + WATCH_READ_MS));
    watch_model_move(&model, 0);
    assert_true(model.armed); /* the same one */
    watch_model_move(&model, 1);
    assert_false(model.armed);
    watch_model_show(&model, 2000);
    assert_true(watch_model_arm(&model, 3000));
    (void)take(&model, "A B NEW", 0);
    assert_true(model.armed);
    (void)take(&model, "A NEW", 0);
    assert_false(model.armed);
    watch_model_done(&model);
}

/* What is asked about has changed under its id: it must be read again. */
static void test_another_question_under_the_id(void **state UNUSED)
{
    WatchModel model = {0};
    json_t *queue = json_pack("{s:[{s:s, s:[s], s:s, s:s, s:b, s:i}]}", "pending", "id", "A",
                              "argv", "rm", "rule", "r", "jail", "j", "quiet", 0, "waiters", 3);
    (void)take(&model, "A", 0);
    watch_model_move(&model, 1);
    watch_model_show(&model, 0);
    assert_true(watch_model_arm(&model, 1000));
    (void)take(&model, "A", 0);
    assert_true(model.armed);
    (void)watch_model_take(&model, queue, 0);
    assert_string_equal(model.selected, "A");
    assert_false(model.armed);
    json_decref(queue);
    watch_model_done(&model);
}

static void test_quiet_ones(void **state UNUSED)
{
    WatchModel model = {0};
    DigestLines digest;

    assert_int_equal(take(&model, "q1 A q2", 0), 1);
    expect_rows(&model, "A");
    watch_model_digest(&model, &digest);
    assert_int_equal(digest.n_items, 1);
    assert_int_equal(digest.items[0].n_requests, 2);
    digest_lines_done(&digest);
    watch_model_toggle_quiet(&model);
    expect_rows(&model, "q1 A q2");
    watch_model_move(&model, 1);
    assert_string_equal(model.selected, "q1");
    watch_model_toggle_quiet(&model); /* what is selected is not seen any more */
    assert_null(watch_model_selected(&model));
    watch_model_digest(&model, &digest);
    digest_lines_done(&digest);
    watch_model_done(&model);
}

static char *text_of(const Lines *lines)
{
    Buffer out = BUFFER_EMPTY(1 << 20);
    for (size_t i = 0; i < lines->n_rows; i++)
        buffer_printf(&out, "%s\n", lines->rows[i].text);
    return buffer_take_string(&out);
}

static void test_lines_are_wrapped(void **state UNUSED)
{
    Lines lines = {.columns = 12};

    lines_add(&lines, SCREEN_PLAIN, "in  ", "0123456789abcdefghij");
    lines_add(&lines, SCREEN_PLAIN, "", "");
    lines_add(&lines, SCREEN_PLAIN, "x ", "a\x1b[b"); /* never raw, whoever forgot */
    _cleanup_free_ char *text = text_of(&lines);
    assert_string_equal(text, "in  01234567\n    89abcdef\n    ghij\n\nx a\x1b[b\n");
    int used;
    assert_int_equal(screen_fit("a\x1b[b", 2, &used), 2);
    assert_int_equal(used, 2);
    lines_done(&lines);
}

static json_t *hostile(void)
{
    return json_pack("{s:s, s:s, s:[s,s,s], s:s, s:s, s:s, s:s, s:[s], s:i, s:{s:s}}", "id", "A",
                     "jail", "j\x1b[2J", "argv", "rm", "a\n    9  fake", "\xe2\x80\xaegnp", "cwd",
                     "/w\r", "exe", "/bin/rm\xc2\x9b", "rule", "r", "reason", "x\ttab", "notes",
                     "n\x07", "argv_more", 3, "grant", "exact", "words\nfake");
}

/* Every row is printable, whatever a prisoner wrote: an argument cannot pose as another row. */
static void test_words_cannot_lie(void **state UNUSED)
{
    json_t *entry = hostile();
    bool partial = false;

    assert_non_null(entry);
    for (int details = 0; details < 2; details++) {
        Lines lines = {.columns = 60};
        if (details)
            watch_text_details(entry, false, &lines, &partial);
        else
            watch_text_preview(entry, &lines, &partial);
        for (size_t i = 0; i < lines.n_rows; i++) {
            for (const unsigned char *c = (const unsigned char *)lines.rows[i].text; *c; c++)
                assert_true(*c >= 0x20 && *c != 0x7f);
            assert_true(strncmp(lines.rows[i].text, "    9  fake", 11) != 0);
        }
        _cleanup_free_ char *text = text_of(&lines);
        assert_non_null(strstr(text, "'a\\n    9  fake'"));
        assert_non_null(strstr(text, "'\\u{202e}gnp'"));
        assert_non_null(strstr(text, "/bin/rm\\u{9b}"));
        lines_done(&lines);
    }
    json_decref(entry);
}

static void test_folds_are_partial(void **state UNUSED)
{
    static char large[5000];
    bool partial = false;
    Lines lines = {.columns = 80};

    memset(large, 'x', sizeof large - 1);
    json_t *entry = json_pack("{s:s, s:[s,s]}", "id", "A", "argv", "sh", large);
    watch_text_details(entry, false, &lines, &partial);
    assert_true(partial);
    _cleanup_free_ char *folded = text_of(&lines);
    assert_non_null(strstr(folded, "…(+3999 bytes)"));
    lines_done(&lines);
    watch_text_details(entry, true, &lines, &partial);
    assert_false(partial);
    assert_true(lines.n_rows > 5000 / 80);
    lines_done(&lines);
    json_decref(entry);
}

static void test_records(void **state UNUSED)
{
    json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:i, s:[s,s]}", "ts",
                               "2026-11-24T04:10:29.123456Z", "event", "ended", "jail", "j",
                               "approver", "a\x1b[2Jb", "exit_code", 3, "argv", "rm", "a b\n");
    _cleanup_free_ char *text = watch_text_record(record);
    assert_string_equal(text, "04:10:29 ended j exit 3 by a\\x1b[2Jb : rm 'a b\\n'");
    json_decref(record);
    record = json_pack("{s:s}", "ts", "x");
    _cleanup_free_ char *less = watch_text_record(record);
    assert_string_equal(less, "");
    json_decref(record);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_what_is_no_queue),
        cmocka_unit_test(test_the_selection_is_an_id),
        cmocka_unit_test(test_a_key_counts_when_it_was_read),
        cmocka_unit_test(test_another_question_under_the_id),
        cmocka_unit_test(test_quiet_ones),
        cmocka_unit_test(test_lines_are_wrapped),
        cmocka_unit_test(test_words_cannot_lie),
        cmocka_unit_test(test_folds_are_partial),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
