/* The UDP socket, driven by hand.
 *
 * libuv's own UDP handle hides what an unconnected socket is told about undeliverable datagrams.  With IP_RECVERR the
 * kernel keeps an error queue whose entries name the destination each ICMP message was about: a process that crashed
 * a moment ago is then known to be gone by the next probe of it, and not by a timeout.  The same option makes a send
 * fail with the *previous* datagram's error, so such a send is tried again after the queue has been read.
 *
 * One wake-up reads at most KI_NET_BATCH datagrams, several a system call, and only then lets the core's clock run:
 * after a pause (SIGSTOP, a suspended machine) the answers are waiting in the socket, and news go before timers.
 *
 * Not here: fragmentation, path MTU discovery (the kernel fragments what is larger than the path). */
#include "net/internal.h"

#include "base/base.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/errqueue.h>
#include <string.h>
#include <unistd.h>

/* memberlist asks for the same: a burst from a large pool must survive until we are scheduled.  The kernel takes what
 * net.core.rmem_max allows. */
#define DATAGRAM_RECEIVE_BUFFER (2 * 1024 * 1024)

static int datagram_options(const struct ki_net *net)
{
    int on = 1;
    int size = DATAGRAM_RECEIVE_BUFFER;
    (void)setsockopt(net->udp_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (net->family == AF_INET)
        return setsockopt(net->udp_fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    /* An IPv6 socket bound to every address carries IPv4 too, and has an option of each kind. */
    int only = !ki_addr_is_wildcard(&net->bound);
    if (setsockopt(net->udp_fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0)
        return -1;
    (void)setsockopt(net->udp_fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    return setsockopt(net->udp_fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

int ki_net_udp_open(struct ki_net *net)
{
    struct sockaddr_storage addr;
    socklen_t len;
    if (!ki_addr_to_sockaddr(&net->bound, net->family, &addr, &len))
        return UV_EINVAL;
    net->udp_fd = socket(net->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (net->udp_fd < 0)
        return uv_translate_sys_error(errno);
    int result = 0;
    if (datagram_options(net) != 0 || bind(net->udp_fd, (const struct sockaddr *)&addr, len) != 0)
        result = uv_translate_sys_error(errno);
    else
        result = uv_poll_init(net->loop, &net->udp, net->udp_fd);
    if (result != 0) {
        close(net->udp_fd);
        net->udp_fd = -1; /* says that the poll handle was never made */
        return result;
    }
    net->open_handles++;
    return 0;
}

/* ---- the error queue ---- */

static bool datagram_is_refusal(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN ||
           error == ENOPROTOOPT || error == EACCES || error == EPERM;
}

/* Only an ICMP message says something of the process; that a router knows no way to the host, or that a send failed here,
 * says nothing of it. */
static int datagram_why(const struct sock_extended_err *error)
{
    bool from_afar = error->ee_origin == SO_EE_ORIGIN_ICMP || error->ee_origin == SO_EE_ORIGIN_ICMP6;
    return from_afar && error->ee_errno == ECONNREFUSED ? KITH_ERR_REFUSED : KITH_ERR_UNREACHABLE;
}

static void datagram_error(struct ki_net *net, const struct msghdr *message, const struct sockaddr_storage *to)
{
    struct msghdr walk = *message;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&walk); c; c = CMSG_NXTHDR(&walk, c)) {
        bool ours = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (!ours || c->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err)))
            continue;
        struct sock_extended_err error;
        memcpy(&error, CMSG_DATA(c), sizeof error);
        struct kith_addr addr;
        ki_addr_from_sockaddr((const struct sockaddr *)to, &addr);
        if (addr.ip_len == 0 || !datagram_is_refusal((int)error.ee_errno) || ki_net_is_dropped(net, &addr))
            continue;
        net->count.datagrams_refused++;
        if (net->k)
            kith_datagram_refused(net->k, ki_net_now(), &addr, datagram_why(&error));
    }
}

static void datagram_read_errors(struct ki_net *net)
{
    for (int i = 0; i < KI_NET_BATCH; i++) {
        struct sockaddr_storage to;
        char head[16]; /* the datagram itself is of no interest */
        union {
            struct cmsghdr align;
            char bytes[512];
        } control;
        struct iovec part = {.iov_base = head, .iov_len = sizeof head};
        struct msghdr message = {.msg_name = &to,
                                 .msg_namelen = sizeof to,
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        memset(&to, 0, sizeof to);
        if (recvmsg(net->udp_fd, &message, MSG_ERRQUEUE) < 0)
            break;
        datagram_error(net, &message, &to);
    }
    int pending;
    socklen_t len = sizeof pending;
    (void)getsockopt(net->udp_fd, SOL_SOCKET, SO_ERROR, &pending, &len); /* reading it clears it */
}

/* ---- sending ---- */

enum datagram_sent { DATAGRAM_SENT, DATAGRAM_LOST, DATAGRAM_BLOCKED };

static enum datagram_sent datagram_send(struct ki_net *net, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    struct sockaddr_storage addr;
    socklen_t addr_len;
    if (ki_net_is_dropped(net, to))
        return DATAGRAM_LOST;
    if (!ki_addr_to_sockaddr(to, net->family, &addr, &addr_len)) {
        net->count.datagrams_refused++;
        kith_datagram_refused(net->k, ki_net_now(), to, KITH_ERR_UNREACHABLE);
        return DATAGRAM_LOST;
    }
    for (int attempt = 0; attempt < 4; attempt++) {
        ssize_t sent = sendto(net->udp_fd, buf, len, 0, (const struct sockaddr *)&addr, addr_len);
        if (sent >= 0) {
            net->count.datagrams_out++;
            net->count.datagram_bytes_out += (uint64_t)sent;
            return DATAGRAM_SENT;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return DATAGRAM_BLOCKED;
        if (errno == ECONNREFUSED) {
            datagram_read_errors(net); /* an earlier datagram's fate: this one was not sent yet */
            continue;
        }
        if (errno != EINTR)
            break;
    }
    net->count.datagrams_refused++;
    kith_datagram_refused(net->k, ki_net_now(), to, KITH_ERR_UNREACHABLE);
    return DATAGRAM_LOST;
}

void ki_net_udp_send_all(struct ki_net *net)
{
    uint8_t *slot = net->slots + (size_t)KI_NET_SLOT_SIZE * KI_NET_SLOTS;
    if (net->send_blocked) {
        if (datagram_send(net, &net->blocked_to, slot, net->blocked_len) == DATAGRAM_BLOCKED)
            return;
        net->send_blocked = false;
    }
    struct kith_addr to;
    size_t len;
    while (kith_poll_datagram(net->k, ki_net_now(), &to, slot, KI_NET_SLOT_SIZE, &len)) {
        if (datagram_send(net, &to, slot, len) == DATAGRAM_BLOCKED) {
            net->send_blocked = true;
            net->blocked_to = to;
            net->blocked_len = len;
            return;
        }
    }
}

/* ---- receiving ---- */

/* One system call.  Returns how many datagrams came, 0 when there are none now. */
static int datagram_receive(struct ki_net *net)
{
    struct mmsghdr messages[KI_NET_SLOTS];
    struct iovec parts[KI_NET_SLOTS];
    struct sockaddr_storage from[KI_NET_SLOTS];
    memset(messages, 0, sizeof messages);
    for (size_t i = 0; i < KI_NET_SLOTS; i++) {
        parts[i] = (struct iovec){.iov_base = net->slots + i * KI_NET_SLOT_SIZE, .iov_len = KI_NET_SLOT_SIZE};
        messages[i].msg_hdr.msg_name = &from[i];
        messages[i].msg_hdr.msg_namelen = sizeof from[i];
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(net->udp_fd, messages, KI_NET_SLOTS, MSG_DONTWAIT, NULL);
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return 0;
        datagram_read_errors(net); /* the pending error of a datagram sent before */
        return 0;
    }
    struct kith_time now = ki_net_now();
    for (int i = 0; i < count; i++) {
        struct kith_addr addr;
        ki_addr_from_sockaddr((const struct sockaddr *)&from[i], &addr);
        net->count.datagrams_in++;
        net->count.datagram_bytes_in += messages[i].msg_len;
        if (ki_net_is_dropped(net, &addr))
            continue;
        (void)kith_datagram(net->k, now, &addr, parts[i].iov_base, messages[i].msg_len); /* the core counts it */
    }
    return count;
}

void ki_net_udp_receive_all(struct ki_net *net)
{
    for (int total = 0; total < KI_NET_BATCH;) {
        int count = datagram_receive(net);
        total += count;
        if (count < KI_NET_SLOTS)
            break; /* the socket is empty, or nearly: the poll says so if it is not */
    }
}

void ki_net_udp_ready(uv_poll_t *handle, int status, int events)
{
    struct ki_net *net = handle->data;
    if (!net->k)
        return;
    if (status != 0) {
        net->udp_events = 0; /* libuv reports POLLERR as a failure and stops the handle: wait() starts it again */
        datagram_read_errors(net);
    }
    if (status != 0 || (events & UV_READABLE))
        ki_net_udp_receive_all(net);
    if (kith_deadline(net->k) <= ki_net_now().mono_us)
        kith_tick(net->k, ki_net_now());
    ki_net_kick(net);
}

void ki_net_udp_wait(struct ki_net *net)
{
    int events = UV_READABLE | (net->send_blocked ? UV_WRITABLE : 0);
    if (events != net->udp_events && uv_poll_start(&net->udp, events, ki_net_udp_ready) == 0)
        net->udp_events = events;
}
