/* The textbook epidemic (Demers et al. 1987; Karp et al. 2000), fast enough for a million nodes.
 *
 * A node is ignorant, infective (it knows the rumour and spreads it) or removed (it knows it and is silent).  In every
 * round callers call `fanout` others each, drawn uniformly from all but themselves, with replacement: the random phone
 * call.  Who learns in a round speaks from the next one on.  The published tables come out only by these rules:
 *
 *   push       Infective nodes call.  Each call is one payload.  Contacts count one by one and at once: of two pushes to
 *              one node in one round, the second has found a node that knew; a node whose interest ends
 *              makes no more of its calls.  A fan-out counts as so many contacts.
 *   pull       All nodes call, those that know it too, for they cannot know that there is no other news.  Each
 *              infective node that is called answers with one payload.  What it answered in one round is one contact:
 *              useful if anybody learnt from it, and a useful one sets the counter of useless ones back to 0
 *              (the footnote of Demers' Table 3).  With `never`, only the ignorant call: one payload a node.
 *   push-pull  All nodes call, and both halves apply to each call: between two infective nodes, two payloads.
 *   loss       befalls a call, so both its directions.  Payloads of a failed call count as sent; the caller
 *              gets no feedback from it.
 *   traffic    payloads over nodes.    residue  share of nodes never reached.
 *   t_avg      mean round of arrival, without the first node.    t_last  round of the last arrival.
 *
 * No published figure covers the blind rules with pull; here they count rounds in which a node was asked.
 *
 * Invariants: infective[0..live) are the infective nodes of this round, infective[live..end) those that learnt in
 * it; memory is allocated once, but the curve's; all is integers, so every compiler gives the same run. */
#include "sim/model/spread.h"

#include <stdlib.h>

#include "base/rng.h"

enum { /* bits of a node's state */
    SPREAD_KNOWS = 1,
    SPREAD_FRESH = 2,  /* learnt it in this round */
    SPREAD_GONE = 4,   /* removed */
    SPREAD_USED = 8,   /* somebody learnt it from its answers in this round */
    SPREAD_WASTED = 16 /* somebody who knew was answered in this round */
};

#define SPREAD_CALLS_UNASKED 1000000 /* a few hundredths of a second */

struct sim_spread {
    struct sim_spread_config cfg;
    struct ki_rng seeds, rng;
    uint8_t *state;      /* [nodes] */
    uint32_t *counter;   /* [nodes] */
    uint32_t *infective; /* [nodes] */
    uint32_t live, end;  /* of infective[] */
    uint32_t *curve;
    uint32_t curve_cap;
    uint32_t calls; /* made since stop_now() was asked */
    struct sim_spread_run run;
};

static bool spread_is_feedback(enum sim_spread_stop stop)
{
    return stop == SIM_SPREAD_FEEDBACK_COUNTER || stop == SIM_SPREAD_FEEDBACK_COIN;
}

static bool spread_is_blind(enum sim_spread_stop stop)
{
    return stop == SIM_SPREAD_BLIND_COUNTER || stop == SIM_SPREAD_BLIND_COIN;
}

const char *ki_sim_spread_refusal(const struct sim_spread_config *config)
{
    if (config->nodes < 2 || config->nodes > SIM_SPREAD_NODES_MAX)
        return "nodes must be 2 to 10,000,000";
    if (config->k == 0 || config->k > SIM_SPREAD_K_MAX)
        return "k must be 1 to 1,000";
    if (config->fanout == 0 || config->fanout > SIM_SPREAD_FANOUT_MAX)
        return "fanout must be 1 to 1,000";
    if (config->loss_ppm > SIM_PPM)
        return "loss must be 0 % to 100 %";
    if (config->loss_ppm == SIM_PPM && !spread_is_blind(config->stop))
        return "only the blind stop rules ever end with a loss of 100 %";
    return NULL;
}

struct sim_spread *ki_sim_spread_new(const struct sim_spread_config *config)
{
    KI_ASSERT(!ki_sim_spread_refusal(config));
    struct sim_spread *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->cfg = *config;
    ki_rng_init(&s->seeds, config->seed);
    s->state = malloc(config->nodes * sizeof *s->state);
    s->counter = malloc(config->nodes * sizeof *s->counter);
    s->infective = malloc(config->nodes * sizeof *s->infective);
    if (s->state && s->counter && s->infective)
        return s;
    ki_sim_spread_free(s);
    return NULL;
}

void ki_sim_spread_free(struct sim_spread *s)
{
    if (!s)
        return;
    free(s->state);
    free(s->counter);
    free(s->infective);
    free(s->curve);
    free(s);
}

static bool spread_is_infective(const struct sim_spread *s, uint32_t node)
{
    return (s->state[node] & (SPREAD_KNOWS | SPREAD_FRESH | SPREAD_GONE)) == SPREAD_KNOWS;
}

static void spread_learn(struct sim_spread *s, uint32_t node)
{
    s->state[node] = SPREAD_KNOWS | SPREAD_FRESH;
    s->counter[node] = 0;
    s->infective[s->end++] = node;
    s->run.reached++;
}

/* A contact of the kind that costs interest. */
static void spread_tire(struct sim_spread *s, uint32_t node)
{
    bool ends = false;
    switch (s->cfg.stop) {
    case SIM_SPREAD_NEVER:
        break;
    case SIM_SPREAD_FEEDBACK_COUNTER:
    case SIM_SPREAD_BLIND_COUNTER:
        ends = ++s->counter[node] == s->cfg.k;
        break;
    case SIM_SPREAD_FEEDBACK_COIN:
    case SIM_SPREAD_BLIND_COIN:
        ends = ki_rng_below(&s->rng, s->cfg.k) == 0;
        break;
    }
    if (ends)
        s->state[node] |= SPREAD_GONE;
}

static void spread_push(struct sim_spread *s, uint32_t from, uint32_t to, bool lost)
{
    bool useless = !lost && (s->state[to] & SPREAD_KNOWS);
    s->run.sent++;
    if (!lost && !useless)
        spread_learn(s, to);
    if (useless || spread_is_blind(s->cfg.stop))
        spread_tire(s, from);
}

/* The answer of `to` to the caller. */
static void spread_pull(struct sim_spread *s, uint32_t from, uint32_t to, bool lost)
{
    bool useful = !lost && !(s->state[from] & SPREAD_KNOWS);
    s->run.sent++;
    if (useful)
        spread_learn(s, from);
    if (useful)
        s->state[to] |= SPREAD_USED;
    else if (!lost || spread_is_blind(s->cfg.stop))
        s->state[to] |= SPREAD_WASTED;
}

static void spread_call(struct sim_spread *s, uint32_t from)
{
    for (uint32_t i = 0; i < s->cfg.fanout; i++) {
        bool tells = s->cfg.mode != SIM_SPREAD_PULL && spread_is_infective(s, from);
        if (s->cfg.mode == SIM_SPREAD_PUSH && !tells)
            return;
        uint32_t to = (uint32_t)ki_rng_below(&s->rng, s->cfg.nodes - 1);
        to += to >= from;
        bool lost = s->cfg.loss_ppm > 0 && ki_rng_below(&s->rng, SIM_PPM) < s->cfg.loss_ppm;
        bool answers = s->cfg.mode != SIM_SPREAD_PUSH && spread_is_infective(s, to);
        if (tells)
            spread_push(s, from, to, lost);
        if (answers)
            spread_pull(s, from, to, lost);
    }
}

/* Judges a round's answers of a node; from now on it may speak. */
static void spread_settle(struct sim_spread *s, uint32_t node)
{
    uint8_t answered = s->state[node] & (SPREAD_USED | SPREAD_WASTED);
    s->state[node] &= (uint8_t) ~(SPREAD_FRESH | SPREAD_USED | SPREAD_WASTED);
    if (answered == 0 || (s->state[node] & SPREAD_GONE))
        return;
    if (spread_is_feedback(s->cfg.stop) && (answered & SPREAD_USED))
        s->counter[node] = 0;
    else
        spread_tire(s, node);
}

/* A round of ten million nodes with a thousand calls each takes minutes, so it is asked within the round, too. */
static bool spread_goes_on(struct sim_spread *s, uint32_t calls)
{
    s->calls += calls;
    if (s->calls < SPREAD_CALLS_UNASKED || s->run.cut)
        return !s->run.cut;
    s->calls = 0;
    s->run.cut = s->cfg.stop_now && s->cfg.stop_now();
    return !s->run.cut;
}

static void spread_round(struct sim_spread *s)
{
    bool endless = s->cfg.stop == SIM_SPREAD_NEVER;
    if (s->cfg.mode == SIM_SPREAD_PUSH) {
        for (uint32_t i = 0; i < s->live && spread_goes_on(s, s->cfg.fanout); i++)
            spread_call(s, s->infective[i]);
    } else {
        bool all = s->cfg.mode == SIM_SPREAD_PUSH_PULL || !endless;
        for (uint32_t node = 0; node < s->cfg.nodes && spread_goes_on(s, s->cfg.fanout); node++) {
            if (all || !(s->state[node] & SPREAD_KNOWS))
                spread_call(s, node);
        }
    }
    uint32_t kept = endless ? s->live : 0; /* nothing happens to those before */
    for (uint32_t i = kept; i < s->end; i++) {
        uint32_t node = s->infective[i];
        spread_settle(s, node);
        if (!(s->state[node] & SPREAD_GONE))
            s->infective[kept++] = node;
    }
    s->live = s->end = kept;
}

static bool spread_draw(struct sim_spread *s, uint32_t round)
{
    if (round >= s->curve_cap) {
        uint32_t cap = s->curve_cap > 0 ? s->curve_cap * 2 : 128;
        uint32_t *curve = realloc(s->curve, cap * sizeof *curve);
        if (!curve)
            return false;
        s->curve = curve;
        s->curve_cap = cap;
    }
    s->curve[round] = s->run.reached;
    return true;
}

static bool spread_is_over(const struct sim_spread *s)
{
    return s->live == 0 || (s->cfg.stop == SIM_SPREAD_NEVER && s->run.reached == s->cfg.nodes);
}

bool ki_sim_spread_next(struct sim_spread *s, struct sim_spread_run *out)
{
    ki_rng_init(&s->rng, ki_rng_next(&s->seeds));
    memset(s->state, 0, s->cfg.nodes * sizeof *s->state);
    s->run = (struct sim_spread_run){.reached = 0};
    s->live = s->end = 0;
    spread_learn(s, 0);
    s->state[0] = SPREAD_KNOWS;
    s->live = 1;
    bool done = spread_draw(s, 0);
    for (uint32_t round = 1; done && !spread_is_over(s); round++) {
        uint32_t before = s->run.reached;
        s->run.cut = s->run.cut || round > SIM_SPREAD_ROUNDS_MAX;
        if (!spread_goes_on(s, SPREAD_CALLS_UNASKED))
            break;
        spread_round(s);
        if (s->run.reached > before)
            s->run.last = round;
        s->run.arrivals += (uint64_t)round * (s->run.reached - before);
        done = spread_draw(s, round);
    }
    s->run.curve = s->curve;
    *out = s->run;
    return done;
}
