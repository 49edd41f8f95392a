/* What the RPC's streams tell: the filters of user events and queries, kith-stream's numbers, its replay, its gaps, and slow
 * readers of both kinds. */
#include "unit/rpc_stand_in.h"

static void expect_record(struct peer *peer, uint64_t seq, const char *text)
{
    expect_header(peer, seq, "");
    if (!holds(take(peer), text))
        fail_msg("no %s in the record", text);
}

/* ---- filters ---- */

static void test_filters(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool valid, join, deploy, other, query;
    } rows[] = {
        {"", true, true, true, true, true},
        {"*", true, true, true, true, true},
        {"user", true, false, true, true, false},
        {"user:", true, false, true, true, false},
        {"user:deploy", true, false, true, false, false},
        {"user:deploy,user:other", true, false, true, true, false},
        {"user:deploy,query", true, false, true, false, true},
        {"query:load", true, false, false, false, true},
        {"query:loa", true, false, false, false, false},
        {"query:load,member-join", true, true, false, false, true},
        {"member-leave", true, false, false, false, false},
        {"user:*", true, false, false, false, false},
        {"member-join:x", false, false, false, false, false},
        {"user,", false, false, false, false, false},
        {",user", false, false, false, false, false},
        {"users", false, false, false, false, false},
        {"gap", false, false, false, false, false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct peer *peer = greeted();
        ASK(peer, "stream", 1, "s", "Type", rows[i].filter);
        assert_int_equal(holds(take(peer), "Invalid event filter"), !rows[i].valid);
        tell(KI_MEMBER_JOIN);
        tell_user("deploy", "1");
        tell_user("other", "1");
        tell_query(1, 1);
        settle(peer);
        struct ki_span all = ki_span(peer->in, peer->len);
        if (holds(all, "member-join") != rows[i].join || holds(all, "deploy") != rows[i].deploy ||
            holds(all, "\xa5other") != (rows[i].other || rows[i].join) || holds(all, "query") != rows[i].query)
            fail_msg("row %zu", i);
        hang_up(peer);
    }
}

static void test_user_record(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "stream", 1, "s", "Type", "user");
    expect_header(peer, 1, "");
    tell_user("deploy", "v1");
    tell_user("deploy", "");
    struct kith_message gap = {.origin = str("other"), .seq = 4, .seq_last = 9};
    tell_message(KITH_EVENT_GAP, &gap); /* which Serf's clients do not know */
    settle(peer);
    expect_header(peer, 1, "");
    expect_object(peer, "85 a8436f616c65736365c2 a54576656e74a475736572 a54c54696d6505 a44e616d65a66465706c6f79 "
                        "a75061796c6f6164c4027631");
    expect_header(peer, 1, "");
    expect_object(peer, "85 a8436f616c65736365c2 a54576656e74a475736572 a54c54696d6505 a44e616d65a66465706c6f79 "
                        "a75061796c6f6164c0");
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

static void test_stream_limits(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    char filter[KI_RPC_FILTER_MAX + 2] = "user:";
    memset(filter + 5, 'x', sizeof filter - 6);
    ASK(peer, "stream", 99, "s", "Type", filter);
    assert_true(holds(take(peer), "4096 bytes at most"));
    filter[KI_RPC_FILTER_MAX] = '\0';
    for (uint64_t i = 1; i <= KI_RPC_STREAMS_MAX; i++) {
        ASK(peer, "stream", i, "s", "Type", filter);
        expect_header(peer, i, "");
    }
    ASK(peer, "kith-stream", 98, "s", "Type", "");
    assert_true(holds(take(peer), "16 at most"));
    assert_int_equal(rpc->counts[KI_RPC_REFUSED_ASKS], 2);
    hang_up(peer);
}

/* ---- kith-stream ---- */

static void test_indexed_records(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "kith-stream", 1, "s", "Type", "user,query");
    expect_header(peer, 1, "");
    tell_user("deploy", "v1");
    tell(KI_MEMBER_JOIN); /* has number 1001 */
    tell_query(7, 1);
    struct kith_message gap = {.origin = str("other"), .seq = 4, .seq_last = 9};
    tell_message(KITH_EVENT_GAP, &gap);
    settle(peer);
    expect_header(peer, 1, "");
    expect_object(peer, "88 a8436f616c65736365c2 a54576656e74a475736572 a5496e646578cd03e8 a54c54696d6505 "
                        "a44e616d65a66465706c6f79 a64f726967696ea56f74686572 a75061796c6f6164c4027631 a353657103");
    expect_header(peer, 1, "");
    expect_object(peer, "87 a54576656e74a57175657279 a2494401 a5496e646578cd03ea a54c54696d6506 a44e616d65a46c6f6164 "
                        "a64f726967696ea56f74686572 a75061796c6f6164c0");
    expect_header(peer, 1, "");
    expect_object(peer, "85 a54576656e74a3676170 a446726f6d04 a5496e646578cd03eb a64f726967696ea56f74686572 a2546f09");
    ASK(peer, "kith-stream", 2, "sn", "Type", "member-join", "From", "1000");
    expect_header(peer, 2, "");
    expect_header(peer, 2, "");
    struct ki_span record = take(peer);
    assert_true(holds(record, "Index\xcd\x03\xe9") && holds(record, "\xa7Members\x92"));
    assert_int_equal(peer->len, 0);
    ask(peer, "stop", 3, "81a453746f7001");
    expect_header(peer, 3, "");
    tell_user("deploy", "v2");
    settle(peer);
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

/* Eight are kept.  Who comes back is told what it missed of them, and what is gone as one gap. */
static void test_replay(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 20; i++) { /* 1000 .. 1019 */
        snprintf(name, sizeof name, "event-%d.", 1000 + i);
        tell_user(name, "");
    }
    struct peer *peer = greeted();
    ASK(peer, "kith-stream", 1, "sn", "Type", "user", "From", "1005");
    expect_header(peer, 1, "");
    expect_header(peer, 1, "");
    expect_object(peer, "85 a54576656e74a3676170 a446726f6dcd03ed a5496e646578cd03f3 a64f726967696ea0 a2546fcd03f3");
    for (int i = 12; i < 20; i++) {
        snprintf(name, sizeof name, "event-%d.", 1000 + i);
        expect_record(peer, 1, name);
    }
    assert_int_equal(peer->len, 0);
    tell_user("live", "");
    settle(peer);
    expect_record(peer, 1, "live");
    static const struct {
        const char *from, *first; /* NULL: nothing */
    } rows[] = {
        {"0", NULL}, {"1021", NULL}, {"1020", "live"}, {"1022", "gap"}, {"1", "gap"}, {"18446744073709551615", "gap"}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct peer *late = greeted();
        uint8_t body[64];
        struct ki_pack b = ki_pack(body, sizeof body, true);
        ki_pack_map(&b, 1);
        ki_pack_text(&b, "From");
        ki_pack_uint(&b, strtoull(rows[i].from, NULL, 10));
        send_hex(late, "82a7436f6d6d616e64ab6b6974682d73747265616da353657101"); /* kith-stream, 1 */
        send_bytes(late, body, b.w.len);
        settle(late);
        expect_header(late, 1, "");
        if ((rows[i].first == NULL) != (late->len == 0))
            fail_msg("row %zu", i);
        if (rows[i].first)
            expect_record(late, 1, rows[i].first);
        hang_up(late);
    }
    hang_up(peer);
}

/* What is too large to be kept is a gap, also for who listens. */
static void test_unkept(void **state)
{
    (void)state;
    static char large[100001];
    memset(large, 'x', sizeof large - 1);
    struct peer *peer = greeted();
    ASK(peer, "kith-stream", 1, "s", "Type", "user");
    expect_header(peer, 1, "");
    tell_user("small", "");
    tell_user("large", large);
    tell_user("small", "");
    settle(peer);
    expect_record(peer, 1, "small");
    expect_header(peer, 1, "");
    expect_object(peer, "85 a54576656e74a3676170 a446726f6dcd03e9 a5496e646578cd03e9 a64f726967696ea0 a2546fcd03e9");
    expect_record(peer, 1, "small");
    assert_int_equal(rpc->counts[KI_RPC_UNKEPT_EVENTS], 1);
    large[60000] = '\0';
    tell_user("first", large);
    tell_user("second", large); /* together they are too many bytes: the first goes, and all before it */
    assert_true(rpc->kept.bytes <= 100000);
    assert_int_equal(rpc->kept.next - rpc->kept.first, 1);
    hang_up(peer);
}

/* ---- slow readers ---- */

static struct ki_rpc_conn *newest(void)
{
    return KI_CONTAINER(rpc->conns.prev, struct ki_rpc_conn, link);
}

/* True when two whole objects have come: a header and its record. */
static bool has_record(const struct peer *peer)
{
    struct ki_reader r = ki_reader(peer->in, peer->len);
    return ki_unpack_skip(&r) && ki_unpack_skip(&r);
}

struct count {
    uint64_t told, lost, gaps;
};

/* Counts the records that have come. */
static void count_records(struct peer *peer, struct count *count)
{
    struct gap {
        uint64_t from, to;
    };
    static const struct ki_field fields[] = {
        KI_FIELD(struct gap, from, "From", KI_FIELD_U64, 0, false),
        KI_FIELD(struct gap, to, "To", KI_FIELD_U64, 1, false),
    };
    while (has_record(peer)) {
        struct gap gap = {0, 0};
        expect_header(peer, 1, "");
        struct ki_span body = take(peer);
        struct ki_reader r = ki_reader(body.ptr, body.len);
        assert_true(ki_unpack_struct(&r, fields, 2, &gap));
        count->gaps += gap.from != 0;
        count->lost += gap.from != 0 ? gap.to - gap.from + 1 : 0;
        count->told += gap.from == 0;
    }
}

/* One that does not read loses records of a stream, which is counted; of a kith-stream it is told later which it lost. */
static void test_slow(void **state)
{
    (void)state;
    static char payload[60001];
    struct count count = {0, 0, 0};
    memset(payload, 'x', sizeof payload - 1);
    struct peer *peer = greeted();
    ASK(peer, "kith-stream", 1, "s", "Type", "user");
    expect_header(peer, 1, "");
    for (int i = 0; i < 200; i++) /* 12 MB; the kernel holds some of it */
        tell_user("large", payload);
    assert_true(ki_rpc_congested(newest()));
    assert_true(uv_stream_get_write_queue_size(&newest()->socket.stream) < KI_RPC_OUTPUT_MAX + 70000);
    assert_int_equal(rpc->counts[KI_RPC_DROPPED_EVENTS], 0);
    for (int i = 0; i < 2000 && count.told + count.lost < 200; i++) {
        settle(peer);
        count_records(peer, &count);
    }
    assert_int_equal(count.told + count.lost, 200);
    assert_int_equal(count.gaps, 1);
    assert_true(count.told >= 1);
    hang_up(peer);
    peer = greeted();
    ASK(peer, "stream", 1, "s", "Type", "user");
    expect_header(peer, 1, "");
    for (int i = 0; i < 200; i++)
        tell_user("large", payload);
    assert_true(rpc->counts[KI_RPC_DROPPED_EVENTS] > 0);
    assert_true(uv_stream_get_write_queue_size(&newest()->socket.stream) < KI_RPC_OUTPUT_MAX + 70000);
    hang_up(peer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_filters), CASE(test_user_record), CASE(test_stream_limits), CASE(test_indexed_records),
        CASE(test_replay),  CASE(test_unkept),      CASE(test_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
