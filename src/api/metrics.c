/*
 * GET /metrics: the warden's state as Prometheus reads it (text format 0.0.4). Every number of the
 * status is one: what the warden counts since its start ends with "_total".
 */
#include <stdio.h>
#include <string.h>

#include "api/events.h"
#include "api/handlers.h"
#include "base/cleanup.h"
#include "wire/message.h"

static void put_head(Buffer *text, const char *name, const char *kind, const char *help)
{
    buffer_printf(text, "# HELP clawrden_%s %s\n# TYPE clawrden_%s %s\n", name, help, name, kind);
}

static void put_one(Buffer *text, const char *name, const char *kind, const char *help,
                    double value)
{
    put_head(text, name, kind, help);
    buffer_printf(text, "clawrden_%s %.17g\n", name, value);
}

static void put_requests(Buffer *text, json_t *requests)
{
    const char *key;
    json_t *value;
    char name[96];

    json_object_foreach(requests, key, value)
    {
        bool gauge = strcmp(key, "running") == 0 || strcmp(key, "pending") == 0;
        if (!json_is_integer(value) || strlen(key) > 64 ||
            strspn(key, "abcdefghijklmnopqrstuvwxyz_") != strlen(key))
            continue;
        (void)snprintf(name, sizeof name, "requests_%s%s",
                       strcmp(key, "total") == 0 ? "received" : key, gauge ? "" : "_total");
        put_one(text, name, gauge ? "gauge" : "counter",
                gauge ? "Requests of this state now." : "Requests since the warden started.",
                (double)json_integer_value(value));
    }
}

/* Jails' names have no character that a label would have to escape. */
static void put_jails(Buffer *text, const json_t *jails, const char *member, const char *help)
{
    char name[64];
    size_t i;
    const json_t *jail;

    (void)snprintf(name, sizeof name, "jail_%s", member);
    put_head(text, name, "gauge", help);
    json_array_foreach(jails, i, jail)
    {
        const char *label = json_string_value(json_object_get(jail, "name"));
        const json_t *value = json_object_get(jail, member);
        if (label && is_jail_name(label))
            buffer_printf(text, "clawrden_%s{jail=\"%s\"} %lld\n", name, label,
                          json_is_boolean(value) ? (long long)json_is_true(value)
                                                 : (long long)json_integer_value(value));
    }
}

/* What operators have stopped: entries of the kill switch, not jails. */
static void put_switches(Buffer *text, const json_t *switches)
{
    static const char *const states[] = {"killed", "paused"};
    static const char *const scopes[] = {"all", "jail", "container"};
    const json_t *entry;
    size_t i;

    put_head(text, "switches", "gauge", "What operators have stopped, by state and scope.");
    for (size_t state = 0; state < ARRAY_SIZE(states); state++) {
        for (size_t scope = 0; scope < ARRAY_SIZE(scopes); scope++) {
            unsigned count = 0;
            json_array_foreach(switches, i, entry)
            {
                const char *its = json_string_value(json_object_get(entry, "state"));
                const char *where = json_string_value(json_object_get(entry, "scope"));
                count += its && where && strcmp(its, states[state]) == 0 &&
                         strcmp(where, scopes[scope]) == 0;
            }
            buffer_printf(text, "clawrden_switches{state=\"%s\",scope=\"%s\"} %u\n", states[state],
                          scopes[scope], count);
        }
    }
}

static void put_api(Buffer *text, const Api *api)
{
    put_one(text, "api_connections", "gauge", "HTTP connections.",
            (double)http_server_connections(api->server));
    put_one(text, "api_live_views", "gauge", "Streams of events.",
            (double)events_clients(api->events));
    put_one(text, "api_sessions", "gauge", "Sessions of users.", (double)api->sessions.count);
    put_one(text, "api_logins_throttled_total", "counter", "Logins refused before hashing.",
            (double)api->n_throttled);
}

static void on_status(Caller *caller, const char *json)
{
    Buffer text = BUFFER_EMPTY(1 << 20);
    json_t *status = json_loads(json, 0, NULL);
    json_t *jails = json_object_get(status, "jails"), *policy = json_object_get(status, "policy"),
           *journal = json_object_get(status, "journal");
    const char *health = json_string_value(json_object_get(journal, "health"));
    HttpAnswer answer = {.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8"};

    put_one(&text, "up", "gauge", "The warden answers.", 1);
    put_one(&text, "uptime_seconds", "gauge", "Since the warden started.",
            json_number_value(json_object_get(status, "uptime_ms")) / 1000);
    put_one(&text, "policy_rules", "gauge", "Rules in force.",
            json_number_value(json_object_get(policy, "rules")));
    put_one(&text, "policy_error", "gauge", "The policy's file is not in force: it has mistakes.",
            json_is_string(json_object_get(policy, "error")));
    put_one(&text, "journal_seq", "counter", "Records in the journal.",
            json_number_value(json_object_get(journal, "seq")));
    put_one(&text, "journal_healthy", "gauge", "The journal can be written.",
            health && strcmp(health, "ok") == 0);
    put_requests(&text, json_object_get(status, "requests"));
    put_jails(&text, jails, "running", "Running commands of the jail.");
    put_jails(&text, jails, "pending", "Questions of the jail that wait for a human.");
    put_jails(&text, jails, "paused", "The jail refuses everything.");
    put_switches(&text, json_object_get(status, "switches"));
    put_api(&text, caller->api);
    json_decref(status);
    answer.body = buffer_head(&text);
    answer.size = buffer_size(&text);
    if (text.error)
        caller_fail(caller, 503, "no_memory", "out of memory");
    else
        caller_answer_other(caller, &answer);
    buffer_done(&text);
}

void handle_metrics(Caller *caller)
{
    caller->on_answer = on_status;
    handler_ask_plain(caller, API_STATUS);
}
