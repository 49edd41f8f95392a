/* Aggregates and gauges over the RPC, with a stand-in for the agent: what is asked of it, every byte of the answers, nil for
 * what is not there, and what is said of each refusal. */
#include "unit/rpc_stand_in.h"

#include <math.h>

/* ---- reading ---- */

static void test_list(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "kith-aggregates", 1, NULL);
    expect_header(peer, 1, "");
    static const char defaults[] = "a8496e74657276616ccd03e8 a34d6178cb430c6bf526340000 a34d696ecbc30c6bf526340000 "
                                   "a453746570cb0000000000000000 a4556e6974a0";
    char want[2000];
    snprintf(want, sizeof want,
             "81 aa4167677265676174657393"
             "87 a74275696c74696ec2 a9436f6e666c6963747300 ac436f6e7472696275746f727300 a44e616d65a5656d707479 a44f70656ec2 "
             "a34f776ec0 a6536368656d6186 a6456e67696e65a46175746f %s"
             "87 a74275696c74696ec3 a9436f6e666c6963747302 ac436f6e7472696275746f727303 a44e616d65a46c6f6164 a44f70656ec3 "
             "a34f776ecb3ff0000000000000 a6536368656d6186 a6456e67696e65a46175746f a8496e74657276616ccd03e8 "
             "a34d6178cb4020000000000000 a34d696ecb0000000000000000 a453746570cb3fd0000000000000 "
             "a4556e6974a870657220636f7265"
             "87 a74275696c74696ec2 a9436f6e666c6963747300 ac436f6e7472696275746f727300 a44e616d65a46d616e79 a44f70656ec2 "
             "a34f776ec0 a6536368656d6186 a6456e67696e65a76e6574776f726b %s",
             defaults, defaults);
    expect_object(peer, want);
    hang_up(peer);
}

/* Sends the request with quantiles and counts; the object is the answer's. */
static void ask_aggregate(struct peer *peer, uint64_t seq, const char *name, const char *engine, const double *q,
                          size_t count, unsigned top, unsigned bottom)
{
    uint8_t buf[1024];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Command");
    ki_pack_text(&p, "kith-aggregate");
    ki_pack_text(&p, "Seq");
    ki_pack_uint(&p, seq);
    ki_pack_map(&p, 5);
    ki_pack_text(&p, "Name");
    ki_pack_text(&p, name);
    ki_pack_text(&p, "Engine");
    ki_pack_text(&p, engine);
    ki_pack_text(&p, "Quantiles");
    ki_pack_array(&p, count);
    for (size_t i = 0; i < count; i++)
        ki_pack_double(&p, q[i]);
    ki_pack_text(&p, "Top");
    ki_pack_uint(&p, top);
    ki_pack_text(&p, "Bottom");
    ki_pack_uint(&p, bottom);
    assert_false(p.w.full);
    send_bytes(peer, buf, p.w.len);
    settle(peer);
}

#define PLACE_THREE "83 a64d656d626572a57468726565 a452616e6b00 a556616c7565cb3fe0000000000000"
#define PLACE_ONE   "83 a64d656d626572a36f6e65 a452616e6b01 a556616c7565cb3ff0000000000000"
#define PLACE_TWO   "83 a64d656d626572a374776f a452616e6b02 a556616c7565cb4008000000000000"

static void test_answer(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask_aggregate(peer, 1, "load", "auto", (const double[]){0.5, 1}, 2, 1, 99);
    expect_header(peer, 1, "");
    expect_object(peer, "de0011 a3416765cd05dc a741766572616765cb3ff8000000000000 a6426f74746f6d93" PLACE_THREE PLACE_ONE
                            PLACE_TWO "a9436f6e666c6963747302 a9436f6e766572676564c3 a5436f756e74cb4008000000000000 "
                        "a8436f766572616765cb3ff0000000000000 aa4566666563746976654ecb4008000000000000 "
                        "a6456e67696e65a56578616374 a54572726f72cb3fd0000000000000 a34d6178cb4008000000000000 "
                        "a34d696ecb3fe0000000000000 a95175616e74696c657392 "
                        "83 a151cb3fe0000000000000 a952616e6b4572726f72cb0000000000000000 a556616c7565cb3ff0000000000000 "
                        "83 a151cb3ff0000000000000 a952616e6b4572726f72cb0000000000000000 a556616c7565cb4008000000000000 "
                        "a353756dcb4012000000000000 a3546f7091" PLACE_TWO "a4556e6974a870657220636f7265 "
                        "a856617269616e6365cb3ff4000000000000");
    ask_aggregate(peer, 2, "many", "", (const double[]){0}, 1, 0, 0); /* the network's, by an engine that nobody named */
    expect_header(peer, 2, "");
    struct ki_span answer = take(peer);
    assert_true(holds(answer, "\xa6" "Engine\xa7network") && holds(answer, "\xa9" "Converged\xc2"));
    assert_true(holds(answer, "\xa9RankError\xcb\x3f\xc0"));
    hang_up(peer);
}

/* Of nobody's values there is no average. */
static void test_nobody(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask_aggregate(peer, 1, "empty", "exact", (const double[]){0.5}, 1, 3, 3);
    expect_header(peer, 1, "");
    expect_object(peer, "de0011 a3416765cd05dc a741766572616765c0 a6426f74746f6d90 a9436f6e666c6963747300 "
                        "a9436f6e766572676564c3 a5436f756e74cb0000000000000000 a8436f766572616765cb3ff0000000000000 "
                        "aa4566666563746976654ecb0000000000000000 a6456e67696e65a56578616374 a54572726f72c0 a34d6178c0 "
                        "a34d696ec0 a95175616e74696c657391 83 a151cb3fe0000000000000 a952616e6b4572726f72c0 a556616c7565c0 "
                        "a353756dcb0000000000000000 a3546f7090 a4556e6974a0 a856617269616e6365c0");
    hang_up(peer);
}

static void test_reading_refused(void **state)
{
    (void)state;
    static const double half[65] = {0.5, 1.5, 0.5};
    static const struct {
        const char *name, *engine;
        size_t first, count; /* of the quantiles */
        const char *error;
    } rows[] = {
        {"nothing", "auto", 0, 0,
         "no aggregate is called \"nothing\": no member that this agent knows of contributes to it"},
        {"", "auto", 0, 0, "Name: the name of an aggregate has 1 to 64 bytes, this one has 0"},
        {"12345678901234567890123456789012345678901234567890123456789012345", "auto", 0, 0,
         "Name: the name of an aggregate has 1 to 64 bytes, this one has 65"},
        {"load", "best", 0, 0, "Engine: it is none of auto, exact, network"},
        {"load", "network", 0, 0,
         "the network engine cannot be started now: this node is leaving, or in a pool of bare memberlist nodes"},
        {"many", "exact", 0, 0,
         "the exact engine has not got it: its schema leaves it to the network engine, or the pool is too large, or of bare "
         "memberlist nodes; ask the network engine"},
        {"load", "auto", 0, 3, "Quantiles: each is from 0 to 1"},
        {"load", "auto", 0, 65, "Quantiles: one request has 64 at most"},
    };
    struct peer *peer = greeted();
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        ask_aggregate(peer, i, rows[i].name, rows[i].engine, half + rows[i].first, rows[i].count, 1, 1);
        expect_header(peer, i, rows[i].error);
        expect_object(peer, "80");
    }
    ask_aggregate(peer, 99, "load", "auto", (const double[]){(double)NAN}, 1, 1, 1);
    expect_header(peer, 99, "Quantiles: each is from 0 to 1");
    expect_object(peer, "80");
    hang_up(peer);
}

/* ---- gauges ---- */

static void test_set(void **state)
{
    (void)state;
    struct peer *peer = greeted();
    ask(peer, "kith-gauge-set", 1, "82 a44e616d65a474656d70 a556616c7565cb4035800000000000");
    expect_header(peer, 1, "");
    expect_object(peer, "81 a9436f6e666c6963747300");
    assert_string_equal(agent.asked, "gauge set 21.5 temp");
    ask(peer, "kith-gauge-set", 2,
        "83 a44e616d65a46c6f6164 a556616c756502 a6536368656d6186 a6456e67696e65a76e6574776f726b a8496e74657276616ccd1388 "
        "a34d617864 a34d696ed0ce a453746570cb3fe0000000000000 a4556e6974a143");
    expect_header(peer, 2, "");
    expect_object(peer, "81 a9436f6e666c6963747302");
    assert_string_equal(agent.asked, "gauge set 2 load -50 to 100 step 0.5 each 5000 engine 2 C");
    ask(peer, "kith-gauge-clear", 3, "81 a44e616d65a474656d70");
    expect_header(peer, 3, "");
    assert_string_equal(agent.asked, "gauge clear temp");
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

static void test_setting_refused(void **state)
{
    (void)state;
    static const char plain[] = "82 a44e616d65a46c6f6164 a556616c7565cb7ff8000000000000"; /* NaN */
    static const char with[] = "83 a44e616d65a474656d70 a556616c756509 a6536368656d6181 a34d617807";
    static const struct {
        int refusal;
        const char *body, *error;
    } rows[] = {
        {KITH_ERR_NUMBER, plain,
         "nan is no value for \"load\", which has finite ones from 0 to 8; nothing is changed"},
        {KITH_ERR_NUMBER, with,
         "9 is no value for \"temp\", which has finite ones from 0 to 7; nothing is changed"},
        {KITH_ERR_TYPE, with, "\"temp\" is open here with another schema: set it without one, or clear it first"},
        {KITH_ERR_ARG, with,
         "the schema of \"temp\" will not do: a unit of 16 bytes at most, min below max, a step of 0 or more, all three "
         "within 1e100 either way, an interval of 1 s to 1 h"},
        {KITH_ERR_REFUSED, plain,
         "\"load\" is the agent's own: choose another name, or start the agent with -gauges=false"},
        {KITH_ERR_FULL, plain,
         "\"load\" would be one aggregate too many (aggregates_max): clear one, or raise the limit"},
        {KITH_ERR_STATE, plain,
         "there are no aggregates here: this node is leaving, or in a pool of bare memberlist nodes"},
        {KITH_ERR_NOMEM, plain, "\"load\": out of memory; the state is unchanged, try again later"},
        {0, "83 a44e616d65a474656d70 a556616c756509 a6536368656d6181 a6456e67696e65a462657374",
         "Engine: it is none of auto, exact, network"},
    };
    struct peer *peer = greeted();
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        agent.refusal = rows[i].refusal;
        ask(peer, "kith-gauge-set", i, rows[i].body);
        expect_header(peer, i, rows[i].error);
        expect_object(peer, "80");
    }
    agent.refusal = KITH_ERR_NOT_FOUND;
    ask(peer, "kith-gauge-clear", 50, "81 a44e616d65a474656d70");
    expect_header(peer, 50, "\"temp\" is not set here: nothing to clear");
    agent.refusal = KITH_ERR_REFUSED;
    ask(peer, "kith-gauge-clear", 51, "81 a44e616d65a46c6f6164");
    expect_header(peer, 51, "\"load\" is the agent's own: choose another name, or start the agent with -gauges=false");
    assert_int_equal(peer->len, 0);
    hang_up(peer);
}

/* What is no such request ends the connection, as everywhere. */
static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *command, *body;
    } rows[] = {
        {"kith-aggregate", "81 a95175616e74696c6573c3"}, /* Quantiles true */
        {"kith-aggregate", "81 a95175616e74696c657391c3"},
        {"kith-aggregate", "81 a3546f70d0ff"}, /* Top -1 */
        {"kith-gauge-set", "81 a6536368656d61c3"},
        {"kith-gauge-set", "81 a556616c7565a131"},
        {"kith-gauge-clear", "81 a44e616d6501"},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct peer *peer = greeted();
        ask(peer, rows[i].command, 1, rows[i].body);
        if (!peer->closed || peer->len > 0)
            fail_msg("row %zu was answered", i);
        assert_string_equal(agent.asked, "");
        hang_up(peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_setting_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
