/*
 * See digest.h.
 */
#include "base/digest.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void digest_begin(DigestState *state)
{
    (void)crypto_generichash_init(state, NULL, 0, DIGEST_SIZE);
}

void digest_add(DigestState *state, const void *bytes, size_t size)
{
    if (size > 0)
        (void)crypto_generichash_update(state, bytes, size);
}

void digest_add_field(DigestState *state, const void *bytes, size_t size)
{
    uint64_t wire = htole64(size);
    digest_add(state, &wire, sizeof wire);
    digest_add(state, bytes, size);
}

Digest digest_end(DigestState *state)
{
    Digest digest;
    (void)crypto_generichash_final(state, digest.bytes, sizeof digest.bytes);
    return digest;
}

bool digest_equal(const Digest *a, const Digest *b)
{
    return sodium_memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

bool digest_is_zero(const Digest *digest)
{
    return sodium_is_zero(digest->bytes, DIGEST_SIZE) == 1;
}

const char *digest_format(const Digest *digest, char text[static DIGEST_HEX_SIZE])
{
    return sodium_bin2hex(text, DIGEST_HEX_SIZE, digest->bytes, DIGEST_SIZE);
}

int digest_parse(const char *text, Digest *ret)
{
    size_t size = 0;
    const char *end = NULL;
    if (sodium_hex2bin(ret->bytes, DIGEST_SIZE, text, strlen(text), NULL, &size, &end) != 0 ||
        size != DIGEST_SIZE || *end)
        return -EINVAL;
    return 0;
}

int digest_file(int fd, Digest *ret, uint64_t *ret_size)
{
    char chunk[64 * 1024];
    DigestState state;
    off_t at = 0;

    digest_begin(&state);
    for (;;) {
        ssize_t got = pread(fd, chunk, sizeof chunk, at);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (got == 0)
            break;
        digest_add(&state, chunk, (size_t)got);
        at += got;
    }
    *ret = digest_end(&state);
    if (ret_size)
        *ret_size = (uint64_t)at;
    return 0;
}

static void add_vector(DigestState *state, const char *const *strings, size_t count)
{
    uint64_t wire = htole64(count);
    digest_add(state, &wire, sizeof wire);
    for (size_t i = 0; i < count; i++)
        digest_add_field(state, strings[i], strlen(strings[i]));
}

Digest digest_command(const char *const *argv, size_t argc, const char *const *env, size_t envc)
{
    DigestState state;

    digest_begin(&state);
    add_vector(&state, argv, argc);
    add_vector(&state, env, envc);
    return digest_end(&state);
}
