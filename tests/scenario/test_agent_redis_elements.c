/* The Redis door's commands on sets, hashes and sorted sets, on an instance by hand: the bag and the random places that
 * they are made of, and each command with each of the store's allocations failing in turn.  The memory here moves every
 * block that grows, so that what the store lent and a command kept too long is caught by the address sanitizer.  What the
 * replies are is tests/real/test_redis_collections.py's, which asks redis-server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/redis_conn.h"
#include "agent/redis_elements.h"
#include "lone.h"

enum { ARGS_MAX = 16 };

struct bench {
    struct lone_memory memory;
    kith *k;
    struct ki_redis redis;
    struct ki_redis_client client;
    struct ki_resp_writer out;
    struct ki_redis_call call;
    struct ki_span args[ARGS_MAX];
    uint64_t now_us;
};

static void bench_begin(struct bench *b)
{
    struct kith_config config;
    struct kith_store_config store;
    memset(b, 0, sizeof *b);
    b->memory.fail_from = b->memory.fail_to = UINT64_MAX;
    b->redis.random = 88172645463325252u;
    b->client.redis = &b->redis;
    b->now_us = 2 * LONE_SECOND;
    lone_config(&config);
    config.memory = lone_hooks(&b->memory);
    kith_store_config_init(&store);
    LONE_CHECK(kith_new(&b->k, &config) == 0);
    LONE_CHECK(kith_store_open(b->k, &store) == 0);
    LONE_CHECK(kith_ready(b->k, lone_time(LONE_SECOND)) == 0);
    ki_resp_writer_init(&b->out, (size_t)1 << 20);
}

static void bench_end(struct bench *b)
{
    kith_free(b->k);
    ki_resp_writer_free(&b->out);
    assert_int_equal(b->memory.blocks, 0);
}

/* Runs a line of words; its reply, borrowed until the next. */
static struct ki_span run(struct bench *b, const char *line)
{
    size_t count = 0;
    for (const char *at = line; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        LONE_CHECK(count < ARGS_MAX);
        b->args[count++] = ki_span(at, len);
        at += len;
    }
    ki_resp_sent(&b->out, ki_resp_unsent(&b->out).len);
    b->call = (struct ki_redis_call){&b->client, b->k, lone_time(b->now_us++), b->args, count, &b->out, NULL};
    for (size_t i = 0; i < ki_redis_table_count; i++) {
        const struct ki_redis_entry *entry = &ki_redis_table[i];
        if (strlen(entry->name) == b->args[0].len && memcmp(entry->name, b->args[0].ptr, b->args[0].len) == 0) {
            entry->run(&b->call);
            return ki_resp_unsent(&b->out);
        }
    }
    fail_msg("no command: %s", line);
    return ki_span(NULL, 0);
}

static bool begins(struct ki_span reply, const char *text)
{
    return reply.len >= strlen(text) && memcmp(reply.ptr, text, strlen(text)) == 0;
}

/* ---- the bag ---- */

static struct kith_str numbered(char room[64], unsigned number, unsigned len)
{
    int written = snprintf(room, 64, "%0*u", (int)len, number);
    return (struct kith_str){room, (size_t)written};
}

static void bag_keeps_what_is_put(void **state)
{
    (void)state;
    struct bench b;
    struct ki_redis_bag bag;
    char room[64];
    bench_begin(&b);
    b.call = (struct ki_redis_call){.client = &b.client};
    ki_redis_bag_init(&bag, &b.call);
    for (unsigned i = 0; i < 5000; i++) {
        assert_true(ki_redis_bag_put(&bag, numbered(room, i, 1 + i % 60), -(double)(i / 10)));
        if (i % 3 == 0) {
            assert_true(ki_redis_bag_put(&bag, numbered(room, 7, 50), 0));
            ki_redis_bag_drop_last(&bag);
        }
    }
    assert_int_equal(bag.count, 5000);
    for (unsigned i = 0; i < 5000; i++) {
        struct kith_str want = numbered(room, i, 1 + i % 60);
        assert_int_equal(bag.items[i].bytes.len, want.len);
        assert_memory_equal(bag.items[i].bytes.ptr, want.ptr, want.len);
    }
    ki_redis_bag_sort(&bag);
    for (unsigned i = 1; i < 5000; i++) {
        const struct ki_redis_item *a = &bag.items[i - 1], *c = &bag.items[i];
        assert_true(a->score <= c->score);
        if (a->score >= c->score)
            assert_true(ki_span_compare(ki_span(a->bytes.ptr, a->bytes.len), ki_span(c->bytes.ptr, c->bytes.len)) < 0);
    }
    assert_false(ki_redis_bag_put(&bag, (struct kith_str){room, SIZE_MAX / 2}, 0));
    ki_redis_bag_free(&bag);
    assert_int_equal(bag.mem.used, 0);
    bench_end(&b);
}

static void bag_finds_what_is_there(void **state)
{
    (void)state;
    struct bench b;
    struct ki_redis_bag bag;
    struct ki_redis_item *item;
    char room[64];
    bool is_new;
    bench_begin(&b);
    b.call = (struct ki_redis_call){.client = &b.client};
    ki_redis_bag_init(&bag, &b.call);
    for (unsigned i = 0; i < 6000; i++) {
        assert_true(ki_redis_bag_find_or_put(&bag, numbered(room, i % 2000, 1), &item, &is_new));
        assert_int_equal(is_new, i < 2000);
        item->score += 1;
    }
    assert_int_equal(bag.count, 2000);
    for (unsigned i = 0; i < 2000; i++)
        assert_true(bag.items[i].score > 2.5 && bag.items[i].score < 3.5);
    ki_redis_bag_free(&bag);
    bench_end(&b);
}

/* Full at every size: what was put in stays, and the next smaller thing may still fit. */
static void bag_has_an_end(void **state)
{
    (void)state;
    struct bench b;
    struct ki_redis_item *item;
    char room[64];
    bool is_new;
    bench_begin(&b);
    b.call = (struct ki_redis_call){.client = &b.client};
    for (uint64_t max = 1; max < 200000; max += 1777) {
        struct ki_redis_bag bag;
        unsigned put = 0;
        ki_redis_bag_init(&bag, &b.call);
        bag.mem.max = max;
        while (ki_redis_bag_find_or_put(&bag, numbered(room, put, 40), &item, &is_new))
            put++;
        assert_int_equal(bag.count, put);
        assert_false(ki_redis_bag_find_or_put(&bag, numbered(room, put, 40), &item, &is_new));
        for (unsigned i = 0; i < put; i++) {
            assert_true(ki_redis_bag_find_or_put(&bag, numbered(room, i, 40), &item, &is_new));
            assert_false(is_new);
            assert_memory_equal(item->bytes.ptr, room, 40);
        }
        ki_redis_bag_free(&bag);
        assert_int_equal(bag.mem.used, 0);
    }
    bench_end(&b);
}

/* ---- random places ---- */

static void places_differ_and_are_alike(void **state)
{
    (void)state;
    struct bench b;
    unsigned seen[8][8] = {{0}};
    bench_begin(&b);
    b.call = (struct ki_redis_call){.client = &b.client};
    for (int round = 0; round < 28000; round++) { /* 28 pairs of 8 places, 1,000 each; a deviation of 31 is one sigma */
        struct ki_redis_sample sample;
        uint32_t first, second;
        ki_redis_sample_init(&sample, 8, 2);
        assert_true(ki_redis_sample_next(&sample, &b.call, &first));
        assert_true(ki_redis_sample_next(&sample, &b.call, &second));
        ki_redis_sample_free(&sample);
        assert_true(first < 8 && second < 8 && first != second);
        seen[first < second ? first : second][first < second ? second : first]++;
    }
    for (int i = 0; i < 8; i++) {
        for (int j = i + 1; j < 8; j++)
            assert_in_range(seen[i][j], 840, 1160);
    }
    for (uint32_t size = 1; size < 300; size += 23) {
        struct ki_redis_sample sample;
        uint8_t taken[300] = {0};
        uint32_t place;
        ki_redis_sample_init(&sample, size, size);
        for (uint32_t i = 0; i < size; i++) {
            assert_true(ki_redis_sample_next(&sample, &b.call, &place));
            assert_true(place < size && !taken[place]);
            taken[place] = 1;
        }
        ki_redis_sample_free(&sample);
    }
    bench_end(&b);
}

/* ---- memory that fails ---- */

static const char *const beginning[] = {
    "sadd s a b c d e f", "sadd t c d e f g h", "sadd u x", "hset h a 1 b text c 1.5 d 7", "hincrbyfloat h c 0.5",
    "zadd z 1 a 2 b 3 c 4 d 5 e", "zincrby z 1.5 b", "zadd y 10 c 20 d 30 q", "zadd l 0 a 0 b 0 c 0 d",
};

static const char *const commands[] = {
    "sadd s new", "sadd s new other third", "sadd fresh a b c", "srem s a", "srem s a b c d e f", "smove s t a",
    "smove s fresh a", "smove u t x", "spop s", "spop s 3", "spop s 100", "sinterstore d s t", "sunionstore s s t",
    "sdiffstore h s t", "sunion s t", "sinter s t", "sdiff s t", "srandmember s 3", "srandmember s -20",
    "sintercard 2 s t", "smembers s", "sscan s 0", "hset h a 2", "hset h n 1 m 2 o 3", "hset fresh f v", "hmset h a 5 p 6",
    "hsetnx h q 1", "hdel h a b", "hincrby h a 5", "hincrby h c 5", "hincrby h n 5", "hincrbyfloat h a 1.25",
    "hgetall h", "hrandfield h 2 WITHVALUES", "hscan h 0", "zadd z 9 a", "zadd z 9 a 8 n 7 m", "zadd fresh 1 a",
    "zadd z XX CH 9 a 8 n", "zadd z INCR 2 a", "zincrby z 2 a", "zincrby z 2 n", "zincrby z inf a", "zrem z a b",
    "zpopmin z", "zpopmax z 3", "zpopmin z 100", "zrange z 0 -1 WITHSCORES", "zrange z (1 4 BYSCORE",
    "zrange l [b + BYLEX", "zrangestore d z 1 3", "zrangestore z z 0 1", "zremrangebyrank z 1 2",
    "zremrangebyscore z 2 4", "zremrangebylex l [b [c", "zunion 3 z y s WITHSCORES", "zinter 2 z y WITHSCORES",
    "zdiff 2 z y", "zunionstore d 2 z y WEIGHTS 2 3", "zinterstore z 2 z y", "zdiffstore h 2 z y", "zrandmember z 2",
    "zrank z c", "zcount z 1 3", "zscan z 0",
};

/* How many elements everything has: what a refused command must not change. */
static uint64_t sizes(struct bench *b)
{
    static const char *const cards[] = {"scard s", "scard t", "scard u", "hlen h", "zcard z", "zcard y", "zcard l"};
    uint64_t digest = 0;
    for (size_t i = 0; i < KI_COUNT(cards); i++) {
        struct ki_span reply = run(b, cards[i]);
        LONE_CHECK(!b->out.full);
        for (size_t j = 0; j < reply.len; j++)
            digest = digest * 31 + reply.ptr[j];
    }
    return digest;
}

/* Commands of several writes may be refused after the first: a group is told as one, not taken back. */
static bool is_one_write(const char *line)
{
    static const char *const several[] = {"sadd s new other", "sadd fresh", "srem", "smove", "hset h n", "hmset", "hdel",
                                          "zadd z 9 a 8", "zadd z XX", "zrem", "store"};
    for (size_t i = 0; i < KI_COUNT(several); i++) {
        if (strstr(line, several[i]))
            return false;
    }
    return true;
}

/* With the n-th allocation failing.  Returns whether one failed. */
static bool run_failing(const char *line, uint64_t n)
{
    struct bench b;
    bench_begin(&b);
    for (size_t i = 0; i < KI_COUNT(beginning); i++)
        assert_false(begins(run(&b, beginning[i]), "-"));
    uint64_t before = sizes(&b);
    b.memory.fail_from = b.memory.calls + n;
    b.memory.fail_to = b.memory.fail_from + 1;
    struct ki_span reply = run(&b, line);
    bool failed = b.memory.failed > 0, refused = begins(reply, "-OOM");
    b.memory.fail_from = b.memory.fail_to = UINT64_MAX;
    if (!refused && (reply.len == 0 || begins(reply, "-")) && !b.out.full)
        fail_msg("%s, allocation %u: %.*s", line, (unsigned)n, (int)reply.len, (const char *)reply.ptr);
    assert_true(failed || !refused);
    if (refused && is_one_write(line) && sizes(&b) != before)
        fail_msg("%s, allocation %u: refused, but something has changed", line, (unsigned)n);
    assert_int_equal(kith_store_begin(b.k), 0); /* no group was left open */
    assert_int_equal(kith_store_commit(b.k, lone_time(b.now_us)), 0);
    reply = run(&b, line);
    assert_true(reply.len > 0 && !b.out.full && !begins(reply, "-OOM"));
    bench_end(&b);
    return failed;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    uint64_t tried = 0;
    for (size_t i = 0; i < KI_COUNT(commands); i++) {
        for (uint64_t n = 0; run_failing(commands[i], n); n++)
            tried++;
    }
    assert_true(tried > 100);
}

/* ---- in a group of somebody else's ---- */

static void an_open_group_stays_open(void **state)
{
    (void)state;
    struct bench b;
    bench_begin(&b);
    assert_int_equal(kith_store_begin(b.k), 0);
    for (size_t i = 0; i < KI_COUNT(beginning); i++)
        run(&b, beginning[i]);
    for (size_t i = 0; i < KI_COUNT(commands); i++) {
        run(&b, commands[i]);
        assert_int_equal(kith_store_begin(b.k), KITH_ERR_STATE);
    }
    assert_int_equal(kith_store_commit(b.k, lone_time(b.now_us)), 0);
    bench_end(&b);
}

/* A reply as long as the client may have unsent ends the loop that writes it. */
static void endless_replies_end(void **state)
{
    (void)state;
    static const char *const lines[] = {"srandmember s -9223372036854775807", "hrandfield h -9223372036854775807",
                                        "zrandmember z -4611686018427387903 WITHSCORES"};
    for (size_t i = 0; i < KI_COUNT(lines); i++) {
        struct bench b;
        bench_begin(&b);
        for (size_t j = 0; j < KI_COUNT(beginning); j++)
            run(&b, beginning[j]);
        run(&b, lines[i]);
        assert_true(b.out.full);
        bench_end(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bag_keeps_what_is_put), cmocka_unit_test(bag_finds_what_is_there),
        cmocka_unit_test(bag_has_an_end),        cmocka_unit_test(places_differ_and_are_alike),
        cmocka_unit_test(each_allocation_fails), cmocka_unit_test(an_open_group_stays_open),
        cmocka_unit_test(endless_replies_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
