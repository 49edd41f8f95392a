/* The checkers: observers that hold their own, simple idea of what must be true, and look through the public API alone.
 *
 * Adding one is a file check_NAME.c with its struct sim_checker, and a line in the list below.  A checker speaks by
 * ki_sim_violate(), with its own name. */
#ifndef KI_SIM_CHECK_H
#define KI_SIM_CHECK_H

#include "sim/world.h"

struct sim_checker {
    const char *about;         /* what must be true, one line */
    struct sim_observer watch; /* its name is the checker's */
    /* Every running node's view is walked about once a second (in a world of n nodes, once in 1 + n/64), and its events
     * are told as they come. */
    void (*member)(kith_sim *s, void *state, uint32_t node, const struct kith_member *m);
    void (*forgotten)(kith_sim *s, void *state, uint32_t node, const struct kith_member *m);
    void (*look)(kith_sim *s, void *state, uint32_t node); /* before each walk */
};

#define SIM_CHECKERS(X)                                                                                  \
    X(incarnation) X(left) X(self) X(size) X(deadline) X(limits) X(memory) X(quiet) X(address) X(answer) \
    X(events) X(storm) X(store) X(holder) X(withhold) X(changes) X(once) X(order) X(gaps) X(certificate) \
    X(asks) X(places) X(edges)

#define SIM_CHECKER_DECLARE(name) extern const struct sim_checker ki_sim_check_##name;
SIM_CHECKERS(SIM_CHECKER_DECLARE)
#undef SIM_CHECKER_DECLARE

const struct sim_checker *ki_sim_checker_at(size_t index); /* NULL: beyond the last */

/* What a node (row) holds of another (column), a number each; zero at first.  Grows as needed. */
struct sim_grid {
    uint32_t *cells;
    uint32_t rows, cols;
};

uint32_t *ki_sim_grid_at(struct sim_grid *g, uint32_t row, uint32_t col);
void ki_sim_grid_clear(struct sim_grid *g, uint32_t row);
void ki_sim_grid_free(struct sim_grid *g);
/* For a checker whose state is a grid: a new life knows nothing, a forgotten member is unknown, the end. */
void ki_sim_grid_born(kith_sim *s, void *state, uint32_t node);
void ki_sim_grid_forgotten(kith_sim *s, void *state, uint32_t node, const struct kith_member *m);
void ki_sim_grid_end(kith_sim *s, void *state);

/* One number for each node, zero at first.  Grows as needed. */
struct sim_column {
    uint64_t *cells;
    uint32_t count;
};

uint64_t *ki_sim_column_at(struct sim_column *c, uint32_t node);
void ki_sim_column_free(struct sim_column *c);

/* What nodes hold of addresses that may be nobody's: a short list. */
struct sim_source {
    uint32_t node; /* the one that holds it */
    struct kith_addr addr;
    uint64_t in, out; /* bytes, or whatever the checker counts; zero at first */
};

struct sim_sources {
    struct sim_source *items;
    size_t count, cap;
};

struct sim_source *ki_sim_source_find(const struct sim_sources *sources, uint32_t node, const struct kith_addr *addr);
struct sim_source *ki_sim_source_make(struct sim_sources *sources, uint32_t node, const struct kith_addr *addr);
void ki_sim_sources_forget(struct sim_sources *sources, uint32_t node); /* all that this node holds */
void ki_sim_sources_free(struct sim_sources *sources);

/* The number of the node that a member is, or KITH_SIM_ALL. */
uint32_t ki_sim_member_node(kith_sim *s, const struct kith_member *m);
/* True when a node remembers a member at this address. */
bool ki_sim_remembers(kith_sim *s, uint32_t node, const struct kith_addr *addr);

/* A counter of a node, by its name. */
uint64_t ki_sim_counter(const kith_sim *s, uint32_t node, const char *name);

/* Memory hooks that count what is out in *bytes, for the checker "memory" to compare.  Set before kith_sim_add(). */
void ki_sim_count_memory(struct kith_config *config, uint64_t *bytes);

#endif
