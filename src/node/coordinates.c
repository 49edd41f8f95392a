/* Network coordinates: where we are, and where those are who have answered our probes.
 *
 * An ack says where its sender is.  If it answers our own ping, and directly, its round trip is known, and both together
 * move us (serf/coordinate.c).  The round trip runs from the building of the ping, after which the driver sends it, to
 * the call that brings the ack; one in which the process was stopped is none.
 *
 * Invariants: of each member there is at most one entry, made by its first answer and gone with the member, so a view of
 * ten thousand costs nothing for those never probed, and there are no more entries than members.  What is kept has been
 * found valid.  An answer for whose entry there is no memory changes nothing.
 *
 * Deliberately not here: coordinates in bare pools, whose members would take an unknown payload for their own; a snapshot
 * of them: a node finds its place again within as many probes as the pool has members. */
#include "node/node.h"

bool ki_coordinates_on(const struct kith *k)
{
    return k->cfg.coordinates && !k->bare;
}

/* The seed is a secret of this instance's, and says nothing of the one that it comes from. */
void ki_coordinates_init(struct kith *k)
{
    struct ki_coordinates *c = &k->coordinates;
    ki_vivaldi_init(&c->own);
    ki_rng_init(&c->rng, ki_table_hash(&k->table, ki_name_of(k->cfg.name)));
    ki_map_init(&c->by_id, &k->mem);
}

void ki_coordinates_free(struct kith *k)
{
    struct ki_coordinates *c = &k->coordinates;
    for (uint32_t i = 0; i < c->count; i++)
        ki_mem_free(&k->mem, c->items[i]);
    ki_mem_free(&k->mem, c->items);
    ki_map_free(&c->by_id);
}

/* ---- of others ---- */

static bool coordinates_equal(const void *owner, uint32_t at, const void *key)
{
    const struct ki_coordinates *c = owner;
    const uint32_t *id = key;
    return c->items[at]->id == *id;
}

static uint32_t coordinates_find(const struct ki_coordinates *c, uint32_t id)
{
    return ki_map_get(&c->by_id, ki_map_hash_number(id), coordinates_equal, c, &id);
}

static struct ki_measured *coordinates_new(struct kith *k, uint32_t id)
{
    struct ki_coordinates *c = &k->coordinates;
    if (c->count == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 8;
        struct ki_measured **items = ki_mem_resize(&k->mem, c->items, cap * sizeof *items);
        if (!items)
            return NULL;
        c->items = items;
        c->cap = cap;
    }
    struct ki_measured *new = ki_mem_new(&k->mem, sizeof *new);
    if (!new || !ki_map_put(&c->by_id, ki_map_hash_number(id), c->count)) {
        ki_mem_free(&k->mem, new);
        return NULL;
    }
    new->id = id;
    c->items[c->count++] = new;
    return new;
}

/* The last one moves into the gap. */
void ki_coordinate_forget(struct kith *k, uint32_t id)
{
    struct ki_coordinates *c = &k->coordinates;
    uint32_t at = coordinates_find(c, id);
    if (at == KI_MAP_NONE)
        return;
    ki_map_remove(&c->by_id, ki_map_hash_number(id), at);
    ki_mem_free(&k->mem, c->items[at]);
    uint32_t last = --c->count;
    if (at == last)
        return;
    uint64_t hash = ki_map_hash_number(c->items[last]->id);
    ki_map_remove(&c->by_id, hash, last);
    c->items[at] = c->items[last];
    bool put = ki_map_put(&c->by_id, hash, at);
    KI_ASSERT(put); /* what was just taken out has room */
}

void ki_coordinate_heard(struct kith *k, struct ki_span payload)
{
    struct ki_coordinates *c = &k->coordinates;
    struct ki_coordinate said;
    struct ki_reader r = ki_reader(payload.ptr, payload.len);
    if (!ki_coordinates_on(k) || payload.len == 0 || k->probe_sent_us == KITH_NEVER)
        return;
    uint64_t rtt_us = k->now.mono_us - k->probe_sent_us;
    if (!ki_decode_coordinate(&r, &said) || !ki_vivaldi_takes(&said, rtt_us)) {
        ki_count(k, KI_COUNT_coordinate_rejected);
        return;
    }
    uint32_t at = coordinates_find(c, k->probe_id);
    struct ki_measured *measured = at == KI_MAP_NONE ? coordinates_new(k, k->probe_id) : c->items[at];
    if (!measured) {
        ki_count(k, KI_COUNT_out_of_memory);
        return;
    }
    measured->coordinate = said;
    if (!ki_vivaldi_update(&c->own, &measured->latencies, &said, rtt_us, &c->rng))
        ki_count(k, KI_COUNT_coordinate_resets);
}

/* ---- reading ---- */

int kith_coordinate(const kith *k, struct kith_str name, struct kith_coordinate *out)
{
    const struct ki_coordinates *c = &k->coordinates;
    uint32_t id = ki_coordinates_on(k) ? ki_table_find(&k->table, ki_name_of(name)) : KI_NO_MEMBER;
    if (id == KI_NO_MEMBER)
        return KITH_ERR_NOT_FOUND;
    uint32_t at = coordinates_find(c, id);
    if (id != k->self && at == KI_MAP_NONE)
        return KITH_ERR_NOT_FOUND;
    const struct ki_coordinate *found = id == k->self ? &c->own.here : &c->items[at]->coordinate;
    _Static_assert(sizeof out->vec == sizeof found->vec, "as many dimensions");
    *out = (struct kith_coordinate){
        .error = found->error, .adjustment = found->adjustment, .height = found->height};
    memcpy(out->vec, found->vec, sizeof out->vec);
    return 0;
}

static struct ki_coordinate coordinates_of(const struct kith_coordinate *c)
{
    struct ki_coordinate out = {.error = c->error, .adjustment = c->adjustment, .height = c->height};
    memcpy(out.vec, c->vec, sizeof out.vec);
    return out;
}

uint64_t kith_coordinate_distance_us(const struct kith_coordinate *a, const struct kith_coordinate *b)
{
    struct ki_coordinate from = coordinates_of(a), to = coordinates_of(b);
    double us = ki_coordinate_distance(&from, &to) * 1.0e6 + 0.5;
    if (!(us >= 1))
        return 0;
    return us < 0x1p64 ? (uint64_t)us : UINT64_MAX;
}
