/*
 * Containers whose labels ask for a jail: what the engine process has seen becomes jails
 * (jails.c), which the executor puts into the containers, and of which the warden is told.
 *
 * A jail of labels belongs to one container. A name that the policy or an operator has given to a
 * jail, or that another container has, is refused: labels may come from whoever made an image, and
 * a jail's name decides which rules apply. The container then runs ungoverned, and that is shown.
 * So it is when the policy or an operator takes the name later, for as long as they have it.
 */
#pragma once

#include <stdbool.h>

#include "wire/link.h"

typedef struct Parent Parent;
typedef struct Child Child;
typedef struct EngineSide EngineSide;

/* Where `--engine` names one. 0 or -ENOMEM. */
int engine_side_new(Parent *parent);
/* Starts the engine process unless there is one. */
void engine_side_start(Parent *parent);
/* A message of the engine process, or the executor's answer. False: none that it may send. */
bool engine_side_on_frame(Child *child, LinkFrame *frame);
/* A warden or executor is ready that knows nothing yet. */
void engine_side_on_ready(Parent *parent);
/* The engine process has ended; it is started again alone, after a while. */
void engine_side_on_ended(Parent *parent);
/* A policy or an operator's wish is in force: who was refused may have a jail now, and who has one
 * may have lost its name. */
void engine_side_on_jails(Parent *parent);
void engine_side_free(Parent *parent);
