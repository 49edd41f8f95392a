/* The store under attack: bytes that point into it, deltas made to cost much, ids and tokens that lie.  What would cost the
 * square or the cube of what is sent runs out of this test's time.  ctest: TIMEOUT 60 COST 20 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_state.h"

enum { NOW = 1000, CELLS_MAX = 2000 }; /* of store_state.h */

static struct replica r;
static struct state delta, before, after;

static int open_one(void **unused)
{
    (void)unused;
    replica_open(&r, 1);
    return 0;
}

static int close_one(void **unused)
{
    (void)unused;
    replica_close(&r);
    return 0;
}

static const struct ki_key *key_of(const char *name)
{
    return ki_cells_key_at(&r.store.cells, ki_cells_key(&r.store.cells, text(name)));
}

static struct ki_span name_of(const char *name)
{
    return ki_span(key_of(name)->name, key_of(name)->name_len);
}

static struct ki_span shown(const char *name)
{
    return ki_string_shown(&r.store, ki_cells_key(&r.store.cells, text(name))).bytes;
}

/* ---- borrowed from what the call retires ---- */

static void test_borrowed_spans(void **unused)
{
    (void)unused;
    struct ki_cells *cells = &r.store.cells;
    bool existed;
    assert_int_equal(ki_set(&r.store, NOW, text("key"), text("value"), 0), 0);
    assert_int_equal(ki_set(&r.store, NOW, name_of("key"), shown("key"), 0), 0);
    assert_true(ki_span_equal(shown("key"), text("value")));
    assert_int_equal(ki_set(&r.store, NOW, shown("key"), name_of("key"), 0), 0);
    assert_true(ki_span_equal(shown("value"), text("key")));
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("m"), text("sibling"), NULL, 0), 0);
    struct ki_span sibling = ki_cells_value(ki_cells_at(cells, key_of("m")->single));
    assert_int_equal(ki_put_sibling(&r.store, NOW, name_of("m"), sibling, NULL, 0), 0);
    assert_true(ki_span_equal(ki_cells_value(ki_cells_at(cells, key_of("m")->single)), text("sibling")));
    for (int type = KI_TYPE_SORTED; type <= KI_TYPE_HASH; type++) {
        for (int round = 0; round < 3; round++) {
            struct ki_span name = round == 0 ? text("g") : name_of("g");
            uint32_t first = round == 0 ? KI_NO_CELL : key_of("g")->groups->list[0];
            struct ki_span field = round == 0 ? text("field") : ki_cells_field(ki_cells_at(cells, first));
            if (round == 2)
                assert_int_equal(ki_remove(&r.store, name, (enum ki_type)type, field, &existed), 0);
            else if (type == KI_TYPE_SORTED)
                assert_int_equal(ki_sorted_add(&r.store, NOW, name, field, 1, NULL), 0);
            else if (type == KI_TYPE_SET)
                assert_int_equal(ki_set_add(&r.store, NOW, name, field, NULL), 0);
            else
                assert_int_equal(ki_hash_set(&r.store, NOW, name, field, field, NULL), 0);
        }
        assert_int_equal(ki_cells_key(cells, text("g")), KI_NO_KEY);
    }
    assert_int_equal(ki_delete(&r.store, name_of("key"), &existed), 0);
    assert_int_equal(ki_cells_key(cells, text("key")), KI_NO_KEY);
}

/* ---- tokens, and what a failed operation has collected ---- */

static void test_token_names_one_twice(void **unused)
{
    (void)unused;
    assert_int_equal(ki_set_add(&r.store, NOW, text("other"), text("member"), NULL), 0);
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("n"), text("elsewhere"), NULL, 0), 0);
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("m"), text("one"), NULL, 0), 0);
    const struct ki_dot token[] = {{1, 3}, {1, 3}, {1, 1}, {1, 2}, {1, 3}}, unseen[] = {{1, 3}, {1, 9}},
                        none[] = {{1, 0}}, most[] = {{1, UINT64_MAX}};
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("m"), text("two"), unseen, 2), KI_STORE_TOKEN);
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("m"), text("two"), none, 1), KI_STORE_TOKEN);
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("m"), text("two"), most, 1), KI_STORE_TOKEN);
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("m"), text("two"), token, KI_COUNT(token)), 0);
    assert_int_equal(r.store.cells.cell_count, 3); /* only what is under the key was replaced */
    assert_int_equal(ki_cells_by_dot(&r.store.cells, token[0]), KI_NO_CELL);
    assert_int_equal(ki_put_sibling(&r.store, NOW, text("none yet"), text("two"), token, KI_COUNT(token)), 0);
    assert_int_equal(r.store.cells.cell_count, 4);
}

/* What an operation collected before it failed is not retired by the next one. */
static void test_collected_in_vain(void **unused)
{
    (void)unused;
    static uint8_t long_value[1001];
    assert_int_equal(ki_increase(&r.store, NOW, text("n"), INT64_MAX, NULL), 0);
    assert_int_equal(ki_increase(&r.store, NOW, text("n"), 1, NULL), KI_STORE_OVERFLOW);
    assert_int_equal(ki_set_add(&r.store, NOW, text("s"), text("member"), NULL), 0);
    assert_int_equal(ki_set(&r.store, NOW, text("n"), ki_span(long_value, sizeof long_value), 0), KI_STORE_TOO_LONG);
    assert_int_equal(ki_delete(&r.store, text("s"), NULL), 0);
    assert_int_equal(r.store.cells.cell_count, 1);
    assert_int_equal(ki_string_shown(&r.store, ki_cells_key(&r.store.cells, text("n"))).integer, INT64_MAX);
}

/* ---- deltas ---- */

static void put_cell(struct ki_writer *w, struct ki_dot dot, enum ki_kind kind, const char *key, const char *field)
{
    struct ki_cell_image image = {.dot = dot, .kind = kind, .stamp = 1, .key = text(key), .field = text(field)};
    image.value = ki_span("\0\0\0\0\0\0\0\0", ki_kind_rule(kind)->value_len == 8 ? 8 : 0);
    ki_cell_encode(w, &image);
}

static void put_retired(struct ki_writer *w, const struct ki_context *retired)
{
    struct ki_context_cursor cursor = {.ended = false};
    w->len += ki_context_encode(retired, &cursor, w->start + w->len, w->cap - w->len);
    assert_true(cursor.ended && !w->full);
}

static int merge(const struct ki_writer *w)
{
    return ki_store_merge(&r.store, NOW, ki_span(w->start, w->len));
}

/* Numbers at the end of their range; a run of nearly all of them is refused, and changes nothing. */
static void test_nearly_all_numbers_retired(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t dots;
        int error;
    } cases[] = {{UINT64_MAX, KI_STORE_TOO_LONG}, {CELLS_MAX + 1, KI_STORE_TOO_LONG}, {CELLS_MAX, 0}};
    struct ki_context retired;
    uint8_t bytes[200];
    for (size_t i = 0; i < 2 * KI_COUNT(cases); i++) {
        uint64_t high = i % 2 ? KI_DOT_N_MAX : (uint64_t)1 << 62;
        uint64_t low = high - ki_min_u64(high, cases[i / 2].dots) + 1;
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        ki_put_varint(&w, 3);
        put_cell(&w, (struct ki_dot){7, high}, KI_KIND_SET, "k", "retired at once");
        put_cell(&w, (struct ki_dot){8, high}, KI_KIND_SET, "k", "member");
        put_cell(&w, (struct ki_dot){8, high}, KI_KIND_SET, "k", "twice");
        ki_context_init(&retired, &r.mem);
        assert_true(ki_context_add_run(&retired, (struct ki_run){7, low, high}));
        put_retired(&w, &retired);
        ki_context_free(&retired);
        assert_int_equal(merge(&w), cases[i / 2].error);
        assert_int_equal(ki_context_highest(&r.store.context, 7), cases[i / 2].error ? 0 : high);
        assert_int_equal(merge(&w), cases[i / 2].error);
    }
    assert_int_equal(r.store.cells.cell_count, 2); /* the first of two with one dot */
    assert_false(r.store.is_impersonated);
}

enum { RUNS = 200, TIMES = 100 };

/* Many runs count together, and so do their lengths: as many dots as are allowed, and one more. */
static void test_many_runs(void **unused)
{
    (void)unused;
    static uint8_t bytes[RUNS * KI_CONTEXT_ENTRY_MAX + 1];
    for (uint64_t more = 0; more < 2; more++) {
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        struct ki_context retired;
        ki_context_init(&retired, &r.mem);
        for (uint64_t i = 0; i < RUNS; i++)
            assert_true(ki_context_add_run(&retired, (struct ki_run){100 + i, 1, CELLS_MAX / RUNS + (i == 7 ? more : 0)}));
        ki_put_varint(&w, 0);
        put_retired(&w, &retired);
        ki_context_free(&retired);
        for (size_t i = 0; i < TIMES; i++)
            assert_int_equal(merge(&w), more ? KI_STORE_TOO_LONG : 0);
    }
    assert_true(ki_context_has(&r.store.context, (struct ki_dot){107, CELLS_MAX / RUNS}));
    assert_false(ki_context_has(&r.store.context, (struct ki_dot){107, CELLS_MAX / RUNS + 1}));
}

/* Shares of one member under thousands of made-up ids, then all of them retired. */
static void test_many_shares(void **unused)
{
    (void)unused;
    enum { BATCHES = 4, BATCH = 1000 };
    static uint8_t bytes[BATCH * 40];
    struct ki_context retired;
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        ki_put_varint(&w, BATCH);
        for (uint64_t i = 0; i < BATCH; i++)
            put_cell(&w, (struct ki_dot){100 + (batch * BATCH + i) * 7919 % 100003, 1}, KI_KIND_SORTED_REAL, "z", "m");
        assert_false(w.full);
        assert_int_equal(merge(&w), 0);
    }
    assert_int_equal(r.store.cells.cell_count, BATCHES * BATCH);
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        ki_put_varint(&w, 0);
        ki_context_init(&retired, &r.mem);
        for (uint64_t i = 0; i < BATCH; i++)
            assert_true(ki_context_add(&retired, (struct ki_dot){100 + (batch * BATCH + i) * 7919 % 100003, 1}));
        put_retired(&w, &retired);
        ki_context_free(&retired);
        assert_int_equal(merge(&w), 0);
    }
    assert_int_equal(r.store.cells.cell_count, 0);
}

/* Numbers that would share one place in a table whose hash is known: multiples of the inverse of 2^64 / golden ratio. */
static void test_numbers_that_collide(void **unused)
{
    (void)unused;
    enum { BATCHES = 40, BATCH = 2000 };
    static uint8_t bytes[BATCH * 50];
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t inverse = golden, high = 0;
    uint8_t name[5] = {0};
    for (int i = 0; i < 6; i++) /* Newton's iteration doubles the bits that are right */
        inverse *= 2 - golden * inverse;
    assert_int_equal(inverse * golden, 1);
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        ki_put_varint(&w, BATCH);
        for (uint32_t count = 0; count < BATCH; high++) {
            struct ki_dot dot = {7, (high << 32 | (high ^ 12345)) * inverse};
            if (!ki_dot_is_valid(dot))
                continue;
            for (size_t i = 0; i < 4; i++)
                name[i] = (uint8_t)('a' + (high >> 5 * i) % 32);
            put_cell(&w, dot, KI_KIND_SET, "s", (const char *)name);
            count++;
        }
        assert_false(w.full);
        assert_int_equal(merge(&w), 0);
    }
    assert_int_equal(r.store.cells.cell_count, BATCHES * BATCH);
}

/* ---- writing as us ---- */

static void test_impersonated_by_a_delta(void **unused)
{
    (void)unused;
    uint8_t bytes[100];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    assert_int_equal(ki_set(&r.store, NOW, text("k"), text("ours"), 0), 0);
    replica_wrote(&r, &delta);
    assert_int_equal(replica_hear(&r, NOW, &delta), 0); /* our own words come back */
    assert_false(r.store.is_impersonated);
    ki_put_varint(&w, 1);
    put_cell(&w, (struct ki_dot){1, 2}, KI_KIND_SET, "s", "not ours");
    assert_int_equal(merge(&w), 0);
    assert_true(r.store.is_impersonated && r.store.impersonated == 1);
    state_of(&r, &before);
    assert_int_equal(ki_set(&r.store, NOW, text("k"), text("again"), 0), KI_STORE_IMPERSONATED);
    assert_int_equal(ki_set_add(&r.store, NOW, text("s"), text("member"), NULL), KI_STORE_IMPERSONATED);
    state_of(&r, &after);
    assert_true(state_equal(&before, &after));
    ki_store_renew(&r.store, 2);
    assert_int_equal(ki_set(&r.store, NOW, text("k"), text("again"), 0), 0);
}

#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, open_one, close_one)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ONE(test_borrowed_spans),           WITH_ONE(test_token_names_one_twice), WITH_ONE(test_collected_in_vain),
        WITH_ONE(test_nearly_all_numbers_retired), WITH_ONE(test_many_runs),      WITH_ONE(test_many_shares),
        WITH_ONE(test_numbers_that_collide),     WITH_ONE(test_impersonated_by_a_delta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
