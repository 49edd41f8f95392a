/* What the tests of the simulator share: small worlds, messages of the program's own as the measure of a link (nodes that
 * have not joined anybody send nothing themselves), and reading totals and counters. */
#ifndef TEST_SIM_FIXTURE_H
#define TEST_SIM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kith/sim.h>

#define MS     KITH_SIM_MS
#define SECOND KITH_SIM_SECOND
#define MANY   20000

static inline struct kith_sim_config world_config(uint64_t seed)
{
    struct kith_sim_config config;
    kith_sim_config_init(&config, seed);
    config.link.latency_min_us = config.link.latency_max_us = 1 * MS;
    return config;
}

static inline void world_add(kith_sim *s, uint32_t nodes)
{
    for (uint32_t n = 0; n < nodes; n++) {
        struct kith_config node;
        uint32_t number = KITH_SIM_ALL;
        kith_sim_node_config(s, n, KITH_PROFILE_LAN, &node);
        node.compress = false; /* a stream's bytes are what they are */
        assert_int_equal(kith_sim_add(s, &node, &number), 0);
        assert_int_equal(number, n);
    }
    kith_sim_run(s, 0);
}

static inline kith_sim *world_of(const struct kith_sim_config *config, uint32_t nodes)
{
    kith_sim *s;
    assert_int_equal(kith_sim_new(&s, config), 0);
    world_add(s, nodes);
    return s;
}

static inline kith_sim *world(uint32_t nodes)
{
    struct kith_sim_config config = world_config(1);
    return world_of(&config, nodes);
}

static inline void world_end(kith_sim *s)
{
    if (kith_sim_violation(s))
        fail_msg("%s", kith_sim_violation(s));
    kith_sim_free(s);
}

/* Another number than any other, in a datagram of so many bytes. */
static inline void world_say(kith_sim *s, uint32_t from, uint32_t to, uint32_t number, size_t len)
{
    static uint8_t bytes[65507];
    assert_true(len >= sizeof number);
    memcpy(bytes, &number, sizeof number);
    kith_sim_message(s, from, to, bytes, len);
}

struct heard {
    uint64_t at_us;
    uint32_t from, to, number;
    size_t len;
};

static struct heard heard[2 * MANY + 2]; /* what the last world_hear() heard */

/* Runs until a time and notes the messages that arrive.  Returns how many. */
static inline size_t world_hear(kith_sim *s, uint64_t until_us)
{
    size_t count = 0;
    struct kith_sim_happening h;
    while (kith_sim_step(s, until_us, &h)) {
        if (h.kind != KITH_SIM_MESSAGE)
            continue;
        assert_true(count < sizeof heard / sizeof *heard);
        heard[count] = (struct heard){.at_us = kith_sim_now_us(s), .from = h.from, .to = h.node, .len = h.len};
        memcpy(&heard[count].number, h.buf, sizeof heard[count].number);
        count++;
    }
    return count;
}

static inline struct kith_sim_totals world_totals(const kith_sim *s)
{
    struct kith_sim_totals totals;
    kith_sim_read_totals(s, &totals);
    return totals;
}

static inline uint64_t world_counter(kith_sim *s, uint32_t node, const char *name)
{
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), name) == 0)
            return kith_counter(kith_sim_node(s, node), i);
    }
    fail_msg("no counter %s", name);
    return 0;
}

static inline void near(uint64_t value, uint64_t wanted, uint64_t off)
{
    if (value + off < wanted || value > wanted + off)
        fail_msg("%llu is not %llu +- %llu", (unsigned long long)value, (unsigned long long)wanted,
                 (unsigned long long)off);
}

#endif
