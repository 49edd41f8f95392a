/* Statistics by looking on: no view is ever read, because one look at all views of a large cluster costs more than a
 * second of its life.
 *
 * The idea: every change of a view is an event of its node, so one bit for each pair (who holds whom alive), in a row for
 * each node, follows all views exactly, and two counters a node say how much of its view is right and how much is wrong.
 * "All views are full" is then known at the very event that completes them, not at the next sample.  kith_sim_agrees() is
 * the proof: whoever uses these numbers asks it once.
 *
 * Invariants: for each member o, node_right[o] + node_wrong[o] = bits of row o; a node that is down holds
 * nobody; right, wrong, full and agreed are what the counters say.
 *
 * Detection times of 10,000 nodes and 1,000 kills are 10^7 numbers: they go into a histogram whose buckets grow with the
 * value, so a percentile is right to 0.1 %.
 *
 * Not here: traffic (kith_sim_read_totals()), memory, and time but virtual. */
#include "sim/stats.h"

#define STATS_SUB_BITS 10
#define STATS_SUB      (1u << STATS_SUB_BITS)          /* buckets of each power of two; below STATS_SUB: exact */
#define STATS_BUCKETS  ((64 - STATS_SUB_BITS + 1) * STATS_SUB)

static const struct sim_observer stats_observer;

/* ---- the histogram ---- */

static uint32_t stats_bucket(uint64_t us)
{
    uint32_t shift = 0;
    while (us >> shift >= 2 * STATS_SUB)
        shift++;
    return shift * STATS_SUB + (uint32_t)(us >> shift);
}

/* The largest value of a bucket. */
static uint64_t stats_bucket_us(uint32_t bucket)
{
    uint32_t shift = bucket < 2 * STATS_SUB ? 0 : bucket / STATS_SUB - 1;
    uint64_t sub = bucket - shift * STATS_SUB;
    return (sub << shift) + (((uint64_t)1 << shift) - 1);
}

void ki_sim_histogram_add(struct sim_histogram *h, uint64_t us)
{
    if (!h->counts)
        h->counts = ki_sim_make(STATS_BUCKETS * sizeof *h->counts);
    h->counts[stats_bucket(us)]++;
    h->count++;
    h->max_us = ki_max_u64(h->max_us, us);
}

uint64_t ki_sim_histogram_quantile_us(const struct sim_histogram *h, uint32_t ppm)
{
    KI_ASSERT(h->count > 0 && ppm <= 1000000);
    uint64_t rank = h->count / 1000000 * ppm + (h->count % 1000000 * ppm + 999999) / 1000000; /* rounded up */
    uint64_t below = 0;
    for (uint32_t bucket = 0; bucket < STATS_BUCKETS; bucket++) {
        below += h->counts[bucket];
        if (below >= rank && below > 0)
            return ki_min_u64(stats_bucket_us(bucket), h->max_us);
    }
    KI_UNREACHABLE();
}

void ki_sim_histogram_free(struct sim_histogram *h)
{
    free(h->counts);
    *h = (struct sim_histogram){0};
}

/* ---- bits ---- */

static bool stats_bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static void stats_set(uint64_t *bits, uint32_t at, bool value)
{
    uint64_t mask = (uint64_t)1 << (at % 64);
    bits[at / 64] = value ? bits[at / 64] | mask : bits[at / 64] & ~mask;
}

/* ---- views ---- */

static bool stats_is_full(const struct sim_stats *st, uint32_t node)
{
    return st->is_up[node] && st->node_right[node] == st->up && st->node_wrong[node] == 0;
}

/* After every change: has it completed all views, or spoilt them? */
static void stats_judge(const kith_sim *s, struct sim_stats *st)
{
    bool agreed = st->started == st->expected && st->up > 0 && st->full == st->up;
    if (agreed == st->agreed)
        return;
    st->agreed = agreed;
    if (!agreed) {
        st->disturbed_us = s->now_us;
        return;
    }
    st->agreed_us = ki_min_u64(st->agreed_us, s->now_us);
    st->slowest_us = ki_max_u64(st->slowest_us, s->now_us - st->disturbed_us);
}

/* The number of members has changed, so whose view is full is anybody's guess. */
static void stats_count_full(struct sim_stats *st)
{
    st->full = 0;
    for (uint32_t node = 0; node < st->expected; node++)
        st->full += stats_is_full(st, node);
}

static void stats_hold(struct sim_stats *st, uint32_t node, uint32_t member, bool alive)
{
    if (stats_bit(st->holds[node], member) == alive)
        return;
    bool was_full = stats_is_full(st, node);
    uint32_t *mine = st->is_up[member] ? &st->node_right[node] : &st->node_wrong[node];
    uint64_t *all = st->is_up[member] ? &st->right : &st->wrong;
    stats_set(st->holds[node], member, alive);
    *mine = alive ? *mine + 1 : *mine - 1;
    *all = alive ? *all + 1 : *all - 1;
    st->full += stats_is_full(st, node);
    st->full -= was_full;
}

/* A node has become a member, or is none any more: what others hold of it becomes right, or wrong. */
static void stats_turn(struct sim_stats *st, uint32_t member, bool up)
{
    st->is_up[member] = up;
    st->up = up ? st->up + 1 : st->up - 1;
    for (uint32_t node = 0; node < st->expected; node++) {
        if (!st->is_up[node] || !stats_bit(st->holds[node], member))
            continue;
        uint32_t one = 1, other = UINT32_MAX; /* -1 */
        st->node_right[node] += up ? one : other;
        st->node_wrong[node] += up ? other : one;
        st->right = up ? st->right + 1 : st->right - 1;
        st->wrong = up ? st->wrong - 1 : st->wrong + 1;
    }
}

static void stats_forget(struct sim_stats *st, uint32_t node)
{
    memset(st->holds[node], 0, st->words * sizeof(uint64_t));
    st->right -= st->node_right[node];
    st->wrong -= st->node_wrong[node];
    st->node_right[node] = st->node_wrong[node] = 0;
}

/* ---- what is observed ---- */

static void stats_lived(const kith_sim *s, struct sim_stats *st)
{
    st->node_us += (s->now_us - st->counted_us) * st->up;
    st->counted_us = s->now_us;
}

static void stats_born(kith_sim *s, void *state, uint32_t node)
{
    struct sim_stats *st = state;
    KI_ASSERT(node < st->expected && !st->is_up[node]);
    stats_lived(s, st);
    if (st->kill_of[node] > 0)
        st->kills[st->kill_of[node] - 1].over = true;
    st->started = (uint32_t)ki_max_u64(st->started, node + 1);
    stats_turn(st, node, true);
    stats_hold(st, node, node, true);
    stats_count_full(st);
    if (!st->agreed)
        st->disturbed_us = s->now_us;
    stats_judge(s, st);
}

static void stats_dying(kith_sim *s, void *state, uint32_t node)
{
    struct sim_stats *st = state;
    stats_lived(s, st);
    stats_forget(st, node);
    stats_turn(st, node, false);
    stats_count_full(st);
    if (!st->agreed)
        st->disturbed_us = s->now_us;
    stats_judge(s, st);
}

static void stats_fault(kith_sim *s, void *state)
{
    struct sim_stats *st = state;
    if (!st->agreed)
        st->disturbed_us = s->now_us;
}

/* `node` has reported a member failed: rightly? */
static void stats_failed(kith_sim *s, struct sim_stats *st, uint32_t node, uint32_t member)
{
    st->failed_events++;
    if (st->is_up[member]) {
        bool fit = kith_sim_life(s, member) == KITH_SIM_RUNNING && s->nodes[member]->slow_until_us <= s->now_us;
        if (fit && !kith_sim_is_cut(s, node, member) && !kith_sim_is_cut(s, member, node))
            st->false_positives++;
        return;
    }
    if (st->kill_of[member] == 0)
        return;
    struct sim_kill *kill = &st->kills[st->kill_of[member] - 1];
    if (kill->over || stats_bit(kill->told, node))
        return;
    stats_set(kill->told, node, true);
    ki_sim_histogram_add(&st->detect, s->now_us - kill->at_us);
    if (!kill->seen)
        ki_sim_histogram_add(&st->first_detect, s->now_us - kill->at_us);
    kill->seen = true;
}

static void stats_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    struct sim_stats *st = state;
    if (event->kind != KITH_EVENT_MEMBER)
        return;
    uint32_t member = kith_sim_find(s, &event->member.addr);
    if (member == KITH_SIM_ALL)
        return;
    if (event->changed & KITH_CHANGED_FAILED)
        stats_failed(s, st, node, member);
    enum kith_status status = event->member.status;
    stats_hold(st, node, member, status == KITH_STATUS_ALIVE || status == KITH_STATUS_LEAVING);
    stats_judge(s, st);
}

static void stats_end(kith_sim *s, void *state)
{
    struct sim_stats *st = state;
    (void)s;
    for (uint32_t node = 0; node < st->expected; node++)
        free(st->holds[node]);
    for (size_t i = 0; i < st->kill_count; i++)
        free(st->kills[i].told);
    free(st->holds);
    free(st->is_up);
    free(st->node_right);
    free(st->node_wrong);
    free(st->kill_of);
    free(st->kills);
    ki_sim_histogram_free(&st->detect);
    ki_sim_histogram_free(&st->first_detect);
}

static const struct sim_observer stats_observer = {
    .name = "stats",
    .state_size = sizeof(struct sim_stats),
    .born = stats_born,
    .dying = stats_dying,
    .event = stats_event,
    .fault = stats_fault,
    .end = stats_end,
};

/* ---- what the user of the numbers does ---- */

struct sim_stats *ki_sim_stats_new(kith_sim *s, uint32_t nodes)
{
    KI_ASSERT(kith_sim_count(s) == 0 && nodes > 0);
    struct sim_stats *st = ki_sim_observe(s, &stats_observer);
    st->expected = nodes;
    st->agreed_us = KITH_NEVER;
    st->words = (nodes + 63) / 64;
    st->holds = ki_sim_make(nodes * sizeof(*st->holds));
    st->is_up = ki_sim_make(nodes * sizeof(*st->is_up));
    st->node_right = ki_sim_make(nodes * sizeof(*st->node_right));
    st->node_wrong = ki_sim_make(nodes * sizeof(*st->node_wrong));
    st->kill_of = ki_sim_make(nodes * sizeof(*st->kill_of));
    for (uint32_t node = 0; node < nodes; node++)
        st->holds[node] = ki_sim_make(st->words * sizeof(uint64_t));
    return st;
}

void ki_sim_stats_warm(kith_sim *s)
{
    struct sim_stats *st = ki_sim_observer_state(s, &stats_observer);
    for (uint32_t member = 0; member < st->expected; member++) {
        for (uint32_t node = 0; node < st->expected; node++) {
            if (st->is_up[member] && st->is_up[node])
                stats_hold(st, node, member, true);
        }
    }
    stats_judge(s, st);
}

void ki_sim_stats_killed(kith_sim *s, uint32_t node)
{
    struct sim_stats *st = ki_sim_observer_state(s, &stats_observer);
    KI_ASSERT(!st->is_up[node]);
    st->kills = ki_sim_grow(st->kills, &st->kill_cap, st->kill_count, sizeof *st->kills);
    st->kills[st->kill_count++] = (struct sim_kill){
        .node = node, .at_us = s->now_us, .told = ki_sim_make(st->words * sizeof(uint64_t))};
    st->kill_of[node] = (uint32_t)st->kill_count;
}

void ki_sim_stats_count(kith_sim *s)
{
    stats_lived(s, ki_sim_observer_state(s, &stats_observer));
}

uint64_t ki_sim_stats_undetected(const struct sim_stats *st)
{
    uint64_t missing = 0;
    for (size_t i = 0; i < st->kill_count; i++) {
        if (st->kills[i].over)
            continue;
        for (uint32_t node = 0; node < st->expected; node++)
            missing += st->is_up[node] && stats_bit(st->holds[node], st->kills[i].node);
    }
    return missing;
}
