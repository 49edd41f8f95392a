/* One fault of a plan, begun or ended.
 *
 * A fault does what it can with the world as it finds it: to crash a node that is down is nothing, and so is whatever
 * concerns a node that does not exist (yet, or since the plan was shrunk).  So any subset of a plan is a plan.
 *
 * A node that comes back empty, and one that was never told of anybody, is joined by its operator to whoever runs; if
 * that fails, the healing sees to it. */
#include "sim/swarm.h"

bool ki_sim_swarm_runs(const struct sim_swarm *w, uint32_t node)
{
    return node < kith_sim_count(w->s) && kith_sim_life(w->s, node) == KITH_SIM_RUNNING;
}

void ki_sim_swarm_join(struct sim_swarm *w, uint32_t node, uint32_t to)
{
    if (node != to && ki_sim_swarm_runs(w, node) && to < kith_sim_count(w->s))
        kith_sim_join(w->s, node, to);
}

static uint64_t fault_until_us(const struct sim_swarm *w, const struct sim_fault *f)
{
    uint64_t until_us = kith_sim_now_us(w->s) + (f->for_us ? f->for_us : 5 * KITH_SIM_SECOND);
    return ki_min_u64(until_us, w->plan->heal_us);
}

/* ---- nodes ---- */

static void fault_restart(struct sim_swarm *w, uint32_t node, const struct sim_fault *f)
{
    if (kith_sim_life(w->s, node) != KITH_SIM_DOWN)
        return;
    enum kith_sim_state state = f->kind == SIM_FAULT_RESTORE ? KITH_SIM_BACKUP : f->back ? KITH_SIM_EMPTY : KITH_SIM_KEEP;
    int error = kith_sim_restart(w->s, node, state);
    KI_ASSERT(error == 0); /* its memory has no limit */
    uint32_t count = kith_sim_count(w->s);
    for (uint32_t i = 0; state == KITH_SIM_EMPTY && i < count; i++) {
        uint32_t friend = (uint32_t)((f->luck + i) % count);
        if (friend != node && ki_sim_swarm_runs(w, friend)) {
            ki_sim_swarm_join(w, node, friend);
            return;
        }
    }
}

static enum kith_sim_death fault_death(const struct sim_fault *f)
{
    return f->way & 1 ? KITH_SIM_HOST : KITH_SIM_PROCESS;
}

static void fault_outage(struct sim_swarm *w, const struct sim_fault *f, bool begins)
{
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++) {
        if (!(f->racks >> w->plan->nodes[n].rack & 1))
            continue;
        if (begins)
            kith_sim_crash(w->s, n, fault_death(f));
        else
            fault_restart(w, n, f);
    }
}

#define FAULT_WRONG_S (11 * 3600) /* so no clock is a day ahead of another: beyond that a store refuses its writes */

/* As much of a jump as leaves a clock wrong by hours only. */
static int64_t fault_jump_s(const struct sim_swarm *w, uint32_t node, int64_t jump_s)
{
    int64_t right_us = (int64_t)(w->s->cfg.wall_us + kith_sim_now_us(w->s));
    int64_t wrong_s = ((int64_t)kith_sim_time(w->s, node).wall_us - right_us) / (int64_t)KITH_SIM_SECOND;
    int64_t least_s = -FAULT_WRONG_S - wrong_s, most_s = FAULT_WRONG_S - wrong_s;
    return jump_s < least_s ? least_s : jump_s > most_s ? most_s : jump_s;
}

static void fault_clock(struct sim_swarm *w, const struct sim_fault *f)
{
    struct ki_rng rng;
    ki_rng_init(&rng, f->luck);
    int32_t most_ppm = ki_rng_below(&rng, 4) ? 500 : 50000;
    int32_t drift_ppm = (int32_t)ki_rng_below(&rng, 2 * (uint64_t)most_ppm + 1) - most_ppm;
    int64_t most_s = ki_rng_below(&rng, 2) ? 10 : 100000;
    int64_t jump_s = ki_rng_below(&rng, 2) ? 0 : (int64_t)ki_rng_below(&rng, 2 * (uint64_t)most_s + 1) - most_s;
    if (w->plan->stores)
        jump_s = fault_jump_s(w, f->node, jump_s);
    kith_sim_clock(w->s, f->node, drift_ppm, jump_s * (int64_t)KITH_SIM_SECOND);
}

/* ---- the network ---- */

static void fault_isolate(struct sim_swarm *w, const struct sim_fault *f, bool cut)
{
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++) {
        if (n != f->node && f->way != 2)
            kith_sim_cut(w->s, f->node, n, cut);
        if (n != f->node && f->way != 1)
            kith_sim_cut(w->s, n, f->node, cut);
    }
}

static void fault_split(struct sim_swarm *w, const struct sim_fault *f, bool cut)
{
    for (unsigned a = 0; a < SIM_SWARM_RACKS; a++) {
        for (unsigned b = 0; b < SIM_SWARM_RACKS; b++) {
            if (!(f->racks >> a & 1) || (f->racks >> b & 1))
                continue;
            if (f->way != 2)
                kith_sim_cut_sides(w->s, a, b, cut);
            if (f->way != 1)
                kith_sim_cut_sides(w->s, b, a, cut);
        }
    }
}

/* ---- what operators do ---- */

static void fault_tags(struct sim_swarm *w, const struct sim_fault *f)
{
    kith *k = kith_sim_node(w->s, f->node);
    char value[128];
    memset(value, (int)('a' + f->luck % 26), sizeof value);
    if (kith_begin(k) != 0)
        return;
    int error = kith_tag_set(k, (struct kith_str){"mood", 4}, (struct kith_str){value, f->luck / 26 % sizeof value});
    if (error || kith_commit(k, kith_sim_time(w->s, f->node), NULL) != 0)
        kith_abandon(k);
}

static void fault_force_leave(struct sim_swarm *w, const struct sim_fault *f)
{
    if (f->other >= kith_sim_count(w->s))
        return;
    struct kith_str name = ki_sim_node_at(w->s, f->other)->config.name;
    kith_force_leave(kith_sim_node(w->s, f->node), kith_sim_time(w->s, f->node), name, f->back != 0, NULL);
}

/* ---- all of them ---- */

static void fault_of_node(struct sim_swarm *w, const struct sim_fault *f, bool begins)
{
    bool runs = ki_sim_swarm_runs(w, f->node);
    bool crash = f->kind == SIM_FAULT_CRASH || f->kind == SIM_FAULT_RESTORE;
    if (crash && begins)
        kith_sim_crash(w->s, f->node, fault_death(f));
    else if (crash)
        fault_restart(w, f->node, f);
    else if (f->kind == SIM_FAULT_DISK && ki_sim_swarm_has_store(w, f->node))
        ki_sim_swarm_disk(w, f->node, begins);
    else if (f->kind == SIM_FAULT_BACKUP && begins && ki_sim_swarm_has_store(w, f->node))
        kith_sim_backup(w->s, f->node);
    else if (f->kind == SIM_FAULT_PAUSE)
        kith_sim_pause(w->s, f->node, begins);
    else if (f->kind == SIM_FAULT_LEAVE && begins && runs)
        kith_leave(kith_sim_node(w->s, f->node), kith_sim_time(w->s, f->node), NULL);
    else if (f->kind == SIM_FAULT_LEAVE && !begins) {
        kith_sim_crash(w->s, f->node, KITH_SIM_PROCESS); /* it has left, or is too late */
        fault_restart(w, f->node, f);
    }
    if (!begins || !runs)
        return;
    if (f->kind == SIM_FAULT_IMPORT)
        ki_sim_swarm_import(w, f);
    if (f->kind == SIM_FAULT_TAGS && !w->plan->bare)
        fault_tags(w, f);
    else if (f->kind == SIM_FAULT_FORCE_LEAVE && !w->plan->bare)
        fault_force_leave(w, f);
    else if (f->kind == SIM_FAULT_JOIN)
        ki_sim_swarm_join(w, f->node, f->other);
    else if (f->kind == SIM_FAULT_SLOW)
        kith_sim_slow(w->s, f->node, fault_until_us(w, f));
    else if (f->kind == SIM_FAULT_CLOCK)
        fault_clock(w, f);
}

static void fault_of_network(struct sim_swarm *w, const struct sim_fault *f, bool begins)
{
    bool pair = f->node != f->other && f->other < kith_sim_count(w->s);
    if (f->kind == SIM_FAULT_ISOLATE)
        fault_isolate(w, f, begins);
    else if (f->kind == SIM_FAULT_SPLIT)
        fault_split(w, f, begins);
    else if (f->kind == SIM_FAULT_WEATHER)
        kith_sim_default_link(w->s, begins ? &f->link : &w->plan->link);
    else if (f->kind == SIM_FAULT_LINK && pair)
        kith_sim_link(w->s, f->node, f->other, begins ? &f->link : NULL);
    else if (f->kind == SIM_FAULT_CLOG && pair && begins)
        kith_sim_clog(w->s, f->node, f->other, fault_until_us(w, f));
    else if (f->kind == SIM_FAULT_OUTAGE)
        fault_outage(w, f, begins);
}

void ki_sim_swarm_fault(struct sim_swarm *w, const struct sim_fault *f, bool begins)
{
    if (f->node >= kith_sim_count(w->s))
        return;
    fault_of_node(w, f, begins);
    fault_of_network(w, f, begins);
    if (begins)
        ki_sim_swarm_hostile(w, f);
}
