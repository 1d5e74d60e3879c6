/*
 * jails containers: the containers whose labels ask for a jail, and which of them run without.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/jails.h"
#include "cli/show.h"

static void put_container(Buffer *out, const json_t *container)
{
    const char *state = json_string_value(json_object_get(container, "state"));
    bool governed = state && strcmp(state, "governed") == 0;

    const char *id = json_string_value(json_object_get(container, "id"));
    char start[13] = "";

    if (id)
        (void)snprintf(start, sizeof start, "%s", id);
    show_text(out, start, 40);
    buffer_puts(out, " ");
    show_member(out, container, "name", 60);
    buffer_puts(out, ": ");
    if (governed) {
        buffer_puts(out, "jail ");
        show_member(out, container, "jail", 80);
    } else {
        buffer_puts(out, state && strcmp(state, "waiting") == 0 ? "its jail is being made"
                                                                : "NOT GOVERNED");
    }
    if (json_is_integer(json_object_get(container, "ungoverned_ms"))) {
        buffer_puts(out, ", ran ungoverned for ");
        show_duration(out, show_number(container, "ungoverned_ms"));
    }
    if (json_is_string(json_object_get(container, "why"))) {
        buffer_puts(out, governed ? "; " : ": ");
        show_member(out, container, "why", 400);
    }
    buffer_puts(out, "\n");
}

int jails_containers(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = "usage: clawrden-cli jails containers [--json]\n"
                                              "\n"
                                              "Containers whose labels ask for a jail.\n"};
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(16 << 20);
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    result = client_call(cli, "GET", "/api/containers", NULL, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    const json_t *engine = json_object_get(answer.json, "engine");
    const json_t *containers = json_object_get(answer.json, "containers");
    if (!json_is_object(engine)) {
        buffer_puts(&out, "the warden follows no container engine (--engine)\n");
    } else if (!json_is_true(json_object_get(engine, "answers"))) {
        buffer_puts(&out, "THE ENGINE DOES NOT ANSWER: ");
        show_member(&out, engine, "words", 300);
        buffer_puts(&out, "\n");
    }
    for (size_t i = 0; i < json_array_size(containers); i++)
        put_container(&out, json_array_get(containers, i));
    show_print(&out);
    return CLI_DONE;
}
