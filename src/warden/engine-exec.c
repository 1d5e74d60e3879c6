/*
 * See engine-exec.h.
 */
#include "warden/engine-exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "warden/request.h"
#include "wire/engine-exec.h"

#define START_MAX_MS 60000u  /* from the order until the launcher is at work */
#define RESULT_MAX_MS 10000u /* for the engine's word about an end */

bool engine_exec_is_meant(const Request *request)
{
    return !request->ghost && request->policy && request->facts &&
           request->facts->prepared.container[0] &&
           policy_mirror_engine(request->policy->policy) == POLICY_MIRROR_DOCKER;
}

const char *engine_exec_problem(const Request *request)
{
    if (!engine_exec_is_meant(request))
        return NULL;
    if (request->facts->prepared.flags & PREPARED_HARDENED)
        return "its container is hardened, and what runs there needs mounts of its own, which the "
               "container engine cannot give it (mirror_engine: docker); the operator must write "
               "mirror_engine: joiner; nothing was run";
    if (!request->warden->engine)
        return "it would be run by the container engine (mirror_engine: docker), but the warden "
               "has none (--engine unix:///var/run/docker.sock); nothing was run";
    return NULL;
}

void engine_exec_give_order(Request *request, const Buffer *run_order)
{
    const Prepared *prepared = &request->facts->prepared;
    const char *problem = engine_exec_problem(request);
    Buffer payload = BUFFER_EMPTY(256);

    request->exec = problem ? NULL : calloc(1, sizeof *request->exec);
    if (!request->exec) {
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused",
                            request->verdict.rule, problem ? problem : "out of memory");
        return;
    }
    request_set_state(request, REQUEST_STARTING);
    request_set_deadline(request, START_MAX_MS);
    request->child_waits = false;
    request_to_executor(request, EXEC_LAUNCH, run_order->bytes, run_order->size);
    engine_exec_order_encode(&payload, &(EngineExecOrder){.container = prepared->container,
                                                          .uid = prepared->uid,
                                                          .gid = prepared->gid});
    request_to_engine(request, ENGINE_EXEC, &payload);
    buffer_done(&payload);
}

/* Its end. */

void engine_exec_give_up(Request *request)
{
    request_tell(request, "how the command ended is not known: the container engine does not say");
    request->exit_kind = 0;
    request->exit_value = EXIT_WARDEN_FAILED;
    request->exit_known = true;
    request_finish(request, request->exec->leftovers);
}

void engine_exec_ask_result(Request *request, unsigned leftovers)
{
    request->exec->asked = true;
    request->exec->leftovers = leftovers;
    request_set_state(request, REQUEST_ENDING);
    request_set_deadline(request, RESULT_MAX_MS);
    if (request->warden->engine)
        request_to_engine(request, ENGINE_EXEC_RESULT, NULL);
    else
        engine_exec_give_up(request);
}

static void on_ended(Request *request, Reader *reader)
{
    const uint8_t code = reader_u8(reader);

    if (!request->exec->asked || !reader_done(reader))
        return;
    request->exit_kind = 0;
    request->exit_value = code;
    request->exit_known = true;
    request_finish(request, request->exec->leftovers);
}

static void on_failed(Request *request, ExecFailure failure, const char *why)
{
    if (request->exec->asked) {
        engine_exec_give_up(request);
        return;
    }
    if (request->state != REQUEST_STARTING)
        return; /* it runs, and the executor has it */
    request_end_in_executor(request, 0);
    free(request->failure_text);
    request->failure_text = strdup(why);
    request->failure = failure;
    if (request->killed)
        request_refuse_killed(request);
    else if (request->cancelled)
        request_cancel(request, "the caller went away");
    else
        request_refuse_failure(request);
}

bool engine_exec_on_frame(Request *request, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);

    if (frame->type == ENGINE_EXEC_ENDED) {
        on_ended(request, &reader);
        return true;
    }
    if (frame->type != ENGINE_EXEC_FAILED)
        return false;
    const uint8_t failure = reader_u8(&reader);
    const char *why = reader_string(&reader);
    on_failed(request,
              failure > 0 && failure < EXEC_FAILURE_MAX_ ? (ExecFailure)failure
                                                         : EXEC_FAILURE_BROKEN,
              reader_done(&reader) ? why : "no reason given");
    return true;
}

void engine_exec_on_lost(Request *request)
{
    on_failed(request, EXEC_FAILURE_BROKEN,
              "the process that speaks with the container engine has died; nothing was run");
}

void engine_exec_retire(Request *request)
{
    if (request->exec)
        request_to_engine(request, ENGINE_EXEC_END, NULL);
}
