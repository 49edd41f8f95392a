/* A living instance for the fuzz targets that feed a whole core: made in one of four flavours, in a pool of two other
 * members, and held to the rules that no input may break: the invariants of lone.h, bounded memory, and datagrams only
 * to members and to those who asked, who get at most 3 times what they sent. */
#ifndef FUZZ_LIVE_H
#define FUZZ_LIVE_H

#include "scenario/lone.h"

#define LIVE_MEMORY_MAX (2u << 20)

enum { LIVE_PLAIN, LIVE_KEYED, LIVE_LABELLED, LIVE_BARE };

struct live {
    kith *k;
    struct lone_memory memory;
    struct kith_time now;
    unsigned flavour;
    uint64_t heard[2], said[2]; /* bytes from, and to while no member, of the stranger and of member a */
};

static const struct kith_key live_key = {.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, .len = 16};

static inline struct kith_addr live_stranger(void)
{
    return (struct kith_addr){.ip = {192, 0, 2, 1}, .ip_len = 4, .port = 5000};
}

static inline void live_meet(struct live *l, const char *name, uint8_t last)
{
    struct kith_member m = {.name = lone_str(name),
                            .addr = lone_addr(last, 7946),
                            .meta = {"\xff\x80", 2},
                            .status = KITH_STATUS_ALIVE,
                            .incarnation = 5,
                            .versions = {1, 5, 2, 2, 5, 5}};
    if (l->flavour == LIVE_BARE)
        memset(m.versions + 3, 0, 3);
    LONE_CHECK(kith_import_members(l->k, l->now, &m, 1) == 0);
}

static inline void live_new(struct live *l, uint8_t how)
{
    struct kith_config c;
    *l = (struct live){.now = lone_time(LONE_SECOND), .flavour = how & 3};
    lone_config(&c);
    c.memory = lone_hooks(&l->memory);
    c.members_max = 16;
    c.intents_max = 8;
    c.queue_max = 16;
    c.events_max = 8;
    c.replies_max = 16;
    c.relays_max = 4;
    c.tickets_max = 4;
    c.streams_max = 4;
    c.stream_bytes_max = 300000;
    c.frame_max = 100000;
    c.inflated_max = 100000;
    c.compress = how & 4;
    if (l->flavour == LIVE_KEYED) {
        c.keys = &live_key;
        c.key_count = 1;
    }
    if (l->flavour == LIVE_LABELLED)
        c.label = lone_str("lab1");
    if (l->flavour == LIVE_BARE)
        c.delegate_min = c.delegate_max = c.delegate_cur = 0;
    l->k = lone_new(&c);
    if (how & 8) {
        live_meet(l, "a", 2);
        live_meet(l, "b", 3);
    }
}

static inline void live_drain(struct live *l)
{
    uint8_t buf[2048];
    struct kith_addr to, stranger = live_stranger(), a = lone_addr(2, 7946);
    struct kith_event event;
    struct kith_record record;
    size_t len;
    while (kith_poll_datagram(l->k, l->now, &to, buf, sizeof buf, &len)) {
        LONE_CHECK(len > 0 && len <= 1400);
        if (lone_knows(l->k, &to))
            continue;
        unsigned who = kith_addr_equal(&to, &a);
        LONE_CHECK(who == 1 || kith_addr_equal(&to, &stranger));
        l->said[who] += len;
        LONE_CHECK(l->said[who] <= 3 * l->heard[who]);
    }
    while (kith_poll_event(l->k, &event))
        LONE_CHECK(event.kind >= KITH_EVENT_MEMBER);
    while (kith_poll_record(l->k, &record))
        LONE_CHECK(record.kind >= KITH_RECORD_MEMBER);
    struct kith_gauges g;
    kith_read_gauges(l->k, &g);
    LONE_CHECK(g.memory_bytes <= LIVE_MEMORY_MAX);
    lone_check(l->k);
}

static inline void live_free(struct live *l)
{
    kith_free(l->k);
    LONE_CHECK(l->memory.blocks == 0);
}

#endif
