/*
 * The verbs below `policy`, each with its own file; private to the cli.
 */
#pragma once

#include <jansson.h>

#include "cli/cli.h"
#include "policy/policy.h"

/* argv[0] is the verb below `policy`. */
int policy_explain_main(Cli *cli, int argc, char **argv); /* explain, test */

/* Loads `path` and prints its problems on stderr (not with --json). NULL: it does not load, and
 * `problems` says why. The caller releases both. */
Policy *policy_open(const Cli *cli, const char *path, PolicyProblems *problems);

/* [{"file","line","column","warning","message","text"}] */
json_t *policy_problems_json(const PolicyProblems *problems);

static inline void policy_freep(Policy **policy)
{
    *policy = policy_free(*policy);
}
