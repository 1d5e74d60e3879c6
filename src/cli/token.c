/*
 * token: bearer tokens for programs: made (and shown once), listed, revoked.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/people.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli token create|list|revoke …\n"
    "\n"
    "  create NAME [--role viewer|approver|admin] [--jail NAME]… [--expires TIME] [--via CHANNEL]\n"
    "            makes a token and prints it, this once, on stdout\n"
    "  list      the tokens: names, roles, when they were last used\n"
    "  revoke ID ends one, at once\n"
    "\n"
    "  --role    viewer (default) sees; approver also decides, revokes grants, kills and resumes;\n"
    "            admin also makes tokens and users and reloads the policy\n"
    "  --jail    the token sees this jail alone; may be given several times\n"
    "  --expires 12h, 30d; without it the token stays until it is revoked\n"
    "  --via     slack or telegram, for a bridge: decisions are recorded as made there\n";

static const CliSyntax any_syntax = {.usage = usage, .stop_at_operand = true, .most = -1};

static int create(Cli *cli, int argc, char **argv)
{
    const char *role = "viewer", *expires = NULL, *via = NULL;
    CliList jails = {0};
    const CliOption options[] = {{.name = "role", .value = &role},
                                 {.name = "jail", .list = &jails},
                                 {.name = "expires", .value = &expires},
                                 {.name = "via", .value = &via},
                                 {0}};
    const CliSyntax syntax = {.usage = usage,
                              .options = options,
                              .least = 1,
                              .most = 1,
                              .wants = "what is the token to be called?"};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    uint64_t expires_ms = 0;
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0) {
        cli_list_done(&jails);
        return cli_parse_exit(result);
    }
    json_t *body = people_body(argv[first], role, &jails);
    cli_list_done(&jails);
    if (!body)
        return cli_usage_error(&syntax, "names are UTF-8 text; roles are viewer, approver, admin");
    if (expires && (clock_parse_duration(expires, &expires_ms) < 0 || expires_ms == 0)) {
        json_decref(body);
        return cli_usage_error(&syntax, "not a duration: %s (write 12h, 30d)", expires);
    }
    if (expires)
        (void)json_object_set_new(body, "expires_in_ms", json_integer((json_int_t)expires_ms));
    if (via)
        (void)json_object_set_new(body, "via", json_string(via));
    result = client_call(cli, "POST", "/api/tokens", body, &answer);
    json_decref(body);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    Buffer out = BUFFER_EMPTY(4096);
    show_member(&out, answer.json, "token", 0);
    buffer_puts(&out, "\n");
    show_print(&out);
    (void)fflush(stdout);
    (void)fputs("It is not shown again. Use it as CLAWRDEN_TOKEN, or keep it in a file that only "
                "you can read (--token-file).\n",
                stderr);
    return CLI_DONE;
}

static int list_tokens(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    return people_list(cli, "/api/tokens", "tokens", "there is no token\n");
}

static int end_token(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage,
                                     .least = 1,
                                     .most = 1,
                                     .wants = "revoke which token? `token list` has their ids"};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    if (!cli_is_id(argv[first]))
        return cli_usage_error(&syntax, "this is no id of a token: %s (see `token list`)",
                               argv[first]);
    return people_delete(cli, "/api/tokens/", argv[first], "revoked");
}

int token_main(Cli *cli, int argc, char **argv)
{
    static const CliVerb verbs[] = {
        {"create", create}, {"list", list_tokens}, {"revoke", end_token}, {0}};
    return cli_run_verb(cli, &any_syntax, verbs, argc, argv);
}
