/* Deltas by hand: their limits, retired runs long and short, and that many shares cost no more than a few walks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/varint.h"
#include "hex.h"
#include "store_replica.h"

static uint8_t buf[1 << 17];

/* A member of the set "t" for each number of one replica. */
static struct ki_span members(uint64_t replica, uint64_t first, uint64_t count)
{
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_put_varint(&w, count);
    for (uint64_t n = first; n < first + count; n++) {
        uint8_t name[3] = {(uint8_t)(n >> 8), (uint8_t)n, (uint8_t)replica};
        struct ki_cell_image image = {
            .dot = {replica, n}, .kind = KI_KIND_SET, .stamp = 1, .key = replica_text("t"), .field = ki_span(name, 3)};
        ki_cell_encode(&w, &image);
    }
    assert_false(w.full);
    return ki_span(buf, w.len);
}

static int merge(struct replica *r, struct ki_span delta)
{
    return ki_store_merge(&r->store, REPLICA_WALL_MS, delta);
}

static void test_limit_of_cells(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r, 1);
    assert_int_equal(merge(&r, members(2, 1, REPLICA_CELLS_MAX + 1)), KI_STORE_TOO_LONG);
    assert_int_equal(r.store.cells.cell_count, 0);
    assert_int_equal(merge(&r, members(2, 1, REPLICA_CELLS_MAX)), 0);
    assert_int_equal(r.store.cells.cell_count, REPLICA_CELLS_MAX);
    replica_check(&r);
    replica_free(&r);
}

static const struct {
    const char *why, *hex;
    int error;
} retirements[] = {
    {"nothing at all", "", KI_STORE_MALFORMED},
    {"no cells, no dots", "00", 0},
    {"a dot", "00 0000000000000002 00 00", 0},
    {"a run that says another follows", "00 0000000000000002 00 01", KI_STORE_MALFORMED},
    {"a replica twice", "00 0000000000000002 00 00 0000000000000002 05 00", KI_STORE_MALFORMED},
    {"half an id", "00 00000000", KI_STORE_MALFORMED},
    {"a cell that is missing", "01", KI_STORE_MALFORMED},
    {"long form of a count", "8000", KI_STORE_MALFORMED},
};

static void test_retirements(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(retirements); i++) {
        struct replica r;
        uint8_t bytes[64];
        replica_new(&r, 1);
        int error = merge(&r, ki_span(bytes, hex_bytes(retirements[i].hex, bytes, sizeof bytes)));
        if (error != retirements[i].error)
            print_error("%s\n", retirements[i].why);
        assert_int_equal(error, retirements[i].error);
        replica_free(&r);
    }
}

/* Longer and shorter than the store: its ends and no more.  One longer than a delta may be changes nothing. */
static void test_runs(void **state)
{
    (void)state;
    static const struct ki_run runs[] = {{2, 990, 990}, {2, 991, 995}, {2, 980, 1000}, {2, 1000, 1001},
                                         {2, 985, 999}, {2, 1, 999},    {2, 1, 1000},   {2, 999, 2500},
                                         {2, 1, KI_DOT_N_MAX},          {2, 1001, 3000}, {2, 1000, 3000}};
    for (size_t i = 0; i < KI_COUNT(runs) * 2; i++) {
        struct ki_run run = runs[i / 2];
        bool is_refused = run.high - run.low >= REPLICA_CELLS_MAX;
        uint64_t count = i % 2 ? 30 : 12; /* of each replica */
        struct replica r;
        struct ki_context retired;
        struct ki_context_cursor cursor = {.ended = false};
        replica_new(&r, 1);
        for (uint64_t replica = 1; replica < 4; replica++) /* numbers 1000 and below */
            assert_int_equal(merge(&r, members(replica == 2 ? 2 : 10 + replica, 1001 - count, count)), 0);
        ki_context_init(&retired, &r.mem);
        assert_true(ki_context_add_run(&retired, run));
        buf[0] = 0;
        size_t len = 1 + ki_context_encode(&retired, &cursor, buf + 1, sizeof buf - 1);
        ki_context_free(&retired);
        assert_int_equal(merge(&r, ki_span(buf, len)), is_refused ? KI_STORE_TOO_LONG : 0);
        for (uint64_t n = 1001 - count; n <= 1000; n++) {
            bool lives = ki_cells_by_dot(&r.store.cells, (struct ki_dot){2, n}) != KI_NO_CELL;
            assert_int_equal(lives, n < run.low || n > run.high || is_refused);
        }
        assert_true(r.store.cells.cell_count >= 2 * count);
        replica_check(&r);
        replica_free(&r);
    }
}

/* A group told in parts, whatever their size: whoever takes all of them knows what one who takes the whole does. */
static void test_parts(void **state)
{
    (void)state;
    static uint8_t whole[1 << 16];
    for (uint64_t size = 1; size < 60; size = size * 3 / 2 + 1) {
        struct replica from, a, b;
        struct ki_context none;
        char key[] = "a";
        replica_new(&from, 1);
        replica_new(&a, 2);
        replica_new(&b, 3);
        ki_context_init(&none, &from.mem);
        for (unsigned i = 0; i < 60; i++) { /* places of cells that are gone by the end, and live ones */
            key[0] = (char)('a' + i * 7 % 20);
            assert_int_equal(ki_set(&from.store, REPLICA_WALL_MS, replica_text(key), replica_text("v"), 0), 0);
            if (i == 20) {
                replica_tell(&from, &a);
                assert_int_equal(ki_context_join(&b.store.context, &a.store.context), 1);
                for (uint32_t id = 0; id < a.store.cells.cells_used; id++) {
                    struct ki_cell_image image = ki_cells_image(&a.store.cells, id);
                    uint32_t ignored;
                    assert_true(ki_cells_add(&b.store.cells, &image, KI_NO_KEY, &ignored));
                }
            }
        }
        for (uint64_t at = 0; at < ki_delta_places(&from.store) + 1; at += size) {
            bool is_last = at + size > ki_delta_places(&from.store);
            struct ki_delta_part part = {.from = at, .to = ki_min_u64(at + size, ki_delta_places(&from.store))};
            part.retired = is_last ? &from.store.note.retired : &none;
            struct ki_writer w = ki_writer(buf, sizeof buf);
            ki_delta_part_encode(&from.store, &part, &w);
            assert_int_equal(w.len, ki_delta_part_len(&from.store, &part));
            assert_int_equal(merge(&b, ki_span(buf, w.len)), 0);
        }
        assert_int_equal(merge(&a, ki_span(whole, replica_take_delta(&from, whole, sizeof whole))), 0);
        assert_int_equal(a.store.cells.cell_count, 20);
        assert_int_equal(b.store.cells.cell_count, 20);
        assert_true(ki_context_equal(&a.store.context, &b.store.context));
        replica_check(&b);
        replica_free(&from);
        replica_free(&a);
        replica_free(&b);
    }
}

/* A share of a score for each of many replicas, as many as a delta holds: a walk for each, not two nested ones. */
static void test_shares_of_many_replicas(void **state)
{
    (void)state;
    struct replica r;
    struct ki_writer w = ki_writer(buf, sizeof buf);
    static const uint8_t one[8] = {0x3f, 0xf0};
    double score = 0;
    replica_new(&r, 1);
    ki_put_varint(&w, REPLICA_CELLS_MAX);
    for (uint64_t i = 0; i < REPLICA_CELLS_MAX; i++) {
        struct ki_cell_image image = {.dot = {5 + i * 7 % REPLICA_CELLS_MAX, 1}, .kind = KI_KIND_SORTED_REAL, .stamp = 1};
        image.key = image.field = replica_text("z");
        image.value = ki_span(one, sizeof one);
        ki_cell_encode(&w, &image);
    }
    assert_int_equal(merge(&r, ki_span(buf, w.len)), 0);
    assert_int_equal(ki_sorted_increase(&r.store, REPLICA_WALL_MS, replica_text("z"), replica_text("z"), 1, &score), 0);
    assert_true(score >= REPLICA_CELLS_MAX + 1 && score <= REPLICA_CELLS_MAX + 1);
    replica_check(&r);
    assert_int_equal(ki_sorted_add(&r.store, REPLICA_WALL_MS, replica_text("z"), replica_text("z"), 1, NULL), 0);
    assert_int_equal(r.store.cells.cell_count, 1);
    replica_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_of_cells),
        cmocka_unit_test(test_retirements),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_shares_of_many_replicas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
