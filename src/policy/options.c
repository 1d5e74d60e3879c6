/*
 * See options.h.
 */
#include "policy/options.h"

#include <string.h>

#include "policy/option-tables.h"

bool words_have(const char *words, const char *word, size_t size)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        if (length == size && memcmp(words, word, size) == 0)
            return true;
        words += length;
        words += *words == ' ';
    }
    return false;
}

const Tool *tool_at(size_t number)
{
    const struct {
        const Tool *tools;
        size_t n_tools;
    } families[] = {
        {&tool_git, 1},
        {tools_coreutils, n_tools_coreutils},
        {tools_text, n_tools_text},
        {tools_packages, n_tools_packages},
        {tools_system, n_tools_system},
    };
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        if (number < families[i].n_tools)
            return &families[i].tools[number];
        number -= families[i].n_tools;
    }
    return NULL;
}

static const Tool *find_in(const Tool *tools, size_t n_tools, const char *name, size_t size)
{
    for (size_t i = 0; i < n_tools; i++)
        if ((tools[i].name[0] == name[0] && strcmp(tools[i].name, name) == 0) ||
            (tools[i].aliases && words_have(tools[i].aliases, name, size)))
            return &tools[i];
    return NULL;
}

const Tool *tool_find(const char *name)
{
    size_t size = strlen(name);
    const Tool *found = find_in(&tool_git, 1, name, size);

    if (!found)
        found = find_in(tools_coreutils, n_tools_coreutils, name, size);
    if (!found)
        found = find_in(tools_text, n_tools_text, name, size);
    if (!found)
        found = find_in(tools_packages, n_tools_packages, name, size);
    if (!found)
        found = find_in(tools_system, n_tools_system, name, size);
    return found;
}

const Subcommand *tool_subcommand(const Tool *tool, const char *word, size_t size)
{
    for (size_t i = 0; tool && i < tool->n_subcommands; i++)
        if (words_have(tool->subcommands[i].names, word, size))
            return &tool->subcommands[i];
    return NULL;
}

/* Whether one of the names is the two words joined by '+'. */
static bool names_have_pair(const char *names, const char *first, const char *second)
{
    size_t first_size = strlen(first), second_size = strlen(second);

    while (*names) {
        size_t length = strcspn(names, " ");
        if (length == first_size + 1 + second_size && memcmp(names, first, first_size) == 0 &&
            names[first_size] == '+' && memcmp(names + first_size + 1, second, second_size) == 0)
            return true;
        names += length;
        names += *names == ' ';
    }
    return false;
}

const Subcommand *tool_subcommand_at(const Tool *tool, const char *const *args, size_t n_args,
                                     size_t at, size_t *ret_words)
{
    for (size_t i = 0; tool && at + 1 < n_args && i < tool->n_subcommands; i++)
        if (names_have_pair(tool->subcommands[i].names, args[at], args[at + 1])) {
            *ret_words = 2;
            return &tool->subcommands[i];
        }
    *ret_words = 1;
    return at < n_args ? tool_subcommand(tool, args[at], strlen(args[at])) : NULL;
}

size_t tool_subcommand_words(const Tool *tool, const char *wanted, const char *const *args,
                             size_t n_args, size_t at)
{
    if (strcmp(args[at], wanted) == 0)
        return 1;
    const Subcommand *subcommand = tool_subcommand(tool, wanted, strlen(wanted));
    if (!subcommand)
        return 0;
    if (words_have(subcommand->names, args[at], strlen(args[at])))
        return 1;
    return at + 1 < n_args && names_have_pair(subcommand->names, args[at], args[at + 1]) ? 2 : 0;
}

const Option *option_by_letter(const OptionSet *set, char letter)
{
    if (letter == '\0')
        return NULL;
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < set->tables[t].n_items; i++)
            if (strchr(set->tables[t].items[i].letters, letter))
                return &set->tables[t].items[i];
    return NULL;
}

const Option *option_by_name(const OptionSet *set, const char *name, size_t size)
{
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < set->tables[t].n_items; i++)
            if (words_have(set->tables[t].items[i].names, name, size))
                return &set->tables[t].items[i];
    return NULL;
}
