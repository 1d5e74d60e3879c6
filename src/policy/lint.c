/*
 * Warnings about a policy that loads but probably does not say what was meant.
 */
#include <string.h>

#include "base/cleanup.h"
#include "policy/lint.h"

/* Commands that run other commands, or code, given to them: allowing them without looking at their
 * arguments allows everything. */
static const char *const launchers[] = {
    "ash",    "awk",     "bash",    "bun",         "busybox",  "chroot",  "cargo",  "csh",
    "dash",   "deno",    "docker",  "doas",        "emacs",    "env",     "expect", "find",
    "fish",   "flock",   "gawk",    "gdb",         "git",      "go",      "ionice", "java",
    "ksh",    "kubectl", "lua",     "make",        "man",      "mawk",    "nice",   "node",
    "nohup",  "npm",     "npx",     "nsenter",     "parallel", "perl",    "php",    "pip",
    "pnpm",   "podman",  "psql",    "python",      "python3",  "rsync",   "ruby",   "runuser",
    "script", "sed",     "setpriv", "setsid",      "sh",       "sqlite3", "ssh",    "stdbuf",
    "strace", "su",      "sudo",    "systemd-run", "tar",      "taskset", "time",   "timeout",
    "tmux",   "toybox",  "unshare", "uv",          "vi",       "vim",     "watch",  "xargs",
    "yarn",   "zsh",
};

static bool is_launcher(const CommandPattern *command)
{
    const char *slash = strrchr(command->text, '/');
    const char *name = slash ? slash + 1 : command->text;

    if (command->kind != COMMAND_NAME && command->kind != COMMAND_PATH)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(launchers); i++)
        if (strcmp(launchers[i], name) == 0)
            return true;
    return false;
}

static bool limits_arguments(const Rule *rule)
{
    for (size_t i = 0; i < rule->n_argv; i++)
        if (rule->argv[i].has_only || rule->argv[i].none.n_items > 0 ||
            (rule->argv[i].n_after > 0 && rule->argv[i].position == 0))
            return true;
    return false;
}

static void warn(Loader *loader, const Rule *rule, const char *text, const char *message)
{
    loader_report_at(loader, rule->line, rule->column, true, text, "%s", message);
}

static void check_allow(Loader *loader, const Rule *rule)
{
    for (size_t i = 0; i < rule->n_commands; i++) {
        const CommandPattern *command = &rule->commands[i];
        if (command->size == 1 && command->text[0] == '*')
            warn(loader, rule, command->text,
                 "this allows every command; set default_action and list what may run instead");
        else if (is_launcher(command) && !limits_arguments(rule))
            warn(loader, rule, command->text,
                 "this command runs other commands or code; limit its arguments with "
                 "argv: {only: […]}");
    }
}

static void check_only(Loader *loader, const Rule *rule)
{
    for (size_t i = 0; i < rule->n_argv; i++)
        if (rule->argv[i].has_only && rule->action != POLICY_ALLOW)
            warn(loader, rule, rule->label,
                 "only lists what is harmless and is read strictly; in a rule that does not allow, "
                 "an abbreviated option escapes it");
}

/* What would be refused for want of an image. */
static void check_image(Loader *loader, const Rule *rule)
{
    const Policy *policy = loader->policy;
    PolicyExecutor executor = rule->has_executor ? rule->executor : policy->default_executor;
    const GhostRule *ghost = rule->ghost ? rule->ghost : &policy->ghost;

    if (executor != POLICY_EXECUTOR_GHOST || rule->action == POLICY_DENY || ghost->ghost.image)
        return;
    for (size_t i = 0; i < rule->n_commands; i++) {
        const CommandPattern *command = &rule->commands[i];
        if (command->kind == COMMAND_NAME && !policy_ghost_image(policy, command->text))
            warn(loader, rule, command->text,
                 "ghost has no image for this command; name one in ghost_images, or in the "
                 "rule: ghost: {image: …}");
        else if (command->kind == COMMAND_PATH || command->kind == COMMAND_PATH_GLOB)
            warn(loader, rule, command->text,
                 "a path means a file of the caller's, which never runs in ghost; write the "
                 "command's name");
    }
}

/* What would be refused for want of the joiner's own mounts. */
static void check_mirror_engine(Loader *loader)
{
    const Policy *policy = loader->policy;

    for (size_t i = 0; i < policy->n_jails; i++)
        if (policy->jails[i].hardened && policy->mirror_engine == POLICY_MIRROR_DOCKER)
            problem_add(loader->problems, loader->name, 1, 1, true, policy->jails[i].name,
                        strlen(policy->jails[i].name),
                        "this jail is hardened, and commands of hardened containers are refused "
                        "with mirror_engine: docker; write mirror_engine: joiner");
}

static void check_names(Loader *loader)
{
    const Policy *policy = loader->policy;

    if (policy->n_rules > 2000)
        return;
    for (size_t i = 0; i < policy->n_rules; i++)
        for (size_t j = 0; j < i && policy->rules[i].named; j++)
            if (strcmp(policy->rules[i].label, policy->rules[j].label) == 0) {
                warn(loader, &policy->rules[i], policy->rules[i].label,
                     "another rule has this name, too; verdicts will not tell them apart");
                break;
            }
}

void lint_check(Loader *loader)
{
    const Policy *policy = loader->policy;

    for (size_t i = 0; i < policy->n_rules; i++) {
        const Rule *rule = &policy->rules[i];
        if (rule->action == POLICY_ALLOW)
            check_allow(loader, rule);
        check_only(loader, rule);
        check_image(loader, rule);
    }
    lint_dead(loader);
    check_names(loader);
    check_mirror_engine(loader);
    if (policy->default_action == POLICY_ALLOW)
        problem_add(loader->problems, loader->name, 1, 1, true, "default_action: allow", 21,
                    "whatever no rule names is allowed; ask or deny is safer");
    if (policy->has_allowed_paths && policy->allowed_paths.n_items == 0)
        problem_add(loader->problems, loader->name, 1, 1, true, "allowed_paths: []", 17,
                    "no directory is allowed, so everything is denied");
}
