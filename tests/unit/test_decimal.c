/* base/decimal.c: what it reads is what the C library reads, to the last bit: written out in many ways, half way between two
 * doubles, at the ends of the range; and what is no number is refused, and changes nothing. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.h"
#include "base/real.h"
#include "base/rng.h"

static bool reads(const char *text, double *out)
{
    size_t len = strlen(text);
    char *exact = malloc(len ? len : 1); /* not a byte behind it is looked at */
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool fine = ki_decimal_read(ki_span(exact, len), out);
    free(exact);
    return fine;
}

static void same(const char *text)
{
    double mine = 7, theirs = strtod(text, NULL);
    bool fine = reads(text, &mine);
    if (fine != (bool)ki_is_finite(theirs))
        fail_msg("'%s' is %s", text, fine ? "read" : "refused");
    if (fine && ki_real_bits(mine) != ki_real_bits(theirs))
        fail_msg("'%s' is read as %a, not %a", text, mine, theirs);
    if (!fine)
        assert_true(mine == 7.0);
}

static void in_many_forms(void **state)
{
    static const char *const texts[] = {
        "0", "-0", "0.0e999999999999", "1", "+1", "-1", "12", "0012.500", ".5", "5.", "-.5e-3", "7E9", "7e+9", "1e0",
        "0.42\n", " \t3 \r\n", "9007199254740993", "9007199254740992.5", "9007199254740993.00000000000000000000000000001",
        "1e23", "8.5e22", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1e308", "1e309",
        "-1e309", "123456789e400", "1e99999", "2.2250738585072014e-308", "2.2250738585072011e-308",
        "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "7.4109846876186982e-324",
        "1e-323", "1e-400", "1e-99999", "0.0000000000000000000000000000000000000000000000000000000000001",
        "9999999999999999999999999999999999999999999999e-330", "0.30000000000000004", "5e-324",
        "1234567890123456789012345678901234567890123456789012345678901234"};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(texts); i++)
        same(texts[i]);
}

static void what_is_no_number(void **state)
{
    static const char *const texts[] = {
        "", " ", "\n", "+", "-", ".", "e5", "1e", "1e+", "1e+-5", "--1", "+-1", "1.2.3", "1 2", "0x10", "inf", "-Infinity",
        "nan", "1,5", "12 load", "load 12", "1e5.0", "1f", "\xff",
        "12345678901234567890123456789012345678901234567890123456789012345"};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(texts); i++) {
        double value = 7;
        if (reads(texts[i], &value) || value < 7 || value > 7)
            fail_msg("'%s' is read as %g", texts[i], value);
    }
    double value = 7;
    assert_false(ki_decimal_read(ki_span("1\0", 2), &value));
    assert_false(ki_decimal_read(ki_span(NULL, 0), &value));
}

/* As it is printed, with as many digits as tell it from its neighbours, with fewer, and with all that it has. */
static void any_double(void **state)
{
    struct ki_rng rng;
    (void)state;
    ki_rng_init(&rng, 6);
    for (int i = 0; i < 200000; i++) {
        double value = ki_real_of(ki_rng_next(&rng));
        char text[64];
        if (!ki_is_finite(value))
            continue;
        snprintf(text, sizeof text, "%.*e", (int)(ki_rng_next(&rng) % 52), value);
        same(text);
        snprintf(text, sizeof text, "%.17g", value);
        same(text);
        double mine;
        assert_true(reads(text, &mine) && ki_real_bits(mine) == ki_real_bits(value));
    }
}

/* Numbers as people write them. */
static void any_text(void **state)
{
    struct ki_rng rng;
    (void)state;
    ki_rng_init(&rng, 7);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        uint64_t whole = ki_rng_next(&rng) >> ki_rng_next(&rng) % 64, behind = ki_rng_next(&rng) >> ki_rng_next(&rng) % 64;
        int exponent = (int)(ki_rng_next(&rng) % 700) - 350;
        snprintf(text, sizeof text, i % 3 ? "%" PRIu64 ".%" PRIu64 "e%d" : "-%" PRIu64 ".%" PRIu64, whole, behind, exponent);
        same(text);
    }
}

/* Half way between two doubles, exactly and a hair beside it. */
static void half_way(void **state)
{
    struct ki_rng rng;
    (void)state;
    ki_rng_init(&rng, 8);
    for (int i = 0; i < 50000; i++) {
        char text[64];
        uint64_t odd = (ki_rng_next(&rng) >> 10 | UINT64_C(1) << 53) | 1; /* 54 bits, the last one set */
        snprintf(text, sizeof text, "%" PRIu64, odd);
        same(text);
        snprintf(text, sizeof text, "%" PRIu64 ".0000000000000000000000001", odd);
        same(text);
        snprintf(text, sizeof text, "%" PRIu64 ".9999999999999999999999999", odd - 1);
        same(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_many_forms), cmocka_unit_test(what_is_no_number), cmocka_unit_test(any_double),
        cmocka_unit_test(any_text),      cmocka_unit_test(half_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
