/* One side of a repair: two replicas find out in what they differ, trade the cells, and end equal (R16 to R23).
 *
 * A machine that is fed messages and asked for messages; it neither sends nor waits.  It goes over datagrams, which may be
 * lost, repeated and reordered, or over a stream.  repair.c says what the messages are.
 *
 *     ki_repair_init();  ki_repair_start();
 *     whenever something came, time is up, or there is work left:
 *         ki_repair_receive() for what came; ki_repair_step(); ki_repair_poll() while there is room to send */
#ifndef KI_STORE_REPAIR_H
#define KI_STORE_REPAIR_H

#include "store/compare.h"
#include "store/peel.h"
#include "store/session.h"

enum ki_repair_role {
    KI_REPAIR_INITIATOR = 1, /* speaks first */
    KI_REPAIR_RESPONDER = 2  /* finds the difference */
};

enum ki_repair_result {
    KI_REPAIR_RUNNING,
    KI_REPAIR_DONE,  /* this side has all that the peer knew (R20); it may have to serve the peer yet: ki_repair_is_over() */
    KI_REPAIR_FAILED /* nothing can be had of it any more */
};

enum ki_repair_reason {
    KI_REPAIR_NONE = 0, /* on the wire: do not renumber */
    KI_REPAIR_TOO_LARGE = 1,   /* for datagrams: begin again over a stream */
    KI_REPAIR_PEER_LIES = 2,   /* or it is broken: what it says cannot be */
    KI_REPAIR_MEMORY = 3,      /* or more was retired meanwhile than the limits let us keep */
    KI_REPAIR_AHEAD = 4,       /* a cell is refused for its stamp (R21) */
    KI_REPAIR_TIMEOUT = 5,
    KI_REPAIR_LIMIT = 6,       /* more than is allowed of something */
    KI_REPAIR_SECRET = 7,      /* the two do not compare by the same secret */
    KI_REPAIR_PEER_FAILED = 8  /* told us so, for another reason than these */
};

/* How many coded cells to ask for, once the first were too few.  d is the estimated difference:
 *     1.36 d * first_percent / 100 + first_more;  afterwards step_percent of what has come, at least one, more each time. */
struct ki_repair_asking {
    uint32_t first_percent, first_more, step_percent;
};

/* 1.36 d are needed for large d, and the estimate is within 1.4 nine times in ten: one ask is enough nearly always. */
#define KI_REPAIR_ASK_ONCE ((struct ki_repair_asking){120, 24, 25})
/* The fewest bytes, for the price of round trips. */
#define KI_REPAIR_ASK_IN_STEPS ((struct ki_repair_asking){60, 0, 1})

struct ki_repair_config {
    enum ki_repair_role role;
    uint64_t session; /* the same on both sides, drawn by the initiator */
    uint32_t answering; /* the responder's: drawn for this snapshot, not 0 */
    bool is_stream;
    size_t message_max;   /* bytes of a message, 600 to 65,535; a stream's of 16 KiB keep each call below a millisecond */
    uint32_t first_cells; /* the initiator's: coded cells sent unasked: enough for the last difference, if it was small */
    bool has_parity;      /* the initiator's: sends its parities unasked; not worth it when few differ */
    struct ki_repair_asking asking;
    uint64_t retry_ms;  /* datagrams: what was asked for is asked for again after so long, then twice as long */
    uint32_t tries_max; /* so often, while nothing new comes */
    uint32_t coded_max; /* coded cells that are compared at most: 2^17 are 9 MiB; for datagrams 1,024 */
    size_t runs_max;    /* of the peer's context, and of each of its sets */
    uint64_t send_max;  /* bytes in all; 0: no limit */
    uint64_t cells_max; /* bytes of cells to send in all, beyond which it is too large; 0: no limit */
    struct ki_session_limits session_limits;
};

enum { KI_REPAIR_MESSAGE_MIN = 600, KI_REPAIR_MESSAGE_MAX = 65535, KI_REPAIR_HEAD_LEN = 13 };
enum { KI_REPAIR_CONTEXT_MAX = 400 }; /* bytes of a context in a datagram */

/* Kinds of what a message is made of; on the wire: do not renumber. */
enum ki_repair_piece {
    KI_PIECE_HELLO = 1,
    KI_PIECE_PARITY,
    KI_PIECE_CODED,
    KI_PIECE_VERDICT,
    KI_PIECE_NAMED,
    KI_PIECE_CONTEXT,
    KI_PIECE_SET,
    KI_PIECE_CELLS,
    KI_PIECE_PART,
    KI_PIECE_ASK,
    KI_PIECE_ASK_CODED,
    KI_PIECE_ASK_NAMED,
    KI_PIECE_ASK_CELLS,
    KI_PIECE_DONE,
    KI_PIECE_END
};

struct ki_repair_stats {
    uint64_t sent[KI_PIECE_END], received[KI_PIECE_END]; /* bytes by kind; 0: what heads messages */
    uint64_t messages_sent, messages_received, messages_ignored;
    uint64_t coded_received; /* coded cells that were of use */
    uint64_t only_mine, only_theirs; /* items, by the verdict; 0 when it was a list */
    uint64_t cells_sent, cells_received;
    uint64_t drops;
    uint64_t asks; /* times that something had to be asked for: round trips beyond the first */
    uint64_t retries;
};

enum ki_repair_phase {
    KI_PHASE_SEEK,  /* what differs is not known yet; the responder decodes */
    KI_PHASE_BUILD, /* the responder's: a longer prefix of its snapshot is made */
    KI_PHASE_SCAN,  /* no sketch will do: all that was live is listed */
    KI_PHASE_NAME,  /* initiator: hears which of its items differ; responder: looks up what it has found */
    KI_PHASE_GIVE,  /* waits for the peer's context, then sorts what to send */
    KI_PHASE_LEARN, /* waits for the peer's dots, then sorts them */
    KI_PHASE_FETCH, /* waits for cells */
    KI_PHASE_END,   /* takes over what the peer knows */
    KI_PHASE_DONE,
    KI_PHASE_FAILED
};

/* Coded cells that are to be sent: from + j, + stride, ... below to, for each j of `classes`. */
struct ki_repair_coded {
    uint32_t from, to, stride;
    uint64_t classes;
    uint32_t sent; /* of the lowest class */
};

struct ki_repair {
    struct ki_repair_config config;
    struct ki_store *store;
    struct ki_session session;
    struct ki_sketch kept;   /* as at the snapshot */
    struct ki_sketch longer; /* the same, made for this repair */
    uint8_t item_key[16];
    uint32_t answering; /* the responder's snapshot; the initiator's: 0 until it is known */
    uint16_t sketch_number; /* another one of the store's: it compares by another secret now */
    enum ki_repair_phase phase;
    enum ki_repair_reason reason; /* why it failed; of a side that is done, why the peer cannot be served any more */
    bool is_started, is_open, is_list, has_longer, is_building;
    bool peer_is_done, peer_has_failed;
    struct ki_session_scan scan;
    /* what came */
    bool has_hello, has_parity, has_verdict, has_context, has_set, has_progress;
    struct ki_root peer_root;
    struct ki_parity peer_parity;
    struct ki_context_decoder context_decoder, set_decoder;
    uint64_t named_total;
    struct ki_context named_came; /* of replica 0: one more than the index */
    uint8_t *part; /* the beginning of a cell too large for a message */
    size_t part_len, part_cap, part_total;
    /* the responder's decoder */
    struct ki_peel peel;
    bool has_peel;
    uint32_t capacity, asked_from, asked_to, asked_stride;
    struct ki_item *named;
    size_t named_count;
    struct ki_dot lacking_at;
    /* what is to be said */
    uint32_t pending; /* a bit for each kind */
    uint8_t ask_bits;
    struct ki_repair_coded coded;
    struct ki_repair_coded asked;
    size_t named_at, named_to, ask_named_from, ask_named_to;
    struct ki_context_cursor context_at, set_at;
    struct ki_dot cell_at;
    size_t cell_sent;          /* bytes of the cell at cell_at that went as parts */
    struct ki_context wanted;  /* cells asked for again; empty: all */
    /* time */
    uint64_t retry_at_ms, retry_after_ms;
    uint32_t tries;
    uint64_t bytes_sent;
    struct ki_repair_stats stats;
};

/* Takes the snapshot: the store's sketch must be whole (ki_compare_settle).  false: memory is out, nothing is open.  What
 * is told of it later may be said at any time after that. */
bool ki_repair_init(struct ki_repair *repair, struct ki_store *store, const struct ki_repair_config *config);
void ki_repair_start(struct ki_repair *repair, uint64_t now_ms);
/* Whatever it was doing, it is over; the cells that came stay. */
void ki_repair_free(struct ki_repair *repair);

/* Whose message it is.  *answering: the snapshot of the responder's that it is from, or about; 0: of none yet, so that it
 * may begin a session.  false: it is none. */
bool ki_repair_peek(struct ki_span message, enum ki_repair_role *sender, uint64_t *session, uint32_t *answering);
/* A message of the peer's; one that is not of this session is ignored. */
enum ki_repair_result ki_repair_receive(struct ki_repair *repair, uint64_t wall_ms, uint64_t now_ms, struct ki_span message);
/* Does what there is to do, as far as the budget goes: one of it is 0.1 to 0.3 us.  Something left of it: there is nothing
 * to do but wait. */
enum ki_repair_result ki_repair_step(struct ki_repair *repair, uint64_t now_ms, size_t *budget);
/* The next message to send, when there is room to send one.  false: there is none now. */
bool ki_repair_poll(struct ki_repair *repair, void *buf, size_t cap, size_t *len);
/* When to call ki_repair_step() though nothing came; UINT64_MAX: never. */
uint64_t ki_repair_deadline_ms(const struct ki_repair *repair);
/* Neither side needs the other any more, or it is told of a failure: it may be freed. */
bool ki_repair_is_over(const struct ki_repair *repair);

#endif
