/* Arguments and replies that the commands of the Redis door share: numbers, words, the options of SCAN, errors.
 *
 * Texts and rules are Redis 7.0's: string2ll(), getDoubleFromObject(), scanGenericCommand(), its shared errors.  A real
 * that counts is printed with as many digits as it takes to read the same number back, without exponent; Redis counts in
 * long doubles and prints 17 digits behind the point, which comes to the same wherever a double is exact enough.
 *
 * Invariant: whatever returns false has written one error; everything else here writes one reply or nothing.
 *
 * Not here: what any command does. */
#include "agent/redis_conn.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

#define ARGS_REAL_MAX 5120 /* bytes of a number in text: Redis's MAX_LONG_DOUBLE_CHARS */
#define ARGS_SCAN_COUNT 10

/* ---- replies ---- */

void ki_redis_error(struct ki_redis_call *call, const char *text)
{
    ki_resp_put_error(call->out, ki_span(text, strlen(text)));
}

void ki_redis_ok(struct ki_redis_call *call)
{
    ki_resp_put_simple(call->out, ki_span("OK", 2));
}

void ki_redis_syntax(struct ki_redis_call *call)
{
    ki_redis_error(call, "ERR syntax error");
}

void ki_redis_bulk(struct ki_redis_call *call, struct kith_str bytes)
{
    ki_resp_put_bulk(call->out, ki_span(bytes.ptr, bytes.len));
}

void ki_redis_text(struct ki_redis_call *call, const char *text)
{
    ki_resp_put_bulk(call->out, ki_span(text, strlen(text)));
}

void ki_redis_error_of(struct ki_redis_call *call, int error)
{
    char text[160];
    switch (error) {
    case KITH_ERR_TYPE:
        ki_redis_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
        return;
    case KITH_ERR_NUMBER:
        ki_redis_error(call, "ERR value is not an integer or out of range");
        return;
    case KITH_ERR_OVERFLOW:
        ki_redis_error(call, "ERR increment or decrement would overflow");
        return;
    case KITH_ERR_TOO_LONG:
        ki_redis_error(call, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    case KITH_ERR_NOMEM:
        ki_redis_error(call, "OOM command not allowed when used memory > 'maxmemory'.");
        return;
    default:
        snprintf(text, sizeof text, "ERR %s", kith_strerror(error));
        if (error == KITH_ERR_STATE && call->views) /* there is the aggregate, but not this of it */
            snprintf(text, sizeof text, "ERR the network engine keeps no order: 'kith aggregate NAME -top 9' shows its end");
        ki_redis_error(call, text);
    }
}

size_t ki_redis_print_real(double value, char room[KI_REDIS_NUMBER_ROOM])
{
    value += 0.0; /* the zero below zero becomes the other */
    for (int digits = 15; digits <= 17; digits++) {
        int len = snprintf(room, KI_REDIS_NUMBER_ROOM, "%.*g", digits, value);
        if (strtod(room, NULL) == value && !strchr(room, 'e'))
            return (size_t)len;
    }
    size_t len = (size_t)snprintf(room, KI_REDIS_NUMBER_ROOM, "%.17f", value);
    if (strchr(room, '.')) {
        while (room[len - 1] == '0')
            len--;
        len -= room[len - 1] == '.';
    }
    if (len == 2 && room[0] == '-' && room[1] == '0') {
        room[0] = '0';
        len = 1;
    }
    return len;
}

struct kith_str ki_redis_value_bytes(const struct kith_value *value, char room[KI_REDIS_NUMBER_ROOM])
{
    switch (value->shape) {
    case KITH_SHAPE_NOTHING:
        return (struct kith_str){"", 0};
    case KITH_SHAPE_BYTES:
        return value->bytes;
    case KITH_SHAPE_INTEGER:
        return (struct kith_str){room, (size_t)snprintf(room, KI_REDIS_NUMBER_ROOM, "%lld", (long long)value->integer)};
    case KITH_SHAPE_REAL:
        return (struct kith_str){room, ki_redis_print_real(value->real, room)};
    }
    KI_UNREACHABLE();
}

void ki_redis_put_value(struct ki_redis_call *call, const struct kith_value *value)
{
    char room[KI_REDIS_NUMBER_ROOM];
    if (value->shape == KITH_SHAPE_NOTHING)
        ki_resp_put_null(call->out);
    else
        ki_redis_bulk(call, ki_redis_value_bytes(value, room));
}

size_t ki_redis_defer(struct ki_redis_call *call)
{
    return ki_resp_mark(call->out);
}

void ki_redis_deferred_array(struct ki_redis_call *call, size_t mark, uint64_t count)
{
    ki_resp_array_at(call->out, mark, count);
}

void ki_redis_deferred_set(struct ki_redis_call *call, size_t mark, uint64_t count)
{
    ki_resp_set_at(call->out, mark, count);
}

void ki_redis_deferred_map(struct ki_redis_call *call, size_t mark, uint64_t pairs)
{
    ki_resp_map_at(call->out, mark, pairs);
}

/* ---- arguments ---- */

bool ki_redis_word(struct ki_span arg, const char *word)
{
    size_t i = 0;
    for (; i < arg.len && word[i]; i++) {
        uint8_t c = arg.ptr[i];
        if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != (uint8_t)word[i])
            return false;
    }
    return i == arg.len && !word[i];
}

bool ki_redis_parse_integer(struct ki_span text, int64_t *out)
{
    return ki_resp_number(text.ptr, text.len, out);
}

bool ki_redis_integer(struct ki_redis_call *call, struct ki_span arg, int64_t *out)
{
    if (ki_redis_parse_integer(arg, out))
        return true;
    ki_redis_error(call, "ERR value is not an integer or out of range");
    return false;
}

bool ki_redis_parse_real(struct ki_span text, double *out)
{
    char room[ARGS_REAL_MAX + 1];
    char *end;
    if (text.len == 0 || text.len > ARGS_REAL_MAX || isspace(text.ptr[0]))
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    errno = 0;
    *out = strtod(room, &end);
    if (end != room + text.len || isnan(*out))
        return false;
    return errno != ERANGE || !(isinf(*out) || fpclassify(*out) == FP_ZERO);
}

bool ki_redis_real(struct ki_redis_call *call, struct ki_span arg, double *out)
{
    if (ki_redis_parse_real(arg, out))
        return true;
    ki_redis_error(call, "ERR value is not a valid float");
    return false;
}

/* xorshift64* (Vigna 2014): which of several equal elements; nothing secret. */
uint64_t ki_redis_random(struct ki_redis_call *call, uint64_t below)
{
    uint64_t *state = &call->client->redis->random;
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

/* ---- SCAN ---- */

bool ki_redis_scan_cursor(struct ki_redis_call *call, struct ki_span arg, uint64_t *cursor)
{
    char room[32];
    char *end = room;
    if (arg.len > 0 && arg.len < sizeof room && !isspace(arg.ptr[0])) {
        memcpy(room, arg.ptr, arg.len);
        room[arg.len] = '\0';
        errno = 0;
        *cursor = strtoull(room, &end, 10);
        if (end == room + arg.len && errno != ERANGE)
            return true;
    }
    ki_redis_error(call, "ERR invalid cursor");
    return false;
}

static enum kith_type args_type(struct ki_span name)
{
    return ki_redis_word(name, "STRING")    ? KITH_TYPE_STRING
           : ki_redis_word(name, "SET")     ? KITH_TYPE_SET
           : ki_redis_word(name, "ZSET")    ? KITH_TYPE_SORTED
           : ki_redis_word(name, "HASH")    ? KITH_TYPE_HASH
           : ki_redis_word(name, "KITH.MV") ? KITH_TYPE_SIBLINGS
                                            : KITH_TYPE_NONE;
}

bool ki_redis_scan_options(struct ki_redis_call *call, size_t first, bool types, struct ki_redis_scan *out)
{
    *out = (struct ki_redis_scan){.count = ARGS_SCAN_COUNT};
    for (size_t i = first; i < call->arg_count; i += 2) {
        bool has_value = i + 1 < call->arg_count;
        if (ki_redis_word(call->args[i], "COUNT") && has_value) {
            int64_t count;
            if (!ki_redis_integer(call, call->args[i + 1], &count))
                return false;
            if (count < 1) {
                ki_redis_syntax(call);
                return false;
            }
            out->count = (uint64_t)count;
        } else if (ki_redis_word(call->args[i], "MATCH") && has_value) {
            out->pattern = call->args[i + 1];
        } else if (types && ki_redis_word(call->args[i], "TYPE") && has_value) {
            out->has_type = true;
            out->type = args_type(call->args[i + 1]);
        } else {
            ki_redis_syntax(call);
            return false;
        }
    }
    return true;
}

bool ki_redis_scan_matches(const struct ki_redis_scan *scan, struct ki_span text)
{
    return !scan->pattern.ptr || ki_redis_match(scan->pattern, text);
}

size_t ki_redis_scan_begin(struct ki_redis_call *call)
{
    return ki_redis_defer(call);
}

/* Behind the mark stand the elements; before them come the cursor and their count, set in backwards. */
void ki_redis_scan_end(struct ki_redis_call *call, size_t mark, uint64_t cursor, uint64_t count)
{
    ki_resp_array_at(call->out, mark, count);
    ki_resp_number_bulk_at(call->out, mark, cursor);
    ki_resp_array_at(call->out, mark, 2);
}
