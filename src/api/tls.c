/*
 * See tls.h.
 */
#include "api/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>

static int no_pass_phrase(char *text, int size, int writing, void *userdata)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)userdata;
    return -1;
}

static int use_chain(SSL_CTX *context, BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, no_pass_phrase, NULL);
    if (!certificate || SSL_CTX_use_certificate(context, certificate) != 1) {
        X509_free(certificate);
        return -EBADMSG;
    }
    X509_free(certificate);
    for (X509 *next; (next = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL));) {
        if (SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            return -EBADMSG;
        }
    }
    ERR_clear_error(); /* the end of the file */
    return 0;
}

static int use_key(SSL_CTX *context, BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
    int result =
        key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1
            ? 0
            : -EBADMSG;
    EVP_PKEY_free(key);
    return result;
}

int tls_context_new(SSL_CTX **ret, const char *chain, size_t chain_size, const char *key,
                    size_t key_size, char problem[static 160])
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *chain_bio = BIO_new_mem_buf(chain, (int)chain_size);
    BIO *key_bio = BIO_new_mem_buf(key, (int)key_size);
    const char *what = "out of memory";
    int result = -ENOMEM;

    if (context && chain_bio && key_bio &&
        SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1) {
        (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        what = "the certificate file holds no PEM certificate that can be used";
        result = use_chain(context, chain_bio);
        if (result == 0) {
            what = "the key file holds no PEM key without a pass phrase that fits the certificate";
            result = use_key(context, key_bio);
        }
    }
    BIO_free(chain_bio);
    BIO_free(key_bio);
    if (result == 0) {
        *ret = context;
        return 0;
    }
    char reason[80] = "";
    unsigned long error = ERR_peek_last_error();
    if (error)
        ERR_error_string_n(error, reason, sizeof reason);
    (void)snprintf(problem, 160, "%.90s%s%.60s", what, *reason ? ": " : "", reason);
    ERR_clear_error();
    SSL_CTX_free(context);
    return result;
}
