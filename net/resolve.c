/* Names to addresses, without blocking: what a join is given are words, what the core takes are addresses.
 *
 * A target is `[name/]host[:port]` as Serf writes it; the part before the slash is the name the node is expected to
 * have, which memberlist only uses for TLS and we skip.  Numeric hosts need no lookup and start no thread (libuv makes
 * its threads at the first lookup, which an agent that never sees a name never pays for).  All addresses of a name
 * count.  Those the socket's family cannot reach are left out: a 4-only node has no use for AAAA records.
 *
 * Not here: retrying, caching, DNS over TCP (memberlist's trick against truncated answers; the system's resolver
 * falls back to TCP by itself). */
#include "net/internal.h"

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOLVE_HOST_MAX 256

/* One per target that needs a lookup. */
struct ki_net_name {
    struct ki_net_lookup *lookup;
    uv_getaddrinfo_t request;
    uint16_t port;
    char host[RESOLVE_HOST_MAX];
};

struct ki_net_lookup {
    struct ki_net *net; /* NULL: cancelled */
    struct ki_net_lookup *next;
    ki_net_resolved *done;
    void *arg;
    struct kith_addr *addrs;
    size_t count, cap;
    struct ki_net_name *names;
    size_t pending;
    char why[256]; /* about the last target that gave nothing */
};

static void resolve_add(struct ki_net_lookup *lookup, const struct kith_addr *addr)
{
    struct sockaddr_storage storage;
    socklen_t len;
    if (!ki_addr_to_sockaddr(addr, lookup->net->family, &storage, &len))
        return;
    for (size_t i = 0; i < lookup->count; i++) {
        if (kith_addr_equal(&lookup->addrs[i], addr))
            return; /* one lookup names each address once per socket type */
    }
    if (lookup->count == lookup->cap) {
        size_t cap = lookup->cap ? lookup->cap * 2 : 4;
        struct kith_addr *more = realloc(lookup->addrs, cap * sizeof *more);
        if (!more)
            return;
        lookup->addrs = more;
        lookup->cap = cap;
    }
    lookup->addrs[lookup->count++] = *addr;
}

static void resolve_free(struct ki_net_lookup *lookup)
{
    free(lookup->addrs);
    free(lookup->names);
    free(lookup);
}

static void resolve_finish(struct ki_net_lookup *lookup)
{
    struct ki_net *net = lookup->net;
    if (net) {
        struct ki_net_lookup **link = &net->lookups;
        while (*link != lookup)
            link = &(*link)->next;
        *link = lookup->next;
        lookup->done(lookup->arg, lookup->addrs, lookup->count, lookup->why);
    }
    resolve_free(lookup);
}

static void resolve_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct ki_net_name *name = request->data;
    struct ki_net_lookup *lookup = name->lookup;
    if (lookup->net) {
        size_t before = lookup->count;
        for (struct addrinfo *info = found; info && status == 0; info = info->ai_next) {
            struct kith_addr addr;
            ki_addr_from_sockaddr(info->ai_addr, &addr);
            addr.port = name->port;
            if (addr.ip_len != 0)
                resolve_add(lookup, &addr);
        }
        if (status != 0)
            snprintf(lookup->why, sizeof lookup->why, "look up %.150s: %s", name->host, uv_strerror(status));
        else if (lookup->count == before)
            snprintf(lookup->why, sizeof lookup->why, "%.150s has no new address this node can reach", name->host);
    }
    uv_freeaddrinfo(found);
    if (--lookup->pending == 0)
        resolve_finish(lookup);
}

/* Takes one target: an address now, or a lookup started. */
static void resolve_target(struct ki_net_lookup *lookup, struct kith_str target, struct ki_net_name *name)
{
    const char *slash = target.len > 0 ? memchr(target.ptr, '/', target.len) : NULL;
    struct kith_str place = target;
    if (slash) {
        place.ptr = slash + 1;
        place.len = target.len - (size_t)(slash + 1 - target.ptr);
    }
    struct kith_addr addr;
    int port;
    if (ki_addr_parse(place, lookup->net->bound.port, &addr)) {
        size_t before = lookup->count;
        resolve_add(lookup, &addr);
        if (lookup->count == before)
            snprintf(lookup->why, sizeof lookup->why, "%.*s is given twice, or of a family this node is not bound to",
                     (int)ki_min_size(target.len, 100), target.ptr);
        return;
    }
    if (!ki_addr_split(place, name->host, sizeof name->host, &port)) {
        snprintf(lookup->why, sizeof lookup->why, "malformed address \"%.*s\"", (int)ki_min_size(target.len, 100),
                 target.len ? target.ptr : "");
        return;
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    name->lookup = lookup;
    name->port = port < 0 ? lookup->net->bound.port : (uint16_t)port;
    name->request.data = name;
    int result = uv_getaddrinfo(lookup->net->loop, &name->request, resolve_answer, name->host, NULL, &hints);
    if (result == 0)
        lookup->pending++;
    else
        snprintf(lookup->why, sizeof lookup->why, "look up %.150s: %s", name->host, uv_strerror(result));
}

int ki_net_resolve(struct ki_net *net, const struct kith_str *targets, size_t count, ki_net_resolved *done, void *arg)
{
    if (count == 0)
        return KITH_ERR_ARG;
    struct ki_net_lookup *lookup = calloc(1, sizeof *lookup);
    struct ki_net_name *names = calloc(count, sizeof *names);
    if (!lookup || !names) {
        free(lookup);
        free(names);
        return KITH_ERR_NOMEM;
    }
    lookup->net = net;
    lookup->names = names;
    lookup->done = done;
    lookup->arg = arg;
    lookup->next = net->lookups;
    net->lookups = lookup;
    lookup->pending = 1; /* ours, so that no answer can finish it before all have started */
    for (size_t i = 0; i < count; i++)
        resolve_target(lookup, targets[i], &names[i]);
    if (--lookup->pending == 0)
        resolve_finish(lookup);
    return 0;
}

void ki_net_lookups_cancel(struct ki_net *net)
{
    while (net->lookups) {
        struct ki_net_lookup *lookup = net->lookups;
        net->lookups = lookup->next;
        lookup->net = NULL; /* the answers still come, and free it */
    }
}
