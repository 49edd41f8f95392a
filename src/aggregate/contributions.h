/* Who contributes what: for each owner, a member, the values that it has told, each with its version.
 *
 * A generation of an owner begins with a life of it, and anew when it takes a value back: then it tells the others again,
 * and whoever hears of it forgets what was.  So there is nothing to keep of what is gone.  Versions number what an owner has
 * told in a generation, whatever it is about. */
#ifndef KI_CONTRIBUTIONS_H
#define KI_CONTRIBUTIONS_H

#include "aggregate/schema.h"
#include "base/map.h"

struct ki_contribution {
    struct ki_schema *schema; /* a use of it */
    uint64_t version;
    double value;
};

struct ki_contributor {
    uint64_t hash; /* of its name */
    uint64_t generation;
    uint64_t head;  /* all up to this version is here, as far as it has not been superseded */
    uint64_t heard; /* head or, if there is a gap, the highest version that is known to exist */
    uint32_t id;    /* of the member */
    uint32_t count, cap;
    struct ki_contribution *list; /* one for a schema, the versions rising */
    bool is_off;         /* this generation tells nothing that may be computed in the network */
    bool is_thin;        /* some of what it has told is not kept here, though the head is beyond it: nobody is told of it */
    bool is_named;       /* the caller's, for a while; */
    bool is_fresh;       /* and: what comes after this version is to be passed on, */
    bool fresh_schemas;  /* with the schemas */
    uint64_t fresh_from;
};

struct ki_contributions {
    struct ki_mem *mem;
    struct ki_schemas schemas;
    struct ki_contributor **list; /* in no order */
    uint32_t count, cap;
    uint32_t gaps;    /* how many of them have one */
    struct ki_map by_id;
    uint64_t bytes;   /* that owners and their values take */
    uint64_t changes; /* counts what happens */
};

void ki_contributions_init(struct ki_contributions *c, struct ki_mem *mem);
void ki_contributions_free(struct ki_contributions *c);

struct ki_contributor *ki_contributions_of(const struct ki_contributions *c, uint32_t id); /* or NULL */
/* A new one, of which nothing is known but its generation.  NULL: memory is out. */
struct ki_contributor *ki_contributions_enter(struct ki_contributions *c, uint32_t id, struct ki_span name,
                                              uint64_t generation);
/* Another generation, which outranks: all of it is forgotten. */
void ki_contributor_renew(struct ki_contributions *c, struct ki_contributor *owner, uint64_t generation);
/* Forgets a member.  Nothing if it is none. */
void ki_contributions_forget(struct ki_contributions *c, uint32_t id);

enum ki_taking {
    KI_TAKING_OLD,    /* it is superseded, or known; or another value is under this version */
    KI_TAKING_NEW,
    KI_TAKING_NO_ROOM /* memory is out */
};
/* A value with this version, as it has been told by anybody.  On NEW another use of the schema is taken. */
enum ki_taking ki_contributor_take(struct ki_contributions *c, struct ki_contributor *owner, struct ki_schema *schema,
                                   uint64_t version, double value);
/* All from base to last has been taken, as far as there is any: so head moves on if there is nothing between it and base. */
void ki_contributor_reach(struct ki_contributions *c, struct ki_contributor *owner, uint64_t base, uint64_t last);
/* There are versions up to this one. */
void ki_contributor_hear(struct ki_contributions *c, struct ki_contributor *owner, uint64_t last);
/* As if nothing of it had been heard of, but what is here: it has a gap then, if it has ever told anything. */
void ki_contributor_doubt(struct ki_contributions *c, struct ki_contributor *owner);
/* All that it is known to have told in this generation is here: else nobody is told of it. */
static inline bool ki_contributor_is_whole(const struct ki_contributor *owner)
{
    return !owner->is_thin && owner->head == owner->heard;
}
/* The first whose version is above this one: its place in the list. */
uint32_t ki_contributor_after(const struct ki_contributor *owner, uint64_t version);
const struct ki_contribution *ki_contributor_find(const struct ki_contributor *owner, const struct ki_schema *schema);
/* Forgets all of a schema, whoever has contributed: they are thin then. */
void ki_contributions_clear(struct ki_contributions *c, struct ki_schema *schema);

/* Owners in one of 2^bits buckets, by their names; what one adds to the root of its bucket. */
uint32_t ki_contributor_bucket(const struct ki_contributor *owner, unsigned bits);
uint64_t ki_contributor_root(const struct ki_contributor *owner);

#endif
