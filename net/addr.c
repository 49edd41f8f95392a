/* Addresses as text, as socket addresses, and as the core's bytes.
 *
 * The core keeps 4-byte and 16-byte forms apart because the wire does; sockets have families.  An IPv6 socket that is
 * not limited to IPv6 speaks IPv4 in v4-mapped form, and what it receives in that form becomes 4 bytes here, so that
 * one peer has one form whatever our own socket is.
 *
 * Not here: names (resolve.c), zones of link-local addresses, service names instead of ports. */
#include "net/net.h"

#include "base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t addr_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool addr_is_mapped(const struct kith_addr *addr)
{
    return addr->ip_len == 16 && memcmp(addr->ip, addr_mapped, sizeof addr_mapped) == 0;
}

static bool addr_port(const char *text, size_t len, int *port)
{
    if (len == 0 || len > 5)
        return false;
    int value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *port = value;
    return value <= 65535;
}

bool ki_addr_split(struct kith_str text, char *host, size_t host_cap, int *port)
{
    const char *begin = text.ptr;
    size_t host_len = text.len;
    *port = -1;
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        if (!close)
            return false;
        begin = text.ptr + 1;
        host_len = (size_t)(close - begin);
        size_t rest = text.len - host_len - 2;
        if (rest > 0 && (close[1] != ':' || !addr_port(close + 2, rest - 1, port)))
            return false;
    } else {
        const char *colon = memchr(text.ptr, ':', text.len);
        const char *last = colon ? memrchr(text.ptr, ':', text.len) : NULL;
        if (colon && colon == last) { /* two colons or more: a bare IPv6 address */
            host_len = (size_t)(colon - text.ptr);
            if (!addr_port(colon + 1, text.len - host_len - 1, port))
                return false;
        }
    }
    if (host_len == 0 || host_len >= host_cap || memchr(begin, '\0', host_len))
        return false;
    memcpy(host, begin, host_len);
    host[host_len] = '\0';
    return true;
}

bool ki_addr_parse(struct kith_str text, uint16_t default_port, struct kith_addr *out)
{
    char host[KI_ADDR_TEXT];
    int port;
    if (!ki_addr_split(text, host, sizeof host, &port))
        return false;
    memset(out, 0, sizeof *out);
    out->port = port < 0 ? default_port : (uint16_t)port;
    if (inet_pton(AF_INET, host, out->ip) == 1)
        out->ip_len = 4;
    else if (inet_pton(AF_INET6, host, out->ip) == 1)
        out->ip_len = 16;
    else
        return false;
    return true;
}

void ki_addr_format_ip(const struct kith_addr *addr, char out[KI_ADDR_TEXT])
{
    bool mapped = addr_is_mapped(addr);
    int family = addr->ip_len == 4 || mapped ? AF_INET : AF_INET6;
    if ((addr->ip_len != 4 && addr->ip_len != 16) ||
        !inet_ntop(family, mapped ? addr->ip + 12 : addr->ip, out, KI_ADDR_TEXT))
        snprintf(out, KI_ADDR_TEXT, "?");
}

void ki_addr_format(const struct kith_addr *addr, char out[KI_ADDR_TEXT])
{
    char ip[KI_ADDR_TEXT];
    ki_addr_format_ip(addr, ip);
    if (strchr(ip, ':'))
        snprintf(out, KI_ADDR_TEXT, "[%.46s]:%u", ip, (unsigned)addr->port);
    else
        snprintf(out, KI_ADDR_TEXT, "%.46s:%u", ip, (unsigned)addr->port);
}

void ki_addr_from_sockaddr(const struct sockaddr *from, struct kith_addr *out)
{
    memset(out, 0, sizeof *out);
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        memcpy(out->ip, &in.sin_addr, 4);
        out->ip_len = 4;
        out->port = ntohs(in.sin_port);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        memcpy(out->ip, &in6.sin6_addr, 16);
        out->ip_len = 16;
        out->port = ntohs(in6.sin6_port);
        if (addr_is_mapped(out)) {
            memmove(out->ip, out->ip + 12, 4);
            memset(out->ip + 4, 0, 12);
            out->ip_len = 4;
        }
    }
}

bool ki_addr_to_sockaddr(const struct kith_addr *addr, int family, struct sockaddr_storage *out, socklen_t *len)
{
    memset(out, 0, sizeof *out);
    if (family == AF_INET && ki_addr_family(addr) == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip_len == 4 ? addr->ip : addr->ip + 12, 4);
        memcpy(out, &in, sizeof in);
        *len = sizeof in;
        return true;
    }
    if (family == AF_INET6 && (addr->ip_len == 4 || addr->ip_len == 16)) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
        uint8_t ip[16];
        memcpy(ip, addr_mapped, sizeof addr_mapped);
        memcpy(ip + 12, addr->ip, 4);
        memcpy(&in6.sin6_addr, addr->ip_len == 4 ? ip : addr->ip, 16);
        memcpy(out, &in6, sizeof in6);
        *len = sizeof in6;
        return true;
    }
    return false;
}

bool ki_addr_is_wildcard(const struct kith_addr *addr)
{
    for (size_t i = 0; i < addr->ip_len; i++) {
        if (addr->ip[i] != 0)
            return false;
    }
    return true;
}

bool ki_addr_same_ip(const struct kith_addr *a, const struct kith_addr *b)
{
    if (ki_addr_family(a) != ki_addr_family(b))
        return false;
    if (ki_addr_family(a) == AF_INET)
        return memcmp(a->ip_len == 4 ? a->ip : a->ip + 12, b->ip_len == 4 ? b->ip : b->ip + 12, 4) == 0;
    return memcmp(a->ip, b->ip, 16) == 0;
}

int ki_addr_family(const struct kith_addr *addr)
{
    return addr->ip_len == 4 || addr_is_mapped(addr) ? AF_INET : AF_INET6;
}
