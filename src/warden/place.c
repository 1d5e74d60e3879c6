/*
 * Where a request's command runs: in ghost, mirrored into its caller's container, or here.
 */
#include "warden/engine-exec.h"
#include "warden/request.h"

static bool is_in_container(const Request *request)
{
    return request->facts && request->facts->prepared.container[0];
}

const char *request_executor_name(const Request *request)
{
    if (request->ghost)
        return "ghost";
    return is_in_container(request) ? "mirror" : "local";
}

const char *request_place_problem(const Request *request)
{
    if (request->ghost)
        return NULL;
    if (request->verdict.executor == POLICY_EXECUTOR_MIRROR && !is_in_container(request))
        return "its rule wants executor: mirror, but the caller lives in no container; nothing was "
               "run";
    if (request->verdict.executor == POLICY_EXECUTOR_LOCAL && is_in_container(request))
        return "its rule wants executor: local, but the caller lives in a container, and what "
               "comes "
               "from there never runs outside of it; nothing was run";
    return engine_exec_problem(request);
}
