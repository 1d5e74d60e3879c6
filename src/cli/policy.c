/*
 * policy: write one, check one, have the warden read its own again; explain and test are in
 * policy-explain.c. Nothing but reload needs a running warden.
 */
#include "cli/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "cli/client.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli policy init|check|explain|test|reload …\n"
    "\n"
    "  init [FILE]                       write the default policy to FILE (which must not exist),\n"
    "                                    or to stdout\n"
    "  check FILE                        report every mistake, with line and column\n"
    "  explain --policy FILE … -- COMMAND ARGS\n"
    "                                    which rule decides, and why the ones before it do not\n"
    "  test FILE [… -- COMMAND ARGS]     run the file's own examples, or judge one command\n"
    "  reload                            have the running warden read its policy again\n"
    "\n"
    "`clawrden-cli policy VERB --help` tells more about one.\n";

static const char usage_init[] =
    "usage: clawrden-cli policy init [FILE]\n"
    "\n"
    "Writes the default policy, ready to be changed, to FILE, which must not exist yet, or to\n"
    "stdout.\n";

static const char usage_check[] =
    "usage: clawrden-cli policy check FILE [--json]\n"
    "\n"
    "Loads the policy as the warden would, examples included, and reports every mistake and\n"
    "warning with its place. Exit status 1 when the warden would not load it.\n";

static const char usage_reload[] =
    "usage: clawrden-cli policy reload [--json]\n"
    "\n"
    "Has the running warden read its policy again. A policy with mistakes is refused, and the one\n"
    "in force stays.\n";

json_t *policy_problems_json(const PolicyProblems *problems)
{
    json_t *list = json_array();
    for (size_t i = 0; i < problems->n_items; i++) {
        const PolicyProblem *problem = &problems->items[i];
        /* A text that is not UTF-8 becomes null. */
        json_t *entry =
            json_pack("{s:s*, s:i, s:i, s:b, s:s*, s:s*}", "file", problem->file, "line",
                      (int)problem->line, "column", (int)problem->column, "warning",
                      problem->warning, "message", problem->message, "text", problem->text);
        if (!entry)
            entry = json_pack("{s:i, s:i, s:b, s:s}", "line", (int)problem->line, "column",
                              (int)problem->column, "warning", problem->warning, "message",
                              "text that is not UTF-8");
        (void)json_array_append_new(list, entry);
    }
    return list;
}

Policy *policy_open(const Cli *cli, const char *path, PolicyProblems *problems)
{
    Policy *policy = NULL;
    int result = policy_load_file(path, &policy, problems);

    if (result < 0)
        cli_error("%s: %s", path, strerror(-result));
    else if (!cli->json)
        policy_problems_print(problems, stderr);
    return policy;
}

/* The directory that the file will lie in, when only that is missing. */
static void make_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *directory =
        slash && slash != path ? strndup(path, (size_t)(slash - path)) : NULL;

    if (directory && mkdir(directory, 0755) == 0)
        cli_error("made the directory %s", directory);
}

static int write_default(const char *path)
{
    make_directory(path);
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int result =
        fd < 0 ? -errno : fd_write_all(fd, policy_default_text, strlen(policy_default_text));

    if (result == -EEXIST)
        cli_error("%s is there already, and stays as it is", path);
    else if (result == -ENOENT)
        cli_error("%s: the directory that it would lie in is not there", path);
    else if (result < 0)
        cli_error("%s: %s", path, strerror(-result));
    return result < 0 ? CLI_REFUSED : CLI_DONE;
}

static int init_main(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage_init, .most = 1};
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    if (first == argc || strcmp(argv[first], "-") == 0) {
        (void)fputs(policy_default_text, stdout);
        return CLI_DONE;
    }
    result = write_default(argv[first]);
    if (cli->json && result == CLI_DONE) {
        json_t *document = json_pack("{s:s}", "written", argv[first]);
        show_json(document);
        json_decref(document);
    } else if (result == CLI_DONE) {
        (void)printf("written to %s; try `clawrden-cli policy check %s`\n", argv[first],
                     argv[first]);
    }
    return result;
}

static int check_main(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {
        .usage = usage_check, .least = 1, .most = 1, .wants = "check which file?"};
    _cleanup_(policy_problems_done)
    PolicyProblems problems = {0};
    _cleanup_(policy_freep)
    Policy *policy = NULL;
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    const char *path = argv[first];
    policy = policy_open(cli, path, &problems);
    if (cli->json) {
        json_t *document = json_pack("{s:b, s:i, s:o}", "ok", policy != NULL, "rules",
                                     policy ? (int)policy_n_rules(policy) : 0, "problems",
                                     policy_problems_json(&problems));
        show_json(document);
        json_decref(document);
    } else if (policy) {
        (void)printf("%s: ok, %zu rule%s, %zu warning%s\n", path, policy_n_rules(policy),
                     policy_n_rules(policy) == 1 ? "" : "s", problems.n_items,
                     problems.n_items == 1 ? "" : "s");
    } else if (problems.n_errors > 0) {
        (void)printf("%s: %zu mistake%s; it would not be loaded\n", path, problems.n_errors,
                     problems.n_errors == 1 ? "" : "s");
    }
    return policy ? CLI_DONE : CLI_REFUSED;
}

static int reload_main(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage_reload};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    result = client_call(cli, "POST", "/api/policy/reload", NULL, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    const json_t *policy = json_object_get(answer.json, "policy");
    Buffer out = BUFFER_EMPTY(1 << 16);
    buffer_puts(&out, "in force: ");
    show_count(&out, show_number(policy, "rules"), "rule");
    if (json_object_get(policy, "digest")) {
        buffer_puts(&out, ", digest ");
        show_member(&out, policy, "digest", 0);
    }
    buffer_puts(&out, "\n");
    show_print(&out);
    return CLI_DONE;
}

int policy_main(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage, .stop_at_operand = true, .most = -1};
    static const CliVerb verbs[] = {
        {"init", init_main},           {"check", check_main},   {"explain", policy_explain_main},
        {"test", policy_explain_main}, {"reload", reload_main}, {0}};
    return cli_run_verb(cli, &syntax, verbs, argc, argv);
}
