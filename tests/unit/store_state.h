/* What tests of the store share that do much with deltas and states: both as values, by short names, and a replica with
 * wider limits. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "store/session.h"
#include "store_replica.h"

struct state {
    size_t len;
    uint8_t bytes[1 << 15];
};

static inline void replica_open(struct replica *r, uint64_t id)
{
    static const struct ki_store_config config = {
        .limits = {.key_max = 1000, .field_max = 1000, .value_max = 1000},
        .bounds = {.warn_ms = 100, .clamp_ms = 1000, .refuse_ms = 10000},
        .delta_cells_max = 2000};
    replica_new_with(r, id, &config);
}

static inline void replica_close(struct replica *r)
{
    replica_free(r);
}

static inline struct ki_span text(const char *from)
{
    return replica_text(from);
}

static inline void state_of(const struct replica *r, struct state *state)
{
    state->len = replica_content(r, state->bytes, sizeof state->bytes);
}

static inline bool state_equal(const struct state *a, const struct state *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static inline bool replicas_agree(const struct replica *a, const struct replica *b)
{
    static struct state states[2];
    state_of(a, &states[0]);
    state_of(b, &states[1]);
    return state_equal(&states[0], &states[1]);
}

/* What was written since the last time. */
static inline void replica_wrote(struct replica *r, struct state *delta)
{
    delta->len = replica_take_delta(r, delta->bytes, sizeof delta->bytes);
}

static inline int replica_hear(struct replica *r, uint64_t wall_ms, const struct state *delta)
{
    return ki_store_merge(&r->store, wall_ms, ki_span(delta->bytes, delta->len));
}

#endif
