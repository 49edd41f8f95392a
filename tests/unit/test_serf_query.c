/* Queries, answers and the member description in a conflict's answer: golden vectors of a running Serf 0.9.4 in both
 * directions, cut at every length, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/serf_query.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)

#define QUERY_HEX                                                                                                     \
    "048ba441646472a47f000001a746696c7465727392a70091a462657461b40182a445787072a3702e2aa3546167a4726f6c65"             \
    "a5466c61677301a24944ce60981340a54c54696d6501a44e616d65a46c6f6164a75061796c6f6164a331356da4506f7274cd461a"         \
    "ab52656c6179466163746f7201aa536f757263654e6f6465a5616c706861a754696d656f7574ceb2d05e00"
#define RESPONSE_HEX "0585a5466c61677300a446726f6da462657461a24944ce60981340a54c54696d6501a75061796c6f6164a4312e3032"

static uint8_t input[1024];

static struct ki_reader query_open(const char *hex)
{
    size_t len = hex_bytes(hex, input, sizeof input);
    return ki_reader(input + 1, len - 1);
}

static void query_same(const struct ki_pack *p, const char *hex)
{
    uint8_t want[1024];
    size_t len = hex_bytes(hex, want, sizeof want);
    assert_false(p->w.full);
    assert_int_equal(p->w.len, len);
    assert_memory_equal(p->w.start, want, len);
}

static void query_both_ways(void **state)
{
    (void)state;
    uint8_t buf[1024];
    struct ki_serf_query q;
    struct ki_reader r = query_open(QUERY_HEX);
    assert_true(ki_decode_serf_query(&r, &q));
    assert_int_equal(r.left, 0);
    assert_int_equal(q.id, 0x60981340);
    assert_int_equal(q.timeout_ns, 3000000000);
    assert_true(ki_span_equal(q.name, TEXT("load")) && ki_span_equal(q.source_node, TEXT("alpha")));
    assert_true(q.port == 17946 && q.flags == 1 && q.relay_factor == 1 && q.filters.len == 30);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_query(&p, &q);
    query_same(&p, QUERY_HEX);
}

static void response_both_ways(void **state)
{
    (void)state;
    uint8_t buf[1024];
    struct ki_serf_response msg;
    struct ki_reader r = query_open(RESPONSE_HEX);
    assert_true(ki_decode_serf_response(&r, &msg));
    assert_true(ki_span_equal(msg.from, TEXT("beta")) && ki_span_equal(msg.payload, TEXT("1.02")));
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_response(&p, &msg);
    query_same(&p, RESPONSE_HEX);
}

static void member_both_ways(void **state)
{
    (void)state;
    static const uint8_t tags[] = {0x81, 0xa1, 'a', 0xa1, 'b'};
    static const uint8_t addr[] = {10, 0, 0, 7};
    uint8_t buf[1024];
    struct ki_serf_member in = {.name = TEXT("alpha"),
                                .addr = ki_span(addr, 4),
                                .port = 7946,
                                .tags = ki_span(tags, sizeof tags),
                                .status = 1,
                                .pmin = 1,
                                .pmax = 5,
                                .pcur = 2,
                                .dmin = 2,
                                .dmax = 5,
                                .dcur = 5};
    struct ki_serf_member out;
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_member(&p, &in);
    query_same(&p, "068ba441646472a40a000007ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d69"
                   "6e02a44e616d65a5616c706861a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805ab5"
                   "0726f746f636f6c4d696e01a653746174757301a45461677381a161a162");
    struct ki_reader r = ki_reader(buf + 1, p.w.len - 1);
    assert_true(ki_decode_serf_member(&r, &out));
    assert_true(out.port == 7946 && out.dmax == 5 && ki_span_equal(out.tags, in.tags));
    const uint8_t nil = 0xC0;
    r = ki_reader(&nil, 1);
    assert_true(ki_decode_serf_member(&r, &out));
    assert_int_equal(out.name.len, 0);
}

static void cut_short_is_malformed(void **state)
{
    (void)state;
    struct ki_serf_query q;
    struct ki_serf_response msg;
    size_t len = query_open(QUERY_HEX).left;
    for (size_t i = 0; i < len; i++) {
        struct ki_reader r = ki_reader(input + 1, i);
        assert_false(ki_decode_serf_query(&r, &q));
    }
    len = query_open(RESPONSE_HEX).left;
    for (size_t i = 0; i < len; i++) {
        struct ki_reader r = ki_reader(input + 1, i);
        assert_false(ki_decode_serf_response(&r, &msg));
    }
}

static void what_cannot_be_answered_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what, *addr, *source, *name;
        size_t addr_len;
    } rows[] = {
        {"no address", "", "alpha", "load", 0},
        {"an odd address", "abcde", "alpha", "load", 5},
        {"nobody asks", "abcd", "", "load", 4},
        {"nothing is asked", "abcd", "alpha", "", 4},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[512];
        struct ki_serf_query q;
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_query(&p, &(struct ki_serf_query){.addr = ki_span(rows[i].addr, rows[i].addr_len),
                                                         .source_node = ki_span(rows[i].source, strlen(rows[i].source)),
                                                         .name = ki_span(rows[i].name, strlen(rows[i].name))});
        struct ki_reader r = ki_reader(buf + 1, p.w.len - 1);
        if (ki_decode_serf_query(&r, &q))
            fail_msg("%s: accepted", rows[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(query_both_ways),
        cmocka_unit_test(response_both_ways),
        cmocka_unit_test(member_both_ways),
        cmocka_unit_test(cut_short_is_malformed),
        cmocka_unit_test(what_cannot_be_answered_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
