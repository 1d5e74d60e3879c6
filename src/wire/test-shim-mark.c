/*
 * Recognising a shim by its content: files that are one, are none, or try to trip the parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "wire/shim-mark.h"

typedef struct __attribute__((packed)) File {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    Elf64_Nhdr other; /* a note of somebody else before ours */
    char other_owner[4];
    char other_contents[8];
    Elf64_Nhdr note;
    char owner[12];
} File;

static File marked(void)
{
    File file = {
        .header = {.e_phoff = offsetof(File, segments),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .segments = {{.p_type = PT_LOAD},
                     {.p_type = PT_NOTE,
                      .p_offset = offsetof(File, other),
                      .p_filesz = sizeof(File) - offsetof(File, other),
                      .p_align = 4}},
        .other = {.n_namesz = 4, .n_descsz = 5, .n_type = 3},
        .other_owner = "GNU",
        .note = {.n_namesz = sizeof SHIM_MARK_OWNER, .n_type = SHIM_MARK_TYPE},
        .owner = SHIM_MARK_OWNER,
    };
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    return file;
}

/* On a heap block of exactly its size, so that ASan sees the first byte too far. */
static bool is_marked(const void *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    bool result = shim_mark_is_in(copy, size);
    free(copy);
    return result;
}

static void test_found(void **state)
{
    File file = marked();

    (void)state;
    assert_true(is_marked(&file, sizeof file));
    file.segments[1].p_filesz = UINT64_MAX; /* beyond what was read: what is there counts */
    assert_true(is_marked(&file, sizeof file));
}

static void test_every_cut(void **state)
{
    File file = marked();
    size_t needed = offsetof(File, owner) + sizeof SHIM_MARK_OWNER;

    (void)state;
    for (size_t size = 0; size < sizeof file; size++)
        assert_int_equal(is_marked(&file, size), size >= needed);
}

static void test_every_flipped_bit(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof(File); bit++) {
        File file = marked();
        ((unsigned char *)&file)[bit / 8] ^= (unsigned char)(1u << bit % 8);
        (void)is_marked(&file, sizeof file);
    }
}

static void test_others(void **state)
{
    File file = marked();

    (void)state;
    file.note.n_type = SHIM_MARK_TYPE + 1;
    assert_false(is_marked(&file, sizeof file));
    file = marked();
    file.owner[0] = 'c';
    assert_false(is_marked(&file, sizeof file));
    file = marked();
    file.note.n_namesz = sizeof SHIM_MARK_OWNER - 1;
    assert_false(is_marked(&file, sizeof file));
    file = marked();
    file.segments[1].p_type = PT_LOAD;
    assert_false(is_marked(&file, sizeof file));
    file = marked();
    file.header.e_ident[0] = '#';
    assert_false(is_marked(&file, sizeof file));
    assert_false(is_marked("#!/bin/sh\n", 10));
    assert_false(is_marked("", 0));
}

static void test_numbers_that_overflow(void **state)
{
    static const uint64_t numbers[] = {UINT64_MAX, UINT64_MAX - 55, UINT64_MAX / 2,  UINT32_MAX,
                                       INT64_MAX,  sizeof(File),    sizeof(File) - 1};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        File file = marked();
        file.header.e_phoff = numbers[i];
        assert_false(is_marked(&file, sizeof file));
        file = marked();
        file.segments[1].p_offset = numbers[i];
        assert_false(is_marked(&file, sizeof file));
        file = marked();
        file.other.n_namesz = (uint32_t)numbers[i];
        assert_false(is_marked(&file, sizeof file));
        file = marked();
        file.other.n_descsz = (uint32_t)numbers[i];
        assert_false(is_marked(&file, sizeof file));
        file = marked();
        file.note.n_descsz = (uint32_t)numbers[i];
        assert_false(is_marked(&file, sizeof file));
    }
    File file = marked();
    file.header.e_phnum = UINT16_MAX;
    assert_false(is_marked(&file, sizeof file));
}

/* The programs that run this very test are no shims. */
static void test_this_program(void **state)
{
    static char bytes[SHIM_FILE_MAX];
    FILE *stream = fopen("/proc/self/exe", "rbe");

    (void)state;
    assert_non_null(stream);
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    (void)fclose(stream);
    assert_false(is_marked(bytes, size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_flipped_bit),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_numbers_that_overflow),
        cmocka_unit_test(test_this_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
