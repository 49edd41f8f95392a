/* What the pool computes (kith/aggregate.h), inside an instance.
 *
 *   aggregate.c        what is open here, what is known       aggregate_read.c   reading, by whichever engine
 *   aggregate_exact.c  the engine that knows every contribution
 *   aggregate_tell.c   when something is said                 aggregate_talk.c   who knows how much
 *   aggregate_values.c contributions as messages, both ways  aggregate_watch.c  conditions that are watched
 *   network.h          the engine that computes in the network
 *
 * Nothing of it exists before an aggregate is opened here or heard of. */
#ifndef KI_NODE_AGGREGATE_H
#define KI_NODE_AGGREGATE_H

#include <kith/aggregate.h>

#include "aggregate/contributions.h"
#include "aggregate/fold.h"
#include "aggregate/watch.h"
#include "base/debts.h"
#include "node/network.h"
#include "node/node.h"
#include "wire/aggregate.h"

#define KI_AGGREGATE_RATE 256        /* messages that all members together tell, a second */
#define KI_AGGREGATE_WANT_US 1000000 /* between two questions for what is missing */
/* What is fresh is gathered for a tenth of its schema's interval before it is passed on, within these. */
#define KI_AGGREGATE_PASS_US 100000
#define KI_AGGREGATE_PASS_MAX_US 1000000
#define KI_AGGREGATE_DATAGRAM 1400 /* a message has no more bytes, even where datagrams may */

/* One that is open here. */
struct ki_aggregate {
    struct ki_schema *schema; /* a use of it */
    bool has_value;
    bool is_told;     /* others have `told` from this generation, and nothing moves them but a step */
    double value, told;
    uint64_t told_us; /* when it was */
};

/* All that are known under one name. */
struct ki_aggregate_group {
    struct ki_schema *schema;        /* ours; or else the one with most contributors; NULL: nobody has opened it */
    const struct ki_aggregate *open; /* NULL: not here */
    uint32_t contributors, conflicts;
};

/* An engine's answers.  Arguments are checked, and the schema is one that it has; `conflicts` is not its to tell. */
struct ki_engine {
    int (*read)(struct kith *k, struct ki_schema *schema, struct kith_aggregate_answer *out);
    int (*quantile)(struct kith *k, struct ki_schema *schema, double q, double *value, double *rank_error);
    int (*histogram)(struct kith *k, struct ki_schema *schema, const double *bounds, size_t count, double *counts);
    int (*list)(struct kith *k, struct ki_schema *schema, bool from_largest, size_t first, struct kith_place *out,
                size_t cap, size_t *count);
    int (*rank)(struct kith *k, struct ki_schema *schema, struct ki_span member, struct kith_rank *out);
    int (*pick)(struct kith *k, struct ki_schema *schema, struct kith_place *out, size_t cap, size_t *count);
};

/* The contributions of the living to one schema, in order; good while nothing changes. */
struct ki_sorted {
    struct ki_placed *list;
    uint32_t count, cap;
    const struct ki_schema *schema; /* NULL: nothing is */
    uint64_t changes;               /* of contributions, */
    uint32_t epoch, members;        /* and of members */
};

/* A condition that the application is told of. */
struct ki_watch {
    kith_ticket ticket;
    struct kith_watch watch;
    struct ki_holding holding;
    bool told; /* what it has been told last */
    uint64_t look_us;
    uint8_t name_len;
    uint8_t name[KITH_AGGREGATE_NAME_MAX];
};

struct ki_aggregates {
    struct ki_contributions contributions; /* as far as they are told; ours are with them */
    struct ki_contributor *own;
    struct ki_aggregate *open; /* in no order */
    uint32_t open_count, open_cap;
    const struct ki_engine *engines[3]; /* by enum kith_engine; NULL: there is none */
    struct ki_sorted sorted;
    struct ki_network network;
    struct ki_rng rng; /* its own, so that what is measured moves no other choice */

    /* telling */
    bool has_begun;       /* others have been told that we take part, */
    bool is_announced;    /* and of our present generation, */
    uint64_t next_generation; /* which ends when others are told of this one, so not before its values; 0: it goes on */
    uint64_t announce_us; /* not before it */
    uint64_t tell_us;     /* when something of ours is due; KITH_NEVER: nothing is */
    uint64_t told_us;     /* when others were told last; 0: never */
    uint64_t pass_us;     /* when what is fresh is passed on; KITH_NEVER: nothing is */
    uint64_t want_us;     /* not before it gaps are asked for again, */
    uint32_t wants;       /* so many times so far */
    bool is_full;         /* something has found no room since then */
    uint16_t bucket;      /* whose root is said next */
    struct ki_debts debts; /* of members that have asked */

    struct ki_watch *watches; /* in no order */
    uint32_t watch_count, watch_cap;
    uint32_t watch_turn; /* which is looked at first */

    /* which engine AUTO means */
    bool exact_is_off;      /* we leave it to the network engine, */
    bool others_are_off;    /* as most others do that we know of */
    uint64_t off_us;        /* when what is told so is dropped; KITH_NEVER: it has been, or is not to be */
    uint64_t rest_us;       /* we do not change our mind before it */
    bool network_answers;   /* what is asked of AUTO, */
    uint64_t hand_over_us;  /* from then on if we leave it to that one, else until then */
    uint64_t check_us;      /* nor look at it */
};

/* ---- aggregate.c ---- */

/* Those of this instance, made when first needed.  NULL: no memory, and counted. */
struct ki_aggregates *ki_aggregates(struct kith *k);
void ki_aggregates_free(struct kith *k);
void ki_aggregates_forget(struct kith *k, uint32_t id); /* a member is about to be forgotten */
/* Others know a later life of ours than this has begun as: what was told in it shall not be newer than what we tell. */
void ki_aggregates_outlive(struct kith *k);
/* Another generation of ours, later than this one, too, from when others are told next: all that we contribute then. */
void ki_aggregates_renew(struct kith *k, struct ki_aggregates *a, uint64_t heard);
/* All under this name. */
struct ki_aggregate_group ki_aggregates_group(struct kith *k, struct ki_aggregates *a, struct ki_span name);
struct ki_aggregate *ki_aggregates_open_at(const struct ki_aggregates *a, struct ki_span name); /* here; NULL: it is not */
struct kith_schema ki_schema_shown(const struct ki_schema *schema);

/* A member of kith's kind that is not known to be gone: who has come back as one of Serf's kind takes part in nothing. */
static inline bool ki_aggregates_lives(const struct kith *k, uint32_t id)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    return m && (m->state == KI_ALIVE || m->state == KI_SUSPECT) && (id == k->self || ki_speaks_kith(m));
}

static inline uint32_t ki_aggregates_living(const struct kith *k)
{
    return k->table.by_state[KI_ALIVE] + k->table.by_state[KI_SUSPECT];
}

/* In which each member of a pool of this size tells others once. */
static inline uint64_t ki_aggregates_round_us(const struct kith *k)
{
    return (uint64_t)ki_aggregates_living(k) * 1000000 / KI_AGGREGATE_RATE + 1;
}

/* ---- aggregate_exact.c ---- */

extern const struct ki_engine ki_exact_engine;

/* ---- network_read.c ---- */

extern const struct ki_engine ki_network_engine;

/* ---- aggregate_tell.c ---- */

/* Contributions under it are told to everybody, and taken in. */
bool ki_aggregates_carry(const struct ki_aggregates *a, const struct ki_schema *schema);
/* The exact engine answers for it. */
bool ki_aggregates_exact(const struct ki_aggregates *a, const struct ki_schema *schema);
/* The network engine is to have it, as soon as can be. */
bool ki_aggregates_networked(const struct ki_aggregates *a, const struct ki_schema *schema);
void ki_aggregates_due(struct kith *k, struct ki_aggregates *a); /* something of ours has changed: when is it told? */
void ki_aggregates_tick(struct kith *k);
uint64_t ki_aggregates_deadline(const struct kith *k);

/* ---- aggregate_watch.c ---- */

void ki_watches_tick(struct kith *k, struct ki_aggregates *a); /* looks at one, if one is due */
uint64_t ki_watches_deadline(const struct ki_aggregates *a);
bool ki_watches_poll(struct kith *k, struct kith_event *out); /* an edge that has not been told */

/* ---- aggregate_values.c ---- */

/* What goes into one message after the other. */
struct ki_values {
    enum ki_aggregate_kind kind;
    uint32_t whom;      /* or KI_NO_MEMBER: everybody, by way of some */
    bool with_schemas;  /* whole ones; else their ids */
    unsigned left;      /* so many messages may still be sent */
    size_t room;
    unsigned schema_count;
    const struct ki_schema *schemas[KI_VALUES_SCHEMAS_MAX];
    struct ki_writer table, body;
    uint8_t table_bytes[KI_AGGREGATE_DATAGRAM], body_bytes[KI_AGGREGATE_DATAGRAM];
};

void ki_values_begin(struct kith *k, struct ki_values *v, enum ki_aggregate_kind kind, uint32_t whom, bool with_schemas);
/* What an owner contributes above a version, up to its head.  False: no more can be sent. */
bool ki_values_add(struct kith *k, struct ki_values *v, const struct ki_contributor *owner, uint64_t base);
void ki_values_end(struct kith *k, struct ki_values *v); /* sends what is left */

/* Takes in what a member says.  Returns 0 or KITH_ERR_MALFORMED. */
int ki_values_take(struct kith *k, struct ki_aggregates *a, uint32_t id, enum ki_aggregate_kind kind,
                   struct ki_reader *r);
/* It can be that this member has told something in this generation. */
bool ki_values_believed(const struct kith *k, uint32_t id, uint64_t generation);
/* Somebody has this of us: is it more than we know to have said? */
void ki_values_own(struct kith *k, struct ki_aggregates *a, uint64_t generation, uint64_t head);

/* ---- aggregate_talk.c ---- */

int ki_aggregates_message(struct kith *k, uint32_t id, struct ki_span message); /* of the kith channel */
void ki_aggregates_root(struct kith *k, uint32_t id, struct ki_writer *w);      /* what a ping tells */
void ki_aggregates_want(struct kith *k, struct ki_aggregates *a); /* asks for what is known to be missing */

#endif
