/*
 * See people.h.
 */
#include "cli/people.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/show.h"

bool people_is_role(const char *role)
{
    return strcmp(role, "viewer") == 0 || strcmp(role, "approver") == 0 ||
           strcmp(role, "admin") == 0;
}

json_t *people_body(const char *name, const char *role, const CliList *jails)
{
    json_t *body =
        people_is_role(role) ? json_pack("{s:s, s:s}", "name", name, "role", role) : NULL;

    if (!body || jails->n_items == 0)
        return body;
    json_t *list = json_array();
    for (size_t i = 0; i < jails->n_items; i++) {
        if (json_array_append_new(list, json_string(jails->items[i])) < 0) {
            json_decref(list);
            json_decref(body);
            return NULL;
        }
    }
    (void)json_object_set_new(body, "jails", list);
    return body;
}

/* ", WORDS 5m ago" or ", WORDS in 5m"; `never` when it is null. */
static void put_time(Buffer *out, const json_t *object, const char *name, const char *words,
                     const char *never)
{
    uint64_t then_us, now_us = clock_realtime_us();
    const json_t *value = json_object_get(object, name);

    if (json_is_null(value))
        buffer_printf(out, "%s", never);
    if (!json_is_string(value) || clock_parse_time(json_string_value(value), &then_us) < 0)
        return;
    buffer_printf(out, ", %s ", words);
    buffer_puts(out, then_us > now_us ? "in " : "");
    show_duration(out, (then_us > now_us ? then_us - now_us : now_us - then_us) / 1000);
    buffer_puts(out, then_us > now_us ? "" : " ago");
}

static void put_one(Buffer *out, const json_t *one)
{
    const json_t *jails = json_object_get(one, "jails");

    if (json_is_string(json_object_get(one, "id"))) {
        show_member(out, one, "id", 80);
        buffer_puts(out, "  ");
    }
    show_member(out, one, "name", 80);
    buffer_puts(out, ": ");
    show_member(out, one, "role", 40);
    if (json_array_size(jails) > 0) {
        buffer_puts(out, json_array_size(jails) == 1 ? " of jail " : " of jails ");
        show_list(out, jails, 80);
    }
    if (json_is_string(json_object_get(one, "via"))) {
        buffer_puts(out, ", through ");
        show_member(out, one, "via", 40);
    }
    put_time(out, one, "created_at", "made", "");
    if (json_is_string(json_object_get(one, "created_by"))) {
        buffer_puts(out, " by ");
        show_member(out, one, "created_by", 80);
    }
    put_time(out, one, "last_used_at", "last used", ", never used");
    put_time(out, one, "last_login_at", "last login", ", never logged in");
    put_time(out, one, "expires_at", "expires", "");
    buffer_puts(out, "\n");
}

int people_list(const Cli *cli, const char *path, const char *member, const char *none)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    Buffer out = BUFFER_EMPTY(16 << 20);
    int result = client_call(cli, "GET", path, NULL, &answer);

    if (result != CLI_DONE)
        return result;
    const json_t *list = json_object_get(answer.json, member);
    if (!json_is_array(list)) {
        cli_error("the answer has no list of %s", member);
        return CLI_UNREACHABLE;
    }
    if (cli->json) {
        show_json(answer.json);
        return CLI_DONE;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        put_one(&out, json_array_get(list, i));
    if (json_array_size(list) == 0)
        buffer_puts(&out, none);
    show_print(&out);
    return CLI_DONE;
}

int people_delete(const Cli *cli, const char *path, const char *id, const char *done)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    char whole[160];

    (void)snprintf(whole, sizeof whole, "%s%s", path, id);
    int result = client_call(cli, "DELETE", whole, NULL, &answer);
    if (result != CLI_DONE)
        return result;
    if (cli->json)
        show_json(answer.json);
    else
        (void)printf("%s %s\n", done, id);
    return CLI_DONE;
}
