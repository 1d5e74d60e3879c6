/*
 * Buffer: limits, sticky errors, consuming. Reader: hostile sizes, exact ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

static void test_put_and_read_back(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(1000);
    size_t size;

    (void)state;
    buffer_put_u8(&buffer, 0xfe);
    buffer_put_u16(&buffer, 0xfedc);
    buffer_put_u32(&buffer, 0xfedcba98);
    buffer_put_u64(&buffer, UINT64_C(0xfedcba9876543210));
    buffer_put_string(&buffer, "string");
    buffer_put_string(&buffer, NULL);
    buffer_put_blob(&buffer, "a\0b", 3);
    buffer_put_blob(&buffer, NULL, 0);
    buffer_put(&buffer, "bare", 5);
    assert_int_equal(buffer.error, 0);
    assert_memory_equal(buffer.bytes, "\xfe\xdc\xfe\x98\xba\xdc\xfe\x10\x32\x54\x76", 11);

    Reader reader = reader_of(buffer_head(&buffer), buffer_size(&buffer));
    assert_int_equal(reader_u8(&reader), 0xfe);
    assert_int_equal(reader_u16(&reader), 0xfedc);
    assert_int_equal(reader_u32(&reader), 0xfedcba98);
    assert_true(reader_u64(&reader) == UINT64_C(0xfedcba9876543210));
    assert_string_equal(reader_string(&reader), "string");
    assert_string_equal(reader_string(&reader), "");
    assert_memory_equal(reader_blob(&reader, &size), "a\0b", 3);
    assert_int_equal(size, 3);
    assert_non_null(reader_blob(&reader, &size));
    assert_int_equal(size, 0);
    assert_false(reader_done(&reader)); /* something is left over */
    assert_string_equal(reader_cstring(&reader), "bare");
    assert_true(reader_done(&reader));
    assert_int_equal(reader_u8(&reader), 0);
    assert_false(reader_done(&reader));
}

static void test_limit(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10);

    (void)state;
    buffer_put(&buffer, "0123456789", 10);
    assert_int_equal(buffer.error, 0);
    buffer_put(&buffer, "", 0);
    assert_int_equal(buffer.error, 0);
    buffer_put_u8(&buffer, 1);
    assert_int_equal(buffer.error, -ENOBUFS);
    assert_int_equal(buffer_size(&buffer), 10);
    buffer_consume(&buffer, 10); /* room again, but what failed once stays failed */
    buffer_put_u8(&buffer, 1);
    assert_int_equal(buffer.error, -ENOBUFS);
    assert_null(buffer_reserve(&buffer, 1));
    buffer_clear(&buffer);
    buffer_put_u8(&buffer, 1);
    assert_int_equal(buffer.error, 0);
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.error, -ENOBUFS);
}

static void test_limit_is_of_what_is_unconsumed(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(1000);
    char expected = 'a', piece[300];

    (void)state;
    for (int i = 0; i < 1000; i++) { /* 300 KB through a buffer of at most 1000 bytes */
        memset(piece, 'a' + i % 26, sizeof piece);
        buffer_put(&buffer, piece, sizeof piece);
        if (buffer_size(&buffer) < 900)
            continue;
        assert_int_equal(*buffer_head(&buffer), expected);
        expected = (char)(expected == 'z' ? 'a' : expected + 1);
        buffer_consume(&buffer, sizeof piece);
    }
    assert_int_equal(buffer.error, 0);
    assert_true(buffer.capacity <= 2048);
    buffer_consume(&buffer, buffer_size(&buffer));
    assert_int_equal(buffer.start, 0);
    assert_int_equal(buffer.size, 0);
}

static void test_reserve_and_grow(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(100000);

    (void)state;
    for (size_t size = 1; size < 50000; size *= 3) {
        char *room = buffer_reserve(&buffer, size);
        assert_non_null(room);
        memset(room, 'x', size);
        buffer_grow(&buffer, size / 2); /* using less than was reserved */
    }
    for (size_t i = 0; i < buffer_size(&buffer); i++)
        assert_int_equal(buffer_head(&buffer)[i], 'x');
}

static void test_printf(void **state)
{
    _cleanup_(buffer_done)
    Buffer buffer = BUFFER_EMPTY(10000);
    char text[5000];

    (void)state;
    buffer_printf(&buffer, "%s=%d;", "n", -5);
    buffer_puts(&buffer, "tail");
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    buffer_printf(&buffer, "%s", text);
    assert_int_equal(buffer_size(&buffer), 9 + 4999);
    assert_memory_equal(buffer_head(&buffer), "n=-5;tailyyy", 12);
    buffer_printf(&buffer, "%s%s", text, text);
    assert_int_equal(buffer.error, -ENOBUFS);
}

static void test_take_string(void **state)
{
    Buffer buffer = BUFFER_EMPTY(8);

    (void)state;
    buffer_puts(&buffer, "..four");
    buffer_consume(&buffer, 2);
    char *taken = buffer_take_string(&buffer);
    assert_string_equal(taken, "four");
    free(taken);
    assert_null(buffer.bytes);
    taken = buffer_take_string(&buffer);
    assert_string_equal(taken, "");
    free(taken);
    buffer_puts(&buffer, "far too long");
    assert_null(buffer_take_string(&buffer));
    assert_int_equal(buffer.error, 0); /* empty and usable again */
    buffer_done(&buffer);
}

/* Input on a heap block of exactly its size, so that ASan sees the first byte too far. */
static Reader reader_on(char **ret_block, const char *bytes, size_t size)
{
    *ret_block = malloc(size ? size : 1);
    assert_non_null(*ret_block);
    if (size > 0)
        memcpy(*ret_block, bytes, size);
    return reader_of(*ret_block, size);
}

static void test_reader_overruns(void **state)
{
    static const char *const strings[] = {/* u32 length, bytes, NUL */
                                          "\xff\xff\xff\xff", "\x04\0\0\0abc\0", "\x03\0\0\0abcd",
                                          "\x03\0\0\0a\0c\0", "\x01\0\0"};
    static const size_t sizes[] = {4, 8, 8, 8, 3};
    char *block;
    size_t size;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        Reader reader = reader_on(&block, strings[i], sizes[i]);
        assert_string_equal(reader_string(&reader), "");
        assert_true(reader.failed);
        assert_int_equal(reader_u8(&reader), 0); /* sticky, though bytes may be left */
        assert_string_equal(reader_cstring(&reader), "");
        assert_null(reader_bytes(&reader, 0));
        assert_string_equal(reader_blob(&reader, &size), "");
        assert_int_equal(size, 0);
        assert_false(reader_done(&reader));
        free(block);
    }
    for (size_t left = 0; left < 8; left++) {
        Reader reader = reader_on(&block, "\1\2\3\4\5\6\7\10", left);
        assert_int_equal(reader_u64(&reader), 0);
        assert_true(reader.failed);
        free(block);
    }
    Reader reader = reader_on(&block, "no end", 6);
    assert_string_equal(reader_cstring(&reader), "");
    assert_true(reader.failed);
    free(block);
}

static void test_reader_of_nothing(void **state)
{
    size_t size;
    Reader reader = reader_of(NULL, 0);

    (void)state;
    assert_true(reader_done(&reader));
    assert_string_equal(reader_cstring(&reader), "");
    assert_true(reader.failed);
    reader = reader_of(NULL, 0);
    assert_string_equal(reader_string(&reader), "");
    reader = reader_of(NULL, 0);
    assert_string_equal(reader_blob(&reader, &size), "");
    assert_int_equal(size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_read_back),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_is_of_what_is_unconsumed),
        cmocka_unit_test(test_reserve_and_grow),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_take_string),
        cmocka_unit_test(test_reader_overruns),
        cmocka_unit_test(test_reader_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
