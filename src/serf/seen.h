/* Which user events and queries have been heard: hashes by Lamport time, over Serf's window of 512 ticks. */
#ifndef KI_SEEN_H
#define KI_SEEN_H

#include "base/mem.h"

#define KI_SEEN_TICKS 512     /* Serf's event and query buffers */
#define KI_SEEN_TICK_MAX 4096 /* messages of one tick; what comes beyond is refused */

struct ki_seen_tick {
    uint64_t ltime;
    uint64_t *hashes; /* NULL when count is 0 or 1, */
    uint64_t only;    /* which is here */
    uint32_t count, cap;
};

struct ki_seen {
    struct ki_mem *mem;
    struct ki_seen_tick ticks[KI_SEEN_TICKS];
};

void ki_seen_init(struct ki_seen *seen, struct ki_mem *mem);
void ki_seen_free(struct ki_seen *seen);

enum ki_seen_result {
    KI_SEEN_NEW,
    KI_SEEN_BEFORE,
    KI_SEEN_OLD,  /* before the window */
    KI_SEEN_FULL, /* too many of this tick */
    KI_SEEN_NOMEM
};

/* Has it been heard?  now: the clock, which has witnessed ltime. */
enum ki_seen_result ki_seen_look(const struct ki_seen *seen, uint64_t now, uint64_t ltime, uint64_t hash);
/* Likewise, and from now on it has, if the answer is NEW. */
enum ki_seen_result ki_seen_note(struct ki_seen *seen, uint64_t now, uint64_t ltime, uint64_t hash);

#endif
