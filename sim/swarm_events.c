/* Events in the swarm: in the plan, while the world lives, and after the healing.
 *
 * A world with events has 2 to 12 nodes, rarely more, some of them perhaps of Serf's kind.  Its workload tells and asks at
 * random times, with floods, until the healing.  When the core agrees again and no join is under way any more, each member
 * says a word, and all numbers of all members must become settled everywhere.  Then each has three last words, often while
 * all links lose 30 % of all datagrams: again all must become settled, and as everybody is alive, the first two are
 * confirmed by all.
 *
 * What those had to say that are gone need not come: it may be lost with them. */
#include "sim/swarm.h"

#include "sim/event_work.h"

#define EVENTS_STEP_US (250 * KITH_SIM_MS)
#define EVENTS_LOSS_PPM 300000
#define EVENTS_CONFIRM_MS 20000 /* a hundred rounds of profile lan, forty of profile wan */

static uint64_t events_between(struct ki_rng *rng, uint64_t least, uint64_t most)
{
    return least + ki_rng_below(rng, most - least + 1);
}

/* ---- the plan ---- */

void ki_sim_plan_events(struct sim_plan *plan, struct ki_rng *rng)
{
    static const uint32_t gaps_ms[] = {20, 60, 200};
    uint32_t nodes = (uint32_t)(ki_rng_below(rng, 10) < 7 ? events_between(rng, 2, 6) : events_between(rng, 7, 12));
    if (ki_rng_below(rng, 50) == 0) /* more than all can be told by one */
        nodes = (uint32_t)events_between(rng, 66, 72);
    plan->events = true;
    plan->bare = false;
    plan->node_count = plan->stores ? plan->node_count : nodes;
    plan->talk_us = gaps_ms[ki_rng_below(rng, KI_COUNT(gaps_ms))] * (uint32_t)KITH_SIM_MS * (nodes > 12 ? 8 : 1);
    plan->small_log = ki_rng_below(rng, 4) == 0;
    plan->last_loss = ki_rng_below(rng, 2);
    if (!plan->quiet && ki_rng_below(rng, 3) == 0)
        plan->link.loss_ppm = (uint32_t)events_between(rng, 0, EVENTS_LOSS_PPM);
    if (!plan->quiet && ki_rng_below(rng, 4) == 0)
        plan->link.duplicate_ppm = (uint32_t)events_between(rng, 0, 200000);
}

/* Cuts and ends are what events must bear most; some nodes do not come back before the healing, or ever. */
void ki_sim_plan_event_faults(struct sim_plan *plan, struct ki_rng *rng)
{
    static const enum sim_fault_kind kinds[] = {SIM_FAULT_CRASH, SIM_FAULT_CRASH,   SIM_FAULT_CRASH, SIM_FAULT_SPLIT,
                                                SIM_FAULT_SPLIT, SIM_FAULT_ISOLATE, SIM_FAULT_PAUSE, SIM_FAULT_REPLAY};
    uint32_t count = (uint32_t)ki_rng_below(rng, 7);
    for (; count > 0 && plan->fault_count < SIM_SWARM_FAULTS; count--) {
        plan->faults[plan->fault_count++] = (struct sim_fault){
            .kind = kinds[ki_rng_below(rng, KI_COUNT(kinds))],
            .at_us = events_between(rng, KITH_SIM_SECOND, plan->heal_us),
            .for_us = ki_rng_below(rng, 6) == 0 ? 0 : events_between(rng, 100, 15000) * KITH_SIM_MS,
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

void ki_sim_swarm_event_config(const struct sim_swarm *w, struct kith_config *c)
{
    if (w->plan->tight)
        c->messages_max = 16;
    if (w->plan->small_log) {
        c->event_size_max = 8192;
        c->event_log_max = 32768;
    }
}

void ki_sim_swarm_talk(struct sim_swarm *w)
{
    struct ki_rng rng;
    ki_rng_init(&rng, w->plan->seed ^ (w->talk_step + 1) * 0xd1342543de82ef95);
    w->talk_step++;
    w->talk_us += 1 + ki_rng_below(&rng, 2 * (uint64_t)w->plan->talk_us);
    uint32_t node = (uint32_t)ki_rng_below(&rng, w->plan->node_count);
    if (node < kith_sim_count(w->s))
        ki_sim_event_work(w->s, node, ki_rng_next(&rng));
}

void ki_sim_swarm_pass(struct sim_swarm *w, uint64_t until_us)
{
    struct kith_sim_happening happening;
    while (kith_sim_step(w->s, until_us, &happening)) {
        if (w->plan->events)
            ki_sim_event_work_hears(w->s, &happening);
    }
}

/* ---- after the healing ---- */

static bool events_follows(const struct sim_swarm *w, uint32_t node)
{
    return ki_sim_swarm_runs(w, node) && !ki_sim_talk_is_stock(w->s, node);
}

/* The first that has not settled all of a living other one.  False: all have. */
static bool events_unsettled(struct sim_swarm *w, uint32_t *node, uint32_t *voice)
{
    const struct sim_talk *t = ki_sim_talk(w->s);
    for (*voice = 0; *voice < t->voice_count; (*voice)++) {
        const struct sim_voice *v = &t->voices[*voice];
        if (!ki_sim_swarm_runs(w, v->node) || kith_sim_life(w->s, v->node) != KITH_SIM_RUNNING ||
            ki_sim_node_at(w->s, v->node)->lives != v->life)
            continue;
        for (*node = 0; *node < kith_sim_count(w->s); (*node)++) {
            if (events_follows(w, *node) && !ki_sim_gaps_settled(w->s, *node, *voice))
                return true;
        }
    }
    return false;
}

static void events_last_words(struct sim_swarm *w, uint32_t timeout_ms)
{
    uint32_t able = 0;
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++)
        able += events_follows(w, n);
    for (uint32_t n = 0; n < kith_sim_count(w->s); n++) {
        if (ki_sim_swarm_runs(w, n))
            ki_sim_event_work_last(w->s, n, w->plan->tight ? 0 : able, timeout_ms); /* a full queue takes none */
    }
}

static void events_pass(struct sim_swarm *w, uint64_t for_us)
{
    ki_sim_swarm_pass(w, kith_sim_now_us(w->s) + for_us);
}

static void events_settle(struct sim_swarm *w)
{
    uint32_t node, voice;
    uint64_t end_us = kith_sim_now_us(w->s) + SIM_SWARM_EVENTS_US * (w->plan->tight ? 4 : 1); /* 8 datagrams a question */
    while (events_unsettled(w, &node, &voice) && kith_sim_now_us(w->s) < end_us && !kith_sim_violation(w->s))
        events_pass(w, EVENTS_STEP_US);
    if (!events_unsettled(w, &node, &voice))
        return;
    const struct sim_voice *v = &ki_sim_talk(w->s)->voices[voice];
    ki_sim_violate(w->s, "settle", node, "of the %u numbers of %s it has not settled all", v->last,
                   ki_sim_name(w->s, v->node));
}

void ki_sim_swarm_events_wait(struct sim_swarm *w)
{
    struct kith_sim_link link = w->s->cfg.link;
    events_pass(w, ki_sim_talk_join_us(w->s, 0) + KITH_SIM_SECOND);
    events_last_words(w, 0);
    events_settle(w); /* whoever has much to catch up with cannot confirm yet */
    link.loss_ppm = w->plan->last_loss ? EVENTS_LOSS_PPM : 0;
    kith_sim_default_link(w->s, &link);
    events_last_words(w, EVENTS_CONFIRM_MS);
    events_pass(w, KITH_SIM_SECOND);
    events_last_words(w, EVENTS_CONFIRM_MS);
    events_pass(w, KITH_SIM_SECOND);
    events_last_words(w, 0); /* nobody sends it again by himself: who misses it must find out */
    events_pass(w, EVENTS_CONFIRM_MS * KITH_SIM_MS);
    link.loss_ppm = 0;
    kith_sim_default_link(w->s, &link);
    events_settle(w);
    ki_sim_certificates_settle(w->s);
    ki_sim_asks_settle(w->s);
}
