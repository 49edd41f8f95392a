/* Events, queries and keys over the RPC, with a stand-in for the agent: what is asked of it, what is answered when, which
 * numbers can be responded to for how long, and the limits of one client. */
#include "unit/rpc_stand_in.h"

#include "net/net.h"

static void answer(const struct kith_event *event)
{
    assert_non_null(agent.answer);
    agent.answer(agent.done_arg, event);
}

/* ---- events ---- */

static void test_event(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "event", 1, "83a8436f616c65736365c3a44e616d65a66465706c6f79a75061796c6f6164c4027631"); /* as `serf` sends it */
    expect_header(peer, 1, "");
    assert_string_equal(agent.asked, "event coalesce 0 deploy=v1");
    ASK(peer, "event", 2, "ss", "Name", "deploy", "Payload", "text"); /* as a script may */
    expect_header(peer, 2, "");
    assert_string_equal(agent.asked, "event 0 deploy=text");
    agent.refusal = KITH_ERR_TOO_LONG;
    ASK(peer, "event", 3, "sb", "Name", "n", "Payload", "four");
    expect_header(peer, 3, "user event exceeds configured limit of 1000 bytes: name and payload have 5; send less, or raise "
                           "event_size_max of all agents");
    agent.refusal = KITH_ERR_ARG;
    ASK(peer, "event", 4, "s", "Name", "");
    expect_header(peer, 4, "Name: the name of an event has 1 to 255 bytes, this one has 0");
    agent.refusal = KITH_ERR_FULL;
    ASK(peer, "event", 5, "s", "Name", "n");
    assert_true(holds(take(peer), "try again a little later"));
    agent.refusal = KITH_ERR_STATE;
    ASK(peer, "event", 6, "s", "Name", "n");
    assert_true(holds(take(peer), "not possible now"));
    hang_up(peer);
}

static void unconfirmed(const char *name, int result)
{
    struct kith_event event = {.kind = KITH_EVENT_UNCONFIRMED, .result = result, .message.origin = str(name)};
    answer(&event);
}

static void test_confirmed_event(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "kith-event", 1, "sbtn", "Name", "n", "Payload", "p", "Confirm", "t", "Timeout", "1500001");
    assert_string_equal(agent.asked, "event 2 n=p"); /* rounded up to milliseconds */
    assert_int_equal(peer->len, 0);
    ask(peer, "members", 2, NULL); /* waits its turn */
    assert_int_equal(peer->len, 0);
    unconfirmed("a", KITH_ERR_TIMEOUT);
    unconfirmed("b", KITH_ERR_VERSION);
    end_ask(KITH_ERR_TIMEOUT, 3, "too late");
    settle(peer);
    expect_header(peer, 1, "");
    expect_object(peer, "84 a9436f6e6669726d656403 a74d656d6265727305 a74d697373696e6791a161 a6556e61626c6591a162");
    expect_header(peer, 2, "");
    take(peer);
    ASK(peer, "kith-event", 3, "st", "Name", "n", "Confirm", "t"); /* nothing is left of the first one */
    assert_string_equal(agent.asked, "event 10000 n=");
    end_ask(0, 5, NULL);
    settle(peer);
    expect_header(peer, 3, "");
    expect_object(peer, "84 a9436f6e6669726d656405 a74d656d6265727305 a74d697373696e6790 a6556e61626c6590");
    ASK(peer, "kith-event", 4, "sn", "Name", "n", "Timeout", "1500000");
    assert_string_equal(agent.asked, "event 0 n="); /* not to be confirmed */
    end_ask(0, 0, NULL);
    settle(peer);
    expect_header(peer, 4, "");
    take(peer);
    agent.refusal = KITH_ERR_ARG;
    ASK(peer, "kith-event", 5, "s", "Name", "");
    expect_header(peer, 5, "Name: the name of an event has 1 to 255 bytes, this one has 0");
    assert_true(holds(take(peer), "Missing")); /* the body comes with an error, too */
    hang_up(peer);
}

/* The client goes in the middle of its confirmation: what was gathered goes with it. */
static void test_gone_while_confirming(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "kith-event", 1, "st", "Name", "n", "Confirm", "t");
    unconfirmed("a", KITH_ERR_TIMEOUT);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* a reset, not a polite end */
    hang_up(peer);
    turn();
    assert_null(agent.done);
    assert_null(agent.answer);
}

/* ---- folded queries ---- */

static void silent(const char *name, int result)
{
    struct kith_event event = {.kind = KITH_EVENT_SILENT, .result = result, .message.origin = str(name)};
    answer(&event);
}

/* 1.5 and -0.5; one answer is no number, two members are silent. */
static const char two_answers[] = "00000005 00000002 00000001 00000002"
                                  "3ff0000000000000 3fe0000000000000 3ff0000000000000 bfe0000000000000 3ff8000000000000"
                                  "3ff8000000000000 01 61 bfe0000000000000 00"; /* a's is the largest; one is not known */

static void folded(const char *hex)
{
    uint8_t bytes[256];
    struct kith_event event = {.kind = KITH_EVENT_FOLDED};
    event.message.payload = ki_rpc_str(ki_span(bytes, hex_bytes(hex, bytes, sizeof bytes)));
    answer(&event);
}

static void test_folded_query(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "kith-query", 1, "sbnnlm", "Name", "load", "Payload", "p", "Top", "2", "Timeout", "15000000000",
        "FilterNodes", "self", "FilterTags", "role=d.");
    assert_string_equal(agent.asked, "fold top 2 15000 ms load=p @self role~d.");
    ask(peer, "members", 2, NULL); /* waits its turn */
    assert_int_equal(peer->len, 0);
    silent("b", KITH_ERR_TIMEOUT);
    silent("c", KITH_ERR_VERSION);
    folded(two_answers);
    end_ask(KITH_ERR_TIMEOUT, 3, NULL);
    settle(peer);
    expect_header(peer, 1, "");
    expect_object(peer, "8c a7416e7377657273 02 a741766572616765 cb3fe0000000000000 a34d6178 cb3ff8000000000000"
                        "a74d656d62657273 05 a34d696e cbbfe0000000000000 a74d697373696e67 91a162 a653696c656e74 02"
                        "a353756d cb3ff0000000000000 a3546f70 92 82a64d656d626572a161a556616c7565cb3ff8000000000000"
                        "82a64d656d626572a0a556616c7565cbbfe0000000000000 a6556e61626c65 91a163 a8556e757361626c65 01"
                        "a856617269616e6365 cb3ff0000000000000");
    expect_header(peer, 2, "");
    take(peer);
    ASK(peer, "kith-query", 3, "s", "Name", "load"); /* nothing is left of the first one; and nobody answers */
    assert_string_equal(agent.asked, "fold top 0 0 ms load=");
    folded("00000001 00000000 00000000 00000001 0000000000000000 0000000000000000 0000000000000000 0000000000000000"
           "0000000000000000");
    end_ask(KITH_ERR_TIMEOUT, 0, NULL);
    settle(peer);
    expect_header(peer, 3, "");
    expect_object(peer, "8c a7416e7377657273 00 a741766572616765 c0 a34d6178 c0 a74d656d62657273 01 a34d696e c0"
                        "a74d697373696e67 90 a653696c656e74 01 a353756d c0 a3546f70 90 a6556e61626c65 90"
                        "a8556e757361626c65 00 a856617269616e6365 c0");
    ASK(peer, "kith-query", 4, "s", "Name", "load");
    end_ask(KITH_ERR_NOMEM, 0, NULL); /* without a result */
    settle(peer);
    expect_header(peer, 4, "the answers were lost here: too much waits to be told, or memory is out");
    assert_true(holds(take(peer), "Missing")); /* the body comes with an error, too */
    hang_up(peer);
}

static void test_refused_folds(void **state)
{
    static const struct {
        int refusal;
        const char *name, *top, *error;
    } rows[] = {
        {KITH_ERR_ARG, "load", "33", "Top: 33 of the largest are too many: 32 are told at most"},
        {KITH_ERR_ARG, "", "1", "Name: the name of a query has 1 to 255 bytes, this one has 0"},
        {KITH_ERR_ARG, "_serf_x", "1", "Queries cannot contain the '_serf_' prefix"},
        {KITH_ERR_TOO_LONG, "load", "1", "folded query exceeds what one datagram holds: name, payload and filters, or so "
                                         "many of the largest, have more; send less"},
        {KITH_ERR_STATE, "load", "1", "not possible now: this node is leaving, or in a pool of bare memberlist nodes, which "
                                      "have no events"},
    };
    (void)state;
    struct peer *peer = greeted();
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        agent.refusal = rows[i].refusal;
        ASK(peer, "kith-query", 1, "sn", "Name", rows[i].name, "Top", rows[i].top);
        expect_header(peer, 1, rows[i].error);
        assert_true(holds(take(peer), "Members"));
    }
    hang_up(peer);
}

static void test_gone_while_folding(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "kith-query", 1, "s", "Name", "load");
    silent("a", KITH_ERR_TIMEOUT);
    folded(two_answers);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(peer);
    turn();
    assert_null(agent.done);
    assert_null(agent.answer);
}

/* ---- queries ---- */

static void answered(const char *from, const char *payload, bool is_ack)
{
    struct kith_event event = {
        .kind = KITH_EVENT_ANSWER, .message = {.origin = str(from), .payload = str(payload), .is_ack = is_ack}};
    answer(&event);
}

static void test_query(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "query", 1, "sbtnnlm", "Name", "load", "Payload", "p", "RequestAck", "t", "RelayFactor", "2", "Timeout",
        "15000000000", "FilterNodes", "self", "FilterTags", "role=d.");
    assert_string_equal(agent.asked, "query ack relay 2 15000 ms load=p @self role~d.");
    expect_header(peer, 1, "");
    ask(peer, "members", 2, NULL); /* does not wait */
    expect_header(peer, 2, "");
    take(peer);
    answered("self", "", true);
    answered("self", "1.02", false);
    end_ask(0, 1, NULL);
    settle(peer);
    expect_header(peer, 1, "");
    expect_object(peer, "83 a446726f6da473656c66 a75061796c6f6164c0 a454797065a361636b");
    expect_header(peer, 1, "");
    expect_object(peer, "83 a446726f6da473656c66 a75061796c6f6164c404312e3032 a454797065a8726573706f6e7365");
    expect_header(peer, 1, "");
    expect_object(peer, "83 a446726f6da0 a75061796c6f6164c0 a454797065a4646f6e65");
    assert_int_equal(peer->len, 0);
    hang_up(peer);
    assert_int_equal(agent.forgotten, 0); /* it had ended */
}

static void test_query_refused(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "query", 1, "s", "Name", "_serf_install-key");
    expect_header(peer, 1, "Queries cannot contain the '_serf_' prefix");
    ASK(peer, "query", 2, "sb", "Name", "_serf_ping", "Payload", "x");
    expect_header(peer, 2, "Queries cannot contain the '_serf_' prefix");
    assert_string_equal(agent.asked, "");
    static const struct {
        int status;
        const char *name, *error;
    } rows[] = {
        {KITH_ERR_TOO_LONG, "n", "query exceeds limit of 2000 bytes"},
        {KITH_ERR_ARG, "", "Name: the name of a query has 1 to 255 bytes, this one has 0"},
        {KITH_ERR_ARG, "n", "FilterTags: a value is no regular expression (\"(\" is the first)"},
        {KITH_ERR_NOT_FOUND, "n", "FilterNodes: no member is called \"nobody\""},
        {KITH_ERR_FULL, "n", "try again a little later"},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        agent.refusal = rows[i].status;
        ASK(peer, "query", 3, "slm", "Name", rows[i].name, "FilterNodes", "nobody", "FilterTags", "role=(");
        if (!holds(take(peer), rows[i].error))
            fail_msg("row %zu", i);
        assert_int_equal(peer->len, 0); /* no records */
    }
    agent.refusal = 0;
    ASK(peer, "query", 4, "sb", "Name", "_serf_ping", "Payload", ""); /* what `serf reachability` asks */
    expect_header(peer, 4, "");
    hang_up(peer);
    assert_int_equal(agent.forgotten, 1);
    assert_null(agent.done);
}

/* One more than a client may have is refused; the others are ended when it goes. */
static void test_query_limit(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    for (uint64_t i = 1; i <= KI_RPC_QUERIES_MAX; i++) {
        ASK(peer, "query", i, "s", "Name", "n");
        expect_header(peer, i, "");
    }
    ASK(peer, "query", 50, "s", "Name", "n");
    assert_true(holds(take(peer), "Too many queries"));
    assert_int_equal(rpc->counts[KI_RPC_REFUSED_ASKS], 1);
    end_ask(0, 0, NULL); /* the newest */
    settle(peer);
    expect_header(peer, KI_RPC_QUERIES_MAX, "");
    take(peer);
    ASK(peer, "query", 51, "s", "Name", "n");
    expect_header(peer, 51, "");
    hang_up(peer);
    assert_int_equal(agent.forgotten, KI_RPC_QUERIES_MAX);
    peer = greeted();
    ASK(peer, "query", 1, "s", "Name", "n");
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* a reset, not a polite end */
    hang_up(peer);
    turn();
    assert_int_equal(agent.forgotten, KI_RPC_QUERIES_MAX + 1);
}

/* A client that is told nothing else is done with its queries when it ends its sending half: who closes looks the same. */
static void test_query_half_closed(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "query", 1, "s", "Name", "n");
    expect_header(peer, 1, "");
    assert_int_equal(shutdown(peer->fd, SHUT_WR), 0);
    settle(peer);
    assert_true(peer->closed);
    assert_int_equal(agent.forgotten, 1);
    hang_up(peer);
}

/* A client that does not read loses answers, which is counted, but never the end. */
static void test_query_slow(void **state)
{
    (void)state;
    static char payload[60001];
    memset(payload, 'x', sizeof payload - 1);
    struct peer *peer = greeted();
    ASK(peer, "query", 1, "s", "Name", "n");
    for (int i = 0; i < 200; i++) /* 12 MB; the kernel holds some of it */
        answered("self", payload, false);
    assert_true(rpc->counts[KI_RPC_DROPPED_EVENTS] > 0);
    end_ask(0, 1, NULL);
    bool done = false;
    for (int i = 0; i < 2000 && !done; i++) {
        settle(peer);
        done = memmem(peer->in, peer->len, "done", 4) != NULL;
        peer->len = 0;
    }
    assert_true(done);
    hang_up(peer);
}

/* ---- responding ---- */

static void respond(struct peer *peer, uint64_t seq, uint64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    ASK(peer, "respond", seq, "nb", "ID", text, "Payload", "ok");
}

static void test_respond(void **state)
{
    (void)state;
    uint64_t later_us = ki_net_now().mono_us + 3600000000;
    struct peer *peer = greeted();
    ASK(peer, "stream", 1, "s", "Type", "query");
    expect_header(peer, 1, "");
    respond(peer, 2, 1);
    expect_header(peer, 2, "No pending queries matching ID");
    tell_query(77, later_us);
    tell_query(78, 1); /* its time is over */
    settle(peer);
    expect_header(peer, 1, "");
    expect_object(peer, "85 a54576656e74a57175657279 a2494401 a54c54696d6506 a44e616d65a46c6f6164 a75061796c6f6164c0");
    expect_header(peer, 1, "");
    take(peer);
    respond(peer, 3, 2);
    expect_header(peer, 3, "No pending queries matching ID");
    agent.refusal = KITH_ERR_TOO_LONG;
    respond(peer, 4, 1);
    expect_header(peer, 4, "response of 2 bytes exceeds limit: 3000 bytes, or what one datagram holds when a Serf agent "
                           "asks; respond with less");
    agent.refusal = 0;
    respond(peer, 5, 1); /* less: it can still be */
    assert_string_equal(agent.asked, "respond 77 ok");
    expect_header(peer, 5, "");
    respond(peer, 6, 1);
    expect_header(peer, 6, "failed to respond to key query: response already sent");
    struct peer *other = greeted(); /* numbers are a connection's own */
    respond(other, 1, 1);
    expect_header(other, 1, "No pending queries matching ID");
    hang_up(other);
    tell_query(79, later_us);
    agent.refusal = KITH_ERR_NOT_FOUND; /* a handler or another client was faster */
    respond(peer, 7, 3);
    settle(peer);
    expect_header(peer, 1, "");
    take(peer);
    expect_header(peer, 7, "failed to respond to key query: response already sent");
    hang_up(peer);
}

/* A client that is told of more queries than it may respond to: the oldest are forgotten, and counted. */
static void test_respond_limit(void **state)
{
    (void)state;
    uint64_t later_us = ki_net_now().mono_us + 3600000000;
    struct peer *peer = greeted();
    ASK(peer, "stream", 1, "s", "Type", "query:load");
    for (uint64_t i = 1; i <= KI_RPC_PENDING_MAX + 1; i++)
        tell_query(i, later_us);
    settle(peer);
    peer->len = 0;
    assert_int_equal(rpc->counts[KI_RPC_FORGOTTEN_QUERIES], 1);
    respond(peer, 2, 1);
    expect_header(peer, 2, "No pending queries matching ID");
    respond(peer, 3, 2);
    expect_header(peer, 3, "");
    assert_string_equal(agent.asked, "respond 2 ok");
    respond(peer, 4, KI_RPC_PENDING_MAX + 1);
    expect_header(peer, 4, "");
    hang_up(peer);
}

/* ---- keys ---- */

#define KEY_TEXT "AAAAAAAAAAAAAAAAAAAAAA=="

static void said(const char *from, int result, const char *reason)
{
    struct kith_event event = {
        .kind = KITH_EVENT_ANSWER, .result = result, .message = {.origin = str(from), .payload = str(reason)}};
    answer(&event);
}

static void test_keys(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ASK(peer, "install-key", 1, "s", "Key", KEY_TEXT);
    assert_string_equal(agent.asked, "install 16");
    assert_int_equal(peer->len, 0);
    said("self", 0, "");
    end_ask(0, 1, NULL);
    settle(peer);
    expect_header(peer, 1, ""); /* of 1 alive member, 1 has answered */
    expect_object(peer, "85 a44b657973c0 a84d6573736167657380 a64e756d45727200 a84e756d4e6f64657301 a74e756d5265737001");
    ASK(peer, "remove-key", 2, "s", "Key", KEY_TEXT);
    assert_string_equal(agent.asked, "remove 16");
    said("self", KITH_ERR_REFUSED, "no");
    end_ask(KITH_ERR_REFUSED, 0, "refused");
    settle(peer);
    expect_header(peer, 2, "1/1 nodes reported failure");
    expect_object(peer,
                  "85 a44b657973c0 a84d6573736167657381a473656c66a26e6f a64e756d45727201 a84e756d4e6f64657301 "
                  "a74e756d5265737001");
    ASK(peer, "use-key", 3, "s", "Key", KEY_TEXT);
    assert_string_equal(agent.asked, "use 16");
    end_ask(KITH_ERR_TIMEOUT, 0, "late");
    settle(peer);
    expect_header(peer, 3, "0/1 nodes reported success");
    take(peer);
    ask(peer, "list-keys", 4, NULL);
    assert_string_equal(agent.asked, "list 0");
    end_ask(KITH_ERR_TIMEOUT, 0, "late");
    settle(peer);
    expect_header(peer, 4, "0/1 nodes reported success");
    expect_object(peer, "85 a44b65797380 a84d6573736167657380 a64e756d45727200 a84e756d4e6f64657301 a74e756d5265737000");
    agent.refusal = KITH_ERR_FULL;
    ask(peer, "list-keys", 5, NULL);
    expect_header(peer, 5, kith_strerror(KITH_ERR_FULL));
    take(peer);
    hang_up(peer);
}

static void test_bad_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key, *error, *message;
    } rows[] = {
        {"notbase64", "illegal base64 data at input byte 8", ""}, /* bytes are counted as Go does */
        {"no base64", "illegal base64 data at input byte 2", ""},
        {"abc", "illegal base64 data at input byte 0", ""},
        {"abcdef", "illegal base64 data at input byte 4", ""},
        {"abcdef=", "illegal base64 data at input byte 7", ""},
        {"abcdef==x", "illegal base64 data at input byte 8", ""},
        {"abc=abcd", "illegal base64 data at input byte 4", ""},
        {"a=", "illegal base64 data at input byte 1", ""},
        {"=", "illegal base64 data at input byte 0", ""},
        {"c2hvcnQ=", "1/1 nodes reported failure", "key size must be 16, 24 or 32 bytes"},
        {"", "1/1 nodes reported failure", "key size must be 16, 24 or 32 bytes"},
    };
    struct peer *peer = greeted();
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        ASK(peer, "install-key", 1, "s", "Key", rows[i].key);
        if (!holds(take(peer), rows[i].error))
            fail_msg("row %zu", i);
        assert_true(holds(take(peer), rows[i].message));
    }
    char long_key[4001];
    memset(long_key, 'A', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    ASK(peer, "install-key", 2, "s", "Key", long_key);
    expect_header(peer, 2, "1/1 nodes reported failure");
    assert_string_equal(agent.asked, "");
    hang_up(peer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_event),       CASE(test_confirmed_event),   CASE(test_gone_while_confirming),
        CASE(test_query),       CASE(test_query_refused),     CASE(test_query_limit),
        CASE(test_query_slow),  CASE(test_query_half_closed), CASE(test_respond),
        CASE(test_keys),        CASE(test_respond_limit),     CASE(test_bad_keys),
        CASE(test_folded_query), CASE(test_refused_folds),    CASE(test_gone_while_folding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
