/*
 * The decoder of a shim's request against every way that a header and a body can disagree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "wire/shim-request.h"

/* A request in wire form, made of sections that are taken as they are. */
typedef struct Made {
    ShimHeader header;
    char body[512];
    size_t size;
} Made;

static void append(Made *made, const char *bytes, size_t size)
{
    memcpy(made->body + made->size, bytes, size);
    made->size += size;
}

static Made make(const char *path, size_t path_size, const char *cwd, size_t cwd_size,
                 const char *argv, size_t argv_size, const char *env, size_t env_size)
{
    Made made = {.header = {
                     .magic = htole32(SHIM_MAGIC),
                     .version = htole16(SHIM_VERSION),
                     .flags = htole16(SHIM_FLAG_STDIN | SHIM_FLAG_STDERR),
                     .wait_ms = htole32(1234),
                     .path_size = htole32((uint32_t)path_size),
                     .cwd_size = htole32((uint32_t)cwd_size),
                     .argv_size = htole32((uint32_t)argv_size),
                     .env_size = htole32((uint32_t)env_size),
                 }};
    uint32_t argc = 0, envc = 0;
    for (size_t i = 0; i < argv_size; i++)
        argc += argv[i] == '\0';
    for (size_t i = 0; i < env_size; i++)
        envc += env[i] == '\0';
    made.header.argc = htole32(argc);
    made.header.envc = htole32(envc);
    append(&made, path, path_size);
    append(&made, cwd, cwd_size);
    append(&made, argv, argv_size);
    append(&made, env, env_size);
    return made;
}

/* String literals whose NULs, the last one too, are part of the section. */
#define SECTION(text) text, sizeof(text)
#define MAKE(path, cwd, argv, env) make(SECTION(path), SECTION(cwd), SECTION(argv), SECTION(env))

static Made good(void)
{
    return MAKE("/bin/git", "/w", "git\0\0push", "A=1\0B=\xff\xfe");
}

/* The body on a heap block of exactly its size, so that ASan sees the first byte too far. */
static int decode(const Made *made, size_t size, ShimRequest *ret, char **ret_body)
{
    char *body = malloc(size ? size : 1);
    assert_non_null(body);
    memcpy(body, made->body, size);
    *ret_body = body;
    return shim_request_decode(&made->header, body, size, ret);
}

static int outcome(const Made *made)
{
    ShimRequest request;
    char *body;
    int result = decode(made, made->size, &request, &body);
    if (result != 0) { /* nothing is left to release */
        assert_null(request.argv);
        assert_null(request.env);
    }
    shim_request_done(&request);
    free(body);
    return result;
}

static void test_decodes(void **state)
{
    Made made = good();
    ShimRequest request;
    char *body;
    size_t body_size, n_fds;

    (void)state;
    assert_int_equal(shim_header_check(&made.header, &body_size, &n_fds), SHIM_OK);
    assert_int_equal(body_size, made.size);
    assert_int_equal(n_fds, 3);
    assert_int_equal(decode(&made, made.size, &request, &body), 0);
    assert_int_equal(request.flags, SHIM_FLAG_STDIN | SHIM_FLAG_STDERR);
    assert_int_equal(request.wait_ms, 1234);
    assert_string_equal(request.path, "/bin/git");
    assert_string_equal(request.cwd, "/w");
    assert_int_equal(request.argc, 3);
    assert_string_equal(request.argv[0], "git");
    assert_string_equal(request.argv[1], "");
    assert_string_equal(request.argv[2], "push");
    assert_null(request.argv[3]);
    assert_int_equal(request.envc, 2);
    assert_string_equal(request.env[0], "A=1");
    assert_string_equal(request.env[1], "B=\xff\xfe");
    assert_null(request.env[2]);
    shim_request_done(&request);
    assert_null(request.argv);
    shim_request_done(&request);
    free(body);
}

static void test_empty_things(void **state)
{
    ShimRequest request;
    char *body;
    Made made = make(SECTION(""), SECTION(""), SECTION(""), "", 0);

    (void)state;
    assert_int_equal(decode(&made, made.size, &request, &body), 0);
    assert_string_equal(request.path, "");
    assert_string_equal(request.cwd, "");
    assert_int_equal(request.argc, 1);
    assert_string_equal(request.argv[0], "");
    assert_int_equal(request.envc, 0);
    assert_null(request.env[0]);
    shim_request_done(&request);
    free(body);
}

/* A million empty strings are a megabyte on the wire and nine in memory. */
static void test_cost(void **state)
{
    Made made = good();

    (void)state;
    assert_int_equal(shim_header_cost(&made.header), sizeof(ShimHeader) + made.size + 5 * 8);
    made.header.argc = made.header.argv_size = htole32(1000000);
    made.header.envc = made.header.env_size = 0;
    assert_true(shim_header_cost(&made.header) > 9000000);
}

static void test_descriptors(void **state)
{
    static const size_t expected[] = {1, 2, 2, 3, 2, 3, 3, 4};
    size_t body_size, n_fds;

    (void)state;
    for (uint16_t flags = 0; flags < 8; flags++) {
        Made made = good();
        made.header.flags = htole16(flags | SHIM_FLAG_DIRECT);
        assert_int_equal(shim_header_check(&made.header, &body_size, &n_fds), SHIM_OK);
        assert_int_equal(n_fds, expected[flags]);
    }
}

/* Changes one field of a good header and says what became of it. */
#define OUTCOME_WITH(field, value)                                                                 \
    ({                                                                                             \
        Made made_ = good();                                                                       \
        made_.header.field = value;                                                                \
        outcome(&made_);                                                                           \
    })

static void test_headers(void **state)
{
    (void)state;
    assert_int_equal(OUTCOME_WITH(magic, htole32(SHIM_MAGIC + 1)), SHIM_BAD_MAGIC);
    assert_int_equal(OUTCOME_WITH(version, htole16(0)), SHIM_BAD_VERSION);
    assert_int_equal(OUTCOME_WITH(version, htole16(SHIM_VERSION + 1)), SHIM_BAD_VERSION);
    assert_int_equal(OUTCOME_WITH(flags, htole16(SHIM_FLAGS_KNOWN + 1)), SHIM_BAD_FLAGS);
    assert_int_equal(OUTCOME_WITH(flags, 0xffff), SHIM_BAD_FLAGS);
    assert_int_equal(OUTCOME_WITH(path_size, 0), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(path_size, htole32(SHIM_PATH_MAX + 1)), SHIM_TOO_LARGE);
    assert_int_equal(OUTCOME_WITH(cwd_size, 0), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(cwd_size, htole32(SHIM_PATH_MAX + 1)), SHIM_TOO_LARGE);
    assert_int_equal(OUTCOME_WITH(argc, 0), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(argc, htole32(11)), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(argc, 0xffffffff), SHIM_TOO_LARGE);
    assert_int_equal(OUTCOME_WITH(argv_size, 0xffffffff), SHIM_TOO_LARGE);
    assert_int_equal(OUTCOME_WITH(envc, 0), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(envc, htole32(10)), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(envc, 0xffffffff), SHIM_TOO_LARGE);
    assert_int_equal(OUTCOME_WITH(env_size, 0), SHIM_BAD_COUNT);
    assert_int_equal(OUTCOME_WITH(env_size, 0xffffffff), SHIM_TOO_LARGE);
}

static void test_counts_that_do_not_fit_the_strings(void **state)
{
    (void)state;
    assert_int_equal(OUTCOME_WITH(argc, htole32(2)), SHIM_BAD_STRINGS);
    assert_int_equal(OUTCOME_WITH(argc, htole32(4)), SHIM_BAD_STRINGS);
    assert_int_equal(OUTCOME_WITH(envc, htole32(1)), SHIM_BAD_STRINGS);
    assert_int_equal(OUTCOME_WITH(envc, htole32(3)), SHIM_BAD_STRINGS);
}

static void test_strings(void **state)
{
    Made made;

    (void)state;
    /* two paths, two directories */
    made = MAKE("/bin\0git", "/w", "git", "");
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
    made = MAKE("/bin/git", "/w\0x", "git", "");
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
    /* sections without their last NUL: the next section must not lend one */
    made = make("/bin/git", 8, SECTION("/w"), SECTION("git"), SECTION(""));
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
    made = make(SECTION("/bin/git"), "/w", 2, SECTION("git"), SECTION(""));
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
    made = make(SECTION("/bin/git"), SECTION("/w"), "git\0push", 8, SECTION(""));
    made.header.argc = htole32(2);
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
    made = make(SECTION("/bin/git"), SECTION("/w"), SECTION("git"), "A=1", 3);
    made.header.envc = htole32(1);
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
}

static void test_every_cut(void **state)
{
    Made made = good();

    (void)state;
    for (size_t size = 0; size < made.size; size++) {
        ShimRequest request;
        char *body;
        assert_int_equal(decode(&made, size, &request, &body), SHIM_BAD_STRINGS);
        free(body);
    }
    made.body[made.size++] = '\0'; /* one byte too many */
    assert_int_equal(outcome(&made), SHIM_BAD_STRINGS);
}

static void test_limit(void **state)
{
    size_t body_size, n_fds;
    Made made = good();
    ShimHeader *header = &made.header;
    uint32_t others =
        (uint32_t)(sizeof *header + le32toh(header->path_size) + le32toh(header->cwd_size) +
                   le32toh(header->env_size) + (le32toh(header->argc) + le32toh(header->envc)) * 8);

    (void)state;
    header->argv_size = htole32(SHIM_REQUEST_MAX - others);
    assert_int_equal(shim_header_check(header, &body_size, &n_fds), SHIM_OK);
    header->argv_size = htole32(SHIM_REQUEST_MAX - others + 1);
    assert_int_equal(shim_header_check(header, &body_size, &n_fds), SHIM_TOO_LARGE);
    /* many empty strings cost their pointers too */
    header->argv_size = header->argc = htole32(SHIM_REQUEST_MAX / 9 + 1);
    assert_int_equal(shim_header_check(header, &body_size, &n_fds), SHIM_TOO_LARGE);
}

static void test_texts(void **state)
{
    (void)state;
    for (int problem = SHIM_OK; problem <= SHIM_BAD_STRINGS + 1; problem++)
        assert_true(strlen(shim_problem_text((ShimProblem)problem)) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decodes), cmocka_unit_test(test_empty_things),
        cmocka_unit_test(test_cost),    cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_counts_that_do_not_fit_the_strings),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_limit),   cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
