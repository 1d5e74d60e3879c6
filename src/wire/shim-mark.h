/*
 * The mark by which any shim is known by its content, whatever it is called and wherever it lies:
 * an ELF note (section .note.clawrden, owner "Clawrden", type 1) in an allocated segment, which
 * strip(1) keeps. PATH look-up asks shim_mark_is_in() so that it can never find a shim.
 *
 * libc only. The bytes are hostile (a prisoner may own the file): every offset and size is checked
 * against the bytes that are there before it is used. A file that is not a well-formed 64-bit
 * little-endian ELF is no shim. Facts: elf(5), "Note Section" of the System V gABI.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SHIM_MARK_OWNER "Clawrden"
#define SHIM_MARK_TYPE 1

/* A shim is at most this large, and its mark lies within these first bytes. */
#define SHIM_FILE_MAX (64u * 1024)

/* More program headers than any real program has; a shim has about ten. */
#define SHIM_MARK_HEADERS_MAX 64

/* Walks one note segment: name and contents are each padded to `align`. */
static inline bool shim_mark_is_in_notes(const char *notes, size_t size, size_t align)
{
    size_t at = 0;

    while (size - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, notes + at, sizeof note);
        at += sizeof note;

        size_t left = size - at;
        if (note.n_namesz > left || note.n_descsz > left)
            return false;
        const char *owner = notes + at;
        if (note.n_type == SHIM_MARK_TYPE && note.n_namesz == sizeof SHIM_MARK_OWNER &&
            memcmp(owner, SHIM_MARK_OWNER, sizeof SHIM_MARK_OWNER) == 0)
            return true;

        size_t name_size = (note.n_namesz + align - 1) / align * align;
        size_t contents_size = (note.n_descsz + align - 1) / align * align;
        if (name_size > left || contents_size > left - name_size)
            return false;
        at += name_size + contents_size;
    }
    return false;
}

/* Is a file that begins with these `size` bytes (its first 64 KiB, or all of it) a shim? */
static inline bool shim_mark_is_in(const void *bytes, size_t size)
{
    const char *file = (const char *)bytes;
    Elf64_Ehdr header;

    if (size < sizeof header)
        return false;
    memcpy(&header, file, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phnum > SHIM_MARK_HEADERS_MAX)
        return false;
    if (header.e_phoff > size || size - header.e_phoff < header.e_phnum * sizeof(Elf64_Phdr))
        return false;

    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, file + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type != PT_NOTE || segment.p_offset > size)
            continue;
        size_t there = size - (size_t)segment.p_offset;
        if (segment.p_filesz < there)
            there = (size_t)segment.p_filesz;
        if (shim_mark_is_in_notes(file + segment.p_offset, there, segment.p_align == 8 ? 8 : 4))
            return true;
    }
    return false;
}
