/* The payload of an ack: that of a running Serf 0.9.4 in both directions, the other forms, cut at every length, and what
 * is refused. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/serf_coordinate.h"

/* What an agent alone in its pool answers. */
#define NEW_HEX                                                                                                        \
    "01 84 aa41646a7573746d656e74 cb0000000000000000 a54572726f72 cb3ff8000000000000 a6486569676874 cb3ee4f8b588e368f1" \
    "a3566563 98 cb0000000000000000 cb0000000000000000 cb0000000000000000 cb0000000000000000"                          \
    "cb0000000000000000 cb0000000000000000 cb0000000000000000 cb0000000000000000"

static uint8_t input[256];

static bool decode(const char *hex, struct ki_coordinate *out)
{
    struct ki_reader r = ki_reader(input, hex_bytes(hex, input, sizeof input));
    return ki_decode_coordinate(&r, out);
}

static void serfs_own(void **state)
{
    (void)state;
    struct ki_coordinate c;
    uint8_t buf[256];
    assert_true(decode(NEW_HEX, &c));
    assert_true(c.error == 1.5 && c.adjustment == 0 && c.height == 1e-5 && c.vec[0] == 0 && c.vec[7] == 0);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_coordinate(&p, &c);
    assert_int_equal(p.w.len, KI_COORDINATE_LEN);
    assert_int_equal(hex_bytes(NEW_HEX, input, sizeof input), KI_COORDINATE_LEN);
    assert_memory_equal(buf, input, KI_COORDINATE_LEN);
}

static void every_number_finds_its_place(void **state)
{
    (void)state;
    struct ki_coordinate c = {.vec = {1, -2, 3, -4, 5, -6, DBL_MAX, 0x1p-1074}, .error = 9, .adjustment = -10, .height = 11};
    struct ki_coordinate back;
    uint8_t buf[KI_COORDINATE_LEN];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_coordinate(&p, &c);
    assert_false(p.w.full);
    struct ki_reader r = ki_reader(buf, p.w.len);
    assert_true(ki_decode_coordinate(&r, &back) && r.left == 0);
    assert_memory_equal(&back, &c, sizeof c);
    for (size_t len = 0; len < p.w.len; len++) {
        r = ki_reader(buf, len);
        assert_false(ki_decode_coordinate(&r, &back));
    }
}

static void other_forms(void **state)
{
    (void)state;
    struct ki_coordinate c, usual = {.vec = {1, -2, 3, -4, 5, -6, 7, -8}, .error = 9, .adjustment = -10, .height = 11};
    /* the usual one with a key more, which is not usual */
    uint8_t buf[KI_COORDINATE_LEN + 3];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_coordinate(&p, &usual);
    ki_put(&p.w, "\xa1x\xc0", 3);
    buf[1] = 0x85;
    struct ki_reader r = ki_reader(buf, p.w.len);
    assert_true(ki_decode_coordinate(&r, &c) && r.left == 0);
    assert_memory_equal(&c, &usual, sizeof c);
    /* as an array, in the order of declaration; with integers and floats; more keys; bytes behind */
    assert_true(decode("01 94 98 01 02 03 04 05 06 07 ff 02 03 04", &c));
    assert_true(c.vec[0] == 1 && c.vec[7] == -1 && c.error == 2 && c.adjustment == 3 && c.height == 4);
    assert_true(decode("01 82 a3566563 98 ca3fc00000 00 00 00 00 00 00 00 a158 9101 ffff", &c));
    assert_true(c.vec[0] == 1.5 && c.error == 0 && c.adjustment == 0 && c.height == 0);
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "01",
        "00 94 98 01 02 03 04 05 06 07 08 02 03 04", /* versions */
        "02 94 98 01 02 03 04 05 06 07 08 02 03 04",
        "01 94 97 01 02 03 04 05 06 07 02 03 04", /* dimensions */
        "01 94 99 01 02 03 04 05 06 07 08 09 02 03 04",
        "01 94 90 02 03 04",
        "01 94 c0 02 03 04",
        "01 80",
        "01 c0",
        "01 94 98 01 02 03 04 05 06 07 c3 02 03 04", /* a bool, a string, a number where the vector belongs */
        "01 94 98 01 02 03 04 05 06 07 08 a132 03 04",
        "01 94 05 02 03 04",
        "01 94 98 01 02 03 04 05 06 07 cb7ff0000000000000 02 03 04", /* infinities and NaNs, everywhere */
        "01 94 98 cbfff0000000000000 02 03 04 05 06 07 08 02 03 04",
        "01 94 98 01 02 03 cb7ff8000000000000 05 06 07 08 02 03 04",
        "01 94 98 01 02 03 04 05 06 07 08 cb7ff0000000000000 03 04",
        "01 94 98 01 02 03 04 05 06 07 08 cb7ff0000000000001 03 04",
        "01 94 98 01 02 03 04 05 06 07 08 02 cbfff0000000000000 04",
        "01 94 98 01 02 03 04 05 06 07 08 02 cb7ff8000000000000 04",
        "01 94 98 01 02 03 04 05 06 07 08 02 03 cb7ff0000000000000",
        "01 94 98 01 02 03 04 05 06 07 08 02 03 cafff8000000000000",
        "01 94 98 01 02 03 04 05 06 07 08 ff 03 04", /* below 0 */
        "01 94 98 01 02 03 04 05 06 07 08 02 03 ff",
    };
    struct ki_coordinate c;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        if (decode(rows[i], &c))
            fail_msg("taken: %s", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serfs_own),
        cmocka_unit_test(every_number_finds_its_place),
        cmocka_unit_test(other_forms),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
