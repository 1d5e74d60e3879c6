/*
 * The keys of a policy file: everything but the rules themselves.
 */
#include <string.h>

#include "base/cleanup.h"
#include "policy/loader.h"

#define DEFAULT_TIMEOUT_MS (UINT64_C(2) * 60 * 1000)
#define DEFAULT_APPROVAL_TIMEOUT_MS (UINT64_C(10) * 60 * 1000)
#define DEFAULT_APPROVAL_GRACE_MS (UINT64_C(15) * 60 * 1000)

static void read_version(Loader *loader, struct fy_node *value, void *object)
{
    uint64_t version;
    (void)object;
    if (loader_number(loader, value, UINT32_MAX, &version) && version != 1)
        loader_error(loader, value, "this program reads version 1 of the policy format");
}

static void read_default_action(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"allow", "deny", "ask"};
    Policy *policy = object;
    int word = loader_word(loader, value, words, 3);
    if (word >= 0)
        policy->default_action = (PolicyAction)word;
}

static void read_default_timeout(Loader *loader, struct fy_node *value, void *object)
{
    (void)loader_duration(loader, value, &((Policy *)object)->default_timeout_ms);
}

static void read_approval_timeout(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    if (loader_duration(loader, value, &policy->approval_timeout_ms) &&
        policy->approval_timeout_ms == 0)
        loader_error(loader, value, "nobody can answer in no time; write for example 10m");
}

static void read_approval_grace(Loader *loader, struct fy_node *value, void *object)
{
    (void)loader_duration(loader, value, &((Policy *)object)->approval_grace_ms);
}

static void read_default_executor(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"auto", "local", "mirror", "ghost"};
    Policy *policy = object;
    int word = loader_word(loader, value, words, 4);
    if (word >= 0)
        policy->default_executor = (PolicyExecutor)word;
}

static void read_mirror_engine(Loader *loader, struct fy_node *value, void *object)
{
    static const char *const words[] = {"joiner", "docker"};
    Policy *policy = object;
    int word = loader_word(loader, value, words, 2);
    if (word >= 0)
        policy->mirror_engine = (PolicyMirrorEngine)word;
}

static void read_allowed_paths(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    policy->has_allowed_paths = true;
    loader_paths(loader, value, &policy->allowed_paths);
}

static void read_trusted_paths(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    policy->has_trusted_paths = true;
    loader_paths(loader, value, &policy->trusted_paths);
}

static void read_redact_item(Loader *loader, struct fy_node *item, void *object)
{
    Policy *policy = object;
    const char *text = loader_string(loader, item, POLICY_STRING_MAX);
    char message[256];

    if (!text)
        return;
    int rc = pattern_of_regex(&policy->arena, &policy->regexes, text, strlen(text), true,
                              &policy->redact[policy->n_redact], message);
    if (rc > 0)
        loader_error(loader, item, "this is no regular expression: %s", message);
    else if (rc < 0)
        loader->error = rc;
    else
        policy->n_redact++;
}

static void read_redact(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    size_t count = loader_count(loader, value, 1000);

    policy->redact = ARENA_NEW(loader_arena(loader), Pattern, count);
    if (policy->redact)
        loader_each(loader, value, count, read_redact_item, policy);
}

static void read_ghost_images(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!fy_node_is_mapping(value)) {
        loader_error(loader, value, "ghost_images must map commands to images");
        return;
    }
    int count = fy_node_mapping_item_count(value);
    policy->ghost_images = ARENA_NEW(&policy->arena, GhostImage, count > 0 ? (size_t)count : 1);
    while (policy->ghost_images && (pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        struct fy_node *key = fy_node_pair_key(pair);
        struct fy_node *image =
            fy_node_pair_value(pair) ? loader_follow(loader, fy_node_pair_value(pair)) : NULL;
        GhostImage *ghost = &policy->ghost_images[policy->n_ghost_images];
        ghost->command = key ? loader_string(loader, key, POLICY_NAME_MAX) : NULL;
        ghost->image = image ? loader_string(loader, image, POLICY_STRING_MAX) : NULL;
        for (size_t i = 0; ghost->command && i < policy->n_ghost_images; i++)
            if (strcmp(policy->ghost_images[i].command, ghost->command) == 0)
                loader_error(loader, key, "this command has two images; keep one");
        if (!ghost->command || !ghost->image)
            continue;
        if (!ghost_image_is_name(ghost->image))
            loader_error(loader, image, "this is no image name");
        policy->n_ghost_images++;
        if (policy->n_ghost_images > POLICY_LIST_MAX)
            return;
    }
}

static void read_env_name(Loader *loader, struct fy_node *item, void *object)
{
    NameSet *set = object;
    const char *text = loader_string(loader, item, POLICY_NAME_MAX);

    if (!text)
        return;
    if (strchr(text, '='))
        loader_error(loader, item, "this must be a name or a glob of names, without '='");
    else
        set->items[set->n_items++] = text;
}

static void read_name_set(Loader *loader, struct fy_node *value, NameSet *set)
{
    size_t count = loader_count(loader, value, 1000);

    set->items = ARENA_NEW(loader_arena(loader), const char *, count);
    if (set->items)
        loader_each(loader, value, count, read_env_name, set);
}

static void warn_of_blocked(Loader *loader, struct fy_node *item, void *object)
{
    size_t size = 0;
    const char *text = fy_node_is_scalar(item) ? fy_node_get_scalar(item, &size) : NULL;

    (void)object;
    if (text && environment_blocks(text, size))
        loader_warning(loader, item,
                       "this variable makes programs run other code and is always "
                       "removed; the entry has no effect");
}

static void read_env_allow(Loader *loader, struct fy_node *value, void *object)
{
    read_name_set(loader, value, &((Policy *)object)->env_allow);
    loader_each(loader, value, 1000, warn_of_blocked, NULL);
}

static void read_env_block(Loader *loader, struct fy_node *value, void *object)
{
    read_name_set(loader, value, &((Policy *)object)->env_block);
}

static void read_environment(Loader *loader, struct fy_node *value, void *object)
{
    static const Field fields[] = {{"allow", read_env_allow}, {"block", read_env_block}};
    (void)loader_mapping(loader, value, fields, ARRAY_SIZE(fields), object, "environment", NULL);
}

static void read_unsigned(Loader *loader, struct fy_node *value, unsigned *ret)
{
    uint64_t number;
    if (!loader_number(loader, value, 1000000, &number))
        return;
    if (number == 0)
        loader_error(loader, value, "a limit of 0 would refuse everything; write at least 1");
    *ret = (unsigned)number;
}

static void read_limit_pending(Loader *loader, struct fy_node *value, void *object)
{
    read_unsigned(loader, value, &((PolicyLimits *)object)->pending);
}

static void read_limit_connections(Loader *loader, struct fy_node *value, void *object)
{
    read_unsigned(loader, value, &((PolicyLimits *)object)->connections);
}

static void read_limit_bytes(Loader *loader, struct fy_node *value, void *object)
{
    PolicyLimits *limits = object;
    if (loader_number(loader, value, UINT64_C(1) << 40, &limits->bytes) && limits->bytes < 65536)
        loader_error(loader, value, "this must be at least 65536 bytes");
}

static void read_limit_commands(Loader *loader, struct fy_node *value, void *object)
{
    read_unsigned(loader, value, &((PolicyLimits *)object)->commands);
}

static void read_jail_limits(Loader *loader, struct fy_node *value, void *object)
{
    static const Field fields[] = {{"pending", read_limit_pending},
                                   {"connections", read_limit_connections},
                                   {"bytes", read_limit_bytes},
                                   {"commands", read_limit_commands}};
    (void)loader_mapping(loader, value, fields, ARRAY_SIZE(fields), &((PolicyJail *)object)->limits,
                         "the limits of a jail", NULL);
}

static void read_jail_command(Loader *loader, struct fy_node *item, void *object)
{
    StringList *list = object;
    const char *text = loader_string(loader, item, 255);
    const char *problem = text ? policy_command_problem(text) : NULL;

    if (problem)
        loader_error(loader, item, "%s", problem);
    else if (text)
        list->items[list->n_items++] = text;
}

static void read_jail_commands(Loader *loader, struct fy_node *value, void *object)
{
    PolicyJail *jail = object;
    size_t count = loader_count(loader, value, POLICY_JAIL_COMMANDS_MAX), bytes = 0;
    StringList list = {.items = ARENA_NEW(loader_arena(loader), const char *, count)};

    if (list.items)
        loader_each(loader, value, count, read_jail_command, &list);
    for (size_t i = 0; i < list.n_items; i++)
        bytes += strlen(list.items[i]) + 1;
    if (bytes > POLICY_JAIL_COMMANDS_BYTES_MAX)
        loader_error(loader, value, "the names of a jail's commands have at most %u bytes together",
                     POLICY_JAIL_COMMANDS_BYTES_MAX);
    jail->commands = list.items;
    jail->n_commands = list.n_items;
}

static void read_jail_hardened(Loader *loader, struct fy_node *value, void *object)
{
    (void)loader_bool(loader, value, &((PolicyJail *)object)->hardened);
}

static void read_jail_allow_root(Loader *loader, struct fy_node *value, void *object)
{
    (void)loader_bool(loader, value, &((PolicyJail *)object)->allow_root);
}

/* `wait` of a jail or a rule: a duration, true (as long as the approval lives) or false. */
static bool read_wait(Loader *loader, struct fy_node *value, uint64_t *ret_ms)
{
    size_t size = 0;
    const char *text = fy_node_is_scalar(value) ? fy_node_get_scalar(value, &size) : NULL;

    if (text && ((size == 4 && memcmp(text, "true", 4) == 0) ||
                 (size == 5 && memcmp(text, "false", 5) == 0))) {
        *ret_ms = size == 4 ? UINT64_MAX : 0;
        return true;
    }
    return loader_duration(loader, value, ret_ms);
}

static void read_jail_wait(Loader *loader, struct fy_node *value, void *object)
{
    (void)read_wait(loader, value, &((PolicyJail *)object)->wait_ms);
}

void schema_read_rule_wait(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;
    rule->has_wait = read_wait(loader, value, &rule->wait_ms);
}

static void read_jail(Loader *loader, struct fy_node *key, struct fy_node *value, Policy *policy)
{
    static const Field fields[] = {{"allow_root", read_jail_allow_root},
                                   {"commands", read_jail_commands},
                                   {"hardened", read_jail_hardened},
                                   {"wait", read_jail_wait},
                                   {"limits", read_jail_limits}};
    const char *name = key ? loader_string(loader, key, POLICY_NAME_MAX) : NULL;

    if (!name)
        return;
    if (!policy_is_jail_name(name)) {
        loader_error(loader, key,
                     "a jail's name has small letters, digits, '.', '_' and '-', "
                     "begins with a letter or digit and has at most 63 of them");
        return;
    }
    if (policy_jail(policy, name)) {
        loader_error(loader, key, "this jail stands here twice; keep one");
        return;
    }
    PolicyJail *jail = &policy->jails[policy->n_jails++];
    *jail = policy_jail_defaults(name);
    struct fy_node *meant = value ? loader_follow(loader, value) : NULL;
    loader->place = key;
    if (meant && !fy_node_is_null(meant)) /* "name:" alone is a jail of defaults */
        (void)loader_mapping(loader, meant, fields, ARRAY_SIZE(fields), jail, "a jail", NULL);
}

static void read_jails(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    struct fy_node_pair *pair;
    void *at = NULL;
    int count = fy_node_is_mapping(value) ? fy_node_mapping_item_count(value) : -1;

    if (count < 0 || count > POLICY_JAILS_MAX) {
        loader_error(loader, value, "jails must map at most %d names to settings",
                     POLICY_JAILS_MAX);
        return;
    }
    policy->jails = ARENA_NEW(&policy->arena, PolicyJail, (size_t)count + 1);
    while (policy->jails && (pair = fy_node_mapping_iterate(value, &at)) != NULL)
        read_jail(loader, fy_node_pair_key(pair), fy_node_pair_value(pair), policy);
}

static void read_rule_item(Loader *loader, struct fy_node *item, void *object)
{
    Policy *policy = object;
    Rule *rule = &policy->rules[policy->n_rules++];
    schema_read_rule(loader, item, rule, policy->n_rules);
}

static void read_rules(Loader *loader, struct fy_node *value, void *object)
{
    Policy *policy = object;
    if (!fy_node_is_sequence(value)) {
        loader_error(loader, value, "rules must be a list: each begins with '- command: …'");
        return;
    }
    size_t count = loader_count(loader, value, POLICY_RULES_MAX);
    policy->rules = ARENA_NEW(&policy->arena, Rule, count);
    if (policy->rules)
        loader_each(loader, value, count, read_rule_item, policy);
}

/* The jail named "default" is there whether written or not. */
static void add_default_jail(Policy *policy)
{
    if (policy_jail(policy, "default"))
        return;
    if (!policy->jails)
        policy->jails = ARENA_NEW(&policy->arena, PolicyJail, 1);
    if (policy->jails)
        policy->jails[policy->n_jails++] = policy_jail_defaults("default");
}

void schema_read(Loader *loader, struct fy_node *root)
{
    static const Field fields[] = {
        {"version", read_version},
        {"default_action", read_default_action},
        {"default_timeout", read_default_timeout},
        {"approval_timeout", read_approval_timeout},
        {"approval_grace", read_approval_grace},
        {"default_executor", read_default_executor},
        {"mirror_engine", read_mirror_engine},
        {"approvals", schema_read_policy_approvals},
        {"approvers", schema_read_policy_approvers},
        {"channels", schema_read_policy_channels},
        {"allowed_paths", read_allowed_paths},
        {"trusted_paths", read_trusted_paths},
        {"redact", read_redact},
        {"ghost_images", read_ghost_images},
        {"ghost", schema_read_policy_ghost},
        {"environment", read_environment},
        {"jails", read_jails},
        {"rules", read_rules},
    };
    Policy *policy = loader->policy;

    policy->default_action = POLICY_DENY;
    policy->default_timeout_ms = DEFAULT_TIMEOUT_MS;
    policy->approval_timeout_ms = DEFAULT_APPROVAL_TIMEOUT_MS;
    policy->approval_grace_ms = DEFAULT_APPROVAL_GRACE_MS;
    (void)loader_mapping(loader, root, fields, ARRAY_SIZE(fields), policy, "the policy", NULL);
    schema_finish_asks(loader);
    schema_finish_ghosts(loader);
    add_default_jail(policy);
}
