/* Aggregates in the swarm: in the plan, while the world lives, and after the healing.
 *
 * A world with aggregates has 2 to 12 nodes, rarely more than one can tell itself.  Its workload opens, sets, clears, closes
 * and watches at random times, until the healing.  When the core agrees again each member gives its last values, often while
 * all links lose 30 % of all datagrams; then there is no loss any more, and within a time every answer of every member, by
 * both engines, must be what all these come to.
 *
 * What those gave who are gone must be gone too. */
#include "sim/swarm.h"

#include "sim/aggregate_work.h"

#define AGGREGATES_STEP_US  (500 * KITH_SIM_MS)
#define AGGREGATES_LOSS_PPM 300000

static uint64_t aggregates_between(struct ki_rng *rng, uint64_t least, uint64_t most)
{
    return least + ki_rng_below(rng, most - least + 1);
}

/* ---- the plan ---- */

void ki_sim_plan_aggregates(struct sim_plan *plan, struct ki_rng *rng)
{
    static const uint32_t gaps_ms[] = {50, 150, 500};
    uint32_t nodes =
        (uint32_t)(ki_rng_below(rng, 10) < 7 ? aggregates_between(rng, 2, 6) : aggregates_between(rng, 7, 12));
    if (ki_rng_below(rng, 50) == 0) /* more than all can be told by one */
        nodes = (uint32_t)aggregates_between(rng, 66, 72);
    plan->aggregates = true;
    plan->bare = false;
    plan->node_count = plan->stores || plan->events ? plan->node_count : nodes;
    plan->give_us = gaps_ms[ki_rng_below(rng, KI_COUNT(gaps_ms))] * (uint32_t)KITH_SIM_MS / (nodes > 12 ? 4 : 1);
    plan->give_loss = ki_rng_below(rng, 2);
    if (!plan->quiet && ki_rng_below(rng, 3) == 0)
        plan->link.loss_ppm = (uint32_t)aggregates_between(rng, 0, AGGREGATES_LOSS_PPM);
    if (!plan->quiet && ki_rng_below(rng, 4) == 0)
        plan->link.duplicate_ppm = (uint32_t)aggregates_between(rng, 0, 200000);
}

/* Lives that end, parts that do not hear of each other, and what was said coming again are what values must bear most. */
void ki_sim_plan_aggregate_faults(struct sim_plan *plan, struct ki_rng *rng)
{
    static const enum sim_fault_kind kinds[] = {SIM_FAULT_CRASH,  SIM_FAULT_CRASH, SIM_FAULT_SPLIT,   SIM_FAULT_ISOLATE,
                                                SIM_FAULT_REPLAY, SIM_FAULT_CLOCK, SIM_FAULT_GARBAGE, SIM_FAULT_PAUSE};
    uint32_t count = (uint32_t)ki_rng_below(rng, 7);
    for (; count > 0 && plan->fault_count < SIM_SWARM_FAULTS; count--) {
        plan->faults[plan->fault_count++] = (struct sim_fault){
            .kind = kinds[ki_rng_below(rng, KI_COUNT(kinds))],
            .at_us = aggregates_between(rng, KITH_SIM_SECOND, plan->heal_us),
            .for_us = ki_rng_below(rng, 6) == 0 ? 0 : aggregates_between(rng, 100, 15000) * KITH_SIM_MS,
            .node = (uint32_t)ki_rng_below(rng, plan->node_count),
            .racks = (uint32_t)ki_rng_below(rng, 1u << SIM_SWARM_RACKS),
            .way = (uint32_t)ki_rng_below(rng, 4),
            .back = (uint32_t)ki_rng_below(rng, 2),
            .luck = ki_rng_next(rng),
            .off = plan->quiet,
        };
    }
}

/* ---- the world ---- */

void ki_sim_swarm_give(struct sim_swarm *w)
{
    struct ki_rng rng;
    ki_rng_init(&rng, w->plan->seed ^ (w->give_step + 1) * 0xaf251af3b0f025b5);
    w->give_step++;
    w->give_us += 1 + ki_rng_below(&rng, 2 * (uint64_t)w->plan->give_us);
    uint32_t node = (uint32_t)ki_rng_below(&rng, w->plan->node_count);
    if (node < kith_sim_count(w->s))
        ki_sim_aggregate_work(w->s, node, ki_rng_next(&rng));
}

/* ---- after the healing ---- */

static void aggregates_last_values(struct sim_swarm *w, uint64_t turn)
{
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++)
        ki_sim_aggregate_work_last(w->s, n, w->plan->seed ^ (turn << 32 | n));
}

/* The first answer that is wrong: who gives it, and to which checker that belongs.  NULL: none. */
static const char *aggregates_wrong(struct sim_swarm *w, uint32_t *node, struct sim_words *words)
{
    for (*node = 0; *node < kith_sim_count(w->s); (*node)++) {
        if (!ki_sim_given_able(w->s, *node))
            continue;
        for (uint32_t a = 0; a < SIM_AGGREGATES; a++) {
            enum kith_engine engine = ki_sim_aggregates[a].engine;
            if (engine != KITH_ENGINE_NETWORK && ki_sim_exact_wrong(w->s, *node, a, words))
                return "fold";
            if (engine != KITH_ENGINE_EXACT && ki_sim_network_wrong(w->s, *node, a, words))
                return "flow";
        }
        if (ki_sim_edges_wrong(w->s, *node, words))
            return "edges";
    }
    *node = KITH_SIM_ALL;
    for (uint32_t a = 0; a < SIM_AGGREGATES; a++) {
        const struct sim_aggregate *about = &ki_sim_aggregates[a];
        if (about->engine != KITH_ENGINE_EXACT && !about->units[1] && ki_sim_mass_wrong(w->s, a, words))
            return "flow";
    }
    return NULL;
}

void ki_sim_swarm_aggregates_wait(struct sim_swarm *w)
{
    struct kith_sim_link link = w->s->cfg.link;
    struct sim_words words;
    uint32_t node;
    link.loss_ppm = w->plan->give_loss ? AGGREGATES_LOSS_PPM : 0;
    kith_sim_default_link(w->s, &link);
    aggregates_last_values(w, 1);
    ki_sim_swarm_pass(w, kith_sim_now_us(w->s) + 2 * KITH_SIM_SECOND);
    aggregates_last_values(w, 2);
    uint64_t start_us = kith_sim_now_us(w->s);
    ki_sim_swarm_pass(w, kith_sim_now_us(w->s) + 2 * KITH_SIM_SECOND);
    link.loss_ppm = 0;
    kith_sim_default_link(w->s, &link);
    uint64_t most_us = SIM_SWARM_AGGREGATES_US * (w->plan->profile == KITH_PROFILE_WAN ? 5 : 1); /* it probes as rarely */
    const char *wrong;
    while (!kith_sim_violation(w->s) && (wrong = aggregates_wrong(w, &node, &words))) {
        if (kith_sim_now_us(w->s) >= start_us + most_us)
            ki_sim_violate(w->s, wrong, node, "%s", words.text);
        ki_sim_swarm_pass(w, kith_sim_now_us(w->s) + AGGREGATES_STEP_US);
    }
    w->folded_us = kith_sim_now_us(w->s) - start_us;
}
