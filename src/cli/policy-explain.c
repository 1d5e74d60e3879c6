/*
 * policy explain, policy test: a policy tried without a warden. The command is looked up as the
 * current user's PATH has it, passing over shims as the executor does; what another user or a
 * container would find has to be said by --exe.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli/policy.h"
#include "cli/show.h"
#include "wire/shim-mark.h"

#define TRY_OPTIONS                                                                                \
    "  --policy FILE  the policy\n"                                                                \
    "  --jail NAME    of the caller (default)\n"                                                   \
    "  --uid N        of the caller (yours), and --gid N\n"                                        \
    "  --cwd PATH     where it is called (here); resolved first, as the warden does\n"             \
    "  --env N=V      in its environment, repeatedly; what would be scrubbed does not count\n"     \
    "  --exe PATH     what COMMAND would run (looked up in your PATH)\n"                           \
    "  --writable     the caller could replace that file\n"                                        \
    "  --json         one JSON document\n"

static const char usage_explain[] =
    "usage: clawrden-cli policy explain --policy FILE [OPTIONS] -- COMMAND ARGS…\n"
    "\n"
    "Says which rule decides about the command, and why the rules before it do not.\n"
    "\n" TRY_OPTIONS;

static const char usage_test[] =
    "usage: clawrden-cli policy test FILE [OPTIONS] [-- COMMAND ARGS…]\n"
    "\n"
    "Without a command: runs the file's own match and not_match examples (loading does).\n"
    "With a command: prints the verdict on the first line (allow, deny or ask) and the rule on "
    "the\n"
    "second. Exit status 0 for allow, 1 for any other.\n"
    "\n" TRY_OPTIONS;

/* What is asked, as the options say it. */
typedef struct Trial {
    const char *policy, *jail, *uid, *gid, *cwd, *exe;
    bool writable;
    CliList env;
    const char *const *argv; /* the command, or NULL */
    size_t argc;
    bool found_in_path; /* exe is what PATH says */
    char resolved[PATH_MAX], cwd_resolved[PATH_MAX];
} Trial;

static bool is_shim(const char *path)
{
    static char bytes[SHIM_FILE_MAX];
    struct stat status;
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_size > (off_t)sizeof bytes)
        return false;
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    return size > 0 && shim_mark_is_in(bytes, (size_t)size);
}

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0 &&
           !is_shim(path);
}

/* The first program of that name in PATH, resolved. False: none. */
static bool find_in_path(const char *name, char ret[static PATH_MAX])
{
    const char *list = getenv("PATH");
    if (!list)
        list = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    for (const char *next; *list; list = next) {
        char candidate[PATH_MAX];
        size_t size = strcspn(list, ":");
        next = list + size + (list[size] == ':');
        if (list[0] != '/' ||
            snprintf(candidate, sizeof candidate, "%.*s/%s", (int)size, list, name) >= PATH_MAX)
            continue;
        if (is_program(candidate) && realpath(candidate, ret))
            return true;
    }
    return false;
}

/* Fills in what was not said. */
static int resolve(Trial *trial)
{
    const char *cwd = trial->cwd ? trial->cwd : ".";
    if (!realpath(cwd, trial->cwd_resolved)) {
        /* A place in a container need not exist here. */
        if (cwd[0] != '/' || strlen(cwd) >= PATH_MAX) {
            cli_error("%s: %s", cwd, strerror(errno));
            return -ENOENT;
        }
        memcpy(trial->cwd_resolved, cwd, strlen(cwd) + 1);
    }
    if (trial->exe)
        return 0;
    const char *command = trial->argv[0];
    if (strchr(command, '/'))
        trial->exe = realpath(command, trial->resolved) ? trial->resolved : NULL;
    else if (find_in_path(command, trial->resolved)) {
        trial->exe = trial->resolved;
        trial->found_in_path = true;
    }
    return 0;
}

static bool parse_id(const char *text, unsigned mine, unsigned *ret)
{
    char *end;
    *ret = mine;
    if (!text)
        return true;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *ret = (unsigned)value;
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && value < UINT_MAX;
}

/* What would be scrubbed from the environment is taken out, and said. */
static void scrub(Trial *trial, const Policy *policy)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < trial->env.n_items; i++) {
        if (policy_env_keeps(policy, trial->env.items[i]))
            trial->env.items[n_kept++] = trial->env.items[i];
        else
            cli_error("scrubbed from the environment: %s", trial->env.items[i]);
    }
    trial->env.n_items = n_kept;
}

/* 0, or the usage error's exit code. */
static int make_query(const CliSyntax *syntax, Trial *trial, const Policy *policy, PolicyQuery *ret)
{
    unsigned uid, gid;
    const char *slash = strrchr(trial->argv[0], '/');

    if (!parse_id(trial->uid, getuid(), &uid))
        return cli_usage_error(syntax, "this is no uid: %s", trial->uid);
    if (!parse_id(trial->gid, getgid(), &gid))
        return cli_usage_error(syntax, "this is no gid: %s", trial->gid);
    scrub(trial, policy);
    *ret = (PolicyQuery){
        .jail = trial->jail ? trial->jail : "default",
        .uid = uid,
        .gid = gid,
        .name = slash ? slash + 1 : trial->argv[0],
        .exe = trial->exe,
        .exe_writable = trial->writable,
        .argv = trial->argv,
        .argc = trial->argc,
        .env = trial->env.items,
        .envc = trial->env.n_items,
        .cwd = trial->cwd_resolved,
    };
    return 0;
}

/* What was looked up rather than said: a verdict may hang on it. */
static void put_lookup(Buffer *out, const Trial *trial)
{
    const char *command = trial->argv[0];

    if (trial->found_in_path)
        buffer_puts(out, "found in your PATH: ");
    else if (trial->exe)
        buffer_puts(out, "runs: ");
    else
        buffer_puts(out,
                    strchr(command, '/') ? "no such program here: " : "not found in your PATH: ");
    text_display_argument(out, trial->exe ? trial->exe : command, 0);
    buffer_puts(out, "\n");
}

static json_t *words_json(const char *const *words, size_t n_words)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n_words; i++)
        (void)json_array_append_new(list, json_string(words[i]));
    return list;
}

/* How it asks; NULL when it does not. */
static json_t *ask_json(const PolicyVerdict *verdict)
{
    const PolicyAsk *ask = verdict->ask;
    json_t *grant = json_array();

    if (verdict->action != POLICY_ASK) {
        json_decref(grant);
        return NULL;
    }
    if (ask->grant & POLICY_GRANT_SUBCOMMAND)
        (void)json_array_append_new(grant, json_string("subcommand"));
    if (ask->grant & POLICY_GRANT_PATHS_CWD)
        (void)json_array_append_new(grant, json_pack("{s:s}", "paths", "cwd"));
    return json_pack("{s:i, s:o, s:o, s:b, s:o}", "approvals", (int)ask->approvals, "approvers",
                     words_json(ask->approvers, ask->n_approvers), "channels",
                     words_json(ask->channels, ask->n_channels), "quiet", ask->quiet, "grant",
                     grant);
}

/* What is above the rate; NULL when there is none. */
static json_t *rate_json(const PolicyVerdict *verdict)
{
    const PolicyAsk *ask = verdict->ask;

    if (verdict->action == POLICY_DENY || ask->rate_most == 0)
        return NULL;
    return json_pack("{s:i, s:I, s:s}", "most", (int)ask->rate_most, "per_ms",
                     (json_int_t)ask->rate_ms, "then", policy_action_name(ask->rate_then));
}

static json_t *verdict_json(const Trial *trial, const PolicyVerdict *verdict)
{
    return json_pack("{s:s, s:s*, s:i, s:s*, s:s, s:I, s:s*, s:b, s:o*, s:o*}", "verdict",
                     policy_action_name(verdict->action), "rule", verdict->rule, "line",
                     (int)verdict->line, "reason", verdict->reason, "executor",
                     policy_executor_name(verdict->executor), "timeout_ms",
                     (json_int_t)verdict->timeout_ms, "exe", trial->exe, "exe_found_in_path",
                     trial->found_in_path, "ask", ask_json(verdict), "rate", rate_json(verdict));
}

static void put_verdict(Buffer *out, const PolicyVerdict *verdict)
{
    buffer_puts(out, policy_action_name(verdict->action));
    buffer_puts(out, "\nby ");
    text_display(out, verdict->rule, strlen(verdict->rule), 0);
    if (verdict->line > 0)
        buffer_printf(out, " (line %u)", verdict->line);
    if (verdict->reason) {
        buffer_puts(out, ": ");
        text_display(out, verdict->reason, strlen(verdict->reason), 0);
    }
    buffer_puts(out, "\n");
}

static int try_command(Cli *cli, const CliSyntax *syntax, Trial *trial, const Policy *policy,
                       bool explain)
{
    PolicyQuery query;
    PolicyVerdict verdict;
    Buffer out = BUFFER_EMPTY(4 << 20), explanation = BUFFER_EMPTY(4 << 20);

    if (resolve(trial) < 0)
        return CLI_REFUSED;
    int result = make_query(syntax, trial, policy, &query);
    if (result != 0)
        return result;
    policy_judge(policy, &query, &verdict);
    if (explain)
        policy_explain(policy, &query, &explanation);
    _cleanup_free_ char *words = explain ? buffer_take_string(&explanation) : NULL;

    if (cli->json) {
        json_t *document = verdict_json(trial, &verdict);
        if (words)
            (void)json_object_set_new(document, "explanation", json_string(words));
        show_json(document);
        json_decref(document);
    } else if (explain) {
        put_lookup(&out, trial);
        buffer_puts(&out, words ? words : "");
    } else {
        put_verdict(&out, &verdict);
        put_lookup(&out, trial);
    }
    show_print(&out);
    return explain || verdict.action == POLICY_ALLOW ? CLI_DONE : CLI_REFUSED;
}

static int run_examples(const Cli *cli, const Trial *trial, const Policy *policy)
{
    if (cli->json) {
        json_t *document = json_pack("{s:b, s:i}", "ok", 1, "rules", (int)policy_n_rules(policy));
        show_json(document);
        json_decref(document);
    } else {
        (void)printf("%s: %zu rules, and every example holds\n", trial->policy,
                     policy_n_rules(policy));
    }
    return CLI_DONE;
}

static int print_problems_as_json(const PolicyProblems *problems)
{
    json_t *document = json_pack("{s:b, s:o}", "ok", 0, "problems", policy_problems_json(problems));
    show_json(document);
    json_decref(document);
    return CLI_REFUSED;
}

int policy_explain_main(Cli *cli, int argc, char **argv)
{
    bool explain = strcmp(argv[0], "explain") == 0;
    Trial trial = {0};
    const CliOption options[] = {{.name = "policy", .value = &trial.policy},
                                 {.name = "jail", .value = &trial.jail},
                                 {.name = "uid", .value = &trial.uid},
                                 {.name = "gid", .value = &trial.gid},
                                 {.name = "cwd", .value = &trial.cwd},
                                 {.name = "exe", .value = &trial.exe},
                                 {.name = "writable", .flag = &trial.writable},
                                 {.name = "env", .list = &trial.env},
                                 {0}};
    const CliSyntax syntax = {.usage = explain ? usage_explain : usage_test,
                              .options = options,
                              .stop_at_operand = true,
                              .most = -1};
    _cleanup_(policy_problems_done)
    PolicyProblems problems = {0};
    _cleanup_(policy_freep)
    Policy *policy = NULL;
    int first;

    if (!explain && argc > 1 && argv[1][0] != '-') { /* test FILE … */
        trial.policy = *++argv;
        argc--;
    }
    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0) {
        cli_list_done(&trial.env);
        return cli_parse_exit(result);
    }
    if (first < argc) {
        trial.argv = (const char *const *)argv + first;
        trial.argc = (size_t)(argc - first);
    }
    if (!trial.policy)
        result = cli_usage_error(&syntax, "name the policy: --policy FILE");
    else if (explain && !trial.argv)
        result = cli_usage_error(&syntax, "say which command");
    else if (!(policy = policy_open(cli, trial.policy, &problems)))
        result = cli->json ? print_problems_as_json(&problems) : CLI_REFUSED;
    else if (trial.argv)
        result = try_command(cli, &syntax, &trial, policy, explain);
    else
        result = run_examples(cli, &trial, policy);
    cli_list_done(&trial.env);
    return result;
}
