/* What an attacker of aggregates may try, and what comes of it: a member that says what it likes of itself, of others and of
 * those it talks to; strangers; tables without a limit; small messages that would make us send many.  The honest answers
 * stay, or come back as soon as the attacker is silent. */
#include <math.h>

#include "aggregates_pool.h"

#include "base/real.h"
#include "node/aggregate.h"
#include "wire/kith.h"

#define HONEST 4
#define ATTACKER 4 /* a member of the pool, whose instance is gone: the test speaks for it */

static struct world *w;
static uint8_t buf[2048];
static struct ki_writer out;

static struct ki_span span(const char *text)
{
    return ki_span(text, strlen(text));
}

/* As another knows it. */
static uint64_t generation_of(unsigned n)
{
    const kith *k = world_node(w, n == 0);
    char name[16];
    snprintf(name, sizeof name, "node-%u", n);
    return ki_contributions_of(&k->aggregates->contributions, ki_table_find(&k->table, span(name)))->generation;
}

/* Four who contribute, and a fifth whose process is ours. */
static void begin(void)
{
    w = contributing(HONEST + 1, NULL);
    settles_within(w, SECOND);
    world_crash(w, ATTACKER);
    truth.lives[ATTACKER] = false;
}

static void say(unsigned to)
{
    assert_false(out.full);
    world_inject(w, to, ATTACKER, buf, out.len);
}

static void say_to_all(void)
{
    for (unsigned n = 0; n < HONEST; n++)
        say(n);
}

static struct ki_schema *load_meaning(void)
{
    static struct ki_mem mem;
    static struct ki_schemas schemas;
    if (schemas.count > 0)
        return schemas.list[0];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_schemas_init(&schemas, &mem);
    const struct ki_meaning meaning = {.name = span("load"), .max = 1e6, .interval_ms = 1000};
    return ki_schemas_use(&schemas, &meaning);
}

/* One value of somebody, under the schema of all. */
static void write_value(const char *owner, uint64_t generation, uint64_t base, uint64_t version, double value)
{
    const struct ki_schema *schema = load_meaning();
    const struct ki_values_schema told = {.bytes = ki_span(schema->bytes, schema->len)};
    const struct ki_values_owner part = {.name = span(owner), .generation = generation, .base = base, .last = version,
                                         .count = 1};
    out = ki_writer(buf, sizeof buf);
    ki_put_u8(&out, 8);
    ki_encode_values_front(&out, KI_AGGREGATES_VALUES_ON, 1);
    ki_encode_values_schema(&out, &told);
    ki_encode_values_owner(&out, &part);
    ki_encode_value(&out, base, &(struct ki_value){.version = version, .value = value});
}

/* ---- values ---- */

static void values_out_of_range(void **state)
{
    (void)state;
    static const double wrong[] = {-1, 1000001, 1e300, -1e300};
    begin();
    uint64_t generation = generation_of(ATTACKER) + 1, refused = counter_of_all(w, "contributions_refused");
    uint64_t version = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++, version++) {
        write_value("node-4", generation, version, version + 1, wrong[i]);
        say_to_all();
    }
    const double none[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++, version++) {
        write_value("node-4", generation, version, version + 1, none[i]);
        say_to_all();
    }
    assert_int_equal(counter_of_all(w, "contributions_refused") - refused, 7 * HONEST);
    truth.lives[ATTACKER] = true; /* as far as anybody knows, with a value in range: */
    truth.values[ATTACKER] = 1e6;
    write_value("node-4", generation, version, version + 1, 1e6);
    say_to_all();
    for (unsigned n = 0; n < HONEST; n++) {
        assert_true(knows_truth(w, n));
        assert_true(answer_of(w, n).converged); /* what is refused is had */
    }
    world_free(w);
}

/* Of honest members: what they have told holds again as soon as they hear of it. */
static void forged_values_of_others(void **state)
{
    (void)state;
    begin();
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned victim = 0; victim < HONEST; victim++) {
            char name[16];
            snprintf(name, sizeof name, "node-%u", victim);
            uint64_t generation = generation_of(victim) + (round == 3 ? UINT32_MAX : round);
            write_value(name, generation, 0, round == 4 ? INT64_MAX : 50, 777);
            for (unsigned n = 0; n < HONEST; n++)
                if (n != victim || round % 2 == 0)
                    say(n);
        }
        world_run(w, 3 * SECOND);
    }
    for (unsigned i = 0; i < 100 && world_status(w, 0, "node-4") != KITH_STATUS_FAILED; i++)
        world_run(w, SECOND / 10);
    settles_within(w, 5 * SECOND);
    world_free(w);
}

/* A later life than there is: not believed. */
static void lives_that_are_not_lived(void **state)
{
    (void)state;
    begin();
    uint64_t refused = counter_of_all(w, "contributions_refused");
    write_value("node-1", generation_of(1) + (UINT64_C(1) << 32), 0, 1, 777);
    say_to_all();
    write_value("node-1", UINT64_MAX, 0, 1, 777);
    say_to_all();
    write_value("nobody", 1, 0, 1, 777);
    say_to_all();
    assert_in_range(counter_of_all(w, "contributions_refused") - refused, 3 * HONEST - 2, 3 * HONEST);
    truth.lives[ATTACKER] = true; /* it is not missed yet */
    for (unsigned n = 0; n < HONEST; n++)
        assert_true(knows_truth(w, n));
    world_free(w);
}

/* A version told twice with another value, versions far ahead, parts that overlap: whatever comes of it, it is told on. */
static void liars_versions(void **state)
{
    (void)state;
    begin();
    uint64_t generation = generation_of(ATTACKER) + 1;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t base = world_random(w) % 20, version = base + 1 + world_random(w) % 5;
        write_value("node-4", generation + i / 50, base, version, (double)i);
        say((unsigned)(world_random(w) % HONEST));
        world_run(w, SECOND / 100);
    }
    for (unsigned i = 0; i < 200 && world_status(w, 0, "node-4") != KITH_STATUS_FAILED; i++)
        world_run(w, SECOND / 10);
    settles_within(w, 5 * SECOND);
    world_free(w);
}

/* ---- strangers ---- */

static void strangers_are_not_heeded(void **state)
{
    (void)state;
    begin();
    uint64_t before = counter_of_all(w, "kith_refused");
    write_value("node-1", generation_of(1) + 5, 0, 50, 777);
    for (unsigned n = 0; n < HONEST; n++)
        world_inject(w, n, 77, buf, out.len); /* nobody's address */
    assert_int_equal(counter_of_all(w, "kith_refused") - before, HONEST);
    truth.lives[ATTACKER] = true;
    for (unsigned n = 0; n < HONEST; n++)
        assert_true(knows_truth(w, n));
    world_free(w);
}

/* ---- limits ---- */

static void few(struct kith_config *c, unsigned n)
{
    c->aggregates_max = 4;
    c->aggregate_bytes_max = n == 0 ? 1024 : 1u << 20;
}

/* Names and values without end: the tables end, what does not fit is counted, and our own can still be opened. */
static void names_without_end(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    w = contributing(HONEST + 1, few);
    settles_within(w, SECOND);
    world_crash(w, ATTACKER);
    truth.lives[ATTACKER] = false;
    uint64_t generation = generation_of(ATTACKER) + 1;
    for (uint64_t i = 0; i < 300; i++) {
        char name[16];
        uint8_t bytes[KI_SCHEMA_LEN_MAX];
        snprintf(name, sizeof name, "flood-%u", (unsigned)i);
        const struct ki_meaning meaning = {
            .name = span(name), .max = 1, .interval_ms = 1000, .engine = KI_SCHEMA_EXACT};
        const struct ki_values_schema told = {.bytes = ki_span(bytes, ki_schema_encode(bytes, &meaning))};
        const struct ki_values_owner part = {
            .name = span("node-4"), .generation = generation, .base = i, .last = i + 1, .count = 1};
        out = ki_writer(buf, sizeof buf);
        ki_put_u8(&out, 8);
        ki_encode_values_front(&out, KI_AGGREGATES_VALUES_ON, 1);
        ki_encode_values_schema(&out, &told);
        ki_encode_values_owner(&out, &part);
        ki_encode_value(&out, i, &(struct ki_value){.version = i + 1, .value = 1});
        say_to_all();
    }
    for (unsigned n = 0; n < HONEST; n++) {
        struct kith_aggregate found;
        size_t cursor = 0, names = 0;
        while (kith_aggregate_next(world_node(w, n), &cursor, &found))
            names++;
        assert_int_equal(names, 1 + 4);
        assert_true(counter(w, n, "contributions_dropped") > 200);
        assert_int_equal(kith_aggregate_open(world_node(w, n), world_now(w), STR("mine"), &schema), 0);
        assert_false(answer_of(w, n).converged); /* something is missing, and it knows */
    }
    uint64_t before = counter_of_all(w, "datagrams_out");
    world_run(w, 3 * SECOND);
    assert_in_range(counter_of_all(w, "datagrams_out") - before, 0, 200); /* nobody asks for it again and again */
    for (unsigned i = 0; i < 100 && world_status(w, 0, "node-4") != KITH_STATUS_FAILED; i++)
        world_run(w, SECOND / 10);
    settles_within(w, 5 * SECOND);
    world_free(w);
}

/* One that asks for everything all the time is given so much and no more. */
static void asks_without_end(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    begin();
    for (unsigned i = 0; i < 200; i++) {
        char text[8];
        snprintf(text, sizeof text, "g%u", i);
        struct kith_str name = {text, strlen(text)};
        assert_int_equal(kith_aggregate_open(world_node(w, 0), world_now(w), name, &schema), 0);
        assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), name, i), 0);
    }
    world_run(w, SECOND);
    uint64_t before = counter(w, 0, "bytes_out");
    for (unsigned i = 0; i < 2000; i++) {
        const struct ki_aggregate_head all = {.name = span("node-0"), .generation = generation_of(0)};
        out = ki_writer(buf, sizeof buf);
        ki_put_u8(&out, 8);
        ki_encode_aggregates_want_front(&out);
        ki_encode_aggregates_head(&out, &all);
        say(0);
        world_run(w, SECOND / 1000);
    }
    assert_true(counter(w, 0, "aggregate_asks_refused") > 1000);
    /* compressed, as datagrams are; the limit is of what they hold */
    assert_in_range(counter(w, 0, "bytes_out") - before, 100000, 256 * 1024 + 2 * 128000 + 100000);
    world_free(w);
}

/* ---- bytes ---- */

/* Any bytes of any kind: nothing that is malformed changes anything. */
static void malformed_messages(void **state)
{
    (void)state;
    begin();
    truth.lives[ATTACKER] = true;
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t len = world_random(w) % 40;
        uint64_t malformed = counter(w, 0, "malformed");
        out = ki_writer(buf, sizeof buf);
        ki_put_u8(&out, 8);
        ki_put_u8(&out, 75);
        ki_put_u8(&out, (uint8_t)(0x30 + world_random(w) % 5));
        for (uint64_t at = 0; at < len; at++)
            ki_put_u8(&out, (uint8_t)(world_random(w) % 4 == 0 ? 0 : world_random(w)));
        say(0);
        if (counter(w, 0, "malformed") > malformed)
            assert_true(knows_truth(w, 0));
    }
    assert_in_range(counter(w, 0, "malformed"), 3000, 5000);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_out_of_range),     cmocka_unit_test(forged_values_of_others),
        cmocka_unit_test(lives_that_are_not_lived), cmocka_unit_test(liars_versions),
        cmocka_unit_test(strangers_are_not_heeded), cmocka_unit_test(names_without_end),
        cmocka_unit_test(asks_without_end),        cmocka_unit_test(malformed_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
