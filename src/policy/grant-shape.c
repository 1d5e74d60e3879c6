/*
 * The shape of a command: what stays fixed when a rule widens the grants that it leads to.
 *
 * A grant is stretched by whoever finds a second command of the same shape that does something
 * else. So nothing is guessed here: only tools and subcommands whose tables were checked for it
 * (Widening) have a shape, and of their arguments only those may differ that are operands beyond
 * doubt. An argument that could be the value of an option (behind one that the table does not
 * know, or whose value is optional) is fixed, and so is everything that begins with '-' unless a
 * "--" that surely ends the options came before.
 *
 * The shape is the name, the widening, and the arguments in their order: those that are fixed byte
 * by byte, the others as marks. Under `subcommand` alone there is a mark for each, because a second
 * operand may turn reading into writing; under `paths: cwd` one mark stands for one or more of them
 * in a row, because there each is a file beneath the working directory, however many.
 */
#include <string.h>

#include "policy/options.h"
#include "policy/words.h"

enum { SHAPE_FIXED = 'F', SHAPE_OPERAND = 'O' };

typedef struct Shape {
    const char *const *args; /* argv[0] included */
    size_t n_args;
    bool paths; /* operands are to be files */
    OptionSet set;
    Buffer *bytes;
    uint8_t *operands;
    size_t n_operands;
    bool after_operand; /* the last one was an operand */
} Shape;

static void put_fixed(Shape *shape, size_t at)
{
    size_t size = strlen(shape->args[at]);

    buffer_put_u8(shape->bytes, SHAPE_FIXED);
    buffer_put_u64(shape->bytes, size);
    buffer_put(shape->bytes, shape->args[at], size);
    shape->after_operand = false;
}

/* Whether a path names something by going down: at least one component that is not ".", none that
 * is "..". The working directory itself is not beneath itself. */
static bool goes_down(const char *path)
{
    bool down = false;

    for (size_t size; *path; path += size + (path[size] == '/')) {
        size = strcspn(path, "/");
        if (size == 2 && path[0] == '.' && path[1] == '.')
            return false;
        down |= size > 0 && !(size == 1 && path[0] == '.');
    }
    return down;
}

/* Whether the text can only be read as the path of a file, by whatever tool: no option, no standard
 * input, no list of arguments ("@file"), no pathspec magic (":/"), no address ("host:x", "x://y")
 * and no setting ("of=x"), although files may have such names. */
static bool is_plain_path(const char *text)
{
    return !strchr("-@+~", text[0]) && !strpbrk(text, ":=*?[\\") && goes_down(text);
}

static void put_operand(Shape *shape, size_t at)
{
    const char *text = shape->args[at];

    if (strcmp(text, "-") == 0 || (shape->paths && !is_plain_path(text))) {
        put_fixed(shape, at);
        return;
    }
    if (!(shape->paths && shape->after_operand))
        buffer_put_u8(shape->bytes, SHAPE_OPERAND);
    shape->operands[at / 8] |= (uint8_t)(1u << (at % 8));
    shape->n_operands++;
    shape->after_operand = true;
}

/* Whether the next argument could be the value of an option in this word, as far as the table does
 * not say so already. */
static bool may_take_next(const Word *word)
{
    if (word->kind != WORD_OPTION)
        return false;
    if (!word->known || word->n_options == 0)
        return true;
    const WordOption *last = &word->options[word->n_options - 1];
    return last->option->argument == OPTION_OPTIONAL && !last->value;
}

/* The arguments from `at` on. */
static void put_arguments(Shape *shape, size_t at)
{
    bool ended = false, unsure = false;
    Word word;

    for (; at < shape->n_args; at = word.next) {
        word_read(&shape->set, shape->args, shape->n_args, at, ended, &word);
        if (word.kind == WORD_OPERAND && !unsure) {
            put_operand(shape, at);
            continue;
        }
        for (size_t i = at; i < word.next; i++)
            put_fixed(shape, i);
        /* A "--" that could be a value does not end the options for sure: what follows is then read
         * as options still, which fixes more of it. */
        ended |= word.kind == WORD_END && !unsure;
        unsure = may_take_next(&word);
    }
}

static bool has_value(const Word *word)
{
    for (size_t i = 0; i < word->n_options; i++)
        if (word->options[i].value)
            return true;
    return false;
}

/* The global options and the subcommand behind them; the index of its first argument, or 0. */
static size_t put_subcommand(Shape *shape, const Tool *tool)
{
    Word word;

    for (size_t at = 1; at < shape->n_args; at = word.next) {
        word_read(&shape->set, shape->args, shape->n_args, at, false, &word);
        if (word.kind == WORD_END || (word.kind == WORD_OPTION && may_take_next(&word)))
            return 0;
        if (word.kind == WORD_OPERAND) {
            size_t words = 1;
            const Subcommand *called =
                tool_subcommand_at(tool, shape->args, shape->n_args, at, &words);
            if (!called || called->widening < (shape->paths ? WIDENING_PATHS : WIDENING_OPERANDS))
                return 0;
            for (size_t i = 0; i < words; i++)
                put_fixed(shape, at + i);
            shape->set.tables[0] = called->options;
            shape->set.tables[1] = tool->anywhere ? tool->options : (OptionTable){0};
            return at + words;
        }
        /* `git -C x add a`: the operands are not beneath this working directory. */
        if (shape->paths && has_value(&word))
            return 0;
        put_fixed(shape, at);
        if (word.next > at + 1)
            put_fixed(shape, at + 1);
    }
    return 0;
}

static size_t put_beginning(Shape *shape, const Tool *tool, unsigned widening)
{
    put_fixed(shape, 0);
    if (widening & POLICY_GRANT_SUBCOMMAND)
        return tool->n_subcommands > 0 ? put_subcommand(shape, tool) : 0;
    return tool->n_subcommands == 0 && tool->widening == WIDENING_PATHS ? 1 : 0;
}

bool policy_grant_shape(const char *name, const char *const *argv, size_t argc, unsigned widening,
                        Buffer *bytes, uint8_t *operands, size_t operands_size)
{
    const Tool *tool = tool_find(name);
    Shape shape = {.args = argv,
                   .n_args = argc,
                   .paths = widening & POLICY_GRANT_PATHS_CWD,
                   .bytes = bytes,
                   .operands = operands};

    memset(operands, 0, operands_size);
    if (!tool || argc < 2 || (argc + 7) / 8 > operands_size || widening == 0)
        return false;
    shape.set = (OptionSet){.style = tool->style, .tables = {tool->options}};
    buffer_put_u8(bytes, (uint8_t)widening);
    buffer_put_u64(bytes, strlen(name));
    buffer_puts(bytes, name);
    size_t at = put_beginning(&shape, tool, widening);
    if (at == 0)
        return false;
    put_arguments(&shape, at);
    return shape.n_operands > 0 && bytes->error == 0;
}
