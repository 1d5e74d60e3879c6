/*
 * What a loaded policy is made of. Private to this folder.
 *
 * Everything lives in the policy's arena but compiled expressions, which its RegexList owns.
 */
#pragma once

#include "base/digest.h"
#include "policy/arena.h"
#include "policy/options.h"
#include "policy/pattern.h"
#include "policy/policy.h"

/* Limits of a policy file. */
#define POLICY_FILE_SIZE_MAX ((size_t)8 * 1024 * 1024)
#define POLICY_RULES_MAX 100000
#define POLICY_LIST_MAX 20000 /* items of any list but the rules */
#define POLICY_JAILS_MAX 10000
#define POLICY_STRING_MAX 4096
#define POLICY_REASON_MAX 1024
#define POLICY_NAME_MAX 128
#define POLICY_VISITS_MAX 1500000 /* YAML nodes read, aliases followed */

typedef struct StringList {
    const char **items;
    size_t n_items;
} StringList;

typedef enum CommandKind {
    COMMAND_NAME,
    COMMAND_NAME_GLOB,
    COMMAND_PATH,
    COMMAND_PATH_GLOB,
} CommandKind;

typedef struct CommandPattern {
    CommandKind kind;
    const char *text; /* names: without escapes; paths: normalised */
    size_t size;
} CommandPattern;

typedef struct IdRange {
    uint32_t first, last;
} IdRange;

/* One pattern of an argv matcher. One that begins with '-' speaks of options, any other of words
 * that are not options. */
typedef struct ArgPattern {
    Pattern whole;    /* compared with a whole argument */
    bool option;      /* begins with '-' */
    const char *name; /* of a literal option, without dashes; NULL for globs and expressions */
    size_t name_size;
    bool letter;      /* a literal option of one letter, "-f" */
    bool single_dash; /* "-f", "-rf", "-name" */
    bool has_value;   /* "--format=VALUE", "-c VALUE" */
    Pattern value;
} ArgPattern;

typedef struct ArgPatterns {
    ArgPattern *items;
    size_t n_items;
} ArgPatterns;

/* The words of one `after`: "push", "stash list". */
typedef struct AfterWords {
    const char **words;
    size_t n_words;
} AfterWords;

typedef struct ArgvMatch {
    ArgPatterns any, all, none, only, globals;
    bool has_only, has_globals;
    AfterWords *after; /* any of these; none: the matcher sees all arguments */
    size_t n_after;
    size_t position; /* 0: not given */
    bool has_operands;
    size_t operands; /* with `only`: at most so many arguments that are no options */
} ArgvMatch;

/* "NAME", "NAME=glob" or "!NAME". */
typedef struct EnvCondition {
    const char *name;
    size_t name_size;
    bool absent;
    bool has_value;
    Pattern value;
} EnvCondition;

typedef struct Example {
    const char *text;
    unsigned line, column;
    bool wanted; /* `match`, else `not_match` */
} Example;

/* How a rule asks, or the policy where a rule does not say. */
typedef struct AskRule {
    PolicyAsk ask;
    unsigned line, column; /* of `approvals`, else of `approvers` */
    unsigned grant_line, grant_column, rate_line, rate_column, first_line, first_column;
    const char *first; /* the first of the keys that only an asking rule may have */
    bool has_approvals, has_approvers, has_channels, has_quiet, has_grant, has_rate, has_then;
} AskRule;

/* How a rule's commands run in `ghost`; what it leaves out is the policy's. */
typedef struct GhostRule {
    PolicyGhost ghost;
    unsigned line, column;
    bool has_pull;
} GhostRule;

/* What judging looks at comes first, so that a rule that does not apply costs one or two lines of
 * the cache. */
typedef struct Rule {
    CommandPattern *commands;
    size_t n_commands;
    PolicyAction action;
    PolicyExecutor executor;
    uint32_t n_argv, n_uids, n_gids, n_jails, n_env;
    ArgvMatch *argv; /* all of these */
    StringList args; /* old form: any of these within the joined arguments */
    StringList cwd;
    IdRange *uids, *gids;
    Pattern *jails;
    EnvCondition *env;
    OptionTable options; /* the rule's own */
    bool option_words;   /* they are of the one-dash-and-a-word kind */
    bool named, has_action, has_timeout, has_approval_timeout, has_wait, has_executor;
    unsigned line, column;
    const char *label; /* its name, or "rule 3" */
    const char *reason;
    uint64_t timeout_ms, approval_timeout_ms, wait_ms;
    AskRule *ask;     /* NULL: it says nothing about how it asks */
    GhostRule *ghost; /* NULL: the policy's */
    Example *examples;
    size_t n_examples;
} Rule;

/* A set of names and globs of names, for the environment. */
typedef struct NameSet {
    const char **items;
    size_t n_items;
} NameSet;

typedef struct GhostImage {
    const char *command;
    const char *image;
} GhostImage;

typedef struct Index Index;

struct Policy {
    Arena arena;
    RegexList regexes;
    PolicyAction default_action;
    uint64_t default_timeout_ms, approval_timeout_ms, approval_grace_ms;
    PolicyExecutor default_executor;
    PolicyMirrorEngine mirror_engine;
    AskRule ask; /* how rules and default_action ask where nothing else is said */
    bool has_allowed_paths, has_trusted_paths;
    StringList allowed_paths, trusted_paths;
    Pattern *redact;
    size_t n_redact;
    GhostImage *ghost_images;
    size_t n_ghost_images;
    GhostRule ghost; /* how `ghost` runs what no rule says more about */
    bool uses_ghost; /* some command may run there */
    NameSet env_allow, env_block;
    PolicyJail *jails;
    size_t n_jails;
    Rule *rules;
    size_t n_rules;
    const Index *index;
    char digest[DIGEST_HEX_SIZE];
};

/* environment.c: whether the built-in lists block a name whatever a policy says. */
bool environment_blocks(const char *name, size_t size);
