#include "base/clock.h"
#include "policy/test-policy.h"

static void assert_redacted(const Policy *policy, const char *text, const char *wanted)
{
    Buffer out = BUFFER_EMPTY(1 << 22);
    policy_redact(policy, text, strlen(text), &out);
    buffer_put_u8(&out, 0);
    assert_string_equal(out.bytes, wanted);
    buffer_done(&out);
}

/* Writes over a piece of a longer text. */
static void fill(char *at, const char *piece)
{
    while (*piece)
        *at++ = *piece++;
}

static void matches_are_replaced(void **state)
{
    Policy *policy = policy_of("redact: ['(?i)(token|secret)=\\S+', 'AKIA[0-9A-Z]{4}']\n");
    (void)state;

    assert_true(policy_redacts(policy));
    assert_redacted(policy, "", "");
    assert_redacted(policy, "nothing", "nothing");
    assert_redacted(policy, "a TOKEN=x b secret=y", "a [redacted] b [redacted]");
    assert_redacted(policy, "AKIA1234AKIA5678", "[redacted][redacted]");
    assert_redacted(policy, "token=\xff\xfe z", "[redacted] z");
    assert_redacted(policy, "token=AKIA1234", "[redacted]");
    (void)policy_free(policy);
}

static void without_patterns_text_is_copied(void **state)
{
    Policy *policy = policy_of("rules: []\n");
    (void)state;

    assert_redacted(policy, "token=x", "token=x");
    (void)policy_free(policy);
}

static void matches_far_behind_are_found(void **state)
{
    Policy *policy = policy_of("redact: ['secret', '^x', '(?<=k)ey', '(?=z)', 'a\\Kb']\n");
    size_t size = 10000;
    char *text = calloc(1, size + 7);
    char *wanted = calloc(1, size + 11);
    (void)state;

    memset(text, '.', size);
    fill(text + size, "secret");
    memset(wanted, '.', size);
    fill(wanted + size, "[redacted]");
    assert_redacted(policy, text, wanted);
    for (size_t at = 250; at < 265; at++) { /* around the end of the first stretch */
        memset(text, '.', size);
        text[size] = '\0';
        fill(text + at, "secret");
        Buffer out = BUFFER_EMPTY(1 << 20);
        policy_redact(policy, text, size, &out);
        assert_int_equal(out.size, size - 6 + 10);
        buffer_done(&out);
    }
    assert_redacted(policy, "xx key zz ab", "[redacted]x k[redacted] zz a[redacted]");
    free(text);
    free(wanted);
    (void)policy_free(policy);
}

static void what_is_too_hard_is_hidden_whole(void **state)
{
    Policy *policy = policy_of("redact: ['(a+)+b']\n");
    size_t size = 1 << 20;
    char *text = calloc(1, size + 2);
    (void)state;

    memset(text, 'a', 60);
    text[60] = 'c';
    text[61] = 'b'; /* without a 'b' PCRE2 would see at once that nothing matches */
    assert_redacted(policy, text, "[redacted]");
    (void)policy_free(policy);

    policy = policy_of("redact: ['\\S*secret\\S*=']\n");
    memset(text, 'x', size);
    fill(text + size - 7, "secret=");
    text[size - 1] = ' ';
    uint64_t begun = clock_monotonic_ms();
    Buffer out = BUFFER_EMPTY(1 << 22);
    policy_redact(policy, text, size, &out);
    assert_true(out.size == 10 || out.size == size);
    buffer_done(&out);
    assert_true(clock_monotonic_ms() - begun < 20000);
    free(text);
    (void)policy_free(policy);
}

/* The words of two lines, where "_" stands for "[redacted]". */
static void assert_argv(const Policy *policy, const char *line, const char *wanted_line)
{
    TestQuery test, wanted;
    const char **redacted = NULL;

    test_query_of(&test, line);
    test_query_of(&wanted, wanted_line);
    assert_int_equal(test.query.argc, wanted.query.argc);
    assert_int_equal(policy_redact_argv(policy, test.words, test.query.argc, &redacted), 0);
    for (size_t i = 0; i < test.query.argc; i++)
        if (strcmp(redacted[i],
                   strcmp(wanted.words[i], "_") == 0 ? "[redacted]" : wanted.words[i]) != 0)
            fail_msg("%s: word %zu is %s", line, i, redacted[i]);
    assert_null(redacted[test.query.argc]);
    free((void *)redacted);
    test_query_done(&test);
    test_query_done(&wanted);
}

static void secrets_in_two_arguments_are_hidden(void **state)
{
    Policy *policy = policy_of("redact: ['(?i)(token|password)=\\S+', 'Bearer \\S+', "
                               "'^-u[= ]\\S+', 'user \\w+ pin \\w+']\n");
    (void)state;

    assert_argv(policy, "x --token abc y", "x --token _ y");
    assert_argv(policy, "x --token -abc y", "x --token _ y");
    assert_argv(policy, "x --token=abc y", "x --[redacted] y");
    assert_argv(policy, "x --PASSWORD 'two words' y", "x --PASSWORD _ y");
    assert_argv(policy, "x --token --password z a", "x --token _ _ a");
    assert_argv(policy, "x --verbose --token z a", "x --verbose --token _ a");
    assert_argv(policy, "x -token z", "x -token _");
    assert_argv(policy, "x Bearer abc d", "x Bearer _ d");
    assert_argv(policy, "x 'Bearer abc' d", "x _ d");
    assert_argv(policy, "x user joe pin 1234 y", "x user _ _ _ y");
    assert_argv(policy, "PGPASSWORD=x y", "PG[redacted] y");
    assert_argv(policy, "x --token", "x --token");
    assert_argv(policy, "x token y", "x token y");
    assert_argv(policy, "x --tokens y", "x --tokens y");
    assert_argv(policy, "x --token '' y", "x --token '' y"); /* nothing to hide */
    assert_argv(policy, "--token x", "--token _");
    assert_argv(policy, "token=x", "_");
    (void)policy_free(policy);

    policy = policy_of("redact: ['authorization:.*', 'pin.*', 'code .+']\n");
    assert_argv(policy, "curl -H 'authorization: x y' https://host", "curl -H _ https://host");
    assert_argv(policy, "curl '-Hauthorization: x y' https://host",
                "curl -H[redacted] https://host");
    assert_argv(policy, "x --pin 1234 rest", "x --[redacted] _ rest");
    assert_argv(policy, "x pin 1234 rest", "x _ 1234 rest");
    assert_argv(policy, "x code 1234 rest", "x code _ rest");
    assert_argv(policy, "x 'pin a' 'pin b' code", "x _ _ code");
    (void)policy_free(policy);
}

static void command_lines_without_secrets_stay(void **state)
{
    Policy *policy = policy_of("redact: ['(?i)(token|password)=\\S+']\n"),
           *without = policy_of("rules: []\n");
    const char **redacted = NULL;
    (void)state;

    assert_argv(policy, "git commit -m 'fix token refresh' -- a b",
                "git commit -m 'fix token refresh' -- a b");
    assert_argv(policy, "x '' '' a", "x '' '' a");
    assert_argv(without, "x --token abc", "x --token abc");
    assert_int_equal(policy_redact_argv(policy, NULL, 0, &redacted), 0);
    assert_null(redacted[0]);
    free((void *)redacted);
    (void)policy_free(policy);
    (void)policy_free(without);
}

/* Thousands of arguments and megabytes: what is not looked at is hidden, in bounded time. */
static void work_on_a_command_line_is_bounded(void **state)
{
    Policy *policy = policy_of("redact: ['(?i)(token|password)=\\S+', '(a+)+b']\n");
    const size_t argc = 5000, size = (size_t)1 << 20;
    const char **argv = calloc(argc, sizeof *argv), **redacted = NULL;
    char *large = calloc(1, size + 1);
    (void)state;

    for (size_t i = 0; i < argc; i++)
        argv[i] = i % 2 ? "x" : "--tokem";
    assert_int_equal(policy_redact_argv(policy, argv, argc, &redacted), 0);
    assert_string_equal(redacted[4095], "x");
    assert_string_equal(redacted[4096], "[redacted]");
    assert_string_equal(redacted[4999], "[redacted]");
    free((void *)redacted);

    memset(large, 'x', size - 8);
    argv[1] = large;
    assert_int_equal(policy_redact_argv(policy, argv, 4, &redacted), 0);
    assert_string_equal(redacted[0], "--tokem");
    assert_string_equal(redacted[2], "[redacted]");
    free((void *)redacted);

    /* A pattern that gives up hides all that it was tried on. */
    memset(large, 'a', 60);
    large[60] = 'c';
    large[61] = 'b';
    large[62] = '\0';
    const char *const hard[] = {"x", large, "y", "--token"};
    assert_int_equal(policy_redact_argv(policy, hard, 4, &redacted), 0);
    assert_string_equal(redacted[0], "x");
    for (size_t i = 1; i < 4; i++)
        assert_string_equal(redacted[i], "[redacted]");
    free((void *)redacted);

    /* Matches at the far ends of long arguments reach over. */
    memset(large, ' ', size);
    fill(large + 9000, "--token=");
    large[9008] = '\0';
    policy = policy_free(policy);
    policy = policy_of("redact: ['token=? \\S+']\n");
    const char *const edges[] = {"x", large, "secret", "y"};
    assert_int_equal(policy_redact_argv(policy, edges, 4, &redacted), 0);
    assert_string_equal(redacted[2], "[redacted]");
    assert_string_equal(redacted[3], "y");
    free((void *)redacted);
    free((void *)argv);
    free(large);
    (void)policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_replaced),
        cmocka_unit_test(without_patterns_text_is_copied),
        cmocka_unit_test(matches_far_behind_are_found),
        cmocka_unit_test(what_is_too_hard_is_hidden_whole),
        cmocka_unit_test(secrets_in_two_arguments_are_hidden),
        cmocka_unit_test(command_lines_without_secrets_stay),
        cmocka_unit_test(work_on_a_command_line_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
