/* Tables for src/wire/memberlist.c.  The first vectors were captured from running Serf 0.9.4 agents: a message must
 * decode to what is meant, and encode to the very same bytes.  Then what is malformed, cut, or said another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/memberlist.h"

/* One message in any of its forms; type -1 is a push/pull's node state, which has no type byte. */
union message {
    struct ki_ping ping;
    struct ki_indirect_ping indirect;
    struct ki_ack ack;
    struct ki_nack nack;
    struct ki_err err;
    struct ki_suspect suspect;
    struct ki_alive alive;
    struct ki_push_pull_header header;
    struct ki_node_state state;
    struct ki_user_header user;
};

#define TEXT(s)                                           \
    {                                                     \
        .ptr = (const uint8_t *)(s), .len = sizeof(s) - 1 \
    }
#define NODE_STATE (-1)

#define LOOPBACK TEXT("\x7f\0\0\x01")
#define VERSIONS TEXT("\x01\x05\x02\x02\x05\x05")
#define WEB      TEXT("\xff\x81\xa4role\xa3web")

static const struct {
    const char *name;
    int type;
    union message message;
    const char *hex;
} golden[] = {
    {"ping of a serf agent",
     KI_MSG_PING,
     {.ping = {.seq = 1,
               .node = TEXT("beta"),
               .source_addr = LOOPBACK,
               .source_port = 17946,
               .source_node = TEXT("alpha")}},
     "00 85 a44e6f6465a462657461 a55365714e6f01 aa536f7572636541646472a47f000001 "
     "aa536f757263654e6f6465a5616c706861"
     "aa536f75726365506f7274cd461a"},
    {"least ping",
     KI_MSG_PING,
     {.ping = {.seq = 77, .node = TEXT("alpha")}},
     "0082a44e6f6465a5616c706861a55365714e6f4d"},
    {"indirect ping",
     KI_MSG_INDIRECT_PING,
     {.indirect = {.seq = 78,
                   .target = LOOPBACK,
                   .port = 17999,
                   .node = TEXT("gamma"),
                   .nack = true,
                   .source_addr = LOOPBACK,
                   .source_port = 17947,
                   .source_node = TEXT("beta")}},
     "0188a44e61636bc3a44e6f6465a567616d6d61a4506f7274cd464fa55365714e6f4eaa536f7572636541646472a47"
     "f000001aa536f757263"
     "654e6f6465a462657461aa536f75726365506f7274cd461ba6546172676574a47f000001"},
    {"nack", KI_MSG_NACK, {.nack = {.seq = 78}}, "0b81a55365714e6f4e"},
    {"nack, refused", KI_MSG_NACK, {.nack = {.seq = 78, .refused = true}}, "0b82a752656675736564c3a55365714e6f4e"},
    {"relayed ack", KI_MSG_ACK, {.ack = {.seq = 79}}, "0282a75061796c6f6164c0a55365714e6f4f"},
    {"suspect",
     KI_MSG_SUSPECT,
     {.suspect = {.incarnation = 1, .node = TEXT("alpha"), .from = TEXT("beta")}},
     "0383a446726f6da462657461ab496e6361726e6174696f6e01a44e6f6465a5616c706861"},
    {"alive",
     KI_MSG_ALIVE,
     {.alive = {.incarnation = 1,
                .node = TEXT("alpha"),
                .addr = LOOPBACK,
                .port = 17946,
                .meta = WEB,
                .versions = VERSIONS}},
     "0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461abff81a4726f6c65a3776562a44e6f646"
     "5a5616c706861"
     "a4506f7274cd461aa356736ea6010502020505"},
    {"leave",
     KI_MSG_DEAD,
     {.suspect = {.incarnation = 3, .node = TEXT("alpha"), .from = TEXT("alpha")}},
     "0583a446726f6da5616c706861ab496e6361726e6174696f6e03a44e6f6465a5616c706861"},
    {"push/pull header",
     KI_MSG_PUSH_PULL,
     {.header = {.nodes = 1, .user_state_len = 589, .join = true}},
     "0683a44a6f696ec3a54e6f64657301ac5573657253746174654c656ecd024d"},
    {"node state",
     NODE_STATE,
     {.state = {.name = TEXT("alpha"),
                .addr = LOOPBACK,
                .port = 17946,
                .meta = WEB,
                .incarnation = 1,
                .state = 0,
                .versions = VERSIONS}},
     "87a441646472a47f000001ab496e6361726e6174696f6e01a44d657461abff81a4726f6c65a3776562a44e616d65a"
     "5616c706861"
     "a4506f7274cd461aa5537461746500a356736ea6010502020505"},
    /* not captured: what has no vector above */
    {"error", KI_MSG_ERR, {.err = {.text = TEXT("no")}}, "0d81a54572726f72a26e6f"},
    {"stream user header", KI_MSG_USER, {.user = {.len = 300}}, "0881aa557365724d73674c656ecd012c"},
    {"ack with a payload",
     KI_MSG_ACK,
     {.ack = {.seq = 4000000000, .payload = TEXT("\x01\x80")}},
     "0282a75061796c6f6164a20180a55365714e6fceee6b2800"},
};

static void encode(struct ki_pack *p, int type, const union message *m)
{
    switch (type) {
    case KI_MSG_PING:
        ki_encode_ping(p, &m->ping);
        break;
    case KI_MSG_INDIRECT_PING:
        ki_encode_indirect_ping(p, &m->indirect);
        break;
    case KI_MSG_ACK:
        ki_encode_ack(p, &m->ack);
        break;
    case KI_MSG_NACK:
        ki_encode_nack(p, &m->nack);
        break;
    case KI_MSG_ERR:
        ki_encode_err(p, &m->err);
        break;
    case KI_MSG_SUSPECT:
        ki_encode_suspect(p, &m->suspect);
        break;
    case KI_MSG_DEAD:
        ki_encode_dead(p, &m->suspect);
        break;
    case KI_MSG_ALIVE:
        ki_encode_alive(p, &m->alive);
        break;
    case KI_MSG_PUSH_PULL:
        ki_encode_push_pull_header(p, &m->header);
        break;
    case KI_MSG_USER:
        ki_encode_user_header(p, &m->user);
        break;
    case NODE_STATE:
        ki_encode_node_state(p, &m->state);
        break;
    default:
        fail();
    }
}

/* The body: r stands behind the type byte. */
static bool decode(struct ki_reader *r, int type, union message *m)
{
    switch (type) {
    case KI_MSG_PING:
        return ki_decode_ping(r, &m->ping);
    case KI_MSG_INDIRECT_PING:
        return ki_decode_indirect_ping(r, &m->indirect);
    case KI_MSG_ACK:
        return ki_decode_ack(r, &m->ack);
    case KI_MSG_NACK:
        return ki_decode_nack(r, &m->nack);
    case KI_MSG_ERR:
        return ki_decode_err(r, &m->err);
    case KI_MSG_SUSPECT:
    case KI_MSG_DEAD:
        return ki_decode_suspect(r, &m->suspect);
    case KI_MSG_ALIVE:
        return ki_decode_alive(r, &m->alive);
    case KI_MSG_PUSH_PULL:
        return ki_decode_push_pull_header(r, &m->header);
    case KI_MSG_USER:
        return ki_decode_user_header(r, &m->user);
    case NODE_STATE:
        return ki_decode_node_state(r, &m->state);
    default:
        fail();
    }
    return false;
}

static size_t body_start(int type)
{
    return type == NODE_STATE ? 0 : 1;
}

static void test_golden_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(golden); i++) {
        uint8_t want[256], buf[256];
        size_t len = hex_bytes(golden[i].hex, want, sizeof(want));
        for (size_t cap = 0; cap <= len; cap++) {
            struct ki_pack p = ki_pack(buf, cap, false);
            encode(&p, golden[i].type, &golden[i].message);
            assert_int_equal(p.w.full, cap < len);
            if (cap == len) {
                assert_int_equal(p.w.len, len);
                assert_memory_equal(buf, want, len);
            }
        }
    }
}

/* What was decoded is compared field by field with what was meant; alignment holes do not matter. */
static void check_same(int type, const union message *got, const union message *want)
{
    switch (type) {
    case KI_MSG_PING:
        assert_int_equal(got->ping.seq, want->ping.seq);
        assert_true(ki_span_equal(got->ping.node, want->ping.node));
        assert_true(ki_span_equal(got->ping.source_addr, want->ping.source_addr));
        assert_int_equal(got->ping.source_port, want->ping.source_port);
        assert_true(ki_span_equal(got->ping.source_node, want->ping.source_node));
        break;
    case KI_MSG_INDIRECT_PING:
        assert_int_equal(got->indirect.seq, want->indirect.seq);
        assert_true(ki_span_equal(got->indirect.target, want->indirect.target));
        assert_int_equal(got->indirect.port, want->indirect.port);
        assert_true(ki_span_equal(got->indirect.node, want->indirect.node));
        assert_int_equal(got->indirect.nack, want->indirect.nack);
        assert_true(ki_span_equal(got->indirect.source_addr, want->indirect.source_addr));
        assert_int_equal(got->indirect.source_port, want->indirect.source_port);
        assert_true(ki_span_equal(got->indirect.source_node, want->indirect.source_node));
        break;
    case KI_MSG_ACK:
        assert_int_equal(got->ack.seq, want->ack.seq);
        assert_true(ki_span_equal(got->ack.payload, want->ack.payload));
        break;
    case KI_MSG_NACK:
        assert_int_equal(got->nack.seq, want->nack.seq);
        assert_int_equal(got->nack.refused, want->nack.refused);
        break;
    case KI_MSG_ERR:
        assert_true(ki_span_equal(got->err.text, want->err.text));
        break;
    case KI_MSG_SUSPECT:
    case KI_MSG_DEAD:
        assert_int_equal(got->suspect.incarnation, want->suspect.incarnation);
        assert_true(ki_span_equal(got->suspect.node, want->suspect.node));
        assert_true(ki_span_equal(got->suspect.from, want->suspect.from));
        break;
    case KI_MSG_ALIVE:
        assert_int_equal(got->alive.incarnation, want->alive.incarnation);
        assert_true(ki_span_equal(got->alive.node, want->alive.node));
        assert_true(ki_span_equal(got->alive.addr, want->alive.addr));
        assert_int_equal(got->alive.port, want->alive.port);
        assert_true(ki_span_equal(got->alive.meta, want->alive.meta));
        assert_true(ki_span_equal(got->alive.versions, want->alive.versions));
        break;
    case KI_MSG_PUSH_PULL:
        assert_true(got->header.nodes == want->header.nodes);
        assert_true(got->header.user_state_len == want->header.user_state_len);
        assert_int_equal(got->header.join, want->header.join);
        break;
    case KI_MSG_USER:
        assert_true(got->user.len == want->user.len);
        break;
    case NODE_STATE:
        assert_true(ki_span_equal(got->state.name, want->state.name));
        assert_true(ki_span_equal(got->state.addr, want->state.addr));
        assert_int_equal(got->state.port, want->state.port);
        assert_true(ki_span_equal(got->state.meta, want->state.meta));
        assert_int_equal(got->state.incarnation, want->state.incarnation);
        assert_true(got->state.state == want->state.state);
        assert_true(ki_span_equal(got->state.versions, want->state.versions));
        break;
    default:
        fail();
    }
}

/* Decoded, followed by other bytes: they are left for whoever comes next. */
static void test_golden_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(golden); i++) {
        uint8_t buf[256];
        size_t start = body_start(golden[i].type);
        size_t len = hex_bytes(golden[i].hex, buf, sizeof(buf) - 2);
        if (start)
            assert_int_equal(buf[0], golden[i].type);
        buf[len] = 0xc1;
        buf[len + 1] = 0xc1;
        struct ki_reader r = ki_reader(buf + start, len + 2 - start);
        union message got;
        memset(&got, 0xa5, sizeof(got));
        assert_true(decode(&r, golden[i].type, &got));
        assert_int_equal(r.left, 2);
        check_same(golden[i].type, &got, &golden[i].message);
    }
}

static void test_golden_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(golden); i++) {
        uint8_t buf[256];
        size_t start = body_start(golden[i].type);
        size_t len = hex_bytes(golden[i].hex, buf, sizeof(buf)) - start;
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *exact = malloc(cut ? cut : 1);
            assert_non_null(exact);
            memcpy(exact, buf + start, cut);
            struct ki_reader r = ki_reader(exact, cut);
            union message got;
            assert_false(decode(&r, golden[i].type, &got));
            assert_true(r.bad && r.ended); /* so a stream waits for more */
            free(exact);
        }
    }
}

/* The keys of every message, all fields filled, go out in the order of their bytes. */
static void test_keys_are_sorted(void **state)
{
    (void)state;
    size_t keys = 0;
    for (size_t i = 0; i < KI_COUNT(golden); i++) {
        uint8_t buf[256];
        struct ki_pack p = ki_pack(buf, sizeof(buf), false);
        encode(&p, golden[i].type, &golden[i].message);
        struct ki_reader r =
            ki_reader(buf + body_start(golden[i].type), p.w.len - body_start(golden[i].type));
        uint32_t count;
        assert_true(ki_unpack_map(&r, &count));
        struct ki_span last = {0}, key;
        for (uint32_t k = 0; k < count; k++, last = key, keys++) {
            assert_true(ki_unpack_str(&r, &key) && key.len > 0);
            int order = last.len ? memcmp(last.ptr, key.ptr, ki_min_size(last.len, key.len)) : -1;
            assert_true(order < 0 || (order == 0 && last.len < key.len));
            assert_true(ki_unpack_skip(&r));
        }
        assert_int_equal(r.left, 0);
    }
    assert_int_equal(keys, 5 + 2 + 8 + 1 + 2 + 2 + 3 + 6 + 3 + 3 + 7 + 1 + 1 + 2);
}

static void test_compress(void **state)
{
    (void)state;
    static const char hex[] =
        "0982a4416c676f00a3427566b8 00010822e5e40d9932a5c2b08183264ca92965e2146c1210";
    uint8_t want[64], buf[64];
    size_t len = hex_bytes(hex, want, sizeof(want));
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    ki_encode_compress_front(&p, 24);
    assert_int_equal(p.w.len, len - 24);
    assert_memory_equal(buf, want, len - 24);
    struct ki_reader r = ki_reader(want + 1, len - 1);
    struct ki_compress compress;
    assert_true(ki_decode_compress(&r, &compress));
    assert_int_equal(compress.algo, 0);
    assert_true(ki_span_equal(compress.buf, ki_span(want + len - 24, 24)));
    /* newer peers, and any length of buffer */
    len = hex_bytes("82a4416c676f00a3427566c403000302", want, sizeof(want));
    r = ki_reader(want, len);
    assert_true(ki_decode_compress(&r, &compress));
    assert_int_equal(compress.buf.len, 3);
    for (size_t cut = 0; cut < len; cut++) {
        r = ki_reader(want, cut);
        assert_false(ki_decode_compress(&r, &compress));
    }
}

/* The same said in other ways that peers accept, or newer ones use. */
static const struct {
    int type;
    const char *hex;
    bool good;
} others[] = {
    /* ping: array in order of declaration; a 16-byte source; unknown keys; nothing at all */
    {KI_MSG_PING, "92 4d a5616c706861", true},
    {KI_MSG_PING, "96 4d a0 a47f000001 cd461a a162 05", true},
    {KI_MSG_PING, "82 aa536f7572636541646472 b000000000000000000000ffff7f000001 a55365714e6f 05",
     true},
    {KI_MSG_PING, "82 a15a 8101c0 a55365714e6f 05", true},
    {KI_MSG_PING, "80", true},
    {KI_MSG_PING, "81 aa536f7572636541646472 c0", true},
    {KI_MSG_PING, "81 aa536f7572636541646472 c404 7f000001", true},
    {KI_MSG_PING, "81 aa536f7572636541646472 a3 7f0000", false},
    {KI_MSG_PING, "81 aa536f7572636541646472 94 7f000001", false},
    {KI_MSG_PING, "81 a55365714e6f ff", false},
    {KI_MSG_PING, "81 a55365714e6f cf0000000100000000", false},
    {KI_MSG_PING, "81 a44e6f6465 c401 61", false},
    {KI_MSG_PING, "81 aa536f75726365506f7274 ce00010000", false},
    /* indirect ping: an address is needed */
    {KI_MSG_INDIRECT_PING, "93 4d a47f000001 cd461a", true},
    {KI_MSG_INDIRECT_PING, "93 4d b000000000000000000000000000000001 cd461a", true},
    {KI_MSG_INDIRECT_PING, "81 a55365714e6f 05", false},
    {KI_MSG_INDIRECT_PING, "93 4d a57f00000100 cd461a", false},
    {KI_MSG_INDIRECT_PING, "96 4d a47f000001 cd461a a0 c2 a101", false},
    {KI_MSG_ACK, "92 05 c403010203", true},
    {KI_MSG_ACK, "92 05 9101", false},
    {KI_MSG_NACK, "91 05", true},
    {KI_MSG_NACK, "05", false},
    {KI_MSG_ERR, "91 a0", true},
    {KI_MSG_ERR, "91 05", false},
    /* suspect and dead: both names are needed */
    {KI_MSG_SUSPECT, "93 01 a161 a162", true},
    {KI_MSG_SUSPECT, "93 01 a0 a162", false},
    {KI_MSG_DEAD, "93 01 a161 c0", false},
    {KI_MSG_DEAD, "92 01 a161", false},
    {KI_MSG_DEAD, "c0", false},
    /* alive: a name, an address, versions of none or six */
    {KI_MSG_ALIVE, "94 01 a161 a47f000001 00", true},
    {KI_MSG_ALIVE, "96 01 a161 a47f000001 00 c0 c0", true},
    {KI_MSG_ALIVE, "96 01 a161 a47f000001 00 c0 c406010502020505", true},
    {KI_MSG_ALIVE, "96 01 a161 b000000000000000000000ffff7f000001 00 c0 a0", true},
    {KI_MSG_ALIVE, "96 01 a161 a47f000001 00 c0 a101", false},
    {KI_MSG_ALIVE, "96 01 a161 a47f000001 00 c0 a3010502", false},
    {KI_MSG_ALIVE, "96 01 a161 a47f000001 00 c0 a701050202050505", false},
    {KI_MSG_ALIVE, "94 01 a0 a47f000001 00", false},
    {KI_MSG_ALIVE, "94 01 a161 a0 00", false},
    {KI_MSG_ALIVE, "94 01 a161 a57f00000100 00", false},
    /* push/pull header: newer peers send signed numbers; no number is negative */
    {KI_MSG_PUSH_PULL, "83 a44a6f696e c2 a54e6f646573 d100c8 ac5573657253746174654c656e d200012345",
     true},
    {KI_MSG_PUSH_PULL, "93 01 00 c3", true},
    {KI_MSG_PUSH_PULL, "93 ff 00 c3", false},
    {KI_MSG_PUSH_PULL, "93 01 ff c3", false},
    {KI_MSG_PUSH_PULL, "93 cf8000000000000000 00 c3", false},
    {KI_MSG_USER, "91 d100c8", true},
    {KI_MSG_USER, "91 d1ffff", false},
    /* node state: as alive, and a state there is */
    {NODE_STATE, "97 a161 a47f000001 00 c0 01 03 a6010502020505", true},
    {NODE_STATE, "97 a161 a47f000001 00 c0 01 d103e8 c0", false},
    {NODE_STATE, "97 a161 a47f000001 00 c0 01 04 c0", false},
    {NODE_STATE, "97 a161 a47f000001 00 c0 01 ff c0", false},
    {NODE_STATE, "97 a161 a47f000001 00 c0 01 00 a101", false},
    {NODE_STATE, "97 a0 a47f000001 00 c0 01 00 c0", false},
    {NODE_STATE, "97 a161 c0 00 c0 01 00 c0", false},
};

static void test_other_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(others); i++) {
        uint8_t buf[128];
        struct ki_reader r = ki_reader(buf, hex_bytes(others[i].hex, buf, sizeof(buf)));
        union message got;
        bool good = decode(&r, others[i].type, &got);
        if (good != others[i].good)
            print_error("row %zu: %s\n", i, others[i].hex);
        assert_int_equal(good, others[i].good);
        assert_int_equal(r.bad, !others[i].good);
        assert_false(r.ended); /* no further byte would mend it */
    }
}

/* A meta of 512 bytes is the longest there is. */
static void test_meta_limit(void **state)
{
    (void)state;
    static uint8_t meta[513], buf[1024];
    struct ki_alive alive = {.incarnation = 1,
                             .node = TEXT("a"),
                             .addr = LOOPBACK,
                             .meta = ki_span(meta, 512),
                             .versions = VERSIONS};
    struct ki_node_state node = {
        .name = TEXT("a"), .addr = LOOPBACK, .meta = ki_span(meta, 512), .state = 3};
    for (size_t over = 0; over < 2; over++) {
        alive.meta.len = node.meta.len = 512 + over;
        struct ki_pack p = ki_pack(buf, sizeof(buf), false);
        ki_encode_alive(&p, &alive);
        struct ki_reader r = ki_reader(buf + 1, p.w.len - 1);
        struct ki_alive alive_back;
        assert_int_equal(ki_decode_alive(&r, &alive_back), over == 0);
        p = ki_pack(buf, sizeof(buf), false);
        ki_encode_node_state(&p, &node);
        r = ki_reader(buf, p.w.len);
        struct ki_node_state node_back;
        assert_int_equal(ki_decode_node_state(&r, &node_back), over == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_encode), cmocka_unit_test(test_golden_decode),
        cmocka_unit_test(test_golden_cut),    cmocka_unit_test(test_keys_are_sorted),
        cmocka_unit_test(test_compress),      cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_meta_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
