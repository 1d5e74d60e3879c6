/*
 * Containers with labels, as the parent tells of them: recorded when something about them changes,
 * and shown to operators. Nothing is decided here.
 */
#pragma once

#include "warden/state.h"

typedef struct KnownContainer KnownContainer;

/* MESSAGE_CONTAINER_TOLD and MESSAGE_ENGINE_TOLD. 0 or -EPROTO, -ENOMEM. */
int containers_take(Warden *warden, const LinkFrame *frame);
int containers_take_engine(Warden *warden, const LinkFrame *frame);
/* API_CONTAINERS. */
void answer_containers(Warden *warden, uint64_t key, const Actor *actor);
/* The member "engine" of the status. */
void containers_put_status(const Warden *warden, Buffer *json, const Actor *actor);
void containers_done(Warden *warden);
