/*
 * Which image a ghost's command runs in: what the policy's reference stands for now, fetched first
 * where it is missing and the rule says so. A human approved one by its id: no other will do.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/ghost-private.h"

#define PULL_SILENCE_MS 120000u /* most time without any progress */

static void on_item(const json_t *item, void *userdata)
{
    Ghost *ghost = userdata;
    const char *error = engine_decode_progress(item);
    Buffer text = BUFFER_EMPTY(sizeof ghost->pull_error - 1);

    if (!error || ghost->pull_error[0])
        return;
    text_display(&text, error, strlen(error), 200);
    (void)snprintf(ghost->pull_error, sizeof ghost->pull_error, "%.*s", (int)buffer_size(&text),
                   buffer_head(&text));
    buffer_done(&text);
}

static void on_pulled(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    char why[GHOST_WHY_MAX];

    ghost->call = NULL;
    ghost->pulled = true;
    if (engine_succeeded(answer) && !ghost->pull_error[0]) {
        ghost_find_image(ghost);
        return;
    }
    (void)snprintf(why, sizeof why, "the image %s is missing and cannot be pulled: %s",
                   ghost->reference, ghost->pull_error[0] ? ghost->pull_error : answer->words);
    ghost_fail(ghost, EXEC_FAILURE_NOT_RUNNABLE, why);
}

static void on_missing(Ghost *ghost)
{
    static const EngineStream stream = {
        .item = on_item, .done = on_pulled, .silence_ms = PULL_SILENCE_MS};
    char why[GHOST_WHY_MAX];

    if (!ghost->settings->pull || ghost->pulled) {
        (void)snprintf(why, sizeof why,
                       "the image %s is not there; an operator can fetch it (docker pull %s) or "
                       "let this rule do so (ghost: {pull: true})",
                       ghost->reference, ghost->reference);
        ghost_fail(ghost, EXEC_FAILURE_NOT_RUNNABLE, why);
        return;
    }
    (void)ghost_begun(ghost, engine_image_pull(ghost->ghosts->engine, ghost->reference, &stream,
                                               ghost, &ghost->call));
}

static void on_inspected(const EngineAnswer *answer, void *userdata)
{
    Ghost *ghost = userdata;
    char why[GHOST_WHY_MAX] = "the engine's word about the image is not as the API promises";
    const char *id = NULL;

    ghost->call = NULL;
    if (answer->error == 0 && answer->status == 404) {
        on_missing(ghost);
        return;
    }
    if (!engine_succeeded(answer)) {
        ghost_fail_answer(ghost, "the image cannot be looked at", answer);
        return;
    }
    int result = ghost_image_of(answer->json, ghost->mounts, &id, why);
    if (result != 0) {
        ghost_fail(ghost, result < 0 ? EXEC_FAILURE_BROKEN : EXEC_FAILURE_NOT_RUNNABLE, why);
        return;
    }
    if (ghost->order.image[0] && strcmp(ghost->order.image, id) != 0) {
        (void)snprintf(why, sizeof why, "%s is another image by now than the one that was approved",
                       ghost->reference);
        ghost_fail(ghost, EXEC_FAILURE_DRIFT, why);
        return;
    }
    (void)snprintf(ghost->image, sizeof ghost->image, "%s", id);
    ghost_on_image(ghost);
}

void ghost_find_image(Ghost *ghost)
{
    (void)ghost_begun(ghost, engine_image_inspect(ghost->ghosts->engine, ghost->reference,
                                                  on_inspected, ghost, &ghost->call));
}
