/*
 * Runs a fuzz target over its committed corpus, without a fuzzer: every file, every cut of it, and
 * every file with one byte changed (as far as a small budget goes). A file that crashed once and
 * was fixed is part of the corpus, so it is tried again in every test run, under both builds.
 *
 * An empty corpus is no failure: the empty input is always tried.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most bytes of an input that is read, and most variants that are made of it. */
#define INPUT_MAX (8u * 1024 * 1024)
#define VARIANTS_MAX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_inputs;

/* A copy that is exactly as large as the input, so that a sanitizer sees the first byte too far. */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_inputs++;
}

static void try_variants(uint8_t *data, size_t size)
{
    size_t step = size / VARIANTS_MAX + 1;

    for (size_t cut = 0; cut < size; cut += step)
        try_input(data, cut);
    for (size_t at = 0; at < size; at += step) {
        uint8_t saved = data[at];
        data[at] = (uint8_t)~saved;
        try_input(data, size);
        data[at] = saved;
    }
}

static int try_file(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = malloc(INPUT_MAX);

    if (!file || !data) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        free(data);
        if (file)
            (void)fclose(file);
        return 1;
    }
    size_t size = fread(data, 1, INPUT_MAX, file);
    (void)fclose(file);
    try_input(data, size);
    try_variants(data, size);
    free(data);
    return 0;
}

static int try_directory(const char *path)
{
    DIR *directory = opendir(path);
    int failed = 0;

    if (!directory)
        return errno == ENOENT ? 0 : 1;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        int size = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        failed |= size < 0 || (size_t)size >= sizeof name || try_file(name);
    }
    (void)closedir(directory);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;

    try_input((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        failed |= try_directory(argv[i]);
    printf("%zu inputs\n", n_inputs);
    return failed;
}
