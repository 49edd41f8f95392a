/* The decoder: all sides and orders of small differences; how many cells a difference takes, which a wrong index mapping
 * would change; losses; late and repeated cells; small budgets; peers that lie, with the key in hand; memory running out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/peel.h"
#include "unit/failing.h"

static const uint8_t key[16] = "a key of sixteen";
static struct ki_mem mem;
static struct ki_rng rng;

static struct ki_item random_item(void)
{
    return (struct ki_item){ki_rng_next(&rng), ki_rng_next(&rng)};
}

/* Two sets with so many items of their own, and some common ones. */
struct pair {
    struct ki_sketch mine, theirs;
};

static struct pair make_pair(uint32_t cells, uint32_t mine, uint32_t theirs, uint32_t common)
{
    struct pair pair;
    assert_true(ki_sketch_init(&pair.mine, &mem, key, cells));
    assert_true(ki_sketch_init(&pair.theirs, &mem, key, cells));
    for (uint32_t i = 0; i < mine; i++)
        ki_sketch_add(&pair.mine, random_item());
    for (uint32_t i = 0; i < theirs; i++)
        ki_sketch_add(&pair.theirs, random_item());
    for (uint32_t i = 0; i < common; i++) {
        struct ki_item item = random_item();
        ki_sketch_add(&pair.mine, item);
        ki_sketch_add(&pair.theirs, item);
    }
    return pair;
}

static void free_pair(struct pair *pair)
{
    ki_sketch_free(&pair->mine);
    ki_sketch_free(&pair->theirs);
}

/* The peer's cell as it comes over the wire: its count modulo 256. */
static bool give(struct ki_peel *peel, const struct ki_sketch *theirs, uint32_t index)
{
    struct ki_coded cell = theirs->cells[index];
    cell.count &= 255;
    return ki_peel_cell(peel, index, &cell);
}

/* Applies what was found to a copy of mine: it must become theirs. */
static void check_found(struct ki_peel *peel, const struct pair *pair, uint32_t mine, uint32_t theirs)
{
    struct ki_sketch copy;
    const struct ki_found *found;
    uint32_t got_mine = 0, got_theirs = 0;
    assert_true(ki_sketch_copy(&copy, &mem, &pair->mine));
    while ((found = ki_peel_next(peel)) != NULL) {
        if (found->mine)
            ki_sketch_remove(&copy, found->item);
        else
            ki_sketch_add(&copy, found->item);
        got_mine += found->mine;
        got_theirs += !found->mine;
    }
    assert_int_equal(got_mine, mine);
    assert_int_equal(got_theirs, theirs);
    assert_memory_equal(copy.cells, pair->theirs.cells, copy.cell_count * sizeof *copy.cells);
    assert_memory_equal(&copy.root, &pair->theirs.root, sizeof copy.root);
    ki_sketch_free(&copy);
}

/* ---- honest peers ---- */

static void test_both_sides(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {7, 3}, {0, 300}, {300, 0}, {500, 20}};
    for (size_t i = 0; i < KI_COUNT(sizes); i++) {
        struct pair pair = make_pair(1500, sizes[i][0], sizes[i][1], 2000);
        struct ki_peel peel;
        assert_true(ki_peel_init(&peel, &mem, &pair.mine, 1500, &pair.theirs.root));
        for (uint32_t at = 0; at < 1500; at++)
            assert_true(give(&peel, &pair.theirs, at));
        assert_int_equal(ki_peel_run(&peel, UINT32_MAX), KI_PEEL_DONE);
        assert_int_equal(ki_peel_run(&peel, 0), KI_PEEL_DONE);
        check_found(&peel, &pair, sizes[i][0], sizes[i][1]);
        ki_peel_free(&peel);
        free_pair(&pair);
    }
    assert_int_equal(mem.used, 0);
}

/* Cells needed for d differences when they come one by one, in order; fewer than a whole session gives: `most`. */
static uint32_t cells_needed(uint32_t d, uint32_t most)
{
    struct pair pair = make_pair(most, d / 2, d - d / 2, 0);
    struct ki_peel peel;
    uint32_t at = 0;
    assert_true(ki_peel_init(&peel, &mem, &pair.mine, most, &pair.theirs.root));
    while (ki_peel_run(&peel, UINT32_MAX) == KI_PEEL_STUCK && at < most)
        give(&peel, &pair.theirs, at++);
    assert_int_equal(ki_peel_run(&peel, UINT32_MAX), KI_PEEL_DONE);
    assert_int_equal(peel.received, at);
    if (d < 200)
        check_found(&peel, &pair, d / 2, d - d / 2);
    ki_peel_free(&peel);
    free_pair(&pair);
    return at;
}

/* Published and measured means: 1.72, 1.45, 1.375, 1.36 cells a difference. */
static void test_cells_per_difference(void **state)
{
    (void)state;
    static const struct {
        uint32_t d, trials, most;
        double low, high;
    } rows[] = {
        {1, 50, 10, 1, 1}, {10, 3000, 400, 1.65, 1.78}, {100, 500, 500, 1.42, 1.48},
        {1000, 60, 2000, 1.36, 1.39}, {10000, 5, 15000, 1.345, 1.37},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        double sum = 0;
        for (uint32_t trial = 0; trial < rows[i].trials; trial++)
            sum += cells_needed(rows[i].d, rows[i].most);
        double mean = sum / rows[i].trials / rows[i].d;
        print_message("d = %u: %.3f cells a difference\n", rows[i].d, mean);
        assert_true(mean >= rows[i].low && mean <= rows[i].high);
    }
    assert_int_equal(mem.used, 0);
}

/* One datagram of 55 cells: nearly always enough for 24 differences, hardly ever for 44. */
static void test_one_datagram(void **state)
{
    (void)state;
    static const struct {
        uint32_t d, low, high; /* of 1000 */
    } rows[] = {{1, 1000, 1000}, {8, 990, 1000}, {16, 985, 1000}, {24, 950, 992}, {32, 770, 890}, {44, 0, 100}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint32_t good = 0;
        for (uint32_t trial = 0; trial < 1000; trial++) {
            struct pair pair = make_pair(55, rows[i].d / 2, rows[i].d - rows[i].d / 2, 5);
            struct ki_peel peel;
            assert_true(ki_peel_init(&peel, &mem, &pair.mine, 55, &pair.theirs.root));
            for (uint32_t at = 0; at < 55; at++)
                give(&peel, &pair.theirs, at);
            enum ki_peel_result result = ki_peel_run(&peel, UINT32_MAX);
            assert_true(result == KI_PEEL_DONE || result == KI_PEEL_STUCK);
            good += result == KI_PEEL_DONE;
            ki_peel_free(&peel);
            free_pair(&pair);
        }
        print_message("d = %u: %u of 1000\n", rows[i].d, good);
        assert_true(good >= rows[i].low && good <= rows[i].high);
    }
    assert_int_equal(mem.used, 0);
}

/* Datagrams of 55 cells, taken from the whole range in turn; one in ten is lost, the rest comes in any order; cells twice;
 * work in slices. */
static void test_losses(void **state)
{
    (void)state;
    enum { D = 1000, DATAGRAMS = 36, CELLS = DATAGRAMS * 55, TRIALS = 100 };
    double sum = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        struct pair pair = make_pair(CELLS, D / 2, D / 2, 100);
        struct ki_peel peel;
        uint32_t order[DATAGRAMS], received = 0;
        enum ki_peel_result result = KI_PEEL_STUCK;
        for (uint32_t i = 0; i < KI_COUNT(order); i++)
            order[i] = i;
        for (uint32_t i = 0; i < DATAGRAMS; i++) {
            uint32_t with = i + (uint32_t)ki_rng_below(&rng, DATAGRAMS - i), swap = order[i];
            order[i] = order[with];
            order[with] = swap;
        }
        assert_true(ki_peel_init(&peel, &mem, &pair.mine, CELLS, &pair.theirs.root));
        for (uint32_t i = 0; i < KI_COUNT(order) && result == KI_PEEL_STUCK; i++) {
            if (ki_rng_below(&rng, 10) == 0)
                continue;
            for (uint32_t at = order[i]; at < CELLS; at += DATAGRAMS) {
                assert_true(give(&peel, &pair.theirs, at));
                assert_false(give(&peel, &pair.mine, at)); /* the second time, whatever it says, it is ignored */
            }
            received += 55;
            while ((result = ki_peel_run(&peel, 7)) == KI_PEEL_MORE)
                assert_true(peel.queue_count > 0);
        }
        assert_int_equal(result, KI_PEEL_DONE);
        assert_int_equal(peel.received, received);
        check_found(&peel, &pair, D / 2, D / 2);
        sum += received;
        ki_peel_free(&peel);
        free_pair(&pair);
    }
    print_message("one in ten lost: %.3f received cells a difference\n", sum / TRIALS / D);
    assert_true(sum / TRIALS / D > 1.36 && sum / TRIALS / D < 1.55);
    assert_int_equal(mem.used, 0);
}

/* Beyond the own prefix cells are of no use; changes of the own set after init do not matter. */
static void test_prefix_and_later_changes(void **state)
{
    (void)state;
    struct pair pair = make_pair(200, 20, 20, 10);
    struct ki_sketch before;
    struct ki_peel peel;
    assert_true(ki_sketch_copy(&before, &mem, &pair.mine));
    assert_true(ki_peel_init(&peel, &mem, &pair.mine, 120, &pair.theirs.root));
    for (uint32_t i = 0; i < 30; i++)
        ki_sketch_add(&pair.mine, random_item());
    assert_false(give(&peel, &pair.theirs, 120));
    assert_false(ki_peel_cell(&peel, UINT32_MAX, &pair.theirs.cells[0]));
    assert_int_equal(peel.received, 0);
    for (uint32_t at = 120; at-- > 0;)
        assert_true(give(&peel, &pair.theirs, at));
    assert_int_equal(ki_peel_run(&peel, UINT32_MAX), KI_PEEL_DONE);
    ki_sketch_free(&pair.mine);
    pair.mine = before;
    check_found(&peel, &pair, 20, 20);
    ki_peel_free(&peel);
    free_pair(&pair);
    assert_int_equal(mem.used, 0);
}

/* More than 128 and 256 items on one side: the counts wrap, the sides stay right. */
static void test_counts_wrap(void **state)
{
    (void)state;
    struct pair pair = make_pair(3000, 0, 1500, 70000);
    struct ki_peel peel;
    assert_true(ki_peel_init(&peel, &mem, &pair.mine, 3000, &pair.theirs.root));
    for (uint32_t at = 1; at < 3000; at++) /* and cell 0 is not needed */
        give(&peel, &pair.theirs, at);
    assert_int_equal(ki_peel_run(&peel, UINT32_MAX), KI_PEEL_DONE);
    check_found(&peel, &pair, 0, 1500);
    ki_peel_free(&peel);
    free_pair(&pair);
    assert_int_equal(mem.used, 0);
}

/* ---- peers that lie ---- */

static const struct ki_root elsewhere = {.sum = {1, 2}, .count = 3}; /* never reached */

/* An empty own set of 100 cells, so that what comes is the difference, negated. */
static struct ki_peel begin_empty(void)
{
    struct ki_sketch own;
    struct ki_peel peel;
    assert_true(ki_sketch_init(&own, &mem, key, 100));
    assert_true(ki_peel_init(&peel, &mem, &own, 100, &elsewhere));
    ki_sketch_free(&own);
    return peel;
}

static struct ki_coded single(struct ki_item item, uint32_t count)
{
    struct ki_coded cell = {0};
    ki_coded_toggle(&cell, item, ki_item_hash(key, item).second, count);
    return cell;
}

static void expect_end(struct ki_peel *peel, enum ki_peel_result want, uint32_t found)
{
    assert_int_equal(ki_peel_run(peel, 100000), want);
    assert_int_equal(ki_peel_run(peel, 1), want);
    assert_int_equal(peel->found_count, found);
    ki_peel_free(peel);
    assert_int_equal(mem.used, 0);
}

/* The first cell after cell 0 that the item is in, or is not in. */
static uint32_t cell_of(struct ki_item item, bool in)
{
    struct ki_walk walk = ki_walk(ki_item_hash(key, item).first);
    for (uint32_t at = 0;; ki_walk_next(&walk), at++) {
        if (!in && walk.index != at)
            return at;
        if (in && at == 1)
            return (uint32_t)walk.index;
    }
}

static void test_item_where_it_does_not_belong(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct ki_item item = random_item();
        struct ki_coded cell = single(item, i % 2 ? 1 : 255);
        struct ki_peel peel = begin_empty();
        ki_peel_cell(&peel, cell_of(item, false), &cell);
        expect_end(&peel, KI_PEEL_BAD, 0);
    }
}

/* An item in cell 0 alone: found there, and then missing elsewhere, where it seems to be found with the other sign. */
static void test_item_twice(void **state)
{
    (void)state;
    struct ki_item item = random_item();
    while (cell_of(item, true) >= 100)
        item = random_item();
    struct ki_coded cell = single(item, 1), nothing = {0};
    struct ki_peel peel = begin_empty();
    ki_peel_cell(&peel, 0, &cell);
    ki_peel_cell(&peel, cell_of(item, true), &nothing);
    expect_end(&peel, KI_PEEL_BAD, 1);
    /* once mine and once theirs */
    peel = begin_empty();
    ki_peel_cell(&peel, 0, &cell);
    cell.count = 255;
    ki_peel_cell(&peel, cell_of(item, true), &cell);
    assert_int_equal(ki_peel_run(&peel, 100000), KI_PEEL_STUCK); /* a count of 2 and items that cancel: no more to see */
    ki_peel_free(&peel);
    /* a count that lies: never looked at */
    peel = begin_empty();
    cell = single(item, 3);
    ki_peel_cell(&peel, 0, &cell);
    expect_end(&peel, KI_PEEL_STUCK, 0);
}

/* Everything wrong at once, at random: crafted cells of a few items with any count, at any place. */
static void test_random_lies(void **state)
{
    (void)state;
    uint32_t ends[4] = {0};
    for (int trial = 0; trial < 3000; trial++) {
        struct ki_item items[6];
        struct ki_peel peel = begin_empty();
        uint32_t cells = 1 + (uint32_t)ki_rng_below(&rng, 40), looked = 0;
        for (size_t i = 0; i < KI_COUNT(items); i++)
            items[i] = random_item();
        for (uint32_t i = 0; i < cells; i++) {
            struct ki_coded cell = {0};
            uint64_t luck = ki_rng_next(&rng);
            uint32_t at = (uint32_t)(luck % 12); /* where most items are */
            for (size_t k = 0; k < KI_COUNT(items); k++) {
                struct ki_walk walk = ki_walk(ki_item_hash(key, items[k]).first);
                while (walk.index < at)
                    ki_walk_next(&walk);
                if ((walk.index == at || luck >> 40 & 1) && luck >> (16 + k) & 1)
                    ki_coded_toggle(&cell, items[k], ki_item_hash(key, items[k]).second, luck >> 41 & 1 ? 1 : UINT32_MAX);
            }
            cell.count += luck >> 50 == 0; /* and seldom a count that lies */
            ki_peel_cell(&peel, at, &cell);
        }
        enum ki_peel_result result;
        while ((result = ki_peel_run(&peel, 1)) == KI_PEEL_MORE)
            assert_true(looked++ < 10000);
        assert_true(peel.found_count <= peel.received && peel.received <= 12);
        ends[result]++;
        ki_peel_free(&peel);
    }
    assert_true(ends[KI_PEEL_DONE] == 0 && ends[KI_PEEL_STUCK] > 100 && ends[KI_PEEL_BAD] > 100);
    assert_int_equal(mem.used, 0);
}

/* Noise, and honest cells under a wrong root or a wrong count: stuck, however much comes. */
static void test_noise_and_wrong_roots(void **state)
{
    (void)state;
    struct ki_peel peel = begin_empty();
    for (uint32_t at = 0; at < 100; at++) {
        struct ki_coded cell = {ki_rng_next(&rng), ki_rng_next(&rng), (uint32_t)ki_rng_next(&rng), at % 2 ? 1 : 255};
        ki_peel_cell(&peel, at, &cell);
    }
    expect_end(&peel, KI_PEEL_STUCK, 0);
    for (int wrong = 0; wrong < 3; wrong++) {
        struct pair pair = make_pair(100, 10, 10, 10);
        struct ki_root root = pair.theirs.root;
        root.sum.first ^= wrong == 0;
        root.sum.second ^= wrong == 1;
        root.count += wrong == 2;
        assert_true(ki_peel_init(&peel, &mem, &pair.mine, 100, &root));
        for (uint32_t at = 0; at < 100; at++)
            give(&peel, &pair.theirs, at);
        free_pair(&pair);
        expect_end(&peel, KI_PEEL_STUCK, 20);
    }
}

static void test_refused_by_the_caller(void **state)
{
    (void)state;
    struct pair pair = make_pair(100, 10, 10, 0);
    struct ki_peel peel;
    assert_true(ki_peel_init(&peel, &mem, &pair.mine, 100, &pair.theirs.root));
    for (uint32_t at = 0; at < 100; at++)
        give(&peel, &pair.theirs, at);
    while (!ki_peel_next(&peel))
        assert_int_equal(ki_peel_run(&peel, 1), KI_PEEL_MORE);
    ki_peel_refuse(&peel);
    free_pair(&pair);
    expect_end(&peel, KI_PEEL_BAD, peel.found_count);
}

/* ---- memory ---- */

static void test_out_of_memory(void **state)
{
    (void)state;
    struct pair pair = make_pair(1000, 1, 2, 3);
    struct failing failing = {0};
    struct ki_mem short_mem;
    struct ki_peel peel;
    int until = 0;
    ki_mem_init(&short_mem, failing_resize, failing_release, &failing, 0);
    do {
        assert_int_equal(short_mem.used, 0);
        failing.until = until++;
    } while (!ki_peel_init(&peel, &short_mem, &pair.mine, 1000, &pair.theirs.root));
    assert_int_equal(until, 6); /* five blocks */
    assert_true(short_mem.used < 1000 * 75);
    give(&peel, &pair.theirs, 0); /* from here on nothing is allocated */
    for (uint32_t at = 1; at < 1000; at++)
        give(&peel, &pair.theirs, at);
    assert_int_equal(ki_peel_run(&peel, UINT32_MAX), KI_PEEL_DONE);
    ki_peel_free(&peel);
    assert_int_equal(short_mem.used, 0);
    free_pair(&pair);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides),
        cmocka_unit_test(test_cells_per_difference),
        cmocka_unit_test(test_one_datagram),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_prefix_and_later_changes),
        cmocka_unit_test(test_counts_wrap),
        cmocka_unit_test(test_item_where_it_does_not_belong),
        cmocka_unit_test(test_item_twice),
        cmocka_unit_test(test_random_lies),
        cmocka_unit_test(test_noise_and_wrong_roots),
        cmocka_unit_test(test_refused_by_the_caller),
        cmocka_unit_test(test_out_of_memory),
    };
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 20);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
