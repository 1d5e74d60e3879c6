/*
 * The parts of lint. Private to lint.c and lint-dead.c.
 */
#pragma once

#include "policy/loader.h"

/* Rules that can never apply. */
void lint_dead(Loader *loader);
