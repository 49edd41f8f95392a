/* The newer of a pair stands first and pushes the older one out: what circulates now is heard again soon, and what no
 * longer does need not be known.
 *
 * Growing forgets everything, because a slot does not hold the whole hash; that happens a few times in the life of a
 * growing pool.  Without memory there is no memory: everything is news then, which is slower and as right.
 *
 * Deliberately not here: what a message is, and when it may be recalled.  The owner says so. */
#include "base/recall.h"

#include "base/ilog.h"

#define RECALL_BITS_MIN 8

static void recall_reserve(struct ki_recall *r, struct ki_mem *mem, uint32_t many)
{
    uint32_t bits = ki_log2_ceil((uint64_t)many + 1);
    bits = bits < RECALL_BITS_MIN ? RECALL_BITS_MIN : bits > KI_RECALL_BITS_MAX ? KI_RECALL_BITS_MAX : bits;
    if (r->tags && bits <= r->bits)
        return;
    uint32_t *tags = ki_mem_new(mem, sizeof *tags << bits);
    if (!tags)
        return;
    ki_mem_free(mem, r->tags);
    *r = (struct ki_recall){.tags = tags, .bits = bits};
}

void ki_recall_put(struct ki_recall *r, struct ki_mem *mem, uint64_t hash, uint32_t many)
{
    recall_reserve(r, mem, many);
    if (!r->tags)
        return;
    uint32_t *pair = ki_recall_pair(r, hash);
    pair[1] = pair[0];
    pair[0] = ki_recall_tag(hash);
}

void ki_recall_free(struct ki_recall *r, struct ki_mem *mem)
{
    ki_mem_free(mem, r->tags);
    *r = (struct ki_recall){.tags = NULL};
}
