/* Edges of a condition, with a time for which it has to hold.
 *
 *            so for hold_us                         not so for hold_us
 *   [open]  ----------------> edge, holds  [holds] --------------------> edge, ends  [open]
 *
 * Without that time a value that trembles about a limit would make an edge at each look.
 *
 * Deliberately not here: what the condition is, and when it is looked at. */
#include "aggregate/watch.h"

struct ki_holding ki_holding(void)
{
    return (struct ki_holding){.since_us = UINT64_MAX};
}

bool ki_holding_look(struct ki_holding *h, uint64_t now_us, bool is_so, uint64_t hold_us)
{
    if (is_so == h->holds) {
        h->since_us = UINT64_MAX;
        return false;
    }
    h->since_us = ki_min_u64(h->since_us, now_us);
    if (now_us - h->since_us < hold_us)
        return false;
    h->holds = is_so;
    h->since_us = UINT64_MAX;
    return true;
}

void ki_holding_break(struct ki_holding *h)
{
    h->since_us = UINT64_MAX;
}
