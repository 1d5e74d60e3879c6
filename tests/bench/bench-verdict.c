/*
 * How long a verdict takes over 10 and over 10,000 rules.
 *
 * The large policy has half of its rules on distinct names, a quarter on one command and a quarter
 * on globs of names; the small one has ten rules of the same kinds. Queries of each kind, and some
 * that no rule matches, are asked of both in turn, in small interleaved batches, so that whatever
 * disturbs the machine disturbs both. Figures are medians over batches.
 *
 * The bars are for 64 different commands asked again and again, as agents do. With 4096 different
 * ones, spread over all rules, the large policy's data no longer fits into the fast caches; that
 * figure is printed as well.
 *
 * With --check the exit code is 1 when the ratio is above 1.5 or the median above 2 microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "policy/policy.h"

#define SMALL 10
#define LARGE 10000
#define QUERIES_FEW 64
#define QUERIES_MANY 4096
#define BATCH 64
#define ROUNDS 4000
#define RATIO_MAX 1.5
#define NANOSECONDS_MAX 2000.0

static Policy *policy_with(size_t n_rules)
{
    Buffer text = BUFFER_EMPTY(1 << 24);
    PolicyProblems problems = {0};
    Policy *policy = NULL;

    buffer_puts(&text, "default_action: ask\nrules:\n");
    for (size_t i = 0; i < n_rules; i++) {
        switch (i % 4) {
        case 0:
        case 2:
            buffer_printf(&text, "  - {command: tool-%zu, action: allow}\n", i);
            break;
        case 1:
            buffer_printf(
                &text, "  - {command: git, action: deny, argv: {after: sub-%zu, any: [--force]}}\n",
                i);
            break;
        default:
            buffer_printf(&text, "  - {command: 'glob-%zu-*', action: deny}\n", i);
        }
    }
    if (policy_load_text("bench", text.bytes, text.size, &policy, &problems) != 0) {
        policy_problems_print(&problems, stderr);
        exit(2);
    }
    policy_problems_done(&problems);
    buffer_done(&text);
    return policy;
}

typedef struct Command {
    char name[32], exe[64], word[32];
    const char *argv[4];
    PolicyQuery query;
} Command;

/* The i-th query to a policy of `n_rules`: a quarter each of names, git, globs and strangers. */
static void fill(Command *command, size_t i, size_t n_rules)
{
    size_t rule = i * 7919 % n_rules;
    size_t form = i % 4;

    rule = form == 0 ? rule / 4 * 4 : form == 1 ? rule / 4 * 4 + 1 : rule / 4 * 4 + 3;
    if (form == 1)
        (void)strcpy(command->name, "git");
    else
        (void)snprintf(command->name, sizeof command->name,
                       form == 0   ? "tool-%zu"
                       : form == 2 ? "glob-%zu-x"
                                   : "other-%zu",
                       rule);
    (void)snprintf(command->exe, sizeof command->exe, "/usr/bin/%s", command->name);
    (void)snprintf(command->word, sizeof command->word, "sub-%zu", rule);
    command->argv[0] = command->name;
    command->argv[1] = command->word;
    command->argv[2] = "--force";
    command->argv[3] = "file";
    command->query = (PolicyQuery){
        .jail = "default",
        .uid = 1000,
        .gid = 1000,
        .name = command->name,
        .exe = command->exe,
        .argv = command->argv,
        .argc = 4,
        .cwd = "/app",
    };
}

static double time_batch(const Policy *policy, const Command *commands, size_t n_commands,
                         size_t begin)
{
    PolicyVerdict verdict;
    uint64_t begun = clock_monotonic_ns();

    for (size_t i = 0; i < BATCH; i++)
        policy_judge(policy, &commands[(begin + i) % n_commands].query, &verdict);
    return (double)(clock_monotonic_ns() - begun) / BATCH;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *figures, size_t n_figures)
{
    qsort(figures, n_figures, sizeof *figures, by_value);
    return figures[n_figures / 2];
}

typedef struct Figures {
    double small_ns, large_ns;
} Figures;

static Figures measure(const Policy *small, const Policy *large, size_t n_commands)
{
    static Command of_small[QUERIES_MANY], of_large[QUERIES_MANY];
    static double small_ns[ROUNDS], large_ns[ROUNDS];

    for (size_t i = 0; i < n_commands; i++) {
        fill(&of_small[i], i, SMALL);
        fill(&of_large[i], i, LARGE);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        small_ns[round] = time_batch(small, of_small, n_commands, round * BATCH);
        large_ns[round] = time_batch(large, of_large, n_commands, round * BATCH);
    }
    return (Figures){.small_ns = median(small_ns, ROUNDS), .large_ns = median(large_ns, ROUNDS)};
}

static void show(const char *what, Figures figures)
{
    printf("verdict, %s: %d rules %.0f ns, %d rules %.0f ns, ratio %.2f\n", what, SMALL,
           figures.small_ns, LARGE, figures.large_ns, figures.large_ns / figures.small_ns);
}

int main(int argc, char **argv)
{
    uint64_t begun = clock_monotonic_ms();
    Policy *small = policy_with(SMALL), *large = policy_with(LARGE);
    uint64_t loaded = clock_monotonic_ms() - begun;
    Figures few = measure(small, large, QUERIES_FEW);
    Figures many = measure(small, large, QUERIES_MANY);

    show("64 commands again and again", few);
    show("4096 different commands", many);
    printf("loading %d rules: %llu ms\n", LARGE, (unsigned long long)loaded);
    (void)policy_free(small);
    (void)policy_free(large);
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
    return check && (few.large_ns / few.small_ns > RATIO_MAX || few.large_ns > NANOSECONDS_MAX);
}
