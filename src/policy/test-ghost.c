/*
 * The key `ghost`, and where a workspace may lie.
 */
#include "policy/test-policy.h"

#include <limits.h>

static void a_rule_gets_the_defaults(void **state)
{
    (void)state;
    Policy *policy = policy_of("rules:\n"
                               "  - {command: npm, action: allow, executor: ghost}\n");
    const PolicyGhost *ghost = policy_ghost(policy, 0);

    assert_true(policy_uses_ghost(policy));
    assert_null(ghost->image);
    assert_string_equal(ghost->network, "none");
    assert_true(ghost->memory == UINT64_C(2) << 30);
    assert_int_equal(ghost->pids, 512);
    assert_int_equal(ghost->cpus_milli, 2000);
    assert_false(ghost->pull);
    assert_null(policy_ghost(policy, 1));
    assert_ptr_equal(policy_ghost(policy, SIZE_MAX), ghost);
    (void)policy_free(policy);
}

static void a_rule_overrides_the_policy_which_may_stand_behind_it(void **state)
{
    (void)state;
    Policy *policy = policy_of("rules:\n"
                               "  - command: npm\n    action: allow\n    executor: ghost\n"
                               "    ghost: {network: bridge, memory: 512M, cpus: 0.5}\n"
                               "  - command: go\n    action: allow\n    executor: ghost\n"
                               "    ghost: {pull: false, image: 'golang:1', cpus: 12.25}\n"
                               "ghost: {pull: true, pids: 7, memory: 1g, image: 'node:18'}\n");
    const PolicyGhost *npm = policy_ghost(policy, 0), *go = policy_ghost(policy, 1);

    assert_string_equal(npm->network, "bridge");
    assert_true(npm->memory == UINT64_C(512) << 20);
    assert_int_equal(npm->cpus_milli, 500);
    assert_int_equal(npm->pids, 7);
    assert_true(npm->pull);
    assert_string_equal(npm->image, "node:18");
    assert_string_equal(go->network, "none");
    assert_true(go->memory == UINT64_C(1) << 30);
    assert_int_equal(go->cpus_milli, 12250);
    assert_false(go->pull);
    assert_string_equal(go->image, "golang:1");
    (void)policy_free(policy);
}

static void wrong_values_are_reported(void **state)
{
    static const struct {
        const char *ghost, *message;
        unsigned column;
    } wrong[] = {
        {"network: host", "the host's network", 69},
        {"network: 'container:x'", "must be none", 70},
        {"network: '-x'", "must be none", 70},
        {"memory: 5", "less than 6m", 68},
        {"memory: 1t", "amount of memory", 68},
        {"memory: m", "amount of memory", 68},
        {"memory: 99999999999999999999999g", "amount of memory", 68},
        {"memory: 1gg", "amount of memory", 68},
        {"pids: 0", "let nothing run", 66},
        {"cpus: 0", "number of processors", 66},
        {"cpus: 1.2345", "number of processors", 66},
        {"cpus: .5", "number of processors", 66},
        {"cpus: 1.5.1", "number of processors", 66},
        {"cpus: 99999999999", "number of processors", 66},
        {"image: 'a b'", "no image name", 68},
        {"image: '../x'", "no image name", 68},
        {"image: 'a?x=1'", "no image name", 68},
        {"pull: maybe", "true or false", 66},
        {"privileged: true", "unknown key", 60},
    };
    char text[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        (void)snprintf(text, sizeof text,
                       "rules:\n  - {command: npm, action: allow, executor: ghost, ghost: {%s}}\n",
                       wrong[i].ghost);
        assert_problem(text, 2, wrong[i].column, wrong[i].message);
    }
    assert_problem("ghost_images: {npm: 'node 18'}\n", 1, 22, "no image name");
}

static void ghost_without_the_executor_is_an_error(void **state)
{
    (void)state;
    assert_problem("rules:\n  - {command: npm, action: allow, ghost: {pids: 5}}\n", 2, 43,
                   "write executor: ghost");
    assert_problem("rules:\n  - {command: npm, action: ask, executor: local, ghost: {pids: 5}}\n",
                   2, 58, "write executor: ghost");
    assert_no_problem("default_executor: ghost\nghost_images: {npm: 'node:18'}\nrules:\n"
                      "  - {command: npm, action: ask, ghost: {pids: 5}}\n");
}

static void lint_misses_images(void **state)
{
    (void)state;
    assert_problem("rules:\n  - {command: npm, action: ask, executor: ghost}\n", 2, 6,
                   "no image for this command");
    assert_problem("ghost_images: {npm: 'node:18'}\n"
                   "rules:\n  - {command: /usr/bin/npm, action: ask, executor: ghost}\n",
                   3, 6, "never runs in ghost");
    assert_no_problem("ghost_images: {npm: 'node:18'}\n"
                      "rules:\n  - {command: npm, action: ask, executor: ghost}\n"
                      "  - {command: go, action: deny, executor: ghost}\n");
}

static void the_longest_allowed_path_is_the_workspace(void **state)
{
    (void)state;
    char path[PATH_MAX];
    Policy *policy =
        policy_of("allowed_paths: ['/app/*', '/app/deep/*', /exact, '/glob*/x/*', '/usr/*',\n"
                  "                '/usrlocal/*', '/*']\n");

    assert_int_equal(policy_workspace(policy, "/app/x", path), 0);
    assert_string_equal(path, "/app");
    assert_int_equal(policy_workspace(policy, "/app", path), 0);
    assert_string_equal(path, "/app");
    assert_int_equal(policy_workspace(policy, "/app/deep/y", path), 0);
    assert_string_equal(path, "/app/deep");
    assert_int_equal(policy_workspace(policy, "/exact", path), 0);
    assert_string_equal(path, "/exact");
    assert_int_equal(policy_workspace(policy, "/usrlocal/x", path), 0);
    assert_string_equal(path, "/usrlocal");
    assert_int_equal(policy_workspace(policy, "/usr/share", path), 2);
    assert_int_equal(policy_workspace(policy, "/globe/x/y", path), 2); /* only by the root */
    assert_int_equal(policy_workspace(policy, "/home", path), 2);
    (void)policy_free(policy);
}

static void without_allowed_paths_there_is_no_workspace(void **state)
{
    (void)state;
    char path[PATH_MAX];
    Policy *policy = policy_of("default_action: deny\n");

    assert_false(policy_uses_ghost(policy));
    assert_int_equal(policy_workspace(policy, "/app", path), 1);
    (void)policy_free(policy);
    policy = policy_of("allowed_paths: ['/app/*']\n");
    assert_int_equal(policy_workspace(policy, "/application", path), 1);
    (void)policy_free(policy);
}

static void an_explanation_names_the_image(void **state)
{
    (void)state;
    Policy *policy = policy_of("ghost_images: {npm: 'node:18'}\n"
                               "rules:\n  - {command: npm, action: allow, executor: ghost}\n");
    Buffer out = BUFFER_EMPTY(65536);
    const char *const argv[] = {"npm", "ci"};
    const PolicyQuery query = {
        .jail = "default", .name = "npm", .argv = argv, .argc = 2, .cwd = "/app"};

    policy_explain(policy, &query, &out);
    _cleanup_free_ char *text = buffer_take_string(&out);
    assert_non_null(strstr(text, "image:   node:18, network none, memory 2048 MiB"));
    (void)policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_gets_the_defaults),
        cmocka_unit_test(a_rule_overrides_the_policy_which_may_stand_behind_it),
        cmocka_unit_test(wrong_values_are_reported),
        cmocka_unit_test(ghost_without_the_executor_is_an_error),
        cmocka_unit_test(lint_misses_images),
        cmocka_unit_test(the_longest_allowed_path_is_the_workspace),
        cmocka_unit_test(without_allowed_paths_there_is_no_workspace),
        cmocka_unit_test(an_explanation_names_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
