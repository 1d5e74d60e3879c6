/*
 * Text that cannot lie: what is shown, what is escaped, where arguments end, and lossless JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* The buffer as a string; it stays as it is. */
static const char *string_of(Buffer *buffer)
{
    char *room = buffer_reserve(buffer, 1);
    assert_non_null(room);
    *room = '\0';
    return buffer_head(buffer);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *bytes;
        size_t size, expected;
        uint32_t codepoint;
    } cases[] = {
        {"a", 1, 1, 'a'},
        {"\0", 1, 1, 0},
        {"\x7f", 1, 1, 0x7f},
        {"\xc2\x80", 2, 2, 0x80},
        {"\xdf\xbf", 2, 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 3, 0x800},
        {"\xed\x9f\xbf", 3, 3, 0xd7ff},
        {"\xee\x80\x80", 3, 3, 0xe000},
        {"\xef\xbf\xbf", 3, 3, 0xffff},
        {"\xf0\x90\x80\x80", 4, 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
        {"", 0, 0, 0},
        {"\x80", 1, 0, 0},             /* a continuation alone */
        {"\xc0\x80", 2, 0, 0},         /* overlong */
        {"\xc1\xbf", 2, 0, 0},         /* overlong */
        {"\xe0\x9f\xbf", 3, 0, 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 4, 0, 0}, /* overlong */
        {"\xed\xa0\x80", 3, 0, 0},     /* a surrogate */
        {"\xed\xbf\xbf", 3, 0, 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, 0, 0}, /* beyond Unicode */
        {"\xf8\x88\x80\x80\x80", 5, 0, 0},
        {"\xff", 1, 0, 0},
        {"\xc2", 1, 0, 0},         /* cut */
        {"\xe2\x82", 2, 0, 0},     /* cut */
        {"\xf0\x9f\x98", 3, 0, 0}, /* cut */
        {"\xe2\x82z", 3, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t codepoint = 0;
        assert_int_equal(text_utf8_size(cases[i].bytes, cases[i].size, &codepoint),
                         cases[i].expected);
        assert_int_equal(codepoint, cases[i].codepoint);
        assert_int_equal(text_is_utf8(cases[i].bytes, cases[i].size),
                         cases[i].expected > 0 || cases[i].size == 0);
    }
    assert_true(text_is_utf8("gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac", 13));
    assert_false(text_is_utf8("good\xff", 5));
}

static void expect_display(const char *text, size_t size, const char *expected)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);
    text_display(&buffer, text, size, 0);
    assert_string_equal(string_of(&buffer), expected);
}

#define EXPECT_DISPLAY(text, expected) expect_display(text, sizeof(text) - 1, expected)

static void test_display(void **state)
{
    (void)state;
    EXPECT_DISPLAY("", "");
    EXPECT_DISPLAY("plain text, gr\xc3\xbc\xc3\x9f", "plain text, gr\xc3\xbc\xc3\x9f");
    EXPECT_DISPLAY("a\nb\tc\rd\0e\x1b[2J\x7f", "a\\nb\\tc\\rd\\x00e\\x1b[2J\\x7f");
    EXPECT_DISPLAY("\xff\xc3(\xed\xa0\x80", "\\xff\\xc3(\\xed\\xa0\\x80");
    /* C1 controls, no-break space, soft hyphen */
    EXPECT_DISPLAY("\xc2\x9b\xc2\xa0\xc2\xad", "\\u{9b}\\u{a0}\\u{ad}");
    /* right-to-left override, isolate, zero-width space and joiner, line separator */
    EXPECT_DISPLAY("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xe2\x80\x8d\xe2\x80\xa8",
                   "\\u{202e}\\u{2066}\\u{200b}\\u{200d}\\u{2028}");
    /* byte order mark, a tag, a variation selector, the Hangul filler, shorthand and Egyptian
     * format controls */
    EXPECT_DISPLAY("\xef\xbb\xbf\xf3\xa0\x81\x81\xef\xb8\x8f\xe3\x85\xa4\xf0\x9b\xb2\xa0"
                   "\xf0\x93\x90\xb0",
                   "\\u{feff}\\u{e0041}\\u{fe0f}\\u{3164}\\u{1bca0}\\u{13430}");
}

/* What looks like an escape is one. */
static void test_backslashes(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);

    (void)state;
    EXPECT_DISPLAY("\\x1b", "\\\\x1b");
    EXPECT_DISPLAY("\x1b", "\\x1b");
    EXPECT_DISPLAY("a\\nb\\", "a\\\\nb\\\\");
    EXPECT_DISPLAY("\xe2\x80\xa6(+9 bytes)", "\\u{2026}(+9 bytes)"); /* no forged fold */
    text_display_again(&buffer, "\\x1b\x1b'\xe2\x80\xa6\xe2\x80\xae", 12, 0);
    assert_string_equal(string_of(&buffer), "\\x1b\\x1b'\xe2\x80\xa6\\u{202e}");
}

/* Marks stay on letters, two at most, and never change what they stand on. */
static void test_marks(void **state)
{
    (void)state;
    EXPECT_DISPLAY("e\xcc\x81", "e\xcc\x81");
    EXPECT_DISPLAY("a\xcc\x81\xcc\xa3\xcc\x81\xcc\x81", "a\xcc\x81\xcc\xa3\\u{301}\\u{301}");
    EXPECT_DISPLAY("\xcc\x81x", "\\u{301}x");        /* on what stood before */
    EXPECT_DISPLAY("-\xcc\x81", "-\\u{301}");        /* on no letter */
    EXPECT_DISPLAY("\xff\xcc\x81", "\\xff\\u{301}"); /* on an escape */
    EXPECT_DISPLAY("o\xcc\xb8", "o\\u{338}");        /* strikes through */
    EXPECT_DISPLAY("a\xe2\x83\x9d", "a\\u{20dd}");   /* encloses */
    EXPECT_DISPLAY("\xe0\xb8\x81\xe0\xb9\x87\xe0\xb9\x87\xe0\xb9\x87",
                   "\xe0\xb8\x81\xe0\xb9\x87\xe0\xb9\x87\\u{e47}"); /* a Thai tower */
}

/* Letters of right-to-left scripts move their neighbours in terminals that know them. */
static void test_right_to_left(void **state)
{
    (void)state;
    EXPECT_DISPLAY("\xd7\x90 1 \xd7\x91", "\\u{5d0} 1 \\u{5d1}");
    EXPECT_DISPLAY("\xd8\xa7\xd9\x91", "\\u{627}\\u{651}");
    EXPECT_DISPLAY("\xef\xba\x8d", "\\u{fe8d}");
    EXPECT_DISPLAY("\xf0\x9e\xa4\x80", "\\u{1e900}");
    EXPECT_DISPLAY("\xd0\xb6\xce\xbb\xe6\x97\xa5\xed\x95\x9c",
                   "\xd0\xb6\xce\xbb\xe6\x97\xa5\xed\x95\x9c");
}

static void test_fold(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof text);
    text_display(&buffer, text, sizeof text, 10);
    assert_string_equal(string_of(&buffer), "xxxxxxxxxx…(+990 bytes)");
    buffer_clear(&buffer);
    text_display(&buffer, text, 20, 10); /* folding would not make it shorter */
    assert_string_equal(string_of(&buffer), "xxxxxxxxxxxxxxxxxxxx");
}

/* A buffer whose front was consumed moves its contents: the fold must not be misled. */
static void test_fold_in_a_buffer_that_moves(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);
    char text[200];

    (void)state;
    memset(text, 'x', sizeof text);
    buffer_put(&buffer, text, 200);
    buffer_consume(&buffer, 190);
    text_display(&buffer, text, 150, 1000);
    assert_int_equal(buffer_size(&buffer), 160);
    assert_null(strchr(string_of(&buffer), '('));
}

static void expect_argument(const char *argument, const char *expected)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);
    text_display_argument(&buffer, argument, 0);
    assert_string_equal(string_of(&buffer), expected);
}

static void test_arguments(void **state)
{
    (void)state;
    expect_argument("--force", "--force");
    expect_argument("origin/main~1", "origin/main~1");
    expect_argument("", "''");
    expect_argument("two words", "'two words'");
    expect_argument("it's", "'it\\'s'");
    expect_argument("back\\slash", "'back\\\\slash'");
    expect_argument("\\n", "'\\\\n'"); /* not to be taken for a newline */
    expect_argument("\n", "'\\n'");
    expect_argument("$(x)", "'$(x)'");
    expect_argument("\xff", "'\\xff'");
    expect_argument("\xc3\xa9", "'\xc3\xa9'");
}

static void test_argv(void **state)
{
    static const char *const argv[] = {"git", "", "push it", "--force", "origin"};
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);

    (void)state;
    text_display_argv(&buffer, argv, 5, 0);
    assert_string_equal(string_of(&buffer), "git '' 'push it' --force origin");
    buffer_clear(&buffer);
    text_display_argv(&buffer, argv, 5, 7);
    assert_string_equal(string_of(&buffer), "git '' 'push it' …(+2 arguments)");
    buffer_clear(&buffer);
    text_display_argv(&buffer, argv, 0, 0);
    assert_int_equal(buffer_size(&buffer), 0);
}

static void expect_json(const char *text, size_t size, const char *expected)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);
    json_put_string(&buffer, text, size);
    assert_string_equal(string_of(&buffer), expected);
}

#define EXPECT_JSON(text, expected) expect_json(text, sizeof(text) - 1, expected)

static void test_json_strings(void **state)
{
    (void)state;
    EXPECT_JSON("", "\"\"");
    EXPECT_JSON("plain", "\"plain\"");
    EXPECT_JSON("\"quoted\\\"", "\"\\\"quoted\\\\\\\"\"");
    EXPECT_JSON("\n\t\0\x1f\x7f", "\"\\u000a\\u0009\\u0000\\u001f\\u007f\"");
    EXPECT_JSON("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    EXPECT_JSON("\xff", "{\"base64\":\"/w==\"}");
    EXPECT_JSON("\xff\xfe", "{\"base64\":\"//4=\"}");
    EXPECT_JSON("\xff\xfe\xfd", "{\"base64\":\"//79\"}");
    EXPECT_JSON("f\xff"
                "bar",
                "{\"base64\":\"Zv9iYXI=\"}");
}

static void test_json_members(void **state)
{
    static const char *const argv[] = {"a", "\xff"};
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);

    (void)state;
    buffer_put_u8(&buffer, '{');
    json_put_member(&buffer, "text", "t\"");
    json_put_member_u64(&buffer, "most", UINT64_MAX);
    json_put_member_u64(&buffer, "zero", 0);
    json_put_member_i64(&buffer, "least", INT64_MIN);
    json_put_member_i64(&buffer, "largest", INT64_MAX);
    json_put_member_bool(&buffer, "yes", true);
    json_put_member_bool(&buffer, "no", false);
    json_put_member_argv(&buffer, "argv", argv, 2);
    json_put_member_argv(&buffer, "none", argv, 0);
    json_put_name(&buffer, "inner");
    buffer_put_u8(&buffer, '[');
    buffer_put_u8(&buffer, '{');
    json_put_member_bool(&buffer, "first", true);
    buffer_puts(&buffer, "}]}");
    assert_string_equal(
        string_of(&buffer),
        "{\"text\":\"t\\\"\",\"most\":18446744073709551615,\"zero\":0,"
        "\"least\":-9223372036854775808,\"largest\":9223372036854775807,\"yes\":true,\"no\":false,"
        "\"argv\":[\"a\",{\"base64\":\"/w==\"}],\"none\":[],\"inner\":[{\"first\":true}]}");
}

static void test_formulas(void **state)
{
    static const char *const formulas[] = {"=1",   "+1",   "-1",  "@A1", "\t=1",
                                           "\r=1", "\n=1", "＝1", "＠"};
    static const char *const others[] = {"", "1", "a=b", " =1", "\"=1", "\xef\xbc"};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(formulas); i++)
        assert_true(text_is_formula(formulas[i], strlen(formulas[i])));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(text_is_formula(others[i], strlen(others[i])));
    assert_false(text_is_formula("=", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_display),
        cmocka_unit_test(test_backslashes),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_right_to_left),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_fold_in_a_buffer_that_moves),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_argv),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_json_members),
        cmocka_unit_test(test_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
