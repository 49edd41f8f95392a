/* The sketch: index mapping, cells, root and parities against vectors made by an independent program in Python's big
 * integers, which every compiler must meet; kept with a million changes (ten million with KITH_SOAK=1) against made afresh;
 * differences by subtraction; memory running out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/sketch.h"
#include "unit/hex.h"

static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static struct ki_item numbered(uint64_t i)
{
    return (struct ki_item){i * UINT64_C(0x9e3779b97f4a7c15), i};
}

/* ---- vectors ---- */

static const struct {
    uint64_t first;
    uint32_t count;
    uint32_t cells[16];
} walks[] = {
    {1, 13, {0, 1, 2, 3, 6, 11, 19, 44, 116, 122, 341, 972, 3263}},
    {0, 1, {0}},
    {UINT64_MAX, 16, {0, 3, 29, 59, 80, 101, 128, 145, 158, 520, 558, 597, 626, 675, 1619, 2307}},
    {0x0123456789abcdef, 15, {0, 1, 2, 4, 6, 8, 20, 24, 34, 36, 126, 153, 155, 1225, 2837}},
    {0x364dbd9174e26da0, 14, {0, 1, 5, 6, 7, 8, 16, 17, 163, 252, 363, 484, 702, 768}},
};

static void test_walks(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(walks); i++) {
        struct ki_walk walk = ki_walk(walks[i].first);
        for (uint32_t at = 0; at < walks[i].count; at++, ki_walk_next(&walk))
            assert_int_equal(walk.index, walks[i].cells[at]);
        assert_true(i != 1 || walk.index > KI_SKETCH_CELLS_MAX); /* 0 stays 0: in cell 0 alone */
    }
    struct ki_hash128 hash = ki_item_hash(key, (struct ki_item){1, 2});
    assert_true(hash.first == 0x364dbd9174e26da0 && hash.second == 0x335b2520157c8b54);
    /* from the largest index nothing overflows: the widest step there is */
    struct ki_walk last = {.random = 0, .index = KI_SKETCH_CELLS_MAX - 1};
    ki_walk_next(&last);
    assert_true(last.index == KI_SKETCH_CELLS_MAX - 1 + (((uint64_t)KI_SKETCH_CELLS_MAX * 2 + 1) * UINT32_MAX + 1) / 2);
}

/* How often cell j is hit is the density that peeling needs: 1 / (1 + j/2), but for the first few. */
static void test_density(void **state)
{
    (void)state;
    static uint32_t hits[4096];
    struct ki_rng rng;
    uint64_t all = 0;
    enum { ITEMS = 40000 };
    ki_rng_init(&rng, 2);
    for (int i = 0; i < ITEMS; i++) {
        for (struct ki_walk walk = ki_walk(ki_rng_next(&rng)); walk.index < KI_COUNT(hits); ki_walk_next(&walk)) {
            hits[walk.index]++;
            all++;
        }
    }
    for (uint32_t from = 4; from < KI_COUNT(hits); from *= 2) {
        double want = 0, got = 0;
        for (uint32_t j = from; j < from * 2; j++) {
            want += ITEMS / (1 + j / 2.0);
            got += hits[j];
        }
        if (got < want * 0.98 || got > want * 1.02)
            fail_msg("cells from %u: %.0f hits, wanted %.0f", from, got, want);
    }
    assert_true(all * 10 > 156 * ITEMS && all * 10 < 160 * ITEMS); /* 2 ln 4096 - 0.8 */
}

static const struct {
    uint32_t cell;
    const char *bytes;
} cells[] = {
    {0, "790f98a928d40218 00000000000003e8 dc31332f e8"}, /* 1000 items, modulo 256 */
    {1, "abc95ff86a213967 00000000000003a3 12fed475 88"},
    {2, "04bb4ac8b29e4e28 0000000000000090 a1f99449 f8"},
    {7, "8254158789609318 0000000000000338 af29a3af f0"},
    {299, "b82c6d2fffd89bbe 000000000000012e 912cf443 0a"},
};

static void test_cells_on_the_wire(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_sketch sketch;
    static uint8_t wire[300 * KI_CODED_LEN];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    assert_true(ki_sketch_init(&sketch, &mem, key, 300));
    for (uint64_t i = 1; i <= 1000; i++)
        ki_sketch_add(&sketch, numbered(i));
    struct ki_writer w = ki_writer(wire, sizeof wire);
    for (uint32_t i = 0; i < 300; i++)
        ki_coded_write(&w, &sketch.cells[i]);
    assert_true(!w.full && w.len == sizeof wire);
    for (size_t i = 0; i < KI_COUNT(cells); i++) {
        uint8_t want[KI_CODED_LEN];
        assert_int_equal(hex_bytes(cells[i].bytes, want, sizeof want), KI_CODED_LEN);
        assert_memory_equal(wire + cells[i].cell * KI_CODED_LEN, want, KI_CODED_LEN);
        struct ki_reader r = ki_reader(want, sizeof want);
        struct ki_coded back = ki_coded_read(&r);
        const struct ki_coded *cell = &sketch.cells[cells[i].cell];
        assert_true(!r.bad && r.left == 0 && back.a == cell->a && back.b == cell->b);
        assert_true(back.check == cell->check && back.count == (cell->count & 255));
        r = ki_reader(want, KI_CODED_LEN - 1);
        ki_coded_read(&r);
        assert_true(r.ended);
    }
    struct ki_hash128 digest = ki_siphash128(key, wire, sizeof wire);
    assert_true(digest.first == 0x55820a73d7d56ceb && digest.second == 0x0e41ea33f9054a3e);
    assert_true(sketch.root.count == 1000);
    assert_true(sketch.root.sum.first == 0xf6a08f2b7fda9a2b && sketch.root.sum.second == 0xcc884a0cdc31332f);
    w = ki_writer(wire, sizeof wire);
    for (size_t i = 0; i < KI_PARITY_LEVELS; i++)
        ki_put_be(&w, sketch.parity.level[i], 8);
    digest = ki_siphash128(key, wire, w.len);
    assert_true(digest.first == 0x40580129418f337c && digest.second == 0x9292ed1695a30ecb);
    ki_sketch_free(&sketch);
    assert_int_equal(mem.used, 0);
}

/* ---- kept as made ---- */

static void check_same(const struct ki_sketch *a, const struct ki_sketch *b)
{
    assert_int_equal(a->cell_count, b->cell_count);
    assert_memory_equal(a->cells, b->cells, a->cell_count * sizeof *a->cells);
    assert_memory_equal(&a->root, &b->root, sizeof a->root);
    assert_memory_equal(&a->parity, &b->parity, sizeof a->parity);
}

enum { UNIVERSE = 20000 };

static void check_kept(uint32_t cell_count, uint32_t steps)
{
    static bool in[UNIVERSE];
    struct ki_mem mem;
    struct ki_rng rng;
    struct ki_sketch kept, made;
    memset(in, 0, sizeof in);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, cell_count);
    assert_true(ki_sketch_init(&kept, &mem, key, cell_count));
    for (uint32_t step = 0; step < steps; step++) {
        uint64_t i = ki_rng_below(&rng, UNIVERSE);
        if (in[i])
            ki_sketch_remove(&kept, numbered(i));
        else
            ki_sketch_add(&kept, numbered(i));
        in[i] = !in[i];
    }
    assert_true(ki_sketch_init(&made, &mem, key, cell_count));
    for (uint64_t i = UNIVERSE; i-- > 0;) {
        if (in[i])
            ki_sketch_add(&made, numbered(i));
    }
    check_same(&kept, &made);
    struct ki_item all = {0, 0};
    for (uint64_t i = 0; i < UNIVERSE; i++) {
        if (in[i]) {
            all.a ^= numbered(i).a;
            all.b ^= numbered(i).b;
            ki_sketch_remove(&kept, numbered(i));
        }
    }
    assert_true(made.cells[0].a == all.a && made.cells[0].b == all.b);
    assert_true(made.cells[0].count == made.root.count);
    ki_sketch_free(&made);
    assert_true(ki_sketch_init(&made, &mem, key, cell_count));
    check_same(&kept, &made); /* both empty */
    ki_sketch_free(&made);
    ki_sketch_free(&kept);
    assert_int_equal(mem.used, 0);
}

static void test_kept_as_made(void **state)
{
    (void)state;
    check_kept(1, 50000);
    check_kept(55, 50000);
    check_kept(4096, getenv("KITH_SOAK") ? 10000000 : 1000000);
}

/* A longer prefix begins with the shorter one, and no key shows another's cells. */
static void test_prefix_and_key(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_sketch small, large, other;
    uint8_t other_key[16] = {1};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    assert_true(ki_sketch_init(&small, &mem, key, 33));
    assert_true(ki_sketch_init(&large, &mem, key, 1000));
    assert_true(ki_sketch_init(&other, &mem, other_key, 33));
    for (uint64_t i = 0; i < 500; i++) {
        ki_sketch_add(&small, numbered(i));
        ki_sketch_add(&large, numbered(i));
        ki_sketch_add(&other, numbered(i));
    }
    assert_memory_equal(small.cells, large.cells, 33 * sizeof *small.cells);
    assert_memory_equal(&small.root, &large.root, sizeof small.root);
    for (uint32_t i = 0; i < 33; i++)
        assert_true(small.cells[i].check != other.cells[i].check);
    assert_true(small.root.sum.first != other.root.sum.first);
    ki_sketch_free(&small);
    ki_sketch_free(&large);
    ki_sketch_free(&other);
    assert_int_equal(mem.used, 0);
}

/* ---- copies and memory ---- */

static void test_copy_stands_alone(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_sketch sketch, copy, again;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    assert_true(ki_sketch_init(&sketch, &mem, key, 100));
    for (uint64_t i = 0; i < 50; i++)
        ki_sketch_add(&sketch, numbered(i));
    assert_true(ki_sketch_copy(&copy, &mem, &sketch));
    assert_true(ki_sketch_copy(&again, &mem, &copy));
    ki_sketch_add(&sketch, numbered(50));
    check_same(&copy, &again);
    assert_true(copy.root.count == 50 && sketch.root.count == 51);
    ki_sketch_add(&copy, numbered(50));
    check_same(&copy, &sketch);
    ki_sketch_free(&sketch);
    ki_sketch_free(&copy);
    ki_sketch_free(&again);
    assert_int_equal(mem.used, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_sketch sketch, copy;
    ki_mem_init(&mem, NULL, NULL, NULL, 100 * sizeof(struct ki_coded) + 16);
    assert_false(ki_sketch_init(&sketch, &mem, key, 101));
    assert_int_equal(mem.used, 0);
    ki_sketch_free(&sketch); /* of what was not made, is fine */
    assert_true(ki_sketch_init(&sketch, &mem, key, 100));
    assert_false(ki_sketch_copy(&copy, &mem, &sketch));
    ki_sketch_free(&copy);
    ki_sketch_free(&sketch);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_density),
        cmocka_unit_test(test_cells_on_the_wire),
        cmocka_unit_test(test_kept_as_made),
        cmocka_unit_test(test_prefix_and_key),
        cmocka_unit_test(test_copy_stands_alone),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
