/* What members tell and ask each other (event.h), inside an instance.
 *
 *   messages.c    what waits for the application      letter.c     messages that are ready to be sent
 *   company.c     who is of kith's kind, who of Serf's user_event.c events, out and in
 *   query_ask.c   our own queries                     query_answer.c  those of others
 *   numbered.c    events with numbers, in order       numbered_talk.c what is said about them
 *   confirm.c     who has an event of ours
 *   query_own.c   Serf's own queries                  change_keys.c   the keyring of the pool
 *   vote.c        name conflicts                    folded.h      queries whose answers are folded on their way */
#ifndef KI_NODE_MESSAGES_H
#define KI_NODE_MESSAGES_H

#include <kith/event.h>

#include "base/debts.h"
#include "node/node.h"
#include "serf/origins.h"
#include "serf/replay.h"
#include "serf/seen.h"
#include "wire/kith.h"
#include "wire/kith_event.h"
#include "wire/serf_event.h"
#include "wire/serf_query.h"

/* One that waits to be polled. */
struct ki_waiting {
    struct ki_waiting *next;
    struct kith_event event; /* its strings point to bytes[] */
    size_t len;
    uint8_t bytes[];
};

/* A query of ours, or what uses one. */
enum ki_query_use { KI_QUERY_APPLICATION, KI_QUERY_VOTE, KI_QUERY_KEYS, KI_QUERY_LIST /* of keys */ };

#define KI_QUERY_CONFLICT "_serf_conflict"
#define KI_QUERY_LIST_KEYS "_serf_list-keys"
#define KI_QUERY_INSTALL_KEY "_serf_install-key"
#define KI_QUERY_USE_KEY "_serf_use-key"
#define KI_QUERY_REMOVE_KEY "_serf_remove-key"

enum { KI_ANSWERED_ACK = 1, KI_ANSWERED_RESPONSE = 2 };

struct ki_query_out {
    struct ki_query_out *next;
    enum ki_query_use use;
    kith_ticket ticket; /* 0: a vote */
    uint64_t ltime;
    uint32_t id;
    uint64_t deadline_us, begun_us;
    uint64_t again_us;  /* when those who have not acknowledged it are asked again; KITH_NEVER: not at all */
    uint32_t again_from; /* the id with which the next round of that begins */
    uint8_t *message;   /* as it is sent again */
    size_t message_len;
    uint32_t responses; /* heard, and of those: */
    uint32_t yes;       /* KEYS, LIST: done; VOTE: for us */
    bool is_whole;      /* KEYS, LIST: everybody has answered */
    uint8_t *answered;  /* for each member's id: KI_ANSWERED_ */
    uint32_t answered_cap;
};

/* A query of somebody else's that may still be answered. */
struct ki_query_in {
    struct ki_query_in *next;
    uint64_t handle;
    uint64_t ltime;
    uint32_t id;
    uint64_t deadline_us;
    struct kith_addr to;
    uint8_t relay_factor;
    bool changes_keys;   /* an answer to a change of keys, waiting for the disk */
    uint8_t source_len;
    uint8_t source[KITH_NAME_MAX];
};

/* Which living members are of which kind; made anew when the table has changed. */
struct ki_company {
    uint32_t *kith; /* ids of those of kith's kind, in order */
    uint32_t kith_count, kith_cap;
    uint32_t others; /* how many are of Serf's */
    uint64_t epoch;
    uint32_t members;
    uint64_t made_us;
    bool made; /* with everybody in it */
};

#define KI_SPREAD_DIRECT_MAX 64 /* to so many the origin sends all by itself */
#define KI_BUNDLE_PARTS_MAX 100 /* of a compound; memberlist 0.2.2 reads 127 at most */

/* Messages on their way to members of kith's kind, as one datagram for each. */
struct ki_bundle {
    struct ki_bundle *next;
    uint32_t targets[KI_SPREAD_DIRECT_MAX]; /* ids */
    uint32_t target_count, sent;
    uint32_t len;
    uint16_t count;
    uint16_t lens[KI_BUNDLE_PARTS_MAX];
    uint8_t bytes[]; /* the messages, each with its 08 */
};

struct ki_eager {
    struct ki_bundle *open; /* being filled, until at_us */
    struct ki_bundle *first, *last;
    uint32_t count;
    uint64_t at_us, last_us;
};

/* An event of ours that everybody has to confirm. */
enum ki_confirm_state { KI_CONFIRM_NONE, KI_CONFIRM_MISSING, KI_CONFIRM_DONE, KI_CONFIRM_UNABLE };

struct ki_confirm {
    struct ki_confirm *next;
    kith_ticket ticket;
    uint64_t seq;
    uint64_t deadline_us, resend_us;
    uint64_t again_us; /* when to look */
    uint8_t *states; /* for each member's id */
    uint32_t cap;
    uint32_t from;   /* the id with which the next round begins */
};

/* An event without mark, from a full exchange: perhaps of a member of kith's kind, whose own copy is on its way. */
struct ki_later {
    struct ki_later *next;
    uint64_t at_us;
    uint64_t ltime;
    uint32_t name_len, len;
    uint8_t bytes[];
};

struct ki_messages {
    struct ki_eager eager;
    struct ki_later *later_first, *later_last;
    size_t later_bytes;
    struct ki_origins origins;
    struct ki_confirm *confirms;
    uint32_t confirm_count;
    struct ki_event_link *links;
    struct ki_debts debts;   /* of members that have asked for numbered events */
    uint64_t boot, seq;      /* ours; boot 0: no event yet */
    uint64_t missing_us;     /* not later than the first to be asked for */
    uint64_t untold;         /* gaps that wait for room in the application's queue */
    uint64_t heads_us;       /* not before it we ask for heads again, unless for the next page: */
    uint64_t heads_from;     /* of whom pages are asked for, and from where on; KI_NO_MEMBER: of nobody */
    uint32_t heads_whom;
    uint64_t tidy_us;        /* not before it we look for origins that are gone, */
    uint32_t tidy_left;      /* of which so many are still to be looked at; 0: all again */
    struct ki_waiting *first, *last, *shown;
    uint32_t count;
    uint64_t bytes;
    struct ki_seen *events, *queries; /* NULL: none heard yet */
    struct ki_replay replay;
    struct ki_query_out *out;
    struct ki_query_in *in;
    uint32_t out_count, in_count;
    uint64_t last_handle;
    struct ki_folded *folded; /* folded.h */
    uint32_t folded_count;
    struct ki_debts fold_debts; /* of members that have asked us for such */
    struct ki_company company;
};

/* ---- messages.c ---- */

/* Those of this instance, made when first needed.  NULL: no memory, and counted. */
struct ki_messages *ki_messages(struct kith *k);
void ki_messages_free(struct kith *k);
void ki_messages_tick(struct kith *k);
uint64_t ki_messages_deadline(const struct kith *k);
/* ki_seen_note(), made when first needed. */
enum ki_seen_result ki_messages_note(struct kith *k, struct ki_seen **seen, uint64_t now, uint64_t ltime, uint64_t hash);
/* Has the application told.  KITH_ERR_FULL: its queue is; KITH_ERR_NOMEM.  Counted. */
bool ki_message_fits(const struct kith *k, const struct ki_messages *m, size_t len);
int ki_message_put(struct kith *k, const struct kith_event *event);
bool ki_message_poll(struct kith *k, struct kith_event *out);
void ki_messages_forget(struct kith *k, uint32_t id); /* a member is about to be forgotten */

/* ---- letter.c ---- */

struct ki_letter; /* one user message, for one or several */
/* A message, Serf's or kith's, without memberlist's leading 08.  NULL: it does not fit a datagram, or there is no memory
 * or room: counted. */
struct ki_letter *ki_letter_new(struct kith *k, struct ki_span message);
struct ki_letter *ki_letter_use(struct ki_letter *letter);
void ki_letter_drop(struct kith *k, struct ki_letter *letter); /* NULL is fine */
struct ki_span ki_letter_bytes(const struct ki_letter *letter); /* with the 08 */
bool ki_letter_send(struct kith *k, struct ki_letter *letter, const struct kith_addr *to, uint32_t id);
bool ki_write_to(struct kith *k, struct ki_span message, const struct kith_addr *to, uint32_t id); /* one for one */

/* ---- company.c ---- */

const struct ki_company *ki_company(struct kith *k, struct ki_messages *m);
/* Sends a message at once to members of kith's kind: to all, or in a large pool to some, who pass it on; and to those of
 * Serf's kind, if it is for them, by gossip.  Returns also KITH_ERR_TOO_LONG: a datagram does not hold it. */
int ki_spread(struct kith *k, struct ki_messages *m, unsigned queue, struct ki_span message, bool is_ours,
              bool kith_only);
/* Tells the number of an event that does not fit a datagram: whoever lacks it asks for it. */
int ki_spread_head(struct kith *k, struct ki_messages *m, const struct ki_event_mark *mark, bool is_ours);
int ki_gossip_message(struct kith *k, unsigned queue, struct ki_span message);
void ki_eager_free(struct kith *k, struct ki_messages *m);
uint64_t ki_eager_deadline(const struct kith *k);
const struct ki_bundle *ki_eager_poll(struct kith *k, uint32_t *id); /* the next datagram, and for whom */

/* ---- user_event.c ---- */

int ki_handle_event(struct kith *k, struct ki_span message);
/* A query that does not fit a datagram goes as an event of kith's own. */
int ki_event_query(struct kith *k, struct ki_messages *m, struct ki_span query);
/* Tells an event of which nothing is known but that it has not been told with this number. */
bool ki_event_tell(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg,
                   const struct ki_event_mark *mark);
/* One of a full exchange. */
void ki_event_replayed(struct kith *k, const struct ki_serf_state_event *event);
void ki_events_later(struct kith *k, struct ki_messages *m); /* takes those whose time has come */
void ki_events_later_free(struct kith *k, struct ki_messages *m);

/* ---- numbered.c ---- */

/* An origin that is not known (see ki_origins_enter(), whose last place is our own).  NULL: it cannot be, or need not. */
struct ki_origin *ki_numbered_enter(struct kith *k, struct ki_messages *m, struct ki_span name, uint64_t boot,
                                    struct ki_settled settled, uint64_t last);
/* An event with a mark has come.  False: its number cannot be kept; it is to be taken as one without. */
bool ki_numbered_event(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg,
                       const struct ki_event_mark *mark, struct ki_span message, bool *is_new);
/* Such an event exists. */
void ki_numbered_heard_of(struct kith *k, struct ki_messages *m, uint64_t ltime, const struct ki_event_mark *mark);
/* One of ours: it is told here, and kept.  The number is m->seq + 1. */
int ki_numbered_own(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg,
                    const struct ki_event_mark *mark, struct ki_span message);
/* Its head, to be told to those who cannot be sent all of it. */
size_t ki_numbered_head(const struct ki_origin *origin, uint8_t *buf, size_t cap);
/* It has numbers up to this one, which is of that time: somebody says so. */
void ki_numbered_heard(struct kith *k, struct ki_messages *m, struct ki_origin *origin, uint64_t last, uint64_t ltime,
                       uint32_t teller);
void ki_numbered_deliver(struct kith *k, struct ki_messages *m, struct ki_origin *origin);
void ki_numbered_skip(struct kith *k, struct ki_messages *m, struct ki_origin *origin, uint64_t next, bool lost);
void ki_numbered_tick(struct kith *k, struct ki_messages *m);
uint64_t ki_numbered_deadline(const struct ki_messages *m);

/* ---- numbered_talk.c ---- */

int ki_numbered_message(struct kith *k, uint32_t id, struct ki_span message); /* of the kith channel */
void ki_numbered_want(struct kith *k, struct ki_origin *origin, uint64_t last, uint32_t id);
void ki_numbered_took(struct kith *k, const struct ki_event_mark *mark);
void ki_numbered_root(struct kith *k, uint32_t id, struct ki_writer *w); /* what a ping tells */

/* ---- event_link.c ---- */

extern const struct ki_link_owner ki_event_link_owner;
void ki_event_links_free(struct kith *k);
bool ki_event_link_send(struct kith *k, uint32_t id, struct ki_span message); /* a Serf message, of any size */

/* ---- confirm.c ---- */

int ki_confirm_begin(struct kith *k, struct ki_messages *m, uint32_t timeout_ms, kith_ticket ticket);
void ki_confirm_took(struct kith *k, uint32_t id, uint64_t boot, uint64_t seq);
void ki_confirm_forget(struct ki_messages *m, uint32_t id);
void ki_confirms_check(struct kith *k, struct ki_messages *m);
uint64_t ki_confirms_deadline(const struct ki_messages *m);
void ki_confirms_free(struct kith *k, struct ki_messages *m);

/* ---- query_ask.c ---- */

int ki_query_ask(struct kith *k, enum ki_query_use use, const struct kith_query *query, kith_ticket ticket);
uint64_t ki_query_wait_us(const struct kith *k, const struct kith_query *query); /* for answers */
size_t ki_query_filters_len(const struct kith_query *query); /* at most */
void ki_query_filters(const struct kith_query *query, struct ki_pack *p); /* there are some */
int ki_handle_response(struct kith *k, struct ki_span body);
void ki_queries_check(struct kith *k); /* those whose time is over */
void ki_query_out_free(struct kith *k, struct ki_query_out *out); /* taken out and freed */

/* ---- query_answer.c ---- */

int ki_handle_query(struct kith *k, struct ki_span message, bool passes_on);
void ki_query_heard_own(struct kith *k, struct ki_messages *m, struct ki_span message); /* ours: we may answer it, too */
int ki_query_again(struct kith *k, uint32_t id, struct ki_span message); /* one that we may have acknowledged */
int ki_handle_relay(struct kith *k, struct ki_span body);
/* Sends an answer to a query, by way of others too if it asks for that. */
int ki_query_answer(struct kith *k, const struct ki_query_in *in, uint32_t flags, struct ki_span payload);
void ki_query_in_free(struct kith *k, struct ki_query_in *in); /* taken out and freed */

/* ---- query_own.c ---- */

bool ki_query_is_own(struct ki_span name); /* Serf's */
bool ki_query_is_ping(struct ki_span name, size_t payload_len); /* the one of them that anybody may ask */
bool ki_query_is_gauge(struct ki_span name); /* kith's: a folded one that members answer themselves */
bool ki_query_changes_key(struct ki_span name);
/* Answers one of Serf's own queries; `in` is freed, or waits for the disk. */
void ki_query_own(struct kith *k, const struct ki_serf_query *query, struct ki_query_in *in);

/* ---- change_keys.c, vote.c: what Serf's own queries do, and answers to ours ---- */

/* True: the answer waits for kith_keys_written(). */
bool ki_keys_change(struct kith *k, enum kith_key_change change, const struct ki_serf_query *query,
                    struct ki_query_in *in);
int ki_keys_answered(struct kith *k, struct ki_query_out *out, const struct ki_serf_response *response);
bool ki_keys_all_answered(const struct kith *k, const struct ki_query_out *out);
void ki_keys_ended(struct kith *k, const struct ki_query_out *out);
void ki_vote_answer(struct kith *k, const struct ki_serf_query *query, const struct ki_query_in *in);
int ki_vote_answered(struct kith *k, struct ki_query_out *out, const struct ki_serf_response *response);
void ki_vote_ended(struct kith *k, const struct ki_query_out *out);

#endif
