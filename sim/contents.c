/* What a store shows, as a number that does not depend on the order of walking.
 *
 * Each thing that is shown is hashed with its key, its type and its place, and the hashes are added up.  Scores and reals
 * count by their bits: what is equal everywhere is equal to the last one.  Siblings count with their dots, because a dot
 * is part of what a program reads.
 *
 * Deliberately not here: what should be shown. */
#include <stdio.h>

#include "base/hash.h"
#include "sim/world.h"

struct contents { /* what is hashed of one thing */
    uint8_t bytes[64];
    size_t len;
};

static uint64_t contents_hash(struct kith_str s)
{
    static const uint8_t key[16] = "kith.sim.content";
    return ki_siphash(key, (const uint8_t *)s.ptr, s.len);
}

static void contents_add(struct contents *c, uint64_t word)
{
    KI_ASSERT(c->len + sizeof word <= sizeof c->bytes);
    for (unsigned i = 0; i < sizeof word; i++)
        c->bytes[c->len++] = (uint8_t)(word >> 8 * i);
}

static void contents_add_real(struct contents *c, double real)
{
    uint64_t word;
    memcpy(&word, &real, sizeof word);
    contents_add(c, word);
}

static void contents_add_value(struct contents *c, const struct kith_value *value)
{
    contents_add(c, value->shape);
    if (value->shape == KITH_SHAPE_BYTES)
        contents_add(c, contents_hash(value->bytes));
    else if (value->shape == KITH_SHAPE_INTEGER)
        contents_add(c, (uint64_t)value->integer);
    else if (value->shape == KITH_SHAPE_REAL)
        contents_add_real(c, value->real);
}

static uint64_t contents_end(const struct contents *c)
{
    return contents_hash((struct kith_str){(const char *)c->bytes, c->len});
}

static uint64_t contents_elements(kith *k, struct kith_time now, struct kith_str key, enum kith_type type, uint64_t head)
{
    struct kith_element e;
    uint64_t cursor = 0, sum = 0;
    while (kith_next_element(k, now, key, type, &cursor, &e)) {
        struct contents c = {.len = 0};
        contents_add(&c, head);
        contents_add(&c, contents_hash(e.field));
        contents_add_value(&c, &e.value);
        contents_add_real(&c, e.score);
        sum += contents_end(&c);
    }
    return sum;
}

static uint64_t contents_siblings(kith *k, struct kith_time now, struct kith_str key, uint64_t head)
{
    struct kith_str value;
    struct kith_dot dot;
    uint64_t sum = 0;
    for (uint32_t place = 0; kith_sibling(k, now, key, place, &value, &dot) == 0; place++) {
        struct contents c = {.len = 0};
        contents_add(&c, head);
        contents_add(&c, contents_hash(value));
        contents_add(&c, dot.replica);
        contents_add(&c, dot.n);
        sum += contents_end(&c);
    }
    return sum;
}

uint64_t ki_sim_contents_key(kith *k, struct kith_time now, struct kith_str key)
{
    struct contents c = {.len = 0};
    struct kith_value value;
    uint64_t at_ms = 0;
    enum kith_type type = kith_type_of(k, now, key);
    if (type == KITH_TYPE_NONE)
        return 0;
    contents_add(&c, contents_hash(key));
    contents_add(&c, type);
    if (kith_expiry(k, now, key, &at_ms) == 0)
        contents_add(&c, at_ms);
    if (type == KITH_TYPE_STRING && kith_get(k, now, key, &value) == 0)
        contents_add_value(&c, &value);
    uint64_t head = contents_end(&c);
    if (type == KITH_TYPE_STRING)
        return head;
    if (type == KITH_TYPE_SIBLINGS)
        return head + contents_siblings(k, now, key, head);
    return head + contents_elements(k, now, key, type, head);
}

/* A key's bytes are copied, for they are borrowed until the next read. */
static bool contents_next(kith *k, struct kith_time now, uint64_t *cursor, struct kith_str *copy)
{
    struct kith_str key;
    free((void *)(uintptr_t)copy->ptr);
    copy->ptr = NULL;
    if (!kith_next_key(k, now, cursor, &key))
        return false;
    *copy = (struct kith_str){ki_sim_copy(key.ptr, key.len), key.len};
    return true;
}

uint64_t ki_sim_contents(kith *k, struct kith_time now)
{
    struct kith_str key = {NULL, 0};
    uint64_t cursor = 0, sum = 0;
    while (contents_next(k, now, &cursor, &key))
        sum += ki_sim_contents_key(k, now, key);
    return sum;
}

static bool contents_lacks(kith *a, struct kith_time a_now, kith *b, struct kith_time b_now, char *text, size_t cap)
{
    struct kith_str key = {NULL, 0};
    uint64_t cursor = 0;
    while (contents_next(a, a_now, &cursor, &key)) {
        if (ki_sim_contents_key(a, a_now, key) == ki_sim_contents_key(b, b_now, key))
            continue;
        snprintf(text, cap, "%.*s", (int)ki_min_size(key.len, cap), key.ptr);
        free((void *)(uintptr_t)key.ptr);
        return true;
    }
    return false;
}

bool ki_sim_contents_differ(kith *a, struct kith_time a_now, kith *b, struct kith_time b_now, char *key, size_t cap)
{
    return contents_lacks(a, a_now, b, b_now, key, cap) || contents_lacks(b, b_now, a, a_now, key, cap);
}

bool kith_sim_stores_agree(kith_sim *s)
{
    bool first = true, agree = true;
    uint64_t all = 0;
    for (uint32_t node = 0; node < s->count && agree; node++) {
        const struct sim_node *n = s->nodes[node];
        struct kith_member self;
        if (!n->store || !sim_runs(n))
            continue;
        kith_self(n->k, &self);
        if (self.status != KITH_STATUS_ALIVE)
            continue;
        uint64_t one = ki_sim_contents(n->k, ki_sim_node_time(s, n));
        ki_sim_node_dirty(s, node);
        agree = first || one == all;
        all = one;
        first = false;
    }
    return agree;
}
