/* What the files of net/ share. */
#ifndef KI_NET_INTERNAL_H
#define KI_NET_INTERNAL_H

#include "net/net.h"

#define KI_NET_BATCH 64          /* datagrams read in one go, so that a flood does not starve the clock */
#define KI_NET_SLOTS 4           /* datagrams read by one system call */
#define KI_NET_SLOT_SIZE 65536u  /* the largest datagram, and one read or write of a stream */

struct ki_net_stream;
struct ki_net_lookup;

struct ki_net {
    uv_loop_t *loop;
    kith *k; /* NULL before ki_net_start() and after ki_net_close() */
    struct kith_addr bound;
    int family;
    void (*event)(void *arg, const struct kith_event *event);
    void (*record)(void *arg, const struct kith_record *record);
    void *arg;

    int udp_fd;
    uv_poll_t udp;
    int udp_events; /* what udp waits for now */
    uv_tcp_t listener;
    uv_timer_t timer;
    uint64_t timer_at_ms; /* 0: not running */

    bool pumping, again, closing;
    bool send_blocked;    /* the datagram in the send slot waits for the socket */
    size_t blocked_len;
    struct kith_addr blocked_to;
    unsigned open_handles;
    void (*closed)(void *arg);
    void *closed_arg;

    struct ki_net_stream *streams;
    size_t stream_count;
    struct ki_net_lookup *lookups;
    struct kith_addr *drops;
    size_t drop_count;
    struct ki_net_counters count;
    char failure[KI_ADDR_TEXT + 96];
    uint8_t *slots; /* KI_NET_SLOTS to receive, one to send: touched only as far as datagrams are long */
};

/* net.c */
bool ki_net_is_dropped(struct ki_net *net, const struct kith_addr *addr); /* and counts it */
void ki_net_handle_closed(struct ki_net *net);                            /* one of open_handles is gone */

/* datagram.c */
int ki_net_udp_open(struct ki_net *net);
void ki_net_udp_ready(uv_poll_t *handle, int status, int events);
void ki_net_udp_receive_all(struct ki_net *net); /* up to KI_NET_BATCH */
void ki_net_udp_send_all(struct ki_net *net);
void ki_net_udp_wait(struct ki_net *net);

/* stream.c */
void ki_net_stream_accept(uv_stream_t *listener, int status);
void ki_net_stream_act(struct ki_net *net, const struct kith_stream_action *action);
void ki_net_streams_drop(struct ki_net *net);  /* fails those whose peer is on the drop list now */
void ki_net_streams_close(struct ki_net *net); /* at the end */

/* resolve.c */
void ki_net_lookups_cancel(struct ki_net *net);

#endif
