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
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/numbers.h"
#include "cli/queue.h"
#include "cli/record.h"
#include "cli/show.h"
#include "cli/times.h"

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

/* Waiters, counted approvals, who may decide, what a grant would cover: in full only. */
static void test_an_entry_with_everything(void **state UNUSED)
{
    static const char json[] =
        "{\"id\":\"7K3M2Q\",\"jail\":\"one\",\"uid\":4000000000,\"argv\":[\"rm\"],"
        "\"rule\":\"r\",\"reason\":\"\",\"notes\":[],\"expires_in_ms\":599999,\"waiters\":75,"
        "\"needed\":2,\"approved_by\":[\"ali\\u001bce\"],\"approvers\":[\"bob\",\"ops\"],"
        "\"channels\":[\"slack\"],\"may_decide\":false,\"why_not\":\"only by: bob\","
        "\"grant\":{\"exact\":\"rm in "
        "'/w\\\\n'\\n\",\"widened\":null,\"session\":true,\"why_not\":null}}";
    Buffer out = BUFFER_EMPTY(1 << 16);
    json_t *entry = json_loads(json, 0, NULL);

    assert_non_null(entry);
    queue_put_entry(&out, entry, 0);
    json_decref(entry);
    _cleanup_free_ char *text = buffer_take_string(&out);
    assert_string_equal(text,
                        "7K3M2Q  expires in 9m59s; jail one, uid 4000000000, ×75, approvals 1/2 "
                        "(ali\\x1bce)\n"
                        "  rm\n"
                        "  rule  r\n"
                        "  only  by bob, ops\n"
                        "  only  through slack\n"
                        "  YOU   may not decide this: only by: bob\n"
                        "  grant (--for, --session): rm in '/w\\n'\\n\n");
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

static const char *suggestion(const char *name)
{
    static const CliVerb verbs[] = {{"status", NULL}, {"queue", NULL}, {"approve", NULL},
                                    {"deny", NULL},   {"watch", NULL}, {0}};
    return cli_suggest(verbs, name);
}

static void test_suggestions(void **state UNUSED)
{
    static const struct {
        const char *given, *meant;
    } cases[] = {{"staus", "status"}, {"satus", "status"},   {"statsu", "status"},
                 {"queu", "queue"},   {"aprove", "approve"}, {"app", "approve"},
                 {"wacht", "watch"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(suggestion(cases[i].given), cases[i].meant);
    assert_null(suggestion(""));
    assert_null(suggestion("x"));
    assert_null(suggestion("nonsense"));
    assert_null(suggestion("a-word-that-is-longer-than-any-verb-could-be"));
}

static void test_numbers_and_names(void **state UNUSED)
{
    static const char *const bad[] = {"",   "0",  "-1", "+1",
                                      " 1", "1x", "11", "99999999999999999999"};
    unsigned value;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(cli_parse_count(bad[i], 10, &value), -EINVAL);
    assert_int_equal(cli_parse_count("10", 10, &value), 0);
    assert_int_equal(value, 10);

    assert_true(cli_is_id("G-7K3M2Q"));
    assert_true(cli_is_name("a.b_c@d-1"));
    static const char *const no_ids[] = {"", "a/b", "..", "a b", "a%2f", "a\n"};
    for (size_t i = 0; i < ARRAY_SIZE(no_ids); i++) {
        assert_false(cli_is_id(no_ids[i]));
        assert_false(cli_is_name(no_ids[i]));
    }
}

static void test_times(void **state UNUSED)
{
    uint64_t us, now = clock_realtime_us();

    assert_int_equal(cli_parse_time("1970-01-02T00:00:01Z", &us), 0);
    assert_int_equal(us, 86401000000);
    assert_int_equal(cli_parse_time("1970-01-02", &us), 0);
    assert_int_equal(us, 86400000000);
    assert_int_equal(cli_parse_time("2h", &us), 0);
    assert_true(us <= now - 7199000000 && us >= now - 7201000000);
    assert_int_equal(cli_parse_time("yesterday", &us), -EINVAL);
    assert_int_equal(cli_parse_time("", &us), -EINVAL);
}

static void test_parameters(void **state UNUSED)
{
    Buffer path = BUFFER_EMPTY(4096);

    buffer_puts(&path, "/api/history");
    client_put_parameter(&path, "q", "a b&c=d/\xc3\xbc#?");
    client_put_parameter(&path, "jail", NULL);
    client_put_parameter(&path, "n", "1");
    _cleanup_free_ char *text = buffer_take_string(&path);
    assert_string_equal(text, "/api/history?q=a%20b%26c%3Dd%2F%C3%BC%23%3F&n=1");
}

/* Nothing in a record can pose as another one, and no cell as a formula. */
static void test_records(void **state UNUSED)
{
    json_t *record =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:[s,s], s:s}", "seq", 7, "ts",
                  "2026-11-24T04:10:29.123456Z", "event", "denied", "reason", "no\n     8 x",
                  "approver", "=cmd()", "newer", "a\x1b[b", "argv", "rm", "a\"b", "hash", "ff");
    Buffer out = BUFFER_EMPTY(65536);

    record_put_line(&out, record);
    _cleanup_free_ char *line = buffer_take_string(&out);
    assert_string_equal(line,
                        "     7 2026-11-24T04:10:29.123456Z denied - - reason='no\\n     8 x' "
                        "approver='=cmd()' newer='a\\x1b[b' : rm 'a\"b'\n");
    record_put_csv(&out, record);
    _cleanup_free_ char *row = buffer_take_string(&out);
    assert_non_null(strstr(row, ",\"'=cmd()\","));
    assert_non_null(strstr(row, ",\"rm 'a\"\"b'\","));
    assert_null(strchr(row, 0x1b));
    json_decref(record);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_numbers_and_names),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_places_of_the_api),
        cmocka_unit_test(test_tokens_stay_here),
        cmocka_unit_test(test_texts_cannot_lie),
        cmocka_unit_test(test_an_entry_of_the_queue),
        cmocka_unit_test(test_an_entry_with_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
