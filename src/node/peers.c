/* Addresses, and picking members at random.
 *
 * Picking tries random places of the table first, which costs nothing however large the pool is; when the pool is so
 * small that this might miss the only candidate (memberlist does, in 3-node pools), it shuffles all of them.
 *
 * Addresses are kept as the bytes that came, since memberlist compares bytes, but compared in canonical form. */
#include "node/node.h"

static struct ki_span peers_canonical(const struct kith_addr *a)
{
    return ki_canonical(ki_span(a->ip, a->ip_len));
}

bool kith_addr_equal(const struct kith_addr *a, const struct kith_addr *b)
{
    return a->port == b->port && ki_span_equal(peers_canonical(a), peers_canonical(b));
}

struct kith_addr ki_addr_of(const struct ki_member *m)
{
    struct kith_addr addr = {.ip_len = m->addr_len, .port = m->port};
    memcpy(addr.ip, ki_member_data(m), m->addr_len);
    return addr;
}

bool ki_addr_from_span(struct ki_span bytes, uint16_t port, struct kith_addr *out)
{
    if ((bytes.len != 4 && bytes.len != 16) || port == 0)
        return false;
    *out = (struct kith_addr){.ip_len = (uint8_t)bytes.len, .port = port};
    memcpy(out->ip, bytes.ptr, bytes.len);
    return true;
}

uint32_t ki_find_addr(struct kith *k, const struct kith_addr *addr)
{
    return ki_table_find_addr(&k->table, ki_span(addr->ip, addr->ip_len), addr->port);
}

static bool peers_fit(const struct kith *k, enum ki_pick what, uint32_t id)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    if (id == k->self)
        return false;
    switch ((enum ki_state)m->state) {
    case KI_ALIVE:
        return true;
    case KI_SUSPECT:
        return what == KI_PICK_GOSSIP;
    case KI_DEAD:
        return what == KI_PICK_GOSSIP &&
               k->now.mono_us - m->changed_us <= (uint64_t)k->cfg.gossip_to_the_dead_ms * 1000;
    case KI_LEFT:
        return false;
    }
    KI_UNREACHABLE();
}

static bool peers_has(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Every member in random order: partial Fisher-Yates over a small copy. */
static uint32_t peers_pick_small(struct kith *k, enum ki_pick what, uint32_t except, uint32_t count, uint32_t *ids)
{
    uint32_t pool[64];
    uint32_t size = 0, picked = 0;
    for (uint32_t i = 0; i < k->table.count; i++) {
        uint32_t id = k->table.order[i];
        if (id != except && peers_fit(k, what, id))
            pool[size++] = id;
    }
    while (picked < count && size > 0) {
        uint32_t at = (uint32_t)ki_rng_below(&k->rng, size);
        ids[picked++] = pool[at];
        pool[at] = pool[--size];
    }
    return picked;
}

/* memberlist's way: 3 tries for each member there is, found or not. */
static uint32_t peers_pick_stock(struct kith *k, enum ki_pick what, uint32_t except, uint32_t count, uint32_t *ids)
{
    uint32_t picked = 0;
    for (uint64_t tries = 0; picked < count && tries < 3 * (uint64_t)k->table.count; tries++) {
        uint32_t id = k->table.order[ki_rng_below(&k->rng, k->table.count)];
        if (id != except && peers_fit(k, what, id) && !peers_has(ids, picked, id))
            ids[picked++] = id;
    }
    return picked;
}

uint32_t ki_pick(struct kith *k, enum ki_pick what, uint32_t except, uint32_t count, uint32_t *ids)
{
    if (k->cfg.stock)
        return peers_pick_stock(k, what, except, count, ids);
    if (k->table.count <= 64)
        return peers_pick_small(k, what, except, count, ids);
    /* 3 tries for each wanted, and 32 more: with half of the pool dead all are found but once in 2^32 */
    uint32_t picked = 0;
    for (uint32_t tries = 0; picked < count && tries < 3 * count + 32; tries++) {
        uint32_t id = k->table.order[ki_rng_below(&k->rng, k->table.count)];
        if (id != except && peers_fit(k, what, id) && !peers_has(ids, picked, id))
            ids[picked++] = id;
    }
    /* most of the pool is dead: go through all of the shuffled order, from a random place on */
    uint32_t start = picked < count ? (uint32_t)ki_rng_below(&k->rng, k->table.count) : 0;
    for (uint32_t i = 0; picked < count && i < k->table.count; i++) {
        uint32_t id = k->table.order[(start + i) % k->table.count];
        if (id != except && peers_fit(k, what, id) && !peers_has(ids, picked, id))
            ids[picked++] = id;
    }
    return picked;
}

/* Where everyone who hears a message for the first time passes it on to ln n + c others, it reaches all with probability
 * e^-e^-c: one in 150 misses somebody, who finds out and asks for it (Kermarrec, Massoulié, Ganesh 2003, "Probabilistic
 * reliable dissemination in large-scale systems"). */
uint32_t ki_fanout(struct ki_rng *rng, uint32_t peers, uint32_t all_max, uint32_t *places)
{
    uint32_t fanout = 5;
    for (uint64_t power = 1000; power < (uint64_t)(peers + 1) * 1000; power = power * 2718 / 1000)
        fanout++;
    return ki_rng_sample(rng, peers, peers <= all_max ? peers : (uint32_t)ki_min_u64(fanout, all_max), places);
}

bool ki_buried(const struct kith *k, const struct ki_member *m)
{
    return k->cfg.stock && m->state == KI_DEAD &&
           k->now.mono_us - m->changed_us > (uint64_t)k->cfg.gossip_to_the_dead_ms * 1000;
}

bool ki_speaks_kith(const struct ki_member *m)
{
    struct ki_span value;
    return ki_tag_find(ki_member_meta(m), "_kith", &value);
}

bool ki_anyone_else(const struct kith *k)
{
    const struct ki_member *self = ki_table_at(&k->table, k->self);
    uint32_t living = k->table.by_state[KI_ALIVE] + k->table.by_state[KI_SUSPECT];
    bool self_lives = self->state == KI_ALIVE || self->state == KI_SUSPECT;
    return living > (self_lives ? 1 : 0);
}
