/* The canonical bytes of a cell: one vector of each kind, one row for each reason to refuse, and that nothing else is read
 * than what would be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "hex.h"
#include "store/cell.h"

enum { CELL_CAP = 512 };

static const struct ki_cell_limits limits = {.key_max = 16, .field_max = 12, .value_max = 40};

/* ---- vectors ---- */

/* kind | replica | n | stamp | expires | key | field | value */
static const struct {
    enum ki_kind kind;
    struct ki_dot dot;
    uint64_t stamp, expires_ms;
    const char *key, *field, *value_hex, *hex;
} vectors[] = {
    {KI_KIND_REGISTER, {7, 1}, 0x10000, 0, "k", "", "76616c7565",
     "01 0000000000000007 01 0000000000010000 00 01 6b 00 05 76616c7565"},
    {KI_KIND_REGISTER, {UINT64_MAX, KI_DOT_N_MAX}, UINT64_MAX, UINT64_MAX, "", "", "",
     "01 ffffffffffffffff ffffffffffffffff7f ffffffffffffffff ffffffffffffffffff01 00 00 00"},
    {KI_KIND_COUNT, {0x0102030405060708, 300}, 2, 0, "n", "", "ffffffffffffffff",
     "02 0102030405060708 ac02 0000000000000002 00 01 6e 00 08 ffffffffffffffff"},
    {KI_KIND_REAL, {1, 128}, 2, 0, "n", "", "3ff8000000000000",
     "03 0000000000000001 8001 0000000000000002 00 01 6e 00 08 3ff8000000000000"},
    {KI_KIND_SIBLING, {1, 127}, 2, 0, "s", "", "00",
     "04 0000000000000001 7f 0000000000000002 00 01 73 00 01 00"},
    {KI_KIND_SORTED, {1, 2}, 2, 0, "z", "m", "fff0000000000000",
     "05 0000000000000001 02 0000000000000002 00 01 7a 01 6d 08 fff0000000000000"},
    {KI_KIND_SORTED_REAL, {1, 2}, 2, 0, "z", "m", "8000000000000000",
     "06 0000000000000001 02 0000000000000002 00 01 7a 01 6d 08 8000000000000000"},
    {KI_KIND_SET, {1, 2}, 2, 0, "set", "member", "",
     "07 0000000000000001 02 0000000000000002 00 03 736574 06 6d656d626572 00"},
    {KI_KIND_HASH, {1, 2}, 2, 0, "h", "", "7631",
     "08 0000000000000001 02 0000000000000002 00 01 68 00 02 7631"},
    {KI_KIND_HASH_COUNT, {1, 2}, 2, 0, "h", "f", "0000000000000005",
     "09 0000000000000001 02 0000000000000002 00 01 68 01 66 08 0000000000000005"},
    {KI_KIND_HASH_REAL, {0, 2}, 1, 0, "h", "f", "7ff0000000000000",
     "0a 0000000000000000 02 0000000000000001 00 01 68 01 66 08 7ff0000000000000"},
    {KI_KIND_EXPIRY, {1, 2}, 2, 0, "k", "", "00000190cbe5fc00",
     "0b 0000000000000001 02 0000000000000002 00 01 6b 00 08 00000190cbe5fc00"},
};

static void assert_same(const struct ki_cell_image *a, const struct ki_cell_image *b)
{
    assert_int_equal(ki_dot_compare(a->dot, b->dot), 0);
    assert_int_equal(a->kind, b->kind);
    assert_true(a->stamp == b->stamp && a->expires_ms == b->expires_ms);
    assert_true(ki_span_equal(a->key, b->key) && ki_span_equal(a->field, b->field) && ki_span_equal(a->value, b->value));
}

/* Read whole, it is what was meant; cut short anywhere, more bytes could mend it; one byte of room less, and it does not
 * fit. */
static void check_both_ways(const struct ki_cell_image *image, const uint8_t *bytes, size_t len)
{
    uint8_t written[CELL_CAP], tail[CELL_CAP + 3];
    struct ki_cell_image read;
    struct ki_writer w = ki_writer(written, sizeof written);
    assert_int_equal(ki_cell_size(image), len);
    ki_cell_encode(&w, image);
    assert_int_equal(w.len, len);
    assert_memory_equal(written, bytes, len);
    w = ki_writer(written, len - 1);
    ki_cell_encode(&w, image);
    assert_true(w.full);
    memcpy(tail, bytes, len);
    memset(tail + len, 0xff, 3);
    struct ki_reader r = ki_reader(tail, len + 3); /* what follows is left to be read */
    ki_cell_decode(&r, &limits, &read);
    assert_false(r.bad);
    assert_int_equal(r.left, 3);
    assert_same(&read, image);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact + 1, bytes, cut); /* ends where the block ends */
        r = ki_reader(exact + 1, cut);
        ki_cell_decode(&r, &limits, &read);
        assert_true(r.bad && r.ended);
        free(exact);
    }
}

static void test_vectors(void **state)
{
    (void)state;
    bool seen[KI_KIND_END] = {true};
    for (size_t i = 0; i < KI_COUNT(vectors); i++) {
        uint8_t bytes[CELL_CAP], value[CELL_CAP];
        size_t len = hex_bytes(vectors[i].hex, bytes, sizeof bytes);
        size_t value_len = hex_bytes(vectors[i].value_hex, value, sizeof value);
        struct ki_cell_image image = {.dot = vectors[i].dot,
                                      .kind = vectors[i].kind,
                                      .stamp = vectors[i].stamp,
                                      .expires_ms = vectors[i].expires_ms,
                                      .key = ki_span(vectors[i].key, strlen(vectors[i].key)),
                                      .field = ki_span(vectors[i].field, strlen(vectors[i].field)),
                                      .value = ki_span(value, value_len)};
        check_both_ways(&image, bytes, len);
        seen[image.kind] = true;
    }
    for (size_t kind = 0; kind < KI_KIND_END; kind++)
        assert_true(seen[kind]);
}

/* ---- refusals ---- */

static const struct {
    const char *why, *hex;
} refusals[] = {
    {"kind 0", "00 0000000000000007 01 0000000000010000 00 01 6b 00 00"},
    {"kind 12", "0c 0000000000000007 01 0000000000010000 00 01 6b 00 00"},
    {"kind 255", "ff 0000000000000007 01 0000000000010000 00 01 6b 00 00"},
    {"number 0", "01 0000000000000007 00 0000000000010000 00 01 6b 00 00"},
    {"number 2^63", "01 0000000000000007 80808080808080808001 0000000000010000 00 01 6b 00 00"},
    {"number 2^64 - 1", "01 0000000000000007 ffffffffffffffffff01 0000000000010000 00 01 6b 00 00"},
    {"number of 65 bits", "01 0000000000000007 ffffffffffffffffff02 0000000000010000 00 01 6b 00 00"},
    {"long form of number", "01 0000000000000007 8100 0000000000010000 00 01 6b 00 00"},
    {"stamp 0", "01 0000000000000007 01 0000000000000000 00 01 6b 00 00"},
    {"long form of expiry", "01 0000000000000007 01 0000000000010000 8000 01 6b 00 00"},
    {"long form of key length", "01 0000000000000007 01 0000000000010000 00 8100 6b 00 00"},
    {"long form of field length", "08 0000000000000007 01 0000000000010000 00 01 6b 8100 66 00"},
    {"long form of value length", "01 0000000000000007 01 0000000000010000 00 01 6b 00 8100 76"},
    {"key of 17", "01 0000000000000007 01 0000000000010000 00 11 6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b 00 00"},
    {"field of 13", "08 0000000000000007 01 0000000000010000 00 01 6b 0d 66666666666666666666666666 00"},
    {"value of 41, not even there", "01 0000000000000007 01 0000000000010000 00 01 6b 00 29"},
    {"key of 2^64 - 1", "01 0000000000000007 01 0000000000010000 00 ffffffffffffffffff01"},
    {"register with a field", "01 0000000000000007 01 0000000000010000 00 01 6b 01 66 00"},
    {"count with a field", "02 0000000000000007 01 0000000000010000 00 01 6b 01 66 08 0000000000000001"},
    {"real with a field", "03 0000000000000007 01 0000000000010000 00 01 6b 01 66 08 0000000000000001"},
    {"sibling with a field", "04 0000000000000007 01 0000000000010000 00 01 6b 01 66 00"},
    {"expiry with a field", "0b 0000000000000007 01 0000000000010000 00 01 6b 01 66 08 0000000000000001"},
    {"count that expires", "02 0000000000000007 01 0000000000010000 01 01 6b 00 08 0000000000000001"},
    {"sibling that expires", "04 0000000000000007 01 0000000000010000 01 01 6b 00 00"},
    {"member that expires", "07 0000000000000007 01 0000000000010000 01 01 6b 01 66 00"},
    {"field that expires", "08 0000000000000007 01 0000000000010000 01 01 6b 01 66 00"},
    {"expiry that expires", "0b 0000000000000007 01 0000000000010000 01 01 6b 00 08 0000000000000001"},
    {"count of 7 bytes", "02 0000000000000007 01 0000000000010000 00 01 6b 00 07 00000000000001"},
    {"count of 9 bytes", "02 0000000000000007 01 0000000000010000 00 01 6b 00 09 000000000000000001"},
    {"count of none", "02 0000000000000007 01 0000000000010000 00 01 6b 00 00"},
    {"real of none", "03 0000000000000007 01 0000000000010000 00 01 6b 00 00"},
    {"score of none", "05 0000000000000007 01 0000000000010000 00 01 6b 01 66 00"},
    {"share of a score of none", "06 0000000000000007 01 0000000000010000 00 01 6b 01 66 00"},
    {"member with a value", "07 0000000000000007 01 0000000000010000 00 01 6b 01 66 01 00"},
    {"field's count of none", "09 0000000000000007 01 0000000000010000 00 01 6b 01 66 00"},
    {"field's real of none", "0a 0000000000000007 01 0000000000010000 00 01 6b 01 66 00"},
    {"expiry of none", "0b 0000000000000007 01 0000000000010000 00 01 6b 00 00"},
    {"real that is no number", "03 0000000000000007 01 0000000000010000 00 01 6b 00 08 7ff8000000000000"},
    {"score that is no number", "05 0000000000000007 01 0000000000010000 00 01 6b 01 66 08 7ff0000000000001"},
    {"share that is no number", "06 0000000000000007 01 0000000000010000 00 01 6b 01 66 08 fff8000000000000"},
    {"field that is no number", "0a 0000000000000007 01 0000000000010000 00 01 6b 01 66 08 ffffffffffffffff"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(refusals); i++) {
        uint8_t bytes[CELL_CAP];
        struct ki_cell_image image;
        struct ki_reader r = ki_reader(bytes, hex_bytes(refusals[i].hex, bytes, sizeof bytes));
        ki_cell_decode(&r, &limits, &image);
        if (!r.bad || r.ended)
            print_error("%s\n", refusals[i].why);
        assert_true(r.bad && !r.ended); /* no more bytes would mend it */
    }
}

/* The limits themselves are allowed, and each is its own. */
static void test_limits(void **state)
{
    (void)state;
    uint8_t text[64] = {0}, bytes[CELL_CAP];
    for (int over = 0; over < 4; over++) {
        struct ki_cell_image image = {.dot = {1, 1}, .kind = KI_KIND_HASH, .stamp = 1}, read;
        image.key = ki_span(text, limits.key_max + (over == 1));
        image.field = ki_span(text, limits.field_max + (over == 2));
        image.value = ki_span(text, limits.value_max + (over == 3));
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        ki_cell_encode(&w, &image);
        struct ki_reader r = ki_reader(bytes, w.len);
        ki_cell_decode(&r, &limits, &read);
        assert_int_equal(r.bad, over != 0);
        if (over == 0)
            assert_same(&read, &image);
    }
}

/* ---- at random ---- */

static uint64_t random_number(struct ki_rng *rng)
{
    return (uint64_t)ki_rng_below(rng, UINT64_MAX) >> ki_rng_below(rng, 64);
}

static size_t random_cell(struct ki_rng *rng, uint8_t text[64], struct ki_cell_image *image, uint8_t *bytes)
{
    const struct ki_kind_rule *rule;
    *image = (struct ki_cell_image){.kind = (enum ki_kind)(1 + ki_rng_below(rng, KI_KIND_END - 1))};
    rule = ki_kind_rule(image->kind);
    for (size_t i = 0; i < 64; i++)
        text[i] = (uint8_t)ki_rng_below(rng, 256);
    image->dot = (struct ki_dot){random_number(rng), 1 + (random_number(rng) >> 2)};
    image->stamp = 1 + (random_number(rng) >> 1);
    image->expires_ms = rule->may_expire ? random_number(rng) : 0;
    image->key = ki_span(text, ki_rng_below(rng, limits.key_max + 1));
    image->field = ki_span(text + 1, rule->has_field ? ki_rng_below(rng, limits.field_max + 1) : 0);
    text[2] &= 0x7f;
    text[3] &= 0x7f; /* a number, whatever the rest is */
    image->value = ki_span(text + 2, rule->value_len >= 0 ? (size_t)rule->value_len : ki_rng_below(rng, limits.value_max));
    struct ki_writer w = ki_writer(bytes, CELL_CAP);
    ki_cell_encode(&w, image);
    assert_false(w.full);
    return w.len;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 4);
    for (int i = 0; i < 5000; i++) {
        uint8_t text[64], bytes[CELL_CAP];
        struct ki_cell_image image;
        size_t len = random_cell(&rng, text, &image, bytes);
        check_both_ways(&image, bytes, len);
    }
}

/* A cell with some bytes changed is refused, or is another cell, whose bytes these are. */
static void test_mutations(void **state)
{
    (void)state;
    struct ki_rng rng;
    int accepted = 0, refused = 0;
    ki_rng_init(&rng, 5);
    for (int i = 0; i < 100000; i++) {
        uint8_t text[64], bytes[CELL_CAP], again[CELL_CAP];
        struct ki_cell_image image, read;
        size_t len = random_cell(&rng, text, &image, bytes);
        for (size_t change = 1 + ki_rng_below(&rng, 3); change > 0; change--)
            bytes[ki_rng_below(&rng, len)] = (uint8_t)ki_rng_below(&rng, ki_rng_below(&rng, 2) ? 256 : 4);
        len -= ki_rng_below(&rng, 4) == 0 ? ki_rng_below(&rng, len) : 0;
        struct ki_reader r = ki_reader(bytes, len);
        ki_cell_decode(&r, &limits, &read);
        accepted += !r.bad;
        refused += r.bad;
        if (r.bad)
            continue;
        struct ki_writer w = ki_writer(again, sizeof again);
        ki_cell_encode(&w, &read);
        assert_int_equal(w.len, len - r.left);
        assert_int_equal(ki_cell_size(&read), w.len);
        assert_memory_equal(again, bytes, w.len);
    }
    assert_true(accepted > 10000 && refused > 10000);
}

/* ---- rivals ---- */

static void test_rivals(void **state)
{
    (void)state;
    static const struct {
        uint64_t stamp;
        struct ki_dot dot;
    } order[] = {{1, {9, 9}}, {2, {0, 1}}, {2, {0, 2}}, {2, {1, 1}}, {2, {UINT64_MAX, 1}}, {UINT64_MAX, {0, 1}}};
    for (size_t a = 0; a < KI_COUNT(order); a++) {
        for (size_t b = 0; b < KI_COUNT(order); b++) {
            int sign = ki_rival_compare(order[a].stamp, order[a].dot, order[b].stamp, order[b].dot);
            assert_int_equal((sign > 0) - (sign < 0), (a > b) - (a < b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_refusals),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_mutations), cmocka_unit_test(test_rivals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
