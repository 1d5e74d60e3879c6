/*
 * Which environment entries reach a command.
 *
 * Two lists: what is kept unless a policy adds to it, and what is removed whatever a policy says.
 * The second holds what makes common programs run other code, load other libraries, read other
 * configuration, or act on another machine: the dynamic loader (ld.so(8)), shells, interpreters,
 * git(1), ssh, pagers and editors, container and cluster clients. It only matters where a policy
 * adds names or globs to the first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/model.h"

/* Kept. Sorted for bsearch(3). CLAWRDEN_* tell shims inside the command where their jail is: a
 * caller that points them elsewhere only deprives itself of its answers. */
static const char *const kept[] = {
    "CI",
    "CLAWRDEN_SOCKET",
    "CLAWRDEN_WAIT",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "FORCE_COLOR",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LOGNAME",
    "NODE_ENV",
    "NO_COLOR",
    "PATH",
    "PWD",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
};
static const char *const kept_globs[] = {"LC_*"};

/* Removed. Sorted for bsearch(3). */
static const char *const blocked[] = {
    "ANT_ARGS",
    "ANT_OPTS",
    "APT_CONFIG",
    "AR",
    "AS",
    "AWKLIBPATH",
    "AWKPATH",
    "BASHOPTS",
    "BASH_ENV",
    "BASH_LOADABLES_PATH",
    "BASH_XTRACEFD",
    "BROWSER",
    "BUILDKIT_HOST",
    "CC",
    "CDPATH",
    "CFLAGS",
    "CLASSPATH",
    "CMAKE_TOOLCHAIN_FILE",
    "COMPILER_PATH",
    "CONFIG_SHELL",
    "CONTAINER_CONNECTION",
    "CONTAINER_HOST",
    "CPATH",
    "CPP",
    "CURL_HOME",
    "CVS_RSH",
    "CXX",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DEBUGINFOD_URLS",
    "DIFFPROG",
    "DISPLAY",
    "DPKG_PAGER",
    "EDITOR",
    "EMACSLOADPATH",
    "ENV",
    "ERL_FLAGS",
    "ERL_LIBS",
    "EXINIT",
    "FCEDIT",
    "FIGNORE",
    "FPATH",
    "GCC_EXEC_PREFIX",
    "GCONV_PATH",
    "GDBHISTFILE",
    "GEM_HOME",
    "GEM_PATH",
    "GETCONF_DIR",
    "GLOBIGNORE",
    "GNUPGHOME",
    "GOENV",
    "GOFLAGS",
    "GOPATH",
    "GOPROXY",
    "GOROOT",
    "GOTOOLCHAIN",
    "GOTOOLDIR",
    "GRADLE_OPTS",
    "GREP_OPTIONS",
    "GROFF_BIN_PATH",
    "GZIP",
    "HISTFILE",
    "HOSTALIASES",
    "IFS",
    "INPUTRC",
    "IRBRC",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVAC_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JULIA_LOAD_PATH",
    "KUBECONFIG",
    "KUBE_EDITOR",
    "LDFLAGS",
    "LESS",
    "LESSCLOSE",
    "LESSEDIT",
    "LESSHISTFILE",
    "LESSKEY",
    "LESSKEYIN",
    "LESSKEY_CONTENT",
    "LESSKEY_SYSTEM",
    "LESSOPEN",
    "LESSSECURE",
    "LIBRARY_PATH",
    "LOCALDOMAIN",
    "LOCPATH",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "MAIL",
    "MAILCAPS",
    "MAILPATH",
    "MAKEFILES",
    "MAKEFLAGS",
    "MANOPT",
    "MANPAGER",
    "MANPATH",
    "MANROFFOPT",
    "MAVEN_OPTS",
    "METAMAIL_PAGER",
    "MFLAGS",
    "MORE",
    "MYSQL_HOME",
    "MYVIMRC",
    "NIS_PATH",
    "NLSPATH",
    "NULLCMD",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PATHEXT",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERL5SHELL",
    "PERLIO",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "PSQLRC",
    "PSQL_EDITOR",
    "PSQL_PAGER",
    "QEMU_LD_PREFIX",
    "READNULLCMD",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "RIPGREP_CONFIG_PATH",
    "RPM_CONFIGDIR",
    "RSYNC_CONNECT_PROG",
    "RSYNC_RSH",
    "RUBYLIB",
    "RUBYOPT",
    "RUBYSHELL",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "SBT_OPTS",
    "SCREENRC",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_AUTH_SOCK",
    "SSH_SK_HELPER",
    "SSLKEYLOGFILE",
    "SUDO_ASKPASS",
    "SUDO_EDITOR",
    "SVN_EDITOR",
    "SVN_SSH",
    "SYSTEMD_EDITOR",
    "SYSTEMD_LESS",
    "SYSTEMD_PAGER",
    "SYSTEMD_PAGERSECURE",
    "TAPE",
    "TAR_OPTIONS",
    "TCLLIBPATH",
    "TERMCAP",
    "TERMPATH",
    "TEXINPUTS",
    "TZDIR",
    "UNZIP",
    "UNZIPOPT",
    "VIMINIT",
    "VIMRUNTIME",
    "VISUAL",
    "WGETRC",
    "WGET_ASKPASS",
    "XAUTHORITY",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XZ_DEFAULTS",
    "XZ_OPT",
    "ZDOTDIR",
    "ZIP",
    "ZIPOPT",
    "_JAVA_OPTIONS",
};
static const char *const blocked_globs[] = {
    "ANSIBLE_*",  "BASH_FUNC_*",  "BUNDLE_*",      "BUNDLER_*",  "BUN_*",        "CARGO_*",
    "CLAWRDEN_*", "COMPOSER_*",   "COREPACK_*",    "COR_*",      "CORECLR_*",    "DENO_*",
    "DOCKER_*",   "DOTNET_*",     "DYLD_*",        "ELECTRON_*", "GCONV_*",      "GIO_*",
    "GIT_*",      "GLIBC_*",      "GTK_*",         "HELM_*",     "KUBE_*",       "KUBERNETES_*",
    "LD_*",       "LIBGL_*",      "MALLOC_*",      "NODE_*",     "NPM_CONFIG_*", "NSS_*",
    "OPENBLAS_*", "PERL5*",       "PERL_*",        "PIP_*",      "PIPENV_*",     "PNPM_*",
    "POETRY_*",   "PYTEST_*",     "PYTHON*",       "QT_*",       "RUBY*",        "RUSTUP_*",
    "SUDO_*",     "TERMINFO*",    "TF_CLI_*",      "UV_*",       "VIRTUAL_ENV*", "YARN_*",
    "_RLD*",      "npm_config_*", "npm_package_*",
};

/* Left by shells and never meant for the command. */
static const char *const dropped[] = {"OLDPWD", "SHLVL", "_"};

typedef struct Name {
    const char *text;
    size_t size;
} Name;

static int by_name(const void *key, const void *item)
{
    const Name *name = key;
    const char *other = *(const char *const *)item;
    int order = strncmp(name->text, other, name->size);
    return order != 0 ? order : other[name->size] ? -1 : 0;
}

static bool is_listed(const char *const *list, size_t count, const char *text, size_t size)
{
    Name name = {.text = text, .size = size};
    return bsearch(&name, list, count, sizeof *list, by_name) != NULL;
}

static bool globs_have(const char *const *globs, size_t count, const char *text, size_t size)
{
    for (size_t i = 0; i < count; i++)
        if (glob_match(globs[i], strlen(globs[i]), text, size))
            return true;
    return false;
}

bool environment_blocks(const char *name, size_t size)
{
    if (is_listed(dropped, ARRAY_SIZE(dropped), name, size) ||
        is_listed(blocked, ARRAY_SIZE(blocked), name, size))
        return true;
    if (is_listed(kept, ARRAY_SIZE(kept), name, size)) /* NODE_ENV among NODE_* */
        return false;
    return globs_have(blocked_globs, ARRAY_SIZE(blocked_globs), name, size);
}

bool policy_env_keeps(const Policy *policy, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t size = equals ? (size_t)(equals - entry) : 0;

    if (size == 0)
        return false;
    if (!is_listed(kept, ARRAY_SIZE(kept), entry, size) &&
        !globs_have(kept_globs, ARRAY_SIZE(kept_globs), entry, size) &&
        !globs_have(policy->env_allow.items, policy->env_allow.n_items, entry, size))
        return false;
    return !environment_blocks(entry, size) &&
           !globs_have(policy->env_block.items, policy->env_block.n_items, entry, size);
}

const char *const *policy_env_added(size_t *ret_count)
{
    /* less(1) runs what follows a '!', and git(1), systemctl(1) and dpkg(1) start it by themselves
     * on a terminal; GIT_PAGER also comes before a repository's own core.pager. */
    static const char *const added[] = {
        "PAGER=cat",         "GIT_PAGER=cat",  "MANPAGER=cat",
        "SYSTEMD_PAGER=cat", "DPKG_PAGER=cat", "LESSSECURE=1",
    };
    *ret_count = ARRAY_SIZE(added);
    return added;
}
