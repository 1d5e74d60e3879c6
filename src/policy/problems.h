/*
 * Collecting what is wrong with a policy, and "did you mean".
 */
#pragma once

#include "policy/policy.h"

/* After this many the rest is only counted, in one last item. */
#define PROBLEMS_MAX 1000

/* Adds one; `text` (may be NULL) is raw and is stored in display form, folded. Out of memory loses
 * the words, never the count of errors. */
void problem_add(PolicyProblems *problems, const char *file, unsigned line, unsigned column,
                 bool warning, const char *text, size_t text_size, const char *message);
/* In file order; call once at the end. */
void problems_sort(PolicyProblems *problems);

/* The word of `words` that `text` most likely meant, or NULL. */
const char *nearest_word(const char *text, const char *const *words, size_t n_words);
