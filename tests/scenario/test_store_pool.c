/* Stores of several nodes: fresh writes arrive, everywhere and soon; others are known to hold them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/cell.h"
#include "world.h"

#define MS 1000ull
#define SECOND 1000000ull

static struct kith_str text(const char *s)
{
    return (struct kith_str){s, strlen(s)};
}

static struct world *pool(unsigned count, const struct kith_store_config *config, uint32_t loss_ppm)
{
    struct world *w = world_new();
    world_chance(w, count + loss_ppm, 0);
    world_store(w, config);
    for (unsigned n = 0; n < count; n++) {
        struct kith_config c;
        world_config(&c, n);
        world_add(w, n, &c);
        if (n > 0)
            assert_int_equal(world_join(w, n, 0, NULL), 0);
    }
    world_run(w, 5 * SECOND);
    world_chance(w, count, loss_ppm);
    return w;
}

static bool shows(struct world *w, unsigned n, const char *key, const char *value)
{
    struct kith_value found;
    assert_int_equal(kith_get(world_node(w, n), world_now(w), text(key), &found), 0);
    return found.shape == KITH_SHAPE_BYTES && found.bytes.len == strlen(value) &&
           memcmp(found.bytes.ptr, value, found.bytes.len) == 0;
}

static uint64_t counter(struct world *w, unsigned n, const char *name)
{
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), name) == 0)
            return kith_counter(world_node(w, n), i);
    }
    fail_msg("no counter %s", name);
    return 0;
}

static void writes_arrive_at_once(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(8, &config, 0);
    assert_int_equal(kith_set(world_node(w, 3), world_now(w), text("a"), text("1"), KITH_NEVER_MS), 0);
    world_run(w, 3 * MS); /* one hop of 1 ms */
    for (unsigned n = 0; n < 8; n++)
        assert_true(shows(w, n, "a", "1"));
    uint64_t before = counter(w, 3, "pushes_out");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(kith_increase(world_node(w, 3), world_now(w), text("n"), 1, NULL), 0);
    world_run(w, 5 * MS);
    for (unsigned n = 0; n < 8; n++) {
        struct kith_value value;
        assert_int_equal(kith_get(world_node(w, n), world_now(w), text("n"), &value), 0);
        assert_true(value.shape == KITH_SHAPE_INTEGER && value.integer == 1000);
    }
    assert_in_range(counter(w, 3, "pushes_out") - before, 7, 28); /* of a thousand writes a few packets to each */
    assert_int_equal(counter(w, 0, "pushes_forwarded"), 0);
    world_free(w);
}

static void large_pools_forward(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(40, &config, 0);
    for (int round = 0; round < 2; round++) { /* the second time it replaces something */
        char value[] = {(char)('1' + round), 0};
        assert_int_equal(kith_set(world_node(w, 3), world_now(w), text("a"), text(value), KITH_NEVER_MS), 0);
        world_run(w, 100 * MS);
        unsigned arrived = 0;
        uint64_t forwarded = 0;
        for (unsigned n = 0; n < 40; n++) {
            arrived += shows(w, n, "a", value);
            forwarded += counter(w, n, "pushes_forwarded");
        }
        assert_in_range(arrived, 39, 40);
        assert_in_range(forwarded, 38, 40 + 40 * (unsigned)round); /* by each once, on first sight */
    }
    world_free(w);
}

static void groups_arrive_whole(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    kith *k = world_node(w, 0);
    char key[16];
    for (int round = 0; round < 50; round++) {
        assert_int_equal(kith_store_begin(k), 0);
        assert_int_equal(kith_store_begin(k), KITH_ERR_STATE);
        char value[16];
        snprintf(value, sizeof value, "%d", round);
        for (int i = 0; i < 10; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            assert_int_equal(kith_set(k, world_now(w), text(key), text(value), KITH_NEVER_MS), 0);
        }
        assert_int_equal(kith_store_commit(k, world_now(w)), 0);
    }
    assert_int_equal(kith_store_commit(k, world_now(w)), KITH_ERR_STATE);
    for (int step = 0; step < 20; step++) { /* at any time all ten show one round */
        world_run(w, 500);
        struct kith_value first, value;
        assert_int_equal(kith_get(world_node(w, 1), world_now(w), text("key-0"), &first), 0);
        for (int i = 1; i < 10; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            assert_int_equal(kith_get(world_node(w, 1), world_now(w), text(key), &value), 0);
            assert_int_equal(value.shape, first.shape);
            assert_true(value.bytes.len == first.bytes.len);
            if (value.bytes.len)
                assert_memory_equal(value.bytes.ptr, first.bytes.ptr, value.bytes.len);
        }
    }
    assert_true(shows(w, 1, "key-9", "49"));
    world_free(w);
}

static bool ended(struct world *w, kith_ticket ticket, int *result, uint32_t *count, uint64_t *at_us)
{
    const struct world_event *events;
    size_t total = world_events(w, &events);
    for (size_t i = 0; i < total; i++) {
        if (events[i].kind != KITH_EVENT_DONE || events[i].ticket != ticket)
            continue;
        *result = events[i].result;
        *count = events[i].count;
        *at_us = events[i].at_us;
        return true;
    }
    return false;
}

static void waits_for_holders(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(4, &config, 0);
    kith *k = world_node(w, 2);
    kith_ticket ticket;
    int result = 0;
    uint32_t count = 0;
    uint64_t at_us = 0, begin_us = world_now(w).mono_us;
    assert_int_equal(kith_set(k, world_now(w), text("a"), text("1"), KITH_NEVER_MS), 0);
    uint64_t cursor = 0;
    struct kith_holder holder;
    assert_true(kith_next_holder(k, world_now(w), text("a"), &cursor, &holder));
    assert_true(holder.is_self);
    assert_false(kith_next_holder(k, world_now(w), text("a"), &cursor, &holder));
    assert_int_equal(kith_store_wait(k, world_now(w), 3, 1000, &ticket), 0);
    world_run(w, 50 * MS);
    assert_true(ended(w, ticket, &result, &count, &at_us));
    assert_int_equal(result, 0);
    assert_int_equal(count, 3);
    assert_true(at_us - begin_us <= 15 * MS);
    cursor = 0;
    unsigned holders = 0;
    while (kith_next_holder(k, world_now(w), text("a"), &cursor, &holder))
        holders++;
    assert_int_equal(holders, 4);

    world_cut(w, 2, 0, true);
    assert_int_equal(kith_set(k, world_now(w), text("a"), text("2"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_store_wait(k, world_now(w), 3, 300, &ticket), 0);
    world_run(w, 400 * MS);
    assert_true(ended(w, ticket, &result, &count, &at_us));
    assert_int_equal(result, KITH_ERR_TIMEOUT);
    assert_int_equal(count, 2);
    assert_int_equal(kith_store_wait(k, world_now(w), 0, 300, &ticket), 0);
    world_run(w, 1 * MS);
    assert_true(ended(w, ticket, &result, &count, &at_us));
    world_free(w);
}

/* ---- what pushes have missed ---- */

static bool agree(struct world *w, unsigned count)
{
    struct kith_store_gauges first, other;
    assert_int_equal(kith_store_read_gauges(world_node(w, 0), &first), 0);
    bool equal = first.has_root;
    for (unsigned n = 1; n < count; n++) {
        assert_int_equal(kith_store_read_gauges(world_node(w, n), &other), 0);
        equal = equal && other.has_root && memcmp(first.root, other.root, sizeof first.root) == 0;
    }
    return equal;
}

static void runs_until_agreed(struct world *w, unsigned count, uint64_t limit_us)
{
    uint64_t begin_us = world_now(w).mono_us;
    while (!agree(w, count) && world_now(w).mono_us < begin_us + limit_us)
        world_run(w, 100 * MS);
    if (!agree(w, count)) {
        for (unsigned n = 0; n < count; n++) {
            struct kith_store_gauges g;
            kith_store_read_gauges(world_node(w, n), &g);
            printf("node %u: root %d %02x%02x, %llu keys, %u replicas, %u runs, %llu rounds, %llu repairs, %llu failed\n", n,
                   g.has_root, g.root[0], g.root[1], (unsigned long long)g.keys, g.replicas, g.runs,
                   (unsigned long long)g.rounds, (unsigned long long)g.repairs, (unsigned long long)g.repairs_failed);
        }
    }
    assert_true(agree(w, count));
}

static void write_many(struct world *w, unsigned n, unsigned from, unsigned to, const char *value)
{
    for (unsigned i = from; i < to; i++) {
        char key[24];
        snprintf(key, sizeof key, "key-%u", i);
        assert_int_equal(kith_set(world_node(w, n), world_now(w), text(key), text(value), KITH_NEVER_MS), 0);
    }
}

static void both_sides_of_a_cut_come_together(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    for (int withhold = 0; withhold < 2; withhold++) {
        config.withhold = withhold;
        struct world *w = pool(4, &config, 0);
        runs_until_agreed(w, 4, 10 * SECOND);
        write_many(w, 0, 0, 200, "old");
        world_run(w, 2 * SECOND);
        for (unsigned a = 0; a < 2; a++) {
            world_cut(w, a, 2, true);
            world_cut(w, a, 3, true);
        }
        write_many(w, 0, 0, 5, "left");
        write_many(w, 3, 10, 15, "right");
        assert_int_equal(kith_delete(world_node(w, 2), world_now(w), text("key-50"), NULL), 0);
        world_run(w, 2 * SECOND);
        assert_false(agree(w, 4));
        for (unsigned a = 0; a < 2; a++) {
            world_cut(w, a, 2, false);
            world_cut(w, a, 3, false);
        }
        runs_until_agreed(w, 4, 30 * SECOND);
        for (unsigned n = 0; n < 4; n++) {
            assert_true(shows(w, n, "key-0", "left"));
            assert_true(shows(w, n, "key-10", "right"));
            assert_int_equal(kith_type_of(world_node(w, n), world_now(w), text("key-50")), KITH_TYPE_NONE);
        }
        world_free(w);
    }
}

static void a_newcomer_gets_everything(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    write_many(w, 0, 0, 20000, "a value of some length, so that a link has something to do");
    world_run(w, 1 * SECOND);
    assert_int_equal(kith_delete(world_node(w, 1), world_now(w), text("key-7"), NULL), 0);
    runs_until_agreed(w, 2, 20 * SECOND);
    struct kith_config c;
    world_config(&c, 2);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    runs_until_agreed(w, 3, 20 * SECOND);
    struct kith_store_gauges g;
    kith_store_read_gauges(world_node(w, 2), &g);
    assert_int_equal(g.keys, 19999);
    world_free(w);
}

static void repairs_keep_to_their_rate(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    config.repair_bytes_per_s = 50000;
    struct world *w = pool(2, &config, 0);
    write_many(w, 0, 0, 4000,
               "a value of some length, so that a link has something to do for some time, as its rate is low");
    world_run(w, 5 * SECOND);
    struct kith_config c;
    world_config(&c, 2);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    uint64_t begin_us = world_now(w).mono_us;
    runs_until_agreed(w, 3, 40 * SECOND);
    assert_true(world_now(w).mono_us - begin_us >= 6 * SECOND); /* 400 kB, perhaps from two */
    world_free(w);
}

static void large_values_go_over_links(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(3, &config, 0);
    static char value[3000000];
    memset(value, 'x', sizeof value);
    world_run(w, 5 * SECOND);
    assert_int_equal(kith_set(world_node(w, 1), world_now(w), text("large"), (struct kith_str){value, sizeof value},
                              KITH_NEVER_MS), 0);
    world_run(w, 1 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        struct kith_value found;
        assert_int_equal(kith_get(world_node(w, n), world_now(w), text("large"), &found), 0);
        assert_int_equal(found.bytes.len, sizeof value);
    }
    world_free(w);
}

static uint64_t keys(struct world *w, unsigned n)
{
    struct kith_store_gauges g;
    kith_store_read_gauges(world_node(w, n), &g);
    return g.keys;
}

/* More than one call's work where it arrives: others get it at once, in parts, each old key until its new value is there. */
static void large_groups_go_in_parts(void **state)
{
    enum { KEYS = 5000, ROUNDS = 3 };
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(3, &config, 0);
    uint64_t before = counter(w, 0, "pushes_out");
    for (unsigned round = 0; round < ROUNDS; round++) {
        char key[16], value[16];
        assert_int_equal(kith_store_begin(world_node(w, 0)), 0);
        for (unsigned i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "key-%u", i);
            snprintf(value, sizeof value, "%u of %u", round, i);
            assert_int_equal(kith_set(world_node(w, 0), world_now(w), text(key), text(value), KITH_NEVER_MS), 0);
            assert_int_equal(kith_set_add(world_node(w, 0), world_now(w), text("all"), text(value), NULL), 0);
        }
        assert_int_equal(kith_store_commit(world_node(w, 0), world_now(w)), 0);
        for (unsigned step = 0; step < 400; step++) {
            world_run(w, 100);
            assert_true(round == 0 || keys(w, 1) == KEYS + 1);
        }
        assert_true(shows(w, 1, "key-4999", value));
        snprintf(value, sizeof value, "%u of 0", round);
        assert_true(shows(w, 2, "key-0", value));
        assert_int_equal(keys(w, 2), KEYS + 1);
    }
    uint64_t parts = counter(w, 0, "pushes_out") - before;
    assert_in_range(parts, 2 * ROUNDS * 2 * KEYS / 1024, 2 * ROUNDS * (2 * KEYS + KEYS) / 1024 + 2 * 2 * ROUNDS);
    assert_int_equal(kith_delete(world_node(w, 0), world_now(w), text("all"), NULL), 0); /* one run of dots, and long */
    world_run(w, 20 * MS);
    assert_int_equal(keys(w, 1), KEYS);
    assert_int_equal(keys(w, 2), KEYS);
    for (unsigned n = 0; n < 3; n++) {
        struct kith_store_gauges g;
        kith_store_read_gauges(world_node(w, n), &g);
        assert_int_equal(counter(w, n, "deltas_refused"), 0);
        assert_int_equal(g.differences, 0); /* no repair brought any of it */
    }
    world_free(w);
}

/* Groups of a millisecond that are whole each are not cut because they go together. */
static void groups_are_not_cut_by_others(void **state)
{
    enum { FIRST = 500, KEYS = 1000 };
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    char value[1000] = {0};
    memset(value, 'v', sizeof value - 1); /* so that parts arrive one by one */
    write_many(w, 0, 0, 1, "so that the next one waits");
    world_run(w, 100);
    for (unsigned group = 0; group < 2; group++) {
        assert_int_equal(kith_store_begin(world_node(w, 0)), 0);
        write_many(w, 0, group ? 1 + FIRST : 1, 1 + FIRST + group * KEYS, group ? value : "v");
        assert_int_equal(kith_store_commit(world_node(w, 0), world_now(w)), 0);
    }
    for (unsigned step = 0; step < 400; step++) {
        world_run(w, 100);
        assert_true(keys(w, 1) <= 1 + FIRST || keys(w, 1) == 1 + FIRST + KEYS);
    }
    assert_int_equal(keys(w, 1), 1 + FIRST + KEYS);
    world_free(w);
}

/* Who has no room for all of a group keeps what it would have replaced. */
static void no_part_goes_without_those_before(void **state)
{
    enum { KEYS = 3000 };
    (void)state;
    struct kith_store_config config;
    struct world *w = world_new();
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        kith_store_config_init(&config);
        config.memory_max = n == 0 ? 0 : 3u << 20;
        world_store(w, &config);
        world_config(&c, n);
        world_add(w, n, &c);
    }
    assert_int_equal(world_join(w, 1, 0, NULL), 0);
    world_run(w, 5 * SECOND);
    char value[2000] = {0};
    memset(value, 'v', sizeof value - 1);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(kith_store_begin(world_node(w, 0)), 0);
        write_many(w, 0, 0, KEYS, round ? value : "v");
        assert_int_equal(kith_store_commit(world_node(w, 0), world_now(w)), 0);
        runs_until_agreed(w, round ? 1 : 2, 20 * SECOND);
        world_run(w, SECOND);
        assert_int_equal(keys(w, 1), KEYS);
    }
    assert_true(shows(w, 1, "key-0", value));
    assert_true(shows(w, 1, "key-2999", "v"));
    assert_true(counter(w, 1, "deltas_refused") > 0);
    world_free(w);
}

static void losses_are_repaired(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(5, &config, 300000); /* three in ten */
    for (unsigned round = 0; round < 20; round++) {
        write_many(w, round % 5, round * 10, round * 10 + 30, "value");
        world_run(w, 100 * MS);
    }
    runs_until_agreed(w, 5, 60 * SECOND);
    struct kith_store_gauges g;
    kith_store_read_gauges(world_node(w, 2), &g);
    assert_int_equal(g.keys, 220);
    world_free(w);
}

static void count_kinds(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    unsigned *kinds = arg;
    (void)from;
    (void)to;
    for (size_t i = 0; i + 2 < len; i++) {
        if (buf[i] == 8 && buf[i + 1] == 0x4b && (buf[i + 2] & 0x7f) < 10)
            kinds[buf[i + 2] & 0x7f]++;
    }
}

/* Halves of roots and short answers, and nothing else; also when one of the two has forgotten who the other is. */
static void equal_stores_say_little(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = world_new();
    struct kith_config c;
    world_store(w, &config);
    for (unsigned n = 0; n < 2; n++) {
        world_config(&c, n);
        c.compress = false;
        world_add(w, n, &c);
    }
    for (unsigned life = 0; life < 3; life++) {
        unsigned kinds[10] = {0};
        assert_int_equal(world_join(w, 1, 0, NULL), 0);
        write_many(w, 0, 10 * life, 10 * life + 10, "value");
        runs_until_agreed(w, 2, 20 * SECOND);
        world_run(w, 5 * SECOND);
        world_set_tap(w, count_kinds, kinds);
        world_run(w, 20 * SECOND);
        assert_in_range(kinds[9], 20, 50); /* each probes the other */
        assert_int_equal(kinds[3], kinds[9]);
        assert_int_equal(kinds[1] + kinds[2] + kinds[8], 0);
        world_set_tap(w, NULL, NULL);
        world_crash(w, 1);
        world_add(w, 1, &c);
    }
    world_free(w);
}

/* Somebody writes under our id: the next write, or the next group as a whole, goes under a new one. */
static void an_id_in_use_is_given_up(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    for (unsigned round = 0; round < 2; round++) {
        struct kith_store_gauges before, after;
        uint8_t message[100];
        char key[] = {(char)('a' + round), 0};
        kith_store_read_gauges(world_node(w, 0), &before);
        struct ki_cell_image image = {.dot = {before.replica, 1000}, .kind = KI_KIND_SET, .stamp = 1};
        image.key = image.field = ki_span("theirs", 6);
        struct ki_writer m = ki_writer(message, sizeof message);
        ki_put(&m, "\x08\x4b\x04\x01", 4); /* a delta of one cell */
        ki_cell_encode(&m, &image);
        world_inject(w, 0, 1, message, m.len);
        assert_int_equal(counter(w, 0, "replica_id_met"), round + 1);
        if (round > 0)
            assert_int_equal(kith_store_begin(world_node(w, 0)), 0);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(kith_set(world_node(w, 0), world_now(w), text(key), text("ours"), KITH_NEVER_MS), 0);
        if (round > 0)
            assert_int_equal(kith_store_commit(world_node(w, 0), world_now(w)), 0);
        kith_store_read_gauges(world_node(w, 0), &after);
        assert_true(after.replica != before.replica);
        world_run(w, 5 * MS);
        assert_true(shows(w, 1, key, "ours"));
    }
    world_free(w);
}

/* ---- evidence ---- */

static bool disk_works;

static void disk_drain(void *arg, unsigned n, kith *k, struct kith_time now)
{
    struct kith_row row;
    (void)arg;
    while ((n > 0 || disk_works) && kith_poll_row(k, now, &row)) {
        if (row.is_commit)
            kith_rows_durable(k, now, row.seq, 0);
    }
}

static void wait_for_root(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    bool *is_said = arg;
    (void)to;
    for (size_t i = 0; from == 0 && i + 2 < len; i++)
        *is_said = *is_said || memcmp(buf + i, "\x08\x4b\x01", 3) == 0 || memcmp(buf + i, "\x08\x4b\x09", 3) == 0;
}

/* A root is asked for before a write is durable, and found to be the same after. */
static void an_answer_is_about_its_root(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    config.withhold = disk_works = true;
    struct world *w = world_new();
    bool is_said = false;
    world_store(w, &config);
    world_set_disk(w, (struct world_disk){.drain = disk_drain});
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        world_config(&c, n);
        c.compress = false;
        world_add(w, n, &c);
    }
    assert_int_equal(world_join(w, 1, 0, NULL), 0);
    assert_int_equal(kith_set(world_node(w, 0), world_now(w), text("before"), text("1"), KITH_NEVER_MS), 0);
    runs_until_agreed(w, 2, 20 * SECOND);
    disk_works = false;
    assert_int_equal(kith_set(world_node(w, 0), world_now(w), text("a"), text("1"), KITH_NEVER_MS), 0);
    world_set_tap(w, wait_for_root, &is_said);
    for (unsigned i = 0; i < 10000 && !is_said; i++)
        world_run(w, 500);
    assert_true(is_said);
    world_run(w, 1500); /* the answer is on its way */
    disk_works = true;
    world_chance(w, 1, 1000000);
    world_run(w, 1); /* written, told, and lost */
    world_chance(w, 1, 0);
    world_run(w, 3 * MS);
    assert_int_equal(kith_type_of(world_node(w, 1), world_now(w), text("a")), KITH_TYPE_NONE);
    uint64_t cursor = 0;
    unsigned holders = 0;
    struct kith_holder holder;
    while (kith_next_holder(world_node(w, 0), world_now(w), text("a"), &cursor, &holder))
        holders++;
    assert_int_equal(holders, 1);
    runs_until_agreed(w, 2, 20 * SECOND);
    world_free(w);
}

/* Too small for the messages of a repair, which goes over a link then. */
static void small_datagrams(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = world_new();
    world_store(w, &config);
    for (unsigned n = 0; n < 3; n++) {
        struct kith_config c;
        world_config(&c, n);
        c.datagram_max = n < 2 ? 576 : 1400;
        world_add(w, n, &c);
        if (n > 0)
            assert_int_equal(world_join(w, n, 0, NULL), 0);
    }
    write_many(w, 0, 0, 100, "value");
    runs_until_agreed(w, 3, 30 * SECOND);
    world_cut(w, 0, 2, true);
    world_cut(w, 1, 2, true);
    write_many(w, 2, 0, 3, "theirs");
    write_many(w, 0, 5, 9, "ours");
    world_run(w, 2 * SECOND);
    world_cut(w, 0, 2, false);
    world_cut(w, 1, 2, false);
    runs_until_agreed(w, 3, 60 * SECOND);
    assert_true(shows(w, 0, "key-1", "theirs") && shows(w, 2, "key-6", "ours"));
    world_free(w);
}

/* One that is over must not keep the next one from beginning. */
static void repairs_follow_each_other(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    runs_until_agreed(w, 2, 10 * SECOND);
    for (unsigned round = 0; round < 8; round++) {
        world_cut(w, 0, 1, true);
        write_many(w, round % 2, round * 10, round * 10 + 10, "value");
        world_run(w, 100 * MS);
        assert_false(agree(w, 2));
        world_cut(w, 0, 1, false);
        runs_until_agreed(w, 2, 6 * SECOND);
    }
    world_free(w);
}

/* More is written between any two probes than is taken into the sketch at one go. */
static void writes_without_a_pause_do_not_keep_repairs_away(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    struct world *w = pool(2, &config, 0);
    runs_until_agreed(w, 2, 10 * SECOND);
    world_cut(w, 0, 1, true);
    write_many(w, 0, 0, 10, "lost on its way");
    world_run(w, 100 * MS);
    world_cut(w, 0, 1, false);
    unsigned written = 10;
    while (!shows(w, 1, "key-9", "lost on its way") && written < 200000) {
        write_many(w, 0, written, written + 1000, "more");
        written += 1000;
        world_run(w, 100 * MS);
    }
    assert_in_range(written, 0, 199999);
    world_free(w);
}

static void *small_only(void *arg, void *ptr, size_t size)
{
    const bool *is_out = arg;
    return *is_out && size > 32768 ? NULL : realloc(ptr, size);
}

static void let_go(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

/* A session waits for the disk, and the sketch cannot be made whole meanwhile: nobody spins. */
static void without_memory_a_session_gives_up(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    config.withhold = disk_works = true;
    struct world *w = world_new();
    bool is_out = false;
    world_store(w, &config);
    world_set_disk(w, (struct world_disk){.drain = disk_drain});
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        world_config(&c, n);
        if (n == 0)
            c.memory = (struct kith_memory){.resize = small_only, .release = let_go, .arg = &is_out};
        world_add(w, n, &c);
    }
    assert_int_equal(world_join(w, 1, 0, NULL), 0);
    write_many(w, 0, 0, 10, "value");
    runs_until_agreed(w, 2, 20 * SECOND);
    disk_works = false;
    write_many(w, 0, 10, 11, "not durable");
    world_chance(w, 1, 1000000);
    write_many(w, 1, 20, 21, "lost");
    world_run(w, MS);
    world_chance(w, 1, 0);
    world_run(w, 5 * SECOND); /* roots differ, twice */
    write_many(w, 0, 100, 40000, "value");
    is_out = true;
    uint64_t before = world_ticks(w, 0), failed = counter(w, 0, "out_of_memory");
    world_run(w, 2 * SECOND);
    assert_true(counter(w, 0, "out_of_memory") > failed);
    assert_in_range(world_ticks(w, 0) - before, 1, 400);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_arrive_at_once),
        cmocka_unit_test(large_pools_forward),
        cmocka_unit_test(groups_arrive_whole),
        cmocka_unit_test(waits_for_holders),
        cmocka_unit_test(both_sides_of_a_cut_come_together),
        cmocka_unit_test(a_newcomer_gets_everything),
        cmocka_unit_test(repairs_keep_to_their_rate),
        cmocka_unit_test(large_values_go_over_links),
        cmocka_unit_test(large_groups_go_in_parts),
        cmocka_unit_test(groups_are_not_cut_by_others),
        cmocka_unit_test(no_part_goes_without_those_before),
        cmocka_unit_test(losses_are_repaired),
        cmocka_unit_test(equal_stores_say_little),
        cmocka_unit_test(an_id_in_use_is_given_up),
        cmocka_unit_test(repairs_follow_each_other),
        cmocka_unit_test(writes_without_a_pause_do_not_keep_repairs_away),
        cmocka_unit_test(an_answer_is_about_its_root),
        cmocka_unit_test(without_memory_a_session_gives_up),
        cmocka_unit_test(small_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
