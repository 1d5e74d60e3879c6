/*
 * See queue.h: the queue as the api gives it, page by page.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "cli/queue.h"
#include "cli/show.h"

#define PAGE 1000u
#define HINT_ENTRIES 8u

int queue_fetch(const Cli *cli, unsigned limit, const char *after, ClientAnswer *ret)
{
    Buffer path = BUFFER_EMPTY(4096);
    char number[16];

    (void)snprintf(number, sizeof number, "%u", limit);
    buffer_puts(&path, "/api/queue");
    client_put_parameter(&path, "limit", number);
    client_put_parameter(&path, "after", after);
    _cleanup_free_ char *text = buffer_take_string(&path);
    if (!text) {
        cli_error("out of memory");
        return CLI_REFUSED;
    }
    int result = client_call(cli, "GET", text, NULL, ret);
    if (result == CLI_DONE && !json_is_array(json_object_get(ret->json, "pending"))) {
        /* Never "nothing waits" when that is not known. */
        cli_error("the warden's answer has no list of pending requests");
        client_answer_done(ret);
        result = CLI_UNREACHABLE;
    }
    return result;
}

/* Ids are compared as the warden does: without regard to case. */
static bool begins_with(const json_t *entry, const char *id)
{
    const char *text = json_string_value(json_object_get(entry, "id"));
    return text && strncasecmp(text, id, strlen(id)) == 0;
}

/* Looks through one page. Returns how many fit, at most 2. */
static unsigned look_through(const json_t *pending, const char *id, json_t **found)
{
    unsigned n_found = *found ? 1 : 0;

    for (size_t i = 0; i < json_array_size(pending) && n_found < 2; i++) {
        json_t *entry = json_array_get(pending, i);
        if (!begins_with(entry, id))
            continue;
        if (n_found++ == 0)
            *found = json_incref(entry);
    }
    return n_found;
}

static int refuse(const Cli *cli, const char *id, unsigned n_found)
{
    _cleanup_free_ char *hint = queue_hint(cli);

    if (n_found == 0)
        cli_error("no pending request has the id %s\n%s", id, hint ? hint : "");
    else
        cli_error("several pending requests have ids that begin with %s: use the whole id\n%s", id,
                  hint ? hint : "");
    if (cli->json)
        (void)printf("{\"error\": \"%s\", \"code\": \"%s\"}\n",
                     n_found == 0 ? "no pending request has this id"
                                  : "several pending requests have ids that begin like this",
                     n_found == 0 ? "not_found" : "ambiguous");
    return CLI_REFUSED;
}

int queue_find(const Cli *cli, const char *id, json_t **ret)
{
    _cleanup_free_ char *after = NULL;
    unsigned n_found = 0;
    bool more = true;

    *ret = NULL;
    while (more && n_found < 2) {
        _cleanup_(client_answer_done)
        ClientAnswer answer = {0};
        int result = queue_fetch(cli, PAGE, after, &answer);
        if (result != CLI_DONE) {
            json_decref(*ret);
            *ret = NULL;
            return result;
        }
        n_found = look_through(json_object_get(answer.json, "pending"), id, ret);
        const char *next = json_string_value(json_object_get(answer.json, "next"));
        free(after);
        after = next ? strdup(next) : NULL;
        more = after != NULL;
    }
    if (n_found == 1)
        return CLI_DONE;
    json_decref(*ret);
    *ret = NULL;
    return refuse(cli, id, n_found);
}

char *queue_hint(const Cli *cli)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    _cleanup_free_ char *words = NULL;
    Buffer out = BUFFER_EMPTY(1 << 16);
    char path[64];

    (void)snprintf(path, sizeof path, "/api/queue?limit=%u", HINT_ENTRIES);
    if (client_try(cli, "GET", path, NULL, &answer, &words) != CLI_DONE ||
        !client_succeeded(&answer))
        return NULL;
    const json_t *pending = json_object_get(answer.json, "pending");
    size_t count = json_array_size(pending);
    unsigned long long total = show_number(answer.json, "total");
    buffer_puts(&out, count > 0 ? "pending: " : "nothing is pending");
    for (size_t i = 0; i < count && i < HINT_ENTRIES; i++) {
        const json_t *entry = json_array_get(pending, i);
        buffer_puts(&out, i > 0 ? ", " : "");
        show_member(&out, entry, "id", 40);
        buffer_puts(&out, " (");
        show_member(&out, entry, "command", 40);
        buffer_puts(&out, ")");
    }
    if (total > count)
        buffer_printf(&out, " and %llu more", total - count);
    return buffer_take_string(&out);
}
