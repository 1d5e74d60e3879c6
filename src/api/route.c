/*
 * The table of what can be asked, and the gate in front of it: path, method, content type, body.
 * What is not in the table does not exist.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/caller.h"
#include "api/handlers.h"
#include "api/history.h"
#include "base/cleanup.h"

static const char *const queue_parameters[] = {"limit", "after", NULL};
static const char *const events_parameters[] = {"last_event_id", NULL};

static const Route routes[] = {
    {HTTP_GET, "/healthz", handle_health, ROUTE_NEEDS_NOTHING, NULL},
    {HTTP_GET, "/readyz", handle_ready, ROUTE_NEEDS_NOTHING, NULL},
    {HTTP_POST, "/api/login", handle_login, ROUTE_NEEDS_NOBODY, NULL},
    {HTTP_POST, "/api/logout", handle_logout, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_POST, "/api/password", handle_password, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_GET, "/api/session", handle_session, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_GET, "/api/status", handle_status, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_GET, "/api/queue", handle_queue, ROUTE_NEEDS_VIEWER, queue_parameters},
    {HTTP_POST, "/api/queue/{}/approve", handle_approve, ROUTE_NEEDS_APPROVER, NULL},
    {HTTP_POST, "/api/queue/{}/deny", handle_deny, ROUTE_NEEDS_APPROVER, NULL},
    {HTTP_GET, "/api/containers", handle_containers, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_GET, "/api/grants", handle_grants, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_DELETE, "/api/grants/{}", handle_revoke, ROUTE_NEEDS_APPROVER, NULL},
    {HTTP_GET, "/api/jails", handle_jails, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_GET, "/api/jails/{}", handle_jail, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_POST, "/api/jails", handle_jail_create, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_PATCH, "/api/jails/{}", handle_jail_change, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_DELETE, "/api/jails/{}", handle_jail_delete, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_GET, "/api/policy", handle_policy, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_POST, "/api/policy/test", handle_policy_test, ROUTE_NEEDS_VIEWER, NULL},
    {HTTP_POST, "/api/policy/reload", handle_reload, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_POST, "/api/kill", handle_kill, ROUTE_NEEDS_APPROVER, NULL},
    {HTTP_POST, "/api/pause", handle_pause, ROUTE_NEEDS_APPROVER, NULL},
    {HTTP_POST, "/api/resume", handle_resume, ROUTE_NEEDS_APPROVER, NULL},
    {HTTP_GET, "/api/history", handle_history, ROUTE_NEEDS_VIEWER, history_parameters},
    {HTTP_GET, "/api/events", handle_events, ROUTE_NEEDS_VIEWER, events_parameters},
    {HTTP_GET, "/api/tokens", handle_tokens, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_POST, "/api/tokens", handle_token_create, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_DELETE, "/api/tokens/{}", handle_token_revoke, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_GET, "/api/users", handle_users, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_POST, "/api/users", handle_user_create, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_PATCH, "/api/users/{}", handle_user_change, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_DELETE, "/api/users/{}", handle_user_delete, ROUTE_NEEDS_ADMIN, NULL},
    {HTTP_GET, "/metrics", handle_metrics, ROUTE_NEEDS_VIEWER, NULL},
};

/* A parameter is one segment of unreserved characters (RFC 3986 2.3); nothing is decoded. */
static bool path_matches(const char *pattern, const char *path, char *parameter)
{
    const char *hole = strstr(pattern, "{}");
    if (!hole)
        return strcmp(pattern, path) == 0;

    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t size = strspn(path + before, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789-._~@");
    if (size == 0 || size >= CALL_PARAMETER_MAX || strcmp(hole + 2, path + before + size) != 0)
        return false;
    memcpy(parameter, path + before, size);
    parameter[size] = '\0';
    return true;
}

static bool method_matches(const Route *route, HttpMethod method)
{
    return route->method == method || (route->method == HTTP_GET && method == HTTP_HEAD);
}

const Route *route_of_health(const HttpHead *head)
{
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (routes[i].needs == ROUTE_NEEDS_NOTHING && method_matches(&routes[i], head->method) &&
            strcmp(routes[i].pattern, head->path) == 0)
            return &routes[i];
    }
    return NULL;
}

bool route_is_login(const HttpHead *head)
{
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (routes[i].needs == ROUTE_NEEDS_NOBODY && strcmp(routes[i].pattern, head->path) == 0)
            return true;
    }
    return false;
}

/* 405, with the methods that the path knows. */
static void refuse_method(Caller *caller)
{
    char fields[128] = "Allow: ", parameter[CALL_PARAMETER_MAX];
    size_t size = strlen(fields);
    bool first = true;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_matches(routes[i].pattern, caller->request->head.path, parameter))
            continue;
        size += (size_t)snprintf(fields + size, sizeof fields - size, "%s%s", first ? "" : ", ",
                                 routes[i].method == HTTP_GET ? "GET, HEAD"
                                                              : http_method_name(routes[i].method));
        first = false;
    }
    (void)snprintf(fields + size, sizeof fields - size, "\r\n");
    caller_fail_fields(caller, 405, fields, "method_not_allowed",
                       "this path does not know that method");
}

/* The route, or NULL with the call answered. */
static const Route *find_route(Caller *caller)
{
    const HttpHead *head = &caller->request->head;
    bool other = false;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_matches(routes[i].pattern, head->path, caller->parameter))
            continue;
        if (method_matches(&routes[i], head->method))
            return &routes[i];
        other = true;
    }
    if (other)
        refuse_method(caller);
    else
        caller_fail(caller, 404, "not_found", "there is no %s", head->path);
    return NULL;
}

/* False: answered. */
static bool check_role(Caller *caller, const Route *route)
{
    static const ActorRole least[] = {[ROUTE_NEEDS_VIEWER] = ROLE_VIEWER,
                                      [ROUTE_NEEDS_APPROVER] = ROLE_APPROVER,
                                      [ROUTE_NEEDS_ADMIN] = ROLE_ADMIN};
    if (route->needs <= ROUTE_NEEDS_NOBODY || caller->identity.role >= least[route->needs])
        return true;
    caller_fail(caller, 403, "role", "%s is %s %s; this needs the role %s", caller->identity.name,
                caller->identity.role == ROLE_VIEWER ? "a" : "an",
                actor_role_name(caller->identity.role), actor_role_name(least[route->needs]));
    return false;
}

static bool read_query(Caller *caller, const Route *route)
{
    static const char *const none[] = {NULL};
    int result = query_parse(caller->request->head.query,
                             route->parameters ? route->parameters : none, &caller->query);
    if (result == 0)
        return true;
    if (result == -EINVAL)
        caller_fail(caller, 400, "bad_query", "%s", caller->query.problem);
    else
        caller_fail(caller, 503, "no_memory", "out of memory");
    return false;
}

/* "application/json", with or without parameters. */
static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    return type && strncasecmp(type, json, sizeof json - 1) == 0 &&
           strchr(" \t;", type[sizeof json - 1]) != NULL; /* or its end: strchr finds the NUL */
}

/* Bodies are optional; one that is there is a JSON object. False: answered. */
static bool read_body(Caller *caller)
{
    const HttpRequest *request = caller->request;
    json_error_t error;

    if (request->head.length == 0)
        return true;
    if (!is_json(request->head.fields[HTTP_FIELD_CONTENT_TYPE])) {
        caller_fail(caller, 415, "not_json", "send the body as application/json");
        return false;
    }
    caller->body = json_loadb(request->body, request->head.length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(caller->body)) {
        if (caller->body)
            caller_fail(caller, 400, "bad_json", "the body must be a JSON object");
        else
            caller_fail(caller, 400, "bad_json", "the body is not JSON: line %d, column %d: %s",
                        error.line, error.column, error.text);
        return false;
    }
    return true;
}

void route_run(Caller *caller)
{
    const Route *route = find_route(caller);
    if (!route || !check_role(caller, route) || !read_query(caller, route) || !read_body(caller))
        return;
    caller->route = route;
    route->handle(caller);
}
