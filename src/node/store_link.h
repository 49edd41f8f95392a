/* What stores say to each other over links (link.h): the secret, deltas too large for a datagram, repairs.
 *
 *   store_link.c   hello, secret, large deltas      repair_run.c   sessions */
#ifndef KI_NODE_STORE_LINK_H
#define KI_NODE_STORE_LINK_H

#include "node/link.h"
#include "node/replica.h"
#include "store/repair.h"

#define KI_KITH_REPAIR_FRONT 3 /* 08 4b, kind */

struct ki_backlog { /* a message that came before it could be heeded */
    struct ki_backlog *next;
    size_t len;
    uint8_t bytes[];
};

struct ki_repair_run {
    struct ki_repair_run *next;
    struct ki_repair repair; /* but for state WAITS */
    struct ki_repair_config config;
    enum { KI_RUN_WAITS, KI_RUN_HELD, KI_RUN_GOES } state;
    uint32_t id;          /* the peer's */
    struct ki_link *link; /* NULL: over datagrams */
    uint64_t wait_seq;    /* HELD: until this group of rows is durable */
    uint64_t begun_us;
    uint64_t spoke_us; /* when a message was sent or heard last */
    bool is_busy; /* it has work left */
    bool has_out; /* it may have something to send, */
    bool is_paced; /* but not before its peer's paid_us */
    bool is_told; /* what became of it is known */
    bool is_over; /* to be freed */
    struct ki_backlog *backlog, *backlog_last;
    size_t backlog_bytes;
};

/* A delta that does not fit a datagram, on its way over several links. */
struct ki_large {
    uint32_t uses;
    uint64_t seq; /* as of a packet */
    bool is_more; /* another part of the group that the one before it began */
    size_t len;
    uint8_t bytes[];
};

struct ki_large_place {
    struct ki_large_place *next;
    struct ki_large *large;
};

struct ki_store_link { /* ki_link.owner_data[KI_LINK_STORE] */
    struct ki_store_link *others; /* of all that there are */
    struct ki_link *link;
    struct ki_large_place *first, *last;
    const uint8_t *out; /* the message being sent; NULL: none */
    size_t out_len, out_sent;
    bool out_is_large;
    bool took_last; /* the last delta that came */
    bool owes_secret;
    uint8_t secret[KI_ROW_SECRET_LEN];
    uint8_t *repair; /* one message */
};

/* store_link.c */
extern const struct ki_link_owner ki_store_link_owner;
void ki_secret_tell(struct kith *k, uint32_t id); /* to a peer that has another one */
bool ki_secret_take(struct kith *k, const uint8_t secret[KI_ROW_SECRET_LEN]); /* if it is smaller than ours */
struct ki_large *ki_large_new(struct kith *k, size_t len); /* NULL, and counted: there is no room */
/* Takes `large` over.  Of the targets those remain, in front, whose links it waits for; their count. */
uint32_t ki_large_send(struct kith *k, struct ki_large *large, uint32_t *targets, uint32_t count);
void ki_large_wake(struct kith *k); /* what waited for a group of rows may go */

/* repair_run.c */
void ki_repair_by_link(struct kith *k, struct ki_peer *peer);
void ki_repair_message(struct kith *k, struct ki_peer *peer, struct ki_link *link, struct ki_span message);
bool ki_repair_poll_link(struct kith *k, const struct ki_link *link, uint8_t *buf, size_t cap, size_t *len);
void ki_repairs_link_closed(struct kith *k, const struct ki_link *link);

#endif
