/* Names and who is interested in them when memory is out: each allocation fails in turn, and what was there stays.  The code
 * is compiled in here, with an allocator that fails when it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int calls_left; /* allocations that still succeed */

static void *memory_malloc(size_t size)
{
    return calls_left-- > 0 ? malloc(size) : NULL;
}

static void *memory_calloc(size_t count, size_t size)
{
    return calls_left-- > 0 ? calloc(count, size) : NULL;
}

#define malloc memory_malloc
#define calloc memory_calloc
#include "agent/redis_names.c"
#undef malloc
#undef calloc

enum { NAMES = 40 }; /* more than the table holds at first */

static void name_of(size_t i, char out[16])
{
    snprintf(out, 16, "name %zu", i);
}

static void check(const struct ki_redis_names *names, const struct ki_redis_names_user *user, size_t count)
{
    assert_int_equal(names->count, count);
    assert_int_equal(user->count, count);
    for (size_t i = 0; i < NAMES; i++) {
        char name[16];
        name_of(i, name);
        assert_int_equal(ki_redis_names_find(names, ki_span(name, strlen(name))) != NULL, i < count);
    }
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct ki_redis_names names;
    struct ki_redis_names_user user;
    ki_redis_names_init(&names, (const uint8_t[16]){7});
    ki_redis_names_user_init(&user, NULL);
    for (size_t i = 0; i < NAMES; i++) {
        char name[16];
        name_of(i, name);
        int result = -1;
        for (int calls = 0; result < 0; calls++) {
            assert_true(calls < 5);
            calls_left = calls;
            result = ki_redis_names_add(&names, &user, ki_span(name, strlen(name)));
            check(&names, &user, result < 0 ? i : i + 1);
        }
        assert_int_equal(result, 1);
    }
    calls_left = 1; /* for the interest that turns out to be there needs none */
    assert_int_equal(ki_redis_names_add(&names, &user, ki_span("name 3", 6)), 0);
    ki_redis_names_drop_all(&names, &user);
    assert_int_equal(user.bytes, 0);
    ki_redis_names_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
