/* What members of kith's kind say to each other about numbered events, in messages of type 75 (PROTOCOL.md "numbered
 * events").  Encoders write the type byte 75 and what follows. */
#ifndef KI_KITH_EVENT_H
#define KI_KITH_EVENT_H

#include "base/bytes.h"

enum ki_kith_event_kind { /* 10 to 1f: of events */
    KI_EVENTS_ROOT = 0x10,      /* how far I am */
    KI_EVENTS_HEADS_ASK = 0x11, /* how far are you? */
    KI_EVENTS_HEADS = 0x12,     /* this far */
    KI_EVENTS_WANT = 0x13,      /* send me these */
    KI_EVENTS_SKIP = 0x14,      /* those I cannot: lost, or older than you asked for */
    KI_EVENTS_TOOK = 0x15,      /* your event has been told here */
    KI_EVENTS_AGAIN = 0x16      /* a query, said again to one that has not acknowledged it */
};

/* An origin, and some of its numbers. */
struct ki_kith_event {
    uint64_t boot;
    uint64_t first, last; /* WANT, SKIP: 1 <= first <= last; TOOK: first; HEADS: last, which may be 0 */
    uint64_t ltime;       /* WANT: nothing older; SKIP: what that said; HEADS: of the last */
    bool lost;            /* SKIP */
    struct ki_span name;  /* 1 to 255 bytes, of the origin; TOOK: of who took it, so that nobody else can say it again */
};

#define KI_KITH_EVENT_MAX (2 + 8 + 9 + 9 + 1 + 10 + 1 + 255) /* bytes of each but HEADS and AGAIN */

void ki_encode_events_root(struct ki_writer *w, uint64_t root);
bool ki_decode_events_root(struct ki_reader *r, uint64_t *root); /* after the kind, as the others */
/* from: how many to pass over; they have an order that stays while none comes or goes. */
void ki_encode_events_heads_ask(struct ki_writer *w, uint64_t from);
bool ki_decode_events_heads_ask(struct ki_reader *r, uint64_t *from);
/* The front of HEADS: where to go on (0: that is all); then each head. */
void ki_encode_events_heads_front(struct ki_writer *w, uint64_t more_from);
void ki_encode_events_head(struct ki_writer *w, const struct ki_kith_event *head);
bool ki_decode_events_heads_front(struct ki_reader *r, uint64_t *more_from);
bool ki_decode_events_head(struct ki_reader *r, struct ki_kith_event *head); /* false: malformed, if any bytes are left */
/* WANT, SKIP, TOOK. */
void ki_encode_kith_event(struct ki_writer *w, enum ki_kith_event_kind kind, const struct ki_kith_event *msg);
bool ki_decode_kith_event(struct ki_reader *r, enum ki_kith_event_kind kind, struct ki_kith_event *msg);

#endif
