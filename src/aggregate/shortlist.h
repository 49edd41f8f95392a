/* Which contributions of an aggregate are worth telling on, where nobody can know all of them: the largest, the smallest,
 * and those of the owners whose names have the smallest hashes, which are a random sample of the owners.
 *
 * Tables of this kind agree by merging.  What is in one is told to each neighbour once, and again if it changes. */
#ifndef KI_SHORTLIST_H
#define KI_SHORTLIST_H

#include "base/map.h"

#define KI_SHORT_ENDS 40    /* kept of the largest, and of the smallest: 32 that are shown, and 8 against holes */
#define KI_SHORT_SAMPLE 512 /* a quantile's rank is right to 7 parts in 100 at most, three standard errors, at 0.01 to 1.4 */
#define KI_SHORT_GONE 128   /* overtaken ones that are kept for a while */
#define KI_SHORT_NEIGHBOURS 16
#define KI_SHORT_NOBODY KI_SHORT_NEIGHBOURS /* no neighbour: from ourselves */

/* Who owns a number, and its name: for equal values the order of names decides. */
struct ki_short_names {
    struct ki_span (*name_of)(const void *arg, uint32_t owner);
    const void *arg;
};

/* What an owner says of itself. */
struct ki_short_claim {
    uint64_t hash;       /* ki_shortlist_hash() of its name */
    uint64_t generation; /* the higher (generation, version) is newer */
    uint64_t version;
    double value;        /* finite; of one that is cleared without meaning */
    uint32_t owner;      /* its number here, and nobody else's while there is a claim of it */
    bool cleared;
};

struct ki_short_entry {
    struct ki_short_claim claim;
    uint64_t taken;      /* number of the change of this table with which it came: rising */
    uint64_t keep_us;    /* when it may be forgotten, if it is gone; 0: it has overtaken none */
    uint16_t known;      /* a bit for each neighbour that has this or newer */
    uint16_t prev, next; /* in order of taken */
    bool gone;           /* cleared, or overtaken by one that does not belong here: kept to be told, and known as old */
};

struct ki_shortlist {
    struct ki_mem *mem;
    struct ki_short_names names;
    uint16_t ends, sample, gone_max; /* limits; KI_SHORT_ENDS and so on */
    struct ki_short_entry *entries;
    uint16_t *by_value, *by_hash;    /* of those that are not gone, in order: the smallest first */
    uint32_t entries_cap, by_value_cap, by_hash_cap;
    uint16_t used, free_first;       /* places below `used` are in use, or linked through next */
    uint16_t live, gone;             /* how many */
    uint16_t oldest, newest;         /* by taken */
    struct ki_map by_owner;
    uint64_t taken;                  /* of the newest there has been; 0: none */
    uint64_t digest;                 /* of those that are not gone: equal for tables that agree */
};

/* The place of a name in the sample: the same at every member. */
uint64_t ki_shortlist_hash(struct ki_span name);

void ki_shortlist_init(struct ki_shortlist *list, struct ki_mem *mem, struct ki_short_names names, uint16_t ends,
                       uint16_t sample, uint16_t gone_max);
void ki_shortlist_free(struct ki_shortlist *list);

enum ki_short_result {
    KI_SHORT_TAKEN, /* news: it will be told on */
    KI_SHORT_SAME,  /* it is here */
    KI_SHORT_OLD,   /* a newer one is, and `from` will be told it */
    KI_SHORT_UNFIT, /* others are better */
    KI_SHORT_NOMEM  /* nothing has changed */
};
/* A claim that a neighbour has told, or our own. */
enum ki_short_result ki_shortlist_offer(struct ki_shortlist *list, uint64_t now_us, const struct ki_short_claim *claim,
                                        unsigned from);
/* The owner is no living member any more: as if it had never been. */
void ki_shortlist_drop(struct ki_shortlist *list, uint32_t owner);
void ki_shortlist_tidy(struct ki_shortlist *list, uint64_t now_us); /* forgets what has been gone for long enough */

const struct ki_short_entry *ki_shortlist_find(const struct ki_shortlist *list, uint32_t owner); /* NULL: none, or gone */
/* By value, from the smallest on; place < list->live.  Only the first and last `ends` have all that there are of theirs. */
const struct ki_short_entry *ki_shortlist_at(const struct ki_shortlist *list, uint32_t place);
uint32_t ki_shortlist_before(const struct ki_shortlist *list, const struct ki_short_entry *entry); /* its place there */
uint32_t ki_shortlist_sampled(const struct ki_shortlist *list); /* how many are of the sample */
uint64_t ki_shortlist_last_hash(const struct ki_shortlist *list); /* the highest in the sample; there must be one */
bool ki_shortlist_is_sampled(const struct ki_shortlist *list, const struct ki_short_entry *entry);
/* Every contribution is here, if what we know is all there is. */
static inline bool ki_shortlist_is_whole(const struct ki_shortlist *list)
{
    return list->live < list->sample;
}

/* So many places at either end are right even when some of the best have just gone. */
static inline uint32_t ki_shortlist_shown(const struct ki_shortlist *list)
{
    return list->ends - list->ends / 5u;
}

/* What a neighbour, which has all up to the change `after`, is to be told: the oldest, and the one after that.  NULL: no
 * more.  Good until the next change. */
const struct ki_short_entry *ki_shortlist_newer(const struct ki_shortlist *list, uint64_t after, unsigned neighbour);
const struct ki_short_entry *ki_shortlist_next(const struct ki_shortlist *list, const struct ki_short_entry *entry,
                                               unsigned neighbour);
/* It has confirmed the changes behind `after` up to this one. */
void ki_shortlist_told(struct ki_shortlist *list, uint64_t after, uint64_t upto, unsigned neighbour);
/* It is to be taken for one that knows nothing. */
void ki_shortlist_unknown(struct ki_shortlist *list, unsigned neighbour);

#endif
