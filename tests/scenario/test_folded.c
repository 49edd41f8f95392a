/* Folded queries in pools of 1 to 300: the result is that of a plain fold over all answers, each application is asked once,
 * the asker hears from a few only; some are silent, late, dead or of Serf's kind, and datagrams are lost.
 * ctest: TIMEOUT 600 COST 60 */
#include <kith/aggregate.h>

#include "folded_pool.h"
#include "sanitized.h"

static bool is_even(unsigned n)
{
    return n % 2 == 0;
}

static bool every_third(unsigned n)
{
    return n % 3 == 0;
}

static void third_is_web(struct kith_config *c, unsigned n)
{
    static const struct kith_tag web = {TEXT("role"), TEXT("web-server")};
    c->tags = &web;
    c->tag_count = every_third(n);
}

/* ---- all is well ---- */

static void all_answer(void **state)
{
    static const unsigned sizes[] = {1, 2, 3, 8, 9, 10, 11, 40, 100, 300};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(sizes); i++) {
        unsigned count = sizes[i];
        struct world *w = fold_pool(count, 0, NULL);
        const struct kith_query query = {.name = STR("load"), .payload = STR("15"), .fold = true, .fold_top = 5};
        world_set_tap(w, fold_tap, NULL);
        struct outcome *o = fold_ask(w, count / 2, &query);
        fold_run(w, SECOND / 4);
        fold_says(o, count, NULL);
        assert_int_equal(o->folded.members, count);
        assert_in_range(o->done_us - o->asked_us, 0, 20000); /* as soon as the last one has answered */
        unsigned most = 0;
        for (unsigned n = 0; n < count; n++) {
            assert_int_equal(fold.asked[n], 1);
            unsigned messages = fold.messages_in[n] + fold.messages_out[n];
            most = messages > most ? messages : most;
        }
        assert_int_equal(o->top_count, count < 5 ? count : 5);
        for (unsigned t = 0; t < o->top_count; t++) {
            unsigned larger = 0;
            for (unsigned n = 0; n < count; n++)
                larger += fold_value(n) > o->top_value[t];
            assert_int_equal(larger, t);
            double own = fold_value((unsigned)strtoul(o->top[t] + 5, NULL, 10));
            assert_true(own >= o->top_value[t] && own <= o->top_value[t]);
        }
        unsigned parts = count - 1 < KI_FOLD_PARTS ? count - 1 : KI_FOLD_PARTS;
        assert_int_equal(fold.messages_out[count / 2], parts);
        assert_int_equal(fold.messages_in[count / 2], parts);
        assert_in_range(most, 2 * parts, 2 * parts + 2); /* nobody has more of it than that */
        fold_run(w, 20 * SECOND);
        fold_forgotten(w, count);
        world_free(w);
    }
}

static void those_whom_the_filters_let_through(void **state)
{
    static const struct kith_str nodes[] = {TEXT("node-1"), TEXT("node-3"), TEXT("node-6"), TEXT("node-3"), TEXT("node-12")};
    static const struct kith_tag role = {TEXT("role"), TEXT("^web.s")}, absent = {TEXT("none"), TEXT("^$")};
    static const struct {
        const struct kith_str *nodes;
        size_t node_count;
        const struct kith_tag *tags;
        size_t tag_count;
        const char *who;
    } rows[] = {{NULL, 0, &role, 1, "0 3 6 9 12 15 18 "},
                {nodes, 5, NULL, 0, "1 3 6 12 "},
                {nodes, 5, &role, 1, "3 6 12 "},
                {nodes, 1, &role, 1, ""},
                {nodes, 2, &absent, 1, "1 3 "}};
    (void)state;
    struct world *w = fold_pool(20, 0, third_is_web);
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        for (unsigned asker = 0; asker < 4; asker++) { /* one that is meant itself, and one that is not */
            memset(fold.asked, 0, sizeof fold.asked);
            struct kith_query query = {.name = STR("load"),
                                       .nodes = rows[i].nodes,
                                       .node_count = rows[i].node_count,
                                       .tags = rows[i].tags,
                                       .tag_count = rows[i].tag_count,
                                       .fold = true};
            struct outcome *o = fold_ask(w, asker, &query);
            fold_run(w, SECOND / 10);
            char who[100] = "";
            unsigned answers = 0;
            for (unsigned n = 0; n < 20; n++) {
                assert_in_range(fold.asked[n], 0, 1);
                if (fold.asked[n] > 0)
                    snprintf(who + strlen(who), 8, "%u ", n);
                answers += fold.asked[n];
            }
            assert_string_equal(who, rows[i].who);
            assert_int_equal(o->folded.answers, answers);
            assert_int_equal(o->folded.members, answers);
            assert_int_equal(o->dones, 1);
            assert_int_equal(o->result, 0);
        }
    }
    world_free(w);
}

/* ---- some do not answer ---- */

static void nonsense_is_counted(void **state)
{
    (void)state;
    struct world *w = fold_pool(50, 0, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true, .fold_top = 32};
    for (unsigned n = 1; n < 50; n += 2)
        fold.says[n] = SAYS_NONSENSE;
    struct outcome *o = fold_ask(w, 7, &query);
    fold_run(w, SECOND);
    fold_says(o, 50, is_even);
    assert_int_equal(o->folded.unusable, 25);
    assert_int_equal(o->top_count, 25);
    world_free(w);
}

static void the_silent_are_named(void **state)
{
    static const unsigned sizes[] = {1, 2, 12, 90, 300};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(sizes); i++) {
        unsigned count = sizes[i], silent = 0;
        struct world *w = fold_pool(count, 0, NULL);
        const struct kith_query query = {.name = STR("load"), .fold = true, .timeout_ms = 3000};
        for (unsigned n = 0; n < count; n++) {
            fold.says[n] = is_even(n) ? SAYS_ITS_VALUE : SAYS_NOTHING;
            silent += !is_even(n);
        }
        struct outcome *o = fold_ask(w, count - 1, &query);
        fold_run(w, 4 * SECOND);
        fold_says(o, count, is_even);
        assert_int_equal(o->folded.silent, silent);
        assert_int_equal(o->silent_count, silent < 64 ? silent : 64);
        assert_int_equal(o->unable_count, 0);
        assert_true(o->done_us - o->asked_us <= 3 * SECOND + 2000);
        for (unsigned n = 0; n < count; n++)
            assert_true(!o->silent[n] || !is_even(n));
        fold_run(w, 5 * SECOND);
        fold_forgotten(w, count);
        world_free(w);
    }
}

/* Up to the last moment an answer counts. */
static void late_ones_are_waited_for(void **state)
{
    (void)state;
    struct world *w = fold_pool(100, 0, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true, .timeout_ms = 20000};
    fold.late_us = 8 * SECOND;
    for (unsigned n = 0; n < 100; n++)
        fold.says[n] = every_third(n) ? SAYS_IT_LATE : SAYS_ITS_VALUE;
    world_set_tap(w, fold_tap, NULL);
    struct outcome *o = fold_ask(w, 3, &query);
    fold_run(w, 7 * SECOND);
    assert_int_equal(o->dones, 0);
    fold_run(w, 2 * SECOND);
    fold_says(o, 100, NULL);
    assert_in_range(o->done_us - o->asked_us, 8 * SECOND, 8 * SECOND + SECOND / 10);
    assert_in_range(fold.messages_out[3], KI_FOLD_PARTS, 12 * KI_FOLD_PARTS); /* it asks whether they live now and then */
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(fold.asked[n], 1);
    world_free(w);
}

static void members_of_serfs_kind_are_silent(void **state)
{
    (void)state;
    struct world *w = fold_pool(30, 12, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true};
    struct outcome *o = fold_ask(w, 5, &query);
    fold_run(w, SECOND);
    fold_says(o, 18, NULL);
    assert_int_equal(o->folded.silent, 12);
    assert_int_equal(o->unable_count, 12);
    assert_int_equal(o->silent_count, 12);
    for (unsigned n = 0; n < 30; n++)
        assert_int_equal(o->silent[n], n >= 18);
    assert_true(o->done_us - o->asked_us <= 20000); /* nobody waits for them */
    static const struct kith_str nodes[] = {TEXT("node-2"), TEXT("node-20")};
    const struct kith_query named = {.name = STR("load"), .nodes = nodes, .node_count = 2, .fold = true};
    o = fold_ask(w, 5, &named);
    fold_run(w, SECOND);
    assert_true(o->dones == 1 && o->folded.members == 2 && o->folded.answers == 1 && o->silent_count == 1 && o->silent[20]);
    world_free(w);
}

/* Who is named and dead is missed; but nobody twice. */
static void the_named_dead_are_silent(void **state)
{
    static const struct kith_str nodes[] = {TEXT("node-2"), TEXT("node-4"), TEXT("node-11"), TEXT("node-4"),
                                            TEXT("node-11"), TEXT("node-2")};
    const struct kith_query query = {.name = STR("load"), .nodes = nodes, .node_count = 6, .fold = true};
    (void)state;
    struct world *w = fold_pool(12, 1, NULL);
    world_crash(w, 4);
    for (unsigned ms = 0; ms < 12; ms++) { /* some know it before others do */
        struct outcome *o = fold_ask(w, ms % 4, &query);
        fold_run(w, 3 * SECOND);
        assert_int_equal(o->folded.members, o->dones ? 3 : 0);
    }
    fold_run(w, 60 * SECOND);
    for (unsigned asker = 0; asker < 3; asker++) {
        struct outcome *o = fold_ask(w, asker, &query);
        fold_run(w, SECOND / 10);
        assert_true(o->dones == 1 && o->folded.members == 3 && o->folded.answers == 1 && o->folded.silent == 2);
        assert_true(o->silent[4] && o->silent[11] && o->silent_count == 2 && o->unable_count == 1);
    }
    world_free(w);
}

/* ---- some are gone ---- */

static bool died;
static unsigned victims[8];

static bool has_lived(unsigned n)
{
    for (unsigned i = 0; died && i < KI_COUNT(victims); i++) {
        if (victims[i] == n)
            return false;
    }
    return true;
}

/* Whoever is asked first dies with the question: those behind it are asked by way of the next. */
static void delegates_die(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        unsigned count = IS_SANITIZED ? 40 : round < 2 ? 60 : 200;
        struct world *w = fold_pool(count, 0, NULL);
        const struct kith_query query = {.name = STR("load"), .fold = true};
        world_chance(w, round + 1, 0);
        struct outcome *o = fold_ask(w, 0, &query);
        const struct ki_folded *f = world_node(w, 0)->messages->folded;
        assert_int_equal(f->duties->branch_count, KI_FOLD_PARTS);
        for (unsigned i = 0; i < KI_COUNT(victims); i++) {
            const struct ki_fold_branch *branch = &f->duties->branches[i];
            struct ki_span name =
                ki_member_name(ki_table_at(&world_node(w, 0)->table, f->duties->targets[branch->first].id));
            victims[i] = fold_node((struct kith_str){(const char *)name.ptr, name.len});
        }
        if (round % 2)
            fold_run(w, 2000); /* they have asked on */
        for (unsigned i = 0; i < KI_COUNT(victims); i += 1 + round % 2)
            world_crash(w, victims[i]);
        for (unsigned i = 1; round % 2 && i < KI_COUNT(victims); i += 2)
            victims[i] = WORLD_NODES; /* not this one */
        died = true;
        fold_run(w, 12 * SECOND);
        unsigned dead = round % 2 ? 4 : 8;
        assert_int_equal(o->dones, 1);
        if (o->folded.silent == dead) { /* else it had answered before it died */
            fold_says(o, count, has_lived);
            assert_int_equal(o->silent_count, dead);
        }
        assert_in_range(o->folded.silent, round % 2 ? 0 : dead, dead);
        assert_int_equal(o->folded.members, count);
        for (unsigned n = 0; n < count; n++)
            assert_true((fold.asked[n] == 1 || !has_lived(n)) && fold.asked[n] <= 1);
        fold_run(w, 20 * SECOND);
        fold_forgotten(w, count);
        world_free(w);
        died = false;
    }
}

/* Half of the pool is dead, and everybody knows: they are not asked for. */
static void the_dead_are_not_missed(void **state)
{
    (void)state;
    struct world *w = fold_pool(30, 0, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true};
    for (unsigned n = 1; n < 30; n += 2)
        world_crash(w, n);
    fold_run(w, 60 * SECOND);
    assert_int_equal(world_alive_seen(w, 0), 15);
    struct outcome *o = fold_ask(w, 0, &query);
    fold_run(w, SECOND);
    fold_says(o, 30, is_even);
    assert_int_equal(o->folded.silent, 0);
    world_free(w);
}

static void the_asker_is_gone(void **state)
{
    (void)state;
    struct world *w = fold_pool(40, 0, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true, .timeout_ms = 10000};
    for (unsigned n = 0; n < 40; n++)
        fold.says[n] = SAYS_NOTHING;
    (void)fold_ask(w, 0, &query);
    fold_run(w, SECOND / 10);
    world_crash(w, 0);
    fold_run(w, 25 * SECOND);
    fold_forgotten(w, 40);
    for (unsigned n = 1; n < 40; n++)
        assert_int_equal(fold.asked[n], 1);
    world_free(w);
}

/* The asker sleeps so long that it is dead for all others, who stop working for it; then it asks again, and hears of all. */
static void the_asker_was_away(void **state)
{
    (void)state;
    struct world *w = fold_pool(30, 0, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true, .timeout_ms = 120000};
    fold.late_us = 70 * SECOND;
    for (unsigned n = 20; n < 30; n++)
        fold.says[n] = SAYS_IT_LATE;
    struct outcome *o = fold_ask(w, 0, &query);
    fold_run(w, SECOND);
    world_pause(w, 0, true);
    fold_run(w, 40 * SECOND);
    assert_int_equal(world_status(w, 1, "node-0"), KITH_STATUS_FAILED);
    world_pause(w, 0, false);
    fold_run(w, 20 * SECOND);
    assert_int_equal(o->dones, 0);
    fold_run(w, 60 * SECOND);
    fold_says(o, 30, NULL);
    assert_int_equal(o->folded.silent, 0);
    for (unsigned n = 0; n < 30; n++)
        assert_int_equal(fold.asked[n], 1);
    world_free(w);
}

/* ---- a bad network ---- */

static void a_third_of_all_datagrams_is_lost(void **state)
{
    unsigned silent = 0, asked = 0;
    (void)state;
    for (unsigned round = 0; round < FEWER(16); round++) {
        unsigned count = round % 4 == 3 ? (IS_SANITIZED ? 60 : 150) : 5 + round * 4;
        struct world *w = fold_pool(count, 0, NULL);
        const struct kith_query query = {.name = STR("load"), .fold = true, .fold_top = 3};
        world_chance(w, 77 + round, 300000);
        for (unsigned i = 0; i < 2; i++) {
            struct outcome *o = fold_ask(w, round % count, &query);
            fold_run(w, 15 * SECOND);
            assert_int_equal(o->dones, 1);
            assert_int_equal(o->folded.members, count);
            assert_int_equal(o->folded.answers, count - o->folded.silent);
            silent += o->folded.silent;
            asked += count;
            if (o->folded.silent == 0)
                fold_says(o, count, NULL);
            for (unsigned n = 0; n < count; n++)
                assert_in_range(fold.asked[n], i, i + 1);
        }
        world_free(w);
    }
    assert_in_range(silent, 0, asked / 500); /* usually nobody */
}

/* ---- several at once ---- */

static void several_at_once(void **state)
{
    (void)state;
    struct world *w = fold_pool(64, 0, third_is_web);
    static const struct kith_tag role = {TEXT("role"), TEXT("web")};
    const struct kith_query query = {.name = STR("load"), .fold = true};
    const struct kith_query web = {.name = STR("load"), .tags = &role, .tag_count = 1, .fold = true, .fold_top = 1};
    struct outcome *outcomes[16];
    for (unsigned i = 0; i < 16; i++)
        outcomes[i] = fold_ask(w, i < 8 ? 7 : i, i % 2 ? &web : &query);
    fold_run(w, SECOND);
    for (unsigned i = 0; i < 16; i++) {
        fold_says(outcomes[i], 64, i % 2 ? every_third : NULL);
        assert_int_equal(outcomes[i]->top_count, i % 2);
    }
    world_free(w);
}

static void cancelled(void **state)
{
    (void)state;
    struct world *w = fold_pool(20, 0, NULL);
    const struct kith_query query = {.name = STR("load"), .fold = true};
    fold.says[4] = SAYS_NOTHING;
    struct outcome *o = fold_ask(w, 0, &query);
    fold_run(w, SECOND / 2);
    assert_int_equal(o->dones, 0);
    assert_int_equal(kith_ask_cancel(world_node(w, 0), world_now(w), o->ticket), 0);
    assert_int_equal(kith_ask_cancel(world_node(w, 0), world_now(w), o->ticket), KITH_ERR_NOT_FOUND);
    fold_run(w, 30 * SECOND);
    assert_true(o->dones == 1 && o->folds == 1 && o->result == KITH_ERR_TIMEOUT);
    fold_forgotten(w, 20);
    world_free(w);
}

/* ---- gauges ---- */

/* Members answer it themselves; who contributes nothing is not missed, be it of Serf's kind. */
static void gauges(void **state)
{
    (void)state;
    struct world *w = fold_pool(34, 4, third_is_web);
    struct kith_schema schema;
    kith_schema_init(&schema);
    for (unsigned n = 0; n < 30; n++) {
        assert_int_equal(kith_aggregate_open(world_node(w, n), world_now(w), STR("load"), &schema), 0);
        if (is_even(n))
            assert_int_equal(kith_aggregate_set(world_node(w, n), world_now(w), STR("load"), fold_value(n)), 0);
    }
    static const struct kith_tag role = {TEXT("role"), TEXT("web")};
    struct kith_query query = {.name = STR("_kith_gauge"), .payload = STR("load"), .fold = true, .fold_top = 3};
    kith_ticket ticket;
    for (unsigned asker = 0; asker < 2; asker++) {
        struct outcome *o = fold_ask(w, asker, &query);
        fold_run(w, SECOND / 10); /* long before all contributions are known everywhere */
        fold_says(o, 30, is_even);
        assert_int_equal(o->folded.members, 15);
        assert_int_equal(o->top_count, 3);
        assert_true(o->result == 0 && o->silent_count == 0);
    }
    query.tags = &role;
    query.tag_count = 1;
    struct outcome *o = fold_ask(w, 3, &query);
    fold_run(w, SECOND / 10);
    assert_true(o->dones == 1 && o->folded.answers == 5 && o->folded.members == 5); /* 0, 6, 12, 18, 24 */
    query.payload = STR("unknown");
    o = fold_ask(w, 3, &query);
    fold_run(w, SECOND / 10);
    assert_true(o->dones == 1 && o->folded.members == 0 && o->result == 0 && o->folded.average <= 0);
    for (unsigned n = 0; n < 30; n++)
        assert_int_equal(fold.asked[n], 0);
    query.fold = false;
    assert_int_equal(kith_ask(world_node(w, 0), world_now(w), &query, &ticket), KITH_ERR_ARG);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_answer),
        cmocka_unit_test(those_whom_the_filters_let_through),
        cmocka_unit_test(nonsense_is_counted),
        cmocka_unit_test(the_silent_are_named),
        cmocka_unit_test(late_ones_are_waited_for),
        cmocka_unit_test(members_of_serfs_kind_are_silent),
        cmocka_unit_test(the_named_dead_are_silent),
        cmocka_unit_test(delegates_die),
        cmocka_unit_test(the_dead_are_not_missed),
        cmocka_unit_test(the_asker_is_gone),
        cmocka_unit_test(the_asker_was_away),
        cmocka_unit_test(a_third_of_all_datagrams_is_lost),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
