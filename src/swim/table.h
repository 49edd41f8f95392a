/* The members known, living and dead: found by name, walked by id, probed in a shuffled order.
 *
 * A member's id is its index here, stable while it is remembered; ids of forgotten members are used again.  A member
 * and its name, address and meta are one block, about 100 bytes: views of 10,000 members must fit by the thousand. */
#ifndef KI_TABLE_H
#define KI_TABLE_H

#include "base/bytes.h"
#include "base/map.h"
#include "base/rng.h"
#include "swim/merge.h"
#include "swim/suspicion.h"

#define KI_NO_MEMBER UINT32_MAX

struct ki_member {
    uint64_t changed_us;             /* when the state last changed, monotonic */
    struct ki_suspicion *suspicion;  /* owned; NULL unless suspect */
    uint32_t incarnation;
    uint32_t order;                  /* its place in the probe order */
    uint32_t addr_next, addr_prev;   /* the ring of the ids that share its address */
    uint16_t port;
    uint16_t meta_len;
    uint8_t name_len;
    uint8_t addr_len;                /* 4 or 16, bytes kept as received */
    uint8_t state;                   /* enum ki_state */
    uint8_t versions[6];
    uint8_t data[];                  /* address, name, meta */
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
    struct ki_map by_addr;      /* canonical address and port, to one of those that share it */
    uint8_t hash_key[16];
    struct ki_member **members; /* by id; NULL: free */
    uint32_t *order;            /* ids, shuffled */
    uint32_t cap;               /* ids that have been made room for */
    uint32_t count;             /* members, ourselves included */
    uint32_t used;              /* ids below it may be in use */
    uint32_t max;
    uint32_t free_from;         /* every id below it is in use */
    uint32_t by_state[4];       /* how many are in each state */
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
uint32_t ki_table_find_addr(const struct ki_table *t, struct ki_span addr, uint16_t port); /* likewise; any of several */
struct ki_member *ki_table_at(const struct ki_table *t, uint32_t id);  /* NULL: no such member */

/* Returns 0 and the id, -1 when the table is full, -2 when memory is out; nothing changed then. */
int ki_table_add(struct ki_table *t, const struct ki_identity *identity, enum ki_state state, uint64_t now_us,
                 struct ki_rng *rng, uint32_t *id);
/* Replaces what is known but the state.  false: memory is out, nothing changed.  Pointers to the member are void. */
bool ki_table_update(struct ki_table *t, uint32_t id, const struct ki_identity *identity);
/* Changes the state and its time; ends a suspicion unless the new state is SUSPECT. */
void ki_table_set_state(struct ki_table *t, uint32_t id, enum ki_state state, uint64_t now_us);
void ki_table_remove(struct ki_table *t, uint32_t id);
void ki_table_shuffle(struct ki_table *t, struct ki_rng *rng);

static inline struct ki_span ki_member_addr(const struct ki_member *m)
{
    return ki_span(m->data, m->addr_len);
}

static inline struct ki_span ki_member_name(const struct ki_member *m)
{
    return ki_span(m->data + m->addr_len, m->name_len);
}

static inline struct ki_span ki_member_meta(const struct ki_member *m)
{
    return ki_span(m->data + m->addr_len + m->name_len, m->meta_len);
}

#endif
