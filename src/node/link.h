/* Links: long-lived streams of the kith channel, over which two members exchange messages (PROTOCOL.md "links").
 *
 * A link is carried by a stream (stream.h), one each, at most one a member in each direction of dialling.  What is said
 * over it is its owner's affair: the owner gives messages when it is asked, in parts, and gets whole ones.  Messages of a
 * link arrive in order and once, or the link is closed with an error; what was under way then may have arrived or not.
 *
 *   dialled:   ki_link_open -> hello -> ... -> hello_received --0--> open       accepted:  hello_received --0--> hello, open
 *   open:      poll while there is credit, receive                              either:    ... -> closed
 *
 * The owner may call what is declared here from its functions, but must not end the instance or its streams.  A link is
 * freed when closed() returns.  kith_free() frees links without a word. */
#ifndef KI_NODE_LINK_H
#define KI_NODE_LINK_H

#include "node/stream.h"
#include "wire/link.h"

#define KI_LINKS_MAX 64            /* and no more than half of streams_max */
#define KI_LINK_WINDOW (1u << 20)  /* bytes that may be under way: 1 Gbit/s over 8 ms, 100 Mbit/s over 80 */
#define KI_LINK_IDLE_US 15000000   /* a link on which nothing is said for so long is closed */

struct ki_link_owner {
    size_t message_max; /* a message of more bytes closes its link; well below 3/4 of stream_bytes_max, all that links get */
    /* The next bytes to send, 1 to cap of them, of a message for *channel; more: the message goes on in the next part,
     * whose *channel is not looked at.  0: nothing now; ki_link_wake() says that there is something again. */
    size_t (*poll)(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more);
    void (*receive)(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message); /* borrowed */
    void (*hello)(struct kith *k, struct ki_link *link, struct ki_writer *w); /* at most KI_LINK_PAYLOAD_MAX bytes */
    int (*hello_received)(struct kith *k, struct ki_link *link, struct ki_span payload); /* not 0: refused */
    /* error 0: both sides have said all they wanted.  Not called for an accepted link whose hello was refused. */
    void (*closed)(struct kith *k, struct ki_link *link, int error);
};

struct ki_link {
    /* for the owner to read, and to use */
    uint32_t member_id;
    bool is_dialler;
    uint8_t session[KI_LINK_SESSION]; /* complete when it is open */
    void *owner_data;

    /* link.c's and link_flow.c's */
    struct ki_stream *stream;
    struct kith_addr addr; /* the member's; one that moves is another */
    bool is_open;          /* both hellos are known */
    bool told;             /* the owner knows of it */
    bool seals, peer_seals;
    bool awake;            /* the owner may have something to send */
    bool sending;          /* in the middle of a message; what came of another is in the stream's buffer `inflated` */
    bool held;
    bool aborted;
    bool closing, close_sent, close_received;
    bool out_blocked, in_blocked; /* no memory: tried again at the next tick */
    uint8_t channel_out, channel_in;
    uint64_t frames_out, frames_in;
    uint64_t sent, allowed;     /* message bytes, since the beginning */
    uint64_t received, granted;
    uint64_t idle_us;           /* closed then, if nothing happens */
};

/* ---- for the owner ---- */

/* The link to a member, open or about to be; dialled if there is none.  Returns 0; KITH_ERR_STATE: no living member that
 * speaks kith, or we are not in the pool ourselves; KITH_ERR_FULL; KITH_ERR_NOMEM. */
int ki_link_open(struct kith *k, uint32_t member_id, struct ki_link **out);
bool ki_link_is_open(const struct ki_link *link); /* messages get through now */
void ki_link_wake(struct kith *k, struct ki_link *link);
void ki_link_hold(struct kith *k, struct ki_link *link, bool held); /* grants the peer nothing beyond what it has */
void ki_link_abort(struct kith *k, struct ki_link *link);           /* soon: closed() is not called before this returns */

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
