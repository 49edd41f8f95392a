/* The blocking client of the Redis door.
 *
 * As the RPC client: straight-line code for one question, with a deadline on every wait.  A deadline is for silence, not for
 * length: each piece of a long answer starts it anew.
 *
 * Invariants: an answer takes at most KI_REPLY_BYTES_MAX, whatever a peer sends.  Replies given out point into buf and live
 * until the next call.  After a failure that is no refusal the connection is only good for ki_resp_close().
 *
 * Not here: reconnecting, pipelines; what an error means to a person (store.c). */
#include "cli/resp_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool resp_client_fail(struct ki_resp_client *client, bool unreachable, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool resp_client_fail(struct ki_resp_client *client, bool unreachable, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(client->error, sizeof client->error, format, args);
    va_end(args);
    client->unreachable = unreachable;
    client->refused = false;
    return false;
}

bool ki_resp_odd(struct ki_resp_client *client)
{
    return resp_client_fail(client, false, "the answer is not the one that a kith agent gives");
}

static bool resp_client_wait(struct ki_resp_client *client, short events, uint64_t until_ms)
{
    int error = ki_dial_wait(client->fd, events, until_ms);
    if (error == ETIMEDOUT)
        return resp_client_fail(client, true, "the agent does not answer");
    return error == 0 || resp_client_fail(client, true, "poll: %s", strerror(error));
}

bool ki_resp_open(struct ki_resp_client *client, const char *addr, const char *password)
{
    struct ki_reply reply;
    *client = (struct ki_resp_client){.fd = -1};
    client->fd = ki_dial(addr, "7379", client->error, sizeof client->error);
    client->unreachable = client->fd < 0;
    return client->fd >= 0 && (!password[0] || ki_resp_ask(client, &reply, "AUTH", password, NULL));
}

void ki_resp_close(struct ki_resp_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->buf);
    ki_reply_free(&client->reader);
    client->fd = -1;
    client->buf = NULL;
}

/* ---- sending ---- */

static bool resp_client_write(struct ki_resp_client *client, struct ki_span bytes, int flags)
{
    while (bytes.len > 0) {
        ssize_t sent = send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | flags);
        if (sent > 0)
            bytes = ki_span(bytes.ptr + sent, bytes.len - (size_t)sent);
        else if (errno != EAGAIN && errno != EINTR)
            return resp_client_fail(client, true, "send: %s", strerror(errno));
        else if (errno == EAGAIN && !resp_client_wait(client, POLLOUT, ki_dial_until(KI_RESP_WAIT_MS)))
            return false;
    }
    return true;
}

bool ki_resp_send(struct ki_resp_client *client, const struct ki_span *args, size_t count)
{
    char head[32];
    int len = snprintf(head, sizeof head, "*%zu\r\n", count);
    bool done = resp_client_write(client, ki_span(head, (size_t)len), MSG_MORE);
    for (size_t i = 0; i < count && done; i++) {
        len = snprintf(head, sizeof head, "$%zu\r\n", args[i].len);
        done = resp_client_write(client, ki_span(head, (size_t)len), MSG_MORE) &&
               resp_client_write(client, args[i], MSG_MORE) &&
               resp_client_write(client, ki_span("\r\n", 2), i + 1 < count ? MSG_MORE : 0);
    }
    return done;
}

/* ---- receiving ---- */

/* Makes room for more bytes: what was given out goes first, then the buffer doubles. */
static bool resp_client_room(struct ki_resp_client *client)
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
        return resp_client_fail(client, false, "out of memory");
    client->buf = buf;
    client->cap = cap;
    return true;
}

static bool resp_client_read(struct ki_resp_client *client, uint32_t timeout_ms)
{
    if (!resp_client_room(client))
        return false;
    uint64_t until_ms = ki_dial_until(timeout_ms);
    for (;;) {
        ssize_t got = recv(client->fd, client->buf + client->len, client->cap - client->len, 0);
        if (got > 0) {
            client->len += (size_t)got;
            return true;
        }
        if (got == 0)
            return resp_client_fail(client, true, "the agent closed the connection");
        if (errno != EAGAIN && errno != EINTR)
            return resp_client_fail(client, true, "receive: %s", strerror(errno));
        if (errno == EAGAIN && !resp_client_wait(client, POLLIN, until_ms))
            return false;
    }
}

/* The agent's own words; a NUL among them must not hide the rest. */
static bool resp_client_refused(struct ki_resp_client *client, struct ki_span words)
{
    size_t len = ki_min_size(words.len, sizeof client->error - 1);
    for (size_t i = 0; i < len; i++)
        client->error[i] = words.ptr[i] ? (char)words.ptr[i] : '?';
    client->error[len] = '\0';
    client->unreachable = false;
    client->refused = true;
    return false;
}

bool ki_resp_receive(struct ki_resp_client *client, uint32_t timeout_ms, struct ki_reply *reply)
{
    ki_reply_start(&client->reader);
    for (;;) {
        const uint8_t *at = client->len > client->taken ? client->buf + client->taken : NULL;
        enum ki_reply_state state = ki_reply_scan(&client->reader, at, client->len - client->taken);
        if (state == KI_REPLY_BAD)
            return resp_client_fail(client, false, "what answers there does not speak the Redis protocol");
        if (state == KI_REPLY_NO_MEMORY)
            return resp_client_fail(client, false, "out of memory");
        if (state == KI_REPLY_WHOLE)
            break;
        if (!resp_client_read(client, timeout_ms))
            return false;
    }
    *reply = (struct ki_reply){.nodes = client->reader.nodes, .buf = client->buf + client->taken};
    client->taken += client->reader.len;
    return !ki_reply_is(*reply, KI_REPLY_ERROR) || resp_client_refused(client, ki_reply_text(*reply));
}

bool ki_resp_call(struct ki_resp_client *client, const struct ki_span *args, size_t count, uint32_t timeout_ms,
                  struct ki_reply *reply)
{
    return ki_resp_send(client, args, count) && ki_resp_receive(client, timeout_ms, reply);
}

bool ki_resp_ask(struct ki_resp_client *client, struct ki_reply *reply, ...)
{
    struct ki_span words[KI_RESP_ARGS_MAX];
    size_t count = 0;
    const char *word;
    va_list args;
    va_start(args, reply);
    while ((word = va_arg(args, const char *)) != NULL) {
        KI_ASSERT(count < KI_RESP_ARGS_MAX);
        words[count++] = ki_span(word, strlen(word));
    }
    va_end(args);
    return ki_resp_call(client, words, count, KI_RESP_WAIT_MS, reply);
}
