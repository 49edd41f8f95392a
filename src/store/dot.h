/* Dots: the names of what was written.  A dot is a replica's id and a number that counts what it wrote, from 1; it names
 * one piece of content for ever (Almeida, Shoker, Baquero 2018, "Delta state replicated data types", sec. 7). */
#ifndef KI_DOT_H
#define KI_DOT_H

#include "base/base.h"

/* The greatest number: sixty-three bits leave room for a flag beside it on the wire, and for one step beyond it. */
#define KI_DOT_N_MAX ((uint64_t)INT64_MAX)

struct ki_dot {
    uint64_t replica; /* chosen at random, any value */
    uint64_t n;       /* 1..KI_DOT_N_MAX */
};

/* The dots low..high of one replica, both ends included. */
struct ki_run {
    uint64_t replica;
    uint64_t low, high; /* 1 <= low <= high <= KI_DOT_N_MAX */
};

/* Dots of peers are checked by this before they come near a context. */
static inline bool ki_dot_is_valid(struct ki_dot dot)
{
    return dot.n >= 1 && dot.n <= KI_DOT_N_MAX;
}

static inline bool ki_run_is_valid(struct ki_run run)
{
    return run.low >= 1 && run.low <= run.high && run.high <= KI_DOT_N_MAX;
}

/* Less than, equal to or greater than 0: by replica, then by number. */
static inline int ki_dot_compare(struct ki_dot a, struct ki_dot b)
{
    if (a.replica != b.replica)
        return a.replica < b.replica ? -1 : 1;
    return (a.n > b.n) - (a.n < b.n);
}

#endif
