/*
 * netlab's state, shared by the switch (netlab.c) and its line protocol (control.c).
 */
#ifndef NETLAB_H
#define NETLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>

enum {
    MAX_PORTS = 64,
    MAX_MACS = 1024,
    VNET_LEN = sizeof(struct virtio_net_hdr),
    FRAME_MAX = VNET_LEN + 65536 + ETH_HLEN + 4,
    BURST = 64, /* frames taken from one port before the others get their turn */
    QUEUE_BYTES = 64 * 1024 * 1024, /* 30 ports at 10 Mbit/s delayed by 1 s are 38 MB */
    SOCKET_BUFFER = 8 * 1024 * 1024,
    LINE_MAX_LEN = 1024
};

struct rule {
    bool cut;
    uint32_t loss_ppm;
    int64_t delay_us;
    int64_t jitter_us;
    uint64_t frames, bytes; /* forwarded; bytes with the Ethernet header */
    uint64_t lost, dropped_cut, overflow;
};

struct frame {
    int64_t due_us;
    uint64_t order; /* equal due times leave in order of arrival */
    uint32_t from, to;
    uint32_t len;
    unsigned char bytes[];
};

struct mac_entry {
    unsigned char mac[ETH_ALEN];
    uint32_t port;
};

struct lab {
    uint32_t port_count;
    int fd[MAX_PORTS];
    const char *name[MAX_PORTS];
    uint64_t kernel_drops[MAX_PORTS];
    struct rule rules[MAX_PORTS][MAX_PORTS];
    struct mac_entry macs[MAX_MACS];
    uint32_t mac_count;
    struct frame **heap; /* binary heap, earliest due first */
    size_t heap_count, heap_room, heap_bytes;
    uint64_t order;
    uint64_t rng;
    int listen_fd, control_fd;
    char line[LINE_MAX_LEN];
    size_t line_len;
    bool quit;
};

/* Opens the Unix socket `path` for one client at a time. -1 if it cannot, errno says why. */
int netlab_listen(const char *path);

/* Reads what the control client sent and obeys every whole line of it. */
void netlab_control(struct lab *lab);

#endif
