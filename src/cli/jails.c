/*
 * jails: the jails that the warden serves: shown, made, changed, deleted.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/jails.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli jails [list|get|create|set|delete|containers] … [--json]\n"
    "\n"
    "  list        the jails: whether each is served or stopped, what runs and waits in it\n"
    "  get NAME    one of them\n"
    "  create NAME [COMMAND…] [SETTINGS]\n"
    "              makes one, with shims for these commands\n"
    "  set NAME [--add COMMAND]… [--remove COMMAND]… [--commands LIST] [SETTINGS]\n"
    "              changes one: its commands appear and disappear in prisoners that run\n"
    "  delete NAME ends one, and all that runs in it\n"
    "  containers  those whose labels ask for a jail, and which of them run without\n"
    "\n"
    "  --hardened true|false   also at the commands' absolute paths\n"
    "  --wait TIME             how long a shim waits for a human: 30s, true (as long as it "
    "takes),\n"
    "                          false (not at all)\n"
    "  --pending N, --connections N, --bytes N, --running N\n"
    "                          limits: requests that may wait for a human, connections, bytes of\n"
    "                          requests, commands at once\n"
    "  --add, --remove         a command, or several with commas; may be given again\n"
    "  --commands LIST         these instead of those that are there; \"\" for none\n"
    "\n"
    "Jails of the policy, and those that a container's labels make, are changed there.\n";

static const CliSyntax any_syntax = {.usage = usage, .stop_at_operand = true, .most = -1};

/* Shown. */

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

static void put_origin(Buffer *out, const json_t *jail)
{
    const char *source = json_string_value(json_object_get(jail, "source"));

    if (source && strcmp(source, "policy") != 0) {
        buffer_puts(out, strcmp(source, "label") == 0 ? ", of a container's labels" : ", of ");
        if (strcmp(source, "label") != 0)
            show_text(out, strcmp(source, "api") == 0 ? "an operator" : source, 40);
    }
    if (json_is_true(json_object_get(jail, "hardened")))
        buffer_puts(out, ", hardened");
}

static void put_jail(Buffer *out, const json_t *jail, bool full)
{
    Buffer limits = BUFFER_EMPTY(4096);

    show_member(out, jail, "name", 80);
    buffer_printf(out, ": %llu running, %llu pending", show_number(jail, "running"),
                  show_number(jail, "pending"));
    put_origin(out, jail);
    if (json_is_false(json_object_get(jail, "serving")))
        buffer_puts(out, ", NOT SERVED");
    show_stop(out, json_object_get(jail, "stopped"));
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

/* Makes the call and shows the jail that is answered; without a `name`, all of them. */
static int call(const Cli *cli, const char *method, const char *name, const json_t *body)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(16 << 20);
    char path[128];

    (void)snprintf(path, sizeof path, "/api/jails%s%s", name ? "/" : "", name ? name : "");
    int result = client_call(cli, method, path, body, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    const json_t *jails = json_object_get(answer.json, "jails");
    if (json_is_true(json_object_get(answer.json, "deleted"))) {
        buffer_puts(&out, "deleted ");
        show_member(&out, answer.json, "name", 80);
        buffer_puts(&out, "\n");
    } else if (!jails) {
        put_jail(&out, answer.json, true);
    }
    for (size_t i = 0; i < json_array_size(jails); i++)
        put_jail(&out, json_array_get(jails, i), false);
    if (jails && json_array_size(jails) == 0)
        buffer_puts(&out, "there is no jail that you may see\n");
    show_print(&out);
    return CLI_DONE;
}

static int list_jails(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    return result != 0 ? cli_parse_exit(result) : call(cli, "GET", NULL, NULL);
}

/* A verb that has a jail's name for its one operand. */
static int call_about(Cli *cli, int argc, char **argv, const char *method)
{
    static const CliSyntax syntax = {.usage = usage, .least = 1, .most = 1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (!cli_is_name(argv[first]))
        return cli_usage_error(&syntax, "this is no name of a jail: %s", argv[first]);
    return call(cli, method, argv[first], NULL);
}

static int get_jail(Cli *cli, int argc, char **argv)
{
    return call_about(cli, argc, argv, "GET");
}

static int delete_jail(Cli *cli, int argc, char **argv)
{
    return call_about(cli, argc, argv, "DELETE");
}

/* Made and changed. */

typedef struct Settings {
    const char *hardened, *wait, *pending, *connections, *bytes, *running, *commands;
    CliList add, remove;
} Settings;

/* "git,npm" of one option, or several of them. False: they are no UTF-8 text. */
static bool put_names(json_t *body, const char *member, const char *const *items, size_t n_items)
{
    json_t *names = json_array();
    int failed = 0;

    for (size_t i = 0; i < n_items; i++) {
        _cleanup_free_ char *copy = strdup(items[i]);
        char *rest = NULL;
        for (char *name = copy ? strtok_r(copy, ",", &rest) : NULL; name;
             name = strtok_r(NULL, ",", &rest))
            failed |= json_array_append_new(names, json_string(name));
    }
    return json_object_set_new(body, member, names) == 0 && failed == 0;
}

static bool put_flag(json_t *body, const char *text)
{
    bool on = text && strcmp(text, "true") == 0;

    if (text)
        (void)json_object_set_new(body, "hardened", json_boolean(on));
    return !text || on || strcmp(text, "false") == 0;
}

static bool put_wait(json_t *body, const char *text)
{
    uint64_t ms = 0;

    if (!text)
        return true;
    if (strcmp(text, "true") == 0) {
        (void)json_object_set_new(body, "wait_ms", json_null());
        return true;
    }
    if (strcmp(text, "false") != 0 && clock_parse_duration(text, &ms) < 0)
        return false;
    (void)json_object_set_new(body, "wait_ms", json_integer((json_int_t)ms));
    return true;
}

static bool put_limit(json_t *limits, const char *name, const char *text)
{
    if (!text)
        return true;
    size_t size = strlen(text);
    if (size == 0 || size > 13 || strspn(text, "0123456789") != size)
        return false;
    (void)json_object_set_new(limits, name, json_integer(strtoll(text, NULL, 10)));
    return true;
}

/* NULL: the mistake was told. */
static json_t *body_of(const CliSyntax *syntax, const Settings *settings)
{
    json_t *body = json_object(), *limits = json_object();
    const char *bad = NULL;

    if (!put_flag(body, settings->hardened))
        bad = "--hardened is true or false";
    else if (!put_wait(body, settings->wait))
        bad = "--wait is a time (30s), true or false";
    else if (!put_limit(limits, "pending", settings->pending) ||
             !put_limit(limits, "connections", settings->connections) ||
             !put_limit(limits, "bytes", settings->bytes) ||
             !put_limit(limits, "commands", settings->running))
        bad = "a limit is a number";
    const CliList *add = &settings->add, *remove = &settings->remove;
    if ((settings->commands && !put_names(body, "commands", &settings->commands, 1)) ||
        (add->n_items > 0 && !put_names(body, "add", add->items, add->n_items)) ||
        (remove->n_items > 0 && !put_names(body, "remove", remove->items, remove->n_items)))
        bad = "commands are UTF-8 text";
    if (json_object_size(limits) > 0)
        (void)json_object_set(body, "limits", limits);
    json_decref(limits);
    if (!bad)
        return body;
    (void)cli_usage_error(syntax, "%s", bad);
    json_decref(body);
    return NULL;
}

static int create_jail(Cli *cli, int argc, char **argv)
{
    Settings settings = {.hardened = NULL};
    const CliOption options[] = {{.name = "hardened", .value = &settings.hardened},
                                 {.name = "wait", .value = &settings.wait},
                                 {.name = "pending", .value = &settings.pending},
                                 {.name = "connections", .value = &settings.connections},
                                 {.name = "bytes", .value = &settings.bytes},
                                 {.name = "running", .value = &settings.running},
                                 {0}};
    const CliSyntax syntax = {.usage = usage, .options = options, .least = 1, .most = -1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (!cli_is_name(argv[first]))
        return cli_usage_error(&syntax, "this is no name of a jail: %s", argv[first]);
    json_t *body = body_of(&syntax, &settings);
    if (!body)
        return CLI_USAGE;
    (void)json_object_set_new(body, "name", json_string(argv[first]));
    result = put_names(body, "commands", (const char *const *)argv + first + 1,
                       (size_t)(argc - first - 1))
                 ? call(cli, "POST", NULL, body)
                 : cli_usage_error(&syntax, "commands are UTF-8 text");
    json_decref(body);
    return result;
}

static int set_with(Cli *cli, const CliSyntax *syntax, const Settings *settings, const char *name)
{
    if (!cli_is_name(name))
        return cli_usage_error(syntax, "this is no name of a jail: %s", name);
    json_t *body = body_of(syntax, settings);
    if (!body)
        return CLI_USAGE;
    int result = json_object_size(body) > 0 ? call(cli, "PATCH", name, body)
                                            : cli_usage_error(syntax, "set what of %s?", name);
    json_decref(body);
    return result;
}

static int set_jail(Cli *cli, int argc, char **argv)
{
    Settings settings = {.hardened = NULL};
    const CliOption options[] = {{.name = "hardened", .value = &settings.hardened},
                                 {.name = "wait", .value = &settings.wait},
                                 {.name = "pending", .value = &settings.pending},
                                 {.name = "connections", .value = &settings.connections},
                                 {.name = "bytes", .value = &settings.bytes},
                                 {.name = "running", .value = &settings.running},
                                 {.name = "commands", .value = &settings.commands},
                                 {.name = "add", .list = &settings.add},
                                 {.name = "remove", .list = &settings.remove},
                                 {0}};
    const CliSyntax syntax = {.usage = usage, .options = options, .least = 1, .most = 1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    result = result != 0 ? cli_parse_exit(result) : set_with(cli, &syntax, &settings, argv[first]);
    cli_list_done(&settings.add);
    cli_list_done(&settings.remove);
    return result;
}

int jails_main(Cli *cli, int argc, char **argv)
{
    static const CliVerb verbs[] = {{"list", list_jails},
                                    {"get", get_jail},
                                    {"create", create_jail},
                                    {"set", set_jail},
                                    {"delete", delete_jail},
                                    {"containers", jails_containers},
                                    {0}};
    int first, result = cli_parse(cli, &any_syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    return first == argc ? call(cli, "GET", NULL, NULL)
                         : cli_run_verb(cli, &any_syntax, verbs, argc, argv);
}
