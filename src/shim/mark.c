/*
 * The note that makes this file known as a shim (wire/shim-mark.h). Nothing in the program refers
 * to it: "used" keeps it past the compiler, "a" puts it into a loaded segment and so past strip(1).
 */
#include "wire/shim-mark.h"

static const struct {
    Elf64_Nhdr header;
    char owner[(sizeof SHIM_MARK_OWNER + 3) / 4 * 4];
} mark __attribute__((used, aligned(4), section(".note.clawrden"))) = {
    .header = {.n_namesz = sizeof SHIM_MARK_OWNER, .n_descsz = 0, .n_type = SHIM_MARK_TYPE},
    .owner = SHIM_MARK_OWNER,
};
