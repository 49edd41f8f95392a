/* The table of contributions: owner-bound values, of which the newest of (generation, version) holds.
 *
 * What arrives may be late, doubled or out of order.  A version at or below the head is known or superseded; one above it
 * replaces what the owner has told under the same schema before it.  So in the end everybody holds the same, whatever the
 * order, and the head says how much of it: two members with the same (generation, head) of an owner have the same of it.
 *
 * Invariants: of an owner each schema is there once, and each version, which rise along its list; head <= heard; gaps
 * counts those where they differ; bytes is what the table's blocks hold, without the room to spare in them.
 *
 * Deliberately not here: ranges of values, limits, who is alive, what is said about it. */
#include "aggregate/contributions.h"

#include "base/canary.h"
#include "base/hash.h"

static const uint8_t contributions_key[16]; /* the same everywhere: roots are compared */

void ki_contributions_init(struct ki_contributions *c, struct ki_mem *mem)
{
    *c = (struct ki_contributions){.mem = mem};
    ki_schemas_init(&c->schemas, mem);
    ki_map_init(&c->by_id, mem);
}

void ki_contributions_free(struct ki_contributions *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        ki_mem_free(c->mem, c->list[i]->list);
        ki_mem_free(c->mem, c->list[i]);
    }
    ki_mem_free(c->mem, c->list);
    ki_map_free(&c->by_id);
    ki_schemas_free(&c->schemas);
}

/* ---- owners ---- */

static bool contributions_equal(const void *owner, uint32_t at, const void *key)
{
    return ((const struct ki_contributions *)owner)->list[at]->id == *(const uint32_t *)key;
}

static uint32_t contributions_place(const struct ki_contributions *c, uint32_t id)
{
    return ki_map_get(&c->by_id, ki_map_hash_number(id), contributions_equal, c, &id);
}

struct ki_contributor *ki_contributions_of(const struct ki_contributions *c, uint32_t id)
{
    uint32_t at = contributions_place(c, id);
    return at == KI_MAP_NONE ? NULL : c->list[at];
}

struct ki_contributor *ki_contributions_enter(struct ki_contributions *c, uint32_t id, struct ki_span name,
                                              uint64_t generation)
{
    if (!ki_list_room(c->mem, (void **)&c->list, sizeof(struct ki_contributor *), c->count, &c->cap))
        return NULL;
    struct ki_contributor *owner = ki_mem_new(c->mem, sizeof *owner);
    if (!owner || !ki_map_put(&c->by_id, ki_map_hash_number(id), c->count)) {
        ki_mem_free(c->mem, owner);
        return NULL;
    }
    *owner = (struct ki_contributor){
        .hash = ki_siphash(contributions_key, name.ptr, name.len), .generation = generation, .id = id};
    c->list[c->count++] = owner;
    c->bytes += sizeof *owner;
    c->changes++;
    return owner;
}

static void contributor_move(struct ki_contributions *c, struct ki_contributor *owner, uint64_t head, uint64_t heard)
{
    c->gaps -= owner->head < owner->heard;
    owner->head = head;
    owner->heard = heard;
    c->gaps += head < heard;
    c->changes++;
}

static void contributor_remove(struct ki_contributions *c, struct ki_contributor *owner, uint32_t at)
{
    struct ki_schema *schema = owner->list[at].schema;
    owner->count--;
    memmove(&owner->list[at], &owner->list[at + 1], (owner->count - at) * sizeof *owner->list);
    c->bytes -= sizeof *owner->list;
    c->changes++;
    ki_schemas_drop(&c->schemas, schema);
}

void ki_contributor_renew(struct ki_contributions *c, struct ki_contributor *owner, uint64_t generation)
{
    KI_ASSERT(generation > owner->generation);
    while (owner->count > 0)
        contributor_remove(c, owner, owner->count - 1);
    owner->generation = generation;
    owner->is_fresh = owner->is_off = owner->is_thin = false;
    contributor_move(c, owner, 0, 0);
}

void ki_contributions_forget(struct ki_contributions *c, uint32_t id)
{
    uint32_t at = contributions_place(c, id);
    if (at == KI_MAP_NONE)
        return;
    struct ki_contributor *owner = c->list[at], *last = c->list[c->count - 1];
    while (owner->count > 0)
        contributor_remove(c, owner, owner->count - 1);
    contributor_move(c, owner, 0, 0);
    ki_map_remove(&c->by_id, ki_map_hash_number(id), at);
    if (last != owner) { /* moves into its place; entering what was just taken out cannot fail */
        ki_map_remove(&c->by_id, ki_map_hash_number(last->id), c->count - 1);
        bool entered = ki_map_put(&c->by_id, ki_map_hash_number(last->id), at);
        KI_ASSERT(entered);
        c->list[at] = last;
    }
    c->count--;
    c->bytes -= sizeof *owner;
    ki_mem_free(c->mem, owner->list);
    ki_mem_free(c->mem, owner);
}

/* ---- values ---- */

const struct ki_contribution *ki_contributor_find(const struct ki_contributor *owner, const struct ki_schema *schema)
{
    for (uint32_t i = 0; i < owner->count; i++) {
        if (owner->list[i].schema == schema)
            return &owner->list[i];
    }
    return NULL;
}

uint32_t ki_contributor_after(const struct ki_contributor *owner, uint64_t version)
{
    uint32_t at = owner->count;
    while (at > 0 && owner->list[at - 1].version > version)
        at--;
    return at;
}

enum ki_taking ki_contributor_take(struct ki_contributions *c, struct ki_contributor *owner, struct ki_schema *schema,
                                   uint64_t version, double value)
{
    const struct ki_contribution *known = ki_contributor_find(owner, schema);
    uint32_t at = ki_contributor_after(owner, version);
    bool is_taken = at > 0 && owner->list[at - 1].version == version; /* a liar told another value with it before */
    if (version <= owner->head || is_taken || (known && known->version >= version))
        return KI_TAKING_OLD;
    if (!known && !ki_list_room(c->mem, (void **)&owner->list, sizeof *owner->list, owner->count, &owner->cap))
        return KI_TAKING_NO_ROOM;
    schema->uses++;
    if (known)
        contributor_remove(c, owner, (uint32_t)(known - owner->list));
    at = ki_contributor_after(owner, version);
    memmove(&owner->list[at + 1], &owner->list[at], (owner->count - at) * sizeof *owner->list);
    owner->list[at] = (struct ki_contribution){.schema = schema, .version = version, .value = value};
    owner->count++;
    c->bytes += sizeof *owner->list;
    contributor_move(c, owner, owner->head, ki_max_u64(owner->heard, version));
    return KI_TAKING_NEW;
}

void ki_contributor_reach(struct ki_contributions *c, struct ki_contributor *owner, uint64_t base, uint64_t last)
{
    if ((base <= owner->head || KI_CANARY(SKIP)) && last > owner->head)
        contributor_move(c, owner, last, ki_max_u64(owner->heard, last));
}

void ki_contributor_hear(struct ki_contributions *c, struct ki_contributor *owner, uint64_t last)
{
    if (last > owner->heard)
        contributor_move(c, owner, owner->head, last);
}

void ki_contributor_doubt(struct ki_contributions *c, struct ki_contributor *owner)
{
    owner->is_thin = false; /* it says nothing now */
    contributor_move(c, owner, 0, owner->heard);
}

void ki_contributions_clear(struct ki_contributions *c, struct ki_schema *schema)
{
    schema->uses++; /* until we are done with it */
    for (uint32_t i = 0; i < c->count; i++) {
        const struct ki_contribution *known = ki_contributor_find(c->list[i], schema);
        if (!known)
            continue;
        c->list[i]->is_thin = true;
        contributor_remove(c, c->list[i], (uint32_t)(known - c->list[i]->list));
    }
    ki_schemas_drop(&c->schemas, schema);
}

/* ---- roots ---- */

uint32_t ki_contributor_bucket(const struct ki_contributor *owner, unsigned bits)
{
    return bits == 0 ? 0 : (uint32_t)(owner->hash >> (64 - bits));
}

uint64_t ki_contributor_root(const struct ki_contributor *owner)
{
    const uint64_t words[3] = {owner->hash, owner->generation, owner->head};
    uint8_t bytes[24];
    for (size_t i = 0; i < KI_COUNT(words); i++)
        ki_store_be(bytes + 8 * i, words[i], 8);
    return ki_siphash(contributions_key, bytes, sizeof bytes);
}
