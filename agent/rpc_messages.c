/* event, query and respond, and kith's own event, which can wait until all members have it.
 *
 *     event       answered at once                     kith-event  answered when the confirmation ends: busy until then
 *     query       answered at once; then records "ack", "response" ..., "done" under the same number, beside other requests
 *     stream tells of a query under a number of this connection --> respond with it, until the query's deadline
 *
 * The numbers that a client may respond to are the newest KI_RPC_PENDING_MAX it was told; they lie at their number modulo
 * that.  A client that goes away ends its queries.
 *
 * Errors are Serf's, word for word, where Serf has them.  Limits are kith's own, and so are the sentences about them, which
 * say what is too much of what, and what to do.
 *
 * Invariant: each ki_rpc_query is in its connection's list from the ask until its done, or until the agent was told to
 * forget it.  "done" is sent however slowly the client reads: there are KI_RPC_QUERIES_MAX of them at most.
 *
 * Not here: telling of events and queries (rpc_streams.c). */
#include "agent/rpc_conn.h"
#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RPC_MESSAGES_CONFIRM_MS 10000           /* unless the request says how long */
#define RPC_MESSAGES_INTERNAL   "_serf_"        /* names of Serf's own queries */
#define RPC_MESSAGES_PING       "_serf_ping"    /* the one of them that users may ask: `serf reachability` does */

/* ---- errors ---- */

/* What all of them may be refused with; NULL: it is none of these. */
static const char *rpc_messages_common(int status)
{
    if (status == KITH_ERR_FULL)
        return "too many events or queries are on their way (queries_max, tickets_max, queue_max): try again a little later";
    if (status == KITH_ERR_STATE)
        return "not possible now: this node is leaving, or in a pool of bare memberlist nodes, which have no events";
    return NULL;
}

static bool rpc_messages_bad_name(struct kith_str name)
{
    return name.len == 0 || name.len > KITH_NAME_MAX;
}

static void rpc_messages_name_error(char out[KI_RPC_ERROR_TEXT], const char *what, struct kith_str name)
{
    snprintf(out, KI_RPC_ERROR_TEXT, "Name: the name of %s has 1 to %d bytes, this one has %zu", what, KITH_NAME_MAX,
             name.len);
}

/* ---- event ---- */

static void rpc_messages_event_error(struct ki_rpc_conn *conn, int status, const struct kith_user_event *event,
                                     char out[KI_RPC_ERROR_TEXT])
{
    const char *common = rpc_messages_common(status);
    if (status == KITH_ERR_TOO_LONG)
        snprintf(out, KI_RPC_ERROR_TEXT,
                 "user event exceeds configured limit of %u bytes: name and payload have %zu; send less, or raise "
                 "event_size_max of all agents",
                 (unsigned)ki_agent_sizes(conn->rpc->agent).event, event->name.len + event->payload.len);
    else if (status == KITH_ERR_ARG && rpc_messages_bad_name(event->name))
        rpc_messages_name_error(out, "an event", event->name);
    else
        snprintf(out, KI_RPC_ERROR_TEXT, "%s", common ? common : kith_strerror(status));
}

struct rpc_messages_event {
    struct ki_span name;
    struct ki_span payload;
    bool coalesce;
    bool confirm;
    int64_t timeout_ns;
};

static struct kith_user_event rpc_messages_event(const struct rpc_messages_event *request)
{
    return (struct kith_user_event){.name = ki_rpc_str(request->name),
                                    .payload = ki_rpc_str(request->payload),
                                    .coalesce = request->coalesce};
}

bool ki_rpc_run_event(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_messages_event, name, "Name", KI_FIELD_STR, 1, false),
        KI_FIELD(struct rpc_messages_event, payload, "Payload", KI_FIELD_BYTES, 2, false),
        KI_FIELD(struct rpc_messages_event, coalesce, "Coalesce", KI_FIELD_BOOL, 0, false),
    };
    struct rpc_messages_event request = {.coalesce = false};
    char error[KI_RPC_ERROR_TEXT] = "";
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    struct kith_user_event event = rpc_messages_event(&request);
    int status = ki_agent_event(conn->rpc->agent, &event, NULL, NULL, NULL);
    if (status != 0)
        rpc_messages_event_error(conn, status, &event, error);
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    return true;
}

/* ---- kith-event ---- */

static void rpc_messages_unconfirmed(void *arg, const struct kith_event *event)
{
    struct ki_rpc_conn *conn = arg;
    enum ki_rpc_group group = event->result == KITH_ERR_VERSION ? KI_RPC_UNABLE : KI_RPC_MISSING;
    ki_rpc_gather_add(&conn->gather, group, event->message.origin, ki_rpc_str(ki_span("", 0)), false, KI_RPC_GATHER_MAX);
}

struct rpc_messages_confirmed {
    const struct ki_rpc_gather *gather;
    uint32_t count;
};

static void rpc_messages_pack_confirmed(struct ki_pack *p, const void *arg)
{
    const struct rpc_messages_confirmed *confirmed = arg;
    const struct ki_rpc_gather *gather = confirmed->gather;
    ki_pack_map(p, 4);
    ki_pack_text(p, "Confirmed");
    ki_pack_uint(p, confirmed->count);
    ki_pack_text(p, "Members");
    ki_pack_uint(p, confirmed->count + gather->counts[KI_RPC_MISSING] + gather->counts[KI_RPC_UNABLE]);
    ki_pack_text(p, "Missing");
    ki_rpc_pack_gathered_names(p, gather, KI_RPC_MISSING);
    ki_pack_text(p, "Unable");
    ki_rpc_pack_gathered_names(p, gather, KI_RPC_UNABLE);
}

/* That some have not confirmed is no error: the answer names them. */
static void rpc_messages_event_done(void *arg, int result, uint32_t count, const char *why)
{
    struct ki_rpc_conn *conn = arg;
    struct rpc_messages_confirmed confirmed = {.gather = &conn->gather, .count = count};
    const char *error = result != 0 && result != KITH_ERR_TIMEOUT ? why : "";
    if (conn->gather.lost)
        error = "some of the members without a confirmation are not listed: out of memory";
    ki_rpc_ask_end(conn, error, rpc_messages_pack_confirmed, &confirmed);
}

/* Nanoseconds as whole milliseconds, at least 1; what is not positive stands for `otherwise`. */
static uint32_t rpc_messages_ms(int64_t timeout_ns, uint32_t otherwise)
{
    if (timeout_ns <= 0)
        return otherwise;
    uint64_t timeout_ms = ((uint64_t)timeout_ns + 999999) / 1000000;
    return (uint32_t)ki_min_u64(timeout_ms, UINT32_MAX);
}

bool ki_rpc_run_kith_event(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_messages_event, name, "Name", KI_FIELD_STR, 2, false),
        KI_FIELD(struct rpc_messages_event, payload, "Payload", KI_FIELD_BYTES, 3, false),
        KI_FIELD(struct rpc_messages_event, coalesce, "Coalesce", KI_FIELD_BOOL, 0, false),
        KI_FIELD(struct rpc_messages_event, confirm, "Confirm", KI_FIELD_BOOL, 1, false),
        KI_FIELD(struct rpc_messages_event, timeout_ns, "Timeout", KI_FIELD_I64, 4, false),
    };
    struct rpc_messages_event request = {.confirm = false};
    char error[KI_RPC_ERROR_TEXT] = "";
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    struct kith_user_event event = rpc_messages_event(&request);
    if (request.confirm)
        event.confirm_timeout_ms = rpc_messages_ms(request.timeout_ns, RPC_MESSAGES_CONFIRM_MS);
    int status = ki_agent_event(conn->rpc->agent, &event, rpc_messages_unconfirmed, rpc_messages_event_done, conn);
    if (status != 0)
        rpc_messages_event_error(conn, status, &event, error);
    struct rpc_messages_confirmed none = {.gather = &conn->gather};
    ki_rpc_ask_begun(conn, status, error, rpc_messages_pack_confirmed, &none);
    return true;
}

/* ---- query ---- */

static void rpc_messages_unlink(struct ki_rpc_query *query)
{
    struct ki_rpc_query **link = &query->conn->queries;
    while (*link != query)
        link = &(*link)->next;
    *link = query->next;
    query->conn->query_count--;
    free(query);
}

static void rpc_messages_answered(void *arg, const struct kith_event *event)
{
    const struct ki_rpc_query *query = arg;
    struct ki_rpc_conn *conn = query->conn;
    const struct ki_rpc_answer answer = {.type = event->message.is_ack ? "ack" : "response",
                                         .from = event->message.origin,
                                         .payload = event->message.payload};
    if (ki_rpc_congested(conn))
        conn->rpc->counts[KI_RPC_DROPPED_EVENTS]++;
    else
        ki_rpc_reply(conn, query->seq, "", ki_rpc_pack_answer, &answer);
}

static void rpc_messages_query_done(void *arg, int result, uint32_t count, const char *why)
{
    (void)result, (void)count, (void)why;
    struct ki_rpc_query *query = arg;
    struct ki_rpc_conn *conn = query->conn;
    const struct ki_rpc_answer answer = {.type = "done"};
    uint64_t seq = query->seq;
    rpc_messages_unlink(query);
    ki_rpc_reply(conn, seq, "", ki_rpc_pack_answer, &answer);
}

void ki_rpc_drop_queries(struct ki_rpc_conn *conn)
{
    while (conn->queries) {
        ki_agent_forget(conn->rpc->agent, conn->queries);
        rpc_messages_unlink(conn->queries);
    }
}

struct rpc_messages_query {
    struct ki_span nodes, tags, name, payload;
    bool ack;
    uint8_t relay_factor, top;
    int64_t timeout_ns;
};

bool ki_rpc_read_query(struct ki_reader *body, struct ki_rpc_asked *asked)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_messages_query, nodes, "FilterNodes", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct rpc_messages_query, tags, "FilterTags", KI_FIELD_RAW, 1, false),
        KI_FIELD(struct rpc_messages_query, ack, "RequestAck", KI_FIELD_BOOL, 5, false),
        KI_FIELD(struct rpc_messages_query, relay_factor, "RelayFactor", KI_FIELD_U8, 4, false),
        KI_FIELD(struct rpc_messages_query, timeout_ns, "Timeout", KI_FIELD_I64, 6, false),
        KI_FIELD(struct rpc_messages_query, name, "Name", KI_FIELD_STR, 2, false),
        KI_FIELD(struct rpc_messages_query, payload, "Payload", KI_FIELD_BYTES, 3, false),
        KI_FIELD(struct rpc_messages_query, top, "Top", KI_FIELD_U8, 7, false),
    };
    struct rpc_messages_query request = {.ack = false};
    *asked = (struct ki_rpc_asked){.nodes = NULL};
    struct kith_query *query = &asked->query;
    bool good = ki_unpack_struct(body, fields, KI_COUNT(fields), &request) &&
                ki_rpc_read_strings(request.nodes, &asked->nodes, &query->node_count) &&
                ki_rpc_read_tags(request.tags, &asked->tags, &query->tag_count);
    query->name = ki_rpc_str(request.name);
    query->payload = ki_rpc_str(request.payload);
    query->nodes = asked->nodes;
    query->tags = asked->tags;
    query->ack = request.ack;
    query->relay_factor = request.relay_factor;
    query->timeout_ms = rpc_messages_ms(request.timeout_ns, 0);
    query->fold_top = request.top;
    return good;
}

void ki_rpc_free_query(struct ki_rpc_asked *asked)
{
    free(asked->nodes);
    free(asked->tags);
}

static bool rpc_messages_reserved(const struct kith_query *query)
{
    size_t prefix = strlen(RPC_MESSAGES_INTERNAL);
    bool is_ping = query->payload.len == 0 && query->name.len == strlen(RPC_MESSAGES_PING) &&
                   memcmp(query->name.ptr, RPC_MESSAGES_PING, query->name.len) == 0;
    return query->name.len >= prefix && memcmp(query->name.ptr, RPC_MESSAGES_INTERNAL, prefix) == 0 && !is_ping;
}

void ki_rpc_query_error(struct ki_rpc_conn *conn, int status, const struct kith_query *query,
                        char out[KI_RPC_ERROR_TEXT])
{
    const char *common = rpc_messages_common(status);
    struct kith_member member;
    snprintf(out, KI_RPC_ERROR_TEXT, "%s", common ? common : kith_strerror(status));
    if (status == KITH_ERR_ARG && rpc_messages_reserved(query))
        snprintf(out, KI_RPC_ERROR_TEXT, "Queries cannot contain the '%s' prefix", RPC_MESSAGES_INTERNAL);
    else if (status == KITH_ERR_TOO_LONG && query->fold)
        snprintf(out, KI_RPC_ERROR_TEXT,
                 "folded query exceeds what one datagram holds: name, payload and filters, or so many of the largest, have "
                 "more; send less");
    else if (status == KITH_ERR_TOO_LONG)
        snprintf(out, KI_RPC_ERROR_TEXT,
                 "query exceeds limit of %u bytes: name, payload and filters have more; send less, or raise "
                 "query_size_max of all agents",
                 (unsigned)ki_agent_sizes(conn->rpc->agent).query);
    else if (status == KITH_ERR_ARG && rpc_messages_bad_name(query->name))
        rpc_messages_name_error(out, "a query", query->name);
    else if (status == KITH_ERR_ARG && query->fold_top > KITH_FOLD_TOP_MAX)
        snprintf(out, KI_RPC_ERROR_TEXT, "Top: %u of the largest are too many: %d are told at most", query->fold_top,
                 KITH_FOLD_TOP_MAX);
    else if (status == KITH_ERR_ARG && query->tag_count > 0)
        snprintf(out, KI_RPC_ERROR_TEXT, "FilterTags: a value is no regular expression (\"%.*s\" is the first)",
                 (int)ki_min_size(query->tags[0].value.len, 100), query->tags[0].value.ptr);
    for (size_t i = 0; status == KITH_ERR_NOT_FOUND && i < query->node_count; i++) {
        struct kith_str node = query->nodes[i];
        if (kith_find(ki_agent_kith(conn->rpc->agent), node, &member) != 0)
            snprintf(out, KI_RPC_ERROR_TEXT, "FilterNodes: no member is called \"%.*s\"",
                     (int)ki_min_size(node.len, KITH_NAME_MAX), node.ptr);
    }
}

/* Asks.  Returns false when it is refused, with the error. */
static bool rpc_messages_ask(struct ki_rpc_conn *conn, const struct kith_query *query, char error[KI_RPC_ERROR_TEXT])
{
    struct ki_rpc_query *asked = NULL;
    if (rpc_messages_reserved(query)) {
        ki_rpc_query_error(conn, KITH_ERR_ARG, query, error);
        return false;
    }
    if (conn->query_count == KI_RPC_QUERIES_MAX) {
        conn->rpc->counts[KI_RPC_REFUSED_ASKS]++;
        snprintf(error, KI_RPC_ERROR_TEXT,
                 "Too many queries: a connection has %d on their way at most; wait for one, or open another",
                 KI_RPC_QUERIES_MAX);
        return false;
    }
    asked = malloc(sizeof *asked);
    int status = KITH_ERR_NOMEM;
    if (asked) {
        *asked = (struct ki_rpc_query){.next = conn->queries, .conn = conn, .seq = conn->seq};
        conn->queries = asked;
        conn->query_count++;
        status = ki_agent_query(conn->rpc->agent, query, rpc_messages_answered, rpc_messages_query_done, asked);
    }
    if (status == 0)
        return true;
    if (asked)
        rpc_messages_unlink(asked);
    ki_rpc_query_error(conn, status, query, error);
    return false;
}

bool ki_rpc_run_query(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct ki_rpc_asked asked;
    char error[KI_RPC_ERROR_TEXT] = "";
    bool good = ki_rpc_read_query(body, &asked);
    if (good) {
        (void)rpc_messages_ask(conn, &asked.query, error);
        ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    }
    ki_rpc_free_query(&asked);
    return good;
}

/* ---- respond ---- */

uint64_t ki_rpc_pend(struct ki_rpc_conn *conn, const struct kith_message *query)
{
    uint64_t id = ++conn->pending_id;
    struct ki_rpc_pending *slot = &conn->pending[id % KI_RPC_PENDING_MAX];
    if (slot->id != 0 && !slot->answered && slot->until_us > ki_net_now().mono_us)
        conn->rpc->counts[KI_RPC_FORGOTTEN_QUERIES]++;
    *slot = (struct ki_rpc_pending){.id = id, .query = query->query, .until_us = query->until_us};
    return id;
}

static void rpc_messages_respond(struct ki_rpc_conn *conn, uint64_t id, struct kith_str payload,
                                 char error[KI_RPC_ERROR_TEXT])
{
    struct ki_rpc_pending *slot = &conn->pending[id % KI_RPC_PENDING_MAX];
    if (id == 0 || slot->id != id || slot->until_us <= ki_net_now().mono_us) {
        snprintf(error, KI_RPC_ERROR_TEXT, "No pending queries matching ID");
        return;
    }
    int status = slot->answered ? KITH_ERR_NOT_FOUND : ki_agent_respond(conn->rpc->agent, slot->query, payload);
    slot->answered = slot->answered || status == 0 || status == KITH_ERR_NOT_FOUND;
    const char *common = rpc_messages_common(status);
    if (status == KITH_ERR_NOT_FOUND)
        snprintf(error, KI_RPC_ERROR_TEXT, "failed to respond to key query: response already sent");
    else if (status == KITH_ERR_TOO_LONG)
        snprintf(error, KI_RPC_ERROR_TEXT,
                 "response of %zu bytes exceeds limit: %u bytes, or what one datagram holds when a Serf agent asks; respond "
                 "with less",
                 payload.len, (unsigned)ki_agent_sizes(conn->rpc->agent).response);
    else if (status != 0)
        snprintf(error, KI_RPC_ERROR_TEXT, "%s", common ? common : kith_strerror(status));
}

bool ki_rpc_run_respond(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct respond {
        uint64_t id;
        struct ki_span payload;
    } request = {0, {NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct respond, id, "ID", KI_FIELD_U64, 0, false),
        KI_FIELD(struct respond, payload, "Payload", KI_FIELD_BYTES, 1, false),
    };
    char error[KI_RPC_ERROR_TEXT] = "";
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    rpc_messages_respond(conn, request.id, ki_rpc_str(request.payload), error);
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    return true;
}
