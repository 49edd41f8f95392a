/* Which engine AUTO means: a table that grows too large is left to the network, by each member for itself and known to the
 * others; and it comes back when the pool and what it contributes have shrunk.  What says EXACT stays, what says NETWORK is
 * never told to all. */
#include "aggregates_pool.h"

#include "node/aggregate.h"

#define MANY 40

static void small_tables(struct kith_config *c, unsigned n)
{
    (void)n;
    c->aggregate_bytes_max = 2048;
}

static struct kith_str numbered(unsigned i)
{
    static char text[8];
    snprintf(text, sizeof text, "g%u", i);
    return (struct kith_str){text, strlen(text)};
}

static void open_many(struct world *w, unsigned n, enum kith_engine engine)
{
    struct kith_schema schema = load_schema();
    schema.engine = engine;
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(kith_aggregate_open(world_node(w, n), world_now(w), numbered(i), &schema), 0);
        assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), numbered(i), i), 0);
    }
}

static void close_many(struct world *w, unsigned n)
{
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(kith_aggregate_close(world_node(w, n), world_now(w), numbered(i)), 0);
}

static int read_by(struct world *w, unsigned n, enum kith_engine engine, struct kith_aggregate_answer *answer)
{
    return kith_aggregate_read(world_node(w, n), world_now(w), LOAD, engine, answer);
}

static size_t contributions_at(struct world *w, unsigned n)
{
    const struct ki_contributions *c = &world_node(w, n)->aggregates->contributions;
    size_t count = 0;
    for (uint32_t i = 0; i < c->count; i++)
        count += c->list[i]->count;
    return count;
}

static void a_table_that_is_too_large(void **state)
{
    (void)state;
    struct world *w = contributing(3, small_tables);
    struct kith_aggregate_answer answer;
    settles_within(w, SECOND);
    open_many(w, 0, KITH_ENGINE_AUTO);
    open_many(w, 1, KITH_ENGINE_AUTO);
    world_run(w, 5 * SECOND);
    for (unsigned n = 0; n < 3; n++) { /* both run for a while */
        const struct ki_aggregates *a = world_node(w, n)->aggregates;
        assert_true(a->exact_is_off && contributions_at(w, n) == 2 * MANY + 3);
        assert_int_equal(read_by(w, n, KITH_ENGINE_AUTO, &answer), 0);
        assert_true(answer.engine == KITH_ENGINE_EXACT && answer.converged);
    }
    world_run(w, 40 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(contributions_at(w, n), 0);
        assert_int_equal(read_by(w, n, KITH_ENGINE_EXACT, &answer), KITH_ERR_STATE);
        assert_int_equal(read_by(w, n, KITH_ENGINE_AUTO, &answer), 0);
        assert_true(answer.engine == KITH_ENGINE_NETWORK);
    }
    set(w, 0, 1234); /* is not told any more */
    uint64_t out = counter_of_all(w, "contributions_out");
    world_run(w, 5 * SECOND);
    assert_int_equal(counter_of_all(w, "contributions_out"), out);
    close_many(w, 0);
    close_many(w, 1);
    world_run(w, 500 * SECOND); /* it is not changed back at once, */
    assert_int_equal(read_by(w, 0, KITH_ENGINE_EXACT, &answer), KITH_ERR_STATE);
    world_run(w, 150 * SECOND); /* but in the end */
    settles_within(w, 5 * SECOND);
    assert_int_equal(read_by(w, 2, KITH_ENGINE_EXACT, &answer), 0);
    world_free(w);
}

static void only_the_first(struct kith_config *c, unsigned n)
{
    c->aggregate_bytes_max = n == 3 ? 1u << 20 : 1024;
}

/* One that could have it all sees that most others have left it to the network, and reads there, too. */
static void most_others_decide(void **state)
{
    (void)state;
    struct world *w = contributing(4, only_the_first);
    struct kith_aggregate_answer answer;
    settles_within(w, SECOND);
    open_many(w, 0, KITH_ENGINE_AUTO);
    world_run(w, 5 * SECOND);
    assert_int_equal(read_by(w, 3, KITH_ENGINE_EXACT, &answer), 0);
    world_run(w, 40 * SECOND);
    assert_false(world_node(w, 3)->aggregates->exact_is_off);
    assert_int_equal(read_by(w, 3, KITH_ENGINE_EXACT, &answer), KITH_ERR_STATE);
    world_free(w);
}

static void what_the_schema_says(void **state)
{
    (void)state;
    struct kith_schema exact = load_schema(), network = load_schema();
    struct kith_aggregate_answer answer;
    struct kith_aggregate found;
    struct world *w = pool(&ear, 3, 0, small_tables);
    exact.engine = KITH_ENGINE_EXACT;
    network.engine = KITH_ENGINE_NETWORK;
    for (unsigned n = 0; n < 3; n++) {
        kith *k = world_node(w, n);
        open_many(w, n, KITH_ENGINE_AUTO);
        assert_int_equal(kith_aggregate_open(k, world_now(w), STR("exact"), &exact), 0);
        assert_int_equal(kith_aggregate_set(k, world_now(w), STR("exact"), n), 0);
    }
    assert_int_equal(kith_aggregate_open(world_node(w, 0), world_now(w), STR("network"), &network), 0);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), STR("network"), 5), 0);
    world_run(w, 60 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        kith *k = world_node(w, n);
        assert_true(k->aggregates->exact_is_off);
        assert_int_equal(kith_aggregate_read(k, world_now(w), STR("exact"), KITH_ENGINE_AUTO, &answer), 0);
        assert_true(answer.count == 3 && answer.sum == 3 && answer.engine == KITH_ENGINE_EXACT);
    }
    assert_int_equal(kith_aggregate_read(world_node(w, 0), world_now(w), STR("network"), KITH_ENGINE_EXACT, &answer),
                     KITH_ERR_STATE);
    assert_int_equal(contributions_at(w, 1), 3); /* of "exact" alone */
    assert_int_equal(kith_aggregate_find(world_node(w, 0), STR("network"), &found), 0);
    assert_true(found.contributors == 1 && found.schema.engine == KITH_ENGINE_NETWORK);
    world_free(w);
}

/* Beyond four times the limit nothing more is kept, and it is known to be missing. */
static void tiny_tables(struct kith_config *c, unsigned n)
{
    c->aggregate_bytes_max = n == 1 ? 1024 : 1u << 20;
}

static void no_more_than_four_times_the_limit(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    schema.engine = KITH_ENGINE_EXACT;
    struct world *w = pool(&ear, 2, 0, tiny_tables);
    struct kith_aggregate_answer answer;
    for (unsigned i = 0; i < 250; i++) {
        assert_int_equal(kith_aggregate_open(world_node(w, 0), world_now(w), numbered(i), &schema), 0);
        assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), numbered(i), i), 0);
    }
    world_run(w, 5 * SECOND);
    uint64_t dropped = counter(w, 1, "contributions_dropped");
    assert_true(dropped > 0);
    assert_in_range(world_node(w, 1)->aggregates->contributions.bytes, 4096, 4096 + 24);
    assert_int_equal(kith_aggregate_read(world_node(w, 1), world_now(w), numbered(0), KITH_ENGINE_AUTO, &answer), 0);
    assert_true(answer.count == 1 && !answer.converged);
    uint64_t wanted = counter(w, 1, "contributions_wanted");
    world_run(w, 20 * SECOND);
    assert_in_range(counter(w, 1, "contributions_wanted") - wanted, 0, 2); /* not again and again */
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(kith_aggregate_close(world_node(w, 0), world_now(w), numbered(i)), 0);
    world_run(w, 10 * SECOND);
    for (unsigned i = 200; i < 250; i++) {
        assert_int_equal(kith_aggregate_read(world_node(w, 1), world_now(w), numbered(i), KITH_ENGINE_AUTO, &answer), 0);
        assert_true(answer.count == 1 && answer.sum == i && answer.converged);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_is_too_large),
        cmocka_unit_test(most_others_decide),
        cmocka_unit_test(what_the_schema_says),
        cmocka_unit_test(no_more_than_four_times_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
