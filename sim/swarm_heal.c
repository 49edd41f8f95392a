/* The end of a run: the core is mended, everyone else is frozen, and then all views of the core must agree.
 *
 * Mended means: no cut, no loss, everybody of the core runs.  Frozen means down for good, or paused for good, which to
 * the others must come to the same.  What remains is for the protocol to do: to notice who is gone, to find those whom a
 * partition had made believe dead, and to refute what was said of them.
 *
 * Only nodes that no chain of acquaintance connects cannot find each other (one that came back empty while it was cut
 * off): their operators join them, at once and again after a while, as agents retry joins.  So are those that only a few of
 * many hold failed: each contacts one of its failed members so seldom that the time may not be enough. */
#include "sim/swarm.h"

#define HEAL_LOOK_US (250 * KITH_SIM_MS)
#define HEAL_HOLD_US (4 * KITH_SIM_SECOND) /* agreement that does not last is none: a suspicion may be under way */
#define HEAL_INTRODUCE_US (5 * KITH_SIM_SECOND)
#define HEAL_CONTACTS 3 /* expected in the time there is: that there is none has a chance of 1 in 20, for one member */

static bool heal_leaving(struct sim_swarm *w, uint32_t node)
{
    struct kith_gauges g;
    kith *k = kith_sim_node(w->s, node);
    if (!k)
        return false;
    kith_read_gauges(k, &g);
    return g.leaving;
}

static void heal_core(struct sim_swarm *w, uint32_t node)
{
    if (heal_leaving(w, node))
        kith_sim_crash(w->s, node, KITH_SIM_PROCESS);
    bool keeps = (w->plan->seed + node) % 2 == 0;
    int error = 0;
    if (kith_sim_life(w->s, node) == KITH_SIM_DOWN)
        error = kith_sim_restart(w->s, node, keeps ? KITH_SIM_KEEP : KITH_SIM_EMPTY);
    KI_ASSERT(error == 0); /* its memory has no limit */
    kith_sim_pause(w->s, node, false);
    if (ki_sim_swarm_has_store(w, node))
        ki_sim_swarm_disk(w, node, false);
}

static void heal_frozen(struct sim_swarm *w, uint32_t node)
{
    if (w->plan->nodes[node].down || heal_leaving(w, node))
        kith_sim_crash(w->s, node, node % 2 ? KITH_SIM_HOST : KITH_SIM_PROCESS);
    else
        kith_sim_pause(w->s, node, true);
}

static void heal_all(struct sim_swarm *w)
{
    struct kith_sim_link link = {.latency_min_us = w->plan->link.latency_min_us,
                                 .latency_max_us = w->plan->link.latency_max_us};
    kith_sim_mend(w->s);
    kith_sim_default_link(w->s, &link);
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++) {
        if (w->plan->nodes[n].core)
            heal_core(w, n);
        else
            heal_frozen(w, n);
    }
}

static enum kith_status heal_status(const struct sim_swarm *w, uint32_t node, uint32_t whom)
{
    struct kith_member m = {.status = KITH_STATUS_NONE};
    kith_find(ki_sim_node_at(w->s, node)->k, ki_sim_node_at(w->s, whom)->config.name, &m);
    return m.status;
}

/* How often those that hold it failed contact it, in the time there is.  Who holds A members alive and D failed contacts
 * each of these once in max(A, D) intervals (memberlist alone never does). */
static bool heal_is_sought(const struct sim_swarm *w, uint32_t whom)
{
    double contacts = 0;
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++) {
        const struct kith_config *config = &ki_sim_node_at(w->s, n)->config;
        struct kith_gauges g;
        if (!ki_sim_swarm_runs(w, n) || (w->plan->bare && config->stock) || heal_status(w, n, whom) != KITH_STATUS_FAILED)
            continue;
        kith_read_gauges(ki_sim_node_at(w->s, n)->k, &g);
        double intervals = (double)w->plan->agree_us / (1000.0 * config->reconnect_interval_ms);
        contacts += intervals / (double)ki_max_u64(g.alive + g.suspect, g.failed);
    }
    return contacts >= HEAL_CONTACTS;
}

/* Each knows the other, or one holds the other failed and it is sought.  Whoever holds one alive that began a new life and
 * knows nobody is content with its answers. */
static bool heal_finds(const struct sim_swarm *w, uint32_t node, uint32_t whom, bool is_sought)
{
    enum kith_status there = heal_status(w, node, whom), here = heal_status(w, whom, node);
    if (there == KITH_STATUS_FAILED)
        return is_sought;
    return there == KITH_STATUS_ALIVE && (here == KITH_STATUS_ALIVE || here == KITH_STATUS_FAILED);
}

static uint32_t heal_next(const struct sim_swarm *w, uint32_t node)
{
    uint32_t count = kith_sim_count(w->s), next = (node + 1) % count;
    while (next != node && !ki_sim_swarm_runs(w, next))
        next = (next + 1) % count;
    return next;
}

/* Joins those that know nobody, as every agent is told of somebody at its start, and the groups of nodes of which no
 * member finds one of another group. */
static void heal_introduce(struct sim_swarm *w)
{
    uint32_t group[SIM_SWARM_NODES];
    uint32_t count = kith_sim_count(w->s), first = count;
    for (uint32_t n = 0; n < count; n++) {
        group[n] = n;
        first = first == count && ki_sim_swarm_runs(w, n) ? n : first;
        if (ki_sim_swarm_runs(w, n) && kith_members(ki_sim_node_at(w->s, n)->k, NULL, 0) == 1)
            ki_sim_swarm_join(w, n, heal_next(w, n));
    }
    for (uint32_t whom = 0; whom < count; whom++) {
        bool is_sought = heal_is_sought(w, whom);
        for (uint32_t n = 0; n < count; n++) {
            uint32_t from = group[whom], to = group[n];
            if (from == to || !ki_sim_swarm_runs(w, n) || !ki_sim_swarm_runs(w, whom) || !heal_finds(w, n, whom, is_sought))
                continue;
            for (uint32_t i = 0; i < count; i++)
                group[i] = group[i] == from ? to : group[i];
        }
    }
    for (uint32_t n = 0; n < count; n++) {
        if (ki_sim_swarm_runs(w, n) && group[n] == n && group[first] != n)
            ki_sim_swarm_join(w, n, first);
    }
}

/* A stock node may hold a member leaving for ever that is back: it believes what a full state tells of a leave. */
static bool heal_alive(const struct sim_swarm *w, uint32_t node, const struct kith_member *m)
{
    bool stock = ki_sim_node_at(w->s, node)->config.stock;
    return m->status == KITH_STATUS_ALIVE || (stock && m->status == KITH_STATUS_LEAVING);
}

/* True when every node that runs holds exactly those alive that do. */
static bool heal_agrees(struct sim_swarm *w)
{
    uint32_t count = kith_sim_count(w->s), running = 0;
    for (uint32_t n = 0; n < count; n++)
        running += ki_sim_swarm_runs(w, n);
    for (uint32_t n = 0; n < count; n++) {
        struct kith_member m;
        uint32_t cursor = 0, alive = 0;
        while (ki_sim_swarm_runs(w, n) && kith_next(ki_sim_node_at(w->s, n)->k, &cursor, &m)) {
            if (!heal_alive(w, n, &m))
                continue;
            uint32_t whom = kith_sim_find(w->s, &m.addr);
            if (whom == KITH_SIM_ALL || !ki_sim_swarm_runs(w, whom))
                return false;
            alive++;
        }
        if (ki_sim_swarm_runs(w, n) && alive != running)
            return false;
    }
    return true;
}

/* Who sees it differently, for the sentence. */
static void heal_disagree(struct sim_swarm *w)
{
    uint32_t count = kith_sim_count(w->s);
    for (uint32_t n = 0; n < count; n++) {
        if (!ki_sim_swarm_runs(w, n))
            continue;
        for (uint32_t whom = 0; whom < count; whom++) {
            struct kith_member m = {.status = KITH_STATUS_NONE};
            kith_find(ki_sim_node_at(w->s, n)->k, ki_sim_node_at(w->s, whom)->config.name, &m);
            if (heal_alive(w, n, &m) == ki_sim_swarm_runs(w, whom))
                continue;
            ki_sim_violate(w->s, "agree", n, "%.1f s after the healing it holds %s, which %s, to be of status %d, state %d",
                           (double)(kith_sim_now_us(w->s) - w->plan->heal_us) / 1e6, ki_sim_name(w->s, whom),
                           ki_sim_swarm_runs(w, whom) ? "runs" : "is gone", (int)m.status, (int)m.state);
            return;
        }
    }
    ki_sim_violate(w->s, "agree", KITH_SIM_ALL, "views differ %.1f s after the healing",
                   (double)(kith_sim_now_us(w->s) - w->plan->heal_us) / 1e6);
}

void ki_sim_swarm_heal(struct sim_swarm *w)
{
    uint64_t start_us = kith_sim_now_us(w->s), agreed_us = KITH_NEVER, introduce_us = start_us;
    heal_all(w);
    for (uint64_t at_us = start_us; !kith_sim_violation(w->s); at_us += HEAL_LOOK_US) {
        ki_sim_swarm_pass(w, at_us);
        if (w->plan->stores)
            ki_sim_swarm_stores_look(w, start_us);
        if (!heal_agrees(w))
            agreed_us = KITH_NEVER;
        else if (agreed_us == KITH_NEVER)
            agreed_us = at_us;
        if (agreed_us != KITH_NEVER && at_us - agreed_us >= HEAL_HOLD_US) {
            w->agreed_us = agreed_us - start_us;
            if (w->plan->stores)
                ki_sim_swarm_stores_wait(w, start_us);
            if (w->plan->events && !kith_sim_violation(w->s))
                ki_sim_swarm_events_wait(w);
            if (w->plan->aggregates && !kith_sim_violation(w->s))
                ki_sim_swarm_aggregates_wait(w);
            return;
        }
        if (agreed_us == KITH_NEVER && at_us - start_us > w->plan->agree_us)
            heal_disagree(w);
        if (at_us >= introduce_us) {
            heal_introduce(w);
            introduce_us += HEAL_INTRODUCE_US;
        }
    }
}
