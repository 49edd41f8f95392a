/* base/index.c against an array, through the step from one map to many, and with memory running out at each place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/rng.h"
#include "unit/failing.h"

enum { KEYS = 30000 };

static uint64_t hash_of(uint64_t key)
{
    return (key + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ key << 40;
}

static bool is_key(const void *owner, uint32_t value, const void *key)
{
    (void)owner;
    return value == *(const uint32_t *)key;
}

static void check(const struct ki_index *index, const bool *in, size_t count)
{
    assert_int_equal(index->count, count);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_int_equal(ki_index_get(index, hash_of(key), is_key, NULL, &key), in[key] ? key : KI_MAP_NONE);
}

static void like_an_array(void **state)
{
    (void)state;
    static bool in[KEYS];
    struct ki_mem mem;
    struct ki_index index;
    struct ki_rng rng;
    size_t count = 0;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_index_init(&index, &mem);
    ki_rng_init(&rng, 1);
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t key = (uint32_t)ki_rng_below(&rng, KEYS);
        bool more = i < 120000 ? ki_rng_below(&rng, 4) > 0 : ki_rng_below(&rng, 4) == 0;
        if (!in[key] && more) {
            assert_true(ki_index_put(&index, hash_of(key), key));
            in[key] = true;
            count++;
        } else if (in[key] && !more) {
            ki_index_remove(&index, hash_of(key), key);
            uint64_t used = mem.used;
            if (key % 3 == 0) { /* it always fits again */
                assert_true(ki_index_put(&index, hash_of(key), key));
                assert_int_equal(mem.used, used);
                continue;
            }
            in[key] = false;
            count--;
        }
        if (i % 20000 == 0)
            check(&index, in, count);
    }
    check(&index, in, count);
    assert_non_null(index.many);
    ki_index_free(&index);
    assert_int_equal(mem.used, 0);
    assert_true(ki_index_put(&index, hash_of(1), 1));
    ki_index_free(&index);
    assert_int_equal(mem.used, 0);
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (unsigned fail_at = 0; fail_at < 300; fail_at += fail_at < 20 ? 1 : 7) {
        struct failing failing = {.until = INT32_MAX};
        struct ki_mem mem;
        struct ki_index index;
        static bool in[KEYS];
        size_t count = 0;
        memset(in, 0, sizeof in);
        ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
        ki_index_init(&index, &mem);
        for (uint32_t key = 0; key < 5000; key++) {
            failing.until = key == 4096 ? (int)fail_at : INT32_MAX;
            bool fits = ki_index_put(&index, hash_of(key), key);
            in[key] = fits;
            count += fits;
            assert_true(fits || key == 4096);
        }
        check(&index, in, count);
        ki_index_free(&index);
        assert_int_equal(mem.used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_an_array),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
