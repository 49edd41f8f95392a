/* The merge rule: what one rumour about a member does to what is known of it (SWIM section 4.2; PROTOCOL.md
 * "merging").  A pure decision over small values, so that a test can try every case there is. */
#ifndef KI_MERGE_H
#define KI_MERGE_H

#include "base/base.h"

enum ki_state { KI_ALIVE = 0, KI_SUSPECT = 1, KI_DEAD = 2, KI_LEFT = 3 }; /* numbers as on the wire */

enum ki_rumour {
    KI_RUMOUR_ALIVE,
    KI_RUMOUR_SUSPECT,
    KI_RUMOUR_DEAD, /* said by another */
    KI_RUMOUR_LEFT  /* dead said by the member itself */
};

struct ki_merge_input {
    enum ki_rumour rumour;
    uint32_t incarnation;
    /* what is known */
    bool known;
    bool self;    /* it is about us */
    bool leaving; /* we are leaving */
    enum ki_state state;
    uint32_t known_incarnation;
    bool same_addr;    /* alive: address bytes and port equal */
    bool same_content; /* alive: meta and versions equal */
    bool may_move;     /* alive: the name may be taken by another address now */
};

enum ki_merge_verdict {
    KI_MERGE_IGNORE,   /* old news */
    KI_MERGE_STALE,    /* an alive that does not outrank our accusation: tell its sender */
    KI_MERGE_CONFLICT, /* another address claims a living name */
    KI_MERGE_NEW,      /* alive: a member never seen */
    KI_MERGE_ACCEPT,   /* take incarnation and state, pass it on */
    KI_MERGE_CONFIRM,  /* another accuser of a suspect */
    KI_MERGE_REFUTE    /* it is about us and wrong: answer with a higher incarnation */
};

struct ki_merge_result {
    enum ki_merge_verdict verdict;
    enum ki_state state; /* ACCEPT, NEW: the new state */
};

struct ki_merge_result ki_merge(const struct ki_merge_input *in);

/* The incarnation that outranks an accusation: max(own, accused) + 1. */
static inline uint32_t ki_refuting(uint32_t own, uint32_t accused)
{
    return (own > accused ? own : accused) + 1;
}

#endif
