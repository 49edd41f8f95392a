/* Memory fails: the story of one node in a pool of three (join, tags, suspicion, a death, leave) is told again and
 * again, each time with another of its allocations failing, then with all failing for a while.  It must never crash,
 * leak or break an invariant, and once memory is back the pool must agree.
 *
 * Every single allocation is failed; of the longer failures some beginnings (all with KITH_SOAK=1).
 * ctest: TIMEOUT 240 COST 40 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"
#include "oom_sweep.h"
#include "world.h"

#define POOL 3
#define VICTIM 1 /* whose memory fails */

static void oom_run(struct world *w, uint64_t us)
{
    const uint64_t slice_us = LONE_SECOND / 4;
    for (uint64_t done = 0; done < us; done += slice_us) {
        world_run(w, slice_us);
        for (unsigned n = 0; n < POOL; n++)
            lone_check(world_node(w, n));
    }
}

static struct world *oom_pool(struct lone_memory *memory)
{
    struct world *w = world_new();
    for (unsigned n = 0; n < POOL; n++) {
        struct kith_config c;
        world_config(&c, n);
        c.push_pull_interval_ms = 3000;
        c.reconnect_interval_ms = 3000;
        c.probe_interval_ms = 400;
        c.probe_timeout_ms = 150;
        if (n == VICTIM)
            c.memory = lone_hooks(memory);
        world_add(w, n, &c);
    }
    return w;
}

static int oom_tag(struct world *w, unsigned n, const char *value)
{
    kith *k = world_node(w, n);
    int error = kith_begin(k);
    if (error)
        return error;
    error = kith_tag_set(k, lone_str("role"), lone_str(value));
    assert_int_equal(error, 0);
    error = kith_commit(k, world_now(w), NULL);
    kith_abandon(k);
    return error;
}

static bool oom_has_tag(struct world *w, unsigned n, const char *name, const char *value)
{
    struct kith_member m;
    struct kith_tag tag;
    size_t cursor = 0;
    if (kith_find(world_node(w, n), lone_str(name), &m) != 0)
        return false;
    while (kith_tag_next(&m, &cursor, &tag)) {
        if (tag.key.len == 4 && memcmp(tag.key.ptr, "role", 4) == 0)
            return tag.value.len == strlen(value) && memcmp(tag.value.ptr, value, tag.value.len) == 0;
    }
    return false;
}

/* Asks again what was refused for want of memory. */
static void oom_ask(struct world *w, bool *joined, bool *tagged)
{
    int error = *joined ? 0 : world_join(w, VICTIM, 0, NULL);
    assert_true(error == 0 || error == KITH_ERR_NOMEM);
    *joined = error == 0;
    error = *tagged ? 0 : oom_tag(w, VICTIM, "new");
    assert_true(error == 0 || error == KITH_ERR_NOMEM);
    *tagged = error == 0;
}

static bool oom_agreed(struct world *w)
{
    char name[16];
    for (unsigned n = 0; n < POOL; n++) {
        for (unsigned of = 0; of < POOL; of++) {
            snprintf(name, sizeof name, "node-%u", of);
            if (world_status(w, n, name) != KITH_STATUS_ALIVE || !oom_has_tag(w, n, name, of == VICTIM ? "new" : "old"))
                return false;
        }
    }
    return true;
}

/* The victim goes; the others see it gone, as left unless its own words could not be said. */
static void oom_leave(struct world *w)
{
    struct kith_gauges g;
    int error = kith_leave(world_node(w, VICTIM), world_now(w), NULL);
    assert_true(error == 0 || error == KITH_ERR_NOMEM);
    if (error)
        assert_int_equal(kith_leave(world_node(w, VICTIM), world_now(w), NULL), 0);
    oom_run(w, 8 * LONE_SECOND);
    kith_read_gauges(world_node(w, VICTIM), &g);
    assert_true(g.left_pool);
    for (unsigned i = 0; i < 12 && world_status(w, 0, "node-1") == KITH_STATUS_ALIVE; i++)
        oom_run(w, LONE_SECOND); /* it could not say a word: they find out by probing */
    oom_run(w, LONE_SECOND);
    for (unsigned n = 0; n < POOL; n++) {
        enum kith_status status = world_status(w, n, "node-1");
        if (n != VICTIM)
            assert_true(status == KITH_STATUS_LEFT || status == KITH_STATUS_FAILED || status == KITH_STATUS_LEAVING);
    }
}

/* Tells the story with the victim's allocations from `from` to `to` failing (counted from after its birth).  Returns
 * how many there were in all. */
static uint64_t oom_story(uint64_t from, uint64_t to)
{
    struct lone_memory memory = {.fail_from = NEVER_FAILS, .fail_to = NEVER_FAILS};
    struct world *w = oom_pool(&memory);
    bool joined = false, tagged = false;
    memory.calls = 0;
    memory.fail_from = from;
    memory.fail_to = to;
    assert_int_equal(world_join(w, 2, 0, NULL), 0);
    oom_ask(w, &joined, &tagged);
    oom_run(w, 2 * LONE_SECOND);
    assert_int_equal(oom_tag(w, 0, "old"), 0);
    assert_int_equal(oom_tag(w, 2, "old"), 0);
    world_pause(w, 2, true); /* suspected, in part by the victim */
    oom_run(w, 2 * LONE_SECOND);
    world_pause(w, 2, false);
    oom_run(w, 2 * LONE_SECOND);
    world_pause(w, 2, true); /* and now held dead */
    oom_run(w, 6 * LONE_SECOND);
    world_pause(w, 2, false);
    oom_run(w, 2 * LONE_SECOND);
    if (memory.failed > 0 && to != from + 1) { /* memory is back */
        memory.fail_from = memory.fail_to = NEVER_FAILS;
    }
    oom_ask(w, &joined, &tagged); /* asks fail once more at most when just this is the one */
    oom_ask(w, &joined, &tagged);
    assert_true(joined && tagged);
    if (!oom_agreed(w) && world_status(w, VICTIM, "node-0") == KITH_STATUS_NONE) /* its join ended in an error */
        assert_int_equal(world_join(w, VICTIM, 0, NULL), 0);
    for (unsigned i = 0; i < 15 && !oom_agreed(w); i++)
        oom_run(w, LONE_SECOND);
    if (!oom_agreed(w))
        fail_msg("the pool does not agree when allocations %llu to %llu failed", (unsigned long long)from,
                 (unsigned long long)to);
    oom_leave(w);
    uint64_t calls = memory.calls;
    assert_true((from == NEVER_FAILS) == (memory.failed == 0)); /* the failure was met */
    world_free(w);
    if (memory.blocks != 0)
        fail_msg("%lld blocks leaked when allocations %llu to %llu failed", (long long)memory.blocks,
                 (unsigned long long)from, (unsigned long long)to);
    return calls;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    oom_sweep(oom_story, STEP(5), 1);
}

static void memory_is_gone_for_a_while(void **state)
{
    (void)state;
    oom_sweep(oom_story, 7, 40);
    oom_sweep(oom_story, 28, NEVER_FAILS); /* until the middle of the story */
}

/* One message, refused for want of memory, leaves the view as it was; told again when memory is back, it counts. */
static void a_refused_message_changes_no_view(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (unsigned what = 0; what < 6; what++) {
        uint64_t failed = 1;
        for (uint64_t n = 0; failed > 0; n++) {
            struct lone_memory memory = {.fail_from = NEVER_FAILS, .fail_to = NEVER_FAILS};
            struct kith_config c;
            lone_config(&c);
            c.memory = lone_hooks(&memory);
            kith *k = lone_new(&c);
            struct kith_addr from = lone_addr(2, 7946);
            uint8_t buf[256];
            lone_meet(k, lone_time(LONE_SECOND), "a", 2);
            size_t len = lone_accuse(buf, sizeof buf, what > 1, "a", what == 2 ? "a" : "b", 5);
            if (what >= 3) /* it is suspect, dead or left before */
                LONE_CHECK(kith_datagram(k, lone_time(LONE_SECOND), &from, buf,
                                         lone_accuse(buf, sizeof buf, what > 3, "a", what == 4 ? "a" : "b", 5)) == 0);
            if (what == 1 || what >= 3)
                len = lone_alive(buf, sizeof buf, what == 1 ? "new" : "a", what == 1 ? 9 : 2, 6);
            memory.fail_from = memory.calls + n;
            memory.fail_to = memory.fail_from + 1;
            uint64_t before = lone_view(k);
            int error = kith_datagram(k, lone_time(2 * LONE_SECOND), &from, buf, len);
            failed = memory.failed;
            refused += error == KITH_ERR_NOMEM;
            assert_true(error == 0 || error == KITH_ERR_NOMEM);
            if (error && lone_view(k) != before)
                fail_msg("message %u half applied when allocation %llu failed", what, (unsigned long long)n);
            lone_check(k);
            if (error)
                assert_int_equal(kith_datagram(k, lone_time(2 * LONE_SECOND), &from, buf, len), 0);
            assert_true(lone_view(k) != before);
            kith_free(k);
            assert_int_equal(memory.blocks, 0);
        }
    }
    assert_true(refused > 8); /* a member is in its place already: less can fail */
}

/* Birth: every allocation of kith_new() and kith_ready() in turn. */
static void birth_fails_cleanly(void **state)
{
    (void)state;
    static const struct kith_key keys[2] = {{.bytes = {1}, .len = 16}, {.bytes = {2}, .len = 32}};
    const struct kith_tag tags[1] = {{.key = {"role", 4}, .value = {"web", 3}}};
    unsigned failures = 0, born = 0;
    for (uint64_t n = 0; born == 0; n++) {
        struct lone_memory memory = {.fail_from = n, .fail_to = n + 1};
        struct kith_config c;
        lone_config(&c);
        c.keys = keys;
        c.key_count = 2;
        c.tags = tags;
        c.tag_count = 1;
        c.label = lone_str("pool");
        c.memory = lone_hooks(&memory);
        kith *k = NULL;
        int error = kith_new(&k, &c);
        assert_true(error == 0 || (error == KITH_ERR_NOMEM && !k));
        failures += error != 0;
        if (!error) {
            error = kith_ready(k, lone_time(LONE_SECOND));
            assert_true(error == 0 || error == KITH_ERR_NOMEM);
            failures += error != 0;
            if (error)
                assert_int_equal(kith_ready(k, lone_time(LONE_SECOND)), 0); /* memory is back */
            lone_check(k);
        }
        born += memory.failed == 0;
        kith_free(k);
        assert_int_equal(memory.blocks, 0);
        assert_true(n < 200);
    }
    assert_true(failures > 8);
}

/* memory_max does what failing hooks do: an instance that has too little says so and stays as it is. */
static void too_little_is_told(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    unsigned refused = 0;
    for (uint64_t max = 1000; max < 200000; max += 997) {
        c.memory_max = max;
        kith *k;
        int error = kith_new(&k, &c);
        assert_true(error == 0 || error == KITH_ERR_NOMEM);
        if (error == 0) {
            error = kith_ready(k, lone_time(LONE_SECOND));
            assert_true(error == 0 || error == KITH_ERR_NOMEM);
        }
        refused += error != 0;
        struct kith_gauges g = {0};
        if (k && error == 0) {
            kith_read_gauges(k, &g);
            lone_check(k);
        }
        assert_true(g.memory_bytes <= max);
        kith_free(k);
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(birth_fails_cleanly),
        cmocka_unit_test(too_little_is_told),
        cmocka_unit_test(a_refused_message_changes_no_view),
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
