/* What tests of the store share: a replica whose memory fails when told to, its state as bytes, and its deltas. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "base/varint.h"
#include "store/delta.h"
#include "store/kinds.h"
#include "store/ops.h"
#include "store/session.h"

struct replica {
    struct ki_mem mem;
    struct ki_store store;
    size_t fail_in;   /* so many allocations work, and the next fails; SIZE_MAX: all work */
    bool fails_after; /* and all after that one fail as well */
    size_t failed;
};

struct state {
    size_t len;
    uint8_t bytes[1 << 15];
};

static inline void *state_resize(void *arg, void *ptr, size_t size)
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

static inline void state_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

static inline void replica_open(struct replica *r, uint64_t id)
{
    static const uint8_t hash_key[16] = "a key for a test";
    static const struct ki_store_config config = {
        .limits = {.key_max = 1000, .field_max = 1000, .value_max = 1000},
        .bounds = {.warn_ms = 100, .clamp_ms = 1000, .refuse_ms = 10000},
        .delta_cells_max = 2000};
    *r = (struct replica){.fail_in = SIZE_MAX};
    ki_mem_init(&r->mem, state_resize, state_release, r, 0);
    ki_store_init(&r->store, &r->mem, &config, id, hash_key);
}

static inline void replica_close(struct replica *r)
{
    r->fail_in = SIZE_MAX;
    ki_store_free(&r->store);
    assert_int_equal(r->mem.used, 0);
}

static inline struct ki_span text(const char *from)
{
    return ki_span(from, strlen(from));
}

static inline int state_by_dot(const void *a, const void *b)
{
    const struct ki_cell_image *x = a, *y = b;
    return ki_dot_compare(x->dot, y->dot);
}

/* Cells by dot, the context, and what the next delta tells. */
static inline void state_of(const struct ki_store *store, struct state *state)
{
    struct ki_cell_image images[256];
    struct ki_writer w = ki_writer(state->bytes, sizeof state->bytes);
    struct ki_context_cursor cursor = {.ended = false};
    size_t count = 0;
    for (uint32_t i = 0; i < store->cells.cells_used; i++) {
        if (ki_cells_at(&store->cells, i)->kind == 0)
            continue;
        assert_true(count < KI_COUNT(images));
        images[count++] = ki_cells_image(&store->cells, i);
        assert_int_equal(ki_cells_by_dot(&store->cells, images[count - 1].dot), i);
        assert_true(ki_context_has(&store->context, images[count - 1].dot));
    }
    assert_int_equal(count, store->cells.cell_count);
    qsort(images, count, sizeof *images, state_by_dot);
    ki_put_varint(&w, count);
    for (size_t i = 0; i < count; i++)
        ki_cell_encode(&w, &images[i]);
    w.len += ki_context_encode(&store->context, &cursor, w.start + w.len, w.cap - w.len);
    assert_true(cursor.ended && !w.full);
    state->len = w.len;
}

static inline bool state_equal(const struct state *a, const struct state *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static inline bool replicas_agree(const struct replica *a, const struct replica *b)
{
    static struct state states[2];
    state_of(&a->store, &states[0]);
    state_of(&b->store, &states[1]);
    return state_equal(&states[0], &states[1]);
}

/* What was written since the last time. */
static inline void replica_tell(struct replica *r, struct state *delta)
{
    struct ki_writer w = ki_writer(delta->bytes, sizeof delta->bytes);
    size_t len = ki_delta_len(&r->store);
    ki_delta_encode(&r->store, &w);
    assert_false(w.full);
    assert_int_equal(w.len, len);
    ki_delta_end(&r->store);
    delta->len = len;
}

static inline int replica_hear(struct replica *r, uint64_t wall_ms, const struct state *delta)
{
    return ki_store_merge(&r->store, wall_ms, ki_span(delta->bytes, delta->len));
}

#endif
