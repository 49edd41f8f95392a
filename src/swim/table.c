/* The member table.
 *
 * Members stand in chunks by id and never move while they are remembered.  What a hundred million entries cannot afford
 * is kept beside them, and only when there is something to keep: suspicions in a list of their own, and the index of
 * addresses, which a pool in peace never asks for, made at the first question and kept up from then on.
 *
 * Invariants: by_name holds exactly the ids in use; order[0..count) is a permutation of them; free ids are linked from
 * free_first; by_state counts them; a suspicion exists in state SUSPECT only, but between ki_table_accuse() and its
 * becoming so.  by_addr, when made, holds one id for each address that a member has: just one, because anybody can
 * announce ten thousand names at one address.  All that share an address stand in a ring, so that whoever goes, however
 * often, is replaced at once; one that is alone has no link, and where nobody shares there are no links at all.
 *
 * A new member enters the probe order at a random place, by swapping with whoever stood there, so that a node cannot
 * choose when it is probed.  Removal, which is rare, looks for it there and moves the last of the order into the gap. */
#include "swim/table.h"

#include "base/hash.h"

void ki_table_init(struct ki_table *t, struct ki_mem *mem, uint32_t max, const uint8_t hash_key[16])
{
    *t = (struct ki_table){.mem = mem, .max = max, .free_first = KI_NO_MEMBER};
    memcpy(t->hash_key, hash_key, 16);
    ki_chunks_init(&t->members, sizeof(struct ki_member));
    ki_chunks_init(&t->addr_links, sizeof(struct ki_addr_link));
    ki_map_init(&t->by_name, mem);
    ki_map_init(&t->by_addr, mem);
    ki_map_init(&t->by_accused, mem);
}

static bool table_is_away(const struct ki_member *m)
{
    return ki_member_data(m) != m->here;
}

void ki_table_free(struct ki_table *t)
{
    for (uint32_t id = 0; t->away > 0; id++) { /* those that are whole in themselves go with their chunks */
        struct ki_member *m = ki_table_at(t, id);
        if (m && table_is_away(m)) {
            ki_member_free(t->mem, m);
            t->away--;
        }
    }
    for (uint32_t i = 0; i < t->accused_count; i++)
        ki_mem_free(t->mem, t->accused[i]);
    ki_mem_free(t->mem, t->accused);
    ki_chunks_free(&t->members, t->mem);
    ki_chunks_free(&t->addr_links, t->mem);
    ki_mem_free(t->mem, t->order);
    ki_map_free(&t->by_name);
    ki_map_free(&t->by_addr);
    ki_map_free(&t->by_accused);
}

struct ki_member *ki_table_at(const struct ki_table *t, uint32_t id)
{
    return ki_table_has(t, id) ? ki_table_member(t, id) : NULL;
}

/* ---- by name ---- */

uint64_t ki_table_hash(const struct ki_table *t, struct ki_span name)
{
    return ki_siphash(t->hash_key, name.ptr, name.len);
}

static bool table_equal(const void *owner, uint32_t id, const void *key)
{
    const struct ki_span *name = key;
    return ki_span_equal(ki_member_name(ki_table_member(owner, id)), *name);
}

uint32_t ki_table_find_hashed(const struct ki_table *t, struct ki_span name, uint64_t hash)
{
    return ki_map_get(&t->by_name, hash, table_equal, t, &name);
}

uint32_t ki_table_find(const struct ki_table *t, struct ki_span name)
{
    return ki_table_find_hashed(t, name, ki_table_hash(t, name));
}

uint32_t ki_table_find_near(const struct ki_table *t, struct ki_span name, uint32_t *near)
{
    uint32_t id = *near;
    if (id >= t->used || !table_equal(t, id, &name)) /* the name of a free place is empty: nobody's */
        id = ki_table_find(t, name);
    if (id != KI_NO_MEMBER)
        *near = id + 1;
    return id;
}

/* ---- by address ---- */

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
    const struct table_addr *wanted = key;
    struct table_addr known = table_addr_of(ki_table_member(owner, id));
    return known.port == wanted->port && ki_span_equal(known.ip, wanted->ip);
}

static uint32_t table_addr_get(const struct ki_table *t, struct table_addr addr)
{
    return ki_map_get(&t->by_addr, table_addr_hash(t, addr), table_addr_equal, t, &addr);
}

static void table_addr_drop(struct ki_table *t)
{
    ki_map_free(&t->by_addr);
    ki_chunks_free(&t->addr_links, t->mem);
    t->by_addr_made = false;
}

/* There are links as far as the last id that has shared an address. */
static struct ki_addr_link *table_addr_link(const struct ki_table *t, uint32_t id)
{
    return ki_chunks_at(&t->addr_links, id, sizeof(struct ki_addr_link));
}

bool ki_table_shares_addr(const struct ki_table *t, uint32_t id)
{
    return id / KI_CHUNK_ITEMS < t->addr_links.count && table_addr_link(t, id)->next > 0;
}

static void table_addr_join(struct ki_table *t, uint32_t id, uint32_t first)
{
    struct ki_addr_link *new = table_addr_link(t, id), *head = table_addr_link(t, first);
    if (head->next == 0)
        head->next = head->prev = first + 1;
    new->prev = first + 1;
    new->next = head->next;
    table_addr_link(t, head->next - 1)->prev = id + 1;
    head->next = id + 1;
}

static void table_addr_part(struct ki_table *t, uint32_t id)
{
    struct ki_addr_link *link = table_addr_link(t, id);
    struct ki_addr_link *next = table_addr_link(t, link->next - 1), *prev = table_addr_link(t, link->prev - 1);
    next->prev = link->prev;
    prev->next = link->next;
    if (next == prev) /* the last one is alone */
        next->next = next->prev = 0;
    link->next = link->prev = 0;
}

static void table_addr_enter(struct ki_table *t, uint32_t id)
{
    if (!t->by_addr_made)
        return;
    struct table_addr addr = table_addr_of(ki_table_member(t, id));
    uint32_t first = table_addr_get(t, addr);
    if (first == KI_NO_MEMBER ? !ki_map_put(&t->by_addr, table_addr_hash(t, addr), id)
                              : !ki_chunks_reserve(&t->addr_links, t->mem, t->used))
        table_addr_drop(t);
    else if (first != KI_NO_MEMBER)
        table_addr_join(t, id, first);
}

static void table_addr_leave(struct ki_table *t, uint32_t id)
{
    if (!t->by_addr_made)
        return;
    struct table_addr addr = table_addr_of(ki_table_member(t, id));
    bool shares = ki_table_shares_addr(t, id);
    if (table_addr_get(t, addr) == id) {
        uint64_t hash = table_addr_hash(t, addr);
        ki_map_remove(&t->by_addr, hash, id);
        bool put = !shares || ki_map_put(&t->by_addr, hash, table_addr_link(t, id)->next - 1);
        KI_ASSERT(put); /* what was just taken out has room */
    }
    if (shares)
        table_addr_part(t, id);
}

uint32_t ki_table_find_addr(struct ki_table *t, struct ki_span addr, uint16_t port)
{
    struct table_addr wanted = {.ip = ki_canonical(addr), .port = port};
    if (!t->by_addr_made && ki_map_reserve(&t->by_addr, t->count)) {
        t->by_addr_made = true;
        for (uint32_t i = 0; i < t->count; i++)
            table_addr_enter(t, t->order[i]);
    }
    if (t->by_addr_made)
        return table_addr_get(t, wanted);
    for (uint32_t i = 0; i < t->count; i++) { /* no memory for an index */
        if (table_addr_equal(t, t->order[i], &wanted))
            return t->order[i];
    }
    return KI_NO_MEMBER;
}

/* ---- adding and changing ---- */

void ki_member_free(struct ki_mem *mem, struct ki_member *m)
{
    if (!table_is_away(m))
        return;
    void *away;
    memcpy(&away, m->here, sizeof away);
    ki_mem_free(mem, away);
}

/* What the identity says; the rest zero.  false: no memory for what does not fit into the member itself. */
static bool table_member_make(struct ki_table *t, const struct ki_identity *from, struct ki_member *m)
{
    KI_ASSERT(from->addr.len == 4 || from->addr.len == 16);
    KI_ASSERT(from->name.len >= 1 && from->name.len <= UINT8_MAX && from->meta.len <= UINT16_MAX);
    *m = (struct ki_member){.incarnation = from->incarnation,
                            .port = from->port,
                            .meta_len = (uint16_t)from->meta.len,
                            .name_len = (uint8_t)from->name.len,
                            .addr_len = (uint8_t)from->addr.len};
    if (from->versions)
        memcpy(m->versions, from->versions, sizeof m->versions);
    size_t len = from->addr.len + from->name.len + from->meta.len;
    uint8_t *data = m->here;
    if (len > sizeof m->here) {
        data = ki_mem_resize(t->mem, NULL, len);
        if (!data)
            return false;
        memcpy(m->here, &data, sizeof data);
    }
    struct ki_writer w = ki_writer(data, len);
    ki_put(&w, from->addr.ptr, from->addr.len);
    ki_put(&w, from->name.ptr, from->name.len);
    ki_put(&w, from->meta.ptr, from->meta.len);
    return true;
}

static bool table_order_reserve(struct ki_table *t, uint32_t cap)
{
    if (cap <= t->order_cap)
        return true;
    uint32_t *order = ki_mem_resize(t->mem, t->order, cap * sizeof *order);
    if (!order)
        return false;
    t->order = order;
    t->order_cap = cap;
    return true;
}

void ki_table_reserve(struct ki_table *t, uint32_t count)
{
    uint32_t most = (uint32_t)ki_min_u64(count, t->max);
    if (table_order_reserve(t, most) && ki_map_reserve(&t->by_name, most))
        ki_chunks_reserve(&t->members, t->mem, most);
}

int ki_table_add(struct ki_table *t, const struct ki_identity *identity, enum ki_state state, uint64_t now_us,
                 struct ki_rng *rng, uint32_t *id)
{
    if (t->count >= t->max)
        return -1;
    bool again = t->free_first != KI_NO_MEMBER;
    uint32_t at = again ? t->free_first : t->used;
    bool room = t->count < t->order_cap || table_order_reserve(t, t->count + t->count / 2 + 16);
    struct ki_member m;
    if (!room || !ki_chunks_reserve(&t->members, t->mem, at + 1) || !table_member_make(t, identity, &m))
        return -2;
    if (!ki_map_put(&t->by_name, ki_table_hash(t, identity->name), at)) {
        ki_member_free(t->mem, &m);
        return -2;
    }
    m.state = (uint8_t)state;
    m.changed_us = now_us;
    struct ki_member *place = ki_table_member(t, at);
    if (again)
        t->free_first = place->incarnation;
    else
        t->used++;
    *place = m;
    t->away += table_is_away(&m);
    table_addr_enter(t, at);
    uint32_t turn = (uint32_t)ki_rng_below(rng, t->count + 1);
    t->order[t->count] = t->order[turn];
    t->order[turn] = at;
    t->count++;
    t->by_state[state]++;
    *id = at;
    return 0;
}

bool ki_table_update(struct ki_table *t, uint32_t id, const struct ki_identity *identity)
{
    struct ki_member *m = ki_table_member(t, id);
    struct ki_member next;
    if (!table_member_make(t, identity, &next))
        return false;
    t->epoch++;
    next.changed_us = m->changed_us;
    next.state = m->state;
    if (!identity->versions)
        memcpy(next.versions, m->versions, sizeof next.versions);
    bool moves = next.port != m->port || !ki_span_equal(ki_member_addr(&next), ki_member_addr(m));
    if (moves)
        table_addr_leave(t, id);
    t->away += table_is_away(&next);
    t->away -= table_is_away(m);
    ki_member_free(t->mem, m);
    *m = next;
    if (moves)
        table_addr_enter(t, id);
    return true;
}

void ki_table_set_state(struct ki_table *t, uint32_t id, enum ki_state state, uint64_t now_us)
{
    struct ki_member *m = ki_table_member(t, id);
    if (state != KI_SUSPECT)
        ki_table_absolve(t, id);
    if (m->state == state)
        return;
    t->epoch++;
    t->by_state[m->state]--;
    t->by_state[state]++;
    m->state = (uint8_t)state;
    m->changed_us = now_us;
}

/* ---- forgetting ---- */

void ki_table_take(struct ki_table *t, uint32_t id, struct ki_member *out)
{
    struct ki_member *m = ki_table_member(t, id);
    ki_table_absolve(t, id);
    t->epoch++;
    ki_map_remove(&t->by_name, ki_table_hash(t, ki_member_name(m)), id);
    table_addr_leave(t, id);
    uint32_t turn = 0;
    while (t->order[turn] != id)
        turn++;
    t->order[turn] = t->order[t->count - 1];
    t->by_state[m->state]--;
    t->count--;
    t->away -= table_is_away(m);
    *out = *m;
    *m = (struct ki_member){.incarnation = t->free_first};
    t->free_first = id;
}

void ki_table_remove(struct ki_table *t, uint32_t id)
{
    struct ki_member last;
    ki_table_take(t, id, &last);
    ki_member_free(t->mem, &last);
}

void ki_table_shuffle(struct ki_table *t, struct ki_rng *rng)
{
    for (uint32_t i = t->count; i > 1; i--) {
        uint32_t j = (uint32_t)ki_rng_below(rng, i);
        uint32_t id = t->order[i - 1];
        t->order[i - 1] = t->order[j];
        t->order[j] = id;
    }
}

/* ---- suspicions ---- */

static bool table_accused_equal(const void *owner, uint32_t at, const void *key)
{
    const struct ki_table *t = owner;
    const uint32_t *id = key;
    return t->accused[at]->id == *id;
}

static uint32_t table_accused_find(const struct ki_table *t, uint32_t id)
{
    return ki_map_get(&t->by_accused, ki_map_hash_number(id), table_accused_equal, t, &id);
}

struct ki_suspicion *ki_table_suspicion(const struct ki_table *t, uint32_t id)
{
    uint32_t at = table_accused_find(t, id);
    return at == KI_MAP_NONE ? NULL : &t->accused[at]->suspicion;
}

struct ki_suspicion *ki_table_accuse(struct ki_table *t, uint32_t id)
{
    if (t->accused_count == t->accused_cap) {
        uint32_t cap = t->accused_cap ? t->accused_cap * 2 : 4;
        struct ki_accused **accused = ki_mem_resize(t->mem, t->accused, cap * sizeof(struct ki_accused *));
        if (!accused)
            return NULL;
        t->accused = accused;
        t->accused_cap = cap;
    }
    struct ki_accused *new = ki_mem_new(t->mem, sizeof *new);
    if (!new || !ki_map_put(&t->by_accused, ki_map_hash_number(id), t->accused_count)) {
        ki_mem_free(t->mem, new);
        return NULL;
    }
    new->id = id;
    t->accused[t->accused_count++] = new;
    return &new->suspicion;
}

/* The last suspicion moves into the gap; with the very last one the list's memory goes. */
void ki_table_absolve(struct ki_table *t, uint32_t id)
{
    uint32_t at = table_accused_find(t, id);
    if (at == KI_MAP_NONE)
        return;
    ki_map_remove(&t->by_accused, ki_map_hash_number(id), at);
    ki_mem_free(t->mem, t->accused[at]);
    uint32_t last = --t->accused_count;
    if (at != last) {
        uint64_t hash = ki_map_hash_number(t->accused[last]->id);
        t->accused[at] = t->accused[last];
        ki_map_remove(&t->by_accused, hash, last);
        bool put = ki_map_put(&t->by_accused, hash, at);
        KI_ASSERT(put); /* what was just taken out has room */
    }
    if (last > 0)
        return;
    ki_mem_free(t->mem, t->accused);
    ki_map_free(&t->by_accused);
    t->accused = NULL;
    t->accused_cap = 0;
}
