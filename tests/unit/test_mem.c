/* Counting, the limit, and failing hooks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

enum { HEAD = 16 };

struct hooks { /* fails the call number fail_at, and counts what lives */
    int calls;
    int fail_at;
    int living;
};

static void *hook_resize(void *arg, void *ptr, size_t size)
{
    struct hooks *hooks = arg;
    if (++hooks->calls == hooks->fail_at)
        return NULL;
    hooks->living += ptr == NULL;
    return realloc(ptr, size);
}

static void hook_release(void *arg, void *ptr)
{
    struct hooks *hooks = arg;
    hooks->living--;
    free(ptr);
}

static void test_count_is_exact(void **state)
{
    (void)state;
    struct hooks hooks = {0};
    struct ki_mem mem;
    ki_mem_init(&mem, hook_resize, hook_release, &hooks, 0);
    char *a = ki_mem_new(&mem, 100);
    assert_int_equal(mem.used, 100 + HEAD);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(a[i], 0);
    char *b = ki_mem_copy(&mem, "news", 5);
    assert_string_equal(b, "news");
    assert_int_equal(mem.used, 105 + 2 * HEAD);
    memset(a, 7, 100);
    a = ki_mem_resize(&mem, a, 1000);
    assert_int_equal(mem.used, 1005 + 2 * HEAD);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(a[i], 7);
    a = ki_mem_resize(&mem, a, 10);
    assert_int_equal(mem.used, 15 + 2 * HEAD);
    void *nothing = ki_mem_new(&mem, 0);
    assert_non_null(nothing);
    void *empty = ki_mem_copy(&mem, NULL, 0);
    assert_non_null(empty);
    assert_int_equal(mem.used, 15 + 4 * HEAD);
    assert_int_equal(hooks.living, 4);
    ki_mem_free(&mem, nothing);
    ki_mem_free(&mem, a);
    ki_mem_free(&mem, NULL);
    assert_int_equal(mem.used, 5 + 2 * HEAD);
    assert_int_equal(hooks.living, 2);
    assert_int_equal(mem.failures, 0);
    ki_mem_free(&mem, b);
    ki_mem_free(&mem, empty);
    assert_int_equal(mem.used, 0);
    assert_int_equal(hooks.living, 0);
}

static void test_blocks_are_aligned(void **state)
{
    (void)state;
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    for (size_t size = 0; size < 70; size++) {
        void *ptr = ki_mem_new(&mem, size);
        assert_int_equal((uintptr_t)ptr % _Alignof(max_align_t), 0);
        ki_mem_free(&mem, ptr);
    }
    assert_int_equal(mem.used, 0);
}

static void test_limit(void **state)
{
    (void)state;
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 200);
    char *a = ki_mem_new(&mem, 100 - HEAD);
    assert_non_null(a);
    assert_null(ki_mem_new(&mem, 101 - HEAD)); /* one byte too many */
    assert_int_equal(mem.failures, 1);
    char *b = ki_mem_new(&mem, 100 - HEAD);
    assert_non_null(b);
    assert_int_equal(mem.used, 200);
    memset(a, 7, 100 - HEAD);
    assert_null(ki_mem_resize(&mem, a, 101 - HEAD));
    assert_null(ki_mem_copy(&mem, "x", 1));
    assert_int_equal(mem.failures, 3);
    assert_int_equal(mem.used, 200);
    for (size_t i = 0; i < 100 - HEAD; i++)
        assert_int_equal(a[i], 7);
    a = ki_mem_resize(&mem, a, 50 - HEAD); /* shrinking is always allowed, */
    mem.max = 100;                         /* even beyond the limit */
    b = ki_mem_resize(&mem, b, 90 - HEAD);
    assert_non_null(b);
    assert_int_equal(mem.used, 140);
    assert_null(ki_mem_resize(&mem, b, 91 - HEAD));
    ki_mem_free(&mem, a);
    ki_mem_free(&mem, b);
    assert_int_equal(mem.used, 0);
}

static void test_failing_hooks(void **state)
{
    (void)state;
    struct hooks hooks = {.fail_at = 2};
    struct ki_mem mem;
    ki_mem_init(&mem, hook_resize, hook_release, &hooks, 0);
    char *a = ki_mem_copy(&mem, "kept", 5);
    assert_null(ki_mem_resize(&mem, a, 5000));
    assert_string_equal(a, "kept");
    assert_int_equal(mem.used, 5 + HEAD);
    hooks.fail_at = 3;
    assert_null(ki_mem_new(&mem, 1));
    hooks.fail_at = 4;
    assert_null(ki_mem_copy(&mem, a, 5));
    assert_int_equal(mem.failures, 3);
    /* sizes that would wrap never reach the hooks */
    assert_null(ki_mem_new(&mem, SIZE_MAX));
    assert_null(ki_mem_resize(&mem, a, SIZE_MAX - HEAD + 1));
    assert_int_equal(hooks.calls, 4);
    assert_int_equal(mem.failures, 5);
    ki_mem_free(&mem, a);
    assert_int_equal(mem.used, 0);
    assert_int_equal(hooks.living, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_is_exact),
        cmocka_unit_test(test_blocks_are_aligned),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_failing_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
