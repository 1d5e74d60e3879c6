/*
 * See cli.h. getopt_long(3) does the parsing, silently; the mistakes are told in our own words.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

#define OPTIONS_MAX 24u
#define MESSAGE_MAX 16384u

/* Each line escaped; the second and later ones are indented, so that no text can pose as another
 * message. */
__attribute__((format(printf, 1, 0))) static void print_error(const char *format, va_list arguments)
{
    char message[MESSAGE_MAX];
    Buffer shown = BUFFER_EMPTY(8 * MESSAGE_MAX);
    char *rest = message, *line;

    (void)vsnprintf(message, sizeof message, format, arguments);
    buffer_puts(&shown, "clawrden-cli: ");
    while ((line = strsep(&rest, "\n"))) {
        if (line != message && line[0] != '\0')
            buffer_puts(&shown, "\n  ");
        text_display_again(&shown, line, strlen(line), 0);
    }
    _cleanup_free_ char *text = buffer_take_string(&shown);
    (void)fprintf(stderr, "%s\n", text ? text : "clawrden-cli: out of memory");
}

void cli_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
}

/* The usage text's first line, after "usage: ". */
static void print_synopsis(const CliSyntax *syntax)
{
    (void)fprintf(stderr, "%.*s\n", (int)strcspn(syntax->usage, "\n"), syntax->usage);
}

int cli_usage_error(const CliSyntax *syntax, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
    print_synopsis(syntax);
    return CLI_USAGE;
}

void cli_list_done(CliList *list)
{
    free(list->items);
    *list = (CliList){0};
}

static int list_add(CliList *list, const char *item)
{
    const char **grown = realloc(list->items, (list->n_items + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    list->items = grown;
    list->items[list->n_items++] = item;
    return 0;
}

static int apply(const CliOption *option, const char *value)
{
    if (option->flag)
        *option->flag = true;
    else if (option->list)
        return list_add(option->list, value);
    else
        *option->value = value;
    return 0;
}

enum { OPTION_HELP = 256, OPTION_GLOBAL, OPTION_FIRST = OPTION_GLOBAL + CLI_GLOBALS };

/* Fills getopt's table. */
static void list_options(const CliSyntax *syntax, struct option *ret)
{
    size_t n = 0;
    ret[n++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    for (size_t i = 0; i < CLI_GLOBALS; i++) {
        ret[n] = cli_globals[i];
        ret[n++].val = OPTION_GLOBAL + (int)i;
    }
    for (size_t i = 0; syntax->options && syntax->options[i].name && n < OPTIONS_MAX; i++) {
        const CliOption *option = &syntax->options[i];
        ret[n++] = (struct option){option->name, option->flag ? no_argument : required_argument,
                                   NULL, OPTION_FIRST + (int)i};
    }
    ret[n] = (struct option){0};
}

static int check_operands(const CliSyntax *syntax, int n_operands, char **operands)
{
    if (n_operands < syntax->least)
        (void)cli_usage_error(syntax, "%s", syntax->wants ? syntax->wants : "something is missing");
    else if (syntax->most >= 0 && n_operands > syntax->most)
        (void)cli_usage_error(syntax, "not expected here: %s", operands[syntax->most]);
    else
        return 0;
    return -EINVAL;
}

static void refuse_option(const CliSyntax *syntax, const struct option *table, const char *given)
{
    CliVerb names[OPTIONS_MAX + 1] = {{0}};

    for (size_t i = 0; table[i].name; i++)
        names[i].name = table[i].name;
    const char *meant = strncmp(given, "--", 2) == 0 ? cli_suggest(names, given + 2) : NULL;
    (void)cli_usage_error(syntax, "unknown option: %s%s%s%s", given,
                          meant ? "; did you mean --" : "", meant ? meant : "", meant ? "?" : "");
}

int cli_parse(Cli *cli, const CliSyntax *syntax, int argc, char **argv, int *ret_first)
{
    struct option table[OPTIONS_MAX + 1];
    int found;

    list_options(syntax, table);
    optind = 0; /* glibc: start over */
    opterr = 0;
    while ((found = getopt_long(argc, argv, syntax->stop_at_operand ? "+:h" : ":h", table, NULL)) !=
           -1) {
        if (found == OPTION_HELP || found == 'h') {
            (void)fputs(syntax->usage, stdout);
            return 1;
        }
        if (found >= OPTION_GLOBAL && found < OPTION_FIRST) {
            if (cli_set_global(cli, cli_globals[found - OPTION_GLOBAL].name, optarg) != CLI_DONE)
                return -EINVAL;
        } else if (found >= OPTION_FIRST) {
            if (apply(&syntax->options[found - OPTION_FIRST], optarg) < 0) {
                cli_error("out of memory");
                return -EINVAL;
            }
        } else if (found == ':') {
            (void)cli_usage_error(syntax, "%s wants a value", argv[optind - 1]);
            return -EINVAL;
        } else {
            refuse_option(syntax, table, argv[optind - 1]);
            return -EINVAL;
        }
    }
    *ret_first = optind;
    return check_operands(syntax, argc - optind, argv + optind);
}
