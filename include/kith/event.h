/* What members tell and ask each other: user events, queries, and the keys of the pool.  For kith.h.
 *
 * Serf's, so that they pass between kith and Serf members.  Beyond Serf, between members of kith's kind: of any size up to
 * a limit, at once, and each origin's events in the order in which it sent them, with what was lost named as lost.
 *
 *     event sent --> every member once:  KITH_EVENT_USER, or KITH_EVENT_GAP for what could not be fetched any more
 *     query asked --> members that its filters let through:  KITH_EVENT_QUERY, kith_respond()
 *                 --> back at the asker:  KITH_EVENT_ANSWER ..., then KITH_EVENT_DONE with the ticket
 *
 * A slow reader: at most messages_max of these wait, with at most message_bytes_max bytes; what comes beyond is lost to
 * this member, counted (messages_dropped), and told as a gap when it was an event with a number.  Not in bare pools: there
 * whoever sends or asks gets KITH_ERR_STATE. */
#ifndef KITH_EVENT_H
#define KITH_EVENT_H

#include <kith/kith.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------- events ---- */

/** A user event to send. */
struct kith_user_event {
    struct kith_str name;        /* 1..255 bytes */
    struct kith_str payload;     /* with the name at most event_size_max bytes */
    bool coalesce;               /* Serf's agents may show only the newest of this name to their handlers */
    bool kith_only;              /* members of Serf's kind do not get it */
    uint32_t confirm_timeout_ms; /* not 0, and with a ticket: ask every member to confirm that it has it, and wait so long
                                  * for all of them */
};

/** Sends a user event to every member, ourselves included.  Members of Serf's kind get it as far as it fits one datagram
 *  (events_unfit counts those that do not).
 *
 *  Out:     ticket  may be NULL.  With confirm_timeout_ms the event DONE tells in `count` how many members have it,
 *                   ourselves included: each confirmed it after its application's queue had taken it.  Result 0: all
 *                   members that are alive and can tell; KITH_ERR_TIMEOUT: not all, and before it comes one
 *                   KITH_EVENT_UNCONFIRMED for each that has not.  Without: DONE at once.
 *  Returns: 0; KITH_ERR_ARG (no name, or a longer one); KITH_ERR_TOO_LONG (event_size_max); KITH_ERR_STATE; KITH_ERR_FULL
 *           (too many messages wait to be polled here: poll them first; or, with a ticket, tickets_max events wait to be
 *           confirmed); KITH_ERR_NOMEM. */
KITH_API int kith_send_event(kith *k, struct kith_time now, const struct kith_user_event *event, kith_ticket *ticket);

/* ------------------------------------------------------------------------------------------------ queries ---- */

/** A query to ask. */
struct kith_query {
    struct kith_str name;         /* 1..255 bytes; those that begin with "_serf_" are Serf's own, "_kith_gauge" is kith's */
    struct kith_str payload;      /* with the name and the filters at most query_size_max bytes */
    const struct kith_str *nodes; /* only these members answer; count 0: any */
    size_t node_count;
    const struct kith_tag *tags;  /* and only those whose tags match: key, and a regular expression found somewhere in the */
    size_t tag_count;             /* value (RE2's syntax, as far as PCRE2 has it; an absent tag counts as empty).  To more
                                   * than 16 only members of Serf's kind answer */
    bool ack;                     /* those that are asked say at once that they have heard it */
    uint8_t relay_factor;         /* answers come also by way of so many others */
    uint32_t timeout_ms;          /* an hour at most; 0: 16 gossip intervals for each digit of the pool's size (Serf's) */
    bool fold;                    /* answers are numbers, folded on their way: "folded queries" below */
    uint8_t fold_top;             /* with fold: so many of the largest are told with whose they are; KITH_FOLD_TOP_MAX */
};

/** Asks.  Each answer is one KITH_EVENT_ANSWER with the ticket; then DONE, when the time is over, with the number of
 *  responses in `count`.  We answer ourselves, too, if the filters let us.
 *
 *  Out:     ticket  must not be NULL.
 *  Returns: 0; KITH_ERR_ARG (no name or a longer one, a reserved one, an expression that cannot be compiled);
 *           KITH_ERR_NOT_FOUND (a node in the filter that is no member); KITH_ERR_TOO_LONG (query_size_max); KITH_ERR_STATE,
 *           KITH_ERR_FULL, KITH_ERR_NOMEM. */
KITH_API int kith_ask(kith *k, struct kith_time now, const struct kith_query *query, kith_ticket *ticket);

/** Ends a query early; its DONE comes at once.  Returns: 0; KITH_ERR_NOT_FOUND: it has ended. */
KITH_API int kith_ask_cancel(kith *k, struct kith_time now, kith_ticket ticket);

/** Answers a query (kith_event.message.query), once.  Folded queries want a decimal number: "0.42", "-7e3".
 *
 *  Returns: 0; KITH_ERR_NOT_FOUND: answered already, too late, or never heard of; KITH_ERR_TOO_LONG: more than
 *           response_size_max bytes, or, for an asker of Serf's kind, than one datagram holds: answer with less;
 *           KITH_ERR_FULL, KITH_ERR_NOMEM: not sent, try again. */
KITH_API int kith_respond(kith *k, struct kith_time now, uint64_t query, struct kith_str payload);

/* ----------------------------------------------------------------------------------------- folded queries ---- */

/* A query with `fold` is asked along a tree: we ask up to eight members, they ask others, and what comes back is one result
 * of all answers.  In a pool of any size we send and receive some ten messages, not one for each member.
 *
 * Applications are asked as by any query, and answer with a decimal number, at most 1e140 either way; what is none counts
 * as unusable.  Who does not answer in time is silent.  Members of Serf's kind cannot take part, and are silent; so is one
 * that `nodes` names and that is not alive.  DONE comes as soon as all have answered: result 0, or KITH_ERR_TIMEOUT if
 * somebody is silent; `count` is how many answered.  Before it come one KITH_EVENT_SILENT for each silent member that can
 * be named (64 at most; result KITH_ERR_VERSION: of Serf's kind), its name in message.origin, and KITH_EVENT_FOLDED.  If
 * there was no room or memory for that one, DONE says so.
 *
 * Members answer the query "_kith_gauge" themselves, with what they contribute to the aggregate (aggregate.h) that the
 * payload names, under whatever schema: what it comes to this very moment.  Who contributes nothing does not count,
 * and those of Serf's kind never do.
 *
 * kith_ask() does not look at `ack` and `relay_factor` then, and also returns KITH_ERR_STATE with config.stock,
 * KITH_ERR_ARG for a fold_top beyond its limit, and KITH_ERR_TOO_LONG for what does not fit one datagram.  A member is
 * believed what it says of the part of the pool that it was asked for, and of no more members than there are. */

#define KITH_FOLD_TOP_MAX 32

/** What all answers come to. */
struct kith_folded {
    uint32_t members;  /* whom the query was for: the three below, together */
    uint32_t answers;  /* numbers; of them: */
    uint32_t unusable; /* answers that are no numbers */
    uint32_t silent;
    double sum, average, variance, min, max; /* variance of the population; all 0 if answers is 0 */
};

/** Reads a KITH_EVENT_FOLDED.  Returns: 0; KITH_ERR_ARG: it is another event; KITH_ERR_MALFORMED. */
KITH_API int kith_folded_read(const struct kith_event *event, struct kith_folded *out);

/** Walks the largest answers of a KITH_EVENT_FOLDED, the largest first: start with *cursor = 0.
 *  Out:     member  whose it is, borrowed as the event is; of no bytes: we do not know that member.
 *  Returns: false after the last. */
KITH_API bool kith_folded_next(const struct kith_event *event, size_t *cursor, struct kith_str *member, double *value);

/* --------------------------------------------------------------------------------------------------- keys ---- */

/* The keyring is the same on every member, or they cannot hear each other.  Changing it is asking all of them: install a
 * key everywhere, use it everywhere, remove the old one everywhere. */
enum kith_key_change { KITH_KEY_LIST = 0, KITH_KEY_INSTALL = 1, KITH_KEY_USE = 2, KITH_KEY_REMOVE = 3 };

/** Asks every member, ourselves included, to change its keyring, or to list it.  Each answer is a KITH_EVENT_ANSWER:
 *  result 0, or KITH_ERR_REFUSED with the reason in the payload (a member that does not encrypt refuses all four); a list
 *  is read with kith_answer_key().  DONE comes as soon as every member alive has answered, or after the time of a query;
 *  `count`: how many said yes; result KITH_ERR_TIMEOUT: some did not answer, KITH_ERR_REFUSED: some said no.
 *
 *  In:      key  NULL for LIST.
 *  Returns: 0; KITH_ERR_ARG (length); KITH_ERR_STATE; KITH_ERR_FULL; KITH_ERR_NOMEM. */
KITH_API int kith_change_keys(kith *k, struct kith_time now, enum kith_key_change change, const struct kith_key *key,
                              kith_ticket *ticket);

/** Walks the keys of an ANSWER to LIST: start with *cursor = 0; the first one of `primary` true is the one that seals.
 *  Returns: false after the last, or at a malformed rest. */
KITH_API bool kith_answer_key(const struct kith_event *answer, size_t *cursor, struct kith_key *key, bool *primary);

/** Reads our keyring: up to cap keys, the one that seals first.  Returns: how many there are. */
KITH_API size_t kith_keys(const kith *k, struct kith_key *out, size_t cap);

/** Tells that the keyring as KITH_EVENT_KEYS found it is written down, or (error not NULL) why not.  Only with
 *  config.keys_kept: then the answer to whoever asked for the change waits for this, and carries the error.
 *  In:      change  kith_event.message.query of that event. */
KITH_API void kith_keys_written(kith *k, struct kith_time now, uint64_t change, const char *error);

#ifdef __cplusplus
}
#endif

#endif
