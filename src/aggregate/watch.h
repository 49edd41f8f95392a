/* A condition that is looked at now and then, and the edges of it: it holds once it has been so for a while without a break,
 * and ends likewise. */
#ifndef KI_WATCH_H
#define KI_WATCH_H

#include "base/base.h"

struct ki_holding {
    bool holds;
    uint64_t since_us; /* since when it has looked otherwise; UINT64_MAX: it has not */
};

struct ki_holding ki_holding(void); /* as at first: it does not hold */
/* It is so now, or not.  True: an edge. */
bool ki_holding_look(struct ki_holding *h, uint64_t now_us, bool is_so, uint64_t hold_us);
/* Nobody knows whether it is: that is a break. */
void ki_holding_break(struct ki_holding *h);

#endif
