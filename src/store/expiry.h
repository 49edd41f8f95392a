/* Keys that end by themselves (R24).
 *
 * A string that is a register carries its expiry; any other key gets a cell of its own that says when all of it ends.
 * What has ended is retired by each replica by itself: nothing is told, and nobody has to be the one that does it. */
#ifndef KI_STORE_EXPIRY_H
#define KI_STORE_EXPIRY_H

#include "store/store.h"

#define KI_NEVER_MS UINT64_MAX

/* When the key ends, by the wall clock; KI_NEVER_MS: never.  The key must be there. */
uint64_t ki_key_expiry_ms(const struct ki_store *store, uint32_t key);

/* Sets that time, KI_NEVER_MS to take it away; a time that has passed deletes the key.  Returns 0 or a negative
 * ki_store_error.  *changed: the key is there, and (taking away) had an expiry. */
int ki_expire_at(struct ki_store *store, uint64_t wall_ms, struct ki_span key, uint64_t at_ms, bool *changed);

/* Before a key is read or written: ends it, if its time has come. */
void ki_expire_key(struct ki_store *store, uint64_t wall_ms, struct ki_span key);
/* Ends what has come to its end, up to so many cells that say so.  true: there is more. */
bool ki_expire_due(struct ki_store *store, uint64_t wall_ms, uint32_t budget);
/* When the next one ends; KI_NEVER_MS: none. */
uint64_t ki_expire_next_ms(const struct ki_store *store);

#endif
