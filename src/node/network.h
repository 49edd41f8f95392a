/* The engine that computes aggregates in the network (kith/aggregate.h), inside an instance.
 *
 *   network.c       what is computed, for how long, who the neighbours are, ticks
 *   network_talk.c  what neighbours say                network_read.c  answers
 *
 * Nothing of it exists before an aggregate is to be computed so. */
#ifndef KI_NODE_NETWORK_H
#define KI_NODE_NETWORK_H

#include <kith/aggregate.h>

#include "aggregate/flow.h"
#include "aggregate/overlay.h"
#include "aggregate/sample.h"
#include "aggregate/schema.h"
#include "base/debts.h"
#include "node/node.h"
#include "wire/network.h"

#define KI_NETWORK_TICK_US 500000
#define KI_NETWORK_LEASE_S 60
#define KI_NETWORK_ROWS KI_SHORT_NEIGHBOURS
#define KI_NETWORK_SILENT_US 10000000 /* 20 ticks, of which three or so are its turns each 6: it does not take part */

struct ki_aggregates;

/* What we keep of a neighbour beside its flow, which is at the same place. */
struct ki_network_row {
    uint64_t heard_us; /* when it was heard last; if never, since when it is here */
    uint64_t told;     /* it has our changes up to this, */
    uint64_t had;      /* and we its changes up to this, */
    uint32_t run;      /* of its run; 0: it has not been heard, and does not know the schema */
    uint8_t differs;   /* so often in a row it had another digest, and neither had anything to tell */
    uint8_t forgot;    /* so often in a row it did not confirm what it had confirmed */
    bool is_same;      /* in the last exchange its shortlist was ours */
};

/* An aggregate that is computed. */
struct ki_network_run {
    struct ki_schema *schema; /* a use of it */
    uint64_t lease_us;        /* until when somebody wants it */
    uint32_t number;          /* of this run: what we tell of our changes is about it; not 0 */
    uint32_t ticks, agreed;   /* how many there were, and in how many, in a row, all neighbours agreed with us */
    uint32_t seq;             /* of the next request */
    bool is_new;              /* neighbours that have not been heard are to be told that it is wanted */
    uint8_t asked;            /* the row of who is asked now, or KI_NETWORK_ROWS */
    struct ki_flow_range range;
    double value[KI_FLOW_WIDTH]; /* our own */
    struct ki_flow_row flows[KI_NETWORK_ROWS];
    struct ki_network_row rows[KI_NETWORK_ROWS];
    struct ki_shortlist list;
    struct ki_short_claim own; /* as we have told it; version 0: never */
    uint64_t told_us;
};

/* The members, looked through a part at a time for those who are our neighbours. */
struct ki_network_pass {
    struct ki_overlay overlay;
    bool is_on;
    uint32_t at;             /* the next id */
    uint32_t epoch, members; /* of the table, as it began; what the neighbours are good for */
    uint64_t next_us;        /* not before it another one begins */
};

struct ki_network {
    struct ki_network_run **runs;
    uint32_t count, cap;
    struct ki_overlay_neighbour neighbours[KI_OVERLAY_NEIGHBOURS];
    uint32_t neighbour_count;
    bool has_neighbours;                 /* they are those of a whole pass */
    uint8_t turns[KI_OVERLAY_NEIGHBOURS]; /* places of those whom we ask, in the order of asking */
    uint32_t turn_count, turn;
    uint64_t tick_us;                    /* when there is something to do; KITH_NEVER: nothing is computed */
    uint64_t again_us;                   /* when those are asked again who have not answered, */
    uint32_t tries;                      /* which they have been so often */
    uint32_t swept_epoch;                /* of the table, when the dead were swept out last */
    struct ki_network_pass pass;
    struct ki_debts debts;               /* of those who have asked */
};

/* ---- network.c ---- */

void ki_network_init(struct kith *k, struct ki_network *n);
void ki_network_free(struct kith *k, struct ki_aggregates *a);
void ki_network_tick(struct kith *k, struct ki_aggregates *a);
/* Has all computed that is open here and meant to be. */
void ki_network_want_open(struct kith *k, struct ki_aggregates *a);
uint64_t ki_network_deadline(const struct kith *k, const struct ki_network *n);
void ki_network_forget(struct kith *k, struct ki_aggregates *a, uint32_t id); /* a member is about to be forgotten */
/* One that is computed; NULL: it is not. */
struct ki_network_run *ki_network_find(const struct ki_network *n, uint64_t schema_id);
/* Has it computed for at least so long from now on.  NULL: no memory, and counted. */
struct ki_network_run *ki_network_want(struct kith *k, struct ki_aggregates *a, const struct ki_meaning *meaning,
                                       uint32_t lease_s);
uint16_t ki_network_lease_s(const struct kith *k, const struct ki_network_run *run);
/* Counts those who are known to contribute, where that is more than is counted already. */
void ki_network_tally(struct kith *k, struct ki_aggregates *a);

/* The row of a member, or KI_NETWORK_ROWS. */
uint32_t ki_network_row(const struct ki_network_run *run, uint32_t id);
/* Likewise, of one that asks us: a new row, if there is none and there is room. */
uint32_t ki_network_row_made(struct kith *k, const struct ki_network *n, struct ki_network_run *run, uint32_t id);
bool ki_network_is_neighbour(const struct ki_network *n, uint32_t id);
static inline struct ki_flow ki_network_flow(struct ki_network_run *run)
{
    return (struct ki_flow){.range = &run->range, .value = run->value, .rows = run->flows, .count = KI_NETWORK_ROWS};
}
static inline bool ki_network_is_silent(const struct kith *k, const struct ki_network_row *row)
{
    return k->now.mono_us - row->heard_us > KI_NETWORK_SILENT_US;
}
/* What we contribute counts, and is told if it is time. */
void ki_network_contribute(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run);
void ki_network_changed(struct kith *k, struct ki_aggregates *a, const struct ki_schema *schema);
void ki_network_sweep(struct kith *k); /* the dead leave all shortlists */
/* Somebody has told this of us. */
void ki_network_heard_own(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run,
                          const struct ki_short_claim *claim);

/* ---- network_talk.c ---- */

int ki_network_message(struct kith *k, struct ki_aggregates *a, uint32_t id, struct ki_span message); /* 38 to 3f */
void ki_network_ask(struct kith *k, struct ki_network_run *run, uint32_t row, bool again);
void ki_network_announce(struct kith *k, const struct ki_network *n, struct ki_network_run *run);

/* ---- network_read.c ---- */

/* What an estimate says: the part of all members that contribute; of what they do, the average, and the variance. */
struct ki_network_said {
    double share, average, variance;
};
struct ki_network_said ki_network_said(const struct ki_network_run *run, const double estimate[KI_FLOW_WIDTH]);
/* Whether a neighbour says the same as we do, as well as we can tell. */
bool ki_network_agrees(const struct ki_network_run *run, const struct ki_network_said *own,
                       const struct ki_network_said *its);

#endif
