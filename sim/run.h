/* One run of one cluster: a scenario goes in, numbers come out.
 *
 *     struct sim_run *run = ki_sim_run_new(&scenario);           which ki_sim_scenario_fault() has found possible
 *     while (ki_sim_run_advance(run, at += 10 * KITH_SIM_MS))    in steps of any size: they change nothing
 *         ...;
 *     ki_sim_run_measure(run, &result);
 *     ki_sim_run_free(run); */
#ifndef KI_SIM_RUN_H
#define KI_SIM_RUN_H

#include "sim/stats.h"

enum sim_run_fault_kind {
    SIM_RUN_KILL,     /* processes end without a word, their hosts refuse what comes */
    SIM_RUN_CRASH,    /* hosts fall silent */
    SIM_RUN_LEAVE,    /* members leave gracefully, and end */
    SIM_RUN_PAUSE,    /* these four have an end */
    SIM_RUN_SLOW,
    SIM_RUN_RESTART,  /* ended as by KILL, and started again without what they knew */
    SIM_RUN_PARTITION /* cut from all others, not from each other */
};

struct sim_run_fault {
    enum sim_run_fault_kind kind;
    uint32_t nodes;
    uint64_t at_us;
    uint64_t until_us; /* KITH_NEVER: stays */
};

struct sim_scenario {
    uint64_t seed;
    uint32_t nodes;
    uint64_t for_us;
    enum kith_profile profile;
    struct kith_sim_link link;
    bool warm;          /* all begin with full views; else they start one by one and join */
    bool compress;
    bool key;           /* all share a secret */
    bool check;         /* run the checkers */
    uint32_t stock_ppm; /* of a million nodes, so many have config.stock */
    uint32_t trace_lines;
    const struct sim_run_fault *faults; /* borrowed for as long as the run lives */
    size_t fault_count;
};

/* Cold nodes start one after another, 10 ms apart, all within 10 s and within half of the run. */
uint64_t ki_sim_scenario_start_us(const struct sim_scenario *scenario, uint32_t node);

enum sim_impossible { SIM_POSSIBLE, SIM_TOO_LATE, SIM_TOO_MANY, SIM_NO_NODES, SIM_TOO_MANY_SIDES };

/* Finds the first fault that cannot be.
 * Out: index  of it;  left  nodes that it could have had.   Returns: why, or SIM_POSSIBLE. */
enum sim_impossible ki_sim_scenario_fault(const struct sim_scenario *scenario, size_t *index, uint32_t *left);

struct sim_sample { /* the time that ended at at_us */
    uint64_t at_us;
    uint32_t up;         /* members: nodes whose process has not ended */
    uint32_t full;       /* of them, those whose view is full */
    uint64_t right;      /* entries of all their views that are right; up * up when all is */
    uint64_t wrong;
    uint64_t failed_events;
    uint64_t node_us;    /* lived by all nodes together since the sample before; and in that time: */
    uint64_t datagrams, datagram_bytes, streams, stream_bytes;
};

struct sim_result {
    uint64_t digest;
    uint64_t virtual_us;
    uint64_t node_us;       /* lived by all nodes together */
    uint64_t memory_bytes;  /* of the cores that run at the end, and */
    uint64_t entries;       /* how many members they remember together */
    uint64_t undetected;
    uint64_t last_start_us;
    bool lied;              /* the statistics said that views are full, and kith_sim_agrees() that they are not */
    const char *violation;  /* NULL: none.  Borrowed */
    const struct sim_stats *stats;
    const struct sim_sample *samples;
    size_t sample_count;
    struct kith_sim_totals totals;
};

struct sim_run;

struct sim_run *ki_sim_run_new(const struct sim_scenario *scenario); /* copies it */
void ki_sim_run_free(struct sim_run *run);
/* Goes on until a time, at most to the end.  Returns false at the end, or when a checker has found a violation. */
bool ki_sim_run_advance(struct sim_run *run, uint64_t until_us);
bool ki_sim_run_is_full(const struct sim_run *run); /* all have started, and every view is full now */
/* What there is so far; borrowed until the run goes on. */
void ki_sim_run_measure(struct sim_run *run, struct sim_result *out);
kith_sim *ki_sim_run_world(struct sim_run *run);

#endif
