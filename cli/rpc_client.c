/* The blocking RPC client.
 *
 * A command of the CLI lives for one question, so this is straight-line code: send, wait with poll()
 * and a deadline, read one whole object, decode.  The socket is non-blocking all the same, because an
 * agent that is stopped accepts a connection (the kernel does) and then never reads nor answers; a
 * deadline bounds every wait.
 *
 * Invariants: an answer is at most KI_RPC_REPLY_MAX bytes, whatever a peer sends.  Spans given out
 * point into buf and live until the next call.  After a failure the connection is only good for
 * ki_rpc_close().
 *
 * The answer's body follows even when the header carries an error, but for three of them (Serf's rule);
 * a command whose error is one of the three has no body to wait for.
 *
 * Not here: reconnecting, concurrent requests.  `kith dev` talks to many agents at once and has its own
 * (dev_link.c). */
#include "cli/rpc_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/rpc_frame.h"

static bool rpc_client_fail(struct ki_rpc_client *client, bool unreachable, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool rpc_client_fail(struct ki_rpc_client *client, bool unreachable, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(client->error, sizeof client->error, format, args);
    va_end(args);
    client->unreachable = unreachable;
    return false;
}

/* Waits until the socket is ready for `events`. */
static bool rpc_client_wait(struct ki_rpc_client *client, short events, uint64_t until_ms)
{
    int error = ki_dial_wait(client->fd, events, until_ms);
    if (error == ETIMEDOUT)
        return rpc_client_fail(client, true, "the agent does not answer");
    return error == 0 || rpc_client_fail(client, true, "poll: %s", strerror(error));
}

/* ---- connecting ---- */

static bool rpc_client_connect(struct ki_rpc_client *client, const char *addr)
{
    client->fd = ki_dial(addr, "7373", client->error, sizeof client->error); /* Serf's port */
    client->unreachable = client->fd < 0;
    return client->fd >= 0;
}

static bool rpc_client_greet(struct ki_rpc_client *client, const char *auth)
{
    uint8_t small[32];
    struct ki_pack version = ki_pack(small, sizeof small, true);
    ki_pack_map(&version, 1);
    ki_pack_text(&version, "Version");
    ki_pack_uint(&version, 1);
    if (!ki_rpc_call(client, "handshake", &version, KI_RPC_WAIT_MS, NULL))
        return false;
    if (!auth[0])
        return true;
    size_t cap = strlen(auth) + 64;
    uint8_t *buf = malloc(cap);
    if (!buf)
        return rpc_client_fail(client, false, "out of memory");
    struct ki_pack key = ki_pack(buf, cap, true);
    ki_pack_map(&key, 1);
    ki_pack_text(&key, "AuthKey");
    ki_pack_text(&key, auth);
    bool done = ki_rpc_call(client, "auth", &key, KI_RPC_WAIT_MS, NULL);
    free(buf);
    return done;
}

bool ki_rpc_open(struct ki_rpc_client *client, const char *addr, const char *auth)
{
    *client = (struct ki_rpc_client){.fd = -1};
    return rpc_client_connect(client, addr) && rpc_client_greet(client, auth);
}

void ki_rpc_close(struct ki_rpc_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->buf);
    client->fd = -1;
    client->buf = NULL;
}

/* ---- sending ---- */

static bool rpc_client_write(struct ki_rpc_client *client, struct ki_span bytes)
{
    uint64_t until_ms = ki_dial_until(KI_RPC_WAIT_MS);
    while (bytes.len > 0) {
        ssize_t sent = send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent > 0)
            bytes = ki_span(bytes.ptr + sent, bytes.len - (size_t)sent);
        else if (errno != EAGAIN && errno != EINTR)
            return rpc_client_fail(client, true, "send: %s", strerror(errno));
        else if (!rpc_client_wait(client, POLLOUT, until_ms))
            return false;
    }
    return true;
}

bool ki_rpc_send(struct ki_rpc_client *client, const char *command, const struct ki_pack *body,
                 uint64_t *seq)
{
    uint8_t small[128];
    struct ki_pack header = ki_pack(small, sizeof small, true);
    ki_pack_map(&header, 2);
    ki_pack_text(&header, "Command");
    ki_pack_text(&header, command);
    ki_pack_text(&header, "Seq");
    ki_pack_uint(&header, ++client->seq);
    KI_ASSERT(!header.w.full);
    if (body && body->w.full)
        return rpc_client_fail(client, false, "the request is too large");
    *seq = client->seq;
    return rpc_client_write(client, ki_span(small, header.w.len)) &&
           (!body || rpc_client_write(client, ki_span(body->w.start, body->w.len)));
}

/* ---- receiving ---- */

/* Makes room for more bytes: what was given out goes first, then the buffer doubles. */
static bool rpc_client_room(struct ki_rpc_client *client)
{
    if (client->taken > 0) {
        client->len -= client->taken;
        memmove(client->buf, client->buf + client->taken, client->len);
        client->taken = 0;
    }
    if (client->len < client->cap)
        return true;
    size_t cap = client->cap ? client->cap * 2 : 65536;
    uint8_t *buf = realloc(client->buf, cap);
    if (!buf)
        return rpc_client_fail(client, false, "out of memory");
    client->buf = buf;
    client->cap = cap;
    return true;
}

static bool rpc_client_read(struct ki_rpc_client *client, uint64_t until_ms)
{
    if (!rpc_client_room(client))
        return false;
    for (;;) {
        ssize_t got = recv(client->fd, client->buf + client->len, client->cap - client->len, 0);
        if (got > 0) {
            client->len += (size_t)got;
            return true;
        }
        if (got == 0)
            return rpc_client_fail(client, true, "the agent closed the connection");
        if (errno != EAGAIN && errno != EINTR)
            return rpc_client_fail(client, true, "receive: %s", strerror(errno));
        if (!rpc_client_wait(client, POLLIN, until_ms))
            return false;
    }
}

bool ki_rpc_object(struct ki_rpc_client *client, uint32_t timeout_ms, struct ki_span *object)
{
    uint64_t until_ms = ki_dial_until(timeout_ms);
    struct ki_rpc_frame frame;
    ki_rpc_frame_start(&frame, KI_RPC_REPLY_MAX);
    for (;;) {
        size_t len = client->len - client->taken;
        enum ki_rpc_frame_state state = KI_RPC_FRAME_MORE;
        if (len > frame.scanned)
            state = ki_rpc_frame_scan(&frame, client->buf + client->taken, len);
        if (state == KI_RPC_FRAME_BAD)
            return rpc_client_fail(client, false, "the agent's answer is malformed or too large");
        if (state == KI_RPC_FRAME_WHOLE) {
            *object = ki_span(client->buf + client->taken, frame.scanned);
            client->taken += frame.scanned;
            return true;
        }
        if (!rpc_client_read(client, until_ms))
            return false;
    }
}

struct rpc_client_header {
    uint64_t seq;
    struct ki_span error;
};

bool ki_rpc_header(struct ki_rpc_client *client, uint32_t timeout_ms, uint64_t *seq,
                   struct ki_span *refusal)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_client_header, seq, "Seq", KI_FIELD_U64, 1, false),
        KI_FIELD(struct rpc_client_header, error, "Error", KI_FIELD_STR, 0, false),
    };
    struct ki_span object;
    if (!ki_rpc_object(client, timeout_ms, &object))
        return false;
    struct rpc_client_header header = {0};
    struct ki_reader reader = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&reader, fields, KI_COUNT(fields), &header))
        return rpc_client_fail(client, false, "the agent's answer is malformed");
    *seq = header.seq;
    *refusal = header.error;
    return true;
}

/* True for the errors that end an answer at its header. */
static bool rpc_client_bodyless(struct ki_span error)
{
    static const char *const texts[] = {"Authentication required", "Handshake required",
                                        "Unsupported command"};
    for (size_t i = 0; i < KI_COUNT(texts); i++) {
        if (ki_span_equal(error, ki_span(texts[i], strlen(texts[i]))))
            return true;
    }
    return false;
}

/* The agent's own words; a NUL among them must not hide the rest. */
static void rpc_client_refused(struct ki_rpc_client *client, struct ki_span words)
{
    size_t len = ki_min_size(words.len, sizeof client->error - 1);
    for (size_t i = 0; i < len; i++)
        client->error[i] = words.ptr[i] ? (char)words.ptr[i] : '?';
    client->error[len] = '\0';
    client->unreachable = false;
}

bool ki_rpc_call(struct ki_rpc_client *client, const char *command, const struct ki_pack *body,
                 uint32_t timeout_ms, struct ki_span *reply)
{
    uint64_t sent;
    uint64_t seq;
    struct ki_span refusal;
    if (!ki_rpc_send(client, command, body, &sent) ||
        !ki_rpc_header(client, timeout_ms, &seq, &refusal))
        return false;
    if (seq != sent)
        return rpc_client_fail(client, false, "the agent answered another request");
    bool refused = refusal.len > 0;
    bool has_body = reply && !rpc_client_bodyless(refusal);
    if (refused)
        rpc_client_refused(client, refusal);
    return (!has_body || ki_rpc_object(client, timeout_ms, reply)) && !refused;
}
