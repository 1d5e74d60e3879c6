/*
 * A command line, one argument a line behind a first line of the widening ("s", "p" or "sp") and
 * the tool's name. What a widened grant of it covers must not be stretched: the same command has
 * the same shape, an operand may be another one, and any change of an argument that is no operand,
 * or another argument put in between, is another shape.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "policy/policy.h"

#define WORDS_MAX 48
#define OPERANDS_SIZE 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

typedef struct Command {
    const char *name;
    unsigned widening;
    const char *argv[WORDS_MAX + 1];
    size_t argc;
} Command;

typedef struct Result {
    bool has;
    Buffer bytes;
    uint8_t operands[OPERANDS_SIZE];
} Result;

static Result shape_of(const Command *command)
{
    Result result = {.bytes = BUFFER_EMPTY(1 << 20)};
    result.has = policy_grant_shape(command->name, command->argv, command->argc, command->widening,
                                    &result.bytes, result.operands, sizeof result.operands);
    return result;
}

static bool is_operand(const Result *result, size_t at)
{
    return result->operands[at / 8] >> (at % 8) & 1;
}

/* Whether the command has a shape, the wanted one. */
static bool is_of_shape(const Command *command, const Result *wanted)
{
    Result result = shape_of(command);
    bool same = result.has && buffer_size(&result.bytes) == buffer_size(&wanted->bytes) &&
                memcmp(buffer_head(&result.bytes), buffer_head(&wanted->bytes),
                       buffer_size(&wanted->bytes)) == 0;
    buffer_done(&result.bytes);
    return same;
}

static void try_changes(Command *command, const Result *shape, size_t at)
{
    const char *const others[] = {"other", "-", "--", "-z", "--zzz=a", "a/b", ""};
    const char *original = command->argv[at];
    char longer[256];

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(others[i], original) == 0)
            continue;
        command->argv[at] = others[i];
        if (!is_operand(shape, at))
            require(!is_of_shape(command, shape));
        else if (i == 0)
            require(is_of_shape(command, shape));
    }
    /* An abbreviation and an extension. */
    size_t size = strlen(original);
    if (size > 0 && size < sizeof longer - 1 && !is_operand(shape, at)) {
        memcpy(longer, original, size + 1);
        longer[size - 1] = '\0';
        command->argv[at] = longer;
        require(!is_of_shape(command, shape));
        memcpy(longer, original, size);
        memcpy(longer + size, "x", 2);
        require(!is_of_shape(command, shape));
    }
    command->argv[at] = original;
}

/* One more argument, or one less. */
static void try_lengths(const Command *command, const Result *shape, size_t at)
{
    const char *const more[] = {"-z", "--zzz", "-", "", "other"};
    const bool paths = command->widening & POLICY_GRANT_PATHS_CWD;
    Command changed = *command;

    memmove(changed.argv + at + 1, changed.argv + at,
            (command->argc - at) * sizeof changed.argv[0]);
    changed.argc++;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        changed.argv[at] = more[i];
        /* Beneath the working directory there may be more operands in a row. */
        if (i < 4 || !paths)
            require(!is_of_shape(&changed, shape) || command->argc >= WORDS_MAX);
    }
    /* Or fewer: `rm --odd x x y` without its first x is `rm --odd x y`. */
    bool twice = at + 1 < command->argc && strcmp(command->argv[at], command->argv[at + 1]) == 0;
    if (paths && (is_operand(shape, at) || twice))
        return;
    changed = *command;
    changed.argc--;
    memmove(changed.argv + at, changed.argv + at + 1, (changed.argc - at) * sizeof changed.argv[0]);
    require(!is_of_shape(&changed, shape));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *rest = text;
    Command command = {0};

    require(text != NULL);
    for (const char *at = strsep(&rest, "\n"); *at; at++)
        command.widening |= *at == 's'   ? POLICY_GRANT_SUBCOMMAND
                            : *at == 'p' ? POLICY_GRANT_PATHS_CWD
                                         : 0;
    command.name = rest ? strsep(&rest, "\n") : "git";
    while (rest && command.argc < WORDS_MAX)
        command.argv[command.argc++] = strsep(&rest, "\n");
    Result shape = shape_of(&command);
    if (shape.has) {
        require(command.argc >= 2 && !is_operand(&shape, 0));
        require(is_of_shape(&command, &shape));
        for (size_t i = 0; i < command.argc; i++) {
            try_changes(&command, &shape, i);
            try_lengths(&command, &shape, i);
        }
        command.widening ^= POLICY_GRANT_PATHS_CWD;
        require(!is_of_shape(&command, &shape));
    }
    buffer_done(&shape.bytes);
    free(text);
    return 0;
}
