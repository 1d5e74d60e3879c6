/*
 * doctor's look at the api: who we are to it, who else may use it, and where the dashboard is.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/show.h"

/* A 2xx answer to GET. */
static bool get(const Cli *cli, const char *path, ClientAnswer *ret)
{
    _cleanup_free_ char *words = NULL;
    return client_try(cli, "GET", path, NULL, ret, &words) == CLI_DONE && client_succeeded(ret);
}

static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "?";
}

static void check_session(Doctor *doctor)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};

    if (get(doctor->cli, "/api/session", &answer))
        doctor_say(doctor, DOCTOR_OK, "api", "you are %s, with the role %s",
                   member(answer.json, "name"), member(answer.json, "role"));
}

static void check_tokens(Doctor *doctor)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    unsigned endless = 0;

    if (!get(doctor->cli, "/api/tokens", &answer)) {
        doctor_say(doctor, DOCTOR_NOTE, "tokens", "only an admin can see them");
        return;
    }
    const json_t *tokens = json_object_get(answer.json, "tokens");
    size_t count = json_array_size(tokens);
    for (size_t i = 0; i < count; i++) {
        const json_t *token = json_array_get(tokens, i);
        endless += strcmp(member(token, "role"), "admin") == 0 &&
                   json_is_null(json_object_get(token, "expires_at"));
    }
    doctor_say(doctor, DOCTOR_OK, "tokens", "%zu bearer token%s", count, count == 1 ? "" : "s");
    if (endless > 0)
        doctor_say(doctor, DOCTOR_WARNING, "tokens",
                   "%u of an admin never expire%s (`token create --expires`, `token revoke`)",
                   endless, endless == 1 ? "s" : "");
}

static void check_users(Doctor *doctor)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};

    if (!get(doctor->cli, "/api/users", &answer))
        return;
    size_t count = json_array_size(json_object_get(answer.json, "users"));
    if (count == 0)
        doctor_say(doctor, DOCTOR_NOTE, "users",
                   "nobody may log in to the dashboard yet (`user add NAME --role approver`)");
    else
        doctor_say(doctor, DOCTOR_OK, "users", "%zu may log in to the dashboard", count);
}

/* `url` is what the warden says of itself; NULL: it listens nowhere. */
static void check_port(Doctor *doctor, const char *url)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    _cleanup_free_ char *words = NULL;
    const Cli port = {.api = url};

    if (!url)
        doctor_say(doctor, DOCTOR_NOTE, "port",
                   "the warden was started with --api none: there is no dashboard");
    else if (client_try(&port, "GET", "/readyz", NULL, &answer, &words) != CLI_DONE)
        /* A certificate may be good for browsers that come by another name. */
        doctor_say(doctor, strncmp(url, "https:", 6) == 0 ? DOCTOR_NOTE : DOCTOR_WARNING, "port",
                   "the dashboard should be at %s: %s", url, words ? words : "out of memory");
    else if (client_succeeded(&answer) && json_is_true(json_object_get(answer.json, "ok")))
        doctor_say(doctor, DOCTOR_OK, "port", "the dashboard is at %s", url);
    else
        doctor_say(doctor, DOCTOR_WARNING, "port",
                   "the dashboard should be at %s, which answers %ld", url, answer.status);
}

void doctor_check_api(Doctor *doctor, const json_t *status)
{
    check_session(doctor);
    check_tokens(doctor);
    check_users(doctor);
    if (client_socket_path(doctor->cli->api))
        check_port(doctor, json_string_value(json_object_get(status, "api")));
}
