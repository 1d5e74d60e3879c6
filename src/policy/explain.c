/*
 * Why a verdict is what it is, for humans.
 */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/index.h"

#define EXPLAINED_MAX 100 /* rules that get a line */

static void put_rule(Buffer *out, const Rule *rule)
{
    buffer_printf(out, "line %u, %s ", rule->line, policy_action_name(rule->action));
    text_display_argument(out, rule->label, 120);
}

static void put_command(Buffer *out, const PolicyQuery *query)
{
    buffer_puts(out, "command: ");
    text_display_argv(out, query->argv, query->argc, 2000);
    buffer_puts(out, "\nruns:    ");
    if (query->exe)
        text_display_argument(out, query->exe, 500);
    else
        buffer_puts(out, "nothing (not found)");
    if (query->exe_writable)
        buffer_puts(out, " (which the caller could change or replace)");
    buffer_puts(out, "\nin:      ");
    text_display_argument(out, query->cwd ? query->cwd : "", 500);
    buffer_puts(out, "\n");
}

static void put_verdict(Buffer *out, const Policy *policy, const PolicyVerdict *verdict)
{
    char text[CLOCK_TEXT_MAX];

    buffer_printf(out, "verdict: %s, by ", policy_action_name(verdict->action));
    text_display_argument(out, verdict->rule, 120);
    if (verdict->line > 0)
        buffer_printf(out, " (line %u)", verdict->line);
    if (verdict->reason) {
        buffer_puts(out, ": ");
        text_display(out, verdict->reason, strlen(verdict->reason), 1000);
    }
    buffer_puts(out, "\n");
    if (verdict->action == POLICY_DENY)
        return;
    buffer_printf(out, "runs in: %s", policy_executor_name(verdict->executor));
    if (verdict->timeout_ms > 0)
        buffer_printf(out, ", for at most %s", clock_format_duration(verdict->timeout_ms, text));
    if (verdict->action == POLICY_ASK)
        buffer_printf(out, "; waits for approval for at most %s",
                      clock_format_duration(verdict->approval_timeout_ms, text));
    buffer_puts(out, "\n");
    if (policy->mirror_engine == POLICY_MIRROR_DOCKER &&
        (verdict->executor == POLICY_EXECUTOR_AUTO || verdict->executor == POLICY_EXECUTOR_MIRROR))
        buffer_puts(out, "engine:  in a container it is run by the container engine "
                         "(mirror_engine: docker)\n");
}

/* Where it runs, if that is an ephemeral container. */
static void put_ghost(Buffer *out, const Policy *policy, const PolicyQuery *query,
                      const PolicyVerdict *verdict)
{
    const PolicyGhost *ghost = verdict->ghost;
    const char *image = ghost->image ? ghost->image : policy_ghost_image(policy, query->name);

    if (verdict->action == POLICY_DENY || verdict->executor != POLICY_EXECUTOR_GHOST)
        return;
    buffer_puts(out, "image:   ");
    if (image)
        text_display_argument(out, image, 300);
    else
        buffer_puts(out, "none: it would be refused");
    buffer_printf(out, ", network %s, memory %llu MiB, %u processes, %u.%03u processors%s\n",
                  ghost->network, (unsigned long long)(ghost->memory >> 20), ghost->pids,
                  ghost->cpus_milli / 1000, ghost->cpus_milli % 1000,
                  ghost->pull ? ", pulled if missing" : "");
}

static void put_list(Buffer *out, const char *before, const char *const *items, size_t n_items)
{
    for (size_t i = 0; i < n_items; i++)
        buffer_printf(out, "%s%s", i == 0 ? before : i + 1 == n_items ? " or " : ", ", items[i]);
}

/* How it asks, where that is not the plain way. */
static void put_ask(Buffer *out, const PolicyVerdict *verdict)
{
    const PolicyAsk *ask = verdict->ask;
    char text[CLOCK_TEXT_MAX];

    if (verdict->action == POLICY_ASK) {
        buffer_printf(out, "needs:   %u approval%s", ask->approvals,
                      ask->approvals == 1 ? "" : "s");
        put_list(out, ", by ", ask->approvers, ask->n_approvers);
        put_list(out, ask->n_approvers > 0 ? ", sent by " : ", by ", ask->channels,
                 ask->n_channels);
        buffer_puts(out, ask->quiet ? "; quiet: shown in a digest, nobody is paged\n" : "\n");
        buffer_puts(out, "grants:  of this very command");
        if (ask->grant & POLICY_GRANT_SUBCOMMAND)
            buffer_puts(out, ", or of its subcommand and options as they are with other operands");
        else if (ask->grant)
            buffer_puts(out, ", or of its options as they are with other operands");
        if (ask->grant & POLICY_GRANT_PATHS_CWD)
            buffer_puts(out, " that are files beneath the working directory");
        buffer_puts(out, "\n");
    }
    if (ask->rate_most > 0 && verdict->action != POLICY_DENY)
        buffer_printf(out, "rate:    above %u in %s: %s\n", ask->rate_most,
                      clock_format_duration(ask->rate_ms, text),
                      ask->rate_then == POLICY_ASK ? "asked" : "denied");
}

/* The rules before the one that decided, each with the first condition that did not hold. */
static void put_earlier(Buffer *out, const Policy *policy, Judging *judging, size_t end)
{
    size_t others = 0, shown = 0;

    for (size_t i = 0; i < end && !judging->spent; i++) {
        const Rule *rule = &policy->rules[i];
        if (!rule_is_for_command(judging, rule, NULL) && !rule_is_hidden(judging, rule)) {
            others++;
            continue;
        }
        if (shown++ >= EXPLAINED_MAX)
            continue;
        buffer_puts(out, "  no:  ");
        put_rule(out, rule);
        buffer_puts(out, ": ");
        (void)rule_judge(judging, rule, out);
        buffer_puts(out, "\n");
    }
    if (shown > EXPLAINED_MAX)
        buffer_printf(out, "  no:  %zu more rules of this command\n", shown - EXPLAINED_MAX);
    if (others > 0)
        buffer_printf(out, "  no:  %zu rules for other commands\n", others);
}

void policy_explain(const Policy *policy, const PolicyQuery *query, Buffer *out)
{
    Judging judging;
    PolicyVerdict verdict;

    judging_begin(&judging, query);
    size_t found = judge_with(policy, &judging, index_find, &verdict);
    put_command(out, query);
    put_verdict(out, policy, &verdict);
    put_ghost(out, policy, query, &verdict);
    put_ask(out, &verdict);
    if (!judge_cwd_allowed(policy, &judging)) {
        buffer_puts(out, "rules:   not asked; the working directory comes first\n");
    } else {
        judging.steps = 0; /* a human waits for this one: the effort starts anew */
        judging.spent = false;
        buffer_puts(out, "rules:\n");
        put_earlier(out, policy, &judging, found == SIZE_MAX ? policy->n_rules : found);
        if (found != SIZE_MAX) {
            buffer_puts(out, "  yes: ");
            put_rule(out, &policy->rules[found]);
            buffer_puts(out, "\n");
        } else {
            buffer_printf(out, "  no rule applies: default_action is %s\n",
                          policy_action_name(policy->default_action));
        }
    }
    judging_done(&judging);
}
