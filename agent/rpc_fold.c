/* kith-query: a query whose answers are folded on their way; one answer for all of the pool.
 *
 * It is a query's request with Top, how many of the largest are wanted.  The connection is busy until the result is there,
 * as with an event that is to be confirmed: there is one answer.  What the core tells before the end is gathered: the names
 * of the silent, and the result, in the core's own form.
 *
 * That some are silent is no error: the answer counts and names them.  Of no answers nil is told, and no zero.
 *
 * Not here: what can be folded (kith/event.h). */
#include "agent/rpc_conn.h"

#include <stdlib.h>
#include <string.h>

static void rpc_fold_keep(struct ki_rpc_gather *gather, struct kith_str payload)
{
    gather->folded = malloc(payload.len + 1);
    if (!gather->folded)
        return; /* and that is told in the end */
    memcpy(gather->folded, payload.ptr, payload.len);
    gather->folded_len = payload.len;
}

static void rpc_fold_answered(void *arg, const struct kith_event *event)
{
    struct ki_rpc_conn *conn = arg;
    if (event->kind == KITH_EVENT_FOLDED) {
        rpc_fold_keep(&conn->gather, event->message.payload);
        return;
    }
    enum ki_rpc_group group = event->result == KITH_ERR_VERSION ? KI_RPC_UNABLE : KI_RPC_MISSING;
    ki_rpc_gather_add(&conn->gather, group, event->message.origin, ki_rpc_str(ki_span("", 0)), false, KI_RPC_GATHER_MAX);
}

/* ---- the answer ---- */

static void rpc_fold_uint(struct ki_pack *p, const char *key, uint64_t value)
{
    ki_pack_text(p, key);
    ki_pack_uint(p, value);
}

static void rpc_fold_real(struct ki_pack *p, const char *key, double value, const struct kith_folded *folded)
{
    ki_pack_text(p, key);
    if (folded->answers > 0)
        ki_pack_double(p, value);
    else
        ki_pack_nil(p);
}

static void rpc_fold_pack_top(struct ki_pack *p, const struct kith_event *event)
{
    struct kith_str member;
    double value;
    size_t cursor = 0, count = 0;
    while (kith_folded_next(event, &cursor, &member, &value))
        count++;
    ki_pack_text(p, "Top");
    ki_pack_array(p, count);
    for (cursor = 0; kith_folded_next(event, &cursor, &member, &value);) {
        ki_pack_map(p, 2);
        ki_pack_text(p, "Member");
        ki_pack_str(p, ki_span(member.ptr, member.len));
        ki_pack_text(p, "Value");
        ki_pack_double(p, value);
    }
}

static void rpc_fold_pack(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc_gather *gather = arg;
    struct kith_event event = {.kind = KITH_EVENT_FOLDED};
    struct kith_folded folded = {.answers = 0};
    event.message.payload = ki_rpc_str(ki_span(gather->folded, gather->folded_len));
    if (gather->folded)
        (void)kith_folded_read(&event, &folded); /* the core has made it */
    ki_pack_map(p, 12);
    rpc_fold_uint(p, "Answers", folded.answers);
    rpc_fold_real(p, "Average", folded.average, &folded);
    rpc_fold_real(p, "Max", folded.max, &folded);
    rpc_fold_uint(p, "Members", folded.members);
    rpc_fold_real(p, "Min", folded.min, &folded);
    ki_pack_text(p, "Missing");
    ki_rpc_pack_gathered_names(p, gather, KI_RPC_MISSING);
    rpc_fold_uint(p, "Silent", folded.silent);
    rpc_fold_real(p, "Sum", folded.sum, &folded);
    rpc_fold_pack_top(p, &event);
    ki_pack_text(p, "Unable");
    ki_rpc_pack_gathered_names(p, gather, KI_RPC_UNABLE);
    rpc_fold_uint(p, "Unusable", folded.unusable);
    rpc_fold_real(p, "Variance", folded.variance, &folded);
}

static void rpc_fold_done(void *arg, int result, uint32_t count, const char *why)
{
    struct ki_rpc_conn *conn = arg;
    const char *error = "";
    (void)result, (void)count, (void)why;
    if (!conn->gather.folded)
        error = "the answers were lost here: too much waits to be told, or memory is out";
    else if (conn->gather.lost)
        error = "some of the silent members are not listed: out of memory";
    ki_rpc_ask_end(conn, error, rpc_fold_pack, &conn->gather);
}

bool ki_rpc_run_kith_query(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct ki_rpc_asked asked;
    char error[KI_RPC_ERROR_TEXT] = "";
    bool good = ki_rpc_read_query(body, &asked);
    if (good) {
        asked.query.fold = true;
        int status = ki_agent_query(conn->rpc->agent, &asked.query, rpc_fold_answered, rpc_fold_done, conn);
        if (status != 0)
            ki_rpc_query_error(conn, status, &asked.query, error);
        ki_rpc_ask_begun(conn, status, error, rpc_fold_pack, &conn->gather);
    }
    ki_rpc_free_query(&asked);
    return good;
}
