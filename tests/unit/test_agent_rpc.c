/* The RPC server, over a real socket, with a stand-in for the agent: golden vectors, the gates of handshake and key, each
 * command's answer, streams and monitors, slow readers, limits, and stopping. */
#include "unit/rpc_stand_in.h"

/* ---- gates ---- */

static void test_golden(void **state)
{
    (void)state;
    struct peer *peer = dial();
    /* one byte at a time, as the network may have it */
    uint8_t bytes[64];
    size_t len = hex_bytes("82a7436f6d6d616e64a968616e647368616b65a353657101 81a756657273696f6e01",
                           bytes, sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(peer->len, 0);
        send_bytes(peer, bytes + i, 1);
        settle(peer);
    }
    expect_hex(peer, "82a54572726f72a0a353657101");
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

static void test_handshake_first(void **state)
{
    (void)state;
    struct peer *peer = dial();
    ask(peer, "members", 5, NULL);
    expect_header(peer, 5, "Handshake required");
    assert_true(peer->closed);
    hang_up(peer);
    peer = dial();
    ask(peer, "handshake", 1, "81a756657273696f6e02");
    expect_header(peer, 1, "Unsupported IPC version");
    ask(peer, "handshake", 2, HANDSHAKE);
    expect_header(peer, 2, "");
    ask(peer, "handshake", 3, HANDSHAKE);
    expect_header(peer, 3, "Handshake already performed");
    ask(peer, "dance", 4, NULL);
    expect_header(peer, 4, "Unsupported command");
    assert_true(peer->closed);
    hang_up(peer);
}

static void test_auth(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "join", 2, "82a84578697374696e6791a178a65265706c6179c2");
    expect_header(peer, 2, "Authentication required");
    assert_int_equal(peer->len, 0); /* no body, and the request's own is gone: */
    ask(peer, "auth", 3, "81a7417574684b6579a46f70656e");
    expect_header(peer, 3, "Invalid authentication token");
    ask(peer, "auth", 4, "81a7417574684b6579ac6f70656e20736573616d6531");
    expect_header(peer, 4, "Invalid authentication token");
    ask(peer, "auth", 5, "81a7417574684b6579a0");
    expect_header(peer, 5, "Invalid authentication token");
    ask(peer, "members", 6, NULL);
    expect_header(peer, 6, "Authentication required");
    ask(peer, "auth", 7, "81a7417574684b6579ab6f70656e20736573616d65");
    expect_header(peer, 7, "");
    ask(peer, "members", 8, NULL);
    expect_header(peer, 8, "");
    assert_true(holds(take(peer), "self"));
    assert_int_equal(rpc->counts[KI_RPC_AUTH_FAILURES], 3);
    hang_up(peer);
}

/* A client that has greeted and asks nothing does not wake us; one that has yet to greet has its time limited. */
static void test_idle(void **state)
{
    (void)state;
    struct peer *idle = greeted();
    for (unsigned ticks = 0; ticks < 20 && uv_is_active((uv_handle_t *)&rpc->timer); ticks++)
        uv_run(&agent.loop, UV_RUN_ONCE);
    assert_false(uv_is_active((uv_handle_t *)&rpc->timer));
    struct peer *silent = dial();
    assert_true(uv_is_active((uv_handle_t *)&rpc->timer));
    ask(idle, "members", 2, NULL);
    expect_header(idle, 2, "");
    hang_up(silent);
    hang_up(idle);
}

/* ---- looking ---- */

static void test_members(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "members", 1, NULL);
    expect_header(peer, 1, "");
    /* other comes before self; the record is Serf's, byte for byte */
    expect_hex(
        peer,
        "81a74d656d6265727392 8b a441646472c4047f000002 ab44656c656761746543757205 "
        "ab44656c65676174654d617805 ab44656c65676174654d696e02 a44e616d65a56f74686572 "
        "a4506f7274cd1f0a ab50726f746f636f6c43757202 ab50726f746f636f6c4d617805 "
        "ab50726f746f636f6c4d696e01 a6537461747573a66661696c6564 a45461677381a4726f6c65a3776562 "
        "8b a441646472c4047f000001");
    hang_up(peer);
}

/* The body of members-filtered. */
static void ask_filtered(struct peer *peer, const char *name, const char *status, const char *role)
{
    uint8_t buf[512];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Command");
    ki_pack_text(&p, "members-filtered");
    ki_pack_text(&p, "Seq");
    ki_pack_uint(&p, 1);
    ki_pack_map(&p, 3);
    ki_pack_text(&p, "Name");
    ki_pack_text(&p, name);
    ki_pack_text(&p, "Status");
    ki_pack_text(&p, status);
    ki_pack_text(&p, "Tags");
    ki_pack_map(&p, role ? 1 : 0);
    if (role) {
        ki_pack_text(&p, "role");
        ki_pack_text(&p, role);
    }
    assert_false(p.w.full);
    send_bytes(peer, buf, p.w.len);
    settle(peer);
}

static void test_members_filtered(void **state)
{
    (void)state;
    static const struct {
        const char *name, *status, *role;
        bool other, self;
    } rows[] = {
        {"", "", NULL, true, true},      {"s.*", "", NULL, false, true},
        {"sel", "", NULL, false, false}, {"", "failed", NULL, true, false},
        {"", "", "web|db", true, true},  {"", "", "web", true, false},
        {"", "", "", false, false},      {".*", "alive", "db", false, true},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct peer *peer = greeted();
        ask_filtered(peer, rows[i].name, rows[i].status, rows[i].role);
        expect_header(peer, 1, "");
        struct ki_span body = take(peer);
        assert_int_equal(holds(body, "other"), rows[i].other);
        assert_int_equal(holds(body, "self"), rows[i].self);
        hang_up(peer);
    }
    struct peer *peer = greeted();
    ask_filtered(peer, "(", "", NULL);
    assert_int_equal(peer->len, 0);
    assert_true(peer->closed);
    hang_up(peer);
}

static void test_numbers(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "stats", 1, NULL);
    expect_header(peer, 1, "");
    expect_hex(peer, "83 a56167656e74 81 a46e616d65a473656c66 "
                     "a473657266 82 a76d656d62657273a132 a9656e63727970746564a566616c7365 "
                     "ae6576656e745f68616e646c657273 80");
    ask(peer, "kith-info", 2, NULL);
    expect_header(peer, 2, "");
    expect_hex(peer, "83 a8636f756e74657273 81 a9646174616772616d73cfffffffffffffffff "
                     "a46b697468 82 a76c656176696e67c3 a776657273696f6ea5302e312e30 a3727063");
    ask(peer, "stop", 3, "81a453746f7063"); /* the rest of kith-info, then this answer */
    hang_up(peer);
    peer = greeted();
    ask(peer, "kith-members", 4, NULL);
    expect_header(peer, 4, "");
    struct ki_span body = take(peer);
    assert_true(holds(body, "\xa5State\xa4"
                            "dead") &&
                holds(body, "\xa5State\xa5"
                            "alive"));
    hang_up(peer);
}

/* Ours, which is the origin: nobody has answered.  Of a member that has not, and of one that is not known, none: in the
 * bytes of Serf, which sends a coordinate of nothing. */
static void test_coordinate(void **state)
{
    (void)state;
    static const char none[] = "82a5436f6f7264 84 aa41646a7573746d656e74cb0000000000000000 a54572726f72cb0000000000000000"
                               "a6486569676874cb0000000000000000 a3566563c0 a24f6bc2";
    struct peer *peer = greeted();
    ask(peer, "get-coordinate", 1, "81a44e6f6465a473656c66");
    expect_header(peer, 1, "");
    expect_hex(peer, "82a5436f6f7264 84 aa41646a7573746d656e74cb0000000000000000 a54572726f72cb3ff8000000000000"
                     "a6486569676874cb3ee4f8b588e368f1 a3566563 98 cb0000000000000000 cb0000000000000000"
                     "cb0000000000000000 cb0000000000000000 cb0000000000000000 cb0000000000000000"
                     "cb0000000000000000 cb0000000000000000 a24f6bc3");
    ask(peer, "get-coordinate", 2, "81a44e6f6465a56f74686572");
    expect_header(peer, 2, "");
    expect_hex(peer, none);
    ask(peer, "get-coordinate", 3, "81a44e6f6465a46e6f7065");
    expect_header(peer, 3, "");
    expect_hex(peer, none);
    ask(peer, "get-coordinate", 4, "81a44e6f646507"); /* a number for a name: the connection ends */
    assert_int_equal(peer->len, 0);
    assert_true(peer->closed);
    hang_up(peer);
}

/* ---- asking ---- */

static void test_join(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    static const char body[] = "82a84578697374696e6792a161a162a65265706c6179c3";
    ask(peer, "join", 1, body);
    assert_string_equal(agent.asked, "join replay a b");
    ask(peer, "members", 2, NULL); /* waits its turn */
    assert_int_equal(peer->len, 0);
    end_ask(0, 2, NULL);
    settle(peer);
    expect_header(peer, 1, "");
    expect_hex(peer, "81a34e756d02");
    expect_header(peer, 2, "");
    take(peer);
    ask(peer, "join", 3, body);
    end_ask(KITH_ERR_UNREACHABLE, 0, "nobody at a");
    settle(peer);
    expect_header(peer, 3, "nobody at a");
    expect_hex(peer, "81a34e756d00"); /* the body comes with an error too */
    agent.refusal = KITH_ERR_STATE;
    ask(peer, "join", 4, body);
    expect_header(peer, 4, kith_strerror(KITH_ERR_STATE));
    expect_hex(peer, "81a34e756d00");
    hang_up(peer);
}

static void test_asks(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "force-leave", 1, "82a44e6f6465a56f74686572a55072756e65c3");
    assert_string_equal(agent.asked, "force-leave prune other");
    end_ask(0, 0, NULL);
    settle(peer);
    expect_header(peer, 1, "");
    ask(peer, "tags", 2, "82aa44656c6574655461677391a17aa454616773 82a161a162a163a164");
    assert_string_equal(agent.asked, "tags a=b c=d -z");
    end_ask(KITH_ERR_TIMEOUT, 0, NULL);
    settle(peer);
    expect_header(peer, 2, kith_strerror(KITH_ERR_TIMEOUT));
    ask(peer, "tags", 3, "82aa44656c65746554616773c0a454616773c0"); /* nil: nothing */
    assert_string_equal(agent.asked, "tags");
    end_ask(0, 0, NULL);
    settle(peer);
    expect_header(peer, 3, "");
    hang_up(peer);
}

/* The client goes while its ask is on its way: the agent is told to forget it. */
static void test_gone_while_busy(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "leave", 1, NULL);
    assert_non_null(agent.done);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* a reset, not a polite end */
    hang_up(peer);
    turn();
    assert_null(agent.done);
}

/* One that only ends its sending half gets its answer. */
static void test_half_closed(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "leave", 1, NULL);
    assert_int_equal(shutdown(peer->fd, SHUT_WR), 0);
    settle(peer);
    assert_false(peer->closed);
    end_ask(0, 0, NULL);
    settle(peer);
    expect_header(peer, 1, "");
    assert_true(peer->closed);
    hang_up(peer);
}

/* The answer to `leave` is out before the server is gone. */
static void test_stop_flushes(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "leave", 1, NULL);
    end_ask(0, 0, NULL);
    ki_rpc_stop(rpc, note_stopped, &stopped);
    uv_run(&agent.loop, UV_RUN_DEFAULT);
    assert_true(stopped);
    settle(peer);
    expect_header(peer, 1, "");
    assert_true(peer->closed);
    hang_up(peer);
}

/* ---- streams ---- */

static void test_stream(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "stream", 1, "81a454797065ab6e6f2d737563682d6f6e65");
    expect_header(peer, 1, "Invalid event filter");
    ask(peer, "stream", 2, "81a454797065b96d656d6265722d6661696c65642c757365723a64656c706f79");
    expect_header(peer, 2, "");
    ask(peer, "stream", 2, "81a454797065a12a");
    expect_header(peer, 2, "Stream with given sequence exists");
    ask(peer, "stream", 3, "81a454797065a0"); /* empty: all */
    expect_header(peer, 3, "");
    tell(KI_MEMBER_FAILED);
    settle(peer);
    expect_header(peer, 2, "");
    assert_true(holds(take(peer), "member-failed"));
    expect_header(peer, 3, "");
    assert_true(holds(take(peer), "other"));
    tell(KI_MEMBER_JOIN);
    settle(peer);
    expect_header(peer, 3, "");
    take(peer);
    assert_int_equal(peer->len, 0);
    ask(peer, "stop", 4, "81a453746f7003");
    expect_header(peer, 4, "");
    tell(KI_MEMBER_JOIN);
    settle(peer);
    assert_int_equal(peer->len, 0);
    ask(peer, "stop", 5, "81a453746f7002");
    expect_header(peer, 5, "");
    hang_up(peer);
}

static void test_monitor(void **state)
{
    (void)state;
    ki_log(agent.log, KI_LOG_INFO, "test", "before");
    ki_log(agent.log, KI_LOG_DEBUG, "test", "too low");
    struct peer *peer = greeted();
    ask(peer, "monitor", 1, "81a84c6f674c6576656ca54e4f495345");
    expect_header(peer, 1, "Unknown log level: NOISE");
    ask(peer, "monitor", 2, "81a84c6f674c6576656ca4696e666f");
    expect_header(peer, 2, "");
    expect_header(peer, 2, "");
    assert_true(holds(take(peer), "[INFO] test: before"));
    assert_int_equal(peer->len, 0);
    ask(peer, "monitor", 3, "81a84c6f674c6576656ca4696e666f");
    expect_header(peer, 3, "Monitor already exists");
    ki_log(agent.log, KI_LOG_WARN, "test", "after");
    settle(peer);
    expect_header(peer, 2, "");
    assert_true(holds(take(peer), "after"));
    ask(peer, "stop", 4, "81a453746f7002");
    expect_header(peer, 4, "");
    ki_log(agent.log, KI_LOG_WARN, "test", "unheard");
    settle(peer);
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

/* A monitor that does not read: memory stays bounded, lines are dropped and counted, and it is told. */
static void test_slow_monitor(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "monitor", 1, "81a84c6f674c6576656ca4696e666f");
    expect_header(peer, 1, "");
    struct ki_rpc_conn *conn = KI_CONTAINER(rpc->conns.next, struct ki_rpc_conn, link);
    for (int i = 0; i < 60000; i++)
        ki_log(agent.log, KI_LOG_INFO, "test", "line %d %0200d", i, 0);
    assert_true(uv_stream_get_write_queue_size(&conn->socket.stream) <
                KI_RPC_OUTPUT_MAX + 4096);
    uint64_t dropped = rpc->counts[KI_RPC_DROPPED_LINES];
    assert_true(dropped > 0);
    for (int i = 0; i < 200; i++) { /* reads everything there is */
        settle(peer);
        peer->len = 0;
    }
    ki_log(agent.log, KI_LOG_INFO, "test", "last");
    settle(peer);
    expect_header(peer, 1, "");
    char note_text[64];
    snprintf(note_text, sizeof note_text, "%llu lines dropped", (unsigned long long)dropped);
    assert_true(holds(take(peer), note_text));
    expect_header(peer, 1, "");
    assert_true(holds(take(peer), "last"));
    hang_up(peer);
}

/* ---- limits ---- */

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "c1",         "ff",
        "80",         "a0",
        "92a173",     "dfffffffff",
        "c6ffffffff", "82a7436f6d6d616e6401a353657101", /* a command that is a number */
    };
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        struct peer *peer = greeted();
        send_hex(peer, bad[i]);
        shutdown(peer->fd, SHUT_WR);
        settle(peer);
        assert_true(peer->closed);
        hang_up(peer);
    }
}

/* A body of more than ki_rpc_body_max() is refused when its head says so; the client learns it although it sends all. */
static void test_oversize(void **state)
{
    (void)state;
    static uint8_t bytes[1114112];
    struct peer *peer = greeted();
    ask(peer, "event", 1, "81a75061796c6f6164c600110000");
    for (size_t at = 0; at < sizeof bytes; at += 16384) {
        send_bytes(peer, bytes, 16384);
        turn();
    }
    settle(peer);
    expect_header(peer, 1,
                  "the request has more than 1114112 bytes, and no event or query may be that large: send less, or raise "
                  "event_size_max and query_size_max of all agents");
    assert_true(peer->closed);
    assert_int_equal(rpc->counts[KI_RPC_BAD_REQUESTS], 1);
    assert_int_equal(rpc->conn_count, 1);
    hang_up(peer);
    assert_int_equal(rpc->conn_count, 0);
}

static void test_pipelined(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    static uint8_t bytes[200 * 32];
    size_t len = 0;
    for (int i = 0; i < 200; i++)
        len += hex_bytes("82a7436f6d6d616e64a473746f70a353657101 81a453746f7009", bytes + len,
                         sizeof bytes - len);
    send_bytes(peer, bytes, len);
    settle(peer);
    for (int i = 0; i < 200; i++)
        expect_header(peer, 1, "");
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

/* Those who say nothing make room for those who do; when all have greeted, one more is refused. */
static void test_many_clients(void **state)
{
    (void)state;
    struct peer *peers[KI_RPC_CLIENTS_MAX + 2];
    struct peer *silent = dial();
    for (size_t i = 0; i < KI_RPC_CLIENTS_MAX; i++)
        peers[i] = greeted();
    settle(silent);
    assert_true(silent->closed);
    assert_int_equal(rpc->counts[KI_RPC_EVICTED], 1);
    struct peer *late = dial();
    settle(late);
    assert_true(late->closed);
    assert_int_equal(rpc->counts[KI_RPC_REFUSED], 1);
    hang_up(peers[0]);
    peers[0] = greeted();
    for (size_t i = 0; i < KI_RPC_CLIENTS_MAX; i++)
        hang_up(peers[i]);
    hang_up(silent);
    hang_up(late);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_golden),
        CASE(test_handshake_first),
        cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth, set_up_locked, tear_down),
        CASE(test_members),
        CASE(test_members_filtered),
        CASE(test_numbers),
        CASE(test_coordinate),
        CASE(test_join),
        CASE(test_asks),
        CASE(test_gone_while_busy),
        CASE(test_half_closed),
        CASE(test_stop_flushes),
        CASE(test_stream),
        CASE(test_monitor),
        CASE(test_slow_monitor),
        CASE(test_malformed),
        CASE(test_oversize),
        CASE(test_pipelined),
        CASE(test_many_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
