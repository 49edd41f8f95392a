/* Links: long-lived streams of the kith channel, over which two members exchange messages (PROTOCOL.md "links").
 *
 * A link is carried by a stream (stream.h), one each, at most one a member in each direction of dialling.  What is said
 * over it is the affair of its owners, one for each subject (wire/link.h) that both members have: an owner gives messages
 * when it is asked, in parts, and gets whole ones.  Owners are asked in turn, and no message interrupts another.  Messages
 * of a link arrive in order and once, or the link is closed with an error; what was under way then may have arrived or not.
 *
 *   dialled:   ki_link_open -> hello -> ... -> hello_received --0--> open       accepted:  hello_received --0--> hello, open
 *   open:      poll while there is credit, receive                              either:    ... -> closed
 *
 * An owner may call what is declared here from its functions, but must not end the instance or its streams.  A link is
 * freed when the last closed() has returned.  kith_free() frees links without a word. */
#ifndef KI_NODE_LINK_H
#define KI_NODE_LINK_H

#include "node/stream.h"
#include "wire/link.h"

#define KI_LINKS_MAX 64            /* and no more than half of streams_max */
#define KI_LINK_WINDOW (1u << 20)  /* bytes that may be under way: 1 Gbit/s over 8 ms, 100 Mbit/s over 80 */
#define KI_LINK_HELLO_MAX (KI_LINK_PAYLOAD_MAX / KI_LINK_SUBJECTS - KI_LINK_PART_FRONT)
#define KI_LINK_IDLE_US 15000000   /* a link on which nothing is said for so long is closed */

struct ki_link_owner { /* kith.link_owners, by subject; NULL: we do not have it */
    size_t message_max; /* a message of more bytes closes its link; well below 3/4 of stream_bytes_max, all that links get */
    /* The next bytes to send, 1 to cap of them, of a message for *channel, one of the subject's 0 to 15; more: the message
     * goes on in the next part, whose *channel is not looked at.  0: nothing now, until ki_link_wake(). */
    size_t (*poll)(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more);
    void (*receive)(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message); /* borrowed */
    /* Writes its part of the hello, KI_LINK_HELLO_MAX bytes at most.  false: it keeps off this link.  On an accepted link it
     * is asked only after it has taken the peer's part, and has one. */
    bool (*hello)(struct kith *k, struct ki_link *link, struct ki_writer *w);
    int (*hello_received)(struct kith *k, struct ki_link *link, struct ki_span part); /* not 0: the whole link is refused */
    /* The link is over for this owner: alone, if KITH_ERR_REFUSED says that the peer keeps off.  error 0: both sides have
     * said all they wanted.  Only for an owner that has opened the link or whose hello_received() has returned 0. */
    void (*closed)(struct kith *k, struct ki_link *link, int error);
};

_Static_assert(sizeof((struct kith *)0)->link_owners / sizeof(struct ki_link_owner *) == KI_LINK_SUBJECTS, "one each");

struct ki_link {
    /* for the owners to read, and to use */
    uint32_t member_id;
    bool is_dialler;
    uint8_t session[KI_LINK_SESSION]; /* complete when it is open */
    void *owner_data[KI_LINK_SUBJECTS]; /* each its own */

    /* link.c's and link_flow.c's */
    struct ki_stream *stream;
    struct kith_addr addr; /* the member's; one that moves is another */
    uint32_t epoch;        /* of the table in which it was looked for last, and found */
    bool is_open;          /* both hellos are known */
    uint8_t subjects;      /* sets, a bit for each subject: those that are on it; while hellos are missing, that may be */
    uint8_t told;          /* whose owners know of it */
    uint8_t awake;         /* whose owners may have something to send */
    uint8_t held;
    uint8_t used;          /* about which something was said */
    bool seals, peer_seals;
    bool sending;          /* in the middle of a message */
    bool gathering;        /* likewise of one that comes: in the stream's `inflated`, if its subject is on this link */
    bool aborted;
    bool closing, close_sent, close_received;
    bool out_blocked, in_blocked; /* no memory: tried again at the next tick */
    uint8_t channel_out, channel_in;
    uint8_t turn;          /* the subject that is asked first for the next message */
    uint64_t frames_out, frames_in;
    uint64_t sent, allowed;     /* message bytes, since the beginning */
    uint64_t received, granted;
    uint64_t idle_us;           /* closed then, if nothing happens */
};

/* ---- for the owners ---- */

/* A link to a member that this subject is on or may be, open or about to be; dialled if there is none.  Returns 0;
 * KITH_ERR_STATE: no living member that speaks kith, or we are not in the pool ourselves, or have no such subject;
 * KITH_ERR_FULL; KITH_ERR_NOMEM. */
int ki_link_open(struct kith *k, uint32_t member_id, enum ki_link_subject subject, struct ki_link **out);
bool ki_link_is_open(const struct ki_link *link, enum ki_link_subject subject); /* messages get through now */
void ki_link_wake(struct ki_link *link, enum ki_link_subject subject);
/* While anyone holds it, the peer is granted nothing beyond what it has. */
void ki_link_hold(struct kith *k, struct ki_link *link, enum ki_link_subject subject, bool held);
void ki_link_rest(struct kith *k, struct ki_link *link, enum ki_link_subject subject); /* ends it, if no other has used it */
void ki_link_abort(struct ki_link *link); /* for all; soon: closed() is not called before this returns */

static inline bool ki_link_in(unsigned set, unsigned subject)
{
    return set >> subject & 1;
}

/* ---- for the streams: link.c ---- */

void ki_link_begin(struct kith *k, struct ki_stream *s);                      /* dialled and connected: our hello */
void ki_link_hello(struct kith *k, struct ki_stream *s, struct ki_span body); /* theirs, behind its type */
void ki_link_check(struct kith *k, struct ki_stream *s);   /* at every tick */
uint64_t ki_link_due_us(const struct kith *k, const struct ki_stream *s); /* when ki_link_check() has something to do */
void ki_link_over(struct kith *k, struct ki_stream *s, int error);        /* the stream is over, and so the link */

/* ---- link_flow.c ---- */

size_t ki_link_room(struct ki_stream *s); /* bytes that may come now */
bool ki_link_has_work(const struct ki_stream *s);
void ki_link_work(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_link_written(struct kith *k, struct ki_stream *s); /* what was to be written has been taken */

#endif
