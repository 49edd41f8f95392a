/* What members contribute to aggregates, known from outside: what went through the workload (aggregate_work.c), and what
 * each node's answers have shown of it.
 *
 *   given.c          what is contributed         aggregate_work.c  who contributes it
 *   check_places.c   answers, at any time        check_edges.c     watches
 *   given_settle.c   answers, once all is quiet
 *
 * What a member gives to an aggregate is a row of values.  What a node shows of the member is one of them, and never one
 * that came before what it has shown already. */
#ifndef KI_SIM_GIVEN_H
#define KI_SIM_GIVEN_H

#include <kith/aggregate.h>

#include "sim/check.h"

#define SIM_AGGREGATES 6
#define SIM_MEANINGS   2

struct sim_aggregate {
    const char *name;
    const char *units[SIM_MEANINGS]; /* the second, if there is one, is what every other member means by the name */
    double min, max, step;
    uint32_t interval_ms;
    enum kith_engine engine;
    bool wide; /* its values differ by many magnitudes */
};

extern const struct sim_aggregate ki_sim_aggregates[SIM_AGGREGATES];

struct sim_value {
    double value;
    unsigned meaning; /* index of its unit */
    bool is_none;     /* it was taken back */
};

struct sim_given { /* by one member to one aggregate */
    struct sim_value *list;
    size_t count, cap;
    uint32_t life;    /* in which it was opened last; */
    bool is_open;     /* there, */
    unsigned meaning; /* with this unit */
};

struct sim_span { /* of incarnations, that a member has had */
    uint32_t highest;
    bool goes_back; /* this life began with no higher one than the last had: its clock was set back */
};

struct sim_watching {
    uint32_t node, life, aggregate;
    kith_ticket ticket;
    struct kith_watch watch;
    bool holds;
    uint64_t edge_us; /* of the node's clock; before the first, when it began */
};

struct sim_givens {
    bool on;
    struct sim_given *given; /* SIM_AGGREGATES for each node */
    struct sim_span *spans;
    uint32_t nodes;
    struct sim_grid next[SIM_AGGREGATES]; /* by node and owner: the least number of a value that may be shown */
    struct sim_grid seen[SIM_AGGREGATES]; /* 1 + the meaning: one was shown when it was looked at last */
    struct sim_watching *watching;        /* that have not ended */
    size_t watching_count, watching_cap;
    struct kith_place *places; /* of the last list */
    size_t places_cap;
    double *truth; /* what all give now to one aggregate, in order */
    size_t truth_count, truth_cap;
};

/* The world's, kept by the checker "places"; NULL: no checkers. */
struct sim_givens *ki_sim_givens(kith_sim *s);
void ki_sim_givens_free(struct sim_givens *t);
struct sim_given *ki_sim_given(struct sim_givens *t, uint32_t node, uint32_t aggregate);
struct sim_span *ki_sim_given_span(struct sim_givens *t, uint32_t node);
bool ki_sim_given_able(const kith_sim *s, uint32_t node); /* it runs, is in the pool, and of kith's kind */
bool ki_sim_given_open(const kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate); /* in this life */
/* What it contributes now, under any meaning; NULL: nothing. */
const struct sim_value *ki_sim_given_now(const kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate);

/* Fills t->truth: what those who are able to give now under a meaning. */
void ki_sim_given_truth(const kith_sim *s, struct sim_givens *t, uint32_t aggregate, unsigned meaning);

struct kith_str ki_sim_aggregate_name(uint32_t aggregate);
void ki_sim_aggregate_schema(uint32_t aggregate, unsigned meaning, struct kith_schema *out);
/* Which of its meanings a schema is; SIM_MEANINGS: none. */
unsigned ki_sim_aggregate_meaning(uint32_t aggregate, const struct kith_schema *schema);
/* A node lists all places into t->places. */
int ki_sim_given_list(kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate, enum kith_engine engine,
                      size_t *count);

/* A node reads what is computed in the network, which must show only what may be shown.  check_places.c */
void ki_sim_places_network(kith_sim *s, uint32_t node, uint32_t aggregate);

/* ---- once all is quiet: what is wrong, in words; false: nothing is, or not any more ---- */

struct sim_words {
    char text[256];
};

/* The answers of one node: of the engine that knows every contribution, of that which computes in the network, and of its
 * watches. */
bool ki_sim_exact_wrong(kith_sim *s, uint32_t node, uint32_t aggregate, struct sim_words *words);
bool ki_sim_network_wrong(kith_sim *s, uint32_t node, uint32_t aggregate, struct sim_words *words);
bool ki_sim_edges_wrong(kith_sim *s, uint32_t node, struct sim_words *words);
/* What the network engine's answers of all nodes come to together: nothing is lost on the way, and nothing counted twice. */
bool ki_sim_mass_wrong(kith_sim *s, uint32_t aggregate, struct sim_words *words);

#endif
