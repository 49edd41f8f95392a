/* Bounded work: however much has come or is due, one call does a bounded part of it.  Measured in units of work, not in
 * time: members entered, declared dead or forgotten, intents noted, names walked.  Each test also sees the work end, and
 * that the deadline is at once until then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lone.h"

#define POOL 3000
#define SLICE_BYTES 65536 /* STREAM_SLICE in stream.c: what the bounds below come from */
#define MERGED_MAX (SLICE_BYTES / 256)  /* members or */
#define WALKED_MAX (SLICE_BYTES / 64)   /* names of one tick of a full exchange */
#define DEATHS_MAX 100
#define REAPED_MAX 64

static kith *slices_new(unsigned members)
{
    struct kith_config c;
    char name[16];
    lone_config(&c);
    c.push_pull_interval_ms = 0;
    kith *k = lone_new(&c);
    for (unsigned i = 0; i < members; i++) {
        snprintf(name, sizeof name, "m%u", i);
        struct kith_member m = {.name = lone_str(name),
                                .addr = {.ip = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, .ip_len = 4, .port = 7946},
                                .meta = lone_str("\xff\x80"),
                                .status = KITH_STATUS_ALIVE,
                                .state = KITH_STATE_ALIVE,
                                .incarnation = 5,
                                .versions = {1, 5, 2, 2, 5, 5}};
        assert_int_equal(kith_import_members(k, lone_time(LONE_SECOND), &m, 1), 0);
    }
    lone_drain_told(k);
    return k;
}

static void slices_end(kith *k)
{
    lone_check(k);
    kith_free(k);
}

static void slices_refuse_streams(kith *k, struct kith_time now)
{
    struct kith_stream_action action;
    while (kith_poll_stream(k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(k, now, action.id, KITH_ERR_UNREACHABLE);
    }
}

/* A push/pull of `nodes` members and a user state. */
static size_t slices_state(uint8_t *buf, size_t cap, unsigned nodes, unsigned lefts, unsigned ltimes)
{
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    char name[16];
    uint8_t *user = malloc(cap);
    assert_non_null(user);
    struct ki_pack u = ki_pack(user, cap, false);
    ki_encode_serf_state_begin(&u, 5, 0);
    ki_encode_serf_state_left_members(&u, 5, lefts);
    for (unsigned i = 0; i < lefts; i++) {
        snprintf(name, sizeof name, "left-%u", i);
        ki_encode_serf_state_left(&u, lone_span(name));
    }
    ki_encode_serf_state_middle(&u, 5, ltimes);
    for (unsigned i = 0; i < ltimes; i++) {
        snprintf(name, sizeof name, "left-%u", i * 2);
        ki_encode_serf_state_status(&u, lone_span(name), 7);
    }
    assert_false(u.w.full);
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_push_pull_header(&p, &(struct ki_push_pull_header){.nodes = nodes, .user_state_len = (int64_t)u.w.len});
    for (unsigned i = 0; i < nodes; i++) {
        const uint8_t ip[4] = {10, 2, (uint8_t)(i >> 8), (uint8_t)i};
        snprintf(name, sizeof name, "n%u", i);
        ki_encode_node_state(&p, &(struct ki_node_state){.name = lone_span(name),
                                                         .addr = ki_span(ip, 4),
                                                         .port = 7946,
                                                         .meta = lone_span("\xff\x80"),
                                                         .incarnation = 5,
                                                         .versions = ki_span(versions, 6)});
    }
    ki_put(&p.w, user, u.w.len);
    assert_false(p.w.full);
    free(user);
    return p.w.len;
}

struct slices_seen {
    unsigned ticks, members, intents;    /* ticks in all; most entered in one */
    unsigned walked;                     /* most places taken in the set of names in one */
};

static unsigned slices_set(const struct kith *k)
{
    if (ki_list_empty(&k->streams))
        return 0;
    const struct ki_stream *s = (const struct ki_stream *)(const void *)((const char *)k->streams.next -
                                                                         offsetof(struct ki_stream, link));
    return (unsigned)s->merge.names;
}

static unsigned slices_max(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* Feeds a message over an accepted stream, at once, and ticks until its work is done. */
static struct slices_seen slices_feed(kith *k, const uint8_t *buf, size_t len)
{
    struct slices_seen seen = {0};
    struct kith_time now = lone_time(LONE_SECOND);
    struct kith_addr from = lone_addr(9, 4000);
    uint32_t id;
    assert_int_equal(kith_stream_accept(k, now, &from, &id), 0);
    for (size_t at = 0, taken; at < len; at += taken) {
        assert_int_equal(kith_stream_bytes(k, now, id, buf + at, ki_min_size(len - at, 65536), &taken), 0);
        assert_true(taken > 0);
    }
    while (ki_streams_deadline(k) <= now.mono_us) {
        unsigned members = k->table.count, intents = k->intents.count + (unsigned)k->intents.dropped;
        unsigned names = slices_set(k);
        kith_tick(k, now);
        seen.ticks++;
        seen.members = slices_max(seen.members, k->table.count - members);
        seen.intents = slices_max(seen.intents, k->intents.count + (unsigned)k->intents.dropped - intents);
        if (slices_set(k) > names)
            seen.walked = slices_max(seen.walked, slices_set(k) - names);
        assert_true(seen.ticks < 100000);
    }
    return seen;
}

static void a_full_exchange_is_merged_in_slices(void **state)
{
    (void)state;
    size_t cap = 4u << 20;
    uint8_t *buf = malloc(cap);
    assert_non_null(buf);
    kith *k = slices_new(0);
    struct slices_seen seen = slices_feed(k, buf, slices_state(buf, cap, POOL, 0, 0));
    assert_int_equal(k->table.count, POOL + 1);
    assert_in_range(seen.members, 1, MERGED_MAX);
    assert_true(seen.ticks >= POOL / MERGED_MAX);
    slices_end(k);
    free(buf);
}

/* Long lists of names that nobody knows cost no more for each than short ones, and no more in one call. */
static void a_user_state_is_merged_in_slices(void **state)
{
    (void)state;
    size_t cap = 4u << 20;
    uint8_t *buf = malloc(cap);
    assert_non_null(buf);
    kith *k = slices_new(0);
    struct slices_seen seen = slices_feed(k, buf, slices_state(buf, cap, 0, 60000, 30000));
    assert_in_range(seen.walked, 1, WALKED_MAX);
    assert_in_range(seen.intents, 1, WALKED_MAX);
    assert_true(seen.ticks >= 90000 / WALKED_MAX);
    assert_int_equal(k->intents.count, k->cfg.intents_max);
    for (uint32_t i = 0; i < k->intents.count; i++) /* all of them are listed as left: one more than their time */
        assert_true(k->intents.items[i].leave && k->intents.items[i].ltime == 8);
    slices_end(k);
    free(buf);
}

static void our_answer_is_built_in_slices(void **state)
{
    (void)state;
    uint8_t buf[256];
    kith *k = slices_new(POOL);
    struct slices_seen seen = slices_feed(k, buf, slices_state(buf, sizeof buf, 0, 0, 0));
    assert_true(seen.ticks >= POOL * 128 / SLICE_BYTES); /* a member is about 60 bytes, and 64 more for its entry */
    slices_end(k);
}

/* All accused in one moment: their time runs out in one moment too. */
static void deaths_are_declared_in_slices(void **state)
{
    (void)state;
    char name[16];
    uint8_t buf[256];
    struct kith_time now = lone_time(LONE_SECOND);
    struct kith_addr from = lone_addr(9, 7946);
    kith *k = slices_new(POOL);
    for (unsigned i = 0; i < POOL; i++) {
        snprintf(name, sizeof name, "m%u", i);
        size_t len = lone_accuse(buf, sizeof buf, false, name, "x", 5);
        assert_int_equal(kith_datagram(k, now, &from, buf, len), 0);
    }
    unsigned most = 0;
    while (k->table.by_state[KI_SUSPECT] > 0) {
        uint64_t before = lone_counter(k, "deaths_declared");
        now.mono_us = ki_max_u64(now.mono_us, kith_deadline(k));
        kith_tick(k, now);
        most = slices_max(most, (unsigned)(lone_counter(k, "deaths_declared") - before));
        lone_drain_datagrams(k, now);
        slices_refuse_streams(k, now);
        assert_true(now.mono_us < 1000 * LONE_SECOND);
    }
    assert_int_equal(most, DEATHS_MAX);
    slices_end(k);
}

static void the_dead_are_forgotten_in_slices(void **state)
{
    (void)state;
    char name[16];
    uint8_t buf[256];
    struct kith_time now = lone_time(LONE_SECOND);
    struct kith_addr from = lone_addr(9, 7946);
    kith *k = slices_new(POOL);
    for (unsigned i = 0; i < POOL; i++) {
        snprintf(name, sizeof name, "m%u", i);
        size_t len = lone_accuse(buf, sizeof buf, true, name, "x", 5);
        assert_int_equal(kith_datagram(k, now, &from, buf, len), 0);
    }
    now.mono_us += ((uint64_t)k->cfg.reconnect_timeout_ms + k->cfg.reap_interval_ms + 1) * 1000;
    unsigned most = 0, ticks = 0;
    while (k->table.count > 1) {
        uint32_t before = k->table.count;
        assert_true(kith_deadline(k) <= now.mono_us);
        kith_tick(k, now);
        slices_refuse_streams(k, now);
        most = slices_max(most, before - k->table.count);
        assert_true(++ticks < POOL);
    }
    assert_int_equal(most, REAPED_MAX);
    slices_end(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_exchange_is_merged_in_slices),
        cmocka_unit_test(a_user_state_is_merged_in_slices),
        cmocka_unit_test(our_answer_is_built_in_slices),
        cmocka_unit_test(deaths_are_declared_in_slices),
        cmocka_unit_test(the_dead_are_forgotten_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
