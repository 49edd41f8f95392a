/* Repair sessions with peers.
 *
 * One that differs from us, and that we have asked twice, is repaired with.
 *
 * Deliberately not here: what a session says (store/repair.h).
 */
#include "node/replica.h"

void ki_repair_begin(struct kith *k, struct ki_peer *peer)
{
    (void)k;
    (void)peer;
}
