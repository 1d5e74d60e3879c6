/*
 * The index must find exactly what trying every rule finds: random policies and queries over small
 * alphabets, where everything collides with everything.
 */
#include "policy/test-policy.h"

static uint64_t state_of_random = 88172645463325252u;

static size_t below(size_t limit)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (size_t)(state_of_random >> 11) % limit;
}

static const char *pick(const char *const *words, size_t n_words)
{
    return words[below(n_words)];
}

static const char *const names[] = {"git", "npm", "rm", "a", "ab", "abc", "b", "docker", "gitx"};
static const char *const commands[] = {
    "git",       "npm",        "rm",     "a",     "ab",           "b",        "docker",
    "'a*'",      "'*b'",       "'*i*'",  "'?b'",  "'g?t'",        "'[a-g]*'", "'*'",
    "'*x'",      "'ab*'",      "'*ab*'", "'a*c'", "/usr/bin/git", "/opt/ab",  "'/usr/bin/a*'",
    "'/opt/**'", "'/*/bin/b'", "'*[x]'", "'\\*'", "'g*[t]x'",
};
static const char *const words[] = {
    "push", "install", "i",  "add",         "run",    "container", "x",  "y",
    "-f",   "--force", "-C", "--git-dir=x", "--forc", "-xf",       "--", "status",
    "-c",   "a=b",     "",   "install-x",   "xpush",  "--odd",
};
static const char *const patterns[] = {
    "push", "install", "x",   "y",      "-f",   "--force", "'*x*'", "{regex: 'x|y'}",
    "i",    "'--f*'",  "run", "status", "'-x'", "--odd",   "'a=b'",
};
static const char *const texts[] = {"push",     "x",   "install x",  "force y",
                                    "a=b push", "tus", "--force x y"};
static const char *const subcommands[] = {"push", "install", "run", "add", "x", "status", "'x y'"};
static const char *const actions[] = {"allow", "deny", "ask"};

#define PICK(words_) pick((words_), ARRAY_SIZE(words_))

static void put_list(Buffer *out, const char *key, const char *const *from, size_t n_from)
{
    size_t n = 1 + below(3);
    buffer_printf(out, "%s: [", key);
    for (size_t i = 0; i < n; i++)
        buffer_printf(out, "%s%s", i ? ", " : "", pick(from, n_from));
    buffer_puts(out, "]");
}

static void put_argv(Buffer *out)
{
    bool begun = false;
    buffer_puts(out, ", argv: {");
    if (below(2)) {
        put_list(out, "after", subcommands, ARRAY_SIZE(subcommands));
        begun = true;
    }
    static const char *const keys[] = {"any", "all", "none", "only"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (below(3) > 0 && (begun || i + 1 < ARRAY_SIZE(keys)))
            continue;
        buffer_puts(out, begun ? ", " : "");
        put_list(out, keys[i], patterns, ARRAY_SIZE(patterns));
        if (below(8) == 0 && i != 3) {
            buffer_printf(out, ", position: %zu", 1 + below(2));
            break;
        }
        begun = true;
    }
    buffer_puts(out, "}");
}

static Policy *random_policy(size_t n_rules)
{
    Buffer out = BUFFER_EMPTY(1 << 24);
    PolicyProblems problems = {0};
    Policy *policy = NULL;

    buffer_puts(&out, "default_action: ask\nrules:\n");
    for (size_t i = 0; i < n_rules; i++) {
        buffer_puts(&out, "  - {");
        put_list(&out, "command", commands, ARRAY_SIZE(commands));
        buffer_printf(&out, ", action: %s", PICK(actions));
        if (below(4) == 0)
            buffer_puts(&out, ", uid: 1000");
        else if (below(3) == 0)
            put_list((buffer_puts(&out, ", "), &out), "args", texts, ARRAY_SIZE(texts));
        if (below(8) > 0)
            put_argv(&out);
        if (below(10) == 0)
            buffer_puts(&out, ", options: {f: [-f, --force], c: [-c=]}");
        buffer_puts(&out, "}\n");
    }
    int rc = policy_load_text("random", out.bytes, out.size, &policy, &problems);
    if (rc != 0) {
        policy_problems_print(&problems, stderr);
        (void)fwrite(out.bytes, 1, out.size, stderr);
    }
    assert_int_equal(rc, 0);
    policy_problems_done(&problems);
    buffer_done(&out);
    return policy;
}

static void random_query(PolicyQuery *query, const char **argv)
{
    static const char *const exes[] = {"/usr/bin/git", "/opt/ab",  "/usr/bin/a", "/usr/bin/b",
                                       "/usr/bin/npm", "/opt/x/y", NULL};
    size_t argc = 1 + below(6);

    *query = (PolicyQuery){.jail = "default", .uid = below(2) ? 1000 : 1, .name = PICK(names)};
    query->exe = PICK(exes);
    query->exe_writable = below(5) == 0;
    argv[0] = query->name;
    for (size_t i = 1; i < argc; i++)
        argv[i] = PICK(words);
    query->argv = argv;
    query->argc = argc;
    query->cwd = "/app";
}

static void compare(const Policy *policy, size_t n_queries)
{
    for (size_t i = 0; i < n_queries; i++) {
        const char *argv[8];
        PolicyQuery query;
        PolicyVerdict fast, slow;
        Judging judging;

        random_query(&query, argv);
        judging_begin(&judging, &query);
        size_t found = judge_with(policy, &judging, index_find, &fast);
        judging_done(&judging);
        judging_begin(&judging, &query);
        size_t wanted = judge_with(policy, &judging, index_find_slowly, &slow);
        judging_done(&judging);
        if (found != wanted) {
            print_error("index %zu, all %zu:", found, wanted);
            for (size_t a = 0; a < query.argc; a++)
                print_error(" '%s'", argv[a]);
            print_error(" exe %s\n", query.exe ? query.exe : "-");
        }
        assert_int_equal(found, wanted);
        assert_int_equal(fast.action, slow.action);
        assert_ptr_equal(fast.rule, slow.rule);
    }
}

static void small_policies_agree(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        Policy *policy = random_policy(1 + below(40));
        compare(policy, 200);
        (void)policy_free(policy);
    }
}

static void large_policies_agree(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        Policy *policy = random_policy(3000);
        compare(policy, 300);
        (void)policy_free(policy);
    }
}

/* Where every rule but a few is about something else, so that late rules decide. */
static void sparse_policies_agree(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        Buffer out = BUFFER_EMPTY(1 << 20);
        buffer_puts(&out, "rules:\n");
        for (size_t r = 0; r < 400; r++) {
            buffer_printf(&out, "  - {command: %s, action: %s, ", PICK(commands), PICK(actions));
            switch (below(4)) {
            case 0:
                buffer_printf(&out, "args: ['word-%zu']}\n", below(60));
                break;
            case 1:
                buffer_printf(&out, "argv: {after: 'word-%zu'}}\n", below(60));
                break;
            case 2:
                buffer_printf(&out, "argv: {any: ['word-%zu', 'word-%zu']}}\n", below(60),
                              below(60));
                break;
            default:
                buffer_printf(&out, "argv: ['word-%zu', x]}\n", below(60));
            }
        }
        PolicyProblems problems = {0};
        Policy *policy = NULL;
        assert_int_equal(policy_load_text("sparse", out.bytes, out.size, &policy, &problems), 0);
        policy_problems_done(&problems);
        buffer_done(&out);
        for (size_t q = 0; q < 300; q++) {
            char word[32];
            const char *argv[4] = {PICK(names), word, PICK(words), NULL};
            PolicyQuery query = {.name = argv[0], .exe = "/usr/bin/ab", .argv = argv, .argc = 3};
            Judging judging;
            PolicyVerdict verdict;
            (void)snprintf(word, sizeof word, "word-%zu", below(60));
            judging_begin(&judging, &query);
            size_t found = judge_with(policy, &judging, index_find, &verdict);
            judging_done(&judging);
            judging_begin(&judging, &query);
            assert_int_equal(found, judge_with(policy, &judging, index_find_slowly, &verdict));
            judging_done(&judging);
        }
        (void)policy_free(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_policies_agree),
        cmocka_unit_test(large_policies_agree),
        cmocka_unit_test(sparse_policies_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
