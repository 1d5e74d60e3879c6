/*
 * Whether one rule applies to one query: its command, then its conditions, cheapest first.
 *
 * The same code judges and explains: an explanation first judges as always and then asks a second
 * time for the reason, so that the two can never disagree.
 */
#include <string.h>

#include "base/text.h"
#include "policy/judging.h"

static bool glob_or_name(const CommandPattern *command, const char *name)
{
    size_t size = strlen(name);
    if (command->kind == COMMAND_NAME)
        return size == command->size && memcmp(name, command->text, size) == 0;
    return glob_match(command->text, command->size, name, size);
}

/* Whether a name says anything about the file: the caller cannot have put it there, and it lies
 * where programs do. */
static bool name_vouches(Judging *judging)
{
    const char *exe = judging->query->exe;

    if (judging->query->exe_writable)
        return false;
    if (!judging->trusted || !exe)
        return true;
    for (size_t i = 0; i < judging->trusted->n_items; i++) {
        if (!judging_charge(judging, 1 + strlen(exe) / 8))
            return false;
        if (path_pattern_covers(judging->trusted->items[i], exe))
            return true;
    }
    return false;
}

/* Whether a name pattern means what would run. A rule that allows goes by the name that was called
 * as far as that vouches for the file; one that denies or asks also sees through a link, by the
 * name of the file that it leads to. */
static bool name_is_meant(Judging *judging, const CommandPattern *command, bool allows)
{
    const PolicyQuery *query = judging->query;
    const char *names[2] = {query->name, allows ? NULL : judging->exe_name};

    for (size_t i = 0; i < 2; i++) {
        size_t size = names[i] ? strlen(names[i]) : 0;
        if (!names[i] || !judging_charge(judging, 1 + size / 8))
            continue;
        if (glob_or_name(command, names[i]))
            return !allows || name_vouches(judging);
    }
    return false;
}

static bool path_is_meant(Judging *judging, const CommandPattern *command)
{
    const char *exe = judging->query->exe;
    size_t size = exe ? strlen(exe) : 0;

    if (!exe || !judging_charge(judging, 1 + size / 8))
        return false;
    if (command->kind == COMMAND_PATH)
        return size == command->size && memcmp(exe, command->text, size) == 0;
    return glob_match_path(command->text, command->size, exe, size);
}

/* Whether the rule would be for this command if its name vouched for its file. */
bool rule_is_hidden(Judging *judging, const Rule *rule)
{
    if (rule->action != POLICY_ALLOW || name_vouches(judging))
        return false;
    for (size_t i = 0; i < rule->n_commands; i++) {
        const CommandPattern *command = &rule->commands[i];
        if ((command->kind == COMMAND_NAME || command->kind == COMMAND_NAME_GLOB) &&
            glob_or_name(command, judging->query->name))
            return true;
    }
    return false;
}

bool rule_is_for_command(Judging *judging, const Rule *rule, Buffer *why)
{
    bool allows = rule->action == POLICY_ALLOW;

    for (size_t i = 0; i < rule->n_commands; i++) {
        const CommandPattern *command = &rule->commands[i];
        if (command->kind == COMMAND_NAME || command->kind == COMMAND_NAME_GLOB
                ? name_is_meant(judging, command, allows)
                : path_is_meant(judging, command))
            return true;
    }
    if (why && rule_is_hidden(judging, rule))
        buffer_puts(why, judging->query->exe_writable
                             ? "it allows by name, but the caller could change or replace the file"
                             : "it allows by name, but the file is outside of trusted_paths");
    else if (why)
        buffer_puts(why, "it is for another command");
    return false;
}

static bool id_in(const IdRange *ranges, size_t n_ranges, uint32_t id)
{
    for (size_t i = 0; i < n_ranges; i++)
        if (id >= ranges[i].first && id <= ranges[i].last)
            return true;
    return n_ranges == 0;
}

static bool jail_fits(Judging *judging, const Rule *rule)
{
    for (size_t i = 0; i < rule->n_jails; i++)
        if (judging_match(judging, &rule->jails[i],
                          judging->query->jail ? judging->query->jail : ""))
            return true;
    return rule->n_jails == 0;
}

static bool cwd_fits(Judging *judging, const Rule *rule)
{
    if (rule->cwd.n_items == 0)
        return true;
    const char *cwd = judging_cwd(judging);
    if (!cwd) /* unknown: the rule that forbids applies, the one that allows does not */
        return rule->action != POLICY_ALLOW;
    for (size_t i = 0; i < rule->cwd.n_items; i++) {
        if (!judging_charge(judging, strlen(cwd)))
            return false;
        if (path_pattern_covers(rule->cwd.items[i], cwd))
            return true;
    }
    return false;
}

/* A name may stand twice in an environment and programs disagree which one counts: to allow, all
 * of them must fit; to forbid, one is enough. */
static bool env_condition_fits(Judging *judging, const EnvCondition *condition, bool allows)
{
    const PolicyQuery *query = judging->query;
    size_t seen = 0, fitting = 0;

    for (size_t i = 0; i < query->envc; i++) {
        const char *entry = query->env[i];
        if (!judging_charge(judging, 1))
            return false;
        if (strncmp(entry, condition->name, condition->name_size) != 0 ||
            entry[condition->name_size] != '=')
            continue;
        seen++;
        fitting += !condition->has_value ||
                   judging_match(judging, &condition->value, entry + condition->name_size + 1);
    }
    if (condition->absent)
        return seen == 0;
    return allows ? seen > 0 && fitting == seen : fitting > 0;
}

static bool env_fits(Judging *judging, const Rule *rule, Buffer *why)
{
    for (size_t i = 0; i < rule->n_env; i++) {
        if (env_condition_fits(judging, &rule->env[i], rule->action == POLICY_ALLOW))
            continue;
        if (why) {
            buffer_puts(why, "the environment is not as the rule says: ");
            text_display(why, rule->env[i].name, rule->env[i].name_size, 60);
        }
        return false;
    }
    return true;
}

static bool caller_fits(Judging *judging, const Rule *rule, Buffer *why)
{
    if (!jail_fits(judging, rule)) {
        if (why)
            buffer_puts(why, "it is for another jail");
        return false;
    }
    if (!id_in(rule->uids, rule->n_uids, judging->query->uid)) {
        if (why)
            buffer_printf(why, "it is not for uid %u", (unsigned)judging->query->uid);
        return false;
    }
    if (!id_in(rule->gids, rule->n_gids, judging->query->gid)) {
        if (why)
            buffer_printf(why, "it is not for gid %u", (unsigned)judging->query->gid);
        return false;
    }
    if (!cwd_fits(judging, rule)) {
        if (why) {
            buffer_puts(why, "it is not for the working directory ");
            text_display_argument(why, judging->query->cwd ? judging->query->cwd : "", 120);
        }
        return false;
    }
    return env_fits(judging, rule, why);
}

/* The old form: one of the texts anywhere within the arguments joined by spaces. */
static bool args_fit(Judging *judging, const Rule *rule, Buffer *why)
{
    size_t size;

    if (rule->args.n_items == 0)
        return true;
    const char *joined = judging_joined(judging, &size);
    for (size_t i = 0; i < rule->args.n_items; i++) {
        if (!judging_charge(judging, 1 + size / 64))
            return false;
        if (memmem(joined, size, rule->args.items[i], strlen(rule->args.items[i])))
            return true;
    }
    if (why) {
        buffer_puts(why, "the arguments do not contain ");
        for (size_t i = 0; i < rule->args.n_items && i < 8; i++) {
            buffer_puts(why, i > 0 ? " or " : "");
            text_display_argument(why, rule->args.items[i], 60);
        }
    }
    return false;
}

static bool rule_fits(Judging *judging, const Rule *rule, Buffer *why)
{
    if (!rule_is_for_command(judging, rule, why))
        return false;
    if (!judging->example && !caller_fits(judging, rule, why))
        return false;
    if (!args_fit(judging, rule, why))
        return false;
    for (size_t i = 0; i < rule->n_argv; i++)
        if (!argv_matches(judging, rule, &rule->argv[i], rule->action == POLICY_ALLOW, why))
            return false;
    return true;
}

RuleOutcome rule_judge(Judging *judging, const Rule *rule, Buffer *why)
{
    judging->gave_up = false;
    bool fits = rule_fits(judging, rule, NULL);
    if (judging->gave_up || judging->spent)
        return RULE_GAVE_UP;
    if (!fits && why)
        (void)rule_fits(judging, rule, why);
    judging->gave_up = false;
    return fits ? RULE_YES : RULE_NO;
}
