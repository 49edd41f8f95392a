/* The forgetful memory of messages: what is put is there, what is not put is not, another epoch knows nothing of it, and
 * what does not fit is forgotten, oldest first.  Without memory it remembers nothing and does no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/recall.h"
#include "base/rng.h"

static void what_is_put_is_there(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_recall r = {.tags = NULL};
    struct ki_rng rng;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 1);
    uint64_t hashes[64];
    for (size_t i = 0; i < KI_COUNT(hashes); i++) {
        hashes[i] = ki_rng_next(&rng);
        assert_false(ki_recall_has(&r, hashes[i]));
        ki_recall_put(&r, &mem, hashes[i], 4000);
    }
    unsigned known = 0;
    for (size_t i = 0; i < KI_COUNT(hashes); i++)
        known += ki_recall_has(&r, hashes[i]);
    assert_in_range(known, 62, 64); /* 64 in 4,096 slots: three in one pair once in a thousand */
    for (size_t i = 0; i < 100000; i++)
        assert_false(ki_recall_has(&r, ki_rng_next(&rng)));
    ki_recall_free(&r, &mem);
    assert_int_equal(mem.used, 0);
}

static void another_epoch_knows_nothing(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_recall r = {.tags = NULL};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    for (uint32_t epoch = 0; epoch < 1000; epoch++) {
        uint64_t hash = ki_recall_hash(0x0123456789abcdef, epoch);
        assert_false(ki_recall_has(&r, hash));
        ki_recall_put(&r, &mem, hash, 10);
        assert_true(ki_recall_has(&r, hash));
    }
    ki_recall_free(&r, &mem);
}

static void the_oldest_of_a_pair_goes(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_recall r = {.tags = NULL};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    const uint64_t same_pair[3] = {0x100000011, 0x100000021, 0x100000031};
    for (size_t i = 0; i < 3; i++)
        ki_recall_put(&r, &mem, same_pair[i], 10);
    assert_false(ki_recall_has(&r, same_pair[0]));
    assert_true(ki_recall_has(&r, same_pair[1]));
    assert_true(ki_recall_has(&r, same_pair[2]));
    ki_recall_put(&r, &mem, same_pair[0], 100000); /* grown: everything else is forgotten */
    assert_true(ki_recall_has(&r, same_pair[0]));
    assert_false(ki_recall_has(&r, same_pair[2]));
    assert_int_equal(r.bits, KI_RECALL_BITS_MAX);
    ki_recall_free(&r, &mem);
}

static void without_memory_all_is_news(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_recall r = {.tags = NULL};
    ki_mem_init(&mem, NULL, NULL, NULL, 2000); /* enough for the first size, not for the next */
    ki_recall_put(&r, &mem, 7, 10);
    assert_true(ki_recall_has(&r, 7));
    ki_recall_put(&r, &mem, UINT64_MAX, 1000); /* it stays as it is */
    assert_true(ki_recall_has(&r, 7));
    assert_true(ki_recall_has(&r, UINT64_MAX));
    ki_recall_free(&r, &mem);
    mem.max = 1;
    ki_recall_put(&r, &mem, 7, 10);
    assert_false(ki_recall_has(&r, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_there),
        cmocka_unit_test(another_epoch_knows_nothing),
        cmocka_unit_test(the_oldest_of_a_pair_goes),
        cmocka_unit_test(without_memory_all_is_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
