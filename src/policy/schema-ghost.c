/*
 * How a command runs in `ghost`: the key `ghost` of a rule, and of the policy for what rules leave
 * out. The policy's may stand behind the rules in the file, so it is filled in at the end.
 */
#include <string.h>

#include "base/cleanup.h"
#include "policy/loader.h"

#define MIB (UINT64_C(1) << 20)
#define MEMORY_MIN (UINT64_C(6) * MIB) /* the engine's own least */
#define MEMORY_MAX (UINT64_C(1) << 50)
#define DEFAULT_MEMORY (UINT64_C(2) << 30)
#define DEFAULT_PIDS 512
#define DEFAULT_CPUS_MILLI 2000
#define PIDS_MAX 4194304
#define CPUS_MILLI_MAX 8192000

bool ghost_image_is_name(const char *text)
{
    static const char inner[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:@";
    size_t size = strlen(text);

    return size > 0 && size <= 512 && strspn(text, inner) == size && text[0] != '/' &&
           text[0] != '-' && !strstr(text, "..") && !strstr(text, "//");
}

static void read_image(Loader *loader, struct fy_node *value, void *object)
{
    GhostRule *ghost = object;
    const char *text = loader_string(loader, value, POLICY_STRING_MAX);

    if (text && !ghost_image_is_name(text))
        loader_error(loader, value, "this is no image name");
    ghost->ghost.image = text;
}

static void read_network(Loader *loader, struct fy_node *value, void *object)
{
    static const char inner[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    GhostRule *ghost = object;
    const char *text = loader_string(loader, value, POLICY_NAME_MAX);

    if (!text)
        return;
    if (strcmp(text, "host") == 0)
        loader_error(loader, value,
                     "the host's network reaches whatever listens there, the warden's own api "
                     "too; write none, bridge, or the name of a network of the engine");
    else if (strspn(text, inner) != strlen(text) || strchr("_.-", text[0]))
        loader_error(loader, value,
                     "this must be none, bridge, or the name of a network of the engine");
    ghost->ghost.network = text;
}

/* "512m": a whole number of bytes, or of k, m, g. */
static void read_memory(Loader *loader, struct fy_node *value, void *object)
{
    GhostRule *ghost = object;
    const char *text = loader_string(loader, value, 32);
    uint64_t bytes = 0;
    size_t digits = text ? strspn(text, "0123456789") : 0;

    if (!text)
        return;
    for (size_t i = 0; i < digits && bytes <= MEMORY_MAX; i++)
        bytes = bytes * 10 + (uint64_t)(text[i] - '0');
    const char *unit = text + digits;
    static const char units[] = "kmg";
    const char *known = unit[0] ? strchr(units, unit[0] | 0x20) : NULL;
    if (known && unit[1] == '\0' && bytes <= MEMORY_MAX)
        bytes <<= 10 * (known - units + 1);
    if (digits == 0 || (unit[0] && (!known || unit[1])) || bytes > MEMORY_MAX)
        loader_error(loader, value, "this must be an amount of memory, as in 512m or 2g");
    else if (bytes < MEMORY_MIN)
        loader_error(loader, value, "no container runs in less than 6m of memory");
    ghost->ghost.memory = bytes;
}

static void read_pids(Loader *loader, struct fy_node *value, void *object)
{
    GhostRule *ghost = object;
    uint64_t number = 0;

    if (loader_number(loader, value, PIDS_MAX, &number) && number == 0)
        loader_error(loader, value, "a limit of 0 would let nothing run; write at least 1");
    ghost->ghost.pids = (unsigned)number;
}

/* "1.5": at most three places behind the point. */
static void read_cpus(Loader *loader, struct fy_node *value, void *object)
{
    GhostRule *ghost = object;
    const char *text = loader_string(loader, value, 16);
    uint64_t milli = 0;
    unsigned places = 0;
    bool point = false, good = text != NULL;

    if (!text)
        return;
    for (const char *c = text; *c && good; c++) {
        if (*c == '.' && !point && c > text) {
            point = true;
            continue;
        }
        good = *c >= '0' && *c <= '9' && milli <= CPUS_MILLI_MAX && places < 3;
        milli = milli * 10 + (uint64_t)(*c - '0');
        places += point;
    }
    while (good && places++ < 3)
        milli *= 10;
    if (!good || milli < 10 || milli > CPUS_MILLI_MAX)
        loader_error(loader, value, "this must be a number of processors, as in 2 or 0.5");
    ghost->ghost.cpus_milli = (unsigned)milli;
}

static void read_pull(Loader *loader, struct fy_node *value, void *object)
{
    GhostRule *ghost = object;
    ghost->has_pull = loader_bool(loader, value, &ghost->ghost.pull);
}

static void read_ghost(Loader *loader, struct fy_node *value, GhostRule *ghost)
{
    static const Field fields[] = {{"image", read_image},   {"network", read_network},
                                   {"memory", read_memory}, {"pids", read_pids},
                                   {"cpus", read_cpus},     {"pull", read_pull}};

    loader_place(loader, value, &ghost->line, &ghost->column);
    (void)loader_mapping(loader, value, fields, ARRAY_SIZE(fields), ghost, "ghost", NULL);
}

void schema_read_rule_ghost(Loader *loader, struct fy_node *value, void *object)
{
    Rule *rule = object;

    rule->ghost = ARENA_NEW(loader_arena(loader), GhostRule, 1);
    if (rule->ghost)
        read_ghost(loader, value, rule->ghost);
}

void schema_read_policy_ghost(Loader *loader, struct fy_node *value, void *object)
{
    read_ghost(loader, value, &((Policy *)object)->ghost);
}

/* Where `own` says nothing, `base` does. */
static void fill_in(GhostRule *own, const PolicyGhost *base)
{
    if (!own->ghost.image)
        own->ghost.image = base->image;
    if (!own->ghost.network)
        own->ghost.network = base->network;
    if (own->ghost.memory == 0)
        own->ghost.memory = base->memory;
    if (own->ghost.pids == 0)
        own->ghost.pids = base->pids;
    if (own->ghost.cpus_milli == 0)
        own->ghost.cpus_milli = base->cpus_milli;
    if (!own->has_pull)
        own->ghost.pull = base->pull;
}

void schema_finish_ghosts(Loader *loader)
{
    static const PolicyGhost defaults = {.network = "none",
                                         .memory = DEFAULT_MEMORY,
                                         .pids = DEFAULT_PIDS,
                                         .cpus_milli = DEFAULT_CPUS_MILLI};
    Policy *policy = loader->policy;

    fill_in(&policy->ghost, &defaults);
    policy->uses_ghost = policy->default_executor == POLICY_EXECUTOR_GHOST;
    for (size_t i = 0; i < policy->n_rules; i++) {
        Rule *rule = &policy->rules[i];
        PolicyExecutor executor = rule->has_executor ? rule->executor : policy->default_executor;
        policy->uses_ghost |= executor == POLICY_EXECUTOR_GHOST;
        if (!rule->ghost)
            continue;
        fill_in(rule->ghost, &policy->ghost.ghost);
        if (executor != POLICY_EXECUTOR_GHOST)
            loader_report_at(loader, rule->ghost->line, rule->ghost->column, false, rule->label,
                             "ghost says how the ghost executor runs a command; write executor: "
                             "ghost, too");
    }
}
