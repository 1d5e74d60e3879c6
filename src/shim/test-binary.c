/*
 * The build's own check of the shim: small, static, position-independent, without an executable
 * stack, and marked as a shim. With --sanitized only the mark is asked for.
 */
#include <stdio.h>
#include <string.h>

#include "wire/shim-mark.h"

static int complain(const char *problem)
{
    (void)fprintf(stderr, "the shim %s\n", problem);
    return 1;
}

static int check_segments(const char *file, size_t size)
{
    Elf64_Ehdr header;
    memcpy(&header, file, sizeof header);
    if (header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr) > size)
        return complain("has its program headers outside the file");
    if (header.e_type != ET_DYN)
        (void)fprintf(stderr, "note: no rcrt1.o here, the shim is not position-independent\n");

    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, file + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_INTERP)
            return complain("is not static: it names an interpreter");
        if (segment.p_type == PT_GNU_STACK && segment.p_flags & PF_X)
            return complain("has an executable stack");
        if (segment.p_type != PT_DYNAMIC)
            continue;
        for (size_t at = 0; at + sizeof(Elf64_Dyn) <= segment.p_filesz; at += sizeof(Elf64_Dyn)) {
            Elf64_Dyn entry;
            memcpy(&entry, file + segment.p_offset + at, sizeof entry);
            if (entry.d_tag == DT_NEEDED)
                return complain("is not static: it needs a library");
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char file[8 * 1024 * 1024];

    FILE *stream = argc > 1 ? fopen(argv[1], "rbe") : NULL;
    if (!stream)
        return complain("cannot be opened");
    size_t size = fread(file, 1, sizeof file, stream);
    (void)fclose(stream);

    if (!shim_mark_is_in(file, size < SHIM_FILE_MAX ? size : SHIM_FILE_MAX))
        return complain("does not carry its mark in its first 64 KiB");
    if (argc > 2 && strcmp(argv[2], "--sanitized") == 0)
        return 0;
    if (size > SHIM_FILE_MAX)
        return complain("is larger than 64 KiB");
    return check_segments(file, size);
}
