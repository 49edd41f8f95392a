/* What the store tells its open sessions. */
#ifndef KI_STORE_SESSIONS_H
#define KI_STORE_SESSIONS_H

#include "store/store.h"

void ki_sessions_joined(struct ki_store *store, struct ki_dot dot); /* has become live */
void ki_sessions_retire(struct ki_store *store, uint32_t id);       /* is about to go */

#endif
