/* A program that embeds kith, tested on clusters that do not exist (kith/sim.h).
 *
 *   cc -std=c17 examples/sim_test.c $(pkg-config --cflags --libs kith-sim) -o sim_test && ./sim_test
 *   or with CMake: find_package(kith 0.1 REQUIRED); target_link_libraries(sim_test PRIVATE kith::sim)
 *
 * The program is an elector.  Of the members that a node holds alive, the one with the smallest name leads; but only
 * after it has been so for HOLD_US, so that nobody takes over on a rumour.  Its part is the first half: it knows kith.h
 * alone, is told events and the time, and says when it wants to be woken.
 *
 * The test is the second half.  For many seeds it crashes the leader, cuts the cluster in two, pauses a leader and
 * brings everybody back, on a network that loses datagrams, and asks after each who leads.  What fails, fails again
 * with the same seed: `./sim_test SEED` runs that one and prints the end of its trace.
 *
 * Here an elector per node in an array is enough.  A larger program would keep its whole state there and send messages
 * of its own by kith_sim_message(). */
#include <kith/sim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------- the program ---- */

#define HOLD_US (3 * KITH_SIM_SECOND)

struct elector {
    bool smallest;     /* of all that are alive, our name is the smallest, */
    uint64_t since_us; /* since then */
    bool leads;
};

static bool name_less(struct kith_str a, struct kith_str b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order < 0 || (order == 0 && a.len < b.len);
}

/* Something has changed, or the time asked for has come.  Returns when to look again; KITH_NEVER: at the next event. */
static uint64_t elector_look(struct elector *e, const kith *k, uint64_t now_us)
{
    struct kith_member self, m;
    uint32_t cursor = 0;
    bool was = e->smallest;
    kith_self(k, &self);
    e->smallest = self.status == KITH_STATUS_ALIVE;
    while (kith_next(k, &cursor, &m))
        e->smallest = e->smallest && (m.status != KITH_STATUS_ALIVE || !name_less(m.name, self.name));
    if (e->smallest && !was)
        e->since_us = now_us;
    e->leads = e->smallest && now_us - e->since_us >= HOLD_US;
    return e->smallest && !e->leads ? e->since_us + HOLD_US : KITH_NEVER;
}

/* ---------------------------------------------------------------------------------------------- the test ---- */

#define NODES 5

struct test {
    kith_sim *sim;
    uint64_t seed;
    struct elector electors[NODES];
    uint64_t slowest_us; /* the longest that the cluster needed to agree after a change */
};

static void test_look(struct test *t, uint32_t n)
{
    uint64_t now_us = kith_sim_time(t->sim, n).mono_us; /* the node's own clock */
    uint64_t again_us = elector_look(&t->electors[n], kith_sim_node(t->sim, n), now_us);
    if (again_us != KITH_NEVER)
        kith_sim_wake(t->sim, n, kith_sim_now_us(t->sim) + again_us - now_us, 0);
}

/* A set of nodes by bits: who leads, as far as the nodes that run say. */
static unsigned test_leaders(const struct test *t)
{
    unsigned leaders = 0;
    for (uint32_t n = 0; n < NODES; n++)
        leaders |= (unsigned)(kith_sim_life(t->sim, n) == KITH_SIM_RUNNING && t->electors[n].leads) << n;
    return leaders;
}

static void test_fail(const struct test *t, const char *what, unsigned wanted)
{
    const char *line;
    size_t lines = 0;
    while (kith_sim_trace(t->sim, lines))
        lines++;
    for (size_t i = lines > 30 ? lines - 30 : 0; (line = kith_sim_trace(t->sim, i)); i++)
        fprintf(stderr, "%s\n", line);
    const char *violation = kith_sim_violation(t->sim);
    fprintf(stderr, "seed %llu, %s: leaders %#x, wanted %#x%s%s\n", (unsigned long long)t->seed, what, test_leaders(t),
            wanted, violation ? "; " : "", violation ? violation : "");
    exit(1);
}

/* Within a minute these nodes lead, and no others; and it stays so for ten seconds. */
static void test_expect(struct test *t, const char *what, unsigned wanted)
{
    struct kith_sim_happening h;
    uint64_t start_us = kith_sim_now_us(t->sim), changed_us = start_us, until_us = start_us + 60 * KITH_SIM_SECOND;
    unsigned leaders = test_leaders(t);
    while (kith_sim_step(t->sim, until_us, &h)) {
        if (h.kind != KITH_SIM_MESSAGE)
            test_look(t, h.node);
        if (test_leaders(t) != leaders) {
            leaders = test_leaders(t);
            changed_us = kith_sim_now_us(t->sim);
        }
    }
    if (leaders != wanted || changed_us > until_us - 10 * KITH_SIM_SECOND || kith_sim_violation(t->sim))
        test_fail(t, what, wanted);
    if (changed_us - start_us > t->slowest_us)
        t->slowest_us = changed_us - start_us;
}

static void test_crash(struct test *t, uint32_t n)
{
    kith_sim_crash(t->sim, n, KITH_SIM_HOST);
    t->electors[n] = (struct elector){.leads = false}; /* what the process knew is gone with it */
}

static void test_begin(struct test *t, uint64_t seed, uint32_t trace_lines)
{
    struct kith_sim_config config;
    kith_sim_config_init(&config, seed);
    config.link.latency_max_us = 20 * KITH_SIM_MS;
    config.link.loss_ppm = 20000; /* 2 % */
    config.trace_lines = trace_lines;
    memset(t->electors, 0, sizeof t->electors);
    t->seed = seed;
    if (kith_sim_new(&t->sim, &config) != 0)
        abort();
    for (uint32_t n = 0; n < NODES; n++) {
        struct kith_config node;
        kith_sim_node_config(t->sim, n, KITH_PROFILE_LAN, &node);
        if (kith_sim_add(t->sim, &node, NULL) != 0)
            abort();
        kith_sim_join(t->sim, n, 0);
    }
}

static void test_run(struct test *t, uint64_t seed, uint32_t trace_lines)
{
    test_begin(t, seed, trace_lines);
    test_expect(t, "all are new", 1u << 0);
    test_crash(t, 0);
    test_expect(t, "the leader has crashed", 1u << 1);
    for (uint32_t n = 2; n < NODES; n++)
        kith_sim_side(t->sim, n, 1);
    kith_sim_cut_sides(t->sim, 0, 1, true);
    kith_sim_cut_sides(t->sim, 1, 0, true);
    test_expect(t, "node-1 is cut off", 1u << 1 | 1u << 2); /* there is no quorum here: each side has a leader */
    kith_sim_mend(t->sim);
    test_expect(t, "the cut has healed", 1u << 1);
    kith_sim_pause(t->sim, 1, true);
    test_expect(t, "the leader is stopped", 1u << 2);
    kith_sim_pause(t->sim, 1, false);
    test_expect(t, "it goes on", 1u << 1);
    kith_sim_restart(t->sim, 0, KITH_SIM_KEEP);
    test_expect(t, "the first leader is back", 1u << 0);
    kith_sim_free(t->sim);
}

int main(int argc, char **argv)
{
    struct test t = {.slowest_us = 0};
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, last = argc > 1 ? first : 100;
    for (uint64_t seed = first; seed <= last; seed++)
        test_run(&t, seed, argc > 1 ? 10000 : 0);
    printf("%llu seeds: the right one leads after every change, at the latest %.1f s after it\n",
           (unsigned long long)(last - first + 1), (double)t.slowest_us / 1e6);
    return 0;
}
