/* Comparing views with another kith member, over a link: what differs is told, both ways (PROTOCOL.md "comparing views").
 *
 *   sync.c        who begins one, and when; a run, step by step, in slices
 *   sync_sum.c    what a member counts for in sums and items
 *   sync_set.c    the other's items
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
    uint16_t bucket;
    bool is_there; /* false: the id was free */
};

/* The other's items, found by name. */
struct ki_sync_entry {
    struct ki_sync_item item;
    bool is_used;
    uint16_t number; /* among the items as they came */
    bool is_matched; /* we hold the very same */
    bool is_known;   /* we hold something else of that name */
    bool is_old;     /* we hold the same of a later time, */
    uint32_t time;   /* this */
};

struct ki_sync_set {
    struct ki_sync_entry *entries;
    uint32_t cap; /* a power of 2; 0: the set is empty */
    uint32_t count;
    uint32_t factor; /* odd, drawn: who sends the names cannot choose their places */
};

enum ki_sync_step {
    KI_SYNC_IDLE,
    KI_SYNC_SUM,  /* looking through our view for sums; */
    KI_SYNC_LIST, /* through what was seen then, for items of the range, */
    KI_SYNC_TELL, /* for members to tell of; */
    KI_SYNC_GIVE, /* at those that are wanted */
    KI_SYNC_SAY,  /* a message waits for the link */
    KI_SYNC_WAIT  /* for the other's */
};

struct ki_sync_run {
    enum ki_sync_step step, then; /* then: after SAY; IDLE: it is over */
    struct ki_sync_salt salt;
    unsigned bits;
    uint64_t *sums;    /* ours, by list and bucket; of who answers, what they differ by from the other's */
    uint16_t *counts;  /* of who answers: our members in each */
    struct ki_sync_seen *seen; /* by id */
    uint32_t seen_count;
    uint32_t cursor;   /* the id, or the number of who is wanted, that is looked at next */
    uint32_t first, end; /* the range of buckets that is being talked of */
    uint8_t *differs;  /* of who asks: the items' front, kept */
    struct ki_sync_items range; /* likewise: in it */
    struct ki_sync_set set; /* likewise: the other's items */
    uint32_t *listed;  /* of who answers: the ids of the items that it has listed last */
    uint32_t listed_count;
    uint8_t *wanted;   /* which of them the other wants: their numbers, be16, as they came */
    uint32_t wanted_count;
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
bool ki_sync_wanted_received(struct ki_sync_link *data, struct ki_span message);
void ki_sync_said(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run); /* its message is out */
void ki_sync_run_end(struct kith *k, struct ki_sync_run *run);
void ki_sync_link_closed(struct kith *k, struct ki_sync_link *data); /* frees it */
void ki_sync_over(struct kith *k, struct ki_sync_link *data); /* the comparison that we asked for */

/* sync_sum.c */
unsigned ki_sync_bits(uint32_t members); /* so many buckets, as a power of 2, are good for so many */
struct ki_sync_place ki_sync_place(const struct kith *k, uint32_t id, const struct ki_sync_salt *salt, unsigned bits);

/* sync_set.c */
bool ki_sync_set_make(struct kith *k, struct ki_sync_set *set, uint32_t count); /* room for so many; false: memory is out */
void ki_sync_set_free(struct kith *k, struct ki_sync_set *set);
/* The next of the items, as they came.  false: its name has been put too often. */
bool ki_sync_set_put(struct ki_sync_set *set, struct ki_sync_item item);
/* The next entry of that name, whichever list it is in, from *cursor (at first 0) on; NULL: there is none. */
struct ki_sync_entry *ki_sync_set_next(const struct ki_sync_set *set, uint32_t name, uint32_t *cursor);

/* sync_merge.c */
/* The newest intent about this member is of this time, if it is still the member that was summed up. */
void ki_sync_take_time(struct kith *k, struct ki_sync_link *data, const struct ki_sync_run *run, uint32_t id, uint32_t time);
size_t ki_sync_put_clocks(const struct kith *k, uint8_t *buf, size_t cap);
size_t ki_sync_put_member(const struct kith *k, uint32_t id, uint8_t *buf, size_t cap); /* 0: it does not fit */
bool ki_sync_members_received(struct kith *k, struct ki_sync_link *data, struct ki_span message); /* false: malformed */

/* sync_link.c */
extern const struct ki_link_owner ki_sync_link_owner;

#endif
