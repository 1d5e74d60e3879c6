/*
 * Options and display: what a verb accepts, and that hostile JSON cannot lie on a terminal.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/queue.h"
#include "cli/show.h"

static const char usage[] = "usage: test\n";

typedef struct Parsed {
    const char *reason;
    bool all;
    CliList env;
    int first;
    Cli cli;
} Parsed;

/* `line` is split at spaces in place; argv[0] is its first word. */
static int parse(char *line, bool stop, int least, int most, Parsed *ret)
{
    char *argv[16];
    int argc = 0;
    *ret = (Parsed){0};
    const CliOption options[] = {{.name = "reason", .value = &ret->reason},
                                 {.name = "all", .flag = &ret->all},
                                 {.name = "env", .list = &ret->env},
                                 {0}};
    const CliSyntax syntax = {
        .usage = usage, .options = options, .stop_at_operand = stop, .least = least, .most = most};

    for (char *word; (word = strsep(&line, " "));)
        argv[argc++] = word;
    argv[argc] = NULL;
    int result = cli_parse(&ret->cli, &syntax, argc, argv, &ret->first);
    ret->first = argc - ret->first; /* operands */
    return result;
}

static void test_options(void **state UNUSED)
{
    Parsed parsed;
    char mixed[] = "deny 7K --reason no --json", stop[] = "test ls --all",
         marked[] = "test --all -- ls --reason", list[] = "x --env A=1 --env B=2";

    assert_int_equal(parse(mixed, false, 1, 1, &parsed), 0);
    assert_string_equal(parsed.reason, "no");
    assert_true(parsed.cli.json);
    assert_int_equal(parsed.first, 1);

    assert_int_equal(parse(stop, true, 0, -1, &parsed), 0);
    assert_false(parsed.all);
    assert_int_equal(parsed.first, 2);

    assert_int_equal(parse(marked, true, 0, -1, &parsed), 0);
    assert_true(parsed.all);
    assert_null(parsed.reason);
    assert_int_equal(parsed.first, 2);

    assert_int_equal(parse(list, false, 0, 0, &parsed), 0);
    assert_int_equal(parsed.env.n_items, 2);
    assert_string_equal(parsed.env.items[1], "B=2");
    cli_list_done(&parsed.env);
}

static void test_usage_errors(void **state UNUSED)
{
    static const char *const lines[] = {
        "deny", "deny a b", "deny --nope a", "deny a --reason", "deny --all=x a", "deny -x a"};
    Parsed parsed;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        _cleanup_free_ char *line = strdup(lines[i]);
        assert_int_equal(parse(line, false, 1, 1, &parsed), -EINVAL);
    }
}

static void test_places_of_the_api(void **state UNUSED)
{
    assert_string_equal(client_socket_path("unix:/a/b"), "/a/b");
    assert_string_equal(client_socket_path("/a/b"), "/a/b");
    assert_null(client_socket_path("http://127.0.0.1:8080"));
}

/* A token in the clear off this machine, or with a second header in it, goes nowhere. */
static void test_tokens_stay_here(void **state UNUSED)
{
    static const struct {
        const char *api, *token;
    } places[] = {
        {"http://example.com", "secret"},
        {"http://127.0.0.1.example.com", "secret"},
        {"http://localhost@example.com/", "secret"},
        {"http://localhost:x@example.com/", "secret"},
        {"https://localhost", "a\r\nX: b"},
        {"ftp://localhost", NULL},
        {"localhost:8080", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        Cli cli = {.api = places[i].api, .token = (char *)places[i].token};
        ClientAnswer answer;
        char *words;
        assert_int_equal(client_try(&cli, "GET", "/", NULL, &answer, &words), CLI_USAGE);
        free(words);
    }
}

static char *shown(const char *json)
{
    Buffer out = BUFFER_EMPTY(1 << 16);
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    if (json_is_array(value))
        show_argv(&out, value, 0);
    else
        show_member(&out, value, "x", 0);
    json_decref(value);
    char *text = buffer_take_string(&out);
    return text ? text : strdup("");
}

static void test_texts_cannot_lie(void **state UNUSED)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"[\"rm\",\"-rf\",\"a b\",\"\"]", "rm -rf 'a b' ''"},
        {"[\"\\u001b[2J\",\"it's\",\"\\u202egnp\"]", "'\\x1b[2J' 'it\\'s' '\\u{202e}gnp'"},
        {"[{\"base64\":\"/wA=\"}]", "'\\xff'"},
        {"[{\"base64\":\"!\"},7]", "'?' '?'"},
        {"{\"x\":\"a\\nb\"}", "a\\nb"},
        {"{\"x\":{\"base64\":\"/w==\"}}", "\\xff"},
        {"{\"x\":7}", ""},
        {"{}", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *text = shown(cases[i].json);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_an_entry_of_the_queue(void **state UNUSED)
{
    static const char json[] =
        "{\"id\":\"7K3M2Q\",\"jail\":\"one\",\"uid\":4000000000,\"argv\":[\"rm\",\"a\\nb\"],"
        "\"cwd\":\"/w\",\"exe\":\"/usr/bin/rm\",\"rule\":\"r\",\"reason\":\"\","
        "\"notes\":[\"mutable input: stdin\"],\"expires_in_ms\":599999}";
    Buffer out = BUFFER_EMPTY(1 << 16);
    json_t *entry = json_loads(json, 0, NULL);

    queue_put_entry(&out, entry, 0);
    json_decref(entry);
    _cleanup_free_ char *text = buffer_take_string(&out);
    assert_string_equal(text, "7K3M2Q  expires in 9m59s; jail one, uid 4000000000\n"
                              "  rm 'a\\nb'\n"
                              "  in    /w\n"
                              "  runs  /usr/bin/rm\n"
                              "  rule  r\n"
                              "  note  mutable input: stdin\n");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),           cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_places_of_the_api), cmocka_unit_test(test_tokens_stay_here),
        cmocka_unit_test(test_texts_cannot_lie),  cmocka_unit_test(test_an_entry_of_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
