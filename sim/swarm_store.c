/* Stores in the swarm: in the plan, while the world lives, and after the healing.
 *
 * A world with stores has 2 to 12 nodes that have one, rarely 40, and some that have none.  Its workload writes at random
 * times to random ones, until the healing.  Then the stores of the core must become equal: what they show, their contexts,
 * and their roots, which are what the nodes themselves compare.  Those that are frozen need not be met again: what only
 * they held is lost to the core, and the checkers ask of each node only what it has held itself.
 *
 * Bare worlds have no stores, so a world with stores is not bare. */
#include "sim/swarm.h"

#include "sim/store_work.h"
#include "sim/truth.h"

#define STORE_STEP_US (250 * KITH_SIM_MS)

static uint64_t store_between(struct ki_rng *rng, uint64_t least, uint64_t most)
{
    return least + ki_rng_below(rng, most - least + 1);
}

/* ---- the plan ---- */

void ki_sim_plan_stores(struct sim_plan *plan, struct ki_rng *rng)
{
    static const uint32_t gaps_ms[] = {30, 100, 400}, disks_ms[] = {2, 10, 100, 2000};
    uint32_t stores = (uint32_t)(ki_rng_below(rng, 10) < 7 ? store_between(rng, 2, 6) : store_between(rng, 7, 12));
    if (ki_rng_below(rng, 40) == 0) /* more than one can tell itself */
        stores = (uint32_t)store_between(rng, 33, 40);
    uint32_t others = (uint32_t)(ki_rng_below(rng, 2) ? 0 : store_between(rng, 1, 4));
    bool uniform = ki_rng_below(rng, 2), withhold = ki_rng_below(rng, 2), keep_id = ki_rng_below(rng, 3) == 0;
    plan->stores = true;
    plan->bare = false;
    plan->node_count = stores + others;
    plan->gap_us = gaps_ms[ki_rng_below(rng, KI_COUNT(gaps_ms))] * (uint32_t)KITH_SIM_MS * (stores > 32 ? 8 : 1);
    if (!plan->quiet && ki_rng_below(rng, 5) == 0)
        plan->link.loss_ppm = (uint32_t)store_between(rng, 0, 300000);
    for (uint32_t n = 0; n < SIM_SWARM_NODES; n++) {
        struct sim_plan_node *node = &plan->nodes[n];
        node->store = ki_rng_below(rng, plan->node_count) < stores || n < 2;
        node->stock = node->stock && !node->store;
        node->withhold = uniform ? withhold : ki_rng_below(rng, 2);
        node->keep_id = uniform ? keep_id : ki_rng_below(rng, 3) == 0;
        node->watch = ki_rng_below(rng, 2);
        node->disk_ms = disks_ms[ki_rng_below(rng, KI_COUNT(disks_ms))];
    }
}

/* Crashes and wrong clocks are what a store must bear most. */
void ki_sim_plan_store_faults(struct sim_plan *plan, struct ki_rng *rng)
{
    static const enum sim_fault_kind kinds[] = {SIM_FAULT_DISK,    SIM_FAULT_BACKUP, SIM_FAULT_BACKUP, SIM_FAULT_RESTORE,
                                                SIM_FAULT_RESTORE, SIM_FAULT_CRASH,  SIM_FAULT_CRASH,  SIM_FAULT_CLOCK,
                                                SIM_FAULT_IMPORT,  SIM_FAULT_IMPORT};
    uint32_t count = (uint32_t)ki_rng_below(rng, 9);
    for (; count > 0 && plan->fault_count < SIM_SWARM_FAULTS; count--) {
        plan->faults[plan->fault_count++] = (struct sim_fault){
            .kind = kinds[ki_rng_below(rng, KI_COUNT(kinds))],
            .at_us = store_between(rng, KITH_SIM_SECOND, plan->heal_us),
            .for_us = store_between(rng, 100, 10000) * KITH_SIM_MS,
            .node = (uint32_t)ki_rng_below(rng, plan->node_count),
            .other = (uint32_t)ki_rng_below(rng, plan->node_count),
            .way = (uint32_t)ki_rng_below(rng, 4),
            .back = (uint32_t)ki_rng_below(rng, 4) == 0,
            .luck = ki_rng_next(rng),
            .off = plan->quiet,
        };
    }
}

/* ---- the world ---- */

bool ki_sim_swarm_has_store(const struct sim_swarm *w, uint32_t node)
{
    return w->plan->stores && w->plan->nodes[node].store;
}

void ki_sim_swarm_store_config(const struct sim_swarm *w, uint32_t node, struct kith_store_config *out)
{
    kith_store_config_init(out);
    out->withhold = w->plan->nodes[node].withhold;
    out->keep_id = w->plan->nodes[node].keep_id;
    out->watch = w->plan->nodes[node].watch;
}

void ki_sim_swarm_disk(struct sim_swarm *w, uint32_t node, bool full)
{
    const struct kith_sim_disk disk = {
        .delay_min_us = 200, .delay_max_us = w->plan->nodes[node].disk_ms * (uint32_t)KITH_SIM_MS, .full = full};
    kith_sim_disk(w->s, node, &disk);
}

/* Takes in what another shows now, or its backup; or nothing, if there is none. */
void ki_sim_swarm_import(struct sim_swarm *w, const struct sim_fault *f)
{
    struct sim_truth *t = ki_sim_truth(w->s);
    uint32_t from = f->other, to = f->node;
    bool live = f->luck & 1;
    if (from >= kith_sim_count(w->s) || !ki_sim_swarm_has_store(w, from) || !ki_sim_swarm_has_store(w, to) ||
        !ki_sim_swarm_runs(w, to) || (live && !ki_sim_swarm_runs(w, from)))
        return;
    ki_sim_truth_look(w->s, t, to);
    if (live)
        ki_sim_truth_look(w->s, t, from);
    for (size_t i = 0; live && i < t->count; i++) /* an operator carries it over, durable or not */
        t->tokens[i].acked = t->tokens[i].acked || t->shown[i] ||
                             ki_sim_places[t->tokens[i].place].kind == SIM_PLACE_REGISTER;
    if (ki_sim_store_import(w->s, from, to, live))
        ki_sim_truth_look(w->s, t, to);
}

static uint64_t store_luck(const struct sim_swarm *w)
{
    struct ki_rng rng;
    ki_rng_init(&rng, w->plan->seed ^ (w->work_step + 1) * 0x9e3779b97f4a7c15);
    return ki_rng_next(&rng);
}

void ki_sim_swarm_work(struct sim_swarm *w)
{
    struct ki_rng rng;
    ki_rng_init(&rng, store_luck(w));
    w->work_step++;
    w->work_us += 1 + ki_rng_below(&rng, 2 * (uint64_t)w->plan->gap_us);
    uint32_t node = (uint32_t)ki_rng_below(&rng, w->plan->node_count);
    if (node < kith_sim_count(w->s))
        ki_sim_store_work(w->s, node, ki_rng_next(&rng));
}

/* ---- after the healing ---- */

static bool store_runs(const struct sim_swarm *w, uint32_t node)
{
    return ki_sim_swarm_has_store(w, node) && ki_sim_swarm_runs(w, node);
}

static void store_gauges(const struct sim_swarm *w, uint32_t node, struct kith_store_gauges *out)
{
    int error = kith_store_read_gauges(ki_sim_node_at(w->s, node)->k, out);
    KI_ASSERT(error == 0);
}

/* Why two stores are not equal; NULL: they are.  key, of cap bytes, is room for the words. */
static const char *store_differ(const struct sim_swarm *w, uint32_t a, uint32_t b, char *key, size_t cap)
{
    struct kith_store_gauges ga, gb;
    if (ki_sim_contents_differ(ki_sim_node_at(w->s, a)->k, kith_sim_time(w->s, a), ki_sim_node_at(w->s, b)->k,
                               kith_sim_time(w->s, b), key, cap))
        return key;
    store_gauges(w, a, &ga);
    store_gauges(w, b, &gb);
    if (ga.cells != gb.cells)
        return "the number of cells";
    if (ga.runs != gb.runs || ga.replicas != gb.replicas)
        return "the context";
    if (ga.has_root != gb.has_root || memcmp(ga.root, gb.root, sizeof ga.root) != 0)
        return "the root";
    return NULL;
}

/* The first two that are not equal.  False: all are. */
static bool store_unlike(const struct sim_swarm *w, uint32_t *a, uint32_t *b, const char **what, char *key, size_t cap)
{
    uint32_t count = kith_sim_count(w->s);
    *a = count;
    for (*b = 0; *b < count; (*b)++) {
        if (!store_runs(w, *b))
            continue;
        if (*a == count)
            *a = *b;
        else if ((*what = store_differ(w, *a, *b, key, cap)))
            return true;
    }
    return false;
}

void ki_sim_swarm_stores_look(struct sim_swarm *w, uint64_t healed_us)
{
    uint32_t a, b;
    const char *what;
    char key[64];
    bool unlike = store_unlike(w, &a, &b, &what, key, sizeof key);
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++) {
        if (store_runs(w, n))
            (void)kith_sim_node(w->s, n); /* looking ends what has expired: it has something to say */
    }
    if (unlike)
        w->stored_us = KITH_NEVER;
    else if (w->stored_us == KITH_NEVER || w->stored_us == 0)
        w->stored_us = ki_max_u64(kith_sim_now_us(w->s) - healed_us, 1);
}

void ki_sim_swarm_stores_wait(struct sim_swarm *w, uint64_t healed_us)
{
    uint64_t end_us = healed_us + w->plan->agree_us + SIM_SWARM_STORE_US;
    ki_sim_swarm_stores_look(w, healed_us);
    while (w->stored_us == KITH_NEVER && kith_sim_now_us(w->s) < end_us && !kith_sim_violation(w->s)) {
        ki_sim_swarm_pass(w, kith_sim_now_us(w->s) + STORE_STEP_US);
        ki_sim_swarm_stores_look(w, healed_us);
    }
    uint32_t a, b;
    const char *what;
    char key[64];
    if (kith_sim_violation(w->s))
        return;
    if (w->stored_us != KITH_NEVER)
        ki_sim_truth_settle(w->s, ki_sim_truth(w->s));
    else if (store_unlike(w, &a, &b, &what, key, sizeof key))
        ki_sim_violate(w->s, "converge", b, "%.1f s after the healing its store and that of %s differ: %s",
                       (double)(kith_sim_now_us(w->s) - healed_us) / 1e6, ki_sim_name(w->s, a), what);
}
