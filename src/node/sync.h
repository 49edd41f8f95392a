/* Comparing views with another kith member, over a link: what differs is told, both ways (PROTOCOL.md "comparing views").
 *
 *   sync.c        who begins one, and when; a run, step by step, in slices
 *   sync_sum.c    what a member counts for in sums and items
 *   sync_order.c  our items in order
 *   sync_match.c  our items and the other's: what is told, and what is wanted
 *   sync_merge.c  members, told and taken in
 *   sync_link.c   the owner of the links' subject VIEW
 */
#ifndef KI_NODE_SYNC_H
#define KI_NODE_SYNC_H

#include "node/intake.h"
#include "node/link.h"
#include "wire/sync.h"

/* What the hashes of one comparison depend on. */
struct ki_sync_salt {
    uint64_t start, factor; /* the factor is odd */
};

/* Where a member stands in a comparison. */
struct ki_sync_place {
    uint32_t bucket;
    unsigned list; /* KI_SYNC_LIVING or KI_SYNC_GONE */
    struct ki_sync_item item;
    uint64_t sum; /* what it adds, bit by bit, to its bucket's */
};

/* A member of ours, as it was summed up. */
struct ki_sync_seen {
    struct ki_sync_item item;
    uint32_t id;
};

enum ki_sync_step {
    KI_SYNC_IDLE,
    KI_SYNC_SUM,   /* looking through our view for sums and items; */
    KI_SYNC_ORDER, /* sorting the items; */
    KI_SYNC_MATCH, /* looking for them in the other's list; */
    KI_SYNC_TELL,  /* at those of whom the other is told */
    KI_SYNC_SAY,   /* a message waits for the link */
    KI_SYNC_WAIT   /* for the other's */
};

struct ki_sync_run {
    enum ki_sync_step step, then; /* then: after SAY; IDLE: it is over */
    struct ki_sync_salt salt;
    unsigned bits;
    uint64_t *sums;    /* ours, by list and bucket; of who answers, what they differ by from the other's */
    struct ki_sync_seen *seen, *spare; /* by id; then in order of names, and nothing.  spare: to sort them in */
    uint32_t ids;      /* there were, free ones too, */
    uint32_t seen_count; /* and so many have been summed up */
    unsigned digits;   /* that they have been sorted by */
    uint32_t *starts;  /* where each bucket begins among them; and the end of the last */
    uint32_t cursor;   /* the id, or the place, that is looked at next */
    uint32_t end;      /* of who answers: of the buckets that have been talked of */
    uint8_t *theirs;   /* of who asks: the message of the other's items, */
    struct ki_sync_items items; /* in it */
    uint32_t passed;   /* so many of them stand before ours at the cursor */
    uint8_t *marks;    /* what is known of each; enum of sync_match.c */
    struct ki_writer wanted, times; /* messages that grow meanwhile */
    uint32_t *listed;  /* of who answers: the places, in seen, of the items that it has listed last */
    uint32_t listed_count;
    uint32_t *told;    /* ids of those of whom the other is told */
    uint32_t told_count;
    bool tells_self;   /* the other has accused us: what we say now refutes it */
    uint8_t *out;      /* a message, */
    size_t out_len, out_sent;
    uint8_t channel;   /* and what it is; enum ki_sync_channel */
};

enum { KI_SYNC_ASKS, KI_SYNC_ANSWERS, KI_SYNC_ROLES };

struct ki_sync_link { /* ki_link.owner_data[KI_LINK_VIEW] */
    struct ki_list all; /* kith.sync_links */
    struct ki_link *link;
    struct ki_sync_run runs[KI_SYNC_ROLES];
    unsigned saying;    /* the role whose message is on its way */
    bool learned;       /* our view has changed by it */
    bool is_turn;       /* as of ki_sync_begin() */
    uint32_t near;      /* id of the member that probably comes next, by our table */
    uint32_t unknown;   /* names met that are no member's */
};

#define KI_SYNC_OUT_MAX 51200 /* items of 4,096 members with their front, and some more */
#define KI_SYNC_AHEAD   16    /* members fetched before their turn: a view that is seldom walked is in no cache */

static inline void ki_sync_fetch(const struct kith *k, uint32_t id) /* any below the table's end */
{
    KI_PREFETCH(ki_table_member(&k->table, id));
    KI_PREFETCH(ki_about(k, id));
}

/* sync.c */
/* Compares with this member.  is_turn: it is that of whole states; who refuses us is then told one.  false: it cannot be
 * done this way, now. */
bool ki_sync_begin(struct kith *k, uint32_t id, bool is_turn);
void ki_sync_soon(struct kith *k);
void ki_sync_tick(struct kith *k);
uint64_t ki_sync_deadline(const struct kith *k);
void ki_sync_ready(struct kith *k);
void ki_sync_free(struct kith *k);

/* sync.c, for sync_link.c */
struct ki_sync_link *ki_sync_link_data(struct kith *k, struct ki_link *link); /* NULL: memory is out, and counted */
bool ki_sync_sums_received(struct kith *k, struct ki_sync_link *data, struct ki_span message); /* false: malformed */
bool ki_sync_items_received(struct kith *k, struct ki_sync_link *data, struct ki_span message);
bool ki_sync_times_received(struct kith *k, struct ki_sync_link *data, struct ki_span message);
bool ki_sync_wanted_received(struct kith *k, struct ki_sync_link *data, struct ki_span message);
void ki_sync_said(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run); /* its message is out */
void ki_sync_run_end(struct kith *k, struct ki_sync_run *run);
void ki_sync_link_closed(struct kith *k, struct ki_sync_link *data); /* frees it */
void ki_sync_over(struct kith *k, struct ki_sync_link *data); /* the comparison that we asked for */

/* sync_sum.c */
unsigned ki_sync_bits(uint32_t members); /* so many buckets, as a power of 2, are good for so many */
struct ki_sync_place ki_sync_place(const struct kith *k, uint32_t id, const struct ki_sync_salt *salt, unsigned bits);
/* The id is that of the member that was summed up, which has not come or gone since. */
bool ki_sync_is_same(const struct kith *k, const struct ki_sync_seen *seen, const struct ki_sync_salt *salt);

/* sync_order.c */
bool ki_sync_order(struct ki_sync_run *run); /* a slice; true: what was seen is in order, and starts says where what is */

/* sync_match.c */
/* Their items have come, as this message.  false: memory is out. */
bool ki_sync_match_begin(struct kith *k, struct ki_sync_run *run, struct ki_span message, const struct ki_sync_items *items);
/* Looks at so many of ours; at fewer, where names are shared by many.  true: that was all. */
bool ki_sync_match(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run, uint32_t count);

/* sync_merge.c */
/* The newest intent about this member is of this time, if it is still the member that was summed up. */
void ki_sync_take_time(struct kith *k, struct ki_sync_link *data, const struct ki_sync_run *run,
                       const struct ki_sync_seen *seen, uint32_t time);
size_t ki_sync_put_clocks(const struct kith *k, uint8_t *buf, size_t cap);
size_t ki_sync_put_member(const struct kith *k, uint32_t id, uint8_t *buf, size_t cap); /* 0: it does not fit */
bool ki_sync_members_received(struct kith *k, struct ki_sync_link *data, struct ki_span message); /* false: malformed */

/* sync_link.c */
extern const struct ki_link_owner ki_sync_link_owner;

#endif
