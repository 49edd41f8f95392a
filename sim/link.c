/* Datagrams on their way: what a link does to them, and whether there is a way at all.
 *
 * A datagram's fate is drawn when it is sent: lost, doubled, late, damaged.  It is then one entry in the queue, and what
 * is cut off later does not call it back.  All luck comes from one generator that serves nothing else.
 *
 * Most pairs of nodes are like all others and cost nothing.  A pair that differs (own link, cut, clogged, or a line of
 * limited bandwidth) has a struct sim_pair, found by a map. */
#include "base/hash.h"
#include "sim/world.h"

/* ---- pairs ---- */

static uint64_t link_pair_key(uint32_t from, uint32_t to)
{
    uint64_t h = ((uint64_t)from << 32 | to) * 0x9e3779b97f4a7c15;
    return h ^ h >> 31;
}

static bool link_pair_is(const void *owner, uint32_t value, const void *key)
{
    const kith_sim *s = owner;
    const uint32_t *ends = key;
    return s->pairs[value].from == ends[0] && s->pairs[value].to == ends[1];
}

static struct sim_pair *link_pair_find(const kith_sim *s, uint32_t from, uint32_t to)
{
    if (s->pair_count == 0)
        return NULL;
    const uint32_t ends[2] = {from, to};
    uint32_t at = ki_map_get(&s->by_pair, link_pair_key(from, to), link_pair_is, s, ends);
    return at == KI_MAP_NONE ? NULL : &s->pairs[at];
}

struct sim_pair *ki_sim_pair_make(kith_sim *s, uint32_t from, uint32_t to)
{
    struct sim_pair *pair = link_pair_find(s, from, to);
    if (pair)
        return pair;
    s->pairs = ki_sim_grow(s->pairs, &s->pair_cap, s->pair_count, sizeof *s->pairs);
    ki_map_put(&s->by_pair, link_pair_key(from, to), (uint32_t)s->pair_count);
    pair = &s->pairs[s->pair_count++];
    *pair = (struct sim_pair){.from = from, .to = to};
    return pair;
}

const struct kith_sim_link *ki_sim_link_of(const kith_sim *s, uint32_t from, uint32_t to)
{
    const struct sim_pair *pair = link_pair_find(s, from, to);
    return pair && pair->own_link ? &pair->link : &s->cfg.link;
}

bool kith_sim_is_cut(const kith_sim *s, uint32_t from, uint32_t to)
{
    const struct sim_node *a = ki_sim_node_at(s, from), *b = ki_sim_node_at(s, to);
    if (s->cut_sides[a->side] >> b->side & 1 || a->slow_until_us == KITH_NEVER || b->slow_until_us == KITH_NEVER)
        return true;
    const struct sim_pair *pair = link_pair_find(s, from, to);
    return pair && (pair->cut || pair->clogged_until_us == KITH_NEVER);
}

/* ---- luck and time ---- */

bool ki_sim_chance(struct ki_rng *rng, uint32_t ppm)
{
    return ppm > 0 && ki_rng_below(rng, 1000000) < ppm;
}

/* Near enough an exponential of this mean, from integers alone: how often in a row a fair coin gives heads, and a uniform
 * part of one more; 3/2 on average. */
static uint64_t link_tail_us(struct ki_rng *rng, uint32_t mean_us)
{
    uint64_t bits = ki_rng_next(rng);
    uint64_t halvings = 0;
    while (halvings < 40 && bits & 1) {
        bits >>= 1;
        halvings++;
    }
    return (halvings * 1024 + ki_rng_below(rng, 1024)) * mean_us * 2 / 3 / 1024;
}

static uint64_t link_latency_us(struct ki_rng *rng, const struct kith_sim_link *link)
{
    uint64_t us = link->latency_min_us;
    if (link->latency_max_us > link->latency_min_us)
        us += ki_rng_below(rng, (uint64_t)link->latency_max_us - link->latency_min_us + 1);
    return link->tail_us ? us + link_tail_us(rng, link->tail_us) : us;
}

/* What is held up without end is cut off (kith_sim_is_cut()), and when it would arrive is not known here. */
static uint64_t link_held_until_us(uint64_t until_us)
{
    return until_us == KITH_NEVER ? 0 : until_us;
}

uint64_t ki_sim_link_arrival_us(kith_sim *s, uint32_t from, uint32_t to, size_t len)
{
    const struct kith_sim_link *link = ki_sim_link_of(s, from, to);
    uint64_t leaves_us = ki_max_u64(s->now_us, link_held_until_us(s->nodes[from]->slow_until_us));
    uint64_t latency_us = link_latency_us(&s->net_rng, link);
    if (link->bandwidth > 0) {
        uint64_t rate = link->bandwidth;
        uint32_t backlog = link->backlog;
        struct sim_pair *line = ki_sim_pair_make(s, from, to);
        uint64_t free_us = ki_max_u64(line->line_free_us, leaves_us);
        if (free_us - leaves_us > (uint64_t)backlog * 1000000 / rate)
            return KITH_NEVER;
        leaves_us = line->line_free_us = free_us + (uint64_t)len * 1000000 / rate;
    }
    const struct sim_pair *pair = link_pair_find(s, from, to);
    uint64_t arrives_us = leaves_us + latency_us;
    return pair ? ki_max_u64(arrives_us, link_held_until_us(pair->clogged_until_us)) : arrives_us;
}

/* ---- sending ---- */

static struct sim_datagram *link_copy(uint32_t from, uint32_t to, const struct kith_addr *addr, const void *buf, size_t len)
{
    struct sim_datagram *d = ki_sim_resize(NULL, sizeof *d + len);
    *d = (struct sim_datagram){.from = *addr, .from_node = from, .to = to, .len = (uint32_t)len};
    if (len)
        memcpy(d->bytes, buf, len);
    return d;
}

/* False: the line is full, and it is lost. */
static bool link_depart(kith_sim *s, struct sim_datagram *d)
{
    const struct kith_sim_link *link = ki_sim_link_of(s, d->from_node, d->to);
    uint64_t at_us = ki_sim_link_arrival_us(s, d->from_node, d->to, d->len);
    if (at_us == KITH_NEVER) {
        s->totals.lost++;
        free(d);
        return false;
    }
    if (ki_sim_chance(&s->net_rng, link->reorder_ppm))
        at_us += ki_rng_below(&s->net_rng, (uint64_t)link->reorder_us + 1);
    if (ki_sim_chance(&s->net_rng, link->corrupt_ppm) && d->len > 0)
        d->bytes[ki_rng_below(&s->net_rng, d->len)] ^= (uint8_t)(1 + ki_rng_below(&s->net_rng, 255));
    ki_sim_queue_put(&s->queue, (struct sim_entry){.at_us = at_us, .kind = SIM_DATAGRAM, .id = d->to, .ptr = d});
    return true;
}

/* Returns what the trace says of it: "->" it is on its way, "-x" cut off, "-?" lost. */
static const char *link_send(kith_sim *s, uint32_t from, uint32_t to, const void *buf, size_t len, bool message)
{
    struct sim_node *sender = s->nodes[from];
    s->totals.datagrams++;
    s->totals.datagram_bytes += len;
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, (uint64_t)from << 32 | to);
    ki_sim_digest_bytes(s, buf, len);
    if (to == KITH_SIM_ALL || kith_sim_is_cut(s, from, to)) {
        s->totals.cut++;
        return "-x";
    }
    const struct kith_sim_link *link = ki_sim_link_of(s, from, to);
    if ((link->mtu > 0 && len > link->mtu) || ki_sim_chance(&s->net_rng, link->loss_ppm)) {
        s->totals.lost++;
        return "-?";
    }
    bool twice = ki_sim_chance(&s->net_rng, link->duplicate_ppm);
    bool goes = false;
    for (int copies = 0; copies < 1 + twice; copies++) {
        struct sim_datagram *d = link_copy(from, to, &sender->config.addr, buf, len);
        d->message = message;
        goes |= link_depart(s, d);
    }
    return goes ? "->" : "-?";
}

void ki_sim_send(kith_sim *s, uint32_t from, const struct kith_addr *to, const void *buf, size_t len)
{
    uint32_t target = kith_sim_find(s, to);
    SIM_TELL(s, sent, from, to, buf, len);
    const char *fate = link_send(s, from, target, buf, len, false);
    ki_sim_trace_datagram(s, fate, from, target, buf, len);
}

void kith_sim_message(kith_sim *s, uint32_t from, uint32_t to, const void *buf, size_t len)
{
    KI_ASSERT(len <= 65507);
    if (ki_sim_node_at(s, from)->k && ki_sim_node_at(s, to))
        link_send(s, from, to, buf, len, true);
}

void kith_sim_inject(kith_sim *s, const struct kith_addr *from, uint32_t to, const void *buf, size_t len)
{
    KI_ASSERT(ki_sim_node_at(s, to) && len <= 65507 && (from->ip_len == 4 || from->ip_len == 16));
    struct sim_datagram *d = link_copy(KITH_SIM_ALL, to, from, buf, len);
    ki_sim_trace_datagram(s, "fault injected", to, KITH_SIM_ALL, buf, len);
    s->injected = true;
    SIM_TELL0(s, fault);
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, to);
    ki_sim_digest_bytes(s, buf, len);
    ki_sim_queue_put(&s->queue, (struct sim_entry){.at_us = s->now_us, .kind = SIM_DATAGRAM, .id = to, .ptr = d});
}

/* ---- arriving ---- */

/* Nobody listens: a host that is up says so to the sender. */
static void link_refuse(kith_sim *s, struct sim_datagram *d)
{
    s->totals.cut++;
    bool known = d->from_node != KITH_SIM_ALL;
    if (!known || d->message || s->nodes[d->to]->death == KITH_SIM_HOST || kith_sim_is_cut(s, d->to, d->from_node)) {
        free(d);
        return;
    }
    uint64_t at_us = ki_sim_link_arrival_us(s, d->to, d->from_node, 0);
    if (at_us == KITH_NEVER)
        free(d);
    else
        ki_sim_queue_put(&s->queue, (struct sim_entry){.at_us = at_us, .kind = SIM_REFUSED, .id = d->from_node, .ptr = d});
}

bool ki_sim_arrive(kith_sim *s, struct sim_datagram *d)
{
    struct sim_node *n = s->nodes[d->to];
    struct sim_entry entry = {.at_us = n->slow_until_us, .kind = SIM_DATAGRAM, .id = d->to, .ptr = d};
    if (!n->k) {
        link_refuse(s, d);
        return false;
    }
    if (n->paused) {
        ki_sim_node_hold(s, d->to, entry, d->len);
        return false;
    }
    if (n->slow_until_us == KITH_NEVER) {
        s->totals.cut++;
        free(d);
        return false;
    }
    if (n->slow_until_us > s->now_us) {
        ki_sim_queue_put(&s->queue, entry);
        return false;
    }
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, (uint64_t)d->to << 32 | d->len);
    if (d->message) {
        s->shown = d;
        return true;
    }
    SIM_TELL(s, arrives, d->to, &d->from, d->bytes, d->len);
    kith_datagram(n->k, ki_sim_node_time(s, n), &d->from, d->bytes, d->len);
    ki_sim_node_dirty(s, d->to);
    free(d);
    return false;
}

void ki_sim_refused(kith_sim *s, struct sim_datagram *d)
{
    struct sim_node *n = s->nodes[d->from_node];
    if (n->paused) {
        struct sim_entry entry = {.kind = SIM_REFUSED, .id = d->from_node, .ptr = d};
        ki_sim_node_hold(s, d->from_node, entry, d->len);
        return;
    }
    if (n->k) {
        ki_sim_trace(s, d->from_node, "refused by %s", ki_sim_name(s, d->to));
        kith_datagram_refused(n->k, ki_sim_node_time(s, n), &s->nodes[d->to]->config.addr, KITH_ERR_REFUSED);
        ki_sim_node_dirty(s, d->from_node);
    }
    free(d);
}
