/*
 * Finding the rules that could apply without looking at all of them.
 *
 * One hash table maps 64-bit keys to ascending lists of rule numbers. A rule stands under a key for
 * each of its command patterns: the exact name or path, or the longest literal part of a glob (its
 * beginning, its end, or a piece of its middle). Where a rule can only apply if some argument is
 * (or the joined arguments contain) a certain text, that text is mixed into the key, so that
 * thousands of rules on one command do not all have to be tried.
 *
 * Keys are hashes and are never compared further: a collision only adds a candidate, and every
 * candidate is judged in full. What must hold is the other direction: a rule that applies is among
 * the candidates. test-index.c checks that against judging all rules one by one.
 */
#pragma once

#include "policy/judging.h"

/* Built into the policy's arena; 0 or -ENOMEM. */
int index_build(Policy *policy);

/* The first rule that applies, or that could not be judged (*ret_gave_up), or SIZE_MAX. */
size_t index_find(const Policy *policy, Judging *judging, bool *ret_gave_up);
/* The same by trying every rule. */
size_t index_find_slowly(const Policy *policy, Judging *judging, bool *ret_gave_up);

/* judge.c */
typedef size_t JudgeFinder(const Policy *policy, Judging *judging, bool *ret_gave_up);
/* The verdict with either finder; the number of the rule that decided, or SIZE_MAX. */
size_t judge_with(const Policy *policy, Judging *judging, JudgeFinder *find, PolicyVerdict *ret);
bool judge_cwd_allowed(const Policy *policy, Judging *judging);
