/* Tables for src/wire/fold.c: each message both ways, cut at every length, one byte too many; replies that contradict
 * themselves; the silent named as far as there is room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/fold.h"

#define ID   "0102030405060708 "
#define SPAN "00000000000000ff "
#define ONE  "3ff0000000000000 "
#define TWO  "4000000000000000 "
#define HALF "3fe0000000000000 "
#define ZERO "0000000000000000 "
#define SIX  "4018000000000000 "
#define AT_1 "1111111111111111 "
#define AT_2 "2222222222222222 "
#define AT_3 "3333333333333333 "

enum { PLACE = 8 }; /* bytes of a position */

/* Bytes of their own: nothing behind them may be looked at. */
static struct ki_reader exact_reader(const uint8_t *bytes, size_t len, uint8_t **exact)
{
    *exact = malloc(len ? len : 1);
    assert_non_null(*exact);
    memcpy(*exact, bytes, len);
    return ki_reader(*exact, len);
}

static bool decodes(enum ki_fold_kind kind, const uint8_t *bytes, size_t len)
{
    uint8_t *exact;
    struct ki_reader r = exact_reader(bytes, len, &exact);
    struct ki_fold_ask ask;
    struct ki_partial partial;
    uint64_t id, span;
    bool fine = kind == KI_FOLD_ASK   ? ki_decode_fold_ask(&r, &ask)
                : kind == KI_FOLD_ACK ? ki_decode_fold_ack(&r, &id, &span)
                                      : ki_decode_fold_reply(&r, &id, &span, &partial);
    free(exact);
    return fine;
}

static void asks(void **state)
{
    static const struct {
        const char *hex; /* behind 4b40 */
        struct ki_fold_ask msg;
    } rows[] = {
        {ID "07 " SPAN "e807 00 02 6b31 04 6c6f6164 00 3135",
         {.ltime = 7, .span = 255, .left_ms = 1000, .payload = {(const uint8_t *)"15", 2}}},
        {ID "ac02 ffffffffffffffff 00 20 02 6b31 04 6c6f6164 02 91c0",
         {.ltime = 300, .span = UINT64_MAX, .top = 32, .filters = {(const uint8_t *)"\x91\xc0", 2}}},
        {ID "feffffffffffffffff01 0000000000000000 ffffffff0f 01 02 6b31 04 6c6f6164 00",
         {.ltime = UINT64_MAX - 1, .left_ms = UINT32_MAX, .top = 1}},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t want[128] = {75, KI_FOLD_ASK}, buf[128];
        size_t len = 2 + hex_bytes(rows[i].hex, want + 2, sizeof want - 2);
        struct ki_fold_ask msg = rows[i].msg, got;
        msg.id = 0x0102030405060708;
        msg.asker = ki_span("k1", 2);
        msg.name = ki_span("load", 4);
        struct ki_writer w = ki_writer(buf, sizeof buf);
        ki_encode_fold_ask(&w, &msg);
        assert_false(w.full);
        assert_int_equal(w.len, len);
        assert_memory_equal(buf, want, len);
        struct ki_reader r = ki_reader(want + 2, len - 2);
        assert_true(ki_decode_fold_ask(&r, &got));
        assert_true(got.id == msg.id && got.ltime == msg.ltime && got.span == msg.span && got.left_ms == msg.left_ms);
        assert_true(got.top == msg.top && ki_span_equal(got.asker, msg.asker) && ki_span_equal(got.name, msg.name));
        assert_true(ki_span_equal(got.filters, msg.filters) && ki_span_equal(got.payload, msg.payload));
        assert_true((got.filters.ptr == NULL) == (msg.filters.len == 0));
        for (size_t cut = 0; cut < len - 2; cut++) /* the payload is what is left */
            assert_int_equal(decodes(KI_FOLD_ASK, want + 2, cut), cut >= len - 2 - msg.payload.len);
    }
}

static void acks(void **state)
{
    (void)state;
    uint8_t want[32] = {75, KI_FOLD_ACK}, buf[32];
    size_t len = 2 + hex_bytes(ID SPAN, want + 2, sizeof want - 2);
    struct ki_writer w = ki_writer(buf, sizeof buf);
    uint64_t id, span;
    ki_encode_fold_ack(&w, 0x0102030405060708, 255);
    assert_int_equal(w.len, len);
    assert_memory_equal(buf, want, len);
    struct ki_reader r = ki_reader(want + 2, len - 2);
    assert_true(ki_decode_fold_ack(&r, &id, &span) && id == 0x0102030405060708 && span == 255);
    for (size_t cut = 0; cut < len - 2; cut++)
        assert_false(decodes(KI_FOLD_ACK, want + 2, cut));
    assert_false(decodes(KI_FOLD_ACK, want + 2, len - 1));
}

/* 1, 2 and 2, one that is no number, two that are silent, one whom it is not for. */
static const struct ki_partial seven = {.members = 7,
                                        .answers = 3,
                                        .unusable = 1,
                                        .silent = 2,
                                        .sum = 5,
                                        .deviations = 0.5,
                                        .min = 1,
                                        .max = 2,
                                        .top_count = 2,
                                        .named = 1,
                                        .top = {{0x1111111111111111, 2}, {0x2222222222222222, 2}},
                                        .silent_at = {0x3333333333333333}};

static void replies(void **state)
{
    static const char hex[] = ID SPAN "07 03 01 02 4014000000000000 " ZERO HALF ONE TWO "02 " AT_1 TWO AT_2 TWO "01 " AT_3;
    (void)state;
    uint8_t want[256] = {75, KI_FOLD_REPLY}, buf[256];
    size_t len = 2 + hex_bytes(hex, want + 2, sizeof want - 3);
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_fold_reply(&w, 0x0102030405060708, 255, &seven);
    assert_int_equal(w.len, len);
    assert_memory_equal(buf, want, len);
    struct ki_reader r = ki_reader(want + 2, len - 2);
    struct ki_partial got;
    uint64_t id, span;
    assert_true(ki_decode_fold_reply(&r, &id, &span, &got));
    assert_true(id == 0x0102030405060708 && span == 255);
    assert_int_equal(got.members, 7);
    assert_int_equal(got.answers, 3);
    assert_int_equal(got.unusable, 1);
    assert_int_equal(got.silent, 2);
    assert_true(got.sum >= 5 && got.sum <= 5 && got.deviations >= 0.5 && got.deviations <= 0.5 && got.top_count == 2);
    assert_true(got.top[1].position == 0x2222222222222222 && got.named == 1 && got.silent_at[0] == 0x3333333333333333);
    for (size_t cut = 0; cut < len - 2; cut++)
        assert_false(decodes(KI_FOLD_REPLY, want + 2, cut));
    assert_false(decodes(KI_FOLD_REPLY, want + 2, len - 1));
}

/* Where it is short of room, it names fewer; whoever cannot be named is counted all the same. */
static void names_what_fits(void **state)
{
    (void)state;
    struct ki_partial p = {.members = 100, .silent = 100, .named = KI_FOLD_NAMED_MAX};
    for (unsigned i = 0; i < KI_FOLD_NAMED_MAX; i++)
        p.silent_at[i] = i;
    for (size_t room = 0; room < 600; room++) {
        uint8_t *buf = malloc(room + 1);
        struct ki_writer w = ki_writer(buf, room);
        struct ki_partial got;
        uint64_t id, span;
        assert_non_null(buf);
        ki_encode_fold_reply(&w, 1, 2, &p);
        size_t front = 2 + 8 + 8 + 4 + 1; /* without any name */
        assert_int_equal(w.full, room < front);
        struct ki_reader r = ki_reader(buf + 2, w.full ? 0 : w.len - 2);
        if (!w.full) {
            assert_true(ki_decode_fold_reply(&r, &id, &span, &got));
            assert_int_equal(got.silent, 100);
            assert_int_equal(got.named, ki_min_size(KI_FOLD_NAMED_MAX, (room - front) / PLACE));
        }
        free(buf);
    }
}

/* The largest there is: all numbers long, all places taken. */
static void the_largest_fits_a_datagram(void **state)
{
    (void)state;
    struct ki_partial p = seven;
    p.members = p.answers = p.unusable = p.silent = KI_FOLD_MEMBERS_MAX;
    p.top_count = KI_FOLD_TOP_MAX;
    p.named = KI_FOLD_NAMED_MAX;
    uint8_t buf[1400];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_fold_reply(&w, UINT64_MAX, UINT64_MAX, &p);
    assert_false(w.full);
    assert_in_range(w.len, 1000, 1100);
}

static void contradictions(void **state)
{
    static const struct {
        bool fine;
        const char *hex; /* behind id and span */
    } rows[] = {
        {true, "02 00 00 00 00"},                                                          /* for none of them */
        {false, "00 00 00 00 00"},                                                         /* of nobody */
        {false, "81808008 00 00 00 00"},                                                   /* of 2^24 + 1 */
        {true, "80808008 00 00 00 00"},                                                    /* of 2^24 */
        {false, "02 00 02 01 00"},                                                         /* three of two */
        {false, "02 00 00 03 00"},                                                         /* three silent ones of two */
        {false, "ffffffff1f 00 00 ffffffff1f 00"},                                         /* of 2^33 - 1 */
        {true, "02 00 00 02 02 " AT_1 AT_2},                                               /* two silent ones */
        {false, "02 00 00 02 02 " AT_2 AT_1},                                              /* not rising */
        {false, "02 00 00 02 02 " AT_1 AT_1},                                              /* one of them twice */
        {false, "02 00 00 01 02 " AT_1 AT_2},                                              /* two names for one */
        {true, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "00 00"},                 /* 1 and 2 */
        {false, "02 02 00 00 4008000000000000 " ZERO HALF TWO ONE "00 00"},                /* least above most */
        {false, "02 02 00 00 4018000000000000 " ZERO HALF ONE TWO "00 00"},                /* 6 of 1 to 2 */
        {false, "02 02 00 00 3ff0000000000000 " ZERO HALF ONE TWO "00 00"},                /* 1 of 1 to 2 */
        {false, "02 02 00 00 4008000000000000 " ONE HALF ONE TWO "00 00"},                 /* rounded by 1 */
        {false, "02 02 00 00 4008000000000000 " ZERO SIX ONE TWO "00 00"},                 /* too far apart */
        {false, "02 02 00 00 4008000000000000 " ZERO "bff0000000000000 " ONE TWO "00 00"}, /* less than not at all */
        {false, "02 02 00 00 7ff8000000000000 " ZERO HALF ONE TWO "00 00"},                /* no numbers, one by one */
        {false, "02 02 00 00 4008000000000000 7ff8000000000000 " HALF ONE TWO "00 00"},
        {false, "02 02 00 00 4008000000000000 " ZERO "7ff8000000000000 " ONE TWO "00 00"},
        {false, "02 02 00 00 4008000000000000 " ZERO HALF "7ff8000000000000 " TWO "00 00"},
        {false, "02 02 00 00 4008000000000000 " ZERO HALF ONE "7ff8000000000000 00 00"},
        {false, "02 02 00 00 7ff0000000000000 " ZERO HALF ONE "7ff0000000000000 00 00"}, /* infinite */
        {false, "02 02 00 00 fff0000000000000 " ZERO HALF "fff0000000000000 " TWO "00 00"},
        {false, "01 01 00 00 5d60000000000000 " ZERO ZERO "5d60000000000000 5d60000000000000 00 00"}, /* above 1e140 */
        {true, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "02 " AT_1 TWO AT_2 ONE "00"},
        {true, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "01 " AT_1 TWO "00"},
        {false, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "02 " AT_1 ONE AT_2 TWO "00"}, /* not in order */
        {false, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "01 " AT_1 ONE "00"},          /* not the largest */
        {false, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "02 " AT_1 TWO AT_2 HALF "00"}, /* below the least */
        {false, "02 02 00 00 4008000000000000 " ZERO HALF ONE TWO "03 " AT_1 TWO AT_2 ONE AT_3 ONE "00"}, /* three */
        {true, "02 02 00 00 4000000000000000 " ZERO ZERO ONE ONE "02 " AT_1 ONE AT_2 ONE "00"},
        {false, "02 02 00 00 4000000000000000 " ZERO ZERO ONE ONE "02 " AT_2 ONE AT_1 ONE "00"}, /* equal: not in order */
        {false, "02 02 00 00 4000000000000000 " ZERO ZERO ONE ONE "02 " AT_1 ONE AT_1 ONE "00"}, /* one of them twice */
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[256];
        size_t len = hex_bytes(ID SPAN, bytes, sizeof bytes);
        len += hex_bytes(rows[i].hex, bytes + len, sizeof bytes - len);
        if (decodes(KI_FOLD_REPLY, bytes, len) != rows[i].fine)
            fail_msg("row %zu is %s", i, rows[i].fine ? "refused" : "taken");
    }
}

static void wrong_asks(void **state)
{
    static const char *const rows[] = {
        ID "ffffffffffffffffff01 " SPAN "e807 00 02 6b31 04 6c6f6164 00", /* the last time there is */
        ID "07 " SPAN "8080808010 00 02 6b31 04 6c6f6164 00",              /* 2^32 ms */
        ID "07 " SPAN "e807 21 02 6b31 04 6c6f6164 00",                    /* 33 of the largest */
        ID "07 " SPAN "e807 00 00 04 6c6f6164 00",                         /* nobody asks */
        ID "07 " SPAN "e807 00 02 6b31 00 00",                             /* for nothing */
        ID "07 " SPAN "e807 00 02 6b31 04 6c6f6164 03 91c0",               /* filters that end early */
        ID "07 " SPAN "e807 00 02 6b31 04 6c6f6164 ffffffffffffffffff01",  /* and ones of 2^64 - 1 bytes */
        ID "8700 " SPAN "e807 00 02 6b31 04 6c6f6164 00",                  /* 7, not in its shortest form */
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[128];
        size_t len = hex_bytes(rows[i], bytes, sizeof bytes);
        if (decodes(KI_FOLD_ASK, bytes, len))
            fail_msg("row %zu is taken", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks),           cmocka_unit_test(acks),
        cmocka_unit_test(replies),        cmocka_unit_test(names_what_fits),
        cmocka_unit_test(contradictions), cmocka_unit_test(the_largest_fits_a_datagram),
        cmocka_unit_test(wrong_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
