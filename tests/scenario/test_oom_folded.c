/* Memory fails at one of twelve while it asks folded queries, is asked for itself, and for others: each of its allocations
 * in turn, then many in a row.  Every query ends once and is consistent; what is refused is asked again; in the end all
 * answer again, and nothing leaks.
 * ctest: TIMEOUT 240 COST 40 */
#include "folded_pool.h"
#include "oom_sweep.h"

#define POOL 12
#define VICTIM 1
#define ROUNDS 4

static struct lone_memory memory;

static void failing(struct kith_config *c, unsigned n)
{
    if (n == VICTIM)
        c->memory = lone_hooks(&memory);
}

static struct outcome *ask_until_taken(struct world *w, unsigned asker)
{
    static const struct kith_tag absent = {TEXT("none"), TEXT("^$")};
    const struct kith_query query = {
        .name = STR("load"), .tags = &absent, .tag_count = 1, .timeout_ms = 2000, .fold = true, .fold_top = 2};
    struct outcome *o = &fold.outcomes[fold.outcome_count++];
    *o = (struct outcome){.asker = asker, .asked_us = world_now(w).mono_us};
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < 200 && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, asker));
        error = kith_ask(world_node(w, asker), world_now(w), &query, &o->ticket);
        if (error != 0)
            assert_true(asker == VICTIM && error == KITH_ERR_NOMEM && lone_digest(world_node(w, asker)) == before);
    }
    assert_int_equal(error, 0);
    return o;
}

static void consistent(const struct outcome *o)
{
    assert_int_equal(o->dones, 1);
    if (o->folds == 0) {
        assert_true(o->asker == VICTIM && o->result == KITH_ERR_NOMEM);
        return;
    }
    assert_int_equal(o->folds, 1);
    assert_int_equal(o->folded.members, POOL);
    assert_int_equal(o->folded.answers + o->folded.silent, POOL);
    assert_int_equal(o->result, o->folded.silent > 0 ? KITH_ERR_TIMEOUT : 0);
    assert_in_range(o->folded.silent, 0, 3); /* itself, and those that it would have asked */
}

static uint64_t story(uint64_t from, uint64_t to)
{
    memory = (struct lone_memory){.fail_from = NEVER_FAILS, .fail_to = NEVER_FAILS};
    struct world *w = fold_pool(POOL, 0, failing);
    struct outcome *outcomes[2 * ROUNDS + 2];
    memory.calls = 0;
    memory.fail_from = from;
    memory.fail_to = to;
    for (unsigned i = 0; i < ROUNDS; i++) {
        outcomes[2 * i] = ask_until_taken(w, VICTIM);
        outcomes[2 * i + 1] = ask_until_taken(w, i % 2 ? 0 : 5);
        fold_run(w, 3 * SECOND);
        lone_check(world_node(w, VICTIM));
    }
    uint64_t calls = memory.calls;
    memory.fail_from = memory.fail_to = NEVER_FAILS;
    fold_run(w, 5 * SECOND); /* it may be suspected, and refutes */
    outcomes[2 * ROUNDS] = ask_until_taken(w, VICTIM);
    outcomes[2 * ROUNDS + 1] = ask_until_taken(w, 0);
    fold_run(w, 5 * SECOND);
    for (unsigned i = 0; i < KI_COUNT(outcomes); i++)
        consistent(outcomes[i]);
    fold_says(outcomes[2 * ROUNDS], POOL, NULL);
    fold_says(outcomes[2 * ROUNDS + 1], POOL, NULL);
    fold_forgotten(w, POOL);
    assert_true((from == NEVER_FAILS) == (memory.failed == 0));
    world_free(w);
    assert_int_equal(memory.blocks, 0);
    return calls;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    oom_sweep(story, STEP(9), 1);
}

static void memory_is_gone_for_a_while(void **state)
{
    (void)state;
    oom_sweep(story, IS_SANITIZED ? 57 : 19, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
