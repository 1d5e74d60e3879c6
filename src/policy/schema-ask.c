/*
 * How a rule asks: grant, approvals, approvers, channels, quiet, rate.
 *
 * A rule that says nothing of these has no AskRule and shares the policy's. What a rule leaves out
 * comes from the policy's own `approvals`, `approvers` and `channels`, which may stand behind the
 * rules in the file: those are filled in, and checked together, when all has been read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "policy/loader.h"

#define APPROVALS_MAX 9
#define APPROVERS_MAX 100
#define RATE_MOST_MAX 1000000

/* The rule's AskRule, made when its first key is met; NULL without memory. */
static AskRule *ask_of(Loader *loader, Rule *rule)
{
    if (!rule->ask)
        rule->ask = ARENA_NEW(loader_arena(loader), AskRule, 1);
    return rule->ask;
}

/* Notes a key that only a rule that asks may have. */
static void note_asking(Loader *loader, struct fy_node *value, AskRule *ask, const char *key)
{
    if (ask->first)
        return;
    ask->first = key;
    loader_place(loader, value, &ask->first_line, &ask->first_column);
}

/* -------------------------------------------------------------------------------- grant */

static void read_grant_paths(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"cwd"};

    if (loader_word(loader, value, words, 1) == 0)
        *(unsigned *)object |= POLICY_GRANT_PATHS_CWD;
}

static void read_grant_item(Loader *loader, struct fy_node *item, void *object)
{
    static const Field fields[] = {{"paths", read_grant_paths}};
    static const char *const words[] = {"subcommand"};
    unsigned *grant = object;
    unsigned before = *grant;

    if (fy_node_is_mapping(item)) {
        if (!loader_mapping(loader, item, fields, ARRAY_SIZE(fields), grant, "grant", NULL))
            return;
        if (before & POLICY_GRANT_PATHS_CWD)
            loader_error(loader, item, "this stands twice in grant; keep one");
        return;
    }
    size_t size = 0;
    const char *text = fy_node_is_scalar(item) ? fy_node_get_scalar(item, &size) : NULL;
    if (text && size == 5 && memcmp(text, "paths", 5) == 0) {
        loader_error(loader, item, "say beneath which directory: paths: cwd");
        return;
    }
    if (loader_word(loader, item, words, 1) < 0)
        return;
    if (before & POLICY_GRANT_SUBCOMMAND)
        loader_error(loader, item, "this stands twice in grant; keep one");
    *grant |= POLICY_GRANT_SUBCOMMAND;
}

void schema_read_grant(Loader *loader, struct fy_node *value, void *object)
{
    AskRule *ask = ask_of(loader, object);

    if (!ask)
        return;
    note_asking(loader, value, ask, "grant");
    ask->has_grant = true;
    loader_place(loader, value, &ask->grant_line, &ask->grant_column);
    loader_each(loader, value, loader_count(loader, value, 10), read_grant_item, &ask->ask.grant);
}

/* The table of a command that a rule names, or NULL. */
static const Tool *tool_of(const CommandPattern *command)
{
    const char *slash = strrchr(command->text, '/');

    if (command->kind != COMMAND_NAME && command->kind != COMMAND_PATH)
        return NULL;
    return tool_find(slash ? slash + 1 : command->text);
}

static void grant_error(Loader *loader, const Rule *rule, const CommandPattern *command,
                        const char *message)
{
    loader_report_at(loader, rule->ask->grant_line, rule->ask->grant_column, false, command->text,
                     "%s", message);
}

static bool tool_has_widening(const Tool *tool, Widening least)
{
    for (size_t i = 0; i < tool->n_subcommands; i++)
        if (tool->subcommands[i].widening >= least)
            return true;
    return tool->n_subcommands == 0 && tool->widening >= least;
}

/* Whether what the rule says can widen a grant for this command. */
static void check_grant_command(Loader *loader, const Rule *rule, const CommandPattern *command)
{
    const unsigned grant = rule->ask->ask.grant;
    const Tool *tool = tool_of(command);

    if (command->kind == COMMAND_NAME_GLOB || command->kind == COMMAND_PATH_GLOB)
        grant_error(loader, rule, command,
                    "grant needs commands by their names: what may differ hangs on the tool");
    else if (!tool)
        grant_error(loader, rule, command,
                    "grant needs a tool whose options are known (docs/policy.md lists them); a "
                    "grant for this command covers exactly what was approved");
    else if (!(grant & POLICY_GRANT_SUBCOMMAND) && tool->n_subcommands > 0)
        grant_error(loader, rule, command,
                    "this command has subcommands, and \"paths: cwd\" alone would leave them open; "
                    "write grant: [subcommand, paths: cwd]");
    else if ((grant & POLICY_GRANT_SUBCOMMAND) && tool->n_subcommands == 0)
        grant_error(loader, rule, command,
                    "this command has no subcommands that are known; write grant: [paths: cwd] or "
                    "leave it out");
    else if (!tool_has_widening(tool, grant & POLICY_GRANT_PATHS_CWD ? WIDENING_PATHS
                                                                     : WIDENING_OPERANDS))
        grant_error(loader, rule, command,
                    "not all operands of this command are files or names of things, so none may "
                    "differ; leave grant out");
}

/* A subcommand of `after` that has no shape under this widening. */
static void check_grant_after(Loader *loader, const Rule *rule, const Tool *tool,
                              const AfterWords *after)
{
    const Widening least =
        rule->ask->ask.grant & POLICY_GRANT_PATHS_CWD ? WIDENING_PATHS : WIDENING_OPERANDS;
    size_t words = 1;
    const Subcommand *called = tool_subcommand_at(tool, after->words, after->n_words, 0, &words);
    char text[128];

    (void)snprintf(text, sizeof text, "%s%s%s", after->words[0], after->n_words > 1 ? " " : "",
                   after->n_words > 1 ? after->words[1] : "");
    if (!called || called->widening < least)
        loader_report_at(loader, rule->ask->grant_line, rule->ask->grant_column, true, text,
                         least == WIDENING_PATHS && called && called->widening > WIDENING_NONE
                             ? "operands of this subcommand are no files: with \"paths: cwd\" its "
                               "grants cover exactly what was approved"
                             : "this subcommand has no operands that may differ safely: its grants "
                               "cover exactly what was approved");
}

static void check_grant(Loader *loader, const Rule *rule)
{
    for (size_t i = 0; i < rule->n_commands; i++) {
        check_grant_command(loader, rule, &rule->commands[i]);
        const Tool *tool = tool_of(&rule->commands[i]);
        for (size_t m = 0; tool && tool->n_subcommands > 0 && m < rule->n_argv; m++)
            for (size_t a = 0; a < rule->argv[m].n_after; a++)
                check_grant_after(loader, rule, tool, &rule->argv[m].after[a]);
    }
}

/* -------------------------------------------------------------------------------- who */

static void read_approvals(Loader *loader, struct fy_node *value, AskRule *ask)
{
    uint64_t number = 0;

    if (!loader_number(loader, value, APPROVALS_MAX, &number))
        return;
    if (number == 0)
        loader_error(loader, value, "nobody would be asked; write 1 to %d, or action: allow",
                     APPROVALS_MAX);
    ask->has_approvals = true;
    ask->ask.approvals = (unsigned)number;
    loader_place(loader, value, &ask->line, &ask->column);
}

void schema_read_approvals(Loader *loader, struct fy_node *value, void *object)
{
    AskRule *ask = ask_of(loader, object);

    if (!ask)
        return;
    note_asking(loader, value, ask, "approvals");
    read_approvals(loader, value, ask);
}

void schema_read_policy_approvals(Loader *loader, struct fy_node *value, void *object)
{
    read_approvals(loader, value, &((Policy *)object)->ask);
}

static bool is_role(const char *text)
{
    return strcmp(text, "approver") == 0 || strcmp(text, "admin") == 0;
}

/* "uid:0": a number without a sign or zeros in front, so that each operator has one spelling. */
static bool is_uid(const char *text)
{
    static const char digits[] = "0123456789";
    size_t size;

    if (strncmp(text, "uid:", 4) != 0)
        return false;
    text += 4;
    size = strlen(text);
    return size >= 1 && size <= 10 && strspn(text, digits) == size &&
           (text[0] != '0' || !text[1]) && strtoull(text, NULL, 10) < UINT32_MAX;
}

static bool is_user(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
    size_t size = strlen(text);

    return size >= 1 && size <= 64 && strspn(text, all) == size && text[0] != '-' &&
           text[0] != '.' && strpbrk(text, letters);
}

typedef struct Names {
    const char **items;
    size_t n_items;
} Names;

static bool names_have(const Names *names, const char *text)
{
    for (size_t i = 0; i < names->n_items; i++)
        if (strcmp(names->items[i], text) == 0)
            return true;
    return false;
}

static void read_approver(Loader *loader, struct fy_node *item, void *object)
{
    Names *names = object;
    const char *text = loader_string(loader, item, POLICY_NAME_MAX);

    if (!text)
        return;
    if (strcmp(text, "viewer") == 0)
        loader_error(loader, item, "a viewer may never decide; write approver, admin or a name");
    else if (strncmp(text, "uid:", 4) == 0 && !is_uid(text))
        loader_error(loader, item, "an operator of this machine is written uid:0");
    else if (!is_role(text) && !is_uid(text) && !is_user(text))
        loader_error(loader, item,
                     "this must be approver, admin, the name of a user (letters, digits, '.', '_', "
                     "'-', '@') or uid:N");
    else if (names_have(names, text))
        loader_error(loader, item, "this stands twice in the list; keep one");
    else
        names->items[names->n_items++] = text;
}

static Names read_names(Loader *loader, struct fy_node *value, ItemReader read)
{
    size_t count = loader_count(loader, value, APPROVERS_MAX);
    Names names = {.items = ARENA_NEW(loader_arena(loader), const char *, count)};

    if (count == 0)
        loader_error(loader, value, "nobody could decide; name at least one, or leave this out");
    else if (names.items)
        loader_each(loader, value, count, read, &names);
    return names;
}

static void read_approvers(Loader *loader, struct fy_node *value, AskRule *ask)
{
    Names names = read_names(loader, value, read_approver);

    ask->has_approvers = true;
    ask->ask.approvers = names.items;
    ask->ask.n_approvers = names.n_items;
    if (!ask->has_approvals)
        loader_place(loader, value, &ask->line, &ask->column);
}

void schema_read_approvers(Loader *loader, struct fy_node *value, void *object)
{
    AskRule *ask = ask_of(loader, object);

    if (!ask)
        return;
    note_asking(loader, value, ask, "approvers");
    read_approvers(loader, value, ask);
}

void schema_read_policy_approvers(Loader *loader, struct fy_node *value, void *object)
{
    read_approvers(loader, value, &((Policy *)object)->ask);
}

static void read_channel(Loader *loader, struct fy_node *item, void *object)
{
    static const char *const words[] = {"cli", "api", "dashboard", "slack", "telegram"};
    Names *names = object;
    int word = loader_word(loader, item, words, ARRAY_SIZE(words));

    if (word < 0)
        return;
    if (names_have(names, words[word]))
        loader_error(loader, item, "this stands twice in the list; keep one");
    else
        names->items[names->n_items++] = words[word];
}

static void read_channels(Loader *loader, struct fy_node *value, AskRule *ask)
{
    Names names = read_names(loader, value, read_channel);

    ask->has_channels = true;
    ask->ask.channels = names.items;
    ask->ask.n_channels = names.n_items;
}

void schema_read_channels(Loader *loader, struct fy_node *value, void *object)
{
    AskRule *ask = ask_of(loader, object);

    if (!ask)
        return;
    note_asking(loader, value, ask, "channels");
    read_channels(loader, value, ask);
}

void schema_read_policy_channels(Loader *loader, struct fy_node *value, void *object)
{
    read_channels(loader, value, &((Policy *)object)->ask);
}

void schema_read_quiet(Loader *loader, struct fy_node *value, void *object)
{
    AskRule *ask = ask_of(loader, object);

    if (!ask)
        return;
    note_asking(loader, value, ask, "quiet");
    ask->has_quiet = loader_bool(loader, value, &ask->ask.quiet);
}

/* -------------------------------------------------------------------------------- rate */

static void read_rate_most(Loader *loader, struct fy_node *value, void *object)
{
    uint64_t most = 0;

    if (!loader_number(loader, value, RATE_MOST_MAX, &most))
        return;
    if (most == 0)
        loader_error(loader, value, "a rate of 0 would let nothing pass; write action: deny");
    ((AskRule *)object)->ask.rate_most = (unsigned)most;
}

static void read_rate_per(Loader *loader, struct fy_node *value, void *object)
{
    AskRule *ask = object;

    if (!loader_duration(loader, value, &ask->ask.rate_ms))
        return;
    if (ask->ask.rate_ms < 1000 || ask->ask.rate_ms > UINT64_C(24) * 3600 * 1000)
        loader_error(loader, value, "this must be from 1s to 1d");
}

static void read_rate_then(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"ask", "deny"};
    AskRule *ask = object;
    int word = loader_word(loader, value, words, 2);

    ask->has_then = true; /* a wrong one is reported already */
    ask->ask.rate_then = word == 0 ? POLICY_ASK : POLICY_DENY;
}

/* "30/m", "30/10s". */
static void read_short_rate(Loader *loader, struct fy_node *value, AskRule *ask)
{
    size_t size = 0;
    const char *raw = fy_node_is_scalar(value) ? fy_node_get_scalar(value, &size) : NULL;
    char text[64], *end = NULL, per[64];

    if (raw && size > 0 && size < sizeof text && !memchr(raw, '\0', size)) {
        memcpy(text, raw, size);
        text[size] = '\0';
        unsigned long most = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
        if (end && *end == '/' && end[1] && most >= 1 && most <= RATE_MOST_MAX) {
            (void)snprintf(per, sizeof per, "%s%s", strchr("smhd", end[1]) ? "1" : "", end + 1);
            ask->ask.rate_most = (unsigned)most;
            if (clock_parse_duration(per, &ask->ask.rate_ms) == 0 && ask->ask.rate_ms >= 1000 &&
                ask->ask.rate_ms <= UINT64_C(24) * 3600 * 1000)
                return;
        }
    }
    loader_error(loader, value,
                 "a rate is written 30/m, 5/10s or {most: 30, per: 1m, then: ask}; from 1 to %d "
                 "in 1s to 1d",
                 RATE_MOST_MAX);
}

void schema_read_rate(Loader *loader, struct fy_node *value, void *object)
{
    static const Field fields[] = {
        {"most", read_rate_most}, {"per", read_rate_per}, {"then", read_rate_then}};
    AskRule *ask = ask_of(loader, object);
    uint64_t seen = 0;

    if (!ask)
        return;
    ask->has_rate = true;
    loader_place(loader, value, &ask->rate_line, &ask->rate_column);
    if (!fy_node_is_mapping(value))
        read_short_rate(loader, value, ask);
    else if (loader_mapping(loader, value, fields, ARRAY_SIZE(fields), ask, "rate", &seen) &&
             (seen & 3) != 3)
        loader_error(loader, value, "a rate needs both: {most: 30, per: 1m}");
}

/* Fills in `then`: an asking rule can only deny what is too much. */
static void check_rate(Loader *loader, const Rule *rule)
{
    AskRule *ask = rule->ask;

    if (!ask->has_then)
        ask->ask.rate_then = rule->action == POLICY_ALLOW ? POLICY_ASK : POLICY_DENY;
    if (rule->action == POLICY_DENY)
        loader_report_at(loader, ask->rate_line, ask->rate_column, false, rule->label,
                         "rate is for rules that allow or ask; this one denies every call");
    else if (rule->action == POLICY_ASK && ask->ask.rate_then == POLICY_ASK)
        loader_report_at(loader, ask->rate_line, ask->rate_column, false, rule->label,
                         "this rule asks already; above its rate it can only deny: then: deny");
}

/* -------------------------------------------------------------------------------- all of it */

void schema_check_ask(Loader *loader, Rule *rule)
{
    const AskRule *ask = rule->ask;
    const bool may_ask =
        rule->action == POLICY_ASK || (rule->action == POLICY_ALLOW && ask->has_rate &&
                                       (!ask->has_then || ask->ask.rate_then == POLICY_ASK));

    if (ask->has_rate)
        check_rate(loader, rule);
    if (ask->has_grant && rule->action != POLICY_ASK)
        loader_report_at(loader, ask->grant_line, ask->grant_column, false, "grant",
                         "grant is for rules that ask; nobody approves what this one %s",
                         rule->action == POLICY_ALLOW ? "allows" : "denies");
    else if (ask->first && !may_ask)
        loader_report_at(loader, ask->first_line, ask->first_column, false, ask->first,
                         "%s is for rules that ask; this one never does", ask->first);
    else if (ask->has_grant && ask->ask.grant)
        check_grant(loader, rule);
}

/* As many approvals as there are people to give them. */
static void check_people(Loader *loader, const AskRule *ask, const char *label)
{
    for (size_t i = 0; i < ask->ask.n_approvers; i++)
        if (is_role(ask->ask.approvers[i]))
            return;
    if (ask->ask.n_approvers > 0 && ask->ask.approvals > ask->ask.n_approvers)
        loader_report_at(loader, ask->line, ask->column, false, label,
                         "%u approvals are needed, but approvers names %zu who could give them",
                         ask->ask.approvals, ask->ask.n_approvers);
}

void schema_finish_asks(Loader *loader)
{
    Policy *policy = loader->policy;
    const PolicyAsk *base = &policy->ask.ask;

    if (policy->ask.ask.approvals == 0)
        policy->ask.ask.approvals = 1;
    check_people(loader, &policy->ask, "approvals");
    for (size_t i = 0; i < policy->n_rules; i++) {
        AskRule *ask = policy->rules[i].ask;
        if (!ask)
            continue;
        if (!ask->has_approvals)
            ask->ask.approvals = base->approvals;
        if (!ask->has_approvers) {
            ask->ask.approvers = base->approvers;
            ask->ask.n_approvers = base->n_approvers;
        }
        if (!ask->has_channels) {
            ask->ask.channels = base->channels;
            ask->ask.n_channels = base->n_channels;
        }
        if (ask->has_approvals || ask->has_approvers)
            check_people(loader, ask, policy->rules[i].label);
    }
}
