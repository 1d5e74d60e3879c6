/*
 * The api's TCP listener and what TLS is spoken with there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

#define LISTEN_URL_MAX 80u

typedef struct TcpListener {
    int fd;                   /* owned; -EBADF: none */
    char url[LISTEN_URL_MAX]; /* "http://127.0.0.1:8080", with the port it got */
    bool tls;
} TcpListener;

/* Listens at ADDR:PORT (an IP address, an IPv6 one in brackets, or localhost; port 0: any). Off
 * loopback only with TLS. 0 or -errno, and what is wrong and what to do has been said. */
int listen_tcp(const char *where, bool tls, TcpListener *ret);

/* Certificates and key as PEM texts, which the caller wipes; both are obeyed, so both must be files
 * that nobody else can change, and the key one that not everybody can read. 0 or -errno, said. */
int listen_read_tls(const char *certificate, const char *key, Buffer *ret_chain, Buffer *ret_key);
