#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/test-policy.h"

static void the_old_format_loads(void **state)
{
    Policy *policy =
        policy_of("default_action: ask\n"
                  "default_timeout: \"120s\"\n"
                  "allowed_paths:\n  - \"/app/*\"\n  - \"/tmp/*\"\n"
                  "rules:\n"
                  "  - command: rm\n    action: deny\n    args: [\"-rf /\", \"-rf /*\"]\n"
                  "    reason: \"Destructive filesystem operations\"\n"
                  "  - command: npm\n    patterns: [\"install\"]\n    action: ask\n"
                  "    timeout: 5m\n    executor: ghost\n"
                  "  - command: ls\n    action: allow\n"
                  "  - command: terraform\n    action: allow\n    executor: mirror\n"
                  "ghost_images:\n  npm: \"node:18-alpine\"\n");
    (void)state;
    assert_int_equal(policy_n_rules(policy), 4);
    PolicyVerdict verdict = verdict_on(policy, "rm -rf /app");
    assert_int_equal(verdict.action, POLICY_DENY);
    assert_string_equal(verdict.rule, "rule 1");
    assert_string_equal(verdict.reason, "Destructive filesystem operations");
    assert_int_equal(verdict.line, 7);
    assert_action(policy, "rm -r x", POLICY_ASK);
    verdict = verdict_on(policy, "npm install x");
    assert_int_equal(verdict.executor, POLICY_EXECUTOR_GHOST);
    assert_int_equal(verdict.timeout_ms, 5 * 60 * 1000);
    verdict = verdict_on(policy, "ls");
    assert_int_equal(verdict.action, POLICY_ALLOW);
    assert_int_equal(verdict.timeout_ms, 120 * 1000);
    assert_string_equal(policy_ghost_image(policy, "npm"), "node:18-alpine");
    assert_null(policy_ghost_image(policy, "x"));
    (void)policy_free(policy);
}

static void everything_has_a_default(void **state)
{
    Policy *policy = policy_of("rules: []\n");
    size_t n_jails;
    const PolicyJail *jails = policy_jails(policy, &n_jails);
    PolicyVerdict verdict = verdict_on(policy, "x");
    (void)state;

    assert_int_equal(verdict.action, POLICY_DENY);
    assert_string_equal(verdict.rule, "default");
    assert_int_equal(verdict.executor, POLICY_EXECUTOR_AUTO);
    assert_int_equal(verdict.timeout_ms, 2 * 60 * 1000);
    assert_int_equal(verdict.approval_timeout_ms, 10 * 60 * 1000);
    assert_int_equal(policy_approval_grace_ms(policy), 15 * 60 * 1000);
    assert_int_equal(n_jails, 1);
    assert_string_equal(jails[0].name, "default");
    assert_true(jails[0].wait_ms == UINT64_MAX);
    assert_int_equal(jails[0].limits.pending, 50);
    assert_int_equal(jails[0].limits.connections, 200);
    assert_int_equal(jails[0].limits.bytes, 64 << 20);
    assert_int_equal(jails[0].limits.commands, 100);
    assert_int_equal(strlen(policy_digest(policy)), 64);
    assert_false(policy_redacts(policy));
    (void)policy_free(policy);
}

static void jails_are_read(void **state)
{
    Policy *policy = policy_of(
        "jails:\n  my-agent: {commands: [ls, git], hardened: true, allow_root: true, "
        "wait: 30s, limits: "
        "{pending: 5, connections: 7, bytes: 70000, commands: 9}}\n  b: {wait: false}\n  c:\n");
    const PolicyJail *jail = policy_jail(policy, "my-agent");
    size_t n_jails;
    (void)state;

    assert_non_null(jail);
    assert_int_equal(jail->n_commands, 2);
    assert_string_equal(jail->commands[1], "git");
    assert_true(jail->hardened);
    assert_true(jail->allow_root);
    assert_false(policy_jail(policy, "b")->allow_root);
    assert_int_equal(jail->wait_ms, 30000);
    assert_int_equal(jail->limits.pending, 5);
    assert_int_equal(jail->limits.connections, 7);
    assert_int_equal(jail->limits.bytes, 70000);
    assert_int_equal(jail->limits.commands, 9);
    assert_int_equal(policy_jail(policy, "b")->wait_ms, 0);
    assert_non_null(policy_jail(policy, "c"));
    assert_non_null(policy_jail(policy, "default"));
    assert_null(policy_jail(policy, "d"));
    (void)policy_jails(policy, &n_jails);
    assert_int_equal(n_jails, 4);
    (void)policy_free(policy);
}

static void mistakes_have_a_place(void **state)
{
    (void)state;
    assert_problem("defaut_action: ask\n", 1, 1, "did you mean \"default_action\"");
    assert_problem("grant: 1\n", 1, 1, "unknown key");
    assert_problem("default_action: alow\n", 1, 17, "did you mean \"allow\"");
    assert_problem("default_action: ask\ndefault_action: deny\n", 2, 1, "stands twice");
    assert_problem("default_timeout: soon\n", 1, 18, "no duration");
    assert_problem("default_timeout: 400d\n", 1, 18, "longer than a year");
    assert_problem("approval_timeout: 0\n", 1, 19, "in no time");
    assert_problem("version: 2\n", 1, 10, "version 1");
    assert_problem("version: x\n", 1, 10, "whole number");
    assert_problem("default_executor: moon\n", 1, 19, "must be auto, local, mirror or ghost");
    assert_problem("mirror_engine: podman\n", 1, 16, "must be joiner or docker");
    assert_problem("allowed_paths: [app]\n", 1, 17, "absolute path");
    assert_problem("redact: ['(']\n", 1, 11, "no regular expression");
    assert_problem("rules: x\n", 1, 8, "must be a list");
    assert_problem("rules:\n  - x\n", 2, 5, "a rule must be a mapping");
    assert_problem("rules:\n  - action: deny\n", 2, 5, "needs a command");
    assert_problem("rules:\n  - command: ls\n", 2, 5, "needs an action");
    assert_problem("rules:\n  - command: a/b\n    action: deny\n", 2, 14, "absolute path");
    assert_problem("rules:\n  - command: a b\n    action: deny\n", 2, 14, "single name");
    assert_problem("rules:\n  - command:\n    action: deny\n", 2, 5, "no value");
    assert_problem("rules:\n  - {command: a, action: deny, uid: -1}\n", 2, 37, "number or a range");
    assert_problem("rules:\n  - {command: a, action: deny, uid: 5-1}\n", 2, 37, "range");
    assert_problem("rules:\n  - {command: a, action: deny, env: ['=x']}\n", 2, 39, "NAME");
    assert_problem("rules:\n  - {command: a, action: deny, name: default}\n", 2, 38,
                   "choose another");
    assert_problem("rules:\n  - {command: a, action: deny, args: [b], patterns: [c]}\n", 2, 54,
                   "two names");
    assert_problem("jails: {A: {}}\n", 1, 9, "small letters");
    assert_problem("jails: {a: {}, a: {}}\n", 1, 16, "twice");
    assert_problem("jails: {a: {commands: [/bin/x]}}\n", 1, 24, "without '/'");
    assert_problem("jails: {a: {hardened: yes}}\n", 1, 23, "true or false");
    assert_problem("jails: {a: {limits: {pending: 0}}}\n", 1, 31, "at least 1");
    assert_problem("ghost_images: [a]\n", 1, 16, "must map");
    assert_problem("environment: {allow: [A=b]}\n", 1, 23, "without '='");
    assert_problem("environment: {allow: [LD_PRELOAD]}\n", 1, 23, "always removed");
    assert_problem("", 1, 1, "empty");
    assert_problem("# nothing\n", 1, 1, "empty");
    assert_problem("- a\n", 1, 3, "must be a mapping");
    assert_problem("rules: []\n---\nrules: []\n", 0, 0, "second document");
}

static void argv_mistakes_have_a_place(void **state)
{
#define ARGV(text) "rules:\n  - {command: a, action: deny, argv: " text "}\n"
    (void)state;
    assert_problem(ARGV("{}"), 2, 32, "says nothing");
    assert_problem(ARGV("[]"), 2, 32, "must not be empty");
    assert_problem(ARGV("{any: []}"), 2, 39, "at least one pattern");
    assert_problem(ARGV("{ani: [x]}"), 2, 39, "did you mean \"any\"");
    assert_problem(ARGV("{any: [{regex: '('}]}"), 2, 54, "no regular expression");
    assert_problem(ARGV("{any: [{regx: a}]}"), 2, 46, "did you mean \"regex\"");
    assert_problem(ARGV("{after: '-x', any: [a]}"), 2, 47, "cannot be an option");
    assert_problem(ARGV("{position: 0, any: [a]}"), 2, 49, "from 1");
    assert_problem(ARGV("{position: 1}"), 2, 39, "position needs");
    assert_problem(ARGV("{globals: ['-C'], any: [a]}"), 2, 39, "give after");
    assert_problem(ARGV("{operands: 1, any: [a]}"), 2, 39, "give only");
    assert_problem(ARGV("[a], options: {force: [f]}"), 2, 61, "is spelled");
    assert_problem(ARGV("[a], options: [x]"), 2, 53, "maps names");
#undef ARGV
}

static void broken_text_is_refused(void **state)
{
    (void)state;
    assert_problem("a: [1,\nb: {\n", 2, 1, "no YAML");
    assert_problem("a: \"x\n", 1, 5, "no YAML");
    assert_problem("rules: *x\n", 1, 9, "no anchor");
    assert_problem("default_action: \xff\n", 1, 17, "UTF-8");
    assert_problem("default_action: a\x01\n", 1, 18, "control character");
    assert_problem("default_action: ask\n\rrules: []\n", 2, 1, "control character");
    assert_problem("default_action: ask \xe2\x80\xa8\n", 1, 21, "control character");
    (void)policy_free(policy_of("default_action: ask\r\nrules: []\r\n"));
    assert_problem("default_action: \"ask\\0\"\n", 1, 18, "short word");
    assert_problem("rules:\n  - {command: \"a\\0\", action: deny}\n", 2, 16, "NUL");
}

static void all_mistakes_are_reported_in_order(void **state)
{
    static const char text[] = "default_action: x\nfoo: 1\nrules:\n  - {comand: a, action: b}\n"
                               "  - {command: c, action: allow, timeout: x}\n";
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    unsigned last = 0;
    char *printed = NULL;
    size_t size = 0;
    (void)state;

    assert_int_equal(policy_load_text("p", text, strlen(text), &policy, &problems), 1);
    assert_int_equal(problems.n_errors, 5);
    for (size_t i = 0; i < problems.n_items; i++) {
        assert_true(problems.items[i].line >= last);
        last = problems.items[i].line;
    }
    FILE *out = open_memstream(&printed, &size);
    policy_problems_print(&problems, out);
    (void)fclose(out);
    assert_memory_equal(printed, "p:1:17: error: this must be allow, deny or ask: x\n", 50);
    free(printed);
    policy_problems_done(&problems);
}

static void aliases_and_merges_work(void **state)
{
    Policy *policy = policy_of("rules:\n"
                               "  - &base {command: &names [a, b], action: allow, reason: r}\n"
                               "  - <<: *base\n    action: deny\n    command: c\n"
                               "  - {command: d, action: ask, argv: {any: [*names, e]}}\n");
    (void)state;
    assert_action(policy, "a", POLICY_ALLOW);
    PolicyVerdict verdict = verdict_on(policy, "c");
    assert_int_equal(verdict.action, POLICY_DENY);
    assert_string_equal(verdict.reason, "r");
    assert_action(policy, "d b", POLICY_ASK);
    assert_action(policy, "d e", POLICY_ASK);
    assert_action(policy, "d f", POLICY_DENY);
    (void)policy_free(policy);
    assert_problem("rules:\n  - {<<: x, command: a, action: deny}\n", 2, 6, "alias of a mapping");
    assert_problem("rules: &r [*r]\n", 1, 13, "must be a mapping");
}

static void aliases_cannot_explode(void **state)
{
    Buffer text = BUFFER_EMPTY(1 << 20);
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    (void)state;

    /* Each of 3000 rules has a list of 2000 patterns: 6 million nodes in 60 kB. */
    buffer_puts(&text, "jails: {a: {commands: &c [");
    for (int i = 0; i < 2000; i++)
        buffer_printf(&text, "%sc%d", i ? "," : "", i);
    buffer_puts(&text, "]}}\nrules:\n");
    for (int i = 0; i < 3000; i++)
        buffer_puts(&text, "- {command: *c, action: ask}\n");
    int rc = policy_load_text("p", text.bytes, text.size, &policy, &problems);
    assert_int_equal(rc, 1);
    assert_non_null(strstr(problems.items[0].message, "too large"));
    policy_problems_done(&problems);
    buffer_done(&text);
}

static void files_are_loaded_and_missed(void **state)
{
    char path[] = "/tmp/clawrden-test-policy-XXXXXX";
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    int fd = mkstemp(path);
    (void)state;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "default_action: ask\n", 20), 20);
    assert_int_equal(policy_load_file(path, &policy, &problems), 0);
    policy = policy_free(policy);
    assert_int_equal(ftruncate(fd, (off_t)POLICY_FILE_SIZE_MAX + 1), 0);
    assert_int_equal(policy_load_file(path, &policy, &problems), 1);
    assert_null(policy);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(policy_load_file(path, &policy, &problems), -ENOENT);
    policy_problems_done(&problems);
}

/* What is no regular file is refused at once: reading a FIFO would wait for a writer. */
static void only_regular_files_are_read(void **state)
{
    char directory[] = "/tmp/clwd-policy-XXXXXX", fifo[64], link[64];
    PolicyProblems problems = {0};
    Policy *policy = NULL;
    (void)state;

    assert_non_null(mkdtemp(directory));
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    (void)snprintf(link, sizeof link, "%s/link", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("fifo", link), 0);
    const char *const paths[] = {fifo, link, directory, "/dev/null", "/dev/zero"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        assert_int_equal(policy_load_file(paths[i], &policy, &problems), 1);
        assert_null(policy);
        assert_int_equal(problems.n_errors, i + 1);
        assert_string_equal(problems.items[i].message, "this is no regular file");
    }
    policy_problems_done(&problems);
    assert_int_equal(unlink(link) | unlink(fifo) | rmdir(directory), 0);
}

static void examples_are_checked(void **state)
{
#define RULE(text) "rules:\n  - {command: rm, action: deny, argv: [-r, -f], " text "}\n"
    Policy *policy = policy_of(RULE("match: [rm -rf x, 'rm \"-r\" ''-f''', /bin/rm --rec --fo], "
                                    "not_match: [rm -r, rm -- -r -f]"));
    (void)state;
    (void)policy_free(policy);
    assert_problem(RULE("match: [rm -r x]"), 2, 57, "should match its rule but does not");
    assert_problem(RULE("not_match: [rm -fr]"), 2, 61, "should not match its rule but does");
    assert_problem(RULE("match: ['rm \"x']"), 2, 58, "quote missing");
    assert_problem(RULE("match: [mv -rf x]"), 2, 57, "it is for another command");
#undef RULE
}

static void lint_warns(void **state)
{
    (void)state;
    assert_problem("default_action: allow\n", 1, 1, "whatever no rule names");
    assert_problem("rules:\n  - {command: '*', action: allow}\n", 2, 6, "every command");
    assert_problem("rules:\n  - {command: env, action: allow}\n", 2, 6, "runs other commands");
    assert_problem("rules:\n  - {command: /usr/bin/env, action: allow}\n", 2, 6, "runs other");
    assert_problem("rules:\n  - {command: a, action: deny}\n  - {command: a, action: ask}\n", 3, 6,
                   "never reached");
    assert_problem("rules:\n  - {command: 'a*', action: deny}\n  - {command: ab, action: ask}\n", 3,
                   6, "never reached");
    assert_problem("rules:\n  - {command: a, action: ask, args: [x]}\n", 2, 38, "use argv");
    assert_problem("rules:\n  - {command: a, action: ask, argv: {only: [x]}}\n", 2, 6,
                   "read strictly");
    assert_problem("rules:\n  - {command: a, action: ask, name: x, argv: [b]}\n"
                   "  - {command: b, action: ask, name: x}\n",
                   3, 6, "this name, too");
    assert_problem("allowed_paths: []\n", 1, 1, "everything is denied");
    assert_problem("mirror_engine: docker\njails: {web: {hardened: true}}\n", 1, 1,
                   "this jail is hardened");
    assert_no_problem("mirror_engine: joiner\njails: {web: {hardened: true}}\n");
    assert_no_problem("mirror_engine: docker\njails: {web: {}}\n");
    assert_no_problem(
        "default_executor: mirror\nrules:\n  - {command: a, action: deny, executor: ghost}\n"
        "  - {command: b, action: ask, executor: local}\n");
}

static void lint_warns_of_dead_rules(void **state)
{
    (void)state;
    assert_problem("rules:\n  - {command: a, action: allow}\n  - {command: a, action: deny}\n", 3,
                   6, "can only deny those");
    assert_problem("rules:\n  - {command: 'a*', action: allow}\n"
                   "  - {command: ab, action: ask, argv: [x]}\n",
                   3, 6, "can only ask about those");
    assert_problem("rules:\n  - {command: /bin/a, action: allow}\n"
                   "  - {command: /bin/a, action: deny}\n",
                   3, 6, "never reached");
    assert_problem("rules:\n  - {command: a, action: ask, jail: [default, other]}\n", 2, 6,
                   "no jail of the policy");
    assert_problem("jails: {web-1: {}}\nrules:\n  - {command: a, action: ask, jail: 'wep-*'}\n", 3,
                   6, "no jail of the policy");
    assert_problem("allowed_paths: /app/*\nrules:\n  - {command: a, action: ask, cwd: /srv/*}\n", 3,
                   6, "before any rule");
    assert_problem("allowed_paths: /app\nrules:\n  - {command: a, action: ask, cwd: /app/x}\n", 3,
                   6, "before any rule");
    assert_problem("rules:\n  - {command: a, action: ask, env: [X=1, '!X']}\n", 2, 6,
                   "set and not set");
    assert_problem("rules:\n  - {command: a, action: ask, argv: {all: [-x], none: [-x]}}\n", 2, 6,
                   "never applies");
    assert_problem("rules:\n  - {command: a, action: allow, argv: {any: [-x], only: []}}\n", 2, 6,
                   "never applies");
    assert_no_problem("jails: {web-1: {}}\nallowed_paths: [/app/*, '/home/*/w', /srv]\nrules:\n"
                      "  - {command: a, action: deny, jail: ['web-*', default], cwd: [/app/x, "
                      "/app, '/*', /home/x/w, '/s*', /srv], env: [X, Y, '!Z'], "
                      "argv: {all: [-x], none: [-y]}}\n"
                      "  - {command: a, action: allow, argv: {only: []}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_format_loads),
        cmocka_unit_test(everything_has_a_default),
        cmocka_unit_test(jails_are_read),
        cmocka_unit_test(mistakes_have_a_place),
        cmocka_unit_test(argv_mistakes_have_a_place),
        cmocka_unit_test(broken_text_is_refused),
        cmocka_unit_test(all_mistakes_are_reported_in_order),
        cmocka_unit_test(aliases_and_merges_work),
        cmocka_unit_test(aliases_cannot_explode),
        cmocka_unit_test(files_are_loaded_and_missed),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(examples_are_checked),
        cmocka_unit_test(lint_warns),
        cmocka_unit_test(lint_warns_of_dead_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
