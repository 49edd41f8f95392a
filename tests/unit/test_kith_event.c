/* Tables for src/wire/kith_event.c: each message both ways, cut at every length, one byte too many, and numbers out of their
 * ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/kith_event.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)

static const struct {
    enum ki_kith_event_kind kind;
    const char *hex; /* behind 4b and the kind */
    struct ki_kith_event msg;
} rows[] = {
    {KI_EVENTS_WANT, "0102030405060708 05 ac02 07 02 6b31",
     {.boot = 0x0102030405060708, .first = 5, .last = 300, .ltime = 7, .name = {(const uint8_t *)"k1", 2}}},
    {KI_EVENTS_WANT, "ffffffffffffffff 01 ffffffffffffffff7f ffffffffffffffffff01 01 61",
     {.boot = UINT64_MAX, .first = 1, .last = INT64_MAX, .ltime = UINT64_MAX, .name = {(const uint8_t *)"a", 1}}},
    {KI_EVENTS_SKIP, "0102030405060708 05 05 01 00 02 6b31",
     {.boot = 0x0102030405060708, .first = 5, .last = 5, .lost = true, .name = {(const uint8_t *)"k1", 2}}},
    {KI_EVENTS_SKIP, "0102030405060708 05 06 00 ac02 02 6b31",
     {.boot = 0x0102030405060708, .first = 5, .last = 6, .ltime = 300, .name = {(const uint8_t *)"k1", 2}}},
    {KI_EVENTS_TOOK, "0102030405060708 8001 02 6b31",
     {.boot = 0x0102030405060708, .first = 128, .last = 128, .name = {(const uint8_t *)"k1", 2}}},
};

static uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    return exact;
}

static bool decodes(enum ki_kith_event_kind kind, const uint8_t *bytes, size_t len, struct ki_kith_event *msg)
{
    uint8_t *exact = exact_copy(bytes, len);
    struct ki_reader r = ki_reader(exact, len);
    bool fine = ki_decode_kith_event(&r, kind, msg);
    free(exact);
    return fine;
}

static void each_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t want[KI_KITH_EVENT_MAX] = {75, (uint8_t)rows[i].kind}, buf[KI_KITH_EVENT_MAX];
        size_t len = 2 + hex_bytes(rows[i].hex, want + 2, sizeof want - 3);
        struct ki_writer w = ki_writer(buf, sizeof buf);
        struct ki_kith_event got;
        ki_encode_kith_event(&w, rows[i].kind, &rows[i].msg);
        assert_false(w.full);
        assert_int_equal(w.len, len);
        assert_memory_equal(buf, want, len);
        struct ki_reader r = ki_reader(want + 2, len - 2);
        assert_true(ki_decode_kith_event(&r, rows[i].kind, &got));
        assert_true(got.boot == rows[i].msg.boot && got.first == rows[i].msg.first && got.last == rows[i].msg.last);
        assert_true(got.ltime == rows[i].msg.ltime && got.lost == rows[i].msg.lost);
        assert_true(ki_span_equal(got.name, rows[i].msg.name));
        for (size_t cut = 0; cut < len - 2; cut++)
            assert_false(decodes(rows[i].kind, want + 2, cut, &got));
        want[len] = 0; /* and one byte more */
        assert_false(decodes(rows[i].kind, want + 2, len - 1, &got));
    }
}

/* The largest of each fits what is reserved for it. */
static void the_largest_fit(void **state)
{
    (void)state;
    static uint8_t name[255];
    static const enum ki_kith_event_kind kinds[] = {KI_EVENTS_WANT, KI_EVENTS_SKIP, KI_EVENTS_TOOK};
    const struct ki_kith_event most = {
        .boot = UINT64_MAX, .first = INT64_MAX, .last = INT64_MAX, .ltime = UINT64_MAX, .name = ki_span(name, 255)};
    for (size_t i = 0; i < KI_COUNT(kinds); i++) {
        uint8_t buf[KI_KITH_EVENT_MAX];
        struct ki_kith_event got;
        struct ki_writer w = ki_writer(buf, sizeof buf);
        ki_encode_kith_event(&w, kinds[i], &most);
        assert_false(w.full);
        assert_true(decodes(kinds[i], buf + 2, w.len - 2, &got));
    }
    uint8_t buf[KI_KITH_EVENT_MAX];
    struct ki_writer w = ki_writer(buf, sizeof buf); /* a head alone: ki_numbered_head() */
    ki_encode_events_heads_front(&w, 0);
    ki_encode_events_head(&w, &most);
    assert_false(w.full);
}

static void out_of_range(void **state)
{
    (void)state;
    static const struct {
        enum ki_kith_event_kind kind;
        const char *hex;
    } wrong[] = {
        {KI_EVENTS_WANT, "0102030405060708 00 05 07 01 61"},                   /* numbers begin with 1 */
        {KI_EVENTS_WANT, "0102030405060708 06 05 07 01 61"},                   /* backwards */
        {KI_EVENTS_WANT, "0102030405060708 05 80808080808080808001 07 01 61"}, /* 2^63 */
        {KI_EVENTS_WANT, "0102030405060708 05 8600 07 01 61"},                 /* 6, not in its shortest form */
        {KI_EVENTS_WANT, "0102030405060708 05 06 07 00"},                      /* nobody */
        {KI_EVENTS_SKIP, "0102030405060708 00 05 01 07 01 61"},
        {KI_EVENTS_SKIP, "0102030405060708 06 05 01 07 01 61"},
        {KI_EVENTS_SKIP, "0102030405060708 05 05 01 07 00"},
        {KI_EVENTS_TOOK, "0102030405060708 00 01 61"},
        {KI_EVENTS_TOOK, "0102030405060708 80808080808080808001 01 61"},
    };
    for (size_t i = 0; i < KI_COUNT(wrong); i++) {
        uint8_t bytes[64];
        struct ki_kith_event got;
        size_t len = hex_bytes(wrong[i].hex, bytes, sizeof bytes);
        assert_false(decodes(wrong[i].kind, bytes, len, &got));
    }
}

static void roots_and_questions(void **state)
{
    (void)state;
    static const struct {
        uint64_t from;
        const char *hex;
    } asks[] = {{0, "4b11 00"}, {4096, "4b11 8020"}, {UINT64_MAX, "4b11 ffffffffffffffffff01"}};
    uint8_t want[32], buf[32];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    uint64_t got;
    ki_encode_events_root(&w, 0x0102030405060708);
    size_t len = hex_bytes("4b10 0102030405060708", want, sizeof want);
    assert_true(ki_span_equal(ki_span(buf, w.len), ki_span(want, len)));
    for (size_t cut = 0; cut <= 9; cut++) { /* 8 bytes and no others */
        struct ki_reader r = ki_reader(want + 2, cut);
        assert_int_equal(ki_decode_events_root(&r, &got), cut == 8);
    }
    struct ki_reader r = ki_reader(want + 2, 8);
    assert_true(ki_decode_events_root(&r, &got) && got == 0x0102030405060708);
    for (size_t i = 0; i < KI_COUNT(asks); i++) {
        w = ki_writer(buf, sizeof buf);
        ki_encode_events_heads_ask(&w, asks[i].from);
        len = hex_bytes(asks[i].hex, want, sizeof want);
        assert_true(ki_span_equal(ki_span(buf, w.len), ki_span(want, len)));
        for (size_t cut = 0; cut <= len - 2; cut++) {
            r = ki_reader(want + 2, cut);
            assert_int_equal(ki_decode_events_heads_ask(&r, &got), cut == len - 2);
        }
        assert_true(got == asks[i].from);
        want[len] = 0;
        r = ki_reader(want + 2, len - 1);
        assert_false(ki_decode_events_heads_ask(&r, &got));
    }
}

#define HEAD_1 "0102030405060708 ac02 07 02 6b31"
#define HEAD_2 "1112131415161718 00 00 01 61"

static void a_page_of_heads(void **state)
{
    (void)state;
    uint8_t want[64], buf[64];
    size_t len = hex_bytes("4b12 05" HEAD_1 HEAD_2, want, sizeof want);
    const struct ki_kith_event first = {.boot = 0x0102030405060708, .last = 300, .ltime = 7, .name = TEXT("k1")};
    const struct ki_kith_event second = {.boot = 0x1112131415161718, .name = TEXT("a")}; /* nothing settled yet */
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_events_heads_front(&w, 5);
    ki_encode_events_head(&w, &first);
    ki_encode_events_head(&w, &second);
    assert_true(ki_span_equal(ki_span(buf, w.len), ki_span(want, len)));
    for (size_t cut = 0; cut <= len - 2; cut++) {
        uint8_t *exact = exact_copy(want + 2, cut);
        struct ki_reader r = ki_reader(exact, cut);
        struct ki_kith_event head = {.boot = 0};
        uint64_t more_from = 0;
        unsigned heads = 0;
        bool fine = ki_decode_events_heads_front(&r, &more_from);
        while (fine && r.left > 0) {
            fine = ki_decode_events_head(&r, &head);
            heads += fine;
            if (fine)
                assert_true(head.boot == (heads == 1 ? first.boot : second.boot));
        }
        /* it may end only behind a head */
        assert_int_equal(fine, cut == 1 || cut == 15 || cut == len - 2);
        assert_int_equal(heads, cut == len - 2 ? 2 : cut >= 15 ? 1 : 0);
        free(exact);
    }
    hex_bytes("0102030405060708 80808080808080808001 00 01 61", want, sizeof want); /* 2^63 events */
    struct ki_kith_event head;
    struct ki_reader r = ki_reader(want, 21);
    assert_false(ki_decode_events_head(&r, &head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_both_ways),
        cmocka_unit_test(the_largest_fit),
        cmocka_unit_test(out_of_range),
        cmocka_unit_test(roots_and_questions),
        cmocka_unit_test(a_page_of_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
