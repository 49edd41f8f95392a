/* The blocking client of the Redis door.
 *
 * As the RPC client: straight-line code for one question, with a deadline on every wait.  A deadline is for silence, not for
 * length: each piece of a long answer starts it anew.
 *
 * Invariants: an answer takes at most KI_REPLY_BYTES_MAX, whatever a peer sends.  Replies given out point into the line's
 * buffer and live until the next call.  After a failure that is no refusal the connection is only good for ki_resp_close().
 *
 * Not here: reconnecting, pipelines; what an error means to a person (store.c). */
#include "cli/resp_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool ki_resp_odd(struct ki_resp_client *client)
{
    return ki_line_fail(&client->line, false, "the answer is not the one that a kith agent gives");
}

bool ki_resp_open(struct ki_resp_client *client, const char *addr, const char *password)
{
    struct ki_reply reply;
    *client = (struct ki_resp_client){.line.fd = -1};
    return ki_line_open(&client->line, addr, "7379") &&
           (!password[0] || ki_resp_ask(client, &reply, "AUTH", password, NULL));
}

void ki_resp_close(struct ki_resp_client *client)
{
    ki_line_close(&client->line);
    ki_reply_free(&client->reader);
}

/* ---- sending ---- */

static bool resp_client_write(struct ki_resp_client *client, struct ki_span bytes, int flags)
{
    return ki_line_send(&client->line, bytes, flags, KI_RESP_WAIT_MS);
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

bool ki_resp_receive(struct ki_resp_client *client, uint32_t timeout_ms, struct ki_reply *reply)
{
    struct ki_span pending;
    ki_reply_start(&client->reader);
    for (;;) {
        pending = ki_line_pending(&client->line);
        enum ki_reply_state state = ki_reply_scan(&client->reader, pending.ptr, pending.len);
        if (state == KI_REPLY_BAD)
            return ki_line_fail(&client->line, false, "what answers there does not speak the Redis protocol");
        if (state == KI_REPLY_NO_MEMORY)
            return ki_line_fail(&client->line, false, "out of memory");
        if (state == KI_REPLY_WHOLE)
            break;
        if (!ki_line_more(&client->line, ki_dial_until(timeout_ms)))
            return false;
    }
    *reply = (struct ki_reply){.nodes = client->reader.nodes, .buf = pending.ptr};
    ki_line_take(&client->line, client->reader.len);
    return !ki_reply_is(*reply, KI_REPLY_ERROR) || ki_line_refused(&client->line, ki_reply_text(*reply));
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
