/* install-key, use-key, remove-key, list-keys: the keyring of the whole pool.
 *
 * Each asks all members and is answered when all that are alive have answered, or a query's time is over; the connection is
 * busy until then.  The answer is Serf's key manager's: who said what (refusals), which keys there are and how many have
 * each, how many members were asked, answered, refused, and an error unless all of them have agreed.
 *
 * A key of a wrong length nobody is asked about: it is told as our own refusal, with the reason that a Serf agent has for
 * it.
 *
 * Keys are secrets: none is logged, and what was decoded is overwritten.
 *
 * Not here: what a member does with its keyring (the core), writing it down (keys_agent.c). */
#include "agent/rpc_conn.h"

#include <stdio.h>
#include <string.h>

#include "agent/keys.h"

#define RPC_KEYS_TEXT 512 /* of an error */

struct rpc_keys_answer {
    const struct ki_rpc_gather *gather;
    bool list;
};

static void rpc_keys_pack(struct ki_pack *p, const void *arg)
{
    const struct rpc_keys_answer *answer = arg;
    const struct ki_rpc_gather *gather = answer->gather;
    ki_pack_map(p, 5);
    ki_pack_text(p, "Keys");
    if (answer->list)
        ki_rpc_pack_gathered_counts(p, gather, KI_RPC_KEYS);
    else
        ki_pack_nil(p);
    ki_pack_text(p, "Messages");
    ki_rpc_pack_gathered_texts(p, gather, KI_RPC_MESSAGES);
    ki_pack_text(p, "NumErr");
    ki_pack_uint(p, gather->errors);
    ki_pack_text(p, "NumNodes");
    ki_pack_uint(p, gather->nodes);
    ki_pack_text(p, "NumResp");
    ki_pack_uint(p, gather->responses);
}

static void rpc_keys_error(const struct ki_rpc_gather *gather, char out[RPC_KEYS_TEXT])
{
    if (gather->errors > 0)
        snprintf(out, RPC_KEYS_TEXT, "%u/%u nodes reported failure", (unsigned)gather->errors, (unsigned)gather->nodes);
    else if (gather->responses != gather->nodes)
        snprintf(out, RPC_KEYS_TEXT, "%u/%u nodes reported success", (unsigned)gather->responses, (unsigned)gather->nodes);
    else if (gather->lost)
        snprintf(out, RPC_KEYS_TEXT, "not all keys are listed: there are too many, or out of memory");
}

/* ---- answers ---- */

static void rpc_keys_refusal(struct ki_rpc_gather *gather, struct kith_str name, struct kith_str reason)
{
    gather->errors++;
    ki_rpc_gather_add(gather, KI_RPC_MESSAGES, name, reason, false, KI_RPC_GATHER_MAX);
}

static void rpc_keys_answered(void *arg, const struct kith_event *event)
{
    struct ki_rpc_conn *conn = arg;
    struct ki_rpc_gather *gather = &conn->gather;
    gather->responses++;
    if (event->result != 0) {
        rpc_keys_refusal(gather, event->message.origin, event->message.payload);
        return;
    }
    struct kith_key key;
    char text[KI_KEY_TEXT];
    bool primary;
    for (size_t cursor = 0; kith_answer_key(event, &cursor, &key, &primary);) {
        ki_key_encode(&key, text);
        ki_rpc_gather_add(gather, KI_RPC_KEYS, ki_rpc_str(ki_span(text, strlen(text))), ki_rpc_str(ki_span("", 0)), true,
                          KI_RPC_KEYS_MAX);
    }
    explicit_bzero(&key, sizeof key);
    explicit_bzero(text, sizeof text);
}

static void rpc_keys_end(struct ki_rpc_conn *conn, int result, const char *why, bool list)
{
    const struct rpc_keys_answer answer = {.gather = &conn->gather, .list = list};
    char error[RPC_KEYS_TEXT] = "";
    rpc_keys_error(&conn->gather, error);
    if (result != 0 && error[0] == '\0')
        snprintf(error, sizeof error, "%s", why);
    ki_rpc_ask_end(conn, error, rpc_keys_pack, &answer);
}

static void rpc_keys_changed(void *arg, int result, uint32_t count, const char *why)
{
    (void)count;
    rpc_keys_end(arg, result, why, false);
}

static void rpc_keys_listed(void *arg, int result, uint32_t count, const char *why)
{
    (void)count;
    rpc_keys_end(arg, result, why, true);
}

/* ---- asking ---- */

/* Says in our own name why nobody was asked. */
static void rpc_keys_refuse(struct ki_rpc_conn *conn, const char *reason, char error[RPC_KEYS_TEXT])
{
    struct kith_member self;
    kith_self(ki_agent_kith(conn->rpc->agent), &self);
    conn->gather.responses = 1;
    rpc_keys_refusal(&conn->gather, self.name, ki_rpc_str(ki_span(reason, strlen(reason))));
    rpc_keys_error(&conn->gather, error);
}

/* Asks all members; key NULL: to list theirs. */
static void rpc_keys_ask(struct ki_rpc_conn *conn, enum kith_key_change change, const struct kith_key *key)
{
    struct ki_agent *agent = conn->rpc->agent;
    const struct rpc_keys_answer answer = {.gather = &conn->gather, .list = !key};
    char error[RPC_KEYS_TEXT] = "";
    struct kith_gauges gauges;
    kith_read_gauges(ki_agent_kith(agent), &gauges);
    conn->gather.nodes = gauges.alive;
    int status = ki_agent_change_keys(agent, change, key, rpc_keys_answered, key ? rpc_keys_changed : rpc_keys_listed, conn);
    if (status == KITH_ERR_ARG)
        rpc_keys_refuse(conn, "key size must be 16, 24 or 32 bytes", error);
    else if (status != 0)
        snprintf(error, sizeof error, "%s", kith_strerror(status));
    ki_rpc_ask_begun(conn, status, error, rpc_keys_pack, &answer);
}

/* The place of the first byte that is no base64, in Go's counting, which clients show; the length if there is none. */
static size_t rpc_keys_illegal(struct ki_span text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    while (at < text.len && memchr(digits, text.ptr[at], sizeof digits - 1))
        at++;
    size_t padding = (4 - at % 4) % 4;
    if (at == text.len && padding > 0)
        return at - at % 4;
    if (padding == 0 || padding == 3)
        return at;
    for (size_t i = 0; i < padding; i++, at++) {
        if (at == text.len || text.ptr[at] != '=')
            return at;
    }
    return at;
}

static bool rpc_keys_change(struct ki_rpc_conn *conn, struct ki_reader *body, enum kith_key_change change)
{
    struct change {
        struct ki_span key;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct change, key, "Key", KI_FIELD_STR, 0, false),
    };
    const struct rpc_keys_answer none = {.gather = &conn->gather};
    char text[129] = "";
    char error[RPC_KEYS_TEXT];
    struct kith_key key = {.len = 0};
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    size_t illegal = rpc_keys_illegal(request.key);
    if (illegal != request.key.len || (request.key.len % 4 != 0)) {
        snprintf(error, sizeof error, "illegal base64 data at input byte %zu", illegal);
        ki_rpc_reply(conn, conn->seq, error, rpc_keys_pack, &none);
        return true;
    }
    if (request.key.len > 0 && request.key.len < sizeof text)
        memcpy(text, request.key.ptr, request.key.len);
    (void)ki_key_decode(text, &key, error, sizeof error); /* a wrong length is told like any refusal */
    rpc_keys_ask(conn, change, &key);
    explicit_bzero(&key, sizeof key);
    explicit_bzero(text, sizeof text);
    return true;
}

bool ki_rpc_run_install_key(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    return rpc_keys_change(conn, body, KITH_KEY_INSTALL);
}

bool ki_rpc_run_use_key(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    return rpc_keys_change(conn, body, KITH_KEY_USE);
}

bool ki_rpc_run_remove_key(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    return rpc_keys_change(conn, body, KITH_KEY_REMOVE);
}

bool ki_rpc_run_list_keys(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    rpc_keys_ask(conn, KITH_KEY_LIST, NULL);
    return true;
}
