/*
 * Sealed copies: bytes that nobody can change any more, to hash and then to run.
 *
 * A file that the caller may write can change at any moment, even through a mapping made earlier,
 * which moves no time stamp. A memfd with all write seals cannot (fcntl(2), F_ADD_SEALS).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The largest file that is hashed or copied for an approval. */
#define SEAL_FILE_MAX (UINT64_C(1) << 30)

/* A sealed, read-only copy of a regular file. The descriptor (CLOEXEC) is the caller's. -EFBIG
 * above SEAL_FILE_MAX, -errno. */
int seal_copy(int fd, const char *name, int *ret_fd);
/* The same of bytes. */
int seal_bytes(const void *bytes, size_t size, const char *name, int *ret_fd);
