/* The swarm: one number draws a world, its life and its faults; the world is then healed, and must agree.
 *
 *   swarm_plan.c   the number -> a plan          swarm.c       the plan carried out, and the verdict
 *   swarm_fault.c  one fault begun or ended      swarm_heal.c  the core mended, the rest frozen, and waiting
 *   swarm_hostile.c  what strangers send         shrink.c      a smaller plan that still fails
 *   swarm_store.c    stores: in the plan, while the world lives, and after the healing
 *   swarm_events.c   events and queries likewise
 *
 * A plan is data: leaving out some of its faults or nodes leaves all others as they were. */
#ifndef KI_SIM_SWARM_H
#define KI_SIM_SWARM_H

#include <stdio.h>

#include "sim/check.h"

#define SIM_SWARM_NODES    100
#define SIM_SWARM_AGREE_US (30 * KITH_SIM_SECOND) /* within which a healed core of profile lan agrees */
#define SIM_SWARM_STORE_US (60 * KITH_SIM_SECOND) /* so much later its stores do */
#define SIM_SWARM_EVENTS_US (60 * KITH_SIM_SECOND) /* and so much later its last events are settled */
#define SIM_SWARM_AGGREGATES_US (60 * KITH_SIM_SECOND) /* and all answers right, so long after the last values */
#define SIM_SWARM_FAULTS   64
#define SIM_SWARM_RACKS    8 /* each node is in one; partitions run between them */

/* name, what it says of itself in a plan's text; from DISK on they are drawn only for worlds with stores */
#define SIM_FAULTS(X)                                                                                                \
    X(CRASH, "crash") X(PAUSE, "pause") X(SLOW, "slow") X(ISOLATE, "isolate") X(SPLIT, "split") X(CLOG, "clog")      \
    X(LINK, "link") X(WEATHER, "weather") X(CLOCK, "clock") X(LEAVE, "leave") X(FORCE_LEAVE, "force-leave")          \
    X(TAGS, "tags") X(JOIN, "join") X(OUTAGE, "outage") X(GARBAGE, "garbage") X(LURE, "lure") X(REPLAY, "replay")     \
    X(DISK, "disk") X(BACKUP, "backup") X(RESTORE, "restore") X(IMPORT, "import")

enum sim_fault_kind {
#define SIM_FAULT_ENUM(name, text) SIM_FAULT_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_KINDS
};

struct sim_fault {
    enum sim_fault_kind kind;
    bool off;          /* left out, by shrinking */
    uint64_t at_us;
    uint64_t for_us;   /* 0: until the healing, or it has no end */
    uint32_t node, other;
    uint32_t racks;    /* SPLIT: one part; OUTAGE: those that go down */
    uint32_t way;      /* SPLIT, ISOLATE: 1 out, 2 in, 3 both.  CRASH: enum kith_sim_death.  LEAVE too */
    uint32_t back;     /* CRASH, OUTAGE, LEAVE: enum kith_sim_state of its return.  FORCE_LEAVE: prune */
    uint64_t luck;     /* whatever else it needs */
    struct kith_sim_link link; /* LINK, WEATHER */
};

struct sim_plan_node {
    uint64_t start_us; /* when it is added, and joins */
    uint32_t friend;   /* by whom it joins; itself: it does not */
    uint32_t rack;
    bool stock;        /* behaves as memberlist and Serf do */
    bool store;        /* has a store, if the world has stores; and how: */
    bool withhold, keep_id, watch;
    uint32_t disk_ms;  /* the longest that its disk takes for a group */
    bool core;         /* healed at the end; others are frozen, */
    bool down;         /* for good, or else paused */
};

struct sim_plan {
    uint64_t seed;
    uint32_t node_count; /* shrinking lowers it: what concerns others is left out */
    enum kith_profile profile;
    struct kith_sim_link link;
    bool quiet, sealed, labelled, bare, compress, mixed;
    bool tight;          /* small queues and tables */
    bool forgetful;      /* who is gone is forgotten within seconds, not a day */
    uint32_t datagram_max;
    bool stores;
    uint32_t gap_us;     /* between two steps of the stores' workload, on average */
    bool events;         /* members tell and ask each other */
    bool small_log;      /* few past events are kept */
    bool last_loss;      /* the last words are said over links that lose a third */
    uint32_t talk_us;    /* between two steps of the events' workload, on average */
    bool aggregates;     /* members contribute to them */
    bool give_loss;      /* the last values are given over links that lose a third */
    uint32_t give_us;    /* between two steps of the aggregates' workload, on average */
    uint64_t heal_us;    /* when the faults end */
    uint64_t agree_us;   /* within which the core must agree then */
    struct sim_plan_node nodes[SIM_SWARM_NODES];
    struct sim_fault faults[SIM_SWARM_FAULTS];
    uint32_t fault_count;
};

/* What is left of a seed's plan, small enough for a command line: bit i for faults[i], and the nodes. */
struct sim_part {
    uint64_t faults;
    uint32_t nodes;
};
#define SIM_PART_ALL ((struct sim_part){.faults = UINT64_MAX, .nodes = SIM_SWARM_NODES})

struct sim_verdict {
    bool failed;
    bool crashed;      /* the process that ran it did not live to tell */
    char checker[24];
    char sentence[512];
    uint64_t agreed_us; /* after the healing, */
    uint64_t allowed_us; /* and how long it might have taken */
    uint64_t stored_us;  /* likewise of its stores; 0: there are none, or no two */
    uint64_t folded_us;  /* after the last values, its aggregates */
    uint64_t digest, events, virtual_us;
};

enum { SIM_WITH_STORES = 1, SIM_WITH_EVENTS = 2, SIM_WITH_AGGREGATES = 4 };

/* with: SIM_WITH_ flags, what the world has.  A seed is another world then. */
void ki_sim_plan_draw(struct sim_plan *plan, uint64_t seed, unsigned with);
/* Leaves out what is not in the part, as shrinking does. */
void ki_sim_plan_keep(struct sim_plan *plan, const struct sim_part *part);
struct sim_part ki_sim_plan_part(const struct sim_plan *plan);
/* The world in words, and its faults with their numbers: faults[i] is number i + 1. */
void ki_sim_plan_print(const struct sim_plan *plan, FILE *to);
uint32_t ki_sim_plan_faults(const struct sim_plan *plan); /* those not left out */

/* Runs a plan.  trace, if not NULL, gets the last trace_lines of what happened. */
void ki_sim_plan_run(const struct sim_plan *plan, uint32_t trace_lines, FILE *trace, struct sim_verdict *out);

/* Leaves out what the failure does not need.  run(arg, plan, out) runs a plan; a failure is the same when the checker is.
 * When it returns false, the shrinking ends with the least that has been found.  Returns how many runs it took. */
typedef bool (*sim_plan_runner)(void *arg, const struct sim_plan *plan, struct sim_verdict *out);
uint32_t ki_sim_plan_shrink(struct sim_plan *plan, const struct sim_verdict *failure, sim_plan_runner run, void *arg);

/* ---- what the files of the swarm share ---- */

#define SIM_CAUGHT_MAX 32
#define SIM_CAUGHT_LEN 1500

struct sim_caught { /* a datagram that a stranger has overheard */
    uint32_t to, from, len;
    uint8_t bytes[SIM_CAUGHT_LEN];
};

struct sim_swarm {
    const struct sim_plan *plan;
    kith_sim *s;
    uint64_t memory[SIM_SWARM_NODES]; /* bytes out, by node */
    char label[8];
    struct sim_caught *caught;        /* ring of SIM_CAUGHT_MAX */
    uint64_t overheard;               /* datagrams in all */
    uint64_t agreed_us;
    uint64_t stored_us;
    uint64_t folded_us;
    uint64_t work_us;                 /* when the workload's next step is due, */
    uint64_t work_step;               /* and its number */
    uint64_t talk_us, talk_step;      /* likewise of the events' workload, */
    uint64_t give_us, give_step;      /* and the aggregates' */
};

bool ki_sim_swarm_runs(const struct sim_swarm *w, uint32_t node); /* it has been added, is up, and not paused */
void ki_sim_swarm_join(struct sim_swarm *w, uint32_t node, uint32_t to); /* if both are there */
void ki_sim_swarm_fault(struct sim_swarm *w, const struct sim_fault *f, bool begins);
void ki_sim_swarm_hostile(struct sim_swarm *w, const struct sim_fault *f);
void ki_sim_swarm_overhear(struct sim_swarm *w);
void ki_sim_swarm_heal(struct sim_swarm *w); /* and waits for the core to agree, or says that it does not */
void ki_sim_swarm_run(struct sim_swarm *w, uint64_t until_us); /* the world, and the workloads in it */

/* ---- swarm_store.c ---- */

void ki_sim_plan_stores(struct sim_plan *plan, struct ki_rng *rng);       /* makes it a world with stores */
void ki_sim_plan_store_faults(struct sim_plan *plan, struct ki_rng *rng); /* more faults, of stores */
bool ki_sim_swarm_has_store(const struct sim_swarm *w, uint32_t node);
void ki_sim_swarm_store_config(const struct sim_swarm *w, uint32_t node, struct kith_store_config *out);
void ki_sim_swarm_disk(struct sim_swarm *w, uint32_t node, bool full);
void ki_sim_swarm_import(struct sim_swarm *w, const struct sim_fault *f);
void ki_sim_swarm_work(struct sim_swarm *w);                              /* a step of the workload */
void ki_sim_swarm_stores_look(struct sim_swarm *w, uint64_t healed_us);   /* whether the stores agree now */
void ki_sim_swarm_stores_wait(struct sim_swarm *w, uint64_t healed_us);   /* until they do, or says that they do not */

/* ---- swarm_events.c ---- */

void ki_sim_plan_events(struct sim_plan *plan, struct ki_rng *rng);       /* makes it a world with events */
void ki_sim_plan_event_faults(struct sim_plan *plan, struct ki_rng *rng); /* more faults */
void ki_sim_swarm_event_config(const struct sim_swarm *w, struct kith_config *c);
void ki_sim_swarm_talk(struct sim_swarm *w);                    /* a step of the workload */
void ki_sim_swarm_pass(struct sim_swarm *w, uint64_t until_us); /* the world, without workloads; queries are answered */
void ki_sim_swarm_events_wait(struct sim_swarm *w);             /* until all are settled, or says that they are not */

/* ---- swarm_aggregates.c ---- */

void ki_sim_plan_aggregates(struct sim_plan *plan, struct ki_rng *rng);       /* makes it a world with aggregates */
void ki_sim_plan_aggregate_faults(struct sim_plan *plan, struct ki_rng *rng); /* more faults */
void ki_sim_swarm_give(struct sim_swarm *w);            /* a step of the workload */
void ki_sim_swarm_aggregates_wait(struct sim_swarm *w); /* until all answers are right, or says which is not */

#endif
