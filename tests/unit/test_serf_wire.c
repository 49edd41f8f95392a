/* Tables for src/wire/serf.c: intents, clocks, the push/pull state and its walkers, tags.  The golden ones were
 * captured from running Serf 0.9.4 agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/serf.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)

/* A user message as Serf sends it: 08, Serf's type, the body. */
#define LEAVE_HEX "080083a54c54696d6502a44e6f6465a5616c706861a55072756e65c2"
#define JOIN_HEX  "080182a54c54696d6502a44e6f6465a462657461"
#define EVENT_HEX \
    "080384a24343c3a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a676312e322e33"
#define QUERY_HEX                                                                                  \
    "08048ba441646472a47f000001a746696c7465727392a70091a462657461b40182a445787072a3702e2aa3546167" \
    "a4726f6c65a5466c6167"                                                                         \
    "7301a24944ce60981340a54c54696d6501a44e616d65a46c6f6164a75061796c6f6164a331356da4506f7274cd46" \
    "1aab52656c6179466163"                                                                         \
    "746f7201aa536f757263654e6f6465a5616c706861a754696d656f7574ceb2d05e00"

static uint8_t input[4096];

static struct ki_reader open_body(const char *hex, uint8_t type)
{
    size_t len = hex_bytes(hex, input, sizeof(input));
    assert_true(len > 2 && input[0] == 8 && input[1] == type);
    return ki_reader(input + 2, len - 2);
}

static void check_encoded(const struct ki_pack *p, const char *hex)
{
    uint8_t want[256];
    size_t len = hex_bytes(hex, want, sizeof(want));
    assert_int_equal(p->w.len + 1, len); /* without memberlist's 08 */
    assert_memory_equal(p->w.start, want + 1, len - 1);
}

static void test_leave(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    struct ki_serf_leave msg = {.ltime = 2, .node = TEXT("alpha"), .prune = false}, got;
    ki_encode_serf_leave(&p, &msg);
    check_encoded(&p, LEAVE_HEX);
    struct ki_reader r = open_body(LEAVE_HEX, KI_SERF_LEAVE);
    size_t len = r.left;
    assert_true(ki_decode_serf_leave(&r, &got));
    assert_int_equal(r.left, 0);
    assert_true(got.ltime == 2 && ki_span_equal(got.node, msg.node) && !got.prune);
    for (size_t cut = 0; cut < len; cut++) {
        r = ki_reader(input + 2, cut);
        assert_false(ki_decode_serf_leave(&r, &got));
    }
}

static void test_join(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    struct ki_serf_join msg = {.ltime = 2, .node = TEXT("beta")}, got;
    ki_encode_serf_join(&p, &msg);
    check_encoded(&p, JOIN_HEX);
    struct ki_reader r = open_body(JOIN_HEX, KI_SERF_JOIN);
    size_t len = r.left;
    assert_true(ki_decode_serf_join(&r, &got));
    assert_true(got.ltime == 2 && ki_span_equal(got.node, msg.node));
    for (size_t cut = 0; cut < len; cut++) {
        r = ki_reader(input + 2, cut);
        assert_false(ki_decode_serf_join(&r, &got));
    }
}

static void test_clocked(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint8_t type;
    } rows[] = {{EVENT_HEX, KI_SERF_USER_EVENT}, {QUERY_HEX, KI_SERF_QUERY}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_serf_clocked got;
        struct ki_reader r = open_body(rows[i].hex, rows[i].type);
        size_t len = r.left;
        assert_true(ki_decode_serf_clocked(&r, &got));
        assert_true(got.ltime == 1);
        assert_int_equal(r.left, 0);
        for (size_t cut = 0; cut < len; cut++) {
            r = ki_reader(input + 2, cut);
            assert_false(ki_decode_serf_clocked(&r, &got));
        }
    }
}

/* What intents must fulfil, and the other ways to say them. */
static void test_intent_forms(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool leave_good, join_good;
    } rows[] = {
        {"93 05 a161 c3", true, true}, /* a join skips the third */
        {"92 05 a161", true, true},
        {"84 a15a 9101 a55072756e65 c3 a44e6f6465 a161 a54c54696d65 d30000000000000005", true,
         true},
        {"81 a44e6f6465 a161", true, true},
        {"92 05 a0", false, false},
        {"92 05 c0", false, false},
        {"81 a54c54696d65 05", false, false},
        {"92 ff a161", false, false},
        {"92 05 c40161", false, false},
        {"93 05 a161 05", false, true},
        {"a161", false, false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_serf_leave leave;
        struct ki_serf_join join;
        size_t len = hex_bytes(rows[i].hex, input, sizeof(input));
        struct ki_reader r = ki_reader(input, len);
        assert_int_equal(ki_decode_serf_leave(&r, &leave), rows[i].leave_good);
        assert_int_equal(r.bad, !rows[i].leave_good);
        r = ki_reader(input, len);
        assert_int_equal(ki_decode_serf_join(&r, &join), rows[i].join_good);
    }
}

/* ---- push/pull state ---- */

/* Serf's own: the ring of 512 event slots, all nil. */
static size_t golden_state(uint8_t *out, size_t cap)
{
    size_t len = hex_bytes("0286 aa4576656e744c54696d6501 a64576656e7473dc0200", out, cap);
    memset(out + len, 0xc0, 512);
    len += 512;
    return len + hex_bytes("a54c54696d6501ab4c6566744d656d6265727390aa51756572794c54696d6501"
                           "ac5374617475734c54696d657381a5616c70686100",
                           out + len, cap - len);
}

static void test_golden_state(void **state)
{
    (void)state;
    size_t len = golden_state(input, sizeof(input));
    assert_int_equal(len, 589 + 0); /* the UserStateLen of the push/pull header captured with it */
    struct ki_reader r = ki_reader(input + 1, len - 1);
    struct ki_serf_state got;
    assert_true(ki_decode_serf_state(&r, &got));
    assert_int_equal(r.left, 0);
    assert_true(got.ltime == 1 && got.event_ltime == 1 && got.query_ltime == 1);
    assert_int_equal(got.events.len, 3 + 512);
    struct ki_span name;
    uint64_t ltime = 7;
    uint32_t left = UINT32_MAX;
    r = ki_reader(got.status_ltimes.ptr, got.status_ltimes.len);
    assert_true(ki_serf_status_next(&r, &left, &name, &ltime));
    assert_true(ki_span_equal(name, TEXT("alpha")) && ltime == 0);
    assert_false(ki_serf_status_next(&r, &left, &name, &ltime));
    assert_false(r.bad);
    left = UINT32_MAX;
    r = ki_reader(got.left_members.ptr, got.left_members.len);
    assert_false(ki_serf_left_next(&r, &left, &name));
    assert_false(r.bad);
    for (size_t cut = 0; cut + 1 < len; cut++) {
        r = ki_reader(input + 1, cut);
        assert_false(ki_decode_serf_state(&r, &got));
    }
}

#define OWN_STATE_HEX                                                                           \
    "0286 aa4576656e744c54696d6503 a64576656e747390 a54c54696d6509 ab4c6566744d656d6265727392 " \
    "a161 a162"                                                                                 \
    "aa51756572794c54696d6504 ac5374617475734c54696d657383 a161 05 a162 06 a163 cd0100"

static void test_state_round(void **state)
{
    (void)state;
    uint8_t want[256], buf[256];
    size_t len = hex_bytes(OWN_STATE_HEX, want, sizeof(want));
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    ki_encode_serf_state_begin(&p, 3, 0);
    ki_encode_serf_state_left_members(&p, 9, 2);
    ki_encode_serf_state_left(&p, TEXT("a"));
    ki_encode_serf_state_left(&p, TEXT("b"));
    ki_encode_serf_state_middle(&p, 4, 3);
    ki_encode_serf_state_status(&p, TEXT("a"), 5);
    ki_encode_serf_state_status(&p, TEXT("b"), 6);
    ki_encode_serf_state_status(&p, TEXT("c"), 256);
    assert_int_equal(p.w.len, len);
    assert_memory_equal(buf, want, len);
    struct ki_reader r = ki_reader(buf + 1, len - 1);
    struct ki_serf_state got;
    assert_true(ki_decode_serf_state(&r, &got));
    assert_true(got.ltime == 9 && got.event_ltime == 3 && got.query_ltime == 4);
    static const uint64_t ltimes[] = {5, 6, 256};
    struct ki_span name;
    uint64_t ltime;
    uint32_t left = UINT32_MAX;
    size_t seen = 0;
    r = ki_reader(got.status_ltimes.ptr, got.status_ltimes.len);
    for (; ki_serf_status_next(&r, &left, &name, &ltime); seen++) {
        assert_true(seen < 3 && name.len == 1 && name.ptr[0] == 'a' + (int)seen &&
                    ltime == ltimes[seen]);
    }
    assert_int_equal(seen, 3);
    left = UINT32_MAX;
    r = ki_reader(got.left_members.ptr, got.left_members.len);
    for (seen = 0; ki_serf_left_next(&r, &left, &name); seen++)
        assert_true(seen < 2 && name.len == 1 && name.ptr[0] == 'a' + (int)seen);
    assert_int_equal(seen, 2);
}

static void test_state_forms(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool good;
    } rows[] = {
        {"80", true},
        {"c0", true},
        {"96 01 c0 c0 01 c0 01", true},
        {"96 01 81a16105 91a161 01 91c0 01", true},
        {"97 01 80 90 01 90 01 9205a0", true},
        {"81 a44b697468 82a16101a16202",
         true},                      /* a key of kith's own would be skipped by others like this */
        {"92 01 81 05 05", false},   /* a name is a string */
        {"92 01 81 a161 ff", false}, /* a clock is not negative */
        {"92 01 81 a161 a161", false},
        {"92 01 90", false},    /* statuses are a map */
        {"93 01 80 80", false}, /* left members are an array */
        {"93 01 80 9105", false},
        {"93 01 80 91c40161", false},
        {"95 01 80 90 01 80", false}, /* events are an array */
        {"95 01 80 90 01 05", false},
        {"91 ff", false},
        {"92 01 82 a161 05", false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_reader r = ki_reader(input, hex_bytes(rows[i].hex, input, sizeof(input)));
        struct ki_serf_state got;
        bool good = ki_decode_serf_state(&r, &got);
        if (good != rows[i].good)
            print_error("row %zu: %s\n", i, rows[i].hex);
        assert_int_equal(good, rows[i].good);
        assert_int_equal(r.bad, !rows[i].good);
    }
}

/* ---- tags ---- */

/* What a meta's tags are, as key=value; ends at the first malformed one. */
static const struct {
    const char *hex;
    const char *text;
} tag_rows[] = {
    {"", ""},
    {"ff80", ""},
    {"ffc0", ""},
    {"ff", ""},
    {"ff81a4726f6c65a3776562", "role=web;"},
    {"ff82a2646ba174a4726f6c65a3776562", "dk=t;role=web;"},
    {"ff82a4726f6c65a3776562a2646ba0", "role=web;dk=;"},
    {"ff81a161c0", "a=;"},
    {"ffde0001a161a162", "a=b;"},
    {"ff81a16101", ""},
    {"ff83a161a162", ""}, /* a pair that cannot be there */
    {"ff82a161a162a163", "a=b;"},
    {"ff82a161a16205a162", "a=b;"},
    {"ff82a161a162a163c101", "a=b;"},
    {"ff90", ""},
    {"ffc1", ""},
    {"776562", "role=web;"}, /* a protocol of old: the meta is the role */
    {"81a161a162", "role=\x81\xa1\x61\xa1\x62;"},
};

static void test_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(tag_rows); i++) {
        struct ki_span meta = ki_span(input, hex_bytes(tag_rows[i].hex, input, sizeof(input)));
        struct ki_span key, value;
        char text[64];
        size_t len = 0, cursor = 0;
        while (ki_tag_next(meta, &cursor, &key, &value)) {
            assert_true(len + key.len + value.len + 3 < sizeof(text));
            memcpy(text + len, key.ptr, key.len);
            len += key.len;
            text[len++] = '=';
            if (value.len)
                memcpy(text + len, value.ptr, value.len);
            len += value.len;
            text[len++] = ';';
        }
        text[len] = 0;
        assert_string_equal(text, tag_rows[i].text);
        assert_false(ki_tag_next(meta, &cursor, &key, &value)); /* the end stays the end */
    }
}

/* A cursor taken from a longer meta (the member's tags changed meanwhile) ends the walk, inside the shorter one. */
static void test_tag_cursor_of_another(void **state)
{
    (void)state;
    struct ki_span key, value;
    size_t cursor = 0;
    size_t len = hex_bytes("ff82 a9616161616161616161 a0 a162 a0", input, sizeof(input));
    assert_true(ki_tag_next(ki_span(input, len), &cursor, &key, &value));
    len = hex_bytes("ff82 a161 a0 a162 a0", input, sizeof(input));
    assert_false(ki_tag_next(ki_span(input, len), &cursor, &key, &value));
}

static void test_tag_find(void **state)
{
    (void)state;
    struct ki_span meta =
        ki_span(input, hex_bytes("ff83 a161a131 a3616263a132 a26162a133", input, sizeof(input)));
    struct ki_span value;
    assert_true(ki_tag_find(meta, "ab", &value) && ki_span_equal(value, TEXT("3")));
    assert_true(ki_tag_find(meta, "abc", &value) && ki_span_equal(value, TEXT("2")));
    assert_false(ki_tag_find(meta, "b", &value));
    assert_int_equal(value.len, 0);
    assert_false(ki_tag_find(meta, "role", &value));
    assert_true(ki_tag_find(TEXT("web"), "role", &value) && ki_span_equal(value, TEXT("web")));
    assert_false(ki_tag_find(ki_span(NULL, 0), "role", &value));
}

/* As many tags as fit a cursor's parts, written and walked; beyond its 16 bits there are none. */
static void test_many_tags(void **state)
{
    (void)state;
    static struct ki_tag_pair tags[300];
    static uint8_t names[300][3], buf[65536 + 16];
    for (size_t i = 0; i < KI_COUNT(tags); i++) {
        names[i][0] = (uint8_t)('a' + i / 100);
        names[i][1] = (uint8_t)('0' + i / 10 % 10);
        names[i][2] = (uint8_t)('0' + i % 10);
        tags[i] =
            (struct ki_tag_pair){.key = ki_span(names[i], 3), .value = ki_span(names[i], i % 4)};
    }
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    ki_encode_tags(&p, tags, KI_COUNT(tags));
    assert_memory_equal(buf, "\xff\xde\x01\x2c", 4);
    struct ki_span key, value;
    size_t cursor = 0, seen = 0;
    for (; ki_tag_next(ki_span(buf, p.w.len), &cursor, &key, &value); seen++)
        assert_true(seen < 300 && ki_span_equal(key, tags[seen].key) &&
                    ki_span_equal(value, tags[seen].value));
    assert_int_equal(seen, 300);
    static uint8_t wide[65530];
    for (size_t over = 0; over < 2; over++) {
        struct ki_tag_pair one = {.key = TEXT("k"), .value = ki_span(wide, 65535 - 7 + over)};
        p = ki_pack(buf, sizeof(buf), false);
        ki_encode_tags(&p, &one, 1);
        assert_int_equal(p.w.len, 65535 + over);
        cursor = 0;
        assert_int_equal(ki_tag_next(ki_span(buf, p.w.len), &cursor, &key, &value), over == 0);
    }
}

static void test_encode_tags(void **state)
{
    (void)state;
    uint8_t buf[32], want[32];
    struct ki_tag_pair tags[] = {{.key = TEXT("_kith"), .value = TEXT("1-1")},
                                 {.key = TEXT("role"), .value = TEXT("web")}};
    static const char *const rows[] = {"ff80", "ff81a55f6b697468a3312d31",
                                       "ff82a55f6b697468a3312d31a4726f6c65a3776562"};
    for (size_t count = 0; count < KI_COUNT(rows); count++) {
        struct ki_pack p = ki_pack(buf, sizeof(buf), false);
        ki_encode_tags(&p, tags, count);
        assert_int_equal(p.w.len, hex_bytes(rows[count], want, sizeof(want)));
        assert_memory_equal(buf, want, p.w.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_clocked),
        cmocka_unit_test(test_intent_forms),
        cmocka_unit_test(test_golden_state),
        cmocka_unit_test(test_state_round),
        cmocka_unit_test(test_state_forms),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_tag_cursor_of_another),
        cmocka_unit_test(test_tag_find),
        cmocka_unit_test(test_many_tags),
        cmocka_unit_test(test_encode_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
