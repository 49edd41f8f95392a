/* Aggregates at the Redis door: five nodes contribute, and the door of one of them shows a hash and an order to every
 * command that reads such things; commands that write are refused, other keys are the store's as ever.  The code that reads
 * aggregates is compiled in here, with an allocator that fails when it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static int calls_left = INT32_MAX; /* allocations that still succeed */

static void *few_malloc(size_t size)
{
    return calls_left-- > 0 ? malloc(size) : NULL;
}

static void *few_calloc(size_t count, size_t size)
{
    return calls_left-- > 0 ? calloc(count, size) : NULL;
}

#include "agent/redis_conn.h"

#define malloc few_malloc
#define calloc few_calloc
#include "agent/redis_view.c"
#undef malloc
#undef calloc

#include "world.h"

enum { NODES = 5, ARGS_MAX = 12 };
static const double values[NODES] = {2, 0.5, 3, 2, 1}; /* of node-0, node-1 ... */

struct bench {
    struct world *world;
    struct ki_redis redis;
    struct ki_redis_client client;
    struct ki_resp_writer out;
};

static struct kith_str str(const char *text)
{
    return (struct kith_str){text, strlen(text)};
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct kith_store_config store;
    struct kith_schema schema;
    kith_store_config_init(&store);
    kith_schema_init(&schema);
    schema.unit = str("per core");
    schema.min = 0;
    schema.max = 8;
    b->world = world_new();
    world_store(b->world, &store);
    for (unsigned n = 0; n < NODES; n++) {
        struct kith_config config;
        world_config(&config, n);
        world_add(b->world, n, &config);
        kith *k = world_node(b->world, n);
        assert_int_equal(kith_aggregate_open(k, world_now(b->world), str("load"), &schema), 0);
        assert_int_equal(kith_aggregate_set(k, world_now(b->world), str("load"), values[n]), 0);
        if (n > 0)
            assert_int_equal(world_join(b->world, n, 0, NULL), 0);
    }
    assert_int_equal(kith_aggregate_open(world_node(b->world, 0), world_now(b->world), str("empty"), &schema), 0);
    schema.engine = KITH_ENGINE_NETWORK;
    assert_int_equal(kith_aggregate_open(world_node(b->world, 0), world_now(b->world), str("flow"), &schema), 0);
    assert_int_equal(kith_aggregate_set(world_node(b->world, 0), world_now(b->world), str("flow"), 4), 0);
    world_run(b->world, 10000000);
    b->redis.random = 88172645463325252u;
    b->client.redis = &b->redis;
    ki_redis_lookup_init(&b->redis);
    ki_resp_writer_init(&b->out, (size_t)1 << 20);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    world_free(b->world);
    ki_resp_writer_free(&b->out);
    free(b);
    return 0;
}

/* Runs a line of words at node 0, and writes its reply with blanks in place of line ends. */
static const char *run(struct bench *b, const char *line)
{
    static char text[4096];
    struct ki_span args[ARGS_MAX];
    size_t count = 0;
    for (const char *at = line; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        assert_true(count < ARGS_MAX);
        args[count++] = ki_span(at, len);
        at += len;
    }
    const struct ki_redis_entry *entry = ki_redis_find(&b->redis, args[0]);
    assert_non_null(entry);
    struct ki_redis_call call = {.client = &b->client,
                                 .k = world_node(b->world, 0),
                                 .now = world_now(b->world),
                                 .args = args,
                                 .arg_count = count,
                                 .out = &b->out};
    ki_redis_execute(&call, entry);
    assert_null(call.views);
    struct ki_span reply = ki_resp_unsent(&b->out);
    assert_true(reply.len < sizeof text);
    size_t len = 0;
    for (size_t i = 0; i < reply.len; i++) {
        if (reply.ptr[i] != '\r')
            text[len++] = reply.ptr[i] == '\n' ? ' ' : (char)reply.ptr[i];
    }
    text[len > 0 ? len - 1 : 0] = '\0';
    ki_resp_sent(&b->out, reply.len);
    return text;
}

struct row {
    const char *line, *reply;
};

static void check(struct bench *b, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *reply = run(b, rows[i].line);
        if (strcmp(reply, rows[i].reply) != 0)
            fail_msg("%s\n  gave   %s\n  wanted %s", rows[i].line, reply, rows[i].reply);
    }
}

#define LOAD  "kith:aggregate:load"
#define ORDER "kith:order:load"

static void test_hash(void **state)
{
    static const struct row rows[] = {
        {"TYPE " LOAD, "+hash"},
        {"EXISTS " LOAD " " ORDER " kith:aggregate:nothing nothing " LOAD, ":3"},
        {"TTL " LOAD, ":-1"},
        {"HLEN " LOAD, ":14"},
        {"HGET " LOAD " average", "$3 1.7"},
        {"HGET " LOAD " nothing", "$-1"},
        {"HMGET " LOAD " count sum min max unit engine converged coverage error variance",
         "*10 $1 5 $3 8.5 $3 0.5 $1 3 $8 per core $5 exact $1 1 $1 1 $1 0 $4 0.76"},
        {"HEXISTS " LOAD " conflicts", ":1"},
        {"HSTRLEN " LOAD " unit", ":8"},
        {"HKEYS " LOAD, "*14 $6 engine $4 unit $9 converged $5 count $3 sum $7 average $5 error $8 variance $3 min $3 max "
                        "$11 effective_n $8 coverage $9 conflicts $6 age_ms"},
        {"HSCAN " LOAD " 0 MATCH m??", "*2 $1 5 *4 $3 min $3 0.5 $3 max $1 3"},
        {"HSCAN " LOAD " 5 COUNT 10", "*2 $1 0 *8 $11 effective_n $1 5 $8 coverage $1 1 $9 conflicts $1 0 $6 age_ms $"},
        /* nobody contributes: no average of nothing */
        {"HMGET kith:aggregate:empty count sum average min", "*4 $1 0 $1 0 $-1 $-1"},
        {"HLEN kith:aggregate:empty", ":9"},
        /* there is no such aggregate */
        {"HGETALL kith:aggregate:nothing", "*0"},
        {"HGET kith:aggregate: x", "$-1"},
        {"TYPE kith:aggregate:nothing", "+none"},
        {"TTL kith:aggregate:nothing", ":-2"},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        const char *reply = run(b, rows[i].line);
        size_t len = strlen(rows[i].reply);
        bool open_end = rows[i].reply[len - 1] == '$'; /* a time follows */
        if (open_end ? strncmp(reply, rows[i].reply, len) != 0 : strcmp(reply, rows[i].reply) != 0)
            fail_msg("%s\n  gave   %s\n  wanted %s", rows[i].line, reply, rows[i].reply);
    }
    assert_int_equal(strncmp(run(b, "HGETALL " LOAD), "*28 $6 engine $5 exact $4 unit $8 per core ", 43), 0);
}

static void test_order(void **state)
{
    static const struct row rows[] = {
        {"TYPE " ORDER, "+zset"},
        {"ZCARD " ORDER, ":5"},
        {"ZRANGE " ORDER " 0 -1", "*5 $6 node-1 $6 node-4 $6 node-0 $6 node-3 $6 node-2"},
        {"ZRANGE " ORDER " 0 1 REV WITHSCORES", "*4 $6 node-2 $1 3 $6 node-3 $1 2"},
        {"ZREVRANGE " ORDER " 4 9", "*1 $6 node-1"},
        {"ZRANGEBYSCORE " ORDER " (1 2", "*2 $6 node-0 $6 node-3"},
        {"ZRANGE " ORDER " 1 (3 BYSCORE LIMIT 1 1", "*1 $6 node-0"},
        {"ZCOUNT " ORDER " 2 +inf", ":3"},
        {"ZCOUNT " ORDER " (2 (3", ":0"},
        {"ZRANK " ORDER " node-0", ":2"},
        {"ZREVRANK " ORDER " node-0", ":2"},
        {"ZREVRANK " ORDER " node-2", ":0"},
        {"ZRANK " ORDER " nobody", "$-1"},
        {"ZSCORE " ORDER " node-1", "$3 0.5"},
        {"ZSCORE " ORDER " nobody", "$-1"},
        {"ZMSCORE " ORDER " node-1 nobody node-4", "*3 $3 0.5 $-1 $1 1"},
        {"ZSCAN " ORDER " 0 MATCH *-[24]", "*2 $1 0 *4 $6 node-2 $1 3 $6 node-4 $1 1"},
        {"ZUNION 2 " ORDER " " ORDER " WITHSCORES",
         "*10 $6 node-1 $1 1 $6 node-4 $1 2 $6 node-0 $1 4 $6 node-3 $1 4 $6 node-2 $1 6"},
        {"ZINTERCARD 2 " ORDER " kith:order:empty", ":0"},
        {"ZRANDMEMBER " ORDER " 9 WITHSCORES",
         "*10 $6 node-2 $1 3 $6 node-3 $1 2 $6 node-0 $1 2 $6 node-4 $1 1 $6 node-1 $3 0.5"},
        {"ZCARD kith:order:empty", ":0"},
        {"TYPE kith:order:empty", "+zset"},
        {"ZRANGE kith:order:nothing 0 -1", "*0"},
        /* the network engine has sums, and no order */
        {"HMGET kith:aggregate:flow engine max", "*2 $7 network $1 4"},
        {"EXISTS kith:order:flow", ":1"},
        {"ZCARD kith:order:flow", "-ERR the network engine keeps no order: 'kith aggregate NAME -top 9' shows its end"},
        {"ZUNION 2 " ORDER " kith:order:flow",
         "-ERR the network engine keeps no order: 'kith aggregate NAME -top 9' shows its end"},
        /* another type */
        {"ZCARD " LOAD, "-WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"HGET " ORDER " node-1", "-WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"ZUNION 1 " LOAD, "-WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"GET " LOAD, "-WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"SMEMBERS " ORDER, "-WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"MGET a " LOAD, "-WRONGTYPE Operation against a key holding the wrong kind of value"},
    };
    check(*state, rows, KI_COUNT(rows));
}

#define READONLY "-READONLY You can't write against an aggregate. 'kith gauge set' contributes to it."

static void test_read_only(void **state)
{
    static const struct row rows[] = {
        {"HSET " LOAD " average 1", READONLY},
        {"DEL a " LOAD, READONLY},
        {"SET kith:aggregate:nothing 1", READONLY}, /* the name is taken, whether or not there is one */
        {"EXPIRE " ORDER " 5", READONLY},
        {"ZADD " ORDER " 5 node-1", READONLY},
        {"MSET a 1 " LOAD " 2", READONLY},
        {"ZUNIONSTORE " ORDER " 1 a", READONLY},
        {"SMOVE a " LOAD " x", READONLY},
        /* the store is the store's */
        {"MSET aggregate:load 1 kith:aggregat 2", "+OK"},
        {"GET aggregate:load", "$1 1"},
        {"SET kith: 3", "+OK"},
        {"DBSIZE", ":3"},
        {"EXISTS a", ":0"},
        {"KEYS *aggregate:*", "*1 $14 aggregate:load"},
        /* what is shown can be kept */
        {"ZUNIONSTORE kept 1 " ORDER, ":5"},
        {"ZRANGE kept 0 0 REV WITHSCORES", "*2 $6 node-2 $1 3"},
        {"ZRANGESTORE lowest " ORDER " 0 1", ":2"},
        {"ZRANGE lowest 0 -1 WITHSCORES", "*4 $6 node-1 $3 0.5 $6 node-4 $1 1"},
        {"ZRANGESTORE " ORDER " kept 0 1", READONLY},
        {"SUNIONSTORE kept a " ORDER, "-WRONGTYPE Operation against a key holding the wrong kind of value"},
    };
    check(*state, rows, KI_COUNT(rows));
}

/* Who fails leaves the order; what is left is one answer. */
static void test_living(void **state)
{
    struct bench *b = *state;
    world_crash(b->world, 2);
    world_run(b->world, 30000000);
    assert_string_equal(run(b, "ZREVRANGE " ORDER " 0 0 WITHSCORES"), "*2 $6 node-3 $1 2");
    assert_string_equal(run(b, "HMGET " LOAD " count max"), "*2 $1 4 $1 2");
}

/* Each allocation fails in turn: the answer is Redis's for a full memory, and nothing is left behind. */
static void test_memory(void **state)
{
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.";
    static const struct row rows[] = {
        {"HGET " LOAD " average", "$3 1.7"}, {"ZCARD " ORDER, ":5"}, {"ZUNION 2 " ORDER " kith:order:empty", NULL}};
    struct bench *b = *state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        const char *reply = oom;
        int calls = 0;
        for (; strcmp(reply, oom) == 0; calls++) {
            assert_true(calls < 10);
            calls_left = calls;
            reply = run(b, rows[i].line);
        }
        assert_true(calls > 3); /* several have failed */
        if (rows[i].reply)
            assert_string_equal(reply, rows[i].reply);
        calls_left = INT32_MAX;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_living, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
