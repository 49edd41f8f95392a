/*
 * netlab: a switch made of packet sockets, for tests that need a bad network.
 *
 * The idea: every node of a test lives in its own network namespace and is wired, by a veth pair,
 * to one of this program's ports. A frame read from a port is switched by its destination address
 * (learned from source addresses; unknown, broadcast and multicast addresses flood, which is also
 * what IPv6 neighbour discovery needs), and each directed pair of ports has its own rule: cut,
 * loss, delay with jitter. So a test can cut one direction of one link, and count what crossed it,
 * with nothing but veth and packet sockets from the kernel.
 *
 *     node 1 --veth-- port 1 \             / port 3 --veth-- node 3
 *                             [ rules[from][to] ]
 *     node 2 --veth-- port 2 /             \ port 4 --veth-- node 4
 *
 * Checksum and segmentation offload: a veth hands out frames whose checksum is only half done, and
 * larger than the MTU. PACKET_VNET_HDR carries that knowledge beside each frame and gives it back
 * when the frame is sent, so the receiving kernel sees what it would have seen over a plain veth.
 * (Whoever wires the lab sets gso_max_segs 1 where loss has to fall on single frames.)
 *
 * Rules are judged when a frame arrives: what is already in flight when a link is cut still lands,
 * as on a wire. Jitter may reorder frames, as networks do. Randomness comes from -r SEED, so one
 * seed loses the same frames of the same traffic. Frames waiting for their delay are bounded
 * (QUEUE_BYTES); beyond, they are dropped and counted.
 *
 * Control is a line protocol on standard input, or with -s PATH on a Unix socket, one client at a
 * time. Every command is answered by lines ending in `ok` or `error: ...`. A and B are ports
 * (1..N) or `*`; `A B` is both directions, `A>B` one:
 *
 *     cut A B          heal [A B]     partition 1,2|3,4      reset     stats     quit
 *     delay A B 5ms [2ms of jitter]   loss A B 2.5%  (or 500ppm)
 *
 * partition cuts every pair whose ports are in different groups and heals every pair within one; a
 * port in no group keeps its links. heal clears cuts only; reset clears all rules, not the
 * counters.
 *
 * It deliberately does not model bandwidth, VLANs, or more than MAX_PORTS ports.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "netlab.h"

static int64_t netlab_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* splitmix64 (Steele, Lea, Flood 2014): one word of state, good enough to lose frames by. */
static uint64_t netlab_random(struct lab *lab)
{
    uint64_t z = lab->rng += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* ---- the delay queue ---- */

static bool netlab_before(const struct frame *a, const struct frame *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static bool netlab_heap_push(struct lab *lab, struct frame *frame)
{
    if (lab->heap_count == lab->heap_room) {
        size_t room = lab->heap_room ? lab->heap_room * 2 : 1024;
        struct frame **heap = realloc(lab->heap, room * sizeof(*heap));
        if (!heap)
            return false;
        lab->heap = heap;
        lab->heap_room = room;
    }
    size_t i = lab->heap_count++;
    while (i > 0 && netlab_before(frame, lab->heap[(i - 1) / 2])) {
        lab->heap[i] = lab->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    lab->heap[i] = frame;
    lab->heap_bytes += frame->len;
    return true;
}

static struct frame *netlab_heap_pop(struct lab *lab)
{
    struct frame *top = lab->heap[0];
    struct frame *last = lab->heap[--lab->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= lab->heap_count)
            break;
        if (child + 1 < lab->heap_count && netlab_before(lab->heap[child + 1], lab->heap[child]))
            child++;
        if (!netlab_before(lab->heap[child], last))
            break;
        lab->heap[i] = lab->heap[child];
        i = child;
    }
    if (lab->heap_count > 0)
        lab->heap[i] = last;
    lab->heap_bytes -= top->len;
    return top;
}

/* ---- switching ---- */

/* A full table forgets nothing and floods what it does not know: slower, never wrong. */
static void netlab_learn(struct lab *lab, const unsigned char *mac, uint32_t port)
{
    if (mac[0] & 1)
        return;
    for (uint32_t i = 0; i < lab->mac_count; i++) {
        if (memcmp(lab->macs[i].mac, mac, ETH_ALEN) == 0) {
            lab->macs[i].port = port;
            return;
        }
    }
    if (lab->mac_count < MAX_MACS) {
        memcpy(lab->macs[lab->mac_count].mac, mac, ETH_ALEN);
        lab->macs[lab->mac_count++].port = port;
    }
}

static bool netlab_lookup(const struct lab *lab, const unsigned char *mac, uint32_t *port)
{
    if (mac[0] & 1)
        return false;
    for (uint32_t i = 0; i < lab->mac_count; i++) {
        if (memcmp(lab->macs[i].mac, mac, ETH_ALEN) == 0) {
            *port = lab->macs[i].port;
            return true;
        }
    }
    return false;
}

static bool netlab_send(struct lab *lab, uint32_t port, const unsigned char *bytes, size_t len)
{
    return send(lab->fd[port], bytes, len, MSG_DONTWAIT) == (ssize_t)len;
}

static bool netlab_delay(struct lab *lab, uint32_t from, uint32_t to, const unsigned char *bytes,
                         size_t len, int64_t due_us)
{
    if (lab->heap_bytes + len > QUEUE_BYTES)
        return false;
    struct frame *frame = malloc(sizeof(*frame) + len);
    if (!frame)
        return false;
    frame->due_us = due_us;
    frame->order = lab->order++;
    frame->from = from;
    frame->to = to;
    frame->len = (uint32_t)len;
    memcpy(frame->bytes, bytes, len);
    if (!netlab_heap_push(lab, frame)) {
        free(frame);
        return false;
    }
    return true;
}

/* `bytes` begin with the virtio header, which is passed on and not counted. */
static void netlab_cross(struct lab *lab, uint32_t from, uint32_t to, const unsigned char *bytes,
                         size_t len)
{
    struct rule *rule = &lab->rules[from][to];
    if (rule->cut) {
        rule->dropped_cut++;
        return;
    }
    if (rule->loss_ppm > 0 && netlab_random(lab) % 1000000 < rule->loss_ppm) {
        rule->lost++;
        return;
    }
    int64_t delay_us = rule->delay_us;
    if (rule->jitter_us > 0)
        delay_us += (int64_t)(netlab_random(lab) % ((uint64_t)rule->jitter_us + 1));
    bool sent = delay_us > 0 ? netlab_delay(lab, from, to, bytes, len, netlab_now_us() + delay_us)
                             : netlab_send(lab, to, bytes, len);
    if (!sent) {
        rule->overflow++;
        return;
    }
    rule->frames++;
    rule->bytes += len - VNET_LEN;
}

static void netlab_receive(struct lab *lab, uint32_t from)
{
    static unsigned char bytes[FRAME_MAX];
    for (int i = 0; i < BURST; i++) {
        ssize_t got = recv(lab->fd[from], bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got < (ssize_t)(VNET_LEN + ETH_HLEN))
            return;
        const unsigned char *mac = bytes + VNET_LEN;
        netlab_learn(lab, mac + ETH_ALEN, from);
        uint32_t to;
        if (netlab_lookup(lab, mac, &to)) {
            if (to != from)
                netlab_cross(lab, from, to, bytes, (size_t)got);
            continue;
        }
        for (to = 0; to < lab->port_count; to++) {
            if (to != from)
                netlab_cross(lab, from, to, bytes, (size_t)got);
        }
    }
}

static void netlab_deliver_due(struct lab *lab)
{
    while (lab->heap_count > 0 && lab->heap[0]->due_us <= netlab_now_us()) {
        struct frame *frame = netlab_heap_pop(lab);
        if (!netlab_send(lab, frame->to, frame->bytes, frame->len))
            lab->rules[frame->from][frame->to].overflow++;
        free(frame);
    }
}

static int netlab_open(const char *name)
{
    int on = 1, size = SOCKET_BUFFER;
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    at.sll_ifindex = (int)if_nametoindex(name);
    struct packet_mreq promiscuous = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (at.sll_ifindex == 0 || fd < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous))) {
        fprintf(stderr, "netlab: %s: %s\n", name, strerror(errno));
        return -1;
    }
    /* Without the privilege for the large buffer the small one has to do; drops show in `stats`. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    return fd;
}

static void netlab_loop(struct lab *lab)
{
    struct pollfd fds[MAX_PORTS + 1];
    while (!lab->quit) {
        for (uint32_t i = 0; i < lab->port_count; i++)
            fds[i] = (struct pollfd){.fd = lab->fd[i], .events = POLLIN};
        bool waiting = lab->control_fd < 0;
        struct pollfd *control = &fds[lab->port_count];
        *control =
            (struct pollfd){.fd = waiting ? lab->listen_fd : lab->control_fd, .events = POLLIN};
        struct timespec timeout = {.tv_sec = 3600};
        if (lab->heap_count > 0) {
            int64_t left_us = lab->heap[0]->due_us - netlab_now_us();
            left_us = left_us < 0 ? 0 : left_us;
            timeout =
                (struct timespec){.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};
        }
        if (ppoll(fds, lab->port_count + 1, &timeout, NULL) < 0 && errno != EINTR)
            return;
        netlab_deliver_due(lab);
        for (uint32_t i = 0; i < lab->port_count; i++) {
            if (fds[i].revents & POLLIN)
                netlab_receive(lab, i);
        }
        if (control->revents && waiting)
            lab->control_fd = accept4(lab->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        else if (control->revents)
            netlab_control(lab);
    }
}

int main(int argc, char **argv)
{
    static struct lab lab = {.rng = 1, .listen_fd = -1, .control_fd = STDIN_FILENO};
    const char *path = NULL;
    int option;
    while ((option = getopt(argc, argv, "s:r:")) != -1) {
        if (option == 's')
            path = optarg;
        else if (option == 'r')
            lab.rng = strtoull(optarg, NULL, 0);
        else
            optind = argc;
    }
    int ports = argc - optind;
    if (ports < 1 || ports > MAX_PORTS) {
        fprintf(stderr, "usage: netlab [-s SOCKET] [-r SEED] INTERFACE...   (1 to %d of them)\n",
                MAX_PORTS);
        return 2;
    }
    for (; lab.port_count < (uint32_t)ports; lab.port_count++) {
        lab.name[lab.port_count] = argv[optind + (int)lab.port_count];
        lab.fd[lab.port_count] = netlab_open(lab.name[lab.port_count]);
        if (lab.fd[lab.port_count] < 0)
            return 1;
    }
    if (path) {
        lab.control_fd = -1;
        lab.listen_fd = netlab_listen(path);
        if (lab.listen_fd < 0) {
            fprintf(stderr, "netlab: %s: %s\n", path, strerror(errno));
            return 1;
        }
    }
    netlab_loop(&lab);
    return 0;
}
