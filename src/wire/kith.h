/* kith's own messages between its members, in memberlist user messages of Serf type 75 (PROTOCOL.md, "The kith channel").
 * Encoders write the type byte 75 and what follows, without memberlist's leading 08. */
#ifndef KI_WIRE_KITH_H
#define KI_WIRE_KITH_H

#include "base/bytes.h"
#include "base/hash.h"

#define KI_SERF_KITH 75 /* 'K' */
#define KI_KITH_AGGREGATES 3 /* subjects as those of links are, 16 kinds of messages each; but never over one */
#define KI_KITH_FOLDS 4

enum ki_kith_message { /* 01 to 0f: of stores */
    KI_KITH_ROOT = 1,      /* what is your root?  This is mine */
    KI_KITH_ROOT_BACK = 2, /* mine is another */
    KI_KITH_SAME = 3,      /* mine, too, is this one */
    KI_KITH_DELTA = 4,     /* writes, from the one that made them */
    KI_KITH_DELTA_ON = 5,  /* likewise; pass it on if it is news to you */
    KI_KITH_HELD_ASK = 6,  /* what do you hold of this replica, around this number? */
    KI_KITH_HELD = 7,      /* this */
    KI_KITH_REPAIR = 8,    /* a message of a repair session (store/repair.h) */
    KI_KITH_BRIEF = 9      /* ROOT, to one that knows who we are */
};

#define KI_KITH_FLAG 0x80    /* in a kind: what it says is the kind's own affair */
#define KI_KITH_PARTIAL KI_KITH_FLAG /* in the kind of ROOT and ROOT_BACK: the sender has refused cells of others */
#define KI_KITH_SMALL_MAX 64 /* bytes: every message but deltas and repairs is shorter */

struct ki_kith_root {
    uint64_t replica;
    struct ki_hash128 root;
    bool is_partial; /* it has refused cells of others: equal it will not be */
};
/* kind: ROOT or ROOT_BACK. */
void ki_encode_kith_root(struct ki_writer *w, enum ki_kith_message kind, const struct ki_kith_root *msg);
bool ki_decode_kith_root(struct ki_reader *r, struct ki_kith_root *msg); /* after the kind */

struct ki_kith_held_ask {
    uint64_t origin, n;
};
void ki_encode_kith_held_ask(struct ki_writer *w, const struct ki_kith_held_ask *msg);
bool ki_decode_kith_held_ask(struct ki_reader *r, struct ki_kith_held_ask *msg);

struct ki_kith_held {
    uint64_t replica; /* who holds */
    uint64_t origin, low, high; /* 1 <= low <= high */
};
void ki_encode_kith_held(struct ki_writer *w, const struct ki_kith_held *msg);
bool ki_decode_kith_held(struct ki_reader *r, struct ki_kith_held *msg);

/* BRIEF: the first 8 bytes of the root and the sender's id, added bit by bit. */
void ki_encode_kith_brief(struct ki_writer *w, const struct ki_kith_root *msg);
/* *is_that: the root is this one, and so is who says so. */
bool ki_decode_kith_brief(struct ki_reader *r, const struct ki_kith_root *msg, bool *is_that);

/* SAME: the first 4 bytes of that root and the last 4 of the sender's id, added bit by bit: what is said late, of an older
 * root, or by another life of the peer, is not taken for what was asked. */
void ki_encode_kith_same(struct ki_writer *w, const struct ki_kith_root *msg);
/* *is_that: it says the same of this root, as this replica. */
bool ki_decode_kith_same(struct ki_reader *r, const struct ki_kith_root *msg, bool *is_that);

/* The front of the others: DELTA, DELTA_ON, REPAIR (the rest is the message). */
void ki_encode_kith_front(struct ki_writer *w, enum ki_kith_message kind);

#endif
