/* The blocking RPC client.
 *
 * Straight-line code over a line (line.c): send, wait, read one whole object, decode; a deadline bounds
 * every wait.
 *
 * Invariants: an answer is at most KI_RPC_REPLY_MAX bytes, whatever a peer sends.  Spans given out
 * point into the line's buffer and live until the next call.  After a failure the connection is only good for
 * ki_rpc_close().
 *
 * The answer's body follows even when the header carries an error, but for three of them (Serf's rule);
 * a command whose error is one of the three has no body to wait for.
 *
 * Not here: reconnecting, concurrent requests.  `kith dev` talks to many agents at once and has its own
 * (dev_link.c). */
#include "cli/rpc_client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/rpc_frame.h"

/* ---- connecting ---- */

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
        return ki_line_fail(&client->line, false, "out of memory");
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
    client->seq = 0;
    return ki_line_open(&client->line, addr, "7373") && rpc_client_greet(client, auth); /* Serf's port */
}

void ki_rpc_close(struct ki_rpc_client *client)
{
    ki_line_close(&client->line);
}

/* ---- sending ---- */

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
        return ki_line_fail(&client->line, false, "the request is too large");
    *seq = client->seq;
    /* An agent that does not know the command hangs up at its header: the body has to be out by then. */
    return ki_line_send(&client->line, ki_span(small, header.w.len), body ? MSG_MORE : 0, KI_RPC_WAIT_MS) &&
           (!body || ki_line_send(&client->line, ki_span(body->w.start, body->w.len), 0, KI_RPC_WAIT_MS));
}

/* ---- receiving ---- */

bool ki_rpc_object(struct ki_rpc_client *client, uint32_t timeout_ms, struct ki_span *object)
{
    uint64_t until_ms = ki_dial_until(timeout_ms);
    struct ki_rpc_frame frame;
    ki_rpc_frame_start(&frame, KI_RPC_REPLY_MAX);
    for (;;) {
        struct ki_span pending = ki_line_pending(&client->line);
        enum ki_rpc_frame_state state = KI_RPC_FRAME_MORE;
        if (pending.len > frame.scanned)
            state = ki_rpc_frame_scan(&frame, pending.ptr, pending.len);
        if (state == KI_RPC_FRAME_BAD || state == KI_RPC_FRAME_LARGE)
            return ki_line_fail(&client->line, false, "the agent's answer is malformed or too large");
        if (state == KI_RPC_FRAME_WHOLE) {
            *object = ki_span(pending.ptr, frame.scanned);
            ki_line_take(&client->line, frame.scanned);
            return true;
        }
        if (!ki_line_more(&client->line, until_ms))
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
        return ki_line_fail(&client->line, false, "the agent's answer is malformed");
    *seq = header.seq;
    *refusal = header.error;
    return true;
}

static const char rpc_client_unsupported[] = "Unsupported command";

bool ki_rpc_unsupported(const struct ki_rpc_client *client)
{
    return client->line.refused && strcmp(client->line.error, rpc_client_unsupported) == 0;
}

/* True for the errors that end an answer at its header. */
static bool rpc_client_bodyless(struct ki_span error)
{
    static const char *const texts[] = {"Authentication required", "Handshake required", rpc_client_unsupported};
    for (size_t i = 0; i < KI_COUNT(texts); i++) {
        if (ki_span_equal(error, ki_span(texts[i], strlen(texts[i]))))
            return true;
    }
    return false;
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
        return ki_line_fail(&client->line, false, "the agent answered another request");
    if (refusal.len == 0)
        return !reply || ki_rpc_object(client, timeout_ms, reply);
    char words[sizeof client->line.error]; /* an agent that hangs up in place of a body has said why */
    size_t len = ki_min_size(refusal.len, sizeof words);
    bool has_body = reply && !rpc_client_bodyless(refusal);
    memcpy(words, refusal.ptr, len);
    if (has_body && !ki_rpc_object(client, timeout_ms, reply))
        *reply = ki_span(NULL, 0);
    return ki_line_refused(&client->line, ki_span(words, len));
}
