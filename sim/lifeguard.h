/* The experiment of the Lifeguard paper (Dadgar, Phillips, Currey, arXiv 1707.00788): what slow members do to a pool,
 * with plain SWIM, with each part of Lifeguard, and with all of it.  lifeguard.c says by which rules. */
#ifndef KI_SIM_LIFEGUARD_H
#define KI_SIM_LIFEGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_GUARD_NODES_MIN 8
#define SIM_GUARD_NODES_MAX 1024
#define SIM_GUARD_RUNS_MAX  1000
#define SIM_GUARD_SLOW      5 /* numbers of slow members: 1, 4, 8, 16, 32 */

enum sim_guard_kind { /* what is on beyond plain SWIM */
    SIM_GUARD_SWIM,
    SIM_GUARD_LHA_PROBE,
    SIM_GUARD_LHA_SUSPICION,
    SIM_GUARD_BUDDY,
    SIM_GUARD_LIFEGUARD,
    SIM_GUARD_KINDS
};

struct sim_guard_plan {
    uint32_t nodes;
    uint32_t runs; /* the whole experiment so often, each time with other luck */
    uint64_t seed;
    bool quick;    /* one pattern of slowness instead of all, and fewer members that stop */
};

struct sim_guard_times { /* of none: zeros */
    uint32_t count;
    uint64_t p50_us, p99_us;
};

struct ki_sim_guard_row {
    enum sim_guard_kind kind;
    uint32_t slow;            /* members that are slow, or that stop, at one time */
    uint64_t fp;              /* failures reported of members that are not slow, by anybody, */
    uint64_t fp_healthy;      /* and by those who are not slow themselves */
    uint32_t stopped;         /* members that really stopped, of all runs */
    uint32_t missed;          /* of these, not found out by everybody in time */
    struct sim_guard_times first, spread; /* from the stop to the first report, to the last one */
};

struct sim_guard;

/* "swim", "lha-probe", ... */
const char *ki_sim_guard_name(enum sim_guard_kind kind);

/* Makes an experiment that has not begun.  In: a plan within the limits above. */
struct sim_guard *ki_sim_guard_new(const struct sim_guard_plan *plan);
void ki_sim_guard_free(struct sim_guard *g);

/* Runs the next world of the experiment.  Returns false when there is none left. */
bool ki_sim_guard_next(struct sim_guard *g);
/* So many worlds have been run, of so many. */
uint64_t ki_sim_guard_done(const struct sim_guard *g, uint64_t *total);

/* How many numbers of slow members there are: those that are at most a quarter of the pool. */
uint32_t ki_sim_guard_slow_count(const struct sim_guard *g);
/* What has been seen so far with one kind of detector and one number of slow members; index ki_sim_guard_slow_count():
 * with all of them together, slow 0. */
struct ki_sim_guard_row ki_sim_guard_row(const struct sim_guard *g, enum sim_guard_kind kind, uint32_t index);
/* One number for everything that has happened in all worlds so far. */
uint64_t ki_sim_guard_digest(const struct sim_guard *g);

#endif
