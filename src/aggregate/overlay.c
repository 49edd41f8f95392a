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
    for (uint32_t ring = 0; ring < KI_OVERLAY_RINGS; ring++)
        o->at[ring] = ki_overlay_place(self.hash, ring);
}

/* Whether one comes to `a` before `b`, going up the ring from ourselves.  In one place names go up; so in ours, those
 * beyond our name come first of all, and those before it last. */
static bool overlay_first(struct ki_span self, const struct ki_overlay_beside *a, const struct ki_overlay_beside *b)
{
    bool a_last = a->ahead == 0 && ki_span_compare(a->who.name, self) < 0;
    bool b_last = b->ahead == 0 && ki_span_compare(b->who.name, self) < 0;
    if (a_last != b_last)
        return b_last;
    return a->ahead != b->ahead ? a->ahead < b->ahead : ki_span_compare(a->who.name, b->who.name) < 0;
}

void ki_overlay_offer(struct ki_overlay *o, struct ki_overlay_name other, uint32_t member)
{
    struct ki_span self = o->self.name;
    if (other.hash == o->self.hash && ki_span_equal(other.name, self))
        return;
    for (uint32_t ring = 0; ring < KI_OVERLAY_RINGS; ring++) {
        struct ki_overlay_beside beside = {
            .who = other, .ahead = ki_overlay_place(other.hash, ring) - o->at[ring], .member = member};
        if (!o->any || overlay_first(self, &beside, &o->after[ring]))
            o->after[ring] = beside;
        if (!o->any || overlay_first(self, &o->before[ring], &beside))
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
