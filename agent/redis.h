/* The Redis door: what its commands see.
 *
 *     redis.c           the listener, the clients' sockets, closing
 *     redis_table.c     the table of commands
 *     redis_run.c       one request: is it known, is it allowed, now or at EXEC
 *     redis_args.c      arguments, and the replies that many commands share
 *     redis_<group>.c   the commands
 *
 * A command is a function of this type.  It reads call->args, acts on call->k, and writes exactly one reply to call->out;
 * its table row has seen to the count of arguments and to what the client may do.  Arguments are borrowed for the call,
 * and stay where they are through every call of the store; what the store lends is gone with the next call on it, so it
 * is written to call->out at once. */
#ifndef KI_AGENT_REDIS_H
#define KI_AGENT_REDIS_H

#include "agent/resp_write.h"
#include "kith/store.h"

struct ki_redis_client;

struct ki_redis_call {
    struct ki_redis_client *client;
    kith *k;
    struct kith_time now;
    const struct ki_span *args; /* args[0] is the command's name, as the client wrote it */
    size_t arg_count;
    struct ki_resp_writer *out;
    struct ki_redis_view *views; /* aggregates that the command has read */
};
typedef void ki_redis_command(struct ki_redis_call *call);

enum ki_redis_flag {
    KI_REDIS_READ = 1,
    KI_REDIS_WRITE = 2,
    KI_REDIS_FAST = 4,
    KI_REDIS_NO_AUTH = 8,    /* allowed before AUTH */
    KI_REDIS_NO_MULTI = 16,  /* not allowed between MULTI and EXEC */
    KI_REDIS_AT_ONCE = 32,   /* not queued between them: MULTI, EXEC, DISCARD, WATCH, QUIT, RESET */
    KI_REDIS_PUBSUB_OK = 64, /* allowed to a RESP2 client that has subscribed */
    KI_REDIS_ADMIN = 128,
    KI_REDIS_PUBSUB = 256,
    KI_REDIS_DENY_OOM = 512, /* may need memory */
    KI_REDIS_LOADING = 1024,
    KI_REDIS_STALE = 2048
};

/* A row of the table.  arity as in Redis: negative, at least so many; the name counts.  Keys: args[first], every step-th
 * up to args[last], a negative last counting from the end; first 0: no keys. */
struct ki_redis_entry {
    const char *name; /* small letters */
    int arity;
    unsigned flags;
    int first, last, step;
    const char *group; /* "string", "set", ..., as in Redis's COMMAND DOCS */
    ki_redis_command *run;
};

extern const struct ki_redis_entry ki_redis_table[]; /* sorted by name */
extern const size_t ki_redis_table_count;

/* ---- arguments (redis_args.c) ----
 * Those that return bool write the error that Redis has for it, and return false. */

/* Is it this word, whatever its case?  word in capitals. */
bool ki_redis_word(struct ki_span arg, const char *word);
bool ki_redis_integer(struct ki_redis_call *call, struct ki_span arg, int64_t *out);
/* Any double but NaN; infinities by name. */
bool ki_redis_real(struct ki_redis_call *call, struct ki_span arg, double *out);
/* The same without an answer: Redis's string2ll() and string2d(). */
bool ki_redis_parse_integer(struct ki_span text, int64_t *out);
bool ki_redis_parse_real(struct ki_span text, double *out);

static inline struct kith_str ki_redis_str(struct ki_span arg)
{
    return (struct kith_str){(const char *)arg.ptr, arg.len};
}

/* Redis's glob: * ? [a-z] [^a] \x.  Work: at most a constant times pattern times text. */
bool ki_redis_match(struct ki_span pattern, struct ki_span text);

/* Any of 0 .. below - 1, alike; below > 0. */
uint64_t ki_redis_random(struct ki_redis_call *call, uint64_t below);

/* ---- keys that are read (redis_view.c): the store's, or aggregates that look like them ----
 * As the functions of store.h.  What the store lends is gone with the next call on it; what is lent of an aggregate, with
 * the end of the command. */

struct ki_redis_view;

bool ki_redis_is_aggregate(struct kith_str key); /* whether or not there is one */
enum kith_type ki_redis_type_of(struct ki_redis_call *call, struct kith_str key);
int ki_redis_expiry(struct ki_redis_call *call, struct kith_str key, uint64_t *at_ms);
int ki_redis_element_count(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint32_t *count);
int ki_redis_element(struct ki_redis_call *call, struct kith_str key, enum kith_type type, struct kith_str field,
                     struct kith_element *out);
bool ki_redis_next_element(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint64_t *cursor,
                           struct kith_element *out);
int ki_redis_sorted_at(struct ki_redis_call *call, struct kith_str key, uint32_t rank, struct kith_element *out);
int ki_redis_sorted_rank(struct ki_redis_call *call, struct kith_str key, struct kith_str member, uint32_t *rank);
int ki_redis_sorted_bound(struct ki_redis_call *call, struct kith_str key, double score, bool above, uint32_t *rank);
void ki_redis_views_end(struct ki_redis_call *call); /* the command has ended */

/* ---- SCAN and its kin ---- */

struct ki_redis_scan {
    uint64_t count;         /* COUNT, or 10: elements to look at before answering */
    struct ki_span pattern; /* MATCH; ptr NULL: all */
    bool has_type;          /* TYPE was said; it is NONE when no type is called that */
    enum kith_type type;
};

bool ki_redis_scan_cursor(struct ki_redis_call *call, struct ki_span arg, uint64_t *cursor);
/* Reads the options from args[first] on.  types: TYPE is one of them. */
bool ki_redis_scan_options(struct ki_redis_call *call, size_t first, bool types, struct ki_redis_scan *out);
bool ki_redis_scan_matches(const struct ki_redis_scan *scan, struct ki_span text);
/* Redis's cursor ends with 0 and the store's with a walk that has shown the last: SCAN's answer, whose elements were
 * written behind ki_redis_scan_begin().  mark: what that returned; count: elements written (a field and its value: 2). */
size_t ki_redis_scan_begin(struct ki_redis_call *call);
void ki_redis_scan_end(struct ki_redis_call *call, size_t mark, uint64_t cursor, uint64_t count);

/* ---- replies ---- */

void ki_redis_ok(struct ki_redis_call *call);
void ki_redis_error(struct ki_redis_call *call, const char *text); /* "ERR syntax error" */
void ki_redis_error_of(struct ki_redis_call *call, int error);     /* of a kith_error */
void ki_redis_syntax(struct ki_redis_call *call);
void ki_redis_bulk(struct ki_redis_call *call, struct kith_str bytes);
void ki_redis_text(struct ki_redis_call *call, const char *text); /* a bulk */
/* A bulk: the bytes, or the number as text; null when it is NOTHING. */
void ki_redis_put_value(struct ki_redis_call *call, const struct kith_value *value);
/* The value as bytes: its own, or the number printed into room. */
#define KI_REDIS_NUMBER_ROOM 352
struct kith_str ki_redis_value_bytes(const struct kith_value *value, char room[KI_REDIS_NUMBER_ROOM]);
/* As INCRBYFLOAT prints: no exponent, no needless zero.  Returns the length. */
size_t ki_redis_print_real(double value, char room[KI_REDIS_NUMBER_ROOM]);

/* An array, set or map whose count is known when its elements are written. */
size_t ki_redis_defer(struct ki_redis_call *call); /* a mark */
void ki_redis_deferred_array(struct ki_redis_call *call, size_t mark, uint64_t count);
void ki_redis_deferred_set(struct ki_redis_call *call, size_t mark, uint64_t count);
void ki_redis_deferred_map(struct ki_redis_call *call, size_t mark, uint64_t pairs);

/* ---- commands ---- */

ki_redis_command ki_redis_sadd, ki_redis_srem, ki_redis_sismember, ki_redis_smismember, ki_redis_smembers, ki_redis_scard,
    ki_redis_spop, ki_redis_srandmember, ki_redis_smove, ki_redis_sscan, ki_redis_sinter, ki_redis_sintercard,
    ki_redis_sinterstore, ki_redis_sunion, ki_redis_sunionstore, ki_redis_sdiff, ki_redis_sdiffstore;

ki_redis_command ki_redis_hset, ki_redis_hmset, ki_redis_hsetnx, ki_redis_hget, ki_redis_hmget, ki_redis_hgetall,
    ki_redis_hdel, ki_redis_hlen, ki_redis_hexists, ki_redis_hkeys, ki_redis_hvals, ki_redis_hstrlen, ki_redis_hincrby,
    ki_redis_hincrbyfloat, ki_redis_hrandfield, ki_redis_hscan;

ki_redis_command ki_redis_zadd, ki_redis_zrem, ki_redis_zcard, ki_redis_zscore, ki_redis_zmscore, ki_redis_zincrby,
    ki_redis_zcount, ki_redis_zlexcount, ki_redis_zrank, ki_redis_zrevrank, ki_redis_zrange, ki_redis_zrevrange,
    ki_redis_zrangebyscore, ki_redis_zrevrangebyscore, ki_redis_zrangebylex, ki_redis_zrevrangebylex,
    ki_redis_zrangestore, ki_redis_zpopmin, ki_redis_zpopmax, ki_redis_zrandmember, ki_redis_zremrangebyrank,
    ki_redis_zremrangebyscore, ki_redis_zremrangebylex, ki_redis_zunion, ki_redis_zunionstore, ki_redis_zinter,
    ki_redis_zinterstore, ki_redis_zintercard, ki_redis_zdiff, ki_redis_zdiffstore, ki_redis_zscan;

#endif
