/* Items in order: as a stupid sort has them, whatever the names; in slices; and where each bucket begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/sync.h"

#define SLICE_MOVES 32768 /* of sync_order.c */

enum names { RANDOM, SAME, RISING, FALLING, LOW_BITS, HIGH_BITS, NAMES };

static uint32_t name_of(enum names names, uint32_t i, struct ki_rng *rng)
{
    switch (names) {
    case RANDOM:
        return (uint32_t)ki_rng_below(rng, UINT64_C(1) << 32);
    case SAME:
        return 0xdeadbeef;
    case RISING:
        return i;
    case FALLING:
        return UINT32_MAX - i;
    case LOW_BITS:
        return (uint32_t)ki_rng_below(rng, 16);
    case HIGH_BITS:
        return (uint32_t)ki_rng_below(rng, 16) << 28;
    case NAMES:
        break;
    }
    return 0;
}

static int by_name_then_id(const void *a, const void *b)
{
    const struct ki_sync_seen *x = a, *y = b;
    if (x->item.name != y->item.name)
        return x->item.name < y->item.name ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void check(enum names names, uint32_t count, unsigned bits)
{
    struct ki_rng rng;
    uint32_t starts[(1 << KI_SYNC_BITS_MAX) + 1];
    struct ki_sync_seen *wanted = malloc((count + 1) * sizeof *wanted);
    struct ki_sync_run run = {.seen_count = count, .bits = bits, .starts = starts};
    run.seen = malloc((count + 1) * sizeof *run.seen);
    run.spare = malloc((count + 1) * sizeof *run.spare);
    assert_true(wanted && run.seen && run.spare);
    ki_rng_init(&rng, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t name = name_of(names, i, &rng);
        run.seen[i] = wanted[i] = (struct ki_sync_seen){.item = {name, i * 7, ~i}, .id = i};
    }
    qsort(wanted, count, sizeof *wanted, by_name_then_id);
    unsigned calls = 1;
    for (; !ki_sync_order(&run); calls++)
        assert_true(calls < 3);
    assert_int_equal(calls, count >= SLICE_MOVES ? 3 : count >= SLICE_MOVES / 2 ? 2 : 1);
    assert_memory_equal(run.seen, wanted, count * sizeof *wanted);
    for (uint32_t bucket = 0; bucket < 1u << bits; bucket++) {
        assert_true(starts[bucket] <= starts[bucket + 1]);
        for (uint32_t at = starts[bucket]; at < starts[bucket + 1]; at++)
            assert_int_equal((uint64_t)run.seen[at].item.name >> (32 - bits), bucket);
    }
    assert_true(starts[0] == 0 && starts[1u << bits] == count);
    free(wanted);
    free(run.seen);
    free(run.spare);
}

static void items_are_in_order(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 3, 100, 2049, 16383, 16384, 40000, 70000};
    for (enum names names = 0; names < NAMES; names++) {
        for (unsigned i = 0; i < KI_COUNT(counts); i++)
            check(names, counts[i], i % (KI_SYNC_BITS_MAX + 1));
        check(names, 1000, KI_SYNC_BITS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(items_are_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
