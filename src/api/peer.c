/*
 * Addresses of a connection: who is at the other end, and which of ours it reached.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "api/http-connection.h"

typedef union Address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} Address;

/* An IPv4 address that came by an IPv6 socket is an IPv4 address. */
static void unmap(Address *address)
{
    if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
        return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address->v6.sin6_port};
    memcpy(&v4.sin_addr, address->v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    address->v4 = v4;
}

static bool is_loopback(const Address *address)
{
    if (address->any.sa_family == AF_INET)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* An IPv6 customer has at least 2^64 addresses: they count as one. */
static void put_peer(const Address *address, char *text)
{
    char words[INET6_ADDRSTRLEN] = "?";
    struct in6_addr network = {0};

    if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, words, sizeof words);
        (void)snprintf(text, HTTP_PEER_MAX, "%s", words);
    } else if (address->any.sa_family == AF_INET6) {
        memcpy(&network, &address->v6.sin6_addr, 8);
        (void)inet_ntop(AF_INET6, &network, words, sizeof words);
        (void)snprintf(text, HTTP_PEER_MAX, "%s/64", words);
    }
}

static void put_local(const Address *address, char *text)
{
    char words[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET &&
        inet_ntop(AF_INET, &address->v4.sin_addr, words, sizeof words))
        (void)snprintf(text, HTTP_PEER_MAX, "%s", words);
    else if (address->any.sa_family == AF_INET6 &&
             inet_ntop(AF_INET6, &address->v6.sin6_addr, words, sizeof words))
        (void)snprintf(text, HTTP_PEER_MAX, "[%s]", words);
}

void http_connection_find_peer(HttpConnection *connection, int fd)
{
    Address peer = {.any.sa_family = AF_UNSPEC}, local = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof peer;

    (void)snprintf(connection->peer, HTTP_PEER_MAX, "unix");
    connection->local[0] = '\0';
    connection->loopback = true;
    if (connection->door == HTTP_DOOR_UNIX)
        return;
    if (getpeername(fd, &peer.any, &size) < 0)
        peer.any.sa_family = AF_UNSPEC;
    size = sizeof local;
    if (getsockname(fd, &local.any, &size) < 0)
        local.any.sa_family = AF_UNSPEC;
    unmap(&peer);
    unmap(&local);
    (void)snprintf(connection->peer, HTTP_PEER_MAX, "?");
    put_peer(&peer, connection->peer);
    put_local(&local, connection->local);
    connection->loopback = is_loopback(&peer);
}
