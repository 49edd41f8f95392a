/* One stream: a message in, a message out, each through its layers in slices.
 *
 *   in:   READ -> [OPEN] -> [INFLATE] -> SCAN -> MERGE -> DONE         (frame.c, exchange.c)
 *   out:  IDLE -> BUILD -> [SQUEEZE] -> [SEAL] -> WRITE -> DONE
 *
 * A dialled stream sends first and then reads the answer; an accepted one the other way round.  A stream is over when
 * both halves are DONE.  A stream whose first messages are hellos then carries a link: both halves stay in LINK, and
 * WRITE while there is something to write (link.c).  All its buffers count against kith.stream_bytes. */
#ifndef KI_STREAM_H
#define KI_STREAM_H

#include "node/intake.h"
#include "wire/lzw.h"

enum ki_rx { KI_RX_IDLE, KI_RX_READ, KI_RX_OPEN, KI_RX_INFLATE, KI_RX_SCAN, KI_RX_MERGE, KI_RX_LINK, KI_RX_DONE };
enum ki_tx { KI_TX_IDLE, KI_TX_BUILD, KI_TX_SQUEEZE, KI_TX_SEAL, KI_TX_WRITE, KI_TX_LINK, KI_TX_DONE };

struct ki_buf {
    uint8_t *ptr;
    size_t len, cap;
};

/* Walking a push/pull, object by object. */
struct ki_scan {
    size_t pos;
    bool header_read;
    struct ki_push_pull_header header;
    int64_t nodes_left;
    size_t nodes_at;          /* where the first node begins */
    struct ki_span user;      /* the user state, when complete */
    bool accused;             /* it says that we are suspect, dead or left */
    uint32_t accused_incarnation;
    struct ki_versions versions;
};

/* Merging Serf's user state. */
struct ki_state_merge {
    enum { KI_STATE_BEGIN, KI_STATE_LEFT, KI_STATE_LTIMES, KI_STATE_EVENTS } step;
    struct ki_serf_events events;
    struct ki_serf_state state; /* decoded when the message was whole */
    struct ki_reader reader;    /* what is left of the list being walked, */
    uint32_t items;             /* and of how many items; UINT32_MAX: not begun */
    uint64_t *set;              /* hashes of the names listed as left, in ki_stream.set */
    size_t set_cap, names;
    uint32_t unknown;           /* names met that are no member's */
    uint32_t near;              /* id of the member that probably comes next, by our table */
};

struct ki_stream {
    struct ki_list link; /* kith.streams */
    uint32_t id;
    enum ki_purpose purpose;
    uint64_t token;
    struct ki_link *carries; /* or NULL */
    struct kith_addr peer;
    uint64_t end_us;      /* an accepted one lives no longer, however it trickles */
    uint64_t deadline_us; /* no progress until then: abort */
    enum ki_rx rx;
    enum ki_tx tx;
    bool dialled;         /* by us; else accepted */
    bool known;           /* the driver has heard of it */
    bool opened;          /* connected */
    bool fed;             /* bytes have come that were not looked at */
    bool peer_done;       /* no more bytes will come */
    bool paused;          /* bytes were refused: RESUME is owed */
    bool label_read;
    bool was_sealed;      /* what was read */
    /* actions owed to the driver */
    bool ask_open, ask_write, ask_resume, ask_finish, ask_abort;

    struct ki_buf raw;      /* as received */
    size_t raw_pos;         /* bytes of raw used up: the label; a link's frames */
    size_t raw_used;        /* where the frame or the plain user message ends in raw */
    struct ki_buf opened_buf; /* without the seal */
    struct ki_buf inflated; /* of a link: the parts of a message */
    struct ki_span plain;   /* the message, in one of the three */
    bool plain_grows;       /* it is raw itself, and may not be whole yet */
    struct ki_seal_job *job; /* OPEN or SEAL */
    struct ki_lzw_decoder *decoder;
    struct ki_lzw_encoder *encoder;
    struct ki_scan scan;
    bool newcomer;          /* we knew nobody when we began to merge, and have no other stream */
    bool joined_before;     /* a join that had met somebody else and brought us this member when we began to merge */
    int64_t merge_left;
    size_t merge_pos;
    uint32_t merge_near;    /* id of the member that probably comes next, by our table */
    struct ki_state_merge merge;
    struct ki_buf set;

    uint8_t head[320];      /* label, frame header */
    size_t head_len, head_sent;
    struct ki_buf out;      /* the message; it begins at out_start */
    struct ki_buf squeezed;
    struct ki_buf sealed;
    struct ki_span body;    /* what follows head on the wire, in one of the three */
    size_t body_sent;
    uint32_t build_cursor, build_count;
    struct ki_buf ltimes, lefts; /* of the user state that is being built */
    uint32_t left_count;
};

#define KI_OUT_GAP 64 /* bytes left free before a built message, for its header */

/* stream.c */
bool ki_buf_reserve(struct kith *k, struct ki_buf *buf, size_t cap); /* within the budget */
void ki_buf_free(struct kith *k, struct ki_buf *buf);
void ki_stream_fail(struct kith *k, struct ki_stream *s, int error); /* over; result reported */
void ki_stream_settle(struct kith *k, struct ki_stream *s);          /* over if both halves are done */
void ki_stream_progress(const struct kith *k, struct ki_stream *s);  /* its timeout begins anew */
int ki_stream_dial_out(struct kith *k, const struct kith_addr *to, enum ki_purpose purpose, uint64_t token,
                       struct ki_stream **out); /* as ki_stream_dial() */

/* frame.c: layers.  Each does at most about *budget bytes of work and takes it off. */
void ki_frame_read(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_frame_open(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_frame_inflate(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_frame_built(struct kith *k, struct ki_stream *s); /* the message stands in s->body */
bool ki_frame_seals(const struct kith *k);                /* what we send */
void ki_frame_squeeze(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_frame_seal(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_frame_error(struct kith *k, struct ki_stream *s, const char *text); /* answers with an err message */

/* exchange.c: messages */
void ki_exchange_begin(struct kith *k, struct ki_stream *s); /* dialled and opened: build what we ask */
void ki_exchange_scan(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_exchange_merge(struct kith *k, struct ki_stream *s, size_t *budget);
void ki_exchange_build(struct kith *k, struct ki_stream *s, size_t *budget);

/* state.c: Serf's user state */
bool ki_state_put(struct kith *k, struct ki_stream *s, uint32_t id); /* a member's part; false: no memory */
size_t ki_state_len(const struct kith *k, const struct ki_stream *s); /* room that is enough for the whole */
void ki_state_finish(const struct kith *k, const struct ki_stream *s, struct ki_pack *p);
enum ki_state_result { KI_STATE_DONE, KI_STATE_MORE, KI_STATE_NO_ROOM };
enum ki_state_result ki_state_merge(struct kith *k, struct ki_stream *s, size_t *budget); /* s->merge.state */

#endif
