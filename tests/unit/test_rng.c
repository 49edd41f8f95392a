/* xoshiro256** and splitmix64 against published values; draws below a bound are uniform and in range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

/* the authors' generator started at state 1, 2, 3, 4 */
static const uint64_t from_1234[] = {
    11520,
    0,
    1509978240,
    UINT64_C(1215971899390074240),
    UINT64_C(1216172134540287360),
    UINT64_C(607988272756665600),
    UINT64_C(16172922978634559625),
    UINT64_C(8476171486693032832),
    UINT64_C(10595114339597558777),
    UINT64_C(2904607092377533576),
};

static void test_known_values(void **state)
{
    (void)state;
    struct ki_rng rng = {.s = {1, 2, 3, 4}};
    for (size_t i = 0; i < KI_COUNT(from_1234); i++)
        assert_true(ki_rng_next(&rng) == from_1234[i]);
}

static void test_seed_is_spread_by_splitmix64(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 1234567);
    assert_true(rng.s[0] == UINT64_C(6457827717110365317));
    assert_true(rng.s[1] == UINT64_C(3203168211198807973));
    assert_true(rng.s[2] == UINT64_C(9817491932198370423));
    assert_true(rng.s[3] == UINT64_C(4593380528125082431));
    ki_rng_init(&rng, 0);
    assert_true((rng.s[0] | rng.s[1] | rng.s[2] | rng.s[3]) != 0);
}

static const uint64_t bounds[] = {
    1,
    2,
    3,
    7,
    10,
    1000,
    UINT32_MAX - 1,
    UINT32_MAX,
    UINT64_C(1) << 32,
    (UINT64_C(1) << 32) + 1,
    UINT64_C(3) << 62,
    UINT64_MAX,
};

/* Every eighth of the range gets its share, within 6 standard deviations; nothing lies outside. */
static void test_below_is_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 80000 };
    for (size_t i = 0; i < KI_COUNT(bounds); i++) {
        struct ki_rng rng;
        ki_rng_init(&rng, i);
        uint32_t seen[8] = {0};
        for (int n = 0; n < DRAWS; n++) {
            uint64_t value = ki_rng_below(&rng, bounds[i]);
            assert_true(value < bounds[i]);
            seen[bounds[i] < 8 ? value : value / (bounds[i] / 8 + (bounds[i] % 8 > 0))]++;
        }
        if (bounds[i] == 1000 || bounds[i] > UINT16_MAX) {
            for (size_t part = 0; part < 8; part++)
                assert_in_range(seen[part], DRAWS / 8 - 600, DRAWS / 8 + 600);
        }
        for (size_t value = 0; bounds[i] < 8 && value < bounds[i]; value++)
            assert_in_range(seen[value], DRAWS / bounds[i] - 900, DRAWS / bounds[i] + 900);
    }
}

/* The draws that would favour some results are thrown away: a million and three does not divide 2^32,
 * and a word of zero gives a product whose low half is below the remainder. */
static void test_unfair_draw_is_repeated(void **state)
{
    (void)state;
    struct ki_rng zero = {.s = {1, 0, 0, 0}}; /* s[1] = 0: the next word is 0 */
    struct ki_rng after = zero;
    assert_true(ki_rng_next(&after) == 0);
    assert_true(ki_rng_next(&after) == 5760); /* high half 0 again, so it is drawn again too */
    uint64_t word;
    do
        word = ki_rng_next(&after);
    while (word >> 32 == 0);
    assert_true((word >> 32) * 1000003 >> 32 > 0);
    assert_true(ki_rng_below(&zero, 1000003) == (word >> 32) * 1000003 >> 32);

    struct ki_rng large = {.s = {1, 0, 0, 0}};
    struct ki_rng plain = large;
    uint64_t bound = UINT64_C(3) << 62; /* words below 2^64 mod bound = 2^62 are unfair */
    do
        word = ki_rng_next(&plain);
    while (word < UINT64_C(1) << 62);
    assert_true(ki_rng_below(&large, bound) == word % bound);
}

/* Three of seven: each of the 35 sets gets its share, within 6 standard deviations. */
static void test_sample_takes_each_set_alike(void **state)
{
    (void)state;
    enum { DRAWS = 70000, EACH = DRAWS / 35 };
    struct ki_rng rng;
    uint32_t seen[128] = {0}, chosen[3];
    ki_rng_init(&rng, 1);
    for (int n = 0; n < DRAWS; n++) {
        unsigned set = 0;
        assert_int_equal(ki_rng_sample(&rng, 7, 3, chosen), 3);
        for (size_t i = 0; i < 3; i++) {
            assert_true(chosen[i] < 7 && !(set & 1u << chosen[i]));
            set |= 1u << chosen[i];
        }
        seen[set]++;
    }
    unsigned sets = 0;
    for (unsigned set = 0; set < KI_COUNT(seen); set++) {
        if (seen[set] == 0)
            continue;
        assert_in_range(seen[set], EACH - 270, EACH + 270);
        sets++;
    }
    assert_int_equal(sets, 35);
}

static void test_sample_of_all(void **state)
{
    (void)state;
    struct ki_rng rng;
    uint32_t chosen[4] = {9, 9, 9, 9};
    ki_rng_init(&rng, 1);
    assert_int_equal(ki_rng_sample(&rng, 0, 4, chosen), 0);
    assert_int_equal(ki_rng_sample(&rng, 5, 0, chosen), 0);
    assert_int_equal(chosen[0], 9);
    assert_int_equal(ki_rng_sample(&rng, 3, 4, chosen), 3);
    assert_int_equal(chosen[2], 2);
    assert_int_equal(chosen[3], 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_seed_is_spread_by_splitmix64),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_unfair_draw_is_repeated),
        cmocka_unit_test(test_sample_takes_each_set_alike),
        cmocka_unit_test(test_sample_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
