/*
 * Reading arguments as options, strictly or generously.
 *
 * Strict reading takes the words one after the other, as the tool itself would; a word that the
 * tables do not know is marked so, and whoever allows must not build on it. Generous reading asks
 * of every word whether it could be a given option, whatever stands around it.
 */
#pragma once

#include "policy/judging.h"

#define WORD_OPTIONS_MAX 16

typedef enum WordKind { WORD_OPERAND, WORD_OPTION, WORD_END } WordKind;

typedef struct WordOption {
    const Option *option;
    const char *value; /* or NULL */
    bool value_apart;  /* it is the next word */
} WordOption;

/* One word as the tool reads it: an operand, "--", or one or several options. */
typedef struct Word {
    WordKind kind;
    const char *text;
    size_t next; /* index of the word after it (and after its value) */
    bool known;  /* options: all of them are in the tables, with their values */
    size_t n_options;
    WordOption options[WORD_OPTIONS_MAX];
} Word;

/* Strict reading of args[at]. `ended`: a "--" came before. */
void word_read(const OptionSet *set, const char *const *args, size_t n_args, size_t at, bool ended,
               Word *ret);

/* Whether the pattern names this option of the table. */
bool pattern_names_option(const ArgPattern *pattern, const Option *option);

/* Generous: whether any word from `start` on could be the pattern's option, with its value. */
bool option_could_occur(Judging *judging, const OptionSet *set, const ArgPattern *pattern,
                        const char *const *args, size_t n_args, size_t start);

/* Whether the word is an option at all: a '-' and something behind it. */
static inline bool word_is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* Splits a command line into shell-like words, in place: quotes and backslashes, nothing else. The
 * number of words, or -1 when a quote is not closed or there are more than `most`. */
int words_split(char *text, const char **words, size_t most);
