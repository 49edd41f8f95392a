/* What a hostile member can do to aggregates that are computed in the network: flows and claims that cannot be, claims in
 * the name of others, questions without end, aggregates without number. */
#include "network_pool.h"

#include "aggregate/schema.h"
#include "base/real.h"
#include "wire/network.h"

#define LIAR 5 /* who sends what its instance does not know of */
#define VICTIM 2

/* The schema of networked() as it goes over the wire, with this many more units of step. */
static size_t schema_bytes(uint8_t buf[KI_SCHEMA_LEN_MAX], double step)
{
    const struct kith_schema schema = load_schema();
    const struct ki_meaning meaning = {.name = ki_span("load", 4),
                                       .min = schema.min,
                                       .max = schema.max,
                                       .step = step,
                                       .interval_ms = schema.interval_ms,
                                       .engine = KI_SCHEMA_NETWORK};
    return ki_schema_encode(buf, &meaning);
}

static struct ki_network_front front_of(double step, uint8_t schema[KI_SCHEMA_LEN_MAX])
{
    struct ki_span bytes = ki_span(schema, schema_bytes(schema, step));
    return (struct ki_network_front){.id = ki_schema_id(bytes), .run = 0xbad, .lease_s = 60, .schema = bytes};
}

static void lie(struct world *w, unsigned to, enum ki_network_kind kind, const struct ki_network_front *front,
                const struct ki_network_claim *claims, size_t count)
{
    uint8_t buf[1400] = {8}; /* a user message */
    struct ki_writer out = ki_writer(buf + 1, sizeof buf - 1);
    ki_encode_network_front(&out, kind, front);
    for (size_t i = 0; i < count; i++)
        ki_encode_network_claim(&out, &claims[i]);
    assert_false(out.full);
    world_inject(w, to, LIAR, buf, 1 + out.len);
}

static struct kith_member member_of(struct world *w, unsigned n, const char *name)
{
    struct kith_member found;
    assert_int_equal(kith_find(world_node(w, n), (struct kith_str){name, strlen(name)}, &found), 0);
    return found;
}

/* ---- flows ---- */

static void flows_that_cannot_be(void **state)
{
    (void)state;
    static const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e9, -1e9, 1.7e308};
    uint8_t schema[KI_SCHEMA_LEN_MAX];
    struct world *w = networked(8, NULL);
    struct ki_network_front front = front_of(0, schema);
    converges_within(w, 30);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (unsigned at = 0; at < 3; at++) {
            uint64_t before = counter(w, VICTIM, "flows_refused");
            front.seq += 1000;
            memset(front.flow, 0, sizeof front.flow);
            front.flow[at] = bad[i];
            lie(w, VICTIM, KI_NETWORK_REQUEST, &front, NULL, 0);
            bool fits = at == 1 && fabs(bad[i]) < 1e10; /* squares are larger */
            assert_int_equal(counter(w, VICTIM, "flows_refused"), before + !fits);
            struct kith_aggregate_answer a = network_answer(w, VICTIM);
            assert_true(a.average >= 0 && a.average <= 1e6 && a.variance >= 0 && a.count >= 0 && a.count <= 8);
        }
    }
    converges_within(w, 60); /* the next exchanges mend it */
    mass_is_conserved(w);
    world_free(w);
}

/* Who always says that it has the most there can be takes what it can get, and no more. */
static void who_pumps_has_an_end(void **state)
{
    (void)state;
    uint8_t schema[KI_SCHEMA_LEN_MAX];
    struct world *w = networked(8, NULL);
    struct ki_network_front front = front_of(0, schema);
    converges_within(w, 30);
    front.seq = 1u << 30;
    front.estimate[0] = 1e6;
    front.estimate[1] = 1e12;
    front.estimate[2] = 1;
    for (unsigned i = 0; i < 300; i++) {
        front.seq++;
        lie(w, VICTIM, KI_NETWORK_REQUEST, &front, NULL, 0);
        world_run(w, TICK / 5);
        for (unsigned n = 0; n < 8; n++) {
            struct kith_aggregate_answer a = network_answer(w, n);
            assert_true(a.average >= 0 && a.average <= 1e6 && a.count >= 0 && a.count <= 8);
        }
    }
    world_run(w, 15 * SECOND); /* its honest instance speaks again */
    converges_within(w, 60);
    mass_is_conserved(w);
    world_free(w);
}

/* ---- claims ---- */

static void claims_that_cannot_be(void **state)
{
    (void)state;
    uint8_t schema[KI_SCHEMA_LEN_MAX];
    struct world *w = networked(8, NULL);
    struct ki_network_front front = front_of(0, schema);
    converges_within(w, 30);
    uint64_t generation = (uint64_t)member_of(w, VICTIM, "node-3").incarnation << 32;
    const struct ki_span name = ki_span("node-3", 6);
    const struct ki_network_claim claims[] = {
        {name, generation, 1u << 30, 1e6 + 1, false},             /* beyond the range */
        {name, generation, 1u << 30, -1, false},
        {name, generation, 1u << 30, (double)NAN, false},
        {name, generation, 1u << 30, (double)INFINITY, false},
        {name, generation + (1ull << 32), 1, 500, false},         /* of a life that has not been */
        {name, generation, (uint64_t)INT64_MAX + 1, 500, false},  /* a version beyond all */
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        uint64_t before = counter(w, VICTIM, "claims_refused");
        lie(w, VICTIM, KI_NETWORK_CLAIMS, &front, &claims[i], 1);
        assert_int_equal(counter(w, VICTIM, "claims_refused"), before + 1);
    }
    const struct ki_network_claim nobody = {ki_span("nobody", 6), 1, 1, 5, false};
    lie(w, VICTIM, KI_NETWORK_CLAIMS, &front, &nobody, 1);
    assert_true(order_right(w, VICTIM));
    world_free(w);
}

/* In the name of another, newer than what it has said itself: it hears of it, and says what is true. */
static void claims_of_others_are_corrected(void **state)
{
    (void)state;
    uint8_t schema[KI_SCHEMA_LEN_MAX];
    struct world *w = networked(8, NULL);
    struct ki_network_front front = front_of(0, schema);
    converges_within(w, 30);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t generation = (uint64_t)member_of(w, VICTIM, "node-3").incarnation << 32;
        const struct ki_network_claim claims[] = {
            {ki_span("node-3", 6), generation, UINT64_C(1) << (28 + i), 999999, i % 2 == 1},
            {ki_span("node-3", 6), generation + 7, 1, 0, false}, /* as if it had taken something back */
            {ki_span("node-3", 6), generation, INT64_MAX, 7, false},
            {ki_span("node-3", 6), generation + UINT32_MAX, INT64_MAX, 8, false}, /* the last that can be in this life */
            {ki_span("node-2", 6), generation, 1u << 29, 12, false}, /* of the one that hears it */
        };
        lie(w, VICTIM, KI_NETWORK_CLAIMS, &front, &claims[i], 1);
        converges_within(w, 40);
    }
    world_free(w);
}

/* ---- too much ---- */

static uint64_t sent_to_liar;

static void count_bytes(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    (void)arg;
    (void)buf;
    if (from == VICTIM && to->ip[3] == LIAR + 1)
        sent_to_liar += len;
}

/* The same question for ever, and new ones: the answers have a limit. */
static void questions_without_end(void **state)
{
    (void)state;
    uint8_t schema[KI_SCHEMA_LEN_MAX];
    struct world *w = networked(100, NULL);
    struct ki_network_front front = front_of(0, schema);
    converges_within(w, 40);
    sent_to_liar = 0;
    world_set_tap(w, count_bytes, NULL);
    for (unsigned i = 0; i < 4000; i++) {
        front.run = 1 + i / 10; /* which knows nothing of us */
        front.seq += i % 3;
        lie(w, VICTIM, KI_NETWORK_REQUEST, &front, NULL, 0);
        if (i % 100 == 99)
            world_run(w, SECOND / 100);
    }
    /* the burst, what may be sent in the time, and 4,000 answers without claims */
    assert_in_range(sent_to_liar, 100000, (256u << 10) + 400 * 128 + 4000 * 160 + 10000);
    assert_true(counter(w, VICTIM, "aggregate_asks_refused") > 1000);
    world_set_tap(w, NULL, NULL);
    world_run(w, 5 * SECOND);
    converges_within(w, 60);
    world_free(w);
}

static void few_aggregates(struct kith_config *c, unsigned n)
{
    (void)n;
    c->aggregates_max = 3;
}

static void aggregates_without_number(void **state)
{
    (void)state;
    struct world *w = networked(8, few_aggregates);
    converges_within(w, 30);
    for (unsigned i = 1; i < 50; i++) {
        uint8_t schema[KI_SCHEMA_LEN_MAX];
        struct ki_network_front front = front_of(i, schema);
        lie(w, VICTIM, KI_NETWORK_CLAIMS, &front, NULL, 0);
    }
    assert_int_equal(counter(w, VICTIM, "flows_refused"), 50 - 1 - 3);
    world_run(w, 90 * SECOND); /* those that came first are computed for a minute */
    uint8_t schema[KI_SCHEMA_LEN_MAX];
    struct ki_network_front front = front_of(100, schema);
    lie(w, VICTIM, KI_NETWORK_CLAIMS, &front, NULL, 0);
    assert_int_equal(counter(w, VICTIM, "flows_refused"), 50 - 1 - 3);
    converges_within(w, 30);
    world_free(w);
}

/* What is not whole, or is no message of this version, changes nothing; nor does an id that is another schema's. */
static void messages_that_are_none(void **state)
{
    (void)state;
    uint8_t schema[KI_SCHEMA_LEN_MAX], buf[1400] = {8};
    struct world *w = networked(4, NULL);
    truth.nodes = 4;
    struct ki_network_front front = front_of(0, schema);
    const struct ki_network_claim claim = {ki_span("node-1", 6), 1, 1, 5, false};
    converges_within(w, 30);
    for (unsigned kind = 0x38; kind < 0x40; kind++) {
        struct ki_writer out = ki_writer(buf + 1, sizeof buf - 1);
        ki_encode_network_front(&out, (enum ki_network_kind)kind, &front);
        ki_encode_network_claim(&out, &claim);
        bool is_known = kind <= KI_NETWORK_CLAIMS;
        for (size_t cut = 2; is_known && cut < out.len; cut++) {
            uint64_t before = counter(w, VICTIM, "malformed");
            world_inject(w, VICTIM, 1, buf, 1 + cut);
            bool ends_with_front = cut == out.len - (1 + 6 + 8 + 1 + 1 + 8);
            assert_int_equal(counter(w, VICTIM, "malformed"), before + !ends_with_front);
        }
        uint64_t before = counter(w, VICTIM, "unknown_serf_type");
        world_inject(w, VICTIM, 1, buf, 1 + out.len);
        assert_int_equal(counter(w, VICTIM, "unknown_serf_type"), before + !is_known);
    }
    front.id++;
    uint64_t out = counter(w, VICTIM, "flows_out");
    lie(w, VICTIM, KI_NETWORK_REQUEST, &front, NULL, 0);
    assert_int_equal(counter(w, VICTIM, "flows_out"), out);
    converges_within(w, 60);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_that_cannot_be),
        cmocka_unit_test(who_pumps_has_an_end),
        cmocka_unit_test(claims_that_cannot_be),
        cmocka_unit_test(claims_of_others_are_corrected),
        cmocka_unit_test(questions_without_end),
        cmocka_unit_test(aggregates_without_number),
        cmocka_unit_test(messages_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
