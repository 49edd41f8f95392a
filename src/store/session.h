/* One side of an anti-entropy session (R16 to R21): a snapshot, what the peer's snapshot says, the cells that cross, and
 * the end in which both sides take over what the other knew.
 *
 *     ki_session_open()                     the snapshot
 *     runs.mine, peer_context               filled in by the caller
 *     ki_session_give(), _image()           the cells to send
 *     runs.theirs                           filled in by the caller
 *     ki_session_sort()                     what is to come, and what is to go
 *     ki_session_take(), _lacking()         the cells that come, at any time, until none is lacking
 *     ki_session_end(), _close()
 *
 * What takes long goes in slices: it takes what it does from *budget, of which one is about 0.1 us, and returns
 * KI_SESSION_MORE when that is used up.  Call it again, then; any budget but 0 gets it on.
 *
 * How the difference is found (sketches, lists) is not the session's business: it is told the dots of what may differ.
 * Nor are messages. */
#ifndef KI_STORE_SESSION_H
#define KI_STORE_SESSION_H

#include "store/store.h"

enum { KI_SESSION_MORE = 1 };

struct ki_session_limits {
    uint64_t limbo_bytes_max; /* of cells kept because the snapshot had them and they have been retired since */
};

/* What both sides have, as sets of dots: so it takes no more than their runs. */
struct ki_session_runs {
    struct ki_context mine;     /* own cells that the peer may lack: the caller fills it in */
    struct ki_context theirs;   /* the peer's that we may lack: likewise */
    struct ki_context give;     /* of mine: the peer has never seen them */
    struct ki_context gone;     /* of mine: not among theirs */
    struct ki_context expected; /* of theirs: we had never seen them */
    struct ki_context twins;    /* on both sides with two contents, which is damage (R19) */
    struct ki_context twins_came;
    struct ki_dot cursor;
    uint32_t stage;
    bool is_difference; /* both sets are of differing items alone, so that a dot in both is damage; the caller says so */
    bool is_given;      /* give is whole, but for twins */
    bool is_sorted;     /* all of these are */
};

struct ki_session {
    struct ki_session *next;
    struct ki_store *store;
    struct ki_session_limits limits;
    struct ki_context context;      /* as at the snapshot */
    struct ki_context peer_context; /* as at the peer's: the caller fills it in */
    struct ki_context late;         /* dots that became live since */
    struct ki_limbo **limbo;
    uint32_t limbo_count, limbo_cap;
    struct ki_map limbo_by_dot, limbo_by_item;
    uint64_t limbo_bytes;
    bool has_failed;        /* memory or a limit: it cannot be finished any more, only closed */
    uint32_t damaged_count; /* dots with two contents */
    struct ki_session_runs runs;
};

/* Takes the snapshot.  false: memory is out, and nothing is open. */
bool ki_session_open(struct ki_session *session, struct ki_store *store, const struct ki_session_limits *limits);
/* Ends it, finished or not. */
void ki_session_close(struct ki_session *session);

/* ---- the snapshot: session.c ---- */

/* The dot of an item of the snapshot; false: the snapshot had no such item.  The sketch must have been whole when it was
 * taken. */
bool ki_session_dot(const struct ki_session *session, struct ki_item item, struct ki_dot *dot);
/* A cell of the snapshot as it was.  false: it is none, or the session has failed. */
bool ki_session_image(const struct ki_session *session, struct ki_dot dot, struct ki_cell_image *image);

/* The next cell of the snapshot, in any order, at the price of one of the budget for each place that is looked at.  Begin
 * with zeros. */
struct ki_session_scan {
    uint32_t place, limbo;
};
struct ki_dotted_item {
    struct ki_item item; /* if the sketch was whole */
    struct ki_dot dot;
};
enum ki_session_scanned { KI_SESSION_CELL, KI_SESSION_NO_CELL, KI_SESSION_END };
enum ki_session_scanned ki_session_scan(const struct ki_session *session, struct ki_session_scan *scan,
                                        struct ki_dotted_item *out);

/* ---- the difference, the cells and the end: session_runs.c.  After an error it can only be closed. ---- */

/* mine and peer_context are whole: what is to be sent.  0, KI_SESSION_MORE or KI_STORE_MEMORY. */
int ki_session_give(struct ki_session *session, size_t *budget);
/* theirs is whole, too.  Also KI_STORE_MALFORMED: live there, and unknown there. */
int ki_session_sort(struct ki_session *session, size_t *budget);
/* A dot with two contents. */
bool ki_session_is_twin(const struct ki_session *session, struct ki_dot dot);
/* A cell comes.  Whether it is waited for does not matter: to join is all it does (R18).  item_key: what tells which of two
 * twins stays.  0, or the session has failed by it: KI_STORE_AHEAD (R21), KI_STORE_MEMORY. */
int ki_session_take(struct ki_session *session, uint64_t wall_ms, const struct ki_cell_image *image,
                    const uint8_t item_key[16]);
/* What has not come yet, in order, as ki_context_missing(): first the twins, if there are any. */
enum ki_missing ki_session_lacking(const struct ki_session *session, struct ki_dot *cursor, size_t *budget,
                                   struct ki_run *out);
/* Nothing is lacking: takes over the peer's context, then drops (R20).  0; to call again: KI_SESSION_MORE or
 * KI_STORE_MEMORY. */
int ki_session_end(struct ki_session *session, size_t *budget);

#endif
