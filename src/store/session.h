/* One side of an anti-entropy session (R16 to R21): a snapshot, what the peer's snapshot says, the cells that cross, and
 * the end in which both sides take over what the other knew.
 *
 * How the difference is found (sketches, lists) is not the session's business: it is told of the items that only one side
 * has.  Nor are messages. */
#ifndef KI_STORE_SESSION_H
#define KI_STORE_SESSION_H

#include "store/store.h"

/* An item of one snapshot that the other lacks. */
struct ki_dotted_item {
    struct ki_item item;
    struct ki_dot dot;
};

struct ki_session_limits {
    uint64_t limbo_bytes_max; /* of cells kept because the snapshot had them and they have been retired since */
};

/* What both sides have, as sets of dots: learned from these, a session takes no more than its runs, and goes in slices. */
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
    struct ki_context context; /* as at the snapshot */
    struct ki_context late;    /* dots that became live since */
    struct ki_limbo **limbo;
    uint32_t limbo_count, limbo_cap;
    struct ki_map limbo_by_dot, limbo_by_item;
    uint64_t limbo_bytes;
    bool has_failed;  /* memory or a limit: it cannot be finished any more, only closed */
    bool has_learned; /* what the peer's snapshot holds */
    struct ki_context peer_context;
    struct ki_dotted_item *peer_only; /* sorted by dot */
    size_t peer_only_count;
    bool *is_expected; /* of each of those: its cell has to come yet */
    size_t expected_count;
    struct ki_dot *drops; /* known to the peer as dead */
    size_t drop_count;
    struct ki_dot *sends; /* to be sent, as they were at the snapshot */
    size_t send_count;
    uint32_t damaged_count; /* dots with two contents */
    struct ki_session_runs runs;
};

/* Takes the snapshot.  false: memory is out, and nothing is open. */
bool ki_session_open(struct ki_session *session, struct ki_store *store, const struct ki_session_limits *limits);
/* Ends it, finished or not. */
void ki_session_close(struct ki_session *session);

/* The dot of an item of the snapshot; false: the snapshot had no such item.  The sketch must have been whole when it was
 * taken. */
bool ki_session_dot(const struct ki_session *session, struct ki_item item, struct ki_dot *dot);

/* The difference between the two snapshots, whole: our items that the peer lacks, its items that we lack, both by dot, and
 * its context.  All are copied.  A dot on both lists has two contents, which is damage: the greater item stays on both
 * sides (R19).  0, KI_STORE_MEMORY, or KI_STORE_MALFORMED: what is said cannot be (an item of ours that our snapshot had
 * not, a dot that its own context lacks, dots out of order or twice). */
int ki_session_learn(struct ki_session *session, const struct ki_dotted_item *mine_only, size_t mine_count,
                     const struct ki_dotted_item *peer_only, size_t peer_count, const struct ki_context *peer_context);

/* A cell to send, by its place in sends: as it was at the snapshot.  false: the session has failed. */
bool ki_session_cell(const struct ki_session *session, size_t place, struct ki_cell_image *image);

/* A cell comes, its item computed by the caller.  0: it has joined; KI_STORE_MALFORMED: nobody waits for it; else the
 * session has failed: KI_STORE_AHEAD by this cell, KI_STORE_MEMORY now or before. */
int ki_session_receive(struct ki_session *session, uint64_t wall_ms, const struct ki_cell_image *image,
                       struct ki_item item);
bool ki_session_is_complete(const struct ki_session *session);
/* Drops, and takes over the peer's context (R20), in one go.  It must be complete.  0, or KI_STORE_MEMORY: nothing has
 * changed, try again. */
int ki_session_finish(struct ki_session *session);

/* ---- the same with sets of dots, in slices: session_runs.c ----
 *
 * The caller fills runs.mine, then peer_context, then runs.theirs.  Each call takes what it does from *budget, of which one
 * is about 0.1 us.  KI_SESSION_MORE: the budget is used up, call again.  After an error it can only be closed. */

enum { KI_SESSION_MORE = 1 };

/* The next cell of the snapshot, in any order, at the price of one of the budget for each place that is looked at.  Begin
 * with zeros. */
struct ki_session_scan {
    uint32_t place, limbo;
};
enum ki_session_scanned { KI_SESSION_CELL, KI_SESSION_NO_CELL, KI_SESSION_END };
enum ki_session_scanned ki_session_scan(const struct ki_session *session, struct ki_session_scan *scan,
                                        struct ki_dotted_item *out);

/* mine and peer_context are whole: what is to be sent.  0, KI_SESSION_MORE or KI_STORE_MEMORY. */
int ki_session_give(struct ki_session *session, size_t *budget);
/* theirs is whole, too.  Also KI_STORE_MALFORMED: live there, and unknown there. */
int ki_session_sort(struct ki_session *session, size_t *budget);
/* A cell of the snapshot as it was.  false: it is none, or the session has failed. */
bool ki_session_image(const struct ki_session *session, struct ki_dot dot, struct ki_cell_image *image);
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
