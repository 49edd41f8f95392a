/* TCP streams, with back-pressure both ways.
 *
 *                  accept                         OPEN
 *                    v                              v
 *                  READING <---- connected ---- CONNECTING
 *                  |  ^  '-- peer's end: reading is over, writing goes on
 *        took less v  | RESUME, all taken                      FINISH: what was written, shutdown, close
 *                  HELD (not reading)                          ABORT:  close
 *
 * Reading: bytes go from one shared buffer straight into the core.  What it does not take is copied, reading stops,
 * and the kernel's window does the rest.  Writing: the core is asked for bytes only when the socket takes them; most
 * messages leave by one try_write without any allocation, else one write of at most KI_NET_SLOT_SIZE is in flight.
 *
 * A stream whose id is dead for the core (id 0 here) only finishes its writing.  Before a close the receive buffer is
 * emptied: closing with unread bytes would send a reset, which can destroy our last answer on its way.
 *
 * Not here: timeouts (the core aborts a stream without progress; after FINISH the kernel does). */
#include "net/internal.h"

#include "base/base.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_FLUSH_MS 30000 /* memberlist's longest TCP timeout (wan) */

#define STREAM_TURNS 8 /* chunks written in one go, so that one bulk reader does not hold up the others */

struct ki_net_stream {
    struct ki_net *net;
    struct ki_net_stream *next;
    uint32_t id; /* 0: dead for the core */
    struct kith_addr peer;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    uint8_t *out;  /* the write in flight, or NULL */
    uint8_t *held; /* read but not taken yet */
    size_t held_len;
    bool connected, finish, ended, closing;
};

static struct ki_net_stream *stream_new(struct ki_net *net, const struct kith_addr *peer)
{
    struct ki_net_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->net = net;
    stream->peer = *peer;
    uv_tcp_init(net->loop, &stream->tcp);
    stream->tcp.data = stream->connect.data = stream->write.data = stream->shutdown.data = stream;
    stream->next = net->streams;
    net->streams = stream;
    net->stream_count++;
    net->open_handles++;
    return stream;
}

static void stream_closed(uv_handle_t *handle)
{
    struct ki_net_stream *stream = handle->data;
    struct ki_net *net = stream->net;
    struct ki_net_stream **link = &net->streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    net->stream_count--;
    free(stream->held);
    free(stream->out);
    free(stream);
    ki_net_handle_closed(net);
}

static void stream_close(struct ki_net_stream *stream)
{
    stream->id = 0;
    if (stream->closing)
        return;
    stream->closing = true;
    uv_close((uv_handle_t *)&stream->tcp, stream_closed);
}

static struct ki_net_stream *stream_find(struct ki_net *net, uint32_t id)
{
    for (struct ki_net_stream *stream = net->streams; stream; stream = stream->next) {
        if (stream->id == id)
            return stream;
    }
    return NULL;
}

/* It broke: the core hears of it if it still knows the id. */
static void stream_failed(struct ki_net_stream *stream, int error)
{
    struct ki_net *net = stream->net;
    uint32_t id = stream->id;
    stream_close(stream);
    if (id == 0 || !net->k)
        return;
    net->count.streams_failed++;
    int why = error == UV_ECONNREFUSED ? KITH_ERR_REFUSED
              : error == UV_ETIMEDOUT  ? KITH_ERR_TIMEOUT
                                       : KITH_ERR_UNREACHABLE;
    kith_stream_failed(net->k, ki_net_now(), id, why);
    ki_net_kick(net);
}

/* ---- writing ---- */

static void stream_pump_out(struct ki_net_stream *stream);

static void stream_shut(uv_shutdown_t *request, int status)
{
    struct ki_net_stream *stream = request->data;
    uv_os_fd_t fd;
    char waste[4096];
    (void)status; /* closing is what is left to do either way */
    if (!stream->closing && uv_fileno((uv_handle_t *)&stream->tcp, &fd) == 0) {
        for (int i = 0; i < 64 && recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0; i++)
            ;
    }
    stream_close(stream);
}

static void stream_shutdown(struct ki_net_stream *stream)
{
    uv_read_stop((uv_stream_t *)&stream->tcp);
    if (uv_shutdown(&stream->shutdown, (uv_stream_t *)&stream->tcp, stream_shut) != 0)
        stream_close(stream);
}

static void stream_written(uv_write_t *request, int status)
{
    struct ki_net_stream *stream = request->data;
    free(stream->out);
    stream->out = NULL;
    if (stream->closing)
        return;
    if (status != 0) {
        stream_failed(stream, status);
        return;
    }
    stream_pump_out(stream);
    if (stream->net->k)
        ki_net_kick(stream->net);
}

/* Writes what the socket takes at once, and puts the rest in flight.  Returns 0 or a libuv error. */
static int stream_put(struct ki_net_stream *stream, uint8_t *buf, size_t len, bool wait)
{
    uv_buf_t part = uv_buf_init((char *)buf, (unsigned)len);
    int sent = wait ? UV_EAGAIN : uv_try_write((uv_stream_t *)&stream->tcp, &part, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        return sent;
    stream->net->count.stream_bytes_out += len;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == len)
        return 0;
    stream->out = malloc(len - done);
    if (!stream->out)
        return UV_ENOMEM;
    memcpy(stream->out, buf + done, len - done);
    part = uv_buf_init((char *)stream->out, (unsigned)(len - done));
    return uv_write(&stream->write, (uv_stream_t *)&stream->tcp, &part, 1, stream_written);
}

/* Asks the core for bytes while the socket takes them; one write in flight at most. */
static void stream_pump_out(struct ki_net_stream *stream)
{
    struct ki_net *net = stream->net;
    uint8_t *buf = net->slots; /* nobody is receiving now */
    for (int turn = 0; stream->connected && !stream->out && !stream->closing && stream->id != 0; turn++) {
        size_t len = 0;
        if (!net->k || kith_stream_write(net->k, ki_net_now(), stream->id, buf, KI_NET_SLOT_SIZE, &len) != 0)
            len = 0;
        if (len == 0)
            break;
        int result = stream_put(stream, buf, len, turn >= STREAM_TURNS);
        if (result != 0) {
            stream_failed(stream, result);
            return;
        }
    }
    if (stream->finish && !stream->out && !stream->closing) {
        stream->finish = false;
        stream->id = 0;
        stream_shutdown(stream);
    }
}

/* ---- reading ---- */

static void stream_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct ki_net_stream *stream = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)stream->net->slots, KI_NET_SLOT_SIZE);
}

/* Offers bytes.  Returns how many are left over. */
static size_t stream_offer(struct ki_net_stream *stream, const uint8_t *buf, size_t len)
{
    size_t taken = 0;
    if (kith_stream_bytes(stream->net->k, ki_net_now(), stream->id, buf, len, &taken) != 0)
        return 0; /* the stream is over; its last action is on its way */
    KI_ASSERT(taken <= len);
    return len - taken;
}

static void stream_hold(struct ki_net_stream *stream, const uint8_t *rest, size_t len)
{
    uv_read_stop((uv_stream_t *)&stream->tcp);
    uint8_t *copy = malloc(len);
    if (!copy) {
        stream_failed(stream, UV_ENOMEM);
        return;
    }
    memcpy(copy, rest, len);
    free(stream->held);
    stream->held = copy;
    stream->held_len = len;
}

static void stream_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buf)
{
    struct ki_net_stream *stream = handle->data;
    struct ki_net *net = stream->net;
    if (count == 0 || stream->id == 0 || !net->k)
        return;
    if (count == UV_EOF) {
        uv_read_stop(handle);
        stream->ended = true;
        kith_stream_end(net->k, ki_net_now(), stream->id);
    } else if (count < 0) {
        stream_failed(stream, (int)count);
        return;
    } else {
        size_t len = (size_t)count;
        net->count.stream_bytes_in += len;
        size_t left = stream_offer(stream, (const uint8_t *)buf->base, len);
        if (left > 0)
            stream_hold(stream, (const uint8_t *)buf->base + (len - left), left);
    }
    ki_net_kick(net);
}

static void stream_start_reading(struct ki_net_stream *stream)
{
    int result = uv_read_start((uv_stream_t *)&stream->tcp, stream_buffer, stream_read);
    if (result != 0)
        stream_failed(stream, result);
}

static void stream_resume(struct ki_net_stream *stream)
{
    if (stream->held) {
        uint8_t *held = stream->held;
        size_t len = stream->held_len;
        stream->held = NULL;
        stream->held_len = 0;
        size_t left = stream_offer(stream, held, len);
        if (left > 0)
            stream_hold(stream, held + (len - left), left);
        free(held);
    }
    if (!stream->held && !stream->ended && stream->connected && !stream->closing && stream->id != 0)
        stream_start_reading(stream);
}

/* ---- opening ---- */

static void stream_note_failure(struct ki_net_stream *stream, int error)
{
    char text[KI_ADDR_TEXT];
    ki_addr_format(&stream->peer, text);
    snprintf(stream->net->failure, sizeof stream->net->failure, "connect to %s: %s", text, uv_strerror(error));
}

static void stream_connected(uv_connect_t *request, int status)
{
    struct ki_net_stream *stream = request->data;
    struct ki_net *net = stream->net;
    if (stream->closing || stream->id == 0 || !net->k)
        return;
    if (status != 0) {
        stream_note_failure(stream, status);
        stream_failed(stream, status);
        return;
    }
    stream->connected = true;
    net->count.streams_opened++;
    stream_start_reading(stream);
    if (stream->id != 0)
        kith_stream_opened(net->k, ki_net_now(), stream->id);
    ki_net_kick(net);
}

/* The source is the address we are bound to: peers on a host of many addresses must see the one they know. */
static int stream_bind_source(struct ki_net_stream *stream)
{
    struct kith_addr source = stream->net->bound;
    struct sockaddr_storage addr;
    socklen_t len;
    source.port = 0;
    if (ki_addr_is_wildcard(&source) || !ki_addr_to_sockaddr(&source, stream->net->family, &addr, &len))
        return 0;
    return uv_tcp_bind(&stream->tcp, (const struct sockaddr *)&addr, 0);
}

static void stream_open(struct ki_net *net, const struct kith_stream_action *action)
{
    struct sockaddr_storage addr;
    socklen_t len;
    struct ki_net_stream *stream = stream_new(net, &action->addr);
    if (!stream) {
        kith_stream_failed(net->k, ki_net_now(), action->id, KITH_ERR_UNREACHABLE);
        return;
    }
    stream->id = action->id;
    if (ki_net_is_dropped(net, &action->addr))
        return; /* a cut line answers nothing: the core's own timeout ends it */
    int result = UV_EAFNOSUPPORT;
    if (ki_addr_to_sockaddr(&action->addr, net->family, &addr, &len)) {
        result = stream_bind_source(stream);
        if (result == 0)
            result = uv_tcp_connect(&stream->connect, &stream->tcp, (const struct sockaddr *)&addr, stream_connected);
    }
    if (result != 0) {
        stream_note_failure(stream, result);
        stream_failed(stream, result);
    }
}

void ki_net_stream_accept(uv_stream_t *listener, int status)
{
    struct ki_net *net = listener->data;
    struct kith_addr nobody = {.ip_len = 0};
    struct sockaddr_storage addr;
    int len = (int)sizeof addr;
    if (status != 0 || !net->k)
        return;
    struct ki_net_stream *stream = stream_new(net, &nobody);
    if (!stream)
        return;
    if (uv_accept(listener, (uv_stream_t *)&stream->tcp) != 0 ||
        uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&addr, &len) != 0) {
        stream_close(stream);
        return;
    }
    ki_addr_from_sockaddr((const struct sockaddr *)&addr, &stream->peer);
    if (ki_net_is_dropped(net, &stream->peer)) {
        stream_close(stream);
        return;
    }
    if (kith_stream_accept(net->k, ki_net_now(), &stream->peer, &stream->id) != 0) {
        net->count.streams_full++;
        stream_close(stream);
    } else {
        net->count.streams_accepted++;
        stream->connected = true;
        stream_start_reading(stream);
    }
    ki_net_kick(net);
}

/* ---- what the core asks for ---- */

/* The core has forgotten the stream, so nobody counts how long its last bytes take: the kernel does, and closes it when
 * a peer that does not read leaves them unacknowledged for so long. */
static void stream_limit_flush(struct ki_net_stream *stream)
{
    unsigned flush_ms = STREAM_FLUSH_MS;
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&stream->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &flush_ms, sizeof flush_ms);
}

void ki_net_stream_act(struct ki_net *net, const struct kith_stream_action *action)
{
    if (action->kind == KITH_STREAM_OPEN) {
        stream_open(net, action);
        return;
    }
    struct ki_net_stream *stream = stream_find(net, action->id);
    if (!stream)
        return; /* it failed meanwhile, and the core was told */
    switch (action->kind) {
    case KITH_STREAM_OPEN:
        KI_UNREACHABLE();
    case KITH_STREAM_WRITE:
        stream_pump_out(stream);
        return;
    case KITH_STREAM_RESUME:
        stream_resume(stream);
        return;
    case KITH_STREAM_FINISH:
        if (!stream->connected) {
            stream_close(stream);
            return;
        }
        uv_read_stop((uv_stream_t *)&stream->tcp);
        stream_limit_flush(stream);
        stream->finish = true;
        stream_pump_out(stream);
        return;
    case KITH_STREAM_ABORT:
        stream_close(stream);
        return;
    }
    KI_UNREACHABLE();
}

void ki_net_streams_drop(struct ki_net *net)
{
    for (struct ki_net_stream *stream = net->streams; stream; stream = stream->next) {
        if (!stream->closing && ki_net_is_dropped(net, &stream->peer))
            stream_failed(stream, UV_EHOSTUNREACH);
    }
}

/* Streams that only flush their last answer get to do so: the kernel sends it after our close. */
void ki_net_streams_close(struct ki_net *net)
{
    for (struct ki_net_stream *stream = net->streams; stream; stream = stream->next)
        stream_close(stream);
}
