/* The Lifeguard experiment, in two parts, for each kind of detector and each number of slow members C:
 *
 *   slowness  C members are too busy to read and write for a time D, then have a while I to catch up, over and over for
 *             two minutes; their timers run on.  A failure reported of a member that is not slow is a false positive.
 *   stopping  C members stop for good at one time.  How long until the first of the others reports it, and the last?
 *
 *   |-- quiet --|--D--|I|--D--|I|-- ... --| no slowness: time for every verdict that is due --|
 *   |-- quiet --x C members stop --------- until all others have reported all of them ----------|
 *
 * The kinds differ in nothing but the parts of Lifeguard (sections IV.A to IV.C of the paper):
 *
 *   LHA-Probe      local health stretches the probe's interval and timeout: health_max 8, else 1
 *   LHA-Suspicion  the suspicion timeout begins at beta times its minimum and shrinks with agreement: else beta 1
 *   Buddy          a ping to a suspect carries the accusation: else it learns of it from gossip
 *
 * Parameters are those of the paper's main experiment: alpha 5, beta 6.  Suspicion ends after at least
 * alpha * log10(n) probe intervals, 10.5 s for 128 members; plain SWIM waits just so long, which is how long Lifeguard
 * waits once alpha - 2 = 3 others agree.  So the two are equally quick about true failures, and only then is the number
 * of their mistakes a comparison.  All other settings are the profile lan's, and kith's own additions (kith_config.stock)
 * are on for all kinds: they are no part of Lifeguard.
 *
 * Kinds share their luck: the same members are slow, and the worlds begin equal, until the detectors differ.
 * The durations are powers of two as in the paper, from just below a suspicion's length (8 s) to three of them (32 s), with
 * time for hardly one exchange of datagrams between them (64 ms) or for several probes (4 s).  Shorter ones upset nobody:
 * what a member suspects meanwhile is refuted before the suspicion ends.
 *
 * Deliberately not here: printing (cli/sim_lifeguard.c), and the paper's tuning of alpha and beta. */
#include "sim/lifeguard.h"

#include <stdlib.h>

#include "base/rank.h"
#include "sim/world.h"

#define GUARD_ALPHA 5
#define GUARD_BETA 6
#define GUARD_HEALTH_MAX 8
#define GUARD_QUIET_US (10 * KITH_SIM_SECOND) /* everybody has been probed a few times, and the news of the start is out */
#define GUARD_SLOW_US (120 * KITH_SIM_SECOND)
#define GUARD_TAIL_US (100 * KITH_SIM_SECOND) /* longer than any suspicion: beta * alpha * log10(1024), 90.3 s */
#define GUARD_STOP_US (240 * KITH_SIM_SECOND) /* when those who have not been found out by then are missed */
#define GUARD_STOPPED 32 /* members that stop in one run of the experiment, a kind and a number of slow members */
#define GUARD_STOPPED_QUICK 8
#define GUARD_NOT UINT32_MAX

static const uint32_t guard_slow[SIM_GUARD_SLOW] = {1, 4, 8, 16, 32};

static const struct guard_pattern { /* held up and let go, milliseconds */
    uint32_t held_ms, free_ms;
} guard_patterns[] = {
    {32768, 64}, /* the one of the quick form */
    {32768, 4096}, {16384, 64}, {16384, 4096}, {8192, 64}, {8192, 4096},
};

struct guard_times { /* microseconds, in no order */
    uint64_t *us;
    size_t count, cap;
};

struct guard_cell {
    uint64_t fp, fp_healthy;
    uint32_t stopped, missed;
    struct guard_times first, spread;
};

struct sim_guard {
    struct sim_guard_plan plan;
    struct guard_cell cells[SIM_GUARD_KINDS][SIM_GUARD_SLOW];
    uint64_t digest;
    /* the next world: runs, numbers of slow members, their patterns and then their stops, kinds; the last turns fastest */
    uint32_t run, slow, world;
    enum sim_guard_kind kind;
    uint64_t done;
};

/* One world on its way. */
struct guard_world {
    kith_sim *s;
    struct guard_cell *cell;
    const struct sim_guard_plan *plan;
    struct ki_rng rng;
    uint32_t *slow;     /* which members: the first `count` of a shuffled list of all */
    uint32_t count;
    uint32_t *index_of; /* of a node in `slow`; GUARD_NOT: it is healthy */
    bool stopping;
    uint64_t stopped_us;
    uint32_t *reports;  /* of each that stopped */
    uint32_t known;     /* of them, reported by everybody */
};

const char *ki_sim_guard_name(enum sim_guard_kind kind)
{
    static const char *const names[SIM_GUARD_KINDS] = {"swim", "lha-probe", "lha-suspicion", "buddy", "lifeguard"};
    return names[kind];
}

/* ---- the plan ---- */

struct sim_guard *ki_sim_guard_new(const struct sim_guard_plan *plan)
{
    KI_ASSERT(plan->nodes >= SIM_GUARD_NODES_MIN && plan->nodes <= SIM_GUARD_NODES_MAX);
    KI_ASSERT(plan->runs >= 1 && plan->runs <= SIM_GUARD_RUNS_MAX);
    struct sim_guard *g = ki_sim_make(sizeof *g);
    g->plan = *plan;
    return g;
}

void ki_sim_guard_free(struct sim_guard *g)
{
    if (!g)
        return;
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        for (unsigned i = 0; i < SIM_GUARD_SLOW; i++) {
            free(g->cells[kind][i].first.us);
            free(g->cells[kind][i].spread.us);
        }
    }
    free(g);
}

uint32_t ki_sim_guard_slow_count(const struct sim_guard *g)
{
    uint32_t count = 0;
    while (count < SIM_GUARD_SLOW && guard_slow[count] <= g->plan.nodes / 4)
        count++;
    return count;
}

static uint32_t guard_patterns_of(const struct sim_guard *g)
{
    return g->plan.quick ? 1 : (uint32_t)KI_COUNT(guard_patterns);
}

/* Worlds in which members stop: together as many members for each number of slow ones. */
static uint32_t guard_stops_of(const struct sim_guard *g, uint32_t slow)
{
    uint32_t members = g->plan.quick ? GUARD_STOPPED_QUICK : GUARD_STOPPED;
    return (members + guard_slow[slow] - 1) / guard_slow[slow];
}

uint64_t ki_sim_guard_done(const struct sim_guard *g, uint64_t *total)
{
    *total = 0;
    for (uint32_t slow = 0; slow < ki_sim_guard_slow_count(g); slow++)
        *total += guard_patterns_of(g) + guard_stops_of(g, slow);
    *total *= (uint64_t)g->plan.runs * SIM_GUARD_KINDS;
    return g->done;
}

uint64_t ki_sim_guard_digest(const struct sim_guard *g)
{
    return g->digest;
}

/* ---- a world ---- */

static void guard_adjust(struct kith_config *c, enum sim_guard_kind kind)
{
    bool all = kind == SIM_GUARD_LIFEGUARD;
    c->suspicion_mult = GUARD_ALPHA;
    c->suspicion_max_mult = all || kind == SIM_GUARD_LHA_SUSPICION ? GUARD_BETA : 1;
    c->health_max = all || kind == SIM_GUARD_LHA_PROBE ? GUARD_HEALTH_MAX : 1;
    c->buddy = all || kind == SIM_GUARD_BUDDY;
    c->compress = false; /* it changes no decision */
}

/* Chooses who will be slow: a shuffle of all. */
static void guard_choose(struct guard_world *w)
{
    uint32_t nodes = w->plan->nodes;
    w->slow = ki_sim_make(nodes * sizeof *w->slow);
    w->index_of = ki_sim_make(nodes * sizeof *w->index_of);
    w->reports = ki_sim_make(w->count * sizeof *w->reports);
    for (uint32_t n = 0; n < nodes; n++) {
        uint32_t at = (uint32_t)ki_rng_below(&w->rng, n + 1);
        w->slow[n] = w->slow[at];
        w->slow[at] = n;
        w->index_of[n] = GUARD_NOT;
    }
    for (uint32_t i = 0; i < w->count; i++)
        w->index_of[w->slow[i]] = i;
}

static void guard_world_make(struct guard_world *w, enum sim_guard_kind kind)
{
    struct kith_sim_config config;
    kith_sim_config_init(&config, ki_rng_next(&w->rng));
    config.persist = false;
    config.check = false;
    int error = kith_sim_new(&w->s, &config);
    for (uint32_t n = 0; n < w->plan->nodes && !error; n++) {
        struct kith_config node;
        kith_sim_node_config(w->s, n, KITH_PROFILE_LAN, &node);
        guard_adjust(&node, kind);
        error = kith_sim_add(w->s, &node, NULL);
    }
    if (!error)
        error = kith_sim_warm(w->s);
    KI_ASSERT(error == 0);
    guard_choose(w);
}

static void guard_times_add(struct guard_times *t, uint64_t us)
{
    t->us = ki_sim_grow(t->us, &t->cap, t->count, sizeof *t->us);
    t->us[t->count++] = us;
}

/* `observer` reports a failure. */
static void guard_failed(struct guard_world *w, uint32_t observer, uint32_t member)
{
    uint32_t index = w->index_of[member];
    bool healthy = w->index_of[observer] == GUARD_NOT;
    if (index == GUARD_NOT) {
        w->cell->fp++;
        w->cell->fp_healthy += healthy;
        return;
    }
    if (!w->stopping)
        return; /* it is slow: that is what detectors are for */
    uint64_t after_us = kith_sim_now_us(w->s) - w->stopped_us;
    if (++w->reports[index] == 1)
        guard_times_add(&w->cell->first, after_us);
    if (w->reports[index] == w->plan->nodes - w->count) {
        guard_times_add(&w->cell->spread, after_us);
        w->known++;
    }
}

static void guard_run(struct guard_world *w, uint64_t until_us)
{
    struct kith_sim_happening h;
    bool all = false;
    while (!all && kith_sim_step(w->s, until_us, &h)) {
        bool member = h.kind == KITH_SIM_EVENT && h.event.kind == KITH_EVENT_MEMBER;
        if (member && (h.event.changed & KITH_CHANGED_FAILED))
            guard_failed(w, h.node, kith_sim_find(w->s, &h.event.member.addr));
        all = w->stopping && w->known == w->count;
    }
}

static void guard_slowness(struct guard_world *w, const struct guard_pattern *pattern)
{
    uint64_t end_us = GUARD_QUIET_US + GUARD_SLOW_US;
    for (uint64_t at_us = GUARD_QUIET_US; at_us < end_us;) {
        uint64_t free_us = ki_min_u64(at_us + pattern->held_ms * KITH_SIM_MS, end_us);
        for (uint32_t i = 0; i < w->count; i++)
            kith_sim_slow(w->s, w->slow[i], free_us);
        at_us = ki_min_u64(free_us + pattern->free_ms * KITH_SIM_MS, end_us);
        guard_run(w, at_us);
    }
    guard_run(w, end_us + GUARD_TAIL_US);
}

static void guard_stop(struct guard_world *w)
{
    w->stopping = true;
    w->stopped_us = kith_sim_now_us(w->s);
    for (uint32_t i = 0; i < w->count; i++)
        kith_sim_crash(w->s, w->slow[i], KITH_SIM_HOST);
    guard_run(w, w->stopped_us + GUARD_STOP_US);
    w->cell->stopped += w->count;
    w->cell->missed += w->count - w->known;
}

/* ---- all of them ---- */

static void guard_advance(struct sim_guard *g)
{
    g->done++;
    if (++g->kind < SIM_GUARD_KINDS)
        return;
    g->kind = SIM_GUARD_SWIM;
    if (++g->world < guard_patterns_of(g) + guard_stops_of(g, g->slow))
        return;
    g->world = 0;
    if (++g->slow < ki_sim_guard_slow_count(g))
        return;
    g->slow = 0;
    g->run++;
}

bool ki_sim_guard_next(struct sim_guard *g)
{
    if (g->run == g->plan.runs)
        return false;
    struct guard_world w = {.plan = &g->plan, .cell = &g->cells[g->kind][g->slow], .count = guard_slow[g->slow]};
    const uint64_t luck = (uint64_t)g->run << 32 | (uint64_t)g->slow << 16 | g->world; /* the same for all kinds */
    ki_rng_init(&w.rng, g->plan.seed);
    ki_rng_init(&w.rng, ki_rng_next(&w.rng) ^ luck);
    guard_world_make(&w, g->kind);
    guard_run(&w, GUARD_QUIET_US);
    if (g->world < guard_patterns_of(g))
        guard_slowness(&w, &guard_patterns[g->world]);
    else
        guard_stop(&w);
    ki_rng_init(&w.rng, g->digest ^ kith_sim_digest(w.s));
    g->digest = ki_rng_next(&w.rng);
    kith_sim_free(w.s);
    free(w.slow);
    free(w.index_of);
    free(w.reports);
    guard_advance(g);
    return true;
}

/* ---- results ---- */

static void guard_append(struct guard_times *to, const struct guard_times *from)
{
    for (size_t i = 0; i < from->count; i++)
        guard_times_add(to, from->us[i]);
}

/* Sorts them. */
static struct sim_guard_times guard_summary(struct guard_times *t)
{
    struct sim_guard_times out = {.count = (uint32_t)t->count};
    if (t->count > 0) {
        qsort(t->us, t->count, sizeof *t->us, ki_rank_order);
        out.p50_us = ki_rank(t->us, t->count, 50);
        out.p99_us = ki_rank(t->us, t->count, 99);
    }
    return out;
}

struct ki_sim_guard_row ki_sim_guard_row(const struct sim_guard *g, enum sim_guard_kind kind, uint32_t index)
{
    uint32_t slow_count = ki_sim_guard_slow_count(g);
    bool all = index == slow_count;
    KI_ASSERT(index <= slow_count);
    struct ki_sim_guard_row row = {.kind = kind, .slow = all ? 0 : guard_slow[index]};
    struct guard_times first = {.count = 0}, spread = {.count = 0};
    for (uint32_t i = all ? 0 : index; i < (all ? slow_count : index + 1); i++) {
        const struct guard_cell *cell = &g->cells[kind][i];
        row.fp += cell->fp;
        row.fp_healthy += cell->fp_healthy;
        row.stopped += cell->stopped;
        row.missed += cell->missed;
        guard_append(&first, &cell->first);
        guard_append(&spread, &cell->spread);
    }
    row.first = guard_summary(&first);
    row.spread = guard_summary(&spread);
    free(first.us);
    free(spread.us);
    return row;
}
