/* The messages of Serf that ride in memberlist user messages, and the tags in a member's meta (PROTOCOL.md "Serf").
 * Encoders write the Serf type byte and the body, without memberlist's leading 08. */
#ifndef KI_WIRE_SERF_H
#define KI_WIRE_SERF_H

#include "wire/msgpack.h"

enum ki_serf_message {
    KI_SERF_LEAVE = 0,
    KI_SERF_JOIN = 1,
    KI_SERF_PUSH_PULL = 2,
    KI_SERF_USER_EVENT = 3,
    KI_SERF_QUERY = 4,
    KI_SERF_QUERY_RESPONSE = 5,
    KI_SERF_CONFLICT_RESPONSE = 6,
    KI_SERF_KEY_REQUEST = 7,
    KI_SERF_KEY_RESPONSE = 8,
    KI_SERF_RELAY = 9
};

struct ki_serf_leave { /* node not empty */
    uint64_t ltime;
    struct ki_span node;
    bool prune;
};

struct ki_serf_join { /* node not empty */
    uint64_t ltime;
    struct ki_span node;
};

/* The user state of a push/pull.  The maps stay encoded: ki_serf_status_next() walks them. */
struct ki_serf_state {
    uint64_t ltime;
    struct ki_span status_ltimes; /* encoded map of str to u64; empty: none */
    struct ki_span left_members;  /* encoded array of str; empty: none */
    uint64_t event_ltime;
    struct ki_span events; /* encoded array of groups, or empty */
    uint64_t query_ltime;
};

/* What every user event and query starts with; enough to forward them and to keep the clocks. */
struct ki_serf_clocked {
    uint64_t ltime;
};

void ki_encode_serf_leave(struct ki_pack *p, const struct ki_serf_leave *msg);
void ki_encode_serf_join(struct ki_pack *p, const struct ki_serf_join *msg);
bool ki_decode_serf_leave(struct ki_reader *r, struct ki_serf_leave *out);
bool ki_decode_serf_join(struct ki_reader *r, struct ki_serf_join *out);
bool ki_decode_serf_clocked(struct ki_reader *r,
                            struct ki_serf_clocked *out); /* user event or query */

/* Push/pull state, after the type byte 02.  Encoding is in pieces, so that a large one can be sliced:
 * begin(event_count) -> event()* -> left_members(left_count) -> left()* -> middle(status_count) -> status()*. Key order on
 * the wire: EventLTime, Events, LTime, LeftMembers, QueryLTime, StatusLTimes. */
void ki_encode_serf_state_begin(struct ki_pack *p, uint64_t event_ltime, size_t event_count);
#define KI_SERF_STATE_EVENT_MAX 64 /* bytes of an event beside its name, payload and mark */
struct ki_serf_state_event {
    uint64_t ltime;
    struct ki_span name;
    struct ki_span payload;
    struct ki_span mark; /* kith's (wire/serf_event.h), which Serf's members skip and do not pass on; ptr NULL: none */
};
void ki_encode_serf_state_event(struct ki_pack *p, const struct ki_serf_state_event *event);
void ki_encode_serf_state_left_members(struct ki_pack *p, uint64_t ltime, size_t left_count);
void ki_encode_serf_state_left(struct ki_pack *p, struct ki_span name);
/* After the last left(). */
void ki_encode_serf_state_middle(struct ki_pack *p, uint64_t query_ltime, size_t status_count);
void ki_encode_serf_state_status(struct ki_pack *p, struct ki_span name, uint64_t ltime);
bool ki_decode_serf_state(struct ki_reader *r,
                          struct ki_serf_state *out); /* checks the maps' shape whole */

/* Walkers over the encoded containers: *r = ki_reader(container) at first, *left = UINT32_MAX at first. false: end. */
bool ki_serf_status_next(struct ki_reader *r, uint32_t *left, struct ki_span *name,
                         uint64_t *ltime);
bool ki_serf_left_next(struct ki_reader *r, uint32_t *left, struct ki_span *name);
/* The events, which come in groups of one Lamport time; a slot of the sender's buffer may be empty (nil). */
struct ki_serf_events {
    struct ki_reader r;     /* the groups */
    struct ki_reader inner; /* the events of one */
    uint32_t groups; /* left; UINT32_MAX: not begun */
    uint32_t events; /* left of this group */
    uint64_t ltime;
};
/* Walks them: w->r = ki_reader(events) and w->groups = UINT32_MAX at first.  END: also at a malformed rest (w->r.bad). MORE:
 * a group has begun or was empty; go on. */
enum ki_serf_events_step { KI_SERF_EVENTS_END, KI_SERF_EVENTS_EVENT, KI_SERF_EVENTS_MORE };
enum ki_serf_events_step ki_serf_events_next(struct ki_serf_events *w, struct ki_serf_state_event *event);

/* ---- tags ---- */

/* Walks the tags of a meta: FF and a map of str to str; anything else (but empty) is one tag "role".  *cursor starts
 * at 0 and is opaque.  false: end, or malformed rest. */
bool ki_tag_next(struct ki_span meta, size_t *cursor, struct ki_span *key, struct ki_span *value);
bool ki_tag_find(struct ki_span meta, const char *key, struct ki_span *value);
/* Writes FF and a map of the tags given, which the caller has sorted by key. */
struct ki_tag_pair {
    struct ki_span key, value;
};
void ki_encode_tags(struct ki_pack *p, const struct ki_tag_pair *tags, size_t count);

#endif
