/* base/chunks.c: items stay where they are, begin as zero, lie at cache lines; memory that fails leaves what was there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/chunks.h"

struct item {
    uint64_t words[8];
};

static struct item *at(const struct ki_chunks *c, uint32_t i)
{
    return ki_chunks_at(c, i, sizeof(struct item));
}

static void items_stay(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_chunks c;
    struct item *first[1000];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_chunks_init(&c, sizeof(struct item));
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(ki_chunks_reserve(&c, &mem, i + 1));
        first[i] = at(&c, i);
        assert_int_equal((uintptr_t)first[i] % 64, 0);
        for (unsigned w = 0; w < 8; w++)
            assert_int_equal(first[i]->words[w], 0);
        memset(first[i], (int)i + 1, sizeof *first[i]);
    }
    assert_int_equal(c.count, (1000 + KI_CHUNK_ITEMS - 1) / KI_CHUNK_ITEMS); /* no more than one chunk to spare */
    for (uint32_t i = 0; i < 1000; i++) {
        assert_ptr_equal(at(&c, i), first[i]);
        assert_int_equal(first[i]->words[7] & 0xff, (i + 1) & 0xff);
    }
    ki_chunks_free(&c, &mem);
    assert_int_equal(mem.used, 0);
    assert_true(ki_chunks_reserve(&c, &mem, 1)); /* ready for use again */
    ki_chunks_free(&c, &mem);
    assert_int_equal(mem.used, 0);
}

/* Other sizes do not fill their lines, but the byte that finds the block again is never one of theirs. */
static void any_size_is_freed(void **state)
{
    (void)state;
    for (size_t size = 1; size < 100; size++) {
        struct ki_mem mem;
        struct ki_chunks c;
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        ki_chunks_init(&c, size);
        assert_true(ki_chunks_reserve(&c, &mem, 200));
        for (uint32_t i = 0; i < 200; i++)
            memset(ki_chunks_at(&c, i, size), 0xff, size);
        ki_chunks_free(&c, &mem);
        assert_int_equal(mem.used, 0);
    }
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_chunks c;
    unsigned failed = 0;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_chunks_init(&c, sizeof(struct item));
    for (uint32_t i = 0; i < 5 * KI_CHUNK_ITEMS; i++) {
        mem.max = mem.used + 16 + (i % 2 ? sizeof(uint8_t *) : 0); /* never enough for a chunk */
        bool fits = i < c.count * KI_CHUNK_ITEMS;
        assert_int_equal(ki_chunks_reserve(&c, &mem, i + 1), fits);
        failed += !fits;
        mem.max = 0;
        assert_true(ki_chunks_reserve(&c, &mem, i + 1));
        at(&c, i)->words[0] = i;
    }
    assert_int_equal(failed, 5);
    for (uint32_t i = 0; i < 5 * KI_CHUNK_ITEMS; i++)
        assert_int_equal(at(&c, i)->words[0], i);
    ki_chunks_free(&c, &mem);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay),
        cmocka_unit_test(any_size_is_freed),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
