/*
 * kill, pause, resume: the kill switch, for a jail, a container, or everything.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"

/* A part of a container's id that people type; docker shows 12 digits. */
#define CONTAINER_PREFIX_MIN 12u

static const char usage_kill[] =
    "usage: clawrden-cli kill JAIL | --container ID | --all [--for 10m] [--reason TEXT] [--json]\n"
    "\n"
    "Ends every running command with all its descendants, and the containers they came from\n"
    "(KILL, at once), cancels what waits, and refuses new commands until `clawrden-cli\n"
    "resume`, or for a time. Returns when what was killed is gone.\n"
    "\n"
    "  --container ID  one container: its whole id, or its first 12 digits or more\n"
    "  --all           every jail, and those that come later\n"
    "  --for TIME      resumed by itself after that (30s, 10m, 2h)\n"
    "  --reason TEXT   recorded, and told to the agent\n";

static const char usage_pause[] =
    "usage: clawrden-cli pause JAIL | --container ID | --all [--for 10m] [--reason TEXT] [--json]\n"
    "\n"
    "Freezes every running command and the containers they came from where they stand, and\n"
    "refuses new ones until `clawrden-cli resume`, or for a time. What waits can still be decided; "
    "what is\n"
    "approved meanwhile runs when it is resumed. Timeouts run on.\n"
    "\n"
    "  --container ID  one container: its whole id, or its first 12 digits or more\n"
    "  --all           every jail, and those that come later\n"
    "  --for TIME      resumed by itself after that (30s, 10m, 2h)\n"
    "  --reason TEXT   recorded, and told to the agent\n";

static const char usage_resume[] =
    "usage: clawrden-cli resume JAIL | --container ID | --all [--reason TEXT] [--json]\n"
    "\n"
    "Lets commands run again, as the policy says, and frozen ones go on.\n";

/* What differs between the three. */
typedef struct Verb {
    const char *name, *path, *usage, *done;
} Verb;

static const Verb verbs[] = {
    {"kill", "/api/kill", usage_kill, "killed"},
    {"pause", "/api/pause", usage_pause, "paused"},
    {"resume", "/api/resume", usage_resume, "resumed"},
};

typedef struct Wish {
    const char *jail, *container, *for_text, *reason;
    bool all;
} Wish;

/* Containers that did not do as ordered. */
static void print_failures(const json_t *answer)
{
    const json_t *failures = json_object_get(answer, "failed"), *failure;
    size_t i;

    json_array_foreach(failures, i, failure)
    {
        Buffer line = BUFFER_EMPTY(8192);
        show_member(&line, failure, "container", 80);
        buffer_puts(&line, ": ");
        show_member(&line, failure, "why", 1000);
        _cleanup_free_ char *text = buffer_take_string(&line);
        cli_error("container %s", text ? text : "");
    }
}

static bool is_all_done(const json_t *answer)
{
    return show_number(answer, "alive") == 0 && json_is_true(json_object_get(answer, "saved")) &&
           json_array_size(json_object_get(answer, "failed")) == 0;
}

/* What the warden did, and what of it is not as it should be. */
static void print_result(const Verb *verb, const json_t *answer)
{
    unsigned long long alive = show_number(answer, "alive");
    Buffer out = BUFFER_EMPTY(1 << 20);

    buffer_puts(&out, verb->done);
    buffer_puts(&out, ": ");
    show_list(&out, json_object_get(answer, "jails"), 4000);
    if (strcmp(verb->name, "kill") == 0)
        buffer_printf(&out, " (%llu running ended, %llu waiting cancelled)",
                      show_number(answer, "killed"), show_number(answer, "cancelled"));
    else if (strcmp(verb->name, "pause") == 0)
        buffer_printf(&out, " (%llu running frozen)", show_number(answer, "frozen"));
    else
        buffer_printf(&out, " (%llu go on)", show_number(answer, "resumed"));
    if (show_number(answer, "containers") > 0)
        buffer_printf(&out, ", containers: %llu", show_number(answer, "containers"));
    if (json_is_string(json_object_get(answer, "until"))) {
        buffer_puts(&out, ", until ");
        show_member(&out, answer, "until", 40);
    }
    buffer_puts(&out, "\n");
    show_print(&out);
    if (alive > 0)
        cli_error("%llu killed commands or containers are still there: they wait for the kernel, "
                  "and end as soon "
                  "as it lets them",
                  alive);
    if (!json_is_true(json_object_get(answer, "saved")))
        cli_error("in force, but the warden could not write it down (%s): its next start will not "
                  "know it",
                  json_string_value(json_object_get(answer, "problem")));
    print_failures(answer);
}

/* A part of an id is the warden's to complete; less than people see anywhere is a slip. */
static bool is_too_short(const char *container)
{
    size_t size = strlen(container);
    return strspn(container, "0123456789abcdef") == size && size < CONTAINER_PREFIX_MIN;
}

/* NULL: one of the texts is not UTF-8, or no memory. */
static json_t *body_of(const Wish *wish, uint64_t for_ms)
{
    json_t *body = wish->all ? json_pack("{s:b}", "all", 1)
                             : json_pack("{s:s}", wish->jail ? "jail" : "container",
                                         wish->jail ? wish->jail : wish->container);
    int result = body ? 0 : -1;

    if (result == 0 && for_ms > 0)
        result = json_object_set_new(body, "for_ms", json_integer((json_int_t)for_ms));
    if (result == 0 && wish->reason)
        result = json_object_set_new(body, "reason", json_string(wish->reason));
    if (result == 0)
        return body;
    json_decref(body);
    return NULL;
}

static const Verb *verb_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return &verbs[0];
}

int kill_main(Cli *cli, int argc, char **argv)
{
    const Verb *verb = verb_of(argv[0]);
    const bool resumes = strcmp(verb->name, "resume") == 0;
    Wish wish = {.all = false};
    const CliOption stopping[] = {{.name = "all", .flag = &wish.all},
                                  {.name = "container", .value = &wish.container},
                                  {.name = "reason", .value = &wish.reason},
                                  {.name = "for", .value = &wish.for_text},
                                  {0}};
    const CliOption resuming[] = {stopping[0], stopping[1], stopping[2], {0}};
    const CliSyntax syntax = {
        .usage = verb->usage, .options = resumes ? resuming : stopping, .most = 1};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    uint64_t for_ms = 0;
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    wish.jail = first < argc ? argv[first] : NULL;
    if (!!wish.jail + !!wish.container + wish.all != 1)
        return cli_usage_error(&syntax, "name one jail or one --container, or say --all");
    if (wish.for_text && (clock_parse_duration(wish.for_text, &for_ms) < 0 || for_ms < 1000))
        return cli_usage_error(&syntax, "--for is a time from 1s to a year (30s, 10m, 2h), not %s",
                               wish.for_text);
    if (wish.container && is_too_short(wish.container))
        return cli_usage_error(&syntax, "say at least the first %u digits of the container's id",
                               CONTAINER_PREFIX_MIN);
    json_t *body = body_of(&wish, for_ms);
    if (!body)
        return cli_usage_error(&syntax, "names and reasons are text in UTF-8");
    result = client_call(cli, "POST", verb->path, body, &answer);
    json_decref(body);
    if (result != CLI_DONE)
        return result;
    if (cli->json)
        show_json(answer.json);
    else
        print_result(verb, answer.json);
    return is_all_done(answer.json) ? CLI_DONE : CLI_REFUSED;
}
