/*
 * What the words of a command line mean: the options of well-known tools and how they are spelled.
 *
 * `-fr`, `-r -f`, `--recursive --force` and `--recurs --forc` are one thing to rm, and must be one
 * thing to a rule. A table says for each option its letters, its long names and whether it takes a
 * value. Tables cannot be complete, so they are used in two ways, and never trusted further:
 *
 * - strictly (a rule that allows): only what the table knows for certain counts;
 * - generously (a rule that denies or asks): whatever could be the option counts.
 *
 * See words.h for both. The tables themselves are in the option-tables files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum OptionArgument {
    OPTION_FLAG,
    OPTION_VALUE,    /* joined or in the next word */
    OPTION_OPTIONAL, /* joined only */
} OptionArgument;

typedef struct Option {
    const char *letters; /* "rR", or "" */
    const char *names;   /* "recursive", several separated by a space, or "" */
    OptionArgument argument;
    bool harmless; /* a global option that may stand before a subcommand that a rule allows */
} Option;

typedef struct OptionTable {
    const Option *items;
    size_t n_items;
} OptionTable;

typedef enum ToolStyle {
    TOOL_UNKNOWN, /* nothing is known: strict reading recognises whole words only */
    TOOL_GETOPT,  /* clusters, abbreviated long names, "--" (getopt_long(3)) */
    TOOL_PLAIN,   /* clusters and "--", but no abbreviations (pflag, clap, argparse off) */
    TOOL_WORDS,   /* one dash or two before a whole word; no clusters; "--" means nothing */
} ToolStyle;

/* What of a command may differ where a rule widens its grants (grant-shape.c). It is said for
 * subcommands and tools whose table was checked for it: each option that takes a value in a word of
 * its own is known to do so, and no operand is a program, a second subcommand or a setting. */
typedef enum Widening {
    WIDENING_NONE,
    WIDENING_OPERANDS, /* operands are names of things: branches, packages, containers */
    WIDENING_PATHS,    /* operands are files and directories, and nothing else */
} Widening;

typedef struct Subcommand {
    const char
        *names; /* "install i add": the first is the proper one; "container+run": two words */
    OptionTable options;
    Widening widening;
} Subcommand;

typedef struct Tool {
    const char *name;
    const char *aliases; /* separated by a space, or NULL */
    ToolStyle style;
    OptionTable options; /* before the subcommand, if it has any; else all */
    bool anywhere;       /* those may also stand behind the subcommand */
    const Subcommand *subcommands;
    size_t n_subcommands;
    Widening widening; /* of a tool without subcommands */
} Tool;

/* The tool of that name, or NULL. */
const Tool *tool_find(const char *name);
/* The subcommand that the word names (by any of its names), or NULL. */
const Subcommand *tool_subcommand(const Tool *tool, const char *word, size_t size);
/* The subcommand that stands at args[at], of one word or two (*ret_words), or NULL. */
const Subcommand *tool_subcommand_at(const Tool *tool, const char *const *args, size_t n_args,
                                     size_t at, size_t *ret_words);
/* How many of the words at args[at] name the subcommand that `wanted` names too: 0, 1, or 2 for
 * names such as "container run". `tool` may be NULL. */
size_t tool_subcommand_words(const Tool *tool, const char *wanted, const char *const *args,
                             size_t n_args, size_t at);

/* Whether `word` is one of the space-separated `words`. */
bool words_have(const char *words, const char *word, size_t size);

/* All options that may occur in one place; earlier tables win. */
typedef struct OptionSet {
    ToolStyle style;
    OptionTable tables[3];
} OptionSet;

const Option *option_by_letter(const OptionSet *set, char letter);
const Option *option_by_name(const OptionSet *set, const char *name, size_t size);

/* The N-th of all tables, or NULL behind the last. */
const Tool *tool_at(size_t number);
