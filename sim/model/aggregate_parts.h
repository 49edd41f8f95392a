/* What the parts of the model of aggregates share. */
#ifndef KI_SIM_MODEL_AGGREGATE_PARTS_H
#define KI_SIM_MODEL_AGGREGATE_PARTS_H

#include "base/rng.h"
#include "sim/model/aggregate.h"

#define SIM_AGGREGATE_NEIGHBOURS 6
#define SIM_AGGREGATE_JUDGES     200 /* nodes that are looked at, where looking at all would cost more than the protocol */

/* Bytes of a message: an aggregate's id (8) and a number (4), then reals (8 each), or entries: name (16), generation and
 * version (4 each) and value (8); T-Man's also have an address (6 and 2).  Headers of UDP and IP are not counted. */
#define SIM_AGGREGATE_BYTES_HEAD       12
#define SIM_AGGREGATE_BYTES_REAL       8
#define SIM_AGGREGATE_BYTES_ENTRY      32
#define SIM_AGGREGATE_BYTES_DESCRIPTOR 40

struct sim_aggregate_neighbours {
    uint32_t peer[SIM_AGGREGATE_NEIGHBOURS];
    uint8_t count;
    uint8_t initiates; /* bit i: we ask peer[i], and not it us */
};

struct sim_aggregate {
    struct sim_aggregate_config cfg;
    struct ki_rng peers, luck, births; /* choices, losses, new nodes: one more draw of one moves no other */
    double *values;   /* [nodes]; nodes are numbered in the order of their values, as long as none is replaced */
    uint32_t *turns;  /* [nodes] in the order in which they act in each cycle */
    struct sim_aggregate_neighbours *neighbours; /* [nodes]; NULL: everybody */
    double average;   /* of the values */
    double unborn;    /* part of a node that is due to be replaced */
    uint64_t bytes;   /* in this cycle */
    uint64_t work;    /* since stop_now() was asked */
    bool stopped;
    const struct sim_aggregate_way *way;
    void *state; /* the way's own */
};

/* An algorithm. */
struct sim_aggregate_way {
    bool (*begin)(struct sim_aggregate *a); /* false: out of memory; end() follows */
    void (*end)(struct sim_aggregate *a);
    void (*cycle)(struct sim_aggregate *a);
    void (*judge)(struct sim_aggregate *a, struct sim_aggregate_state *out);
    void (*renew)(struct sim_aggregate *a, uint32_t node, double was); /* values[node] is new.  NULL: not possible */
};

extern const struct sim_aggregate_way ki_sim_push_sum, ki_sim_push_pull, ki_sim_flow, ki_sim_exact, ki_sim_merge,
    ki_sim_sample, ki_sim_t_man;

/* What a node starts from, for a sum of one number: its value; for COUNT 1 at node 0, and 0 elsewhere. */
double ki_sim_aggregate_start(const struct sim_aggregate *a, uint32_t node);
/* And what all of them average to. */
double ki_sim_aggregate_mean(const struct sim_aggregate *a);
/* Somebody to call. */
uint32_t ki_sim_aggregate_peer(struct sim_aggregate *a, uint32_t node);
/* One message goes out, of so many bytes.  Returns whether it arrives. */
bool ki_sim_aggregate_sent(struct sim_aggregate *a, uint64_t bytes);
/* A node acts, which is so much work: about a tenth of a microsecond each.  False: the run is ended. */
bool ki_sim_aggregate_goes_on(struct sim_aggregate *a, uint32_t work);
/* Error and bias of what every node takes for the truth, relative to that. */
void ki_sim_aggregate_judge(struct sim_aggregate *a, double (*answer)(const struct sim_aggregate *a, uint32_t node),
                            double truth, struct sim_aggregate_state *out);
/* Likewise of ranks (which are node numbers), as a part of all, of SIM_AGGREGATE_JUDGES nodes at most. */
void ki_sim_aggregate_judge_ranks(struct sim_aggregate *a, uint32_t (*answer)(const struct sim_aggregate *a, uint32_t node),
                                  struct sim_aggregate_state *out);
/* The nearest rank of the quantile among so many, from 0. */
uint32_t ki_sim_aggregate_rank(const struct sim_aggregate *a, uint32_t count);

uint64_t ki_sim_aggregate_hash(uint32_t node); /* of its name, in the overlay */
/* Three rings of nodes 0 .. nodes - 1.  NULL: out of memory.  The caller frees it. */
struct sim_aggregate_neighbours *ki_sim_aggregate_rings(uint32_t nodes);

#endif
