/* A flood of joins: while views are compared, gossip says less of who is new; unless somebody does not compare.
 * ctest: TIMEOUT 60 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "duo.h"
#include "node/sync.h"

#define FLOOD_MEMBERS 80
#define FLOOD_EARLY 8  /* those of whom gossip has told when a comparison begins to be due */
#define FLOOD_SMALL 62 /* those with whom, and with the two of a duo, the pool is no longer small */

/* Hears by gossip of so many, and of the join of each. */
static void flood_hear(struct duo *d, unsigned from, unsigned to, bool intents)
{
    kith *k = d->side[0].k;
    for (unsigned i = from; i < to; i++) {
        char name[32];
        uint8_t buf[256], addr[] = {10, 2, 0, (uint8_t)i};
        int len = snprintf(name, sizeof name, "member-%u", i);
        static const uint8_t versions[] = {1, 5, 2, 2, 5, 5};
        struct ki_identity identity = {.name = ki_span(name, (size_t)len),
                                       .addr = ki_span(addr, 4),
                                       .port = 7946,
                                       .meta = ki_span("\xff\x81\xa5_kith\xa3" "1-1", 12),
                                       .incarnation = 1,
                                       .versions = versions};
        LONE_CHECK(ki_apply_alive(k, NULL, KI_NO_MEMBER, &identity) == 0);
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_join(&p, &(struct ki_serf_join){.ltime = 50, .node = identity.name});
        LONE_CHECK(!intents || ki_handle_serf(k, ki_span(buf, p.w.len)) == 0);
    }
}

/* How often each is said, when all has been said. */
static void flood_count(struct duo *d, uint32_t times[FLOOD_MEMBERS])
{
    struct ki_queue *queue = &d->side[0].k->queues[KI_QUEUE_MEMBERS];
    memset(times, 0, FLOOD_MEMBERS * sizeof *times);
    while (queue->count > 0) {
        const struct ki_news *news;
        uint64_t done;
        ki_queue_next_datagram(queue);
        while ((news = ki_queue_take(queue, 1400, 8, &done)) != NULL) {
            const struct ki_member *m = ki_table_at(&d->side[0].k->table, news->subject);
            unsigned number = FLOOD_MEMBERS;
            if (m && sscanf((const char *)ki_member_name(m).ptr, "member-%2u", &number) == 1 && number < FLOOD_MEMBERS)
                times[number]++;
        }
    }
}

static struct duo *flood_duo(void)
{
    struct duo *d = duo_new();
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        duo_config(&c, n);
        c.probe_interval_ms = 3600 * 1000;
        c.gossip_interval_ms = 3600 * 1000;
        c.push_pull_interval_ms = 3600 * 1000;
        d->side[n].memory.fail_from = UINT64_MAX;
        LONE_CHECK(kith_new(&d->side[n].k, &c) == 0 && kith_ready(d->side[n].k, d->now) == 0);
    }
    duo_acquaint(d);
    return d;
}

static void who_is_new_is_said_less_often(void **state)
{
    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        struct duo *d = flood_duo();
        kith *k = d->side[0].k;
        uint32_t times[FLOOD_MEMBERS];
        if (other)
            duo_meet(k, d->now, "other", 9, false); /* it hears of everybody by gossip alone */
        k->sync_next_us = KITH_NEVER;
        struct ki_versions all = ki_versions_none();
        ki_versions_note_ours(&all, k);
        flood_hear(d, 0, FLOOD_MEMBERS, false);
        assert_true(k->sync_next_us != KITH_NEVER);
        flood_count(d, times);
        for (unsigned i = 0; i < FLOOD_MEMBERS; i++)
            assert_int_equal(times[i], !other && i >= FLOOD_SMALL ? 2 : 8);
        duo_free(d);
    }
}

/* But a leave is, and our own join. */
static void joins_of_others_are_not_passed_on(void **state)
{
    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        struct duo *d = flood_duo();
        kith *k = d->side[0].k;
        struct ki_queue *intents = &k->queues[KI_QUEUE_INTENTS];
        uint8_t buf[256];
        if (other)
            duo_meet(k, d->now, "other", 9, false);
        struct ki_versions all = ki_versions_none();
        ki_versions_note_ours(&all, k);
        flood_hear(d, 0, FLOOD_EARLY, false);
        size_t before = intents->count;
        flood_hear(d, FLOOD_EARLY, FLOOD_MEMBERS, true);
        assert_int_equal(intents->count - before, other ? FLOOD_MEMBERS - FLOOD_EARLY : 0);
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_join(&p, &(struct ki_serf_join){.ltime = 60, .node = lone_span("unknown")});
        before = intents->count;
        assert_int_equal(ki_handle_serf(k, ki_span(buf, p.w.len)), 0);
        assert_int_equal(intents->count - before, other);
        before = intents->count;
        p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_leave(&p, &(struct ki_serf_leave){.ltime = 70, .node = lone_span("member-3")});
        assert_int_equal(ki_handle_serf(k, ki_span(buf, p.w.len)), 0);
        assert_int_equal(ki_say_join(k), 0);
        assert_int_equal(intents->count - before, 2);
        duo_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_is_new_is_said_less_often),
                                       cmocka_unit_test(joins_of_others_are_not_passed_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
