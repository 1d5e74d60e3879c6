/*
 * BLAKE2b-256 (RFC 7693, libsodium): digests of files, of what a request binds, of the journal.
 */
#pragma once

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE (2 * DIGEST_SIZE + 1)

typedef struct Digest {
    unsigned char bytes[DIGEST_SIZE];
} Digest;

typedef crypto_generichash_state DigestState;

void digest_begin(DigestState *state);
void digest_add(DigestState *state, const void *bytes, size_t size);
/* A u64 length before the bytes: a sequence of fields cannot be cut differently. */
void digest_add_field(DigestState *state, const void *bytes, size_t size);
Digest digest_end(DigestState *state);

bool digest_equal(const Digest *a, const Digest *b);
bool digest_is_zero(const Digest *digest);
/* Lower-case hex and a NUL into `text`, which is returned. */
const char *digest_format(const Digest *digest, char text[static DIGEST_HEX_SIZE]);
int digest_parse(const char *text, Digest *ret);

/* The digest of a regular file from offset 0 by pread(2): the file offset stays, and it works on a
 * descriptor opened O_RDONLY. Returns 0 or -errno; `ret_size` (may be NULL) is the bytes hashed. */
int digest_file(int fd, Digest *ret, uint64_t *ret_size);

/* What an approval binds of a command's own words: argv and the environment it will get. */
Digest digest_command(const char *const *argv, size_t argc, const char *const *env, size_t envc);
