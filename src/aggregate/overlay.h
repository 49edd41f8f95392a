/* Who the neighbours of a node are when averages flow: three rings.  overlay.c says why. */
#ifndef KI_OVERLAY_H
#define KI_OVERLAY_H

#include "base/base.h"

#define KI_OVERLAY_RINGS      3
#define KI_OVERLAY_NEIGHBOURS (2 * KI_OVERLAY_RINGS)

/* A member's name, and its hash. */
struct ki_overlay_name {
    struct ki_span name; /* borrowed until the end */
    uint64_t hash;       /* ki_overlay_hash() of it */
};

struct ki_overlay_beside { /* the best so far */
    struct ki_overlay_name who;
    uint64_t ahead; /* how far, going up the ring from our place */
    uint32_t member;
};

struct ki_overlay {
    struct ki_overlay_name self;
    uint64_t at[KI_OVERLAY_RINGS]; /* our places */
    bool any;                      /* somebody has been offered */
    struct ki_overlay_beside before[KI_OVERLAY_RINGS], after[KI_OVERLAY_RINGS];
};

struct ki_overlay_neighbour {
    uint32_t member;
    bool initiates; /* we ask it, and not it us */
};

/* The same for everyone, in every version. */
uint64_t ki_overlay_hash(struct ki_span name);
/* Where it is in a ring: clockwise is upwards, and from the largest on to 0.  Two hashes never meet in a place. */
uint64_t ki_overlay_place(uint64_t hash, uint32_t ring);

/* One pass over the members: begin, offer each once, end. */
void ki_overlay_begin(struct ki_overlay *o, struct ki_overlay_name self);
/* Offers a member.  In: member  the caller's own number for it.  Ourselves are no neighbour. */
void ki_overlay_offer(struct ki_overlay *o, struct ki_overlay_name other, uint32_t member);
/* Returns how many neighbours there are, each once: those after us in the rings first. */
uint32_t ki_overlay_end(const struct ki_overlay *o, struct ki_overlay_neighbour out[KI_OVERLAY_NEIGHBOURS]);

#endif
