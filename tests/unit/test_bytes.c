/* Reading and writing at and beyond the ends, and the numbers in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "unit/hex.h"

static const struct {
    uint64_t value;
    size_t len;
    const char *hex;
} numbers[] = {
    {0, 1, "00"},
    {0xff, 1, "ff"},
    {0x1234, 2, "1234"},
    {0x1f97, 3, "001f97"},
    {0xdeadbeef, 4, "deadbeef"},
    {0xdeadbeef, 5, "00deadbeef"},
    {UINT64_C(0x0102030405060708), 8, "0102030405060708"},
    {UINT64_MAX, 8, "ffffffffffffffff"},
};

static void test_numbers_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(numbers); i++) {
        uint8_t want[8];
        uint8_t got[8];
        size_t len = hex_bytes(numbers[i].hex, want, sizeof want);
        struct ki_writer w = ki_writer(got, numbers[i].len);
        ki_put_be(&w, numbers[i].value, numbers[i].len);
        assert_false(w.full);
        assert_int_equal(w.len, len);
        assert_memory_equal(got, want, len);
        struct ki_reader r = ki_reader(got, len);
        assert_true(ki_take_be(&r, numbers[i].len) == numbers[i].value);
        assert_false(r.bad);
        assert_int_equal(r.left, 0);
    }
}

/* What was asked of each length of input, and what must be left: read 1, then 2, then 0, then 3. */
static void test_reading_to_the_end(void **state)
{
    (void)state;
    static const uint8_t input[6] = {1, 2, 3, 4, 5, 6};
    for (size_t len = 0; len <= sizeof input; len++) {
        struct ki_reader r = ki_reader(input, len);
        assert_int_equal(ki_take_be(&r, 1), len >= 1 ? 1 : 0);
        assert_int_equal(ki_take_be(&r, 2), len >= 3 ? 0x0203 : 0);
        assert_int_equal(ki_take(&r, 0) != NULL, len >= 3);
        const uint8_t *last = ki_take(&r, 3);
        assert_ptr_equal(last, len >= 6 ? input + 3 : NULL);
        assert_int_equal(r.bad, len < 6);
        assert_int_equal(r.ended, len < 6);
    }
}

static void test_bad_stays_bad(void **state)
{
    (void)state;
    uint8_t input[4] = {9, 9, 9, 9};
    struct ki_reader r = ki_reader(input, sizeof input);
    assert_null(ki_take(&r, 5));
    assert_int_equal(r.left, 4); /* nothing was taken, and nothing more will be */
    assert_null(ki_take(&r, 1));
    assert_null(ki_take(&r, 0));
    assert_int_equal(ki_take_be(&r, 1), 0);
    assert_null(ki_take(&r, SIZE_MAX));
    struct ki_reader empty = ki_reader(NULL, 0);
    assert_null(ki_take(&empty, 1));
    assert_true(empty.bad && empty.ended);
    /* bad for another reason than the end: more bytes will not help */
    r = ki_reader(input, sizeof input);
    r.bad = true;
    assert_null(ki_take(&r, 5));
    assert_false(r.ended);
}

static void test_full_stays_full(void **state)
{
    (void)state;
    uint8_t out[5] = {0xee, 0xee, 0xee, 0xee, 0xee};
    struct ki_writer w = ki_writer(out, 4);
    ki_put_u8(&w, 1);
    ki_put(&w, "\2\3", 2);
    ki_put(&w, NULL, 0);
    assert_null(ki_reserve(&w, SIZE_MAX));
    assert_true(w.full);
    ki_put_u8(&w, 4); /* would fit, but something before it is missing */
    ki_put_be(&w, 5, 1);
    assert_int_equal(w.len, 3);
    assert_memory_equal(out, "\1\2\3\xee\xee", 5);
    w = ki_writer(out, 4);
    assert_ptr_equal(ki_reserve(&w, 4), out);
    assert_false(w.full);
    ki_put(&w, NULL, 0);
    assert_false(w.full);
    ki_put_be(&w, 0, 1);
    assert_true(w.full);
    assert_int_equal(out[4], 0xee);
}

static void test_spans(void **state)
{
    (void)state;
    assert_true(ki_span_equal(ki_span("abc", 3), ki_span("abcd", 3)));
    assert_false(ki_span_equal(ki_span("abc", 3), ki_span("abc", 2)));
    assert_false(ki_span_equal(ki_span("abc", 3), ki_span("abd", 3)));
    assert_true(ki_span_equal(ki_span(NULL, 0), ki_span("x", 0)));
    assert_int_equal(ki_min_u64(3, UINT64_MAX), 3);
    assert_true(ki_max_u64(3, UINT64_MAX) == UINT64_MAX);
    assert_int_equal(ki_min_size(5, 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_both_ways),   cmocka_unit_test(test_reading_to_the_end),
        cmocka_unit_test(test_bad_stays_bad),       cmocka_unit_test(test_full_stays_full),
        cmocka_unit_test(test_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
