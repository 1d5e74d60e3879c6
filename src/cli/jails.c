/*
 * jails: the jails that the warden serves, and their limits.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli jails [list | get NAME] [--json]\n"
    "\n"
    "Lists the jails: whether each is served or paused, what runs and waits "
    "in it, its commands and\n"
    "limits.\n";

static void put_limits(Buffer *out, const json_t *limits)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)limits, name, value)
    {
        buffer_puts(out, buffer_size(out) > 0 ? ", " : "");
        buffer_printf(out, "%lld ", (long long)json_integer_value(value));
        show_text(out, name, 40);
    }
}

static void put_jail(Buffer *out, const json_t *jail, bool full)
{
    Buffer limits = BUFFER_EMPTY(4096);

    show_member(out, jail, "name", 80);
    buffer_printf(out, ": %llu running, %llu pending", show_number(jail, "running"),
                  show_number(jail, "pending"));
    if (json_is_false(json_object_get(jail, "serving")))
        buffer_puts(out, ", NOT SERVED");
    if (json_is_true(json_object_get(jail, "paused")))
        buffer_puts(out, ", PAUSED: its commands are refused until `resume`");
    buffer_puts(out, "\n");
    if (json_array_size(json_object_get(jail, "commands")) > 0) {
        buffer_puts(out, "  commands ");
        show_list(out, json_object_get(jail, "commands"), full ? 0 : 80);
        buffer_puts(out, "\n");
    }
    if (json_is_integer(json_object_get(jail, "wait_ms"))) {
        buffer_puts(out, "  waits    ");
        show_duration(out, show_number(jail, "wait_ms"));
        buffer_puts(out, " for an answer, then the agent is told to come back (75)\n");
    }
    put_limits(&limits, json_object_get(jail, "limits"));
    _cleanup_free_ char *text = buffer_take_string(&limits);
    if (text && text[0])
        buffer_printf(out, "  limits   %s\n", text);
}

static int print(const Cli *cli, const char *name)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(16 << 20);
    char path[128];

    (void)snprintf(path, sizeof path, "/api/jails%s%s", name ? "/" : "", name ? name : "");
    int result = client_call(cli, "GET", path, NULL, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    const json_t *jails = json_object_get(answer.json, "jails");
    if (name)
        put_jail(&out, answer.json, true);
    for (size_t i = 0; !name && i < json_array_size(jails); i++)
        put_jail(&out, json_array_get(jails, i), false);
    if (!name && json_array_size(jails) == 0)
        buffer_puts(&out, "there is no jail that you may see\n");
    show_print(&out);
    return CLI_DONE;
}

int jails_main(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage, .most = 2};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    int n_operands = argc - first;
    const char *verb = n_operands > 0 ? argv[first] : "list";
    if (strcmp(verb, "get") == 0) {
        if (n_operands < 2)
            return cli_usage_error(&syntax, "get which jail?");
        if (!cli_is_name(argv[first + 1]))
            return cli_usage_error(&syntax, "this is no name of a jail: %s", argv[first + 1]);
        return print(cli, argv[first + 1]);
    }
    if (strcmp(verb, "list") != 0 || n_operands > 1)
        return cli_usage_error(&syntax, "not expected here: %s",
                               n_operands > 1 ? argv[first + 1] : verb);
    return print(cli, NULL);
}
