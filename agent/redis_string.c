/* Strings: SET, GET and their kin.
 *
 * A string may have become a number by INCR; it is read as its digits.  What reads and then writes (SET NX, GETSET, GETEX,
 * MSETNX) is one step on this node only: two nodes may both find a key absent.  Several keys written by one command are
 * one group: others see all of it or nothing.
 *
 * The reply of a command that reads and writes is written first, since what the store lends ends with the write, and taken
 * back if the write fails. */
#include "agent/redis_conn.h"

#include <stdio.h>

enum { STRING_NX = 1, STRING_XX = 2, STRING_GET = 4, STRING_KEEP = 8, STRING_PERSIST = 16, STRING_TIME = 32 };

struct string_options {
    unsigned flags;
    struct ki_span time;
    bool seconds, relative;
};

/* Sets one key.  Writes the error if it fails, instead of what was written behind mark. */
static bool string_put(struct ki_redis_call *call, struct ki_span key, struct ki_span value, uint64_t expires_ms,
                       size_t mark)
{
    int result = kith_set(call->k, call->now, ki_redis_str(key), ki_redis_str(value), expires_ms);
    if (result == 0)
        return true;
    ki_resp_cut(call->out, mark);
    ki_redis_error_of(call, result);
    return false;
}

/* Writes the value or a null.  false: an error was written. */
static bool string_tell(struct ki_redis_call *call, struct ki_span key, bool *found)
{
    struct kith_value value;
    int result = kith_get(call->k, call->now, ki_redis_str(key), &value);
    if (result != 0) {
        ki_redis_error_of(call, result);
        return false;
    }
    bool there = value.shape != KITH_SHAPE_NOTHING;
    if (found)
        *found = there;
    call->client->redis->counts[there ? KI_REDIS_HITS : KI_REDIS_MISSES]++;
    if (value.shape == KITH_SHAPE_BYTES)
        ki_redis_bulk(call, value.bytes);
    else
        ki_redis_put_value(call, &value);
    return true;
}

/* ---- options ---- */

static unsigned string_word(struct ki_span arg, struct string_options *options, bool is_set, bool more)
{
    static const struct {
        const char *word;
        bool seconds, relative;
    } times[] = {{"EX", true, true}, {"PX", false, true}, {"EXAT", true, false}, {"PXAT", false, false}};
    if (is_set && ki_redis_word(arg, "NX"))
        return STRING_NX;
    if (is_set && ki_redis_word(arg, "XX"))
        return STRING_XX;
    if (is_set && ki_redis_word(arg, "GET"))
        return STRING_GET;
    if (is_set && ki_redis_word(arg, "KEEPTTL"))
        return STRING_KEEP;
    if (!is_set && ki_redis_word(arg, "PERSIST"))
        return STRING_PERSIST;
    for (size_t i = 0; i < KI_COUNT(times) && more; i++) {
        if (ki_redis_word(arg, times[i].word)) {
            options->seconds = times[i].seconds;
            options->relative = times[i].relative;
            return STRING_TIME;
        }
    }
    return 0;
}

/* Reads what stands behind the value (SET) or the key (GETEX).  Of KEEPTTL, PERSIST and the times only one may be said, a
 * time only once. */
static bool string_options(struct ki_redis_call *call, size_t first, bool is_set, struct string_options *out)
{
    const unsigned ends = STRING_KEEP | STRING_PERSIST | STRING_TIME;
    *out = (struct string_options){.flags = 0};
    for (size_t i = first; i < call->arg_count; i++) {
        unsigned flag = string_word(call->args[i], out, is_set, i + 1 < call->arg_count);
        unsigned against = flag == STRING_NX     ? STRING_XX
                           : flag == STRING_XX   ? STRING_NX
                           : flag == STRING_TIME ? ends
                           : flag & ends         ? ends & ~flag
                                                 : 0;
        if (flag == 0 || out->flags & against) {
            ki_redis_syntax(call);
            return false;
        }
        out->flags |= flag;
        if (flag == STRING_TIME)
            out->time = call->args[++i];
    }
    return true;
}

/* An error takes the place of what was written behind mark. */
static bool string_time(struct ki_redis_call *call, const struct string_options *options, const char *name, size_t mark,
                        uint64_t *at_ms)
{
    int64_t base = options->relative ? (int64_t)(call->now.wall_us / 1000) : 0;
    int64_t unit = options->seconds ? 1000 : 1;
    int64_t value;
    char text[96];
    bool is_number = ki_redis_parse_integer(options->time, &value);
    if (is_number && value > 0 && value <= INT64_MAX / unit && value * unit <= INT64_MAX - base) {
        *at_ms = (uint64_t)(value * unit + base);
        return true;
    }
    ki_resp_cut(call->out, mark);
    snprintf(text, sizeof text, "ERR invalid expire time in '%s' command", name);
    if (is_number)
        ki_redis_error(call, text);
    else
        ki_redis_error_of(call, KITH_ERR_NUMBER);
    return false;
}

/* ---- one key ---- */

void ki_redis_get(struct ki_redis_call *call)
{
    (void)string_tell(call, call->args[1], NULL);
}

static void string_set_options(struct ki_redis_call *call)
{
    struct string_options options;
    uint64_t expires_ms = KITH_NEVER_MS;
    size_t mark = ki_resp_mark(call->out);
    bool found;
    if (!string_options(call, 3, true, &options))
        return;
    if (options.flags & STRING_TIME && !string_time(call, &options, "set", mark, &expires_ms))
        return;
    if (options.flags & STRING_GET) {
        if (!string_tell(call, call->args[1], &found))
            return;
    } else {
        found = kith_type_of(call->k, call->now, ki_redis_str(call->args[1])) != KITH_TYPE_NONE;
    }
    if ((options.flags & STRING_NX && found) || (options.flags & STRING_XX && !found)) {
        if (!(options.flags & STRING_GET))
            ki_resp_put_null(call->out);
        return;
    }
    if (options.flags & STRING_KEEP && found &&
        kith_expiry(call->k, call->now, ki_redis_str(call->args[1]), &expires_ms) != 0)
        expires_ms = KITH_NEVER_MS;
    if (string_put(call, call->args[1], call->args[2], expires_ms, mark) && !(options.flags & STRING_GET))
        ki_redis_ok(call);
}

void ki_redis_set(struct ki_redis_call *call)
{
    if (call->arg_count > 3)
        string_set_options(call);
    else if (string_put(call, call->args[1], call->args[2], KITH_NEVER_MS, ki_resp_mark(call->out)))
        ki_redis_ok(call);
}

void ki_redis_setnx(struct ki_redis_call *call)
{
    if (kith_type_of(call->k, call->now, ki_redis_str(call->args[1])) != KITH_TYPE_NONE)
        ki_resp_put_integer(call->out, 0);
    else if (string_put(call, call->args[1], call->args[2], KITH_NEVER_MS, ki_resp_mark(call->out)))
        ki_resp_put_integer(call->out, 1);
}

static void string_setex(struct ki_redis_call *call, bool seconds, const char *name)
{
    const struct string_options options = {.time = call->args[2], .seconds = seconds, .relative = true};
    size_t mark = ki_resp_mark(call->out);
    uint64_t expires_ms;
    if (string_time(call, &options, name, mark, &expires_ms) &&
        string_put(call, call->args[1], call->args[3], expires_ms, mark))
        ki_redis_ok(call);
}

void ki_redis_setex(struct ki_redis_call *call)
{
    string_setex(call, true, "setex");
}

void ki_redis_psetex(struct ki_redis_call *call)
{
    string_setex(call, false, "psetex");
}

void ki_redis_getset(struct ki_redis_call *call)
{
    size_t mark = ki_resp_mark(call->out);
    if (string_tell(call, call->args[1], NULL))
        (void)string_put(call, call->args[1], call->args[2], KITH_NEVER_MS, mark);
}

void ki_redis_getdel(struct ki_redis_call *call)
{
    size_t mark = ki_resp_mark(call->out);
    bool found, existed;
    if (!string_tell(call, call->args[1], &found) || !found)
        return;
    int result = kith_delete(call->k, call->now, ki_redis_str(call->args[1]), &existed);
    if (result != 0) {
        ki_resp_cut(call->out, mark);
        ki_redis_error_of(call, result);
    }
}

void ki_redis_getex(struct ki_redis_call *call)
{
    struct string_options options;
    uint64_t expires_ms = KITH_NEVER_MS;
    size_t mark = ki_resp_mark(call->out);
    bool found, changed;
    if (!string_options(call, 2, false, &options) || !string_tell(call, call->args[1], &found) || !found ||
        options.flags == 0)
        return;
    if (options.flags & STRING_TIME && !string_time(call, &options, "getex", mark, &expires_ms))
        return;
    int result = kith_expire(call->k, call->now, ki_redis_str(call->args[1]), expires_ms, &changed);
    if (result != 0) {
        ki_resp_cut(call->out, mark);
        ki_redis_error_of(call, result);
    }
}

/* ---- several keys ---- */

void ki_redis_mget(struct ki_redis_call *call)
{
    ki_resp_put_array(call->out, call->arg_count - 1);
    for (size_t i = 1; i < call->arg_count; i++) {
        struct kith_value value;
        if (kith_get(call->k, call->now, ki_redis_str(call->args[i]), &value) != 0)
            value.shape = KITH_SHAPE_NOTHING;
        call->client->redis->counts[value.shape != KITH_SHAPE_NOTHING ? KI_REDIS_HITS : KI_REDIS_MISSES]++;
        ki_redis_put_value(call, &value);
    }
}

static bool string_put_all(struct ki_redis_call *call)
{
    bool own = kith_store_begin(call->k) == 0;
    bool done = true;
    for (size_t i = 1; i < call->arg_count && done; i += 2)
        done = string_put(call, call->args[i], call->args[i + 1], KITH_NEVER_MS, ki_resp_mark(call->out));
    if (own)
        (void)kith_store_commit(call->k, call->now);
    return done;
}

void ki_redis_mset(struct ki_redis_call *call)
{
    if (call->arg_count % 2 == 0)
        ki_redis_arity(call, "mset");
    else if (string_put_all(call))
        ki_redis_ok(call);
}

void ki_redis_msetnx(struct ki_redis_call *call)
{
    if (call->arg_count % 2 == 0) {
        ki_redis_arity(call, "msetnx");
        return;
    }
    for (size_t i = 1; i < call->arg_count; i += 2) {
        if (kith_type_of(call->k, call->now, ki_redis_str(call->args[i])) != KITH_TYPE_NONE) {
            ki_resp_put_integer(call->out, 0);
            return;
        }
    }
    if (string_put_all(call))
        ki_resp_put_integer(call->out, 1);
}

/* ---- counting ---- */

static void string_increase(struct ki_redis_call *call, int64_t by)
{
    int64_t value;
    int result = kith_increase(call->k, call->now, ki_redis_str(call->args[1]), by, &value);
    if (result != 0)
        ki_redis_error_of(call, result);
    else
        ki_resp_put_integer(call->out, value);
}

void ki_redis_incr(struct ki_redis_call *call)
{
    string_increase(call, 1);
}

void ki_redis_decr(struct ki_redis_call *call)
{
    string_increase(call, -1);
}

void ki_redis_incrby(struct ki_redis_call *call)
{
    int64_t by;
    if (ki_redis_integer(call, call->args[2], &by))
        string_increase(call, by);
}

void ki_redis_decrby(struct ki_redis_call *call)
{
    int64_t by;
    if (!ki_redis_integer(call, call->args[2], &by))
        return;
    if (by == INT64_MIN)
        ki_redis_error(call, "ERR decrement would overflow");
    else
        string_increase(call, -by);
}

/* Whether the key holds another type is asked before whether the increment is a number. */
void ki_redis_incrbyfloat(struct ki_redis_call *call)
{
    struct kith_str key = ki_redis_str(call->args[1]);
    enum kith_type type = kith_type_of(call->k, call->now, key);
    double by, value;
    if (type != KITH_TYPE_NONE && type != KITH_TYPE_STRING) {
        ki_redis_error_of(call, KITH_ERR_TYPE);
        return;
    }
    if (!ki_redis_real(call, call->args[2], &by))
        return;
    int result = kith_increase_real(call->k, call->now, key, by, &value);
    if (result == KITH_ERR_NUMBER)
        ki_redis_error(call, "ERR value is not a valid float");
    else if (result == KITH_ERR_OVERFLOW)
        ki_redis_error(call, "ERR increment would produce NaN or Infinity");
    else if (result != 0)
        ki_redis_error_of(call, result);
    else
        ki_redis_put_value(call, &(struct kith_value){.shape = KITH_SHAPE_REAL, .real = value});
}
