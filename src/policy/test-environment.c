#include "policy/test-policy.h"

static void the_lists_decide(void **state)
{
    static const char *const kept[] = {
        "PATH=/bin",
        "HOME=/root",
        "USER=u",
        "LOGNAME=u",
        "LANG=C",
        "LC_ALL=C",
        "LC_X=",
        "TERM=xterm",
        "TZ=UTC",
        "PWD=/",
        "NODE_ENV=x",
        "CI=1",
        "NO_COLOR=",
        "TMPDIR=/t",
        "CLICOLOR_FORCE=1",
        "COLORTERM=truecolor",
    };
    static const char *const removed[] = {
        "LD_PRELOAD=x",
        "LD_LIBRARY_PATH=x",
        "DOCKER_HOST=x",
        "KUBECONFIG=x",
        "BASH_ENV=x",
        "ENV=x",
        "PYTHONSTARTUP=x",
        "NODE_OPTIONS=x",
        "GIT_SSH_COMMAND=x",
        "GIT_DIR=x",
        "EDITOR=vi",
        "VISUAL=vi",
        "PAGER=less",
        "SHELL=/bin/sh",
        "_=x",
        "SHLVL=1",
        "OLDPWD=/",
        "FOO=bar",
        "=x",
        "",
        "PATH",
        "BASH_FUNC_x%%=() { :; }",
        "IFS=x",
        "PS4=x",
        "LCX=1",
        "path=x",
        "SSH_AUTH_SOCK=x",
        "npm_config_script_shell=x",
        "GLIBC_TUNABLES=x",
        "PATHX=1",
        "PAT=1",
    };
    Policy *policy = policy_of("rules: []\n");
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        assert_true(policy_env_keeps(policy, kept[i]));
    for (size_t i = 0; i < ARRAY_SIZE(removed); i++)
        if (policy_env_keeps(policy, removed[i]))
            fail_msg("%s is kept", removed[i]);
    (void)policy_free(policy);
}

static void the_block_list_always_wins(void **state)
{
    static const char *const blocked[] = {
        "LD_PRELOAD",
        "LD_AUDIT",
        "DOCKER_HOST",
        "KUBECONFIG",
        "BASH_ENV",
        "ENV",
        "PYTHONSTARTUP",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONINSPECT",
        "NODE_OPTIONS",
        "NODE_PATH",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_EXTERNAL_DIFF",
        "GIT_PAGER",
        "GIT_EDITOR",
        "GIT_SEQUENCE_EDITOR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "GIT_CONFIG_PARAMETERS",
        "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND",
        "GIT_ASKPASS",
        "GIT_TEMPLATE_DIR",
        "SSH_ASKPASS",
        "PERL5OPT",
        "PERL5LIB",
        "PERL5DB",
        "RUBYOPT",
        "RUBYLIB",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "GCONV_PATH",
        "PROMPT_COMMAND",
        "PS4",
        "SHELLOPTS",
        "BASHOPTS",
        "BASH_FUNC_ls%%",
        "IFS",
        "GLIBC_TUNABLES",
        "LOCPATH",
        "NLSPATH",
        "HOSTALIASES",
        "RES_OPTIONS",
        "MALLOC_CHECK_",
        "TERMINFO",
        "TERMINFO_DIRS",
        "LESSOPEN",
        "LESSCLOSE",
        "LESSEDIT",
        "MANPAGER",
        "npm_config_x",
        "NPM_CONFIG_PREFIX",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "SHELL",
        "BROWSER",
        "RIPGREP_CONFIG_PATH",
        "TAR_OPTIONS",
        "RSYNC_RSH",
        "CLASSPATH",
        "MAKEFLAGS",
        "GNUPGHOME",
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "CARGO_HOME",
        "RUSTC_WRAPPER",
        "GOFLAGS",
        "PIP_INDEX_URL",
        "LUA_INIT",
        "PHPRC",
        "VIMINIT",
        "CURL_HOME",
        "WGETRC",
        "ZDOTDIR",
        "INPUTRC",
        "_",
        "SHLVL",
        "OLDPWD",
        "SYSTEMD_PAGER",
        "SUDO_ASKPASS",
        "DISPLAY",
        "DYLD_INSERT_LIBRARIES",
    };
    Policy *policy = policy_of("environment: {allow: ['*'], block: [MINE, 'SECRET_*']}\n");
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
        char entry[128];
        (void)snprintf(entry, sizeof entry, "%s=x", blocked[i]);
        if (policy_env_keeps(policy, entry))
            fail_msg("%s is kept", entry);
    }
    assert_true(policy_env_keeps(policy, "FOO=bar"));
    assert_true(policy_env_keeps(policy, "NODE_ENV=test"));
    assert_false(policy_env_keeps(policy, "MINE=1"));
    assert_false(policy_env_keeps(policy, "SECRET_X=1"));
    (void)policy_free(policy);
}

static void policies_may_take_from_the_kept(void **state)
{
    Policy *policy = policy_of("environment: {allow: [FOO], block: [HOME, 'LC_*']}\n");
    (void)state;

    assert_true(policy_env_keeps(policy, "FOO=1"));
    assert_false(policy_env_keeps(policy, "FOOD=1"));
    assert_false(policy_env_keeps(policy, "HOME=/"));
    assert_false(policy_env_keeps(policy, "LC_ALL=C"));
    (void)policy_free(policy);
}

static void pagers_that_run_things_are_replaced(void **state)
{
    size_t count = 0;
    const char *const *added = policy_env_added(&count);
    (void)state;

    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) /* what a caller says of them never counts */
        assert_true(environment_blocks(added[i], strcspn(added[i], "=")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lists_decide),
        cmocka_unit_test(the_block_list_always_wins),
        cmocka_unit_test(pagers_that_run_things_are_replaced),
        cmocka_unit_test(policies_may_take_from_the_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
