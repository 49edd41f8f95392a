/* A plan carried out: nodes are added, faults begin and end at their times, then comes the healing.
 *
 * All that happens is in the plan and the simulation's seed; between the steps of the plan the simulation runs alone.
 * The checkers look on all the time and end the run with the first thing that is wrong.
 * Memory is counted beyond the simulation's end, so that what the last lives have kept is seen too. */
#include "sim/swarm.h"

#define SWARM_STEPS (SIM_SWARM_NODES + 2 * SIM_SWARM_FAULTS)

struct swarm_step {
    uint64_t at_us;
    uint32_t order;
    uint32_t node;                 /* to add, or */
    const struct sim_fault *fault; /* to begin or end */
    bool begins;
};

static int swarm_before(const void *a, const void *b)
{
    const struct swarm_step *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Returns how many there are; those after the healing are none. */
static uint32_t swarm_steps(const struct sim_plan *plan, struct swarm_step steps[SWARM_STEPS])
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < plan->node_count; n++, count++)
        steps[count] = (struct swarm_step){.at_us = plan->nodes[n].start_us, .order = count, .node = n};
    for (uint32_t i = 0; i < plan->fault_count; i++) {
        const struct sim_fault *f = &plan->faults[i];
        if (f->off)
            continue;
        steps[count] = (struct swarm_step){.at_us = f->at_us, .order = count, .fault = f, .begins = true};
        count++;
        if (f->for_us && f->at_us + f->for_us < plan->heal_us) {
            steps[count] = (struct swarm_step){.at_us = f->at_us + f->for_us, .order = count, .fault = f};
            count++;
        }
    }
    qsort(steps, count, sizeof *steps, swarm_before);
    return count;
}

static void swarm_tighten(struct kith_config *c)
{
    c->queue_max = 8;
    c->replies_max = 8;
    c->relays_max = 4;
    c->streams_max = 8;
    c->streams_per_source = 2;
    c->tickets_max = 4;
    c->events_max = 4;
    c->intents_max = 4;
}

static void swarm_add(struct sim_swarm *w, uint32_t n)
{
    static const struct kith_key keys[2][2] = {{{.bytes = {1, 2, 3}, .len = 16}, {.bytes = {4, 5, 6}, .len = 32}},
                                               {{.bytes = {4, 5, 6}, .len = 32}, {.bytes = {1, 2, 3}, .len = 16}}};
    const struct sim_plan *plan = w->plan;
    struct kith_config c;
    kith_sim_node_config(w->s, n, plan->profile, &c);
    c.compress = plan->compress;
    c.datagram_max = plan->datagram_max;
    c.stock = plan->mixed && plan->nodes[n].stock;
    if (c.stock)
        c.reconnect_interval_ms = 30000; /* Serf's */
    if (plan->sealed) { /* each seals with a key of its own choice */
        c.keys = keys[n % 2];
        c.key_count = 2;
    }
    if (plan->labelled)
        c.label = (struct kith_str){w->label, strlen(w->label)};
    if (plan->bare)
        c.delegate_min = c.delegate_max = c.delegate_cur = 0;
    if (plan->tight)
        swarm_tighten(&c);
    if (plan->forgetful) {
        c.reap_interval_ms = 2000;
        c.reconnect_timeout_ms = c.tombstone_timeout_ms = 15000;
        c.intent_timeout_ms = 10000;
    }
    if (plan->events)
        ki_sim_swarm_event_config(w, &c);
    ki_sim_count_memory(&c, &w->memory[n]);
    struct kith_store_config store;
    bool stored = ki_sim_swarm_has_store(w, n);
    if (stored)
        ki_sim_swarm_store_config(w, n, &store);
    int error = kith_sim_add_with_store(w->s, &c, stored ? &store : NULL, NULL);
    KI_ASSERT(error == 0);
    if (stored)
        ki_sim_swarm_disk(w, n, false);
    kith_sim_side(w->s, n, plan->nodes[n].rack);
    ki_sim_swarm_join(w, n, plan->nodes[n].friend);
}

void ki_sim_swarm_run(struct sim_swarm *w, uint64_t until_us)
{
    while (!kith_sim_violation(w->s)) {
        uint64_t work_us = w->plan->stores ? w->work_us : KITH_NEVER, talk_us = w->plan->events ? w->talk_us : KITH_NEVER;
        uint64_t give_us = w->plan->aggregates ? w->give_us : KITH_NEVER;
        uint64_t next_us = ki_min_u64(work_us, ki_min_u64(talk_us, give_us));
        if (next_us >= until_us)
            break;
        ki_sim_swarm_pass(w, next_us);
        if (work_us == next_us)
            ki_sim_swarm_work(w);
        else if (talk_us == next_us)
            ki_sim_swarm_talk(w);
        else
            ki_sim_swarm_give(w);
    }
    ki_sim_swarm_pass(w, until_us);
}

static void swarm_live(struct sim_swarm *w)
{
    struct swarm_step steps[SWARM_STEPS];
    uint32_t count = swarm_steps(w->plan, steps);
    for (uint32_t i = 0; i < count && !kith_sim_violation(w->s); i++) {
        ki_sim_swarm_run(w, steps[i].at_us);
        if (steps[i].fault)
            ki_sim_swarm_fault(w, steps[i].fault, steps[i].begins);
        else
            swarm_add(w, steps[i].node);
    }
    ki_sim_swarm_run(w, w->plan->heal_us);
    if (!kith_sim_violation(w->s))
        ki_sim_swarm_heal(w);
}

/* ---- the verdict ---- */

static void swarm_verdict(const struct sim_swarm *w, struct sim_verdict *out)
{
    struct kith_sim_totals totals;
    kith_sim_read_totals(w->s, &totals);
    *out = (struct sim_verdict){.digest = kith_sim_digest(w->s),
                                .events = totals.events,
                                .virtual_us = kith_sim_now_us(w->s),
                                .agreed_us = w->agreed_us,
                                .stored_us = w->stored_us,
                                .folded_us = w->folded_us,
                                .allowed_us = w->plan->agree_us};
    const char *violation = kith_sim_violation(w->s);
    if (!violation)
        return;
    out->failed = true;
    snprintf(out->sentence, sizeof out->sentence, "%s", violation);
    const char *name = strstr(violation, ": "); /* SECONDS NODE: CHECKER: ... */
    const char *end = name ? strstr(name + 2, ": ") : NULL;
    if (end)
        snprintf(out->checker, sizeof out->checker, "%.*s", (int)(end - name - 2), name + 2);
}

/* What the nodes had must all be back now. */
static void swarm_leaks(const struct sim_swarm *w, struct sim_verdict *out)
{
    for (uint32_t n = 0; n < w->plan->node_count && !out->failed; n++) {
        if (w->memory[n] == 0)
            continue;
        out->failed = true;
        snprintf(out->checker, sizeof out->checker, "memory");
        snprintf(out->sentence, sizeof out->sentence, "- node-%u: memory: %llu bytes were never given back", n,
                 (unsigned long long)w->memory[n]);
    }
}

void ki_sim_plan_run(const struct sim_plan *plan, uint32_t trace_lines, FILE *trace, struct sim_verdict *out)
{
    struct sim_swarm w = {.plan = plan, .label = "swarm"};
    struct kith_sim_config config;
    kith_sim_config_init(&config, plan->seed);
    config.link = plan->link;
    config.trace_lines = trace_lines;
    int error = kith_sim_new(&w.s, &config);
    KI_ASSERT(error == 0);
    ki_sim_swarm_overhear(&w);
    swarm_live(&w);
    swarm_verdict(&w, out);
    for (size_t i = 0; trace && kith_sim_trace(w.s, i); i++)
        fprintf(trace, "%s\n", kith_sim_trace(w.s, i));
    kith_sim_free(w.s);
    free(w.caught);
    swarm_leaks(&w, out);
}
