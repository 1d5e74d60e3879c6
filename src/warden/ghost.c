/*
 * See ghost.h.
 */
#include "warden/ghost.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "warden/engine-exec.h"
#include "warden/request.h"

#define ORDER_MAX (16u << 20)         /* an order: more than any request holds */
#define START_MAX_MS 120000u          /* from the order until the container has started */
#define PULL_MAX_MS (15u * 60 * 1000) /* the same when an image may be fetched first */

void ghost_run_free(GhostRun *run)
{
    free(run);
}

/* Judgement. */

void ghost_consider(Request *request, const PolicyQuery *query)
{
    const Policy *policy = request->policy->policy;
    PolicyQuery image = *query;
    PolicyVerdict verdict;

    if (!policy_uses_ghost(policy))
        return;
    image.exe = NULL;
    image.exe_writable = false;
    policy_judge(policy, &image, &verdict);
    /* A rule above that speaks of the caller's own file comes first, as it does in the policy. */
    if (verdict.executor != POLICY_EXECUTOR_GHOST || verdict.action == POLICY_DENY ||
        request->verdict.rule_index < verdict.rule_index)
        return;
    request->ghost = calloc(1, sizeof *request->ghost);
    if (!request->ghost)
        return; /* refused: no file is known to run */
    request->verdict = verdict;
    request->verdict.needs_exe = false;
}

static const char *image_name(const Request *request)
{
    const char *own = request->verdict.ghost->image;
    return own ? own : policy_ghost_image(request->policy->policy, request->name);
}

void ghost_settle(Request *request, Prepared *prepared)
{
    const char *image = image_name(request);

    prepared->exe = image ? image : "";
    prepared->interpreter = prepared->operand = "";
    prepared->flags &= PREPARED_STDIN_MUTABLE | PREPARED_POWERFUL | PREPARED_NO_CGROUP;
}

const char *ghost_problem(const Request *request)
{
    if (!request->ghost)
        return "this rule names a file of the caller's, and none of those runs in ghost; the "
               "operator must write the command's name instead; nothing was run";
    if (!image_name(request))
        return "the policy names no image for this command (ghost_images); nothing was run";
    if (!request->warden->engine)
        return "it would run in a container of its own, but the warden has no container engine "
               "(--engine unix:///var/run/docker.sock); nothing was run";
    return NULL;
}

/* Orders. */

static void put_order(Request *request, Buffer *payload, bool whole)
{
    const Prepared *prepared = &request->facts->prepared;
    const GhostOrder order = {
        .policy = policy_digest(request->policy->policy),
        .rule = request->verdict.rule_index,
        .request = request->id,
        .command = request->name,
        .image = request->asked ? request->ghost->image : "",
        .container = prepared->container,
        .cwd = prepared->cwd,
        .uid = prepared->uid,
        .gid = prepared->gid,
        .groups = prepared->groups,
        .n_groups = prepared->n_groups,
        .has_stdin = (request->words.flags & SHIM_FLAG_STDIN) != 0,
        .argv = request->words.argv,
        .argc = whole ? request->words.argc : 0,
        .env = request->env,
        .envc = whole ? request->envc : 0,
    };
    ghost_order_encode(payload, &order);
}

static void send_order(Request *request, uint16_t type)
{
    Buffer payload = BUFFER_EMPTY(ORDER_MAX);

    put_order(request, &payload, type == GHOST_CREATE);
    request_to_engine(request, type, &payload);
    buffer_done(&payload);
}

void ghost_set_start_deadline(Request *request)
{
    request_set_deadline(request, request->verdict.ghost->pull ? PULL_MAX_MS : START_MAX_MS);
}

void ghost_on_hashed(Request *request, const Examined *examined)
{
    request->ghost->examined = *examined;
    ghost_set_start_deadline(request);
    send_order(request, GHOST_RESOLVE);
}

void ghost_give_order(Request *request)
{
    const char *problem = ghost_problem(request);

    if (problem) {
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused",
                            request->verdict.rule, problem);
        return;
    }
    request_set_state(request, REQUEST_STARTING);
    ghost_set_start_deadline(request);
    request->ghost->wanted = true;
    send_order(request, GHOST_CREATE);
}

void ghost_on_relay(Request *request)
{
    request->child_waits = false;
    request->ghost->relays = true;
    request_to_engine(request, GHOST_START, NULL);
}

void ghost_end(Request *request, uint32_t grace_ms)
{
    Buffer payload = BUFFER_EMPTY(8);

    if (!request->ghost || !request->ghost->wanted)
        return;
    buffer_put_u32(&payload, grace_ms);
    request_to_engine(request, GHOST_END, &payload);
    buffer_done(&payload);
}

void ghost_freeze(Request *request, bool frozen)
{
    Buffer payload = BUFFER_EMPTY(8);

    if (!request->ghost || !request->ghost->wanted)
        return;
    buffer_put_u8(&payload, frozen);
    request_to_engine(request, GHOST_FREEZE, &payload);
    buffer_done(&payload);
}

/* The relay, too, whatever it still waits for. */
static void end_relay(Request *request)
{
    Buffer payload = BUFFER_EMPTY(8);

    if (!request->ghost->relays || request->ghost->relay_done)
        return;
    buffer_put_u32(&payload, 0);
    request_to_executor(request, EXEC_END, payload.bytes, payload.size);
    buffer_done(&payload);
}

void ghost_retire(Request *request)
{
    if (!request->ghost)
        return;
    if (!request->ghost->container_done)
        ghost_end(request, 0);
    request->ghost->wanted = false;
    end_relay(request);
}

/* What the engine process says. */

static void on_resolved(Request *request, Reader *reader)
{
    GhostRun *run = request->ghost;
    const char *image = reader_string(reader);

    if (request->state != REQUEST_HASHING || !*image || strlen(image) >= sizeof run->image)
        return;
    (void)snprintf(run->image, sizeof run->image, "%s", image);
    DigestState state;
    digest_begin(&state);
    digest_add_field(&state, image, strlen(image));
    run->examined.hashed = (Hashed){.exe = digest_end(&state)};
    request_clear_deadline(request);
    question_ask(request, &run->examined);
}

static void record_start(Request *request, const char *container)
{
    char message[256];
    JournalRecord record = request_record(request, JOURNAL_STARTED);

    (void)snprintf(message, sizeof message, "container %.12s of image %s", container,
                   request->ghost->image);
    record.executor = "ghost";
    record.message = message;
    record.argv = NULL; /* the admission record has it */
    record.argc = record.argv_more = 0;
    record.command_digest = NULL;
    warden_record(request->warden, &record);
}

/* Nobody reads what it writes, or it was ended. */
static void end_deaf(Request *request)
{
    const GhostRun *run = request->ghost;

    if (run->relay_done && (run->relay_kind != 0 || run->relay_value != 0))
        ghost_end(request, 0);
}

static void on_started(Request *request, Reader *reader)
{
    const char *image = reader_string(reader), *container = reader_string(reader);
    GhostRun *run = request->ghost;

    if (request->state != REQUEST_STARTING || !run->relays)
        return;
    (void)snprintf(run->image, sizeof run->image, "%s", image);
    request_begin_running(request);
    record_start(request, container);
    request_go_on_running(request);
    end_deaf(request);
}

/* Both have ended: what became of the command? The engine tells a death by signal as 128 + its
 * number, which a command may also return. The executor knows better where it could see the
 * process, and then has said so as the relay's end. */
static void finish(Request *request)
{
    const GhostRun *run = request->ghost;
    bool by_signal =
        run->relay_kind == 1 && (run->code == 128 + run->relay_value || run->code == 128 + SIGKILL);

    request->exit_kind = by_signal;
    request->exit_value = by_signal ? run->relay_value : run->code;
    if (run->relay_kind == 0 && run->relay_value != 0) { /* output was lost; it has said so */
        request->exit_kind = 0;
        request->exit_value = EXIT_WARDEN_FAILED;
    }
    if (run->broken) {
        request_tell(request, run->broken);
        request->exit_kind = 0;
        request->exit_value = EXIT_WARDEN_FAILED;
    }
    request->exit_known = true;
    request_finish(request, run->leftovers);
}

static void on_ended(Request *request, Reader *reader)
{
    GhostRun *run = request->ghost;

    if (request->state != REQUEST_RUNNING && request->state != REQUEST_ENDING)
        return;
    run->code = reader_u8(reader);
    run->container_done = true;
    run->wanted = false;
    if (run->relay_done)
        finish(request);
    else if (request->timed_out || request->cancelled || request->killed)
        end_relay(request); /* nobody need read the rest */
}

static void on_failed(Request *request, Reader *reader)
{
    ExecFailure failure = (ExecFailure)reader_u8(reader);
    const char *why = reader_string(reader);
    GhostRun *run = request->ghost;

    run->wanted = false;
    if (request->state == REQUEST_RUNNING || request->state == REQUEST_ENDING) {
        run->broken = "the container engine failed while the command ran";
        run->container_done = true;
        if (run->relay_done)
            finish(request);
        else
            end_relay(request);
        return;
    }
    if (request->state != REQUEST_STARTING && request->state != REQUEST_HASHING)
        return;
    free(request->failure_text);
    request->failure_text = strdup(why);
    request->failure = failure > 0 && failure < EXEC_FAILURE_MAX_ ? failure : EXEC_FAILURE_BROKEN;
    if (request->killed)
        request_refuse_killed(request);
    else if (request->cancelled)
        request_cancel(request, "the caller went away");
    else
        request_refuse_failure(request);
}

void ghost_on_relay_end(Request *request, uint8_t kind, uint8_t value, unsigned leftovers)
{
    GhostRun *run = request->ghost;

    run->relay_done = true;
    run->relay_kind = kind;
    run->relay_value = value;
    run->leftovers = leftovers;
    if (run->container_done) {
        finish(request);
        return;
    }
    /* A quick command's relay ends before the engine has said that it started. */
    if (request->state != REQUEST_STARTING)
        end_deaf(request);
}

/* The link. */

static bool on_ghost_frame(Request *request, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);

    switch (frame->type) {
    case GHOST_RESOLVED:
        on_resolved(request, &reader);
        return true;
    case GHOST_STARTED:
        on_started(request, &reader);
        return true;
    case GHOST_ENDED:
        on_ended(request, &reader);
        return true;
    case GHOST_FAILED:
        on_failed(request, &reader);
        return true;
    default:
        return false;
    }
}

static void on_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Warden *warden = userdata;
    Request *request = requests_find(warden, frame->key);

    if (!request || (!request->ghost && !request->exec))
        return; /* it has crossed with its end */
    if (request->exec ? engine_exec_on_frame(request, frame) : on_ghost_frame(request, frame))
        return;
    log_error("the engine process sent message %u, which it may not", frame->type);
}

static void lose(Warden *warden)
{
    Buffer payload = BUFFER_EMPTY(256);

    warden->engine = link_free(warden->engine);
    buffer_put_u8(&payload, EXEC_FAILURE_BROKEN);
    buffer_put_string(&payload, "the process that speaks with the container engine has died");
    for (Jail *jail = warden->jails; jail; jail = jail->next) {
        for (Request *request = jail->requests, *next; request; request = next) {
            next = request->next;
            Reader reader = reader_of(payload.bytes, payload.size);
            if (request->ghost)
                on_failed(request, &reader);
            else if (request->exec)
                engine_exec_on_lost(request);
        }
    }
    buffer_done(&payload);
}

static void on_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    lose(userdata);
}

static const LinkHandlers handlers = {.frame = on_frame, .closed = on_closed};

int ghost_link_take(Warden *warden, int fd)
{
    const LinkLimits limits = {.frame_max = 64u * 1024, .queue_max = 64u << 20};

    if (warden->engine) /* the new one is here before the old one's end was seen */
        lose(warden);
    return link_new_take(&warden->engine, warden->loop, fd, &limits, &handlers, warden);
}
