/*
 * What a widened grant covers, attacked: each pair of lines is one command that was approved and
 * one that somebody would like to be covered by it.
 */
#include "policy/test-policy.h"

#define BOTH (POLICY_GRANT_SUBCOMMAND | POLICY_GRANT_PATHS_CWD)

typedef struct ShapeOf {
    bool has;
    Buffer bytes;
    uint8_t operands[8];
} ShapeOf;

static ShapeOf shape_of_argv(const char *name, const char *const *argv, size_t argc,
                             unsigned widening)
{
    ShapeOf shape = {.bytes = BUFFER_EMPTY(1 << 16)};
    shape.has = policy_grant_shape(name, argv, argc, widening, &shape.bytes, shape.operands,
                                   sizeof shape.operands);
    return shape;
}

static ShapeOf shape_of(const char *line, unsigned widening)
{
    TestQuery test;
    test_query_of(&test, line);
    ShapeOf shape = shape_of_argv(test.query.name, test.words, test.query.argc, widening);
    test_query_done(&test);
    return shape;
}

static bool same_shape(ShapeOf *a, ShapeOf *b)
{
    bool same = a->has && b->has && buffer_size(&a->bytes) == buffer_size(&b->bytes) &&
                memcmp(buffer_head(&a->bytes), buffer_head(&b->bytes), buffer_size(&a->bytes)) == 0;
    buffer_done(&a->bytes);
    buffer_done(&b->bytes);
    return same;
}

static bool covers(unsigned widening, const char *approved, const char *other)
{
    ShapeOf a = shape_of(approved, widening), b = shape_of(other, widening);
    return same_shape(&a, &b);
}

static void assert_covers(unsigned widening, const char *approved, const char *other)
{
    if (!covers(widening, approved, other))
        fail_msg("not covered: %s by %s", other, approved);
}

static void assert_not(unsigned widening, const char *approved, const char *const *others)
{
    ShapeOf shape = shape_of(approved, widening);
    if (!shape.has)
        fail_msg("no shape: %s", approved);
    buffer_done(&shape.bytes);
    for (; *others; others++)
        if (covers(widening, approved, *others))
            fail_msg("covered: %s by %s", *others, approved);
}
#define OTHERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_none(unsigned widening, const char *const *lines)
{
    for (; *lines; lines++) {
        ShapeOf shape = shape_of(*lines, widening);
        bool has = shape.has;
        buffer_done(&shape.bytes);
        if (has)
            fail_msg("has a shape: %s", *lines);
    }
}

/* The words of a line that may differ, as a string of 0 and 1. */
static void assert_operands(unsigned widening, const char *line, const char *wanted)
{
    ShapeOf shape = shape_of(line, widening);
    char found[65] = "";

    assert_true(shape.has);
    for (size_t i = 0; i < strlen(wanted); i++)
        found[i] = shape.operands[i / 8] >> (i % 8) & 1 ? '1' : '0';
    for (size_t i = strlen(wanted); i < 64; i++)
        assert_false(shape.operands[i / 8] >> (i % 8) & 1);
    if (strcmp(found, wanted) != 0)
        fail_msg("%s: %s, wanted %s", line, found, wanted);
    buffer_done(&shape.bytes);
}

static void operands_may_differ(void **state)
{
    (void)state;
    assert_covers(POLICY_GRANT_SUBCOMMAND, "git push origin main", "git push origin topic");
    assert_covers(POLICY_GRANT_SUBCOMMAND, "git push -u origin main", "git push -u upstream x");
    assert_covers(POLICY_GRANT_SUBCOMMAND, "git -C x push origin main", "git -C x push a b");
    assert_covers(POLICY_GRANT_SUBCOMMAND, "docker container rm a", "docker container rm b");
    assert_covers(POLICY_GRANT_SUBCOMMAND, "npm install a", "npm install @scope/b");
    assert_covers(POLICY_GRANT_PATHS_CWD, "rm a", "rm b c d");
    assert_covers(POLICY_GRANT_PATHS_CWD, "rm -rf a b", "rm -rf c");
    assert_covers(BOTH, "git add a", "git add src/b c");
    assert_covers(BOTH, "git add -- a", "git add -- b");
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git push -u origin main", "00011");
    assert_operands(BOTH, "git --no-pager add -v a -f b", "0000101");
    assert_operands(POLICY_GRANT_PATHS_CWD, "cp -t x a b", "00011");
    assert_operands(POLICY_GRANT_PATHS_CWD, "cp a -rS x b", "01001");
}

static void options_may_not(void **state)
{
    (void)state;
    assert_not(POLICY_GRANT_SUBCOMMAND, "git push origin main",
               OTHERS("git push --force origin main", "git push -f origin main",
                      "git push origin main --force", "git push origin --forc main",
                      "git push origin main -f", "git push --receive-pack=x origin main",
                      "git push --repo x origin main", "git push origin", "git push",
                      "git push origin a b", "git fetch origin main", "git -C x push origin main",
                      "git -c a=b push origin main", "git push -- origin main",
                      "git push origin -- main", "git push - main", "git push origin -",
                      "/usr/bin/git push origin main", "git pushorigin main",
                      "git send-pack origin main"));
    /* Spelled, joined or ordered in another way is another shape, even where it means the same. */
    assert_not(POLICY_GRANT_SUBCOMMAND, "git push --push-option=a -u origin x",
               OTHERS("git push --push-option a -u origin x", "git push -oa -u origin x",
                      "git push -o a -u origin x", "git push -u --push-option=a origin x",
                      "git push --push-opt=a -u origin x", "git push --push-option=b -u origin x",
                      "git push --push-option=a -u -u origin x",
                      "git push origin --push-option=a -u x"));
    assert_not(POLICY_GRANT_SUBCOMMAND, "git push -uq origin x",
               OTHERS("git push -qu origin x", "git push -u -q origin x", "git push -uqf origin x",
                      "git push -u origin x"));
    assert_not(POLICY_GRANT_PATHS_CWD, "rm -r a",
               OTHERS("rm a", "rm -rf a", "rm -R a", "rm --recursive a", "rm --rec a", "rm a -r",
                      "rm -r", "rm -r -- a", "rm -- -r a", "rm -r -r a"));
    assert_not(POLICY_GRANT_SUBCOMMAND, "git -C x push o m",
               OTHERS("git -C y push o m", "git -C x -C y push o m", "git push o m",
                      "git --git-dir=x push o m", "git -C x -c push push o m"));
}

static void values_of_options_may_not(void **state)
{
    (void)state;
    /* A value in a word of its own that looks like a path. */
    assert_operands(POLICY_GRANT_PATHS_CWD, "touch -r a b", "0001");
    assert_operands(BOTH, "git commit -m a b", "00001");
    assert_operands(BOTH, "git commit -am a b", "00001");
    assert_operands(BOTH, "git commit -ma b", "0001");
    assert_operands(BOTH, "git commit --message=a b", "0001");
    assert_operands(BOTH, "git commit --message a b", "00001");
    /* Behind an option that no table knows, or whose name is abbreviated, anything may be one. */
    assert_operands(BOTH, "git commit --messag a b", "00001");
    assert_operands(BOTH, "git add --unknown a b", "00001");
    assert_operands(BOTH, "git add -y a b", "00001");
    assert_operands(BOTH, "git add -vy a b", "00001");
    assert_operands(BOTH, "git add --unknown=x a b", "00001");
    assert_operands(BOTH, "git add --unknown --chmod a b", "000001");
    assert_operands(BOTH, "git add --unknown -v b", "00001");
    /* So may what follows an option whose value is optional. */
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git branch --merged a b", "00001");
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git branch --merged=x a b", "00011");
    assert_operands(POLICY_GRANT_PATHS_CWD, "rm --interactive a b", "0001");
    /* A value that begins with '-'. */
    assert_operands(BOTH, "git commit -m -x a b", "000001");
    assert_operands(BOTH, "git commit -m -F a b", "000001");
    assert_operands(BOTH, "git commit -m -v b", "00001");
    assert_not(BOTH, "git add --unknown a b", OTHERS("git add --unknown c b"));
    assert_not(POLICY_GRANT_SUBCOMMAND, "git push --unknown a b", OTHERS("git push --unknown c b"));
    assert_none(BOTH, OTHERS("git add --unknown a", "git commit -m a", "git commit -m"));
}

static void what_follows_two_dashes(void **state)
{
    (void)state;
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git reset -- -x a", "00011");
    assert_operands(BOTH, "git add -- -x a", "00001");
    assert_operands(POLICY_GRANT_PATHS_CWD, "rm -- a -r b", "00101");
    assert_not(POLICY_GRANT_PATHS_CWD, "rm -- a b", OTHERS("rm -- a -r", "rm -- -rf b"));
    /* "--" as the value of an option does not end the options. */
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git push --unknown -- -o a b", "0000001");
    assert_not(POLICY_GRANT_SUBCOMMAND, "git push --unknown -- a b",
               OTHERS("git push --unknown -- -f b", "git push --unknown -- a -f"));
    /* A second one is an operand like any other. */
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git reset -- a -- b", "000111");
    assert_operands(POLICY_GRANT_PATHS_CWD, "rm -- a -- b", "00101");
}

static void what_only_looks_like_a_path_may_not(void **state)
{
    (void)state;
    assert_operands(BOTH, "git add a :/ b", "00101");
    assert_operands(BOTH, "git add a ':(top)x' ':!x'", "00100");
    assert_operands(BOTH, "git add a @x - +x ~/x", "0010000");
    assert_operands(BOTH, "git add a '*' 'b*' 'b?' '[b]' 'b\\c'", "00100000");
    assert_operands(POLICY_GRANT_PATHS_CWD, "cp host:x a b=c http://x/y", "00100");
    assert_operands(POLICY_GRANT_PATHS_CWD, "rm a '' b", "0101");
    assert_operands(POLICY_GRANT_PATHS_CWD, "rm a ../y a/../b .. b/.. . ./ / // ./b b/. /b",
                    "0100000000111");
    assert_not(BOTH, "git add a", OTHERS("git add :/", "git add -A", "git add .", "git add a :/"));
    assert_none(POLICY_GRANT_PATHS_CWD, OTHERS("rm ''", "rm -", "rm @x", "cat -"));
    assert_operands(POLICY_GRANT_SUBCOMMAND, "git push '' main", "0011");
}

static void what_has_no_shape(void **state)
{
    (void)state;
    /* Unknown tools; programs, modes, scripts and addresses among the operands. */
    assert_none(POLICY_GRANT_PATHS_CWD,
                OTHERS("deploy a", "env a", "sudo a", "xargs a", "sed a b", "awk a b", "tar cf a b",
                       "chmod 644 a", "chown me a", "ln a b", "curl a", "wget a", "rsync a b",
                       "ssh a b", "make a", "find a", "dd if=a", "python3 a", "sh a", "grep a b",
                       "busybox rm a", "kubectl delete a", "systemctl stop a"));
    assert_none(POLICY_GRANT_SUBCOMMAND,
                OTHERS("deploy a b", "rm a", "kubectl delete pod", "systemctl stop a", "git",
                       "git push", "git push -v", "git --version", "git stash drop x",
                       "git remote add a b", "git config a b", "git bisect run x",
                       "git submodule foreach x", "git worktree add a", "git alias x y",
                       "git rebase a", "git filter-branch a", "git clone a b", "docker run a b",
                       "docker exec a b", "docker compose up a", "docker container run a b",
                       "docker container exec a b", "docker image x", "docker container --x rm a",
                       "npm run a", "npm exec a", "npm x a", "npm init a", "npm test a",
                       "npm config set a", "cargo run a", "pip config set a", "git -- push a b",
                       "git --unknown push a b", "git --exec-path push a b", "git -C push",
                       "git '' push x"));
    assert_none(0, OTHERS("git push a b", "rm a"));
    assert_none(BOTH,
                OTHERS("rm a", "git push a b", "git branch a", "git checkout a",
                       /* elsewhere than the working directory */
                       "git -C x add a", "git --git-dir=x add a", "git --git-dir x add a",
                       "git --work-tree=x add a", "git -c core.worktree=/ add a", "git -Cx add a"));
    assert_none(POLICY_GRANT_PATHS_CWD, OTHERS("git add a", "git rm a", "npm install a"));
}

static void an_alias_of_a_subcommand_is_another_shape(void **state)
{
    (void)state;
    assert_not(POLICY_GRANT_SUBCOMMAND, "npm install a",
               OTHERS("npm i a", "npm add a", "npm in a", "npm install-test a", "npm installx a"));
    assert_not(BOTH, "git add a", OTHERS("git stage a", "git ad a", "git Add a"));
    assert_not(POLICY_GRANT_SUBCOMMAND, "docker rm a",
               OTHERS("docker container rm a", "podman rm a", "docker rmi a"));
    assert_not(POLICY_GRANT_SUBCOMMAND, "docker container rm a",
               OTHERS("docker container rm -f a", "docker container kill a", "docker image rm a"));
}

static void arguments_do_not_run_together(void **state)
{
    const char *const a[] = {"git", "push", "-q", "-v", "x"},
                      *const b[] = {"git", "push", "-q-v", "x"},
                      *const c[] = {"git", "push", "-q", "x"};
    (void)state;
    ShapeOf shape_a = shape_of_argv("git", a, 5, POLICY_GRANT_SUBCOMMAND),
            shape_b = shape_of_argv("git", b, 4, POLICY_GRANT_SUBCOMMAND);
    assert_false(same_shape(&shape_a, &shape_b));
    /* Text that imitates what a shape is written in. */
    const char *const d[] = {"git", "push", "-qF\x02", "x", "O"};
    shape_a = shape_of_argv("git", c, 4, POLICY_GRANT_SUBCOMMAND);
    shape_b = shape_of_argv("git", d, 5, POLICY_GRANT_SUBCOMMAND);
    assert_false(same_shape(&shape_a, &shape_b));
    /* The name counts, and so does what the caller calls it. */
    shape_a =
        shape_of_argv("docker", (const char *const[]){"x", "rm", "a"}, 3, POLICY_GRANT_SUBCOMMAND);
    shape_b =
        shape_of_argv("podman", (const char *const[]){"x", "rm", "a"}, 3, POLICY_GRANT_SUBCOMMAND);
    assert_false(same_shape(&shape_a, &shape_b));
    /* The widening counts. */
    shape_a = shape_of("git add a", BOTH);
    shape_b = shape_of("git add a", POLICY_GRANT_SUBCOMMAND);
    assert_false(same_shape(&shape_a, &shape_b));
}

static void bytes_that_are_no_text(void **state)
{
    const char *const a[] = {"git", "push", "-o\xff", "\xfe\xff", "\xc3("};
    const char *const b[] = {"git", "push", "-o\xff", "x", "y"};
    const char *const c[] = {"git", "push", "-o\xfe", "x", "y"};
    (void)state;
    ShapeOf shape_a = shape_of_argv("git", a, 5, POLICY_GRANT_SUBCOMMAND),
            shape_b = shape_of_argv("git", b, 5, POLICY_GRANT_SUBCOMMAND);
    assert_true(same_shape(&shape_a, &shape_b));
    shape_a = shape_of_argv("git", a, 5, POLICY_GRANT_SUBCOMMAND);
    shape_b = shape_of_argv("git", c, 5, POLICY_GRANT_SUBCOMMAND);
    assert_false(same_shape(&shape_a, &shape_b));
}

static void limits_hold(void **state)
{
    const char *argv[66] = {"git", "push"};
    uint8_t operands[8];
    Buffer bytes = BUFFER_EMPTY(1 << 16), tiny = BUFFER_EMPTY(8);
    (void)state;

    for (size_t i = 2; i < ARRAY_SIZE(argv); i++)
        argv[i] = "x";
    assert_true(policy_grant_shape("git", argv, 64, POLICY_GRANT_SUBCOMMAND, &bytes, operands, 8));
    assert_int_equal(operands[7], 0xff);
    buffer_clear(&bytes);
    assert_false(policy_grant_shape("git", argv, 65, POLICY_GRANT_SUBCOMMAND, &bytes, operands, 8));
    assert_int_equal(operands[7], 0);
    assert_false(policy_grant_shape("git", argv, 0, POLICY_GRANT_SUBCOMMAND, &bytes, operands, 8));
    assert_false(policy_grant_shape("git", argv, 3, POLICY_GRANT_SUBCOMMAND, &tiny, operands, 8));
    buffer_done(&bytes);
    buffer_done(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_may_differ),
        cmocka_unit_test(options_may_not),
        cmocka_unit_test(values_of_options_may_not),
        cmocka_unit_test(what_follows_two_dashes),
        cmocka_unit_test(what_only_looks_like_a_path_may_not),
        cmocka_unit_test(what_has_no_shape),
        cmocka_unit_test(an_alias_of_a_subcommand_is_another_shape),
        cmocka_unit_test(arguments_do_not_run_together),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
