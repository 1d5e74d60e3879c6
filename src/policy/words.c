/*
 * See words.h.
 */
#include "policy/words.h"

#include <string.h>

bool pattern_names_option(const ArgPattern *pattern, const Option *option)
{
    if (!pattern->name)
        return false;
    if (pattern->letter && strchr(option->letters, pattern->name[0]))
        return true;
    return !(pattern->letter && pattern->single_dash && option->letters[0]) &&
           words_have(option->names, pattern->name, pattern->name_size);
}

/* Gives an option its value: joined, or the next word. A value that begins with '-' (but a negative
 * number) is more likely an option behind a wrong table, so it makes the word unknown. */
static void take_value(Word *word, WordOption *taken, const char *joined, const char *const *args,
                       size_t n_args)
{
    taken->value = joined;
    if (joined || taken->option->argument != OPTION_VALUE)
        return;
    const char *next = word->next < n_args ? args[word->next] : NULL;
    if (!next || (word_is_option(next) && !(next[1] >= '0' && next[1] <= '9'))) {
        word->known = false;
        return;
    }
    taken->value = next;
    taken->value_apart = true;
    word->next++;
}

static void read_long(const OptionSet *set, const char *name, const char *const *args,
                      size_t n_args, Word *word)
{
    size_t size = strcspn(name, "=");
    const char *joined = name[size] == '=' ? name + size + 1 : NULL;
    const Option *option = option_by_name(set, name, size);

    if (!option && set->style == TOOL_WORDS && size == 1)
        option = option_by_letter(set, name[0]);
    if (!option || (joined && option->argument == OPTION_FLAG))
        return;
    word->known = true;
    word->options[0] = (WordOption){.option = option};
    word->n_options = 1;
    take_value(word, &word->options[0], joined, args, n_args);
}

static void read_cluster(const OptionSet *set, const char *letters, const char *const *args,
                         size_t n_args, Word *word)
{
    for (; *letters; letters++) {
        const Option *option = option_by_letter(set, *letters);
        if (!option || word->n_options == WORD_OPTIONS_MAX)
            return; /* `known` stays false */
        WordOption *taken = &word->options[word->n_options++];
        *taken = (WordOption){.option = option};
        if (option->argument == OPTION_FLAG)
            continue;
        word->known = true;
        take_value(word, taken, letters[1] ? letters + 1 : NULL, args, n_args);
        return;
    }
    word->known = true;
}

void word_read(const OptionSet *set, const char *const *args, size_t n_args, size_t at, bool ended,
               Word *ret)
{
    const char *text = args[at];

    ret->kind = WORD_OPERAND;
    ret->text = text;
    ret->next = at + 1;
    ret->known = true;
    ret->n_options = 0;
    if (ended || !word_is_option(text))
        return;
    bool dashes = set->style == TOOL_GETOPT || set->style == TOOL_PLAIN;
    if (strcmp(text, "--") == 0 && dashes) {
        ret->kind = WORD_END;
        return;
    }
    ret->kind = WORD_OPTION;
    ret->known = false;
    if (text[1] == '-')
        read_long(set, text + 2, args, n_args, ret);
    else if (set->style == TOOL_WORDS)
        read_long(set, text + 1, args, n_args, ret);
    else if (dashes)
        read_cluster(set, text + 1, args, n_args, ret);
}

/* What a literal option pattern stands for in a given set. */
typedef struct Wanted {
    const ArgPattern *pattern;
    const Option *option; /* or NULL: only what the pattern itself says */
} Wanted;

static Wanted wanted_of(const OptionSet *set, const ArgPattern *pattern)
{
    const Option *option = NULL;

    if (pattern->letter)
        option = option_by_letter(set, pattern->name[0]);
    if (!option && !(pattern->letter && pattern->single_dash))
        option = option_by_name(set, pattern->name, pattern->name_size);
    if (!option && pattern->single_dash)
        option = option_by_name(set, pattern->name, pattern->name_size);
    return (Wanted){.pattern = pattern, .option = option};
}

static bool value_fits(Judging *judging, const ArgPattern *pattern, const char *value)
{
    if (!pattern->has_value)
        return true;
    return value && judging_match(judging, &pattern->value, value);
}

static bool begins_one_of(const char *words, const char *start, size_t size)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        if (length >= size && memcmp(words, start, size) == 0)
            return true;
        words += length;
        words += *words == ' ';
    }
    return false;
}

/* `name` (up to its '=') as the wanted option's long name: in full, or abbreviated where the tool
 * might complete it. A full name of another known option is not an abbreviation. */
static bool name_could_be(const OptionSet *set, const Wanted *wanted, const char *name, size_t size,
                          bool may_abbreviate)
{
    const ArgPattern *pattern = wanted->pattern;

    if (size == pattern->name_size && memcmp(name, pattern->name, size) == 0 && !pattern->letter)
        return true;
    const Option *exact = option_by_name(set, name, size);
    if (exact)
        return exact == wanted->option;
    if (size == 0 || !may_abbreviate || set->style == TOOL_PLAIN || set->style == TOOL_WORDS)
        return false;
    if (!pattern->letter && size < pattern->name_size && memcmp(name, pattern->name, size) == 0)
        return true;
    return wanted->option && begins_one_of(wanted->option->names, name, size);
}

/* A cluster of letters: does it hold the wanted one before a value begins? */
static bool cluster_could_have(Judging *judging, const OptionSet *set, const Wanted *wanted,
                               const char *letters, const char *following)
{
    const ArgPattern *pattern = wanted->pattern;

    for (; *letters && *letters != '='; letters++) {
        const Option *option = option_by_letter(set, *letters);
        bool same = (pattern->letter && *letters == pattern->name[0]) ||
                    (option && option == wanted->option);
        if (!judging_charge(judging, 1))
            return false;
        if (same) {
            const char *value = letters[1] ? letters + 1 + (letters[1] == '=') : following;
            if (value_fits(judging, pattern, value) ||
                (letters[1] == '=' && value_fits(judging, pattern, letters + 1)))
                return true;
        }
        if (option && option->argument != OPTION_FLAG)
            return false; /* the rest is its value */
    }
    return false;
}

/* Whether "--" at `at` surely ends the options: the word before it cannot be waiting for a value.
 */
static bool end_is_certain(const OptionSet *set, const char *const *args, size_t at, size_t start)
{
    if (set->style != TOOL_GETOPT && set->style != TOOL_PLAIN)
        return false;
    if (at == start)
        return true;
    Word word;
    const char *before[1] = {args[at - 1]};
    word_read(set, before, 1, 0, false, &word);
    return word.kind == WORD_OPERAND || (word.kind == WORD_OPTION && word.known);
}

static bool word_could_be(Judging *judging, const OptionSet *set, const Wanted *wanted,
                          const char *word, const char *following)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t size = strcspn(name, "=");
    const char *value = name[size] == '=' ? name + size + 1 : following;
    bool as_name = word[1] == '-' || set->style == TOOL_WORDS || set->style == TOOL_UNKNOWN ||
                   wanted->pattern->single_dash;

    if (as_name && name_could_be(set, wanted, name, size, word[1] == '-') &&
        value_fits(judging, wanted->pattern, value))
        return true;
    if (set->style == TOOL_WORDS && wanted->pattern->letter && size == 1 &&
        name[0] == wanted->pattern->name[0] && value_fits(judging, wanted->pattern, value))
        return true;
    return word[1] != '-' && set->style != TOOL_WORDS &&
           cluster_could_have(judging, set, wanted, name, following);
}

static bool one_could_occur(Judging *judging, const OptionSet *set, const ArgPattern *pattern,
                            const char *const *args, size_t n_args, size_t start)
{
    Wanted wanted = wanted_of(set, pattern);

    for (size_t i = start; i < n_args; i++) {
        if (!judging_charge(judging, 1))
            return false;
        if (!word_is_option(args[i]))
            continue;
        if (strcmp(args[i], "--") == 0) {
            if (end_is_certain(set, args, i, start))
                return false;
            continue;
        }
        const char *following = i + 1 < n_args ? args[i + 1] : NULL;
        if (word_could_be(judging, set, &wanted, args[i], following))
            return true;
    }
    return false;
}

bool option_could_occur(Judging *judging, const OptionSet *set, const ArgPattern *pattern,
                        const char *const *args, size_t n_args, size_t start)
{
    if (one_could_occur(judging, set, pattern, args, n_args, start))
        return true;
    if (!pattern->single_dash || pattern->name_size < 2 || pattern->has_value ||
        set->style == TOOL_WORDS)
        return false;
    /* "-rf" where letters are joined: each of them, wherever it stands. */
    for (size_t i = 0; i < pattern->name_size; i++) {
        ArgPattern one = {.option = true,
                          .name = pattern->name + i,
                          .name_size = 1,
                          .letter = true,
                          .single_dash = true};
        if (!one_could_occur(judging, set, &one, args, n_args, start))
            return false;
    }
    return true;
}

int words_split(char *text, const char **words, size_t most)
{
    size_t n_words = 0;
    char *to = text;

    for (const char *at = text;;) {
        at += strspn(at, " \t\n");
        if (!*at)
            return (int)n_words;
        if (n_words == most)
            return -1;
        words[n_words++] = to;
        char quote = '\0';
        while (*at && (quote || !strchr(" \t\n", *at))) {
            if (quote ? *at == quote : *at == '"' || *at == '\'') {
                quote = quote ? '\0' : *at;
                at++;
            } else {
                if (*at == '\\' && quote != '\'' && at[1])
                    at++;
                *to++ = *at++;
            }
        }
        if (quote)
            return -1;
        at += *at != '\0';
        *to++ = '\0';
    }
}
