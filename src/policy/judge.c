/*
 * The verdict.
 */
#include "policy/index.h"

static void set_default(const Policy *policy, PolicyVerdict *ret)
{
    *ret = (PolicyVerdict){
        .action = policy->default_action,
        .rule = "default",
        .timeout_ms = policy->default_timeout_ms,
        .approval_timeout_ms = policy->approval_timeout_ms,
        .executor = policy->default_executor,
        .rule_index = SIZE_MAX,
        .ask = &policy->ask.ask,
        .ghost = &policy->ghost.ghost,
    };
}

static void set_rule(const Policy *policy, const Rule *rule, PolicyVerdict *ret)
{
    set_default(policy, ret);
    ret->action = rule->action;
    ret->rule = rule->label;
    ret->line = rule->line;
    ret->reason = rule->reason;
    if (rule->has_timeout)
        ret->timeout_ms = rule->timeout_ms;
    if (rule->has_approval_timeout)
        ret->approval_timeout_ms = rule->approval_timeout_ms;
    if (rule->has_executor)
        ret->executor = rule->executor;
    ret->has_wait = rule->has_wait;
    ret->wait_ms = rule->wait_ms;
    if (rule->ask)
        ret->ask = &rule->ask->ask;
    if (rule->ghost)
        ret->ghost = &rule->ghost->ghost;
}

static void deny(PolicyVerdict *ret, const char *reason)
{
    ret->action = POLICY_DENY;
    ret->reason = reason;
}

bool judge_cwd_allowed(const Policy *policy, Judging *judging)
{
    if (!policy->has_allowed_paths)
        return true;
    const char *cwd = judging_cwd(judging);
    if (!cwd)
        return false;
    for (size_t i = 0; i < policy->allowed_paths.n_items; i++)
        if (path_pattern_covers(policy->allowed_paths.items[i], cwd))
            return true;
    return false;
}

size_t judge_with(const Policy *policy, Judging *judging, JudgeFinder *find, PolicyVerdict *ret)
{
    bool gave_up = false;

    judging->trusted = policy->has_trusted_paths ? &policy->trusted_paths : NULL;
    set_default(policy, ret);
    if (!judge_cwd_allowed(policy, judging)) {
        ret->rule = "allowed_paths";
        deny(ret, "the working directory is outside of the policy's allowed_paths");
        return SIZE_MAX;
    }
    size_t found = find(policy, judging, &gave_up);
    if (found != SIZE_MAX) {
        set_rule(policy, &policy->rules[found], ret);
        ret->rule_index = found;
    }
    if (judging->spent)
        deny(ret, "the command line is too complex to be judged");
    else if (gave_up)
        deny(ret, "an expression of this rule reached its match limit on this command");
    ret->needs_exe = ret->action == POLICY_ALLOW && !judging->query->exe;
    return found;
}

void policy_judge(const Policy *policy, const PolicyQuery *query, PolicyVerdict *ret)
{
    Judging judging;

    judging_begin(&judging, query);
    (void)judge_with(policy, &judging, index_find, ret);
    judging_done(&judging);
}
