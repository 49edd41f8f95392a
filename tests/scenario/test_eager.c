/* News is told at once, but never by much more datagrams than the beat of gossip has, nor more often in all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"

#define MS 1000ull
#define MEMBERS 20
#define ROUNDS_MAX 200

static kith *pool(bool stock)
{
    struct kith_config c;
    lone_config(&c);
    c.stock = stock;
    c.probe_interval_ms = 1000000; /* nothing else is sent, and nobody suspected */
    c.push_pull_interval_ms = c.reconnect_interval_ms = 0;
    kith *k = lone_new(&c);
    for (uint8_t i = 0; i < MEMBERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", i);
        lone_meet(k, lone_time(LONE_SECOND), name, (uint8_t)(10 + i));
    }
    lone_pass(k, LONE_SECOND, 60 * LONE_SECOND); /* until it is told */
    assert_int_equal(ki_news_waiting(k), 0);
    return k;
}

static void hear(kith *k, uint64_t at_us, uint32_t incarnation)
{
    uint8_t buf[256];
    struct kith_addr from = lone_addr(10, 7946);
    size_t len = lone_alive(buf, sizeof buf, "m0", 10, incarnation);
    kith_datagram(k, lone_time(at_us), &from, buf, len);
}

/* One piece of news after a quiet time: told now, or at the next beat; and just as often. */
static void after_quiet_it_is_told_at_once(void **state)
{
    (void)state;
    for (unsigned stock = 0; stock < 2; stock++) {
        kith *k = pool(stock);
        uint64_t at_us = 60 * LONE_SECOND, before = lone_counter(k, "news_out"), out = lone_counter(k, "datagrams_out");
        hear(k, at_us, 6);
        assert_int_equal(kith_deadline(k), at_us + (stock ? 200 * MS : 0));
        lone_pass(k, kith_deadline(k), kith_deadline(k));
        assert_int_equal(lone_counter(k, "gossip_out") > 0, true);
        assert_int_equal(lone_counter(k, "datagrams_out") - out, 3);
        assert_int_equal(kith_deadline(k), at_us + (stock ? 400 : 200) * MS); /* and from then on with the beat */
        lone_pass(k, k->now.mono_us, at_us + 10 * LONE_SECOND);
        assert_int_equal(lone_counter(k, "news_out") - before, 8);
        kith_free(k);
    }
}

/* News every millisecond: in every span of time as many rounds as the beat has, and one. */
static void news_without_end_keeps_the_beat(void **state)
{
    (void)state;
    kith *k = pool(false);
    uint64_t rounds_us[ROUNDS_MAX];
    unsigned count = 0;
    for (uint64_t ms = 0; ms < 10000; ms++) {
        uint64_t at_us = 60 * LONE_SECOND + ms * MS, before = lone_counter(k, "gossip_out");
        hear(k, at_us, 6 + (uint32_t)ms);
        lone_pass(k, at_us, at_us);
        if (lone_counter(k, "gossip_out") == before)
            continue;
        assert_int_equal(lone_counter(k, "gossip_out") - before, 3);
        assert_true(count < ROUNDS_MAX);
        rounds_us[count++] = at_us;
    }
    assert_true(count >= 50);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i; j < count; j++) {
            if (j - i + 1 > (rounds_us[j] - rounds_us[i]) / (200 * MS) + 2)
                fail_msg("%u rounds in %llu us", j - i + 1, (unsigned long long)(rounds_us[j] - rounds_us[i]));
        }
    }
    kith_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_quiet_it_is_told_at_once),
        cmocka_unit_test(news_without_end_keeps_the_beat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
