/* The store of an instance: what stands between the rules of src/store and the public functions of store.h.
 *
 *   replica.c         life, limits, what time does, gauges     replica_write.c   writing
 *   replica_read.c    reading                                  replica_rows.c    disk, changes, backups
 *   peers_store.c     who else has a store                     push.c            fresh writes to others
 *   compare_roots.c   do we agree?                             held.c            who holds what
 *   store_channel.c   messages in datagrams, in and out    repair_run.c      sessions; store_link.h has more
 *   store_link.c      what goes over links */
#ifndef KI_NODE_REPLICA_H
#define KI_NODE_REPLICA_H

#include <kith/store.h>

#include "node/node.h"
#include "store/changes.h"
#include "store/compare.h"
#include "store/ops.h"
#include "store/rows.h"
#include "wire/kith.h"

/* A living member that has a store, too. */
struct ki_peer {
    uint32_t id;        /* of the member */
    uint64_t name_hash; /* ids are given again */
    uint64_t replica;   /* its present id; 0: not known */
    uint64_t told_replica; /* the id of ours that it was told last */
    struct ki_run *held; /* what this replica is known to have held: a run for each origin, in their order */
    uint32_t held_count, held_cap;

    /* comparing */
    uint64_t said_us;     /* when our root was said last */
    uint64_t same_version; /* of our store, when equal roots were found last */
    uint64_t synced_us;   /* when that was, or when a repair ended; 0: never */
    uint64_t differences; /* repaired then */
    uint64_t ask_us;      /* a second look at different roots is due; KITH_NEVER: none is */
    uint64_t rest_us;     /* no session before */
    uint32_t strikes;     /* different roots in a row */
    uint32_t failures;    /* sessions in a row that came to nothing */
    uint64_t paid_us;     /* what repairs have sent to it is worth the time until then, at the rate that is allowed */
    bool was_partial;     /* it has refused cells of others, as it said last */
    bool is_same;         /* its root was ours, at same_version */

    /* to be said in the next datagram to it */
    enum ki_say { KI_SAY_NOTHING, KI_SAY_ROOT, KI_SAY_ROOT_BACK, KI_SAY_SAME } say;
    enum ki_say say_late; /* as soon as there is a root */
    bool asks_held, answers_held, is_queued;
    uint64_t answer_origin, answer_n; /* about which it has asked */
};

#define KI_PUSH_DIRECT_MAX 32 /* to so many peers the origin pushes itself */

/* Writes on their way to others, as one message. */
struct ki_packet {
    struct ki_packet *next;
    uint64_t seq; /* the group of rows that must be durable first; 0: none */
    enum ki_kith_message kind;
    uint32_t targets[KI_PUSH_DIRECT_MAX];
    uint32_t target_count, sent;
    size_t len;
    uint8_t bytes[];
};

struct ki_push {
    struct ki_packet *first, *last;
    uint32_t packet_count;
    uint64_t at_us;  /* the open group is to be sent then; KITH_NEVER: there is none */
    uint64_t last_us; /* when one was sent last */
    size_t estimate; /* bytes of the open group, at most */
    size_t op_len;   /* of these the last operation's */
    uint64_t n;      /* what the estimate has counted of the note */
    size_t runs;
};

struct ki_replica {
    struct kith_store_config cfg;
    struct ki_mem mem; /* the store's own, with its own limit */
    struct ki_store store;
    struct ki_rows rows;
    struct ki_changes changes;
    bool is_ready;  /* has an id of its own */
    bool in_group;  /* between begin and commit */
    struct ki_import *import; /* replica_rows.c; NULL: none is under way */

    /* others */
    struct ki_peer **peers; /* by id */
    uint32_t peer_count, peer_cap;
    uint32_t peers_epoch, peers_members; /* of the table that they were found in */
    uint64_t peers_us;
    bool peers_known;
    struct ki_push push;
    bool is_partial;      /* cells of others were refused since the last repair */
    bool is_settling;     /* the sketch is not whole, and somebody wants to compare */
    struct ki_hash128 root; /* of root_version */
    uint64_t root_version;
    bool has_root;
    struct ki_published { /* withhold: what a group of rows made durable */
        struct ki_hash128 root;
        struct ki_run *runs; /* the last of each replica */
        uint32_t run_count, run_cap;
        uint64_t seq; /* the group; 0: nothing */
        bool has_root;
    } shown, coming; /* of the last durable group; of the one that is out */
    uint64_t held_ask_us; /* waits ask again; KITH_NEVER: nobody waits */
    uint32_t held_asks;
    uint64_t rounds, repairs, repairs_failed, differences;
    struct ki_repair_run *runs;  /* sessions */
    uint64_t ended[8];           /* some of the last */
    uint32_t ended_at;
    struct ki_store_link *links; /* those with something beside them */
    size_t large_bytes;          /* of deltas that wait for links */
    uint64_t secret_us;          /* not asked for before */
};

/* replica.c */
void ki_replica_free(struct kith *k);
void ki_replica_ready(struct kith *k);
void ki_replica_tick(struct kith *k);
uint64_t ki_replica_deadline(const struct kith *k);
int ki_replica_error(int store_error); /* a ki_store_error as a kith_error */
void ki_replica_renew(struct kith *k); /* under a new id from now on (R3) */

static inline uint64_t ki_wall_ms(struct kith_time now)
{
    return now.wall_us / 1000;
}

static inline struct ki_span ki_span_of(struct kith_str s)
{
    return ki_span(s.ptr, s.len);
}

static inline struct kith_str ki_str_of(struct ki_span s)
{
    return (struct kith_str){.ptr = (const char *)s.ptr, .len = s.len};
}

/* tags.c */
bool ki_has_store(const struct ki_member *m); /* announces one */

/* store_channel.c: what channel.c says of stores */
int ki_store_message(struct kith *k, uint32_t from, struct ki_span message); /* of a kith member; from its kind on */
void ki_store_part(struct kith *k, uint32_t id, struct ki_writer *w);
void ki_store_sent(struct kith *k, uint32_t id);
void ki_store_send(struct kith *k, struct ki_peer *peer); /* something is to be said to it */

/* peers_store.c */
void ki_peers_refresh(struct kith *k); /* after it, peers are those that the table has */
struct ki_peer *ki_peer_of(struct kith *k, uint32_t id); /* NULL: this member is none */
struct ki_peer *ki_peer_known(const struct ki_replica *r, uint32_t id); /* likewise, as of the last refresh */
void ki_peer_is(struct kith *k, struct ki_peer *peer, uint64_t replica);
bool ki_peer_holds(const struct ki_peer *peer, struct ki_dot dot);
void ki_peer_held(struct kith *k, struct ki_peer *peer, struct ki_run run); /* has been found to hold these */
void ki_peers_free(struct kith *k);

/* push.c */
bool ki_push_poll(struct kith *k, uint32_t *id, enum ki_kith_message *kind, struct ki_span *bytes);
void ki_push_flush(struct kith *k); /* the open group becomes a packet */
void ki_push_end(struct kith *k);   /* likewise, before our id changes */
int ki_push_receive(struct kith *k, struct ki_peer *from, enum ki_kith_message kind, struct ki_span delta);
uint64_t ki_push_deadline(const struct kith *k);
void ki_push_free(struct kith *k);

/* compare_roots.c */
bool ki_root(struct kith *k, struct ki_hash128 *root); /* that others may see; false: there is none just now */
void ki_root_on_ping(struct kith *k, uint32_t id);      /* a ping to this member is being built */
void ki_root_asked(struct kith *k, struct ki_peer *peer, const struct ki_kith_root *msg);
void ki_root_compared(struct kith *k, struct ki_peer *peer, bool has_root, bool is_equal); /* by the way it was asked */
void ki_root_answered(struct kith *k, struct ki_peer *peer, const struct ki_kith_root *msg);
void ki_root_is_same(struct kith *k, struct ki_peer *peer); /* the root that others may see now */
void ki_roots_late(struct kith *k); /* there is a root: what had to wait for one can be said */
void ki_roots_tick(struct kith *k);
uint64_t ki_roots_deadline(const struct kith *k);
bool ki_in_sync(const struct kith *k, const struct ki_peer *peer);

/* repair_run.c */
void ki_repair_begin(struct kith *k, struct ki_peer *peer); /* it is known to differ from us */
bool ki_repair_poll_datagram(struct kith *k, const struct ki_peer *peer, struct ki_writer *w);
bool ki_repair_has_datagram(const struct kith *k, const struct ki_peer *peer);
void ki_repairs_tick(struct kith *k);
uint64_t ki_repairs_deadline(const struct kith *k);
void ki_repairs_group(struct kith *k);   /* withhold: a group of rows has been polled, */
void ki_repairs_durable(struct kith *k); /* and is durable */
void ki_repairs_gone(struct kith *k, uint32_t id); /* this member is no peer any more */
void ki_repairs_end(struct kith *k);
void ki_repairs_free(struct kith *k);

/* store_link.c */
bool ki_secret_loaded(struct kith *k); /* false: memory is out */
void ki_secret_tick(struct kith *k);
uint64_t ki_secret_deadline(const struct kith *k);
void ki_store_links_free(struct kith *k);

/* held.c */
void ki_held_asked(struct kith *k, struct ki_peer *peer, const struct ki_kith_held_ask *msg);
void ki_held_told(struct kith *k, struct ki_peer *peer, const struct ki_kith_held *msg);
bool ki_held_answer(struct kith *k, const struct ki_peer *peer, struct ki_kith_held *msg); /* false: nothing to say */
void ki_held_all(struct kith *k, struct ki_peer *peer); /* it has all that we show */
void ki_held_check(struct kith *k); /* waits that have come to their end */
uint32_t ki_held_count(struct kith *k, const struct ki_ask *ask);
void ki_held_tick(struct kith *k);
void ki_shown_group(struct kith *k);   /* withhold: a group of rows has been polled, */
void ki_shown_durable(struct kith *k); /* and is durable */

/* replica_read.c: the store, with this key ended if its time has come.  NULL: there is no store. */
struct ki_replica *ki_replica_for(struct kith *k, struct kith_time now, struct ki_span key);

/* replica_rows.c */
void ki_import_drop(struct kith *k);

/* replica_write.c: what one step, an operation or a delta, has done is told. */
void ki_replica_step_ends(struct kith *k);
void ki_replica_committed(struct kith *k); /* a group has been written */

#endif
