/* When keys end: EXPIRE and its kin.
 *
 * Times are the wall clock's, in milliseconds since 1970; one that has passed deletes the key at once.  Of two ends that
 * nodes gave one key without knowing of each other, the store decides (PROTOCOL.md); NX, XX, GT and LT look at what is
 * known here.  Options are judged before numbers, numbers before keys: the order of Redis's expireGenericCommand(). */
#include "agent/redis_conn.h"

#include <stdio.h>

enum { EXPIRE_NX = 1, EXPIRE_XX = 2, EXPIRE_GT = 4, EXPIRE_LT = 8 };

static bool expire_options(struct ki_redis_call *call, unsigned *out)
{
    unsigned flags = 0;
    char text[160];
    for (size_t i = 3; i < call->arg_count; i++) {
        struct ki_span arg = call->args[i];
        unsigned flag = ki_redis_word(arg, "NX")   ? EXPIRE_NX
                        : ki_redis_word(arg, "XX") ? EXPIRE_XX
                        : ki_redis_word(arg, "GT") ? EXPIRE_GT
                        : ki_redis_word(arg, "LT") ? EXPIRE_LT
                                                   : 0;
        if (flag == 0) {
            snprintf(text, sizeof text, "ERR Unsupported option %.*s", (int)ki_min_size(arg.len, 100),
                     (const char *)arg.ptr);
            ki_redis_error(call, text);
            return false;
        }
        flags |= flag;
    }
    *out = flags;
    if (flags & EXPIRE_NX && flags & (EXPIRE_XX | EXPIRE_GT | EXPIRE_LT))
        ki_redis_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
    else if (flags & EXPIRE_GT && flags & EXPIRE_LT)
        ki_redis_error(call, "ERR GT and LT options at the same time are not compatible");
    else
        return true;
    return false;
}

static bool expire_wanted(unsigned flags, int64_t at_ms, uint64_t present)
{
    bool never = present == KITH_NEVER_MS;
    if (flags & EXPIRE_NX && !never)
        return false;
    if (flags & EXPIRE_XX && never)
        return false;
    if (flags & EXPIRE_GT && (never || at_ms <= (int64_t)present))
        return false;
    return !(flags & EXPIRE_LT && !never && at_ms >= (int64_t)present);
}

static void expire_run(struct ki_redis_call *call, const char *name, int64_t unit, bool relative)
{
    struct kith_str key = ki_redis_str(call->args[1]);
    int64_t base = relative ? (int64_t)(call->now.wall_us / 1000) : 0;
    int64_t at_ms;
    uint64_t present;
    unsigned flags;
    char text[96];
    if (!expire_options(call, &flags) || !ki_redis_integer(call, call->args[2], &at_ms))
        return;
    if (at_ms > INT64_MAX / unit || at_ms < INT64_MIN / unit || at_ms * unit > INT64_MAX - base) {
        snprintf(text, sizeof text, "ERR invalid expire time in '%s' command", name);
        ki_redis_error(call, text);
        return;
    }
    at_ms = at_ms * unit + base;
    if (kith_expiry(call->k, call->now, key, &present) != 0 || !expire_wanted(flags, at_ms, present)) {
        ki_resp_put_integer(call->out, 0);
        return;
    }
    bool changed = false;
    int result = kith_expire(call->k, call->now, key, at_ms > 0 ? (uint64_t)at_ms : 0, &changed);
    if (result != 0)
        ki_redis_error_of(call, result);
    else
        ki_resp_put_integer(call->out, changed);
}

void ki_redis_expire(struct ki_redis_call *call)
{
    expire_run(call, "expire", 1000, true);
}

void ki_redis_pexpire(struct ki_redis_call *call)
{
    expire_run(call, "pexpire", 1, true);
}

void ki_redis_expireat(struct ki_redis_call *call)
{
    expire_run(call, "expireat", 1000, false);
}

void ki_redis_pexpireat(struct ki_redis_call *call)
{
    expire_run(call, "pexpireat", 1, false);
}

/* -2: no such key; -1: no end. */
static void expire_tell(struct ki_redis_call *call, bool relative, bool seconds)
{
    uint64_t at_ms;
    if (ki_redis_expiry(call, ki_redis_str(call->args[1]), &at_ms) != 0) {
        ki_resp_put_integer(call->out, -2);
    } else if (at_ms == KITH_NEVER_MS) {
        ki_resp_put_integer(call->out, -1);
    } else {
        uint64_t now_ms = call->now.wall_us / 1000;
        uint64_t value = !relative ? at_ms : at_ms > now_ms ? at_ms - now_ms : 0;
        ki_resp_put_integer(call->out, (int64_t)(seconds ? (value + 500) / 1000 : value));
    }
}

void ki_redis_ttl(struct ki_redis_call *call)
{
    expire_tell(call, true, true);
}

void ki_redis_pttl(struct ki_redis_call *call)
{
    expire_tell(call, true, false);
}

void ki_redis_expiretime(struct ki_redis_call *call)
{
    expire_tell(call, false, true);
}

void ki_redis_pexpiretime(struct ki_redis_call *call)
{
    expire_tell(call, false, false);
}

void ki_redis_persist(struct ki_redis_call *call)
{
    bool changed = false;
    int result = kith_expire(call->k, call->now, ki_redis_str(call->args[1]), KITH_NEVER_MS, &changed);
    if (result != 0)
        ki_redis_error_of(call, result);
    else
        ki_resp_put_integer(call->out, changed);
}
