/* A smaller plan that still fails: what a person reads instead of forty faults.
 *
 * Faults are left out in halves, quarters and so on down to single ones (delta debugging: Zeller, Hildebrandt 2002),
 * then nodes from the last on, then faults once more, until nothing can go.  A plan fails in the same way when the same
 * checker speaks; times and nodes in its sentence may differ.
 *
 * Invariant: between two runs the plan is one that has failed, so the work can end after any of them. */
#include "sim/swarm.h"

struct shrink {
    struct sim_plan *plan;
    const struct sim_verdict *failure;
    sim_plan_runner run;
    void *arg;
    uint32_t runs;
    bool ended; /* by who runs the plans */
};

static bool shrink_still(struct shrink *sh)
{
    struct sim_verdict verdict;
    sh->ended = sh->ended || !sh->run(sh->arg, sh->plan, &verdict);
    if (sh->ended)
        return false;
    sh->runs++;
    return verdict.failed && verdict.crashed == sh->failure->crashed &&
           strcmp(verdict.checker, sh->failure->checker) == 0;
}

/* Leaves out, if it can, the faults from..to-1 of those that are left.  Returns how many it did leave out. */
static uint32_t shrink_range(struct shrink *sh, uint32_t from, uint32_t to)
{
    bool was[SIM_SWARM_FAULTS];
    uint32_t at = 0, count = 0;
    for (uint32_t i = 0; i < sh->plan->fault_count; i++) {
        struct sim_fault *f = &sh->plan->faults[i];
        was[i] = f->off;
        if (f->off)
            continue;
        f->off = at >= from && at < to;
        count += f->off;
        at++;
    }
    if (count > 0 && shrink_still(sh))
        return count;
    for (uint32_t i = 0; i < sh->plan->fault_count; i++)
        sh->plan->faults[i].off = was[i];
    return 0;
}

static bool shrink_faults(struct shrink *sh)
{
    uint32_t before = ki_sim_plan_faults(sh->plan);
    for (uint32_t chunk = before; chunk > 0; chunk /= 2) {
        uint32_t from = 0;
        while (from < ki_sim_plan_faults(sh->plan)) {
            if (shrink_range(sh, from, from + chunk) == 0)
                from += chunk;
        }
    }
    return ki_sim_plan_faults(sh->plan) < before;
}

static bool shrink_nodes(struct shrink *sh)
{
    uint32_t before = sh->plan->node_count;
    for (uint32_t chunk = before / 2; chunk > 0;) {
        uint32_t count = sh->plan->node_count;
        sh->plan->node_count = count > chunk ? count - chunk : count;
        if (sh->plan->node_count == count || !shrink_still(sh)) {
            sh->plan->node_count = count;
            chunk /= 2;
        }
    }
    return sh->plan->node_count < before;
}

uint32_t ki_sim_plan_shrink(struct sim_plan *plan, const struct sim_verdict *failure, sim_plan_runner run, void *arg)
{
    struct shrink sh = {.plan = plan, .failure = failure, .run = run, .arg = arg};
    bool smaller = true;
    while (smaller && !sh.ended) {
        smaller = shrink_faults(&sh);
        smaller = shrink_nodes(&sh) || smaller;
    }
    return sh.runs;
}
