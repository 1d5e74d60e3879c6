#include "policy/test-policy.h"

static bool glob(const char *pattern, const char *text)
{
    return glob_match(pattern, strlen(pattern), text, strlen(text));
}

static bool path_glob(const char *pattern, const char *text)
{
    return glob_match_path(pattern, strlen(pattern), text, strlen(text));
}

static void globs_cover_whole_texts(void **state)
{
    (void)state;
    assert_true(glob("", ""));
    assert_true(glob("*", ""));
    assert_true(glob("a*c", "abbbc"));
    assert_true(glob("a*b*c", "axxbyyc"));
    assert_false(glob("a*c", "abcd"));
    assert_true(glob("*a*", "bab"));
    assert_true(glob("?", "\xff"));
    assert_false(glob("?", ""));
    assert_true(glob("[a-c]x", "bx"));
    assert_false(glob("[!a-c]x", "bx"));
    assert_true(glob("[]]", "]"));
    assert_true(glob("[^]]", "a"));
    assert_true(glob("[-a]", "-"));
    assert_true(glob("[a", "[a")); /* no end: ordinary */
    assert_true(glob("\\*", "*"));
    assert_false(glob("\\*", "a"));
    assert_true(glob("\\", "\\"));
    assert_true(glob("*", "a/b\n"));
    assert_true(glob("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
}

static void frequent_globs_have_short_cuts(void **state)
{
    static const char *const globs[] = {"*ab", "*ab*",  "*a*b",  "*",  "**",
                                        "*a",  "*[a]*", "*\\**", "**a"};
    static const char *const texts[] = {"",     "a",   "ab", "xab", "abx",
                                        "xabx", "a*b", "b",  "*",   "axb"};
    Arena arena = {0};
    (void)state;

    for (size_t g = 0; g < ARRAY_SIZE(globs); g++)
        for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
            Pattern pattern;
            assert_int_equal(pattern_of_text(&arena, globs[g], strlen(globs[g]), &pattern), 0);
            assert_true(pattern_is_glob(&pattern));
            assert_int_equal(pattern_match(&pattern, texts[t], strlen(texts[t])),
                             glob(globs[g], texts[t]));
        }
    arena_done(&arena);
}

static void path_globs_stop_at_slashes(void **state)
{
    (void)state;
    assert_true(path_glob("/usr/bin/*", "/usr/bin/git"));
    assert_false(path_glob("/usr/bin/*", "/usr/bin/x/git"));
    assert_false(path_glob("/usr/?in", "/usr//in"));
    assert_true(path_glob("/usr/**", "/usr/bin/x/git"));
    assert_true(path_glob("/*/bin/**", "/usr/bin/x/git"));
    assert_false(path_glob("/usr/**", "/usr"));
    assert_false(path_glob("/usr/**", "/usr/"));
    assert_false(path_glob("/usr/*/a", "/usr/x/y/a"));
    assert_false(path_glob("/[!a]/b", "///b"));
}

static void directories_cover_what_is_below(void **state)
{
    (void)state;
    assert_true(path_pattern_covers("/app/*", "/app"));
    assert_true(path_pattern_covers("/app/*", "/app/a/b"));
    assert_false(path_pattern_covers("/app/*", "/apple"));
    assert_false(path_pattern_covers("/app/*", "/"));
    assert_true(path_pattern_covers("/home/*/work/*", "/home/u/work/x/y"));
    assert_true(path_pattern_covers("/home/*/work/*", "/home/u/work"));
    assert_false(path_pattern_covers("/home/*/work/*", "/home/u/v/work"));
    assert_false(path_pattern_covers("/home/*/work/*", "/home/u"));
    assert_true(path_pattern_covers("/*", "/"));
    assert_true(path_pattern_covers("/*", "/a/b"));
    assert_true(path_pattern_covers("/app", "/app"));
    assert_false(path_pattern_covers("/app", "/app/x"));
}

static void paths_are_normalised(void **state)
{
    static const char *const pairs[][2] = {
        {"/a//b/./c/", "/a/b/c"}, {"/a/../b", "/b"},   {"/../..", "/"},  {"//", "/"},
        {"/a/..", "/"},           {"/a/b/../..", "/"}, {"/...", "/..."},
    };
    char room[PATH_ROOM];
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        assert_true(path_normalise(pairs[i][0], room));
        assert_string_equal(room, pairs[i][1]);
    }
    assert_false(path_normalise("a", room));
    assert_false(path_normalise("", room));
    char *longest = calloc(1, 3 * PATH_ROOM);
    memset(longest, 'a', 2 * PATH_ROOM);
    longest[0] = '/';
    assert_false(path_normalise(longest, room));
    longest[PATH_ROOM - 1] = '\0'; /* just fits */
    assert_true(path_normalise(longest, room));
    longest[PATH_ROOM - 1] = 'a';
    longest[PATH_ROOM] = '\0';
    assert_false(path_normalise(longest, room));
    free(longest);
}

static void expressions_cover_whole_texts(void **state)
{
    Arena arena = {0};
    RegexList list = {0};
    Pattern pattern;
    char message[256];
    (void)state;

    assert_int_equal(pattern_of_regex(&arena, &list, "a|ab", 4, false, &pattern, message), 0);
    assert_int_equal(pattern_match(&pattern, "ab", 2), PATTERN_YES);
    assert_int_equal(pattern_match(&pattern, "ab\n", 3), PATTERN_NO);
    assert_int_equal(pattern_match(&pattern, "xab", 3), PATTERN_NO);
    assert_int_equal(pattern_of_regex(&arena, &list, "a.c$", 4, false, &pattern, message), 0);
    assert_int_equal(pattern_match(&pattern, "a\nc", 3), PATTERN_YES);
    assert_int_equal(pattern_match(&pattern,
                                   "a\xff"
                                   "c",
                                   3),
                     PATTERN_YES);
    assert_int_equal(pattern_match(&pattern, "abc\n", 4), PATTERN_NO);
    assert_int_equal(pattern_of_regex(&arena, &list, "(*UTF)a", 7, false, &pattern, message), 1);
    assert_int_equal(pattern_of_regex(&arena, &list, "(", 1, false, &pattern, message), 1);
    assert_non_null(strstr(message, "missing closing parenthesis"));
    assert_int_equal(pattern_of_regex(&arena, &list, "(a+)+b", 6, false, &pattern, message), 0);
    char evil[64];
    memset(evil, 'a', sizeof evil);
    evil[sizeof evil - 1] = 'c'; /* a 'b' is missing, which PCRE2 sees at once; put one in */
    evil[sizeof evil - 2] = 'b';
    assert_int_equal(pattern_match(&pattern, evil, sizeof evil), PATTERN_GAVE_UP);
    regex_list_done(&list);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_cover_whole_texts),
        cmocka_unit_test(frequent_globs_have_short_cuts),
        cmocka_unit_test(path_globs_stop_at_slashes),
        cmocka_unit_test(directories_cover_what_is_below),
        cmocka_unit_test(paths_are_normalised),
        cmocka_unit_test(expressions_cover_whole_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
