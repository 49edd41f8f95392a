/* serf/seen.c against a model that keeps everything: the first time, and as far back as the ring goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serf/seen.h"

static void ring_remembers_exactly_its_length(void **state)
{
    (void)state;
    struct ki_seen seen = {.next = 0};
    for (uint64_t i = 0; i < KI_SEEN_COUNT; i++)
        assert_true(ki_seen_first(&seen, i));
    for (uint64_t i = 0; i < KI_SEEN_COUNT; i++)
        assert_false(ki_seen_first(&seen, i)); /* a repetition takes no place */
    assert_true(ki_seen_first(&seen, 1000000)); /* pushes out 0 alone */
    assert_false(ki_seen_first(&seen, 1));
    assert_true(ki_seen_first(&seen, 0)); /* pushes out 1 */
    assert_true(ki_seen_first(&seen, 1));
    assert_false(ki_seen_first(&seen, 1000000));
}

static void zero_is_a_hash_like_any_other(void **state)
{
    (void)state;
    struct ki_seen seen = {.next = 0};
    assert_true(ki_seen_first(&seen, 0));
    assert_false(ki_seen_first(&seen, 0));
}

static void random_hashes_agree_with_a_model(void **state)
{
    (void)state;
    static uint64_t entered[20000]; /* in order */
    size_t count = 0;
    struct ki_seen seen = {.next = 0};
    struct ki_rng rng;
    ki_rng_init(&rng, 7);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t hash = ki_rng_below(&rng, 900);
        bool known = false;
        for (size_t back = 0; back < KI_SEEN_COUNT && back < count; back++)
            known = known || entered[count - 1 - back] == hash;
        assert_true(ki_seen_first(&seen, hash) == !known);
        if (!known)
            entered[count++] = hash;
    }
    assert_true(count > 2 * KI_SEEN_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_remembers_exactly_its_length),
        cmocka_unit_test(zero_is_a_hash_like_any_other),
        cmocka_unit_test(random_hashes_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
