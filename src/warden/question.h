/*
 * The steps of a question (private to warden/; the picture is in question.c).
 */
#pragma once

#include "warden/request.h"

/* Takes the waiter off its question, which is settled by whoever calls this. */
void question_unlink_waiter(Request *waiter);
/* After somebody has left: it goes on while somebody waits or its grace lasts, or ends in `state`
 * and is void. */
void question_settle(Question *question, QuestionState state);
/* It is over: void afterwards. Nobody may wait at it any more. */
void question_over(Warden *warden, Question *question, QuestionState state);
/* The same for one that nobody waits at, with a record that says why. */
void question_end(Warden *warden, Question *question, JournalEvent event, QuestionState state,
                  const char *reason);
/* From now on it ends by itself, as an abandoned one or as a kept answer. */
void question_set_timer(Question *question, uint64_t milliseconds);
