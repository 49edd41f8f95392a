/* base/real.c: the root is the C library's, to the last bit: about squares, at the ends of the range, among numbers that
 * have no implied leading 1, and at random. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/real.h"
#include "base/rng.h"

static void same(double value)
{
    double mine = ki_sqrt_real(value), theirs = sqrt(value);
    if (memcmp(&mine, &theirs, sizeof mine) != 0)
        fail_msg("the root of %a is %a, not %a", value, theirs, mine);
}

static void root_of_the_ends(void **state)
{
    (void)state;
    same(0.0);
    same(DBL_MAX);
    same(DBL_MIN);
    same(nextafter(DBL_MIN, 0));
    same(0x1p-1074);
    same((double)INFINITY);
    assert_true(isnan(ki_sqrt_real((double)NAN)));
    for (int exponent = -1074; exponent < 1024; exponent++) {
        same(ldexp(1, exponent));
        same(nextafter(ldexp(1, exponent), (double)INFINITY));
        same(nextafter(ldexp(1, exponent), 0));
        same(ldexp(0x1.fffffffffffffp0, exponent));
    }
}

static void root_about_squares(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 4);
    for (int i = 0; i < 200000; i++) {
        double root = (double)(ki_rng_next(&rng) >> (11 + i % 40));
        same(root * root);
        same(nextafter(root * root, (double)INFINITY));
        same(nextafter(root * root, 0));
        /* half way between two roots is where rounding is hardest */
        double between = (double)(ki_rng_next(&rng) >> 38) + 0.5;
        same(between * between);
    }
}

static void root_of_any_bits(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 5);
    for (int i = 0; i < 1000000; i++) {
        uint64_t bits = ki_rng_next(&rng) >> 1;
        double value;
        memcpy(&value, &bits, sizeof value);
        if (ki_is_finite(value))
            same(value);
    }
}

static void finite_or_not(void **state)
{
    (void)state;
    assert_true(ki_is_finite(0) && ki_is_finite(-DBL_MAX) && ki_is_finite(DBL_MAX) && ki_is_finite(0x1p-1074));
    assert_false(ki_is_finite((double)INFINITY) || ki_is_finite(-(double)INFINITY) || ki_is_finite((double)NAN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_of_the_ends),
        cmocka_unit_test(root_about_squares),
        cmocka_unit_test(root_of_any_bits),
        cmocka_unit_test(finite_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
