/* A member that contributes, in a pool of two others that say whatever they like about aggregates.  The first byte: bit 0
 * leaves room for few contributions, bit 1 for few aggregates.  Then come steps, of a byte each and what follows:
 *
 *   0, 1 a message of member a or b: kind, length / 3, bytes      2 so many times 10 ms pass
 *   3 an aggregate is opened, in one of several ways              4 it is set, taken back or closed
 *   5 it is read, in every way, or watched                        6 a member dies, or lives again
 *
 * Whatever came: the invariants of lone.h hold, memory is bounded, and nobody is kept awake. */
#include "fuzz/live.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONTRIBUTIONS_MEMORY_MAX = 12 << 20, CONTRIBUTIONS_TICKS_MAX = 3000 };

struct contributions {
    kith *k;
    struct lone_memory memory;
    uint64_t now_us;
};

static void contributions_new(struct contributions *c, uint8_t how)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa4" "1-1s";
    struct kith_config config;
    *c = (struct contributions){.now_us = LONE_SECOND};
    lone_config(&config);
    config.memory = lone_hooks(&c->memory);
    config.probe_interval_ms = 1000 * 1000;
    config.probe_timeout_ms = 1000;
    config.aggregates_max = how & 2 ? 2 : 16;
    config.watches_max = 3;
    config.aggregate_bytes_max = how & 1 ? 1024 : 1u << 20;
    LONE_CHECK(kith_new(&c->k, &config) == 0);
    LONE_CHECK(kith_ready(c->k, lone_time(c->now_us)) == 0);
    for (uint8_t i = 0; i < 2; i++) {
        struct kith_member peer = {.name = lone_str(i == 0 ? "a" : "b"),
                                   .addr = lone_addr((uint8_t)(i + 2), 7946),
                                   .meta = {meta, sizeof meta - 1},
                                   .status = KITH_STATUS_ALIVE,
                                   .incarnation = 5,
                                   .versions = {1, 5, 2, 2, 5, 5}};
        LONE_CHECK(kith_import_members(c->k, lone_time(c->now_us), &peer, 1) == 0);
    }
}

static void contributions_drain(struct contributions *c)
{
    struct kith_stream_action action;
    while (kith_poll_stream(c->k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(c->k, lone_time(c->now_us), action.id, KITH_ERR_UNREACHABLE);
    }
    lone_drain_datagrams(c->k, lone_time(c->now_us));
    lone_drain_told(c->k);
    LONE_CHECK(c->k->mem.used <= CONTRIBUTIONS_MEMORY_MAX);
}

static void contributions_pass(struct contributions *c, uint64_t us)
{
    unsigned ticks = 0; /* one that is woken so often has no reason to */
    for (uint64_t end_us = c->now_us + us; c->now_us < end_us; ticks++) {
        c->now_us = ki_min_u64(end_us, ki_max_u64(c->now_us + 1, kith_deadline(c->k)));
        LONE_CHECK(ticks < CONTRIBUTIONS_TICKS_MAX);
        if (kith_deadline(c->k) <= c->now_us)
            kith_tick(c->k, lone_time(c->now_us));
        contributions_drain(c);
    }
}

static void contributions_message(struct contributions *c, uint8_t whose, struct ki_reader *in)
{
    uint8_t buf[1400] = {8, 75, (uint8_t)ki_take_be(in, 1)};
    size_t len = (size_t)ki_take_be(in, 1) * 3;
    len = ki_min_size(len, in->left);
    const uint8_t *bytes = ki_take(in, len);
    struct kith_addr from = lone_addr((uint8_t)(whose + 2), 7946);
    if (bytes)
        memcpy(buf + 3, bytes, len);
    (void)kith_datagram(c->k, lone_time(c->now_us), &from, buf, 3 + len);
}

static struct kith_str contributions_name(uint8_t what)
{
    static const char *const names[] = {"load", "x", "yy", "memory"};
    return lone_str(names[what % 4]);
}

static void contributions_open(struct contributions *c, uint8_t what)
{
    struct kith_schema schema;
    kith_schema_init(&schema);
    schema.step = what & 4 ? 0.5 : 0;
    schema.engine = (enum kith_engine)(what >> 4 & 3);
    (void)kith_aggregate_open(c->k, lone_time(c->now_us), contributions_name(what), &schema);
}

static void contributions_change(struct contributions *c, uint8_t what)
{
    struct kith_time now = lone_time(c->now_us);
    struct kith_str name = contributions_name(what);
    if (what >> 4 == 0)
        (void)kith_aggregate_clear(c->k, now, name);
    else if (what >> 4 == 1)
        (void)kith_aggregate_close(c->k, now, name);
    else
        (void)kith_aggregate_set(c->k, now, name, what / 7.0);
}

static bool contributions_within(double value, double low, double high)
{
    return value >= low && value <= high; /* and is a number */
}

/* Flows may say anything that a schema allows: here all have the same range. */
static void contributions_read_network(struct contributions *c, struct kith_str name, const struct kith_aggregate_answer *a)
{
    const enum kith_engine engine = KITH_ENGINE_NETWORK;
    const double bounds[2] = {-1, 1};
    struct kith_time now = lone_time(c->now_us);
    struct kith_place places[8];
    struct kith_rank rank;
    double value, error, counts[3];
    size_t count;
    LONE_CHECK(contributions_within(a->count, 0, 3) && contributions_within(a->average, -1e15, 1e15));
    LONE_CHECK(contributions_within(a->variance, 0, 1e31) && contributions_within(a->sum, -3e15, 3e15));
    LONE_CHECK(contributions_within(a->min, -1e15, 1e15) && contributions_within(a->max, a->min, 1e15));
    LONE_CHECK(contributions_within(a->error, 0, 1e17) && a->coverage_ppm <= 1000000);
    LONE_CHECK(kith_aggregate_list(c->k, now, name, engine, true, 0, places, 8, &count) == 0 && count <= 3);
    LONE_CHECK((kith_aggregate_quantile(c->k, now, name, engine, 0.5, &value, &error) == 0) == (count > 0));
    LONE_CHECK(count == 0 || contributions_within(error, 0, 1));
    LONE_CHECK(kith_aggregate_histogram(c->k, now, name, engine, bounds, 2, counts) == 0);
    LONE_CHECK(contributions_within(counts[0] + counts[1] + counts[2], 0, 3));
    LONE_CHECK(kith_aggregate_pick(c->k, now, name, engine, places, 8, &count) == 0 && count <= 3);
    (void)kith_aggregate_rank(c->k, now, name, engine, (struct kith_str){NULL, 0}, &rank);
}

/* What is read of the exact engine agrees with itself. */
static void contributions_read(struct contributions *c, uint8_t what)
{
    struct kith_time now = lone_time(c->now_us);
    struct kith_str name = contributions_name(what);
    enum kith_engine engine = (enum kith_engine)(what & 128 ? KITH_ENGINE_NETWORK : what >> 2 & 1);
    struct kith_aggregate_answer answer;
    struct kith_place places[8];
    struct kith_rank rank;
    struct kith_watch watch = {.measure = (enum kith_measure)(what >> 4 & 7), .q = 0.5, .limit = what / 5.0};
    kith_ticket ticket;
    double value, error;
    size_t count;
    if (what & 8)
        (void)kith_aggregate_watch(c->k, now, name, &watch, &ticket);
    if (kith_aggregate_read(c->k, now, name, engine, &answer) != 0)
        return;
    if (answer.engine == KITH_ENGINE_NETWORK) {
        contributions_read_network(c, name, &answer);
        return;
    }
    LONE_CHECK(answer.average >= answer.min && answer.average <= answer.max && answer.variance >= 0);
    LONE_CHECK(answer.coverage_ppm <= 1000000 && answer.count <= 3);
    LONE_CHECK(kith_aggregate_list(c->k, now, name, engine, what & 16, 0, places, 8, &count) == 0);
    LONE_CHECK((double)count == answer.count);
    LONE_CHECK((kith_aggregate_quantile(c->k, now, name, engine, 1, &value, &error) == 0) == (count > 0));
    LONE_CHECK(count == 0 || !(value < answer.max));
    LONE_CHECK(kith_aggregate_pick(c->k, now, name, engine, places, 8, &count) == 0);
    (void)kith_aggregate_rank(c->k, now, name, engine, (struct kith_str){NULL, 0}, &rank);
}

static void contributions_fate(struct contributions *c, uint8_t what)
{
    uint8_t buf[256];
    const char *name = what & 1 ? "b" : "a";
    uint8_t last = what & 1 ? 3 : 2;
    struct kith_addr from = lone_addr((uint8_t)(5 - last), 7946);
    size_t len = what & 2 ? lone_accuse(buf, sizeof buf, true, name, name, 5u + (what >> 4))
                          : lone_alive(buf, sizeof buf, name, last, 5u + (what >> 4));
    (void)kith_datagram(c->k, lone_time(c->now_us), &from, buf, len);
}

static void contributions_step(struct contributions *c, struct ki_reader *in)
{
    uint8_t step = (uint8_t)ki_take_be(in, 1) % 7;
    if (step < 2)
        contributions_message(c, step, in);
    else if (step == 2)
        contributions_pass(c, ki_take_be(in, 1) * 10000);
    else if (step == 3)
        contributions_open(c, (uint8_t)ki_take_be(in, 1));
    else if (step == 4)
        contributions_change(c, (uint8_t)ki_take_be(in, 1));
    else if (step == 5)
        contributions_read(c, (uint8_t)ki_take_be(in, 1));
    else
        contributions_fate(c, (uint8_t)ki_take_be(in, 1));
    contributions_drain(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct contributions c;
    struct ki_reader in = ki_reader(data, size);
    if (size == 0 || size > 8192)
        return -1;
    contributions_new(&c, (uint8_t)ki_take_be(&in, 1));
    while (in.left > 0 && !in.bad) {
        contributions_step(&c, &in);
        lone_check(c.k);
    }
    contributions_pass(&c, 40 * LONE_SECOND);
    lone_check(c.k);
    kith_free(c.k);
    LONE_CHECK(c.memory.blocks == 0);
    return 0;
}
