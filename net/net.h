/* The libuv driver: one UDP socket and one TCP listener on one address, feeding one `kith`.
 *
 *     ki_net_open()    binds; the port is ours or the error says so
 *     kith_new(), kith_load() ..., kith_ready(k, ki_net_now())
 *     ki_net_start()   from here on datagrams, streams and time flow
 *     ki_net_kick()    after every ask to the core, so that its outputs are polled
 *     ki_net_close()   everything is closed, and then closed(arg) is called; the core is the caller's */
#ifndef KI_NET_NET_H
#define KI_NET_NET_H

#include "kith/kith.h"

#include <sys/socket.h>
#include <uv.h>

struct ki_net;

struct ki_net_config {
    uv_loop_t *loop;
    struct kith_addr bind; /* port 0: any free one */
    void (*event)(void *arg, const struct kith_event *event);
    void (*record)(void *arg, const struct kith_record *record); /* NULL: records are never polled */
    void *arg;
};

/* Returns 0 or a libuv error: UV_EADDRINUSE (port taken), UV_EADDRNOTAVAIL (no such address here), UV_ENOMEM, ... */
int ki_net_open(struct ki_net **out, const struct ki_net_config *config);
/* The address that was bound, with its port. */
struct kith_addr ki_net_bound(const struct ki_net *net);
/* Starts driving `k`, which is borrowed until ki_net_close() has ended. */
void ki_net_start(struct ki_net *net, kith *k);
/* Polls what the core wants and sets the timer.  May be called from the callbacks: it then happens right after. */
void ki_net_kick(struct ki_net *net);
/* From here on the core is not touched.  closed() comes from the loop, when net is gone. */
void ki_net_close(struct ki_net *net, void (*closed)(void *arg), void *arg);

struct kith_time ki_net_now(void);

/* What went through the sockets. */
struct ki_net_counters {
    uint64_t datagrams_in, datagram_bytes_in, datagrams_out, datagram_bytes_out;
    uint64_t datagrams_refused;  /* the operating system said so: ICMP, or a failing send */
    uint64_t streams_accepted, streams_opened, streams_failed, streams_full;
    uint64_t stream_bytes_in, stream_bytes_out;
    uint64_t dropped;            /* by the drop list, datagrams and streams */
};
void ki_net_counters(const struct ki_net *net, struct ki_net_counters *out);
/* Streams open now. */
size_t ki_net_stream_count(const struct ki_net *net);
/* The newest failure of an outgoing stream, "connect to 127.0.0.1:9: connection refused"; "" if there was none. */
const char *ki_net_last_failure(const struct ki_net *net);

/* Nothing passes from or to these IP addresses any more (ports do not count); replaces the list.  Returns 0 or
 * KITH_ERR_NOMEM, and then nothing has changed. */
int ki_net_drop(struct ki_net *net, const struct kith_addr *addrs, size_t count);

/* ---- names (net/resolve.c) ---- */

/* Ends a lookup.  addrs: every address found that this node's socket can reach, borrowed for the call.
 * why: text about the targets that gave none, "" if all did. */
typedef void ki_net_resolved(void *arg, const struct kith_addr *addrs, size_t count, const char *why);

/* Looks up `[name/]host[:port]` targets; numeric ones need no lookup, and when all are numeric, done is called before
 * this returns.  Returns 0, KITH_ERR_ARG (no target), KITH_ERR_NOMEM. */
int ki_net_resolve(struct ki_net *net, const struct kith_str *targets, size_t count, ki_net_resolved *done, void *arg);

/* ---- addresses (net/addr.c) ---- */

#define KI_ADDR_TEXT 56 /* enough for "[ipv6]:65535" and its NUL */

/* Splits `host`, `host:port`, `[v6]:port`, `[v6]` or a bare v6 address.  *port is -1 if there is none.  False: malformed,
 * or the host needs host_cap bytes or more. */
bool ki_addr_split(struct kith_str text, char *host, size_t host_cap, int *port);
/* Reads a numeric address; the port is default_port when the text has none. */
bool ki_addr_parse(struct kith_str text, uint16_t default_port, struct kith_addr *out);
/* "1.2.3.4:7946" or "[::1]:7946"; v4-mapped ones as IPv4. */
void ki_addr_format(const struct kith_addr *addr, char out[KI_ADDR_TEXT]);
/* The same without port. */
void ki_addr_format_ip(const struct kith_addr *addr, char out[KI_ADDR_TEXT]);
void ki_addr_from_sockaddr(const struct sockaddr *from, struct kith_addr *out);
/* In the form a socket of this family takes; false when the family cannot reach it. */
bool ki_addr_to_sockaddr(const struct kith_addr *addr, int family, struct sockaddr_storage *out, socklen_t *len);
bool ki_addr_is_wildcard(const struct kith_addr *addr);
bool ki_addr_same_ip(const struct kith_addr *a, const struct kith_addr *b);
int ki_addr_family(const struct kith_addr *addr); /* AF_INET or AF_INET6, by the bytes: v4-mapped is AF_INET */

#endif
