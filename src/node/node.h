/* struct kith: everything of one instance, and what the files of this floor call of each other.
 *
 *   life.c     new, ready, free, time         receive.c  datagram -> messages       handle.c  messages -> state
 *   rumour.c   the merge rule carried out     send.c     state -> datagrams         tick.c    what is due
 *   peers.c    picking members                intent.c   Serf's join and leave      ask.c     tickets; join
 *   leave.c    leaving, force-leave           tags.c     our tags                   event.c   events, records
 *   stream.c   life of a stream               frame.c    its outer layers           exchange.c push/pull
 *   intake.c   what others tell, taken in     sync.c     comparing views            sync_sum.c sums of them
 *   channel.c  kith's own messages        (who says them: replica.h, and what else has something to say)
 *   state.c    its Serf part              link.c     links, carried by streams   link_flow.c what flows in them
 *   view.c     reading                       refusal.c  processes that have ended
 *   coordinates.c where we are in the network   messages.h: what members tell and ask each other
 *   aggregate.h: what the pool computes */
#ifndef KI_NODE_H
#define KI_NODE_H

#include <kith/kith.h>

#include "base/crng.h"
#include "base/list.h"
#include "base/queue.h"
#include "base/recall.h"
#include "serf/clock.h"
#include "serf/coordinate.h"
#include "serf/intents.h"
#include "serf/status.h"
#include "store/dot.h"
#include "swim/probe.h"
#include "swim/round_trip.h"
#include "swim/table.h"
#include "wire/memberlist.h"
#include "wire/packet.h"
#include "wire/seal.h"
#include "wire/serf.h"

/* Every counter, in the order and with the names of kith_counter_name(). */
#define KI_COUNTERS(X)                                                                                       \
    X(datagrams_in) X(datagrams_out) X(bytes_in) X(bytes_out)                                                \
    X(malformed) X(malformed_compress) X(malformed_crc) X(label_mismatch) X(auth_failed) X(nested_too_deep)  \
    X(unknown_type) X(unknown_serf_type) X(name_too_long)                                                    \
    X(pings_in) X(pings_out) X(pings_for_others) X(acks_in) X(acks_late) X(nacks_in)                         \
    X(indirect_in) X(indirect_out) X(indirect_refused) X(forged_reply_address)                               \
    X(probes) X(probes_failed) X(probes_refused) X(refusals_told) X(refusals_agreed) X(stream_pings)         \
    X(suspects_in) X(alives_in) X(deads_in) X(refutations) X(accusations_told) X(suspicions)                 \
    X(suspicions_confirmed) X(deaths_declared) X(conflicts) X(version_mismatch)                              \
    X(gossip_out) X(news_out) X(push_pulls_in) X(push_pulls_out) X(push_pulls_failed) X(reconnects)          \
    X(views_compared)                                                                                        \
    X(streams_in) X(streams_out) X(streams_refused) X(streams_failed) X(streams_timed_out)                   \
    X(stream_bytes_in) X(stream_bytes_out) X(stream_budget_full) X(stream_backpressure)                      \
    X(links_in) X(links_out) X(links_refused) X(links_failed) X(link_bytes_in) X(link_bytes_out)             \
    X(link_frames_bad)                                                                                       \
    X(user_messages_in) X(intents_in) X(events_in) X(events_out) X(events_forwarded) X(events_unfit)         \
    X(queries_in) X(queries_out) X(queries_forwarded) X(answers_in) X(answers_late) X(answers_relayed)       \
    X(relays_refused) X(filters_refused) X(messages_dropped) X(messages_unsent) X(bundles_out)               \
    X(folds_in) X(folds_out) X(fold_asks_refused) X(fold_replies_refused)                                    \
    X(keys_changed) X(event_gaps) X(events_wanted) X(event_asks_refused)                                     \
    X(votes) X(votes_lost) X(coordinate_rejected) X(coordinate_resets)                                       \
    X(kith_messages_in) X(kith_refused) X(pushes_out) X(pushes_in) X(pushes_forwarded) X(pushes_dropped)     \
    X(deltas_refused) X(roots_compared) X(roots_different) X(changes_dropped)                                \
    X(contributions_in) X(contributions_out) X(contributions_forwarded) X(contributions_refused)             \
    X(contributions_dropped) X(contributions_wanted) X(aggregate_asks_refused)                               \
    X(flows_in) X(flows_out) X(flows_refused) X(claims_in) X(claims_refused)                                 \
    X(stamps_ahead) X(replica_id_met) X(cells_damaged)                                                       \
    X(members_full) X(queue_dropped) X(intents_dropped) X(replies_dropped) X(relays_full) X(events_dropped)  \
    X(out_of_memory) X(pauses) X(slices)

enum ki_counter {
#define KI_COUNTER_ENUM(name) KI_COUNT_##name,
    KI_COUNTERS(KI_COUNTER_ENUM)
#undef KI_COUNTER_ENUM
        KI_COUNTER_TOTAL
};

enum ki_life {
    KI_LIFE_LOADING,       /* before kith_ready() */
    KI_LIFE_LIVE,
    KI_LIFE_LEAVE_INTENT,  /* the leave intent is on its way out */
    KI_LIFE_LEAVE_DEAD,    /* our own death notice is */
    KI_LIFE_LEAVE_LINGER,  /* helping the news along */
    KI_LIFE_LEFT
};

/* ---- datagrams waiting to be built ---- */

enum ki_send_kind {
    KI_SEND_ACK,
    KI_SEND_NACK,
    KI_SEND_PING,         /* probe of member id; with our accusation when it is suspect */
    KI_SEND_RELAY_PING,   /* ping for another's probe; id is the target */
    KI_SEND_INDIRECT,     /* ask a helper at `to` to ping member id */
    KI_SEND_NEWS_OF,      /* what we hold of member id, told to one that has it wrong */
    KI_SEND_GOSSIP,       /* news to member id */
    KI_SEND_CHANNEL,      /* what is to be said to member id over the kith channel */
    KI_SEND_LETTER        /* a message that is ready */
};

struct ki_send {
    enum ki_send_kind kind;
    uint32_t seq;
    uint32_t id;
    struct ki_letter *letter; /* LETTER: a use of it */
    bool nack;      /* INDIRECT: the helper understands nack */
    bool coordinate; /* ACK: says where we are */
    bool refused;   /* NACK: the target's host says that nobody listens */
    bool verdict;   /* NEWS_OF: the dead are dead, not suspect */
    bool to_member; /* the address is a known member's: news may ride along */
    struct kith_addr to;
};

enum { KI_CLASS_REPLY, KI_CLASS_PROBE, KI_CLASS_OTHER, KI_CLASSES }; /* in order of sending */

struct ki_sends { /* bounded ring */
    struct ki_send *items;
    uint32_t head, count, cap;
};

/* An indirect ping carried out for another. */
struct ki_relay {
    uint32_t our_seq, their_seq;
    struct kith_addr asker, target; /* target: port 0 if it is not pinged */
    bool asker_known, asker_is_kith;
    bool want_nack;
    uint64_t nack_us;   /* KITH_NEVER when said or not wanted */
    uint64_t expire_us;
};

#define KI_HELPERS_MAX 16 /* members asked to ping for us in one probe */

/* A failed probe whose helpers may still say nack: how many did tells how healthy we are. */
struct ki_nack_wait {
    uint32_t seq;
    uint32_t expected, received;
    uint64_t close_us; /* KITH_NEVER: none */
    uint32_t confirms; /* nacks confirm the suspicion of this member, if it has this incarnation; or KI_NO_MEMBER */
    uint32_t incarnation;
    uint32_t helpers[KI_HELPERS_MAX]; /* asked; KI_NO_MEMBER: forgotten, or its nack has been heeded */
    uint32_t helper_count;
    uint32_t nacked; /* a bit for each that said nack before the verdict */
    uint32_t refused; /* and for each that was refused */
    bool failed;     /* the probe ended without an ack */
};

enum { KI_QUEUE_MEMBERS, KI_QUEUE_INTENTS, KI_QUEUE_QUERIES, KI_QUEUE_EVENTS, KI_QUEUES }; /* in order of draining */

/* ---- asks ---- */

enum ki_ask_kind { KI_ASK_JOIN, KI_ASK_LEAVE, KI_ASK_FORCE_LEAVE, KI_ASK_COMMIT, KI_ASK_WAIT, KI_ASK_EVENT };

struct ki_ask {
    kith_ticket ticket;
    enum ki_ask_kind kind;
    bool quiet;              /* nobody wants the event */
    uint64_t deadline_us;    /* KITH_NEVER for joins: their streams end by themselves */
    struct kith_addr *addrs; /* JOIN: owned */
    uint32_t addr_count, addr_next, open, reached;
    int last_error;
    bool replay;      /* JOIN: events of before are wanted */
    uint32_t members; /* WAIT: how many others, */
    struct ki_dot upto; /* for all up to this */
};

struct ki_done { /* an event that is not about a member */
    enum kith_event_kind kind;
    kith_ticket ticket;
    int result;
    uint32_t count;
    uint32_t id; /* CONFLICT */
    struct kith_addr other;
};

/* What a member's answers to our probes have told. */
struct ki_measured {
    uint32_t id;
    struct ki_latencies latencies;
    struct ki_coordinate coordinate;
};

/* Of others only those that have answered: a view is mostly members that we have never probed. */
struct ki_coordinates {
    struct ki_vivaldi own;
    struct ki_rng rng; /* its own, so that what is measured moves no other choice */
    struct ki_measured **items;
    uint32_t count, cap;
    struct ki_map by_id; /* to places in items */
};

/* What all must speak, and what any speaks (memberlist's verifyProtocol). */
struct ki_versions {
    uint8_t pmin, pmax, dmin, dmax;
    uint8_t pcur_low, pcur_high, dcur_low, dcur_high;
    uint8_t last[6]; /* of the living member noted last, if noted */
    bool noted;
};

/* Those of the members with ids below `used`, `count` of them, in one epoch of the table. */
struct ki_versions_known {
    struct ki_versions versions;
    uint32_t others; /* living members that do not announce _kith */
    uint32_t epoch, used, count;
};

/* Beside a member: Serf's standing, and what has not been told yet. */
struct ki_about {
    struct ki_standing standing;
    uint32_t changed_next; /* the next id with a member event due, or KI_NO_MEMBER */
    uint8_t changed;       /* KITH_CHANGED_ bits not yet polled */
    bool queued;           /* the id waits among those; perhaps, since a member was forgotten, for nothing */
    bool recorded_alive;   /* what the last record said */
    bool record_due;
};

_Static_assert(sizeof(struct ki_about) == 24, "nothing is wasted");

/* A member that is forgotten but whose last event or record has not been polled. */
struct ki_ghost {
    struct ki_list link; /* kith.ghosts */
    struct ki_member member; /* taken over from the table */
    uint8_t changed;
    enum ki_status status;
    uint64_t status_ltime;
    bool event_due, record_due;
};

struct ki_stream;  /* stream.h */
struct ki_replica; /* replica.h */
struct ki_messages; /* messages.h */
struct ki_aggregates; /* aggregate.h */
struct ki_letter;
struct ki_link;   /* link.h */
struct ki_link_owner;

struct kith {
    /* What every call looks at comes first, side by side: of ten thousand instances in one process none is in the cache
     * when its turn comes. */
    struct kith_time now; /* of the last input */
    enum ki_life life;
    uint32_t self;
    bool bare;            /* delegate versions 0/0/0: membership only */
    bool news_none;       /* there is certainly no news, nor anything left to tidy up in the queues */
    bool record_group_open, left_record_due;
    uint32_t stream_count, relay_count, ask_count, done_count;
    uint32_t changed_first, changed_last; /* ids with a member event due, linked through ki_about; or KI_NO_MEMBER */
    uint32_t records_due;                 /* members with record_due */

    /* due times, monotonic; KITH_NEVER: off */
    uint64_t probe_next_us;
    uint64_t gossip_next_us;
    uint64_t gossip_paid_us;    /* not due, but until when the rounds there have been are enough: see send.c */
    uint64_t push_pull_next_us;
    uint64_t suspicion_next_us; /* not later than the first suspicion to end */
    uint64_t reap_next_us;
    uint64_t reconnect_next_us;
    uint64_t told_us;           /* not due, but how far telling has got ahead: see ki_tell() */
    uint64_t again_us;          /* an extra exchange soon after a join or reconnect, with again_addr */
    uint64_t leave_next_us;
    uint64_t sync_next_us;      /* comparing views with somebody at random */

    /* failure detection */
    struct ki_probe probe;
    uint32_t probe_id;
    uint32_t probe_incarnation; /* what it had when the probe began: the verdict is about that one */
    uint32_t probe_seq;
    uint64_t probe_sent_us; /* when its ping was built; KITH_NEVER: we were away since then */
    uint32_t probe_cursor; /* into table.order */
    uint32_t open_cursor; /* into table.accused */
    bool known_there;      /* who we are told of now is known where we would tell it: it is no news */
    bool probe_again;      /* this probe is of one whose suspicion is open */
    bool probe_refused;    /* its target's host says that nobody listens there */
    struct ki_round_trip round_trip;
    uint32_t health;
    struct ki_nack_wait nack_wait;
    struct ki_relay *relays;
    size_t answer_room;    /* bytes with which the sender of this datagram may still be answered if it is no member, */
    unsigned answers_left; /* and in how many datagrams */

    uint32_t incarnation;  /* ours, as the table has it */
    uint32_t recorded_incarnation;
    struct ki_clock clock, event_clock, query_clock;
    uint64_t recorded_clock, recorded_event_clock, recorded_query_clock;
    struct ki_messages *messages; /* NULL: none yet */
    uint64_t event_min, query_min; /* Lamport times before which user events and queries are old */
    size_t letter_bytes, parcel_bytes; /* waiting */
    bool bundle_turn;      /* the last datagram that was not urgent was a bundle */
    struct ki_list streams;
    struct ki_list ghosts;
    struct ki_ghost *shown; /* the ghost whose borrowed event or record is out */
    struct ki_sends sends[KI_CLASSES];
    uint8_t *plain;         /* one datagram before sealing, cfg.datagram_max */
    struct ki_table table;
    struct ki_recall recall; /* messages of this table's epoch that change nothing */
    bool heard_before;       /* the message just handled is one of those */
    struct ki_chunks about; /* struct ki_about by id: ki_about() */
    uint64_t counters[KI_COUNTER_TOTAL];

    struct ki_mem mem;
    struct kith_config cfg; /* name, label: owned; tags, keys: not kept here */
    struct ki_crng crng;
    struct ki_rng rng;
    struct ki_keyring keyring;

    /* ourselves and others */
    uint8_t versions[6];
    uint8_t meta[KITH_META_MAX]; /* ours, encoded */
    uint32_t meta_len;
    uint8_t draft[KITH_META_MAX];
    uint32_t draft_len;
    bool draft_open;
    uint32_t by_status[KI_STATUS_FAILED + 1]; /* how many members are in each status; of NONE nothing */
    uint32_t relay_cap;
    struct kith_addr again_addr; /* ip_len 0: a member picked then, */
    bool again_successor;        /* the one that comes after us, or any */
    bool leave_late;
    kith_ticket leave_news; /* of the news that the present step of leaving waits for; 0: none */

    /* Serf */
    struct ki_intents intents;
    uint64_t join_said_us; /* when we said it last */
    uint32_t votes_silent; /* in a row */
    bool voting;           /* a vote about our name is under way */
    struct ki_coordinates coordinates;

    struct ki_replica *replica; /* the store; NULL: none */
    struct ki_aggregates *aggregates; /* NULL: none heard of yet */

    struct ki_versions_known versions_known; /* ki_versions_note_ours() */

    /* output */
    struct ki_queue queues[KI_QUEUES];
    uint8_t *squeeze; /* a datagram compressed; allocated when first needed */
    void *encoder;    /* struct ki_lzw_encoder, likewise */
    uint8_t *opened;  /* one datagram without its seal; grows to the largest seen */
    size_t opened_cap;
    uint8_t *arena;   /* what compressed layers of one datagram inflate to; allocated when first needed */
    size_t arena_cap;

    /* asks, events and records */
    struct ki_ask *asks;
    kith_ticket last_ticket;
    struct ki_done *dones;
    uint32_t done_head;
    uint32_t ghost_count;
    uint32_t loaded_incarnation;
    uint64_t record_seq;
    uint32_t record_cursor;

    /* streams */
    uint64_t stream_bytes;
    uint32_t last_stream;
    struct ki_list sync_links;              /* struct ki_sync_link: links that views are compared over */
    uint32_t sync_more;                     /* comparisons to come, even if the last has brought nothing */
    uint32_t sync_news;                     /* members that gossip has told of since the last comparison */
    uint32_t link_count;                    /* streams that carry one */
    const struct ki_link_owner *link_owners[3]; /* by ki_link_subject */
};

static inline struct ki_about *ki_about(const struct kith *k, uint32_t id) /* of a member */
{
    return ki_chunks_at(&k->about, id, sizeof(struct ki_about));
}

static inline void ki_count(struct kith *k, enum ki_counter counter)
{
    k->counters[counter]++;
}

static inline struct ki_span ki_name_of(struct kith_str s)
{
    return ki_span(s.ptr, s.len);
}

/* life.c */
void ki_input(struct kith *k, struct kith_time now); /* first thing of every input: takes the time */
bool ki_active(const struct kith *k);                /* between ready and left */

/* peers.c */
struct kith_addr ki_addr_of(const struct ki_member *m);
bool ki_addr_from_span(struct ki_span bytes, uint16_t port, struct kith_addr *out);
uint32_t ki_find_addr(struct kith *k, const struct kith_addr *addr); /* a member there, or KI_NO_MEMBER */
/* Up to count random members other than ourselves and `except`: ALIVE those alive, as memberlist chooses helpers and
 * partners; GOSSIP also those suspect or dead a short while, who may have something to refute.  Returns how many. */
enum ki_pick { KI_PICK_ALIVE, KI_PICK_GOSSIP };
uint32_t ki_pick(struct kith *k, enum ki_pick what, uint32_t except, uint32_t count, uint32_t *ids);
/* Places, of 0..peers-1, of those who are sent what is fresh: all if there are no more than all_max, which is room for the
 * others' ceil(ln n) + 5. */
uint32_t ki_fanout(struct ki_rng *rng, uint32_t peers, uint32_t all_max, uint32_t *places);
bool ki_speaks_kith(const struct ki_member *m); /* announces _kith */
bool ki_buried(const struct kith *k, const struct ki_member *m); /* stock: failure detection has forgotten it */
bool ki_anyone_else(const struct kith *k);      /* another member is alive or suspect */

/* handle.c */
int ki_handle_ping(struct kith *k, const struct kith_addr *from, struct ki_span body);
int ki_handle_indirect_ping(struct kith *k, const struct kith_addr *from, struct ki_span body);
int ki_handle_ack(struct kith *k, const struct kith_addr *from, struct ki_span body);
int ki_handle_nack(struct kith *k, const struct kith_addr *from, struct ki_span body);
void ki_ack_received(struct kith *k, uint32_t seq, const struct kith_addr *from); /* NULL: over a stream */
int ki_handle_user(struct kith *k, const struct kith_addr *from, struct ki_span body);

/* rumour.c: the merge rule carried out.  from may be NULL (our own doing). */
/* id: what ki_table_find() says of its name, which is of KITH_NAME_MAX bytes at most */
int ki_apply_alive(struct kith *k, const struct kith_addr *from, uint32_t id, const struct ki_identity *identity);
int ki_apply_suspect(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg);
int ki_apply_dead(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg);
/* Tells a member what we hold of another, as a datagram of its own; not more than so many a second.  Whom we hold dead is
 * said to be suspect, so that a receiver that knows it alive hears it out first; verdict: dead, to one that has found that
 * out by itself.  An answer outranks what it answers or adds an accuser to it, so two that disagree fall silent. */
void ki_tell(struct kith *k, uint32_t id, const struct kith_addr *to, bool verdict);
/* Tells the sender of an accusation what has overtaken it, if we know. */
void ki_tell_overtaken(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg, bool suspect);
int ki_announce_self(struct kith *k, uint32_t incarnation, kith_ticket ticket); /* new incarnation, current meta */
void ki_refute(struct kith *k, uint32_t accused, const struct kith_addr *accuser);
int ki_member_enter(struct kith *k, const struct ki_identity *identity, enum ki_state state, uint32_t *id);
void ki_forget(struct kith *k, uint32_t id); /* reap or prune: with its last event */
void ki_suspicion_check(struct kith *k);
void ki_settle_changes(struct kith *k);    /* a full exchange with our successor, a while later */
void ki_settle_suspicions(struct kith *k); /* a full exchange, after as long as a suspicion lasts at least */
/* A helper, by its place in nack_wait, could not reach the target either. */
void ki_suspicion_nacked(struct kith *k, uint32_t place);
/* Says once more that a suspect is one, in the name of a member that holds it dead: who knows better, tells us. */
void ki_suspicion_again(struct kith *k, uint32_t id, struct ki_span from);

/* intent.c */
int ki_handle_serf(struct kith *k, struct ki_span message); /* after the 08 */
void ki_status_up(struct kith *k, uint32_t id);
void ki_status_down(struct kith *k, uint32_t id);
/* id: of the member of that name, or KI_NO_MEMBER; raw empty: not passed on */
int ki_join_intent(struct kith *k, uint32_t id, const struct ki_serf_join *msg, struct ki_span raw);
int ki_leave_intent(struct kith *k, uint32_t id, const struct ki_serf_leave *msg, struct ki_span raw);
void ki_leaving_check(struct kith *k);
int ki_say_join(struct kith *k);
int ki_say_leave(struct kith *k, struct ki_span name, bool prune, kith_ticket ticket);

/* vote.c */
void ki_vote_start(struct kith *k);                             /* our own name is contested */

/* coordinates.c */
void ki_coordinates_init(struct kith *k);
void ki_coordinates_free(struct kith *k);
bool ki_coordinates_on(const struct kith *k);
void ki_coordinate_heard(struct kith *k, struct ki_span payload); /* with the ack of our direct probe */
void ki_coordinate_forget(struct kith *k, uint32_t id);

/* send.c */
bool ki_send(struct kith *k, unsigned class, const struct ki_send *send);
bool ki_afford_answer(struct kith *k, size_t len); /* to a stranger, of so many bytes before sealing */
int ki_broadcast(struct kith *k, unsigned queue, uint32_t subject, kith_ticket ticket, struct ki_span bytes);
uint32_t ki_news_waiting(const struct kith *k);
size_t ki_message_room(const struct kith *k); /* bytes of the largest message in a datagram */
void ki_sends_free(struct kith *k);
void ki_unsubject(struct kith *k, uint32_t id); /* a member is forgotten: drops its news, and datagrams that name it */

/* ask.c */
int ki_ask_new(struct kith *k, enum ki_ask_kind kind, bool quiet, struct ki_ask **out);
struct ki_ask *ki_ask_find(struct kith *k, kith_ticket ticket);
void ki_ask_end(struct kith *k, struct ki_ask *ask, int result, uint32_t count);
void ki_news_done(struct kith *k, kith_ticket ticket); /* the news of this ticket has been sent often enough */
void ki_join_advance(struct kith *k, struct ki_ask *ask);
void ki_join_result(struct kith *k, kith_ticket ticket, int result);
void ki_asks_check(struct kith *k);

/* leave.c */
void ki_leave_advance(struct kith *k, bool timed_out);

/* tags.c */
int ki_tags_init(struct kith *k, const struct kith_tag *tags, size_t count);
int ki_tags_store(struct kith *k); /* others are to know that we have one */

/* event.c */
void ki_changed(struct kith *k, uint32_t id, uint8_t bits);
bool ki_dones_reserve(struct kith *k); /* room for all of them, so that telling cannot fail */
void ki_done_event(struct kith *k, const struct ki_done *done);
void ki_standing_set(struct kith *k, uint32_t id, struct ki_standing standing);
void ki_ghost_make(struct kith *k, uint32_t id); /* a member is forgotten, but for its last event and record */
void ki_record_status(struct kith *k, uint32_t id);
void ki_events_free(struct kith *k);

/* view.c */
void ki_view(const struct kith *k, const struct ki_member *m, const struct ki_standing *standing, uint32_t id,
             struct kith_member *out);

/* sync.c */
bool ki_sync_floods(struct kith *k); /* of joins: whoever is new is found by comparing views */
void ki_sync_news(struct kith *k, uint32_t id); /* gossip has told of this new member, and we pass it on */

/* tick.c */
void ki_health(struct kith *k, int delta);
void ki_probe_input(struct kith *k, enum ki_probe_input input);
uint64_t ki_scaled_interval_us(const struct kith *k);

/* refusal.c */
#define KI_REFUSAL_HELPERS 2 /* who must be refused too: with us three, so that neither we nor one liar decide */
void ki_refused_stream(struct kith *k, uint32_t seq);   /* the stream of this probe */
void ki_refused_helper(struct kith *k, uint32_t place); /* one, by its place in nack_wait, was refused too */
void ki_refusal_agreed(struct kith *k);                 /* this probe has ended so, and has accused */
void ki_refusal_answered(struct kith *k);               /* its target has answered */

/* stream.c */
enum ki_purpose {
    KI_PURPOSE_ANSWER, /* accepted */
    KI_PURPOSE_JOIN,   /* token: the ticket */
    KI_PURPOSE_SYNC,   /* token: KI_SYNC_ */
    KI_PURPOSE_PING,   /* token: sequence number of the probe */
    KI_PURPOSE_LINK    /* dialled, or accepted and known by its hello */
};
enum { KI_SYNC_PERIODIC, KI_SYNC_RECONNECT };
int ki_stream_dial(struct kith *k, const struct kith_addr *to, enum ki_purpose purpose, uint64_t token);
void ki_streams_tick(struct kith *k);
uint64_t ki_streams_deadline(const struct kith *k);
void ki_streams_free(struct kith *k);

/* channel.c */
int ki_handle_kith(struct kith *k, const struct kith_addr *from, struct ki_span message); /* after the 4b */
/* The next thing to be said to a member, at most KI_KITH_SMALL_MAX bytes; nothing written: there is none, or no room. */
void ki_channel_part(struct kith *k, uint32_t id, struct ki_writer *w);
void ki_channel_sent(struct kith *k, uint32_t id); /* a KI_SEND_CHANNEL: what fitted is said */

/* link.c */
void ki_links_forget(struct kith *k, uint32_t id); /* a member is about to be forgotten */

#endif
