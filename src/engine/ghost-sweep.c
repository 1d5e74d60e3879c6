/*
 * Containers that an earlier life of the engine process has left behind: removed when the engine
 * answers for the first time. Another warden's are told by their label.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/ghost-private.h"

static void on_swept(const EngineAnswer *answer UNUSED, void *userdata UNUSED)
{
}

static void on_list(const EngineAnswer *answer, void *userdata)
{
    Ghosts *ghosts = userdata;
    const json_t *entry;
    size_t i, removed = 0;

    ghosts->sweep = NULL;
    if (!engine_succeeded(answer) || !json_is_array(answer->json))
        return; /* tried again with the next connection */
    ghosts->swept = true;
    json_array_foreach(answer->json, i, entry)
    {
        const char *id = engine_decode_id(entry);
        const char *life =
            json_string_value(json_object_get(json_object_get(entry, "Labels"), GHOST_LABEL_LIFE));
        if (!id || (life && strcmp(life, ghosts->life) == 0))
            continue;
        removed += engine_container_remove(ghosts->engine, id, true, on_swept, NULL, NULL) == 0;
    }
    if (removed > 0)
        log_info("%zu containers that an earlier warden had left behind are removed", removed);
}

void ghosts_connected(Ghosts *ghosts)
{
    char label[sizeof GHOST_LABEL + GHOST_OWNER_SIZE + 1];

    if (ghosts->swept || ghosts->sweep)
        return;
    (void)snprintf(label, sizeof label, GHOST_LABEL "=%s", ghosts->owner);
    if (engine_container_list(ghosts->engine, label, true, on_list, ghosts, &ghosts->sweep) < 0)
        ghosts->sweep = NULL;
}
