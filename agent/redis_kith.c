/* What Redis has no command for, and WAIT, which here keeps its promise.
 *
 *     KITH.MVSET key value [CONTEXT token]    writes a sibling: replaces those of the token, or all that are here
 *     KITH.MVGET key                          [token, [value, ...]]
 *     KITH.HOLDERS key                        who is known to have held what the key shows
 *     KITH.STATUS                             the store's numbers and its peers, as JSON
 *     WAIT n ms                               until n other nodes hold all that this one has written, or the time is over
 *
 * A token is the dots of the siblings read, in hexadecimal: opaque to clients, and checked by the core, which refuses dots
 * that it has never seen. */
#include "agent/redis_conn.h"

#include <jansson.h>
#include <stdio.h>

#define KITH_DOT_HEX 32   /* digits of a dot: replica and number */
#define KITH_DOTS_MAX 4096 /* in a token */

/* ---- siblings ---- */

static int kith_hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads 16 digits.  false: they are none. */
static bool kith_read_hex(const uint8_t *at, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < KITH_DOT_HEX / 2; i++) {
        int digit = kith_hex(at[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *out = value;
    return true;
}

static bool kith_read_token(struct ki_span token, struct kith_dot *dots, size_t *count)
{
    if (token.len % KITH_DOT_HEX != 0 || token.len / KITH_DOT_HEX > KITH_DOTS_MAX)
        return false;
    *count = token.len / KITH_DOT_HEX;
    for (size_t i = 0; i < *count; i++) {
        const uint8_t *at = token.ptr + i * KITH_DOT_HEX;
        if (!kith_read_hex(at, &dots[i].replica) || !kith_read_hex(at + KITH_DOT_HEX / 2, &dots[i].n))
            return false;
    }
    return true;
}

void ki_redis_mvset(struct ki_redis_call *call)
{
    struct kith_dot *dots = NULL;
    size_t count = 0;
    if (call->arg_count != 3 && (call->arg_count != 5 || !ki_redis_word(call->args[3], "CONTEXT"))) {
        ki_redis_syntax(call);
        return;
    }
    if (call->arg_count == 5) {
        dots = malloc(KITH_DOTS_MAX * sizeof *dots);
        if (!dots) {
            ki_redis_error_of(call, KITH_ERR_NOMEM);
            return;
        }
    }
    int result = dots && !kith_read_token(call->args[4], dots, &count) ? KITH_ERR_ARG : 0;
    if (result == 0)
        result = kith_put_sibling(call->k, call->now, ki_redis_str(call->args[1]), ki_redis_str(call->args[2]), dots, count);
    free(dots);
    if (result == KITH_ERR_ARG)
        ki_redis_error(call, "ERR invalid context token");
    else if (result != 0)
        ki_redis_error_of(call, result);
    else
        ki_redis_ok(call);
}

/* The token stands before the values, but is as long as they are many: two walks. */
void ki_redis_mvget(struct ki_redis_call *call)
{
    struct kith_str key = ki_redis_str(call->args[1]), value;
    struct kith_dot dot;
    uint32_t count = 0;
    int result;
    while ((result = kith_sibling(call->k, call->now, key, count, &value, &dot)) == 0)
        count++;
    if (result != KITH_ERR_NOT_FOUND) {
        ki_redis_error_of(call, result);
        return;
    }
    char *token = malloc((size_t)count * KITH_DOT_HEX + 1);
    if (!token) {
        ki_redis_error_of(call, KITH_ERR_NOMEM);
        return;
    }
    token[0] = '\0';
    for (uint32_t i = 0; i < count && kith_sibling(call->k, call->now, key, i, &value, &dot) == 0; i++)
        snprintf(token + (size_t)i * KITH_DOT_HEX, KITH_DOT_HEX + 1, "%016llx%016llx", (unsigned long long)dot.replica,
                 (unsigned long long)dot.n);
    ki_resp_put_array(call->out, 2);
    ki_redis_text(call, token);
    free(token);
    ki_resp_put_array(call->out, count);
    for (uint32_t i = 0; i < count && kith_sibling(call->k, call->now, key, i, &value, &dot) == 0; i++)
        ki_redis_bulk(call, value);
}

/* ---- evidence ---- */

void ki_redis_holders(struct ki_redis_call *call)
{
    size_t mark = ki_redis_defer(call);
    uint64_t cursor = 0, count = 0;
    struct kith_holder holder;
    char replica[17];
    while (kith_next_holder(call->k, call->now, ki_redis_str(call->args[1]), &cursor, &holder)) {
        snprintf(replica, sizeof replica, "%016llx", (unsigned long long)holder.replica);
        ki_resp_put_map(call->out, 3);
        ki_redis_text(call, "replica");
        ki_redis_text(call, replica);
        ki_redis_text(call, "member");
        ki_redis_bulk(call, holder.member);
        ki_redis_text(call, "self");
        ki_resp_put_bool(call->out, holder.is_self);
        count++;
    }
    ki_redis_deferred_array(call, mark, count);
}

static json_t *kith_peers_json(const kith *k)
{
    json_t *peers = json_array();
    uint32_t cursor = 0;
    struct kith_store_peer peer;
    char replica[17];
    while (kith_next_store_peer(k, &cursor, &peer)) {
        snprintf(replica, sizeof replica, "%016llx", (unsigned long long)peer.replica);
        json_array_append_new(peers, json_pack("{s:s%, s:s, s:b, s:I, s:I}", "member", peer.member.ptr, peer.member.len,
                                               "replica", replica, "in_sync", peer.in_sync, "synced_us",
                                               (json_int_t)peer.synced_us, "differences", (json_int_t)peer.differences));
    }
    return peers;
}

static json_t *kith_status_json(const kith *k, struct kith_time now, const struct kith_store_gauges *gauges)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"keys", gauges->keys},
        {"cells", gauges->cells},
        {"bytes", gauges->bytes},
        {"written", gauges->written},
        {"replicas", gauges->replicas},
        {"runs", gauges->runs},
        {"peers_count", gauges->peers},
        {"peers_in_sync", gauges->peers_in_sync},
        {"rounds", gauges->rounds},
        {"repairs", gauges->repairs},
        {"repairs_failed", gauges->repairs_failed},
        {"differences", gauges->differences},
        {"refused_ahead", gauges->refused_ahead},
        {"rows_written", kith_rows_written(k)},
        {"rows_durable", kith_rows_are_durable(k)},
        {"now_us", now.mono_us}, /* what synced_us of a peer is to be compared with */
    };
    char root[2 * sizeof gauges->root + 1];
    char replica[17];
    json_t *status = json_object();
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        json_object_set_new(status, rows[i].name, json_integer((json_int_t)rows[i].value));
    for (size_t i = 0; i < sizeof gauges->root; i++)
        snprintf(root + 2 * i, 3, "%02x", gauges->root[i]);
    snprintf(replica, sizeof replica, "%016llx", (unsigned long long)gauges->replica);
    json_object_set_new(status, "replica", json_string(replica));
    json_object_set_new(status, "root", gauges->has_root ? json_string(root) : json_null());
    json_object_set_new(status, "is_partial", json_boolean(gauges->is_partial));
    json_object_set_new(status, "peers", kith_peers_json(k));
    return status;
}

void ki_redis_status(struct ki_redis_call *call)
{
    struct kith_store_gauges gauges;
    int result = kith_store_read_gauges(call->k, &gauges);
    if (result != 0) {
        ki_redis_error_of(call, result);
        return;
    }
    json_t *status = kith_status_json(call->k, call->now, &gauges);
    char *text = json_dumps(status, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(status);
    if (text)
        ki_redis_text(call, text);
    else
        ki_redis_error_of(call, KITH_ERR_NOMEM);
    free(text);
}

/* ---- WAIT ---- */

void ki_redis_wait(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    struct kith_store_gauges gauges;
    int64_t members, timeout_ms;
    if (!ki_redis_integer(call, call->args[1], &members))
        return;
    if (!ki_redis_parse_integer(call->args[2], &timeout_ms)) {
        ki_redis_error(call, "ERR timeout is not an integer or out of range");
        return;
    }
    if (timeout_ms < 0) {
        ki_redis_error(call, "ERR timeout is negative");
        return;
    }
    if (client->in_exec) { /* nothing may block between MULTI and EXEC: what is known now */
        int result = kith_store_read_gauges(call->k, &gauges);
        ki_resp_put_integer(call->out, result == 0 ? gauges.peers_in_sync : 0);
        return;
    }
    members = members < 0 ? 0 : members > UINT32_MAX ? UINT32_MAX : members;
    timeout_ms = timeout_ms > UINT32_MAX ? UINT32_MAX : timeout_ms;
    int result = kith_store_wait(call->k, call->now, (uint32_t)members, (uint32_t)timeout_ms, &client->wait);
    if (result != 0) {
        client->wait = 0;
        ki_redis_error_of(call, result);
        return;
    }
    client->redis->blocked_count++;
}
