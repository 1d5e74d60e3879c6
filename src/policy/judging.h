/*
 * The state of one verdict: the query, what was worked out about it so far, and how much effort
 * it has cost.
 *
 * The query is hostile: an argument vector of two MiB, made to meet as many rules as possible,
 * must not hold the warden up. Every comparison is charged; when the budget is spent the verdict
 * is a refusal. Expressions are charged by time as well, because one match can cost a millisecond.
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "policy/model.h"

/* Comparisons of one verdict: a tenth of a second at worst. */
#define JUDGING_STEPS_MAX (UINT64_C(16) * 1024 * 1024)
#define JUDGING_REGEX_NS_MAX (UINT64_C(200) * 1000 * 1000)

typedef struct Judging {
    const PolicyQuery *query;
    const StringList *trusted; /* where names vouch for files, or NULL: everywhere */
    const char *const *args;   /* argv without argv[0] */
    size_t n_args;
    const char *exe_name; /* the last component of query->exe, or NULL */
    bool example;         /* only the command and its arguments are given */
    bool tool_looked_up;
    const Tool *tool;
    bool joined_made;
    char *joined; /* the arguments with spaces between them; owned, freed by judging_done() */
    size_t joined_size;
    uint64_t steps;
    Effort regex;  /* of all expressions */
    bool spent;    /* the budget: final */
    bool gave_up;  /* an expression ran out of its match limit: of the rule at hand */
    int cwd_known; /* 1: `cwd` is set, -1: there is none to trust, 0: not looked yet */
    char cwd[PATH_ROOM];
} Judging;

void judging_begin(Judging *judging, const PolicyQuery *query);
void judging_done(Judging *judging);

const Tool *judging_tool(Judging *judging);
/* The normalised working directory, or NULL when it is not an absolute path. */
const char *judging_cwd(Judging *judging);
const char *judging_joined(Judging *judging, size_t *ret_size);

/* Charges `steps`; false once the budget is spent. */
static inline bool judging_charge(Judging *judging, size_t steps)
{
    judging->steps += steps;
    if (__builtin_expect(judging->steps > JUDGING_STEPS_MAX, 0))
        judging->spent = true;
    return !judging->spent;
}

/* Compares, charges, and notes an expression that gave up; "no" then. */
bool judging_match(Judging *judging, const Pattern *pattern, const char *text);

typedef enum RuleOutcome { RULE_NO, RULE_YES, RULE_GAVE_UP } RuleOutcome;

/* match.c: whether one rule applies. `why` (may be NULL) gets the first condition that fails, in
 * words. RULE_GAVE_UP: it could not be told. */
RuleOutcome rule_judge(Judging *judging, const Rule *rule, Buffer *why);
bool rule_is_for_command(Judging *judging, const Rule *rule, Buffer *why);

/* An allow by name that does not count because the caller could write the file, or because it lies
 * outside of trusted_paths. */
bool rule_is_hidden(Judging *judging, const Rule *rule);

/* argv.c: one argv matcher. `strict` for rules that allow. With `why` only for one that is known
 * to fail: it stops at the first reason. */
bool argv_matches(Judging *judging, const Rule *rule, const ArgvMatch *match, bool strict,
                  Buffer *why);
