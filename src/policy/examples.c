/*
 * Checking a rule against its own examples, as it is loaded.
 *
 * An example is a command line in shell-like words: quotes and backslashes, nothing else. Only the
 * command and the arguments are looked at; the rule's cwd, uid, gid, jail and env are left out. A
 * command without '/' stands for the file that the rule names, or for /usr/bin/NAME.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "policy/loader.h"
#include "policy/words.h"

#define EXAMPLE_WORDS_MAX 256

/* The file that an example's command stands for. */
static const char *example_exe(Loader *loader, const Rule *rule, const char *word)
{
    if (word[0] == '/')
        return word;
    for (size_t i = 0; i < rule->n_commands; i++) {
        const char *slash = strrchr(rule->commands[i].text, '/');
        if (rule->commands[i].kind == COMMAND_PATH && strcmp(slash + 1, word) == 0)
            return rule->commands[i].text;
    }
    size_t size = strlen("/usr/bin/") + strlen(word);
    char *path = arena_take(loader_arena(loader), size + 1, 1);
    if (path)
        (void)snprintf(path, size + 1, "/usr/bin/%s", word);
    return path;
}

static void report(Loader *loader, const Example *example, const char *why)
{
    loader_report_at(loader, example->line, example->column, false, example->text,
                     example->wanted ? "this example should match its rule but does not%s%s"
                                     : "this example should not match its rule but does%s%s",
                     why[0] ? ": " : "", why);
}

static void check(Loader *loader, const Rule *rule, const Example *example)
{
    const char *words[EXAMPLE_WORDS_MAX];
    char *text = arena_copy(loader_arena(loader), example->text, strlen(example->text));
    int n_words = text ? words_split(text, words, EXAMPLE_WORDS_MAX) : 0;
    Judging judging;

    if (n_words <= 0) {
        if (text)
            loader_report_at(loader, example->line, example->column, false, example->text,
                             "this is no command line; is a quote missing?");
        return;
    }
    const char *exe = example_exe(loader, rule, words[0]);
    const char *slash = strrchr(words[0], '/');
    PolicyQuery query = {
        .jail = "default",
        .name = slash ? slash + 1 : words[0],
        .exe = exe,
        .argv = words,
        .argc = (size_t)n_words,
        .cwd = "/",
    };
    judging_begin(&judging, &query);
    judging.example = true;
    Buffer why = BUFFER_EMPTY(4096);
    RuleOutcome outcome = rule_judge(&judging, rule, example->wanted ? &why : NULL);
    judging_done(&judging);
    char *reason = buffer_take_string(&why);
    if (outcome == RULE_GAVE_UP)
        report(loader, example, "an expression reached its match limit");
    else if ((outcome == RULE_YES) != example->wanted)
        report(loader, example, reason ? reason : "");
    free(reason);
}

void examples_check(Loader *loader, const Rule *rule)
{
    for (size_t i = 0; i < rule->n_examples; i++)
        check(loader, rule, &rule->examples[i]);
}
