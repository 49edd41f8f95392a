/* The member table.
 *
 * Invariants: by_name holds exactly the ids with a member, and by_addr one of each ring of those that share an address
 * (a ring, because anybody can announce ten thousand names at one address); order[0..count) is a permutation of those
 * ids, and members[id]->order is its place there; by_state counts them; a suspicion exists only in state SUSPECT.
 *
 * A new member enters the probe order at a random place, by swapping with whoever stood there, so that a node cannot
 * choose when it is probed.  Removal moves the last of the order into the gap. */
#include "swim/table.h"

#include "base/hash.h"

void ki_table_init(struct ki_table *t, struct ki_mem *mem, uint32_t max, const uint8_t hash_key[16])
{
    *t = (struct ki_table){.mem = mem, .max = max};
    memcpy(t->hash_key, hash_key, 16);
    ki_map_init(&t->by_name, mem);
    ki_map_init(&t->by_addr, mem);
}

void ki_table_free(struct ki_table *t)
{
    for (uint32_t id = 0; id < t->used; id++) {
        if (t->members[id])
            ki_mem_free(t->mem, t->members[id]->suspicion);
        ki_mem_free(t->mem, t->members[id]);
    }
    ki_mem_free(t->mem, t->members);
    ki_mem_free(t->mem, t->order);
    ki_map_free(&t->by_name);
    ki_map_free(&t->by_addr);
}

uint64_t ki_table_hash(const struct ki_table *t, struct ki_span name)
{
    return ki_siphash(t->hash_key, name.ptr, name.len);
}

static bool table_equal(const void *owner, uint32_t id, const void *key)
{
    const struct ki_table *t = owner;
    const struct ki_span *name = key;
    return ki_span_equal(ki_member_name(t->members[id]), *name);
}

uint32_t ki_table_find(const struct ki_table *t, struct ki_span name)
{
    return ki_map_get(&t->by_name, ki_table_hash(t, name), table_equal, t, &name);
}

struct table_addr {
    struct ki_span ip; /* canonical */
    uint16_t port;
};

static struct table_addr table_addr_of(const struct ki_member *m)
{
    return (struct table_addr){.ip = ki_canonical(ki_member_addr(m)), .port = m->port};
}

static uint64_t table_addr_hash(const struct ki_table *t, struct table_addr addr)
{
    uint8_t bytes[18];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_put(&w, addr.ip.ptr, addr.ip.len);
    ki_put_be(&w, addr.port, 2);
    KI_ASSERT(!w.full);
    return ki_siphash(t->hash_key, bytes, w.len);
}

static bool table_addr_equal(const void *owner, uint32_t id, const void *key)
{
    const struct ki_table *t = owner;
    const struct table_addr *wanted = key;
    struct table_addr known = table_addr_of(t->members[id]);
    return known.port == wanted->port && ki_span_equal(known.ip, wanted->ip);
}

uint32_t ki_table_find_addr(const struct ki_table *t, struct ki_span addr, uint16_t port)
{
    struct table_addr wanted = {.ip = ki_canonical(addr), .port = port};
    return ki_map_get(&t->by_addr, table_addr_hash(t, wanted), table_addr_equal, t, &wanted);
}

/* Makes a place for an address that the member with this id will have.  *peer: one that has it, or KI_NO_MEMBER. */
static bool table_addr_reserve(struct ki_table *t, uint32_t id, struct table_addr addr, uint32_t *peer)
{
    *peer = ki_table_find_addr(t, addr.ip, addr.port);
    return *peer != KI_NO_MEMBER || ki_map_put(&t->by_addr, table_addr_hash(t, addr), id);
}

static void table_addr_enter(struct ki_table *t, uint32_t id, uint32_t peer)
{
    struct ki_member *m = t->members[id];
    m->addr_next = m->addr_prev = id;
    if (peer == KI_NO_MEMBER)
        return;
    m->addr_prev = peer;
    m->addr_next = t->members[peer]->addr_next;
    t->members[m->addr_next]->addr_prev = id;
    t->members[peer]->addr_next = id;
}

static void table_addr_leave(struct ki_table *t, uint32_t id)
{
    const struct ki_member *m = t->members[id];
    struct table_addr addr = table_addr_of(m);
    uint64_t hash = table_addr_hash(t, addr);
    if (ki_table_find_addr(t, addr.ip, addr.port) == id) {
        ki_map_remove(&t->by_addr, hash, id);
        bool put = m->addr_next == id || ki_map_put(&t->by_addr, hash, m->addr_next);
        KI_ASSERT(put); /* what was just taken out has room */
    }
    t->members[m->addr_prev]->addr_next = m->addr_next;
    t->members[m->addr_next]->addr_prev = m->addr_prev;
}

struct ki_member *ki_table_at(const struct ki_table *t, uint32_t id)
{
    return id < t->used ? t->members[id] : NULL;
}

/* Makes room for one more id. */
static bool table_reserve(struct ki_table *t)
{
    if (t->count < t->cap)
        return true;
    uint32_t cap = t->cap ? t->cap * 2 : 16;
    struct ki_member **members = ki_mem_resize(t->mem, t->members, cap * sizeof(struct ki_member *));
    if (!members)
        return false;
    t->members = members;
    uint32_t *order = ki_mem_resize(t->mem, t->order, cap * sizeof *order);
    if (!order)
        return false; /* the larger members array stays: cap still tells the room of both */
    t->order = order;
    t->cap = cap;
    return true;
}

static uint32_t table_free_id(struct ki_table *t)
{
    if (t->used < t->cap) {
        t->members[t->used] = NULL;
        return t->used++;
    }
    uint32_t id = t->free_from;
    while (t->members[id])
        id++;
    t->free_from = id;
    return id;
}

/* A block with what the identity says; the rest zero. */
static struct ki_member *table_block(struct ki_table *t, const struct ki_identity *from)
{
    KI_ASSERT(from->addr.len == 4 || from->addr.len == 16);
    KI_ASSERT(from->name.len >= 1 && from->name.len <= UINT8_MAX && from->meta.len <= UINT16_MAX);
    size_t size = sizeof(struct ki_member) + from->addr.len + from->name.len + from->meta.len;
    struct ki_member *m = ki_mem_new(t->mem, size);
    if (!m)
        return NULL;
    m->incarnation = from->incarnation;
    m->port = from->port;
    m->addr_len = (uint8_t)from->addr.len;
    m->name_len = (uint8_t)from->name.len;
    m->meta_len = (uint16_t)from->meta.len;
    if (from->versions)
        memcpy(m->versions, from->versions, sizeof m->versions);
    struct ki_writer w = ki_writer(m->data, from->addr.len + from->name.len + from->meta.len);
    ki_put(&w, from->addr.ptr, from->addr.len);
    ki_put(&w, from->name.ptr, from->name.len);
    ki_put(&w, from->meta.ptr, from->meta.len);
    return m;
}

int ki_table_add(struct ki_table *t, const struct ki_identity *identity, enum ki_state state, uint64_t now_us,
                 struct ki_rng *rng, uint32_t *id)
{
    if (t->count >= t->max)
        return -1;
    if (!table_reserve(t))
        return -2;
    struct ki_member *m = table_block(t, identity);
    if (!m)
        return -2;
    *id = table_free_id(t);
    uint32_t peer;
    bool named = ki_map_put(&t->by_name, ki_table_hash(t, identity->name), *id);
    if (!named || !table_addr_reserve(t, *id, table_addr_of(m), &peer)) {
        if (named)
            ki_map_remove(&t->by_name, ki_table_hash(t, identity->name), *id);
        ki_mem_free(t->mem, m);
        return -2; /* the id is free still: its slot is NULL */
    }
    m->state = (uint8_t)state;
    m->changed_us = now_us;
    t->members[*id] = m;
    table_addr_enter(t, *id, peer);
    uint32_t place = (uint32_t)ki_rng_below(rng, t->count + 1);
    if (place < t->count) {
        t->order[t->count] = t->order[place];
        t->members[t->order[place]]->order = t->count;
    }
    t->order[place] = *id;
    m->order = place;
    t->count++;
    t->by_state[state]++;
    return 0;
}

bool ki_table_update(struct ki_table *t, uint32_t id, const struct ki_identity *identity)
{
    struct ki_member *old = t->members[id];
    struct ki_member *m = table_block(t, identity);
    if (!m)
        return false;
    struct table_addr from = table_addr_of(old), to = table_addr_of(m);
    bool moves = from.port != to.port || !ki_span_equal(from.ip, to.ip);
    uint32_t peer = KI_NO_MEMBER;
    if (moves && !table_addr_reserve(t, id, to, &peer)) {
        ki_mem_free(t->mem, m);
        return false;
    }
    m->addr_next = old->addr_next;
    m->addr_prev = old->addr_prev;
    m->changed_us = old->changed_us;
    m->suspicion = old->suspicion;
    m->order = old->order;
    m->state = old->state;
    if (!identity->versions)
        memcpy(m->versions, old->versions, sizeof m->versions);
    if (moves)
        table_addr_leave(t, id);
    t->members[id] = m;
    if (moves)
        table_addr_enter(t, id, peer);
    ki_mem_free(t->mem, old);
    return true;
}

void ki_table_set_state(struct ki_table *t, uint32_t id, enum ki_state state, uint64_t now_us)
{
    struct ki_member *m = t->members[id];
    if (state != KI_SUSPECT) {
        ki_mem_free(t->mem, m->suspicion);
        m->suspicion = NULL;
    }
    if (m->state == state)
        return;
    t->by_state[m->state]--;
    t->by_state[state]++;
    m->state = (uint8_t)state;
    m->changed_us = now_us;
}

void ki_table_remove(struct ki_table *t, uint32_t id)
{
    struct ki_member *m = t->members[id];
    ki_map_remove(&t->by_name, ki_table_hash(t, ki_member_name(m)), id);
    table_addr_leave(t, id);
    if (id < t->free_from)
        t->free_from = id;
    uint32_t last = t->order[t->count - 1];
    t->order[m->order] = last;
    t->members[last]->order = m->order;
    t->by_state[m->state]--;
    t->count--;
    t->members[id] = NULL;
    ki_mem_free(t->mem, m->suspicion);
    ki_mem_free(t->mem, m);
}

void ki_table_shuffle(struct ki_table *t, struct ki_rng *rng)
{
    for (uint32_t i = t->count; i > 1; i--) {
        uint32_t j = (uint32_t)ki_rng_below(rng, i);
        uint32_t id = t->order[i - 1];
        t->order[i - 1] = t->order[j];
        t->order[j] = id;
    }
    for (uint32_t i = 0; i < t->count; i++)
        t->members[t->order[i]]->order = i;
}
