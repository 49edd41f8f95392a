/* Three rings of all members, each in an order of its own that only the names decide.
 *
 * A member's neighbours are who comes before and after it in each ring: at most 6, and, since the orders are as good as
 * random, three rings together are a random graph in which every two members are a few steps apart, whatever the size of
 * the pool.  (One ring alone would mix in time with the square of it.)  Nobody has to agree on anything: with equal views
 * the neighbours of two members are each other's, and one member more or less moves two neighbours a ring.
 *
 * Each pair has one that initiates exchanges, so that they never cross: who comes before asks who comes after it.  Where
 * each comes after the other, in one ring or in two, the smaller name asks.
 *
 * A ring's place is the name's hash, mixed by the finalizer of splitmix64 with the ring's number: a permutation of 64 bits,
 * so members meet in a place only if their hashes are equal, and then their names are compared.  The hash has a key that
 * everybody knows.  Whoever may choose its name can choose its neighbours; what that is worth is bounded in flow.c.
 *
 * Invariants: one pass, in any order, and memory for 6; the result does not depend on the order.
 *
 * Deliberately not here: members' states.  Who is offered is who takes part. */
#include "aggregate/overlay.h"

#include "base/hash.h"

uint64_t ki_overlay_hash(struct ki_span name)
{
    static const uint8_t key[16] = "kith overlay 1.";
    return ki_siphash(key, name.ptr, name.len);
}

uint64_t ki_overlay_place(uint64_t hash, uint32_t ring)
{
    uint64_t z = hash + (ring + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void ki_overlay_begin(struct ki_overlay *o, struct ki_overlay_name self)
{
    *o = (struct ki_overlay){.self = self};
}

/* Whether, going up the ring from `from`, one comes to `a` before `b`.  Three different members. */
static bool overlay_first(uint32_t ring, const struct ki_overlay_name *from, const struct ki_overlay_name *a,
                          const struct ki_overlay_name *b)
{
    uint64_t start = ki_overlay_place(from->hash, ring);
    uint64_t to_a = ki_overlay_place(a->hash, ring) - start, to_b = ki_overlay_place(b->hash, ring) - start;
    /* in our own place names go up: those below ours come last of all */
    bool a_last = to_a == 0 && ki_span_compare(a->name, from->name) < 0;
    bool b_last = to_b == 0 && ki_span_compare(b->name, from->name) < 0;
    if (a_last != b_last)
        return b_last;
    if (to_a != to_b)
        return to_a < to_b;
    return ki_span_compare(a->name, b->name) < 0;
}

void ki_overlay_offer(struct ki_overlay *o, struct ki_overlay_name other, uint32_t member)
{
    if (other.hash == o->self.hash && ki_span_equal(other.name, o->self.name))
        return;
    struct ki_overlay_beside beside = {.who = other, .member = member};
    for (uint32_t ring = 0; ring < KI_OVERLAY_RINGS; ring++) {
        if (!o->any || overlay_first(ring, &o->self, &other, &o->after[ring].who))
            o->after[ring] = beside;
        if (!o->any || overlay_first(ring, &o->self, &o->before[ring].who, &other))
            o->before[ring] = beside;
    }
    o->any = true;
}

static bool overlay_has(const struct ki_overlay_beside beside[KI_OVERLAY_RINGS], uint32_t member)
{
    for (uint32_t ring = 0; ring < KI_OVERLAY_RINGS; ring++) {
        if (beside[ring].member == member)
            return true;
    }
    return false;
}

uint32_t ki_overlay_end(const struct ki_overlay *o, struct ki_overlay_neighbour out[KI_OVERLAY_NEIGHBOURS])
{
    uint32_t count = 0;
    for (uint32_t i = 0; o->any && i < KI_OVERLAY_NEIGHBOURS; i++) {
        const struct ki_overlay_beside *b = i < KI_OVERLAY_RINGS ? &o->after[i] : &o->before[i - KI_OVERLAY_RINGS];
        bool is_after = overlay_has(o->after, b->member), is_before = overlay_has(o->before, b->member);
        bool initiates = is_before && is_after ? ki_span_compare(o->self.name, b->who.name) < 0 : is_after;
        bool is_there = false;
        for (uint32_t at = 0; at < count; at++)
            is_there = is_there || out[at].member == b->member;
        if (!is_there)
            out[count++] = (struct ki_overlay_neighbour){.member = b->member, .initiates = initiates};
    }
    return count;
}
