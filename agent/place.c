/* Where the agent is: the address it binds, and the one it tells others.
 *
 * Bound to every address, a node must still name one; like Serf we take the first private one of the interfaces
 * (RFC 6890's private-use and shared blocks, unique local in IPv6), and refuse to guess when there is none: a wrong
 * address would be gossiped to the whole pool. */
#include "agent/internal.h"

#include "base/base.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ki_place_is_private(const struct kith_addr *addr)
{
    const uint8_t *ip = addr->ip;
    if (ki_addr_family(addr) != AF_INET)
        return (ip[0] & 0xfe) == 0xfc; /* fc00::/7 */
    if (addr->ip_len == 16)
        ip += 12;
    return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) || (ip[0] == 192 && ip[1] == 168) ||
           (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

bool ki_place_is_public(const struct kith_addr *addr)
{
    static const uint8_t loopback[16] = {[15] = 1};
    const uint8_t *ip = addr->ip;
    if (ki_addr_family(addr) != AF_INET)
        return !ki_place_is_private(addr) && memcmp(ip, loopback, sizeof loopback) != 0 &&
               !(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
    if (addr->ip_len == 16)
        ip += 12;
    return !ki_place_is_private(addr) && ip[0] != 127 && !(ip[0] == 169 && ip[1] == 254);
}

/* A host name: the first address it has.  Blocking is fine before the loop runs. */
static int place_lookup(const char *host, struct kith_addr *out, char *error, size_t cap)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0) {
        snprintf(error, cap, "%.100s: %s", host, gai_strerror(result));
        return -1;
    }
    uint16_t port = out->port;
    ki_addr_from_sockaddr(found->ai_addr, out);
    out->port = port;
    freeaddrinfo(found);
    return 0;
}

int ki_place_resolve(const char *text, uint16_t default_port, struct kith_addr *out, char *error, size_t cap)
{
    char host[256];
    char whole[300];
    int port;
    bool has_host = text[0] != ':' || text[1] == ':'; /* Go takes ":7946"; "::1" is an address */
    snprintf(whole, sizeof whole, "%s%s", has_host ? "" : "0.0.0.0", text);
    if (ki_addr_parse(ki_str(whole), default_port, out))
        return 0;
    if (!ki_addr_split(ki_str(whole), host, sizeof host, &port)) {
        snprintf(error, cap, "\"%.100s\" is not an address such as 10.0.0.1, 10.0.0.1:7946 or [::1]:7946", text);
        return -1;
    }
    memset(out, 0, sizeof *out);
    out->port = port < 0 ? default_port : (uint16_t)port;
    return place_lookup(host, out, error, cap);
}

int ki_place_private(const struct kith_addr *wildcard, struct kith_addr *out, char *error, size_t cap)
{
    uv_interface_address_t *interfaces;
    int count;
    bool found = false;
    int wanted = ki_addr_family(wildcard);
    int result = uv_interface_addresses(&interfaces, &count);
    if (result != 0) {
        snprintf(error, cap, "cannot list the interfaces: %s", uv_strerror(result));
        return -1;
    }
    for (int i = 0; i < count && !found; i++) {
        struct kith_addr addr;
        ki_addr_from_sockaddr((const struct sockaddr *)&interfaces[i].address, &addr);
        if (interfaces[i].is_internal || ki_addr_family(&addr) != wanted || !ki_place_is_private(&addr))
            continue;
        *out = addr;
        out->port = wildcard->port;
        found = true;
    }
    uv_free_interface_addresses(interfaces, count);
    if (!found)
        snprintf(error, cap,
                 "no interface has a private %s address that others could reach: name one with -advertise=ADDR, or "
                 "with -bind=ADDR (for a pool on this machine only: -bind=127.0.0.1)",
                 wanted == AF_INET ? "IPv4" : "IPv6");
    return found ? 0 : -1;
}
