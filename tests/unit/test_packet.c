/* Label, checksum and compound: tables of whole, cut and lying headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/packet.h"

/* ---- checksum ---- */

static const struct {
    const char *text;
    uint32_t crc;
} crc_rows[] = {
    {"", 0x00000000},
    {"a", 0xe8b7be43},
    {"abc", 0x352441c2},
    {"123456789", 0xcbf43926},
    {"message digest", 0x20159d7f},
    {"abcdefghijklmnopqrstuvwxyz", 0x4c2750bd},
};

static void test_crc_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(crc_rows); i++)
        assert_int_equal(ki_crc32(crc_rows[i].text, strlen(crc_rows[i].text)), crc_rows[i].crc);
}

/* The definition itself, one bit at a time. */
static uint32_t crc_by_bits(const uint8_t *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len * 8; i++) {
        uint32_t bit = (crc ^ bytes[i / 8] >> i % 8) & 1;
        crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void test_crc_by_definition(void **state)
{
    (void)state;
    uint8_t bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + i / 7);
    for (size_t at = 0; at < 5; at++) {
        for (size_t len = 0; at + len <= sizeof bytes; len++)
            assert_int_equal(ki_crc32(bytes + at, len), crc_by_bits(bytes + at, len));
    }
}

static const struct {
    const char *hex;
    bool fine;
    size_t left;
} peel_crc_rows[] = {
    {"", true, 0},
    {"00", true, 1},
    {"0c1565d633 0082a44e6f6465a5616c706861a55365714e6f4d", true, 20}, /* the golden ping */
    {"0c1565d634 0082a44e6f6465a5616c706861a55365714e6f4d", false, 0},
    {"0c1565d633 0082a44e6f6465a5616c706861a55365714e6f4e", false, 0},
    {"0c1565d633 0082a44e6f6465a5616c706861a55365714e6f", false, 0},
    {"0c1565d633", false, 0},
    {"0c00000000", true, 0}, /* a checksum of nothing: what follows is the receiver's worry */
    {"0c0000", false, 0},
    {"0c", false, 0},
};

static void test_peel_crc(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(peel_crc_rows); i++) {
        uint8_t bytes[64];
        struct ki_reader r =
            ki_reader(bytes, hex_bytes(peel_crc_rows[i].hex, bytes, sizeof bytes));
        assert_int_equal(ki_peel_crc(&r), peel_crc_rows[i].fine);
        if (peel_crc_rows[i].fine)
            assert_int_equal(r.left, peel_crc_rows[i].left);
    }
}

/* ---- label ---- */

static const struct {
    const char *hex;
    bool fine;
    const char *label;
    size_t left;
} label_rows[] = {
    {"", true, "", 0},
    {"0082", true, "", 2},
    {"f4046c616231 0181", true, "lab1", 2},
    {"f4046c616231", true, "lab1", 0},
    {"f401 66 f4", true, "f", 1},
    {"f400", false, "", 0},
    {"f400 01", false, "", 0},
    {"f4", false, "", 0},
    {"f4046c6162", false, "", 0},
    {"f4ff", false, "", 0},
};

static void test_label(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(label_rows); i++) {
        uint8_t bytes[64];
        size_t len = hex_bytes(label_rows[i].hex, bytes, sizeof bytes);
        struct ki_reader r = ki_reader(bytes, len);
        struct ki_span label = ki_span("?", 1);
        assert_int_equal(ki_peel_label(&r, &label), label_rows[i].fine);
        assert_true(ki_span_equal(label, ki_span(label_rows[i].label, strlen(label_rows[i].label))));
        if (!label_rows[i].fine)
            continue;
        assert_int_equal(r.left, label_rows[i].left);
        uint8_t back[64];
        struct ki_writer w = ki_writer(back, sizeof back);
        ki_put_label(&w, label);
        assert_int_equal(w.len, len - r.left);
        assert_memory_equal(back, bytes, w.len);
    }
}

static void test_longest_label(void **state)
{
    (void)state;
    uint8_t text[255];
    uint8_t bytes[257];
    memset(text, 'x', sizeof text);
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_put_label(&w, ki_span(text, sizeof text));
    assert_false(w.full);
    assert_int_equal(w.len, 257);
    struct ki_span label;
    struct ki_reader r = ki_reader(bytes, w.len);
    assert_true(ki_peel_label(&r, &label));
    assert_true(ki_span_equal(label, ki_span(text, sizeof text)));
    for (size_t cut = 1; cut < w.len; cut++) {
        r = ki_reader(bytes, cut);
        assert_false(ki_peel_label(&r, &label));
        assert_int_equal(label.len, 0);
        assert_true(r.ended); /* a stream would wait for more */
    }
    w = ki_writer(bytes, 256);
    ki_put_label(&w, ki_span(text, sizeof text));
    assert_true(w.full);
}

/* ---- compound ---- */

static const struct {
    const char *hex; /* after the 07 */
    bool begins;
    const char *parts; /* in hex, a comma after each */
    bool malformed;    /* at the end */
} compound_rows[] = {
    {"", false, "", false},
    {"00", true, "", false},
    {"00 aabb", true, "", false},
    {"01 0001 aa", true, "aa,", false},
    {"02 0001 0002 aa bbcc", true, "aa,bbcc,", false},
    {"02 0001 0002 aa bbcc dd", true, "aa,bbcc,", false}, /* more than was announced: no matter */
    {"02 0001 0002 aa bb", true, "aa,", true},
    {"02 0001 0002 aa", true, "aa,", true},
    {"02 0001 0002", true, "", true},
    {"03 0001 00ff 0001 aa bb", true, "aa,", true}, /* nothing after a part that is cut */
    {"02 0001 00", false, "", false},
    {"01", false, "", false},
    {"80", false, "", false},       /* crash corpus */
    {"01 0000", false, "", false},  /* crash corpus: an empty part */
    {"02 0001 0000 aa", false, "", false},
};

static void test_compound(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(compound_rows); i++) {
        uint8_t bytes[64];
        struct ki_compound c;
        struct ki_span part;
        bool malformed = true;
        struct ki_reader r =
            ki_reader(bytes, hex_bytes(compound_rows[i].hex, bytes, sizeof bytes));
        assert_int_equal(ki_compound_begin(&r, &c), compound_rows[i].begins);
        if (!compound_rows[i].begins)
            continue;
        char got[64] = "";
        while (ki_compound_next(&c, &part, &malformed)) {
            assert_false(malformed);
            for (size_t at = 0; at < part.len; at++)
                snprintf(got + strlen(got), sizeof got - strlen(got), "%02x", part.ptr[at]);
            snprintf(got + strlen(got), sizeof got - strlen(got), ",");
        }
        assert_string_equal(got, compound_rows[i].parts);
        assert_int_equal(malformed, compound_rows[i].malformed);
        assert_false(ki_compound_next(&c, &part, &malformed)); /* over is over */
        assert_false(malformed);
    }
}

static void test_largest_compound(void **state)
{
    (void)state;
    static uint8_t bytes[1 + 255 * 2 + 255 * 300];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_put_u8(&w, 255);
    for (int i = 0; i < 255; i++)
        ki_put_be(&w, 300, 2);
    for (int i = 0; i < 255; i++)
        memset(ki_reserve(&w, 300), i, 300);
    struct ki_reader r = ki_reader(bytes, w.len);
    struct ki_compound c;
    struct ki_span part;
    bool malformed;
    assert_true(ki_compound_begin(&r, &c));
    for (int i = 0; i < 255; i++) {
        assert_true(ki_compound_next(&c, &part, &malformed));
        assert_int_equal(part.len, 300);
        assert_int_equal(part.ptr[299], i);
    }
    assert_false(ki_compound_next(&c, &part, &malformed));
    assert_false(malformed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_known),     cmocka_unit_test(test_crc_by_definition),
        cmocka_unit_test(test_peel_crc),      cmocka_unit_test(test_label),
        cmocka_unit_test(test_longest_label), cmocka_unit_test(test_compound),
        cmocka_unit_test(test_largest_compound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
