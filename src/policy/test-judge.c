#include "base/text.h"
#include "policy/test-policy.h"

/* A policy of one rule on rm/git/… with `action`; what the rule does not match is asked about. */
static Policy *one_rule(const char *command, const char *action, const char *rest)
{
    Buffer text = BUFFER_EMPTY(1 << 16);
    buffer_printf(&text, "default_action: ask\nrules:\n  - {command: %s, action: %s%s%s}\n",
                  command, action, rest[0] ? ", " : "", rest);
    char *yaml = buffer_take_string(&text);
    Policy *policy = policy_of(yaml);
    free(yaml);
    return policy;
}

/* Lines that the rule matches, then NULL, then lines that it does not, then NULL. */
static void assert_rule(const char *command, const char *action, const char *rest,
                        const char *const *lines)
{
    Policy *policy = one_rule(command, action, rest);
    PolicyAction wanted = strcmp(action, "allow") == 0 ? POLICY_ALLOW : POLICY_DENY;

    for (; *lines; lines++)
        assert_action(policy, *lines, wanted);
    for (lines++; *lines; lines++)
        assert_action(policy, *lines, POLICY_ASK);
    (void)policy_free(policy);
}
#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOT NULL

static void commands_match_by_name_and_path(void **state)
{
    (void)state;
    assert_rule("ls", "deny", "", LINES("ls", "/bin/ls -l", NOT, "lsx", "xls"));
    assert_rule("'git-*'", "deny", "", LINES("git-lfs", "git-", NOT, "git", "xgit-a"));
    assert_rule("'*sh'", "deny", "", LINES("sh", "bash", NOT, "shx"));
    assert_rule("'*y*o*'", "deny", "", LINES("python3", NOT, "pyth"));
    assert_rule("'[ab]?'", "deny", "", LINES("ax", "by", NOT, "cx", "a"));
    assert_rule("[a, 'b*', /usr/bin/c]", "deny", "", LINES("a", "bx", "c", NOT, "/bin/c", "d"));
    assert_rule("/usr/bin//../bin/c", "allow", "", LINES("c", NOT, "/bin/c"));
    assert_rule("'/opt/*/bin/*'", "allow", "", LINES("/opt/x/bin/y", NOT, "/opt/x/z/bin/y", "y"));
    assert_rule("'/opt/**'", "allow", "", LINES("/opt/x/bin/y", NOT, "/opt", "/usr/bin/opt"));
    assert_rule("'\\*'", "deny", "", LINES("'*'", NOT, "a"));
}

static void links_do_not_hide_what_is_denied(void **state)
{
    Policy *policy = one_rule("curl", "deny", "");
    TestQuery test;
    PolicyVerdict verdict;
    (void)state;

    test_query_of(&test, "innocent x");
    test.query.exe = "/usr/bin/curl";
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_DENY);
    (void)policy_free(policy);
    policy = one_rule("ls", "allow", "");
    test.query.exe = "/usr/bin/ls";
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_ASK);
    test_query_done(&test);
    (void)policy_free(policy);
}

static void names_vouch_only_for_files_of_others(void **state)
{
    Policy *policy = policy_of("default_action: ask\nrules:\n"
                               "  - {command: 'l*', action: allow}\n"
                               "  - {command: /app/ls, action: allow}\n"
                               "  - {command: ls, action: deny}\n");
    TestQuery test;
    PolicyVerdict verdict;
    (void)state;

    test_query_of(&test, "ls");
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_ALLOW);
    assert_false(verdict.needs_exe);
    test.query.exe_writable = true;
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_DENY);
    test.query.exe = "/app/ls"; /* a path vouches for what stands there */
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_ALLOW);
    test.query.exe_writable = false;
    test.query.exe = NULL;
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_ALLOW);
    assert_true(verdict.needs_exe);
    test_query_done(&test);
    (void)policy_free(policy);
}

static void names_vouch_only_where_programs_are(void **state)
{
    Policy *policy =
        policy_of("default_action: ask\ntrusted_paths: [/usr/*, '/opt/*/bin/*']\nrules:\n"
                  "  - {command: ls, action: allow, match: ['/tmp/ls']}\n"
                  "  - {command: /srv/tool, action: allow}\n"
                  "  - {command: rm, action: deny}\n");
    (void)state;

    const char *const allowed[] = {"/usr/bin/ls", "/usr/lib/x/y/ls", "/opt/x/bin/ls", "/srv/tool"};
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        assert_action(policy, allowed[i], POLICY_ALLOW);
    const char *const asked[] = {"/tmp/ls", "/usrx/ls", "/opt/x/ls", "/opt/x/y/bin/ls", "/ls"};
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        assert_action(policy, asked[i], POLICY_ASK);
    assert_action(policy, "/tmp/rm", POLICY_DENY); /* names that deny hold everywhere */

    TestQuery test;
    PolicyVerdict verdict;
    Buffer out = BUFFER_EMPTY(1 << 16);
    test_query_of(&test, "/tmp/ls");
    policy_explain(policy, &test.query, &out);
    buffer_put_u8(&out, 0);
    assert_non_null(strstr(out.bytes, "outside of trusted_paths"));
    buffer_done(&out);
    test.query.exe = NULL; /* judged again once the file is known */
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_ALLOW);
    assert_true(verdict.needs_exe);
    test_query_done(&test);
    (void)policy_free(policy);

    policy = policy_of("default_action: ask\ntrusted_paths: []\nrules:\n"
                       "  - {command: ls, action: allow}\n");
    assert_action(policy, "/usr/bin/ls", POLICY_ASK);
    (void)policy_free(policy);
}

static void spellings_of_an_option_are_one(void **state)
{
    (void)state;
    assert_rule("rm", "deny", "argv: [-r, --force]",
                LINES("rm -fr x", "rm -rf x", "rm -r -f x", "rm --recursive --force x",
                      "rm --recurs --forc x", "rm x -r y -f", "rm -vRf x", "rm -r --f x", NOT,
                      "rm -r x", "rm -f x", "rm x", "rm -- -r -f", "rm rf",
                      "rm --no-preserve-root -f"));
    assert_rule("rm", "deny", "argv: [-rf]",
                LINES("rm -rf", "rm -fr", "rm -r x -f", "rm --rec --force", NOT, "rm -r", "rm -f"));
    assert_rule("git", "deny", "argv: {after: commit, any: [--no-verify]}",
                LINES("git commit -n", "git commit --no-verify", "git commit -anm x",
                      "git commit --no-ver", "git -C x commit -n", NOT, "git commit -m n",
                      "git commit -amno", "git push -n", "git commit -a"));
    assert_rule("git", "deny", "argv: {after: push, any: ['--force-with-lease*', -f]}",
                LINES("git push --force-with-lease=x:y", "git push --force-w", "git push -uf",
                      "git push --forc", NOT, "git push -u", "git push origin force"));
    assert_rule("curl", "deny", "argv: ['--output=/etc/*']",
                LINES("curl -o /etc/x u", "curl -o/etc/x u", "curl -so/etc/x u",
                      "curl --output /etc/x", "curl --output=/etc/x", "curl --out /etc/x", NOT,
                      "curl -o /tmp/x", "curl u", "curl -O /etc/x"));
}

static void unknown_tools_are_read_generously(void **state)
{
    (void)state;
    assert_rule("tool", "deny", "argv: [--force]",
                LINES("tool --force", "tool --forc", "tool --force=1", "tool -- --force", NOT,
                      "tool force", "tool --forced", "tool -f"));
    assert_rule("tool", "deny", "argv: [-f]",
                LINES("tool -f", "tool -xf", "tool -fx", "tool -- -f", NOT, "tool f", "tool --f"));
    assert_rule("tool", "deny", "options: {force: [-f, --force], msg: [-m=]}, argv: [-f]",
                LINES("tool -f", "tool --force", "tool -xf", "tool --fo", NOT, "tool -mf", "tool x",
                      "tool -- -f"));
    /* "--" may be the value of an option that nobody knows. */
    assert_rule("rm", "deny", "argv: [-f]",
                LINES("rm --odd -- -f", NOT, "rm x -- -f", "rm -v -- -f"));
    assert_rule("terraform", "deny", "argv: {after: apply, any: [-auto-approve]}",
                LINES("terraform apply -auto-approve", "terraform apply --auto-approve",
                      "terraform -chdir=x apply -auto-approve=true", NOT, "terraform apply",
                      "terraform plan -auto-approve"));
}

static void subcommands_are_found(void **state)
{
    (void)state;
    assert_rule("git", "deny", "argv: {after: push}",
                LINES("git push", "git -C x push", "git -c a=b -c c=d push x",
                      "git --git-dir=x --work-tree y push", "git -cx=y push", "git --odd push",
                      "git --odd value push", "git -p push", NOT, "git status push", "git x",
                      "git -C push status", "git"));
    assert_rule("npm", "deny", "argv: {after: install}",
                LINES("npm install x", "npm i x", "npm add x", "npm --prefix x i", "npm -g install",
                      NOT, "npm ls", "npm run install"));
    assert_rule("docker", "deny", "argv: {after: run, any: [--privileged]}",
                LINES("docker run --privileged x", "docker container run --privileged x",
                      "docker -H x run --privileged=true y", NOT, "docker run x", "docker ps"));
    assert_rule("git", "deny", "argv: {after: [stash drop, 'reflog expire']}",
                LINES("git stash drop", "git stash -q drop", "git reflog expire --all", NOT,
                      "git stash", "git drop stash", "git reflog"));
    assert_rule("kubectl", "deny", "argv: {after: delete}",
                LINES("kubectl delete x", "kubectl -n kube-system delete pod",
                      "kubectl --odd delete", NOT, "kubectl get delete", "kubectl"));
}

static void allows_read_strictly(void **state)
{
    (void)state;
    assert_rule("git", "allow", "argv: {after: status}",
                LINES("git status", "git -C x status", "git --no-pager status -s", NOT,
                      "git -c core.fsmonitor=x status", "git --odd status",
                      "git --git-dir=x status", "git --exec-path=x status", "git push status"));
    assert_rule("git", "allow",
                "argv: {after: status, globals: ['-c core.fsmonitor=false', --git-dir]}",
                LINES("git -c core.fsmonitor=false status", "git --git-dir=x status",
                      "git --git-dir x status", "git -ccore.fsmonitor=false status", NOT,
                      "git -c core.fsmonitor=x status", "git -c x status", "git -p status"));
    assert_rule("ls", "allow", "argv: {only: [-l, -a, --color=never, '*']}",
                LINES("ls", "ls -la", "ls -l --all x y", "ls --color=never", "ls -- -x", NOT,
                      "ls -lR", "ls --al", "ls --color=always", "ls --color", "ls --odd"));
    assert_rule("head", "allow", "argv: {only: [-n, {regex: '-[0-9]+'}, '*.txt']}",
                LINES("head -n 5 a.txt", "head -n5 a.txt", "head --lines=5 a.txt", "head -5 a.txt",
                      NOT, "head -n 5 a", "head -c 5 a.txt", "head -5x a.txt"));
    assert_rule("tool", "allow", "argv: {only: [-l, --x, 'a*']}",
                LINES("tool -l", "tool -l --x abc", NOT, "tool -ll", "tool --x=1", "tool b",
                      "tool -- a -x"));
    assert_rule("tool", "allow", "options: {l: [-l, --long], m: [-m=]}, argv: {only: [-l, -m, a]}",
                LINES("tool -ll --long", "tool -m x a", "tool -lmx", NOT, "tool --lon",
                      "tool -m -x", "tool -lz"));
    assert_rule("tool", "allow", "argv: {only: []}", LINES("tool", NOT, "tool ''", "tool --"));
    assert_rule("uniq", "allow", "argv: {only: [-c, '*'], operands: 1}",
                LINES("uniq -c", "uniq a", "uniq -- a", NOT, "uniq a b", "uniq -- a b"));
    assert_rule("rm", "allow", "argv: {any: [--interactive], none: [-f]}",
                LINES("rm --interactive x", "rm --interactive=always x", NOT, "rm --inter x",
                      "rm --interactive -vf x", "rm --interactive --fo x", "rm x"));
    assert_rule("tool", "allow", "argv: {all: [build]}",
                LINES("tool build", NOT, "tool --odd build", "tool x"));
}

static void positions_count_operands(void **state)
{
    (void)state;
    assert_rule("git", "deny", "argv: {after: push, position: 1, any: [origin]}",
                LINES("git push origin x", "git push -u origin x", "git push --odd x origin",
                      "git push -o v origin", NOT, "git push x origin", "git push"));
    assert_rule("git", "allow", "argv: {after: push, position: 1, any: [origin]}",
                LINES("git push origin x", "git push -u origin", "git push -o v origin", NOT,
                      "git push --odd origin", "git push x origin"));
    assert_rule("cp", "deny", "argv: [{position: 1, any: [a]}, {at: 2, all: ['b*'], none: [bad]}]",
                LINES("cp a bc", "cp -r a -- b", NOT, "cp a bad", "cp a", "cp b a"));
}

static void old_args_are_substrings(void **state)
{
    (void)state;
    assert_rule("rm", "deny", "args: ['-rf /', x y]",
                LINES("rm -rf /", "rm -rf /app", "rm ax yb", NOT, "rm -r -f /", "rm", "rm x"));
}

static void the_caller_counts(void **state)
{
    Policy *policy = policy_of("default_action: ask\nrules:\n"
                               "  - {command: a, action: deny, uid: [0, 1000-1999]}\n"
                               "  - {command: b, action: deny, gid: 5}\n"
                               "  - {command: c, action: deny, jail: [x, 'y*']}\n"
                               "  - {command: d, action: deny, cwd: ['/app/*', /srv]}\n"
                               "  - {command: e, action: deny, env: [CI, 'MODE=prod*', '!DEBUG']}\n"
                               "  - {command: f, action: allow, env: ['MODE=prod']}\n");
    TestQuery test;
    PolicyVerdict verdict;
    (void)state;

#define JUDGED(line, change, wanted)                                                               \
    do {                                                                                           \
        test_query_of(&test, line);                                                                \
        change;                                                                                    \
        policy_judge(policy, &test.query, &verdict);                                               \
        assert_int_equal(verdict.action, wanted);                                                  \
        test_query_done(&test);                                                                    \
    } while (0)
    JUDGED("a", test.query.uid = 0, POLICY_DENY);
    JUDGED("a", test.query.uid = 1999, POLICY_DENY);
    JUDGED("a", test.query.uid = 2000, POLICY_ASK);
    JUDGED("b", test.query.gid = 5, POLICY_DENY);
    JUDGED("b", test.query.gid = 6, POLICY_ASK);
    JUDGED("c", test.query.jail = "yz", POLICY_DENY);
    JUDGED("c", test.query.jail = "xx", POLICY_ASK);
    JUDGED("d", test.query.cwd = "/app/x/../y", POLICY_DENY);
    JUDGED("d", test.query.cwd = "/app/../etc", POLICY_ASK);
    JUDGED("d", test.query.cwd = "//srv/.", POLICY_DENY);
    JUDGED("d", test.query.cwd = "relative", POLICY_DENY);
    static const char *const production[] = {"CI=", "MODE=production"};
    static const char *const debug[] = {"CI=", "MODE=production", "DEBUG=1"};
    static const char *const twice[] = {"MODE=prod", "MODE=x"};
    JUDGED("e", (test.query.env = production, test.query.envc = 2), POLICY_DENY);
    JUDGED("e", (test.query.env = debug, test.query.envc = 3), POLICY_ASK);
    JUDGED("e", (test.query.env = debug, test.query.envc = 1), POLICY_ASK);
    JUDGED("f", (test.query.env = twice, test.query.envc = 1), POLICY_ALLOW);
    JUDGED("f", (test.query.env = twice, test.query.envc = 2), POLICY_ASK);
    (void)policy_free(policy);

    policy = policy_of("default_action: allow\nallowed_paths: ['/app/*', /srv]\n");
    JUDGED("a", test.query.cwd = "/app/sub", POLICY_ALLOW);
    JUDGED("a", test.query.cwd = "/app", POLICY_ALLOW);
    JUDGED("a", test.query.cwd = "/srv", POLICY_ALLOW);
    JUDGED("a", test.query.cwd = "/srv/x", POLICY_DENY);
    assert_string_equal(verdict.rule, "allowed_paths");
    JUDGED("a", test.query.cwd = "/app/../etc", POLICY_DENY);
    JUDGED("a", test.query.cwd = "app", POLICY_DENY);
    JUDGED("a", test.query.cwd = NULL, POLICY_DENY);
#undef JUDGED
    (void)policy_free(policy);
}

static void what_cannot_be_judged_is_denied(void **state)
{
    Policy *policy = policy_of("default_action: allow\nrules:\n"
                               "  - {command: a, action: allow, argv: [{regex: '(a+)+b'}]}\n"
                               "  - {command: b, action: allow, argv: {any: ['x*y*z', '*q']}}\n");
    char evil[128] = "a ";
    PolicyVerdict verdict;
    TestQuery test;
    (void)state;

    memset(evil + 2, 'a', 100);
    memcpy(evil + 100, "bc", 3);
    verdict = verdict_on(policy, evil);
    assert_int_equal(verdict.action, POLICY_DENY);
    assert_non_null(strstr(verdict.reason, "match limit"));
    assert_string_equal(verdict.rule, "rule 1");

    /* Two MiB of arguments against a glob each. */
    size_t n = 100000;
    const char **argv = calloc(n, sizeof *argv);
    for (size_t i = 0; i < n; i++)
        argv[i] =
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxyxxxxxxxxxxxxxx";
    argv[0] = "b";
    test_query_of(&test, "b");
    test.query.argv = argv;
    test.query.argc = n;
    policy_judge(policy, &test.query, &verdict);
    assert_int_equal(verdict.action, POLICY_DENY);
    assert_non_null(strstr(verdict.reason, "too complex"));
    test_query_done(&test);
    free(argv);
    (void)policy_free(policy);
}

static void explanations_agree_and_cannot_lie(void **state)
{
    Policy *policy = policy_of(
        "default_action: ask\nrules:\n"
        "  - {name: first, command: git, argv: {after: push, any: [-f]}, action: deny}\n"
        "  - {name: second, command: git, cwd: /srv, action: deny}\n"
        "  - {name: third, command: git, argv: {after: push}, action: ask, reason: careful}\n"
        "  - {command: ls, action: allow}\n");
    Buffer out = BUFFER_EMPTY(1 << 16);
    TestQuery test;
    (void)state;

    test_query_of(&test, "git push 'a\nverdict: allow' \xe2\x80\xae");
    policy_explain(policy, &test.query, &out);
    buffer_put_u8(&out, 0);
    assert_non_null(strstr(out.bytes, "verdict: ask, by third (line 5): careful"));
    assert_non_null(strstr(out.bytes, "deny first: no argument is any of: -f"));
    assert_non_null(strstr(out.bytes, "deny second: it is not for the working directory /app"));
    assert_non_null(strstr(out.bytes, "yes: line 5, ask third"));
    assert_null(strstr(out.bytes, "\nverdict: allow"));
    assert_null(strstr(out.bytes, "\xe2\x80\xae"));
    test_query_done(&test);
    buffer_clear(&out);
    test_query_of(&test, "ls");
    test.query.exe_writable = true;
    policy_explain(policy, &test.query, &out);
    buffer_put_u8(&out, 0);
    assert_non_null(strstr(out.bytes, "the caller could change or replace the file"));
    assert_non_null(strstr(out.bytes, "3 rules for other commands"));
    assert_non_null(strstr(out.bytes, "default_action is ask"));
    test_query_done(&test);
    buffer_done(&out);
    (void)policy_free(policy);
}

static void explain_says_what_runs_it(void **state)
{
    static const char words[] = "run by the container engine (mirror_engine: docker)";
    static const struct {
        const char *text;
        bool wanted;
    } cases[] = {{"mirror_engine: docker\ndefault_action: ask\n", true},
                 {"mirror_engine: docker\ndefault_action: ask\ndefault_executor: mirror\n", true},
                 {"mirror_engine: docker\ndefault_action: ask\ndefault_executor: local\n", false},
                 {"mirror_engine: joiner\ndefault_action: ask\n", false},
                 {"mirror_engine: docker\ndefault_action: deny\n", false},
                 {"default_action: ask\n", false}};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Policy *policy = policy_of(cases[i].text);
        Buffer out = BUFFER_EMPTY(1 << 16);
        TestQuery test;
        test_query_of(&test, "ls");
        policy_explain(policy, &test.query, &out);
        buffer_put_u8(&out, 0);
        assert_true((strstr(out.bytes, words) != NULL) == cases[i].wanted);
        test_query_done(&test);
        buffer_done(&out);
        (void)policy_free(policy);
    }
}

static void odd_queries_do_no_harm(void **state)
{
    Policy *policy = policy_of("rules:\n  - {command: '*', action: deny, args: [x], argv: [a]}\n");
    PolicyQuery query = {.name = "", .argv = NULL, .argc = 0};
    PolicyVerdict verdict;
    Buffer out = BUFFER_EMPTY(1 << 16);
    (void)state;

    policy_judge(policy, &query, &verdict);
    assert_int_equal(verdict.action, POLICY_DENY);
    policy_explain(policy, &query, &out);
    buffer_done(&out);
    (void)policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_match_by_name_and_path),
        cmocka_unit_test(links_do_not_hide_what_is_denied),
        cmocka_unit_test(names_vouch_only_for_files_of_others),
        cmocka_unit_test(names_vouch_only_where_programs_are),
        cmocka_unit_test(spellings_of_an_option_are_one),
        cmocka_unit_test(unknown_tools_are_read_generously),
        cmocka_unit_test(subcommands_are_found),
        cmocka_unit_test(allows_read_strictly),
        cmocka_unit_test(positions_count_operands),
        cmocka_unit_test(old_args_are_substrings),
        cmocka_unit_test(the_caller_counts),
        cmocka_unit_test(what_cannot_be_judged_is_denied),
        cmocka_unit_test(explanations_agree_and_cannot_lie),
        cmocka_unit_test(explain_says_what_runs_it),
        cmocka_unit_test(odd_queries_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
