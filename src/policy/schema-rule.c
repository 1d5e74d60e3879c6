/*
 * One rule of a policy: its keys but `argv` and `options` (schema-argv.c).
 */
#include <string.h>

#include "base/cleanup.h"
#include "policy/loader.h"

static void read_name(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    const char *name = loader_string(loader, value, POLICY_NAME_MAX);

    if (!name)
        return;
    if (strcmp(name, "default") == 0 || strcmp(name, "allowed_paths") == 0)
        loader_error(loader, value, "this name has a meaning of its own; choose another");
    rule->label = name;
    rule->named = true;
}

static void read_action(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"allow", "deny", "ask"};
    Rule *rule = object;
    int word = loader_word(loader, value, words, 3);

    rule->has_action = true; /* a wrong one is reported already */
    if (word >= 0)
        rule->action = (PolicyAction)word;
}

static void read_reason(Loader *loader, struct fy_node *value, void *object)
{
    ((Rule *)object)->reason = loader_string(loader, value, POLICY_REASON_MAX);
}

static void read_timeout(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    rule->has_timeout = loader_duration(loader, value, &rule->timeout_ms);
}

static void read_approval_timeout(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    rule->has_approval_timeout = loader_duration(loader, value, &rule->approval_timeout_ms);
    if (rule->has_approval_timeout && rule->approval_timeout_ms == 0)
        loader_error(loader, value, "nobody can answer in no time; write for example 10m");
}

static void read_executor(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"auto", "local", "mirror", "ghost"};
    Rule *rule = object;
    int word = loader_word(loader, value, words, 4);

    rule->has_executor = word >= 0;
    if (word >= 0)
        rule->executor = (PolicyExecutor)word;
}

/* A path pattern is normalised so that it can be compared with a resolved path. */
static bool read_command_path(Loader *loader, struct fy_node *item, const char *text,
                              CommandPattern *command)
{
    char room[PATH_ROOM];

    if (!path_normalise(text, room)) {
        loader_error(loader, item,
                     "a command is a name (git), a glob of names (git-*) or an "
                     "absolute path (/usr/bin/git)");
        return false;
    }
    command->kind = pattern_has_wildcard(room, strlen(room)) ? COMMAND_PATH_GLOB : COMMAND_PATH;
    command->text = arena_copy(loader_arena(loader), room, strlen(room));
    command->size = strlen(room);
    return command->text != NULL;
}

static void read_command_item(Loader *loader, struct fy_node *item, void *object)
{
    Rule *rule = object;
    CommandPattern *command = &rule->commands[rule->n_commands];
    const char *text = loader_string(loader, item, PATH_ROOM - 1);
    Pattern pattern;

    if (!text)
        return;
    if (strchr(text, '/')) {
        if (read_command_path(loader, item, text, command))
            rule->n_commands++;
        return;
    }
    if (strpbrk(text, " \t\n"))
        loader_error(loader, item, "a command is a single name; put its arguments into argv");
    if (pattern_of_text(loader_arena(loader), text, strlen(text), &pattern) < 0)
        return;
    command->kind = pattern.kind == PATTERN_EXACT ? COMMAND_NAME : COMMAND_NAME_GLOB;
    command->text = pattern.text;
    command->size = pattern.size;
    rule->n_commands++;
}

static void read_command(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    size_t count = loader_count(loader, value, POLICY_LIST_MAX);

    rule->commands = ARENA_NEW(loader_arena(loader), CommandPattern, count);
    if (rule->commands)
        loader_each(loader, value, count, read_command_item, rule);
    if (count == 0)
        loader_error(loader, value, "a rule needs at least one command");
}

static void read_args(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;

    if (rule->args.items)
        loader_error(loader, value, "args and patterns are two names of one thing; keep one");
    loader_strings(loader, value, POLICY_LIST_MAX, &rule->args);
    loader_warning(loader, value,
                   "args looks for a text anywhere in the joined arguments, so \"rm -r -f /\" "
                   "escapes \"-rf /\"%s; use argv",
                   rule->has_action && rule->action == POLICY_ALLOW
                       ? ", and an allow lets anything pass beside it"
                       : "");
}

static void read_cwd(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;

    loader_paths(loader, value, &rule->cwd);
    if (loader_count(loader, value, POLICY_LIST_MAX) == 0)
        loader_error(loader, value, "cwd needs at least one path");
}

typedef struct Ranges {
    IdRange *items;
    size_t n_items;
} Ranges;

static void read_range(Loader *loader, struct fy_node *item, void *object)
{
    Ranges *ranges = object;
    size_t size = 0;
    const char *text = fy_node_is_scalar(item) ? fy_node_get_scalar(item, &size) : NULL;
    char room[64];
    unsigned long first = 0, last = 0;

    if (text && size > 0 && size < sizeof room && text[0] >= '0' && text[0] <= '9') {
        char *end;
        memcpy(room, text, size);
        room[size] = '\0';
        first = last = strtoul(room, &end, 10);
        if (end[0] == '-' && end[1] >= '0' && end[1] <= '9')
            last = strtoul(end + 1, &end, 10);
        if (*end == '\0' && first <= last && last < UINT32_MAX) {
            ranges->items[ranges->n_items++] = (IdRange){(uint32_t)first, (uint32_t)last};
            return;
        }
    }
    loader_error(loader, item, "this must be a number or a range, as in 1000 or 1000-1999");
}

static void read_ids(Loader *loader, struct fy_node *value, IdRange **ret, uint32_t *ret_count)
{
    size_t count = loader_count(loader, value, POLICY_LIST_MAX);
    Ranges ranges = {.items = ARENA_NEW(loader_arena(loader), IdRange, count)};

    if (ranges.items)
        loader_each(loader, value, count, read_range, &ranges);
    if (count == 0)
        loader_error(loader, value, "this list needs at least one number");
    *ret = ranges.items;
    *ret_count = (uint32_t)ranges.n_items;
}

static void read_uid(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    read_ids(loader, value, &rule->uids, &rule->n_uids);
}

static void read_gid(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    read_ids(loader, value, &rule->gids, &rule->n_gids);
}

static void read_jail_item(Loader *loader, struct fy_node *item, void *object)
{
    Rule *rule = object;
    const char *text = loader_string(loader, item, POLICY_NAME_MAX);

    if (text &&
        pattern_of_text(loader_arena(loader), text, strlen(text), &rule->jails[rule->n_jails]) == 0)
        rule->n_jails++;
}

static void read_jail(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    size_t count = loader_count(loader, value, POLICY_LIST_MAX);

    rule->jails = ARENA_NEW(loader_arena(loader), Pattern, count);
    if (rule->jails)
        loader_each(loader, value, count, read_jail_item, rule);
    if (count == 0)
        loader_error(loader, value, "jail needs at least one name");
}

static void read_env_item(Loader *loader, struct fy_node *item, void *object)
{
    Rule *rule = object;
    EnvCondition *condition = &rule->env[rule->n_env];
    const char *text = loader_string(loader, item, POLICY_STRING_MAX);

    if (!text)
        return;
    condition->absent = text[0] == '!';
    condition->name = text + condition->absent;
    condition->name_size = strcspn(condition->name, "=");
    condition->has_value = condition->name[condition->name_size] == '=';
    if (condition->name_size == 0 || (condition->absent && condition->has_value)) {
        loader_error(loader, item, "this must be NAME (set), NAME=GLOB or !NAME (not set)");
        return;
    }
    const char *value = condition->name + condition->name_size + condition->has_value;
    if (pattern_of_text(loader_arena(loader), value, strlen(value), &condition->value) == 0)
        rule->n_env++;
}

static void read_env(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    size_t count = loader_count(loader, value, 1000);

    rule->env = ARENA_NEW(loader_arena(loader), EnvCondition, count);
    if (rule->env)
        loader_each(loader, value, count, read_env_item, rule);
}

typedef struct Examples {
    Rule *rule;
    bool wanted;
} Examples;

static void read_example(Loader *loader, struct fy_node *item, void *object)
{
    Examples *examples = object;
    Rule *rule = examples->rule;
    Example *example = &rule->examples[rule->n_examples];

    example->text = loader_string(loader, item, POLICY_STRING_MAX);
    if (!example->text)
        return;
    example->wanted = examples->wanted;
    loader_place(loader, item, &example->line, &example->column);
    rule->n_examples++;
}

static void read_examples(Loader *loader, struct fy_node *value, Rule *rule, bool wanted)
{
    size_t count = loader_count(loader, value, 1000);
    Example *all = ARENA_NEW(loader_arena(loader), Example, rule->n_examples + count);
    Examples examples = {.rule = rule, .wanted = wanted};

    if (!all)
        return;
    if (rule->n_examples > 0)
        memcpy(all, rule->examples, rule->n_examples * sizeof *all);
    rule->examples = all;
    loader_each(loader, value, count, read_example, &examples);
}

static void read_match(Loader *loader, struct fy_node *value, void *object)
{
    read_examples(loader, value, object, true);
}

static void read_not_match(Loader *loader, struct fy_node *value, void *object)
{
    read_examples(loader, value, object, false);
}

void schema_read_rule(Loader *loader, struct fy_node *node, Rule *rule, size_t number)
{
    static const Field fields[] = {
        {"name", read_name},
        {"action", read_action},
        {"command", read_command},
        {"args", read_args},
        {"patterns", read_args},
        {"argv", schema_read_argv},
        {"options", schema_read_options},
        {"cwd", read_cwd},
        {"uid", read_uid},
        {"gid", read_gid},
        {"jail", read_jail},
        {"env", read_env},
        {"reason", read_reason},
        {"timeout", read_timeout},
        {"approval_timeout", read_approval_timeout},
        {"wait", schema_read_rule_wait},
        {"executor", read_executor},
        {"ghost", schema_read_rule_ghost},
        {"grant", schema_read_grant},
        {"approvals", schema_read_approvals},
        {"approvers", schema_read_approvers},
        {"channels", schema_read_channels},
        {"quiet", schema_read_quiet},
        {"rate", schema_read_rate},
        {"match", read_match},
        {"not_match", read_not_match},
    };
    char label[32];
    size_t errors = loader->problems->n_errors;

    (void)snprintf(label, sizeof label, "rule %zu", number);
    rule->action = POLICY_DENY;
    loader_place(loader, node, &rule->line, &rule->column);
    if (!loader_mapping(loader, node, fields, ARRAY_SIZE(fields), rule, "a rule", NULL))
        return;
    if (!rule->label)
        rule->label = arena_copy(loader_arena(loader), label, strlen(label));
    if (!rule->commands && loader->problems->n_errors == errors)
        loader_report_at(loader, rule->line, rule->column, false, rule->label,
                         "a rule needs a command; write command: NAME");
    if (!rule->has_action && loader->problems->n_errors == errors)
        loader_report_at(loader, rule->line, rule->column, false, rule->label,
                         "a rule needs an action: allow, deny or ask");
    if (loader->problems->n_errors == errors && loader->error == 0 && rule->ask)
        schema_check_ask(loader, rule);
    if (loader->problems->n_errors == errors && loader->error == 0)
        examples_check(loader, rule);
}
