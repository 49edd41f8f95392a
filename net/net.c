/* The driver's life and its pump.
 *
 * Everything the core may want is polled in one place, pump(), after anything was fed to it: first datagrams (so that
 * probe replies are not late), then streams, records, events; then the one timer is set to the core's deadline.  A
 * callback that asks the core for more calls ki_net_kick(), which then only marks that the pump must go round again:
 * the pump never runs inside itself, so an event is never overwritten while somebody reads it.
 *
 * Sending stops at the first datagram the socket does not take; it is kept, and the rest stays in the core, where it
 * is built from newer state when the socket is writable again.
 *
 * Not here: the protocol, and whatever the events and records are for. */
#include "net/internal.h"

#include "base/base.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct kith_time ki_net_now(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct kith_time){.mono_us = uv_hrtime() / 1000,
                              .wall_us = (uint64_t)wall.tv_sec * 1000000 + (uint64_t)wall.tv_nsec / 1000};
}

bool ki_net_is_dropped(struct ki_net *net, const struct kith_addr *addr)
{
    for (size_t i = 0; i < net->drop_count; i++) {
        if (ki_addr_same_ip(addr, &net->drops[i])) {
            net->count.dropped++;
            return true;
        }
    }
    return false;
}

int ki_net_drop(struct ki_net *net, const struct kith_addr *addrs, size_t count)
{
    struct kith_addr *copy = NULL;
    if (count > 0) {
        copy = calloc(count, sizeof *copy);
        if (!copy)
            return KITH_ERR_NOMEM;
        memcpy(copy, addrs, count * sizeof *copy);
    }
    free(net->drops);
    net->drops = copy;
    net->drop_count = count;
    ki_net_streams_drop(net);
    ki_net_kick(net);
    return 0;
}

/* ---- the pump ---- */

/* libuv runs timers before it looks at sockets; after a pause the answers waiting there must come first, or healthy
 * members are suspected. */
#define NET_LATE_MS 50

static void net_timer_due(uv_timer_t *timer)
{
    struct ki_net *net = timer->data;
    if (net->k && uv_hrtime() / 1000000 > net->timer_at_ms + NET_LATE_MS)
        ki_net_udp_receive_all(net);
    net->timer_at_ms = 0;
    if (net->k)
        kith_tick(net->k, ki_net_now());
    ki_net_kick(net);
}

/* libuv's timers count milliseconds of the same monotonic clock; rounding up never fires before the deadline.  What is due
 * at once, the next slice of long work, does not wait for the next millisecond. */
static void net_set_timer(struct ki_net *net)
{
    uint64_t deadline_us = kith_deadline(net->k);
    if (deadline_us == KITH_NEVER) {
        uv_timer_stop(&net->timer);
        net->timer_at_ms = 0;
        return;
    }
    bool is_due = deadline_us <= ki_net_now().mono_us;
    uint64_t at_ms = deadline_us / 1000 + (!is_due && deadline_us % 1000 != 0);
    if (at_ms == net->timer_at_ms)
        return; /* already set: the common case when a datagram changed nothing */
    uv_update_time(net->loop);
    uint64_t now_ms = uv_now(net->loop);
    net->timer_at_ms = at_ms;
    uv_timer_start(&net->timer, net_timer_due, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void net_pump_once(struct ki_net *net)
{
    ki_net_udp_send_all(net);
    struct kith_stream_action action;
    while (net->k && kith_poll_stream(net->k, &action))
        ki_net_stream_act(net, &action);
    struct kith_record record;
    while (net->k && net->record && kith_poll_record(net->k, &record))
        net->record(net->arg, &record);
    struct kith_event event;
    while (net->k && kith_poll_event(net->k, &event))
        net->event(net->arg, &event);
}

void ki_net_kick(struct ki_net *net)
{
    net->again = true;
    if (net->pumping)
        return;
    net->pumping = true;
    while (net->again && net->k) {
        net->again = false;
        net_pump_once(net);
    }
    net->pumping = false;
    if (net->k) {
        net_set_timer(net);
        ki_net_udp_wait(net);
    }
}

/* ---- life ---- */

static int net_listen(struct ki_net *net)
{
    struct sockaddr_storage addr;
    socklen_t len;
    if (!ki_addr_to_sockaddr(&net->bound, net->family, &addr, &len))
        return UV_EINVAL;
    int result = uv_tcp_bind(&net->listener, (const struct sockaddr *)&addr, 0);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&net->listener, 511, ki_net_stream_accept);
    if (result != 0)
        return result;
    int size = (int)sizeof addr;
    result = uv_tcp_getsockname(&net->listener, (struct sockaddr *)&addr, &size);
    if (result != 0)
        return result;
    struct kith_addr bound;
    ki_addr_from_sockaddr((const struct sockaddr *)&addr, &bound);
    net->bound.port = bound.port;
    return 0;
}

static void net_released(struct ki_net *net)
{
    void (*closed)(void *) = net->closed;
    void *arg = net->closed_arg;
    if (net->udp_fd >= 0)
        close(net->udp_fd);
    free(net->drops);
    free(net->slots);
    free(net);
    if (closed)
        closed(arg);
}

void ki_net_handle_closed(struct ki_net *net)
{
    KI_ASSERT(net->open_handles > 0);
    if (--net->open_handles == 0)
        net_released(net);
}

static void net_closed(uv_handle_t *handle)
{
    ki_net_handle_closed(handle->data);
}

void ki_net_close(struct ki_net *net, void (*closed)(void *arg), void *arg)
{
    KI_ASSERT(!net->closing);
    net->closing = true;
    net->k = NULL;
    net->closed = closed;
    net->closed_arg = arg;
    ki_net_lookups_cancel(net);
    ki_net_streams_close(net);
    uv_close((uv_handle_t *)&net->listener, net_closed);
    uv_close((uv_handle_t *)&net->timer, net_closed);
    if (net->udp_fd >= 0)
        uv_close((uv_handle_t *)&net->udp, net_closed);
}

static void net_init(struct ki_net *net, const struct ki_net_config *config)
{
    net->loop = config->loop;
    net->bound = config->bind;
    net->family = ki_addr_family(&config->bind);
    net->event = config->event;
    net->record = config->record;
    net->arg = config->arg;
    net->udp_fd = -1;
    net->listener.data = net->timer.data = net->udp.data = net;
    uv_timer_init(net->loop, &net->timer);
    uv_tcp_init(net->loop, &net->listener);
    net->open_handles = 2;
}

int ki_net_open(struct ki_net **out, const struct ki_net_config *config)
{
    /* A failed attempt ends through the loop (libuv closes handles there), so each has its own allocation. */
    int result = UV_ENOMEM;
    for (int attempt = 0; attempt < 8; attempt++) {
        struct ki_net *net = calloc(1, sizeof *net);
        uint8_t *slots = malloc((size_t)KI_NET_SLOT_SIZE * (KI_NET_SLOTS + 1));
        if (!net || !slots) {
            free(net);
            free(slots);
            return UV_ENOMEM;
        }
        net->slots = slots;
        net_init(net, config);
        result = net_listen(net);
        if (result == 0)
            result = ki_net_udp_open(net);
        if (result == 0) {
            *out = net;
            return 0;
        }
        ki_net_close(net, NULL, NULL);
        uv_run(config->loop, UV_RUN_NOWAIT);
        if (result != UV_EADDRINUSE || config->bind.port != 0)
            break; /* another free port is worth a try only when any would do */
    }
    return result;
}

void ki_net_start(struct ki_net *net, kith *k)
{
    net->k = k;
    ki_net_kick(net);
}

/* ---- reading ---- */

struct kith_addr ki_net_bound(const struct ki_net *net)
{
    return net->bound;
}

void ki_net_counters(const struct ki_net *net, struct ki_net_counters *out)
{
    *out = net->count;
}

size_t ki_net_stream_count(const struct ki_net *net)
{
    return net->stream_count;
}

const char *ki_net_last_failure(const struct ki_net *net)
{
    return net->failure;
}
