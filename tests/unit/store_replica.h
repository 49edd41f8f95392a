/* A replica for the tests of src/store: small limits, bounds of the future that are easy to tell apart, memory that fails
 * when told to, and a check of everything that must hold of a store whatever came in.  Only for tests: what must not be
 * aborts, so that the fuzz targets can use it as well. */
#ifndef KI_TEST_STORE_REPLICA_H
#define KI_TEST_STORE_REPLICA_H

#include <stdlib.h>

#include "base/varint.h"
#include "store/delta.h"
#include "store/groups.h"
#include "store/kinds.h"
#include "store/ops.h"

enum {
    REPLICA_KEY_MAX = 16,
    REPLICA_FIELD_MAX = 12,
    REPLICA_VALUE_MAX = 40,
    REPLICA_WARN_MS = 1000,
    REPLICA_CLAMP_MS = 10000,
    REPLICA_REFUSE_MS = 100000,
    REPLICA_WALL_MS = 1000000, /* when the tests take place */
    REPLICA_CELLS_MAX = 2000
};

struct replica {
    struct ki_mem mem;
    struct ki_store store;
    size_t fail_in;   /* so many allocations work, and the next fails; SIZE_MAX: all work */
    bool fails_after; /* and all after that one fail as well */
    size_t failed;
};

static inline void *replica_resize(void *arg, void *ptr, size_t size)
{
    struct replica *r = arg;
    if (r->fail_in == 0) {
        r->failed++;
        r->fail_in = r->fails_after ? 0 : SIZE_MAX;
        return NULL;
    }
    r->fail_in -= r->fail_in != SIZE_MAX;
    return realloc(ptr, size);
}

static inline void replica_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

static inline struct ki_store_config replica_config(void)
{
    return (struct ki_store_config){
        .limits = {.key_max = REPLICA_KEY_MAX, .field_max = REPLICA_FIELD_MAX, .value_max = REPLICA_VALUE_MAX},
        .bounds = {.warn_ms = REPLICA_WARN_MS, .clamp_ms = REPLICA_CLAMP_MS, .refuse_ms = REPLICA_REFUSE_MS},
        .delta_cells_max = REPLICA_CELLS_MAX};
}

static inline void replica_new_with(struct replica *r, uint64_t id, const struct ki_store_config *config)
{
    static const uint8_t hash_key[16] = "a key for a test";
    *r = (struct replica){.fail_in = SIZE_MAX};
    ki_mem_init(&r->mem, replica_resize, replica_release, r, 0);
    ki_store_init(&r->store, &r->mem, config, id, hash_key);
}

static inline void replica_new(struct replica *r, uint64_t id)
{
    struct ki_store_config config = replica_config();
    replica_new_with(r, id, &config);
}

static inline void replica_free(struct replica *r)
{
    r->fail_in = SIZE_MAX;
    ki_store_free(&r->store);
    KI_ASSERT(r->mem.used == 0);
}

static inline struct ki_span replica_text(const char *text)
{
    return ki_span(text, strlen(text));
}

static inline uint32_t replica_key(const struct replica *r, const char *name)
{
    return ki_cells_key(&r->store.cells, replica_text(name));
}

/* The group written since the last call; cap is enough, or the test is wrong. */
static inline size_t replica_take_delta(struct replica *r, uint8_t *buf, size_t cap)
{
    struct ki_writer w = ki_writer(buf, cap);
    size_t len = ki_delta_len(&r->store);
    ki_delta_encode(&r->store, &w);
    KI_ASSERT(!w.full && w.len == len);
    ki_delta_end(&r->store);
    return len;
}

/* What one has written, told to the other. */
static inline void replica_tell(struct replica *from, struct replica *to)
{
    static uint8_t buf[1 << 16];
    size_t len = replica_take_delta(from, buf, sizeof buf);
    int error = ki_store_merge(&to->store, REPLICA_WALL_MS, ki_span(buf, len));
    KI_ASSERT(error == 0);
}

/* Each tells the other what was written since the last time. */
static inline void replica_trade(struct replica *a, struct replica *b)
{
    static uint8_t of_a[1 << 16], of_b[1 << 16];
    size_t a_len = replica_take_delta(a, of_a, sizeof of_a);
    size_t b_len = replica_take_delta(b, of_b, sizeof of_b);
    int error = ki_store_merge(&a->store, REPLICA_WALL_MS, ki_span(of_b, b_len));
    KI_ASSERT(error == 0);
    error = ki_store_merge(&b->store, REPLICA_WALL_MS, ki_span(of_a, a_len));
    KI_ASSERT(error == 0);
}

/* ---- what it holds, as bytes ---- */

static inline int replica_by_dot(const void *a, const void *b)
{
    const struct ki_cell_image *x = a, *y = b;
    return ki_dot_compare(x->dot, y->dot);
}

static inline size_t replica_images(const struct replica *r, struct ki_cell_image *images, size_t cap)
{
    const struct ki_cells *cells = &r->store.cells;
    size_t count = 0;
    for (uint32_t id = 0; id < cells->cells_used; id++) {
        if (ki_cells_at(cells, id)->kind == 0)
            continue;
        KI_ASSERT(count < cap);
        images[count++] = ki_cells_image(cells, id);
        KI_ASSERT(ki_cells_by_dot(cells, images[count - 1].dot) == id);
        KI_ASSERT(ki_context_has(&r->store.context, images[count - 1].dot));
    }
    KI_ASSERT(count == cells->cell_count);
    qsort(images, count, sizeof *images, replica_by_dot);
    return count;
}

/* Equal exactly when cells and contexts are: what replicas agree on. */
static inline size_t replica_content(const struct replica *r, uint8_t *buf, size_t cap)
{
    static struct ki_cell_image images[REPLICA_CELLS_MAX * 2];
    struct ki_writer w = ki_writer(buf, cap);
    struct ki_context_cursor cursor = {.ended = false};
    size_t count = replica_images(r, images, KI_COUNT(images));
    ki_put_varint(&w, count);
    for (size_t i = 0; i < count; i++)
        ki_cell_encode(&w, &images[i]);
    KI_ASSERT(!w.full);
    w.len += ki_context_encode(&r->store.context, &cursor, w.start + w.len, w.cap - w.len);
    KI_ASSERT(cursor.ended);
    return w.len;
}

/* And clock and counters. */
static inline size_t replica_state(const struct replica *r, uint8_t *buf, size_t cap)
{
    struct ki_writer w = ki_writer(buf, cap);
    w.len = replica_content(r, buf, cap);
    ki_put_be(&w, r->store.clock.highest, 8);
    ki_put_be(&w, r->store.n, 8);
    ki_put_be(&w, r->store.impersonated, 8);
    ki_put_u8(&w, r->store.is_impersonated);
    KI_ASSERT(!w.full);
    return w.len;
}

/* ---- the invariants of cells.c and groups.c ---- */

struct replica_sums {
    uint64_t cells, elements, bytes, expiring;
};

/* A chain of one element, or a key's single cells. */
static inline void replica_check_chain(const struct replica *r, uint32_t key, uint32_t first, enum ki_type type,
                                       struct replica_sums *sums)
{
    const struct ki_cells *cells = &r->store.cells;
    for (uint32_t id = first; id != KI_NO_CELL; id = ki_cells_at(cells, id)->next) {
        const struct ki_cell *cell = ki_cells_at(cells, id);
        bool by_dot = cell->next == KI_NO_CELL || (id == first && type != KI_TYPE_NONE) ||
                      ki_dot_compare(ki_cells_dot(cells, id), ki_cells_dot(cells, cell->next)) < 0;
        KI_ASSERT(by_dot);
        enum ki_type is = ki_kind_rule((enum ki_kind)cell->kind)->type;
        KI_ASSERT(cell->n != 0 && cell->key == key && (type == KI_TYPE_NONE ? is < KI_TYPE_SORTED : is == type));
        KI_ASSERT(type == KI_TYPE_NONE || ki_span_equal(ki_cells_field(cell), ki_cells_field(ki_cells_at(cells, first))));
        KI_ASSERT(ki_cells_by_dot(cells, ki_cells_dot(cells, id)) == id);
        KI_ASSERT(ki_context_has(&r->store.context, ki_cells_dot(cells, id)));
        sums->cells++;
        sums->bytes += (uint64_t)cell->field_len + cell->value_len;
        sums->expiring += ki_cell_expiry_ms(cells, id) != 0;
    }
}

static inline void replica_check_group(const struct replica *r, uint32_t key, const struct ki_group *group,
                                       struct replica_sums *sums)
{
    const struct ki_cells *cells = &r->store.cells;
    KI_ASSERT(group->count > 0 && group->type >= KI_TYPE_SORTED);
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t first = group->list[i];
        KI_ASSERT(ki_cells_at(cells, first)->place == i);
        KI_ASSERT(ki_cells_element(cells, key, group->type, ki_cells_field(ki_cells_at(cells, first))) == first);
        replica_check_chain(r, key, first, group->type, sums);
        sums->elements++;
    }
    if (group->type != KI_TYPE_SORTED || group->is_disordered)
        return;
    KI_ASSERT(group->order.count == group->count);
    for (uint32_t i = 0; i < group->count; i++) {
        const struct ki_cell *cell = ki_cells_at(cells, ki_order_at(&group->order, i));
        double score = ki_element_score(cells, ki_order_at(&group->order, i));
        KI_ASSERT(cell->is_ordered && memcmp(&cell->score, &score, sizeof score) == 0);
        if (i == 0)
            continue;
        const struct ki_cell *before = ki_cells_at(cells, ki_order_at(&group->order, i - 1));
        KI_ASSERT(before->score <= cell->score);
        KI_ASSERT(before->score < cell->score || ki_span_compare(ki_cells_field(before), ki_cells_field(cell)) < 0);
    }
}

static inline void replica_check(const struct replica *r)
{
    const struct ki_cells *cells = &r->store.cells;
    struct replica_sums sums = {.cells = 0};
    for (uint32_t i = 0; i < cells->key_count; i++) {
        uint32_t key = cells->key_list[i];
        const struct ki_key *owner = ki_cells_key_at(cells, key);
        KI_ASSERT(owner->place == i && (owner->single != KI_NO_CELL || owner->groups));
        KI_ASSERT(ki_cells_key(cells, ki_span(owner->name, owner->name_len)) == key);
        replica_check_chain(r, key, owner->single, KI_TYPE_NONE, &sums);
        for (const struct ki_group *group = owner->groups; group; group = group->next) {
            KI_ASSERT(ki_cells_group(cells, key, group->type) == group);
            replica_check_group(r, key, group, &sums);
        }
    }
    KI_ASSERT(sums.cells == cells->cell_count && cells->by_dot.count == cells->cell_count);
    KI_ASSERT(sums.elements == cells->by_element.count && cells->by_key.count == cells->key_count);
    KI_ASSERT(sums.bytes == cells->body_bytes && sums.expiring == cells->expiring.count);
    for (uint32_t i = 1; i < cells->expiring.count; i++)
        KI_ASSERT(ki_cell_expiry_ms(cells, ki_order_at(&cells->expiring, i - 1)) <=
                  ki_cell_expiry_ms(cells, ki_order_at(&cells->expiring, i)));
}

#endif
