/* The wire is hostile: the crash corpus, bombs and forged addresses.  What holds after every input is in victim.h;
 * random mutations are in test_hostile_mutations.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "victim.h"
#include "wire/lzw.h"
#include "world.h"

/* ---- the crash corpus ---- */

static const struct line {
    int line;
    const char *hex;
} lines[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R("0780"),
    R("07010000"),
    R("0c00000000"),
    R("0982a4416c676f00a3427566a3000302"),
    /* alive whose Vsn has 1 and 3 bytes */
    R("0486 a441646472a47f000001 ab496e6361726e6174696f6e09 a44d657461a2ff80 a44e6f6465a56f74686572 "
      "a4506f7274cd461a a356736ea101"),
    R("0486 a441646472a47f000001 ab496e6361726e6174696f6e09 a44d657461a2ff80 a44e6f6465a56f74686572 "
      "a4506f7274cd461a a356736ea3010502"),
    /* push/pull: a node with 1 byte of Vsn; -1 nodes; 2^40 nodes; user state of -1 and of 2^62 bytes */
    R("0683 a44a6f696ec3 a54e6f64657301 ac5573657253746174654c656e00 87 a441646472a47f000001 "
      "ab496e6361726e6174696f6e01 a44d657461a2ff80 a44e616d65a56f74686572 a4506f7274cd461a a5537461746500 "
      "a356736ea101"),
    R("0683 a44a6f696ec3 a54e6f646573ff ac5573657253746174654c656e00"),
    R("0683 a44a6f696ec3 a54e6f646573cf0000010000000000 ac5573657253746174654c656e00"),
    R("0683 a44a6f696ec3 a54e6f64657300 ac5573657253746174654c656eff"),
    R("0683 a44a6f696ec3 a54e6f64657300 ac5573657253746174654c656ecf4000000000000000"),
    /* query with an empty filter element; install-key query with an empty payload: not passed on either */
    R("0804 85 a441646472a47f000001 a746696c7465727391a0 a54c54696d6505 a44e616d65a178 aa536f757263654e6f6465a178"),
    R("0804 85 a441646472a47f000001 a54c54696d6506 a44e616d65b15f736572665f696e7374616c6c2d6b6579 "
      "a75061796c6f6164a0 aa536f757263654e6f6465a178"),
    R("0804 82 a746696c7465727391a0 a54c54696d6505"),
    /* cousins: label without and beyond its bytes, empty parts, sizes beyond, types that exist on streams alone */
    R("f4"), R("f400"), R("f4ff61"), R("f4046c616231"),
    R("07"), R("0700"), R("07ff"), R("0702000100010000"), R("0701ffff00"),
    R("0c"), R("0c0000"), R("0c0000000000"),
    R("09"), R("0980"), R("0982a4416c676f01a3427566a3000302"),
    R("0982a4416c676f00a3427566a0"), R("0982a4416c676f00a3427566a3ffffff"),
    R("0a"), R("0affffffff"), R("0a0000000001"), R("0a0000003101"),
    R("06"), R("0680"), R("0d80"), R("0e"), R("ff"),
    R("00"), R("0081"), R("0081a5"), R("00c1"), R("00dfffffffff"),
    R("00ddffffffff"), R("00dbffffffff"),
    R("08"), R("0800"), R("0802"), R("08ff"), R("080080"), R("080180"),
    R("0881aa557365724d73674c656eff"), R("0881aa557365724d73674c656ecf7fffffffffffffff"),
    /* names that are empty; a Lamport time and incarnations beyond which nothing comes */
    R("0383a446726f6da0ab496e6361726e6174696f6e01a44e6f6465a0"),
    R("0583a446726f6da162ab496e6361726e6174696f6eceffffffffa44e6f6465a66e6f64652d32"),
    R("080182a54c54696d65cfffffffffffffffffa44e6f6465a0"),
#undef R
};

static void corpus_datagrams_change_nothing(void **state)
{
    (void)state;
    uint8_t buf[512];
    for (unsigned flavour = 0; flavour < FLAVOURS; flavour++) {
        struct victim v = victim_new((enum flavour)flavour, true);
        for (size_t i = 0; i < KI_COUNT(lines); i++) {
            size_t head = 0;
            if (flavour == LABELLED && i % 2) { /* with and without the label that gets it in */
                memcpy(buf, "\xf4\x04lab1", 6);
                head = 6;
            }
            size_t len = head + hex_bytes(lines[i].hex, buf + head, sizeof buf - head);
            struct kith_addr from = i % 3 ? victim_stranger(0) : world_addr(0);
            unsigned changed = v.changed;
            victim_datagram(&v, &from, buf, len);
            if (v.changed != changed)
                fail_msg("line %d changes the state of flavour %u", lines[i].line, flavour);
        }
        victim_tick(&v, 1000);
        kith_free(v.k);
    }
}

/* ---- streams ---- */

/* A sound query is passed on: the two above are refused for what is wrong with them. */
static void sound_queries_are_passed_on(void **state)
{
    (void)state;
    uint8_t buf[256];
    struct victim v = victim_new(PLAIN, true);
    struct kith_addr from = world_addr(0);
    struct kith_gauges g;
    static const char *const sound[] = {
        "0804 85 a441646472a47f000001 a746696c7465727391a3009178 a54c54696d6505 a44e616d65a178 aa536f757263654e6f6465a178",
        "0804 85 a441646472a47f000001 a54c54696d6506 a44e616d65b15f736572665f696e7374616c6c2d6b6579 "
        "a75061796c6f6164a20780 aa536f757263654e6f6465a178"};
    for (unsigned i = 0; i < 2; i++) {
        size_t len = hex_bytes(sound[i], buf, sizeof buf);
        assert_int_equal(kith_datagram(v.k, v.now, &from, buf, len), 0);
        kith_read_gauges(v.k, &g);
        assert_int_equal(g.queue_queries, i + 1);
    }
    kith_free(v.k);
}

static void corpus_streams_change_nothing(void **state)
{
    (void)state;
    uint8_t buf[512];
    struct ki_rng rng;
    ki_rng_init(&rng, 5);
    for (unsigned flavour = 0; flavour < FLAVOURS; flavour++) {
        for (size_t i = 0; i < KI_COUNT(lines); i++) {
            for (size_t piece = 1; piece < 1000; piece *= 100) {
                struct victim v = victim_new((enum flavour)flavour, true);
                size_t len = hex_bytes(lines[i].hex, buf, sizeof buf);
                uint32_t id = victim_accept(&v);
                uint64_t before = lone_digest(v.k);
                size_t fed = 0;
                bool living = true;
                while (fed < len && living) {
                    size_t taken, want = piece < len - fed ? piece : len - fed;
                    living = kith_stream_bytes(v.k, v.now, id, buf + fed, want, &taken) == 0 && victim_pump(&v, id);
                    fed += want;
                }
                if (living) {
                    kith_stream_end(v.k, v.now, id);
                    LONE_CHECK(!victim_pump(&v, id));
                }
                if (lone_digest(v.k) != before)
                    fail_msg("line %d as a stream changes the state of flavour %u", lines[i].line, flavour);
                struct kith_gauges g;
                kith_read_gauges(v.k, &g);
                assert_true(g.streams == 0 && g.stream_bytes == 0);
                lone_check(v.k);
                kith_free(v.k);
            }
        }
    }
}

/* Feeds a stream in one piece, and neither end nor time: what is wrong with it must be seen at once. */
static bool corpus_aborts(struct victim *v, const char *hex)
{
    uint8_t buf[512];
    size_t taken, len = hex_bytes(hex, buf, sizeof buf);
    uint32_t id = victim_accept(v);
    assert_int_equal(kith_stream_bytes(v->k, v->now, id, buf, len, &taken), 0);
    return !victim_pump(v, id);
}

#define NODE_FRONT "87 a441646472a40a000009 ab496e6361726e6174696f6e01 a44d657461a2ff80 a44e616d65a56f74686572 " \
                   "a4506f7274cd1f0a a5537461746500 a356736ea6"

/* One node whose versions do not go with ours poisons the whole exchange: answered, but nothing of it is taken. */
static void alien_versions_are_not_merged(void **state)
{
    (void)state;
    static const struct {
        const char *versions;
        bool merged;
    } rows[] = {{"010502020505", true},  {"010502020504", true},  {"010502020506", false}, {"010502060606", false},
                {"010506020505", false}, {"040505020505", false}, {"010501020505", true},  {"000000000000", false}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        char hex[512];
        struct victim v = victim_new(PLAIN, true);
        struct kith_member m;
        snprintf(hex, sizeof hex, "0683 a44a6f696ec3 a54e6f64657301 ac5573657253746174654c656e00 " NODE_FRONT "%s",
                 rows[i].versions);
        uint64_t before = lone_digest(v.k);
        assert_true(corpus_aborts(&v, hex)); /* finished, in truth: it was answered */
        assert_int_equal(lone_counter(v.k, "streams_failed"), 0);
        if ((kith_find(v.k, lone_str("other"), &m) == 0) != rows[i].merged)
            fail_msg("versions %s", rows[i].versions);
        assert_true(rows[i].merged || lone_digest(v.k) == before);
        assert_int_equal(lone_counter(v.k, "version_mismatch"), !rows[i].merged);
        kith_free(v.k);
    }
}

static void broken_streams_end_at_once(void **state)
{
    (void)state;
    static const char *const broken[] = {"0683 a44a6f696ec3 a54e6f646573ff ac5573657253746174654c656e00",
                                         "0683 a44a6f696ec3 a54e6f646573cf0000010000000000 ac5573657253746174654c656e00",
                                         "0683 a44a6f696ec3 a54e6f64657301 ac5573657253746174654c656e00 91a161",
                                         "00c1", "0e80", "0d80", "0982a4416c676f01a3427566a3000302"};
    for (size_t i = 0; i < KI_COUNT(broken); i++) {
        struct victim v = victim_new(PLAIN, true);
        uint64_t before = lone_digest(v.k);
        if (!corpus_aborts(&v, broken[i]))
            fail_msg("%s: goes on", broken[i]);
        assert_true(lone_counter(v.k, "streams_failed") == 1 && lone_digest(v.k) == before);
        kith_free(v.k);
    }
}

/* ---- bombs ---- */

/* 0: the result would not fit. */
static size_t bomb_compress(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
    struct ki_lzw_encoder *e = malloc(sizeof *e);
    uint8_t *packed = malloc(cap);
    LONE_CHECK(e && packed);
    ki_lzw_encoder_init(e, in, len, packed, cap);
    bool fits = ki_lzw_encode(e, SIZE_MAX) == KI_LZW_DONE;
    struct ki_pack p = ki_pack(out, cap, false);
    ki_encode_compress_front(&p, e->out_len);
    ki_put(&p.w, packed, e->out_len);
    fits = fits && !p.w.full;
    free(packed);
    free(e);
    return fits ? p.w.len : 0;
}

static size_t bomb_wrap(const uint8_t *in, size_t len, unsigned copies, uint8_t *out, size_t cap)
{
    struct ki_writer w = ki_writer(out, cap);
    ki_put_u8(&w, KI_MSG_COMPOUND);
    ki_put_u8(&w, (uint8_t)copies);
    for (unsigned i = 0; i < copies; i++)
        ki_put_be(&w, len, 2);
    for (unsigned i = 0; i < copies; i++)
        ki_put(&w, in, len);
    return w.full ? 0 : w.len;
}

static void bombs_cost_a_bounded_memory(void **state)
{
    (void)state;
    static uint8_t zeros[300000], a[70000], b[70000];
    struct victim v = victim_new(PLAIN, true);
    struct kith_addr from = victim_stranger(0);
    /* zeros to 300 KB in a kilobyte; the same wrapped again and again */
    size_t len = bomb_compress(zeros, sizeof zeros, a, sizeof a);
    assert_true(len < 1200);
    for (unsigned depth = 0; len > 0; depth++) { /* LZW of LZW grows: a dozen times, to 64 KiB */
        victim_datagram(&v, &from, a, len);
        memcpy(b, a, len);
        len = bomb_compress(b, len, a, sizeof a);
        assert_true(depth < 100);
    }
    /* 60 KB that are compounds of zeros, compressed, in compounds: as many layers as there may be */
    len = bomb_compress(zeros, 60000, a, sizeof a);
    for (unsigned depth = 0; len > 0 && depth < 12; depth++) {
        memcpy(b, a, len);
        len = bomb_wrap(b, len, 4, a, sizeof a);
        victim_datagram(&v, &from, a, len);
        memcpy(b, a, len);
        len = len ? bomb_compress(b, len, a, sizeof a) : 0;
        victim_datagram(&v, &from, a, len);
    }
    /* pings nested in compounds 1 to 20 deep: those up to the limit are answered, the others counted */
    size_t inner = hex_bytes("0082a44e6f6465a0a55365714e6f4d", b, sizeof b);
    for (unsigned depth = 1; depth <= 20; depth++) {
        inner = bomb_wrap(b, inner, 1, a, sizeof a);
        memcpy(b, a, inner);
        uint64_t pings = lone_counter(v.k, "pings_in");
        uint64_t deep = lone_counter(v.k, "nested_too_deep");
        victim_datagram(&v, &from, a, inner);
        bool answered = lone_counter(v.k, "pings_in") == pings + 1;
        assert_true(answered == (depth < v.k->cfg.nesting_max));
        assert_true(answered != (lone_counter(v.k, "nested_too_deep") == deep + 1));
    }
    assert_true(v.memory_most < 1u << 20);
    assert_true(lone_counter(v.k, "malformed_compress") > 10);
    kith_free(v.k);
}

/* A stream that inflates for ever ends at inflated_max, holding no more than about twice that. */
static void stream_bombs_end_at_their_limit(void **state)
{
    (void)state;
    static uint8_t zeros[3000000], a[70000];
    struct ki_rng rng;
    ki_rng_init(&rng, 6);
    size_t len = bomb_compress(zeros, sizeof zeros, a, sizeof a);
    struct kith_config c;
    lone_config(&c);
    c.inflated_max = 1u << 20;
    struct victim v = {.k = lone_new(&c), .now = lone_time(LONE_SECOND)};
    uint32_t id = victim_accept(&v);
    victim_feed(&v, id, a, len, len, &rng);
    assert_int_equal(lone_counter(v.k, "malformed_compress"), 1);
    assert_true(v.memory_most < 3u << 20);
    kith_free(v.k);
}

/* ---- forged addresses ---- */

static size_t forge_ping(uint8_t *buf, size_t cap, struct kith_addr claimed, const char *node)
{
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_ping(&p, &(struct ki_ping){.seq = 77,
                                         .node = lone_span("node-2"),
                                         .source_addr = ki_span(claimed.ip, claimed.ip_len),
                                         .source_port = claimed.port,
                                         .source_node = lone_span(node)});
    return p.w.len;
}

static bool forge_answer(struct victim *v, struct kith_addr *to, size_t *len)
{
    uint8_t buf[2048];
    return kith_poll_datagram(v->k, v->now, to, buf, sizeof buf, len);
}

static void acks_do_not_go_where_a_stranger_points(void **state)
{
    (void)state;
    uint8_t buf[256];
    struct victim v = victim_new(PLAIN, true);
    struct kith_addr stranger = victim_stranger(0), third = {.ip = {198, 51, 100, 1}, .ip_len = 4, .port = 53}, to;
    size_t answer, len = forge_ping(buf, sizeof buf, third, "who");
    assert_int_equal(kith_datagram(v.k, v.now, &stranger, buf, len), 0);
    assert_true(forge_answer(&v, &to, &answer) && kith_addr_equal(&to, &stranger) && answer <= 3 * len);
    assert_int_equal(lone_counter(v.k, "forged_reply_address"), 1);
    /* a member's name with another address: the same */
    len = forge_ping(buf, sizeof buf, third, "node-0");
    assert_int_equal(kith_datagram(v.k, v.now, &stranger, buf, len), 0);
    assert_true(forge_answer(&v, &to, &answer) && kith_addr_equal(&to, &stranger));
    assert_int_equal(lone_counter(v.k, "forged_reply_address"), 2);
    /* a member's name with its own address: the member gets it (its packets may leave by another address) */
    struct kith_addr member = world_addr(0);
    len = forge_ping(buf, sizeof buf, member, "node-0");
    assert_int_equal(kith_datagram(v.k, v.now, &stranger, buf, len), 0);
    assert_true(forge_answer(&v, &to, &answer) && kith_addr_equal(&to, &member));
    assert_int_equal(lone_counter(v.k, "forged_reply_address"), 2);
    assert_false(forge_answer(&v, &to, &answer));
    kith_free(v.k);
}

static void indirect_pings_go_to_members_alone(void **state)
{
    (void)state;
    static const struct {
        const char *node;
        uint8_t last;
        uint16_t port;
        bool done;
    } asks[] = {{"nobody", 9, 7946, false},
                {"nobody", 1, 7946, false},
                {"node-0", 9, 7946, false},
                {"node-0", 1, 53, false},
                {"node-0", 1, 7946, true}};
    for (size_t i = 0; i < KI_COUNT(asks); i++) {
        uint8_t buf[256];
        struct victim v = victim_new(PLAIN, true);
        struct kith_addr stranger = victim_stranger(0), target = lone_addr(asks[i].last, asks[i].port), to;
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_indirect_ping(&p, &(struct ki_indirect_ping){.seq = 5,
                                                               .target = ki_span(target.ip, 4),
                                                               .port = target.port,
                                                               .node = lone_span(asks[i].node),
                                                               .nack = true});
        kith_datagram(v.k, v.now, &stranger, buf, p.w.len);
        size_t len;
        assert_true(forge_answer(&v, &to, &len) == asks[i].done);
        assert_true(!asks[i].done || kith_addr_equal(&to, &target));
        assert_int_equal(lone_counter(v.k, "indirect_refused"), asks[i].done ? 0 : 1);
        v.now.mono_us += LONE_SECOND; /* the nack says that we hear, whether the target is known or not */
        kith_tick(v.k, v.now);
        bool nacked = false;
        while (forge_answer(&v, &to, &len))
            nacked = nacked || kith_addr_equal(&to, &stranger);
        assert_true(nacked);
        kith_free(v.k);
    }
}

/* Tiny questions with long answers, many in one datagram, from a source that may be forged. */
static void strangers_cannot_amplify(void **state)
{
    (void)state;
    uint8_t buf[2048], part[64];
    struct kith_addr from = victim_stranger(0);
    static const char *const tiny[] = {"009101", "0080", "0091ceffffffff", "0082a44e6f6465a0a55365714e6f4d"};
    for (size_t i = 0; i < KI_COUNT(tiny); i++) {
        for (unsigned copies = 1; copies <= 127; copies += 21) {
            struct victim v = victim_new(PLAIN, true);
            size_t len = hex_bytes(tiny[i], part, sizeof part);
            len = bomb_wrap(part, len, copies, buf, sizeof buf);
            victim_datagram(&v, &from, buf, len); /* victim_drain() checks the bytes */
            assert_true(lone_counter(v.k, "datagrams_out") <= 2);
            kith_free(v.k);
        }
    }
    /* an accusation of ours from a stranger is refuted, but not to the stranger with all our news */
    struct victim v = victim_new(PLAIN, true);
    char tag[200];
    memset(tag, 'x', sizeof tag);
    assert_int_equal(kith_begin(v.k), 0);
    assert_int_equal(kith_tag_set(v.k, lone_str("t"), (struct kith_str){tag, sizeof tag}), 0);
    assert_int_equal(kith_commit(v.k, v.now, NULL), 0);
    size_t len = lone_accuse(buf, sizeof buf, true, "node-2", "x", ki_table_at(&v.k->table, 0)->incarnation);
    victim_datagram(&v, &from, buf, len);
    assert_int_equal(lone_counter(v.k, "refutations"), 1);
    kith_free(v.k);
}

/* One that is leaving refutes too, but does not tell a stranger of its leave besides: that would be too much. */
static void the_leaving_do_not_amplify(void **state)
{
    (void)state;
    uint8_t buf[2048];
    char name[64], tag[120];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    memset(tag, 't', sizeof tag);
    struct kith_config c;
    struct kith_tag tags[] = {{lone_str("t"), {tag, sizeof tag}}};
    lone_config(&c);
    c.name = lone_str(name);
    c.tags = tags;
    c.tag_count = 1;
    c.compress = false;
    struct victim v = {.k = lone_new(&c), .now = lone_time(LONE_SECOND)};
    lone_meet(v.k, v.now, "a", 2);
    assert_int_equal(kith_leave(v.k, v.now, NULL), 0);
    while (kith_poll_datagram(v.k, v.now, &(struct kith_addr){0}, buf, sizeof buf, &(size_t){0}))
        continue;
    struct kith_addr stranger = victim_stranger(0), to;
    size_t len = lone_accuse(buf, sizeof buf, false, name, "x", ki_table_at(&v.k->table, v.k->self)->incarnation), answer;
    assert_int_equal(kith_datagram(v.k, v.now, &stranger, buf, len), 0);
    assert_true(forge_answer(&v, &to, &answer) && kith_addr_equal(&to, &stranger));
    assert_in_range(answer, 1, 3 * len);
    kith_free(v.k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_datagrams_change_nothing),
        cmocka_unit_test(corpus_streams_change_nothing),
        cmocka_unit_test(sound_queries_are_passed_on),
        cmocka_unit_test(alien_versions_are_not_merged),
        cmocka_unit_test(broken_streams_end_at_once),
        cmocka_unit_test(bombs_cost_a_bounded_memory),
        cmocka_unit_test(stream_bombs_end_at_their_limit),
        cmocka_unit_test(acks_do_not_go_where_a_stranger_points),
        cmocka_unit_test(indirect_pings_go_to_members_alone),
        cmocka_unit_test(strangers_cannot_amplify),
        cmocka_unit_test(the_leaving_do_not_amplify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
