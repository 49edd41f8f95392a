/* Aggregates that are computed in the network, against a plain fold of the truth: pools of many sizes, what changes in them,
 * and a network that loses, doubles and parts.
 * ctest: TIMEOUT 300 COST 60 */
#include "network_pool.h"

static void pools_of_many_sizes(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 3, 4, 7, 8, 30, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct world *w = networked(sizes[i], NULL);
        converges_within(w, 30);
        world_run(w, 40 * TICK);
        assert_true(all_right(w, 1e-9));
        mass_is_conserved(w);
        for (unsigned n = 0; n < sizes[i]; n++) {
            struct kith_aggregate_answer a = network_answer(w, n);
            assert_true(a.engine == NETWORK && a.coverage_ppm == 1000000 && near(a.effective_n, sizes[i], 0, 0));
            assert_true(a.error <= 1e-6 && a.age_us > 19 * SECOND && a.conflicts == 0);
        }
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_of_many_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
