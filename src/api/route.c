/*
 * The table of what can be asked, and the gate in front of it: path, method, content type, body.
 * What is not in the table does not exist.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/caller.h"
#include "api/handlers.h"
#include "base/cleanup.h"

static const Route routes[] = {
    {HTTP_GET, "/healthz", handle_health, ROUTE_NEEDS_NOTHING},
    {HTTP_GET, "/readyz", handle_ready, ROUTE_NEEDS_NOTHING},
    {HTTP_GET, "/api/status", handle_status, ROUTE_NEEDS_VIEWER},
    {HTTP_GET, "/api/queue", handle_queue, ROUTE_NEEDS_VIEWER},
    {HTTP_POST, "/api/queue/{}/approve", handle_approve, ROUTE_NEEDS_APPROVER},
    {HTTP_POST, "/api/queue/{}/deny", handle_deny, ROUTE_NEEDS_APPROVER},
    {HTTP_POST, "/api/kill", handle_kill, ROUTE_NEEDS_APPROVER},
    {HTTP_POST, "/api/resume", handle_resume, ROUTE_NEEDS_APPROVER},
    {HTTP_POST, "/api/policy/reload", handle_reload, ROUTE_NEEDS_APPROVER},
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
                                        "0123456789-._~");
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

/* The route, or NULL with the call answered. */
static const Route *find_route(Caller *caller)
{
    const HttpHead *head = &caller->request->head;
    const Route *other = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_matches(routes[i].pattern, head->path, caller->parameter))
            continue;
        if (method_matches(&routes[i], head->method))
            return &routes[i];
        other = &routes[i];
    }
    if (other)
        caller_refuse_method(caller, other);
    else
        caller_fail(caller, 404, "not_found", "there is no %s", head->path);
    return NULL;
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
    caller->route = find_route(caller);
    if (caller->route && read_body(caller))
        caller->route->handle(caller);
}
