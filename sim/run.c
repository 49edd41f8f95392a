/* A scenario becomes a world, and the world numbers.
 *
 * The idea: everything that is to happen (starts, faults and their ends, samples) is one agenda ordered by time, worked off
 * between stretches of kith_sim_step().  Who is hit is drawn from a generator of its own, so that the same seed hits the
 * same nodes whatever the links do.
 *
 * A cold start is what an operator does: nodes start one after another and each joins one that was started before and is
 * up, drawn at random, because with a single seed address for all one would measure that address.  A join that has brought
 * nobody is tried again after 30 s, as the agent's -retry-join does.
 *
 * Invariants: a node is hit by one fault at a time (but partitions, which take nodes in any state), so how many are left
 * for a fault is known before the run, and ki_sim_scenario_fault() is exact.  Nothing depends on the size of the steps.
 *
 * Not here: the clock of the wall, and words for people. */
#include "sim/run.h"

#include <stdio.h>

#define RUN_START_GAP_US    (10 * KITH_SIM_MS)
#define RUN_START_SPREAD_US (10 * KITH_SIM_SECOND)
#define RUN_RETRY_US        (30 * KITH_SIM_SECOND)
#define RUN_SAMPLES_MAX     600
#define RUN_WAKE_JOIN       1 /* cookies */

enum run_order { RUN_START, RUN_FAULT_END, RUN_FAULT, RUN_SAMPLE }; /* of what is due at one time */

enum run_state { RUN_UNBORN, RUN_FREE, RUN_TAKEN, RUN_LEAVING, RUN_GONE }; /* TAKEN: by a fault that will end */

struct run_item {
    uint64_t at_us;
    enum run_order order;
    uint32_t index; /* of the fault or node */
};

struct sim_run {
    struct sim_scenario scenario;
    kith_sim *world;
    struct sim_stats *stats;
    struct ki_rng fault_rng, join_rng; /* who is hit, and is stock; whom nodes join */
    struct kith_key key;

    struct run_item *agenda;
    size_t agenda_count, agenda_done;
    bool *stock;
    enum run_state *state;
    bool *parted;        /* nodes in a partition, which may be in any state */
    uint32_t **hit;      /* of each fault: the nodes it took, faults[].nodes of them */
    uint32_t *draw;      /* scratch for picking */
    bool cut[SIM_SIDES]; /* this side is partitioned off now */

    struct sim_sample *samples;
    size_t sample_count, sample_cap;
    struct kith_sim_totals counted;
    uint64_t counted_node_us;
    bool verified, lied;
};

/* ---- the scenario ---- */

uint64_t ki_sim_scenario_start_us(const struct sim_scenario *scenario, uint32_t node)
{
    if (scenario->warm)
        return 0;
    uint64_t spread_us = ki_min_u64(RUN_START_SPREAD_US, scenario->for_us / 2);
    return node * ki_min_u64(RUN_START_GAP_US, spread_us / scenario->nodes);
}

static uint32_t run_started(const struct sim_scenario *scenario, uint64_t at_us)
{
    uint32_t started = 0;
    while (started < scenario->nodes && ki_sim_scenario_start_us(scenario, started) <= at_us)
        started++;
    return started;
}

static bool run_comes_back(enum sim_run_fault_kind kind)
{
    switch (kind) {
    case SIM_RUN_KILL:
    case SIM_RUN_CRASH:
    case SIM_RUN_LEAVE:
        return false;
    case SIM_RUN_PAUSE:
    case SIM_RUN_SLOW:
    case SIM_RUN_RESTART:
    case SIM_RUN_PARTITION:
        return true;
    }
    KI_UNREACHABLE();
}

/* Does fault `a` hold its nodes when `b` wants some?  Of two at one time the first given comes first. */
static bool run_overlaps(const struct sim_run_fault *faults, size_t a, size_t b)
{
    bool same_kind = (faults[a].kind == SIM_RUN_PARTITION) == (faults[b].kind == SIM_RUN_PARTITION);
    bool before = faults[a].at_us < faults[b].at_us || (faults[a].at_us == faults[b].at_us && a < b);
    return same_kind && before && (!run_comes_back(faults[a].kind) || faults[a].until_us > faults[b].at_us);
}

enum sim_impossible ki_sim_scenario_fault(const struct sim_scenario *scenario, size_t *index, uint32_t *left)
{
    const struct sim_run_fault *faults = scenario->faults;
    uint32_t sides = 1;
    for (size_t i = 0; i < scenario->fault_count; i++) {
        *index = i;
        *left = run_started(scenario, faults[i].at_us);
        bool ends_late = faults[i].until_us != KITH_NEVER && faults[i].until_us > scenario->for_us;
        if (faults[i].at_us >= scenario->for_us || ends_late)
            return SIM_TOO_LATE;
        if (faults[i].nodes == 0)
            return SIM_NO_NODES;
        for (size_t j = 0; j < scenario->fault_count; j++) {
            if (run_overlaps(faults, j, i))
                *left -= (uint32_t)ki_min_u64(*left, faults[j].nodes);
        }
        if (faults[i].nodes > *left)
            return SIM_TOO_MANY;
        sides += faults[i].kind == SIM_RUN_PARTITION;
        if (sides > SIM_SIDES)
            return SIM_TOO_MANY_SIDES;
    }
    return SIM_POSSIBLE;
}

/* ---- picking nodes ---- */

/* Draws different nodes that this fault may hit. */
static uint32_t *run_pick(struct sim_run *run, const struct sim_run_fault *fault)
{
    uint32_t count = fault->nodes, fit = 0;
    uint32_t *picked = ki_sim_make(count * sizeof *picked);
    for (uint32_t node = 0; node < kith_sim_count(run->world); node++) {
        if (fault->kind == SIM_RUN_PARTITION ? !run->parted[node] : run->state[node] == RUN_FREE)
            run->draw[fit++] = node;
    }
    KI_ASSERT(fit >= count); /* ki_sim_scenario_fault() */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i + (uint32_t)ki_rng_below(&run->fault_rng, fit - i);
        picked[i] = run->draw[at];
        run->draw[at] = run->draw[i];
    }
    return picked;
}

/* ---- joining ---- */

/* Joins a node drawn at random, or the next one that is up: of many that start at once, each finds one that started before
 * it, so they do not end as islands.  That nobody is up, or any error, is a reason to try again later. */
static void run_join(struct sim_run *run, uint32_t node)
{
    uint32_t count = kith_sim_count(run->world);
    if (count < 2)
        return;
    uint32_t to = (uint32_t)ki_rng_below(&run->join_rng, count - 1);
    to += to >= node;
    for (uint32_t i = 0; i < count && (to == node || kith_sim_life(run->world, to) == KITH_SIM_DOWN); i++)
        to = (to + 1) % count;
    if (to != node && kith_sim_life(run->world, to) != KITH_SIM_DOWN)
        kith_sim_join(run->world, node, to);
    kith_sim_wake(run->world, node, kith_sim_now_us(run->world) + RUN_RETRY_US, RUN_WAKE_JOIN);
}

/* A join was asked for a while ago.  A node that still knows only itself tries somebody else. */
static void run_look_again(struct sim_run *run, uint32_t node)
{
    if (run->stats->node_right[node] + run->stats->node_wrong[node] <= 1)
        run_join(run, node);
}

static void run_add(struct sim_run *run, uint32_t node)
{
    struct kith_config config;
    char name[32];
    int len = snprintf(name, sizeof name, "node-%011u", (unsigned)node); /* 16 bytes */
    kith_sim_node_config(run->world, node, run->scenario.profile, &config);
    config.name = (struct kith_str){name, (size_t)len};
    config.compress = run->scenario.compress;
    config.stock = run->stock[node];
    if (config.stock)
        config.reconnect_interval_ms = 30000; /* Serf's */
    config.members_max = (uint32_t)ki_max_u64(config.members_max, 2 * (uint64_t)run->scenario.nodes);
    config.queue_max = (uint32_t)ki_max_u64(config.queue_max, 2 * (uint64_t)run->scenario.nodes);
    if (run->scenario.key) {
        config.keys = &run->key;
        config.key_count = 1;
    }
    int error = kith_sim_add(run->world, &config, NULL);
    KI_ASSERT(error == 0);
    run->state[node] = RUN_FREE;
}

/* ---- faults ---- */

/* Each partition of a scenario has a side of its own; side 0 is everybody else. */
static unsigned run_side(const struct sim_run *run, size_t fault)
{
    unsigned side = 1;
    for (size_t i = 0; i < fault; i++)
        side += run->scenario.faults[i].kind == SIM_RUN_PARTITION;
    return side;
}

static void run_cut(struct sim_run *run, unsigned side, bool cut)
{
    unsigned sides = run_side(run, run->scenario.fault_count);
    run->cut[side] = cut;
    for (unsigned other = 0; other < sides; other++) {
        if (other == side || (!cut && run->cut[other]))
            continue; /* the other one is partitioned off still */
        kith_sim_cut_sides(run->world, side, other, cut);
        kith_sim_cut_sides(run->world, other, side, cut);
    }
}

static void run_hit(struct sim_run *run, const struct sim_run_fault *fault, uint32_t node)
{
    kith_sim *s = run->world;
    int error;
    switch (fault->kind) {
    case SIM_RUN_KILL:
    case SIM_RUN_CRASH:
        run->state[node] = RUN_GONE;
        kith_sim_crash(s, node, fault->kind == SIM_RUN_KILL ? KITH_SIM_PROCESS : KITH_SIM_HOST);
        ki_sim_stats_killed(s, node);
        return;
    case SIM_RUN_LEAVE:
        run->state[node] = RUN_LEAVING;
        error = kith_leave(kith_sim_node(s, node), kith_sim_time(s, node), &(kith_ticket){0});
        KI_ASSERT(error == 0); /* it runs */
        return;
    case SIM_RUN_PAUSE:
        run->state[node] = RUN_TAKEN;
        kith_sim_pause(s, node, true);
        return;
    case SIM_RUN_SLOW:
        run->state[node] = RUN_TAKEN;
        kith_sim_slow(s, node, fault->until_us);
        return;
    case SIM_RUN_RESTART:
        run->state[node] = RUN_TAKEN;
        kith_sim_crash(s, node, KITH_SIM_PROCESS);
        return;
    case SIM_RUN_PARTITION:
        run->parted[node] = true;
        kith_sim_side(s, node, run_side(run, (size_t)(fault - run->scenario.faults)));
        return;
    }
    KI_UNREACHABLE();
}

static void run_relieve(struct sim_run *run, const struct sim_run_fault *fault, uint32_t node)
{
    kith_sim *s = run->world;
    switch (fault->kind) {
    case SIM_RUN_KILL:
    case SIM_RUN_CRASH:
    case SIM_RUN_LEAVE:
        break;
    case SIM_RUN_PAUSE:
        kith_sim_pause(s, node, false);
        run->state[node] = RUN_FREE;
        return;
    case SIM_RUN_SLOW: /* ends by itself */
        run->state[node] = RUN_FREE;
        return;
    case SIM_RUN_RESTART:
        run->state[node] = RUN_FREE;
        int error = kith_sim_restart(s, node, KITH_SIM_EMPTY);
        KI_ASSERT(error == 0); /* its memory has no limit */
        run_join(run, node);
        return;
    case SIM_RUN_PARTITION:
        run->parted[node] = false;
        kith_sim_side(s, node, 0);
        return;
    }
    KI_UNREACHABLE();
}

static void run_fault(struct sim_run *run, size_t index, bool begins)
{
    const struct sim_run_fault *fault = &run->scenario.faults[index];
    if (begins)
        run->hit[index] = run_pick(run, fault);
    for (uint32_t i = 0; i < fault->nodes; i++) {
        if (begins)
            run_hit(run, fault, run->hit[index][i]);
        else
            run_relieve(run, fault, run->hit[index][i]);
    }
    if (fault->kind == SIM_RUN_PARTITION)
        run_cut(run, run_side(run, index), begins);
}

/* ---- the run ---- */

static void run_sample(struct sim_run *run)
{
    const struct sim_stats *st = run->stats;
    struct kith_sim_totals totals;
    kith_sim_read_totals(run->world, &totals);
    ki_sim_stats_count(run->world);
    run->samples = ki_sim_grow(run->samples, &run->sample_cap, run->sample_count, sizeof *run->samples);
    run->samples[run->sample_count++] = (struct sim_sample){
        .at_us = kith_sim_now_us(run->world),
        .up = st->up,
        .full = st->full,
        .right = st->right,
        .wrong = st->wrong,
        .failed_events = st->failed_events,
        .node_us = st->node_us - run->counted_node_us,
        .datagrams = totals.datagrams - run->counted.datagrams,
        .datagram_bytes = totals.datagram_bytes - run->counted.datagram_bytes,
        .streams = totals.streams - run->counted.streams,
        .stream_bytes = totals.stream_bytes - run->counted.stream_bytes,
    };
    run->counted = totals;
    run->counted_node_us = st->node_us;
}

/* The statistics believe that all views are full: are they?  Asked once, because it reads them all; and when nobody is
 * paused or leaving, for then it depends on the meaning of full. */
static void run_verify(struct sim_run *run)
{
    bool quiet = run->stats->agreed && !run->verified;
    for (uint32_t node = 0; node < run->scenario.nodes && quiet; node++)
        quiet = run->state[node] == RUN_FREE || run->state[node] == RUN_GONE;
    if (!quiet)
        return;
    run->verified = true;
    run->lied = run->lied || !kith_sim_agrees(run->world);
}

static void run_do(struct sim_run *run, const struct run_item *item)
{
    switch (item->order) {
    case RUN_START:
        run_add(run, item->index);
        run_join(run, item->index);
        return;
    case RUN_FAULT:
    case RUN_FAULT_END:
        run_fault(run, item->index, item->order == RUN_FAULT);
        return;
    case RUN_SAMPLE:
        run_sample(run);
        run_verify(run);
        return;
    }
    KI_UNREACHABLE();
}

static void run_happened(struct sim_run *run, const struct kith_sim_happening *h)
{
    if (h->kind == KITH_SIM_WAKE)
        run_look_again(run, h->node);
    if (h->kind == KITH_SIM_EVENT && h->event.kind == KITH_EVENT_DONE && run->state[h->node] == RUN_LEAVING) {
        run->state[h->node] = RUN_GONE; /* it has left, and ends */
        kith_sim_crash(run->world, h->node, KITH_SIM_PROCESS);
    }
}

/* Returns false when a checker has found a violation. */
static bool run_stretch(struct sim_run *run, uint64_t until_us)
{
    struct kith_sim_happening h;
    while (kith_sim_step(run->world, until_us, &h))
        run_happened(run, &h);
    return kith_sim_violation(run->world) == NULL;
}

bool ki_sim_run_advance(struct sim_run *run, uint64_t until_us)
{
    until_us = ki_min_u64(until_us, run->scenario.for_us);
    while (run->agenda_done < run->agenda_count && run->agenda[run->agenda_done].at_us <= until_us) {
        const struct run_item *item = &run->agenda[run->agenda_done];
        if (!run_stretch(run, item->at_us))
            return false;
        run->agenda_done++;
        run_do(run, item);
    }
    return run_stretch(run, until_us) && until_us < run->scenario.for_us;
}

/* ---- making ---- */

static void run_plan(struct sim_run *run, uint64_t at_us, enum run_order order, uint32_t index)
{
    if (at_us <= run->scenario.for_us)
        run->agenda[run->agenda_count++] = (struct run_item){at_us, order, index};
}

static int run_compare(const void *left, const void *right)
{
    const struct run_item *a = left, *b = right;
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us ? -1 : 1;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static void run_plan_all(struct sim_run *run)
{
    const struct sim_scenario *scenario = &run->scenario;
    uint64_t seconds = (scenario->for_us + KITH_SIM_SECOND - 1) / KITH_SIM_SECOND;
    uint64_t every_us = (seconds + RUN_SAMPLES_MAX - 1) / RUN_SAMPLES_MAX * KITH_SIM_SECOND;
    run->agenda = ki_sim_make((scenario->nodes + 2 * scenario->fault_count + RUN_SAMPLES_MAX + 2) * sizeof *run->agenda);
    for (uint32_t node = 0; node < scenario->nodes && !scenario->warm; node++)
        run_plan(run, ki_sim_scenario_start_us(scenario, node), RUN_START, node);
    for (uint32_t i = 0; i < scenario->fault_count; i++) {
        run_plan(run, scenario->faults[i].at_us, RUN_FAULT, i);
        run_plan(run, scenario->faults[i].until_us, RUN_FAULT_END, i);
    }
    for (uint64_t at_us = every_us; at_us < scenario->for_us; at_us += every_us)
        run_plan(run, at_us, RUN_SAMPLE, 0);
    run_plan(run, scenario->for_us, RUN_SAMPLE, 0);
    qsort(run->agenda, run->agenda_count, sizeof *run->agenda, run_compare);
}

/* Draws who is stock, and the secret. */
static void run_draw(struct sim_run *run)
{
    uint32_t nodes = run->scenario.nodes;
    uint32_t stock = (uint32_t)(((uint64_t)run->scenario.stock_ppm * nodes + 500000) / 1000000);
    for (uint32_t i = 0; i < nodes; i++)
        run->draw[i] = i;
    for (uint32_t i = 0; i < stock; i++) {
        uint32_t at = i + (uint32_t)ki_rng_below(&run->fault_rng, nodes - i);
        run->stock[run->draw[at]] = true;
        run->draw[at] = run->draw[i];
    }
    run->key.len = 16;
    for (unsigned i = 0; i < run->key.len; i++)
        run->key.bytes[i] = (uint8_t)ki_rng_below(&run->fault_rng, 256);
}

struct sim_run *ki_sim_run_new(const struct sim_scenario *scenario)
{
    struct sim_run *run = ki_sim_make(sizeof *run);
    struct kith_sim_config config;
    run->scenario = *scenario;
    run->state = ki_sim_make(scenario->nodes * sizeof *run->state);
    run->parted = ki_sim_make(scenario->nodes * sizeof *run->parted);
    run->stock = ki_sim_make(scenario->nodes * sizeof *run->stock);
    run->draw = ki_sim_make(scenario->nodes * sizeof *run->draw);
    run->hit = ki_sim_make((scenario->fault_count + 1) * sizeof *run->hit);
    ki_rng_init(&run->fault_rng, scenario->seed ^ 0x6661756c74); /* "fault": apart from the world's own luck */
    ki_rng_init(&run->join_rng, scenario->seed ^ 0x6a6f696e);    /* "join" */
    run_draw(run);
    run_plan_all(run);

    kith_sim_config_init(&config, scenario->seed);
    config.link = scenario->link;
    config.persist = false;
    config.check = scenario->check;
    config.trace_lines = scenario->trace_lines;
    int error = kith_sim_new(&run->world, &config);
    KI_ASSERT(error == 0);
    run->stats = ki_sim_stats_new(run->world, scenario->nodes);
    if (scenario->warm) {
        for (uint32_t node = 0; node < scenario->nodes; node++)
            run_add(run, node);
        error = kith_sim_warm(run->world);
        KI_ASSERT(error == 0);
        ki_sim_stats_warm(run->world);
        run_verify(run);
    }
    return run;
}

void ki_sim_run_free(struct sim_run *run)
{
    if (!run)
        return;
    kith_sim_free(run->world);
    for (size_t i = 0; i < run->scenario.fault_count; i++)
        free(run->hit[i]);
    free(run->hit);
    free(run->agenda);
    free(run->samples);
    free(run->state);
    free(run->parted);
    free(run->stock);
    free(run->draw);
    free(run);
}

bool ki_sim_run_is_full(const struct sim_run *run)
{
    return run->stats->agreed;
}

kith_sim *ki_sim_run_world(struct sim_run *run)
{
    return run->world;
}

void ki_sim_run_measure(struct sim_run *run, struct sim_result *out)
{
    uint64_t now_us = kith_sim_now_us(run->world);
    if (run->sample_count == 0 || run->samples[run->sample_count - 1].at_us < now_us)
        run_sample(run); /* it was cut short */
    run->verified = false; /* once more, at the end */
    run_verify(run);
    *out = (struct sim_result){.digest = kith_sim_digest(run->world),
                               .virtual_us = now_us,
                               .node_us = run->stats->node_us,
                               .undetected = ki_sim_stats_undetected(run->stats),
                               .last_start_us = ki_sim_scenario_start_us(&run->scenario, run->scenario.nodes - 1),
                               .lied = run->lied,
                               .violation = kith_sim_violation(run->world),
                               .stats = run->stats,
                               .samples = run->samples,
                               .sample_count = run->sample_count};
    kith_sim_read_totals(run->world, &out->totals);
    for (uint32_t node = 0; node < kith_sim_count(run->world); node++) {
        const kith *k = run->world->nodes[node]->k;
        struct kith_gauges gauges;
        if (!k)
            continue;
        kith_read_gauges(k, &gauges);
        out->memory_bytes += gauges.memory_bytes;
        out->entries += gauges.members;
    }
}
