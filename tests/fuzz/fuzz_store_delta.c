/* A delta's bytes, any, into a store that holds something: they are taken in wholly, once, or change nothing.  Whatever
 * came, the store's invariants hold, it can be written to, and what it then tells another replica can read.  The first
 * byte says whether memory is short, and how short. */
#include "unit/store_replica.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STATE_CAP = 1 << 18, FRESH_ID = 1000, OTHER_ID = 2 };

static void must(int error)
{
    KI_ASSERT(error == 0);
}

/* Something of every kind, by two replicas, with rivals, shares and hidden types. */
static void write_some(struct replica *r, uint64_t wall_ms)
{
    struct ki_store *s = &r->store;
    must(ki_set(s, wall_ms, replica_text("s"), replica_text("12"), 0));
    must(ki_set(s, wall_ms, replica_text("e"), replica_text("ends"), REPLICA_WALL_MS + 5));
    must(ki_increase(s, wall_ms, replica_text("s"), 3, NULL));
    must(ki_increase_real(s, wall_ms, replica_text("c"), 0.5, NULL));
    must(ki_put_sibling(s, wall_ms, replica_text("m"), replica_text("v"), NULL, 0));
    must(ki_sorted_add(s, wall_ms, replica_text("z"), replica_text("a"), 1, NULL));
    must(ki_sorted_increase(s, wall_ms, replica_text("z"), replica_text("b"), 2, NULL));
    must(ki_set_add(s, wall_ms, replica_text("t"), replica_text("a"), NULL));
    must(ki_set_add(s, wall_ms, replica_text("t"), replica_text("gone"), NULL));
    must(ki_remove(s, replica_text("t"), KI_TYPE_SET, replica_text("gone"), NULL));
    must(ki_hash_set(s, wall_ms, replica_text("h"), replica_text("f"), replica_text("1"), NULL));
    must(ki_hash_increase(s, wall_ms, replica_text("h"), replica_text("f"), 1, NULL));
    must(ki_hash_increase_real(s, wall_ms, replica_text("h"), replica_text("g"), 1, NULL));
}

static void fill(struct replica *r)
{
    struct replica other;
    replica_new(&other, OTHER_ID);
    write_some(r, REPLICA_WALL_MS);
    write_some(&other, REPLICA_WALL_MS);
    replica_tell(&other, r);
    ki_delta_end(&r->store);
    replica_free(&other);
}

/* What was told is known, and what was told to be gone is not there. */
static void check_taken(struct replica *r, struct ki_span bytes)
{
    struct ki_delta delta;
    struct ki_cell_image image;
    must(ki_delta_open(&delta, &r->mem, &r->store.config, bytes));
    struct ki_delta_cursor cursor = ki_delta_cursor(&delta);
    while (ki_delta_next(&delta, &cursor, &image)) {
        KI_ASSERT(ki_context_has(&r->store.context, image.dot));
        KI_ASSERT(r->store.is_impersonated || image.dot.replica != r->store.replica || image.dot.n <= r->store.n);
    }
    for (uint32_t id = 0; id < r->store.cells.cells_used; id++) {
        if (ki_cells_at(&r->store.cells, id)->kind != 0)
            KI_ASSERT(!ki_context_has(&delta.retired, ki_cells_dot(&r->store.cells, id)));
    }
    struct ki_dot cursor_dot = {0, 0};
    size_t budget = SIZE_MAX;
    struct ki_run run;
    KI_ASSERT(ki_context_missing(&r->store.context, &delta.retired, &cursor_dot, &budget, &run) == KI_MISSING_END);
    ki_delta_close(&delta);
}

/* The same once more is old news.  Met impostors are counted each time, so that is left aside. */
static void check_again(struct replica *r, struct ki_span bytes)
{
    static uint8_t before[STATE_CAP], after[STATE_CAP];
    size_t len = replica_state(r, before, sizeof before);
    uint64_t impersonated = r->store.impersonated;
    must(ki_store_merge(&r->store, REPLICA_WALL_MS, bytes));
    r->store.impersonated = impersonated;
    KI_ASSERT(replica_state(r, after, sizeof after) == len && memcmp(before, after, len) == 0);
}

/* Each operation on each key: it may be of another type now, be no number, or be a number at its end. */
static void write_on(struct replica *r)
{
    static const char *const keys[] = {"s", "c", "m", "z", "t", "h", "e", ""};
    struct ki_store *s = &r->store;
    for (size_t i = 0; i < KI_COUNT(keys); i++) {
        struct ki_span key = replica_text(keys[i]), field = replica_text("f");
        (void)ki_increase(s, REPLICA_WALL_MS, key, 1, NULL);
        (void)ki_increase_real(s, REPLICA_WALL_MS, key, 1, NULL);
        (void)ki_sorted_increase(s, REPLICA_WALL_MS, key, replica_text("a"), 1, NULL);
        (void)ki_hash_increase(s, REPLICA_WALL_MS, key, field, 1, NULL);
        (void)ki_hash_increase_real(s, REPLICA_WALL_MS, key, field, 1, NULL);
        (void)ki_put_sibling(s, REPLICA_WALL_MS, key, field, NULL, 0);
        (void)ki_set_add(s, REPLICA_WALL_MS, key, replica_text("a"), NULL);
        must(ki_collapse(s, key, KI_TYPE_STRING, ki_span(NULL, 0)));
        must(ki_collapse(s, key, KI_TYPE_HASH, field));
        replica_check(r);
        if (i % 2)
            must(ki_delete(s, key, NULL));
        else
            must(ki_set(s, REPLICA_WALL_MS, key, field, 0));
    }
    replica_check(r);
}

/* What is written after is told to a replica that knows nothing else: it can read it, though a stamp that had to stand
 * above one from the far future may be too far ahead for it. */
static void tell_on(struct replica *r)
{
    static uint8_t buf[STATE_CAP];
    struct replica other;
    replica_new(&other, OTHER_ID + 1);
    size_t len = replica_take_delta(r, buf, sizeof buf);
    int error = ki_store_merge(&other.store, REPLICA_WALL_MS, ki_span(buf, len));
    KI_ASSERT(error == 0 || error == KI_STORE_AHEAD);
    replica_check(&other);
    replica_free(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t before[STATE_CAP], after[STATE_CAP];
    struct replica r;
    if (size == 0 || size > 4096)
        return -1;
    struct ki_span bytes = ki_span(data + 1, size - 1);
    replica_new(&r, 1);
    fill(&r);
    size_t len = replica_state(&r, before, sizeof before);
    uint64_t cells = r.store.cells.cell_count;
    r.mem.max = data[0] > 0 ? r.mem.used + 32 * (uint64_t)(data[0] - 1) : 0;
    int error = ki_store_merge(&r.store, REPLICA_WALL_MS, bytes);
    r.mem.max = 0;
    replica_check(&r);
    if (error) {
        KI_ASSERT(error == KI_STORE_MEMORY || error == KI_STORE_MALFORMED || error == KI_STORE_TOO_LONG ||
                  error == KI_STORE_AHEAD);
        KI_ASSERT(data[0] > 0 || error != KI_STORE_MEMORY);
        KI_ASSERT(replica_state(&r, after, sizeof after) == len && memcmp(before, after, len) == 0);
    } else {
        KI_ASSERT(r.store.cells.cell_count <= cells + size); /* no cell of less than a byte */
        check_taken(&r, bytes);
        check_again(&r, bytes);
    }
    if (r.store.is_impersonated) {
        uint64_t fresh = FRESH_ID;
        while (ki_context_highest(&r.store.context, fresh) > 0)
            fresh++;
        ki_store_renew(&r.store, fresh);
    }
    write_on(&r);
    tell_on(&r);
    replica_free(&r);
    return 0;
}
