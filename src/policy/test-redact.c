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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_replaced),
        cmocka_unit_test(without_patterns_text_is_copied),
        cmocka_unit_test(matches_far_behind_are_found),
        cmocka_unit_test(what_is_too_hard_is_hidden_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
