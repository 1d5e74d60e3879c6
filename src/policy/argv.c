/*
 * One argv matcher against the arguments.
 *
 * The side on which doubt falls depends on the rule. A rule that allows reads strictly: what it
 * asks for counts only in exactly the stated (or a tabled, equivalent) form, and `none` excludes
 * whatever could be meant. A rule that denies or asks is the mirror image. `only` is strict in
 * either: it exists to write down all that is harmless.
 */
#include <string.h>

#include "base/text.h"
#include "policy/words.h"

/* The arguments that a matcher looks at, and what their options are. */
typedef struct Scope {
    Judging *judging;
    const ArgvMatch *match;
    bool strict;
    size_t start;
    size_t boundary;   /* words before this one are read as `globals` says */
    OptionSet globals; /* before the subcommand */
    OptionSet set;     /* behind it */
    Buffer *why;
} Scope;

static void scope_read(const Scope *scope, size_t at, bool ended, Word *word)
{
    const OptionSet *set = at < scope->boundary ? &scope->globals : &scope->set;
    word_read(set, scope->judging->args, scope->judging->n_args, at, ended, word);
}

static void put_patterns(Buffer *why, const ArgPatterns *patterns)
{
    for (size_t i = 0; i < patterns->n_items; i++) {
        if (i == 8) {
            buffer_printf(why, ", … (%zu more)", patterns->n_items - i);
            return;
        }
        buffer_puts(why, i > 0 ? ", " : "");
        text_display_argument(why, patterns->items[i].whole.text, 60);
    }
}

static OptionSet option_set(Judging *judging, const Rule *rule, const Subcommand *subcommand)
{
    const Tool *tool = judging_tool(judging);
    OptionSet set = {.style = tool ? tool->style : TOOL_UNKNOWN};

    set.tables[0] = rule->options;
    if (rule->options.n_items > 0 && set.style == TOOL_UNKNOWN)
        set.style = rule->option_words ? TOOL_WORDS : TOOL_GETOPT;
    if (subcommand)
        set.tables[1] = subcommand->options;
    if (tool && (!subcommand || tool->anywhere))
        set.tables[2] = tool->options;
    return set;
}

/* Strict: whether an option word of known options is covered by the patterns. */
static bool word_is_covered(Judging *judging, const Word *word, const ArgPatterns *patterns)
{
    for (size_t o = 0; o < word->n_options; o++) {
        const WordOption *taken = &word->options[o];
        bool covered = false;
        for (size_t i = 0; i < patterns->n_items && !covered; i++) {
            const ArgPattern *pattern = &patterns->items[i];
            if (!judging_charge(judging, 1))
                return false;
            covered = pattern_names_option(pattern, taken->option) &&
                      (!pattern->has_value ||
                       (taken->value && judging_match(judging, &pattern->value, taken->value)));
        }
        if (!covered)
            return false;
    }
    return word->n_options > 0;
}

/* Strict: whether the word as a whole is what an option pattern says, letter for letter. */
static bool word_is_stated(Judging *judging, const Word *word, const ArgPatterns *patterns)
{
    for (size_t i = 0; i < patterns->n_items; i++)
        if (patterns->items[i].option &&
            judging_match(judging, &patterns->items[i].whole, word->text))
            return true;
    return false;
}

static bool operand_matches(Judging *judging, const char *text, const ArgPatterns *patterns)
{
    for (size_t i = 0; i < patterns->n_items; i++)
        if (!patterns->items[i].option && judging_match(judging, &patterns->items[i].whole, text))
            return true;
    return false;
}

/* `only`: every word must be covered. A value that stands apart is part of its option. */
static bool only_holds(Scope *scope, const char **ret_offender)
{
    Judging *judging = scope->judging;
    const ArgPatterns *only = &scope->match->only;
    size_t operands = 0;
    bool ended = false;
    Word word;

    for (size_t at = scope->start; at < judging->n_args; at = word.next) {
        scope_read(scope, at, ended, &word);
        *ret_offender = word.text;
        if (!judging_charge(judging, 1))
            return false;
        if (word.kind == WORD_END) {
            ended = true;
        } else if (word.kind == WORD_OPERAND) {
            if (!operand_matches(judging, word.text, only) ||
                (scope->match->has_operands && ++operands > scope->match->operands))
                return false;
        } else if (!(word.known && word_is_covered(judging, &word, only))) {
            if (!word_is_stated(judging, &word, only))
                return false;
            word.next = at + 1; /* what follows must hold by itself */
        }
    }
    return true;
}

/* Strict: the pattern's option with its value, or an operand, surely occurs. */
static bool surely_occurs(Scope *scope, const ArgPattern *pattern)
{
    Judging *judging = scope->judging;
    bool ended = false, unsure = false;
    Word word;

    for (size_t at = scope->start; at < judging->n_args; at = word.next) {
        scope_read(scope, at, ended, &word);
        if (!judging_charge(judging, 1))
            return false;
        ended |= word.kind == WORD_END;
        if (word.kind == WORD_OPERAND && !unsure && !pattern->option &&
            judging_match(judging, &pattern->whole, word.text))
            return true;
        if (word.kind == WORD_OPTION && pattern->option) {
            if (judging_match(judging, &pattern->whole, word.text))
                return true;
            for (size_t o = 0; word.known && o < word.n_options; o++) {
                const WordOption *taken = &word.options[o];
                if (pattern_names_option(pattern, taken->option) &&
                    (!pattern->has_value ||
                     (taken->value && judging_match(judging, &pattern->value, taken->value))))
                    return true;
            }
        }
        unsure = word.kind == WORD_OPTION && !word.known;
    }
    return false;
}

/* "--force-w" could complete to what "--force-with-lease*" matches. */
static bool glob_could_be_abbreviated(const Scope *scope, const ArgPattern *pattern,
                                      const char *word)
{
    if (!pattern_is_glob(&pattern->whole) || strncmp(word, "--", 2) != 0 || !word[2] ||
        scope->set.style == TOOL_PLAIN || scope->set.style == TOOL_WORDS)
        return false;
    size_t size = strcspn(word, "=");
    size_t literal = glob_literal_prefix(pattern->whole.text, pattern->whole.size);
    return size < literal && memcmp(word, pattern->whole.text, size) == 0 &&
           !option_by_name(&scope->set, word + 2, size - 2);
}

/* Generous: the pattern's option, or any word that looks like it, could occur. */
static bool could_occur(Scope *scope, const ArgPattern *pattern)
{
    Judging *judging = scope->judging;

    if (pattern->name) {
        /* The subcommand's options are looked for everywhere: the boundary may be a guess. */
        return option_could_occur(judging, &scope->set, pattern, judging->args, judging->n_args,
                                  scope->start) ||
               (scope->boundary > scope->start &&
                option_could_occur(judging, &scope->globals, pattern, judging->args,
                                   scope->boundary, scope->start));
    }
    for (size_t i = scope->start; i < judging->n_args; i++) {
        if (judging_match(judging, &pattern->whole, judging->args[i]))
            return true;
        if (pattern->option && glob_could_be_abbreviated(scope, pattern, judging->args[i]))
            return true;
        if (judging->spent)
            return false;
    }
    return false;
}

static bool occurs(Scope *scope, const ArgPattern *pattern, bool strictly)
{
    return strictly ? surely_occurs(scope, pattern) : could_occur(scope, pattern);
}

/* any, all, none and only over the whole scope. */
static bool lists_hold(Scope *scope)
{
    const ArgvMatch *match = scope->match;
    const char *offender = "";
    bool found = match->any.n_items == 0;

    for (size_t i = 0; i < match->all.n_items; i++) {
        if (occurs(scope, &match->all.items[i], scope->strict))
            continue;
        if (scope->why) {
            buffer_puts(scope->why, "no argument is ");
            text_display_argument(scope->why, match->all.items[i].whole.text, 60);
        }
        return false;
    }
    for (size_t i = 0; i < match->any.n_items && !found; i++)
        found = occurs(scope, &match->any.items[i], scope->strict);
    if (!found) {
        if (scope->why) {
            buffer_puts(scope->why, "no argument is any of: ");
            put_patterns(scope->why, &match->any);
        }
        return false;
    }
    for (size_t i = 0; i < match->none.n_items; i++) {
        if (!occurs(scope, &match->none.items[i], !scope->strict))
            continue;
        if (scope->why) {
            buffer_puts(scope->why, "an argument is (or could be) the excluded ");
            text_display_argument(scope->why, match->none.items[i].whole.text, 60);
        }
        return false;
    }
    if (match->has_only && !only_holds(scope, &offender)) {
        if (scope->why) {
            buffer_puts(scope->why, "not on the list of allowed arguments: ");
            text_display_argument(scope->why, offender, 60);
        }
        return false;
    }
    return true;
}

/* any, all, none and only on one operand. */
static bool operand_holds(Judging *judging, const ArgvMatch *match, const char *operand)
{
    if (match->any.n_items > 0 && !operand_matches(judging, operand, &match->any))
        return false;
    for (size_t i = 0; i < match->all.n_items; i++)
        if (!judging_match(judging, &match->all.items[i].whole, operand))
            return false;
    if (match->none.n_items > 0 && operand_matches(judging, operand, &match->none))
        return false;
    return !match->has_only || operand_matches(judging, operand, &match->only);
}

/* The N-th operand. An unknown option may swallow the operand behind it: strictly that is no
 * match, generously any of the possible operands will do. */
static bool position_holds(Scope *scope)
{
    Judging *judging = scope->judging;
    size_t seen = 0, slack = 0;
    bool ended = false;
    Word word;

    for (size_t at = scope->start; at < judging->n_args; at = word.next) {
        scope_read(scope, at, ended, &word);
        if (!judging_charge(judging, 1))
            return false;
        if (word.kind == WORD_END) {
            ended = true;
        } else if (word.kind == WORD_OPTION && !word.known) {
            if (scope->strict)
                break;
            slack++;
            word.next = at + 1;
        } else if (word.kind == WORD_OPERAND) {
            seen++;
            if (seen > scope->match->position + slack)
                break;
            if (seen >= scope->match->position && operand_holds(judging, scope->match, word.text))
                return true;
        }
    }
    if (scope->why)
        buffer_printf(scope->why, "argument %zu is not as the rule says", scope->match->position);
    return false;
}

static bool scope_holds(Scope *scope)
{
    return scope->match->position > 0 ? position_holds(scope) : lists_hold(scope);
}

/* Strict: the index behind the words of `after`, or 0 when they do not surely stand there. Options
 * before the first one must be harmless or listed in `globals`. */
static size_t surely_after(Judging *judging, const OptionSet *set, const ArgvMatch *match,
                           const AfterWords *after)
{
    Word word;

    for (size_t at = 0; at < judging->n_args; at = word.next) {
        word_read(set, judging->args, judging->n_args, at, false, &word);
        if (word.kind == WORD_OPERAND) {
            for (size_t i = 0; i < after->n_words; i++)
                if (at + i >= judging->n_args ||
                    strcmp(judging->args[at + i], after->words[i]) != 0)
                    return 0;
            return at + after->n_words;
        }
        if (word.kind == WORD_END || !judging_charge(judging, 1))
            return 0;
        bool harmless = word.known && word.n_options > 0;
        for (size_t o = 0; harmless && o < word.n_options; o++)
            harmless = word.options[o].option->harmless;
        if (!harmless && !(word.known && word_is_covered(judging, &word, &match->globals)))
            return 0;
    }
    return 0;
}

/* Generous: whether the words could stand at `at`; *ret_behind is the index behind them. Later
 * words of a longer `after` may have anything between them. */
static bool could_be_after(Judging *judging, const Tool *tool, const AfterWords *after, size_t at,
                           size_t *ret_behind)
{
    size_t used = tool_subcommand_words(tool, after->words[0], judging->args, judging->n_args, at);

    if (used == 0)
        return false;
    at += used;
    for (size_t i = 1; i < after->n_words; i++) {
        while (at < judging->n_args && strcmp(judging->args[at], after->words[i]) != 0)
            at++;
        if (at == judging->n_args)
            return false;
        at++;
    }
    *ret_behind = at;
    return true;
}

static bool generous_after_holds(Judging *judging, const Rule *rule, const ArgvMatch *match,
                                 const AfterWords *after, Buffer *why)
{
    const Tool *tool = judging_tool(judging);
    const OptionSet set = option_set(judging, rule, NULL);
    const Subcommand *subcommand = tool_subcommand(tool, after->words[0], strlen(after->words[0]));
    Scope scope = {.judging = judging,
                   .match = match,
                   .set = option_set(judging, rule, subcommand),
                   .why = why};
    const size_t begun = why ? why->size : 0;
    bool certain = true;
    Word word;

    for (size_t at = 0; at < judging->n_args; at = word.next) {
        word_read(&set, judging->args, judging->n_args, at, false, &word);
        if (!judging_charge(judging, 1))
            return false;
        if (!certain || word.kind == WORD_OPERAND) {
            word.next = at + 1;
            if (could_be_after(judging, tool, after, at, &scope.start) && scope_holds(&scope))
                return true;
            if (certain || (why && why->size > begun)) /* one reason is enough */
                return false;
        } else if (word.kind == WORD_END || !word.known) {
            certain = false;
            word.next = at + 1;
        }
    }
    return false;
}

static bool after_holds(Judging *judging, const Rule *rule, const ArgvMatch *match, bool strict,
                        const AfterWords *after, Buffer *why)
{
    if (!strict)
        return generous_after_holds(judging, rule, match, after, why);
    const OptionSet set = option_set(judging, rule, NULL);
    const Subcommand *subcommand =
        tool_subcommand(judging_tool(judging), after->words[0], strlen(after->words[0]));
    Scope scope = {.judging = judging,
                   .match = match,
                   .strict = true,
                   .start = surely_after(judging, &set, match, after),
                   .set = option_set(judging, rule, subcommand),
                   .why = why};
    return scope.start > 0 && scope_holds(&scope);
}

/* The whole command line: if the tool has subcommands, up to the called one with the tool's own
 * options and from there on with those of the subcommand, as far as it can be told. */
static bool whole_holds(Judging *judging, const Rule *rule, const ArgvMatch *match, bool strict,
                        Buffer *why)
{
    const Tool *tool = judging_tool(judging);
    Scope scope = {.judging = judging, .match = match, .strict = strict, .why = why};
    Word word;

    scope.globals = scope.set = option_set(judging, rule, NULL);
    for (size_t at = 0; tool && tool->n_subcommands > 0 && at < judging->n_args; at = word.next) {
        word_read(&scope.globals, judging->args, judging->n_args, at, false, &word);
        if (word.kind == WORD_OPERAND) {
            const Subcommand none = {.names = ""};
            const Subcommand *called = tool_subcommand(tool, word.text, strlen(word.text));
            scope.boundary = at;
            scope.set = option_set(judging, rule, called ? called : &none);
            break;
        }
        if (!judging_charge(judging, 1))
            return false;
    }
    return scope_holds(&scope);
}

bool argv_matches(Judging *judging, const Rule *rule, const ArgvMatch *match, bool strict,
                  Buffer *why)
{
    if (match->n_after == 0)
        return whole_holds(judging, rule, match, strict, why);
    size_t begun = why ? why->size : 0;
    for (size_t i = 0; i < match->n_after; i++) {
        if (after_holds(judging, rule, match, strict, &match->after[i], why))
            return true;
        if (why && why->size > begun) /* the words stand there but the rest fails: that says it */
            return false;
    }
    if (why) {
        buffer_puts(why, strict ? "its arguments do not (surely) begin with "
                                : "its arguments do not begin with ");
        for (size_t i = 0; i < match->n_after && i < 8; i++) {
            buffer_puts(why, i > 0 ? " or " : "");
            for (size_t w = 0; w < match->after[i].n_words; w++) {
                buffer_puts(why, w > 0 ? " " : "");
                text_display_argument(why, match->after[i].words[w], 60);
            }
        }
    }
    return false;
}
