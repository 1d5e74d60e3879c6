/*
 * How the tables of tools are written. Private to options.c and the option-tables files.
 */
#pragma once

#include "base/cleanup.h"
#include "policy/options.h"

#define FLAG(letters_, names_)                                                                     \
    {                                                                                              \
        .letters = (letters_), .names = (names_), .argument = OPTION_FLAG                          \
    }
#define VALUE(letters_, names_)                                                                    \
    {                                                                                              \
        .letters = (letters_), .names = (names_), .argument = OPTION_VALUE                         \
    }
#define MAYBE(letters_, names_)                                                                    \
    {                                                                                              \
        .letters = (letters_), .names = (names_), .argument = OPTION_OPTIONAL                      \
    }
/* Global options that may stand before a subcommand which a rule allows. */
#define SAFE_FLAG(letters_, names_)                                                                \
    {                                                                                              \
        .letters = (letters_), .names = (names_), .argument = OPTION_FLAG, .harmless = true        \
    }
#define SAFE_VALUE(letters_, names_)                                                               \
    {                                                                                              \
        .letters = (letters_), .names = (names_), .argument = OPTION_VALUE, .harmless = true       \
    }

#define TABLE(options_)                                                                            \
    {                                                                                              \
        .items = (options_), .n_items = ARRAY_SIZE(options_)                                       \
    }
#define SUBCOMMAND(names_, options_, widening_)                                                    \
    {                                                                                              \
        .names = (names_), .options = TABLE(options_), .widening = (widening_)                     \
    }
/* One that has names but no table. */
#define NAMES(names_, widening_)                                                                   \
    {                                                                                              \
        .names = (names_), .widening = (widening_)                                                 \
    }
#define SUBCOMMANDS(list_) .subcommands = (list_), .n_subcommands = ARRAY_SIZE(list_)

extern const Tool tool_git;
extern const Tool tools_coreutils[], tools_text[], tools_system[], tools_packages[];
extern const size_t n_tools_coreutils, n_tools_text, n_tools_system, n_tools_packages;
