/* Tables for src/wire/aggregate.c: each message both ways, cut at every length, one byte too many, and what is out of its
 * range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/real.h"
#include "unit/hex.h"
#include "wire/aggregate.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)

static uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    if (len)
        memcpy(exact, bytes, len);
    return exact;
}

static void same_bytes(const struct ki_writer *w, const char *hex)
{
    uint8_t want[512];
    size_t len = hex_bytes(hex, want, sizeof want);
    assert_false(w->full);
    assert_true(ki_span_equal(ki_span(w->start, w->len), ki_span(want, len)));
}

/* ---- roots ---- */

static bool takes_root(const char *hex, size_t len, struct ki_bucket *bucket, uint64_t *root)
{
    uint8_t bytes[64];
    size_t all = hex_bytes(hex, bytes, sizeof bytes);
    uint8_t *exact = exact_copy(bytes, len > all ? all : len);
    struct ki_reader r = ki_reader(exact, len > all ? all : len);
    bool fine = ki_decode_aggregates_root(&r, bucket, root);
    free(exact);
    return fine;
}

static void roots(void **state)
{
    (void)state;
    uint8_t buf[64];
    uint64_t root;
    struct ki_bucket bucket = {.bits = 3, .at = 5};
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_aggregates_root(&w, &bucket, 0x0102030405060708);
    same_bytes(&w, "4b30 03 0005 0102030405060708");
    for (size_t len = 0; len <= 11; len++)
        assert_int_equal(takes_root("03 0005 0102030405060708", len, &bucket, &root), len == 11);
    assert_true(bucket.bits == 3 && bucket.at == 5 && root == 0x0102030405060708);
    assert_false(takes_root("03 0005 0102030405060708 00", 12, &bucket, &root));
    assert_false(takes_root("03 0008 0102030405060708", 11, &bucket, &root)); /* there are 8 */
    assert_false(takes_root("00 0001 0102030405060708", 11, &bucket, &root));
    assert_false(takes_root("11 0000 0102030405060708", 11, &bucket, &root));
    assert_true(takes_root("10 ffff 0102030405060708", 11, &bucket, &root) && bucket.at == 0xffff);
}

/* ---- heads ---- */

#define HEAD_1 "02 6b31 0102030405060708 ac02"
#define HEAD_2 "01 61 ffffffffffffffff 00"

static void heads(void **state)
{
    (void)state;
    uint8_t buf[512], bytes[512];
    const struct ki_aggregate_head first = {.name = TEXT("k1"), .generation = 0x0102030405060708, .head = 300},
                                   second = {.name = TEXT("a"), .generation = UINT64_MAX};
    struct ki_bucket bucket = {.bits = 1, .at = 1};
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_aggregates_heads_front(&w, &bucket, true);
    ki_encode_aggregates_head(&w, &first);
    ki_encode_aggregates_head(&w, &second);
    same_bytes(&w, "4b31 01 0001 01" HEAD_1 HEAD_2);
    for (size_t cut = 0; cut <= w.len - 2; cut++) {
        uint8_t *exact = exact_copy(buf + 2, cut);
        struct ki_reader r = ki_reader(exact, cut);
        struct ki_aggregate_head head;
        bool is_whole = false, fine = ki_decode_aggregates_heads_front(&r, &bucket, &is_whole);
        unsigned count = 0;
        for (; fine && r.left > 0; count += fine)
            fine = ki_decode_aggregates_head(&r, &head);
        assert_int_equal(fine, cut == 4 || cut == 4 + 13 || cut == w.len - 2);
        assert_int_equal(count, cut == w.len - 2 ? 2 : cut >= 17 ? 1 : 0);
        assert_true(cut < 4 || is_whole);
        free(exact);
    }
    w = ki_writer(buf, sizeof buf);
    ki_encode_aggregates_want_front(&w);
    ki_encode_aggregates_head(&w, &first);
    same_bytes(&w, "4b32" HEAD_1);
    static const char *const wrong[] = {"00 0102030405060708 01", /* nobody */
                                        "01 61 0102030405060708 80808080808080808001", /* 2^63 */
                                        "01 61 0102030405060708 8100"}; /* 1, not in its shortest form */
    for (size_t i = 0; i < KI_COUNT(wrong); i++) {
        struct ki_aggregate_head head;
        struct ki_reader r = ki_reader(bytes, hex_bytes(wrong[i], bytes, sizeof bytes));
        assert_false(ki_decode_aggregates_head(&r, &head));
    }
    bool is_whole;
    struct ki_reader r = ki_reader(bytes, hex_bytes("00 0000 02", bytes, sizeof bytes));
    assert_false(ki_decode_aggregates_heads_front(&r, &bucket, &is_whole));
}

/* ---- values ---- */

#define TABLE "02 03 414243 00 1112131415161718"
#define OWNER "02 6b31 0102030405060708 05 ac02 01 02"
#define VALUE_1 "01 01 3ff8000000000000"
#define VALUE_2 "00 ab02 7ff0000000000000"
#define ANNOUNCED "01 61 ffffffff00000000 00 00 00 00"

static bool values_fine(const uint8_t *bytes, size_t len)
{
    struct ki_values_table table;
    uint8_t *exact = exact_copy(bytes, len);
    struct ki_reader r = ki_reader(exact, len);
    bool fine = ki_decode_values_table(&r, &table) && ki_values_fine(r, &table);
    free(exact);
    return fine;
}

static void values(void **state)
{
    (void)state;
    uint8_t buf[512];
    const struct ki_values_schema named = {.bytes = TEXT("ABC")}, known = {.id = 0x1112131415161718};
    const struct ki_values_owner owner = {.name = TEXT("k1"), .generation = 0x0102030405060708, .base = 5, .last = 305,
                                          .is_off = true, .count = 2};
    const struct ki_values_owner nothing = {.name = TEXT("a"), .generation = 0xffffffff00000000};
    const struct ki_value first = {.version = 6, .schema = 1, .value = 1.5};
    const struct ki_value second = {.version = 305, .schema = 0, .value = ki_real_of(0x7ff0000000000000)};
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_values_front(&w, KI_AGGREGATES_VALUES_ON, 2);
    ki_encode_values_schema(&w, &named);
    ki_encode_values_schema(&w, &known);
    ki_encode_values_owner(&w, &owner);
    ki_encode_value(&w, 5, &first);
    ki_encode_value(&w, 6, &second);
    ki_encode_values_owner(&w, &nothing);
    same_bytes(&w, "4b34" TABLE OWNER VALUE_1 VALUE_2 ANNOUNCED);

    struct ki_reader r = ki_reader(buf + 2, w.len - 2);
    struct ki_values_table table;
    struct ki_values_owner part;
    struct ki_value value;
    assert_true(ki_decode_values_table(&r, &table) && table.count == 2 && ki_values_fine(r, &table));
    assert_true(ki_span_equal(table.schemas[0].bytes, TEXT("ABC")) && table.schemas[1].bytes.len == 0);
    assert_true(table.schemas[1].id == 0x1112131415161718);
    assert_true(ki_decode_values_owner(&r, &part) && part.base == 5 && part.last == 305 && part.is_off && part.count == 2);
    assert_true(ki_decode_value(&r, &table, &part, 5, &value) && value.version == 6 && value.value == 1.5);
    assert_true(ki_decode_value(&r, &table, &part, 6, &value) && value.version == 305 && value.schema == 0);
    assert_true(ki_decode_values_owner(&r, &part) && part.last == 0 && part.count == 0 && !part.is_off && r.left == 0);
    for (size_t cut = 0; cut < w.len - 2; cut++) { /* it may end only behind the table and behind an owner's values */
        bool whole = cut == 14 || cut == w.len - 2 - 14;
        assert_int_equal(values_fine(buf + 2, cut), whole);
    }
}

static void wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fine;
    } rows[] = {
        {TABLE OWNER VALUE_1 VALUE_2, true},
        {"00", true},
        {"00" ANNOUNCED, true},
        {"41", false}, /* 65 schemas */
        {TABLE "02 6b31 0102030405060708 05 ac02 02 02" VALUE_1 VALUE_2, false}, /* another flag */
        {TABLE "02 6b31 0102030405060708 05 ac02 01 03" VALUE_1 VALUE_2, false}, /* a value is missing */
        {TABLE "02 6b31 0102030405060708 05 ac02 01 01" VALUE_1 VALUE_2, false}, /* and one too many, which is no owner */
        {TABLE "02 6b31 0102030405060708 05 01 00 02" VALUE_1 VALUE_1, false},   /* more values than versions */
        {TABLE "02 6b31 0102030405060708 05 01 00 01 01 02 3ff8000000000000", false}, /* above the last */
        {TABLE "02 6b31 0102030405060708 05 01 00 01 01 00 3ff8000000000000", false}, /* not above the base */
        {TABLE "02 6b31 0102030405060708 05 01 00 01 02 01 3ff8000000000000", false}, /* no such schema */
        {"00 02 6b31 0102030405060708 80808080808080808001 00 00 00", false},         /* base 2^63 */
        {"00 02 6b31 0102030405060708 ffffffffffffffff7f 01 00 00", false},           /* last 2^63 */
        {"00 02 6b31 0102030405060708 ffffffffffffffff7f 00 00 00", true},
        {"00 00 0102030405060708 00 00 00 00", false}, /* nobody */
        {"00 02 6b31 0102030405060708 05 ffffffffffffffffff01 01 ffffffffffffffffff01", false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[256];
        size_t len = hex_bytes(rows[i].hex, bytes, sizeof bytes);
        if (values_fine(bytes, len) != rows[i].fine)
            fail_msg("row %zu", i);
    }
}

/* What is reserved for one is enough for the largest. */
static void the_largest_fit(void **state)
{
    (void)state;
    static uint8_t name[255];
    uint8_t buf[512];
    const struct ki_aggregate_head head = {.name = ki_span(name, 255), .generation = UINT64_MAX, .head = INT64_MAX};
    const struct ki_values_owner owner = {.name = ki_span(name, 255), .generation = UINT64_MAX, .base = INT64_MAX,
                                          .last = INT64_MAX, .count = UINT64_MAX};
    const struct ki_value value = {.version = INT64_MAX, .schema = KI_VALUES_SCHEMAS_MAX - 1};
    const struct ki_bucket bucket = {.bits = 16, .at = 0xffff};
    struct ki_writer w = ki_writer(buf, KI_AGGREGATE_HEAD_MAX);
    ki_encode_aggregates_head(&w, &head);
    assert_false(w.full);
    w = ki_writer(buf, KI_VALUES_OWNER_MAX);
    ki_encode_values_owner(&w, &owner);
    assert_false(w.full);
    w = ki_writer(buf, KI_VALUE_MAX);
    ki_encode_value(&w, 0, &value);
    assert_false(w.full);
    w = ki_writer(buf, KI_AGGREGATE_FRONT);
    ki_encode_aggregates_heads_front(&w, &bucket, true);
    assert_false(w.full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots),        cmocka_unit_test(heads),          cmocka_unit_test(values),
        cmocka_unit_test(wrong_values), cmocka_unit_test(the_largest_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
