/*
 * Why a runner cannot go on: the outcome for the warden and the words for the agent.
 *
 * Functions of the runner that can refuse return 0 or a (positive) ExecFailure and write the words
 * once, where they know most; callers only pass the number on.
 */
#pragma once

#include "wire/message.h"

#define REFUSAL_TEXT_MAX 1024

typedef struct Refusal {
    char text[REFUSAL_TEXT_MAX];
} Refusal;

/* Writes the words and returns `failure`. */
int refuse(Refusal *refusal, ExecFailure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
