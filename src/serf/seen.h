/* What user events and queries have passed through: a ring of hashes, so that each is passed on once. */
#ifndef KI_SEEN_H
#define KI_SEEN_H

#include "base/base.h"

#define KI_SEEN_COUNT 512 /* Serf's event buffer */

struct ki_seen {
    uint64_t hashes[KI_SEEN_COUNT];
    uint32_t next;
    uint32_t count;
};

/* Returns true the first time a hash is seen, as far back as the ring remembers. */
bool ki_seen_first(struct ki_seen *seen, uint64_t hash);

#endif
