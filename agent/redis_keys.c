/* Commands of keys of any type: what there is, of which type, walking them, deleting.
 *
 * All of it is this node's view: what other nodes have written and not told yet is not there, and a deleted key that
 * somebody wrote to meanwhile comes back with what that write said.
 *
 * There is no RENAME, COPY, FLUSHALL: a copy under another name would not merge with what others do to the first. */
#include "agent/redis_conn.h"

#include <stdio.h>

static const char *keys_type_name(enum kith_type type)
{
    switch (type) {
    case KITH_TYPE_NONE:
        return "none";
    case KITH_TYPE_STRING:
        return "string";
    case KITH_TYPE_SIBLINGS:
        return "kith.mv";
    case KITH_TYPE_SORTED:
        return "zset";
    case KITH_TYPE_SET:
        return "set";
    case KITH_TYPE_HASH:
        return "hash";
    }
    KI_UNREACHABLE();
}

static uint64_t keys_count(kith *k)
{
    struct kith_store_gauges gauges;
    return kith_store_read_gauges(k, &gauges) == 0 ? gauges.keys : 0;
}

void ki_redis_dbsize(struct ki_redis_call *call)
{
    ki_resp_put_integer(call->out, (int64_t)keys_count(call->k));
}

void ki_redis_keys(struct ki_redis_call *call)
{
    size_t mark = ki_redis_defer(call);
    uint64_t cursor = 0, count = 0;
    struct kith_str key;
    while (kith_next_key(call->k, call->now, &cursor, &key)) {
        if (!ki_redis_match(call->args[1], ki_span(key.ptr, key.len)))
            continue;
        ki_redis_bulk(call, key);
        count++;
    }
    ki_redis_deferred_array(call, mark, count);
}

/* Types are asked of a copy: asking ends the loan of the key. */
static bool keys_has_type(struct ki_redis_call *call, struct kith_str key, enum kith_type type)
{
    return type != KITH_TYPE_NONE && kith_type_of(call->k, call->now, key) == type;
}

void ki_redis_scan_command(struct ki_redis_call *call)
{
    struct ki_redis_scan scan;
    uint64_t cursor, count = 0;
    struct kith_str key;
    char copy[65536];
    if (!ki_redis_scan_cursor(call, call->args[1], &cursor) || !ki_redis_scan_options(call, 2, true, &scan))
        return;
    size_t mark = ki_redis_scan_begin(call);
    for (uint64_t seen = 0; seen < scan.count; seen++) {
        if (!kith_next_key(call->k, call->now, &cursor, &key)) {
            cursor = 1;
            break;
        }
        bool last = cursor == 1;
        if (ki_redis_scan_matches(&scan, ki_span(key.ptr, key.len))) {
            if (scan.has_type && key.len <= sizeof copy) {
                if (key.len > 0)
                    memcpy(copy, key.ptr, key.len);
                key.ptr = copy;
            }
            if (!scan.has_type || keys_has_type(call, key, scan.type)) {
                ki_redis_bulk(call, key);
                count++;
            }
        }
        if (last)
            break;
    }
    ki_redis_scan_end(call, mark, cursor == 1 ? 0 : cursor, count);
}

/* Not all keys alike: the walk begins at a place by chance, and ends at the next key there. */
void ki_redis_randomkey(struct ki_redis_call *call)
{
    uint64_t total = keys_count(call->k);
    uint64_t skip = total > 0 ? ki_redis_random(call, ki_min_u64(total, 1024)) : 0;
    uint64_t cursor = 0;
    struct kith_str key;
    bool found = false;
    for (uint64_t i = 0; i <= skip; i++) {
        uint64_t before = cursor;
        if (!kith_next_key(call->k, call->now, &cursor, &key)) {
            cursor = 0;
            found = before != 0 && kith_next_key(call->k, call->now, &cursor, &key);
            break;
        }
        found = true;
    }
    if (found)
        ki_redis_bulk(call, key);
    else
        ki_resp_put_null(call->out);
}

void ki_redis_type(struct ki_redis_call *call)
{
    const char *name = keys_type_name(ki_redis_type_of(call, ki_redis_str(call->args[1])));
    ki_resp_put_simple(call->out, ki_span(name, strlen(name)));
}

/* EXISTS and TOUCH. */
void ki_redis_exists(struct ki_redis_call *call)
{
    int64_t count = 0;
    for (size_t i = 1; i < call->arg_count; i++)
        count += ki_redis_type_of(call, ki_redis_str(call->args[i])) != KITH_TYPE_NONE;
    ki_resp_put_integer(call->out, count);
}

/* DEL and UNLINK, as one group. */
void ki_redis_del(struct ki_redis_call *call)
{
    int64_t count = 0;
    bool own = call->arg_count > 2 && kith_store_begin(call->k) == 0;
    int result = 0;
    for (size_t i = 1; i < call->arg_count && result == 0; i++) {
        bool existed = false;
        result = kith_delete(call->k, call->now, ki_redis_str(call->args[i]), &existed);
        count += existed;
    }
    if (own)
        (void)kith_store_commit(call->k, call->now);
    if (result != 0)
        ki_redis_error_of(call, result);
    else
        ki_resp_put_integer(call->out, count);
}
