/*
 * What the tests of questions and grants share: policies, and ways to a pending question.
 */
#pragma once

#include "warden/test-world.h"

extern const char
    patient[];             /* answers are kept for a minute; what its commands are called, is so */
extern const char hasty[]; /* … for a second */
/* Asks and waits. */
void ask_and_wait(World *world, uint32_t counter, const Caller *caller, char id[static ID_SIZE]);
/* Asks, and its caller is lost. Returns when the warden knows. */
void ask_and_go(World *world, uint32_t counter, const Caller *caller, char id[static ID_SIZE]);
