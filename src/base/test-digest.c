/*
 * Digests: known answers, files by descriptor, and fields that cannot be cut differently.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fd.h"

/* b2sum -l 256 of nothing and of "abc" */
#define OF_NOTHING "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
#define OF_ABC "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"

static const char *hex(Digest digest, char text[static DIGEST_HEX_SIZE])
{
    return digest_format(&digest, text);
}

static void test_known_answers(void **state)
{
    DigestState hash;
    char text[DIGEST_HEX_SIZE];

    (void)state;
    digest_begin(&hash);
    assert_string_equal(hex(digest_end(&hash), text), OF_NOTHING);
    digest_begin(&hash);
    digest_add(&hash, "a", 1);
    digest_add(&hash, NULL, 0);
    digest_add(&hash, "bc", 2);
    assert_string_equal(hex(digest_end(&hash), text), OF_ABC);
}

static void test_text_form(void **state)
{
    static const char *const bad[] = {
        "",
        "0e",
        (OF_ABC "00"),
        (OF_ABC "x"),
        (" " OF_ABC),
        "gddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"};
    Digest digest, zero = {{0}};
    char text[DIGEST_HEX_SIZE];

    (void)state;
    assert_int_equal(digest_parse(OF_ABC, &digest), 0);
    assert_string_equal(hex(digest, text), OF_ABC);
    assert_false(digest_is_zero(&digest));
    assert_true(digest_is_zero(&zero));
    assert_false(digest_equal(&digest, &zero));
    Digest same = digest;
    assert_true(digest_equal(&digest, &same));
    same.bytes[DIGEST_SIZE - 1] ^= 1;
    assert_false(digest_equal(&digest, &same));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(digest_parse(bad[i], &digest), -EINVAL);
}

static void test_fields_have_one_reading(void **state)
{
    static const char *const one[] = {"ab", "c"}, *const other[] = {"a", "bc"};
    DigestState hash;
    Digest digests[5];

    (void)state;
    digest_begin(&hash);
    digest_add_field(&hash, "ab", 2);
    digest_add_field(&hash, "c", 1);
    digests[0] = digest_end(&hash);
    digest_begin(&hash);
    digest_add_field(&hash, "a", 1);
    digest_add_field(&hash, "bc", 2);
    digests[1] = digest_end(&hash);
    digests[2] = digest_command(one, 2, NULL, 0);
    digests[3] = digest_command(one, 1, one + 1, 1); /* an argument is no environment */
    digests[4] = digest_command(other, 2, NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
        for (size_t j = 0; j < i; j++)
            assert_false(digest_equal(&digests[i], &digests[j]));
    }
    Digest again = digest_command(one, 2, NULL, 0);
    assert_true(digest_equal(&again, &digests[2]));
}

static void test_file(void **state)
{
    _cleanup_fd_ int fd = memfd_create("digest", MFD_CLOEXEC);
    static char block[200000];
    DigestState hash;
    Digest digest;
    uint64_t size = 1;
    char text[DIGEST_HEX_SIZE];

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(digest_file(fd, &digest, &size), 0);
    assert_string_equal(hex(digest, text), OF_NOTHING);
    assert_true(size == 0);

    memset(block, 'x', sizeof block);
    assert_int_equal(fd_write_all(fd, block, sizeof block), 0);
    assert_int_equal(lseek(fd, 17, SEEK_SET), 17);
    assert_int_equal(digest_file(fd, &digest, &size), 0);
    assert_true(size == sizeof block);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 17); /* the offset stays */
    digest_begin(&hash);
    digest_add(&hash, block, sizeof block);
    Digest expected = digest_end(&hash);
    assert_true(digest_equal(&digest, &expected));
}

static void test_what_is_no_file(void **state)
{
    int pipe_fds[2];
    Digest digest;

    (void)state;
    assert_int_equal(digest_file(-EBADF, &digest, NULL), -EBADF);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(digest_file(pipe_fds[0], &digest, NULL), -ESPIPE);
    fd_close_many(pipe_fds, 2);
    _cleanup_fd_ int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(digest_file(directory, &digest, NULL), -EISDIR);
    _cleanup_fd_ int by_path = open("/", O_PATH | O_CLOEXEC);
    assert_int_equal(digest_file(by_path, &digest, NULL), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),           cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_fields_have_one_reading), cmocka_unit_test(test_file),
        cmocka_unit_test(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
