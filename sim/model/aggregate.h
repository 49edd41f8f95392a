/* How fast, and how truly, many nodes compute one number together: the algorithms side by side, cycle by cycle, for up to a
 * million nodes.  aggregate.c says by which rules. */
#ifndef KI_SIM_MODEL_AGGREGATE_H
#define KI_SIM_MODEL_AGGREGATE_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_AGGREGATE_NODES_MAX   1000000
#define SIM_AGGREGATE_EXACT_MAX   16384              /* nodes, where everybody knows everybody's value */
#define SIM_AGGREGATE_SAMPLE_MAX  65536              /* members in a sample, */
#define SIM_AGGREGATE_SAMPLES_MAX ((uint64_t)1 << 28) /* and in all nodes' samples together: a GiB */
#define SIM_AGGREGATE_CYCLES_MAX  100000
#define SIM_AGGREGATE_RETRIES_MAX 10

enum sim_aggregate_function {
    SIM_AGGREGATE_AVG,
    SIM_AGGREGATE_SUM,      /* the average, times the members: those are known */
    SIM_AGGREGATE_COUNT,    /* of members nobody knows */
    SIM_AGGREGATE_MAX,
    SIM_AGGREGATE_QUANTILE,
    SIM_AGGREGATE_ORDER     /* who comes before and after each node in the order of values */
};

enum sim_aggregate_algorithm {
    SIM_AGGREGATE_PUSH_SUM,
    SIM_AGGREGATE_PUSH_PULL,
    SIM_AGGREGATE_FLOW, /* flow updating */
    SIM_AGGREGATE_EXACT,
    SIM_AGGREGATE_MERGE,
    SIM_AGGREGATE_SAMPLE,
    SIM_AGGREGATE_T_MAN
};

enum sim_aggregate_overlay {
    SIM_AGGREGATE_COMPLETE, /* anybody calls anybody */
    SIM_AGGREGATE_RINGS     /* the neighbours in three rings (aggregate/overlay.c) */
};

struct sim_aggregate_config {
    uint32_t nodes;
    enum sim_aggregate_function function;
    enum sim_aggregate_algorithm algorithm;
    enum sim_aggregate_overlay overlay; /* T-Man makes its own */
    uint32_t loss_ppm;  /* of a million messages, so many are lost */
    uint32_t churn_ppm; /* of a million nodes, so many are replaced in a cycle by new ones with other values */
    uint32_t retries;   /* flow updating: a message without an answer is sent so often again within its cycle */
    uint32_t sample;    /* members in a node's sample */
    uint32_t q_ppm;     /* QUANTILE: which; of a million values, so many are not above it */
    uint64_t seed;
    bool (*stop_now)(void); /* asked a few times a second: true ends the run within a cycle.  Or NULL */
};

/* How things stand after a cycle.  What an error is depends on the function:
 *   avg, sum, count  root of the mean square of what the nodes' answers are off, relative to the truth
 *   max              share of nodes whose answer is another value
 *   quantile         root of the mean square of ranks by which answers are off, as a part of all
 *   order            share of links to the next node up and down that are wrong */
struct sim_aggregate_state {
    double error;
    double bias;    /* the same mean, without squares: of what answers are off, below 0 included; max, order: the error */
    uint64_t bytes; /* of messages, lost ones too, in this cycle */
    bool complete;  /* all that can be known is known everywhere.  Never for push-sum, push-pull and flow updating */
};

struct sim_aggregate;

/* The overlay that an algorithm runs on if nothing else is asked for. */
enum sim_aggregate_overlay ki_sim_aggregate_usual_overlay(enum sim_aggregate_algorithm algorithm);
/* The algorithm that computes a function if nothing else is asked for. */
enum sim_aggregate_algorithm ki_sim_aggregate_usual_algorithm(enum sim_aggregate_function function);

/* Says in a line what no run can be made of, and what there is instead, or NULL: nothing. */
const char *ki_sim_aggregate_refusal(const struct sim_aggregate_config *config);

/* In: a configuration that is not refused.  Out: first  how things stand before the first cycle.
 * Returns NULL when out of memory. */
struct sim_aggregate *ki_sim_aggregate_new(const struct sim_aggregate_config *config, struct sim_aggregate_state *first);
void ki_sim_aggregate_free(struct sim_aggregate *a);

/* One cycle.  Returns false if stop_now() has ended it: then it does not count, and nothing more can be asked. */
bool ki_sim_aggregate_cycle(struct sim_aggregate *a, struct sim_aggregate_state *out);

#endif
