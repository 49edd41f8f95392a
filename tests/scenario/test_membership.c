/* Stories of a small pool: each runs the whole core in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define SECOND 1000000ull

static struct world *story_pool(unsigned count, void (*adjust)(struct kith_config *))
{
    struct world *w = world_new();
    for (unsigned n = 0; n < count; n++) {
        struct kith_config c;
        world_config(&c, n);
        if (adjust)
            adjust(&c);
        world_add(w, n, &c);
        if (n > 0)
            assert_int_equal(world_join(w, n, 0, NULL), 0);
    }
    world_run(w, 5 * SECOND);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(world_alive_seen(w, n), count);
    return w;
}

static uint64_t story_counter(struct world *w, unsigned n, const char *name)
{
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), name) == 0)
            return kith_counter(world_node(w, n), i);
    }
    fail_msg("no counter %s", name);
    return 0;
}

static bool story_saw(struct world *w, unsigned n, const char *name, uint32_t changed)
{
    const struct world_event *e;
    size_t count = world_events(w, &e);
    for (size_t i = 0; i < count; i++) {
        if (e[i].node == n && e[i].kind == KITH_EVENT_MEMBER && (e[i].changed & changed) &&
            strcmp(e[i].name, name) == 0)
            return true;
    }
    return false;
}

/* The event that ended an ask; the test fails when there is none. */
static struct world_event story_done(struct world *w, kith_ticket ticket, unsigned n)
{
    const struct world_event *e;
    size_t count = world_events(w, &e);
    for (size_t i = 0; i < count; i++) {
        if (e[i].node == n && e[i].kind == KITH_EVENT_DONE && e[i].ticket == ticket)
            return e[i];
    }
    fail_msg("the ask of node-%u has not ended", n);
    return (struct world_event){.node = n};
}

static void join_tells_everyone(void **state)
{
    (void)state;
    struct world *w = story_pool(5, NULL);
    for (unsigned n = 0; n < 5; n++)
        assert_true(story_saw(w, n, "node-4", KITH_CHANGED_JOINED));
    world_free(w);
}

static void leaves_do_not_creep_and_joins_outrank_them(void **state)
{
    (void)state;
    struct world *w = story_pool(4, NULL);
    assert_int_equal(kith_leave(world_node(w, 2), world_now(w), NULL), 0);
    world_run(w, 8 * SECOND);
    struct kith_member left, later, back;
    struct kith_gauges g;
    assert_int_equal(kith_find(world_node(w, 0), (struct kith_str){"node-2", 6}, &left), 0);
    uint64_t leave_ltime = left.status_ltime;
    world_run(w, 300 * SECOND); /* many full exchanges */
    assert_int_equal(kith_find(world_node(w, 0), (struct kith_str){"node-2", 6}, &later), 0);
    assert_int_equal(later.status_ltime, leave_ltime);
    kith_read_gauges(world_node(w, 0), &g);
    world_crash(w, 2);
    struct kith_config c;
    world_config(&c, 2);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    world_run(w, 5 * SECOND);
    kith_self(world_node(w, 2), &back);
    assert_true(back.status_ltime >= g.member_ltime + 16);
    world_free(w);
}

static void join_ends_with_its_count(void **state)
{
    (void)state;
    struct world *w = story_pool(2, NULL);
    struct kith_config c;
    world_config(&c, 2);
    world_add(w, 2, &c);
    struct kith_addr addrs[] = {world_addr(0), world_addr(9), world_addr(1)};
    kith_ticket ticket;
    assert_int_equal(kith_join(world_node(w, 2), world_now(w), addrs, 3, false, &ticket), 0);
    world_run(w, 15 * SECOND);
    struct world_event done = story_done(w, ticket, 2);
    assert_int_equal(done.result, 0);
    assert_int_equal(done.count, 2);
    assert_int_equal(kith_join(world_node(w, 2), world_now(w), &addrs[1], 1, false, &ticket), 0);
    world_run(w, 15 * SECOND);
    done = story_done(w, ticket, 2);
    assert_int_equal(done.result, KITH_ERR_UNREACHABLE);
    world_free(w);
}

static void quiet_pool_suspects_nobody(void **state)
{
    (void)state;
    struct world *w = story_pool(6, NULL);
    world_run(w, 120 * SECOND);
    for (unsigned n = 0; n < 6; n++) {
        assert_int_equal(story_counter(w, n, "suspicions"), 0);
        assert_int_equal(story_counter(w, n, "malformed"), 0);
        assert_true(story_counter(w, n, "acks_in") > 100);
    }
    world_free(w);
}

static void crash_is_noticed_and_health_stays(void **state)
{
    (void)state;
    struct world *w = story_pool(5, NULL);
    world_crash(w, 3);
    world_run(w, 20 * SECOND);
    for (unsigned n = 0; n < 5; n++) {
        if (n == 3)
            continue;
        struct kith_gauges g;
        kith_read_gauges(world_node(w, n), &g);
        assert_int_equal(world_status(w, n, "node-3"), KITH_STATUS_FAILED);
        assert_true(story_saw(w, n, "node-3", KITH_CHANGED_FAILED));
        assert_int_equal(g.health_score, 0); /* helpers said nack in time: the prober is not to blame */
    }
    world_free(w);
}

static void restart_outranks_its_death_notice(void **state)
{
    (void)state;
    struct world *w = story_pool(5, NULL);
    world_crash(w, 3);
    world_run(w, 20 * SECOND);
    struct kith_config c;
    world_config(&c, 3);
    world_add(w, 3, &c);
    assert_int_equal(world_join(w, 3, 0, NULL), 0);
    world_run(w, 2 * SECOND);
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(world_status(w, n, "node-3"), KITH_STATUS_ALIVE);
    world_free(w);
}

static void leave_is_graceful(void **state)
{
    (void)state;
    struct world *w = story_pool(5, NULL);
    kith_ticket ticket;
    assert_int_equal(kith_leave(world_node(w, 2), world_now(w), &ticket), 0);
    world_run(w, 8 * SECOND);
    struct world_event done = story_done(w, ticket, 2);
    assert_int_equal(done.result, 0);
    for (unsigned n = 0; n < 5; n++) {
        if (n == 2)
            continue;
        assert_int_equal(world_status(w, n, "node-2"), KITH_STATUS_LEFT);
        assert_false(story_saw(w, n, "node-2", KITH_CHANGED_FAILED));
    }
    struct kith_addr addr = world_addr(0);
    assert_int_equal(kith_join(world_node(w, 2), world_now(w), &addr, 1, false, NULL), KITH_ERR_STATE);
    world_free(w);
}

static void leave_alone_is_quick(void **state)
{
    (void)state;
    struct world *w = story_pool(1, NULL);
    kith_ticket ticket;
    assert_int_equal(kith_leave(world_node(w, 0), world_now(w), &ticket), 0);
    world_run(w, SECOND / 100);
    assert_int_equal(story_done(w, ticket, 0).result, 0);
    assert_true(kith_deadline(world_node(w, 0)) == KITH_NEVER);
    world_free(w);
}

static void last_ones_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct world *w = story_pool(2, NULL);
    kith_ticket tickets[2];
    for (unsigned n = 0; n < 2; n++)
        assert_int_equal(kith_leave(world_node(w, n), world_now(w), &tickets[n]), 0);
    world_run(w, 4 * SECOND);
    for (unsigned n = 0; n < 2; n++)
        assert_int_equal(story_done(w, tickets[n], n).result, 0);
    world_free(w);
}

static void force_leave_and_prune(void **state)
{
    (void)state;
    struct world *w = story_pool(4, NULL);
    world_crash(w, 3);
    world_run(w, 20 * SECOND);
    struct kith_str name = {"node-3", 6};
    kith_ticket ticket;
    assert_int_equal(kith_force_leave(world_node(w, 0), world_now(w), name, false, &ticket), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(story_done(w, ticket, 0).result, 0);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(world_status(w, n, "node-3"), KITH_STATUS_LEFT);
    assert_int_equal(kith_force_leave(world_node(w, 1), world_now(w), name, true, NULL), 0);
    world_run(w, 3 * SECOND);
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(world_status(w, n, "node-3"), KITH_STATUS_NONE);
        assert_true(story_saw(w, n, "node-3", KITH_CHANGED_REAPED));
    }
    struct kith_str stranger = {"nobody", 6};
    assert_int_equal(kith_force_leave(world_node(w, 1), world_now(w), stranger, true, NULL), KITH_ERR_NOT_FOUND);
    world_free(w);
}

static void story_local(struct kith_config *c)
{
    const struct kith_config lan = *c;
    kith_config_init(c, KITH_PROFILE_LOCAL);
    c->name = lan.name;
    c->addr = lan.addr;
}

static void news_is_told_often_enough(void **state)
{
    (void)state;
    struct world *w = story_pool(6, story_local);
    world_run(w, 5 * SECOND);
    uint64_t before = story_counter(w, 1, "news_out");
    assert_int_equal(kith_begin(world_node(w, 1)), 0);
    assert_int_equal(kith_tag_set(world_node(w, 1), (struct kith_str){"a", 1}, (struct kith_str){"1", 1}), 0);
    assert_int_equal(kith_commit(world_node(w, 1), world_now(w), NULL), 0);
    world_run(w, 3 * SECOND);
    assert_true(story_counter(w, 1, "news_out") - before >= 4); /* 2 by the formula */
    world_free(w);
}

static void living_member_refutes_force_leave(void **state)
{
    (void)state;
    struct world *w = story_pool(4, NULL);
    struct kith_str name = {"node-3", 6};
    assert_int_equal(kith_force_leave(world_node(w, 0), world_now(w), name, true, NULL), 0);
    world_run(w, 5 * SECOND);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(world_status(w, n, "node-3"), KITH_STATUS_ALIVE);
    world_free(w);
}

static void tags_travel_as_one(void **state)
{
    (void)state;
    struct world *w = story_pool(4, NULL);
    kith *k = world_node(w, 1);
    kith_ticket ticket;
    assert_int_equal(kith_tag_set(k, (struct kith_str){"a", 1}, (struct kith_str){"1", 1}), KITH_ERR_STATE);
    assert_int_equal(kith_begin(k), 0);
    assert_int_equal(kith_begin(k), KITH_ERR_STATE);
    assert_int_equal(kith_tag_set(k, (struct kith_str){"zone", 4}, (struct kith_str){"eu", 2}), 0);
    assert_int_equal(kith_tag_set(k, (struct kith_str){"a", 1}, (struct kith_str){"1", 1}), 0);
    assert_int_equal(kith_tag_set(k, (struct kith_str){"_kith", 5}, (struct kith_str){"9", 1}), KITH_ERR_ARG);
    assert_int_equal(kith_tag_delete(k, (struct kith_str){"none", 4}), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_commit(k, world_now(w), &ticket), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(story_done(w, ticket, 1).result, 0);
    for (unsigned n = 0; n < 4; n++) {
        struct kith_member m;
        struct kith_tag tag;
        size_t cursor = 0, count = 0;
        static const char *const want[] = {"_kith", "a", "zone"};
        assert_int_equal(kith_find(world_node(w, n), (struct kith_str){"node-1", 6}, &m), 0);
        for (; kith_tag_next(&m, &cursor, &tag); count++)
            assert_memory_equal(tag.key.ptr, want[count], tag.key.len);
        assert_int_equal(count, 3);
        assert_true(story_saw(w, n, "node-1", KITH_CHANGED_TAGS));
    }
    char big[512];
    memset(big, 'x', sizeof big);
    assert_int_equal(kith_begin(k), 0);
    assert_int_equal(kith_tag_set(k, (struct kith_str){"big", 3}, (struct kith_str){big, sizeof big}), KITH_ERR_ARG);
    kith_abandon(k);
    world_free(w);
}

static void indirect_ack_saves_from_suspicion(void **state)
{
    (void)state;
    struct world *w = story_pool(4, NULL);
    world_cut(w, 0, 1, true);
    world_run(w, 60 * SECOND);
    assert_true(story_counter(w, 0, "indirect_out") > 0);
    assert_int_equal(story_counter(w, 0, "suspicions") + story_counter(w, 1, "suspicions"), 0);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(world_alive_seen(w, n), 4);
    world_free(w);
}

static void partition_heals_by_itself(void **state)
{
    (void)state;
    struct world *w = story_pool(8, NULL);
    for (unsigned a = 0; a < 4; a++) {
        for (unsigned b = 4; b < 8; b++)
            world_cut(w, a, b, true);
    }
    world_run(w, 90 * SECOND);
    assert_int_equal(world_alive_seen(w, 0), 4);
    assert_int_equal(world_alive_seen(w, 7), 4);
    for (unsigned a = 0; a < 4; a++) {
        for (unsigned b = 4; b < 8; b++)
            world_cut(w, a, b, false);
    }
    world_run(w, 40 * SECOND);
    for (unsigned n = 0; n < 8; n++)
        assert_int_equal(world_alive_seen(w, n), 8);
    world_free(w);
}

static void paused_node_accuses_nobody(void **state)
{
    (void)state;
    struct world *w = story_pool(5, NULL);
    world_pause(w, 2, true);
    world_run(w, 20 * SECOND);
    world_pause(w, 2, false);
    world_run(w, 10 * SECOND);
    assert_true(story_counter(w, 2, "pauses") > 0);
    assert_int_equal(story_counter(w, 2, "deaths_declared"), 0);
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(world_alive_seen(w, n), 5);
    world_free(w);
}

static const struct kith_key story_keys[] = {
    {.bytes = {1, 2, 3}, .len = 16}, {.bytes = {4, 5, 6}, .len = 24}, {.bytes = {7, 8, 9}, .len = 32}};

static void story_seal(struct kith_config *c)
{
    c->keys = &story_keys[2];
    c->key_count = 1;
    c->label = (struct kith_str){"blue", 4};
}

static void story_old(struct kith_config *c)
{
    c->protocol = 1; /* pads inside the seal */
    c->keys = &story_keys[0];
    c->key_count = 1;
    c->compress = false;
}

static void story_bare(struct kith_config *c)
{
    c->delegate_min = c->delegate_max = c->delegate_cur = 0;
}

static void sealed_pools_work(void **state)
{
    (void)state;
    void (*const kinds[])(struct kith_config *) = {story_seal, story_old};
    for (unsigned i = 0; i < 2; i++) {
        struct world *w = story_pool(4, kinds[i]);
        world_run(w, 40 * SECOND);
        for (unsigned n = 0; n < 4; n++) {
            assert_int_equal(story_counter(w, n, "auth_failed"), 0);
            assert_int_equal(story_counter(w, n, "suspicions"), 0);
        }
        world_free(w);
    }
}

static void labels_and_keys_keep_pools_apart(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        unsigned key;
        const char *counter;
    } others[] = {{"red", 2, "label_mismatch"}, {"", 2, "label_mismatch"}, {"blue", 0, "auth_failed"}};
    for (unsigned i = 0; i < 3; i++) {
        struct world *w = story_pool(2, story_seal);
        struct kith_config c;
        kith_ticket ticket;
        world_config(&c, 2);
        c.label = (struct kith_str){others[i].label, strlen(others[i].label)};
        c.keys = &story_keys[others[i].key];
        c.key_count = 1;
        world_add(w, 2, &c);
        assert_int_equal(world_join(w, 2, 0, &ticket), 0);
        world_run(w, 15 * SECOND);
        struct world_event done = story_done(w, ticket, 2);
        assert_int_not_equal(done.result, 0);
        assert_true(story_counter(w, 0, others[i].counter) > 0);
        assert_int_equal(world_alive_seen(w, 0), 2);
        assert_int_equal(world_alive_seen(w, 2), 1);
        world_free(w);
    }
}

static void bare_pools_tell_leaving_from_failing(void **state)
{
    (void)state;
    struct world *w = story_pool(4, story_bare);
    assert_int_equal(kith_leave(world_node(w, 1), world_now(w), NULL), 0);
    world_crash(w, 2);
    world_run(w, 20 * SECOND);
    assert_int_equal(world_status(w, 0, "node-1"), KITH_STATUS_LEFT);
    assert_int_equal(world_status(w, 0, "node-2"), KITH_STATUS_FAILED);
    world_free(w);
}

static void versions_that_do_not_overlap_do_not_mix(void **state)
{
    (void)state;
    struct world *w = story_pool(2, NULL);
    struct kith_config c;
    kith_ticket ticket;
    world_config(&c, 2);
    story_bare(&c);
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 0, &ticket), 0);
    world_run(w, 5 * SECOND);
    struct world_event done = story_done(w, ticket, 2);
    assert_int_equal(done.result, KITH_ERR_VERSION);
    assert_int_equal(world_alive_seen(w, 2), 1);
    world_free(w);
}

static void conflicting_name_is_told(void **state)
{
    (void)state;
    struct world *w = story_pool(2, NULL);
    struct kith_config c;
    world_config(&c, 2);
    c.name = (struct kith_str){"node-1", 6};
    world_add(w, 2, &c);
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    world_run(w, 5 * SECOND);
    assert_true(story_counter(w, 0, "conflicts") > 0);
    struct kith_member m;
    assert_int_equal(kith_find(world_node(w, 0), (struct kith_str){"node-1", 6}, &m), 0);
    assert_int_equal(m.addr.ip[3], 2); /* the first holder keeps it */
    world_free(w);
}

static bool story_lost_name(struct world *w, unsigned n)
{
    const struct world_event *e;
    size_t count = world_events(w, &e);
    for (size_t i = 0; i < count; i++) {
        if (e[i].node == n && e[i].kind == KITH_EVENT_NAME_LOST)
            return true;
    }
    return false;
}

static void vote_settles_who_holds_a_name(void **state)
{
    (void)state;
    struct world *w = story_pool(5, NULL);
    struct kith_config c;
    world_config(&c, 5);
    c.name = (struct kith_str){"node-1", 6};
    world_add(w, 5, &c);
    assert_int_equal(world_join(w, 5, 0, NULL), 0);
    world_run(w, 25 * SECOND);
    assert_true(story_counter(w, 5, "votes") >= 3); /* nobody answers it: three silent ones */
    assert_true(story_lost_name(w, 5));
    assert_false(story_lost_name(w, 1));
    world_free(w);
}

static void views_are_exported_and_restored(void **state)
{
    (void)state;
    struct world *w = story_pool(6, NULL);
    struct kith_member view[8];
    size_t count = kith_members(world_node(w, 0), view, 8);
    assert_int_equal(count, 6);
    struct kith_config c;
    world_config(&c, 6);
    world_add(w, 6, &c);
    assert_int_equal(kith_import_members(world_node(w, 6), world_now(w), view, count), 0);
    assert_int_equal(world_alive_seen(w, 6), 7);
    world_run(w, 40 * SECOND);
    for (unsigned n = 0; n < 7; n++)
        assert_int_equal(world_alive_seen(w, n), 7);
    world_free(w);
}

static void big_pool_exchanges_in_slices(void **state)
{
    (void)state;
    struct world *w = story_pool(2, NULL);
    struct kith_config c;
    world_config(&c, 2);
    world_add(w, 2, &c);
    for (unsigned i = 0; i < 5000; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "ghost-%u", i);
        struct kith_member m = {.name = {name, (size_t)len},
                                .addr = {.ip = {10, 9, (uint8_t)(i >> 8), (uint8_t)i}, .ip_len = 4, .port = 1},
                                .status = KITH_STATUS_LEFT,
                                .state = KITH_STATE_LEFT,
                                .incarnation = 7,
                                .versions = {1, 5, 2, 2, 5, 5}};
        assert_int_equal(kith_import_members(world_node(w, 0), world_now(w), &m, 1), 0);
    }
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    world_run(w, 5 * SECOND);
    assert_int_equal(world_alive_seen(w, 2), 3);
    assert_true(story_counter(w, 0, "slices") > 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_tells_everyone),
        cmocka_unit_test(leaves_do_not_creep_and_joins_outrank_them),
        cmocka_unit_test(join_ends_with_its_count),
        cmocka_unit_test(quiet_pool_suspects_nobody),
        cmocka_unit_test(crash_is_noticed_and_health_stays),
        cmocka_unit_test(restart_outranks_its_death_notice),
        cmocka_unit_test(leave_is_graceful),
        cmocka_unit_test(leave_alone_is_quick),
        cmocka_unit_test(last_ones_do_not_wait_for_each_other),
        cmocka_unit_test(force_leave_and_prune),
        cmocka_unit_test(news_is_told_often_enough),
        cmocka_unit_test(living_member_refutes_force_leave),
        cmocka_unit_test(tags_travel_as_one),
        cmocka_unit_test(indirect_ack_saves_from_suspicion),
        cmocka_unit_test(partition_heals_by_itself),
        cmocka_unit_test(paused_node_accuses_nobody),
        cmocka_unit_test(sealed_pools_work),
        cmocka_unit_test(labels_and_keys_keep_pools_apart),
        cmocka_unit_test(bare_pools_tell_leaving_from_failing),
        cmocka_unit_test(versions_that_do_not_overlap_do_not_mix),
        cmocka_unit_test(conflicting_name_is_told),
        cmocka_unit_test(vote_settles_who_holds_a_name),
        cmocka_unit_test(views_are_exported_and_restored),
        cmocka_unit_test(big_pool_exchanges_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
