/* Tables for src/wire/network.c: each message both ways, cut at every length, and numbers out of their ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/real.h"
#include "unit/hex.h"
#include "wire/network.h"

#define FRONT_1 "0102030405060708 0a0b0c0d 3c 03 616263 05 ac02 01020304 07 1112131415161718"
#define FRONT_2 "0000000000000000 00000001 ffff03 00 00 00 00000000 00 0000000000000000"
#define FLOWS                                                              \
    "00000009 3ff0000000000000 bff0000000000000 0000000000000000"          \
    "4008000000000000 4022000000000000 3fe0000000000000"

static const struct {
    enum ki_network_kind kind;
    const char *hex; /* behind 4b and the kind */
    struct ki_network_front front;
} fronts[] = {
    {KI_NETWORK_REQUEST, FRONT_1 FLOWS,
     {.id = 0x0102030405060708,
      .run = 0x0a0b0c0d,
      .lease_s = 60,
      .schema = {(const uint8_t *)"abc", 3},
      .base = 5,
      .upto = 300,
      .heard_run = 0x01020304,
      .heard = 7,
      .digest = 0x1112131415161718,
      .seq = 9,
      .flow = {1, -1, 0},
      .estimate = {3, 9, 0.5}}},
    {KI_NETWORK_REPLY, FRONT_2 FLOWS,
     {.run = 1, .lease_s = UINT16_MAX, .seq = 9, .flow = {1, -1, 0}, .estimate = {3, 9, 0.5}}},
    {KI_NETWORK_CLAIMS, FRONT_2, {.run = 1, .lease_s = UINT16_MAX}},
};

static bool decodes(enum ki_network_kind kind, const uint8_t *bytes, size_t len, struct ki_network_front *front)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    struct ki_reader r = ki_reader(exact, len);
    bool fine = ki_decode_network_front(&r, kind, front);
    free(exact);
    return fine;
}

static void same(const struct ki_network_front *a, const struct ki_network_front *b)
{
    assert_true(a->id == b->id && a->run == b->run && a->lease_s == b->lease_s);
    assert_true(a->base == b->base && a->upto == b->upto && a->heard_run == b->heard_run && a->heard == b->heard);
    assert_true(a->digest == b->digest && a->seq == b->seq);
    assert_true(ki_span_equal(a->schema, b->schema));
    assert_memory_equal(a->flow, b->flow, sizeof a->flow);
    assert_memory_equal(a->estimate, b->estimate, sizeof a->estimate);
}

static void each_front_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(fronts); i++) {
        uint8_t want[KI_NETWORK_FRONT_MAX] = {75, (uint8_t)fronts[i].kind}, buf[KI_NETWORK_FRONT_MAX];
        size_t len = 2 + hex_bytes(fronts[i].hex, want + 2, sizeof want - 2);
        struct ki_writer w = ki_writer(buf, sizeof buf);
        struct ki_network_front got;
        ki_encode_network_front(&w, fronts[i].kind, &fronts[i].front);
        assert_false(w.full);
        assert_int_equal(w.len, len);
        assert_memory_equal(buf, want, len);
        struct ki_reader r = ki_reader(want + 2, len - 2);
        assert_true(ki_decode_network_front(&r, fronts[i].kind, &got));
        assert_int_equal(r.left, 0);
        same(&got, &fronts[i].front);
        for (size_t cut = 0; cut < len - 2; cut++)
            assert_false(decodes(fronts[i].kind, want + 2, cut, &got));
    }
}

static void fronts_out_of_range(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "0102030405060708 00000000 00 00 00 00 00000000 00 0000000000000000",     /* no run */
        "0102030405060708 0a0b0c0d 808004 00 00 00 00000000 00 0000000000000000", /* a lease of 65536 */
        "0102030405060708 0a0b0c0d 00 00 06 05 00000000 00 0000000000000000",     /* backwards */
        "0102030405060708 0a0b0c0d 00 00 8600 06 00000000 00 0000000000000000",   /* not in its shortest form */
    };
    for (size_t i = 0; i < KI_COUNT(wrong); i++) {
        uint8_t bytes[64];
        struct ki_network_front got;
        size_t len = hex_bytes(wrong[i], bytes, sizeof bytes);
        assert_false(decodes(KI_NETWORK_CLAIMS, bytes, len, &got));
    }
}

static const struct {
    const char *hex;
    struct ki_network_claim claim;
} claims[] = {
    {"02 6b31 0000000100000002 ac02 00 3ff8000000000000",
     {.name = {(const uint8_t *)"k1", 2}, .generation = 0x0000000100000002, .version = 300, .value = 1.5}},
    {"01 61 ffffffffffffffff ffffffffffffffffff01 01",
     {.name = {(const uint8_t *)"a", 1}, .generation = UINT64_MAX, .version = UINT64_MAX, .cleared = true}},
    {"01 61 0000000000000000 00 00 7ff8000000000000", {.name = {(const uint8_t *)"a", 1}}}, /* NaN: the receiver's affair */
};

static void each_claim_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(claims); i++) {
        uint8_t want[64], buf[64];
        size_t len = hex_bytes(claims[i].hex, want, sizeof want);
        struct ki_network_claim got, claim = claims[i].claim;
        struct ki_writer w = ki_writer(buf, sizeof buf);
        if (i == 2)
            claim.value = ki_real_of(0x7ff8000000000000);
        ki_encode_network_claim(&w, &claim);
        assert_true(ki_span_equal(ki_span(buf, w.len), ki_span(want, len)));
        for (size_t cut = 0; cut <= len; cut++) {
            uint8_t *exact = malloc(cut ? cut : 1);
            memcpy(exact, want, cut);
            struct ki_reader r = ki_reader(exact, cut);
            assert_int_equal(ki_decode_network_claim(&r, &got), cut == len);
            if (cut == len) {
                assert_true(ki_span_equal(got.name, claim.name) && got.cleared == claim.cleared && r.left == 0);
                assert_true(got.generation == claim.generation && got.version == claim.version);
                assert_memory_equal(&got.value, &claim.value, sizeof got.value);
            }
            free(exact);
        }
    }
}

static void claims_out_of_range(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "00 0000000100000002 05 00 3ff8000000000000",    /* nobody */
        "01 61 0000000100000002 05 02 3ff8000000000000", /* neither */
    };
    for (size_t i = 0; i < KI_COUNT(wrong); i++) {
        uint8_t bytes[64];
        struct ki_network_claim got;
        struct ki_reader r = ki_reader(bytes, hex_bytes(wrong[i], bytes, sizeof bytes));
        assert_false(ki_decode_network_claim(&r, &got));
    }
}

/* The largest of each fits what is reserved for it. */
static void the_largest_fit(void **state)
{
    (void)state;
    static uint8_t bytes[255];
    uint8_t buf[KI_NETWORK_FRONT_MAX];
    const struct ki_network_front front = {.run = UINT32_MAX,
                                           .lease_s = UINT16_MAX,
                                           .schema = ki_span(bytes, KI_NETWORK_SCHEMA_MAX),
                                           .base = UINT64_MAX,
                                           .upto = UINT64_MAX,
                                           .heard = UINT64_MAX};
    struct ki_network_front got;
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_network_front(&w, KI_NETWORK_REQUEST, &front);
    assert_false(w.full);
    assert_true(decodes(KI_NETWORK_REQUEST, buf + 2, w.len - 2, &got));
    const struct ki_network_claim claim = {.name = ki_span(bytes, 255), .version = UINT64_MAX};
    w = ki_writer(buf, KI_NETWORK_CLAIM_MAX);
    ki_encode_network_claim(&w, &claim);
    assert_false(w.full);
    assert_int_equal(w.len, KI_NETWORK_CLAIM_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_front_both_ways), cmocka_unit_test(fronts_out_of_range),
        cmocka_unit_test(each_claim_both_ways), cmocka_unit_test(claims_out_of_range),
        cmocka_unit_test(the_largest_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
