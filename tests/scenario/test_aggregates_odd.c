/* Aggregates at the ends of numbers, and in pools where not everybody takes part any more: nothing breaks, what somebody has
 * made up is overtaken, and an answer that lacks something says so.
 * ctest: TIMEOUT 600 COST 40 */
#include "lone.h"
#include "network_pool.h"
#include "wire/kith.h"

/* ---- lies ---- */

static const struct ki_network_run *run_of(struct world *w, unsigned n)
{
    const struct ki_network *network = &world_node(w, n)->aggregates->network;
    assert_int_equal(network->count, 1);
    return network->runs[0];
}

/* Node 0 hears from node 1 what it has said itself. */
static void inject_claim(struct world *w, uint64_t generation, uint64_t version)
{
    uint8_t buf[512] = {KI_MSG_USER};
    struct ki_writer writer = ki_writer(buf + 1, sizeof buf - 1);
    struct ki_network_front front = {.id = run_of(w, 0)->schema->id, .run = 1, .lease_s = 60};
    struct ki_network_claim claim = {.name = ki_span("node-0", 6), .generation = generation, .version = version, .value = 7};
    ki_encode_network_front(&writer, KI_NETWORK_CLAIMS, &front);
    ki_encode_network_claim(&writer, &claim);
    world_inject(w, 0, 1, buf, writer.len + 1);
}

/* The last version that there is, of a generation that is over: what we say next is of another generation. */
static void the_last_version_of_a_former_generation(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = networked(4, NULL);
    converges_within(w, 40);
    assert_int_equal(kith_aggregate_open(world_node(w, 0), world_now(w), STR("other"), &schema), 0);
    assert_int_equal(kith_aggregate_set(world_node(w, 0), world_now(w), STR("other"), 1), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(kith_aggregate_close(world_node(w, 0), world_now(w), STR("other")), 0);
    uint64_t former = run_of(w, 0)->own.generation;
    world_run(w, 2 * SECOND);
    assert_true(world_node(w, 0)->aggregates->own->generation > former);
    inject_claim(w, former, INT64_MAX);
    world_run(w, SECOND);
    set(w, 0, 12345);
    converges_within(w, 40);
    world_free(w);
}

/* However near to the last version we are brought, what we say later is heard. */
static void versions_come_to_their_end(void **state)
{
    (void)state;
    for (uint64_t left = 0; left < 4; left++) {
        struct world *w = networked(4, NULL);
        converges_within(w, 40);
        inject_claim(w, run_of(w, 0)->own.generation, INT64_MAX - left);
        for (unsigned i = 0; i < 4; i++) {
            world_run(w, 2 * SECOND);
            set(w, 0, 1000 + i);
        }
        converges_within(w, 60);
        assert_int_equal(counter_of_all(w, "claims_refused"), 0);
        world_free(w);
    }
}

static void inject_values(struct world *w, uint64_t generation)
{
    uint8_t buf[512] = {KI_MSG_USER};
    struct ki_writer writer = ki_writer(buf + 1, sizeof buf - 1);
    struct ki_values_owner owner = {.name = ki_span("node-0", 6), .generation = generation, .last = 9};
    ki_encode_values_front(&writer, KI_AGGREGATES_VALUES, 0);
    ki_encode_values_owner(&writer, &owner);
    world_inject(w, 0, 1, buf, writer.len + 1);
}

/* Accused in the last life but one that there is, node 0 is in the last one, of which the last generation is told. */
static void generations_come_to_their_end(void **state)
{
    (void)state;
    uint8_t buf[256];
    struct world *w = contributing(3, NULL);
    settles_within(w, SECOND);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct ki_suspect accusation = {
        .incarnation = UINT32_MAX - 1, .node = ki_span("node-0", 6), .from = ki_span("node-1", 6)};
    ki_encode_suspect(&p, &accusation);
    world_inject(w, 0, 1, buf, p.w.len);
    assert_int_equal(world_node(w, 0)->incarnation, UINT32_MAX);
    inject_values(w, UINT64_MAX - 1);
    world_run(w, 2 * SECOND);
    assert_true(world_node(w, 0)->aggregates->own->generation == UINT64_MAX);
    inject_values(w, UINT64_MAX);
    assert_int_equal(kith_aggregate_clear(world_node(w, 0), world_now(w), LOAD), 0);
    world_run(w, 2 * SECOND);
    assert_true(world_node(w, 0)->aggregates->own->generation == UINT64_MAX);
    world_free(w);
}

static struct lone_memory memory;

static void memory_of_the_first(struct kith_config *c, unsigned n)
{
    if (n == 0)
        c->memory = lone_hooks(&memory);
}

/* A generation of the next life is told once that life could be announced, whatever fails before. */
static void a_later_life_is_announced_first(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 40; at++) {
        memory = (struct lone_memory){.fail_from = UINT64_MAX, .fail_to = UINT64_MAX};
        struct world *w = contributing(3, memory_of_the_first);
        settles_within(w, SECOND);
        inject_values(w, (uint64_t)world_node(w, 0)->incarnation << 32 | UINT32_MAX);
        memory.fail_from = memory.calls + at;
        memory.fail_to = memory.fail_from + 1;
        world_run(w, 3 * SECOND);
        memory.fail_from = memory.fail_to = UINT64_MAX;
        set(w, 0, (double)(1000 + at));
        settles_within(w, 10 * SECOND);
        world_free(w);
    }
}

/* ---- who does not take part ---- */

static void leaves_it_early(struct kith_config *c, unsigned n)
{
    if (n == 1)
        c->aggregate_bytes_max = 1024;
}

/* Who leaves it to the network engine is no longer in the exact answers of the others, and they say that they lack it. */
static void what_is_left_to_the_network_is_missed(void **state)
{
    (void)state;
    struct world *w = contributing(20, leaves_it_early);
    settles_within(w, SECOND);
    world_run(w, 60 * SECOND);
    for (unsigned n = 0; n < 20; n++) {
        struct kith_aggregate_answer answer = answer_of(w, n);
        if (n == 1)
            continue;
        assert_true(answer.engine == KITH_ENGINE_EXACT && answer.count == 19);
        assert_true(answer.coverage_ppm == 950000 && !answer.converged);
    }
    world_free(w);
}

static void some_leave_it_early(struct kith_config *c, unsigned n)
{
    if (n % 3 == 1)
        c->aggregate_bytes_max = 1024;
}

/* Whoever comes later hears of the others' values, though some whom it asks have dropped them. */
static void what_some_have_dropped_is_told_by_others(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct world *w = contributing(12, some_leave_it_early);
    settles_within(w, SECOND);
    world_run(w, 60 * SECOND);
    for (unsigned n = 12; n < 15; n++) {
        struct kith_config c;
        world_config(&c, n);
        world_add(w, n, &c);
        assert_int_equal(world_join(w, n, 1, NULL), 0);
        world_run(w, 20 * SECOND);
        open_one(w, n, &schema);
        struct kith_aggregate_answer answer = answer_of(w, n);
        assert_true(answer.engine == KITH_ENGINE_EXACT && answer.count == 8);
    }
    set(w, 0, 777); /* one that is passed on by those that do not keep it */
    world_run(w, 20 * SECOND);
    for (unsigned n = 0; n < 15; n++)
        assert_true(n % 3 == 1 || answer_of(w, n).max == 777);
    world_free(w);
}

/* Of a generation of which it has heard nothing but that there is more, it would say that there is nothing. */
static void who_misses_something_tells_nothing(void **state)
{
    (void)state;
    struct world *w = contributing(3, NULL);
    settles_within(w, 3 * SECOND);
    kith *second = world_node(w, 1), *third = world_node(w, 2);
    uint32_t id = ki_table_find(&second->table, lone_span("node-0"));
    struct ki_contributions *known = &second->aggregates->contributions, *to_know = &third->aggregates->contributions;
    world_cut(w, 0, 1, true);
    world_cut(w, 0, 2, true);
    ki_contributor_hear(known, ki_contributions_of(known, id), 9);
    id = ki_table_find(&third->table, lone_span("node-0"));
    ki_contributions_forget(to_know, id);
    world_run(w, 4 * SECOND); /* they compare what they know with every ping */
    assert_null(ki_contributions_of(to_know, id));
    world_cut(w, 0, 2, false);
    world_run(w, 4 * SECOND);
    assert_non_null(ki_contributions_of(to_know, id));
    world_free(w);
}

/* Somebody knows a later life of ours than this one has begun as: what was told in it has not come after what we tell. */
static void a_later_life_is_outlived(void **state)
{
    (void)state;
    struct world *w = contributing(2, NULL);
    settles_within(w, 3 * SECOND);
    kith *k = world_node(w, 0);
    uint64_t generation = k->aggregates->own->generation;
    ki_refute(k, k->incarnation, NULL); /* that is this life */
    world_run(w, 3 * SECOND);
    assert_true(k->aggregates->own->generation == generation);
    uint32_t later = k->incarnation + 100000;
    ki_refute(k, later, NULL);
    world_run(w, 3 * SECOND);
    assert_true(k->aggregates->own->generation > ((uint64_t)later << 32 | UINT32_MAX));
    settles_within(w, SECOND);
    world_free(w);
}

/* The same name and address, but of Serf's kind from now on: what it once contributed is nobody's. */
static void who_returns_as_stock_contributes_nothing(void **state)
{
    (void)state;
    struct kith_config c;
    struct world *w = contributing(4, NULL);
    settles_within(w, SECOND);
    crash(w, 2);
    world_config(&c, 2);
    c.stock = true;
    world_run(w, 2 * SECOND);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    world_run(w, 10 * SECOND);
    for (unsigned n = 0; n < 4; n++) {
        if (n == 2)
            continue;
        assert_true(knows_truth(w, n));
        assert_true(answer_of(w, n).converged);
    }
    world_free(w);
}

/* ---- pools that take more than one call to look through ---- */

static void import_member(kith *k, struct kith_time now, unsigned i)
{
    char name[16];
    snprintf(name, sizeof name, "m%u", i);
    struct kith_member m = {.name = {name, strlen(name)},
                            .addr = {.ip = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, .ip_len = 4, .port = 7946},
                            .status = KITH_STATUS_ALIVE,
                            .state = KITH_STATE_ALIVE,
                            .incarnation = 5,
                            .versions = {1, 5, 2, 2, 5, 5}};
    assert_int_equal(kith_import_members(k, now, &m, 1), 0);
}

static void take_datagrams(kith *k, struct kith_time now)
{
    static uint8_t buf[65536];
    struct kith_addr to;
    size_t len;
    while (kith_poll_datagram(k, now, &to, buf, sizeof buf, &len))
        continue;
}

/* The last aggregate is given up while its neighbours are being looked for: there is nothing to do at once any more. */
static void given_up_amid_looking(void **state)
{
    (void)state;
    struct kith_schema schema = load_schema();
    struct kith_config c;
    lone_config(&c);
    schema.engine = NETWORK;
    kith *k = lone_new(&c);
    struct kith_time now = lone_time(2 * LONE_SECOND);
    for (unsigned i = 0; i < 9000; i++)
        import_member(k, now, i);
    assert_int_equal(kith_aggregate_open(k, now, LOAD, &schema), 0);
    while (k->aggregates->network.has_neighbours == false || k->aggregates->network.pass.is_on)
        kith_tick(k, now);
    assert_int_equal(kith_aggregate_close(k, now, LOAD), 0);
    now.mono_us = k->aggregates->network.runs[0]->lease_us;
    import_member(k, now, 9000);
    kith_tick(k, now);
    assert_int_equal(k->aggregates->network.count, 0);
    for (unsigned i = 0; i < 100 && kith_deadline(k) <= now.mono_us; i++) {
        take_datagrams(k, now);
        kith_tick(k, now);
    }
    assert_true(kith_deadline(k) > now.mono_us);
    kith_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_version_of_a_former_generation),
        cmocka_unit_test(versions_come_to_their_end),
        cmocka_unit_test(generations_come_to_their_end),
        cmocka_unit_test(a_later_life_is_announced_first),
        cmocka_unit_test(what_is_left_to_the_network_is_missed),
        cmocka_unit_test(what_some_have_dropped_is_told_by_others),
        cmocka_unit_test(who_misses_something_tells_nothing),
        cmocka_unit_test(a_later_life_is_outlived),
        cmocka_unit_test(who_returns_as_stock_contributes_nothing),
        cmocka_unit_test(given_up_amid_looking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
