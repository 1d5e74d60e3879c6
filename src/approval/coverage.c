/*
 * See coverage.h. Every part is a field with its length in front, so that no two different requests
 * can be cut into the same bytes.
 */
#include "approval/coverage.h"

#include <string.h>

#include "base/text.h"

#define SHAPE_MAX (8u << 20) /* more than any request holds */
#define WORDS_ARGUMENTS_MAX 400u
#define WORDS_PATH_MAX 200u

/* Facts that change what running it means. The rest (what kind of cgroup it gets) does not. */
#define FLAGS_BOUND                                                                                \
    (PREPARED_EXE_WRITABLE | PREPARED_SCRIPT | PREPARED_OPERAND | PREPARED_OPERAND_WRITABLE |      \
     PREPARED_READS_STDIN | PREPARED_INTERPRETER_WRITABLE | PREPARED_POWERFUL)

static void add_text(DigestState *state, const char *text)
{
    digest_add_field(state, text, strlen(text));
}

static void add_digest(DigestState *state, const Digest *digest)
{
    digest_add_field(state, digest->bytes, DIGEST_SIZE);
}

/* All but the command's own words. */
static void add_common(DigestState *state, const CoverageFacts *facts, const char *kind)
{
    const Prepared *prepared = facts->prepared;
    const Hashed *hashed = &facts->examined->hashed;
    const uint64_t numbers[] = {prepared->uid,
                                prepared->gid,
                                prepared->n_groups,
                                prepared->cwd_device,
                                prepared->cwd_inode,
                                prepared->flags & FLAGS_BOUND,
                                prepared->container_start_time};

    add_text(state, kind);
    add_text(state, facts->jail);
    add_text(state, prepared->container);
    digest_add_field(state, numbers, sizeof numbers);
    digest_add_field(state, prepared->groups, prepared->n_groups * sizeof *prepared->groups);
    add_text(state, prepared->exe);
    add_text(state, prepared->interpreter);
    add_text(state, prepared->operand);
    add_digest(state, &hashed->exe);
    add_digest(state, &hashed->interpreter);
    add_digest(state, &hashed->operand);
    add_text(state, prepared->cwd);
    add_text(state, facts->rule);
    add_text(state, facts->policy);
    add_text(state, facts->name);
}

static Digest exact_of(const CoverageFacts *facts)
{
    DigestState state;

    digest_begin(&state);
    add_common(&state, facts, "exact");
    add_digest(&state, facts->command);
    return digest_end(&state);
}

/* Each argument that may differ must lie where the operator said. */
static bool is_beneath(const CoverageFacts *facts, const uint8_t *operands)
{
    if (!(facts->widening & POLICY_GRANT_PATHS_CWD))
        return true;
    for (size_t i = 0; i < EXAMINED_ARGUMENTS_MAX / 8; i++)
        if (operands[i] & (uint8_t)~facts->examined->beneath[i])
            return false;
    return true;
}

static bool shape_of(const CoverageFacts *facts, Buffer *shape, uint8_t *operands)
{
    /* The shape goes by the options of the tool of this name, which a file that the caller could
     * change or replace need not be. */
    return facts->widening != 0 && facts->argc <= EXAMINED_ARGUMENTS_MAX &&
           !(facts->prepared->flags & PREPARED_EXE_WRITABLE) &&
           policy_grant_shape(facts->name, facts->argv, facts->argc, facts->widening, shape,
                              operands, EXAMINED_ARGUMENTS_MAX / 8) &&
           shape->error == 0;
}

static Digest widened_of(const CoverageFacts *facts)
{
    uint8_t operands[EXAMINED_ARGUMENTS_MAX / 8] = {0};
    const uint64_t widening = facts->widening;
    Buffer shape = BUFFER_EMPTY(SHAPE_MAX);
    Digest widened = {{0}};

    if (shape_of(facts, &shape, operands) && is_beneath(facts, operands)) {
        DigestState state;
        digest_begin(&state);
        add_common(&state, facts, "widened");
        add_digest(&state, facts->environment);
        digest_add_field(&state, &widening, sizeof widening);
        digest_add_field(&state, buffer_head(&shape), buffer_size(&shape));
        widened = digest_end(&state);
    }
    buffer_done(&shape);
    return widened;
}

Coverage coverage_of(const CoverageFacts *facts)
{
    Coverage coverage = {.in_container = facts->prepared->container[0] != '\0',
                         .root_pid = facts->examined->root_pid,
                         .root_start_time = facts->examined->root_start_time};

    if (facts->prepared->flags & PREPARED_STDIN_MUTABLE)
        return coverage;
    coverage.exact = exact_of(facts);
    coverage.widened = widened_of(facts);
    return coverage;
}

bool coverage_has_session(const Coverage *coverage)
{
    return coverage->in_container || coverage->root_pid > 0;
}

bool coverage_same_session(const Coverage *a, const Coverage *b)
{
    if (a->in_container || b->in_container) /* which one it is, the digests say */
        return a->in_container && b->in_container;
    return a->root_pid > 0 && a->root_pid == b->root_pid && a->root_start_time > 0 &&
           a->root_start_time == b->root_start_time;
}

/* Words. */

/* "as uid 1000 in jail default, container abc" */
static void put_who(Buffer *out, const CoverageFacts *facts)
{
    buffer_printf(out, "as uid %u in jail %s", (unsigned)facts->prepared->uid, facts->jail);
    if (facts->prepared->container[0]) {
        buffer_puts(out, ", container ");
        text_display(out, facts->prepared->container, strlen(facts->prepared->container),
                     WORDS_PATH_MAX);
    }
}

static void put_directory(Buffer *out, const CoverageFacts *facts)
{
    text_display_argument(out, facts->prepared->cwd, WORDS_PATH_MAX);
}

void coverage_put_exact(Buffer *out, const CoverageFacts *facts, const Coverage *coverage)
{
    if (digest_is_zero(&coverage->exact))
        return;
    buffer_puts(out, "exactly this command: same arguments, environment and files, in ");
    put_directory(out, facts);
    buffer_puts(out, ", ");
    put_who(out, facts);
}

static bool is_operand(const uint8_t *operands, size_t at)
{
    return operands[at / 8] >> (at % 8) & 1;
}

/* The command with a mark in place of what may differ: git push --tags ‹any›. */
static void put_pattern(Buffer *out, const CoverageFacts *facts, const uint8_t *operands,
                        const char *const *shown, size_t n_shown)
{
    const bool paths = (facts->widening & POLICY_GRANT_PATHS_CWD) != 0;
    const size_t begun = buffer_size(out);
    bool after_operand = false;

    text_display_argument(out, facts->name, WORDS_PATH_MAX);
    for (size_t i = 1; i < facts->argc; i++) {
        bool operand = is_operand(operands, i);
        if (operand && after_operand && paths)
            continue; /* one mark stands for any number of them */
        after_operand = operand;
        buffer_put_u8(out, ' ');
        if (buffer_size(out) - begun > WORDS_ARGUMENTS_MAX || (!operand && i >= n_shown)) {
            buffer_puts(out, "… and the rest as it is now");
            return;
        }
        if (operand)
            buffer_puts(out, paths ? "‹paths›" : "‹any›");
        else
            text_display_argument(out, shown[i], WORDS_PATH_MAX);
    }
}

void coverage_put_widened(Buffer *out, const CoverageFacts *facts, const Coverage *coverage,
                          const char *const *shown, size_t n_shown)
{
    uint8_t operands[EXAMINED_ARGUMENTS_MAX / 8] = {0};
    Buffer shape = BUFFER_EMPTY(SHAPE_MAX);

    if (!digest_is_zero(&coverage->widened) && shape_of(facts, &shape, operands)) {
        put_pattern(out, facts, operands, shown, n_shown);
        if (facts->widening & POLICY_GRANT_PATHS_CWD) {
            buffer_puts(out, " where ‹paths› is one or more paths beneath ");
            put_directory(out, facts);
            buffer_puts(out, " without a symbolic link on the way");
        } else {
            buffer_puts(out, " where each ‹any› is any one argument that is no option, in ");
            put_directory(out, facts);
        }
        buffer_puts(out, "; same program, options and their order, environment and rule, ");
        put_who(out, facts);
    }
    buffer_done(&shape);
}

void coverage_put_obstacles(Buffer *out, const CoverageFacts *facts, const Coverage *coverage)
{
    if (digest_is_zero(&coverage->exact)) {
        buffer_puts(out, "no grant is possible: stdin is a file or a pipe, which a grant cannot "
                         "bind");
        return;
    }
    if (facts->widening != 0 && facts->prepared->flags & PREPARED_EXE_WRITABLE)
        buffer_puts(out, "no wider grant is possible: the caller could change or replace the file "
                         "that runs");
    else if (facts->widening != 0 && digest_is_zero(&coverage->widened))
        buffer_puts(out, facts->widening & POLICY_GRANT_PATHS_CWD
                             ? "no wider grant is possible: Clawrden cannot tell which arguments "
                               "are paths beneath the working directory"
                             : "no wider grant is possible: Clawrden does not know this "
                               "subcommand's options well enough");
    if (!coverage_has_session(coverage))
        buffer_printf(out,
                      "%sno grant for the session is possible: the caller's root process is "
                      "not known",
                      buffer_size(out) > 0 ? "; " : "");
}
