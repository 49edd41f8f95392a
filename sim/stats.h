/* The numbers of a run, gathered by an observer: who holds whom alive, how long failures took to be seen, and verdicts
 * on members that nothing was wrong with.
 *
 *     struct sim_stats *stats = ki_sim_stats_new(s, nodes);
 *     ... kith_sim_add() ...;   kith_sim_warm(s);   ki_sim_stats_warm(s);
 *     kith_sim_crash(s, 3, KITH_SIM_HOST);   ki_sim_stats_killed(s, 3);
 *
 * A member is a node whose process has not ended, paused or not; the truth is the set of members.  A node's view is full
 * when it holds alive exactly the members. */
#ifndef KI_SIM_STATS_H
#define KI_SIM_STATS_H

#include "sim/world.h"

/* ---- durations by their logarithm: any number of them in a few hundred KiB, each to 0.1 % ---- */

struct sim_histogram {
    uint64_t *counts; /* SIM_HISTOGRAM_SIZE, made at the first value */
    uint64_t count;
    uint64_t max_us;
};

void ki_sim_histogram_add(struct sim_histogram *h, uint64_t us);
/* The smallest value that `ppm` of a million are not above; h->max_us for 1,000,000.  count must not be 0. */
uint64_t ki_sim_histogram_quantile_us(const struct sim_histogram *h, uint32_t ppm);
void ki_sim_histogram_free(struct sim_histogram *h);

/* ---- the observer ---- */

struct sim_kill {
    uint32_t node;
    uint64_t at_us;
    bool seen;           /* by anybody */
    bool over;           /* it was started again */
    uint64_t *told;      /* bit o: o has reported it failed */
};

struct sim_stats {
    uint32_t expected;   /* nodes of the run: views are full when all of them have been started, not before */
    uint32_t started, up, full; /* nodes ever started, members, nodes with a full view */
    uint64_t right, wrong;      /* of all members' views: entries that are members, entries that are not */
    bool agreed;         /* all members have full views now */
    uint64_t agreed_us;  /* when they first had; KITH_NEVER: not yet */
    uint64_t disturbed_us;      /* the last start or fault while they had not, or what ended it */
    uint64_t slowest_us; /* the longest way from there to full views again */
    uint64_t node_us;    /* time lived by all nodes together, until counted_us */
    uint64_t counted_us;

    uint64_t failed_events; /* a member was reported failed */
    uint64_t false_positives; /* one that runs, not paused or slow, and can be reached from there and back */
    struct sim_histogram detect;       /* kill to each observer's report, and */
    struct sim_histogram first_detect; /* to the first one */

    uint32_t words;      /* of one row */
    uint64_t **holds;    /* bit m of holds[o]: node o holds m alive */
    bool *is_up;
    uint32_t *node_right, *node_wrong;
    uint32_t *kill_of;   /* index + 1 of a node's last kill; 0: none */
    struct sim_kill *kills;
    size_t kill_count, kill_cap;
};

/* Begins to observe a world that has no nodes yet and will have at most `nodes`. */
struct sim_stats *ki_sim_stats_new(kith_sim *s, uint32_t nodes);
/* All running nodes were given full views (kith_sim_warm). */
void ki_sim_stats_warm(kith_sim *s);
/* This node was just crashed: from now on its detection is timed. */
void ki_sim_stats_killed(kith_sim *s, uint32_t node);
/* Brings node_us up to now. */
void ki_sim_stats_count(kith_sim *s);
/* Members that hold a killed node alive now: detections that are missing. */
uint64_t ki_sim_stats_undetected(const struct sim_stats *st);

#endif
