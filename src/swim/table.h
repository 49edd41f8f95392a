/* The members known, living and dead: found by name, walked by id, probed in a shuffled order.
 *
 * A member's id is its index here, stable while it is remembered; ids of forgotten members are used again.  A member is
 * 64 bytes with its name, address and tags when those are short, and is found by 8 bytes more: views of 10,000 members
 * must fit by the thousand. */
#ifndef KI_TABLE_H
#define KI_TABLE_H

#include "base/bytes.h"
#include "base/chunks.h"
#include "base/map.h"
#include "base/rng.h"
#include "swim/merge.h"
#include "swim/suspicion.h"

#define KI_NO_MEMBER UINT32_MAX

struct ki_member {
    uint64_t changed_us;    /* when the state last changed, monotonic */
    uint32_t incarnation;   /* of a free place: the id of the next free one */
    uint16_t port;
    uint16_t meta_len;
    uint8_t name_len;       /* 0: the place is free */
    uint8_t addr_len;       /* 4 or 16, bytes kept as received */
    uint8_t state;          /* enum ki_state */
    uint8_t versions[6];
    uint8_t here[39];       /* address, name, meta, one after the other; when they do not fit, where they are */
};

_Static_assert(sizeof(struct ki_member) == 64, "nothing is wasted, and here[] holds a usual name with kith's own tag");

/* A suspect, and what is held against it. */
struct ki_accused {
    uint32_t id;
    struct ki_suspicion suspicion;
};

/* Beside a member, its neighbours among those at the same address: ids + 1; 0: it is alone there. */
struct ki_addr_link {
    uint32_t next, prev;
};

/* What an alive message says of a member.  Borrowed. */
struct ki_identity {
    struct ki_span name; /* 1..255 bytes */
    struct ki_span addr; /* 4 or 16 bytes */
    uint16_t port;
    struct ki_span meta; /* at most 512 bytes */
    uint32_t incarnation;
    const uint8_t *versions; /* 6 bytes, or NULL: unknown */
};

struct ki_table {
    struct ki_mem *mem;
    struct ki_map by_name;
    uint8_t hash_key[16];
    struct ki_chunks members;    /* struct ki_member by id */
    uint32_t *order;             /* ids, shuffled */
    uint32_t order_cap;
    uint32_t count;              /* members, ourselves included */
    uint32_t used;               /* ids below it may be in use */
    uint32_t max;
    uint32_t away;               /* how many have their data elsewhere; members handed over are no longer counted */
    uint32_t free_first;         /* a free id below `used`, or KI_NO_MEMBER */
    uint32_t by_state[4];        /* how many are in each state */
    uint32_t epoch;              /* raised when a member changes or goes: what was no news about it may be now */

    struct ki_accused **accused; /* the suspects, in no order */
    uint32_t accused_count, accused_cap;
    struct ki_map by_accused;    /* id to place in accused */

    struct ki_map by_addr;       /* canonical address and port, to one of those that share it; made when first asked */
    struct ki_chunks addr_links; /* struct ki_addr_link by id; with the first two that share one */
    bool by_addr_made;
};

/* The bytes that make an address: 4 of a v4-mapped IPv6 address, all of any other. */
static inline struct ki_span ki_canonical(struct ki_span addr)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (addr.len == 16 && memcmp(addr.ptr, mapped, sizeof mapped) == 0)
        return ki_span(addr.ptr + 12, 4);
    return addr;
}

void ki_table_init(struct ki_table *t, struct ki_mem *mem, uint32_t max, const uint8_t hash_key[16]);
void ki_table_free(struct ki_table *t);

uint64_t ki_table_hash(const struct ki_table *t, struct ki_span name);
uint32_t ki_table_find(const struct ki_table *t, struct ki_span name); /* or KI_NO_MEMBER */
uint32_t ki_table_find_hashed(const struct ki_table *t, struct ki_span name, uint64_t hash); /* the same */

/* For many names at once, each step for all of them: what finding them will look at is fetched meanwhile. */
static inline void ki_table_fetch_place(const struct ki_table *t, uint64_t hash)
{
    ki_map_prefetch(&t->by_name, hash);
}

static inline void ki_table_fetch_member(const struct ki_table *t, uint64_t hash)
{
    uint32_t id = ki_map_guess(&t->by_name, hash);
    if (id != KI_MAP_NONE)
        KI_PREFETCH(ki_chunks_at(&t->members, id, sizeof(struct ki_member)));
}

/* As ki_table_find(), but looks at id *near first; then *near is the one after whom it found.  For names that come in the
 * order of somebody's table: it is often ours. */
uint32_t ki_table_find_near(const struct ki_table *t, struct ki_span name, uint32_t *near);
uint32_t ki_table_find_addr(struct ki_table *t, struct ki_span addr, uint16_t port); /* likewise; any of several */
bool ki_table_shares_addr(const struct ki_table *t, uint32_t id); /* after asking; others are known at its address too */

struct ki_member *ki_table_at(const struct ki_table *t, uint32_t id); /* NULL: no such member */

static inline struct ki_member *ki_table_member(const struct ki_table *t, uint32_t id) /* there must be one */
{
    return ki_chunks_at(&t->members, id, sizeof(struct ki_member));
}

static inline bool ki_table_has(const struct ki_table *t, uint32_t id)
{
    return id < t->used && ki_table_member(t, id)->name_len > 0;
}

/* Makes room for so many members in all, as far as memory allows: adding them is faster then, and wastes less. */
void ki_table_reserve(struct ki_table *t, uint32_t count);
/* Returns 0 and the id, -1 when the table is full, -2 when memory is out; nothing changed then. */
int ki_table_add(struct ki_table *t, const struct ki_identity *identity, enum ki_state state, uint64_t now_us,
                 struct ki_rng *rng, uint32_t *id);
/* Replaces what is known but the state.  false: memory is out, nothing changed.  Borrowed spans of the member are void. */
bool ki_table_update(struct ki_table *t, uint32_t id, const struct ki_identity *identity);
/* Changes the state and its time; ends a suspicion unless the new state is SUSPECT. */
void ki_table_set_state(struct ki_table *t, uint32_t id, enum ki_state state, uint64_t now_us);
void ki_table_remove(struct ki_table *t, uint32_t id);
/* Removes a member and hands it over; ki_member_free() it. */
void ki_table_take(struct ki_table *t, uint32_t id, struct ki_member *out);
void ki_member_free(struct ki_mem *mem, struct ki_member *m);
void ki_table_shuffle(struct ki_table *t, struct ki_rng *rng);

/* A suspicion for a member that has none, to be begun before its state becomes SUSPECT.  NULL: memory is out. */
struct ki_suspicion *ki_table_accuse(struct ki_table *t, uint32_t id);
void ki_table_absolve(struct ki_table *t, uint32_t id);                       /* nothing if it has none */
struct ki_suspicion *ki_table_suspicion(const struct ki_table *t, uint32_t id); /* or NULL */

/* Address, name, meta. */
static inline const uint8_t *ki_member_data(const struct ki_member *m)
{
    if ((size_t)m->addr_len + m->name_len + m->meta_len <= sizeof m->here)
        return m->here;
    const uint8_t *away;
    memcpy(&away, m->here, sizeof away);
    return away;
}

static inline struct ki_span ki_member_addr(const struct ki_member *m)
{
    return ki_span(ki_member_data(m), m->addr_len);
}

static inline struct ki_span ki_member_name(const struct ki_member *m)
{
    return ki_span(ki_member_data(m) + m->addr_len, m->name_len);
}

static inline struct ki_span ki_member_meta(const struct ki_member *m)
{
    return ki_span(ki_member_data(m) + m->addr_len + m->name_len, m->meta_len);
}

#endif
