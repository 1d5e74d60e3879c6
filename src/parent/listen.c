/*
 * See listen.h.
 */
#include "parent/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "api/tls.h"
#include "base/fd.h"
#include "base/log.h"
#include "parent/places.h"

#define BACKLOG 1024
#define PEM_MAX (256u << 10)

typedef union Address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} Address;

static bool is_loopback(const Address *address)
{
    if (address->any.sa_family == AF_INET)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* No name but localhost: what a name leads to may change, and with it who can reach us. */
static int parse(const char *where, Address *ret, socklen_t *ret_size)
{
    char host[64];
    const char *colon = strrchr(where, ':'), *from = where;
    struct addrinfo *found = NULL,
                    hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};

    if (!colon || colon == where || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return -EINVAL;
    size_t size = (size_t)(colon - where);
    bool brackets = where[0] == '[' && colon[-1] == ']';
    if (brackets) {
        from++;
        size -= 2;
    }
    if (size == 0 || size >= sizeof host || (!brackets && memchr(from, ':', size)))
        return -EINVAL;
    memcpy(host, from, size);
    host[size] = '\0';
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -EINVAL;
    memcpy(&ret->room, found->ai_addr, found->ai_addrlen);
    *ret_size = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static void put_url(int fd, bool tls, char *url)
{
    Address address = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    char text[INET6_ADDRSTRLEN] = "?";

    if (getsockname(fd, &address.any, &size) < 0)
        return;
    bool v6 = address.any.sa_family == AF_INET6;
    (void)inet_ntop(address.any.sa_family,
                    v6 ? (const void *)&address.v6.sin6_addr : (const void *)&address.v4.sin_addr,
                    text, sizeof text);
    (void)snprintf(url, LISTEN_URL_MAX, "%s://%s%s%s:%u", tls ? "https" : "http", v6 ? "[" : "",
                   text, v6 ? "]" : "",
                   (unsigned)ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port));
}

static int explain(const char *where, int error)
{
    if (error == -EADDRINUSE)
        log_error("--api %s: something listens there already; choose another with --api ADDR:PORT "
                  "(port 0: any free one), or --api none for the unix socket alone",
                  where);
    else
        log_error("--api %s: %s", where, strerror(-error));
    return error;
}

int listen_tcp(const char *where, bool tls, TcpListener *ret)
{
    Address address = {.any.sa_family = AF_UNSPEC};
    socklen_t size = 0;
    int on = 1;

    *ret = (TcpListener){.fd = -EBADF, .tls = tls};
    if (parse(where, &address, &size) < 0) {
        log_error("--api %s: must be ADDR:PORT with an IP address (IPv6 in brackets), or none",
                  where);
        return -EINVAL;
    }
    if (!is_loopback(&address) && !tls) {
        log_error("--api %s can be reached from elsewhere, and passwords and tokens must not go "
                  "there unencrypted: give --tls-cert FILE and --tls-key FILE, or listen on "
                  "127.0.0.1 behind a proxy that speaks TLS",
                  where);
        return -EPERM;
    }
    _cleanup_fd_ int fd =
        socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return explain(where, -errno);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address.any, size) < 0 || listen(fd, BACKLOG) < 0)
        return explain(where, -errno);
    put_url(fd, tls, ret->url);
    ret->fd = TAKE_FD(fd);
    return 0;
}

/* A file that we obey. */
static int read_pem(const char *path, bool secret, Buffer *ret)
{
    struct stat status;
    _cleanup_fd_ int fd = place_trusted_file(path, geteuid());

    if (fd < 0) {
        log_error("%s: %s", path, place_problem(fd));
        return fd;
    }
    if (secret && (fstat(fd, &status) < 0 || (status.st_mode & S_IRWXO) != 0)) {
        log_error("%s: everybody can read this key; chmod o= it", path);
        return -EPERM;
    }
    *ret = BUFFER_EMPTY(PEM_MAX);
    for (;;) {
        char *room = buffer_reserve(ret, 4096);
        ssize_t got = room ? read(fd, room, 4096) : 0;
        if (!room || got < 0) {
            log_error("%s: %s", path, room ? strerror(errno) : "is no PEM file: it is too large");
            return -EBADMSG;
        }
        if (got == 0)
            return 0;
        buffer_grow(ret, (size_t)got);
    }
}

int listen_read_tls(const char *certificate, const char *key, Buffer *ret_chain, Buffer *ret_key)
{
    char problem[160];
    SSL_CTX *context = NULL;

    *ret_chain = *ret_key = BUFFER_EMPTY(PEM_MAX);
    int result = read_pem(certificate, false, ret_chain);
    if (result == 0)
        result = read_pem(key, true, ret_key);
    if (result < 0)
        return result;
    result = tls_context_new(&context, buffer_head(ret_chain), buffer_size(ret_chain),
                             buffer_head(ret_key), buffer_size(ret_key), problem);
    if (result < 0)
        log_error("--tls-cert %s, --tls-key %s: %s", certificate, key, problem);
    SSL_CTX_free(context);
    return result;
}
