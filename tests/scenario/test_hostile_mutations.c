/* Random mutations of what real pools say, as datagrams and as streams: 200,000 of them, with KITH_SOAK=1 ten times as
 * many.  A world is recorded, its packets are changed in a few places and fed to a victim; what must hold after each is
 * in victim.h.
 * ctest: TIMEOUT 300 COST 60 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "victim.h"
#include "world.h"

static unsigned hostile_times(unsigned count)
{
    return getenv("KITH_SOAK") ? count * 10 : count;
}

#define TAPE_MAX 600

struct tape { /* packets of a small pool */
    struct {
        uint16_t len;
        uint8_t from;
        uint8_t buf[1500];
    } packets[TAPE_MAX];
    unsigned count;
};

static void tape_tap(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    struct tape *t = arg;
    struct kith_addr target = world_addr(2);
    if (t->count == TAPE_MAX || len > sizeof t->packets[0].buf || !kith_addr_equal(to, &target))
        return;
    t->packets[t->count].len = (uint16_t)len;
    t->packets[t->count].from = (uint8_t)from;
    memcpy(t->packets[t->count++].buf, buf, len);
}

/* A pool that joins, changes tags, loses a node and is left by another: every kind of message is on the tape. */
static struct tape *tape_record(enum flavour flavour)
{
    struct tape *t = calloc(1, sizeof *t);
    LONE_CHECK(t);
    struct world *w = world_new();
    world_set_tap(w, tape_tap, t);
    for (unsigned n = 0; n < 5; n++) {
        struct kith_config c;
        world_config(&c, n);
        victim_config(&c, flavour);
        c.compress = n % 2 == 0;
        world_add(w, n, &c);
        if (n > 0)
            LONE_CHECK(world_join(w, n, 0, NULL) == 0);
    }
    world_run(w, 4 * LONE_SECOND);
    for (unsigned n = 0; n < 2 && flavour != BARE; n++) {
        LONE_CHECK(kith_begin(world_node(w, n)) == 0);
        LONE_CHECK(kith_tag_set(world_node(w, n), lone_str("role"), lone_str("web")) == 0);
        LONE_CHECK(kith_commit(world_node(w, n), world_now(w), NULL) == 0);
    }
    world_cut(w, 2, 0, true); /* so that helpers are asked */
    world_run(w, 5 * LONE_SECOND);
    world_cut(w, 2, 0, false);
    world_crash(w, 3);
    LONE_CHECK(kith_leave(world_node(w, 4), world_now(w), NULL) == 0);
    world_run(w, 30 * LONE_SECOND);
    world_free(w);
    LONE_CHECK(t->count > 60);
    return t;
}

static size_t mutate_once(struct ki_rng *rng, const struct tape *t, uint8_t *buf, size_t len, size_t cap)
{
    static const uint8_t nasty[] = {0, 1, 0x7f, 0x80, 0xff, 0xc0, 0xc1, 0xdb, 0xdf, 0xcf, 0xd3, 7, 9, 12, 244};
    size_t at = len ? (size_t)ki_rng_below(rng, len) : 0;
    size_t run = 1 + (size_t)ki_rng_below(rng, 8);
    switch (ki_rng_below(rng, 7)) {
    case 0:
        if (len)
            buf[at] ^= (uint8_t)(1u << ki_rng_below(rng, 8));
        return len;
    case 1:
        if (len)
            buf[at] = nasty[ki_rng_below(rng, sizeof nasty)];
        return len;
    case 2: /* cut out */
        run = run < len - at ? run : len - at;
        memmove(buf + at, buf + at + run, len - at - run);
        return len - run;
    case 3: /* put in */
        if (len + run > cap)
            return len;
        memmove(buf + at + run, buf + at, len - at);
        for (size_t i = 0; i < run; i++)
            buf[at + i] = (uint8_t)ki_rng_next(rng);
        return len + run;
    case 4: /* truncate */
        return at;
    case 5: { /* end as another packet does */
        const uint8_t *other = t->packets[ki_rng_below(rng, t->count)].buf;
        size_t rest = (size_t)ki_rng_below(rng, 200);
        rest = rest < cap - at ? rest : cap - at;
        memcpy(buf + at, other + at % 100, rest);
        return at + rest;
    }
    default: /* a number of any size */
        for (size_t i = 0; i < run && at + i < len; i++)
            buf[at + i] = (uint8_t)ki_rng_next(rng);
        return len;
    }
}

/* Or all but the version byte, which the protocol leaves outside the seal: read as version 0, a packet whose text
 * happens to end like padding is opened, and the same text without its end is no forgery of ours. */
static bool tape_has(const struct tape *t, const uint8_t *buf, size_t len)
{
    for (unsigned i = 0; i < t->count; i++) {
        bool version = len > 0 && (buf[0] == t->packets[i].buf[0] || buf[0] == 0);
        if (version && t->packets[i].len == len && memcmp(t->packets[i].buf + 1, buf + 1, len - 1) == 0)
            return true;
    }
    return false;
}

/* The tape's packets, changed in 0 to 4 places, in random order, from members and strangers, as time passes. */
static void mutations(enum flavour flavour, unsigned count, uint64_t seed)
{
    struct tape *t = tape_record(flavour);
    struct ki_rng rng;
    ki_rng_init(&rng, seed);
    struct victim v = {.k = NULL};
    unsigned refused = 0, changed = 0;
    for (unsigned i = 0; i < count; i++) {
        if (i % 2500 == 0) {
            kith_free(v.k);
            v = victim_new(flavour, true);
        }
        uint8_t buf[2000];
        unsigned which = (unsigned)ki_rng_below(&rng, t->count);
        size_t len = t->packets[which].len;
        memcpy(buf, t->packets[which].buf, len);
        if (flavour != KEYED && len > 5 && buf[0] == KI_MSG_HAS_CRC && ki_rng_below(&rng, 4)) {
            len -= 5; /* what is under the checksum, or hardly any mutation would be looked at */
            memmove(buf, buf + 5, len);
        }
        uint64_t places = ki_rng_below(&rng, 5);
        for (uint64_t p = 0; p < places || (flavour == KEYED && p == 0); p++)
            len = mutate_once(&rng, t, buf, len, sizeof buf);
        if (flavour == KEYED && tape_has(t, buf, len))
            continue; /* it did not change after all, or it became another */
        struct kith_addr from =
            ki_rng_below(&rng, 2) ? victim_stranger(i % STRANGERS) : world_addr(t->packets[which].from);
        v.refused = v.changed = 0;
        victim_datagram(&v, &from, buf, len);
        refused += v.refused;
        changed += v.changed;
        if (i % 50 == 0)
            victim_tick(&v, 37000);
    }
    kith_free(v.k);
    free(t);
    /* the mutations are worth something: many are refused, and without a key many are taken */
    assert_true(refused > count / 10);
    assert_true(flavour == KEYED ? changed == 0 : changed > count / 1000);
}

static void mutated_datagrams_plain(void **state)
{
    (void)state;
    mutations(PLAIN, hostile_times(70000), 11);
}

static void mutated_datagrams_labelled(void **state)
{
    (void)state;
    mutations(LABELLED, hostile_times(25000), 12);
}

static void mutated_datagrams_bare(void **state)
{
    (void)state;
    mutations(BARE, hostile_times(25000), 13);
}

static void mutated_datagrams_sealed(void **state)
{
    (void)state;
    mutations(KEYED, hostile_times(50000), 14);
}

/* Both sides of a push/pull, a ping and a user message, as bytes of streams. */
static void tape_add(struct tape *t, const uint8_t *buf, size_t len, uint8_t dialled)
{
    LONE_CHECK(len <= sizeof t->packets[0].buf);
    t->packets[t->count].len = (uint16_t)len;
    t->packets[t->count].from = dialled; /* here: for a dialled stream */
    memcpy(t->packets[t->count++].buf, buf, len);
}

/* Everything that one side of an exchange writes. */
static size_t tape_written(struct victim *v, uint32_t id, uint8_t *buf, size_t cap)
{
    struct kith_stream_action action;
    size_t len = 0, more = 0;
    for (unsigned turns = 0; turns < 100; turns++) {
        kith_tick(v->k, v->now);
        while (kith_poll_stream(v->k, &action)) {
            if (action.kind == KITH_STREAM_OPEN && action.id == id)
                kith_stream_opened(v->k, v->now, id);
            while (action.kind == KITH_STREAM_WRITE &&
                   kith_stream_write(v->k, v->now, id, buf + len, cap - len, &more) == 0 && more > 0)
                len += more;
        }
    }
    LONE_CHECK(len > 0);
    return len;
}

static void tape_exchange(struct tape *t, enum flavour flavour, bool compress)
{
    uint8_t ask[1500], answer[1500];
    struct kith_config c;
    lone_config(&c);
    victim_config(&c, flavour);
    c.compress = compress;
    struct victim a = {.k = lone_new(&c), .now = lone_time(LONE_SECOND)};
    c.name = lone_str("node-1");
    c.addr = world_addr(1);
    struct victim b = {.k = lone_new(&c), .now = lone_time(LONE_SECOND)};
    struct kith_addr to = world_addr(1), from = world_addr(0);
    LONE_CHECK(kith_join(a.k, a.now, &to, 1, false, NULL) == 0);
    size_t ask_len = tape_written(&a, a.k->last_stream, ask, sizeof ask);
    uint32_t id;
    size_t taken;
    LONE_CHECK(kith_stream_accept(b.k, b.now, &from, &id) == 0);
    LONE_CHECK(kith_stream_bytes(b.k, b.now, id, ask, ask_len, &taken) == 0 && taken == ask_len);
    size_t answer_len = tape_written(&b, id, answer, sizeof answer);
    tape_add(t, ask, ask_len, 0);
    tape_add(t, answer, answer_len, 1);
    kith_free(a.k);
    kith_free(b.k);
}

static struct tape *tape_streams(enum flavour flavour)
{
    struct tape *t = calloc(1, sizeof *t);
    LONE_CHECK(t);
    tape_exchange(t, flavour, true);
    tape_exchange(t, flavour, false);
    if (flavour == KEYED)
        return t;
    uint8_t buf[512];
    static const char *const more[] = {
        "0082a44e6f6465a66e6f64652d32a55365714e6f4d",                         /* ping */
        "0881aa557365724d73674c656e0f 0182a54c54696d6502a44e6f6465a162",     /* user message: a join intent */
        "0d81a54572726f72a26e6f", "0282a75061796c6f6164c0a55365714e6f4f"};
    for (size_t i = 0; i < KI_COUNT(more); i++)
        tape_add(t, buf, hex_bytes(more[i], buf, sizeof buf), i >= 2);
    return t;
}

/* One mutated stream.  Unless it carried a whole message, nothing but counters has changed. */
static bool mutated_stream(struct victim *v, const uint8_t *buf, size_t len, bool dialled, struct ki_rng *rng)
{
    uint64_t before = lone_digest(v->k);
    uint64_t taken = lone_counter(v->k, "push_pulls_in") + lone_counter(v->k, "user_messages_in");
    uint32_t id;
    kith_ticket ticket = 0;
    struct kith_addr to = victim_stranger(2);
    if (dialled) {
        LONE_CHECK(kith_join(v->k, v->now, &to, 1, false, &ticket) == 0);
        id = v->k->last_stream;
        LONE_CHECK(victim_pump(v, id));
    } else {
        id = victim_accept(v);
    }
    victim_feed(v, id, buf, len, 1 + ki_rng_below(rng, 600), rng);
    bool whole = lone_counter(v->k, "push_pulls_in") + lone_counter(v->k, "user_messages_in") > taken;
    struct kith_event event;
    while (kith_poll_event(v->k, &event))
        whole = whole || (dialled && event.kind == KITH_EVENT_DONE && event.result == 0);
    if (!whole)
        LONE_CHECK(lone_digest(v->k) == before);
    struct kith_gauges g;
    kith_read_gauges(v->k, &g);
    LONE_CHECK(g.streams == 0 && g.stream_bytes == 0);
    lone_check(v->k);
    lone_drain_told(v->k);
    return whole;
}

/* It is one of the tape's sealed streams whatever was changed: what follows the frame is not looked at, and the version
 * byte (after 0A and the length) is outside the seal, as above. */
static bool tape_begins(const struct tape *t, const uint8_t *buf, size_t len)
{
    for (unsigned i = 0; i < t->count; i++) {
        const uint8_t *frame = t->packets[i].buf;
        size_t frame_len = t->packets[i].len;
        if (len >= frame_len && memcmp(buf, frame, 5) == 0 && memcmp(buf + 6, frame + 6, frame_len - 6) == 0 &&
            (buf[5] == frame[5] || buf[5] == 0))
            return true;
    }
    return false;
}

static void mutated_streams(enum flavour flavour, unsigned count, uint64_t seed)
{
    struct tape *t = tape_streams(flavour);
    struct ki_rng rng;
    ki_rng_init(&rng, seed);
    unsigned wholes = 0;
    struct victim v = {.k = NULL};
    for (unsigned i = 0; i < count; i++) {
        if (i % 200 == 0) {
            kith_free(v.k);
            v = victim_new(flavour, i % 400 == 0);
            v.k->probe_next_us = v.k->push_pull_next_us = KITH_NEVER; /* only the stream does anything */
            v.k->reconnect_next_us = v.k->reap_next_us = v.k->gossip_next_us = KITH_NEVER;
        }
        uint8_t buf[2000];
        unsigned which = i % t->count;
        size_t len = t->packets[which].len;
        memcpy(buf, t->packets[which].buf, len);
        uint64_t places = ki_rng_below(&rng, 4) + (flavour == KEYED);
        for (uint64_t p = 0; p < places; p++)
            len = mutate_once(&rng, t, buf, len, sizeof buf);
        if (flavour == KEYED && tape_begins(t, buf, len))
            continue;
        bool whole = mutated_stream(&v, buf, len, t->packets[which].from, &rng);
        wholes += whole;
        v.k->again_us = v.k->gossip_next_us = v.k->suspicion_next_us = KITH_NEVER;
        lone_drain_datagrams(v.k, v.now);
    }
    kith_free(v.k);
    free(t);
    assert_true(flavour == KEYED ? wholes == 0 : wholes > count / 20);
}

static void mutated_streams_plain(void **state)
{
    (void)state;
    mutated_streams(PLAIN, hostile_times(20000), 21);
}

static void mutated_streams_sealed(void **state)
{
    (void)state;
    mutated_streams(KEYED, hostile_times(10000), 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_datagrams_plain),
        cmocka_unit_test(mutated_datagrams_labelled),
        cmocka_unit_test(mutated_datagrams_bare),
        cmocka_unit_test(mutated_datagrams_sealed),
        cmocka_unit_test(mutated_streams_plain),
        cmocka_unit_test(mutated_streams_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
