/* The textbook epidemic: one rumour among n nodes in rounds of random calls.  spread.c says by which rules. */
#ifndef KI_SIM_MODEL_SPREAD_H
#define KI_SIM_MODEL_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_SPREAD_NODES_MAX  10000000
#define SIM_SPREAD_FANOUT_MAX 1000
#define SIM_SPREAD_K_MAX      1000    /* interest then lasts for as many rounds: far longer than any rumour is news */
#define SIM_SPREAD_ROUNDS_MAX 1000000 /* a run that is not over by then is ended */
#define SIM_PPM               1000000

enum sim_spread_mode { SIM_SPREAD_PUSH, SIM_SPREAD_PULL, SIM_SPREAD_PUSH_PULL };

enum sim_spread_stop { /* when an infective node loses interest and is removed */
    SIM_SPREAD_NEVER,
    SIM_SPREAD_FEEDBACK_COUNTER, /* after k useless contacts */
    SIM_SPREAD_FEEDBACK_COIN,    /* after a useless contact, with probability 1/k */
    SIM_SPREAD_BLIND_COUNTER,    /* after k contacts */
    SIM_SPREAD_BLIND_COIN        /* after a contact, with probability 1/k */
};

struct sim_spread_config {
    uint32_t nodes;
    enum sim_spread_mode mode;
    enum sim_spread_stop stop;
    uint32_t k; /* not used by NEVER */
    uint32_t fanout; /* calls a node makes in a round */
    uint32_t loss_ppm; /* of a million calls, so many fail */
    uint64_t seed;
    bool (*stop_now)(void); /* asked in every round, and a few times a second in long ones: true ends the run.  Or NULL */
};

struct sim_spread_run {
    uint32_t reached;     /* nodes that know the rumour in the end, the first one included */
    uint32_t last;        /* round of the last arrival; rounds count from 1, the first node knows it in round 0 */
    uint64_t sent;        /* payloads */
    uint64_t arrivals;    /* sum of the rounds of all arrivals */
    bool cut;             /* it was not over: it had lasted SIM_SPREAD_ROUNDS_MAX rounds, or stop_now() has ended it */
    const uint32_t *curve; /* curve[r] nodes knew it after round r = 0 .. last; borrowed until the next run */
};

struct sim_spread;

/* Says in a few words what no run can be made of, or NULL: nothing. */
const char *ki_sim_spread_refusal(const struct sim_spread_config *config);

/* In: a configuration that is not refused.  Returns NULL when out of memory. */
struct sim_spread *ki_sim_spread_new(const struct sim_spread_config *config);
void ki_sim_spread_free(struct sim_spread *s);

/* Makes the next run: a new rumour at one node, until nothing more can come of it (or see `cut`).  Run by run the seed
 * decides.
 * Returns false when out of memory. */
bool ki_sim_spread_next(struct sim_spread *s, struct sim_spread_run *out);

#endif
