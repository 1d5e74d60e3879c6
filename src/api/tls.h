/*
 * What TLS is spoken with: version 1.2 or later, OpenSSL's own choice of ciphers.
 */
#pragma once

#include <openssl/types.h>
#include <stddef.h>

/* From PEM texts: the certificate with its chain, and its key without a pass phrase. -EBADMSG with
 * words in `problem`. */
int tls_context_new(SSL_CTX **ret, const char *chain, size_t chain_size, const char *key,
                    size_t key_size, char problem[static 160]);
