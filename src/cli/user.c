/*
 * user: people who may log in to the dashboard. Passwords come from the terminal without echo, or
 * from stdin; never from the command line, where others would see them.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/people.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli user add|passwd|list|delete …\n"
    "\n"
    "  add NAME [--role viewer|approver|admin] [--jail NAME]…\n"
    "               somebody who may log in; the password is asked for, or is the first line of\n"
    "               stdin when that is no terminal\n"
    "  passwd NAME  another password; their sessions end\n"
    "  list         the users\n"
    "  delete NAME  they may not log in any more; their sessions end\n"
    "\n"
    "  --role       viewer (default) sees; approver also decides, revokes grants, kills and\n"
    "               resumes; admin also makes tokens and users and reloads the policy\n"
    "  --jail       they see this jail alone; may be given several times\n";

static const CliSyntax any_syntax = {.usage = usage, .stop_at_operand = true, .most = -1};

/* Adds the password to the body. 0, or an exit code after saying why. */
static int add_password(json_t *body, const char *prompt)
{
    char *password = ask_password(prompt, true);

    if (!password)
        return CLI_REFUSED;
    int result = json_object_set_new(body, "password", json_string(password));
    explicit_bzero(password, strlen(password));
    free(password);
    if (result == 0)
        return CLI_DONE;
    cli_error("the password must be UTF-8 text");
    return CLI_USAGE;
}

/* Sends the body (which is released) and says what was done. */
static int send_user(const Cli *cli, const char *method, const char *path, json_t *body,
                     const char *done, const char *name)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    int result = client_call(cli, method, path, body, &answer);

    json_decref(body);
    if (result != CLI_DONE)
        return result;
    if (cli->json)
        show_json(answer.json);
    else
        (void)printf("%s %s\n", done, name);
    return CLI_DONE;
}

static int add(Cli *cli, int argc, char **argv)
{
    const char *role = "viewer";
    CliList jails = {0};
    const CliOption options[] = {
        {.name = "role", .value = &role}, {.name = "jail", .list = &jails}, {0}};
    const CliSyntax syntax = {.usage = usage,
                              .options = options,
                              .least = 1,
                              .most = 1,
                              .wants = "what is the user to be called?"};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0) {
        cli_list_done(&jails);
        return cli_parse_exit(result);
    }
    if (people_is_role(argv[first])) { /* said before the password is asked for */
        cli_list_done(&jails);
        return cli_usage_error(&syntax, "%s is a role and cannot be a name: --role %s", argv[first],
                               argv[first]);
    }
    json_t *body = cli_is_name(argv[first]) ? people_body(argv[first], role, &jails) : NULL;
    cli_list_done(&jails);
    if (!body)
        return cli_usage_error(&syntax, "names are letters, digits and -._@; roles are viewer, "
                                        "approver, admin");
    result = add_password(body, "password: ");
    if (result != CLI_DONE) {
        json_decref(body);
        return result;
    }
    return send_user(cli, "POST", "/api/users", body, "added", argv[first]);
}

static int change_password(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {
        .usage = usage, .least = 1, .most = 1, .wants = "whose password?"};
    char path[128];
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (!cli_is_name(argv[first]))
        return cli_usage_error(&syntax, "this is no name of a user: %s", argv[first]);
    json_t *body = json_object();
    result = add_password(body, "new password: ");
    if (result != CLI_DONE) {
        json_decref(body);
        return result;
    }
    (void)snprintf(path, sizeof path, "/api/users/%s", argv[first]);
    return send_user(cli, "PATCH", path, body, "changed the password of", argv[first]);
}

static int list_users(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    return people_list(cli, "/api/users", "users", "nobody may log in\n");
}

static int delete_user(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {
        .usage = usage, .least = 1, .most = 1, .wants = "delete whom? `user list` has their names"};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    if (!cli_is_name(argv[first]))
        return cli_usage_error(&syntax, "this is no name of a user: %s", argv[first]);
    return people_delete(cli, "/api/users/", argv[first], "deleted");
}

int user_main(Cli *cli, int argc, char **argv)
{
    static const CliVerb verbs[] = {{"add", add},
                                    {"passwd", change_password},
                                    {"list", list_users},
                                    {"delete", delete_user},
                                    {0}};
    return cli_run_verb(cli, &any_syntax, verbs, argc, argv);
}
